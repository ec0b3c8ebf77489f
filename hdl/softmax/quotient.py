"""Quotients of an exponential and the sum: one per clock, in a stage for each of their 17 bits.

The divider does not restore. Its remainder stays within plus and minus the divisor: a stage doubles
it and then subtracts the divisor or, if it is negative, adds it. So each stage is one addition. A
bit of the quotient is 1 where the remainder is not negative, as if it had been restored.
"""

from amaranth.hdl import C, Cat, Module, Value, unsigned

from golden.softmax import SoftmaxConfig
from golden.softmax.config import QUOTIENT_LATENCY
from hdl.delay import registered
from hdl.pipeline import Pipeline

#: Fraction bits of a quotient.
FRACTION = 16


class QuotientPipeline(Pipeline):
    """floor(numerator * 2^16 / divisor), for numerators that are not above their divisor.

    Parameters
    ----------
    config
        The configuration of the unit: the divisor is a sum of its exponentials.

    Members
    -------
    operand : In(stream of {numerator: 17 bits; divisor: `sum_width` bits})
        An exponential, and the sum, which is at least the exponential and not 0.
    result : Out(stream of {quotient: 17 bits})
        The quotient, 17 clocks later, from 0 to 2^16; not specified while `valid` is low.
    """

    def __init__(self, config: SoftmaxConfig):
        super().__init__(
            config,
            operand={
                "numerator": unsigned(FRACTION + 1),
                "divisor": unsigned(config.sum_width),
            },
            result={"quotient": unsigned(FRACTION + 1)},
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = self.config.sum_width + 1  # of a remainder, with its sign
        valid = registered(m, self.operand.valid, "valid", QUOTIENT_LATENCY, reset_less=False)
        m.d.comb += self.result.valid.eq(valid)

        numerator, divisor = self.operand.payload.numerator, self.operand.payload.divisor
        remainder = registered(m, (numerator - divisor)[:width], "remainder_0")
        divisor = registered(m, divisor, "divisor_0")
        quotient: Value = C(0, 0)
        for step in range(1, FRACTION + 1):
            negative = remainder[-1]
            # -divisor is ~divisor + 1, and the doubled remainder has room for the 1.
            doubled = Cat(~negative, remainder[:-1])
            addend = Cat(divisor, 0) ^ (~negative).replicate(width)
            remainder = registered(m, (doubled + addend)[:width], f"remainder_{step}")
            quotient = registered(m, Cat(~negative, quotient), f"quotient_{step}")
            if step < FRACTION:
                divisor = registered(m, divisor, f"divisor_{step}")
        m.d.comb += self.result.payload.quotient.eq(Cat(~remainder[-1], quotient))
        return m
