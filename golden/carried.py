"""Convert on whole numbers that float64 carries: the fast form of `golden.fixed.convert`.

Adding, multiplying by powers of two and rounding to a whole number are exact in float64 while every
value, and its distance from the next one, fits the 53 bits of the mantissa; so is then Convert.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from golden.fixed import Conversion, Fixed, Rounding

#: Whole numbers in float64, any shape.
Carried = NDArray[np.float64]

#: Whole numbers below this are exact in float64.
EXACT = 1 << 53


def fits(bound: int, conversion: Conversion) -> bool:
    """Whether Convert of codes up to `bound` in magnitude is exact in float64."""
    return bound + (1 << max(conversion.dropped, 0)) < EXACT


def round_carried(
    z: Carried,
    conversion: Conversion,
    bound: int,
    words: NDArray[np.unsignedinteger] | None = None,
    draw: int = 16,
    factor: int = 1,
) -> Carried:
    """Convert without its saturation, in place: `z` becomes whole numbers of the target's steps.

    Parameters
    ----------
    z
        Whole numbers, any shape, that times `factor` are wide codes; overwritten.
    conversion
        What Convert is to do.
    bound
        Largest magnitude that a wide code can have.
    words
        Draws, of the shape of `z`, that stochastic rounding makes its random addend of
        (`golden.lfsr.dither`); the other roundings read none.
    draw
        Bits of a draw.
    factor
        See `z`.

    Returns
    -------
    `z`.

    Raises
    ------
    ValueError
        With that bound, float64 may not be exact.
    """
    if not fits(bound, conversion):
        raise ValueError(
            f"Convert of codes up to {bound} with {conversion.dropped} bits dropped: "
            "float64 is exact below 2^53 alone"
        )
    first = lead(conversion, draw)
    if factor * first.factor != 1:
        z *= factor * first.factor
    if first.addend:
        z += first.addend
    return round_led(z, conversion, words, draw)


class Lead(NamedTuple):
    """What comes first in a rounding: whoever makes wide codes can do it to smaller operands."""

    factor: float
    addend: float


def lead(conversion: Conversion, draw: int) -> Lead:
    """The power of two that `round_led` wants wide codes multiplied by, and what it wants added."""
    s = conversion.dropped
    if s <= 0:  # nothing to round
        return Lead(2.0**-s, 0)
    match conversion.rounding:
        case Rounding.STOCHASTIC:
            # A long field has the word on top, and a constant 1 right below it.
            return Lead(2.0 ** (draw - s), 0.5) if s > draw else Lead(1, 0)
        case Rounding.NEAREST_DOWN:
            return Lead(2.0**-s, -0.5)
        case Rounding.NEAREST_UP:
            return Lead(2.0**-s, 0.5)
    return Lead(2.0**-s, 0)


def round_led(
    z: Carried,
    conversion: Conversion,
    words: NDArray[np.unsignedinteger] | None = None,
    draw: int = 16,
) -> Carried:
    """`round_carried` of what `lead` was done to, and that fits as it asks."""
    s = conversion.dropped
    if s <= 0:
        return z
    match conversion.rounding:
        case Rounding.STOCHASTIC:
            if words is None:
                raise ValueError("stochastic rounding without draws")
            z += words if s >= draw else words & words.dtype.type((1 << s) - 1)
            z *= 2.0 ** -min(s, draw)
            return np.floor(z, out=z)
        case Rounding.NEAREST_DOWN:
            return np.ceil(z, out=z)
        case Rounding.NEAREST_UP:
            return np.floor(z, out=z)
        case Rounding.NEAREST_AWAY:
            z += np.copysign(0.5, z)
            return np.trunc(z, out=z)
    return np.rint(z, out=z)  # ties go to even


def saturate_carried(y: Carried, target: Fixed) -> Carried:
    """Codes `y` clipped to the range of `target`, in place."""
    return np.clip(y, target.minimum, target.maximum, out=y)
