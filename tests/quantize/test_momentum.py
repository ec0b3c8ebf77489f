"""Gupta's update: integers against rationals, hardware against twin against tensor and trainer."""

from dataclasses import replace
from fractions import Fraction
from math import floor

import numpy as np
import pytest
from amaranth.back import rtlil
from hypothesis import given, settings
from hypothesis import strategies as st
from support import SEEDS, agrees, codes, generators
from wage_units import LANES, stretched

import golden
import hdl
from golden.fixed import Fixed, Rounding
from golden.lfsr import Lanes, dither
from golden.quantize import MomentumUpdateConfig, momentum_update
from golden.training.systems.gupta.recipe import GuptaRecipe, UpdateFactors
from golden.training.systems.gupta.update import exact_sum
from gradloom import compare, usual_inputs
from gradloom.units import UNITS

UNIT = UNITS["momentum-update"]
PLAIN = {"momentum_bits": 0, "decay_bits": 0}
SMALL = MomentumUpdateConfig(
    width=8,
    fraction=4,
    word=Fixed(2, 3),
    rate_bits=4,
    rate_fraction=3,
    momentum_bits=3,
    momentum_fraction=3,
    decay_bits=2,
    decay_fraction=4,
    lanes=2,
)
#: As wide as it goes: sums of far more than 62 bits, several limbs of every operand.
WIDE = MomentumUpdateConfig(
    width=54, fraction=29, word=Fixed(1, 15), rate_bits=37, momentum_bits=37, decay_bits=37
)


@st.composite
def configs(draw):
    lanes, first = draw(LANES), draw(st.sampled_from([0, 30]))
    il, fl = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    most = 62 - il  # fraction bits of a sum
    fraction = draw(st.integers(0, min(most, 46)))
    factors = st.integers(0, 37)
    return MomentumUpdateConfig(
        width=draw(st.integers(2, 54)),
        fraction=fraction,
        word=Fixed(il, fl),
        rounding=draw(st.sampled_from(Rounding)),
        rate_bits=draw(st.integers(1, 37)),
        rate_fraction=draw(st.integers(0, min(most - fraction, 46))),
        power=draw(st.booleans()),
        momentum_bits=draw(st.just(0) | factors),
        momentum_fraction=draw(st.integers(0, min(most - fl, 46))),
        decay_bits=draw(st.just(0) | factors),
        decay_fraction=draw(st.integers(0, min(most - fl, 46))),
        lanes=lanes,
        first_lane=first,
        generator=draw(generators(first + lanes)),
    )


def factors_of(config, seed):
    """A factor of each kind, as a number."""
    rng = np.random.default_rng(seed)
    shift = int(rng.integers(0, config.rate_bits))
    rate = 1 << shift if config.power else int(rng.integers(0, config.largest_rate + 1)) >> shift
    momentum, decay = (
        int(rng.integers(0, 1 << bits)) if bits else 0
        for bits in (config.momentum_bits, config.decay_bits)
    )
    return {"rate": rate, "momentum": momentum, "decay": decay}


def nearest(x, rounding):
    """A rational rounded to an integer."""
    low, rest = floor(x), x - floor(x)
    up = {
        Rounding.NEAREST_DOWN: rest > Fraction(1, 2),
        Rounding.NEAREST_UP: rest >= Fraction(1, 2),
        Rounding.NEAREST_EVEN: rest > Fraction(1, 2) or (rest == Fraction(1, 2) and low % 2 == 1),
        Rounding.NEAREST_AWAY: rest > Fraction(1, 2) or (rest == Fraction(1, 2) and x > 0),
    }
    return low + up[rounding]


