"""Thresholds on whole sums against batch normalisation and quantizer in exact rationals."""

from fractions import Fraction
from math import floor, sqrt

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from golden.quantize.folding import (
    QUANTIZERS,
    Folded,
    HalfWave,
    Levels,
    floor_of_root,
    fold,
)
from golden.quantize.threshold import quantize

UNIFORM = QUANTIZERS[Levels.UNIFORM]
EPSILON = 1e-5


def passes(acc, step, gamma, beta, mean, variance, epsilon, scale):
    """Whether gamma (scale acc - mean) / sqrt(variance + epsilon) + beta > step, in rationals:
    p > q sqrt(square) by the squares.
    """
    gamma, beta, mean, scale = (Fraction(x) for x in (gamma, beta, mean, scale))
    square = Fraction(variance) + Fraction(epsilon)
    p, q = gamma * (scale * acc - mean), step - beta
    if (p >= 0) != (q >= 0):
        return bool(p >= 0)
    return bool(p**2 > q**2 * square if p >= 0 else p**2 < q**2 * square)


def expected(acc, quantizer, **numbers):
    """Code and mask of one sum."""
    *below, top = [passes(acc, step, **numbers) for step in quantizer.steps]
    return sum(below), below[0] and not top


def check(acc, quantizer, width=12, epsilon=EPSILON, scale=0.5, **columns):
    """Whole sums of one or several channels, as the rationals have them."""
    acc = np.asarray(acc)
    folded = fold(steps=quantizer.steps, width=width, epsilon=epsilon, scale=scale, **columns)
    code, mask = quantize(acc, folded)
    assert code.dtype == np.int64 and mask.dtype == bool and code.shape == acc.shape
    for place in np.ndindex(acc.shape):
        numbers = {name: float(values[place[-1]]) for name, values in columns.items()}
        right = expected(int(acc[place]), quantizer, epsilon=epsilon, scale=scale, **numbers)
        assert (code[place], mask[place]) == right, (numbers, acc[place])
    return folded, code, mask


def test_levels_and_thresholds_are_the_papers():
    assert UNIFORM.levels == tuple(map(Fraction, ("0", "0.538", "1.076", "1.614")))
    assert UNIFORM.thresholds == tuple(map(Fraction, ("0", "0.807", "1.345")))
    two = QUANTIZERS[Levels.TWO]
    assert two.levels == tuple(map(Fraction, ("0", "0.453", "1.51")))
    assert two.thresholds == tuple(map(Fraction, ("0", "0.9815")))
    for quantizer in (UNIFORM, two):
        assert len(quantizer.words) == len(quantizer.thresholds) + 1
        assert quantizer.steps[-1] == quantizer.levels[-1]
        # Half-way between the levels, but for the half wave's 0.
        pairs = zip(quantizer.levels[1:], quantizer.levels[2:])
        assert quantizer.thresholds == (0, *((low + high) / 2 for low, high in pairs))


def columns_of(random, channels, gammas=(-1.0, 1.0)):
    return {
        "gamma": (random.choice(gammas, channels) * np.exp(random.normal(0, 1, channels))),
        "beta": random.normal(0, 0.7, channels),
        "mean": random.normal(0, 5, channels),
        "variance": np.exp(random.normal(0, 4, channels)),
    }


@pytest.mark.parametrize("levels", Levels)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_random_normalisations_agree_with_rationals(levels, kind):
    random = np.random.default_rng(3)
    columns = {name: x.astype(kind) for name, x in columns_of(random, 60).items()}
    acc = np.rint(random.normal(0, 30, (40, 60))).astype(np.int64)
    _, code, mask = check(acc, QUANTIZERS[levels], scale=0.37, **columns)
    assert set(np.unique(code)) == set(range(len(QUANTIZERS[levels].words)))
    assert mask.any() and not mask.all()


def test_the_sums_around_every_threshold_come_to_the_right_side():
    random = np.random.default_rng(4)
    columns = columns_of(random, 50)
    folded = fold(steps=UNIFORM.steps, width=40, epsilon=EPSILON, scale=0.01, **columns)
    turned = np.where(folded.negative, -1, 1)
    around = folded.thresholds[:, :, None] + np.array([-1, 0, 1, 2])
    acc = (around * turned[:, None, None]).reshape(50, -1).T
    check(acc, UNIFORM, width=40, scale=0.01, **columns)


@pytest.mark.parametrize("gamma", [1.0, -1.0])
@pytest.mark.parametrize("step", range(4))
def test_a_value_on_a_threshold_stays_below_it(gamma, step):
    """Mean, variance and scale that make y = gamma acc / 1000, so that there are ties."""
    tie = int(UNIFORM.steps[step] * 1000)
    assert Fraction(tie, 1000) == UNIFORM.steps[step]
    acc = np.array([[int(gamma) * (tie + away)] for away in (-1, 0, 1)])
    folded, code, mask = check(
        acc,
        UNIFORM,
        gamma=[gamma],
        beta=[0.0],
        mean=[0.0],
        variance=[999_999.0],
        epsilon=1,
        scale=1,
    )
    assert bool(folded.negative[0]) == (gamma < 0)
    if step < 3:
        assert code[:, 0].tolist() == [step, step, step + 1]
    else:
        assert mask[:, 0].tolist() == [True, True, False]


