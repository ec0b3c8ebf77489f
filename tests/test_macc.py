"""One node of the array: against its twin, and against sums made in the test."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import SEEDS, agrees, codes, formats

import golden
import hdl
from golden.fixed import Fixed
from golden.macc import MaccConfig, wrap
from gradloom.sim.simulators import simulate


@st.composite
def configurations(draw):
    a, b = draw(formats()), draw(formats())
    most = min(24, 62 - a.width - b.width)
    depth = draw(
        st.integers(1, (1 << draw(st.integers(0, most))) * 2 - 1).filter(lambda d: d <= 1 << 24)
    )
    return MaccConfig(a=a, b=b, depth=depth, segments=draw(st.integers(1, 4)))


@st.composite
def ternaries(draw):
    """Ternary nodes of any operand, depth and cut."""
    depth = draw(st.integers(1, 1 << draw(st.integers(0, 24))))
    config = MaccConfig(a=draw(formats()), b=Fixed(1, 1), depth=depth, segments=1, ternary=True)
    return replace(config, segments=draw(st.integers(1, min(4, config.width))))


@settings(max_examples=100)
@given(configurations(), SEEDS)
def test_hardware_and_twin_agree(config, seed):
    agrees(hdl.Macc(config), golden.Macc(config), 200, seed)


@settings(max_examples=100)
@given(ternaries(), SEEDS)
def test_ternary_hardware_and_twin_agree(config, seed):
    agrees(hdl.Macc(config), golden.Macc(config), 200, seed)


@given(configurations() | ternaries())
def test_the_segments_are_the_accumulator(config):
    assert len(config.cuts) == config.segments
    edges = [low for low, _ in config.cuts] + [config.width]
    assert edges == [0] + [high for _, high in config.cuts]
    sizes = [high - low for low, high in config.cuts]
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) == -(-config.width // config.segments) == sizes[0]


def run(config, a, b, lengths, gap=0, above=0, clocks=0):
    """The node's trace for dot products of these lengths, back to back or `gap` clocks apart.

    Returns the trace and the clock of each dot product's last operand.
    """
    clocks = clocks or sum(lengths) + gap * len(lengths) + 30
    ports = {name: np.zeros(clocks, int) for name in ("a", "b", "first", "load", "hold")}
    ends, clock, term = [], 0, 0
    for length in lengths:
        stop = term + length
        ports["a"][clock : clock + length] = a[term:stop]
        ports["b"][clock : clock + length] = b[term:stop]
        ports["first"][clock + config.first_delay] = 1
        ends.append(clock + length - 1)
        ports["load"][ends[-1] + config.load_delay] = 1
        clock, term = clock + length + gap, stop
    trace = simulate(hdl.Macc(config), {**ports, "above": np.full(clocks_of(ports), above)})
    return trace, ends


def clocks_of(ports):
    return len(ports["a"])


def sums(config, trace, ends):
    """What the segments show of each dot product, each at its own clock."""
    bits = trace["drain"] & ((1 << config.width) - 1)
    total = []
    for end in ends:
        value = 0
        for k, (low, high) in enumerate(config.cuts):
            value |= int(bits[end + config.latency + k]) & ((1 << high) - (1 << low))
        total.append(value - (value >> (config.width - 1) << config.width))
    return total


def dots(a, b, lengths):
    starts = np.cumsum([0, *lengths[:-1]])
    return [int(np.dot(a[s : s + n], b[s : s + n])) for s, n in zip(starts, lengths)]


@pytest.mark.parametrize("segments", [1, 2, 3, 4])
@pytest.mark.parametrize("gap", [0, 3])
def test_dot_products_back_to_back_are_exact_at_the_documented_clock(segments, gap):
    config = MaccConfig(segments=segments)
    lengths = [1, 1, 5, 2, 30, 1, 17]
    a, b = codes(16, sum(lengths), 1), codes(16, sum(lengths), 2)
    trace, ends = run(config, a, b, lengths, gap)
    assert sums(config, trace, ends) == dots(a, b, lengths)


def test_the_longest_sum_of_the_lowest_codes_fits():
    config = MaccConfig(a=Fixed(2, 2), b=Fixed(3, 2), depth=15, segments=3)
    lowest = np.full(15, config.a.minimum), np.full(15, config.b.minimum)
    trace, ends = run(config, *lowest, [15])
    assert sums(config, trace, ends) == [15 * 8 * 16]


@pytest.mark.parametrize("segments", [1, 3])
@pytest.mark.parametrize("gap", [0, 3])
def test_ternary_dot_products_are_exact_at_the_documented_clock(segments, gap):
    """Zeros, also first and last and throughout; -2, which counts as 0."""
    config = MaccConfig(a=Fixed(1, 7), b=Fixed(1, 1), depth=30, segments=segments, ternary=True)
    lengths = [1, 1, 5, 2, 30, 1, 3, 17]
    b = codes(2, sum(lengths), 2)
    b[1], b[9], b[38], b[39:43] = 0, -2, -2, 0
    a = codes(8, sum(lengths), 1)
    trace, ends = run(config, a, b, lengths, gap)
    assert sums(config, trace, ends) == dots(a, [{-2: 0}.get(t, t) for t in b.tolist()], lengths)


def test_the_longest_ternary_sums_fit_and_no_bit_is_spare():
    """Both signs, of a as of b; WAGE's sums of 8192 terms take 21 bits."""
    for bits, depth in ((8, 30), (8, 33), (5, 17), (2, 1), (2, 8)):
        config = MaccConfig(
            a=Fixed(1, bits - 1), b=Fixed(1, 1), depth=depth, segments=1, ternary=True
        )
        top = config.a.maximum
        assert 1 << (config.width - 2) <= depth * top < 1 << (config.width - 1)
        for a, b in ((top, 1), (-top, 1), (top, -1), (-top, -1)):
            trace, ends = run(config, np.full(depth, a), np.full(depth, b), [depth])
            assert sums(config, trace, ends) == [depth * a * b]
    assert MaccConfig(a=Fixed(1, 7), b=Fixed(1, 1), depth=8192, ternary=True).width == 21


