"""Comparison of units made of a device's own cells: on the command line and from Python."""

import json

import pytest
from amaranth.hdl import Instance, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from command import call
from mutated import mutated
from primitives import needs_yosys

import golden
import hdl
from golden.fixed import Conversion, Fixed
from gradloom import compare, prepare, random_inputs
from gradloom.sim.device_cells import models
from hdl.cells import CELLS

NODE = golden.MaccConfig(a=Fixed(1, 4), b=Fixed(1, 3), depth=5, segments=1)
ROUNDER = golden.RounderConfig(width=20, conversions=(Conversion(fraction=12, target=Fixed(2, 6)),))
DEVICES = [name for name in CELLS if name != "generic"]


@needs_yosys
@pytest.mark.parametrize("cells", DEVICES)
def test_a_unit_of_a_devices_cells_is_compared(cells):
    node = hdl.Macc(NODE, cells=CELLS[cells])
    assert compare(node, random_inputs(NODE.ports, 500, seed=1), simulator="cxxrtl")


@needs_yosys
def test_a_rounder_of_a_devices_cells_is_compared():
    rounder = hdl.Rounder(ROUNDER, cells=CELLS["xc7"])
    assert compare(rounder, random_inputs(ROUNDER.ports, 500, seed=1), simulator="cxxrtl")


@needs_yosys
def test_a_wrong_cell_differs_and_has_a_waveform_of_its_ports(tmp_path):
    wrong = mutated(hdl.cells.gowin, ("LOAD_OR_ADD = 9", "LOAD_OR_ADD = 0"))
    node = hdl.Macc(NODE, cells=wrong.Gowin())
    inputs = random_inputs(NODE.ports, 500, seed=1)
    result = compare(node, inputs, simulator="cxxrtl", waves=tmp_path)
    assert not result
    assert [file.name for file in result.files] == ["macc.vcd", "macc.gtkw"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["macc.gtkw", "macc.vcd"]


@pytest.mark.parametrize("cells", DEVICES)
def test_amaranths_simulator_refuses_cells_that_it_would_take_for_zeros(cells):
    node = hdl.Macc(NODE, cells=CELLS[cells])
    with pytest.raises(ValueError, match=r"Macc has \w+, a cell of a device, .* cxxrtl"):
        compare(node, random_inputs(NODE.ports, 50, seed=1))


class Strange(wiring.Component):
    """A component with a cell that has no model here."""

    i: In(1)
    o: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.cell = Instance("LUT4", ("i", "A", self.i), ("o", "Z", self.o))
        return m


def test_a_cell_without_a_model_is_named():
    with pytest.raises(ValueError, match="LUT4: there is no model of this cell"):
        prepare(Strange(), "cxxrtl")


def test_models_of_several_families_stand_together():
    text = models(["ALU", "SB_MAC16"])
    assert "module ALU" in text and "module SB_MAC16" in text and "module DSP48E1" not in text


SMALL = ["--a", "1,4", "--b", "1,3", "--depth", "5", "--segments", "1"]


@needs_yosys
@pytest.mark.parametrize("unit", ["macc", "array"])
def test_the_command_compares_them(unit, monkeypatch, capsys):
    sizes = ["--rows", "1", "--columns", "2"] if unit == "array" else []
    arguments = [unit, *SMALL, *sizes, "--cells", "gowin", "--cycles", "400", "--json"]
    status, out, err = call(monkeypatch, capsys, "compare", *arguments)
    assert (status, err) == (0, "")
    report = json.loads(out)
    assert (report["cells"], report["simulator"], report["clocks"]) == ("gowin", "cxxrtl", 400)
    assert report["mismatches"] == 0 < report["values"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["macc", "--cells", "gowin", "--simulator", "pysim"], "cxxrtl has a model of it"),
        (["lfsr", "--cells", "gowin"], "--cells: lfsr has none of a device's own cells"),
        (["macc", "--cells", "gowin", "--waveform", "x.vcd"], "--cells: not with --waveform"),
        (["macc", "--cells", "vax"], "--cells"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(arguments, message, monkeypatch, capsys):
    status, out, err = call(monkeypatch, capsys, "compare", *arguments)
    assert (status, out, len(err.splitlines())) == (2, "", 1)
    assert message in err


def test_without_yosys_one_line_says_so(monkeypatch, capsys):
    monkeypatch.setenv("YOSYS", "/nowhere/yosys")
    arguments = ["macc", *SMALL, "--cells", "ecp5"]
    status, out, err = call(monkeypatch, capsys, "compare", *arguments)
    assert (status, out, len(err.splitlines())) == (2, "", 1)
    assert "YOSYS=/nowhere/yosys: there is no such program" in err
