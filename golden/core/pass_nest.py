"""The loops of a pass, and their clocks: a vector's rows and words, and when it comes.

A pass is a sequence of vectors. The twin never runs its loops: a vector's number gives the
iterations of all loops, and these its rows and its words; its clock is counted from that of its
chunk's first vector.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar

import numpy as np

from golden import check
from golden.borders import Border
from golden.core.commands import commands_of, instruction_at, put
from golden.core.index import Index, some_index
from golden.core.isa import (
    PASS_LOOPS,
    Function,
    Last,
    PassLoop,
    Target,
    VectorInstruction,
)
from golden.fixed import Codes
from golden.port import Port, completed, inputs_of, outputs_of
from golden.settings import check_settings, setting
from golden.twin import Trace, Twin, frozen

#: Clocks from a vector to its rows, its words and its iterations.
INDEX_DELAY = 2
#: Clocks from the next instruction to the flags of its first vector, while no other one runs.
FLAG_DELAY = 3
#: More vectors than a run has; products of counts end there.
_MANY = 1 << 62


@dataclass(frozen=True, kw_only=True)
class PassNestConfig:
    """Widths of the loops of a pass.

    Parameters
    ----------
    banks
        Banks of the stores, 1 to 255.
    address_bits
        Width of an address in a bank, 1 to 19 bits.
    s_bits
        Width of a row's number in the store of sums, 1 to 20 bits.
    k_bits
        Width of a row's number in the store of masks, 1 to 20 bits.

    Examples
    --------
    >>> config = PassNestConfig(banks=5)
    >>> config.latency, config.index_latency
    (1, 2)
    """

    #: Meaning of each figure.
    FIGURES: ClassVar[dict[str, str]] = {
        "latency": "Clocks from the one that takes an instruction to its first vector.",
        "index_latency": "Clocks from a vector to its rows, its words and its iterations.",
    }

    banks: int = setting(8, "Banks of the stores", low=1, high=255)
    address_bits: int = setting(10, "Width of an address in a bank", low=1, high=19, unit="bits")
    s_bits: int = setting(
        10, "Width of a row's number in the store of sums", low=1, high=20, unit="bits"
    )
    k_bits: int = setting(
        10, "Width of a row's number in the store of masks", low=1, high=20, unit="bits"
    )

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def bank_bits(self) -> int:
        """Width of a bank's number; 0 for one bank."""
        return (self.banks - 1).bit_length()

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""

        def index() -> Iterator[Port]:
            text = f"its first word, {INDEX_DELAY} clocks later"
            yield Port("to_high", "out", self.address_bits, meaning=f"address of {text}")
            if self.bank_bits:
                yield Port("to_low", "out", self.bank_bits, meaning=f"bank of {text}")

        later = f"{INDEX_DELAY} clocks later"
        return (
            *commands_of(VectorInstruction),
            Port("even", "in", 1, meaning="the next clock is an even one"),
            Port("room", "in", 1, meaning="the output queue has room for a chunk"),
            Port("valid", "out", 1, meaning="a vector is here"),
            Port("s", "out", self.s_bits, meaning=f"its row of sums, {later}"),
            Port("k", "out", self.k_bits, meaning=f"its row of masks, {later}"),
            *index(),
            Port(
                "counters",
                "out",
                16,
                lanes=PASS_LOOPS,
                meaning=f"its iterations of the loops, from 0, {later}",
            ),
            Port(
                "loop_ends",
                "out",
                PASS_LOOPS,
                meaning="loops that are in their last iterations, one bit for each",
            ),
            Port("lanes", "out", 8, meaning="its lanes, less 1; 255 for all"),
            Port("ends", "out", 1, meaning="it is its chunk's last one"),
            Port("last", "out", 1, meaning="it is the pass's last one"),
        )

    @property
    def latency(self) -> int:
        """Clocks from the one that takes an instruction to its first vector."""
        return 1

    @property
    def index_latency(self) -> int:
        """Clocks from a vector to its rows, its words and its iterations."""
        return INDEX_DELAY

    @property
    def throughput(self) -> str:
        """Operations per clock, and stalls."""
        return (
            "a vector per clock, of an update one per two clocks; two clocks between passes; "
            "waits before chunks only"
        )

    def borders(self) -> list[Border]:
        """Return an empty list: the stimulus is made of whole instructions."""
        return []


