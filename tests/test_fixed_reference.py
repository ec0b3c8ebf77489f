"""Convert against APyTypes, a published library of fixed-point numbers.

Its numbers are two's complement of any width, so that 62-bit codes with 62 fraction bits are exact
there. Its names of the roundings, and of what happens beyond a format's range, are in `NAMES`.
"""

import apytypes
import numpy as np
import pytest
from apytypes import APyFixedArray, OverflowMode, QuantizationMode

from golden.fixed import WIDEST, WIDEST_WORD, Fixed, Rounding, convert, round_shift, saturate

NAMES = {
    Rounding.NEAREST_DOWN: QuantizationMode.RND_MIN_INF,  # ties toward minus infinity
    Rounding.NEAREST_EVEN: QuantizationMode.RND_CONV,  # ties to even
    Rounding.NEAREST_AWAY: QuantizationMode.RND_INF,  # ties away from zero
    Rounding.NEAREST_UP: QuantizationMode.RND,  # ties toward plus infinity
}
NEAREST = list(NAMES)
LIMIT = 1 << (WIDEST - 1)


def number(codes, fraction, width=WIDEST):
    """The library's numbers of wide codes, with the fraction bits of any word at least.

    A cast that appends bits and saturates at once is wrong in APyTypes 0.5.1 where they do not fit
    64 bits: -2^61 with 23 of them becomes 0 there. Appended by themselves they are right.
    """
    wide = APyFixedArray(codes.tolist(), bits=width, frac_bits=fraction)
    return wide.cast(int_bits=width - fraction, frac_bits=max(fraction, WIDEST_WORD))


def saturated(wide, target, quantization):
    """Codes of `target` of the library's numbers."""
    result = wide.cast(
        int_bits=target.il,
        frac_bits=target.fl,
        quantization=quantization,
        overflow=OverflowMode.SAT,
    )
    bits = np.array(result.to_bits(), np.int64)  # without their sign
    return bits - ((bits >> (target.width - 1)) << target.width)


def reference(codes, fraction, target, rounding, r=0):
    """Convert by the library: rounded by its own rule, or down after the random number was added.

    The sum is the library's too, of two numbers of full width.
    """
    wide = number(codes, fraction)
    if rounding is not Rounding.STOCHASTIC:
        return saturated(wide, target, NAMES[rounding])
    wide += number(np.broadcast_to(r, codes.shape), fraction, 64)
    return saturated(wide, target, QuantizationMode.TRN)


def borders(fraction, target):
    """Wide codes about every border: the format's limits, ties, zero, powers of two, the widest."""
    s = fraction - target.fl
    steps = np.arange(-3, 4)
    places = [0, -LIMIT, LIMIT - 1]
    for limit in (target.minimum, target.maximum):
        for offset in (-1, 0, 1):
            place = limit + offset
            places.append(place << s if s > 0 else place >> -s)
            if s > 0:
                places.append((place << s) + (1 << (s - 1)))
    if s > 0:
        places += [(k << s) + (1 << (s - 1)) for k in (-3, -2, -1, 0, 1, 2)]
    places += [sign << bit for bit in range(WIDEST - 1) for sign in (1, -1)]
    return np.array(
        sorted({p + d for p in places for d in steps.tolist() if -LIMIT <= p + d < LIMIT}), np.int64
    )


def settings(seed, count):
    """Fraction bits and targets: those at the limits of both, then random ones."""
    widest = [Fixed(il, WIDEST_WORD - il) for il in (1, 2, 12, 23, 24)]
    narrowest = [Fixed(1, 1), Fixed(2, 0)]
    for target in (*widest, *narrowest):
        for fraction in {0, 1, max(target.fl - 1, 0), target.fl, target.fl + 1, 40, WIDEST}:
            yield fraction, target
    random = np.random.default_rng(seed)
    for _ in range(count):
        width = int(random.integers(2, WIDEST_WORD + 1))
        il = int(random.integers(1, width + 1))
        yield int(random.integers(0, WIDEST + 1)), Fixed(il, width - il)


def wide_codes(fraction, target, random):
    """Every border, and random codes of every magnitude."""
    shifts = random.integers(0, WIDEST - 1, 200)
    return np.concatenate(
        [borders(fraction, target), random.integers(-LIMIT, LIMIT, 200) >> shifts]
    )


@pytest.mark.parametrize("rounding", NEAREST)
def test_roundings_to_nearest_are_the_librarys(rounding):
    random, shifts, cut = np.random.default_rng(1), set(), set()
    for fraction, target in settings(2, 60):
        codes = wide_codes(fraction, target, random)
        got = convert(codes, fraction, target, rounding)
        assert np.array_equal(got, reference(codes, fraction, target, rounding))
        shifts.add(int(np.sign(fraction - target.fl)))
        cut |= {limit for limit in (target.minimum, target.maximum) if limit in got}
    assert shifts == {-1, 0, 1} and len(cut) > 10


def test_stochastic_rounding_is_the_librarys_floor_of_the_sum():
    random = np.random.default_rng(3)
    for fraction, target in settings(4, 60):
        codes = wide_codes(fraction, target, random)
        top = (1 << max(fraction - target.fl, 0)) - 1
        for r in (0, top, random.integers(0, top + 1, codes.shape)):
            got = convert(codes, fraction, target, Rounding.STOCHASTIC, r)
            assert np.array_equal(got, reference(codes, fraction, target, Rounding.STOCHASTIC, r))


def test_the_library_tells_the_roundings_apart():
    """No two of the library's roundings agree on all borders, nor any with another name's here."""
    target = Fixed(6, 2)
    codes = borders(9, target)
    for name in NEAREST:
        for other in NEAREST:
            same = np.array_equal(
                convert(codes, 9, target, name), reference(codes, 9, target, other)
            )
            assert same == (name is other)


def test_stochastic_rounding_has_the_librarys_distribution():
    """The library draws by itself here: as often up, to within five deviations of either count."""
    target, fraction, draws = Fixed(4, 2), 8, 40_000
    random = np.random.default_rng(5)
    apytypes.set_fixed_quantization_seed(7)
    for code in (-1000, -97, -33, -32, -1, 0, 1, 16, 31, 32, 48, 63, 64, 100, 511):
        codes = np.full(draws, code)
        theirs = saturated(number(codes, fraction), target, QuantizationMode.STOCH_WEIGHTED)
        ours = convert(codes, fraction, target, Rounding.STOCHASTIC, random.integers(0, 64, draws))
        assert set(theirs) | set(ours) <= set(
            saturate([code >> 6, (code >> 6) + 1], target).tolist()
        )
        part = code % 64 / 64
        deviation = (2 * part * (1 - part) / draws) ** 0.5
        assert abs(theirs.mean() - ours.mean()) <= 5 * deviation


@pytest.mark.parametrize("rounding", NEAREST)
def test_shifts_alone_are_the_librarys(rounding):
    """`round_shift` saturates nothing: the library's result is as wide as it must be."""
    random = np.random.default_rng(6)
    codes = np.concatenate([random.integers(-LIMIT, LIMIT, 500), [-LIMIT, LIMIT - 1, -1, 0, 1]])
    for s in range(WIDEST):
        wide = APyFixedArray(codes.tolist(), bits=WIDEST, frac_bits=s)
        result = wide.cast(bits=64, frac_bits=0, quantization=NAMES[rounding])
        bits = np.array(result.to_bits(), np.uint64).astype(np.int64)
        assert np.array_equal(round_shift(codes, s, rounding), bits)
