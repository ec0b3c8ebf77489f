"""One node of the systolic array: operands pass through, products accumulate,
a finished sum waits in a shadow.

A node multiplies, or it is ternary: then b is -1, 0 or 1 and the node subtracts, skips or adds a.

A dot product's sum is copied to the shadow register when it is done, so that the next one starts at
once; the shadows of a column are its drain, a shift register that runs downward. Five registers
stand between an operand and the accumulator, so that a DSP block's own registers can be among them;
in a ternary node it is the hop alone.
The accumulator is cut in segments, each a clock behind the one below it, so that no carry runs its
whole width. Nothing here has a reset: `first` begins a sum.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.macc import MaccConfig
from hdl.cells import CELLS, Cells
from hdl.delay import late


class Macc(wiring.Component):
    """Multiply-accumulate node.

    Parameters
    ----------
    config
        Formats of the operands, depth, accumulator segments.
    cells
        What it is made of; `hdl.cells.CELLS` has them by name.
    place
        Where its multiplier stands, in the words of the place and route; None leaves it open.
    shared
        Whether it shares a multiplier with another node, where `cells` does that for this
        configuration: it gets its products then.

    Members
    -------
    a, b : In
        Operands. They leave as `a_out`, `b_out` a clock later, to the right and downward.
    first : In(1)
        Marks a dot product's first operand, `config.first_delay` clocks after it:
        the sum starts anew.
    load : In(1)
        Marks its last operand, `config.load_delay` clocks after it: the shadow takes the sum.
    hold : In(1)
        The shadow keeps its value; else, and without `load`, it takes the one from `above`.
        In step with `load`.
    above, drain : In, Out
        The shadow of the node above, and this one's:
        segment k of either lags k clocks behind the lowest.
    product : In(signed), where the multiplier is shared
        The product of operands that were at `a` and `b` `PRODUCT_LATENCY` clocks before.
    a_out, b_out, first_out, load_out, hold_out : Out
        The inputs, a clock later.
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
    product: Signal

    def __init__(
        self,
        config: MaccConfig,
        *,
        cells: Cells = CELLS["generic"],
        place: str | None = None,
        shared: bool = False,
    ):
        cells.check(config)
        self.config = config
        self.cells = cells
        self.place = place
        self.shared = shared
        #: What its modules are called: an array may have both kinds.
        self.kind = "TernaryMacc" if config.ternary else "Macc"
        a, b = signed(config.a.width), signed(config.b.width)
        product = {"product": In(signed(config.a.width + config.b.width))} if shared else {}
        super().__init__(
            {
                **product,
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
        cells = self.cells
        first_hop = cells.control(m, self.first, "first_hop")
        load_hop = cells.control(m, self.load, "load_hop")
        hold_hop = cells.control(m, self.hold, "hold_hop")
        a, b = late(m, self.a, "a_hop"), late(m, self.b, "b_hop")
        m.d.comb += [
            self.a_out.eq(a),
            self.b_out.eq(b),
            self.first_out.eq(first_hop),
            self.load_out.eq(load_hop),
            self.hold_out.eq(hold_hop),
        ]
        # What this node does with its markers, from registers of its own where tools must not merge
        # them with the ones for the next node.
        load: Value = self.load
        # The shadow's clock enable, with no gate behind the register.
        moves: Value = self.load | ~self.hold
        if self.shared:
            accumulators = cells.sums(m, self.config, self.product, self.first)
        elif self.config.ternary:
            accumulators = cells.ternary(m, self.config, self.a, self.b, self.first)
        else:
            accumulators = cells.accumulators(m, self.config, a, b, self.first, self.place)
        drain = []
        for number, ((low, high), accumulator) in enumerate(
            zip(self.config.cuts, accumulators, strict=True)
        ):
            # A segment is a clock behind the one below it, and so are its controls.
            load = cells.control(m, load, f"load_{number}")
            moves = cells.control(m, moves, f"moves_{number}", init=1)
            shadow = Signal(high - low, name=f"shadow_{number}", reset_less=True)
            with m.If(moves):
                m.d.sync += shadow.eq(Mux(load, accumulator, self.above[low:high]))
            drain.append(shadow)
        m.d.comb += self.drain.eq(Cat(drain))
        return m
