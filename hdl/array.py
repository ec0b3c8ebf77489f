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
columns are deskewed, so that a row leaves whole.

In a mixed array the markers are the same for all nodes: a ternary node, which is quicker, gets its
operands later by as much. So the wait is at the left and upper edges and once in each row, where
the block of multipliers ends. Rows above the block hand down two bits of b; the block has its own
way in from above, and what it multiplies by is chosen there.

A row's place in the output buffer is claimed when its tile's `last` operand is accepted; only that
operand ever waits.
"""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, ShapeLike, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from golden.array import ArrayConfig
from golden.fixed import Rounding
from golden.lfsr import LfsrConfig
from golden.rounder import PIPELINE_LATENCY, RounderConfig
from hdl.buffer import Buffer
from hdl.cells import CELLS, Cells
from hdl.delay import copies, delayed, late
from hdl.lfsr import words
from hdl.macc import Macc
from hdl.rounder import RoundingPipeline, select

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
        Where the multiplier of each node that has one stands, by row and column of these, in the
        words of the place and route; None leaves it open.

    Members
    -------
    i : In(stream of {a: R codes; b: C codes; last: 1; choice, if there are several conversions; \
multiply: 1, if the array is mixed})
        One column of A and one row of B; `last` ends the tile, and its `choice`, the number of a
        conversion, says how the tile is rounded. Without `multiply` the low two bits of b are -1, 0
        or 1, and -2 counts as 0; with it the block of multipliers multiplies and elsewhere nothing
        is added. `ready` is low only on a `last` operand that comes
        less than R clocks after the one before, or for whose R rows the output buffer has no room.
    o : Out(stream of {data: C codes; last: 1})
        Rows of the product, row R-1 first; `last` marks row 0. The first one is valid
        `config.latency` clocks after the tile's last operand was accepted, the others follow a
        clock each.
    random : In(columns words of `draw` bits), if the array has a random port
        The word with which each column rounds the row that is at its foot.
    draws : Out(columns bits), if the array has a random port
        The column uses its word at this clock: it has a row whose conversion is stochastic. The
        first one is `config.foot_delay` clocks after the tile's last operand for column 0, and a
        clock later for each further column.
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
        cells.check(config.macc)
        if places is not None:
            if config.block is None:
                raise ValueError("places: a ternary array has no multipliers to stand there")
            rows, columns = config.block
            if [len(row) for row in places] != [columns] * rows:
                raise ValueError(f"places: {rows} rows of {columns} are wanted")
            if self._shares(cells, config):
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
        if config.multipliers is not None:
            operand["multiply"] = 1
        result = {"data": data.ArrayLayout(signed(config.result_width), config.columns), "last": 1}
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
        spaced = Signal(init=1)
        accepted = Signal()
        ends = Signal()
        m.d.comb += [
            self.i.ready.eq(~operand.last | (spaced & buffer.ready)),
            accepted.eq(self.i.valid & self.i.ready),
            ends.eq(self.i.valid & operand.last & spaced & buffer.ready),
            buffer.claim.eq(ends),
        ]

        # The operands as they were taken in, and what they are for their tile.
        begins = Signal(init=1)
        with m.If(accepted):
            m.d.sync += begins.eq(operand.last)
        entered, begun = late(m, accepted, "entered", reset_less=False), late(m, begins, "begun")
        taken = Signal.like(operand, name="taken", reset_less=True)
        m.d.sync += taken.eq(operand)
        weighs = accepted
        if config.multipliers is not None:
            # What the block multiplies by. The ternary nodes have a gap where it multiplies.
            for column in range(config.multipliers[1]):
                code = operand.b[column]
                sign = (code[1] & code[0]).replicate(config.macc.b.width - 1)
                chosen = Mux(operand.multiply, code, Cat(code[0], sign).as_signed())
                m.d.sync += taken.b[column].eq(chosen)
            weighs = accepted & ~operand.multiply

        # Markers go down the left edge a row a clock,
        # late by the node's way to the accumulator and to the shadow.
        # `foot` is a clock before column 0's foot has row R-1.
        foot = config.macc.product_latency + rows + config.macc.segments - 1
        first = delayed(
            m, entered & begun, config.macc.first_delay + rows - 1, "first", reset_less=False
        )
        last = delayed(m, entered & taken.last, foot, "last", reset_less=False)
        if rows > 1:
            m.d.sync += spaced.eq(~ends & (spaced | last[rows - 2]))

        # Row R-1's load ends the holds of all rows at once: where each has a register of its own
        # for that, there is a clock more to reach it.
        apart = self.cells.apart
        ahead = min(2 if apart else 1, config.macc.load_delay + rows - 1)
        release = last[config.macc.load_delay + rows - 1 - ahead]
        releases = copies(m, release, "release", rows, apart=apart, clocks=ahead, reset_less=False)
        left, below, block = self._skewed(m, taken, accepted, weighs)
        nodes = self._nodes(m, left, below, block, first, last, releases)
        choice = None
        if len(config.conversions) > 1:
            choice = delayed(m, taken.choice, foot, "choice")[-1]
        self._foot(m, nodes, last[-1], choice, buffer)
        connect(m, buffer.o, flipped(self.o))
        return m

    def _skewed(
        self, m: Module, taken: data.View, accepted: Value, weighs: Value
    ) -> tuple[list[Value], list[Value], list[Value]]:
        """Rows of A, columns of B, and those of the block of a mixed array; each later by its
        number and by what `_wait` says, and 0 in a gap.

        That there is a gap goes with them from row to row and from column to column, as operands go
        from node to node: nothing has to reach a whole side at once. A gap is a zero on both sides:
        one would do in hardware, but in a simulation an unknown operand that nobody offers would
        reach the sums.
        """
        config = self.config

        def skewed(
            side: str, operands: Sequence[Value], waits: list[int], present: Value
        ) -> list[Value]:
            gap: Value = ~present
            gaps = []
            for clock in range(max(waits) + 1):
                gap = self.cells.control(m, gap, f"{side}_gap_{clock}", init=1)
                gaps.append(gap)
            lanes: list[Value] = []
            for number, (operand, wait) in enumerate(zip(operands, waits, strict=True)):
                late_by = delayed(m, operand, wait, f"{side}_skew_{number}")[-1]
                gated = Signal(Value.cast(operand).shape(), name=f"{side}_gated_{number}")
                m.d.comb += gated.eq(Mux(gaps[wait], 0, late_by))
                lanes.append(gated)
            return lanes

        rows, columns = range(config.rows), range(config.columns)
        a, b = list(taken.a), list(taken.b)
        left = skewed("a", a, [row + self._wait(row, 0) for row in rows], accepted)
        if config.multipliers is None:
            waits = [column + self._wait(0, column) for column in columns]
            return left, skewed("b", b, waits, accepted), []
        height, width = config.multipliers
        top = config.rows - height
        # A column without ternary nodes needs no way in for them: what is there leads nowhere.
        wait = config.macc.product_latency - config.ternary.product_latency
        codes = [code[:2].as_signed() for code in b]
        ternary = skewed("b", codes, [column + wait for column in columns], weighs)
        block = skewed("block", b[:width], [top + column for column in range(width)], accepted)
        return left, ternary, block

    def _wait(self, row: int, column: int) -> int:
        """Clocks by which a node gets its operands later than its place says."""
        config = self.config
        return config.macc.product_latency - config.node(row, column).product_latency

    def _nodes(
        self,
        m: Module,
        left: list[Value],
        below: list[Value],
        block: list[Value],
        first: list[Value],
        last: list[Value],
        releases: list[Value],
    ) -> list[Value]:
        """The nodes, and what holds a row's shadows; the bottom row's drains.

        Operands enter from the `left`, from above (`below` the nodes that they have passed), and
        into the `block` of multipliers of a mixed array.
        """
        config = self.config
        rows, columns = config.rows, config.columns
        first, load = first[config.macc.first_delay :], last[config.macc.load_delay :]
        below = list(below)
        above: list[Value] = [
            Signal(signed(config.node(0, column).width), name=f"top_{column}")
            for column in range(columns)
        ]
        first_multiplier = rows - config.multipliers[0] if config.multipliers else 0
        shares = self._shares(self.cells, config)
        sharers: list[Macc] = []
        for row in range(rows):
            hold = Signal(name=f"hold_{row}")
            if row < rows - 1:
                m.d.sync += hold.eq(load[row] | (hold & ~releases[row]))
            a: Value = left[row]
            markers = (first[row], load[row], hold)
            if row == first_multiplier:
                below[: len(block)] = block
            line = []
            for column in range(columns):
                node_config = config.node(row, column)
                multiplies = not node_config.ternary
                place = None
                if self.places and multiplies:
                    place = self.places[row - first_multiplier][column]
                shared = shares and multiplies
                node = Macc(node_config, cells=self.cells, place=place, shared=shared)
                m.submodules[f"node_{row}_{column}"] = node
                if column and (wait := self._wait(row, column) - self._wait(row, column - 1)):
                    a = late(m, a, f"waits_{row}", wait)
                drain = above[column]
                if row and node_config != config.node(row - 1, column):
                    drain = self._widened(m, drain, f"widened_{column}")
                m.d.comb += [
                    node.a.eq(a),
                    node.first.eq(markers[0]),
                    node.load.eq(markers[1]),
                    node.hold.eq(markers[2]),
                    node.b.eq(below[column]),
                    node.above.eq(drain),
                ]
                a, markers = node.a_out, (node.first_out, node.load_out, node.hold_out)
                below[column], above[column] = node.b_out, node.drain
                if shared:
                    line.append(node)
            # To and fro, row by row: two that follow each other are neighbours.
            sharers += reversed(line) if row % 2 else line
        self._share(m, sharers)
        return above

    def _widened(self, m: Module, drain: Value, name: str) -> Value:
        """The drain of a ternary node as a multiplier below it takes it: as wide, and segment k
        k clocks later.
        """
        wide = Signal(signed(self.config.macc.width), name=name)
        m.d.comb += wide.eq(drain)
        parts = []
        for number, (low, high) in enumerate(self.config.macc.cuts):
            held = wide[low : min(high, max(len(drain), low + 1))]
            part = late(m, held, f"{name}_{number}", number)
            # Above the ternary sum there are copies of its sign.
            parts.append(Cat(part, part[-1].replicate(high - low - len(held))))
        return Cat(parts).as_signed()

    @staticmethod
    def _shares(cells: Cells, config: ArrayConfig) -> bool:
        """Whether two nodes have one multiplier block."""
        return config.block is not None and cells.pairs(config.macc)

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
        draws = self._draws(m, begins, draining, choice, valid)

        for column, drain in enumerate(drains):
            # Segment k comes k clocks after the lowest one.
            lag = config.macc.segments - 1
            level = Signal(signed(config.macc.width), name=f"level_{column}")
            m.d.comb += level.eq(
                Cat(
                    delayed(m, drain[low:high], lag - k, f"foot_{column}_{k}")[-1]
                    for k, (low, high) in enumerate(config.node(rows - 1, column).cuts)
                ).as_signed()
            )
            value: Value = level
            if config.conversions:
                m.submodules[f"rounder_{column}"] = rounder = RoundingPipeline(
                    RounderConfig(
                        width=config.macc.width,
                        conversions=config.conversions,
                        generator=config.generator,
                    ),
                    cells=self.cells,
                )
                m.d.comb += [
                    rounder.operand.valid.eq(valid[column]),
                    rounder.operand.payload.data[0].eq(level),
                ]
                if choice is not None:
                    m.d.comb += rounder.operand.payload.choice.eq(choices[column])
                if config.random_port:
                    m.d.comb += [
                        rounder.random[0].eq(self.random[column]),
                        self.draws[column].eq(draws[column]),
                    ]
                elif rounder.draws:
                    lane = LfsrConfig(generator=config.generator, first_lane=column)
                    m.d.comb += rounder.random.eq(words(m, f"lfsr_{column}", lane, valid[column]))
                value = rounder.result.payload.data[0]
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

    def _draws(
        self, m: Module, begins: Value, draining: Value, choice: Value | None, valid: list[Value]
    ) -> list[Value]:
        """Whether each column draws from the random port; `valid` says where it has a row."""
        config = self.config
        stochastic = [c.rounding is Rounding.STOCHASTIC for c in config.conversions]
        if not config.random_port or choice is None or all(stochastic):
            return valid
        rounds, tile = Signal(), Signal()
        select(m, choice, rounds, stochastic)
        with m.If(begins):
            m.d.sync += tile.eq(rounds)
        return delayed(m, draining & tile, config.columns - 1, "drawing", reset_less=False)
