"""Lattice iCE40 UltraPlus: SB_MAC16, with all of its registers.

Operands of 9 to 16 bits: a node is a block, and the block accumulates. Its own way to begin a sum,
OLOAD, takes C and D *instead of* a product and so costs the clock of one; so the sum comes back to
C and D through a row of look-up tables that make it zero for a sum's first product, and the block
adds the product to that. The block's 32 bits need no carry in fabric. What an accumulator has above
them is counted there from the block's highest two bits: a product of 16 x 16 bits is at most a
quarter of 2^32 in magnitude, so a sum that wraps around goes from the last quarter to the first or
the other way round.

Operands of up to 8 bits: two nodes share a block, which has two multipliers of 8 x 8 bits. Its
adders stand between a product and its output register and add zero. The accumulators are in fabric,
where a logic cell holds a bit of load-or-add: its look-up table takes the adder's three inputs and
`first`.

Figures: Lattice TN1295, "DSP Function Usage Guide for iCE40 Devices".
"""

from collections.abc import Sequence

from amaranth.hdl import C, Cat, ClockSignal, Instance, Module, Mux, Signal, Value

from golden.macc import MaccConfig
from hdl.cells.base import Cells
from hdl.cells.generic import Generic
from hdl.delay import late

#: Bits of an operand of a block, and of half a block.
OPERAND, HALF = 16, 8
#: Bits of a block's accumulator.
ACCUMULATOR = 2 * OPERAND
#: Registers of operands and products, signed operands, and adders' other inputs from C and D: what
#: both of the block's uses have in common. Output select 1 is the register behind an adder.
COMMON = {
    **dict.fromkeys(("A_REG", "B_REG", "A_SIGNED", "B_SIGNED"), 1),
    **dict.fromkeys(("C_REG", "D_REG", "NEG_TRIGGER"), 0),
    **dict.fromkeys(("TOP_8x8_MULT_REG", "BOT_8x8_MULT_REG"), 1),
    **dict.fromkeys(("TOPADDSUB_UPPERINPUT", "BOTADDSUB_UPPERINPUT"), 1),
    **dict.fromkeys(("TOPOUTPUT_SELECT", "BOTOUTPUT_SELECT"), 1),
    "BOTADDSUB_CARRYSELECT": 0,
}
#: A product of 16 x 16 bits (lower input 2), added in 32 bits: the upper adder's carry is the lower
#: one's.
WHOLE = COMMON | {
    "MODE_8x8": 0,
    **dict.fromkeys(("PIPELINE_16x16_MULT_REG1", "PIPELINE_16x16_MULT_REG2"), 1),
    **dict.fromkeys(("TOPADDSUB_LOWERINPUT", "BOTADDSUB_LOWERINPUT"), 2),
    "TOPADDSUB_CARRYSELECT": 2,
}
#: Two products of 8 x 8 bits (lower input 1), each behind an adder of its own.
HALVES = COMMON | {
    "MODE_8x8": 1,
    **dict.fromkeys(("PIPELINE_16x16_MULT_REG1", "PIPELINE_16x16_MULT_REG2"), 0),
    **dict.fromkeys(("TOPADDSUB_LOWERINPUT", "BOTADDSUB_LOWERINPUT"), 1),
    "TOPADDSUB_CARRYSELECT": 0,
}
#: Inputs that hold, load, subtract, reset or cascade.
UNUSED = (
    *(f"{name}{half}" for name in ("IRST", "ORST", "OLOAD", "OHOLD") for half in ("TOP", "BOT")),
    *("ADDSUBTOP", "ADDSUBBOT", "AHOLD", "BHOLD", "CHOLD", "DHOLD"),
    *("CI", "ACCUMCI", "SIGNEXTIN"),
)


