"""Q_G and update: integers against the paper's reals, hardware against twin against tensor."""

from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import SEEDS, agrees, codes
from wage_units import power, stretched, weight_updates

import golden
import hdl
from golden.lfsr import Lanes, dither
from golden.quantize import (
    WeightUpdateConfig,
    update_weight,
)


@pytest.mark.parametrize("saturation", [127, 64])
def test_updates_are_the_papers(saturation):
    """W - sgn(g_s) {floor|g_s| + Bernoulli}, clipped; g_s = rate * g / Shift."""
    weights = np.array([-128, -127, -64, -1, 0, 5, 63, 126, 127])
    gradients = np.arange(-40, 41)
    for exponent in range(6):
        for rate in (-2, 0, 1, 3):
            s = exponent - rate
            r = np.arange(1 << max(s, 0))
            got = update_weight(
                weights[:, None, None], gradients[:, None], exponent, rate, saturation, r
            )
            for gradient, rows in zip(gradients.tolist(), got.transpose(1, 0, 2)):
                size = abs(gradient) / power(s)
                below = floor(size)
                ups = int((size - below) * len(r))
                steps = np.array([below] * (len(r) - ups) + [below + 1] * ups) * np.sign(gradient)
                expected = np.clip(weights[:, None] - steps, -saturation, saturation)
                assert np.array_equal(rows, expected)


@given(
    st.integers(-128, 127),
    st.integers(-(1 << 53), (1 << 53) - 1),
    st.integers(0, 53),
    st.integers(-8, 40),
    st.data(),
)
def test_wide_updates_do_not_overflow(weight, gradient, exponent, rate, data):
    s = exponent - rate
    r = data.draw(st.integers(0, (1 << max(s, 0)) - 1) | st.just((1 << max(s, 0)) - 1))
    steps = abs(gradient) + r >> s if s > 0 else abs(gradient) << -s
    moved = weight - steps if gradient > 0 else weight + steps
    assert int(update_weight(weight, gradient, exponent, rate, 127, r)) == min(
        max(moved, -127), 127
    )


def test_a_gradient_of_zero_moves_no_weight_whatever_was_drawn():
    weights = np.arange(-127, 128)
    for r in (0, 1, 255):
        assert np.array_equal(update_weight(weights, weights * 0, 8, 0, 127, r), weights)


@settings(max_examples=60)
@given(weight_updates(), SEEDS)
def test_weight_updates_agree(config, seed):
    agrees(hdl.WeightUpdate(config), golden.WeightUpdate(config), 200, seed)


def test_the_compiled_simulator_agrees():
    config = WeightUpdateConfig(lanes=3)
    unit = hdl.WeightUpdate(config)
    agrees(unit, golden.WeightUpdate(config), 20000, 1, simulator="cxxrtl", resets=0.001)


@given(weight_updates(), SEEDS, st.integers(-8, 7))
def test_an_update_twins_values_are_those_of_the_tensor(config, seed, rate):
    k = seed % config.width
    weight, gradient = (
        codes(config.bits, (30, config.lanes), seed),
        codes(config.width, (30, config.lanes), seed + 1),
    )
    clocks = 30 + config.latency
    inputs = stretched(clocks, i_weight=weight, i_gradient=gradient)
    ports = {"exponent": k, "zero": 0, "rate": rate}
    trace = golden.WeightUpdate(config).run(
        {**inputs, **{name: np.full(clocks, value) for name, value in ports.items()}}
    )
    words = Lanes(config.generator, config.first_lane, config.lanes).take(30)
    r = dither(words, k - rate, config.generator.draw)
    expected = update_weight(weight, gradient, k, rate, config.saturation, r)
    assert np.array_equal(trace["o_weight"][config.latency :], expected)


def test_weights_saturate_at_the_papers_limit_or_the_released_codes():
    assert WeightUpdateConfig().saturation == 127
    assert WeightUpdateConfig(half=True).saturation == 64
    assert WeightUpdateConfig(bits=10).saturation == 511
