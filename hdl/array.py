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

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, ShapeLike, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from golden.array import ArrayConfig
from golden.macc import PRODUCT_LATENCY
from golden.rounder import PIPELINE_LATENCY, RounderConfig
from hdl.buffer import Buffer
from hdl.cells import CELLS, Cells
from hdl.delay import copies, delayed
from hdl.macc import Macc
from hdl.rounder import RoundingPipeline

#: Bits of an output buffer's queue, where control bits have a register for every use.
QUEUE = 20


class Array(wiring.Component):
    """Systolic array of multiply-accumulate nodes: tile products of any depth, back to back.

    Parameters
    ----------
    config
        Rows R, columns C, node, rounders and generator.
    cells
        What the nodes are made of; `hdl.cells.CELLS` has them by name.
    places
        Where the multiplier of each node stands, by row and column, in the words of the place and
        route; None leaves it open.

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

    def __init__(
        self,
        config: ArrayConfig,
        *,
        cells: Cells = CELLS["generic"],
        places: Sequence[Sequence[str]] | None = None,
    ):
        cells.check(config.macc)
        if places is not None and [len(row) for row in places] != [config.columns] * config.rows:
            raise ValueError(f"places: {config.rows} rows of {config.columns} are wanted")
        if places is not None and cells.pairs(config.macc):
            raise ValueError("places: two nodes share a multiplier here, None is wanted")
        self.config = config
        self.cells = cells
        self.places = places
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
        bits = len(Value.cast(self.o.payload))
        m.submodules.buffer = buffer = Buffer(
            self.o.payload.shape(),
            depth=config.buffer,
            rows=rows,
            queues=-(-bits // QUEUE) if self.cells.apart else 1,
        )

        # A tile's last operand waits for R clocks since the one before
        # and for R places in the buffer.
        spacing = Signal(range(rows))
        spaced = Signal(init=1)
        accepted = Signal()
        ends = Signal()
        m.d.comb += [
            self.i.ready.eq(~operand.last | (spaced & buffer.ready)),
            accepted.eq(self.i.valid & self.i.ready),
            ends.eq(accepted & operand.last),
            buffer.claim.eq(ends),
        ]
        with m.If(ends):
            m.d.sync += [spacing.eq(rows - 1), spaced.eq(rows == 1)]
        with m.Elif(~spaced):
            m.d.sync += [spacing.eq(spacing - 1), spaced.eq(spacing == 1)]

        # The operands as they were taken in.
        # A gap is a zero on both sides: one would do in hardware, but in a simulation an unknown
        # operand that nobody offers would reach the sums.
        apart = self.cells.apart
        entered = copies(m, accepted, "entered", 3, apart=apart)
        entered_first = Signal()
        entered_last = Signal()
        begins = Signal(init=1)
        with m.If(accepted):
            m.d.sync += begins.eq(operand.last)
        m.d.sync += [
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

        # Row R-1's load ends the holds of all rows at once: where each has a register of its own
        # for that, there is a clock more to reach it.
        ahead = 2 if apart else 1
        release = last[config.macc.load_delay + rows - 1 - ahead]
        releases = copies(m, release, "release", rows, apart=apart, clocks=ahead, reset_less=False)
        nodes = self._nodes(m, self._skewed(m, taken, entered), first, last, releases)
        choice = None
        if len(config.conversions) > 1:
            choice = delayed(m, taken.choice, foot, "choice")[-1]
        self._foot(m, nodes, last[-1], choice, buffer)
        connect(m, buffer.o, flipped(self.o))
        return m

    def _skewed(
        self, m: Module, taken: data.View, entered: list[Value]
    ) -> tuple[list[Value], list[Value]]:
        """Rows of A and columns of B, each later by its number, and 0 in a gap.

        `entered` is there in threes: row 0 and column 0 take it as it is; the others have a clock
        more to be told, and a register of their own for that.
        """
        sides = []
        for side, operands, now in (("a", taken.a, entered[0]), ("b", taken.b, entered[1])):
            count = len(operands)
            later = copies(m, entered[2], f"{side}_entered", count, apart=self.cells.apart)
            skewed = []
            for number in range(count):
                clocks = min(number, 1)
                present = later[number] if clocks else now
                operand = delayed(m, operands[number], clocks, f"{side}_taken_{number}")[-1]
                gated = Signal(operand.shape(), name=f"{side}_gated_{number}")
                m.d.comb += gated.eq(Mux(present, operand, 0))
                skewed.append(delayed(m, gated, number - clocks, f"{side}_skew_{number}")[-1])
            sides.append(skewed)
        return sides[0], sides[1]

    def _nodes(
        self,
        m: Module,
        operands: tuple[list[Value], list[Value]],
        first: list[Value],
        last: list[Value],
        releases: list[Value],
    ) -> list[Value]:
        """The nodes, and what holds a row's shadows; the bottom row's drains."""
        config = self.config
        rows, columns = config.rows, config.columns
        first, load = first[config.macc.first_delay :], last[config.macc.load_delay :]
        below = list(operands[1])
        above: list[Value] = [
            Signal(signed(config.macc.width), name=f"top_{c}") for c in range(columns)
        ]
        shared = self.cells.pairs(config.macc)
        sharers: list[Macc] = []
        for row in range(rows):
            hold = Signal(name=f"hold_{row}")
            if row < rows - 1:
                m.d.sync += hold.eq(load[row] | (hold & ~releases[row]))
            left = (operands[0][row], first[row], load[row], hold)
            line = []
            for column in range(columns):
                place = self.places[row][column] if self.places else None
                node = Macc(config.macc, cells=self.cells, place=place, multiplies=not shared)
                m.submodules[f"node_{row}_{column}"] = node
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
                line.append(node)
            # To and fro, row by row: two that follow each other are neighbours.
            sharers += reversed(line) if row % 2 else line
        if shared:
            self._share(m, sharers)
        return above

    def _share(self, m: Module, nodes: list[Macc]) -> None:
        """A multiplier block for every two of the nodes, and for the last of an odd number."""
        for number in range(0, len(nodes), 2):
            pair = nodes[number : number + 2]
            operands = [(node.a_out, node.b_out) for node in pair]
            products = self.cells.products(m, operands, f"multiplier_{number // 2}")
            for node, product in zip(pair, products, strict=True):
                m.d.comb += node.product.eq(product)

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
        through = columns - 1 + (PIPELINE_LATENCY if config.conversions else 0)
        apart = self.cells.apart
        hops = min(through, 3 if apart else 1)
        valid = delayed(m, draining, through - hops, "draining", reset_less=False)
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
                value = rounder.o_data[0]
            deskewed = delayed(m, value, columns - 1 - column, f"deskew_{column}")[-1]
            m.d.comb += buffer.i_payload.data[column].eq(deskewed)
        # Every queue of the buffer is told by registers of its own.
        users = len(buffer.i_valid)
        leaves = [valid[-1]] * users
        if hops:
            leaves = copies(
                m, valid[-1], "leaves", users, apart=apart, clocks=hops, reset_less=False
            )
        m.d.comb += buffer.i_valid.eq(Cat(leaves))
        m.d.comb += buffer.i_payload.last.eq(delayed(m, ends, through, "ends")[-1])
