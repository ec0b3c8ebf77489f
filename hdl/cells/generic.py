"""Products and sums as Verilog operators: tools choose the cells."""

from collections.abc import Sequence

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value

from golden.macc import PRODUCT_LATENCY, MaccConfig
from hdl.cells.base import Cells
from hdl.delay import registered


class Generic(Cells):
    """Inferred multipliers and adders, for any device and any simulator."""

    name = "generic"

    def multiply(self, m: Module, a: Value, b: Value, place: str | None) -> Value:
        product: Value = registered(m, a, "a_operand") * registered(m, b, "b_operand")
        for stage in range(PRODUCT_LATENCY - 3):
            product = registered(m, product, f"product_{stage}")
        return registered(m, product, "product_out_0")

    def sums(
        self,
        m: Module,
        config: MaccConfig,
        product: Value,
        first: Value,
        carry: Value | None = None,
    ) -> Sequence[Value]:
        return self.segments(m, config, product, first, carry, self.add)

    def add(
        self,
        m: Module,
        number: int,
        accumulator: Signal,
        first: Value,
        term: Value,
        carry: Value | None,
    ) -> Value:
        """Add `term`, `carry` and, unless `first`, the accumulator; an `Adder`."""
        kept = Signal(len(accumulator), name=f"kept_{number}")
        m.d.comb += kept.eq(Mux(first, 0, accumulator))
        if carry is None:
            return term + kept
        # The carry enters below both operands, beside a constant 1 that turns it into a carry
        # again: nextpnr's router may not terminate where an iCE40 carry cell has one signal twice.
        return (Cat(C(1, 1), term) + Cat(carry, kept))[1:]
