"""The loops of a product: for every clock, the index of each operand's first lane.

The innermost loop has an adder of its own and takes a step in every clock. While it runs, the outer
loops find where it begins next, which takes five clocks: choose the loop that takes a step, fetch
its index and stride, add, store, and decide. So a run of fewer iterations takes five clocks as
well.
"""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.core.isa import TERM_LOOPS, TILE_LOOPS, ArrayInstruction
from hdl.core.fields import held, layout
from hdl.core.indices import Pair, stepped

#: Outer loops over terms.
OUTER_TERMS = TERM_LOOPS - 1
#: Outer loops, counted from the inside: those over terms, then those over tiles.
OUTER = OUTER_TERMS + TILE_LOOPS


class ProductNest(wiring.Component):
    """Indices of a product's operands, term by term.

    Parameters
    ----------
    banks
        Banks of the stores.
    address
        Bits of an address.
    row
        Bits of a row of sums.

    Members
    -------
    next : In(instruction)
        The next instruction.
    odd, ready : In(1)
        It belongs to an odd step; it may be taken.
    takes : Out(1)
        It is taken.
    passes : In(1)
        The next chunk may begin.
    begins : Out(1)
        A further chunk is begun.
    now : Out(instruction)
        The instruction that runs.
    valid : Out(1)
        A term is here.
    a_high, a_low, b_high, b_low : Out
        Its indices.
    last : Out(1)
        It is its tile's last one.
    ends : Out(1)
        Its tile is its chunk's last one.
    rows, columns : Out
        The tile's lanes, less one.
    s : Out(row)
        The tile's first row of sums.
    """

    next: data.View
    odd: Signal
    ready: Signal
    takes: Signal
    passes: Signal
    begins: Signal
    now: data.View
    valid: Signal
    a_high: Signal
    a_low: Signal
    b_high: Signal
    b_low: Signal
    last: Signal
    ends: Signal
    rows: Signal
    columns: Signal
    s: Signal

    def __init__(self, banks: int, address: int, row: int):
        self.banks = banks
        self.address = address
        self.row = row
        self.layout = layout(ArrayInstruction)
        low = range(banks)
        super().__init__(
            {
                "next": In(self.layout),
                "odd": In(1),
                "ready": In(1),
                "takes": Out(1),
                "passes": In(1),
                "begins": Out(1),
                "now": Out(self.layout),
                "valid": Out(1),
                "a_high": Out(address),
                "a_low": Out(low),
                "b_high": Out(address),
                "b_low": Out(low),
                "last": Out(1),
                "ends": Out(1),
                "rows": Out(8),
                "columns": Out(8),
                "s": Out(row),
            }
        )

    def _pair(self, name: str) -> Pair:
        return Pair(
            Signal(self.address, name=f"{name}_high", reset_less=True),
            Signal(range(self.banks), name=f"{name}_low", reset_less=True),
        )

    def _given(self, index: Any) -> Pair:
        """Return an index of an instruction at the nest's widths."""
        bits = len(Signal(range(self.banks)))
        return Pair(index.high[: self.address], index.low[:bits])

    def elaborate(self, platform: object) -> Module:
        m = Module()
        now, coming = self.now, self.next
        held(m, coming, self.takes, now)
        finished = Signal(init=1)  # the running instruction has no further run
        ready = Signal()  # the next run is known
        left = Signal(16)  # terms of the run after this one
        padding = Signal()
        pads = Signal(8)
        run = Signal()  # the next clock has the first term of a run

        # The loops, from the inside.
        loops = [*reversed(list(now.terms)[:OUTER_TERMS]), *reversed(list(now.tiles))]
        counters = [Signal(16, name=f"counter_{k}") for k in range(OUTER)]
        at_end = self._ends(m, now, counters, "end")
        bases_a = [self._pair(f"a_{k}") for k in range(OUTER)]
        bases_b = [self._pair(f"b_{k}") for k in range(OUTER)]
        bases_s = [Signal(self.row, name=f"s_{k}", reset_less=True) for k in range(TILE_LOOPS)]

        # The first run of the next instruction.
        first_a, first_b = self._pair("first_a"), self._pair("first_b")
        first_s = Signal(self.row, reset_less=True)
        nothing = [C(0, 16)] * OUTER
        first_end = self._ends(m, coming, nothing, "first_end")
        moved = stepped(self._given(coming.a), self._given(coming.second), self.banks)
        m.d.sync += [
            first_a.high.eq(Mux(self.odd, moved.high, self._given(coming.a).high)),
            first_a.low.eq(Mux(self.odd, moved.low, self._given(coming.a).low)),
            first_b.high.eq(self._given(coming.b).high),
            first_b.low.eq(self._given(coming.b).low),
            first_s.eq(coming.s),
        ]

        # Five clocks: choose, fetch, add, store, decide.
        chooses, fetches, adds, stores = (
            Signal(name=name) for name in ("chooses", "fetches", "adds", "stores")
        )
        m.d.sync += [
            chooses.eq(run),
            fetches.eq(chooses),
            adds.eq(fetches),
            stores.eq(adds),
            ready.eq((ready & ~run) | stores),
        ]
        choice = Signal(OUTER + 1, reset_less=True)
        with m.If(chooses):
            m.d.sync += choice.eq(_lowest([~end for end in at_end]))
        fetched = {
            name: (self._pair(f"base_{name}"), self._pair(f"stride_{name}")) for name in ("a", "b")
        }
        base_s, stride_s = (
            Signal(self.row, name=f"{n}_s", reset_less=True) for n in ("base", "stride")
        )
        for name, bases in (("a", bases_a), ("b", bases_b)):
            base, stride = fetched[name]
            for part in ("high", "low"):
                m.d.sync += [
                    getattr(base, part).eq(_one_of(choice, [getattr(b, part) for b in bases])),
                    getattr(stride, part).eq(
                        _one_of(choice, [getattr(self._given(loop[name]), part) for loop in loops])
                    ),
                ]
        tile_choice = choice[OUTER_TERMS:]
        m.d.sync += [
            base_s.eq(_one_of(tile_choice, bases_s)),
            stride_s.eq(_one_of(tile_choice, [loop.s[: self.row] for loop in loops[OUTER_TERMS:]])),
        ]
        next_a, next_b = self._pair("next_a"), self._pair("next_b")
        next_s = Signal(self.row, reset_less=True)
        with m.If(adds):
            for found, (base, stride) in ((next_a, fetched["a"]), (next_b, fetched["b"])):
                made = stepped(base, stride, self.banks)
                m.d.sync += [found.high.eq(made.high), found.low.eq(made.low)]
            with m.If(tile_choice[:-1].any()):
                m.d.sync += next_s.eq(base_s + stride_s)
        new_tile, new_chunk, over = Signal(), Signal(), Signal()
        with m.If(stores):
            for k in range(OUTER):
                inner = choice[k + 1 : OUTER].any()  # a loop outside of this one takes a step
                with m.If(choice[k]):
                    m.d.sync += counters[k].eq(counters[k] + 1)
                with m.Elif(inner):
                    m.d.sync += counters[k].eq(0)
                with m.If(choice[k] | inner):
                    m.d.sync += [
                        bases_a[k].high.eq(next_a.high),
                        bases_a[k].low.eq(next_a.low),
                        bases_b[k].high.eq(next_b.high),
                        bases_b[k].low.eq(next_b.low),
                    ]
                    if k >= OUTER_TERMS:
                        m.d.sync += bases_s[k - OUTER_TERMS].eq(next_s)
            outermost = [choice[OUTER - 1 - k] for k in range(TILE_LOOPS)]
            m.d.sync += [
                new_tile.eq(tile_choice[:-1].any()),
                new_chunk.eq(
                    Cat(step & (now.levels > k) for k, step in enumerate(outermost[:3])).any()
                ),
                over.eq(choice[OUTER]),
            ]
        m.d.comb += finished.eq(ready & over)
        idle = Signal(init=1)

        # What the next clock does.
        ends_now, tile = Signal(), Signal()
        m.d.comb += [
            ends_now.eq(~padding & (~self.valid | (left == 0))),
            self.takes.eq(ends_now & (idle | finished) & self.ready),
            self.begins.eq(ends_now & ready & ~over & new_chunk & self.passes),
            tile.eq(self.takes | self.begins | (ends_now & ready & ~over & new_tile & ~new_chunk)),
        ]
        pad = Signal(8)
        m.d.comb += pad.eq(Mux(self.takes, coming.pad, now.pad))
        m.d.comb += run.eq(
            (tile & (pad == 0)) | (padding & (pads == 1)) | (ends_now & ready & ~over & ~new_tile)
        )
        with m.If(tile & (pad != 0)):
            m.d.sync += [padding.eq(1), pads.eq(pad)]
        with m.Elif(padding):
            m.d.sync += pads.eq(pads - 1)
            with m.If(pads == 1):
                m.d.sync += padding.eq(0)

        with m.If(self.takes):
            m.d.sync += [
                idle.eq(0),
                ready.eq(coming.pad != 0),
                over.eq(0),
                new_tile.eq(1),
                new_chunk.eq(0),
                next_a.high.eq(first_a.high),
                next_a.low.eq(first_a.low),
                next_b.high.eq(first_b.high),
                next_b.low.eq(first_b.low),
                next_s.eq(first_s),
                *(counter.eq(0) for counter in counters),
                *(base.eq(first_s) for base in bases_s),
            ]
            for bases, first in ((bases_a, first_a), (bases_b, first_b)):
                for base in bases:
                    m.d.sync += [base.high.eq(first.high), base.low.eq(first.low)]
        with m.Elif(ends_now & finished):
            m.d.sync += idle.eq(1)

        # The innermost loop.
        inner = now.terms[OUTER_TERMS]
        count = Mux(self.takes, coming.terms[OUTER_TERMS].count, inner.count)
        a, b = Pair(self.a_high, self.a_low), Pair(self.b_high, self.b_low)
        last_run, chunk_ends = Signal(), Signal()
        rows, columns = Signal(8), Signal(8)
        for at, ends, flags in (
            (now, at_end, "now"),
            (coming, first_end, "first"),
        ):
            tiles = ends[OUTER_TERMS:][::-1]
            inside = [(at.levels > k) | end for k, end in enumerate(tiles)]
            values = {
                "last_run": Cat(ends[:OUTER_TERMS]).all(),
                "chunk_ends": Cat(inside).all(),
                "rows": Mux(_block(at.rows, tiles), at.rows.lanes, 255),
                "columns": Mux(_block(at.columns, tiles), at.columns.lanes, 255),
            }
            with m.If(self.takes if flags == "first" else ~self.takes):
                m.d.comb += [
                    last_run.eq(values["last_run"]),
                    chunk_ends.eq(values["chunk_ends"]),
                    rows.eq(values["rows"]),
                    columns.eq(values["columns"]),
                ]
        in_last_run = Signal()
        with m.If(run):
            m.d.sync += [
                self.valid.eq(1),
                left.eq(count),
                in_last_run.eq(last_run),
                self.last.eq(last_run & (count == 0)),
                self.ends.eq(chunk_ends),
                self.rows.eq(rows),
                self.columns.eq(columns),
                self.s.eq(Mux(self.takes, first_s, next_s)),
            ]
            for index, following, first in ((a, next_a, first_a), (b, next_b, first_b)):
                m.d.sync += [
                    index.high.eq(Mux(self.takes, first.high, following.high)),
                    index.low.eq(Mux(self.takes, first.low, following.low)),
                ]
        with m.Elif(left != 0):
            m.d.sync += [left.eq(left - 1), self.last.eq(in_last_run & (left == 1))]
            for index, stride in ((a, inner.a), (b, inner.b)):
                made = stepped(index, self._given(stride), self.banks)
                m.d.sync += [index.high.eq(made.high), index.low.eq(made.low)]
        with m.Else():
            m.d.sync += [self.valid.eq(0), self.last.eq(0)]
        return m

    def _ends(
        self, m: Module, instruction: Any, counters: Sequence[Value], name: str
    ) -> list[Value]:
        """Return for each outer loop, from the inside, whether it is in its last iteration."""
        terms = [
            counters[k] == instruction.terms[OUTER_TERMS - 1 - k].count for k in range(OUTER_TERMS)
        ]
        tiles: list[Value] = []
        for k in range(TILE_LOOPS):
            count = instruction.tiles[k].count
            if 1 <= k <= 3:
                short = (instruction.levels == k) & Cat(C(1), *tiles[1:k]).all()
                count = Mux(short, instruction.last_count, count)
            end = Signal(name=f"{name}_tile_{k}")
            m.d.comb += end.eq(counters[OUTER - 1 - k] == count)
            tiles.append(end)
        return [*terms, *reversed(tiles)]


def _block(last: Any, tiles: list[Value]) -> Value:
    """Return whether a tile is in the last block."""
    return Cat(~last.loops[k] | end for k, end in enumerate(tiles)).all() & last.loops.any()


def _lowest(bits: list[Value]) -> Value:
    """Return the lowest of some bits alone; a further bit is set if there is none."""
    found = []
    above: Value = C(1, 1)
    for bit in bits:
        found.append(bit & above)
        above = above & ~bit
    return Cat(*found, above)


def _one_of(choice: Value, values: Sequence[Value]) -> Value:
    """Return the value whose bit of `choice` is set; 0 if none is."""
    found: Value = C(0, len(values[0]))
    for bit, value in zip(choice, values):
        found = found | (value & bit.replicate(len(value)))
    return found