def test_the_lowest_code_is_a_ternary_operand_too():
    config = MaccConfig(a=Fixed(1, 7), b=Fixed(1, 1), depth=3, segments=1, ternary=True)
    for factor in (1, -1):
        trace, ends = run(config, np.full(3, -128), np.full(3, factor), [3])
        assert sums(config, trace, ends) == [3 * -128 * factor]


def test_longer_sums_wrap():
    config = MaccConfig(a=Fixed(2, 0), b=Fixed(2, 0), depth=1, segments=2)
    assert config.width == 4
    lowest = np.full(19, -2), np.full(19, -2)
    trace, ends = run(config, *lowest, [19])
    assert sums(config, trace, ends) == [(19 * 4 + 8) % 16 - 8]
    assert wrap(np.array([19 * 4, 8, 7, -8, -9]), 4).tolist() == [-4, -8, 7, -8, 7]


def test_operands_and_markers_leave_a_clock_later():
    clocks, config = 50, MaccConfig()
    rng = np.random.default_rng(3)
    inputs = {name: codes(16, clocks, seed) for seed, name in enumerate("ab")}
    inputs |= {name: rng.integers(0, 2, clocks) for name in ("first", "load", "hold")}
    trace = simulate(hdl.Macc(config), inputs)
    for name, values in inputs.items():
        assert trace[f"{name}_out"].tolist() == [0, *values[:-1].tolist()]


def test_the_shadow_shifts_holds_and_loads():
    """A node that neither loads nor holds passes on what is above it."""
    config = MaccConfig(a=Fixed(2, 2), b=Fixed(2, 2), depth=8, segments=1)
    clocks = 40
    above = np.arange(clocks)
    hold = np.zeros(clocks, int)
    hold[10:15] = 1
    load = np.zeros(clocks, int)
    load[[12, 20]] = 1
    drain = simulate(hdl.Macc(config), {"above": above, "hold": hold, "load": load})["drain"]
    expected = [0, *range(clocks - 1)]  # a shift register of one place
    for clock in range(clocks):
        marked = clock - 2  # markers hop once before they act
        if marked >= 0 and load[marked]:
            expected[clock] = 0  # the sum of nothing
        elif marked >= 0 and hold[marked]:
            expected[clock] = expected[clock - 1]
    assert drain.tolist() == expected


def test_gaps_of_zero_operands_change_no_sum():
    config = MaccConfig()
    a, b = codes(16, 12, 4), codes(16, 12, 5)
    spread = np.zeros((2, 36), int)
    spread[:, ::3] = a, b
    spread[1] += (spread[1] == 0) * 77  # b may be anything where a is zero
    trace, ends = run(config, *spread, [36])
    assert sums(config, trace, ends) == dots(a, b, [12])


def test_latencies_are_those_of_the_markers():
    config = MaccConfig()
    assert (config.first_delay, config.load_delay, config.latency) == (4, 5, 7)
    config = MaccConfig(b=Fixed(1, 1), ternary=True)
    assert (config.first_delay, config.load_delay, config.latency) == (0, 1, 3)


def test_a_reset_changes_nothing():
    rst = np.random.default_rng(6).integers(0, 2, 300)
    agrees(hdl.Macc(MaccConfig()), golden.Macc(MaccConfig()), 300, 6, rst=rst)
