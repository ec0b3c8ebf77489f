"""R x C output-stationary wavefront array (Gupta et al. 2015, figure 5), with rounders below it or
a raw drain.

Operands enter unskewed: one column of A and one row of B per clock. The skew is inside: row r and
column c start r and c clocks late, and every node passes its operands on one clock later. A gap in
the stream travels as zero operands without markers, so nothing inside ever waits. Tiles follow
each other without a bubble if their `last` operands are at least R clocks apart:

- When the tile's last product is in, a node's shadow register stores the sum, and the next tile
  goes on in the accumulator.
- A column drains its bottom row first. Row r's shadow loads R-1-r clocks before the bottom one and
  holds for that many clocks, so that the whole column begins to shift at one time. The hold is
  made at the left end of the row, from the marker that also loads, and travels with the operands.
- Row R-1's sum reaches the foot of its column at once, and row 0's R-1 clocks later: R clocks for
  each tile, no more than it took to enter.

At the foot, accumulator segments are aligned, each column has a rounder, and the columns are
deskewed, so that a row leaves whole.

In a mixed array all nodes have the same markers. A ternary node has a shorter pipeline, so it gets
its operands later by the difference. The delays are at the left and upper edges, and once in each
row, where the block of multipliers ends. Rows above the block pass down two bits of b; the block
has its own input from above, which selects between the code and its ternary value.

Each row's place in the output FIFO is claimed when the tile's `last` operand is accepted; only that
operand ever waits.
"""

from collections.abc import Sequence

from amaranth.hdl import Module, ShapeLike, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from golden import check
from golden.array import ArrayConfig
from hdl.array.edges import skewed, ternary_or_code
from hdl.array.foot import foot
from hdl.array.grid import grid
from hdl.buffer import Buffer
from hdl.cells import CELLS, Cells
from hdl.delay import delay_line, fan_out, registered

#: Maximum width of a slice of the output FIFO, where control registers are duplicated.
SLICE = 20


