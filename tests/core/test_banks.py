"""Memories of the core, clock for clock, and words that are kept."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import SEEDS

import golden
import hdl
from gradloom.comparison.compare import compare


def agrees(component, twin, clocks, seed, simulator="pysim"):
    inputs = twin.legal(np.random.default_rng(seed), clocks)
    comparison = compare(component, inputs, twin, simulator)
    assert comparison, comparison.report()


@settings(max_examples=6, deadline=None)
@given(st.integers(1, 5), st.integers(2, 40), st.integers(1, 62), SEEDS)
def test_banks_agree(banks, words, width, seed):
    config = golden.BanksConfig(banks=banks, words=words, width=width)
    agrees(hdl.Banks(config), golden.Banks(config), 300, seed)


@settings(max_examples=6, deadline=None)
@given(st.integers(2, 40), st.integers(1, 5), st.integers(1, 62), SEEDS)
def test_rows_agree(rows, lanes, width, seed):
    config = golden.RowStoreConfig(rows=rows, lanes=lanes, width=width)
    agrees(hdl.RowStore(config), golden.RowStore(config), 300, seed)


@pytest.mark.long
def test_the_compiled_simulator_agrees():
    config = golden.BanksConfig(banks=12, words=1000, width=8)
    agrees(hdl.Banks(config), golden.Banks(config), 100_000, 1, "cxxrtl")
    rows = golden.RowStoreConfig(rows=1000, lanes=8, width=21)
    agrees(hdl.RowStore(rows), golden.RowStore(rows), 100_000, 2, "cxxrtl")


# What the twins say, beside a plain array that takes one access after the other.


def test_banks_are_arrays():
    config = golden.BanksConfig(banks=3, words=7, width=6)
    twin, rng = golden.Banks(config), np.random.default_rng(5)
    given = twin.legal(rng, 500)
    memory, expected = np.zeros((3, 7), int), {"a_data": [], "b_data": []}
    for clock in range(500):
        for name in expected:
            addresses = given[f"{name[0]}_address"][clock]
            expected[name].append(memory[np.arange(3), addresses])
        for bank in np.flatnonzero(given["b_write"][clock]):
            memory[bank, given["b_address"][clock, bank]] = given["b_value"][clock, bank]
    found = twin.run(given)
    for name, values in expected.items():
        assert np.array_equal(found[name][2:], np.array(values)[:-2])
        assert not found[name][:2].any()


def test_a_row_is_kept_until_it_is_written_again():
    config = golden.RowStoreConfig(rows=9, lanes=2, width=4)
    twin = golden.RowStore(config)
    write = np.zeros(1000, int)
    write[[3, 900]] = 1
    value = np.zeros((1000, 2), int)
    value[3], value[900] = (5, 6), (7, 8)
    rst = np.zeros(1000, int)
    rst[50] = 1  # changes nothing
    eight = np.full(1000, 8)
    shown = twin.run({"rst": rst, "write": write, "to": eight, "value": value, "row": eight})
    assert not shown["data"][:6].any()
    assert (shown["data"][6:903] == (5, 6)).all() and (shown["data"][903:] == (7, 8)).all()


def test_addresses_that_are_not_there_hold_nothing():
    twin = golden.RowStore(golden.RowStoreConfig(rows=5, lanes=1, width=4))
    at, ones = np.full(9, 6), np.ones(9, int)
    given = {"write": ones, "to": at, "value": 3 * ones[:, None], "row": at}
    assert not twin.run(given)["data"].any()


def test_what_is_read_where_it_is_written_is_left_out():
    """On a device it is not defined."""
    config = golden.BanksConfig(banks=2, words=4, width=4)
    given = golden.Banks(config).legal(np.random.default_rng(1), 2000)
    clash = (given["a_address"] == given["b_address"]) & (given["b_write"] != 0)
    assert not clash.any() and given["b_write"].mean() > 0.3