def interval(instruction: VectorInstruction) -> int:
    """Return the clocks from a vector to the next one: an update reads and writes in turn."""
    return 2 if instruction.target == Target.W else 1


def chunk(instruction: VectorInstruction, first: int) -> tuple[int, bool]:
    """Return the vectors of a chunk, and whether there is a further one.

    Parameters
    ----------
    instruction
        The instruction.
    first
        Number of the chunk's first vector in the pass.

    Examples
    --------
    >>> loops = (PassLoop(count=2), PassLoop(count=3), PassLoop(count=4), PassLoop())
    >>> blocks = VectorInstruction(levels=2, loops=loops, last_count=2)
    >>> [chunk(blocks, first) for first in (0, 4, 8, 10, 14, 18)]
    [(4, True), (4, True), (2, True), (4, True), (4, True), (2, False)]
    """
    loops, level = instruction.loops, instruction.levels
    if not level:
        return prod(loop.count for loop in loops), False
    inner, every = _sizes(instruction)
    block, short = loops[level].count * inner, instruction.last_count * inner
    size = short if first % every == every - short else block
    return size, first + size < loops[0].count * every


def _sizes(instruction: VectorInstruction) -> tuple[int, int]:
    """Return the vectors in an iteration of the first loop inside a chunk; and in one of the first
    loop of all, where that is another.
    """
    counts = [loop.count for loop in instruction.loops]
    level = instruction.levels
    inner = prod(counts[level + 1 :])
    chunks = prod(counts[1:level])
    return inner, ((chunks - 1) * counts[level] + instruction.last_count) * inner


