"""The loops of a move, and their clocks: the index of each beat, row by row.

A move is a sequence of rows of beats, which its user takes one by one. The twin never runs its
loops: how many rows and beats have been taken before a clock gives the index that is shown there,
and when it was that a row was last done says whether the next one has begun.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from golden import check
from golden.borders import Border
from golden.core.commands import commands_of, instruction_at, put
from golden.core.index import some_index
from golden.core.isa import Move, MoveInstruction, MoveLoop
from golden.fixed import Codes
from golden.port import Port, completed, inputs_of, outputs_of
from golden.settings import check_settings, setting
from golden.twin import Trace, Twin, frozen

#: Clocks from the next instruction to its first index and flags, while no other one runs.
FIRST_DELAY = 2
#: Clocks after a reset before the first one in which an instruction may be ready.
READY_START = 1
#: Clocks of a move that are worked out at a time.
PART = 512
#: Rows and beats are counted modulo so many.
COUNTED = 1 << 16


@dataclass(frozen=True, kw_only=True)
class MoveNestConfig:
    """Widths of the loops of a move.

    Parameters
    ----------
    banks
        Banks of the stores, 1 to 255.
    address_bits
        Width of an address in a bank, 1 to 19 bits.

    Examples
    --------
    >>> MoveNestConfig(banks=5).latency
    1
    """

    #: Meaning of each figure.
    FIGURES: ClassVar[dict[str, str]] = {
        "latency": "Clocks from the one that takes an instruction to the first one in which a beat "
        "may be taken.",
    }

    banks: int = setting(8, "Banks of the stores", low=1, high=255)
    address_bits: int = setting(10, "Width of an address in a bank", low=1, high=19, unit="bits")

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
            yield Port("high", "out", self.address_bits, meaning="address of its first word")
            if self.bank_bits:
                yield Port("low", "out", self.bank_bits, meaning="bank of its first word")

        odd = "the instruction that runs belongs to an odd step"
        return (
            *commands_of(MoveInstruction),
            Port("in_odd", "out", 1, meaning=odd),
            Port("active", "out", 1, meaning="a beat is wanted"),
            Port("steps", "in", 1, meaning="the beat is taken"),
            Port("row_ends", "in", 1, meaning="and it is its row's last one, with a label's"),
            Port("row_done", "in", 1, meaning="and nothing is wrong: the row is done"),
            *index(),
            Port("row", "out", 16, meaning="its row, from 0"),
            Port("last_beat", "out", 1, meaning="it is its row's last one, without a label's"),
            Port("last", "out", 1, meaning="its row is the move's last one"),
        )

    @property
    def latency(self) -> int:
        """Clocks from the one that takes an instruction to the first one in which a beat may be
        taken.
        """
        return 1

    @property
    def throughput(self) -> str:
        """Operations per clock, and stalls."""
        return "a beat per clock; one clock between moves; waits before rows only"

    def borders(self) -> list[Border]:
        """Return an empty list: the stimulus is made of whole instructions."""
        return []


@dataclass(frozen=True, eq=False)
class Moving:
    """A move that runs, or that ended in the last clock.

    Parameters
    ----------
    counts, strides
        Iterations of its loops, and their strides in words, (3,) each.
    odd
        Whether it belongs to an odd step.
    first, index
        Flat indices of its next row's first beat, and of that row's next beat, ().
    rows, beats
        How many of its rows have ended, and how many beats of the next one were taken, modulo 2^16,
        ().
    waits, over
        The next row has not begun, as it has to wait; or there is none.
    """

    counts: Codes
    strides: Codes
    odd: bool
    first: Codes
    index: Codes
    rows: Codes
    beats: Codes
    waits: bool = False
    over: bool = False


@dataclass(frozen=True, eq=False)
class MoveNestState:
    """State of the twin of `hdl.MoveNest`.

    Parameters
    ----------
    moving
        The move that runs, or ended in the last clock; None if no one did.
    coming
        First index and flags of the next instruction in the last clocks, (2,) each, and whether it
        belonged to an odd step, (1,).
    """

    moving: Moving | None
    coming: dict[str, Codes]


class MoveNest(Twin[MoveNestState]):
    """Twin of `hdl.MoveNest`.

    The next instruction stays as it is from the clock after the one that takes the one before, or
    after a reset, until it is taken. `commands_ready` is low in the first clock after a reset.
    `steps` is high only where `active` is, `row_ends` counts only with it, and `row_done` is high
    only where both are.

    Parameters
    ----------
    config
        The widths.

    Examples
    --------
    >>> twin = MoveNest(MoveNestConfig())
    >>> inputs = completed(inputs_of(twin.ports), {}, 9)
    >>> inputs["commands_next_loops_count"][:, 2] = 2  # 3 beats
    >>> inputs["commands_next_loops_stride_high"][:, 2] = 1
    >>> inputs["commands_ready"][2] = 1
    >>> inputs["steps"][3:6] = 1
    >>> inputs["row_ends"][5] = inputs["row_done"][5] = 1
    >>> outputs = twin.run(inputs)
    >>> outputs["active"].tolist(), outputs["high"].tolist()
    ([0, 0, 0, 1, 1, 1, 0, 0, 0], [0, 0, 0, 0, 1, 2, 0, 0, 0])
    """

    def __init__(self, config: MoveNestConfig):
        check.instance("config", config, MoveNestConfig)
        self.config = config
        self.ports = config.ports

    def initial(self) -> MoveNestState:
        """Return the reset state: no instruction, and all outputs 0."""
        clocks = {"flat": FIRST_DELAY, "last_beat": FIRST_DELAY, "last": FIRST_DELAY, "in_odd": 1}
        return MoveNestState(
            None, {name: frozen(np.zeros(number, np.int64)) for name, number in clocks.items()}
        )

    def stretch(self, state: MoveNestState, inputs: Trace) -> tuple[MoveNestState, Trace]:
        """See `Twin`."""
        clocks = len(inputs["steps"])
        outputs = {port.name: np.zeros(clocks, np.int64) for port in outputs_of(self.config.ports)}
        known = self._coming(inputs)
        coming = {name: np.concatenate([state.coming[name], known[name]]) for name in state.coming}
        # While no instruction runs, what is shown is the next one's.
        flat = coming["flat"][:clocks].copy()
        for name in ("last_beat", "last", "in_odd"):
            outputs[name][:] = coming[name][:clocks]
        moving, clock = state.moving, 0
        while clock < clocks:
            if moving is not None and not moving.over:
                moving, clock = self._move(moving, inputs, outputs, flat, clock)
                continue
            # No instruction runs; the clock after a move still shows the row behind its last one.
            if moving is not None:
                rows, beats = np.array([moving.rows]), np.array([moving.beats])
                flat[clock] = moving.index
                self._show(moving, outputs, slice(clock, clock + 1), rows, beats)
            moving, takes = None, _first(inputs["commands_ready"], clock)
            for name in ("commands_wants", "commands_free"):
                outputs[name][clock : takes + 1] = 1
            if takes < clocks:
                outputs["commands_takes"][takes] = 1
                instruction = instruction_at(MoveInstruction, inputs, takes)
                moving = self._begun(instruction, bool(inputs["commands_odd"][takes]))
            clock = takes + 1
        banks = self.config.banks
        outputs["high"][:] = flat // banks
        if self.config.bank_bits:
            outputs["low"][:] = flat % banks
        late = {name: frozen(values[clocks:]) for name, values in coming.items()}
        return MoveNestState(moving, late), outputs

    def _coming(self, inputs: Trace) -> Trace:
        """Return in each clock the next instruction's first index, its first beat's flags, and
        whether it belongs to an odd step.
        """
        banks, odd = self.config.banks, inputs["commands_odd"]
        at, second = (
            inputs[f"commands_next_{name}_high"] * banks + inputs[f"commands_next_{name}_low"]
            for name in ("at", "second")
        )
        counts = inputs["commands_next_loops_count"]
        return {
            "flat": (at + odd * second) % (banks << self.config.address_bits),
            "last": (counts[:, 0] == 0).astype(np.int64),
            "last_beat": (counts[:, 2] == 0).astype(np.int64),
            "in_odd": odd,
        }

    def _move(
        self, moving: Moving, inputs: Trace, outputs: Trace, flat: Codes, clock: int
    ) -> tuple[Moving, int]:
        """Put a move into the outputs from a clock on, for some clocks or up to its end; return
        what it is then, and the first clock after them.
        """
        part = slice(clock, clock + PART)
        steps = inputs["steps"][part] == 1
        ends = steps & (inputs["row_ends"][part] == 1)
        done = inputs["row_done"][part] == 1
        # Before each clock, and after the last one: rows that have ended, and beats since.
        ended = _counted(ends)
        rows = moving.rows + ended
        over = np.flatnonzero(done & _is_last(rows[:-1], moving.counts[0]))
        size = int(over[0]) + 1 if len(over) else len(steps)
        span = slice(clock, clock + size)
        taken = _counted(steps)
        until = np.maximum.accumulate(np.concatenate([[0], np.where(ends, taken[1:], 0)]))
        beats = np.where(ended > 0, 0, moving.beats) + taken - until
        index = self._index(moving, ended, taken - until)
        first = self._index(replace(moving, index=moving.first), ended, 0 * taken)
        flat[span] = index[:size]
        self._show(moving, outputs, span, rows[:size], beats[:size])
        # A row waits for its first clock where one was done, and no clock since let one begin.
        passes = inputs["commands_passes"][part] == 1
        number = np.arange(len(steps))
        since = np.maximum.accumulate(np.where(done, number, -1 if moving.waits else -2))
        passed = np.maximum.accumulate(np.where(passes, number, -2))
        waits = since > np.concatenate([[-2], passed[:-1]])
        further = waits[:size].copy()
        if len(over):
            further[-1] = False
        outputs["active"][span] = (~waits | done)[:size]
        outputs["commands_continues"][span] = further
        outputs["commands_begins"][span] = further & passes[:size]
        found = replace(
            moving,
            first=frozen(np.array(first[size])),
            index=frozen(np.array(index[size])),
            rows=frozen(np.array(rows[size] % COUNTED)),
            beats=frozen(np.array(beats[size] % COUNTED)),
            waits=bool(waits[size - 1] and not passes[size - 1]),
            over=len(over) > 0,
        )
        return found, clock + size

    def _begun(self, instruction: MoveInstruction, odd: bool) -> Moving:
        """Return a move that begins."""
        banks = self.config.banks
        start = instruction.at.flat(banks) + odd * instruction.second.flat(banks)
        first = frozen(np.array(start % (banks << self.config.address_bits)))
        return Moving(
            counts=frozen(np.array([loop.count for loop in instruction.loops])),
            strides=frozen(np.array([loop.stride.flat(banks) for loop in instruction.loops])),
            odd=odd,
            first=first,
            index=first,
            rows=frozen(np.array(0)),
            beats=frozen(np.array(0)),
        )

    def _index(self, moving: Moving, rows: Codes, beats: Codes) -> Codes:
        """Return flat indices of beats: so many rows later, and so many beats later in the row."""
        outer, _, inner = moving.strides
        start = np.where(rows > 0, moving.first + rows * outer, moving.index)
        found: Codes = (start + beats * inner) % (self.config.banks << self.config.address_bits)
        return found

    def _show(self, moving: Moving, outputs: Trace, span: slice, rows: Codes, beats: Codes) -> None:
        """Put the beats of a span of clocks into the outputs."""
        outputs["in_odd"][span] = moving.odd
        outputs["row"][span] = rows % COUNTED
        outputs["last_beat"][span] = _is_last(beats, moving.counts[2])
        outputs["last"][span] = _is_last(rows, moving.counts[0])

    def legal(self, rng: np.random.Generator, clocks: int) -> Trace:
        """Return random moves whose beats come at once or late: most have some rows of some beats,
        and resets cut those with large counts, and others. A label follows some rows, some end
        early, and a few are not done.
        """
        inputs = completed(inputs_of(self.config.ports), {}, clocks)
        always = np.repeat(rng.random(clocks // 64 + 1) < 0.5, 64)[:clocks]
        inputs["commands_passes"] = (rng.integers(0, 2, clocks) | always).astype(np.int64)
        inputs["row_ends"] = rng.integers(0, 2, clocks)
        shown, free, settle, turn = 0, 0, READY_START, int(rng.integers(0, 60))
        exact = turn
        while shown < clocks:
            instruction = some_move(rng, self.config)
            brief, vast = rng.random() < BRIEF, rng.random() < VAST
            if brief:
                instruction, exact = _enlarged(instruction, exact, 0), exact + 1
            elif vast:
                instruction, turn = _enlarged(instruction, turn, 1 + turn % 3), turn + 1
            odds = (0.2, 1.0, 1.0)[int(rng.integers(0, 3))]
            early = shown + settle + int(rng.choice((0, 0, 0, 1, 2, 9)))
            takes = max(free, early) + int(rng.geometric(odds)) - 1
            inputs["commands_ready"][early:free] = rng.random(max(free - early, 0)) < odds
            inputs["commands_ready"][takes : takes + 1] = 1
            over = self._beats(rng, inputs, instruction, takes + 1)
            reset = None
            if brief:
                reset = takes + int(rng.integers(0, 5))
            elif over > takes + LONGEST:
                reset = takes + int(rng.integers(10, LONGEST))
            elif rng.random() < RESETS:
                reset = int(rng.integers(shown, over + 2))
            self._put(rng, inputs, instruction, slice(shown, takes + 1))
            shown, free, settle = takes + 1, over + 1, 0
            if reset is not None:
                self._put(rng, inputs, some_move(rng, self.config), slice(shown, reset + 1))
                for name in ("commands_ready", "steps", "row_done"):
                    inputs[name][reset + 1 :] = 0
                inputs["rst"][reset : reset + 1] = 1
                shown, free, settle = reset + 1, reset + 1, READY_START
        return inputs

    def _put(
        self, rng: np.random.Generator, inputs: Trace, instruction: MoveInstruction, span: slice
    ) -> None:
        """Show an instruction of an odd or an even step."""
        put(instruction, inputs, span)
        inputs["commands_odd"][span] = rng.integers(0, 2)

    def _beats(
        self, rng: np.random.Generator, inputs: Trace, instruction: MoveInstruction, begun: int
    ) -> int:
        """Take the beats of a move from a clock on; return the clock of its last one, or one that
        is too far away.
        """
        stop, clock = min(len(inputs["steps"]), begun + LONGEST), begun
        rows, _, beats = (loop.count for loop in instruction.loops)
        odds = (1.0, 1.0, 0.5, 0.2)[int(rng.integers(0, 4))]
        label, row = int(rng.integers(0, 2)), 0
        while clock < stop:
            size = beats + label
            if size > MANY or rng.random() < EARLY:
                size = int(rng.integers(1, MANY))
            at = clock - 1 + np.cumsum(rng.geometric(odds, size))
            last = int(at[-1])
            at = at[at < stop]
            inputs["steps"][at] = 1
            inputs["row_ends"][at] = at == last
            row, clock = row + 1, last + 1
            if last < stop and rng.random() >= UNDONE:
                inputs["row_done"][last] = 1
                if row % COUNTED == rows % COUNTED:
                    return last
                clock = _first(inputs["commands_passes"], last) + 1
        return begun + LONGEST


#: Fractions of the moves of a stimulus that a reset cuts, that have large counts, and that have
#: those and are cut at once; of the rows that end anywhere, and that are not done.
RESETS, VAST, BRIEF, EARLY, UNDONE = 0.06, 0.25, 0.2, 0.1, 0.04
#: Clocks of a move, before a reset cuts it; beats of a row that is taken whole.
LONGEST, MANY = 150, 14


def _is_last(number: Codes, count: int) -> Codes:
    """Return whether rows or beats are the last ones, of the numbers of those before them."""
    found: Codes = number % COUNTED == count - 1
    return found


def _counted(events: Codes) -> Codes:
    """Return how many events were before each clock, and after the last one."""
    found: Codes = np.concatenate([[0], np.cumsum(events)])
    return found


def _first(may: Codes, since: int) -> int:
    """Return the first clock from `since` on in which something may be; the number of clocks if
    there is none.
    """
    found = np.flatnonzero(may[since:])
    return since + int(found[0]) if len(found) else max(since, len(may))


def _enlarged(instruction: MoveInstruction, turn: int, more: int) -> MoveInstruction:
    """Return a move with some rows more than a power of two, as they are stored, and such beats;
    `turn` says which powers.

    A counter that loses a bit ends early.
    """
    outer, middle, inner = instruction.loops
    rows, beats = (1 + more + (1 << 1 + (turn + ahead) % 15) for ahead in (0, 7))
    if turn % 4:
        inner = replace(inner, count=beats)
    return replace(instruction, loops=(replace(outer, count=rows), middle, inner))


def some_move(rng: np.random.Generator, config: MoveNestConfig) -> MoveInstruction:
    """Return a random instruction of some rows of some beats.

    Parameters
    ----------
    rng
        Where its numbers come from.
    config
        The widths.
    """

    def loop(most: int) -> MoveLoop:
        count = int(rng.choice((1, 1, 2, 3, int(rng.integers(1, most)))))
        return MoveLoop(count=count, stride=some_index(rng, config.banks))

    return MoveInstruction(
        move=Move(int(rng.integers(0, 3))),
        layer=int(rng.integers(0, 64)),
        at=some_index(rng, config.banks),
        second=some_index(rng, config.banks),
        end=int(rng.integers(0, 1 << 20)),
        loops=(loop(12), loop(1 << 16), loop(MANY)),
        lanes=int(rng.integers(1, 257)),
    )
