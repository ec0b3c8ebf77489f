"""Convert, against exact rational arithmetic: every code, every rounding, every random number."""

from fractions import Fraction
from itertools import product
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import formats

from golden.fixed import (
    WIDEST,
    Conversion,
    Fixed,
    Rounding,
    accumulator_width,
    convert,
    round_shift,
    saturate,
)

NEAREST = [rounding for rounding in Rounding if rounding is not Rounding.STOCHASTIC]
CODES = np.arange(-64, 64)
TARGETS = [
    Fixed(1, 1),
    Fixed(1, 2),
    Fixed(2, 0),
    Fixed(2, 1),
    Fixed(3, 0),
    Fixed(3, 2),
    Fixed(5, 3),
]


def exact(z, s, rounding, r):
    """z / 2^s to a whole number, by what the names of the roundings say of a fraction."""
    value = Fraction(z) / Fraction(2) ** s
    below = floor(value)
    fraction = value - below
    if rounding is Rounding.STOCHASTIC:
        # Up with probability `fraction`: for the upper `fraction` of all r.
        up = fraction > 0 and Fraction(r, 2**s) >= 1 - fraction
    elif fraction == Fraction(1, 2):
        up = {
            Rounding.NEAREST_DOWN: False,
            Rounding.NEAREST_UP: True,
            Rounding.NEAREST_AWAY: value > 0,
            Rounding.NEAREST_EVEN: below % 2 == 1,
        }[rounding]
    else:
        up = fraction > Fraction(1, 2)
    return below + up


def exact_convert(z, fraction, target, rounding, r):
    rounded = exact(z, fraction - target.fl, rounding, r)
    return min(max(rounded, target.minimum), target.maximum)


def random_numbers(s, rounding):
    """All random numbers that the rounding of `s` dropped bits can meet."""
    return np.arange(1 << max(s, 0) if rounding is Rounding.STOCHASTIC else 1)


def is_exact(function, roundings=tuple(Rounding)):
    """Whether `function` is Convert: on every 7-bit code, from 3 bits appended to 6 dropped."""
    for fraction, target, rounding in product(range(7), TARGETS, roundings):
        numbers = random_numbers(fraction - target.fl, rounding)
        expected = [
            [exact_convert(z, fraction, target, rounding, r) for r in numbers.tolist()]
            for z in CODES.tolist()
        ]
        got = function(CODES[:, None], fraction, target, rounding, numbers)
        if not np.array_equal(np.broadcast_to(got, (len(CODES), len(numbers))), expected):
            return False
    return True


def test_convert_is_exact():
    assert is_exact(convert)


def test_a_conversion_is_called_like_the_function():
    for fraction, target, rounding in product((0, 3), TARGETS, Rounding):
        conversion = Conversion(fraction=fraction, target=target, rounding=rounding)
        numbers = random_numbers(conversion.dropped, rounding)
        expected = convert(CODES[:, None], fraction, target, rounding, numbers)
        assert np.array_equal(conversion(CODES[:, None], numbers), expected)
        assert conversion.dropped == fraction - target.fl


def saturated_before_the_draw(z, fraction, target, rounding, r):
    """Convert with its overflow looked for in what is kept of z, before r is added."""
    s = max(fraction - target.fl, 0)
    if fraction < target.fl:
        return convert(z, fraction, target, rounding, r)
    kept = z >> s
    inside = (kept >= target.minimum) & (kept <= target.maximum)
    span = 1 << target.width
    wrapped = (round_shift(z, s, rounding, r) - target.minimum) % span + target.minimum
    return np.where(inside, wrapped, saturate(kept, target))


@pytest.mark.parametrize("rounding", Rounding)
def test_saturation_before_the_draw_is_found(rounding):
    assert not is_exact(saturated_before_the_draw, [rounding])


def test_saturation_looks_at_the_value_after_the_draw():
    target = Fixed(2, 0)  # -2 to 1
    z = np.array([1 * 16 + 1, 1 * 16 + 15, -2 * 16 - 1, -2 * 16 - 16])
    for r in range(16):
        assert convert(z, 4, target, Rounding.STOCHASTIC, r).tolist() == [1, 1, -2, -2]


@pytest.mark.parametrize("rounding", Rounding)
def test_what_saturates_is_beyond_a_limit_once_it_is_rounded(rounding):
    """On every code and draw; a limit that is met exactly is not beyond itself."""
    for fraction, target in product(range(7), TARGETS):
        conversion = Conversion(fraction=fraction, target=target, rounding=rounding)
        numbers = random_numbers(conversion.dropped, rounding)
        whole = np.array(
            [
                [exact(z, conversion.dropped, rounding, r) for r in numbers.tolist()]
                for z in CODES.tolist()
            ]
        )
        expected = (whole < target.minimum) | (whole > target.maximum)
        assert np.array_equal(conversion.saturates(CODES[:, None], numbers), expected)


@pytest.mark.parametrize("width", [2, 24])
def test_bits_that_are_appended_saturate_what_they_bring_over_a_limit(width):
    target = Fixed(1, width - 1)
    conversion = Conversion(fraction=0, target=target)
    found = conversion.saturates([-(1 << 61), -2, -1, 0, 1, (1 << 61) - 1])
    assert found.tolist() == [True, True, False, False, True, True]


def test_saturates_wants_what_a_conversion_wants():
    conversion = Conversion(fraction=4, target=Fixed(2, 2))
    with pytest.raises(TypeError, match="z has values of type float64"):
        conversion.saturates([0.5])
    with pytest.raises(ValueError, match="r: 4 is out of range: allowed are 0 to 3"):
        conversion.saturates([1], 4)


