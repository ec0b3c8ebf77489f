"""Xilinx 7-series: a DSP48E1 a node, with its accumulator, and one a rounder (Gupta et al. 2015,
section 5, "DSP ROUND").

A node's block multiplies and accumulates: nothing of the sum is in fabric. `first` chooses what the
product is added to by one bit of OPMODE, between P, the sum so far, and C, which is zero. The sum
is there as a whole; a configuration that cuts it in segments has registers to hold the upper ones
back, and nothing gained: take one segment.

A rounder's block adds to the sum what the rounding calls for, random bits or a constant, and its
pattern detector says whether all the bits above the result are equal: if not, the result saturates.
Random bits are an operand like any other, so that stochastic rounding costs its generator alone.
"""

from amaranth.hdl import C, Cat, ClockSignal, Const, Instance, Module, Mux, Signal, Value

from golden.macc import PRODUCT_LATENCY, MaccConfig
from hdl.cells.base import MULTIPLIER_LATENCY
from hdl.cells.generic import Generic
from hdl.delay import late

#: Bits of the multiplier's operands.
WIDE, NARROW = 25, 18
#: Bits of the operand A in front of the adder, where it stands above B.
ABOVE = 30
#: Bits of the adder.
SUM = 48
#: What the adder adds, by the multiplexers in front of it. Z, the highest three bits, is P or, with
#: their lowest bit, C; X and Y, two bits each, are the product, or A and B side by side and zero.
ACCUMULATE, BEGIN, ADD = 0b010_01_01, 0b011_01_01, 0b011_00_11
#: Control inputs of the block: enables, which are always on, resets, which never are, and the rest.
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
        self, m: Module, config: MaccConfig, a: Value, b: Value, first: Value, place: str | None
    ) -> list[Signal]:
        # Two registers for operands and one for the product are in the block. What comes before
        # them are twins of a neighbour's hops in an array, which tools make one of.
        spare = PRODUCT_LATENCY - 1 - MULTIPLIER_LATENCY
        a, b = late(m, a, "a_spare", spare), late(m, b, "b_spare", spare)
        if len(b) > NARROW:
            a, b = b, a
        total = _block(
            m,
            "multiplier",
            parameters={"AREG": 2, "BREG": 2},
            operands=(_extended(a, ABOVE), _extended(b, NARROW), C(0, SUM)),
            # They differ in one bit, and that is `first`.
            mode=Mux(first, C(BEGIN, 7), C(ACCUMULATE, 7)),
        )
        segments = []
        for number, (low, high) in enumerate(config.cuts):
            accumulator = Signal(high - low, name=f"accumulator_{number}")
            m.d.comb += accumulator.eq(late(m, total[low:high], f"sum_{number}", number))
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
    """The signed `value` in `width` bits."""
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
    """A DSP48E1 that runs at every clock; its sum.

    Parameters
    ----------
    m, name
        Where it goes and what it is called.
    parameters
        What differs from the block's defaults: a register each for operands, OPMODE, the product
        and the sum.
    operands, mode
        A, B, C and OPMODE.
    outputs
        Other outputs that are read.
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