def places(instruction: VectorInstruction, number: Codes) -> tuple[Codes, Codes]:
    """Return the iterations of the loops, and whether each is its loop's last one.

    Parameters
    ----------
    instruction
        The instruction.
    number
        Numbers of vectors in the pass, (n,).

    Returns
    -------
    places, ends : Codes
        int64, (n, 4).

    Examples
    --------
    >>> loops = (PassLoop(), PassLoop(count=2), PassLoop(count=3), PassLoop())
    >>> blocks = VectorInstruction(levels=2, loops=loops, last_count=1)
    >>> found, ends = places(blocks, np.arange(4))
    >>> found[:, 1].tolist(), found[:, 2].tolist(), ends[:, 2].tolist()
    ([0, 0, 0, 1], [0, 1, 2, 0], [0, 0, 1, 1])
    """
    counts = [loop.count for loop in instruction.loops]
    level = instruction.levels
    sizes = np.tile(np.array(counts), (len(number), 1))
    inner, every = (min(size, _MANY) for size in _sizes(instruction))
    block = min(counts[level] * inner, _MANY)
    found = np.zeros((len(number), PASS_LOOPS), np.int64)

    def spread(loops: range, value: Codes) -> None:
        for k in reversed(loops):
            found[:, k], value = value % counts[k], value // counts[k]

    rest = number
    if level:
        outer = prod(counts[1:level])
        found[:, 0], rest = number // every, number % every
        place = np.minimum(rest // block, outer - 1)
        rest = rest - place * block
        spread(range(1, level), place)
        sizes[place == outer - 1, level] = instruction.last_count
    found[:, level], rest = rest // inner, rest % inner
    spread(range(level + 1, PASS_LOOPS), rest)
    return found, (found == sizes - 1).astype(np.int64)


def flags(instruction: VectorInstruction, ends: Codes) -> Trace:
    """Return what a vector's last iterations mean: the outputs that are there with it.

    Parameters
    ----------
    instruction
        The instruction.
    ends
        Whether each loop is in its last iteration, (n, 4).
    """
    number, last = len(ends), instruction.lanes
    return _flags(
        ends,
        levels=np.full(number, instruction.levels),
        loops=np.full(number, last.loops),
        lanes=np.full(number, last.lanes - 1),
    )


def _flags(ends: Codes, levels: Codes, loops: Codes, lanes: Codes) -> Trace:
    """Return `flags` of vectors of several instructions.

    Parameters
    ----------
    ends
        Whether each loop is in its last iteration, (n, 4).
    levels
        Loops over chunks, (n,).
    loops, lanes
        Loops of the last block, a bit for each, and its lanes less one, (n,).
    """
    loop = np.arange(PASS_LOOPS)
    named = (loops[:, None] >> loop) & 1
    block = ((ends | (1 - named)) == 1).all(axis=1) & (loops != 0)
    inside = (ends == 1) | (loop < levels[:, None])
    return {
        "loop_ends": ends @ (1 << loop),
        "lanes": np.where(block, lanes, 255),
        "ends": inside.all(axis=1).astype(np.int64),
        "last": ends.all(axis=1).astype(np.int64),
    }


@dataclass(frozen=True)
class PassRunning:
    """A chunk of an instruction that runs, or ran last.

    Parameters
    ----------
    instruction
        The instruction.
    first
        Number of the chunk's first vector in the pass.
    begun
        Clock of that vector, from now on.
    """

    instruction: VectorInstruction
    first: int
    begun: int

    @property
    def end(self) -> int:
        """The chunk's last clock, from now on."""
        size, _ = chunk(self.instruction, self.first)
        return self.begun + size * interval(self.instruction) - 1


@dataclass(frozen=True, eq=False)
class PassNestState:
    """State of the twin of `hdl.PassNest`.

    Parameters
    ----------
    running
        The chunk that runs, or was the last one; None if there was none.
    over
        Clock before the first one in which no instruction runs, where there was none.
    before
        `even` in the last clock, and whether the next instruction went to the output queue.
    coming
        Flags of the next instruction's first vector in the last clocks, (3,) each.
    late
        Vectors of the last clocks: whether there is one, its rows, words and iterations, (2,) or
        (2, 4) each.
    shown
        Values of the outputs that stay.
    """

    running: PassRunning | None
    over: int
    before: tuple[int, int]
    coming: dict[str, Codes]
    late: dict[str, Codes]
    shown: dict[str, Codes]


#: Outputs that are there with a vector, and those that are later.
FLAGS = ("loop_ends", "lanes", "ends", "last")
INDICES = ("s", "k", "to_high", "to_low", "counters")


class PassNest(Twin[PassNestState]):
    """Twin of `hdl.PassNest`.

    The next instruction stays as it is from the clock after the one that takes the one before, or
    after a reset, until it is taken. `commands_ready` is low in the first two clocks after a reset.

    Parameters
    ----------
    config
        The widths.

    Examples
    --------
    >>> twin = PassNest(PassNestConfig())
    >>> inputs = completed(inputs_of(twin.ports), {}, 9)
    >>> inputs["commands_next_loops_count"][:, 3] = 3  # 4 vectors
    >>> inputs["commands_next_loops_s"][:, 3] = 5
    >>> inputs["commands_ready"][2] = 1
    >>> outputs = twin.run(inputs)
    >>> outputs["valid"].tolist(), outputs["s"].tolist()
    ([0, 0, 0, 1, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0, 5, 10, 15])
    """

    def __init__(self, config: PassNestConfig):
        check.instance("config", config, PassNestConfig)
        self.config = config
        self.ports = config.ports
        names = {port.name: port for port in outputs_of(self.ports)}
        self._indices = [names[name] for name in INDICES if name in names]

    def initial(self) -> PassNestState:
        """Return the reset state: no instruction, and all outputs 0."""
        coming = {name: np.zeros(FLAG_DELAY, np.int64) for name in FLAGS}
        coming["lanes"][:] = 255  # no loop ends, so that is no last block
        late = {port.name: np.zeros(port.shape(INDEX_DELAY), np.int64) for port in self._indices}
        late["there"] = np.zeros(INDEX_DELAY, np.int64)
        names = (*FLAGS, *(port.name for port in self._indices))
        shown = {name: np.zeros(PASS_LOOPS if name == "counters" else (), np.int64)
                 for name in names}  # fmt: skip
        return PassNestState(None, -1, (0, 0), coming, late, shown)

    def stretch(self, state: PassNestState, inputs: Trace) -> tuple[PassNestState, Trace]:
        """See `Twin`."""
        clocks = len(inputs["room"])
        outputs = {
            port.name: np.zeros(port.shape(clocks), np.int64)
            for port in outputs_of(self.config.ports)
        }
        even, queue = (
            np.concatenate([[before], values])
            for before, values in zip(
                state.before,
                (inputs["even"], inputs["commands_next_target"] == Target.OUT),
                strict=True,
            )
        )
        on_time, room = even[:clocks] == 0, inputs["room"] == 1
        known = _coming(inputs)
        coming = {name: np.concatenate([state.coming[name], known[name]]) for name in FLAGS}
        there = np.zeros(clocks, np.int64)
        told = np.zeros(clocks, np.int64)  # flags are those of a vector, or of the next one's first
        slow = inputs["commands_next_target"] == Target.W
        full = (queue[:clocks] == 1) & ~room
        may_take = (inputs["commands_ready"] == 1) & (~slow | on_time) & ~full
        outputs["commands_full"][:] = full
        running, over = state.running, state.over
        while True:
            further = False
            if running is not None:
                self._show(outputs, running, there, told)
                over = running.end
                further = chunk(running.instruction, running.first)[1]
            if over >= clocks:
                break
            since = max(over, 0)
            if running is not None and further:
                to = running.instruction.target
                asks = inputs["commands_passes"] == 1
                if to == Target.OUT:
                    asks = asks & room
                if to == Target.W:
                    asks = asks & on_time
                begins = _first(asks, since)
                wait = slice(since, begins + 1)
                outputs["commands_continues"][wait] = 1
                outputs["commands_full"][wait] = ~room[wait] & (to == Target.OUT)
                if begins == clocks:
                    break
                outputs["commands_begins"][begins] = 1
                size, _ = chunk(running.instruction, running.first)
                running = replace(running, first=running.first + size, begun=begins + 1)
                continue
            takes = _first(may_take, max(over + 2, 0))
            outputs["commands_free"][max(over + 1, 0) : takes + 1] = 1
            outputs["commands_wants"][max(over + 2, 0) : takes + 1] = 1
            self._show_next(outputs, running, over, coming, told)
            if takes == clocks:
                break
            outputs["commands_takes"][takes] = 1
            told[takes + 1 :] = 0
            instruction = instruction_at(VectorInstruction, inputs, takes)
            running = PassRunning(instruction, 0, takes + 1)
        outputs["valid"][:] = there
        shown: dict[str, Codes] = {}
        for name in FLAGS:
            outputs[name] = _kept(outputs[name], told, state.shown[name])
            shown[name] = frozen(np.asarray(outputs[name][-1]))
        late = {"there": np.concatenate([state.late["there"], there])}
        for port in self._indices:
            name = port.name
            late[name] = np.concatenate([state.late[name], outputs[name]])
            values = late[name][:clocks]
            outputs[name] = _kept(values, late["there"][:clocks], state.shown[name])
            shown[name] = frozen(np.asarray(outputs[name][-1]))
        # How long ago a chunk was over does not matter.
        away = clocks + min(over - clocks + FLAG_DELAY + 1, 0)
        if running is not None:
            running = replace(running, begun=running.begun - away)
        return PassNestState(
            running,
            over - away,
            (int(even[-1]), int(queue[-1])),
            {name: frozen(values[clocks:]) for name, values in coming.items()},
            {name: frozen(values[clocks:]) for name, values in late.items()},
            shown,
        ), outputs

    def _show(self, outputs: Trace, running: PassRunning, there: Codes, told: Codes) -> None:
        """Put a chunk's vectors into the outputs, rows and words at the vectors' own clocks."""
        config, instruction = self.config, running.instruction
        step = interval(instruction)
        at = np.arange(max(running.begun, 0), min(running.end + 1, len(there)))
        at = at[(at - running.begun) % step == 0]
        if not len(at):
            return
        found, ends = places(instruction, running.first + (at - running.begun) // step)
        there[at] = told[at] = 1
        for name, values in flags(instruction, ends).items():
            outputs[name][at] = values
        banks, loops = config.banks, instruction.loops
        target = found @ np.array([loop.target.flat(banks) for loop in loops])
        flat = (instruction.to.flat(banks) + target) % (banks << config.address_bits)
        s = instruction.s + found @ np.array([loop.s for loop in loops])
        k = instruction.k + found @ np.array([loop.k for loop in loops])
        outputs["s"][at], outputs["k"][at] = s % (1 << config.s_bits), k % (1 << config.k_bits)
        outputs["to_high"][at] = flat // banks
        if config.bank_bits:
            outputs["to_low"][at] = flat % banks
        outputs["counters"][at] = found

    def _show_next(
        self,
        outputs: Trace,
        running: PassRunning | None,
        over: int,
        coming: Trace,
        told: Codes,
    ) -> None:
        """Put flags into the outputs of the clocks after an instruction: those of its first vector,
        then those of the next one's.
        """
        clocks = len(told)
        first = max(over + 3, 0)
        told[first:] = 1
        for name in FLAGS:
            outputs[name][first:] = coming[name][first:clocks]
        if not 0 <= over + 2 < clocks:
            return
        told[over + 2] = 1
        if running is None:
            again = {name: coming[name][:1] for name in FLAGS}
        else:
            _, ends = places(running.instruction, np.zeros(1, np.int64))
            again = flags(running.instruction, ends)
        for name, values in again.items():
            outputs[name][over + 2] = values[0]

    def legal(self, rng: np.random.Generator, clocks: int) -> Trace:
        """Return random instructions and random waits: most instructions have at most some hundred
        vectors, and resets cut those with large counts.
        """
        inputs = completed(inputs_of(self.config.ports), {}, clocks)
        for name in ("commands_passes", "room"):
            always = np.repeat(rng.random(clocks // 64 + 1) < 0.6, 64)[:clocks]
            inputs[name] = (rng.integers(0, 2, clocks) | always).astype(np.int64)
        inputs["even"] = (np.arange(clocks) + int(rng.integers(0, 2))) % 2
        state, clock, settle = self.initial(), 0, 2
        turn = int(rng.integers(0, 75))
        while clock < clocks:
            instruction = some_pass(rng, self.config)
            vast = rng.random() < VAST
            if vast:
                instruction, turn = _enlarged(instruction, turn), turn + 1
            wait = settle + int(rng.choice((0, 0, 1, 2, 3, 9)))
            odds = (0.2, 1.0, 1.0)[int(rng.integers(0, 3))]
            inputs["commands_odd"][clock:] = rng.integers(0, 2)
            ready = np.arange(clock + wait, clocks)
            inputs["commands_ready"][clock:] = 0
            inputs["commands_ready"][ready] = rng.random(len(ready)) < odds
            state, last = self._until_taken(state, inputs, clock, instruction)
            end, cut = last, rng.random() < RESETS
            if cut:
                end = int(rng.integers(clock, last + 1))
            elif vast:
                end = min(last + int(rng.integers(20, LONGEST)), clocks - 1)
            clock, settle = end + 1, 0
            if cut or vast:
                inputs["rst"][end] = 1
                inputs["even"][end + 1 :] ^= int(rng.integers(0, 2))
                state, settle = self.initial(), 2
        return inputs

    def _until_taken(
        self, state: PassNestState, inputs: Trace, clock: int, instruction: VectorInstruction
    ) -> tuple[PassNestState, int]:
        """Show an instruction until it is taken; return the state behind that clock, and it."""
        clocks, reach = len(inputs["rst"]), 256

        def span(end: int) -> Trace:
            return {name: each[clock:end] for name, each in inputs.items() if name != "rst"}

        while True:
            stop = min(clock + reach, clocks)
            put(instruction, inputs, slice(clock, stop + LONGEST))
            _, outputs = self.stretch(state, span(stop))
            taken = np.flatnonzero(outputs["commands_takes"])
            if len(taken):
                last = clock + int(taken[0])
                return self.stretch(state, span(last + 1))[0], last
            if stop == clocks:
                return state, clocks - 1
            reach *= 4


#: Fractions of the instructions of a stimulus that a reset cuts, that have large counts, and whose
#: loops have one or two iterations each.
RESETS, VAST, SHORT = 0.06, 0.25, 0.3
#: Clocks of one with large counts, until a reset.
LONGEST = 130


def _first(may: Codes, since: int) -> int:
    """Return the first clock from `since` on in which something may be; the number of clocks if
    there is none.
    """
    found = np.flatnonzero(may[since:])
    return since + int(found[0]) if len(found) else len(may)


def _kept(values: Codes, told: Codes, before: Codes) -> Codes:
    """Return values that stay as they are from a clock in which they are told to the next one."""
    at = np.flatnonzero(told)
    latest = np.searchsorted(at, np.arange(len(told)), side="right")
    kept: Codes = np.concatenate([before[None], values[at]])[latest]
    return kept


def _coming(inputs: Trace) -> Trace:
    """Return in each clock the flags of the next instruction's first vector."""
    none = (inputs["commands_next_loops_count"] == 0).astype(np.int64)
    levels = inputs["commands_next_levels"]
    for level in range(1, PASS_LOOPS):
        short = (levels == level) & none[:, 1:level].all(axis=1)
        none[short, level] = inputs["commands_next_last_count"][short] == 0
    last = (inputs[f"commands_next_lanes_{name}"] for name in ("loops", "lanes"))
    return _flags(none, levels, *last)


def _enlarged(instruction: VectorInstruction, turn: int) -> VectorInstruction:
    """Return an instruction with one large count, some more than a power of two; `turn` says which
    one. The others stay small, so that its loop takes steps.

    A counter that loses a bit ends early.
    """
    which, power = turn % (PASS_LOOPS + 1), 1 << 1 + turn // (PASS_LOOPS + 1) % 15
    if which == PASS_LOOPS:
        return replace(
            instruction,
            levels=max(instruction.levels, 1),
            last_count=instruction.last_count + power,
        )
    loops = list(instruction.loops)
    loops[which] = replace(loops[which], count=loops[which].count + power)
    return replace(instruction, loops=tuple(loops))


def some_pass(rng: np.random.Generator, config: PassNestConfig) -> VectorInstruction:
    """Return a random instruction of at most some hundred vectors.

    Parameters
    ----------
    rng
        Where its numbers come from.
    config
        The widths.
    """

    def number(high: int) -> int:
        return int(rng.integers(0, high + 1))

    def index() -> Index:
        return some_index(rng, config.banks)

    def stride() -> int:
        return int(rng.integers(-1 << 19, 1 << 19)) >> number(18)

    # Many loops have one iteration, or two; one of them more. Some passes have one vector.
    long = number(PASS_LOOPS)
    odds = (0.95, 0.4, 0.4)[number(2)]
    counts = [
        1 + (rng.random() > odds) * (1 + number(10 if k == long else 1)) for k in range(PASS_LOOPS)
    ]
    levels, last_count = number(3), int(rng.choice((1, 1, 2, 3, 5)))
    if rng.random() < SHORT:
        # An early step is that of an outer loop, and leads to a block's last chunk.
        counts = [1 + number(1) for _ in range(PASS_LOOPS)]
        levels, last_count = 1 + number(2), 1 + number(2)
    return VectorInstruction(
        function=Function(number(5)),
        target=Target(int(rng.choice((0, 1, 2, 3, 3, 3, 4, 4)))),
        levels=levels,
        s=number((1 << 20) - 1),
        k=number((1 << 20) - 1),
        to=index(),
        loops=tuple(
            PassLoop(count=count, s=stride(), k=stride(), target=index()) for count in counts
        ),
        last_count=last_count,
        lanes=Last(loops=number(15) & number(15), lanes=1 + number(255)),
    )