class Ice40(Cells):
    """iCE40 UltraPlus's blocks, a node each or two in one."""

    name = "ice40"
    widest = OPERAND
    # Registers of a block's operands, of its products and behind its adders; in front of them one
    # in fabric, which is also a neighbour's hop.
    multiplier_latency = 4
    note = (
        "For Yosys: synth_ice40 without -dsp. With it, Yosys makes every SB_MAC16 anew and loses "
        "the registers inside."
    )

    def pairs(self, config: MaccConfig) -> bool:
        return max(config.a.width, config.b.width) <= HALF

    def products(
        self,
        m: Module,
        operands: Sequence[tuple[Value, Value]],
        name: str,
        place: str | None = None,
    ) -> list[Value]:
        sides = []
        for side, values in zip("ab", zip(*operands)):
            extended = []
            for number, value in enumerate(values):
                operand = Signal(HALF, name=f"{name}_{side}_{number}")
                m.d.comb += operand.eq(late(m, value, f"{side}_operand_{number}"))
                extended.append(operand)
            sides.append(Cat(extended, C(0, OPERAND - HALF * len(operands))))
        out = Signal(ACCUMULATOR, name=f"{name}_out")
        zero = C(0, OPERAND)
        m.submodules[name] = _block(HALVES, sides[0], sides[1], zero, zero, out, place)
        return [
            out[OPERAND * number :][: len(a) + len(b)].as_signed()
            for number, (a, b) in enumerate(operands)
        ]

    def multiply(self, m: Module, a: Value, b: Value, place: str | None) -> Value:
        (product,) = self.products(m, [(a, b)], "multiplier", place)
        return product

    def accumulators(
        self, m: Module, config: MaccConfig, a: Value, b: Value, first: Value, place: str | None
    ) -> list[Signal]:
        if self.pairs(config):
            return super().accumulators(m, config, a, b, first, place)
        operands = []
        for side, value in (("a", a), ("b", b)):
            operand = Signal(OPERAND, name=f"multiplier_{side}")
            m.d.comb += operand.eq(late(m, value, f"{side}_operand"))
            operands.append(operand)
        first = self.control(m, first, "first_0")
        total = Signal(ACCUMULATOR, name="total")
        kept = Signal(ACCUMULATOR, name="kept")
        inside = min(config.width, ACCUMULATOR)
        m.d.comb += kept.eq(Mux(first, 0, total[:inside]))
        m.submodules.multiplier = _block(
            WHOLE, operands[0], operands[1], kept[OPERAND:], kept[:OPERAND], total, place
        )
        # The sum wraps around upward or downward: seen a clock later, when the block shows the sum.
        before, after = late(m, kept[-2:], "quarter"), total[-2:]
        down: Value = (before == 0b00) & (after == 0b11)
        carry: Value = (before == 0b11) & (after == 0b00)
        begins: Value = first
        segments: list[Signal] = []
        for number, (low, high) in enumerate(config.cuts):
            segment = Signal(high - low, name=f"accumulator_{number}")
            segments.append(segment)
            parts: list[Value] = []
            if low < ACCUMULATOR:
                below = min(high, ACCUMULATOR)
                parts.append(late(m, total[low:below], f"total_{number}", number))
            if high > ACCUMULATOR:
                # Its register is as late as the segment; that of an only segment would be too late,
                # and what goes into it is the sum.
                clocks = 1 if low > ACCUMULATOR else max(number - 1, 0)
                begins = late(m, begins, f"first_{number + 1}", clocks + (low <= ACCUMULATOR))
                down = late(m, down, f"down_{number}", clocks)
                carry = late(m, carry, f"carry_{number}", clocks)
                term = Signal(high - max(low, ACCUMULATOR), name=f"term_{number}")
                counted = Signal(len(term), name=f"counted_{number}", reset_less=True)
                m.d.comb += term.eq(down.replicate(len(term)))
                following = self.add(m, number, counted, begins, term, carry)
                m.d.sync += counted.eq(following)
                parts.append(counted if number else following[: len(counted)])
                carry = following[-1]
            m.d.comb += segment.eq(Cat(parts))
        return segments

    def ternary(
        self, m: Module, config: MaccConfig, a: Value, b: Value, first: Value
    ) -> list[Signal]:
        # What a subtraction carries belongs to the sum that it begins: `add` would drop it.
        return Generic().ternary(m, config, a, b, first)

    def add(
        self,
        m: Module,
        number: int,
        accumulator: Signal,
        first: Value,
        term: Value,
        carry: Value | None,
    ) -> Value:
        # The multiplexer behind the adder, not in front of it: a carry cell and its look-up table
        # have the adder's inputs in common, and the table one more. What carry there is when a sum
        # begins is of no sum: the segment above takes its term as well.
        width = len(accumulator)
        total = Signal(width + 1, name=f"sum_{number}")
        if carry is None:
            m.d.comb += total.eq(accumulator + term)
        else:
            # It comes in below both of them, where a constant 1 makes it a carry again: nextpnr's
            # router may never end where a carry cell has one signal twice.
            m.d.comb += total.eq((Cat(carry, accumulator) + Cat(C(1, 1), term))[1:])
        return Cat(Mux(first, term, total[:width]), total[width])


def _block(
    parameters: dict[str, int],
    a: Value,
    b: Value,
    c: Value,
    d: Value,
    out: Signal,
    place: str | None,
) -> Instance:
    """A block; `c` and `d` are the upper and the lower adder's other inputs."""
    return Instance(
        "SB_MAC16",
        *(
            ("p", name, C(value, 2 if "SELECT" in name or "LOWER" in name else 1))
            for name, value in parameters.items()
        ),
        ("i", "CLK", ClockSignal()),
        ("i", "CE", C(1, 1)),
        *(("i", name, value) for name, value in zip("ABCD", (a, b, c, d))),
        *(("i", name, C(0, 1)) for name in UNUSED),
        ("o", "O", out),
        *((("a", "BEL", place),) if place else ()),
    )
