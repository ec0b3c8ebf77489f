"""Lattice ECP5: MULT18X18D with all of its registers, sums in CCU2C carry cells, and memories in
DP16KD (`hdl/cells/ecp5_memory.py`).

One look-up table of the carry cell chooses between adding to the sum and beginning it anew, so
nothing stands in front of the carry chain. With A the addend, B the accumulator, C `first` and
D = 1, INIT 0xA6AA computes A ^ (B & ~C); its low four bits compute A, which the chain uses as
generate. From a multiplexer and an adder, Yosys would make a row of look-up tables in front of the
carry cells.

A ternary node is one row of such cells. With A the operand, B the sign of b, C the accumulator and
D `first`, INIT 0x6696 computes A ^ B ^ (C & ~D); its low four bits compute A ^ B, the generate. So
the cells add or subtract the operand, and begin the sum or go on with it. Where b is 0, the
accumulator's clock enable keeps the sum, or its synchronous reset clears it for a new one.
"""

from collections.abc import Sequence

from amaranth.hdl import C, Cat, ClockSignal, Const, Instance, Module, Signal, Value

from golden.macc import MaccConfig
from hdl.cells import ecp5_memory
from hdl.cells.base import Cells
from hdl.cells.memory import blocks, cut
from hdl.delay import registered

#: Operand width of the multiplier block.
OPERAND = 18
#: INIT of a carry cell: A ^ (B & ~C) with D = 1; generate A.
LOAD_OR_ADD = 0xA6AA
#: INIT of a carry cell: A ^ B ^ (C & ~D); generate A ^ B.
ADD_OR_SUBTRACT = 0x6696


class Ecp5(Cells):
    """ECP5's multiplier blocks and carry cells."""

    name = "ecp5"
    widest = OPERAND
    duplicate = True
    counts_memories = True

    def multiply(self, m: Module, a: Value, b: Value, place: str | None) -> Value:
        # Operands are aligned to the block's highest bit: zeros below cost nothing, whereas sign
        # extension would give the sign bit a fan-out.
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
            # ENABLED: registers store at rising edges only; otherwise at both edges.
            ("p", "CLK0_DIV", "ENABLED"),
            ("p", "GSR", "DISABLED"),
            *(("i", name, value) for name, value in ports.items()),
            *(("o", f"P{bit}", product[bit]) for bit in range(2 * OPERAND)),
            *((("a", "BEL", place),) if place else ()),
        )
        exact = Cat(product[2 * OPERAND - len(a) - len(b) :]).as_signed()
        return registered(m, exact, "product_out_0")

    def sums(
        self,
        m: Module,
        config: MaccConfig,
        product: Value,
        first: Value,
        carry: Value | None = None,
    ) -> Sequence[Value]:
        return self.segments(m, config, product, first, carry, _load_or_add)

    def ternary(
        self, m: Module, config: MaccConfig, a: Value, b: Value, first: Value
    ) -> Sequence[Value]:
        operand = registered(m, a, "operand")
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
                operand = registered(
                    m,
                    operand[min(lower, len(operand) - 1) :].as_signed(),
                    f"operand_high_{number}",
                )
            term = Signal(high - low, name=f"term_{number}")
            m.d.comb += term.eq(operand)
            accumulator = Signal(high - low, name=f"accumulator_{number}", reset_less=True)
            # The lowest half cell generates the carry into the chain.
            carry_in = negative if carry is None else carry
            bits: list[tuple[Value, Value, Value, Value]] = [(carry_in, C(0, 1), carry_in, C(0, 1))]
            bits += [(term[k], negative, accumulator[k], first) for k in range(high - low)]
            total = _chain(m, number, ADD_OR_SUBTRACT, bits, C(0, 1))[1:]
            with m.If(controls["clears"]):
                m.d.sync += accumulator.eq(0)
            with m.Elif(controls["moves"]):
                m.d.sync += accumulator.eq(total)
            segments.append(accumulator)
            if number < len(config.cuts) - 1:
                carry = registered(m, total[high - low], f"carry_{number}")
        return segments

    def bank(
        self, m: Module, name: str, words: int, width: int, **ports: Value
    ) -> tuple[Value, Value]:
        return ecp5_memory.bank(m, name, words, width, **ports)

    def rows(
        self, m: Module, name: str, words: int, width: int, *, clocks: int = 2, **ports: Value
    ) -> Value:
        if not self.rows_blocks(words, width, clocks):
            return super().rows(m, name, words, width, clocks=clocks, **ports)
        return ecp5_memory.rows(m, name, words, width, clocks=clocks, **ports)

    def bank_blocks(self, words: int, width: int) -> int:
        return blocks(cut(ecp5_memory.TWO_PORTS, width, words), width)

    def rows_blocks(self, words: int, width: int, clocks: int = 2) -> int:
        # Look-up tables show a word in less than a clock. Up to 16 of their blocks, of 16 words of
        # 4 bits, Yosys takes them for a memory that it infers.
        if clocks == 1 and -(-words // 16) * -(-width // 4) <= 16:
            return 0
        return blocks(cut(ecp5_memory.READ_AND_WRITE, width, words), width)


def _load_or_add(
    m: Module,
    number: int,
    accumulator: Signal,
    first: Value,
    term: Value,
    carry: Value | None,
) -> Value:
    """Add `term`, `carry` and, unless `first`, the accumulator; an `Adder`."""
    bits = [(term[bit], accumulator[bit], first, C(1, 1)) for bit in range(len(accumulator))]
    return _chain(m, number, LOAD_OR_ADD, bits, C(0, 1) if carry is None else carry)


def _chain(
    m: Module,
    number: int,
    table: int,
    bits: Sequence[tuple[Value, Value, Value, Value]],
    carry_in: Value,
) -> Value:
    """Make a row of carry cells that all have the same look-up table.

    Parameters
    ----------
    m
        The node's module.
    number
        Number of the accumulator segment, for names.
    table
        INIT of every half cell.
    bits
        Inputs A, B, C and D of every half cell, lowest bit first.
    carry_in
        Carry into the lowest bit.

    Returns
    -------
    Value
        The sum, with the carry out above it: one bit more than `bits`.
    """
    # The carry out comes from the last cell. Where that cell's second half is unused, it adds two
    # zeros and the carry, so its sum is the carry out.
    pairs = -(-len(bits) // 2)
    padded = [*bits, (C(0, 1), C(0, 1), C(0, 1), C(1, 1))]
    total = [Signal(name=f"total_{number}_{bit}") for bit in range(2 * pairs)]
    for pair in range(pairs):
        carry_out = Signal(name=f"carry_{number}_{pair}")
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
            ("i", "CIN", carry_in),
            ("o", "COUT", carry_out),
        )
        carry_in = carry_out
    return Cat(*total, carry_in)[: len(bits) + 1]
