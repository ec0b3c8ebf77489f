"""One node of the systolic array: operands pass through, products accumulate,
a finished sum waits in a shadow.

A dot product's sum is copied to the shadow register when it is done, so that the next one starts at
once; the shadows of a column are its drain, a shift register that runs downward. Five registers
stand between an operand and the accumulator, so that a DSP block's own registers can be among them.
The accumulator is cut in segments, each a clock behind the one below it, so that no carry runs its
whole width. Nothing here has a reset: `first` begins a sum.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.macc import PRODUCT_LATENCY, MaccConfig
from hdl.cells import CELLS, MULTIPLIER_LATENCY, Cells
from hdl.delay import APART, late


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

    def __init__(
        self, config: MaccConfig, *, cells: Cells = CELLS["generic"], place: str | None = None
    ):
        cells.check(config)
        self.config = config
        self.cells = cells
        self.place = place
        a, b = signed(config.a.width), signed(config.b.width)
        super().__init__(
            {
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
        attributes = APART if cells.apart else {}

        def control(value: Value, name: str, init: int = 0) -> Signal:
            register = Signal(name=name, init=init, reset_less=True, attrs=attributes)
            m.d.sync += register.eq(value)
            return register

        def used(value: Value, hop: Signal, name: str) -> Signal:
            """What `hop` has, for this node: from a register of its own if cells say so."""
            return control(value, name) if cells.apart else hop

        first_hop = control(self.first, "first_hop")
        load_hop = control(self.load, "load_hop")
        hold_hop = control(self.hold, "hold_hop")
        a, b = late(m, self.a, "a_hop"), late(m, self.b, "b_hop")
        m.d.comb += [
            self.a_out.eq(a),
            self.b_out.eq(b),
            self.first_out.eq(first_hop),
            self.load_out.eq(load_hop),
            self.hold_out.eq(hold_hop),
        ]
        first = used(self.first, first_hop, "first_0")
        load = used(self.load, load_hop, "load_0")
        # The shadow's clock enable, with no gate behind the register.
        moves = control(self.load | ~self.hold, "moves_0", init=1)

        product = cells.multiply(m, a, b, self.place)
        for stage in range(PRODUCT_LATENCY - 1 - MULTIPLIER_LATENCY):
            product = late(m, product, f"product_out_{stage}")

        drain = []
        carry: Value | None = None
        previous = 0
        for number, (low, high) in enumerate(self.config.cuts):
            width = high - low
            if number:
                # This segment lags one more clock behind:
                # so do the product's bits for it and its controls.
                product = late(
                    m,
                    product[min(previous, len(product) - 1) :].as_signed(),
                    f"product_high_{number}",
                )
                first = control(first, f"first_{number}")
                load = control(load, f"load_{number}")
                moves = control(moves, f"moves_{number}", init=1)
            term = Signal(width, name=f"term_{number}")
            m.d.comb += term.eq(product)
            accumulator = Signal(width, name=f"accumulator_{number}", reset_less=True)
            total = cells.add(m, number, accumulator, first, term, carry)
            m.d.sync += accumulator.eq(total)
            if number < len(self.config.cuts) - 1:
                carry = late(m, total[width], f"carry_{number}")

            shadow = Signal(width, name=f"shadow_{number}", reset_less=True)
            above = self.above[low:high]
            with m.If(moves):
                m.d.sync += shadow.eq(Mux(load, accumulator, above))
            drain.append(shadow)
            previous = width
        m.d.comb += self.drain.eq(Cat(drain))
        return m
