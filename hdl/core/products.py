"""The array engine: products of words in the stores, tile by tile, to rows of sums."""

from collections.abc import Sequence

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Member, Out, connect, flipped

from golden.core.config import CoreConfig
from golden.core.isa import ArrayInstruction, Store
from hdl.array import Array
from hdl.cells import CELLS, Cells
from hdl.core.engine import CoreEngine
from hdl.core.fields import layout
from hdl.core.indices import Pair, lane_addresses, mask, pair, rotated, stepped
from hdl.core.nest import ProductNest
from hdl.delay import delay_line, registered

#: Clocks from an operand's index to its address at the memory, to its data, and to the array.
TO_MEMORY, TO_DATA, TO_ARRAY = 3, 5, 8


class LaneTable(wiring.Component):
    """Addresses by which each lane is ahead of the first one, found lane by lane.

    Parameters
    ----------
    banks
        Banks of the stores.
    lanes
        Lanes of the operand.
    address
        Bits of an address.

    Members
    -------
    loops : In(3 loops over lanes)
        The next instruction's.
    start : In(1)
        They are complete from this clock on.
    takes : In(1)
        The instruction is taken.
    highs : Out(lanes addresses)
        Those of the running instruction.
    """

    loops: data.View
    start: Signal
    takes: Signal
    highs: data.View

    def __init__(self, banks: int, lanes: int, address: int):
        self.banks = banks
        self.lanes = lanes
        self.address = address
        self.loops_layout = layout(ArrayInstruction)["a_lanes"].shape
        super().__init__(
            {
                "loops": In(self.loops_layout),
                "start": In(1),
                "takes": In(1),
                "highs": Out(data.ArrayLayout(address, lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Loop 2 is the innermost: its index is the lane's own, those of the others where it began.
        # Counters of what is left after this lane, with flags for none and one.
        starts = [pair(self.address, self.banks, f"start_{k}", reset_less=False) for k in range(3)]
        left = [Signal(8, name=f"left_{k}") for k in range(3)]
        ends = [Signal(name=f"end_{k}") for k in range(3)]
        choice = [Cat(~end, *ends[k + 1 :]).all() for k, end in enumerate(ends)]
        active = Signal()
        here = [Signal(name=f"here_{number}") for number in range(self.lanes)]
        coming = Signal(data.ArrayLayout(self.address, self.lanes), reset_less=True)
        none = [Signal(name=f"none_{k}", reset_less=True) for k in range(3)]
        m.d.sync += [flag.eq(loop.count == 0) for flag, loop in zip(none, self.loops)]
        with m.If(self.start):
            m.d.sync += [active.eq(1), Cat(here).eq(1)]
            for k, (start, loop) in enumerate(zip(starts, self.loops)):
                m.d.sync += [start.high.eq(0), start.low.eq(0)]
                m.d.sync += [left[k].eq(loop.count), ends[k].eq(loop.count == 0)]
        with m.Elif(active):
            m.d.sync += [Cat(here).eq(Cat(here) << 1), active.eq(~here[-1])]
            for number in range(self.lanes):
                with m.If(here[number]):
                    m.d.sync += coming[number].eq(starts[2].high)
            for k, (start, loop) in enumerate(zip(starts, self.loops)):
                following = stepped(start, loop.stride, self.banks)
                with m.If(choice[k]):
                    m.d.sync += [left[k].eq(left[k] - 1), ends[k].eq(left[k] == 1)]
                    for j in range(k + 1, 3):
                        m.d.sync += [left[j].eq(self.loops[j].count), ends[j].eq(none[j])]
                    for inner in starts[k:]:
                        m.d.sync += inner.eq(following)
        with m.If(self.takes):
            m.d.sync += self.highs.eq(coming)
        return m


class Products(CoreEngine):
    """Products, from instructions to rows of sums.

    Parameters
    ----------
    config
        The core.
    cells
        Technology of the array.
    places
        Locations of the array's multipliers: see `hdl.Array`.

    Members
    -------
    loaded : In(1)
        The last word of the next instruction has been stored.
    beyond : Out(1)
        A tile has been issued whose sums are beyond the bound of its instruction. They are not
        written, and no chunk is counted from then on.
    s_write, s_to, s_value : Out
        A row of sums is written.
    x_address, x_data and so on
        The stores' first ports.
    """

    loaded: Signal
    beyond: Signal
    s_write: Signal
    s_to: Signal
    s_value: data.View
    x_address: data.View
    x_data: data.View
    e_address: data.View
    e_data: data.View
    w_address: data.View
    w_data: data.View

    def __init__(
        self,
        config: CoreConfig,
        *,
        cells: Cells = CELLS["generic"],
        places: Sequence[Sequence[str]] | None = None,
    ):
        self.config = config
        self.cells = cells
        self.places = places
        banks = config.banks
        self.address = config.product_nest.address_bits
        members: dict[str, Member] = {
            "loaded": In(1),
            "beyond": Out(1),
            "s_write": Out(1),
            "s_to": Out(range(config.s_rows)),
            "s_value": Out(data.ArrayLayout(signed(config.sum_bits), config.columns)),
        }
        for store in Store:
            name = store.name.lower()
            address = data.ArrayLayout(range(config.words(store)), banks)
            members[f"{name}_address"] = Out(address)
            members[f"{name}_data"] = In(data.ArrayLayout(config.width(store), banks))
        super().__init__(ArrayInstruction, members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        banks, rows, columns = config.banks, config.rows, config.columns
        s_bits = len(Signal(range(config.s_rows)))
        m.submodules.nest = nest = ProductNest(config.product_nest)
        m.submodules.array = array = Array(config.array, cells=self.cells, places=self.places)
        m.submodules.lanes_a = table = LaneTable(banks, rows, self.address)
        m.submodules.lanes_b = table_b = LaneTable(banks, columns, self.address)
        connect(m, flipped(self.commands), nest.commands)
        m.d.comb += [
            table.loops.eq(self.commands.next.a_lanes),
            table_b.loops[2].stride.eq(self.commands.next.b_stride),
            table_b.loops[2].count.eq(columns - 1),
        ]
        loaded = registered(m, self.loaded, "loaded", reset_less=False)
        for each in (table, table_b):
            m.d.comb += [each.start.eq(loaded), each.takes.eq(self.commands.takes)]
        if config.clips:
            m.d.comb += nest.start.eq(loaded)

        # Addresses: lanes, then banks.
        operands = {
            "a": (Pair(nest.a_high, nest.a_low), table, rows, nest.a_from),
            "b": (Pair(nest.b_high, nest.b_low), table_b, columns, nest.b_from),
        }
        addresses: dict[str, list[Value]] = {}
        firsts: dict[str, Value] = {}
        sources: dict[str, list[Value]] = {}
        for name, (index, lanes, count, source) in operands.items():
            found, bank = lane_addresses(m, index, list(lanes.highs), count, banks, f"lane_{name}")
            found += [C(0, self.address) for _ in range(banks - count)]
            addresses[name], firsts[name] = rotated(m, found, bank, f"address_{name}")
            sources[name] = delay_line(m, source, TO_DATA, f"source_{name}")
        for store in Store:
            for k in range(banks):
                address = Mux(
                    sources["a"][TO_MEMORY] == store, addresses["a"][k], addresses["b"][k]
                )
                m.d.comb += getattr(self, f"{store.name.lower()}_address")[k].eq(address)

        # Words: back to lanes. Lanes that are not there are 0.
        valid = delay_line(m, nest.valid, TO_ARRAY, "valid", reset_less=False)
        last = delay_line(m, nest.last, TO_ARRAY, "last")
        shown: dict[str, list[Value]] = {}
        width = config.word_bits
        gap = nest.gap if config.clips else C(0)
        for name, lanes_there in (("a", nest.rows), ("b", nest.columns)):
            bank = registered(m, firsts[name], f"bank_{name}", TO_DATA - TO_MEMORY)
            words: list[Value] = []
            for number in range(banks):
                word = Signal(width, name=f"word_{name}_{number}")
                for store in Store:
                    data_word = getattr(self, f"{store.name.lower()}_data")[number]
                    with m.If(sources[name][TO_DATA] == store):
                        m.d.comb += word.eq(data_word.as_signed())
                words.append(word)
            back, _ = rotated(m, words, bank, f"lanes_{name}", back=True)
            count = rows if name == "a" else columns
            wanted = Mux(gap, 0, mask(lanes_there, count))
            there = delay_line(m, wanted, TO_ARRAY - 1, f"there_{name}")[-1]
            shown[name] = [Mux(there[k], back[k], 0) for k in range(count)]
        quantize = delay_line(m, nest.quantize, TO_ARRAY - 1, "quantize")[-1]
        operand = array.i.payload
        for name, count in (("a", rows), ("b", columns)):
            for lane in range(count):
                code: Value = shown[name][lane].as_signed()
                if name == "b":
                    code = Mux(quantize, self._forward(m, code, lane), code)
                register = Signal.like(operand[name][lane], name=f"operand_{name}_{lane}")
                m.d.sync += register.eq(code)
                m.d.comb += operand[name][lane].eq(register)
        m.d.comb += [
            array.i.valid.eq(valid[TO_ARRAY]),
            operand.last.eq(last[TO_ARRAY]),
            array.o.ready.eq(1),
        ]

        # Rows of sums. What is known of a tile at its last term waits for its rows.
        tile = data.StructLayout({"s": s_bits, "rows": 8, "ends": 1, "beyond": 1})
        depth = (config.product_latency + rows) // rows + 2
        last_row = nest.s + Mux(nest.rows < rows, nest.rows, rows - 1)
        beyond, failed = Signal(), Signal()
        s_end = Signal.like(self.commands.next.s_end, name="s_end", reset_less=True)
        with m.If(self.commands.wants):
            m.d.sync += s_end.eq(self.commands.next.s_end)
        m.d.comb += beyond.eq(nest.valid & (last_row >= s_end))
        m.d.sync += self.beyond.eq(beyond)
        m.submodules.tiles = tiles = SyncFIFO(width=tile.size, depth=depth)
        ahead, behind = data.View(tile, tiles.w_data), data.View(tile, tiles.r_data)
        m.d.comb += [
            tiles.w_en.eq(nest.valid & nest.last),
            ahead.s.eq(nest.s),
            ahead.rows.eq(nest.rows),
            ahead.ends.eq(nest.ends),
            ahead.beyond.eq(beyond),
            tiles.r_en.eq(array.o.valid & array.o.payload.last),
        ]
        row = Signal(range(rows), init=rows - 1)
        ended = Signal()
        m.d.sync += [
            self.s_write.eq(array.o.valid & (row <= behind.rows) & ~behind.beyond),
            self.s_to.eq(behind.s + row),
            self.s_value.eq(Cat(code[: config.sum_bits] for code in array.o.payload.data)),
            ended.eq(array.o.valid & array.o.payload.last & behind.ends & ~behind.beyond & ~failed),
            failed.eq(failed | (array.o.valid & behind.beyond)),
        ]
        with m.If(array.o.valid):
            m.d.sync += row.eq(Mux(row == 0, rows - 1, row - 1))
        self.counted(m, ended)
        m.d.comb += self.flight.eq(nest.valid | tiles.r_rdy | ended)
        return m

    def _forward(self, m: Module, code: Value, lane: int) -> Value:
        """Return the forward weight of a stored one: rounded to nearest, ties to even, clipped."""
        bits = self.config.bits
        drop, top = bits.gradient - bits.weight, (1 << bits.weight - 1) - 1
        stored = Signal.like(code[: bits.gradient].as_signed(), name=f"stored_{lane}")
        m.d.comb += stored.eq(code)
        if not drop:
            return Mux(stored < -top, -top, stored)
        floor = stored >> drop
        half, rest = stored[drop - 1], stored[: drop - 1]
        up = half & (rest.any() | floor[0]) if drop > 1 else half & floor[0]
        rounded = floor + up
        return Mux(rounded > top, top, Mux(rounded < -top, -top, rounded))
