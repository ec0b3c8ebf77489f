"""Words of WAGE, and what the configurations of its units share."""


def limit(bits: int) -> int:
    """The largest code of a WAGE word, 1 - sigma: 2^(bits - 1) - 1. The range is symmetric."""
    return (1 << (bits - 1)) - 1


#: Meaning of the port `exponent`.
EXPONENT = "log2 of the tensor's scale, from wage-shift; read with each operand"


def exponent_bits(width: int) -> int:
    """Bits of the exponent of a tensor of `width`-bit values: it is at most `width` - 1."""
    return (width - 1).bit_length()
