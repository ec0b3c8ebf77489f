"""WAGE's units: integers against the paper's reals, twins against tensors, and hardware."""

from fractions import Fraction
from math import floor, log2

import numpy as np
import pytest
from amaranth.back import rtlil
from hypothesis import given, settings
from hypothesis import strategies as st
from support import SEEDS, Bench, OneByOne, agrees, codes, generators

import golden
import hdl
from golden.fixed import Rounding
from golden.lfsr import Generator, Lanes, dither
from golden.quantize import (
    ActivationQuantizerConfig,
    ErrorQuantizerConfig,
    ShiftExponentConfig,
    WeightQuantizerConfig,
    WeightUpdateConfig,
    alpha_exponent,
    quantize_activation,
    quantize_error,
    shift_exponent,
    ternarise,
    update_weight,
)

STOCHASTIC, EVEN = Rounding.STOCHASTIC, Rounding.NEAREST_EVEN


# The paper's reals, in rationals


def q(x, bits):
    """Q(x, k) = Clip{sigma round(x / sigma), -1 + sigma, 1 - sigma}, as a code over 2^(k - 1)."""
    top = 2 ** (bits - 1) - 1
    return min(max(round(x * 2 ** (bits - 1)), -top), top)  # a Fraction rounds half to even


def power(exponent):
    return Fraction(2) ** exponent


@pytest.mark.parametrize(
    ("stored", "bits"), [(8, 2), (8, 3), (8, 8), (3, 2), (3, 3), (10, 2), (10, 5)]
)
def test_forward_weights_are_the_papers(stored, bits):
    n = np.arange(-(1 << (stored - 1)), 1 << (stored - 1))
    expected = [q(Fraction(w, 1 << (stored - 1)), bits) for w in n.tolist()]
    assert ternarise(n, bits, stored).tolist() == expected


def test_ternary_weights_are_the_sign_beyond_a_quarter():
    n = np.arange(-127, 128)
    assert np.array_equal(ternarise(n), np.sign(n) * (np.abs(n) > 32))
    assert ternarise([-33, -32, 32, 33]).tolist() == [-1, 0, 0, 1]


@pytest.mark.parametrize("bits", [2, 5, 8])
def test_activations_are_the_papers(bits):
    acc = np.arange(-600, 1400)
    for shift in range(9):
        scale = power(shift + bits - 1)  # of a code of the sum, in reals
        expected = [q(max(Fraction(a), Fraction(0)) / scale, bits) for a in acc.tolist()]
        assert quantize_activation(acc, shift, bits).tolist() == expected


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("c", [3, 6])
def test_alpha_is_the_power_of_two_nearest_to_the_ratio_of_the_limits(bits, c):
    """log2(Lmin / L) rounded, and 0 where it is below: by comparing squares."""
    for inputs in [*range(1, 600), 784, 800, 1024, 4608, 8192, 10**6]:
        m = alpha_exponent(inputs, bits, c)
        l_min = Fraction(3, 2) * power(1 - bits)
        square = l_min**2 * Fraction(inputs, c)  # (Lmin / L)^2, L = sqrt(c / inputs)
        assert square < power(2 * m + 1)
        assert m == 0 or square > power(2 * m - 1)


@pytest.mark.parametrize(
    ("inputs", "c", "m"),
    [(9, 6, 0), (25, 6, 1), (27, 3, 1), (800, 6, 3), (3136, 6, 4), (8192, 3, 5)],
)
def test_known_scales(inputs, c, m):
    assert alpha_exponent(inputs, 2, c) == m


THRESHOLDS = [2, 3, 6, 12, 23, 46, 91, 182, 363, 725, 1449, 2897, 5793, 11586, 23171, 46341]


def exact_exponent(maximum):
    """k with 2^(2k - 1) < M^2 < 2^(2k + 1)."""
    k = 0
    while maximum * maximum >= 1 << 2 * k + 1:
        k += 1
    return k


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


