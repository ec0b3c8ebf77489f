"""Fixed-point formats <IL,FL> and Convert, the one rounding between them
(Gupta et al. 2015, section 3).

A code n of a format stands for the real n * 2^-FL. Everything here takes and returns codes:
integers, in int64 arrays. A wide code is at most 62 bits, so that int64 holds it and every sum
that Convert makes of it.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden import check
from golden.settings import check_settings, setting

#: Codes, any shape.
Codes = NDArray[np.int64]

#: The widest accumulator, in bits: z + r and -z of 62 bits still fit int64.
WIDEST = 62
#: The widest word of a format, in bits.
WIDEST_WORD = 24


class Rounding(StrEnum):
    """What becomes of the dropped bits, by name."""

    #: Up with a probability equal to the dropped fraction (Gupta).
    STOCHASTIC = "stochastic"
    #: To nearest, ties toward minus infinity, as Gupta's paper prints it.
    NEAREST_DOWN = "nearest-down"
    #: To nearest, ties to the even code (WAGE).
    NEAREST_EVEN = "nearest-even"
    #: To nearest, ties away from zero (Li et al., Q_d).
    NEAREST_AWAY = "nearest-away"
    #: To nearest, ties toward plus infinity (plain DSP rounding).
    NEAREST_UP = "nearest-up"


@dataclass(frozen=True)
class Fixed:
    """A two's complement format <IL,FL> of IL + FL bits; IL counts the sign bit.

    Parameters
    ----------
    il
        Integer bits with the sign, 1 to 24.
    fl
        Fraction bits, 0 to 23. IL + FL is 2 to 24.
    """

    #: How the text of a format is written, and one.
    FORM: ClassVar[str] = "IL,FL"
    EXAMPLE: ClassVar[str] = "2,14"

    il: int = setting(text="Integer bits with the sign", low=1, high=WIDEST_WORD)
    fl: int = setting(text="Fraction bits", low=0, high=WIDEST_WORD - 1, more="IL + FL is 2 to 24.")

    def __post_init__(self) -> None:
        check_settings(self)
        check.whole("il + fl", self.il + self.fl, 2, WIDEST_WORD)

    @classmethod
    def parse(cls, text: str) -> "Fixed":
        """The format that `text` names: "2,14" or "<2,14>"."""
        try:
            il, fl = (
                int(part) for part in text.strip().removeprefix("<").removesuffix(">").split(",")
            )
        except ValueError:
            raise ValueError(
                f"format {text!r}: {cls.FORM} is wanted, as in {cls.EXAMPLE}"
            ) from None
        return cls(il, fl)

    @property
    def text(self) -> str:
        """The text that `parse` reads, as in 2,14."""
        return f"{self.il},{self.fl}"

    def __str__(self) -> str:
        return f"<{self.text}>"

    @property
    def width(self) -> int:
        """Bits of a word."""
        return self.il + self.fl

    @property
    def minimum(self) -> int:
        """The lowest code."""
        return -(1 << (self.width - 1))

    @property
    def maximum(self) -> int:
        """The highest code."""
        return (1 << (self.width - 1)) - 1


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """One setting of Convert: where the point of the wide code is, the target format, the rounding.

    Parameters
    ----------
    fraction
        Fraction bits of the wide code, 0 to 62.
    target
        Format of the result.
    rounding
        What becomes of the dropped bits: stochastic, nearest-down, nearest-even, nearest-away or
        nearest-up.
    """

    #: How the text of a conversion is written, and one.
    FORM: ClassVar[str] = "FRACTION:IL,FL:ROUNDING"
    EXAMPLE: ClassVar[str] = "28:2,14:stochastic"

    fraction: int = setting(text="Fraction bits of the wide code", low=0, high=WIDEST)
    target: Fixed = setting(text="Format of the result")
    rounding: Rounding = setting(Rounding.STOCHASTIC, "What becomes of the dropped bits")

    def __post_init__(self) -> None:
        check_settings(self)

    @classmethod
    def parse(cls, text: str) -> "Conversion":
        """The conversion that `text` names, as in 28:2,14:stochastic."""
        parts = text.split(":")
        if len(parts) != 3:
            raise ValueError(f"{text!r}: {cls.FORM} is wanted, as in {cls.EXAMPLE}")
        fraction, target, rounding = parts
        if not fraction.isdecimal():
            raise ValueError(f"fraction {fraction!r} of {text!r}: a whole number is wanted")
        return cls(
            fraction=int(fraction),
            target=Fixed.parse(target),
            rounding=rounding,  # type: ignore[arg-type]  # its name will do
        )

    @property
    def text(self) -> str:
        """The text that `parse` reads, as in 28:2,14:stochastic."""
        return f"{self.fraction}:{self.target.text}:{self.rounding}"

    def __str__(self) -> str:
        return self.text

    @property
    def dropped(self) -> int:
        """Fraction bits dropped, s; negative where bits are appended."""
        return self.fraction - self.target.fl

    def __call__(self, z: ArrayLike, r: ArrayLike = 0) -> Codes:
        """Convert wide codes `z` with random bits `r` (see `convert`)."""
        return convert(z, self.fraction, self.target, self.rounding, r)


def saturate(y: ArrayLike, target: Fixed) -> Codes:
    """Codes `y` clipped to the range of `target`."""
    return np.clip(np.asarray(y, np.int64), target.minimum, target.maximum)


def round_shift(z: ArrayLike, s: ArrayLike, rounding: Rounding, r: ArrayLike = 0) -> Codes:
    """`z` / 2^`s` rounded to a whole number, for `s` >= 0; `z` + 2^`s` must fit int64.

    `r` in [0, 2^s) is read by stochastic rounding alone: (z + r) >> s, the carry form, in which a
    value that is exactly representable never moves.
    """
    z = np.asarray(z, np.int64)
    s = np.asarray(s, np.int64)
    half = np.int64(1) << s >> 1  # 0 where nothing is dropped
    down = np.maximum(half - 1, 0)
    match rounding:
        case Rounding.STOCHASTIC:
            addend = np.asarray(r, np.int64)
        case Rounding.NEAREST_DOWN:
            addend = down
        case Rounding.NEAREST_UP:
            addend = half
        case Rounding.NEAREST_AWAY:
            addend = np.where(z < 0, down, half)
        case Rounding.NEAREST_EVEN:
            addend = np.where(s > 0, down + (z >> s & 1), 0)
    return (z + addend) >> s


def convert(
    z: ArrayLike, fraction: int, target: Fixed, rounding: Rounding, r: ArrayLike = 0
) -> Codes:
    """Convert(z, target): round once, then saturate (Gupta et al. 2015, section 3).

    Parameters
    ----------
    z
        Wide codes, any shape, at most 62 bits, with `fraction` fraction bits.
    fraction
        Fraction bits of `z`; s = fraction - target.fl bits are dropped.
    target
        Format of the result.
    rounding
        What becomes of the dropped bits. Saturation looks at the value after rounding.
    r
        Random bits in [0, 2^s), of the shape of `z`; read by stochastic rounding alone.

    Returns
    -------
    Codes of `target`, int64, of the shape of `z`.
    """
    z = np.asarray(z, np.int64)
    s = fraction - target.fl
    if s > 0:
        return saturate(round_shift(z, s, rounding, r), target)
    # As if in unbounded integers: what lies beyond the limits is cut
    # before the shift could overflow.
    return saturate(np.clip(z, target.minimum >> -s, (target.maximum >> -s) + 1) << -s, target)


def accumulator_width(a_width: int, b_width: int, depth: int) -> int:
    """Bits that hold every sum of `depth` products exactly: a_width + b_width + floor(log2 depth).

    Raises
    ------
    ValueError
        The sum is over 62 bits.
    """
    growth = depth.bit_length() - 1
    width = a_width + b_width + growth
    if width > WIDEST:
        raise ValueError(
            f"accumulator of {a_width} + {b_width} + floor(log2 {depth}) = "
            f"{a_width} + {b_width} + {growth} = {width} bits: at most {WIDEST} are allowed"
        )
    return width
