"""The loops of a product, and their clocks: which operands meet in each clock.

An instruction is a nest of loops, over tiles and over the terms of their sums. The twin never runs
it: a term's number within its tile gives the iterations of all loops over terms, and these the
indices; a tile's clocks are counted from its bounds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import ClassVar

import numpy as np

from golden import check
from golden.borders import Border
from golden.core.commands import commands_of, instruction_at, put
from golden.core.index import Index, some_index
from golden.core.isa import (
    TILE_LOOPS,
    ArrayInstruction,
    Clip,
    Instruction,
    Last,
    Store,
    TermLoop,
    TileLoop,
)
from golden.fixed import Codes
from golden.port import Port, completed, inputs_of, outputs_of
from golden.settings import check_settings, setting
from golden.twin import Trace, Twin

#: The least number of iterations of an innermost loop that takes one clock for each; a shorter one
#: takes as many clocks.
LEAST_RUN = 5
#: Clocks from `start` to the first one in which an instruction with clipped loops is taken, however
#: early it is ready.
CLIPPED_START = 75
#: The same of an instruction without.
PLAIN_START = 2
#: Clocks from `start` to the first one in which an instruction may be ready.
READY_START = 4


@dataclass(frozen=True, kw_only=True)
class ProductNestConfig:
    """Widths of the loops of a product.

    Parameters
    ----------
    rows
        Rows of the array, 1 to 255.
    banks
        Banks of the stores, 1 to 255.
    address_bits
        Width of an address in a bank, 1 to 19 bits.
    row_bits
        Width of a row's number in the store of sums, 1 to 20 bits.
    clips
        Whether instructions may have clipped loops.

    Examples
    --------
    >>> ProductNestConfig(rows=4, banks=5).latency
    1
    """

    #: Meaning of each figure.
    FIGURES: ClassVar[dict[str, str]] = {
        "latency": "Clocks from the one that takes an instruction to its first term, without "
        "padding."
    }

    rows: int = setting(8, "Rows of the array", low=1, high=255)
    banks: int = setting(8, "Banks of the stores", low=1, high=255)
    address_bits: int = setting(10, "Width of an address in a bank", low=1, high=19, unit="bits")
    row_bits: int = setting(
        10, "Width of a row's number in the store of sums", low=1, high=20, unit="bits"
    )
    clips: bool = setting(True, "Whether instructions may have clipped loops")

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def bank_bits(self) -> int:
        """Width of a bank's number; 0 for one bank."""
        return (self.banks - 1).bit_length()

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""

        def index(operand: str) -> Iterator[Port]:
            text = f"operand {operand.upper()} of the array's first lane"
            yield Port(f"{operand}_high", "out", self.address_bits, meaning=f"address of {text}")
            if self.bank_bits:
                yield Port(f"{operand}_low", "out", self.bank_bits, meaning=f"bank of {text}")

        found = [
            *commands_of(ArrayInstruction),
            Port("valid", "out", 1, meaning="a term is here; the others stay"),
            Port("a_from", "out", 2, meaning="store of operand A"),
            Port("b_from", "out", 2, meaning="store of operand B"),
            Port("quantize", "out", 1, meaning="Q_W makes a forward weight of B"),
            *index("a"),
            *index("b"),
            Port("last", "out", 1, meaning="the term is its tile's last one"),
            Port("ends", "out", 1, meaning="the tile is its chunk's last one"),
            Port("rows", "out", 8, meaning="the tile's rows, less 1; 255 for all"),
            Port("columns", "out", 8, meaning="the tile's columns, less 1; 255 for all"),
            Port("s", "out", self.row_bits, meaning="the tile's first row of sums"),
        ]
        if self.clips:
            start = "the next instruction is there from the next clock on"
            found += [
                Port("start", "in", 1, meaning=start),
                Port("gap", "out", 1, meaning="the tile has no terms, and this one counts as 0"),
            ]
        return tuple(found)

    @property
    def latency(self) -> int:
        """Clocks from the one that takes an instruction to its first term, without padding."""
        return 1

    @property
    def throughput(self) -> str:
        """Operations per clock, and stalls."""
        return (
            f"a term per clock; a run of fewer than {LEAST_RUN} terms takes {LEAST_RUN} clocks, a "
            "tile at least as many as the array has rows; waits before chunks only"
        )

    def borders(self) -> list[Border]:
        """Return an empty list: the stimulus is made of whole instructions."""
        return []


