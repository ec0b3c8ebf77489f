"""The bank of LFSRs: lanes that leap in groups, states that are set and read; and an array that
draws from it.

Statements are about twin and hardware alike: each is made on both, against lanes that take one
single step after the other.
"""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped
from hypothesis import given, settings
from hypothesis import strategies as st
from support import SEEDS, Bench, OneByOne, agrees, generators
from test_array import tiles_of
from test_fixed import exact_convert

import golden
import hdl
from golden.bank import BankConfig
from golden.fixed import Conversion, Fixed, Rounding
from golden.lfsr import Generator, Lanes
from golden.port import completed, inputs_of
from gradloom.sim.simulators import simulate
from gradloom.sim.stimulus import random_inputs
from gradloom.sim.toplevel import flatten

DEFAULT = Generator()
WIDE = Generator(bits=64, leap=32, draw=20, seed=77)


@st.composite
def configurations(draw):
    groups = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    first = draw(st.sampled_from([0, 1, 9, 230]))
    generator = draw(generators(first + sum(groups)))
    return BankConfig(groups=groups, first_lane=first, generator=generator)


# Twin and hardware agree


@settings(max_examples=25)
@given(configurations(), SEEDS, st.sampled_from([0, 0.02]))
def test_hardware_and_twin_agree(config, seed, resets):
    agrees(hdl.Bank(config), golden.Bank(config), 300, seed, resets=resets)


@pytest.mark.parametrize(
    "config",
    [BankConfig(), BankConfig(groups=(3, 1, 2), generator=WIDE, first_lane=5)],
    ids=["32 bits", "64 bits"],
)
def test_long_runs_between_loads_agree(config):
    load = (np.random.default_rng(3).random(4000) < 0.002).astype(np.int64)
    agrees(hdl.Bank(config), golden.Bank(config), 4000, load=load, resets=0)


def test_a_bank_for_28_columns_and_28_elementwise_lanes_agrees():
    config = BankConfig(groups=(1,) * 28 + (28,))
    agrees(hdl.Bank(config), golden.Bank(config), 400)


@pytest.mark.long
def test_the_compiled_simulator_agrees():
    config = BankConfig()
    agrees(hdl.Bank(config), golden.Bank(config), 200_000, resets=0.0001, simulator="cxxrtl")


# What happens at a clock


def in_words(config, state):
    """A state as `load_state` has it."""
    mask = (1 << config.state_width) - 1
    return [state >> 32 * k & mask for k in range(config.state_words)]


def whole(words):
    """States of which a port has the words (clocks, words)."""
    return [sum(word << 32 * k for k, word in enumerate(row)) for row in words.tolist()]


class Script:
    """Inputs of a bank, 0 but for what is called for, and what hardware and twin alike answer."""

    def __init__(self, config, clocks):
        self.config = config
        self.inputs = completed(inputs_of(config.ports), {}, clocks)

    def leap(self, clock, *groups):
        self.inputs["leap"][clock, list(groups)] = 1

    def read(self, clock, lane):
        self.inputs["lane"][clock] = lane

    def load(self, clock, lane, state):
        self.read(clock, lane)
        self.inputs["load"][clock] = 1
        self.inputs["load_state"][clock] = in_words(self.config, state)

    def run(self):
        """Words and states, (clocks, lanes) and (clocks,)."""
        twin = golden.Bank(self.config).run(self.inputs)
        hardware = simulate(hdl.Bank(self.config), self.inputs)
        for name, values in twin.items():
            assert np.array_equal(values, hardware[name]), name
        return hardware["word"].tolist(), whole(hardware["state"])


def walkers(config):
    lanes = range(config.first_lane, config.first_lane + config.lanes)
    return [OneByOne(config.generator, lane) for lane in lanes]


def word(config, state):
    return state & ((1 << config.generator.draw) - 1)


@pytest.mark.parametrize("generator", [Generator(), WIDE, Generator(bits=17, leap=4, draw=3)])
def test_the_lanes_of_a_group_leap_where_it_is_told_and_no_others(generator):
    config = BankConfig(groups=(1, 3, 1), generator=generator, first_lane=2)
    script = Script(config, 60)
    leaps = np.random.default_rng(0).integers(0, 2, (60, 3))
    script.inputs["leap"][:] = leaps
    words, _ = script.run()
    lanes = walkers(config)
    group_of = [0, 1, 1, 1, 2]
    for clock in range(60):
        assert words[clock] == [word(config, lane.state) for lane in lanes]
        for lane, group in zip(lanes, group_of, strict=True):
            if leaps[clock, group]:
                lane.walk(generator.leap)