@pytest.mark.parametrize("saturation", [127, 64])
def test_updates_are_the_papers(saturation):
    """W - sgn(g_s) {floor|g_s| + Bernoulli}, clipped; g_s = rate * g / Shift."""
    weights = np.array([-128, -127, -64, -1, 0, 5, 63, 126, 127])
    gradients = np.arange(-40, 41)
    for exponent in range(6):
        for rate in (-2, 0, 1, 3):
            s = exponent - rate
            r = np.arange(1 << max(s, 0))
            got = update_weight(
                weights[:, None, None], gradients[:, None], exponent, rate, saturation, r
            )
            for gradient, rows in zip(gradients.tolist(), got.transpose(1, 0, 2)):
                size = abs(gradient) / power(s)
                below = floor(size)
                ups = int((size - below) * len(r))
                steps = np.array([below] * (len(r) - ups) + [below + 1] * ups) * np.sign(gradient)
                expected = np.clip(weights[:, None] - steps, -saturation, saturation)
                assert np.array_equal(rows, expected)


@given(
    st.integers(-128, 127),
    st.integers(-(1 << 53), (1 << 53) - 1),
    st.integers(0, 53),
    st.integers(-8, 40),
    st.data(),
)
def test_wide_updates_do_not_overflow(weight, gradient, exponent, rate, data):
    s = exponent - rate
    r = data.draw(st.integers(0, (1 << max(s, 0)) - 1) | st.just((1 << max(s, 0)) - 1))
    steps = abs(gradient) + r >> s if s > 0 else abs(gradient) << -s
    moved = weight - steps if gradient > 0 else weight + steps
    assert int(update_weight(weight, gradient, exponent, rate, 127, r)) == min(
        max(moved, -127), 127
    )


def test_a_gradient_of_zero_moves_no_weight_whatever_was_drawn():
    weights = np.arange(-127, 128)
    for r in (0, 1, 255):
        assert np.array_equal(update_weight(weights, weights * 0, 8, 0, 127, r), weights)


# Hardware against twin

LANES = st.integers(1, 4)
WIDTHS = st.integers(2, 62)


@settings(max_examples=40)
@given(st.integers(3, 24), st.integers(0, 22), LANES, SEEDS)
def test_weight_quantizers_agree(stored, fewer, lanes, seed):
    config = WeightQuantizerConfig(stored=stored, bits=max(stored - fewer, 2), lanes=lanes)
    agrees(hdl.WeightQuantizer(config), golden.WeightQuantizer(config), 200, seed)


@settings(max_examples=60)
@given(WIDTHS, st.integers(2, 24), st.integers(1, 24), LANES, SEEDS)
def test_activation_quantizers_agree(width, bits, most_shift, lanes, seed):
    config = ActivationQuantizerConfig(width=width, bits=bits, most_shift=most_shift, lanes=lanes)
    agrees(hdl.ActivationQuantizer(config), golden.ActivationQuantizer(config), 200, seed)


@settings(max_examples=60)
@given(WIDTHS, st.booleans(), st.integers(1, 9), SEEDS)
def test_shift_exponents_agree(width, ceil, lanes, seed):
    config = ShiftExponentConfig(width=width, ceil=ceil, lanes=lanes)
    agrees(hdl.ShiftExponent(config), golden.ShiftExponent(config), 250, seed)


@st.composite
def error_quantizers(draw):
    lanes, first = draw(LANES), draw(st.sampled_from([0, 30]))
    return ErrorQuantizerConfig(
        width=draw(WIDTHS),
        bits=draw(st.integers(2, 24)),
        rounding=draw(st.sampled_from([EVEN, STOCHASTIC])),
        lanes=lanes,
        first_lane=first,
        generator=draw(generators(first + lanes)),
    )


@settings(max_examples=80)
@given(error_quantizers(), SEEDS)
def test_error_quantizers_agree(config, seed):
    agrees(hdl.ErrorQuantizer(config), golden.ErrorQuantizer(config), 200, seed)


