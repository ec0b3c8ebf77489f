"""Fixed-point formats <IL,FL>, and Convert, the rounding from one format to another
(Gupta et al. 2015, section 3).

A code n of a format stands for the real number n * 2^-FL. All functions take and return codes:
integers in int64 arrays. A wide code has at most 62 bits, so that int64 is wide enough for every
sum in Convert.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden import check
from golden.settings import check_settings, setting

#: Codes, any shape.
Codes = NDArray[np.int64]

#: The largest width of an accumulator, in bits: for z of 62 bits, z + r and -z fit int64.
WIDEST = check.WIDEST
#: The largest width of a format, in bits.
WIDEST_WORD = 24


class Rounding(StrEnum):
    """Rounding of the dropped bits."""

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

    Examples
    --------
    >>> word = Fixed(2, 14)
    >>> print(word, word.width, word.minimum, word.maximum)
    <2,14> 16 -32768 32767
    >>> Fixed.parse("2,14") == word
    True
    """

    #: Form of the text that `parse` reads, and an example.
    FORM: ClassVar[str] = "IL,FL"
    EXAMPLE: ClassVar[str] = "2,14"

    il: int = setting(text="Integer bits with the sign", low=1, high=WIDEST_WORD)
    fl: int = setting(text="Fraction bits", low=0, high=WIDEST_WORD - 1, more="IL + FL is 2 to 24.")

    def __post_init__(self) -> None:
        check_settings(self)
        check.whole("il + fl", self.il + self.fl, 2, WIDEST_WORD)

    @classmethod
    def parse(cls, text: str) -> "Fixed":
        """Read a format from its text, as "2,14" or "<2,14>".

        Raises
        ------
        ValueError
            The text has another form, or the format is out of range.
        """
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
        """Text that `parse` reads, as 2,14."""
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
    """Parameters of Convert: fraction bits of the wide code, target format and rounding.

    Parameters
    ----------
    fraction
        Fraction bits of the wide code, 0 to 62.
    target
        Format of the result.
    rounding
        Rounding of the dropped bits: stochastic, nearest-down, nearest-even, nearest-away or
        nearest-up.

    Examples
    --------
    >>> conversion = Conversion(fraction=6, target=Fixed(2, 4), rounding=Rounding.NEAREST_EVEN)
    >>> conversion([5, 6, 10, 1000]).tolist()
    [1, 2, 2, 31]
    >>> conversion.saturates([5, 125, 126, 1000]).tolist()
    [False, False, True, True]
    >>> print(conversion, conversion.dropped)
    6:2,4:nearest-even 2
    """

    #: Form of the text that `parse` reads, and an example.
    FORM: ClassVar[str] = "FRACTION:IL,FL:ROUNDING"
    EXAMPLE: ClassVar[str] = "28:2,14:stochastic"

    fraction: int = setting(text="Fraction bits of the wide code", low=0, high=WIDEST)
    target: Fixed = setting(text="Format of the result")
    rounding: Rounding = setting(Rounding.STOCHASTIC, "Rounding of the dropped bits")

    def __post_init__(self) -> None:
        check_settings(self)

    @classmethod
    def parse(cls, text: str) -> "Conversion":
        """Read a conversion from its text, as 28:2,14:stochastic.

        Raises
        ------
        ValueError
            The text has another form, or a value is out of range.
        """
        parts = text.split(":")
        if len(parts) != 3:
            raise ValueError(f"{text!r}: {cls.FORM} is wanted, as in {cls.EXAMPLE}")
        fraction, target, rounding = parts
        if not fraction.isdecimal():
            raise ValueError(f"fraction {fraction!r} of {text!r}: a whole number is wanted")
        return cls(
            fraction=int(fraction),
            target=Fixed.parse(target),
            rounding=rounding,  # type: ignore[arg-type]  # the constructor takes names too
        )

    @property
    def text(self) -> str:
        """Text that `parse` reads, as 28:2,14:stochastic."""
        return f"{self.fraction}:{self.target.text}:{self.rounding}"

    def __str__(self) -> str:
        return self.text

    @property
    def dropped(self) -> int:
        """Number s of fraction bits dropped; negative if bits are appended."""
        return self.fraction - self.target.fl

    def __call__(self, z: ArrayLike, r: ArrayLike = 0) -> Codes:
        """Return wide codes `z` converted with random bits `r` (see `convert`)."""
        return self.apply(*self._checked(z, r))

    def saturates(self, z: ArrayLike, r: ArrayLike = 0) -> NDArray[np.bool_]:
        """Return whether each of the wide codes `z` is clipped, if it is converted with random bits
        `r`. The limits themselves are not clipped, so results alone do not say it.
        """
        return self.clips(*self._checked(z, r))

    def _checked(self, z: ArrayLike, r: ArrayLike) -> tuple[Codes, Codes | int]:
        z = check.codes("z", z)
        draws = self.dropped > 0 and self.rounding is Rounding.STOCHASTIC
        r = random_bits(r, self.dropped) if draws else 0
        check.broadcast(z=z, r=r)
        return z, r

    def apply(self, z: Codes, r: Codes | int) -> Codes:
        """Return int64 codes `z` converted with random bits `r`, both checked already."""
        return np.clip(self._unclipped(z, r), self.target.minimum, self.target.maximum)

    def clips(self, z: Codes, r: Codes | int) -> NDArray[np.bool_]:
        """Return what `saturates` does, of int64 that is checked already."""
        y = self._unclipped(z, r)
        return (y < self.target.minimum) | (y > self.target.maximum)

    def _unclipped(self, z: Codes, r: Codes | int) -> Codes:
        """Return rounded codes before saturation; those far beyond a limit are just beyond it."""
        s, target = self.dropped, self.target
        if s > 0:
            return rounded(z, s, self.rounding, r)
        # The shift might overflow otherwise.
        return np.clip(z, (target.minimum >> -s) - 1, (target.maximum >> -s) + 1) << -s


