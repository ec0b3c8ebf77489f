"""Arithmetic by shifts, where a multiplier would be a waste."""

from functools import reduce
from operator import add

from amaranth.hdl import C, Value


def times(number: Value, factor: int) -> Value:
    """Return a product with a constant, as a sum of shifts.

    Parameters
    ----------
    number
        An unsigned number.
    factor
        The constant, at least 0.

    Examples
    --------
    >>> from amaranth.hdl import Signal
    >>> len(times(Signal(4), 9))
    8
    """
    shifted = (number << bit for bit in range(factor.bit_length()) if factor >> bit & 1)
    return reduce(add, shifted, C(0, 0))
