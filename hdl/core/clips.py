"""Clipped loops over terms: where they begin and end, tile by tile.

A bound moves by `slope` where the loop over tiles that it counts takes a step, and so do the words
that are left out before it, by `slope` strides. So both are kept for the tile that runs, and a step
is an addition. What the first tile leaves out is a product of bound and stride, which is found bit
by bit while the instruction before runs.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.core.isa import TERM_LOOPS, TILE_LOOPS, ArrayInstruction
from golden.core.nest import LEAST_RUN
from hdl.core.fields import layout
from hdl.core.indices import Pair, chosen, pair, stepped
from hdl.delay import registered

#: Number of clipped loops: the second and the third loop over terms.
CLIPPED = 2
#: Bits of a bound at any place, with its sign: 16 of the bound, and a product of 8 by 16.
BOUND = 25
#: Bits of a number of clocks up to the array's rows, 255, and some more.
SHORT = 9
#: Bits of the bounds of an instruction.
GIVEN = 16


class Clips(wiring.Component):
    """Bounds of the clipped loops, of the first tile of the next instruction and of each further
    tile of the running one.

    Parameters
    ----------
    rows
        Rows of the array.
    banks
        Banks of the stores.
    address
        Bits of an address.

    Members
    -------
    next, now : In(instruction)
        The next instruction, and the running one.
    start : In(1)
        The next instruction is complete from the next clock on.
    known : Out(1)
        `first` holds.
    takes : In(1)
        The next instruction becomes the running one.
    steps : In(loops over tiles)
        The loop over tiles that takes a step, the outermost one first, in one clock for each tile,
        five clocks apart or more.
    first : Out
        Of the next instruction's first tile: iterations of each loop, less one; whether its first
        one is the last; whether a loop has none; by how much the operands move; `gap`, which is
        `empty` a clock later; clocks before its first operand.
    tile : Out
        The same of the tile that `steps` led to: two clocks later; gap and clocks, three.
    """

    next: data.View
    now: data.View
    start: Signal
    known: Signal
    takes: Signal
    steps: Signal
    first: data.View
    tile: data.View

    def __init__(self, rows: int, banks: int, address: int):
        self.rows = rows
        self.banks = banks
        self.address = address
        index = data.StructLayout({"high": address, "low": range(banks)})
        tile = data.StructLayout(
            {
                "counts": data.ArrayLayout(GIVEN, CLIPPED),
                "ends": data.ArrayLayout(1, CLIPPED),
                "empty": 1,
                "a": index,
                "b": index,
                "gap": 1,
                "pad": SHORT,
            }
        )
        super().__init__(
            {
                "next": In(layout(ArrayInstruction)),
                "now": In(layout(ArrayInstruction)),
                "start": In(1),
                "known": Out(1),
                "takes": In(1),
                "steps": In(TILE_LOOPS),
                "first": Out(tile),
                "tile": Out(tile),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        moves, further = self._moves(m)
        # Clocks of an iteration of both clipped loops.
        coming_unit, unit = self._unit(m), Signal(SHORT, name="unit", reset_less=True)
        first = _Tile(m, self.first, "first", self.rows, self.banks)
        tile = _Tile(m, self.tile, "tile", self.rows, self.banks)
        for c in range(CLIPPED):
            coming, now = self.next.clips[c], self.now.clips[c]
            coming_count, count = self.next.terms[1 + c].count, self.now.terms[1 + c].count
            factors = (coming_unit, unit) if c == 0 else (None, None)

            # The next instruction's first tile, and where the loop takes its first step.
            given = _range(m, coming.on, coming.low, coming.high, coming_count, f"first_{c}")
            width = _clocks(m, given, factors[0], f"first_{c}")
            second = _range(
                m,
                coming.on,
                registered(m, coming.low - coming.slope, f"second_low_{c}"),
                registered(m, coming.high - coming.slope, f"second_high_{c}"),
                coming_count,
                f"second_{c}",
            )
            second_width = _clocks(m, second, factors[0], f"second_{c}")
            first.add(given, coming.on & (coming.low > 0), moves[c], width)

            # The running tile, and where the loop takes a step.
            low = Signal(signed(BOUND), name=f"low_{c}", reset_less=True)
            high = Signal(signed(BOUND), name=f"high_{c}", reset_less=True)
            next_low = Signal(signed(BOUND), name=f"next_low_{c}", reset_less=True)
            next_high = Signal(signed(BOUND), name=f"next_high_{c}", reset_less=True)
            m.d.sync += [next_low.eq(low - now.slope), next_high.eq(high - now.slope)]
            following = _clocks(
                m,
                _range(m, now.on, next_low, next_high, count, f"next_{c}"),
                factors[1],
                f"next_{c}",
            )
            moved, begin, by = (
                [pair(self.address, self.banks, f"{name}_{operand}_{c}") for operand in "ab"]
                for name in ("moved", "begin", "by")
            )
            fresh = Signal(name=f"fresh_{c}")  # the loop has not taken a step
            widths = {
                name: Signal(SHORT, name=f"{name}_{c}", reset_less=True)
                for name in ("running", "begins", "steps")
            }
            steps = Cat(self.steps[k] & (now.loop == k) for k in range(TILE_LOOPS)).any()
            begins = Cat(self.steps[k] & (now.loop > k) for k in range(TILE_LOOPS)).any()
            with m.If(self.takes):
                m.d.sync += [
                    low.eq(coming.low),
                    high.eq(coming.high),
                    fresh.eq(1),
                    widths["running"].eq(width),
                    widths["begins"].eq(width),
                    widths["steps"].eq(second_width),
                ]
                for registers, values in ((moved, moves[c]), (begin, moves[c]), (by, further[c])):
                    m.d.sync += [each.eq(value) for each, value in zip(registers, values)]
            with m.Elif(steps):
                m.d.sync += [
                    low.eq(next_low),
                    high.eq(next_high),
                    fresh.eq(0),
                    widths["running"].eq(Mux(fresh, widths["steps"], following)),
                    *(each.eq(stepped(each, step, self.banks)) for each, step in zip(moved, by)),
                ]
            with m.Elif(begins):
                m.d.sync += [
                    low.eq(now.low),
                    high.eq(now.high),
                    fresh.eq(1),
                    widths["running"].eq(widths["begins"]),
                    *(each.eq(value) for each, value in zip(moved, begin)),
                ]
            here = _range(m, now.on, low, high, count, f"tile_{c}")
            with m.If(self.takes):  # so that the first tile's are there at once
                m.d.sync += [one.eq(other) for one, other in zip(here, given)]
            tile.add(here, now.on & (low > 0), moved, widths["running"])
        with m.If(self.takes):
            m.d.sync += unit.eq(coming_unit)
        first.show(self.next)
        tile.show(self.now)
        with m.If(self.takes):
            m.d.sync += [tile.gap.eq(first.gap)]
            for k in range(2):
                m.d.sync += tile.totals[k].eq(first.totals[k])
        return m

    def _unit(self, m: Module) -> Value:
        """Return the clocks of the next instruction's loops that are not clipped."""
        inner = self.next.terms[TERM_LOOPS - 1].count + 1
        run = _short(m, Mux(inner < LEAST_RUN, LEAST_RUN, inner), "run")
        outer = _short(m, self.next.terms[0].count + 1, "outer")
        return _short(m, run * outer, "coming_unit")

    def _moves(self, m: Module) -> tuple[list[list[Pair]], list[list[Pair]]]:
        """Return for each clip and operand of the next instruction by how much its first tile moves
        where the lower bound is above 0, and by how much more each step of its loop.
        """
        moves, further = (
            [
                [pair(self.address, self.banks, f"{name}_{operand}_{c}") for operand in "ab"]
                for c in range(CLIPPED)
            ]
            for name in ("first_move", "further_move")
        )
        doubled, product, other = (
            pair(self.address, self.banks, name) for name in ("doubled", "product", "other")
        )
        number = Signal(range(2 * CLIPPED + 2))  # clip and operand
        place = Signal(range(GIVEN + 2))
        bound, slope = Signal(GIVEN, reset_less=True), Signal(8, reset_less=True)
        ended = 2 * CLIPPED
        waits = Signal(init=1)
        clipped = Cat(clip.on for clip in self.next.clips).any()
        with m.If(self.start):
            m.d.sync += [number.eq(0), place.eq(0), waits.eq(1)]
        with m.Else():
            with m.If(place == GIVEN + 1):
                m.d.sync += [number.eq(number + 1), place.eq(0)]
            with m.Elif(number < ended):
                m.d.sync += place.eq(place + 1)
            with m.Elif(number == ended):
                m.d.sync += number.eq(ended + 1)
            with m.If(~clipped | (number == ended + 1)):
                m.d.sync += waits.eq(0)
        m.d.comb += self.known.eq(~waits)
        m.d.sync += [
            doubled.eq(stepped(doubled, doubled, self.banks)),
            bound.eq(bound >> 1),
            slope.eq(slope >> 1),
        ]
        for factor, found in ((bound, product), (slope, other)):
            with m.If(factor[0]):
                m.d.sync += found.eq(stepped(found, doubled, self.banks))
        for c in range(CLIPPED):
            clip = self.next.clips[c]
            for k, operand in enumerate(("a", "b")):
                with m.If((number == 2 * c + k) & (place == 0)):
                    stride = self.next.terms[1 + c][operand]
                    m.d.sync += [
                        doubled.high.eq(stride.high),
                        doubled.low.eq(stride.low),
                        bound.eq(abs(clip.low)),
                        slope.eq(abs(clip.slope)),
                        *(part.eq(0) for part in (*product, *other)),
                    ]
                with m.If((number == 2 * c + k) & (place == GIVEN + 1)):
                    m.d.sync += moves[c][k].eq(self._signed(product, clip.low < 0))
                    m.d.sync += further[c][k].eq(self._signed(other, clip.slope > 0))
        return moves, further

    def _signed(self, index: Pair, negative: Value) -> Pair:
        """Return an index, or its negative."""
        rest = index.low.any()
        minus = Pair(
            (-index.high - rest)[: self.address],
            Mux(rest, self.banks - index.low, 0)[: len(index.low)],
        )
        return chosen(negative, minus, index)


