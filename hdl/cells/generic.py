"""Products and sums as Verilog has them: what they become is the tools' choice."""

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value

from hdl.cells.base import MULTIPLIER_LATENCY, Cells
from hdl.delay import late


class Generic(Cells):
    """Inferred multipliers and adders, on any device and in any simulator."""

    name = "generic"

    def multiply(self, m: Module, a: Value, b: Value, place: str | None) -> Value:
        product: Value = late(m, a, "a_operand") * late(m, b, "b_operand")
        for stage in range(MULTIPLIER_LATENCY - 1):
            product = late(m, product, f"product_{stage}")
        return product

    def add(
        self,
        m: Module,
        number: int,
        accumulator: Signal,
        first: Value,
        term: Value,
        carry: Value | None,
    ) -> Value:
        kept = Signal(len(accumulator), name=f"kept_{number}")
        m.d.comb += kept.eq(Mux(first, 0, accumulator))
        if carry is None:
            return term + kept
        # It comes in below both of them, where a constant 1 makes it a carry again: a router
        # may never end where a carry cell of iCE40 has one signal twice.
        return (Cat(C(1, 1), term) + Cat(carry, kept))[1:]
