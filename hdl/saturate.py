"""Saturation of signed values."""

from amaranth.hdl import C, Mux, Value


def saturated(value: Value, width: int) -> Value:
    """Return a signed value saturated to `width` bits; a narrower one is returned as it is.

    Combinational.

    Examples
    --------
    >>> from amaranth.hdl import signed
    >>> saturated(C(200, signed(9)), 8).shape()
    signed(8)
    """
    if len(value) <= width:
        return value
    above = value[width - 1 :]  # all equal where the value is in range
    lowest = C(1 << (width - 1), width)
    limit = Mux(value[-1], lowest, ~lowest)
    return Mux(above.any() & ~above.all(), limit, value[:width]).as_signed()
