"""HWGQ's half-wave Gaussian quantizers, and batch normalisation folded into thresholds on integer
sums (Cai et al. 2017).

In inference, a layer's batch normalisation and quantizer together are a step function of the
array's sum: the code is the number of thresholds below the sum. The thresholds are computed offline
from exact rationals, so no sum is on the wrong side of a threshold. `golden.quantize.threshold`
compares sums with them.

A value equal to a threshold does not pass it. The paper defines this for the threshold 0 only; this
module uses the same rule for all thresholds.
"""

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden import check
from golden.fixed import WIDEST, Codes


class Levels(StrEnum):
    """Levels of an activation."""

    #: Zero and three levels, equally spaced.
    UNIFORM = "uniform"
    #: Zero and two levels.
    TWO = "two"


@dataclass(frozen=True, kw_only=True)
class HalfWave:
    """Quantizer of activations whose positive half is Gaussian: zero and levels above it.

    Parameters
    ----------
    unit
        Real value of the word 1.
    words
        Integer by which each code is multiplied, for codes from 0; level = word * unit.
    thresholds
        The code of a value is the number of thresholds below it, so there is one fewer than codes.

    Examples
    --------
    >>> [float(level) for level in QUANTIZERS[Levels.TWO].levels]
    [0.0, 0.453, 1.51]
    """

    unit: Fraction
    words: tuple[int, ...]
    thresholds: tuple[Fraction, ...]

    @property
    def levels(self) -> tuple[Fraction, ...]:
        """Real value of each code."""
        return tuple(word * self.unit for word in self.words)

    @property
    def steps(self) -> tuple[Fraction, ...]:
        """The thresholds, then the top level.

        Errors pass a value that is above the first of them and not above the last (clipped ReLU).
        """
        return (*self.thresholds, self.levels[-1])


