"""Lattice ECP5: MULT18X18D with all of its registers, sums in CCU2C carry cells.

The carry cell's look-up table holds load-or-add itself, with nothing in front of the chain:
with A the addend, B the accumulator, C `first` and D constantly 1, INIT 0xA6AA is A ^ (B & ~C), and
its low four bits, A, are what the chain generates. Yosys maps a multiplexer and an adder to a row
of look-up tables before the carry cells instead.

A ternary node is that row of carry cells and nothing before it. With A the operand, B its sign, C
the accumulator and D `first`, INIT 0x6696 is A ^ B ^ (C & ~D), and its low four bits, A ^ B, are
what the chain generates: the operand is added or subtracted, and begins the sum or goes on with it.
A zero is the registers' affair: they keep the sum, or, where it begins, are cleared.
"""

from collections.abc import Sequence

from amaranth.hdl import C, Cat, ClockSignal, Const, Instance, Module, Signal, Value

from golden.macc import MaccConfig
from hdl.cells.base import Cells
from hdl.delay import late

#: Bits of an operand of the multiplier block.
OPERAND = 18
#: A ^ (B & ~C) with D = 1, and A on the way to the carry.
LOAD_OR_ADD = 0xA6AA
#: A ^ B ^ (C & ~D), and A ^ B on the way to the carry.
ADD_OR_SUBTRACT = 0x6696


class Ecp5(Cells):
    """ECP5's multiplier blocks and carry cells."""

    name = "ecp5"
    widest = OPERAND
    apart = True

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
        bits = [(term[bit], accumulator[bit], first, C(1, 1)) for bit in range(len(accumulator))]
        return _chain(m, number, LOAD_OR_ADD, bits, C(0, 1) if carry is None else carry)

    def ternary(
        self, m: Module, config: MaccConfig, a: Value, b: Value, first: Value
    ) -> list[Signal]:
        operand = late(m, a, "operand")
        nonzero, negative = b[0], b[1]
        controls = {
            "negative": negative,
            "first": first,
            "moves": nonzero,
            "clears": first & ~nonzero,
        }
        segments: list[Signal] = []
        carry: Value | None = None
        for number, (low, high) in enumerate(config.cuts):
            controls = {
                name: self.control(m, value, f"sum_{name}_{number}")
                for name, value in controls.items()
            }
            negative, first = controls["negative"], controls["first"]
            if number:
                lower = low - config.cuts[number - 1][0]
                operand = late(
                    m,
                    operand[min(lower, len(operand) - 1) :].as_signed(),
                    f"operand_high_{number}",
                )
            term = Signal(high - low, name=f"term_{number}")
            m.d.comb += term.eq(operand)
            accumulator = Signal(high - low, name=f"accumulator_{number}", reset_less=True)
            # The first half cell generates the carry that comes in.
            enters = negative if carry is None else carry
            bits: list[tuple[Value, Value, Value, Value]] = [(enters, C(0, 1), enters, C(0, 1))]
            bits += [(term[k], negative, accumulator[k], first) for k in range(high - low)]
            total = _chain(m, number, ADD_OR_SUBTRACT, bits, C(0, 1))[1:]
            with m.If(controls["clears"]):
                m.d.sync += accumulator.eq(0)
            with m.Elif(controls["moves"]):
                m.d.sync += accumulator.eq(total)
            segments.append(accumulator)
            if number < len(config.cuts) - 1:
                carry = late(m, total[high - low], f"carry_{number}")
        return segments


def _chain(
    m: Module,
    number: int,
    table: int,
    bits: Sequence[tuple[Value, Value, Value, Value]],
    carries: Value,
) -> Value:
    """A row of carry cells with one look-up table for all: a sum, and the carry out above it.

    Parameters
    ----------
    m
        The node's module.
    number
        Of the accumulator's segment, for names.
    table
        INIT of every half cell.
    bits
        Its inputs A, B, C and D, lowest bit first.
    carries
        Into the lowest bit.
    """
    # The bit above the highest is the carry out of the last cell, or what its second half makes of
    # two zeros.
    pairs = -(-len(bits) // 2)
    padded = [*bits, (C(0, 1), C(0, 1), C(0, 1), C(1, 1))]
    total = [Signal(name=f"total_{number}_{bit}") for bit in range(2 * pairs)]
    for pair in range(pairs):
        following = Signal(name=f"carry_{number}_{pair}")
        halves: list[tuple[str, str, Value]] = []
        for half in range(2):
            bit = 2 * pair + half
            inputs = zip("ABCD", padded[bit])
            halves += [("i", f"{name}{half}", value) for name, value in inputs]
            halves += [("o", f"S{half}", total[bit])]
        m.submodules[f"sum_{number}_{pair:02}"] = Instance(
            "CCU2C",
            *(("p", f"INIT{half}", Const(table, 16)) for half in range(2)),
            *(("p", f"INJECT1_{half}", "NO") for half in range(2)),
            *halves,
            ("i", "CIN", carries),
            ("o", "COUT", following),
        )
        carries = following
    return Cat(*total, carries)[: len(bits) + 1]
