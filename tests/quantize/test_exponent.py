"""Shift: exact exponents, one for every tensor, and hardware against twin."""

from math import log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import SEEDS, Bench, agrees, codes
from wage_units import THRESHOLDS, WIDTHS, exact_exponent

import golden
import hdl
from golden.quantize import (
    ShiftExponentConfig,
    shift_exponent,
)


def test_the_shift_exponent_is_exact():
    assert [shift_exponent(m) for m in range(1, 4096)] == [
        exact_exponent(m) for m in range(1, 4096)
    ]
    assert shift_exponent(1) == 0
    for k, first in enumerate(THRESHOLDS, 1):
        assert (shift_exponent(first - 1), shift_exponent(first)) == (k - 1, k)


def test_the_shift_exponent_is_exact_where_a_float_logarithm_is_not():
    # sqrt(2) * 2^19 = 741455.2
    assert 741455**2 < 1 << 39 < 741456**2
    assert shift_exponent(741455) == 19
    assert shift_exponent(741456) == 20
    assert np.float32(log2(741455)) == 19.5  # even the best float32 is a tie


@given(st.integers(1, (1 << 61) - 1))
def test_the_shift_exponent_of_wide_maxima_is_exact(maximum):
    k = shift_exponent(maximum)
    assert maximum * maximum < 1 << 2 * k + 1
    assert k == 0 or maximum * maximum > 1 << 2 * k - 1
    up = shift_exponent(maximum, ceil=True)
    assert maximum <= 1 << up
    assert up == 0 or maximum > 1 << up - 1


@settings(max_examples=60)
@given(WIDTHS, st.booleans(), st.integers(1, 9), SEEDS)
def test_shift_exponents_agree(width, ceil, lanes, seed):
    config = ShiftExponentConfig(width=width, ceil=ceil, lanes=lanes)
    agrees(hdl.ShiftExponent(config), golden.ShiftExponent(config), 250, seed)


def tensors(lanes, sizes, width, seed):
    """Operands of tensors of so many vectors each, and what Shift says of each."""
    rng = np.random.default_rng(seed)
    operands, expected = [], []
    for size in sizes:
        data = codes(width, (size, lanes), int(rng.integers(1 << 30))) >> rng.integers(
            0, width, (size, 1)
        )
        keep = rng.integers(0, 2, (size, lanes))
        data *= rng.random() > 0.2  # some are zero as a whole
        operands += [
            {"data": row, "keep": kept, "last": int(n == size - 1)}
            for n, (row, kept) in enumerate(zip(data.tolist(), keep.tolist()))
        ]
        maximum = int(np.abs(data * keep).max())
        exponent = exact_exponent(maximum) if maximum else 0
        expected.append({"maximum": maximum, "exponent": exponent, "zero": int(maximum == 0)})
    return operands, expected


@pytest.mark.parametrize("lanes", [1, 2, 5])
@pytest.mark.parametrize(
    ("gaps", "stalls"),
    [([0], [0]), ([0, 2, 0, 1], [0]), ([0], [0, 8, 1]), ([1, 0, 0], [40, 0])],
    ids=["free", "gaps", "stalls", "both"],
)
def test_every_tensor_gets_its_own_exponent(lanes, gaps, stalls):
    sizes = [3, 1, 1, 1, 7, 2, 1, 4, *[1] * 20, 5]
    config = ShiftExponentConfig(width=24, lanes=lanes)
    operands, expected = tensors(lanes, sizes, 24, 5)
    bench = Bench(hdl.ShiftExponent(config), gaps, stalls)
    assert bench.run(operands, len(sizes)) == expected
    lasts = [clock for clock, operand in zip(bench.accepted, operands) if operand["last"]]
    if stalls == [0]:
        assert bench.left == [clock + config.latency for clock in lasts]
    if gaps == stalls == [0]:
        assert bench.accepted == list(range(len(operands)))
    if gaps == [0]:  # only a last vector ever waits
        waits = np.diff(bench.accepted) - 1
        assert not any(w and not operand["last"] for w, operand in zip(waits, operands[1:]))


@pytest.mark.parametrize("ceil", [False, True], ids=["round", "ceil"])
def test_the_hardwares_exponents_at_every_threshold(ceil):
    maxima = [m for first in [*THRESHOLDS, 741456, 1 << 23] for m in (first - 1, first)]
    maxima += [(1 << k) + d for k in range(2, 23) for d in (-1, 0, 1)]
    config = ShiftExponentConfig(width=24, lanes=1, ceil=ceil)
    operands = [
        {"data": [-m], "keep": [1], "last": 1}
        for m in maxima  # -2^23 is the lowest code
    ]
    results = Bench(hdl.ShiftExponent(config)).run(operands, len(maxima))
    assert [result["maximum"] for result in results] == maxima
    expected = [(m - 1).bit_length() if ceil else exact_exponent(m) for m in maxima]
    assert [result["exponent"] for result in results] == expected
