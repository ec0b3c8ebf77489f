"""Q_W: integers against the paper's reals, and hardware against twin."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import SEEDS, agrees
from wage_units import LANES, power, q

import golden
import hdl
from golden.quantize import (
    WeightQuantizerConfig,
    alpha_exponent,
    ternarise,
)


@pytest.mark.parametrize(
    ("stored", "bits"), [(8, 2), (8, 3), (8, 8), (3, 2), (3, 3), (10, 2), (10, 5)]
)
def test_forward_weights_are_the_papers(stored, bits):
    n = np.arange(-(1 << (stored - 1)), 1 << (stored - 1))
    expected = [q(Fraction(w, 1 << (stored - 1)), bits) for w in n.tolist()]
    assert ternarise(n, bits, stored).tolist() == expected


def test_ternary_weights_are_the_sign_beyond_a_quarter():
    n = np.arange(-127, 128)
    assert np.array_equal(ternarise(n), np.sign(n) * (np.abs(n) > 32))
    assert ternarise([-33, -32, 32, 33]).tolist() == [-1, 0, 0, 1]


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("c", [3, 6])
def test_alpha_is_the_power_of_two_nearest_to_the_ratio_of_the_limits(bits, c):
    """log2(Lmin / L) rounded, and 0 where it is below: by comparing squares."""
    for inputs in [*range(1, 600), 784, 800, 1024, 4608, 8192, 10**6]:
        m = alpha_exponent(inputs, bits, c)
        l_min = Fraction(3, 2) * power(1 - bits)
        square = l_min**2 * Fraction(inputs, c)  # (Lmin / L)^2, L = sqrt(c / inputs)
        assert square < power(2 * m + 1)
        assert m == 0 or square > power(2 * m - 1)


@pytest.mark.parametrize(
    ("inputs", "c", "m"),
    [(9, 6, 0), (25, 6, 1), (27, 3, 1), (800, 6, 3), (3136, 6, 4), (8192, 3, 5)],
)
def test_known_scales(inputs, c, m):
    assert alpha_exponent(inputs, 2, c) == m


@settings(max_examples=40)
@given(st.integers(3, 24), st.integers(0, 22), LANES, SEEDS)
def test_weight_quantizers_agree(stored, fewer, lanes, seed):
    config = WeightQuantizerConfig(stored=stored, bits=max(stored - fewer, 2), lanes=lanes)
    agrees(hdl.WeightQuantizer(config), golden.WeightQuantizer(config), 200, seed)
