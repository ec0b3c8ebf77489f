"""The quantizers on tensors that floats carry, against those of integers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import golden.threads
from golden.lfsr import dither
from golden.quantize import (
    limit,
    quantize_activation,
    quantize_error,
    shift_exponent,
    ternarise,
    update_weight,
)
from golden.training.systems.wage import tensors as wage_tensors


@pytest.mark.parametrize(("bits", "stored"), [(2, 8), (2, 3), (3, 3), (3, 8), (8, 8), (8, 16)])
def test_every_weight(bits, stored):
    n = np.arange(-limit(stored), limit(stored) + 1)
    assert np.array_equal(wage_tensors.forward_weight(n, bits, stored), ternarise(n, bits, stored))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("bits", [2, 4, 8, 16])
@pytest.mark.parametrize("shift", [1, 2, 5, 12])
def test_every_sum_near_the_range_of_an_activation(kind, bits, shift):
    far = min((limit(bits) + 2) << shift, (1 << 24) - 1)
    acc = np.unique(np.linspace(-far, far, 200_001).astype(np.int64))
    edges = (limit(bits) << shift) + np.arange(-(2 << shift), (2 << shift) + 1)
    acc = np.concatenate([acc, edges[np.abs(edges) < 1 << 24], np.arange(-500, 500)])
    found = wage_tensors.activation(acc.astype(kind), shift, bits)
    assert found.dtype == kind
    assert np.array_equal(found, quantize_activation(acc, shift, bits))


values = st.integers(1, 52).flatmap(
    lambda width: st.lists(st.integers(-(1 << width), 1 << width), min_size=1, max_size=30)
)


@given(values, st.booleans())
def test_exponents(codes, ceil):
    maximum, exponent = wage_tensors.exponent(np.array(codes, np.float64), ceil)
    assert maximum == max(map(abs, codes))
    assert exponent == (shift_exponent(maximum, ceil) if maximum else 0)


@given(values, st.integers(2, 16), st.booleans())
def test_errors(codes, bits, ceil):
    carried = np.array(codes, np.float64)
    _, exponent = wage_tensors.exponent(carried, ceil)
    wanted = quantize_error(codes, exponent, bits)
    assert np.array_equal(wage_tensors.error(carried, exponent, bits), wanted)
    if max(map(abs, codes)) < 1 << 24:
        single = wage_tensors.error(carried.astype(np.float32), exponent, bits)
        assert single.dtype == np.float32 and np.array_equal(single, wanted)


@pytest.mark.parametrize("scale", range(4, 14))
def test_every_error(scale):
    """All values up to the largest that has the scale, halves of a step among them."""
    codes = np.arange(-(3 << scale), (3 << scale) + 1)
    found = wage_tensors.error(codes.astype(np.float32), scale, 8)
    assert np.array_equal(found, quantize_error(codes, scale, 8))


@given(st.data())
def test_updates(data):
    width = data.draw(st.integers(1, 52), label="bits of the gradient")
    stored = data.draw(st.integers(3, 16), label="bits of a weight")
    rate = data.draw(st.integers(-8, 7), label="rate")
    draw = data.draw(st.sampled_from([1, 4, 16, 31, 32]), label="bits of a draw")
    size = data.draw(st.integers(1, 20), label="size")
    saturation = data.draw(st.sampled_from([limit(stored), 1 << (stored - 2)]))
    most = (1 << width) - 1
    of = lambda low, high: st.lists(st.integers(low, high), min_size=size, max_size=size)  # noqa: E731
    n = np.array(data.draw(of(-saturation, saturation)))
    g = np.array(data.draw(of(-most, most)))
    words = np.array(data.draw(of(0, (1 << draw) - 1)), np.uint16 if draw <= 16 else np.uint32)
    check_update(n, g, rate, saturation, words, draw)


def check_update(n, g, rate, saturation, words, draw):
    maximum, exponent = wage_tensors.exponent(g.astype(np.float64), False)
    r = dither(words, exponent - rate, draw).reshape(n.shape)
    wanted = update_weight(n, g, exponent, rate, saturation, r)
    kinds = (np.float32, np.float64) if maximum < 1 << 24 else (np.float64,)
    for kind in kinds:
        found = wage_tensors.update(
            n, g.astype(kind), maximum, exponent - rate, saturation, words, draw
        )
        assert found.dtype == np.int64 and np.array_equal(found, wanted)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("width", [6, 20, 23, 24, 30, 50])
@pytest.mark.parametrize("rate", [-8, 0, 3, 7])
def test_updates_of_many_weights(monkeypatch, threads, width, rate):
    """More than are taken at a time, at the ends of the ranges of float32 and float64 too."""
    monkeypatch.setattr(wage_tensors, "_BLOCK", 1000)
    monkeypatch.setattr(golden.threads, "threads", lambda: threads)
    random = np.random.default_rng(width)
    n = random.integers(-127, 128, (61, 59))
    g = random.integers(-(1 << width), (1 << width) + 1, n.shape)
    g[0, :3] = 0, 1 << width, -(1 << width)
    words = random.integers(0, 1 << 16, n.shape).astype(np.uint16)
    words[0, :6] = 0xFFFF
    check_update(n, g, rate, 127, words, 16)


def test_updates_that_are_one_short_of_a_step_more():
    """A sum that a narrower float would have rounded up, into the next step."""
    words = np.array([(1 << 24) - 1, 0], np.uint32)
    check_update(np.array([5, 5]), np.array([1 << 24, 1]), 0, 127, words, 31)
    words = np.array([0, (1 << 32) - 1], np.uint32)
    check_update(np.array([5, 5]), np.array([1 << 52, (1 << 21) - 1]), -2, 127, words, 32)
