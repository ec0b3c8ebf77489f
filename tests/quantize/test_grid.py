"""Updates of weights on a grid, and of biases without one: integers against the papers' reals,
hardware against twin.
"""

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
from golden.fixed import Fixed
from golden.lfsr import Lanes, dither
from golden.quantize import GridRule, GridUpdateConfig, grid_update
from golden.training.systems.li.trainer import probability_code
from gradloom import compare, usual_inputs
from gradloom.units import UNITS

UNIT = UNITS["grid-update"]
BC = {"rule": "bc", "binary": True, "grid": 0}
DRAWN = GridUpdateConfig(**BC, drawn=True, lanes=2)
FINE = GridUpdateConfig(rule="fine", grid=0)


@st.composite
def configs(draw):
    lanes, first = draw(LANES), draw(st.sampled_from([0, 30]))
    rule = draw(st.sampled_from(GridRule))
    binary = rule is not GridRule.FINE and draw(st.booleans())
    fine = Fixed(draw(st.integers(2, 6)), draw(st.integers(0, 18)))
    rate_bits = draw(st.just(0) | st.integers(1, 24))
    return GridUpdateConfig(
        rule=rule,
        width=draw(st.integers(2, 62 - rate_bits)),
        rate_bits=rate_bits,
        most_shift=draw(st.integers(1, 62)),
        fine=fine,
        grid=0 if binary or rule is GridRule.FINE else draw(st.integers(0, min(fine.fl, 10))),
        binary=binary,
        drawn=binary and rule is GridRule.BC and draw(st.booleans()),
        lanes=lanes,
        first_lane=first,
        generator=draw(generators(first + lanes)),
    )


def stored_of(config, shape, seed):
    """Stored weights from -1 to 1, some of them on the grid and at its limits; without a grid, any
    codes of the fine format.
    """
    u = codes(config.stored_width, shape, seed)
    if config.rule is GridRule.FINE:
        return u
    top = 1 << (config.stored_width - 2)
    return np.clip(u, -top, top)


def bits_of(config):
    return config.generator.draw if config.drawn else config.quantizer.dropped


def half_even(x):
    return round(x)  # a Fraction rounds half to even


def away(x):
    """Q_d's rounding: sign(x) floor(|x| + 1/2)."""
    size = floor(abs(x) + Fraction(1, 2))
    return size if x >= 0 else -size


def on_grid(config, u, draw):
    """The value of the grid for a real u, with a real draw in [0, 1) for SR."""
    if config.binary:
        y = (u + 1) / 2
        code = floor(y + draw) if config.rule is GridRule.SR else away(y)
        return 2 * min(max(code, 0), 1) - 1
    y = u * (1 << config.grid)
    code = floor(y + draw) if config.rule is GridRule.SR else away(y)
    return min(max(code, -(1 << config.grid)), 1 << config.grid)


@settings(max_examples=150)
@given(configs(), SEEDS)
def test_updates_are_the_papers(config, seed):
    """Q_d and Q_s of w - a grad; BinaryConnect's buffer and its place, drawn or nearest; a bias
    minus its step.
    """
    rng = np.random.default_rng(seed)
    rate = int(rng.integers(0, 1 << config.rate_bits)) if config.rate_bits else 1
    shift = int(rng.integers(0, config.most_shift + 1))
    gradient = codes(config.width, 12, seed) >> rng.integers(0, config.width, 12)
    stored = stored_of(config, 12, seed + 1)
    r = rng.integers(0, 1 << bits_of(config), 12)
    kept, weights = grid_update(config, gradient, stored, rate=rate, shift=shift, r=r)
    fine, one = config.fine, config.one
    for k, (g, u, draw) in enumerate(zip(gradient.tolist(), stored.tolist(), r.tolist())):
        step = half_even(Fraction(rate * g, 1 << shift))
        step = Fraction(min(max(step, fine.minimum), fine.maximum), one)
        draw = Fraction(draw, 1 << bits_of(config))
        if config.rule is GridRule.FINE:
            lowest, highest = Fraction(fine.minimum, one), Fraction(fine.maximum, one)
            assert kept[k] == min(max(Fraction(u, one) - step, lowest), highest) * one
            continue
        if config.rule is not GridRule.BC:
            assert kept[k] == weights[k]
            assert weights[k] == on_grid(config, Fraction(u, 1 << config.grid) - step, draw)
            continue
        buffer = min(max(Fraction(u, one) - step, -1), 1)
        assert kept[k] == buffer * one
        if config.drawn:
            # The probability has as many bits as a draw.
            size = 1 << config.generator.draw
            chance = Fraction(half_even((buffer + 1) / 2 * size), size)
            assert weights[k] == (1 if draw < chance else -1)
        else:
            assert weights[k] == on_grid(config, buffer, draw)


