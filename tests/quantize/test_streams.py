"""WAGE's units on streams: nothing is lost, all comes at the documented clock and has its value."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import SEEDS, Bench, OneByOne, agrees, codes
from wage_units import (
    ACTIVATIONS,
    DRAWN_ERRORS,
    ERRORS,
    STOCHASTIC,
    UPDATES,
    WEIGHTS,
    error_quantizers,
    weight_updates,
)

import golden
import hdl
from golden.quantize import (
    ShiftExponentConfig,
    quantize_activation,
    quantize_error,
    ternarise,
    update_weight,
)


@pytest.mark.long
@settings(max_examples=150)
@given(error_quantizers(), weight_updates(), SEEDS)
def test_many_configurations_agree(error, update, seed):
    agrees(hdl.ErrorQuantizer(error), golden.ErrorQuantizer(error), 400, seed)
    agrees(hdl.WeightUpdate(update), golden.WeightUpdate(update), 400, seed)


RNG = np.random.default_rng(1)
COUNT = 80
SHIFTS = RNG.integers(0, 9, COUNT).tolist()
EXPONENTS = RNG.integers(0, 32, COUNT).tolist()
RATES = RNG.integers(-8, 8, COUNT).tolist()
ZERO = (RNG.random(COUNT) < 0.1).astype(int).tolist()
KEEP = RNG.integers(0, 2, (COUNT, 3)).tolist()
STORED = codes(8, (COUNT, 3), 2)
WIDE = codes(32, (COUNT, 3), 3) >> RNG.integers(0, 31, (COUNT, 3))
SUMS = codes(21, (COUNT, 3), 4) >> RNG.integers(0, 20, (COUNT, 3))


def one_by_one(config, dropped):
    """Random numbers (values, lanes), one step after the other, for bits dropped a value."""
    walkers = [OneByOne(config.generator, config.first_lane + n) for n in range(config.lanes)]
    return [[walker.addend(s) for walker in walkers] for s in dropped]


def by_value(function, *columns):
    """`function` of each value alone; columns are one a vector, or one a value."""
    return [
        [int(function(*(c[lane] if isinstance(c, list) else c for c in row))) for lane in range(3)]
        for row in zip(*columns)
    ]


def expected_errors(config):
    r = one_by_one(config, [k - 7 for k in EXPONENTS]) if config.rounding is STOCHASTIC else KEEP

    def quantized(error, keep, zero, k, r):
        return 0 if zero or not keep else quantize_error(error, k, 8, config.rounding, r)

    return [{"data": row} for row in by_value(quantized, WIDE.tolist(), KEEP, ZERO, EXPONENTS, r)]


def expected_updates(config):
    r = one_by_one(config, [k - rate for k, rate in zip(EXPONENTS, RATES)])

    def updated(weight, gradient, zero, k, rate, r):
        return update_weight(weight, 0 if zero else gradient, k, rate, 64, r)

    rows = by_value(updated, STORED.tolist(), WIDE.tolist(), ZERO, EXPONENTS, RATES, r)
    return [{"weight": row} for row in rows]


def expected_activations():
    data = by_value(quantize_activation, SUMS.tolist(), SHIFTS)
    active = by_value(lambda acc: acc > 0, SUMS.tolist())
    unclipped = by_value(lambda acc, shift: acc <= 127 << shift, SUMS.tolist(), SHIFTS)
    return [{"data": d, "active": a, "unclipped": u} for d, a, u in zip(data, active, unclipped)]


#: Unit, its configuration, operands, plain ports by operand, results.
STREAMS = {
    "weights": (
        hdl.WeightQuantizer,
        WEIGHTS,
        [{"data": row} for row in STORED.tolist()],
        {},
        lambda config: [{"data": ternarise(row).tolist()} for row in STORED],
    ),
    "activations": (
        hdl.ActivationQuantizer,
        ACTIVATIONS,
        [{"data": row} for row in SUMS.tolist()],
        {"shift": SHIFTS},
        lambda config: expected_activations(),
    ),
    "errors": (
        hdl.ErrorQuantizer,
        ERRORS,
        [{"data": row, "keep": keep} for row, keep in zip(WIDE.tolist(), KEEP)],
        {"exponent": EXPONENTS, "zero": ZERO},
        expected_errors,
    ),
    "drawn errors": (
        hdl.ErrorQuantizer,
        DRAWN_ERRORS,
        [{"data": row, "keep": keep} for row, keep in zip(WIDE.tolist(), KEEP)],
        {"exponent": EXPONENTS, "zero": ZERO},
        expected_errors,
    ),
    "updates": (
        hdl.WeightUpdate,
        UPDATES,
        [{"weight": w, "gradient": g} for w, g in zip(STORED.tolist(), WIDE.tolist())],
        {"exponent": EXPONENTS, "zero": ZERO, "rate": RATES},
        expected_updates,
    ),
}


@pytest.mark.parametrize(
    ("gaps", "stalls"),
    [([0], [0]), ([0, 3, 1], [0]), ([0], [0, 0, 5, 1]), ([0, 0, 2], [30, 0, 9, 0, 0])],
    ids=["free", "gaps", "stalls", "both"],
)
@pytest.mark.parametrize("name", STREAMS)
def test_no_value_is_lost_repeated_or_another_one(name, gaps, stalls):
    """Lanes leap once an operand: whatever its exponent, rate and mask, and whether all is zero."""
    unit, config, operands, ports, expected = STREAMS[name]
    bench = Bench(unit(config), gaps, stalls, ports)
    assert bench.run(operands, COUNT) == expected(config)
    if stalls == [0]:
        assert bench.left == [clock + config.latency for clock in bench.accepted]
    if gaps == stalls == [0]:
        assert bench.accepted == list(range(COUNT))


@settings(max_examples=20)
@given(st.integers(0, 60), SEEDS)
def test_a_reset_at_any_clock_starts_again(clock, seed):
    rst = (np.arange(160) == clock).astype(int)
    for name in STREAMS:
        unit, config, *_ = STREAMS[name]
        twin = getattr(golden, unit.__name__)(config)
        agrees(unit(config), twin, 160, seed, rst=rst)
    config = ShiftExponentConfig(lanes=3)
    agrees(hdl.ShiftExponent(config), golden.ShiftExponent(config), 160, seed, rst=rst)
