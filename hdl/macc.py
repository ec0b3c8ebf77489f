"""One node of the systolic array (Gupta et al. 2015, figure 5): it passes its operands on and
accumulates their products.

A ternary node has no multiplier: its b is -1, 0 or 1, and it subtracts, skips or adds a.

When a dot product is complete, the shadow register copies the sum, and the next dot product starts
in the next clock. The shadows of a column are its drain: a shift register that moves down by one
node per clock.

Five registers stand between an operand's port and the accumulator, so that the registers inside a
DSP block can be among them; in a ternary node it is one, the register that passes the operand on.
The accumulator is cut into segments, each one clock behind the one below it, so no carry chain has
the full width. Nothing has a reset: `first` begins a sum.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden import check
from golden.macc import MaccConfig
from hdl.cells import CELLS, Cells
from hdl.delay import registered


class Macc(wiring.Component):
    """Multiply-accumulate node.

    Parameters
    ----------
    config
        Operand formats, depth, accumulator segments.
    cells
        Technology that the node is made of, from `hdl.cells.CELLS`.
    place
        Location of its multiplier, as place and route names it; None leaves it open.

    Members
    -------
    a, b : In
        Operands. They leave as `a_out` (to the right) and `b_out` (downward) one clock later.
    first : In(1)
        Marks the first operand of a dot product, `config.first_delay` clocks after that operand:
        the sum starts anew.
    load : In(1)
        Marks the last operand of a dot product, `config.load_delay` clocks after that operand:
        the shadow stores the sum.
    hold : In(1)
        The shadow keeps its value. With neither `hold` nor `load`, it stores `above`.
        Same timing as `load`.
    above, drain : In, Out
        Shadow of the node above, and shadow of this node.
        Segment k of either is k clocks behind the lowest segment.
    a_out, b_out, first_out, load_out, hold_out : Out
        The inputs, one clock later.

    Examples
    --------
    >>> from golden import MaccConfig
    >>> node = Macc(MaccConfig(depth=100))
    >>> node.drain.shape()
    signed(38)
    >>> node.config.latency
    7
    """

    a: Signal
    b: Signal
    first: Signal
    load: Signal
    hold: Signal
    above: Signal
    a_out: Signal
    b_out: Signal
    first_out: Signal
    load_out: Signal
    hold_out: Signal
    drain: Signal

    def __init__(
        self,
        config: MaccConfig,
        *,
        cells: Cells = CELLS["generic"],
        place: str | None = None,
    ):
        check.instance("config", config, MaccConfig)
        check.instance("cells", cells, Cells)
        cells.check(config)
        self.config = config
        self.cells = cells
        self.place = place
        #: Name of its Verilog module: an array may have both kinds of nodes.
        self.kind = "TernaryMacc" if config.ternary else "Macc"
        a, b = signed(config.a.width), signed(config.b.width)
        super().__init__(
            {
                **cells.node_ports(config),
                "a": In(a),
                "b": In(b),
                "first": In(1),
                "load": In(1),
                "hold": In(1),
                "above": In(signed(config.width)),
                "a_out": Out(a),
                "b_out": Out(b),
                "first_out": Out(1),
                "load_out": Out(1),
                "hold_out": Out(1),
                "drain": Out(signed(config.width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, cells = self.config, self.cells

        # To the neighbours.
        first_hop = cells.control(m, self.first, "first_hop")
        load_hop = cells.control(m, self.load, "load_hop")
        hold_hop = cells.control(m, self.hold, "hold_hop")
        a, b = registered(m, self.a, "a_hop"), registered(m, self.b, "b_hop")
        m.d.comb += [
            self.a_out.eq(a),
            self.b_out.eq(b),
            self.first_out.eq(first_hop),
            self.load_out.eq(load_hop),
            self.hold_out.eq(hold_hop),
        ]

        # The sum. Control bits start again from the ports and not from the registers above, so that
        # a technology that duplicates control registers keeps those of the neighbours separate.
        if config.ternary:
            accumulators = cells.ternary(m, config, self.a, self.b, self.first)
        else:
            accumulators = cells.accumulators(m, self, a, b, self.first)

        # The shadow. `moves` is its clock enable, a register with no gate behind it.
        load: Value = self.load
        moves: Value = self.load | ~self.hold
        drain = []
        for number, ((low, high), accumulator) in enumerate(
            zip(config.cuts, accumulators, strict=True)
        ):
            # Controls of a segment lag one clock behind those of the segment below, as it does.
            load = cells.control(m, load, f"load_{number}")
            moves = cells.control(m, moves, f"moves_{number}", init=1)
            shadow = Signal(high - low, name=f"shadow_{number}", reset_less=True)
            with m.If(moves):
                m.d.sync += shadow.eq(Mux(load, accumulator, self.above[low:high]))
            drain.append(shadow)
        m.d.comb += self.drain.eq(Cat(drain))
        return m