def is_clipped(instruction: Instruction) -> bool:
    """Return whether a loop of an instruction is clipped."""
    return isinstance(instruction, ArrayInstruction) and any(clip.on for clip in instruction.clips)


def bounds(instruction: ArrayInstruction, tile: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Return first and end of every loop over terms in a tile.

    Parameters
    ----------
    instruction
        The instruction.
    tile
        Iterations of the loops over tiles.

    Examples
    --------
    >>> clip = Clip(on=True, low=1, high=4, slope=1, loop=0)
    >>> taps = ArrayInstruction(
    ...     terms=(TermLoop(), TermLoop(count=3), TermLoop(), TermLoop(count=8)),
    ...     clips=(clip, Clip()),
    ... )
    >>> [bounds(taps, (place, 0, 0, 0, 0, 0))[1] for place in range(5)]
    [(1, 3), (0, 3), (0, 2), (0, 1), (0, 0)]
    """
    found = [(0, loop.count) for loop in instruction.terms]
    for k, clip in enumerate(instruction.clips, 1):
        if clip.on:
            place = tile[clip.loop] if clip.loop < len(tile) else 0
            moved = clip.slope * place
            found[k] = max(0, clip.low - moved), min(found[k][1], clip.high - moved)
    return tuple(found)


def padding(rows: int, clocks: int, idle: int) -> int:
    """Return the clocks before a tile's first term.

    With them its last term is as many clocks after the last one of any other tile as the array has
    rows, which leave one by one.

    Parameters
    ----------
    rows
        Rows of the array.
    clocks
        Clocks of the tile from its first term on.
    idle
        Those of them that are behind its last term.

    Examples
    --------
    >>> padding(8, 20, 0), padding(8, 5, 2)
    (0, 5)
    """
    return max(rows - (clocks - idle), 0)


def clocks_of(instruction: ArrayInstruction, tile: Sequence[int], rows: int) -> tuple[int, int]:
    """Return the clocks of a tile from its first term on, and those before it.

    A tile in which a clipped loop has no iteration is one gap.
    """
    found = bounds(instruction, tile)
    inner = found[-1][1]
    every = prod(end - first for first, end in found[:-1]) * max(inner, LEAST_RUN)
    if any(end <= first for first, end in found):
        inner, every = 1, LEAST_RUN
    idle = max(LEAST_RUN - inner, 0)
    return every, padding(rows, every, idle) if is_clipped(instruction) else instruction.pad


@dataclass(frozen=True)
class Running:
    """An instruction that runs.

    Parameters
    ----------
    instruction, odd
        It, and whether it belongs to an odd step.
    tile
        Iterations of its loops over tiles.
    begun
        Clock in which the tile began, padding included, from now on.
    """

    instruction: ArrayInstruction
    odd: bool
    tile: tuple[int, ...]
    begun: int


@dataclass(frozen=True)
class NestState:
    """State of the twin of `hdl.core.nest.ProductNest`.

    Parameters
    ----------
    running
        The instruction that runs, or was the last one; None if there was none.
    since
        Clocks since the last `start` or the reset.
    shown
        Values of the outputs that stay.
    """

    running: Running | None = None
    since: int = 1
    shown: dict[str, int] = field(default_factory=dict)


class ProductNest(Twin[NestState]):
    """Twin of `hdl.core.nest.ProductNest`.

    The next instruction stays as it is from the clock after `start` until it is taken, and
    `commands_ready` comes four clocks after `start` or later. Without clips there is no `start`,
    and the instruction is there two clocks before it is taken.

    Parameters
    ----------
    config
        The widths.

    Examples
    --------
    >>> twin = ProductNest(ProductNestConfig(rows=1, clips=False))
    >>> inputs = completed(inputs_of(twin.ports), {}, 9)
    >>> inputs["commands_next_terms_count"][:, 3] = 6  # 7 terms
    >>> inputs["commands_next_terms_a_low"][:, 3] = 1
    >>> inputs["commands_ready"][1] = 1
    >>> twin.run(inputs)["a_low"].tolist()
    [0, 0, 0, 1, 2, 3, 4, 5, 6]
    """

    def __init__(self, config: ProductNestConfig):
        check.instance("config", config, ProductNestConfig)
        self.config = config
        self.ports = config.ports

    def initial(self) -> NestState:
        """Return the reset state: no instruction, and all outputs 0."""
        return NestState()

    def stretch(self, state: NestState, inputs: Trace) -> tuple[NestState, Trace]:
        """See `Twin`."""
        clocks = len(inputs["commands_ready"])
        outputs = {port.name: np.zeros(clocks, np.int64) for port in outputs_of(self.config.ports)}
        since = _since(inputs.get("start"), clocks, state.since)
        passes = np.flatnonzero(inputs["commands_passes"])
        running, free = state.running, 0
        while True:
            following = None
            if running is not None:
                taken, pad = clocks_of(running.instruction, running.tile, self.config.rows)
                self._show(outputs, running, running.begun + pad + 1)
                free = max(running.begun + pad + taken, 0)
                following = _following(running.instruction, running.tile)
            if free >= clocks:
                break
            if running is not None and following is not None:
                tile, loop = following
                if loop < running.instruction.levels:
                    at = int(np.searchsorted(passes, free))
                    begins = int(passes[at]) if at < len(passes) else clocks
                    outputs["commands_continues"][free : begins + 1] = 1
                    if begins == clocks:
                        break
                    free = begins
                    outputs["commands_begins"][free] = 1
                running = replace(running, tile=tile, begun=free)
            else:
                found = self._taken(inputs, since, free)
                for name in ("commands_wants", "commands_free"):
                    outputs[name][free : found.begun + 1 if found else clocks] = 1
                if found is None:
                    break
                running = found
                outputs["commands_takes"][found.begun] = 1
        there = np.flatnonzero(outputs["valid"])
        latest = np.searchsorted(there, np.arange(clocks), side="right") - 1
        shown = {}
        for name in (name for name in outputs if name not in MOMENTARY):
            before = state.shown.get(name, 0)
            values = np.concatenate([[before], outputs[name][there]])
            outputs[name] = values[latest + 1]
            shown[name] = int(outputs[name][-1])
        if running is not None:
            # How long ago a tile was over does not matter.
            taken, pad = clocks_of(running.instruction, running.tile, self.config.rows)
            running = replace(running, begun=max(running.begun - clocks, -taken - pad - 1))
        return NestState(running, min(int(since[-1]), CLIPPED_START), shown), outputs

    def _taken(self, inputs: Trace, since: Codes, free: int) -> Running | None:
        """Return the instruction that is taken at or after a clock."""
        for clock in (np.flatnonzero(inputs["commands_ready"][free:]) + free).tolist():
            instruction = instruction_at(ArrayInstruction, inputs, clock)
            known = CLIPPED_START if is_clipped(instruction) else PLAIN_START
            if not self.config.clips or since[clock] >= known:
                odd = bool(inputs["commands_odd"][clock])
                return Running(instruction, odd, (0,) * TILE_LOOPS, clock)
        return None

    def _show(self, outputs: Trace, running: Running, first: int) -> None:
        """Put a tile's terms into the outputs, from clock `first` on."""
        config, instruction, tile = self.config, running.instruction, running.tile
        clocks = len(outputs["valid"])
        ranges = bounds(instruction, tile)
        gap = any(end <= begin for begin, end in ranges)
        inner = 1 if gap else ranges[-1][1]
        step = max(inner, LEAST_RUN)
        sizes = [1 if gap else end - begin for begin, end in ranges[:-1]]
        number = np.arange(max(first, 0), min(first + prod(sizes) * step, clocks)) - first
        number = number[number % step < inner]
        if not len(number):
            return
        at, run = number + first, number // step
        outputs["valid"][at] = 1
        outputs["last"][at] = (run == prod(sizes) - 1) & (number % step == inner - 1)
        places = [number % step]
        for (begin, _), size in zip(ranges[-2::-1], sizes[::-1], strict=True):
            places.append(begin + run % size)
            run = run // size
        for operand in ("a", "b"):
            base: Index = getattr(instruction, operand)
            flat = base.flat(config.banks)
            if operand == "a" and running.odd:
                flat += instruction.second.flat(config.banks)
            for loop, iteration in zip(instruction.tiles, tile, strict=True):
                flat += iteration * getattr(loop, operand).flat(config.banks)
            words = config.banks << config.address_bits
            index = np.full(len(at), flat % words)
            for term, iterations in zip(instruction.terms[::-1], places, strict=True):
                index += iterations * getattr(term, operand).flat(config.banks)
            outputs[f"{operand}_high"][at] = index % words // config.banks
            if config.bank_bits:
                outputs[f"{operand}_low"][at] = index % config.banks
        s = instruction.s + sum(
            iteration * loop.s for loop, iteration in zip(instruction.tiles, tile, strict=True)
        )
        ends = _ends(instruction, tile)
        for name, value in {
            "a_from": instruction.a_from,
            "b_from": instruction.b_from,
            "quantize": instruction.quantize,
            "ends": all(ends[instruction.levels :]),
            "rows": _lanes(instruction.rows, ends),
            "columns": _lanes(instruction.columns, ends),
            "s": s % (1 << config.row_bits),
            "gap": gap,
        }.items():
            if name in outputs:
                outputs[name][at] = value

    def legal(self, rng: np.random.Generator, clocks: int) -> Trace:
        """Return random instructions and random waits: most instructions take at most some hundred
        clocks, and resets cut those with large counts.
        """
        inputs = completed(inputs_of(self.config.ports), {}, clocks)
        always = np.repeat(rng.random(clocks // 64 + 1) < 0.6, 64)[:clocks]
        inputs["commands_passes"] = (rng.integers(0, 2, clocks) | always).astype(np.int64)
        state, clock = self.initial(), 0
        while clock < clocks:
            instruction = some_product(rng, self.config)
            vast = rng.random() < VAST
            if vast:
                instruction = _enlarged(rng, instruction)
            late = 90 if is_clipped(instruction) else 6
            settle = READY_START + int(rng.integers(0, late))
            ahead = int(rng.integers(0, 3))
            odds = (0.2, 1.0)[int(rng.integers(0, 2))]
            if self.config.clips:
                inputs["start"][clock + ahead : clock + ahead + 1] = 1
            odd, reach = int(rng.integers(0, 2)), 256
            while True:
                stop = min(clock + reach, clocks)
                there = slice(clock + ahead + 1, stop)
                put(instruction, inputs, there)
                inputs["commands_odd"][there] = odd
                ready = np.arange(clock + ahead + settle, stop)
                inputs["commands_ready"][ready] = rng.random(len(ready)) < odds
                span = {
                    name: values[clock : clock + reach]
                    for name, values in inputs.items()
                    if name != "rst"
                }
                _, outputs = self.stretch(state, span)
                taken = np.flatnonzero(outputs["commands_takes"])
                if len(taken) or stop == clocks:
                    break
                reach *= 4
            last = clock + int(taken[0]) if len(taken) else clocks - 1
            cut = rng.random() < RESETS
            end = int(rng.integers(clock, last + 1)) if cut else last
            for name in ("commands_ready", "start"):
                if name in inputs:
                    inputs[name][end + 1 :] = 0
            if vast and not cut:
                end = min(last + int(rng.integers(20, 130)), clocks - 1)
            if vast or cut:
                inputs["rst"][end] = 1
                state = self.initial()
            else:
                span = {name: values[: end + 1 - clock] for name, values in span.items()}
                state, _ = self.stretch(state, span)
            clock = end + 1
        return inputs


#: Fractions of the instructions of a stimulus that a reset cuts, and that have large counts.
RESETS, VAST = 0.06, 0.25
#: Outputs that are 0 where nothing happens.
MOMENTARY = (
    "valid",
    "last",
    *(f"commands_{name}" for name in ("wants", "takes", "free", "continues", "begins", "full")),
)


def _since(start: Codes | None, clocks: int, before: int) -> Codes:
    """Return for each clock, and the one after them, the clocks since the last `start`."""
    numbers = np.arange(clocks + 1)
    if start is None:
        return before + numbers
    starts = np.flatnonzero(start)
    last = np.searchsorted(starts, numbers) - 1
    return numbers - np.concatenate([[-before], starts])[last + 1]


def _counts(instruction: ArrayInstruction, tile: Sequence[int]) -> list[int]:
    """Return the iterations of each loop over tiles, where the loops outside of it are in these."""
    counts = [loop.count for loop in instruction.tiles]
    level = instruction.levels
    if level and all(tile[k] == counts[k] - 1 for k in range(1, level)):
        counts[level] = instruction.last_count
    return counts


def _ends(instruction: ArrayInstruction, tile: Sequence[int]) -> list[bool]:
    """Return whether each loop over tiles is in its last iteration."""
    return [
        place == count - 1 for place, count in zip(tile, _counts(instruction, tile), strict=True)
    ]


def _following(
    instruction: ArrayInstruction, tile: tuple[int, ...]
) -> tuple[tuple[int, ...], int] | None:
    """Return the next tile and the loop that takes the step; None after the last one."""
    ends = _ends(instruction, tile)
    for loop in reversed(range(TILE_LOOPS)):
        if not ends[loop]:
            rest = (0,) * (TILE_LOOPS - 1 - loop)
            return (*tile[:loop], tile[loop] + 1, *rest), loop
    return None


def _lanes(last: Last, ends: Sequence[bool]) -> int:
    """Return the lanes of a tile, less one."""
    chosen = [end for k, end in enumerate(ends) if last.loops >> k & 1]
    return last.lanes - 1 if chosen and all(chosen) else 255


def _enlarged(rng: np.random.Generator, instruction: ArrayInstruction) -> ArrayInstruction:
    """Return an instruction in which some loops have large counts, of few bits each.

    A counter that loses a bit ends early.
    """

    def large(loop: TermLoop) -> int:
        return min(loop.count + (1 << int(rng.integers(2, 16))), 1 << 16)

    tiles = [
        replace(loop, count=large(loop)) if rng.random() < 0.2 else loop
        for loop in instruction.tiles
    ]
    terms = [
        replace(loop, count=large(loop)) if rng.random() < 0.25 else loop
        for loop in instruction.terms
    ]
    last = 1 + (int(rng.integers(1, 4)) << int(rng.integers(0, 13)))
    return replace(instruction, tiles=tuple(tiles), terms=tuple(terms), last_count=last)


def some_product(rng: np.random.Generator, config: ProductNestConfig) -> ArrayInstruction:
    """Return a random instruction of at most some hundred clocks.

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

    def count(odds: float, most: int) -> int:
        return 1 + number(most - 1) if rng.random() < odds else 1

    def clip(loop: int) -> Clip:
        if not config.clips or rng.random() < 0.25:
            return Clip(low=number(9), high=number(9), slope=number(2), loop=number(5))
        wild = rng.random() < 0.1
        slope = int(rng.integers(-128, 128)) if wild else int(rng.integers(-3, 4))
        low = int(rng.integers(-3, 3)) + slope * number(2)
        high = low + 2 + number(4)
        if wild:
            low, high = (int(rng.integers(-1 << 15, 1 << 15)) for _ in range(2))
        return Clip(on=True, low=low, high=high, slope=slope, loop=loop)

    def last() -> Last:
        return Last(loops=number(63) & number(63), lanes=1 + number(255))

    levels = number(3)
    # While an instruction runs, what clips leave out of the next one is found.
    often = 0.42 if config.clips else 0.25
    most = 2 + (rng.random() < 0.3)
    tiles = [
        TileLoop(
            count=count(often, 4 if k in loops else most),
            a=index(),
            b=index(),
            s=int(rng.integers(-1 << 19, 1 << 19)),
        )
        for loops in [rng.choice(TILE_LOOPS, 2, replace=False).tolist()]
        for k in range(TILE_LOOPS)
    ]
    inner = (1, 2, LEAST_RUN - 1, LEAST_RUN, LEAST_RUN + 1, 1 + number(11))[number(5)]
    sizes = [count(0.2, 3), count(0.6, 4), count(0.6, 4), inner]
    terms = tuple(TermLoop(count=size, a=index(), b=index()) for size in sizes)
    made = ArrayInstruction(
        a_from=Store(number(2)),
        b_from=Store(number(2)),
        quantize=bool(number(1)),
        levels=levels,
        a=index(),
        b=index(),
        second=index(),
        s=number((1 << 20) - 1),
        tiles=tuple(tiles),
        last_count=count(0.7, 3),
        terms=terms,
        clips=(clip(number(5)), clip(number(5))),
        rows=last(),
        columns=last(),
    )
    every = prod(sizes[:-1]) * max(inner, LEAST_RUN)
    return replace(made, pad=padding(config.rows, every, max(LEAST_RUN - inner, 0)))
