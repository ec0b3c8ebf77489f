"""Range of WAGE's words, and definitions that the configurations of its units share."""

from golden import check
from golden.fixed import WIDEST


def limit(bits: int) -> int:
    """Return the largest code of a WAGE word, 2^(bits - 1) - 1; the range is symmetric.

    Examples
    --------
    >>> limit(8)
    127
    """
    return (1 << (check.whole("bits", bits, 1, WIDEST) - 1)) - 1


#: Meaning of the port `exponent`.
EXPONENT = "log2 of the tensor's scale, from wage-shift; read with each operand"


def exponent_bits(width: int) -> int:
    """Return the width of the exponent, at most `width` - 1, of a tensor of `width`-bit values."""
    return (width - 1).bit_length()