@pytest.mark.parametrize("rounding", Rounding)
def test_exact_values_never_move(rounding):
    for s in range(7):
        r = random_numbers(s, rounding)
        rounded = round_shift(CODES[:, None] << s, s, rounding, r)
        assert np.array_equal(rounded, np.broadcast_to(CODES[:, None], rounded.shape))


def test_the_chance_to_go_up_is_the_dropped_fraction():
    for s in range(1, 8):
        r = np.arange(1 << s)
        ups = (round_shift(CODES[:, None], s, Rounding.STOCHASTIC, r) - (CODES >> s)[:, None]).sum(
            1
        )
        assert np.array_equal(ups, CODES % (1 << s))


@pytest.mark.parametrize(
    ("rounding", "codes"),
    [  # of -2.5 to 2.5
        (Rounding.NEAREST_DOWN, [-3, -2, -1, 0, 1, 2]),
        (Rounding.NEAREST_UP, [-2, -1, 0, 1, 2, 3]),
        (Rounding.NEAREST_EVEN, [-2, -2, 0, 0, 2, 2]),
        (Rounding.NEAREST_AWAY, [-3, -2, -1, 1, 2, 3]),
    ],
)
@pytest.mark.parametrize("s", [1, 2, 5, 58])
def test_ties(rounding, codes, s):
    ties = np.array([-5, -3, -1, 1, 3, 5]) << (s - 1)
    assert round_shift(ties, s, rounding).tolist() == codes
    if s > 1:  # a hair beside a tie is none
        assert round_shift(ties - 1, s, rounding).tolist() == [-3, -2, -1, 0, 1, 2]
        assert round_shift(ties + 1, s, rounding).tolist() == [-2, -1, 0, 1, 2, 3]


@pytest.mark.parametrize("rounding", NEAREST)
def test_nearest_never_reads_the_random_number(rounding):
    assert np.array_equal(round_shift(CODES, 3, rounding, 7), round_shift(CODES, 3, rounding))


WIDE = st.integers(-(1 << (WIDEST - 1)), (1 << (WIDEST - 1)) - 1)


@given(st.data(), formats(), st.integers(0, WIDEST), st.sampled_from(Rounding))
def test_wide_codes_do_not_overflow(data, target, fraction, rounding):
    s = fraction - target.fl
    extremes = st.sampled_from([-(1 << (WIDEST - 1)), (1 << (WIDEST - 1)) - 1, 0, -1])
    z = data.draw(WIDE | extremes)
    top = (1 << max(s, 0)) - 1
    r = data.draw(st.integers(0, top) | st.just(top))
    assert int(convert(z, fraction, target, rounding, r)) == exact_convert(
        z, fraction, target, rounding, r
    )


def test_shifts_of_an_array_are_each_their_own():
    shifts = np.arange(6)
    for rounding in NEAREST:
        rows = [round_shift(CODES, int(s), rounding) for s in shifts]
        assert np.array_equal(round_shift(CODES[:, None], shifts, rounding).T, rows)


def test_a_format_knows_its_range():
    q = Fixed(2, 14)
    assert (q.width, q.minimum, q.maximum, str(q)) == (16, -32768, 32767, "<2,14>")
    assert Fixed.parse("2,14") == Fixed.parse("<2,14>") == Fixed.parse(str(q)) == q
    assert saturate([-40000, -32768, 0, 32767, 40000], q).tolist() == [
        -32768,
        -32768,
        0,
        32767,
        32767,
    ]


@pytest.mark.parametrize(
    ("il", "fl", "message"),
    [
        (0, 8, "il = 0: allowed are 1 to 24"),
        (25, 0, "il = 25: allowed are 1 to 24"),
        (2, -1, "fl = -1: allowed are 0 to 23"),
        (1, 24, "fl = 24: allowed are 0 to 23"),
        (1, 0, r"il \+ fl = 1: allowed are 2 to 24"),
        (13, 12, r"il \+ fl = 25: allowed are 2 to 24"),
    ],
)
def test_formats_out_of_range_are_refused(il, fl, message):
    with pytest.raises(ValueError, match=message):
        Fixed(il, fl)


@pytest.mark.parametrize(("il", "fl", "name"), [(2.0, 14, "il"), (2, "14", "fl"), (True, 8, "il")])
def test_formats_of_other_than_whole_numbers_are_refused(il, fl, name):
    with pytest.raises(TypeError, match=f"{name} = .*: a whole number from"):
        Fixed(il, fl)


@pytest.mark.parametrize("text", ["", "2", "2,14,1", "a,b", "2.0,14", "<>"])
def test_texts_that_name_no_format_are_refused(text):
    with pytest.raises(ValueError, match=f"format '{text}': IL,FL is wanted, as in 2,14"):
        Fixed.parse(text)


@given(st.integers(2, 24), st.integers(2, 24), st.integers(1, 1 << 13))
def test_an_accumulator_is_as_wide_as_it_must_be(a_width, b_width, depth):
    width = accumulator_width(a_width, b_width, depth)
    largest = depth << (a_width - 1) + (b_width - 1)  # all operands at their lowest code
    assert largest <= (1 << (width - 1)) - 1
    assert largest > (1 << (width - 2)) - 1


def test_known_accumulators():
    assert accumulator_width(16, 16, 511) == 40
    assert accumulator_width(16, 16, 512) == 41
    assert accumulator_width(16, 16, 1000) == 41
    assert accumulator_width(2, 2, 1) == 4


def test_accumulators_over_62_bits_are_refused():
    assert accumulator_width(24, 24, (1 << 15) - 1) == 62
    message = (
        r"accumulator of 24 \+ 24 \+ floor\(log2 32768\) = 24 \+ 24 \+ 15 = 63 bits: "
        "at most 62 are allowed"
    )
    with pytest.raises(ValueError, match=message):
        accumulator_width(24, 24, 1 << 15)