class _Range(NamedTuple):
    """The first iteration of a loop, and the last one."""

    start: Signal
    limit: Signal


class _Tile:
    """What follows from a tile's ranges, whose loops are added one by one.

    Parameters
    ----------
    m
        Module that gets the registers.
    shown
        Output for the tile.
    name
        Name of the registers.
    rows, banks
        Those of `Clips`.
    """

    def __init__(self, m: Module, shown: Any, name: str, rows: int, banks: int):
        self.m = m
        self.shown = shown
        self.name = name
        address = len(shown.a.high)
        self.totals = [pair(address, banks, f"{name}_{operand}") for operand in "ab"]
        self.gap = Signal(name=f"{name}_gap", reset_less=True)
        self.rows = rows
        self.banks = banks
        self.empty: list[Value] = []
        self.moves: list[list[Pair]] = []
        self.clocks: list[Value] = []

    def add(self, range_: _Range, moves: Value, by: Sequence[Pair], clocks: Value) -> None:
        """Add a loop: its range, whether and by how much it moves the operands, and its clocks."""
        number = len(self.empty)
        self.m.d.comb += [
            self.shown.counts[number].eq(range_.limit - range_.start),
            self.shown.ends[number].eq(range_.start == range_.limit),
        ]
        self.empty.append(range_.start > range_.limit)
        self.moves.append(
            [
                Pair(
                    each.high & moves.replicate(len(each.high)),
                    each.low & moves.replicate(len(each.low)),
                )
                for each in by
            ]
        )
        self.clocks.append(clocks)

    def show(self, instruction: Any) -> None:
        """Make the registers. Where no loop is clipped, the instruction has the padding.

        The last term is as many clocks after the one before as the array has rows, or more.
        """
        m, shown = self.m, self.shown
        empty = Signal(name=f"{self.name}_empty")
        clocks = Signal(SHORT, name=f"{self.name}_taken")
        pad = Signal(SHORT, name=f"{self.name}_pad", reset_less=True)
        every = _short(m, self.clocks[0] * self.clocks[1], f"{self.name}_clocks")
        # Clocks of the last run behind its last term.
        inner = instruction.terms[TERM_LOOPS - 1].count + 1
        idle = _short(m, Mux(inner < LEAST_RUN, LEAST_RUN - inner, 0), f"{self.name}_idle")
        m.d.comb += [
            empty.eq(Cat(self.empty).any()),
            clocks.eq(Mux(empty, 1, every - idle)),
            shown.empty.eq(empty),
            shown.gap.eq(self.gap),
            shown.pad.eq(
                Mux(Cat(clip.on for clip in instruction.clips).any(), pad, instruction.pad)
            ),
        ]
        m.d.sync += [
            self.gap.eq(empty),
            pad.eq(Mux(clocks < self.rows, self.rows - clocks, 0)),
        ]
        for name, total, one, other in zip("ab", self.totals, *self.moves):
            m.d.sync += total.eq(stepped(one, other, self.banks))
            m.d.comb += [shown[name].high.eq(total.high), shown[name].low.eq(total.low)]


def _range(m: Module, on: Value, low: Any, high: Any, count: Value, name: str) -> _Range:
    """Return a loop's range one clock later, of its bounds and its count less one."""
    found = _Range(
        Signal(signed(BOUND), name=f"{name}_start", reset_less=True),
        Signal(signed(BOUND), name=f"{name}_limit", reset_less=True),
    )
    m.d.sync += [
        found.start.eq(Mux(on & (low > 0), low, 0)),
        found.limit.eq(Mux(on & (high <= count), high - 1, count)),
    ]
    return found


def _clocks(m: Module, range_: _Range, unit: Value | None, name: str) -> Value:
    """Return the iterations of a range, in clocks of a unit; no number if there are none."""
    width = _short(m, range_.limit - range_.start + 1, f"{name}_width")
    return width if unit is None else _short(m, width * unit, f"{name}_units")


def _short(m: Module, value: Value, name: str) -> Signal:
    """Return a number one clock later, or the greatest one with `SHORT` bits."""
    most = (1 << SHORT) - 1
    found = Signal(SHORT, name=name, reset_less=True)
    m.d.sync += found.eq(Mux(value < most, value, most))
    return found
