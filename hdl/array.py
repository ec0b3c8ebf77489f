"""R x C output-stationary wavefront array (Gupta et al. 2015, figure 5),
with rounders below it or a raw drain.

Operands come unskewed, one column of A and one row of B a clock; the skew is inside: row r and
column c start r and c clocks late, and every node passes its operands on a clock later. A gap in
the stream travels as a zero operand without markers, so nothing inside ever waits. Tiles follow
each other without a bubble when their `last` operands are at least R clocks apart:

- a node's shadow register takes its sum when the tile's last product is in,
  and the next tile goes on in the accumulator;
- a column drains its bottom row first. Row r's shadow is loaded R-1-r clocks before the bottom one
  and holds for just that long, so that the whole column begins to shift at one time. The hold is
  made at the row's left end, from the same marker that loads, and travels with the operands;
- row R-1's sum is then at the column's foot at once, and row 0's R-1 clocks later:
  R clocks a tile, no more than it took to come.

At the foot, accumulator segments are brought into step, the rounder works column by column, and the
columns are deskewed, so that a row leaves whole. A row's place in the output buffer is claimed when
its tile's `last` operand is accepted; only that operand ever waits.
"""

from amaranth.hdl import Cat, Module, Mux, ShapeLike, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from golden.array import ArrayConfig
from golden.macc import PRODUCT_LATENCY
from golden.rounder import PIPELINE_LATENCY, RounderConfig
from hdl.buffer import Buffer
from hdl.delay import delayed
from hdl.macc import Macc
from hdl.rounder import RoundingPipeline