def saturate(y: ArrayLike, target: Fixed) -> Codes:
    """Return codes `y` clipped to the range of `target`, int64.

    Raises
    ------
    TypeError, ValueError
        `y` are not integers of at most 62 bits, or `target` is not a format.

    Examples
    --------
    >>> saturate([-200, 5, 200], Fixed(2, 6)).tolist()
    [-128, 5, 127]
    """
    check.instance("target", target, Fixed)
    return np.clip(check.codes("y", y), target.minimum, target.maximum)


def round_shift(z: ArrayLike, s: ArrayLike, rounding: Rounding, r: ArrayLike = 0) -> Codes:
    """Return z / 2^s rounded to an integer.

    Parameters
    ----------
    z
        Codes of at most 62 bits, any shape.
    s
        Number of dropped bits, 0 to 62, in a shape that broadcasts with `z`.
    rounding
        Rounding of the dropped bits.
    r
        Random bits in [0, 2^s), in a shape that broadcasts with `z`. Only stochastic rounding reads
        them: its result is (z + r) >> s, so a value that is exactly representable never changes.

    Returns
    -------
    Codes
        Rounded codes, int64, in the broadcast shape.

    Raises
    ------
    TypeError, ValueError
        A number is not an integer, or is out of range.

    Examples
    --------
    >>> round_shift([5, 6, 10], 2, Rounding.NEAREST_EVEN).tolist()
    [1, 2, 2]
    >>> round_shift([5, 6, 10], 2, Rounding.STOCHASTIC, r=[3, 1, 1]).tolist()
    [2, 1, 2]
    """
    z, s = check.codes("z", z), check.codes("s", s, 0, WIDEST)
    check.one_of("rounding", rounding, Rounding)
    r = random_bits(r, s) if rounding == Rounding.STOCHASTIC else 0
    check.broadcast(z=z, s=s, r=r)
    return rounded(z, s, rounding, r)


def random_bits(r: ArrayLike, s: Codes | int) -> Codes:
    """Return random bits, checked to be in [0, 2^s); `s` is at least 0."""
    r = check.codes("r", r, 0, (1 << int(np.max(s, initial=0))) - 1)
    if np.ndim(s) and (r >> s).any():
        raise ValueError(
            "r is out of range: 2^s - 1 is the largest, and s differs from code to code"
        )
    return r


def rounded(z: Codes, s: Codes | int, rounding: Rounding, r: Codes | int = 0) -> Codes:
    """Return z / 2^s rounded to an integer, as `round_shift`, of int64 that is checked already."""
    half = np.int64(1) << s >> 1  # 0 where no bits are dropped
    down = np.maximum(half - 1, 0)
    addend: Any
    match rounding:
        case Rounding.STOCHASTIC:
            addend = r
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
        Fraction bits of `z`, 0 to 62; s = fraction - target.fl bits are dropped.
    target
        Format of the result.
    rounding
        Rounding of the dropped bits. Saturation follows the rounding.
    r
        Random bits in [0, 2^s), in a shape that broadcasts with `z`. Only stochastic rounding reads
        them.

    Returns
    -------
    Codes
        Codes of `target`, int64, in the shape of `z`.

    Raises
    ------
    TypeError, ValueError
        A number is not an integer, or is out of range; or `target` is not a format.

    Examples
    --------
    >>> convert([4096, 6144, 1 << 20], 14, Fixed(2, 2), Rounding.NEAREST_UP).tolist()
    [1, 2, 7]
    """
    conversion = Conversion(fraction=fraction, target=target, rounding=rounding)
    return conversion(z, r)


def accumulator_width(a_width: int, b_width: int, depth: int) -> int:
    """Return the width that is enough for every sum of `depth` products.

    Parameters
    ----------
    a_width, b_width
        Widths of the factors.
    depth
        Number of products.

    Returns
    -------
    int
        a_width + b_width + floor(log2 depth).

    Raises
    ------
    TypeError, ValueError
        A number is not a whole number above 0, or the width is over 62 bits.

    Examples
    --------
    >>> accumulator_width(16, 16, 511)
    40
    """
    a_width = check.whole("a_width", a_width, 1, WIDEST)
    b_width = check.whole("b_width", b_width, 1, WIDEST)
    depth = check.whole("depth", depth, 1, 1 << WIDEST)
    growth = depth.bit_length() - 1
    width = a_width + b_width + growth
    if width > WIDEST:
        raise ValueError(
            f"accumulator of {a_width} + {b_width} + floor(log2 {depth}) = "
            f"{a_width} + {b_width} + {growth} = {width} bits: at most {WIDEST} are allowed"
        )
    return width
