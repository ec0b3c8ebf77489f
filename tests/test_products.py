"""Exact products, against Python's integers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden import products
from golden.products import matmul

sizes = st.integers(1, 9)


def python_product(a, b):
    """The product in Python's integers, which have no bound."""
    return [
        [sum(x * y for x, y in zip(row, column)) for column in zip(*b.tolist())]
        for row in a.tolist()
    ]


@settings(max_examples=200, deadline=None)
@given(sizes, sizes, sizes, st.integers(1, 29), st.integers(1, 29), st.integers(0, 2**32 - 1))
def test_products_are_exact(height, depth, width, a_bits, b_bits, seed):
    random = np.random.default_rng(seed)
    a = random.integers(-(1 << a_bits), (1 << a_bits) + 1, (height, depth))
    b = random.integers(-(1 << b_bits), (1 << b_bits) + 1, (depth, width))
    a[0, 0], b[0, 0] = -(1 << a_bits), (1 << b_bits)  # the extremes take part
    product = matmul(a, b)
    assert product.dtype == np.int64
    assert product.tolist() == python_product(a, b)


@pytest.mark.parametrize(
    ("term_bits", "depth", "kinds"),
    [
        (12, 4095, {np.float32}),
        (12, 4096, {np.float64}),
        (23, 2, {np.float64}),
        (40, (1 << 13) - 1, {np.float64}),
        (40, 1 << 13, {np.float64, "parts"}),
    ],
)
def test_the_narrowest_exact_type_is_taken(monkeypatch, term_bits, depth, kinds):
    """On both sides of 2^24 and 2^53, with all terms at the largest and of one sign."""
    taken = []
    original = products._float_product

    def spy(a, b, kind):
        taken.append(kind)
        return original(a, b, kind)

    monkeypatch.setattr(products, "_float_product", spy)
    a = np.full((2, depth), -(1 << term_bits // 2))
    b = np.full((depth, 3), 1 << (term_bits - term_bits // 2))
    b[-1] -= 1  # the sum is not a multiple of a high power of two
    assert np.all(matmul(a, b) == -(depth << term_bits) + (1 << term_bits // 2))
    assert set(taken) == kinds - {"parts"}
    assert (len(taken) > 1) == ("parts" in kinds)


def test_sums_past_the_mantissa_of_a_float_stay_exact():
    a = np.full((1, 1 << 13), 1 << 25)
    b = np.full((1 << 13, 1), 1 << 24)
    a[0, 0], b[0, 0] = 1, 1
    assert matmul(a, b)[0, 0] == ((1 << 13) - 1 << 49) + 1
    # One term alone is past 2^53.
    assert matmul(np.array([[(1 << 30) + 1]]), np.array([[(1 << 30) - 1]]))[0, 0] == (1 << 60) - 1


def test_small_and_unsigned_types_are_no_trap():
    a = np.full((1, 300), -128, np.int8)
    assert matmul(a, np.full((300, 1), -128, np.int8))[0, 0] == 300 << 14
    assert matmul(np.full((1, 300), 255, np.uint8), a.T)[0, 0] == -300 * 255 * 128


def test_an_empty_depth_gives_zeros():
    product = matmul(np.zeros((2, 0), np.int64), np.zeros((0, 3), np.int64))
    assert product.tolist() == [[0] * 3] * 2


def test_what_cannot_be_exact_is_refused():
    with pytest.raises(ValueError, match="depth 2 and terms up to 4611686018427387904"):
        matmul(np.full((1, 2), 1 << 31), np.full((2, 1), 1 << 31))
    with pytest.raises(TypeError, match="b has values of type float64: integers are wanted"):
        matmul(np.ones((1, 1), np.int64), np.ones((1, 1)))
    with pytest.raises(ValueError, match=r"product of \(2, 3\) by \(2, 3\)"):
        matmul(np.ones((2, 3), np.int64), np.ones((2, 3), np.int64))


def test_promised_bounds_are_checked():
    a, b = np.array([[-128]]), np.array([[5]])
    assert matmul(a, b, a_bound=128, b_bound=5)[0, 0] == -640
    with pytest.raises(ValueError, match="a: largest magnitude 128, at most 127 was promised"):
        matmul(a, b, a_bound=127)
    with pytest.raises(ValueError, match="b: largest magnitude 5, at most 4 was promised"):
        matmul(a, b, b_bound=4)