#: Optimal quantizers for a Gaussian of deviation 1. The ratio of the levels 0.453 and 1.51 is 3 to
#: 10.
QUANTIZERS = {
    Levels.UNIFORM: HalfWave(
        unit=Fraction("0.538"),
        words=(0, 1, 2, 3),
        thresholds=(Fraction(0), Fraction("0.807"), Fraction("1.345")),
    ),
    Levels.TWO: HalfWave(
        unit=Fraction("0.151"),
        words=(0, 3, 10),
        thresholds=(Fraction(0), Fraction("0.9815")),
    ),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Folded:
    """Thresholds of every channel for its sums.

    A sum, or its negation, passes a step if it is above the step's threshold.

    Parameters
    ----------
    thresholds
        int64, (channels, steps). The last step is used by the backward mask only.
    negative
        bool, (channels,): whether the sum is negated first.
    """

    thresholds: Codes
    negative: NDArray[np.bool_]

    def __post_init__(self) -> None:
        thresholds = check.codes("thresholds", self.thresholds)
        negative = np.asarray(self.negative)
        if thresholds.ndim != 2 or negative.shape != thresholds.shape[:1]:
            raise ValueError(
                f"thresholds of {thresholds.shape} and negative of {negative.shape}: "
                "(channels, steps) and (channels,) are wanted"
            )
        if negative.dtype.kind != "b":
            raise TypeError(f"negative has values of type {negative.dtype}: bools are wanted")
        object.__setattr__(self, "thresholds", thresholds)
        object.__setattr__(self, "negative", negative)


def fold(
    *,
    gamma: ArrayLike,
    beta: ArrayLike,
    mean: ArrayLike,
    variance: ArrayLike,
    epsilon: float | Fraction,
    scale: float | Fraction,
    steps: tuple[Fraction, ...],
    width: int,
) -> Folded:
    """Fold a batch normalisation into thresholds for the sums.

    For a sum a, the normalised value is y = gamma (scale a - mean) / sqrt(variance + epsilon) +
    beta. With T = (mean + (t - beta) sqrt(variance + epsilon) / gamma) / scale, the condition y > t
    is a > floor(T) if gamma > 0, and -a > floor(-T) if gamma < 0. If gamma = 0, y is beta, and the
    threshold is below or above all sums. All numbers are rationals and the root is not rounded, so
    the thresholds are exact.

    Parameters
    ----------
    gamma, beta, mean, variance
        Parameters of the batch normalisation, floats, (channels,).
    epsilon
        Added to the variance.
    scale
        Real value of a sum of 1, above 0.
    steps
        Steps t of y, ascending.
    width
        Bits of a sum, 2 to 62. Thresholds are limited to the range that distinguishes such sums,
        which takes one bit more.

    Returns
    -------
    Folded
        Thresholds, (channels, steps), and signs, (channels,).

    Raises
    ------
    ValueError
        The scale or a variance + epsilon is not above 0, a number is not finite, or the vectors
        differ in length.

    Examples
    --------
    >>> folded = fold(gamma=[1, -1], beta=[0, 0], mean=[0.5, 0.5], variance=[1, 1], epsilon=0,
    ...               scale=0.25, steps=(Fraction(0), Fraction(1)), width=8)
    >>> folded.thresholds.tolist(), folded.negative.tolist()
    ([[2, 6], [-2, 2]], [False, True])
    """
    width = check.whole("width", width, 2, WIDEST)
    scale, epsilon = _rational("scale", scale), _rational("epsilon", epsilon)
    steps = tuple(_rational("a step", step) for step in steps)
    columns = {"gamma": gamma, "beta": beta, "mean": mean, "variance": variance}
    numbers = {name: _rationals(name, values) for name, values in columns.items()}
    sizes = [len(values) for values in numbers.values()]
    if len(set(sizes)) > 1:
        raise ValueError(
            f"{', '.join(numbers)} of {', '.join(map(str, sizes))} channels: "
            "as many of each are wanted"
        )
    if scale <= 0:
        raise ValueError(f"scale = {float(scale)}: a number above 0 is wanted")
    lowest, highest = -(1 << (width - 1)) - 1, 1 << (width - 1)
    rows: list[list[int]] = []
    for channel, (g, b, m, v) in enumerate(zip(*numbers.values(), strict=True)):
        square = v + epsilon
        if square <= 0:
            raise ValueError(
                f"variance of channel {channel} = {float(v)}: "
                f"with epsilon = {float(epsilon)} a number above 0 is wanted"
            )
        if g:
            sign = -1 if g < 0 else 1
            whole = sign * m / scale
            part = sign / (g * scale)
            row = [floor_of_root(whole, part * (t - b), square) for t in steps]
        else:
            row = [lowest if b > t else highest for t in steps]
        rows.append([min(max(threshold, lowest), highest) for threshold in row])
    return Folded(
        thresholds=np.array(rows, np.int64).reshape(-1, len(steps)),
        negative=np.array([g < 0 for g in numbers["gamma"]], bool),
    )


def _rational(name: str, value: Any) -> Fraction:
    """Return a number as an exact rational."""
    if check.is_real(value):
        try:
            if isinstance(value, Fraction):
                return value
            return Fraction(int(value) if check.is_whole(value) else float(value))
        except (ValueError, OverflowError):  # not a number, or infinite
            pass
    raise ValueError(f"{name} = {check.shown(value)}: a finite number is wanted")


def _rationals(name: str, values: ArrayLike) -> list[Fraction]:
    """Return the floats of a vector as exact rationals."""
    try:
        vector = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        vector = np.zeros(())
    if vector.ndim != 1 or not np.isfinite(vector).all():
        raise ValueError(f"{name}: a vector of finite numbers is wanted, one per channel")
    return [Fraction(value) for value in vector.tolist()]


def floor_of_root(whole: Fraction, part: Fraction, square: Fraction) -> int:
    """Return floor(whole + part * sqrt(square)), exact.

    Examples
    --------
    >>> floor_of_root(Fraction(1), Fraction(-1), Fraction(2))
    -1
    """
    # With a common denominator, the sum is (n +- sqrt(m)) / d in integers. For an integer d > 0,
    # floor(x / d) = floor(floor(x) / d).
    under = part**2 * square  # p / q, and sqrt(p / q) = sqrt(p q) / q
    d = whole.denominator * under.denominator
    n = whole.numerator * under.denominator
    m = whole.denominator**2 * under.numerator * under.denominator
    root = isqrt(m)
    if part < 0:
        root = -root - (root * root != m)
    return (n + root) // d