def test_a_drawn_weight_has_the_trainers_probability():
    config = DRAWN
    u = np.arange(-config.one, config.one + 1, 4099)
    expected = probability_code(u, 20, 16)
    for r in (0, 1, 12345, (1 << 16) - 1):
        _, weights = grid_update(config, 0 * u, u, shift=0, r=r)
        assert np.array_equal(weights == 1, r < expected)


@settings(max_examples=25)
@given(configs(), SEEDS)
def test_grid_updates_agree(config, seed):
    agrees(hdl.GridUpdate(config), golden.GridUpdate(config), 200, seed)


@pytest.mark.parametrize(
    "config",
    [
        GridUpdateConfig(lanes=2),
        GridUpdateConfig(rule="r", rate_bits=0, most_shift=62),
        GridUpdateConfig(binary=True, grid=0, first_lane=3),
        GridUpdateConfig(rule="bc", grid=3),
        GridUpdateConfig(**BC),
        DRAWN,
        GridUpdateConfig(**BC, drawn=True, fine=Fixed(3, 4)),
        GridUpdateConfig(width=2, rate_bits=1, most_shift=1, fine=Fixed(2, 0), grid=0),
        replace(FINE, lanes=3),
        replace(FINE, rate_bits=0, fine=Fixed(2, 22)),
    ],
    ids=[
        *("sr", "r", "sr binary", "bc", "bc binary", "drawn", "drawn, coarse", "narrow"),
        *("biases", "biases, a power of two"),
    ],
)
def test_the_usual_stimulus_agrees(config):
    inputs = usual_inputs(UNIT, config, 2000, 3)
    comparison = compare(hdl.GridUpdate(config), inputs, golden.GridUpdate(config))
    assert comparison, comparison.report()


def test_the_compiled_simulator_agrees():
    config = GridUpdateConfig(lanes=3)
    unit = hdl.GridUpdate(config)
    agrees(unit, golden.GridUpdate(config), 10000, 1, simulator="cxxrtl", resets=0.001)


@settings(max_examples=40)
@given(configs(), SEEDS)
def test_a_twins_values_are_those_of_the_tensor(config, seed):
    clocks = 30 + config.latency
    gradient = codes(config.width, (30, config.lanes), seed)
    stored = stored_of(config, (30, config.lanes), seed + 1)
    shift = seed % (config.most_shift + 1)
    rate = seed % (1 << config.rate_bits) if config.rate_bits else 1
    name = "buffer" if config.buffered else "weight"
    inputs = stretched(clocks, **{"i_gradient": gradient, f"i_{name}": stored})
    inputs["shift"] = np.full(clocks, shift)
    if config.rate_bits:
        inputs["rate"] = np.full(clocks, rate)
    trace = golden.GridUpdate(config).run(inputs)
    r = 0
    if config.stochastic:
        words = Lanes(config.generator, config.first_lane, config.lanes).take(30)
        r = dither(words, bits_of(config), config.generator.draw)
    kept, weights = grid_update(config, gradient, stored, rate=rate, shift=shift, r=r)
    if config.quantized:
        assert np.array_equal(trace["o_weight"][config.latency :], weights)
    if config.buffered:
        assert np.array_equal(trace["o_buffer"][config.latency :], kept)


def test_the_usual_stimulus_reaches_both_sides_of_every_decision():
    for config in (GridUpdateConfig(rule="r"), GridUpdateConfig(**BC), replace(DRAWN, lanes=1)):
        inputs = usual_inputs(UNIT, config, 3000, 1)
        name = "i_buffer" if config.buffered else "i_weight"
        shift = np.minimum(inputs["shift"], config.most_shift)[:, None]
        exact = inputs["i_gradient"].astype(object) * inputs["rate"][:, None]
        pairs = list(zip(exact[:, 0].tolist(), shift[:, 0].tolist()))
        step = np.array([round(Fraction(x, 1 << s)) for x, s in pairs])
        rest = [2 * x % (2 << s) - (1 << s) for x, s in pairs]
        assert {-1, 0, 1} <= {np.sign(x) for x in rest}  # below, at and above a tie
        for limit in (config.fine.minimum, config.fine.maximum):
            assert (step == limit).any() and (step > limit).any() and (step < limit).any()
        apart = 0 if config.buffered else config.fine.fl - config.grid
        u = (inputs[name][:, 0] << apart) - np.clip(step, config.fine.minimum, config.fine.maximum)
        for edge in (config.one, -config.one, 0):
            assert (u == edge).any() and (u == edge - 1).any() and (u == edge + 1).any()
        if not config.binary:
            tie = config.one // 8  # half of the spacing 1/4
            assert all((u == way * tie + past).any() for way in (1, -1) for past in (-1, 0, 1))


