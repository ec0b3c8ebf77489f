"""Random bits: properties that draws must have, each shown to fail where its cause is put back.

Properties are functions of draws. The generator's own draws have them; draws of a broken generator,
made one step after the other in the test, do not.
"""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import SEEDS, OneByOne, agrees, generators

import golden
import hdl
from golden.fixed import Rounding, round_shift
from golden.lfsr import MASKS, Generator, Lanes, LfsrConfig, dither, is_maximal, step
from gradloom.sim.simulators import simulate

ALL_MASKS = [(bits, mask) for bits, masks in MASKS.items() for mask in masks]


def states(generator, count, steps, mask=None):
    """`count` states from the seed on, `steps` single steps apart."""
    mask = generator.taps if mask is None else mask
    found, state = np.empty(count, np.uint64), generator.seed
    for number in range(count):
        found[number] = state
        for _ in range(steps):
            state = state >> 1 ^ (mask if state & 1 else 0)
    return found


def lane(generator, count):
    """`count` draws of lane 0."""
    return Lanes(generator, 0, 1).take(count)[:, 0]


# The period


def period(bits, mask, state=1):
    """Steps until the state 1 returns; None if it does not within 2^bits."""
    for count in range(1, 1 << bits):
        state = step(state, mask)
        if state == 1:
            return count
    return None


@pytest.mark.parametrize(("bits", "mask"), [pair for pair in ALL_MASKS if pair[0] <= 20])
def test_every_state_but_zero_is_met(bits, mask):
    assert period(bits, mask) == (1 << bits) - 1


#: Prime factors of 2^bits - 1.
PRIMES = {
    24: (3, 3, 5, 7, 13, 17, 241),
    32: (3, 5, 17, 257, 65537),
    64: (3, 5, 17, 257, 641, 65537, 6700417),
}


