"""Xilinx 7-series: a DSP48E1 for each node, which also accumulates, and one for each rounder
(Gupta et al. 2015, section 5, "DSP ROUND").

A node's block multiplies and accumulates; nothing of the sum is in fabric. `first` selects by one
bit of OPMODE whether the product is added to P, the sum so far, or to C, which is zero. The block
computes the whole sum at once, so a configuration with several segments only adds registers that
delay the upper ones: use one segment.

A rounder's block adds random bits or a constant to the sum. Its pattern detector reports whether
all bits above the result are equal; if not, the result saturates. Random bits are an operand like
any other, so stochastic rounding costs no more than its generator.
"""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import C, Cat, ClockSignal, Const, Instance, Module, Mux, Signal, Value

from golden.macc import PRODUCT_LATENCY, MaccConfig
from hdl.cells.generic import Generic
from hdl.delay import registered

#: Widths of the multiplier's operands.
WIDE, NARROW = 25, 18
#: Width of the port A: as the adder's operand, it stands above the 18 bits of B.
ABOVE = 30
#: Width of the adder.
SUM = 48
#: Clocks from the multiplier's operands to its product: two registers for operands, one behind it.
MULTIPLIER_LATENCY = 3
#: OPMODE, the adder's operands. Its highest three bits select Z: 010 is P and 011 is C. Two bits
#: each select Y and X: 01 and 01 are the product, 00 and 11 are zero and A above B.
ACCUMULATE, BEGIN, ADD = 0b010_01_01, 0b011_01_01, 0b011_00_11
#: Control inputs of the block: clock enables (constantly 1), resets and others (constantly 0).
ENABLES = ("A1", "A2", "B1", "B2", "C", "D", "AD", "M", "P", "CARRYIN", "CTRL", "ALUMODE", "INMODE")
RESETS = ("A", "B", "C", "D", "M", "P", "ALLCARRYIN", "CTRL", "ALUMODE", "INMODE")
IDLE = {"D": 25, "ALUMODE": 4, "INMODE": 5, "CARRYIN": 1, "CARRYINSEL": 3}


class Xilinx(Generic):
    """The 7-series' DSP blocks."""

    name = "xc7"

    def check_multiplier(self, config: MaccConfig) -> None:
        a, b = config.a, config.b
        if min(a.width, b.width) > NARROW:
            raise ValueError(
                f"a = {a}, b = {b}: a multiplier of {self.name} takes operands of up to {WIDE} "
                f"and {NARROW} bits"
            )
        if config.width > SUM:
            raise ValueError(
                f"depth = {config.depth}: the sum of {config.width} bits is over the {SUM} of an "
                f"accumulator of {self.name}"
            )

    def accumulators(
        self, m: Module, node: Any, a: Value, b: Value, first: Value
    ) -> Sequence[Value]:
        # The block has fewer registers than PRODUCT_LATENCY asks for. The ones in front of it here
        # equal a neighbour's hops in an array, and tools merge both.
        spare = PRODUCT_LATENCY - 1 - MULTIPLIER_LATENCY
        a, b = registered(m, a, "a_spare", spare), registered(m, b, "b_spare", spare)
        if len(b) > NARROW:
            a, b = b, a
        total = _block(
            m,
            "multiplier",
            parameters={"AREG": 2, "BREG": 2},
            operands=(_extended(a, ABOVE), _extended(b, NARROW), C(0, SUM)),
            # The two modes differ in one bit, which `first` drives.
            mode=Mux(first, C(BEGIN, 7), C(ACCUMULATE, 7)),
        )
        segments = []
        for number, (low, high) in enumerate(node.config.cuts):
            accumulator = Signal(high - low, name=f"accumulator_{number}")
            m.d.comb += accumulator.eq(registered(m, total[low:high], f"sum_{number}", number))
            segments.append(accumulator)
        return segments

    def rounding_sum(
        self, m: Module, z: Value, addend: Value, sign: int, name: str
    ) -> tuple[Value, Value] | None:
        width = max(len(z), len(addend) + 1) + 1
        if width > SUM:
            return None
        zeros, ones = Signal(name=f"{name}_zeros"), Signal(name=f"{name}_ones")
        padded = Cat(addend, C(0, SUM - len(addend)))
        total = _block(
            m,
            name,
            parameters={
                "USE_MULT": "NONE",
                "MREG": 0,
                "OPMODEREG": 0,
                "USE_PATTERN_DETECT": "PATDET",
                "PATTERN": Const(0, SUM),
                "MASK": Const((1 << min(sign, SUM)) - 1, SUM),
            },
            operands=(padded[NARROW:], padded[:NARROW], _extended(z, SUM)),
            mode=C(ADD, 7),
            outputs={"PATTERNDETECT": zeros, "PATTERNBDETECT": ones},
        )
        return total[:width].as_signed(), zeros | ones


def _extended(value: Value, width: int) -> Value:
    """Return `value` sign-extended to `width` bits."""
    return Cat(value, value[-1].replicate(width - len(value)))


def _block(
    m: Module,
    name: str,
    *,
    parameters: dict[str, int | str | Const],
    operands: tuple[Value, Value, Value],
    mode: Value,
    outputs: dict[str, Signal] | None = None,
) -> Signal:
    """Make a DSP48E1 that is enabled in every clock.

    Parameters
    ----------
    m, name
        Module that gets the block, and name of the block.
    parameters
        Differences from the block's defaults, which have one register each for operands, OPMODE,
        product and sum.
    operands, mode
        A, B, C and OPMODE.
    outputs
        Signals for outputs other than P.

    Returns
    -------
    Signal
        P, the sum, of 48 bits.
    """
    a, b, c = operands
    total = Signal(SUM, name=f"{name}_sum")
    m.submodules[name] = Instance(
        "DSP48E1",
        *(("p", parameter, value) for parameter, value in parameters.items()),
        ("i", "CLK", ClockSignal()),
        *(("i", f"CE{register}", C(1, 1)) for register in ENABLES),
        *(("i", f"RST{register}", C(0, 1)) for register in RESETS),
        *(("i", port, C(0, width)) for port, width in IDLE.items()),
        *(("i", port, value) for port, value in zip("ABC", (a, b, c))),
        ("i", "OPMODE", mode),
        ("o", "P", total),
        *(("o", port, signal) for port, signal in (outputs or {}).items()),
    )
    return total