def test_a_tie_beside_a_root_that_is_no_rational():
    """beta on the threshold and a sum on the mean: y is the threshold for every variance."""
    quantizer = HalfWave(unit=Fraction(1), words=(0, 1), thresholds=(Fraction(1, 2),))
    for gamma in (0.7, -0.7, 0.0):
        _, code, _ = check(
            np.array([[3], [4], [5]]),
            quantizer,
            gamma=[gamma],
            beta=[0.5],
            mean=[2.0],
            variance=[2.0],
        )
        assert code[:, 0].tolist() == [int(gamma < 0), 0, int(gamma > 0)]


@pytest.mark.parametrize("beta", [-0.1, 0.0, 0.3, 0.807, 0.9, 1.345, 1.5, 1.614, 1.7])
def test_without_gamma_the_code_is_a_constant(beta):
    width = 6
    acc = np.arange(-32, 32)[:, None]
    _, code, mask = check(
        acc, UNIFORM, width=width, gamma=[0.0], beta=[beta], mean=[9.0], variance=[4.0]
    )
    assert len(np.unique(code)) == len(np.unique(mask)) == 1


@pytest.mark.parametrize("variance", [0.0, 1e-30, 1e-12, 1e30])
def test_tiny_and_huge_variances(variance):
    random = np.random.default_rng(5)
    columns = columns_of(random, 30) | {"variance": np.full(30, variance)}
    check(np.rint(random.normal(10, 20, (30, 30))).astype(np.int64), UNIFORM, **columns)


def test_thresholds_are_cut_to_what_tells_sums_apart():
    width = 5
    acc = np.arange(-16, 16)[:, None].repeat(4, axis=1)
    folded, *_ = check(
        acc,
        UNIFORM,
        width=width,
        gamma=[1.0, -1.0, 1e-9, -1e-9],
        beta=[0.0, 0.0, 0.5, 0.5],
        mean=[1e6, 1e6, 0.0, 0.0],
        variance=[1.0] * 4,
    )
    # Always, and never, also where -16 is negated.
    assert folded.thresholds.min() == -17 and folded.thresholds.max() == 16


def test_sums_of_images_keep_their_shape():
    acc = np.arange(-12, 12).reshape(2, 2, 3, 2)
    folded = Folded(
        thresholds=np.array([[0, 2, 4, 6], [-5, -3, 5, 9]]), negative=np.array([False, True])
    )
    code, mask = quantize(acc.astype(np.int8), folded)
    assert code.shape == mask.shape == acc.shape
    assert code[..., 0].ravel().tolist() == [0] * 7 + [1, 2, 3, 3, 3]
    assert mask[..., 0].ravel().tolist() == [False] * 7 + [True] * 3 + [False] * 2
    # Of the sums -11, -9, ... 11, negated.
    assert code[..., 1].ravel().tolist() == [3, 3, 3, 2, 2, 2, 2, 1, 0, 0, 0, 0]
    assert mask[..., 1].ravel().tolist() == [False, *[True] * 7, *[False] * 4]


def test_floats_are_the_rationals_they_are():
    """Variance and epsilon add up to a little more than 1; with 0.9 as a decimal to less."""
    variance = float(np.nextafter(0.1, 0))
    assert Fraction(variance) + Fraction("0.9") < 1 < Fraction(variance) + Fraction(0.9)
    quantizer = HalfWave(unit=Fraction(1), words=(0, 1), thresholds=(Fraction(-1),))
    _, code, _ = check(
        np.array([[-1]]),
        quantizer,
        gamma=[1.0],
        beta=[0.0],
        mean=[0.0],
        variance=[variance],
        epsilon=0.9,
        scale=1,
    )
    assert code[0, 0] == 1


def numbers(low, high):
    return st.one_of(
        st.integers(low, high).map(Fraction), st.fractions(low, high, max_denominator=10**6)
    )


@given(whole=numbers(-1000, 1000), part=numbers(-1000, 1000), square=numbers(0, 1000))
@example(whole=Fraction(3), part=Fraction(-1), square=Fraction(2))
@example(whole=Fraction(3), part=Fraction(-2), square=Fraction(9, 4))
@example(whole=Fraction(-1, 2), part=Fraction(1, 2), square=Fraction(9))
def test_floors_of_roots(whole, part, square):
    found = floor_of_root(whole, part, square)
    # found <= whole + part sqrt(square) < found + 1, by signs and squares
    for bound, below in ((found, True), (found + 1, False)):
        rest, term = bound - whole, part**2 * square * (1 if part >= 0 else -1)
        signed = rest**2 * (1 if rest >= 0 else -1)
        assert signed <= term if below else signed > term
    assert abs(found - floor(whole + part * Fraction(sqrt(square)))) <= 1


GOOD = {
    "gamma": [1.0],
    "beta": [0.0],
    "mean": [0.0],
    "variance": [1.0],
    "epsilon": EPSILON,
    "scale": 1.0,
    "steps": UNIFORM.steps,
    "width": 12,
}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"scale": 0.0}, "scale = 0.0: a number above 0 is wanted"),
        ({"variance": [-1.0]}, "variance of channel 0 = -1.0: with epsilon = 1e-05 a number above"),
        ({"variance": [0.0], "epsilon": 0}, "variance of channel 0 = 0.0"),
        ({"gamma": [np.nan]}, "gamma: a vector of finite numbers is wanted"),
        ({"mean": [[1.0]]}, "mean: a vector of finite numbers is wanted"),
        (
            {"beta": [1.0, 2.0]},
            "gamma, beta, mean, variance of 1, 2, 1, 1 channels: as many of each",
        ),
        ({"width": 1}, "width = 1: allowed are 2 to 62"),
    ],
)
def test_what_cannot_be_folded(changes, complaint):
    fold(**GOOD)
    with pytest.raises(ValueError, match=complaint):
        fold(**GOOD | changes)
