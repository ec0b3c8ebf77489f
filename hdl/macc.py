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
from hdl.delay import late


class Macc(wiring.Component):
    """Multiply-accumulate node.

    Parameters
    ----------
    config
        Formats of the operands, depth, accumulator segments.

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

    def __init__(self, config: MaccConfig):
        self.config = config
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

        first = late(m, self.first, "first_hop")
        load = late(m, self.load, "load_hop")
        hold = late(m, self.hold, "hold_hop")
        a, b = late(m, self.a, "a_hop"), late(m, self.b, "b_hop")
        m.d.comb += [
            self.a_out.eq(a),
            self.b_out.eq(b),
            self.first_out.eq(first),
            self.load_out.eq(load),
            self.hold_out.eq(hold),
        ]

        product: Value = late(m, a, "a_operand") * late(m, b, "b_operand")
        for stage in range(PRODUCT_LATENCY - 2):
            product = late(m, product, f"product_{stage}")

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
                first, load, hold = (
                    late(m, signal, f"{name}_{number}")
                    for name, signal in (("first", first), ("load", load), ("hold", hold))
                )
            term = Signal(width, name=f"term_{number}")
            m.d.comb += term.eq(product)
            kept = Signal(width, name=f"kept_{number}")
            accumulator = Signal(width, name=f"accumulator_{number}", reset_less=True)
            m.d.comb += kept.eq(Mux(first, 0, accumulator))
            total = kept + term if carry is None else kept + term + carry
            m.d.sync += accumulator.eq(total)
            if number < len(self.config.cuts) - 1:
                carry = late(m, total[width], f"carry_{number}")

            shadow = Signal(width, name=f"shadow_{number}", reset_less=True)
            with m.If(load):
                m.d.sync += shadow.eq(accumulator)
            with m.Elif(~hold):
                m.d.sync += shadow.eq(self.above[low:high])
            drain.append(shadow)
            previous = width
        m.d.comb += self.drain.eq(Cat(drain))
        return m