def test_the_usual_stimulus_takes_biases_to_both_ends_of_their_format():
    inputs = usual_inputs(UNIT, FINE, 3000, 1)
    shift = np.minimum(inputs["shift"], FINE.most_shift)
    exact = inputs["i_gradient"][:, 0].astype(object) * inputs["rate"]
    step = np.array([round(Fraction(x, 1 << s)) for x, s in zip(exact.tolist(), shift.tolist())])
    lowest, highest = FINE.fine.minimum, FINE.fine.maximum
    for limit in (lowest, highest):
        assert (step == limit).any() and (step > limit).any() and (step < limit).any()
    moved = inputs["i_buffer"][:, 0] - np.clip(step, lowest, highest)
    for edge in (lowest, highest, 0, lowest - highest + 1, highest - lowest - 1):
        assert all((moved == edge + past).any() for past in (-1, 0, 1)), edge


def test_biases_move_at_the_ends_of_their_format_and_beyond_1():
    one = FINE.one
    stored = [7 * one, 8 * one - 1, 8 * one - 1, -8 * one, -8 * one, 0, 8 * one - 1]
    gradient = [one, -1, 1, 1, -1, -99 * one, 99 * one]
    expected = [6 * one, 8 * one - 1, 8 * one - 2, -8 * one, 1 - 8 * one, 8 * one - 1, 0]
    kept, _ = grid_update(FINE, gradient, stored, shift=0)
    assert kept.tolist() == expected


def test_biases_have_no_quantizer_and_no_generator():
    config = replace(FINE, lanes=2)
    assert [port.name for port in config.ports if port.name.startswith(("o_", "i_"))] == [
        *("i_valid", "i_ready", "i_gradient", "i_buffer", "o_valid", "o_ready", "o_buffer")
    ]
    design = rtlil.convert(hdl.GridUpdate(config))
    assert "rounder" not in design and "random" not in design
    design = rtlil.convert(hdl.GridUpdate(GridUpdateConfig()))
    assert "rounder" in design and "random" in design


def multipliers(config):
    return rtlil.convert(hdl.GridUpdate(config)).count("cell $mul ")


def test_a_power_of_two_takes_no_multiplier():
    assert multipliers(GridUpdateConfig(rate_bits=0)) == 0
    assert multipliers(GridUpdateConfig(width=18)) == 1
    assert multipliers(GridUpdateConfig(width=32, lanes=2)) == 2 * 2
    assert "rate" not in {port.name for port in GridUpdateConfig(rate_bits=0).ports}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"width": 60}, "width = 60 and rate_bits = 12: products of 72 bits, at most 62"),
        ({"fine": Fixed(1, 20)}, "fine = <1,20>: 2 or more integer bits are wanted"),
        ({"grid": 9, "fine": Fixed(2, 8)}, "grid = 9: allowed are 0 to 8 with fine = <2,8>"),
        ({"binary": True}, "grid = 2: allowed are 0 to 0 on the binary grid"),
        ({"drawn": True}, "drawn with rule = sr and binary = False"),
        ({"rule": "fine"}, "grid = 2 and binary = False with rule = fine: without a grid"),
        (
            {"rule": "fine", "grid": 0, "binary": True},
            "grid = 0 and binary = True with rule = fine: without a grid, they are 0 and False",
        ),
        (
            {"rule": "fine", "grid": 0, "drawn": True},
            "drawn with rule = fine and binary = False",
        ),
        ({"rule": "x"}, "rule = 'x': allowed are r, sr, bc, fine"),
        ({"lanes": 250, "first_lane": 6}, "lanes of one seed"),
    ],
    ids=str,
)
def test_settings_that_do_not_go_together_are_refused(given, message):
    with pytest.raises(ValueError) as caught:
        GridUpdateConfig(**given)
    assert message in str(caught.value)


def test_operands_out_of_range_are_refused():
    with pytest.raises(ValueError, match="stored: 9 is out of range"):
        grid_update(GridUpdateConfig(), [0], [9], shift=0)
    with pytest.raises(ValueError, match="shift: 32 is out of range"):
        grid_update(GridUpdateConfig(), [0], [0], shift=32)
