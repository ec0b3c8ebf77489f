"""Convert on integers stored in float64: the fast form of `golden.fixed.convert`.

Addition, multiplication by a power of two and rounding to an integer are exact in float64 as long
as every intermediate value fits the 53 bits of the mantissa. Then Convert is exact as well.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from golden import check
from golden.fixed import Conversion, Fixed, Rounding

#: Integers stored in float64, any shape.
Carried = NDArray[np.float64]

#: Integers below this limit are exact in float64.
EXACT = 1 << 53


def fits(bound: int, conversion: Conversion) -> bool:
    """Return whether Convert of codes up to `bound` in magnitude is exact in float64.

    Examples
    --------
    >>> from golden import Conversion, Fixed
    >>> fits(1 << 40, Conversion(fraction=28, target=Fixed(2, 14)))
    True
    """
    check.instance("conversion", conversion, Conversion)
    return check.whole("bound", bound, 0) + (1 << max(conversion.dropped, 0)) < EXACT


def round_carried(
    z: Carried,
    conversion: Conversion,
    bound: int,
    words: NDArray[np.unsignedinteger] | None = None,
    draw: int = 16,
    factor: int = 1,
) -> Carried:
    """Round as Convert does, in place and without saturation.

    Parameters
    ----------
    z
        Integers, any shape; `factor` * `z` are the wide codes. Overwritten.
    conversion
        Dropped bits, target and rounding.
    bound
        Upper bound of the wide codes' magnitudes.
    words
        Random words, in the shape of `z`. Stochastic rounding makes its random addend of them
        (`golden.lfsr.dither`); the other roundings do not read them.
    draw
        Bits of a random word.
    factor
        Factor of `z`.

    Returns
    -------
    Carried
        `z` itself, which now contains codes of the target, in its shape.

    Raises
    ------
    ValueError
        The bound is too large for exact results in float64, or stochastic rounding has no words.

    Examples
    --------
    >>> from golden import Conversion, Fixed
    >>> conversion = Conversion(fraction=4, target=Fixed(6, 2), rounding="nearest-even")
    >>> round_carried(np.array([5.0, 6.0, 10.0]), conversion, bound=10).tolist()
    [1.0, 2.0, 2.0]
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
    """First step of a rounding: wide codes are multiplied by `factor`, then `addend` is added.

    A caller that computes the wide codes can apply this step to smaller operands instead.
    """

    factor: float
    addend: float


def lead(conversion: Conversion, draw: int) -> Lead:
    """Return the first step of a rounding, which `round_led` expects to be done.

    Parameters
    ----------
    conversion
        Dropped bits, target and rounding.
    draw
        Bits of a random word.

    Returns
    -------
    Lead
        A power of two and an addend.
    """
    s = conversion.dropped
    if s <= 0:  # no bits are dropped, so nothing is rounded
        return Lead(2.0**-s, 0)
    match conversion.rounding:
        case Rounding.STOCHASTIC:
            # If more bits are dropped than a word has, the word aligns with the highest dropped
            # bits, and a constant 1 stands right below it.
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
    """Round in place wide codes to which the step of `lead` has been applied.

    Parameters
    ----------
    z
        (wide codes) * factor + addend, any shape; exact in float64 as `fits` checks. Overwritten.
    conversion, words, draw
        As in `round_carried`.

    Returns
    -------
    Carried
        `z` itself, which now contains codes of the target.

    Raises
    ------
    ValueError
        Stochastic rounding has no words.
    """
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
    """Clip codes `y` to the range of `target`, in place; return `y`."""
    return np.clip(y, target.minimum, target.maximum, out=y)