@st.composite
def weight_updates(draw):
    lanes, first = draw(LANES), draw(st.sampled_from([0, 30]))
    return WeightUpdateConfig(
        width=draw(st.integers(2, 54)),
        bits=draw(st.integers(3, 24)),
        half=draw(st.booleans()),
        lanes=lanes,
        first_lane=first,
        generator=draw(generators(first + lanes)),
    )


@settings(max_examples=60)
@given(weight_updates(), SEEDS)
def test_weight_updates_agree(config, seed):
    agrees(hdl.WeightUpdate(config), golden.WeightUpdate(config), 200, seed)


def test_the_compiled_simulator_agrees():
    config = WeightUpdateConfig(lanes=3)
    unit = hdl.WeightUpdate(config)
    agrees(unit, golden.WeightUpdate(config), 20000, 1, simulator="cxxrtl", resets=0.001)


@pytest.mark.long
@settings(max_examples=150)
@given(error_quantizers(), weight_updates(), SEEDS)
def test_many_configurations_agree(error, update, seed):
    agrees(hdl.ErrorQuantizer(error), golden.ErrorQuantizer(error), 400, seed)
    agrees(hdl.WeightUpdate(update), golden.WeightUpdate(update), 400, seed)


# Streams: nothing lost, at the documented clock, with the values of the tensor

RNG = np.random.default_rng(1)
COUNT = 80

WEIGHTS = WeightQuantizerConfig(lanes=3)
ACTIVATIONS = ActivationQuantizerConfig(lanes=3)
ERRORS = ErrorQuantizerConfig(lanes=3)
DRAWN_ERRORS = ErrorQuantizerConfig(lanes=3, first_lane=4, rounding=STOCHASTIC)
UPDATES = WeightUpdateConfig(lanes=3, first_lane=4, half=True)

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


@given(weight_updates(), SEEDS, st.integers(-8, 7))
def test_an_update_twins_values_are_those_of_the_tensor(config, seed, rate):
    k = seed % config.width
    weight, gradient = (
        codes(config.bits, (30, config.lanes), seed),
        codes(config.width, (30, config.lanes), seed + 1),
    )
    clocks = 30 + config.latency
    inputs = stretched(clocks, i_weight=weight, i_gradient=gradient)
    ports = {"exponent": k, "zero": 0, "rate": rate}
    trace = golden.WeightUpdate(config).run(
        {**inputs, **{name: np.full(clocks, value) for name, value in ports.items()}}
    )
    words = Lanes(config.generator, config.first_lane, config.lanes).take(30)
    r = dither(words, k - rate, config.generator.draw)
    expected = update_weight(weight, gradient, k, rate, config.saturation, r)
    assert np.array_equal(trace["o_weight"][config.latency :], expected)


def stretched(clocks, **operands):
    """Operands from the first clock on, and zeros after them; all is offered and taken."""
    inputs = {"i_valid": np.ones(clocks, int), "o_ready": np.ones(clocks, int)}
    for name, values in operands.items():
        inputs[name] = np.zeros((clocks, *values.shape[1:]), int)
        inputs[name][: len(values)] = values
    return inputs


def test_errors_to_nearest_need_no_generator():
    assert "lfsr" in rtlil.convert(hdl.ErrorQuantizer(DRAWN_ERRORS))
    assert "lfsr" not in rtlil.convert(hdl.ErrorQuantizer(ERRORS))
    near = Generator(bits=8, leap=4, draw=4)
    ErrorQuantizerConfig(lanes=100, generator=near)
    with pytest.raises(ValueError, match="2 lanes of a generator of 8 bits"):
        ErrorQuantizerConfig(lanes=2, generator=near, rounding="stochastic")


def test_weights_saturate_at_the_papers_limit_or_the_released_codes():
    assert WeightUpdateConfig().saturation == 127
    assert WeightUpdateConfig(half=True).saturation == 64
    assert WeightUpdateConfig(bits=10).saturation == 511


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
