"""HWGQ in integers: batch normalisation and half-wave Gaussian quantizer as thresholds on whole
sums (Cai et al. 2017).

In inference a layer's batch normalisation and its quantizer together are a step function of the
sum that the array gives: its code is the number of thresholds below the sum. The thresholds are
computed offline from exact rationals, so that no sum comes to the wrong side; the hardware has
comparators and no multiplier.

A value that meets a threshold exactly stays below it. The paper says so for 0; for the others,
where it is silent, this is our rule.
"""

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from math import isqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden import check
from golden.fixed import WIDEST, Codes


class Levels(StrEnum):
    """Which levels an activation may take."""

    #: 2 bits, equally far apart.
    UNIFORM = "uniform"
    #: Two levels and zero.
    TWO = "two"


@dataclass(frozen=True, kw_only=True)
class HalfWave:
    """A quantizer of activations that are half a Gaussian: zero and the levels above it.

    Parameters
    ----------
    unit
        What 1 of a word stands for.
    words
        Whole number that each code is multiplied as, from 0; level = word * unit.
    thresholds
        Code = number of thresholds below a value, so there is one fewer than codes.
    """

    unit: Fraction
    words: tuple[int, ...]
    thresholds: tuple[Fraction, ...]

    @property
    def levels(self) -> tuple[Fraction, ...]:
        """Value that each code stands for."""
        return tuple(word * self.unit for word in self.words)

    @property
    def steps(self) -> tuple[Fraction, ...]:
        """The thresholds, and the top level: errors come back where a value is above the first of
        these and not above the last (clipped ReLU).
        """
        return (*self.thresholds, self.levels[-1])


#: Optimal for a Gaussian of deviation 1. The two levels 0.453 and 1.51 are as 3 to 10.
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
    """Thresholds of every channel on its sums: step t is passed where +-sum > threshold.

    Parameters
    ----------
    thresholds
        int64, (channels, steps). The last step is that of the backward mask.
    negative
        bool, (channels,): where the sum is negated first.
    """

    thresholds: Codes
    negative: NDArray[np.bool_]


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
    """The thresholds on sums a for steps t on y = gamma (scale a - mean) / sqrt(variance + epsilon)
    + beta.

    Exact: all numbers are taken as the rationals they are, and the root is never rounded. With
    T = (mean + (t - beta) sqrt(variance + epsilon) / gamma) / scale, y > t is a > floor(T) where
    gamma > 0, and -a > floor(-T) where gamma < 0. Where gamma = 0 y is beta, and the threshold is
    below or above all sums.

    Parameters
    ----------
    gamma, beta, mean, variance
        Of the batch normalisation, floats, one a channel.
    epsilon
        Added to the variance.
    scale
        What 1 of a sum stands for, above 0.
    steps
        On y, ascending.
    width
        Bits of a sum, 2 to 62. Thresholds are cut to what tells such sums apart; they have a bit
        more.

    Raises
    ------
    ValueError
        A scale or a variance + epsilon is not above 0, a number is not finite, or the vectors are
        not of one length.
    """
    check.whole("width", width, 2, WIDEST)
    columns = {"gamma": gamma, "beta": beta, "mean": mean, "variance": variance}
    numbers = {name: _rationals(name, values) for name, values in columns.items()}
    sizes = [len(values) for values in numbers.values()]
    if len(set(sizes)) > 1:
        raise ValueError(
            f"{', '.join(numbers)} of {', '.join(map(str, sizes))} channels: "
            "as many of each are wanted"
        )
    if Fraction(scale) <= 0:
        raise ValueError(f"scale = {scale}: a number above 0 is wanted")
    lowest, highest = -(1 << (width - 1)) - 1, 1 << (width - 1)
    rows: list[list[int]] = []
    for channel, (g, b, m, v) in enumerate(zip(*numbers.values(), strict=True)):
        square = v + Fraction(epsilon)
        if square <= 0:
            raise ValueError(
                f"variance of channel {channel} = {float(v)}: "
                f"with epsilon = {epsilon} a number above 0 is wanted"
            )
        if g:
            sign = -1 if g < 0 else 1
            whole = sign * m / Fraction(scale)
            part = sign / (g * Fraction(scale))
            row = [floor_of_root(whole, part * (t - b), square) for t in steps]
        else:
            row = [lowest if b > t else highest for t in steps]
        rows.append([min(max(threshold, lowest), highest) for threshold in row])
    return Folded(
        thresholds=np.array(rows, np.int64).reshape(-1, len(steps)),
        negative=np.array([g < 0 for g in numbers["gamma"]], bool),
    )


def _rationals(name: str, values: ArrayLike) -> list[Fraction]:
    """Exactly what the floats of a vector are."""
    vector = np.asarray(values, np.float64)
    if vector.ndim != 1 or not np.isfinite(vector).all():
        raise ValueError(f"{name}: a vector of finite numbers is wanted, one a channel")
    return [Fraction(value) for value in vector.tolist()]


def floor_of_root(whole: Fraction, part: Fraction, square: Fraction) -> int:
    """floor(whole + part * sqrt(square)), exact."""
    # Over one denominator it is (n +- sqrt(m)) / d in integers, and for an integer d > 0
    # floor(x / d) = floor(floor(x) / d).
    under = part**2 * square  # p / q, and sqrt(p / q) = sqrt(p q) / q
    d = whole.denominator * under.denominator
    n = whole.numerator * under.denominator
    m = whole.denominator**2 * under.numerator * under.denominator
    root = isqrt(m)
    if part < 0:
        root = -root - (root * root != m)
    return (n + root) // d


def quantize(acc: ArrayLike, folded: Folded) -> tuple[Codes, NDArray[np.bool_]]:
    """Codes of whole sums (..., channels), and where errors come back: [T0 passed] and not
    [last passed].
    """
    acc = np.asarray(acc, np.int64)
    turned = np.where(folded.negative, -acc, acc)
    passed = [turned > threshold for threshold in folded.thresholds.T]
    code: Codes = np.sum(passed[:-1], axis=0, dtype=np.int64)
    return code, passed[0] & ~passed[-1]