def test_the_first_words_are_those_of_numerics():
    script = Script(BankConfig(groups=(1, 1)), 3)
    for clock in range(3):
        script.leap(clock, 0)
    words, _ = script.run()
    assert [row[0] for row in words] == [0x0001, 0x4600, 0x0001]
    assert [row[1] for row in words] == [0x1D42] * 3


@pytest.mark.parametrize("generator", [Generator(), WIDE], ids=["32 bits", "64 bits"])
def test_a_state_is_there_two_clocks_after_it_was_given_and_goes_on_from_there(generator):
    config = BankConfig(groups=(2, 1), generator=generator)
    state = 0x89ABCDEF_12345678 & ((1 << generator.bits) - 1)
    script = Script(config, 12)
    script.load(3, 2, state)
    for clock in range(12):
        script.leap(clock, 1)
    words, _ = script.run()
    before, after = OneByOne(generator, 2), OneByOne(generator, 2)
    after.state = state
    for clock in range(12):
        assert words[clock][2] == (before if clock < 5 else after).word(), clock
    assert all(row[:2] == words[0][:2] for row in words)


def test_a_load_wins_over_a_leap_at_the_clock_between():
    state = 0x12345678
    for leaps in ((), (3,), (4,), (3, 4)):
        script = Script(BankConfig(groups=(1, 1)), 8)
        script.load(3, 1, state)
        for clock in leaps:
            script.leap(clock, 1)
        words, _ = script.run()
        lane = OneByOne(Generator(), 1)
        assert words[3][1] == word(script.config, lane.state)
        if 3 in leaps:  # at the clock of the load itself the lane still leaps
            lane.walk(16)
        assert words[4][1] == word(script.config, lane.state)
        assert [row[1] for row in words[5:]] == [0x5678] * 3


@pytest.mark.parametrize("generator", [Generator(), WIDE], ids=["32 bits", "64 bits"])
def test_a_state_of_zero_changes_nothing(generator):
    script = Script(BankConfig(groups=(2,), generator=generator), 10)
    for clock in range(10):
        script.leap(clock, 0)
    script.load(4, 1, 0)
    words, _ = script.run()
    lanes = walkers(script.config)
    assert words == [[lane.word() for lane in lanes] for _ in range(10)]


def test_a_state_of_which_only_one_word_is_zero_is_loaded():
    for state in (5, 5 << 32):
        script = Script(BankConfig(groups=(1,) * 2, generator=WIDE), 6)
        script.load(0, 1, state)
        script.read(4, 1)
        script.inputs["lane"][3:] = 1
        _, states = script.run()
        assert states[5] == state


def test_a_read_shows_the_state_of_the_clock_between():
    config = BankConfig(groups=(1, 2), generator=WIDE, first_lane=4)
    script = Script(config, 40)
    rng = np.random.default_rng(1)
    lanes, leaps = rng.integers(0, 4, 40), rng.integers(0, 2, (40, 2))
    script.inputs["lane"][:], script.inputs["leap"][:] = lanes, leaps
    _, states = script.run()
    moving = walkers(config)
    seen = []
    for clock in range(40):
        seen.append([lane.state for lane in moving] + [0])  # there is no lane 3
        for lane, group in zip(moving, (0, 1, 1), strict=True):
            if leaps[clock, group]:
                lane.walk(32)
    assert states[0] == 0
    assert states[1] == seen[0][0]  # a reset addresses lane 0
    assert states[2:] == [seen[clock + 1][lanes[clock]] for clock in range(38)]


def test_a_load_shows_the_state_that_it_replaced():
    script = Script(BankConfig(groups=(1, 1)), 10)
    for clock in range(10):
        script.leap(clock, 1)
    script.load(2, 1, 0xCAFE)
    script.load(3, 1, 0xBEEF)
    _, states = script.run()
    replaced = OneByOne(Generator(), 1)
    replaced.walk(16 * 3)
    assert states[4] == replaced.state
    assert states[5] == 0xCAFE  # for a clock it was the lane's, and the next load wins


def test_beyond_the_last_lane_nothing_is_loaded_and_zero_is_read():
    script = Script(BankConfig(groups=(5,)), 8)
    for clock, lane in enumerate((5, 6, 7)):
        script.load(clock, lane, 0x1234)
    words, states = script.run()
    assert words == [words[0]] * 8
    assert states[2:5] == [0, 0, 0]


def test_a_reset_takes_back_a_load_that_is_on_its_way():
    script = Script(BankConfig(groups=(1, 1)), 8)
    script.load(2, 1, 0x1234)
    script.inputs["rst"][2] = 1
    words, states = script.run()
    assert words == [words[0]] * 8
    assert states[3] == 0


