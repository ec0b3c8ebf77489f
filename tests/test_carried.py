"""Convert in float64 against Convert in integers."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import formats

from golden.carried import EXACT, fits, round_carried, saturate_carried
from golden.fixed import Conversion, Fixed, Rounding, convert, round_shift
from golden.lfsr import dither

CODES = np.arange(-64, 64)
TARGETS = [Fixed(1, 1), Fixed(2, 0), Fixed(2, 1), Fixed(3, 2), Fixed(5, 3)]


def words_of(draw):
    """All words of a draw, in the type that lanes give."""
    return np.arange(1 << draw, dtype=np.uint16 if draw <= 16 else np.uint32)


def carried(z, conversion, words, draw, bound=None):
    """Convert by way of float64, as codes."""
    z = np.array(np.broadcast_to(z, np.broadcast_shapes(np.shape(z), words.shape)), np.float64)
    bound = int(np.abs(z).max(initial=0)) if bound is None else bound
    words = np.broadcast_to(words, z.shape)
    y = round_carried(z, conversion, bound, words, draw)
    assert y is z
    return saturate_carried(y, conversion.target).astype(np.int64)


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("draw", [1, 3, 6])
def test_every_code_is_converted_as_in_integers(draw, rounding):
    """From 3 bits appended to 6 dropped: fewer than a draw has, as many, and more."""
    words = words_of(draw)
    for fraction, target in product(range(7), TARGETS):
        conversion = Conversion(fraction=fraction, target=target, rounding=rounding)
        r = dither(words, conversion.dropped, draw)
        expected = conversion(CODES[:, None], r)
        got = carried(CODES[:, None], conversion, words[None], draw)
        assert np.array_equal(got, np.broadcast_to(expected, got.shape))


@given(
    st.data(),
    formats(),
    st.integers(0, 60),
    st.sampled_from(Rounding),
    st.sampled_from([5, 16, 32]),
)
def test_wide_codes_are_exact_up_to_the_bound(data, target, fraction, rounding, draw):
    """To within one of 2^53, ties and their neighbours among them."""
    conversion = Conversion(fraction=fraction, target=target, rounding=rounding)
    s = max(conversion.dropped, 0)
    bound = EXACT - (1 << s) - 1
    if bound < 0:
        return
    assert fits(bound, conversion) and not fits(bound + 1, conversion)
    half = 1 << s >> 1
    near = st.integers(-bound >> s, bound >> s).flatmap(
        lambda whole: st.integers(-1, 1).map(lambda beside: (whole << s) + half + beside)
    )
    edge = st.sampled_from([bound, -bound, 0, -1])
    z = data.draw(st.integers(-bound, bound) | near | edge)
    z = min(max(z, -bound), bound)
    word = data.draw(st.integers(0, (1 << draw) - 1) | st.just((1 << draw) - 1))
    words = np.array([word], words_of(min(draw, 17)).dtype if draw > 16 else np.uint16)
    got = carried(np.array([z]), conversion, words, draw, bound)
    assert got.tolist() == [int(conversion(z, dither(word, conversion.dropped, draw)))]


def test_beyond_the_bound_a_float_is_wrong():
    """2^53 + 1 is not a float: one more than the bound, and the sum is rounded on the way."""
    conversion = Conversion(fraction=30, target=Fixed(24, 0), rounding=Rounding.STOCHASTIC)
    z = EXACT - (1 << 29) + 1
    with pytest.raises(
        ValueError, match=r"Convert of codes up to .* with 30 bits dropped: float64"
    ):
        round_carried(np.array([float(z)]), conversion, z, np.array([0], np.uint16), 16)


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("factor", [1, -655, 3 << 20])
def test_a_factor_makes_the_codes(factor, rounding):
    random = np.random.default_rng(0)
    values = random.integers(-(2**20), 2**20, 500)
    words = random.integers(0, 2**16, 500).astype(np.uint16)
    for fraction in (0, 4, 15, 16, 30, 42):
        conversion = Conversion(fraction=fraction, target=Fixed(12, 4), rounding=rounding)
        bound = abs(factor) << 20
        z = values.astype(np.float64)
        round_carried(z, conversion, bound, words, 16, factor)
        s = conversion.dropped
        r = dither(words, s, 16)
        codes = factor * values
        expected = round_shift(codes, s, rounding, r) if s > 0 else codes << -s
        assert np.array_equal(z, expected)
        saturate_carried(z, conversion.target)
        assert np.array_equal(z, convert(codes, fraction, conversion.target, rounding, r))


def test_stochastic_rounding_needs_draws():
    conversion = Conversion(fraction=4, target=Fixed(2, 0))
    with pytest.raises(ValueError, match="stochastic rounding without draws"):
        round_carried(np.zeros(1), conversion, 1)
    # Nothing is dropped, nothing is drawn.
    assert round_carried(np.ones(1), Conversion(fraction=0, target=Fixed(2, 3)), 1) == [8]
