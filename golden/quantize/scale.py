"""Words of WAGE, and what the configurations of its units share."""

from typing import ClassVar


def limit(bits: int) -> int:
    """The largest code of a WAGE word, 1 - sigma: 2^(bits - 1) - 1. The range is symmetric."""
    return (1 << (bits - 1)) - 1


#: Meaning of the port `exponent`.
EXPONENT = "log2 of the tensor's scale, from wage-shift; read with each operand"


def exponent_bits(width: int) -> int:
    """Bits of the exponent of a tensor of `width`-bit values: it is at most `width` - 1."""
    return (width - 1).bit_length()


class OnePerClock:
    """What the configurations of the element-wise units have in common."""

    #: What each figure counts.
    FIGURES: ClassVar[dict[str, str]] = {
        "latency": "Clocks from the one that accepts an operand to the one that shows its result."
    }

    @property
    def throughput(self) -> str:
        """What a clock gives."""
        return "one vector of lanes a clock; i_ready falls only when the output is not taken"
