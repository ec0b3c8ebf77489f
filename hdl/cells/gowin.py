"""Gowin (GW1N, GW2A): MULT9X9 or MULT18X18 with all of their registers, sums in ALU carry cells.

The ALU cell's mode MULT adds I0 & I1, I3 and the carry. It was made for multipliers of look-up
tables, and it is just what an accumulator needs: with the accumulator at I0 and the marker
`goes_on`, the inverse of `first`, at I1, one row of cells either adds to the sum or begins it anew.
From a multiplexer and an adder, Yosys would make a look-up table per bit in front of the cells.
"""

from collections.abc import Sequence

from amaranth.hdl import C, Cat, ClockSignal, Const, Instance, Module, Signal, Value

from golden.macc import MaccConfig
from hdl.cells.base import Cells
from hdl.delay import registered

#: Operand widths of the two multiplier blocks.
OPERANDS = (9, 18)
#: ALU_MODE of the carry cell: I0 & I1, plus I3, plus the carry.
LOAD_OR_ADD = 9


class Gowin(Cells):
    """Gowin's multiplier blocks and carry cells."""

    name = "gowin"
    widest = OPERANDS[-1]
    duplicate = True

    def multiply(self, m: Module, a: Value, b: Value, place: str | None) -> Value:
        # Operands are aligned to the block's highest bit: zeros below cost nothing, whereas sign
        # extension would give the sign bit a fan-out.
        width = next(bits for bits in OPERANDS if bits >= max(len(a), len(b)))
        product = Signal(2 * width)
        m.submodules.multiplier = Instance(
            f"MULT{width}X{width}",
            *(("p", f"{register}_REG", C(1, 1)) for register in ("OUT", "PIPE")),
            *(("p", f"{register}REG", C(1, 1)) for register in "AB"),
            # The SIGN inputs are constants and need no registers.
            *(("p", f"{name}SIGN_REG", C(0, 1)) for name in "AB"),
            ("p", "SOA_REG", C(0, 1)),
            ("p", "MULT_RESET_MODE", "SYNC"),
            *(("i", name, Cat(C(0, width - len(x)), x)) for name, x in (("A", a), ("B", b))),
            *(("i", f"SI{name}", C(0, width)) for name in "AB"),
            *(("i", f"{name}SIGN", C(1, 1)) for name in "AB"),
            *(("i", f"{name}SEL", C(0, 1)) for name in "AB"),
            ("i", "CLK", ClockSignal()),
            ("i", "CE", C(1, 1)),
            ("i", "RESET", C(0, 1)),
            ("o", "DOUT", product),
            *((("a", "BEL", place),) if place else ()),
        )
        exact = product[2 * width - len(a) - len(b) :].as_signed()
        return registered(m, exact, "product_out_0")

    def sums(
        self,
        m: Module,
        config: MaccConfig,
        product: Value,
        first: Value,
        carry: Value | None = None,
    ) -> Sequence[Value]:
        # Inverted in front of its first register: behind the registers an inverter would cost time.
        goes_on = Signal()
        m.d.comb += goes_on.eq(~first)
        return self.segments(m, config, product, goes_on, carry, _add_if, "goes_on")


def _add_if(
    m: Module,
    number: int,
    accumulator: Signal,
    goes_on: Value,
    term: Value,
    carry: Value | None,
) -> Value:
    """Add `term`, `carry` and, if the sum `goes_on`, the accumulator; an `Adder`."""
    total = [Signal(name=f"total_{number}_{bit}") for bit in range(len(accumulator))]
    carry_in = C(0, 1) if carry is None else carry
    for bit, sum_bit in enumerate(total):
        carry_out = Signal(name=f"carry_{number}_{bit}")
        m.submodules[f"sum_{number}_{bit:02}"] = Instance(
            "ALU",
            ("p", "ALU_MODE", Const(LOAD_OR_ADD, 32)),
            ("i", "I0", accumulator[bit]),
            ("i", "I1", goes_on),
            ("i", "I3", term[bit]),
            ("i", "CIN", carry_in),
            ("o", "SUM", sum_bit),
            ("o", "COUT", carry_out),
        )
        carry_in = carry_out
    return Cat(*total, carry_in)
