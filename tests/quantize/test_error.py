"""Q_E: integers against the paper's reals, twin against tensor, hardware against twin."""

from math import floor

import numpy as np
import pytest
from amaranth.back import rtlil
from hypothesis import given, settings
from support import SEEDS, agrees, codes
from wage_units import DRAWN_ERRORS, ERRORS, STOCHASTIC, error_quantizers, power, q, stretched

import golden
import hdl
from golden.lfsr import Generator, Lanes, dither
from golden.quantize import (
    ErrorQuantizerConfig,
    quantize_error,
)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_errors_to_nearest_are_the_papers(bits):
    error = np.arange(-900, 901)
    for exponent in range(12):
        expected = [q(e / power(exponent), bits) for e in error.tolist()]
        assert quantize_error(error, exponent, bits).tolist() == expected


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_stochastic_errors_go_away_from_zero_by_the_dropped_fraction(bits):
    error, top = np.arange(-300, 301), (1 << (bits - 1)) - 1
    for exponent in range(bits, bits + 6):
        s = exponent - (bits - 1)
        r = np.arange(1 << s)
        got = quantize_error(error[:, None], exponent, bits, STOCHASTIC, r)
        for row, e in zip(got.tolist(), error.tolist()):
            size = abs(e) / power(s)
            below = floor(size)
            ups = int((size - below) * (1 << s))  # of all r, so many go up: the highest ones
            steps = [below] * ((1 << s) - ups) + [below + 1] * ups
            assert row == [np.sign(e) * min(step, top) for step in steps]


def test_stochastic_errors_where_nothing_is_dropped_are_the_nearest():
    error = np.arange(-300, 301)
    for exponent in range(8):
        assert np.array_equal(
            quantize_error(error, exponent, 8, STOCHASTIC, 0), quantize_error(error, exponent, 8)
        )


@settings(max_examples=80)
@given(error_quantizers(), SEEDS)
def test_error_quantizers_agree(config, seed):
    agrees(hdl.ErrorQuantizer(config), golden.ErrorQuantizer(config), 200, seed)


@given(error_quantizers(), SEEDS)
def test_an_error_twins_values_are_those_of_the_tensor(config, seed):
    """One exponent for the whole tensor, as training has it."""
    rng = np.random.default_rng(seed)
    error = codes(config.width, (30, config.lanes), seed)
    k = int(rng.integers(0, config.width))
    keep = rng.integers(0, 2, error.shape)
    clocks = 30 + config.latency
    inputs = stretched(clocks, i_data=error, i_keep=keep)
    trace = golden.ErrorQuantizer(config).run(
        {**inputs, "exponent": np.full(clocks, k), "zero": np.zeros(clocks, int)}
    )
    r = 0
    if config.rounding is STOCHASTIC:
        words = Lanes(config.generator, config.first_lane, config.lanes).take(30)
        r = dither(words, k - (config.bits - 1), config.generator.draw)
    expected = quantize_error(error, k, config.bits, config.rounding, r) * keep
    assert np.array_equal(trace["o_data"][config.latency :], expected)


def test_errors_to_nearest_need_no_generator():
    assert "lfsr" in rtlil.convert(hdl.ErrorQuantizer(DRAWN_ERRORS))
    assert "lfsr" not in rtlil.convert(hdl.ErrorQuantizer(ERRORS))
    near = Generator(bits=8, leap=4, draw=4)
    ErrorQuantizerConfig(lanes=100, generator=near)
    with pytest.raises(ValueError, match="2 lanes of a generator of 8 bits"):
        ErrorQuantizerConfig(lanes=2, generator=near, rounding="stochastic")