class Array(wiring.Component):
    """Systolic array of multiply-accumulate nodes: tile products of any depth, back to back.

    Parameters
    ----------
    config
        Rows R, columns C, node, rounders and generator.
    cells
        Technology of nodes and rounders, from `hdl.cells.CELLS`.
    places
        Locations of the multipliers, as place and route names them, by row and column of the nodes
        that have one; None leaves them open.

    Members
    -------
    i : In(stream of {a: R codes; b: C codes; last: 1; choice, if there are several conversions; \
multiply: 1, if the array is mixed})
        One column of A and one row of B per clock. `last` ends the tile, and its `choice` is the
        number of the conversion that rounds the tile. With `multiply`, the block of multipliers
        multiplies and the other nodes add nothing; without it, the low two bits of b are -1, 0
        or 1, and -2 counts as 0. `ready` is low only on a `last` operand, if it comes less than R
        clocks after the previous one or if the output FIFO has no room for R rows.
    o : Out(stream of {data: C codes; saturated: C bits, with `config.saturated`; last: 1})
        Rows of the product, row R-1 first; `last` marks row 0, and `saturated` the codes that the
        rounders clipped. The first row is valid
        `config.latency` clocks after the tile's last operand was accepted; the others follow, one
        row per clock.
    random : In(columns words of `draw` bits), with `config.random_port`
        The word with which each column rounds the row at its foot.
    draws : Out(columns bits), with `config.random_port`
        The column uses its word at this clock, as a row is at its foot whose conversion is
        stochastic. For a tile's first row that is `config.foot_delay` clocks after the last operand
        was accepted in column 0, and one clock later in each further column.

    Examples
    --------
    >>> from golden import ArrayConfig
    >>> array = Array(ArrayConfig(rows=4, columns=8))
    >>> print(array.i.payload.shape())
    StructLayout({'a': ArrayLayout(signed(16), 4), 'b': ArrayLayout(signed(16), 8), 'last': 1})
    >>> array.config.latency
    26
    """

    i: stream.Interface
    o: stream.Interface
    random: data.View
    draws: data.View

    def __init__(
        self,
        config: ArrayConfig,
        *,
        cells: Cells = CELLS["generic"],
        places: Sequence[Sequence[str]] | None = None,
    ):
        check.instance("config", config, ArrayConfig)
        check.instance("cells", cells, Cells)
        cells.check(config.macc)
        if places is not None:
            if config.block is None:
                raise ValueError("places: a ternary array has no multipliers to stand there")
            rows, columns = config.block
            if [len(row) for row in places] != [columns] * rows:
                raise ValueError(f"places: {rows} rows of {columns} are wanted")
        self.config = config
        self.cells = cells
        self.places = places
        self._node_cells = cells.for_array(config.macc, places)
        operand: dict[str, ShapeLike] = {
            "a": data.ArrayLayout(signed(config.macc.a.width), config.rows),
            "b": data.ArrayLayout(signed(config.macc.b.width), config.columns),
            "last": 1,
        }
        if len(config.conversions) > 1:
            operand["choice"] = range(len(config.conversions))
        if config.multipliers is not None:
            operand["multiply"] = 1
        result: dict[str, ShapeLike] = {
            "data": data.ArrayLayout(signed(config.result_width), config.columns)
        }
        if config.saturated:
            result["saturated"] = data.ArrayLayout(1, config.columns)
        result["last"] = 1
        members = {
            "i": In(stream.Signature(data.StructLayout(operand))),
            "o": Out(stream.Signature(data.StructLayout(result))),
        }
        if config.random_port:
            members["random"] = In(data.ArrayLayout(config.generator.draw, config.columns))
            members["draws"] = Out(data.ArrayLayout(1, config.columns))
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        rows, macc = config.rows, config.macc
        duplicate = self.cells.duplicate
        operand = self.i.payload
        bits = len(Value.cast(self.o.payload))
        m.submodules.buffer = buffer = Buffer(
            self.o.payload.shape(),
            depth=config.buffer,
            rows=rows,
            slices=-(-bits // SLICE) if duplicate else 1,
        )

        # A tile's last operand waits until R clocks have passed since the previous one and the
        # output FIFO has room for R rows.
        spaced = Signal(init=1)
        accepted = Signal()
        ends = Signal()
        m.d.comb += [
            self.i.ready.eq(~operand.last | (spaced & buffer.ready)),
            accepted.eq(self.i.valid & self.i.ready),
            ends.eq(self.i.valid & operand.last & spaced & buffer.ready),
            buffer.claim.eq(ends),
        ]

        # Register the operand, and whether it begins a tile.
        begins = Signal(init=1)
        with m.If(accepted):
            m.d.sync += begins.eq(operand.last)
        entered = registered(m, accepted, "entered", reset_less=False)
        begun = registered(m, begins, "begun")
        taken = Signal.like(operand, name="taken", reset_less=True)
        m.d.sync += taken.eq(operand)
        ternary_valid: Value = accepted
        if config.multipliers is not None:
            for column in range(config.multipliers[1]):
                m.d.sync += taken.b[column].eq(ternary_or_code(operand.b[column], operand.multiply))
            # Ternary nodes see a gap where the block multiplies.
            ternary_valid = accepted & ~operand.multiply

        # Markers move down the left edge by one row per clock; the first row gets them
        # `first_delay` or `load_delay` clocks behind its operands. At the end of the line, `last`
        # is one clock ahead of row R-1's sum at the foot of column 0.
        to_foot = macc.product_latency + rows + macc.segments - 1
        first = delay_line(
            m, entered & begun, macc.first_delay + rows - 1, "first", reset_less=False
        )
        last = delay_line(m, entered & taken.last, to_foot, "last", reset_less=False)
        if rows > 1:
            m.d.sync += spaced.eq(~ends & (spaced | last[rows - 2]))

        # Row R-1's load releases the holds of all rows in one clock. Where each row has a register
        # of its own for the release, a second one in front of it divides the distance.
        ahead = min(2 if duplicate else 1, macc.load_delay + rows - 1)
        release = last[macc.load_delay + rows - 1 - ahead]
        releases = fan_out(
            m, release, "release", rows, duplicate=duplicate, clocks=ahead, reset_less=False
        )
        operands = skewed(m, config, self.cells, taken, accepted, ternary_valid)
        drains = grid(
            m,
            config,
            self._node_cells,
            self.places,
            operands,
            first=first[macc.first_delay :],
            load=last[macc.load_delay :],
            release=releases,
        )
        choice = None
        if len(config.conversions) > 1:
            choice = delay_line(m, taken.choice, to_foot, "choice")[-1]
        random = (self.random, self.draws) if config.random_port else None
        foot(m, config, self.cells, drains, last[-1], choice, buffer, random)
        connect(m, buffer.o, flipped(self.o))
        return m
