"""The rounder against its twin, and against exact arithmetic with one-by-one draws."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.back import rtlil
from hypothesis import given, settings
from hypothesis import strategies as st
from support import SEEDS, Bench, OneByOne, agrees, codes, conversions, generators
from test_fixed import exact, exact_convert

import golden
import hdl
from golden.fixed import Conversion, Fixed, Rounding
from golden.lfsr import Generator, Lanes, dither
from golden.rounder import RounderConfig
from gradloom.sim.stimulus import random_inputs
from hdl.layout import payload

MIXED = RounderConfig(
    width=30,
    conversions=(
        Conversion(fraction=20, target=Fixed(4, 8)),  # 12 dropped
        Conversion(fraction=20, target=Fixed(2, 14), rounding=Rounding.NEAREST_EVEN),
        Conversion(fraction=24, target=Fixed(4, 0)),  # 24 dropped, more than a draw has
        Conversion(fraction=4, target=Fixed(3, 7)),  # 3 appended
        Conversion(fraction=7, target=Fixed(8, 7)),  # none dropped
    ),
    lanes=3,
    first_lane=2,
    generator=Generator(seed=0xC0FFEE),
)
STOCHASTIC = RounderConfig(lanes=2)
NEAREST = RounderConfig(
    conversions=(Conversion(fraction=28, target=Fixed(2, 14), rounding=Rounding.NEAREST_DOWN),),
    lanes=2,
)


@st.composite
def configurations(draw):
    width, lanes = draw(st.integers(2, 62)), draw(st.integers(1, 3))
    first = draw(st.sampled_from([0, 1, 100]))
    return RounderConfig(
        width=width,
        conversions=draw(conversions(width)),
        lanes=lanes,
        first_lane=first,
        generator=draw(generators(first + lanes)),
        saturated=draw(st.booleans()),
    )


@settings(max_examples=100)
@given(configurations(), SEEDS)
def test_hardware_and_twin_agree(config, seed):
    agrees(hdl.Rounder(config), golden.Rounder(config), 200, seed)


@pytest.mark.long
@settings(max_examples=400)
@given(configurations(), SEEDS)
def test_hardware_and_twin_agree_on_many_configurations(config, seed):
    agrees(hdl.Rounder(config), golden.Rounder(config), 500, seed)


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize(
    ("width", "fraction", "target"),
    [
        (62, 62, Fixed(1, 1)),  # the most bits dropped, but for the next one
        (62, 62, Fixed(24, 0)),
        (62, 0, Fixed(1, 23)),
        (2, 2, Fixed(2, 0)),  # every bit dropped
        (2, 0, Fixed(24, 0)),  # a target wider than the code
        (24, 12, Fixed(12, 12)),  # nothing dropped
    ],
    ids=str,
)
def test_extreme_widths_agree(width, fraction, target, rounding):
    config = RounderConfig(
        width=width, conversions=(Conversion(fraction=fraction, target=target, rounding=rounding),)
    )
    agrees(hdl.Rounder(config), golden.Rounder(config), 600, 3)


def test_the_compiled_simulator_agrees():
    agrees(hdl.Rounder(MIXED), golden.Rounder(MIXED), 20000, 4, simulator="cxxrtl", resets=0.001)


def one_by_one(config, operands, of=exact_convert):
    """Results by exact rational arithmetic; every lane leaps once an operand."""
    walkers = [OneByOne(config.generator, config.first_lane + n) for n in range(config.lanes)]
    results = []
    for operand in operands:
        conversion = config.conversions[operand.get("choice", 0)]
        form = conversion.fraction, conversion.target, conversion.rounding
        r = [walker.addend(conversion.dropped) for walker in walkers]
        results.append([of(z, *form, r) for z, r in zip(operand["data"], r)])
    return results


def operands_for(config, count, seed):
    rng = np.random.default_rng(seed)
    data = codes(config.width, (count, config.lanes), seed) >> rng.integers(0, 20, (count, 1))
    choices = rng.integers(0, len(config.conversions), count).tolist()
    chosen = [{"choice": choice} if len(config.conversions) > 1 else {} for choice in choices]
    return [{"data": row, **extra} for row, extra in zip(data.tolist(), chosen)]


@pytest.mark.parametrize(
    ("gaps", "stalls"),
    [
        ([0], [0]),
        ([0, 3, 1], [0]),
        ([0], [0, 0, 5, 1]),
        ([0, 0, 2], [1, 0, 9, 0, 0]),
        ([0], [30, 0]),
    ],
    ids=["free", "gaps", "stalls", "both", "blocked"],
)
@pytest.mark.parametrize(
    "config", [MIXED, STOCHASTIC, NEAREST], ids=["mixed", "stochastic", "nearest"]
)
def test_no_value_is_lost_repeated_or_rounded_otherwise(config, gaps, stalls):
    """Lanes leap once an accepted value, whatever its choice, its dropped bits and the stalls."""
    operands = operands_for(config, 150, 5)
    results = Bench(hdl.Rounder(config), gaps, stalls).run(operands, len(operands))
    assert [result["data"] for result in results] == one_by_one(config, operands)


@pytest.mark.parametrize("width", [2, 3, 5, 7])
@pytest.mark.parametrize("together", [True, False], ids=["together", "alone"])
def test_every_narrow_code_saturates_where_it_has_to(width, together):
    """Whatever is dropped, or appended: the carry into the sign and above it, and none."""
    target = Fixed(1, width - 1)
    conversions = [
        Conversion(fraction=target.fl + dropped, target=target, rounding=Rounding.NEAREST_UP)
        for dropped in range(max(-2, 1 - width), 6)
    ]
    for chosen in [conversions] if together else [[each] for each in conversions]:
        config = RounderConfig(width=5, conversions=tuple(chosen))
        operands = [
            {"data": [z], **({"choice": choice} if together else {})}
            for choice in range(len(chosen))
            for z in range(-16, 16)
        ]
        results = Bench(hdl.Rounder(config)).run(operands, len(operands))
        assert [result["data"] for result in results] == one_by_one(config, operands)


@pytest.mark.parametrize(
    "config", [MIXED, STOCHASTIC, NEAREST], ids=["mixed", "stochastic", "nearest"]
)
def test_one_value_a_clock_at_the_documented_latency(config):
    operands = operands_for(config, 60, 6)
    bench = Bench(hdl.Rounder(config))
    bench.run(operands, len(operands))
    assert bench.accepted == list(range(60))
    assert bench.left == [clock + config.latency for clock in bench.accepted]
    bench = Bench(hdl.Rounder(config), gaps=[4, 0, 11])
    bench.run(operands, len(operands))
    assert bench.left == [clock + config.latency for clock in bench.accepted]


def test_a_blocked_rounder_takes_in_what_it_has_places_for():
    bench = Bench(hdl.Rounder(STOCHASTIC), stalls=[100, 0])
    bench.run(operands_for(STOCHASTIC, 40, 7), 40)
    places = STOCHASTIC.latency + 1
    # The result that leaves at one clock gives its place to an operand of the next one.
    assert bench.accepted[: places + 1] == [*range(places), bench.left[0] + 1]


def test_values_that_are_not_offered_draw_nothing():
    """Data on the port without valid, and offers that are not taken."""
    unit, twin = hdl.Rounder(STOCHASTIC), golden.Rounder(STOCHASTIC)
    valid = np.random.default_rng(8).integers(0, 2, 300)
    agrees(unit, twin, 300, 8, i_valid=valid)
    agrees(hdl.Rounder(STOCHASTIC), twin, 300, 8, o_ready=np.arange(300) % 7 == 0)


@given(configurations(), SEEDS)
def test_the_twins_values_are_those_of_convert(config, seed):
    rng = np.random.default_rng(seed)
    z = codes(config.width, (50, config.lanes), seed)
    choice = rng.integers(0, len(config.conversions), 50)
    inputs = {"i_valid": np.ones(80, int), "o_ready": np.ones(80, int)}
    inputs["i_data"] = np.resize(z, (80, config.lanes))
    if len(config.conversions) > 1:
        inputs["i_choice"] = np.resize(choice, 80)
    trace = golden.Rounder(config).run(inputs)
    words = Lanes(config.generator, config.first_lane, config.lanes).take(50)
    for k, conversion in enumerate(config.conversions):
        r = dither(words, conversion.dropped, config.generator.draw)
        converted = conversion(z, r if config.stochastic else 0)
        shown = trace["o_data"][config.latency :][:50]
        assert np.array_equal(shown[choice == k], converted[choice == k])


def test_a_choice_past_the_end_is_the_last_one():
    config = RounderConfig(width=20, conversions=MIXED.conversions[:2] + NEAREST.conversions)
    operands = [{"data": [z], "choice": 3} for z in codes(20, 50, 9).tolist()]
    results = Bench(hdl.Rounder(config)).run(operands, 50)
    named = [{**operand, "choice": 2} for operand in operands]
    assert [result["data"] for result in results] == one_by_one(config, named)


def test_a_rounder_to_nearest_has_no_generator():
    assert "lfsr" in rtlil.convert(hdl.Rounder(STOCHASTIC))
    assert "lfsr" not in rtlil.convert(hdl.Rounder(NEAREST))
    # Lanes that no generator could serve are no matter, then.
    near = Generator(bits=8, leap=4, draw=4)
    RounderConfig(conversions=NEAREST.conversions, lanes=255, first_lane=254, generator=near)
    with pytest.raises(ValueError, match="2 lanes of a generator of 8 bits"):
        RounderConfig(lanes=2, generator=near)


def test_an_appended_conversion_leaps_like_any_other():
    """The draws of a stochastic value do not depend on what its neighbours were."""
    z = 1234567
    alone = [{"data": [z] * 3, "choice": 0}] * 40
    among = [{"data": [z] * 3, "choice": (0, 3, 1, 4)[n % 4]} for n in range(40)]
    first, second = (
        [result["data"] for result in Bench(hdl.Rounder(MIXED)).run(operands, 40)]
        for operands in (alone, among)
    )
    assert first[::4] == second[::4]
    assert len({tuple(row) for row in first}) > 1


def test_a_reset_starts_the_lanes_again():
    rst = np.zeros(400, int)
    rst[[50, 53, 130, 131, 300]] = 1
    agrees(hdl.Rounder(STOCHASTIC), golden.Rounder(STOCHASTIC), 400, 10, rst=rst)


# Whether a result is clipped


def exact_clipped(z, fraction, target, rounding, r):
    """Whether the rounded value is beyond a limit."""
    return int(not target.minimum <= exact(z, fraction - target.fl, rounding, r) <= target.maximum)


def near_limits(conversion, width, lanes):
    """Every code within two steps of a limit of the target, around it on both sides."""
    ulp = 1 << max(conversion.dropped, 0)
    step = max(ulp // 64, 1)
    found = []
    for limit in (conversion.target.minimum, conversion.target.maximum):
        at = (
            limit << conversion.dropped if conversion.dropped >= 0 else limit >> -conversion.dropped
        )
        found += range(at - 2 * ulp, at + 2 * ulp + 1, step)
    low = -1 << (width - 1)
    kept = [z for z in found if low <= z < -low]
    return [{"data": [z] * lanes} for z in kept]


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("dropped", [-3, 0, 1, 2, 6, 20])
def test_a_bit_says_which_results_are_clipped(rounding, dropped):
    """Around both limits: exact largest codes, ties, and what a draw just carries over."""
    target = Fixed(2, 4)
    config = RounderConfig(
        width=30,
        conversions=(Conversion(fraction=4 + dropped, target=target, rounding=rounding),),
        lanes=3,
        saturated=True,
    )
    if dropped < 0:
        config = RounderConfig(
            width=30,
            conversions=(Conversion(fraction=1, target=target, rounding=rounding),),
            lanes=3,
            saturated=True,
        )
    operands = near_limits(config.conversions[0], config.width, config.lanes)
    results = Bench(hdl.Rounder(config)).run(operands, len(operands))
    expected = one_by_one(config, operands, exact_clipped)
    codes_expected = one_by_one(config, operands)
    assert [result["saturated"] for result in results] == expected
    assert [result["data"] for result in results] == codes_expected
    # Among them are limits that are clipped, and the same limits that are not.
    pairs = {
        (code, bit)
        for row, bits in zip(codes_expected, expected)
        for code, bit in zip(row, bits)
        if code in (target.minimum, target.maximum)
    }
    both = {(target.minimum, 0), (target.minimum, 1), (target.maximum, 1)}
    assert pairs == both | ({(target.maximum, 0)} if dropped >= 0 else set())


def test_a_draw_decides_whether_the_largest_code_is_clipped():
    """The same value, a quarter of a step below the clip: one of its four draws goes over."""
    conversion = Conversion(fraction=2, target=Fixed(4, 0))
    config = RounderConfig(width=8, conversions=(conversion,), saturated=True)
    value = (conversion.target.maximum << 2) + 1
    operands = [{"data": [value]}] * 200
    results = Bench(hdl.Rounder(config)).run(operands, 200)
    assert {result["data"][0] for result in results} == {conversion.target.maximum}
    clipped = [result["saturated"][0] for result in results]
    assert clipped == [bit for (bit,) in one_by_one(config, operands, exact_clipped)]
    assert 30 < sum(clipped) < 70


def test_each_conversion_has_limits_of_its_own():
    config = replace(MIXED, saturated=True)
    operands = operands_for(config, 150, 5)
    results = Bench(hdl.Rounder(config), [0, 2], [0, 0, 3]).run(operands, len(operands))
    assert [result["saturated"] for result in results] == one_by_one(
        config, operands, exact_clipped
    )
    assert [result["data"] for result in results] == one_by_one(config, operands)


def test_the_bit_costs_no_clock_and_is_0_without_a_result():
    config = replace(STOCHASTIC, saturated=True)
    assert config.latency == STOCHASTIC.latency
    inputs = random_inputs(config.ports, 400, 3)
    trace = golden.Rounder(config).run(inputs)
    assert trace["o_saturated"].any()
    assert not trace["o_saturated"][trace["o_valid"] == 0].any()
    plain = golden.Rounder(STOCHASTIC).run(inputs)
    assert all(np.array_equal(trace[name], plain[name]) for name in plain)


def test_without_the_setting_there_is_no_trace_of_it():
    assert not RounderConfig().saturated
    with pytest.raises(TypeError, match="saturated = 1: a bool is wanted"):
        RounderConfig(saturated=1)
    for config in (MIXED, STOCHASTIC, NEAREST):
        assert "o_saturated" not in {port.name for port in config.ports}
        assert list(payload(config, "o").members) == ["data"]
        assert "clipped" not in rtlil.convert(hdl.Rounder(config))
        on = replace(config, saturated=True)
        assert [port for port in on.ports if port.name != "o_saturated"] == list(config.ports)
        assert "clipped" in rtlil.convert(hdl.Rounder(on))