@settings(max_examples=100)
@given(configs(), SEEDS)
def test_updates_are_the_definition_in_reals(config, seed):
    """v' = Convert(mu v - lr (q G + decay w)) and w' = saturate(w + v')."""
    word, one = config.word, factors_of(config, seed)
    gradient = codes(config.width, 12, seed) >> (seed % config.width)
    weight, update = codes(word.width, 12, seed + 1), codes(word.width, 12, seed + 2)
    s = max(config.dropped, 0)
    r = np.random.default_rng(seed).integers(0, 1 << s, 12)
    weights, updates = momentum_update(config, gradient, weight, update, **one, r=r)
    real = {
        "rate": Fraction(one["rate"], 1 << config.rate_fraction),
        "momentum": Fraction(one["momentum"], 1 << config.momentum_fraction),
        "decay": Fraction(one["decay"], 1 << config.decay_fraction),
    }
    for k, (g, w, v, draw) in enumerate(
        zip(*map(np.ndarray.tolist, (gradient, weight, update, r)))
    ):
        g = Fraction(g, 1 << config.fraction)
        w, v = (Fraction(x, 1 << word.fl) for x in (w, v))
        exact = real["momentum"] * v - real["rate"] * g - real["decay"] * w
        step = exact * (1 << word.fl)
        if config.stochastic:
            whole = floor(step + Fraction(draw, 1 << s))
        else:
            whole = nearest(step, config.rounding)
        moved = min(max(whole, word.minimum), word.maximum)
        assert updates[k] == moved
        assert weights[k] == min(max(int(weight[k]) + moved, word.minimum), word.maximum)


@pytest.mark.parametrize("x_fl", [14, 10])
def test_updates_are_the_trainers(x_fl):
    """Also if a power of two is divided out of the trainer's factors, as `factors` does."""
    rng = np.random.default_rng(x_fl)
    recipe = GuptaRecipe(batch=100, learning_rate="0.1", momentum="0.9", decay="0.0005")
    rate, mean, mu, decay = 6554, 655, 58982, 33
    made = recipe.factors(0, 0)  # for inputs of 14 fraction bits
    if x_fl == 14:
        assert made.gradient << (60 - made.fraction) == rate * mean
    factors = UpdateFactors(
        fraction=32 + x_fl + 14,
        gradient=rate * mean,
        velocity=mu << (16 + x_fl),
        weight=rate * decay << x_fl,
    )
    config = MomentumUpdateConfig(width=48, fraction=x_fl + 14)
    assert config.sum_fraction == factors.fraction
    gradient = rng.integers(-(1 << 47), 1 << 47, 4000) >> rng.integers(0, 47, 4000)
    weight, update = (rng.integers(-(1 << 15), 1 << 15, 4000) for _ in range(2))
    r = rng.integers(0, 1 << config.dropped, 4000)
    reals = [values.astype(np.float64) for values in (gradient, update, weight)]
    z = exact_sum(factors, *reals, bound=1 << 70)
    expected = config.conversion(z, r)
    weights, updates = momentum_update(
        config, gradient, weight, update, rate=rate * mean, momentum=mu, decay=rate * decay, r=r
    )
    assert np.array_equal(updates, expected)
    assert np.array_equal(weights, np.clip(weight + expected, -(1 << 15), (1 << 15) - 1))
    assert len(np.unique(updates)) > 500


def test_one_point_for_layers_of_different_inputs_changes_no_bit():
    """A rate with more fraction bits stands for sums with fewer: the same draws, the same bits."""
    rng = np.random.default_rng(1)
    config = MomentumUpdateConfig()
    fewer = MomentumUpdateConfig(fraction=24)
    gradient = rng.integers(-(1 << 30), 1 << 30, 5000)
    weight, update = (rng.integers(-(1 << 15), 1 << 15, 5000) for _ in range(2))
    words = rng.integers(0, 1 << 16, 5000, np.uint16)
    factors = {"momentum": 58982, "decay": 216282}
    found = [
        momentum_update(
            unit, gradient, weight, update, rate=rate, r=dither(words, unit.dropped, 16), **factors
        )
        for unit, rate in ((fewer, 4292870 >> 4), (config, 4292870 >> 4 << 4))
    ]
    assert all(np.array_equal(*pair) for pair in zip(*found))


@settings(max_examples=25)
@given(configs(), SEEDS)
def test_momentum_updates_agree(config, seed):
    agrees(hdl.MomentumUpdate(config), golden.MomentumUpdate(config), 200, seed)


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        MomentumUpdateConfig(lanes=2),
        replace(WIDE, lanes=2),
        MomentumUpdateConfig(**PLAIN, power=True, rounding=Rounding.NEAREST_DOWN),
        MomentumUpdateConfig(momentum_bits=0, rounding=Rounding.NEAREST_EVEN, rate_bits=1),
    ],
    ids=["small", "default", "wide", "power", "decay"],
)
def test_the_usual_stimulus_agrees(config):
    inputs = usual_inputs(UNIT, config, 2500, 3)
    comparison = compare(hdl.MomentumUpdate(config), inputs, golden.MomentumUpdate(config))
    assert comparison, comparison.report()