# Saving and restoring


@pytest.mark.parametrize(
    "config",
    [BankConfig(), BankConfig(groups=(2, 3), generator=WIDE, first_lane=7)],
    ids=["32 bits", "64 bits"],
)
def test_saved_lanes_are_restored_and_continue_with_the_same_words(config):
    lanes, groups = config.lanes, range(len(config.groups))
    script = Script(config, 120)
    for clock in range(20):
        script.leap(clock, *groups)
    for k in range(lanes):  # save
        script.read(20 + k, k)
    for clock in range(40, 60):
        script.leap(clock, *groups)
    words, states = script.run()
    kept = states[22 : 22 + lanes]
    # As golden's lanes are after as many draws.
    model = Lanes(config.generator, config.first_lane, lanes)
    model.take(20)
    assert kept == model.states
    for k, state in enumerate(kept):
        script.load(70 + k, k, state)
    for clock in range(90, 110):
        script.leap(clock, *groups)
    again, states = script.run()
    assert again[:71] == words[:71]
    assert again[90:110] == words[40:60]
    assert again[90:110] == Lanes.at(config.generator, kept).take(20).tolist()
    # The restoring loads exchanged them with those that stood there.
    model.take(20)
    assert states[72 : 72 + lanes] == model.states


# The bank and an array