class Array(wiring.Component):
    """Systolic array of multiply-accumulate nodes: tile products of any depth, back to back.

    Parameters
    ----------
    config
        Rows R, columns C, node, rounders and generator.

    Members
    -------
    i : In(stream of {a: R codes; b: C codes; last: 1; choice, if there are several conversions})
        One column of A and one row of B; `last` ends the tile, and its `choice`, the number of a
        conversion, says how the tile is rounded. `ready` is low only on a `last` operand that comes
        less than R clocks after the one before, or for whose R rows the output buffer has no room.
    o : Out(stream of {data: C codes; last: 1})
        Rows of the product, row R-1 first; `last` marks row 0. The first one is valid
        `config.latency` clocks after the tile's last operand was accepted, the others follow a
        clock each.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, config: ArrayConfig):
        self.config = config
        operand: dict[str, ShapeLike] = {
            "a": data.ArrayLayout(signed(config.macc.a.width), config.rows),
            "b": data.ArrayLayout(signed(config.macc.b.width), config.columns),
            "last": 1,
        }
        if len(config.conversions) > 1:
            operand["choice"] = range(len(config.conversions))
        result = {"data": data.ArrayLayout(signed(config.result_width), config.columns), "last": 1}
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout(operand))),
                "o": Out(stream.Signature(data.StructLayout(result))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        rows = config.rows
        operand = self.i.payload
        m.submodules.buffer = buffer = Buffer(
            self.o.payload.shape(), depth=config.buffer, rows=rows
        )

        # A tile's last operand waits for R clocks since the one before
        # and for R places in the buffer.
        spacing = Signal(range(rows))
        accepted = Signal()
        ends = Signal()
        m.d.comb += [
            self.i.ready.eq(~operand.last | ((spacing == 0) & buffer.ready)),
            accepted.eq(self.i.valid & self.i.ready),
            ends.eq(accepted & operand.last),
            buffer.claim.eq(ends),
        ]
        with m.If(ends):
            m.d.sync += spacing.eq(rows - 1)
        with m.Elif(spacing != 0):
            m.d.sync += spacing.eq(spacing - 1)

        # The operands as they were taken in.
        # A gap is a zero on both sides: one would do in hardware, but in a simulation an unknown
        # operand that nobody offers would reach the sums.
        entered = Signal()
        entered_first = Signal()
        entered_last = Signal()
        begins = Signal(init=1)
        with m.If(accepted):
            m.d.sync += begins.eq(operand.last)
        m.d.sync += [
            entered.eq(accepted),
            entered_first.eq(accepted & begins),
            entered_last.eq(ends),
        ]
        taken = Signal.like(operand, name="taken", reset_less=True)
        m.d.sync += taken.eq(operand)

        # Markers go down the left edge a row a clock,
        # late by the node's way to the accumulator and to the shadow.
        # `foot` is a clock before column 0's foot has row R-1.
        foot = PRODUCT_LATENCY + rows + config.macc.segments - 1
        first = delayed(
            m, entered_first, config.macc.first_delay + rows - 1, "first", reset_less=False
        )
        last = delayed(m, entered_last, foot, "last", reset_less=False)

        drains = self._nodes(
            m, taken, entered, first[config.macc.first_delay :], last[config.macc.load_delay :]
        )
        choice = None
        if len(config.conversions) > 1:
            choice = delayed(m, taken.choice, foot, "choice")[-1]
        self._foot(m, drains, last[-1], choice, buffer)
        connect(m, buffer.o, flipped(self.o))
        return m

    def _nodes(
        self, m: Module, taken: data.View, entered: Value, first: list[Value], load: list[Value]
    ) -> list[Value]:
        """The nodes with the skew in front of them; the bottom row's drains."""
        config = self.config
        rows, columns = config.rows, config.columns

        def entering(operand: Value, name: str) -> Signal:
            gated = Signal(operand.shape(), name=name)
            m.d.comb += gated.eq(Mux(entered, operand, 0))
            return gated

        below = []
        for column in range(columns):
            gated = entering(taken.b[column], f"b_gated_{column}")
            below.append(delayed(m, gated, column, f"b_skew_{column}")[-1])
        above: list[Value] = [
            Signal(signed(config.macc.width), name=f"top_{c}") for c in range(columns)
        ]
        for row in range(rows):
            gated = entering(taken.a[row], f"a_gated_{row}")
            a = delayed(m, gated, row, f"a_skew_{row}")[-1]
            hold = Signal(name=f"hold_{row}")
            if row < rows - 1:
                m.d.sync += hold.eq(load[row] | (hold & ~load[rows - 1]))
            left = (a, first[row], load[row], hold)
            for column in range(columns):
                m.submodules[f"node_{row}_{column}"] = node = Macc(config.macc)
                m.d.comb += [
                    node.a.eq(left[0]),
                    node.first.eq(left[1]),
                    node.load.eq(left[2]),
                    node.hold.eq(left[3]),
                    node.b.eq(below[column]),
                    node.above.eq(above[column]),
                ]
                left = (node.a_out, node.first_out, node.load_out, node.hold_out)
                below[column], above[column] = node.b_out, node.drain
        return above

    def _foot(
        self, m: Module, drains: list[Value], begins: Value, choice: Value | None, buffer: Buffer
    ) -> None:
        """From the bottom row's drains to whole rows in the buffer;
        `begins` a clock before column 0 has row R-1.
        """
        config = self.config
        rows, columns = config.rows, config.columns

        # Column 0 has a row at its foot for R clocks from here on; the others follow a clock each.
        draining = Signal()
        row = Signal(range(rows))
        with m.If(begins):
            m.d.sync += [draining.eq(1), row.eq(rows - 1)]
        with m.Elif(row == 0):
            m.d.sync += draining.eq(0)
        with m.Else():
            m.d.sync += row.eq(row - 1)
        ends = Signal()
        m.d.comb += ends.eq(draining & (row == 0))
        valid = delayed(m, draining, columns - 1, "draining", reset_less=False)
        if choice is not None:
            chosen = Signal.like(choice, name="chosen", reset_less=True)
            with m.If(begins):
                m.d.sync += chosen.eq(choice)
            choices = delayed(m, chosen, columns - 1, "chosen")

        for column, drain in enumerate(drains):
            # Segment k comes k clocks after the lowest one.
            cuts = config.macc.cuts
            level = Signal(signed(config.macc.width), name=f"level_{column}")
            m.d.comb += level.eq(
                Cat(
                    delayed(m, drain[low:high], len(cuts) - 1 - k, f"foot_{column}_{k}")[-1]
                    for k, (low, high) in enumerate(cuts)
                )
            )
            value: Value = level
            leaves: Value = valid[column]
            if config.conversions:
                m.submodules[f"rounder_{column}"] = rounder = RoundingPipeline(
                    RounderConfig(
                        width=config.macc.width,
                        conversions=config.conversions,
                        first_lane=column,
                        generator=config.generator,
                    )
                )
                m.d.comb += [rounder.i_valid.eq(valid[column]), rounder.i_data[0].eq(level)]
                if choice is not None:
                    m.d.comb += rounder.i_choice.eq(choices[column])
                value, leaves = rounder.o_data[0], rounder.o_valid
            deskewed = delayed(m, value, columns - 1 - column, f"deskew_{column}")[-1]
            m.d.comb += buffer.i_payload.data[column].eq(deskewed)
        m.d.comb += buffer.i_valid.eq(leaves)
        through = columns - 1 + (PIPELINE_LATENCY if config.conversions else 0)
        m.d.comb += buffer.i_payload.last.eq(delayed(m, ends, through, "ends")[-1])
