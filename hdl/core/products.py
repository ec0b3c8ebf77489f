"""The array engine: products of words in the stores, tile by tile, to rows of sums."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Member, Out, connect, flipped

from golden.core.config import CoreConfig
from golden.core.isa import ArrayInstruction, Store
from hdl.array import Array
from hdl.cells import CELLS, Cells
from hdl.core.engine import CoreEngine
from hdl.core.nest import ProductNest
from hdl.core.operands import TO_LANES, OperandStream
from hdl.delay import delay_line, registered, unreset

#: Clocks from an operand's index to the array: to its lanes, and a register for the forward weight.
TO_ARRAY = TO_LANES + 1


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
        m.submodules.operand_a = operand_a = OperandStream(config.operand_a)
        m.submodules.operand_b = operand_b = OperandStream(config.operand_b)
        connect(m, flipped(self.commands), nest.commands)
        loaded = registered(m, self.loaded, "loaded", reset_less=False)
        if config.clips:
            m.d.comb += nest.start.eq(loaded)

        # Operands: from the nest's indices to lanes. Where neither reads a store, B's addresses are
        # at its banks.
        coming = self.commands.next
        for loop, given in zip(operand_a.loops, coming.a_lanes):
            m.d.comb += [loop.count.eq(given.count), loop.high.eq(given.stride.high)]
        m.d.comb += [
            operand_b.loops[-1].high.eq(coming.b_stride.high),
            operand_b.loops[-1].count.eq(columns - 1),
            operand_a.source.eq(nest.a_from),
            operand_a.high.eq(nest.a_high),
            operand_a.low.eq(nest.a_low),
            operand_a.there.eq(nest.rows),
            operand_b.source.eq(nest.b_from),
            operand_b.high.eq(nest.b_high),
            operand_b.low.eq(nest.b_low),
            operand_b.there.eq(nest.columns),
        ]
        for each in (operand_a, operand_b):
            m.d.comb += [each.start.eq(loaded), each.takes.eq(self.commands.takes)]
            if config.clips:
                m.d.comb += each.gap.eq(nest.gap)
        for store in Store:
            addresses = getattr(self, f"{store.name.lower()}_address")
            words = getattr(self, f"{store.name.lower()}_data")
            for k in range(banks):
                address = Mux(operand_a.reads[store], operand_a.address[k], operand_b.address[k])
                m.d.comb += addresses[k].eq(address)
                for each in (operand_a, operand_b):
                    m.d.comb += each.data[store * banks + k].eq(words[k].as_signed())

        # The array.
        valid = delay_line(m, nest.valid, TO_ARRAY, "valid", reset_less=False)
        last = delay_line(m, nest.last, TO_ARRAY, "last")
        quantize = delay_line(m, nest.quantize, TO_ARRAY - 1, "quantize")[-1]
        operand = array.i.payload
        for name, stream in (("a", operand_a), ("b", operand_b)):
            for lane, word in enumerate(stream.words):
                code: Value = word.as_signed()
                if name == "b":
                    code = Mux(quantize, self._forward(m, code, lane), code)
                register = Signal.like(
                    operand[name][lane], name=f"operand_{name}_{lane}", reset_less=True
                )
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
        failed = Signal()
        s_end = Signal.like(self.commands.next.s_end, name="s_end", reset_less=True)
        with m.If(self.commands.wants):
            m.d.sync += s_end.eq(self.commands.next.s_end)
        # Two sums and a comparison, in two clocks.
        last_row = registered(m, nest.s + Mux(nest.rows < rows, nest.rows, rows - 1), "last_row")
        term = registered(m, Cat(nest.valid, nest.valid & nest.last), "term", reset_less=False)
        known = registered(m, Cat(nest.s[:s_bits], nest.rows, nest.ends), "known")
        beyond = last_row >= registered(m, s_end, "s_end_there")
        m.d.sync += self.beyond.eq(term[0] & beyond)
        # Row 0 is a tile's last one: `last` of the array's output comes later in the clock.
        row = Signal(range(rows), init=rows - 1)
        row_0 = row == 0
        m.submodules.tiles = tiles = SyncFIFO(width=tile.size, depth=depth)
        ahead, behind = data.View(tile, tiles.w_data), data.View(tile, tiles.r_data)
        m.d.comb += [
            tiles.w_en.eq(term[1]),
            Cat(ahead.s, ahead.rows, ahead.ends).eq(known),
            ahead.beyond.eq(beyond),
            tiles.r_en.eq(array.o.valid & row_0),
        ]
        ended = Signal()
        s_to = unreset(m, self.s_to, "s_to_there")
        s_value = unreset(m, self.s_value, "s_value_there")
        m.d.sync += [
            self.s_write.eq(array.o.valid & (row <= behind.rows) & ~behind.beyond),
            s_to.eq(behind.s + row),
            s_value.eq(Cat(code[: config.sum_bits] for code in array.o.payload.data)),
            ended.eq(array.o.valid & row_0 & behind.ends & ~behind.beyond & ~failed),
            failed.eq(failed | (array.o.valid & behind.beyond)),
        ]
        with m.If(array.o.valid):
            m.d.sync += row.eq(Mux(row_0, rows - 1, row - 1))
        self.counted(m, ended)
        m.d.comb += self.flight.eq(nest.valid | term[0] | tiles.r_rdy | ended)
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