class Wired(wiring.Component):
    """An array without generators, and the bank from which it draws."""

    def __init__(self, config, bank):
        self.array, self.bank = hdl.Array(config), hdl.Bank(bank)
        streams = self.array.signature.members
        loads = self.bank.signature.members
        super().__init__(
            {name: streams[name] for name in ("i", "o")}
            | {name: loads[name] for name in ("lane", "load", "load_state", "state")}
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.array, m.submodules.bank = array, bank = self.array, self.bank
        connect(m, flipped(self.i), array.i)
        connect(m, array.o, flipped(self.o))
        for column in range(array.config.columns):
            m.d.comb += [
                array.random[column].eq(bank.word[column]),
                bank.leap[column].eq(array.draws[column]),
            ]
        m.d.comb += [
            bank.lane.eq(self.lane),
            bank.load.eq(self.load),
            bank.load_state.eq(self.load_state),
            self.state.eq(bank.state),
        ]
        return m


STOCHASTIC = Conversion(fraction=28, target=Fixed(2, 14))
LONG = Conversion(fraction=28, target=Fixed(8, 4))  # 24 bits dropped, more than a draw has
NEAREST = Conversion(fraction=28, target=Fixed(6, 10), rounding=Rounding.NEAREST_EVEN)


def shared(rows, columns, conversions, generator=DEFAULT):
    """An array with generators of its own; one with a random port, and a bank for it."""
    own = golden.ArrayConfig(
        rows=rows, columns=columns, conversions=conversions, generator=generator
    )
    bank = BankConfig(groups=(1,) * columns + (3,), generator=generator)
    return own, replace(own, random_port=True), bank


@pytest.mark.parametrize("shape", [(1, 1), (4, 1), (1, 3), (3, 4)], ids=str)
@pytest.mark.parametrize("conversions", [(STOCHASTIC,), (LONG, STOCHASTIC)], ids=["one", "two"])
def test_bank_and_array_are_the_array_with_generators_of_its_own(shape, conversions):
    own, port, bank = shared(*shape, conversions)
    inputs = random_inputs(own.ports, 1200, seed=4)
    answer, expected = simulate(Wired(port, bank), inputs), golden.Array(own).run(inputs)
    assert expected["o_valid"].sum() > 100
    for name, values in expected.items():
        assert np.array_equal(answer[name], values), name


def test_twins_of_bank_and_array_are_that_of_the_array_with_generators_of_its_own():
    own, port, bank = shared(3, 4, (LONG, STOCHASTIC))
    inputs = random_inputs(own.ports, 3000, seed=5)
    # Which columns draw when does not depend on the words.
    given = completed(inputs_of(port.ports), inputs, 3000)
    draws = golden.Array(port).run(given)["draws"]
    leap = np.hstack([draws, np.zeros((3000, 1), int)])
    leaps = completed(inputs_of(bank.ports), {"rst": inputs["rst"], "leap": leap}, 3000)
    words = golden.Bank(bank).run(leaps)["word"]
    outputs = golden.Array(port).run({**given, "random": words[:, :4]})
    del outputs["draws"]
    for name, values in golden.Array(own).run(inputs).items():
        assert np.array_equal(outputs[name], values), name


def rounded(config, tiles, lanes):
    """Rows as they leave: of each tile the bottom row first; lanes leap for stochastic ones."""
    rows = []
    for tile in tiles:
        conversion = config.conversions[tile["choice"]]
        form = conversion.fraction, conversion.target, conversion.rounding
        for row in reversed(tile["product"]):
            draws = conversion.rounding is Rounding.STOCHASTIC
            r = [lane.addend(conversion.dropped) if draws else 0 for lane in lanes]
            rows.append([exact_convert(z, *form, x) for z, x in zip(row, r, strict=True)])
    return rows


@pytest.mark.parametrize("stalls", [[0], [0, 3, 0, 40]], ids=["free", "stalls"])
@pytest.mark.parametrize("shape", [(2, 3), (4, 2), (1, 1)], ids=str)
def test_lanes_leap_only_for_rows_that_are_rounded_stochastically(shape, stalls):
    own, port, bank = shared(*shape, (STOCHASTIC, NEAREST, LONG))
    operands, tiles = tiles_of(own, [5, 3, 8, 1, 4, 2, 7, 6, 5, 5], 20)
    assert {tile["choice"] for tile in tiles} == {0, 1, 2}
    found = Bench(Wired(port, bank), stalls=stalls).run(operands, len(tiles) * own.rows)
    lanes = [OneByOne(own.generator, column) for column in range(own.columns)]
    assert [row["data"] for row in found] == rounded(own, tiles, lanes)


@pytest.mark.parametrize("generator", [Generator(), WIDE], ids=["32 bits", "64 bits"])
def test_an_array_goes_on_from_states_that_were_loaded(generator):
    own, port, bank = shared(3, 4, (STOCHASTIC,), generator)
    component = Wired(port, bank)
    depth, number, loads = 5, 6, 100
    operands, tiles = tiles_of(own, [depth] * number, 30)
    clocks = 200
    inputs = completed(inputs_of(flatten(component)), {}, clocks)
    inputs["o_ready"][:] = 1
    starts = [*range(15), *range(120, 135)]  # half of the tiles before the loads, half after
    for clock, operand in zip(starts, operands, strict=True):
        inputs["i_valid"][clock] = 1
        for name, value in operand.items():
            inputs[f"i_{name}"][clock] = value
    states = [generator.advance(12345, 1000 * k + 1) for k in range(own.columns)]
    for k, state in enumerate(states):
        inputs["lane"][loads + k], inputs["load"][loads + k] = k, 1
        inputs["load_state"][loads + k] = in_words(bank, state)
    answer = simulate(component, inputs)
    assert answer["i_ready"].all()
    valid = answer["o_valid"] == 1
    assert not valid[90:120].any()
    before = [OneByOne(generator, column) for column in range(own.columns)]
    expected = rounded(own, tiles[:3], before)
    after = [OneByOne(generator) for _ in states]
    for lane, state in zip(after, states, strict=True):
        lane.state = state
    expected += rounded(own, tiles[3:], after)
    assert answer["o_data"][valid].tolist() == expected
    # What was replaced are the states after as many draws as rows have passed.
    replaced = whole(answer["state"][loads + 2 : loads + 2 + own.columns])
    model = Lanes(generator, 0, own.columns)
    model.take(3 * own.rows)
    assert replaced == model.states


# What is refused


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"groups": ()}, "number of groups = 0: allowed are 1 to 255"),
        ({"groups": (1, 0)}, "size of a group = 0: allowed are 1 to 255"),
        ({"groups": (200, 56)}, "lanes of one seed = 256: allowed are 1 to 255"),
        ({"groups": (2,), "first_lane": 254}, "lanes of one seed = 256: allowed are 1 to 255"),
        ({"generator": Generator(bits=16, leap=4, draw=4)}, "8 lanes of a generator of 16 bits"),
    ],
)
def test_a_wrong_configuration_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        BankConfig(**given)


def test_groups_are_a_tuple():
    with pytest.raises(TypeError, match=r"groups = \[1, 2\]: a tuple is wanted"):
        BankConfig(groups=[1, 2])
    with pytest.raises(TypeError, match=r"size of a group = 1.5: a whole number"):
        BankConfig(groups=(1.5,))


@pytest.mark.parametrize("conversions", [(), (NEAREST,)], ids=["raw", "nearest"])
def test_an_array_that_never_draws_has_no_random_port(conversions):
    with pytest.raises(ValueError, match="random_port: no conversion is stochastic"):
        golden.ArrayConfig(conversions=conversions, random_port=True)
    with pytest.raises(TypeError, match="random_port = 1: a bool is wanted"):
        golden.ArrayConfig(random_port=1)
