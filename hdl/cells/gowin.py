"""Gowin (GW1N, GW2A): MULT9X9 or MULT18X18 with all of their registers, sums in ALU carry cells.

The carry cell's mode MULT, meant for multipliers made of look-up tables, is load-or-add: it adds
I0 & I1, I3 and the carry. With the accumulator at I0 and at I1 whether the sum goes on, nothing
stands in front of the chain. Yosys makes of a multiplexer and an adder a look-up table for every
bit before cells that add I0 and I1.
"""

from amaranth.hdl import C, Cat, ClockSignal, Const, Instance, Module, Signal, Value

from golden.macc import MaccConfig
from hdl.cells.base import Cells

#: Bits of an operand of either multiplier block.
OPERANDS = (9, 18)
#: The mode of the carry cell that adds I0 & I1, I3 and the carry.
LOAD_OR_ADD = 9


class Gowin(Cells):
    """Gowin's multiplier blocks and carry cells."""

    name = "gowin"
    widest = OPERANDS[-1]
    apart = True

    def sums(
        self,
        m: Module,
        config: MaccConfig,
        product: Value,
        first: Value,
        carry: Value | None = None,
    ) -> list[Signal]:
        # The carry cells hear that a sum goes on, from registers: an inverter behind these would
        # cost time, one in front of the first of them does not.
        goes_on = Signal()
        m.d.comb += goes_on.eq(~first)
        return super().sums(m, config, product, goes_on, carry)

    def multiply(self, m: Module, a: Value, b: Value, place: str | None) -> Value:
        # At the top of the block's operands: low zeros cost nothing, a sign in many bits has a
        # fan-out.
        width = next(bits for bits in OPERANDS if bits >= max(len(a), len(b)))
        product = Signal(2 * width)
        m.submodules.multiplier = Instance(
            f"MULT{width}X{width}",
            *(("p", f"{register}_REG", C(1, 1)) for register in ("OUT", "PIPE")),
            *(("p", f"{register}REG", C(1, 1)) for register in "AB"),
            # The signs are constants: they need no registers.
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
        return product[2 * width - len(a) - len(b) :].as_signed()

    def add(
        self,
        m: Module,
        number: int,
        accumulator: Signal,
        first: Value,
        term: Value,
        carry: Value | None,
    ) -> Value:
        # Of what `sums` handed on, `first` says here that the sum goes on.
        total = [Signal(name=f"total_{number}_{bit}") for bit in range(len(accumulator))]
        carries = C(0, 1) if carry is None else carry
        for bit, sum_bit in enumerate(total):
            following = Signal(name=f"carry_{number}_{bit}")
            m.submodules[f"sum_{number}_{bit:02}"] = Instance(
                "ALU",
                ("p", "ALU_MODE", Const(LOAD_OR_ADD, 32)),
                ("i", "I0", accumulator[bit]),
                ("i", "I1", first),
                ("i", "I3", term[bit]),
                ("i", "CIN", carries),
                ("o", "SUM", sum_bit),
                ("o", "COUT", following),
            )
            carries = following
        return Cat(*total, carries)