def test_the_compiled_simulator_agrees():
    config = MomentumUpdateConfig(lanes=3)
    unit = hdl.MomentumUpdate(config)
    agrees(unit, golden.MomentumUpdate(config), 10000, 1, simulator="cxxrtl", resets=0.001)


@settings(max_examples=40)
@given(configs(), SEEDS)
def test_a_twins_values_are_those_of_the_tensor(config, seed):
    clocks, word = 30 + config.latency, config.word.width
    given = {"i_gradient": codes(config.width, (30, config.lanes), seed)}
    given["i_weight"] = codes(word, (30, config.lanes), seed + 1)
    given["i_update"] = codes(word, (30, config.lanes), seed + 2)
    one = factors_of(config, seed)
    ports = one | ({"rate": one["rate"].bit_length() - 1} if config.power else {})
    there = {port.name for port in config.ports}
    inputs = stretched(clocks, **{name: v for name, v in given.items() if name in there})
    trace = golden.MomentumUpdate(config).run(
        inputs | {name: np.full(clocks, v) for name, v in ports.items() if name in there}
    )
    words = Lanes(config.generator, config.first_lane, config.lanes).take(30)
    r = dither(words, config.dropped, config.generator.draw) if config.dropped > 0 else 0
    weights, updates = momentum_update(
        config, *given.values(), **one, r=r if config.stochastic else 0
    )
    assert np.array_equal(trace["o_weight"][config.latency :], weights)
    if config.momentum_bits:
        assert np.array_equal(trace["o_update"][config.latency :], updates)


def test_the_usual_stimulus_reaches_both_sides_of_every_decision():
    for config in (SMALL, MomentumUpdateConfig(), replace(WIDE, lanes=2)):
        inputs, word = usual_inputs(UNIT, config, 4000, 1), config.word
        values = {
            name: np.asarray(values).astype(object).reshape(len(values), -1)
            for name, values in inputs.items()
        }
        z = values["momentum"] * values["i_update"] * (1 << config.momentum_shift)
        gains = z.copy()
        z -= values["rate"] * values["i_gradient"] * (1 << config.rate_shift)
        z -= values["decay"] * values["i_weight"] * (1 << config.decay_shift)
        for limit in (word.minimum, word.maximum):
            edge = limit << config.dropped
            near = abs(z - edge) < 2 << config.dropped
            assert (near & (z > edge)).any() and (near & (z < edge)).any()
        if config.saturates:
            far = 1 << 61
            assert (z >= far).any() and (z < -far).any()
            assert ((abs(gains) > far // 2) & (abs(z) < far >> 12)).any()


def multipliers(config):
    return rtlil.convert(hdl.MomentumUpdate(config)).count("cell $mul ")


def test_settings_leave_multipliers_and_ports_away():
    assert multipliers(MomentumUpdateConfig(width=18, rate_bits=17, decay_bits=17)) == 3
    assert multipliers(MomentumUpdateConfig()) == 3 * 2 + 1 + 2
    assert multipliers(MomentumUpdateConfig(**PLAIN, lanes=2)) == 2 * 6
    assert multipliers(MomentumUpdateConfig(power=True)) == 1 + 2
    nothing = MomentumUpdateConfig(power=True, **PLAIN)
    assert multipliers(nothing) == 0
    names = {port.name for port in nothing.ports}
    assert not names & {"momentum", "decay", "i_update", "o_update"}


def test_a_sum_past_the_widest_is_refused():
    with pytest.raises(ValueError, match=r"sums of 62 fraction bits.*at most 60 fraction bits"):
        MomentumUpdateConfig(fraction=30)
    with pytest.raises(ValueError, match="rate_bits = 38: allowed are 1 to 37"):
        MomentumUpdateConfig(rate_bits=38)
    with pytest.raises(ValueError, match="lanes of one seed"):
        MomentumUpdateConfig(lanes=250, first_lane=6)
    MomentumUpdateConfig(lanes=250, first_lane=6, rounding="nearest-even")


def test_operands_out_of_range_are_refused():
    with pytest.raises(ValueError, match="rate: 8388608 is out of range"):
        momentum_update(MomentumUpdateConfig(), [0], [0], rate=1 << 23)
    with pytest.raises(ValueError, match="weight: 32768 is out of range"):
        momentum_update(MomentumUpdateConfig(), [0], [1 << 15], rate=1)
