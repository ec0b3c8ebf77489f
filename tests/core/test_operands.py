"""Operands of a product, clock for clock: hardware, twin, and words of matrices in plain arrays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_cores import small
from support import SEEDS

import golden
import hdl
from golden.core.config import CoreConfig
from golden.core.isa import Engine
from golden.core.lower import compiled
from golden.core.operands import LANE_BITS, offsets
from golden.port import completed, inputs_of
from gradloom.comparison.compare import compare

#: Numbers of banks: powers of two, and not.
BANKS = (1, 2, 5, 8, 12, 13)


def agrees(config, inputs, simulator="pysim"):
    comparison = compare(hdl.OperandStream(config), inputs, golden.OperandStream(config), simulator)
    assert comparison, comparison.report()


@st.composite
def configurations(draw):
    banks = draw(st.sampled_from(BANKS))
    return golden.OperandStreamConfig(
        banks=banks,
        lanes=draw(st.integers(1, banks)),
        address_bits=draw(st.integers(1, 19)),
        width=draw(st.integers(1, 62)),
        stores=draw(st.integers(1, 5)),
    )


@settings(max_examples=8, deadline=None)
@given(configurations(), SEEDS)
def test_hardware_and_twin_agree(config, seed):
    twin = golden.OperandStream(config)
    agrees(config, twin.legal(np.random.default_rng(seed), 400))


@pytest.mark.long
@pytest.mark.parametrize(("banks", "lanes"), [(12, 12), (16, 8), (13, 5)])
def test_the_compiled_simulator_agrees(banks, lanes):
    config = golden.OperandStreamConfig(banks=banks, lanes=lanes)
    given = golden.OperandStream(config).legal(np.random.default_rng(3), 50_000)
    agrees(config, given, "cxxrtl")


# What the twin says, beside plain arrays.


def begun(config, loops, clocks):
    """Inputs that take loops at the first clock at which they are complete."""
    inputs = completed(inputs_of(config.ports), {}, clocks)
    inputs["loops_count"][:] = [count - 1 for count, _ in loops]
    inputs["loops_high"][:] = [stride // config.banks for _, stride in loops]
    inputs["start"][0] = 1
    inputs["takes"][config.table_latency - 1] = 1
    inputs["there"][:] = 255
    return inputs


def read(config, inputs, stores):
    """The inputs with the words of `stores`, (stores, words), where the twin reads them."""
    twin = golden.OperandStream(config)
    banks = config.banks
    addresses = twin.run(inputs)["address"]
    for store, words in enumerate(stores):
        found = words[addresses * banks + np.arange(banks)]
        inputs["data"][2:, store * banks : (store + 1) * banks] = found[:-2]
    return twin.run(inputs)


def pitch(least, banks):
    """The least distance of rows, of so many words or more, that is 1 modulo the banks."""
    return least + (1 - least) % banks


@pytest.mark.parametrize("banks", [5, 8, 12, 13])
@pytest.mark.parametrize("kind", ["a run", "a column", "taps"])
def test_words_are_those_of_a_matrix(kind, banks):
    lanes = min(banks, 9)
    config = golden.OperandStreamConfig(
        banks=banks, lanes=lanes, address_bits=9, width=20, stores=2
    )
    row, plane = pitch(20, banks), pitch(20, banks) * 20
    run = (lanes, 1)
    if kind == "taps":
        # 3 x 3 taps of a plane: its rows are as many words apart as there are taps in one, modulo
        # the banks.
        row = 30 + (3 - 30) % banks
        run = (3, 1)
    loops = {
        "a run": [(1, 0), (1, 0), run],
        "a column": [(1, 0), (1, 0), (lanes, row)],
        "taps": [(1, 0), (3, row), run],
    }[kind]
    clocks, first = 120, config.table_latency
    inputs = begun(config, loops, clocks)
    rng = np.random.default_rng(banks)
    base = rng.integers(0, plane, clocks)
    inputs["high"], inputs["low"] = base // banks, base % banks
    inputs["source"] = rng.integers(0, 2, clocks)
    stores = rng.integers(0, 1 << 20, (2, banks << 9))
    words = read(config, inputs, stores)["words"]
    step = [j // 3 * row + j % 3 if kind == "taps" else j * loops[2][1] for j in range(lanes)]
    for clock in range(first, clocks - 7):
        expected = stores[inputs["source"][clock], base[clock] + np.array(step)]
        assert words[clock + 7].tolist() == expected.tolist()
    agrees(config, inputs)


def test_lanes_that_are_not_there_are_0():
    config = golden.OperandStreamConfig(banks=5, lanes=4, stores=1)
    inputs = begun(config, [(1, 0), (1, 0), (4, 1)], 60)
    inputs["data"][:] = 1 + np.arange(5)
    inputs["there"][20:] = np.arange(40) % 6
    inputs["gap"][40:] = np.arange(20) % 2
    words = golden.OperandStream(config).run(inputs)["words"]
    for clock in range(20, 53):
        there = 0 if inputs["gap"][clock] else min(inputs["there"][clock] + 1, 4)
        assert words[clock + 7].tolist() == [1, 2, 3, 4][:there] + [0] * (4 - there)
    agrees(config, inputs)


def test_addresses_behind_the_last_one_are_the_first_ones():
    config = golden.OperandStreamConfig(banks=5, lanes=3, address_bits=4)
    inputs = begun(config, [(1, 0), (1, 0), (3, 1)], 40)
    inputs["high"][20], inputs["low"][20] = 15, 4
    addresses = golden.OperandStream(config).run(inputs)["address"]
    assert addresses[23].tolist() == [0, 0, 0, 0, 15]


# What happens at a clock


@pytest.mark.parametrize("late", range(-4, 3))
def test_offsets_are_complete_when_all_lanes_are_found(late):
    config = golden.OperandStreamConfig(banks=8, lanes=8, stores=1)
    inputs = begun(config, [(1, 0), (1, 0), (8, 8 + 1)], 60)
    inputs["takes"][:] = 0
    inputs["takes"][config.table_latency - 1 + late] = 1
    at = config.table_latency + late
    addresses = golden.OperandStream(config).run(inputs)["address"]
    assert not addresses[at + 2].any()
    found = 8 + min(late, 0)
    assert addresses[at + 3].tolist() == [*range(found), *[0] * (8 - found)]
    agrees(config, inputs)


def test_another_start_begins_again():
    config = golden.OperandStreamConfig(banks=8, lanes=8, stores=1)
    inputs = begun(config, [(1, 0), (1, 0), (8, 16 + 1)], 60)
    inputs["start"][5] = 1
    inputs["loops_high"][5:, 2] = 3
    inputs["takes"][[9, 5 + 9]] = 1
    addresses = golden.OperandStream(config).run(inputs)["address"]
    # Four lanes of the first loops, of which the second ones have replaced three.
    assert addresses[13].tolist() == [0, 3, 6, 6, 0, 0, 0, 0]
    assert addresses[5 + 9 + 4].tolist() == [0, 3, 6, 9, 12, 15, 18, 21]
    agrees(config, inputs)


def test_lanes_behind_the_loops_follow_as_a_run():
    config = golden.OperandStreamConfig(banks=8, lanes=8)
    assert offsets([(1, 0), (2, 1), (3, 2)], config).tolist() == [0, 17, 34, 11, 28, 45, 46, 47]
    assert offsets([(1, 0), (1, 0), (1, 0)], config).tolist() == list(range(8))


def test_a_reset_changes_nothing():
    config = golden.OperandStreamConfig(banks=5, lanes=5, stores=2)
    twin = golden.OperandStream(config)
    inputs = twin.legal(np.random.default_rng(4), 300)
    inputs["rst"][:] = 0
    without = twin.run(inputs)
    inputs["rst"][::7] = 1
    again = twin.run(inputs)
    assert all(np.array_equal(without[name], again[name]) for name in without)
    agrees(config, inputs)


# The stimulus


@pytest.mark.parametrize("banks", [5, 8, 13])
def test_the_stimulus_reaches_the_borders(banks):
    config = golden.OperandStreamConfig(banks=banks, lanes=5, address_bits=6)
    twin = golden.OperandStream(config)
    given = twin.legal(np.random.default_rng(0), 3000)
    outputs = twin.run(given)
    high, low, there = given["high"], given["low"], given["there"]
    assert ((high == 63) & (low == banks - 1) & (there >= 4) & (given["gap"] == 0)).any()
    assert (low < banks).all() and set(low) == set(range(banks))
    assert {0, 1, 3, 4, 255} <= set(there.tolist()) and there.max() < 1 << LANE_BITS
    # Every store, and none.
    assert set(given["source"]) == {0, 1, 2, 3}
    assert outputs["reads"].any(axis=0).all() and (outputs["reads"].sum(axis=1) == 0).any()
    # Starts that are cut, offsets that are taken before all are found, and at the first clock.
    starts, takes = np.flatnonzero(given["start"]), np.flatnonzero(given["takes"])
    assert (np.diff(starts) < 6).any()
    since = takes - starts[np.searchsorted(starts, takes, side="left") - 1]
    assert {2, 3, 6, 7} <= set(since.tolist())
    # Loops stay as long as they are looked at.
    for start in starts[starts + 5 <= 3000]:
        again = starts[starts > start]
        stop = min([start + 5, *again[:1]])
        for name in ("loops_count", "loops_high"):
            assert (given[name][start:stop] == given[name][start]).all()


# The core


def test_offsets_of_compiled_products_are_their_lanes_modulo_the_banks():
    """The hardware takes it for granted."""
    found = 0
    for rows, columns in ((3, 4), (5, 2), (4, 4)):
        recipe = small(network="9FC-5FC", batch=7, rows=rows, columns=columns)
        core = compiled(recipe, (2, 3, 1), 5)
        banks = core.config.banks
        for program in (core.train, core.infer):
            for task in program.tasks[Engine.ARRAY]:
                lanes, inside = task.instruction.a_lanes, 1
                for loop in reversed(lanes):
                    if loop.count > 1:
                        assert loop.stride.low == inside % banks
                        found += 1
                    inside *= loop.count
                if task.instruction.columns.lanes > 1:
                    assert task.instruction.b_stride.low == 1
                    found += 1
    assert found > 20


def test_the_cores_operands_have_the_widest_words():
    config = CoreConfig(rows=5, columns=12, x_words=100, e_words=3000, w_words=7)
    for operand, lanes in ((config.operand_a, 5), (config.operand_b, 12)):
        assert (operand.banks, operand.lanes, operand.stores) == (12, lanes, 3)
        assert (operand.address_bits, operand.width) == (12, 8)
    assert config.read_latency == 8
