"""Lattice iCE40 UltraPlus: SB_MAC16, with all of its registers.

Operands of 9 to 16 bits: each node has a block, and the block accumulates. OLOAD, the block's own
way to begin a sum, loads C and D instead of a product and would cost one clock per sum. So the sum
returns to C and D through look-up tables that replace it by zero for the first product of a sum,
and the block adds the product to that. The block's 32 bits need no carry in fabric. Accumulator
bits above them are counted in fabric, from the block's highest two bits: a product of 16 x 16 bits
is at most 2^30 in magnitude, a quarter of the range, so a sum that wraps around goes from the
highest quarter to the lowest or back.

Operands of up to 8 bits: two nodes of an array share a block, which has two multipliers of 8 x 8
bits; a node on its own uses half a block. In a block, an adder stands between a product and its
output register; here it adds zero. The accumulators are in fabric, where one logic cell holds one
bit of load-or-add: its look-up table has the adder's three inputs and `first`.

Source: Lattice TN1295, "DSP Function Usage Guide for iCE40 Devices".
"""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import C, Cat, ClockSignal, Instance, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import In, Member

from golden.macc import MaccConfig
from hdl.cells.base import Cells
from hdl.cells.generic import Generic
from hdl.delay import registered

#: Operand widths of a whole block and of half a block.
OPERAND, HALF = 16, 8
#: Width of a block's accumulator.
ACCUMULATOR = 2 * OPERAND
#: Parameters of both modes: registers for operands and products, signed operands, and C and D as
#: the second operands of the adders. Output select 1 is the register behind an adder.
COMMON = {
    **dict.fromkeys(("A_REG", "B_REG", "A_SIGNED", "B_SIGNED"), 1),
    **dict.fromkeys(("C_REG", "D_REG", "NEG_TRIGGER"), 0),
    **dict.fromkeys(("TOP_8x8_MULT_REG", "BOT_8x8_MULT_REG"), 1),
    **dict.fromkeys(("TOPADDSUB_UPPERINPUT", "BOTADDSUB_UPPERINPUT"), 1),
    **dict.fromkeys(("TOPOUTPUT_SELECT", "BOTOUTPUT_SELECT"), 1),
    "BOTADDSUB_CARRYSELECT": 0,
}
#: One product of 16 x 16 bits (lower input 2), added in 32 bits: the upper adder takes the carry of
#: the lower one.
WHOLE = COMMON | {
    "MODE_8x8": 0,
    **dict.fromkeys(("PIPELINE_16x16_MULT_REG1", "PIPELINE_16x16_MULT_REG2"), 1),
    **dict.fromkeys(("TOPADDSUB_LOWERINPUT", "BOTADDSUB_LOWERINPUT"), 2),
    "TOPADDSUB_CARRYSELECT": 2,
}
#: Two products of 8 x 8 bits (lower input 1), each with its own adder.
HALVES = COMMON | {
    "MODE_8x8": 1,
    **dict.fromkeys(("PIPELINE_16x16_MULT_REG1", "PIPELINE_16x16_MULT_REG2"), 0),
    **dict.fromkeys(("TOPADDSUB_LOWERINPUT", "BOTADDSUB_LOWERINPUT"), 1),
    "TOPADDSUB_CARRYSELECT": 0,
}
#: Inputs that hold, load, subtract, reset or cascade; constantly 0.
UNUSED = (
    *(f"{name}{half}" for name in ("IRST", "ORST", "OLOAD", "OHOLD") for half in ("TOP", "BOT")),
    *("ADDSUBTOP", "ADDSUBBOT", "AHOLD", "BHOLD", "CHOLD", "DHOLD"),
    *("CI", "ACCUMCI", "SIGNEXTIN"),
)