def order_is_maximal(bits, mask):
    """Whether the step, as a matrix over GF(2), has the order 2^bits - 1."""

    def after(matrix, state):
        image = 0
        for bit, column in enumerate(matrix):
            if state >> bit & 1:
                image ^= column
        return image

    def power(exponent):
        result, base = [1 << bit for bit in range(bits)], one_step
        while exponent:
            if exponent & 1:
                result = [after(base, column) for column in result]
            base = [after(base, column) for column in base]
            exponent >>= 1
        return result

    one_step = [step(1 << bit, mask) for bit in range(bits)]
    identity = [1 << bit for bit in range(bits)]
    full = (1 << bits) - 1
    return power(full) == identity and all(power(full // p) != identity for p in set(PRIMES[bits]))


@pytest.mark.parametrize(("bits", "mask"), [pair for pair in ALL_MASKS if pair[0] > 20])
def test_the_order_of_wide_masks_is_maximal(bits, mask):
    assert np.prod(np.array(PRIMES[bits], object)) == (1 << bits) - 1
    assert order_is_maximal(bits, mask)
    assert is_maximal(bits, mask)
    # An even number of terms has the factor x + 1.
    assert not order_is_maximal(bits, mask ^ 1)
    assert not is_maximal(bits, mask ^ 1)


def test_every_8_bit_mask_is_judged_as_running_it_does():
    for mask in range(1, 256):
        assert is_maximal(8, mask) == (period(8, mask) == 255)


def test_a_wrong_mask_is_found():
    assert period(16, 0xE800) != (1 << 16) - 1
    assert not is_maximal(16, 0xE800)
    with pytest.raises(
        ValueError, match="mask = E800: not of maximal length at 16 bits; 8679, B400"
    ):
        Generator(bits=16, draw=8, mask=0xE800)


# One lane


def words_are_uniform(words, bits, draw):
    """Over a whole period every word comes equally often, and zero once less."""
    counts = np.bincount(words.astype(np.int64), minlength=1 << draw)
    even = 1 << (bits - draw)
    return counts.tolist() == [even - 1] + [even] * ((1 << draw) - 1)


@pytest.mark.parametrize("leap", [1, 2, 8, 64])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_draws_have_the_full_period_and_zero_among_them(bits, leap):
    generator = Generator(bits=bits, leap=leap, draw=min(leap, bits - 1))
    words = lane(generator, (1 << bits) - 1)
    assert words_are_uniform(words, bits, generator.draw)
    assert 0 in words


def test_a_draw_of_all_bits_would_never_be_zero():
    assert 0 not in states(Generator(bits=8, leap=1, draw=1), 255, 1)
    with pytest.raises(ValueError, match="draw = 8: allowed are 1 to 7"):
        Generator(bits=8, leap=16, draw=8)


def correlation(x, y):
    return float(np.corrcoef(x.astype(float), y.astype(float))[0, 1])


def lags_are_uncorrelated(words):
    count = 1 << 18
    return all(
        abs(correlation(words[:count], words[lag : lag + count])) < 0.01 for lag in range(1, 33)
    )


def decisions(words, draw, eighths):
    """Whether each draw rounds a value with `eighths` / 8 of an ulp up."""
    value = eighths << (draw - 3)
    r = dither(words, draw, draw)
    return round_shift(np.full(words.shape, value), draw, Rounding.STOCHASTIC, r)


def inflation(sums, terms, eighths):
    """Variance of sums of decisions over that of a binomial."""
    chance = eighths / 8
    return float(sums.var() / (terms * chance * (1 - chance)))


def sums_are_binomial(words, draw):
    """Along one lane: 2^14 sums of 64 decisions each, at 1/8, 1/4, 1/2, 3/4."""
    return all(
        abs(
            inflation(
                decisions(words[: 1 << 20], draw, eighths).reshape(-1, 64).sum(1), 64, eighths
            )
            - 1
        )
        < 0.05
        for eighths in (1, 2, 4, 6)
    )


ONE_LANE = [
    Generator(),
    Generator(mask=0x80000EA6),
    Generator(bits=64, leap=32, draw=32, seed=987654321),
    Generator(seed=0xDEADBEEF, leap=64, draw=12),
]


@pytest.mark.parametrize("generator", ONE_LANE, ids=str)
def test_successive_draws_are_independent(generator):
    words = lane(generator, 1 << 20)
    assert lags_are_uncorrelated(words)
    assert sums_are_binomial(words, generator.draw)


def test_one_step_a_draw_is_found():
    words = states(Generator(), 1 << 20, steps=1) & np.uint64(0xFFFF)
    assert correlation(words[: 1 << 18], words[1 : (1 << 18) + 1]) == pytest.approx(0.5, abs=0.01)
    assert not lags_are_uncorrelated(words)
    assert not sums_are_binomial(words, 16)
    quarter, eighth = (
        inflation(decisions(words, 16, eighths).reshape(-1, 64).sum(1), 64, eighths)
        for eighths in (2, 1)
    )
    assert quarter == pytest.approx(1.7, abs=0.1)
    assert eighth > 2


def test_a_draw_offers_no_more_bits_than_the_register_leaps():
    with pytest.raises(ValueError, match="draw = 9: allowed are 1 to 8"):
        Generator(leap=8, draw=9)


# The decision to round up


def goes_up_by_the_fraction(decide, draw):
    """P(up) is the dropped fraction, exactly, over all words: decide(words, fractions)."""
    words = np.arange(1 << draw)
    fractions = np.arange(1 << draw)
    return np.array_equal(decide(words, fractions[:, None]).sum(1), fractions)


def up(words, fractions, draw=6):
    r = dither(words, draw, draw)
    return round_shift(fractions, draw, Rounding.STOCHASTIC, r)


def test_the_chance_to_go_up_is_the_fraction_at_the_resolution_of_a_draw():
    assert goes_up_by_the_fraction(up, 6)


def test_a_compare_that_is_not_strict_is_found():
    assert goes_up_by_the_fraction(lambda words, fractions: words < fractions, 6)
    not_strict = lambda words, fractions: words <= fractions  # noqa: E731
    assert not goes_up_by_the_fraction(not_strict, 6)
    # Exact values would go up with a probability of 2^-draw.
    assert not_strict(np.arange(64), 0).sum() == 1
    assert up(np.arange(64), np.zeros(64, int)).sum() == 0


def often_enough(decide, words, eighths):
    """Whether draws go up as often as they shall, within five deviations."""
    chance, fraction = eighths / 8, eighths << 13
    spread = 5 * (len(words) * chance * (1 - chance)) ** 0.5
    return abs(int(decide(words, fraction).sum()) - len(words) * chance) < spread


def test_an_inverted_compare_is_found_away_from_one_half():
    words = lane(Generator(), 1 << 16).astype(np.int64)

    def inverted(words, fractions):
        return words >= fractions

    def rounded(words, fractions):
        return up(words, np.full(words.shape, fractions), 16)

    for eighths in (2, 4, 6):
        assert often_enough(rounded, words, eighths)
    assert often_enough(inverted, words, 4)
    assert not often_enough(inverted, words, 2)
    assert not often_enough(inverted, words, 6)


def mean_error(draw, dropped, addend):
    """Mean error of rounding over all words and all fractions; an ulp is 2^(draw + dropped + 1)."""
    words, values = np.arange(1 << draw), np.arange(1 << dropped)
    rounded = round_shift(values[:, None], dropped, Rounding.STOCHASTIC, addend(words))
    # The sum over 2^(draw + dropped) roundings, twice: that of the fractions may end on a half.
    twice_fractions = (1 << draw) * ((1 << dropped) - 1)
    return int(2 * rounded.sum()) - twice_fractions


@pytest.mark.parametrize(("draw", "dropped"), [(4, 7), (4, 5), (1, 8), (6, 10)])
def test_fewer_random_bits_than_dropped_ones_do_not_drift(draw, dropped):
    whole = 2 << (draw + dropped)  # what an ulp is in the unit of `mean_error`
    bias = mean_error(draw, dropped, lambda words: dither(words, dropped, draw))
    assert bias * (2 << dropped) == whole  # 2^-(dropped + 1) ulp
    without = mean_error(draw, dropped, lambda words: words << (dropped - draw))
    # -(2^-draw - 2^-dropped) / 2 ulp
    assert without == -((1 << dropped) - (1 << draw))


@pytest.mark.parametrize("draw", [1, 4, 16])
def test_the_addend_is_below_one_ulp_and_takes_the_low_bits(draw):
    words = np.arange(1 << draw)
    for dropped in range(-3, draw + 1):
        expected = words % (1 << dropped) if dropped > 0 else words * 0
        assert np.array_equal(dither(words, dropped, draw), expected)
    for missing in range(1, 10):
        r = dither(words, draw + missing, draw)
        assert np.array_equal(r >> missing, words)
        assert set((r % (1 << missing)).tolist()) == {1 << (missing - 1)}


# Many lanes


def skewed_lanes_are_uncorrelated(words):
    """All pairs of the lanes of `words` (draws, lanes), all skews to 64, over 2^14 draws."""
    return largest_correlation(words) < 0.05


def largest_correlation(words):
    count = 1 << 14
    words = words.astype(np.float64)
    worst = 0.0
    for skew in range(65):
        x, y = words[:count], words[skew : skew + count]
        x, y = ((part - part.mean(0)) / part.std(0) for part in (x, y))
        correlations = np.abs(x.T @ y) / count
        if skew == 0:
            np.fill_diagonal(correlations, 0)
        worst = max(worst, float(correlations.max()))
    return worst


def lane_sums_are_binomial(words, draw):
    """Sums of 64 decisions across lanes, at one clock and one clock a lane: 2^14 of each."""
    count, lanes = 1 << 14, words.shape[1]
    skewed = np.stack([words[k : k + count, k] for k in range(lanes)], axis=1)
    return all(
        abs(inflation(decisions(chosen, draw, eighths).sum(1), lanes, eighths) - 1) < 0.05
        for eighths in (1, 2, 4, 6)
        for chosen in (words[:count], skewed)
    )


def many_lanes(generator, lanes=64, first=0):
    return Lanes(generator, first, lanes).take((1 << 14) + 64)


@pytest.mark.parametrize(
    "generator",
    [Generator(), Generator(seed=0x1234567), Generator(bits=24, leap=8, draw=8)],
    ids=str,
)
def test_lanes_are_independent_under_every_skew(generator):
    words = many_lanes(generator)
    assert skewed_lanes_are_uncorrelated(words)
    assert lane_sums_are_binomial(words, generator.draw)


def test_lanes_spaced_in_draws_are_found():
    """2^24 draws apart, sixteen lanes fill the period of 32 bits: lane 16 is a step from lane 0."""
    in_draws = property(lambda generator: generator.leap << (generator.bits - 8))
    with patch.object(Generator, "lane_steps", in_draws):
        words = many_lanes(Generator())
        assert Generator().lane_seed(16) == step(Generator().seed, Generator().taps)
    assert correlation(words[:, 0], words[:, 16]) == pytest.approx(0.51, abs=0.02)
    assert not skewed_lanes_are_uncorrelated(words)
    assert not lane_sums_are_binomial(words, 16)


def test_lanes_that_are_delayed_copies_are_found():
    """A few draws apart, lanes meet again under a skew."""
    words = lane(Generator(), (1 << 14) + 64 + 63 * 3)
    count = (1 << 14) + 64
    copies = np.stack([words[3 * k : 3 * k + count] for k in range(64)], axis=1)
    assert not skewed_lanes_are_uncorrelated(copies)


def test_lanes_start_a_256th_of_the_register_range_apart():
    for bits in (12, 16, 20):
        generator = Generator(bits=bits, leap=1, draw=1, seed=5)
        for number in (0, 1, 2, 7, 200):
            walker = OneByOne(generator)
            walker.walk(number << (bits - 8))
            assert generator.lane_seed(number) == walker.state
    default = Generator()
    assert default.lane_steps == 1 << 24
    assert default.lane_steps // default.leap == 1 << 20
    # Lane 0 is where lane 1 began, 2^20 draws later.
    lanes = Lanes(default, 0, 1)
    lanes.take(1 << 20)
    assert lanes.states == [default.lane_seed(1)]
    assert np.array_equal(lanes.take(40), Lanes(default, 1, 1).take(40))


@given(generators(), st.integers(0, 3000), st.integers(0, 3000))
def test_jumps_add_up(generator, some, more):
    walker = OneByOne(generator)
    walker.walk(some)
    assert generator.advance(generator.seed, some) == walker.state
    assert generator.advance(walker.state, more) == generator.advance(generator.seed, some + more)


# Draws in bulk


@st.composite
def lanes_of(draw):
    count = draw(st.integers(1, 5))
    first = draw(st.sampled_from([0, 1, 9, 250]))
    return draw(generators(first + count)), first, count


@given(lanes_of(), st.lists(st.integers(0, 700), min_size=1, max_size=5))
def test_draws_in_bulk_are_those_of_single_steps(of, chunks):
    generator, first, count = of
    lanes = Lanes(generator, first, count)
    walkers = [OneByOne(generator, first + number) for number in range(count)]
    for chunk in chunks:
        words = lanes.take(chunk)
        assert words.shape == (chunk, count)
        assert words.tolist() == [[walker.word() for walker in walkers] for _ in range(chunk)]
        assert lanes.states == [walker.state for walker in walkers]


@pytest.mark.parametrize(("bits", "mask"), ALL_MASKS)
def test_long_runs_are_those_of_single_steps(bits, mask):
    generator = Generator(bits=bits, mask=mask, leap=4, draw=4, seed=3)
    lanes, walker = Lanes(generator, 0, 1), OneByOne(generator)
    for chunk in (1, 4095, 4097, 20000, 2):
        assert lanes.take(chunk)[:, 0].tolist() == [walker.word() for _ in range(chunk)]


def test_a_copy_of_lanes_moves_on_its_own():
    lanes = Lanes(Generator(), 2, 3)
    lanes.take(100)
    copy = lanes.copy()
    before = lanes.states
    ahead = copy.take(9000)
    assert lanes.states == before
    copied = copy.states
    assert np.array_equal(lanes.take(9000), ahead)
    assert lanes.states == copied
    behind = lanes.copy()
    kept = lanes.take(9000)
    lanes.lend(9000)[:] = 0
    assert np.array_equal(behind.take(9000), kept)
    assert copy.states == copied


@given(lanes_of(), st.integers(0, 3000), st.integers(0, 300))
def test_lanes_continue_from_their_states(of, before, after):
    generator, first, count = of
    lanes = Lanes(generator, first, count)
    lanes.take(before)
    restored = Lanes.at(generator, lanes.states, first)
    assert (restored.made, restored.first, restored.count) == (0, first, count)
    assert restored.states == lanes.states
    assert np.array_equal(restored.take(after), lanes.take(after))
    assert restored.states == lanes.states
    assert np.array_equal(restored.copy().take(9), lanes.take(9))


def test_lanes_can_be_at_any_states():
    generator = Generator(bits=64, leap=64, draw=32)
    states = [0xDEADBEEF12345678, 1, 1 << 63]
    lanes, walkers = Lanes.at(generator, states), [OneByOne(generator) for _ in states]
    for walker, state in zip(walkers, states, strict=True):
        walker.state = state
    assert lanes.states == states
    assert lanes.take(200).tolist() == [[walker.word() for walker in walkers] for _ in range(200)]
    assert lanes.states == [walker.state for walker in walkers]


def test_states_that_no_lane_can_have_are_refused():
    for state in (0, 1 << 32):
        with pytest.raises(ValueError, match=f"state of lane 6 = {state}: allowed are 1 to 4294"):
            Lanes.at(Generator(), [5, state], first=5)
    with pytest.raises(ValueError, match="lanes of one seed = 256: allowed are 1 to 255"):
        Lanes.at(Generator(), [1] * 6, first=250)


def test_words_given_out_are_not_taken_back():
    lanes = Lanes(Generator(), 0, 2)
    words = lanes.take(10)
    kept = words.copy()
    words[:] = 0
    assert np.array_equal(Lanes(Generator(), 0, 2).take(10), kept)
    fresh = Lanes(Generator(), 0, 2)
    fresh.take(10)
    assert np.array_equal(lanes.take(10), fresh.take(10))


@pytest.mark.parametrize(
    ("generator", "kind"),
    [
        (Generator(), np.uint16),
        (Generator(leap=32, draw=17), np.uint32),
        (Generator(bits=64, leap=64, draw=32), np.uint32),
        (Generator(bits=64, leap=64, draw=3), np.uint16),
    ],
)
def test_lent_words_are_those_taken(generator, kind):
    """Whatever the lanes' own memory held before; a copy has its own."""
    taken, lending = Lanes(generator, 0, 3), Lanes(generator, 0, 3)
    for number, draws in enumerate((5, 9000, 0, 1, 700, 12000)):
        words = lending.lend(draws)
        assert words.dtype == kind
        expected = taken.take(draws)
        copy, late = lending.copy(), lending.copy()
        copy.lend(draws)[:] = 0
        assert np.array_equal(words, expected)
        lending.copy().lend(20000)
        assert np.array_equal(late.lend(3000), taken.copy().lend(3000))
        if number % 2:
            words[:] = 0  # does not reach what comes next
        assert lending.made == taken.made
    lent = Lanes(Generator(), 0, 2)
    first = lent.lend(50)
    kept = first.copy()
    lent.lend(50)
    assert not np.array_equal(first, kept)


@pytest.mark.parametrize("generator", [Generator(), Generator(bits=64, leap=64, draw=32)])
def test_lanes_that_nobody_asks_for_move_on_too(generator):
    taken, lending = Lanes(generator, 0, 28), Lanes(generator, 0, 28)
    asked = ((70000, 8), (7, 8), (33, 1), (290000, 27), (60000, 28), (9710, 1), (5000, 3), (9, 28))
    for draws, lanes in asked:
        assert np.array_equal(lending.lend(draws, lanes), taken.take(draws)[:, :lanes])
        assert lending.states == taken.states
    assert np.array_equal(lending.take(3000), taken.take(3000))


def test_the_first_draw_is_that_of_the_seed():
    assert Generator(seed=0xABCD1234).lane_seed(0) == 0xABCD1234
    assert Lanes(Generator(seed=0xABCD1234), 0, 1).take(1).tolist() == [[0x1234]]


# What is refused


def test_a_zero_seed_is_refused():
    with pytest.raises(ValueError, match="seed = 0: allowed are 1 to 255"):
        Generator(bits=8, leap=4, draw=4, seed=0)


@pytest.mark.parametrize("leap", [3, 12, 63])
def test_a_leap_that_is_no_power_of_two_is_refused(leap):
    with pytest.raises(ValueError, match=f"leap = {leap}: a power of two is wanted"):
        Generator(leap=leap, draw=1)


def test_lanes_too_near_each_other_are_refused():
    # 2^16 steps apart; at a leap of 64, 64 lanes need more than 64 * 64.
    Generator(bits=24, leap=64, draw=16).require_lanes(64)
    near = Generator(bits=16, leap=4, draw=4)  # 256 = 4 * 64
    near.require_lanes(1)
    message = r"2 lanes of a generator of 16 bits: lanes start 2\^8 = 256 steps apart, more than "
    with pytest.raises(ValueError, match=message + r"leap \* max\(64, lanes\) = 256 are needed"):
        near.require_lanes(2)
    Generator(bits=16, leap=2, draw=2).require_lanes(127)
    with pytest.raises(
        ValueError, match=r"leap \* max\(64, lanes\) = 256 are needed; take a wider"
    ):
        Generator(bits=16, leap=2, draw=2).require_lanes(128)


def test_more_than_255_lanes_are_refused():
    Generator().require_lanes(255)
    with pytest.raises(ValueError, match="lanes of one seed = 256: allowed are 1 to 255"):
        Generator().require_lanes(256)
    with pytest.raises(ValueError, match="lanes of one seed = 256: allowed are 1 to 255"):
        LfsrConfig(lanes=6, first_lane=250)
    with pytest.raises(ValueError, match="lanes of one seed = 256"):
        Lanes(Generator(), 250, 6)


# In hardware


@settings(max_examples=60)
@given(lanes_of(), SEEDS)
def test_hardware_and_twin_agree(of, seed):
    generator, first, count = of
    config = LfsrConfig(generator=generator, lanes=count, first_lane=first)
    agrees(hdl.Lfsr(config), golden.Lfsr(config), 150, seed, resets=0.03)


def test_all_255_lanes_of_the_hardware_agree():
    config = LfsrConfig(lanes=255)
    agrees(hdl.Lfsr(config), golden.Lfsr(config), 40, 1, resets=0.1)


@pytest.mark.parametrize("generator", [Generator(), Generator(bits=9, leap=32, draw=8)], ids=str)
def test_a_word_stays_until_it_is_drawn(generator):
    """Against single steps: a transfer is a draw, the next word is there a clock later."""
    config = LfsrConfig(generator=generator)
    ready = np.random.default_rng(2).integers(0, 2, 300)
    trace = simulate(hdl.Lfsr(config), {"o_ready": ready})
    assert config.latency == 1
    assert trace["o_valid"].all()
    walker = OneByOne(generator)
    word = walker.word()
    for clock in range(300):
        assert trace["o_data"][clock, 0] == word
        if ready[clock]:
            word = walker.word()


def test_a_reset_brings_back_the_seed():
    rst = np.zeros(20, int)
    rst[[7, 12]] = 1
    words = simulate(hdl.Lfsr(LfsrConfig()), {"rst": rst, "o_ready": np.ones(20, int)})["o_data"][
        :, 0
    ]
    assert words[0] == words[8] == words[13] == 1
    assert np.array_equal(words[8:13], words[:5])
