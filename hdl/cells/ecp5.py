"""Lattice ECP5: MULT18X18D with all of its registers, sums in CCU2C carry cells.

The carry cell's look-up table holds load-or-add itself, with nothing in front of the chain:
with A the addend, B the accumulator, C `first` and D constantly 1, INIT 0xA6AA is A ^ (B & ~C), and
its low four bits, A, are what the chain generates. Yosys maps a multiplexer and an adder to a row
of look-up tables before the carry cells instead.
"""

from amaranth.hdl import C, Cat, ClockSignal, Const, Instance, Module, Signal, Value

from golden.macc import MaccConfig
from hdl.cells.base import Cells

#: Bits of an operand of the multiplier block.
OPERAND = 18
#: A ^ (B & ~C) with D = 1, and A on the way to the carry.
LOAD_OR_ADD = 0xA6AA


class Ecp5(Cells):
    """ECP5's multiplier blocks and carry cells."""

    name = "ecp5"
    apart = True

    def check(self, config: MaccConfig) -> None:
        for name, form in (("a", config.a), ("b", config.b)):
            if form.width > OPERAND:
                raise ValueError(
                    f"{name} = {form}: a multiplier of ecp5 takes operands of 1 to {OPERAND} bits"
                )

    def multiply(self, m: Module, a: Value, b: Value, place: str | None) -> Value:
        # At the top of the block's operands: low zeros cost nothing, a sign in many bits has a
        # fan-out.
        product = [Signal(name=f"product_{bit}") for bit in range(2 * OPERAND)]
        ports: dict[str, Value] = {"CLK0": ClockSignal(), "CE0": C(1, 1), "RST0": C(0, 1)}
        for name, operand in (("A", a), ("B", b)):
            aligned = Cat(C(0, OPERAND - len(operand)), operand)
            ports |= {f"{name}{bit}": aligned[bit] for bit in range(OPERAND)}
            ports |= {f"SIGNED{name}": C(1, 1), f"SOURCE{name}": C(0, 1)}
        m.submodules.multiplier = Instance(
            "MULT18X18D",
            *(
                ("p", f"REG_{register}_{name}", value)
                for register in ("INPUTA", "INPUTB", "PIPELINE", "OUTPUT")
                for name, value in (("CLK", "CLK0"), ("CE", "CE0"), ("RST", "RST0"))
            ),
            # ENABLED, a register takes a value at every rising edge; else it would at both edges.
            ("p", "CLK0_DIV", "ENABLED"),
            ("p", "GSR", "DISABLED"),
            *(("i", name, value) for name, value in ports.items()),
            *(("o", f"P{bit}", product[bit]) for bit in range(2 * OPERAND)),
            *((("a", "BEL", place),) if place else ()),
        )
        return Cat(product[2 * OPERAND - len(a) - len(b) :]).as_signed()

    def add(
        self,
        m: Module,
        number: int,
        accumulator: Signal,
        first: Value,
        term: Value,
        carry: Value | None,
    ) -> Value:
        # The bit above the highest is the carry out: that of the last cell, or what its second half
        # makes of two zeros.
        width = len(accumulator)
        pairs = -(-width // 2)
        total = [Signal(name=f"total_{number}_{bit}") for bit in range(2 * pairs)]
        addend, kept = (Cat(value, C(0, 2 * pairs - width)) for value in (term, accumulator))
        carries = C(0, 1) if carry is None else carry
        for pair in range(pairs):
            following = Signal(name=f"carry_{number}_{pair}")
            halves: list[tuple[str, str, Value]] = []
            for half in range(2):
                bit = 2 * pair + half
                inputs = {"A": addend[bit], "B": kept[bit], "C": first, "D": C(1, 1)}
                halves += [("i", f"{name}{half}", value) for name, value in inputs.items()]
                halves += [("o", f"S{half}", total[bit])]
            m.submodules[f"sum_{number}_{pair:02}"] = Instance(
                "CCU2C",
                *(("p", f"INIT{half}", Const(LOAD_OR_ADD, 16)) for half in range(2)),
                *(("p", f"INJECT1_{half}", "NO") for half in range(2)),
                *halves,
                ("i", "CIN", carries),
                ("o", "COUT", following),
            )
            carries = following
        return Cat(*total, carries)[: width + 1]