class Ice40(Cells):
    """iCE40 UltraPlus's multiply-accumulate blocks, one for each node or for two."""

    name = "ice40"
    widest = OPERAND
    note = (
        "For Yosys: synth_ice40 without -dsp. With it, Yosys makes every SB_MAC16 anew and loses "
        "the registers inside."
    )

    def for_array(self, config: MaccConfig, places: Sequence[Sequence[str]] | None = None) -> Cells:
        if config.ternary or not _narrow(config):
            return self
        if places is not None:
            raise ValueError("places: two nodes share a multiplier here, None is wanted")
        return Shared()

    def multiply(self, m: Module, a: Value, b: Value, place: str | None) -> Value:
        (product,) = _products(m, [(a, b)], "multiplier", place)
        return product

    def accumulators(
        self, m: Module, node: Any, a: Value, b: Value, first: Value
    ) -> Sequence[Value]:
        config: MaccConfig = node.config
        if _narrow(config):
            return super().accumulators(m, node, a, b, first)
        operands = []
        for side, value in (("a", a), ("b", b)):
            operand = Signal(OPERAND, name=f"multiplier_{side}")
            m.d.comb += operand.eq(registered(m, value, f"{side}_operand"))
            operands.append(operand)
        first = self.control(m, first, "first_0")
        total = Signal(ACCUMULATOR, name="total")
        kept = Signal(ACCUMULATOR, name="kept")
        inside = min(config.width, ACCUMULATOR)
        m.d.comb += kept.eq(Mux(first, 0, total[:inside]))
        m.submodules.multiplier = _block(
            WHOLE, operands[0], operands[1], kept[OPERAND:], kept[:OPERAND], total, node.place
        )
        # Wrapping upward carries 1 into the bits above the block, wrapping downward adds -1 (all
        # ones) to them. Both are seen when the block shows the sum, by its previous quarter.
        before, after = registered(m, kept[-2:], "quarter"), total[-2:]
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
                parts.append(registered(m, total[low:below], f"total_{number}", number))
            if high > ACCUMULATOR:
                # The register `counted` is the last clock of this segment's lag. Segment 0 has no
                # lag and takes the register's next value instead.
                clocks = 1 if low > ACCUMULATOR else max(number - 1, 0)
                begins = registered(m, begins, f"first_{number + 1}", clocks + (low <= ACCUMULATOR))
                down = registered(m, down, f"down_{number}", clocks)
                carry = registered(m, carry, f"carry_{number}", clocks)
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
    ) -> Sequence[Value]:
        # `add` ignores the carry when a sum begins, but here the carry is part of the subtraction.
        return Generic().ternary(m, config, a, b, first)

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
        """Add `term`, `carry` and the accumulator, or return `term` if `first`; an `Adder`."""
        # The multiplexer is behind the adder: a carry cell and its look-up table share the adder's
        # inputs, and the table has one input to spare. A carry that arrives as a sum begins is left
        # from the previous sum, so `term` alone is right for the segment above as well.
        width = len(accumulator)
        total = Signal(width + 1, name=f"sum_{number}")
        if carry is None:
            m.d.comb += total.eq(accumulator + term)
        else:
            # The carry enters below both operands, beside a constant 1 that turns it into a carry
            # again: nextpnr's router may not terminate where a carry cell has one signal twice.
            m.d.comb += total.eq((Cat(carry, accumulator) + Cat(C(1, 1), term))[1:])
        return Cat(Mux(first, term, total[:width]), total[width])


class Shared(Ice40):
    """Nodes of an array that share multiplier blocks: each has a port for its products.

    The port `product` is the signed product of the operands that were at `a` and `b`
    `PRODUCT_LATENCY` clocks before.
    """

    def node_ports(self, config: MaccConfig) -> dict[str, Member]:
        if config.ternary:
            return {}
        return {"product": In(signed(config.a.width + config.b.width))}

    def accumulators(
        self, m: Module, node: Any, a: Value, b: Value, first: Value
    ) -> Sequence[Value]:
        return self.sums(m, node.config, node.product, first)

    def connect(self, m: Module, nodes: Sequence[Sequence[Any]]) -> None:
        # Left to right and right to left in turn, so that two successive nodes are neighbours.
        order = [
            node
            for number, row in enumerate(nodes)
            for node in (reversed(row) if number % 2 else row)
        ]
        for number in range(0, len(order), 2):
            pair = order[number : number + 2]
            operands = [(node.a_out, node.b_out) for node in pair]
            products = _products(m, operands, f"multiplier_{number // 2}")
            for node, product in zip(pair, products, strict=True):
                m.d.comb += node.product.eq(product)


def _narrow(config: MaccConfig) -> bool:
    """Return whether half a block is enough for a product."""
    return max(config.a.width, config.b.width) <= HALF


def _products(
    m: Module, operands: Sequence[tuple[Value, Value]], name: str, place: str | None = None
) -> list[Value]:
    """Make one block for the products of one or two nodes.

    Parameters
    ----------
    m
        Module that gets the block.
    operands
        a and b of each node, registered once behind the node's ports.
    name, place
        Name and location of the block.

    Returns
    -------
    list of Value
        A signed product for each node, `PRODUCT_LATENCY` clocks behind the nodes' ports.
    """
    sides = []
    for side, values in zip("ab", zip(*operands)):
        extended = []
        for number, value in enumerate(values):
            operand = Signal(HALF, name=f"{name}_{side}_{number}")
            m.d.comb += operand.eq(registered(m, value, f"{side}_operand_{number}"))
            extended.append(operand)
        sides.append(Cat(extended, C(0, OPERAND - HALF * len(operands))))
    out = Signal(ACCUMULATOR, name=f"{name}_out")
    zero = C(0, OPERAND)
    m.submodules[name] = _block(HALVES, sides[0], sides[1], zero, zero, out, place)
    return [
        out[OPERAND * number :][: len(a) + len(b)].as_signed()
        for number, (a, b) in enumerate(operands)
    ]


def _block(
    parameters: dict[str, int],
    a: Value,
    b: Value,
    c: Value,
    d: Value,
    out: Signal,
    place: str | None,
) -> Instance:
    """Return a block; `c` and `d` are the second operands of the upper and the lower adder."""
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
