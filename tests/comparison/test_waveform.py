# amaranth: UnusedElaboratable=no
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from amaranth.sim import Simulator
from click.testing import CliRunner
from toys import Difference, DifferenceTwin

import golden
import hdl
from golden.port import inputs_of, outputs_of
from gradloom.cli import cli
from gradloom.rtl.package import package
from gradloom.rtl.verilog import verilog
from gradloom.sim.pysim import Pysim
from gradloom.sim.stimulus import random_inputs
from gradloom.sim.toplevel import flatten
from gradloom.units import UNITS

pytest.importorskip("pywellen", reason="pywellen is not installed")
from dumps import (
    CLOCKS,
    RESETS,
    Dump,
    against_counter,
    against_difference,
    bits,
    counting,
    subtracting,
)

from gradloom.comparison import recording, waveform_file, waveform_reader
from gradloom.comparison.waveform_reader import compare_waveform


def needs(*programs):
    missing = [program for program in programs if not shutil.which(program)]
    return pytest.mark.skipif(bool(missing), reason=f"there is no {' '.join(missing)}")


@pytest.mark.parametrize("clock_first", [True, False])
@pytest.mark.parametrize("layout", ["vector", "lanes", "bits"])
def test_vectors_lanes_and_single_bits(layout, clock_first, tmp_path):
    path = subtracting().write(tmp_path / "d.vcd", layout=layout, clock_first=clock_first)
    result = against_difference(path)
    assert result, result
    # The edges in reset are not compared, nor those before.
    assert (result.clocks, result.values) == (CLOCKS - RESETS, 3 * (CLOCKS - RESETS))
    assert (result.unit, result.simulator) == ("Difference", "d.vcd")
    assert vars(result.recorded) == {
        "scope": "tb.dut",
        "first": RESETS,
        "time": "40 ns",
        "reset": True,
        "unknown": 0,
        "undefined": 0,
    }
    assert result.report().splitlines() == [
        "Difference: 171 values in 57 clocks of d.vcd agree with the twin",
        "tb.dut: compared from cycle 3 (40 ns) on, the first after a reset",
    ]


@pytest.mark.parametrize("layout", ["vector", "lanes", "bits"])
def test_a_planted_fault_is_found_where_it_is(layout, tmp_path):
    dump = subtracting()
    right = dump.rows["o"][20][1]
    wrong = dump.rows["o"][20][1] = right[:-1] + str(1 - int(right[-1]))
    dump.rows["o"][2][0] = "111111"  # in reset: not compared
    result = against_difference(dump.write(tmp_path / "d.vcd", layout=layout))
    found = result.difference
    assert (found.cycle, found.time, found.port, found.lane) == (20, "210 ns", "o", 1)
    signed = [int(text, 2) - 64 * int(text[0]) for text in (right, wrong)]
    assert [found.expected, found.got] == signed
    assert result.mismatches == 1
    lines = result.report().splitlines()
    assert lines[0] == (
        f"Difference: cycle 20 (210 ns), port o, lane 1: expected {signed[0]}, got {signed[1]}"
    )
    (marked,) = [line for line in lines if line.startswith(">")]
    assert marked.split()[1] == "20"
    assert len(lines) == 3 + 1 + 5 + 1 + 2


def test_unknown_outputs_differ(tmp_path):
    for text, got in [("xxxxxxxx", "x"), ("zzzzzzzz", "x"), (None, "1x")]:
        dump = counting()
        value = dump.rows["count"][9][0]
        dump.rows["count"][9] = [text or value[:-1] + "x"]
        result = against_counter(dump.write(tmp_path / "d.vcd"))
        found = result.difference
        assert (found.cycle, found.port, found.expected) == (9, "count", int(value, 2))
        assert found.got == (got if text else value[:-1] + "x")
        assert result.mismatches == 1
        assert any(line.endswith(f" {found.got}") for line in result.table.splitlines())


def test_registers_are_unknown_before_the_first_reset(tmp_path):
    dump = counting(more_resets=[30])
    for name in "count", "half", "enable":
        dump.rows[name][:RESETS] = [["x" * len(dump.rows[name][0][0])]] * RESETS
    dump.rows["rst"][0] = ["x"]
    result = against_counter(dump.write(tmp_path / "d.vcd"))
    assert result, result
    assert result.recorded.first == RESETS
    with pytest.raises(ValueError, match=r"rst is unknown \(x or z\) at cycle 0 \(10 ns\)"):
        against_counter(tmp_path / "d.vcd", from_start=True)


def test_without_a_reset_the_first_clock_is_taken_for_the_reset_state(tmp_path):
    dump = counting()
    for name, rows in dump.rows.items():
        dump.rows[name] = rows[RESETS:]
    result = against_counter(dump.write(tmp_path / "d.vcd"))
    assert result, result
    assert (result.clocks, result.recorded.first) == (CLOCKS - RESETS, 0)
    assert "from cycle 0 (10 ns) on, taken for the reset state" in result.report()
    dump.rows["count"][0] = ["xxxxxxxx"]
    result = against_counter(dump.write(tmp_path / "d.vcd"))
    assert str(result.difference) == "cycle 0 (10 ns), port count: expected 3, got x"


def test_from_start_compares_what_comes_before_a_late_reset(tmp_path):
    dump = counting(more_resets=[40])
    for name, rows in dump.rows.items():
        dump.rows[name] = rows[RESETS:]
    path = dump.write(tmp_path / "d.vcd")
    assert against_counter(path).clocks == CLOCKS - 41
    result = against_counter(path, from_start=True)
    assert result
    assert result.clocks == CLOCKS - RESETS


def test_an_unknown_input_that_matters_is_an_error(tmp_path):
    dump = counting()
    dump.rows["enable"][25] = ["x"]
    with pytest.raises(ValueError, match=r"input enable has unknown bits .* cycle 25 .260 ns"):
        against_counter(dump.write(tmp_path / "d.vcd"))
    dump = subtracting()
    dump.rows["a"][11][2] = dump.rows["a"][11][2][:-2] + "z1"
    with pytest.raises(ValueError, match=r"input a has unknown bits .* cycle 11 .120 ns"):
        against_difference(dump.write(tmp_path / "d.vcd"))
    dump = counting()
    dump.rows["rst"][25] = ["z"]
    with pytest.raises(ValueError, match=r"rst is unknown .* cycle 25 .260 ns"):
        against_counter(dump.write(tmp_path / "d.vcd"))


@pytest.mark.parametrize("batch", [1, 2, 7, 22, 23, 24])
def test_unknown_inputs_of_one_batch_may_matter_in_another(tmp_path, monkeypatch, batch):
    monkeypatch.setattr(recording, "BATCH", batch)
    dump = counting(more_resets=[40])
    dump.rows["enable"][25] = ["x"]
    where = "at" if batch in (2, 7, 22, 24) else "until"
    pattern = rf"input enable has unknown bits .* {where} cycle 25 .260 ns., and later outputs"
    with pytest.raises(ValueError, match=pattern):
        against_counter(dump.write(tmp_path / "d.vcd"))
    # A reset ends what an unknown bit may have done.
    dump = counting(more_resets=[40])
    dump.rows["enable"][40] = ["x"]
    result = against_counter(dump.write(tmp_path / "d.vcd"))
    assert result, result
    assert (result.clocks, result.recorded.unknown) == (CLOCKS - RESETS, 1)


def test_a_state_that_unknown_bits_leave_alone_is_doubted_no_longer(tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "BATCH", 10)
    dump = subtracting()
    dump.rows["a"][12][1] = "xxxxx"
    dump.rows["b"][12][1] = "00000"
    with pytest.raises(ValueError, match="input a has unknown bits"):
        against_difference(dump.write(tmp_path / "d.vcd"))
    runs = []

    class Late(DifferenceTwin):
        """The same whatever is in lane 1."""

        def advance(self, state, inputs):
            runs.append(len(inputs["a"]))
            inputs = {**inputs, "a": inputs["a"] * [1, 0, 1], "b": inputs["b"] * [1, 0, 1]}
            return super().advance(state, inputs)

    rng = np.random.default_rng(4)
    inputs = {name: rng.integers(-16, 16, (CLOCKS, 3)) for name in "ab"}
    dump = Dump(Difference(), Late(), {"rst": np.arange(CLOCKS) < RESETS, **inputs})
    runs.clear()
    dump.rows["a"][12][1] = "xxxxx"
    result = compare_waveform(Difference(), Late(), dump.write(tmp_path / "d.vcd"))
    assert result, result
    assert len(runs) == -(-(CLOCKS - RESETS) // 10) + 1


def test_unknown_inputs_that_do_not_matter_are_counted(tmp_path):
    dump = subtracting()
    dump.rows["a"][-1] = ["xxxxx"] * 3  # would show at the next clock
    result = against_difference(dump.write(tmp_path / "d.vcd"))
    assert result
    assert result.recorded.unknown == 3
    assert "; unknown input values: 3" in result.report()


def test_pieces_make_no_difference(tmp_path, monkeypatch):
    dump = counting(500, more_resets=[*range(60, 500, 37)])
    dump.rows["half"][411] = ["0000000"]
    path = dump.write(tmp_path / "d.vcd")
    whole = against_counter(path)
    assert whole.difference.cycle == 411
    for batch, changes in [(16, 7), (64, 50), (1, 2)]:
        monkeypatch.setattr(recording, "BATCH", batch)
        monkeypatch.setattr(waveform_reader, "_CHANGES", changes)
        pieces = against_counter(path)
        assert (pieces.clocks, pieces.values, pieces.mismatches) == (
            whole.clocks,
            whole.values,
            whole.mismatches,
        )
        assert pieces.difference == whole.difference


def test_changes_of_one_time_are_one_change(tmp_path):
    path = counting().write(tmp_path / "d.vcd")
    # A clock that falls and rises again at the time of an edge, and one that rises for no time.
    text = path.read_text().replace("#200\n1!", "#200\n1!\n0!\n1!")
    path.write_text(text.replace("#205\n0!", "#205\n0!\n1!\n0!"))
    result = against_counter(path)
    assert result
    assert result.clocks == CLOCKS - RESETS


def test_times_are_in_units_that_people_read(tmp_path):
    path = counting().write(tmp_path / "d.vcd")
    for scale, time in [("10ps", "400 ps"), ("100ns", "4 us"), ("1s", "40 s")]:
        path.write_text(path.read_text().replace("1ns", scale))
        assert against_counter(path).recorded.time == time
        path.write_text(path.read_text().replace(scale, "1ns"))


def test_the_unit_is_found_in_the_innermost_of_nested_scopes(tmp_path):
    dump = counting()
    result = against_counter(dump.write(tmp_path / "d.vcd", scopes=("tb", "tb.wrap", "tb.wrap.u")))
    assert result.recorded.scope == "tb.wrap.u"
    path = dump.write(tmp_path / "d.vcd", scopes=("tb.u0", "tb.u1"))
    with pytest.raises(ValueError, match=r"2 scopes with all ports of Counter, .*: tb.u0, tb.u1$"):
        against_counter(path)
    assert against_counter(path, scope="tb.u1").recorded.scope == "tb.u1"


def test_what_is_missing_is_named(tmp_path):
    dump = counting()
    path = dump.write(tmp_path / "d.vcd", clock="ck")
    with pytest.raises(ValueError, match=r"no clock clk in scope tb.dut, .* ck, rst, enable$"):
        against_counter(path)
    assert against_counter(path, clock="ck")
    assert against_counter(path, clock="tb.dut.ck")
    with pytest.raises(ValueError, match="the clock count has 8 bits, not 1"):
        against_counter(path, clock="count")
    with pytest.raises(ValueError, match=r"has no scope tb.u; it has tb, tb.dut$"):
        against_counter(path, scope="tb.u")
    with pytest.raises(ValueError, match="in scope tb, rst is missing, enable is missing, count"):
        against_counter(path, scope="tb")
    path.write_text(
        path.read_text().replace("enable", "enabled").replace("8 <2> count [7", "9 <2> count [8")
    )
    with pytest.raises(
        ValueError, match=r"in scope tb.dut, enable is missing, count has 9 bits, not 8$"
    ):
        against_counter(path)
    path.write_text(path.read_text().replace("rst", "reset"))
    with pytest.raises(ValueError, match=r"no port of Difference in any scope: .* tb, tb.dut$"):
        against_difference(path)


def test_a_clock_that_never_rises_and_a_reset_that_never_ends(tmp_path):
    path = counting().write(tmp_path / "d.vcd")
    text = path.read_text()
    path.write_text(text.replace("\n1!", "\n0!"))
    with pytest.raises(ValueError, match="the clock clk never rises"):
        against_counter(path)
    dump = counting(more_resets=range(CLOCKS))
    with pytest.raises(ValueError, match="rst stays 1 until the last of 60 clocks"):
        against_counter(dump.write(path))


def test_files_that_are_broken_off(tmp_path):
    path = counting().write(tmp_path / "d.vcd")
    text = path.read_bytes()
    # A simulation that was killed: what is there is compared.
    path.write_bytes(text[: len(text) * 3 // 4])
    assert 20 < against_counter(path).clocks < CLOCKS - RESETS
    for name, content in [
        ("header.vcd", text[:150]),
        ("empty.vcd", b""),
        ("text.vcd", b"this is no dump\n"),
        ("noise.fst", np.random.default_rng(0).bytes(5000)),
    ]:
        broken = tmp_path / name
        broken.write_bytes(content)
        with pytest.raises(ValueError, match=f"{name} is not a whole VCD, FST or GHW file"):
            against_counter(broken)
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        against_counter(tmp_path / "nothing.vcd")


def test_without_pywellen_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pywellen", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'gradloom\[waveform\]'"):
        against_counter(tmp_path / "d.vcd")


def test_versions_of_pywellen_that_lose_changes_are_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(waveform_file, "version", lambda name: "0.25.5")
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'pywellen>=0.25.6'"):
        against_counter(counting().write(tmp_path / "d.vcd"))


# The command line, on a unit that it knows.

WEIGHT = golden.WeightQuantizerConfig(lanes=2)


def weights(clocks=200):
    component, twin = hdl.WeightQuantizer(WEIGHT), golden.WeightQuantizer(WEIGHT)
    inputs = random_inputs(flatten(component), clocks, seed=1)
    inputs["rst"][:RESETS] = 1
    return Dump(component, twin, inputs)


def run(*arguments):
    """The command in a process of its own: exit status, lines of output and of errors."""
    process = subprocess.run(
        [sys.executable, "-m", "gradloom", "compare", *map(str, arguments)],
        capture_output=True,
        text=True,
    )
    return process.returncode, process.stdout.splitlines(), process.stderr.splitlines()


def test_the_command_reports_and_exits_with_0_or_1(tmp_path):
    dump = weights()
    command = ["compare", "wage-weight", "--lanes", "2", "--waveform", str(tmp_path / "d.vcd")]
    dump.write(tmp_path / "d.vcd")
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 0, result.output
    assert "clocks of d.vcd agree with the twin" in result.output
    clock = max(t for t in range(200) if dump.rows["o_valid"][t] == ["1"])
    dump.rows["o_data"][clock][1] = "x1"
    dump.write(tmp_path / "d.vcd")
    result = CliRunner().invoke(cli, [*command, "--json"])
    assert result.exit_code == 1, result.output
    report = json.loads(result.output)
    assert report["mismatches"] == 1
    assert report["scope"] == "tb.dut"
    assert report["first"] == RESETS
    found = report["difference"]
    assert (found["cycle"], found["port"], found["lane"]) == (clock, "o_data", 1)
    time = (clock + 1) * 10
    assert found["time"] == (f"{time:,} ns" if time % 1000 else f"{time // 1000:,} us")
    assert found["got"] == "x1"


def test_wrong_arguments_are_one_line_and_status_2(tmp_path):
    path = weights().write(tmp_path / "d.vcd")
    given = ["wage-weight", "--lanes", 2, "--waveform", path]
    for more, text in [
        (["--cycles", 5, "--seed", 1], "--cycles, --seed: not with --waveform"),
        (["--simulator", "pysim"], "--simulator: not with --waveform"),
        (["--clock", "ck"], "has no clock ck"),
        (["--scope", "u"], "has no scope u"),
        (["--lanes", 3], "i_data has 16 bits, not 24"),
    ]:
        status, output, errors = run(*given, *more)
        assert (status, output, len(errors)) == (2, [], 1), errors
        assert text in errors[0]
    status, _, errors = run("wage-weight", "--scope", "tb.dut")
    assert (status, len(errors)) == (2, 1)
    assert "--scope: only with --waveform FILE" in errors[0]
    status, _, errors = run("wage-weight", "--waveform", tmp_path / "none.vcd")
    assert (status, len(errors)) == (2, 1)
    # The reader panics, in many lines.
    text = path.read_bytes()
    path.write_bytes(text[: text.index(b"b", 1500)] + b"b0102013 <4>\n")
    status, output, errors = run(*given)
    assert (status, output, len(errors)) == (2, [], 1), errors
    assert "d.vcd is not a whole VCD, FST or GHW file" in errors[0]


# Dumps of simulators.

ARRAY = golden.ArrayConfig(rows=2, columns=2)


def bench(unit, config, clocks, folder, payload=()):
    """Verilog of a unit and of a testbench with random stimulus; returns the files.

    Inputs in `payload` are x while `i_valid` is 0.
    """
    ports = flatten(unit.component(config))
    inputs = random_inputs(ports, clocks, seed=2)
    inputs["rst"][:] = np.random.default_rng(0).random(clocks) < 0.02
    inputs["rst"][:4] = [0, 1, 1, 0]
    driven = inputs_of(ports)
    words = []
    for clock in range(clocks):
        text = ""
        for port in driven:
            lanes = inputs[port.name][clock].reshape(-1).tolist()
            text += "".join(bits(code, port.width) for code in reversed(lanes))
        words.append(text)
    (folder / "stimulus").write_text("\n".join(words))
    (folder / "unit.v").write_text(verilog(unit.component(config)))
    every = [*driven, *outputs_of(ports)]
    names = ", ".join(port.name for port in driven)
    hidden = "".join(
        f"      if (!stimulus[n][{len(words[0]) - 2}]) {name} <= {{128{{1'bx}}}};\n"
        for name in payload
    )
    assert [port.name for port in driven[:2]] == ["rst", "i_valid"]
    (folder / "tb.v").write_text(
        "`timescale 1ns/1ps\n"
        "module tb;\n"
        "  reg clk = 0;\n"
        + "".join(f"  reg [{port.bits - 1}:0] {port.name};\n" for port in driven)
        + "".join(f"  wire [{port.bits - 1}:0] {port.name};\n" for port in outputs_of(ports))
        + f"  reg [{len(words[0]) - 1}:0] stimulus [0:{clocks - 1}];\n"
        "  integer n;\n"
        f"  {unit.module} dut(.clk(clk), {', '.join(f'.{p.name}({p.name})' for p in every)});\n"
        "  always #5 clk = !clk;\n"
        "  initial begin\n"
        '    $readmemb("stimulus", stimulus);\n'
        '    $dumpfile("dump.vcd"); $dumpvars(0, tb);\n'
        f"    for (n = 0; n < {clocks}; n = n + 1) begin\n"
        "      @(posedge clk);\n"
        f"      {{{names}}} <= stimulus[n];\n{hidden}"
        "    end\n"
        "    @(posedge clk); $finish;\n"
        "  end\n"
        "endmodule\n"
    )
    return [str(folder / "unit.v"), str(folder / "tb.v")]


def done(*command, cwd):
    process = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.returncode == 0, process.stdout


def against_array(path, **settings):
    return compare_waveform(hdl.Array(ARRAY), golden.Array(ARRAY), path, **settings)


@needs("iverilog")
def test_icarus(tmp_path):
    # All of the payload is x in a gap: none of it may reach the sums, not even times 0.
    files = bench(UNITS["array"], ARRAY, 400, tmp_path, payload=["i_a", "i_b", "i_last"])
    done("iverilog", "-g2012", "-o", "tb.vvp", *files, cwd=tmp_path)
    for kind in "vcd", "fst":
        done("vvp", "tb.vvp", *(["-fst"] if kind == "fst" else []), cwd=tmp_path)
        result = against_array(tmp_path / "dump.vcd")
        assert result, result
        assert result.recorded.scope == "tb.dut"
        # The inputs are x until the first edge: then 0, 1, 1 on rst.
        assert result.recorded.first == 4
        assert result.clocks > 390
        assert result.recorded.unknown > 100
        # i_ready looks at i_last without a register.
        assert 0 < result.recorded.undefined < 60
        other = golden.ArrayConfig(rows=2, columns=2, generator=golden.Generator(seed=2))
        wrong = compare_waveform(hdl.Array(ARRAY), golden.Array(other), tmp_path / "dump.vcd")
        assert wrong.difference.port == "o_data"


def test_amaranth_by_the_components_own_signals(tmp_path):
    inputs = random_inputs(flatten(hdl.Array(ARRAY)), 200, seed=3)
    component = hdl.Array(ARRAY)

    async def drive(ctx):
        for clock in range(200):
            await ctx.tick()
            ctx.set(component.i.valid, int(inputs["i_valid"][clock]))
            ctx.set(component.o.ready, int(inputs["o_ready"][clock]))
            ctx.set(
                component.i.payload,
                {
                    "a": inputs["i_a"][clock].tolist(),
                    "b": inputs["i_b"][clock].tolist(),
                    "last": int(inputs["i_last"][clock]),
                },
            )

    simulator = Simulator(component)
    simulator.add_clock(1e-8)
    simulator.add_testbench(drive)
    with simulator.write_vcd(str(tmp_path / "d.vcd")):
        simulator.run()
    result = against_array(tmp_path / "d.vcd")
    assert result, result
    assert result.recorded.scope == "bench.top"
    assert not result.recorded.reset
    assert result.clocks in (199, 200)


def test_gradlooms_own_waveforms(tmp_path):
    component = hdl.Array(ARRAY)
    inputs = random_inputs(flatten(component), 200, seed=3)
    inputs["rst"][:] = 0
    inputs["rst"][20] = 1
    Pysim(component, tmp_path / "d.vcd").run(inputs)
    result = against_array(tmp_path / "d.vcd")
    assert result, result
    assert result.recorded.first == 21
    # The first of its edges is after its first half period.
    assert against_array(tmp_path / "d.vcd", from_start=True).clocks in (199, 200)


VERILATED = """
#include "Vwage_weight.h"
#include "verilated_{kind}_c.h"
#include <cstdlib>
int main() {{
  Verilated::traceEverOn(true);
  Vwage_weight dut;
  Verilated{Kind}C dump;
  dut.trace(&dump, 99);
  dump.open("dump.{kind}");
  for (unsigned t = 0; t < 600; ++t) {{
    dut.clk = 0;
    dut.rst = t < 3 || t == 300;
    dut.i_valid = rand() % 4 != 0;
    dut.i_data = rand();
    dut.o_ready = rand() % 4 != 0;
    dut.eval();
    dump.dump(10 * t);
    dut.clk = 1;
    dut.eval();
    dump.dump(10 * t + 5);
  }}
  dump.close();
}}
"""


@pytest.mark.long
@needs("verilator", "c++")
@pytest.mark.parametrize("kind", ["vcd", "fst"])
def test_verilator(kind, tmp_path):
    (tmp_path / "wage_weight.v").write_text(verilog(UNITS["wage-weight"].component(WEIGHT)))
    (tmp_path / "main.cpp").write_text(VERILATED.format(kind=kind, Kind=kind.capitalize()))
    trace = "--trace-fst" if kind == "fst" else "--trace"
    files = ["wage_weight.v", "main.cpp"]
    done("verilator", "--cc", "--exe", "--build", trace, "-Wno-fatal", *files, cwd=tmp_path)
    done("obj_dir/Vwage_weight", cwd=tmp_path)
    result = compare_waveform(
        hdl.WeightQuantizer(WEIGHT), golden.WeightQuantizer(WEIGHT), tmp_path / f"dump.{kind}"
    )
    assert result, result
    assert (result.clocks, result.recorded.first) == (597, 3)


@pytest.mark.long
@needs("verilator", "c++")
def test_verilators_own_dump_of_the_shipped_testbench(tmp_path):
    # Verilator before 5.010 leaves out what a process does after a delay that ends a block.
    for name, text in package(UNITS["array"], ARRAY).items():
        (tmp_path / name).write_text(text)
    trace = ["--binary", "--trace", "--top-module", "gradloom_array_tb"]
    done("verilator", *trace, "gradloom_array.v", "gradloom_array_tb.v", cwd=tmp_path)
    done("obj_dir/Vgradloom_array_tb", "+waves", cwd=tmp_path)
    result = against_array(tmp_path / "gradloom_array_tb.vcd")
    assert result, result
    assert result.recorded.scope == "TOP.gradloom_array_tb.dut"
    assert result.clocks > 1000


LFSR = """
library ieee;
use ieee.std_logic_1164.all;
use ieee.numeric_std.all;

entity lfsr is
  port (clk, rst, o_ready : in std_logic; o_valid : out std_logic;
        o_data : out {vector}(15 downto 0));
end entity;

architecture written_by_hand of lfsr is
  signal state : unsigned(31 downto 0);
begin
  o_valid <= '1';
  o_data <= {vector}(state(15 downto 0));
  process (clk)
    variable s : unsigned(31 downto 0);
  begin
    if rising_edge(clk) then
      s := state;
      for step in 1 to 16 loop
        if s(0) = '1' then
          s := shift_right(s, 1) xor x"A3000000";
        else
          s := shift_right(s, 1);
        end if;
      end loop;
      if rst = '1' then
        state <= to_unsigned({seed}, 32);
      elsif o_ready = '1' then
        state <= s;
      end if;
    end if;
  end process;
end architecture;

library ieee;
use ieee.std_logic_1164.all;
use ieee.numeric_std.all;

entity tb is
end entity;

architecture bench of tb is
  signal clk : std_logic := '0';
  signal rst, o_ready, o_valid : std_logic;
  signal random : {vector}(15 downto 0);
begin
  dut : entity work.lfsr port map (clk, rst, o_ready, o_valid, random);
  clk <= not clk after 5 ns;
  rst <= '0', '1' after 17 ns, '0' after 31 ns, '1' after 1 us, '0' after 1010 ns;
  o_ready <= random(3) or not random(7) when rst = '0' else '0';
end architecture;
"""


@needs("ghdl")
@pytest.mark.parametrize("vector", ["std_logic_vector", "unsigned"])
@pytest.mark.parametrize("kind", ["wave", "vcd", "fst"])
def test_ghdl_on_vhdl_written_by_hand(kind, vector, tmp_path):
    config = golden.LfsrConfig()
    assert (config.generator.bits, config.generator.leap, config.generator.draw) == (32, 16, 16)
    component, twin = hdl.Lfsr(config), golden.Lfsr(config)
    for seed in config.generator.seed, config.generator.seed + 1:
        (tmp_path / "lfsr.vhd").write_text(LFSR.format(vector=vector, seed=seed))
        done("ghdl", "-a", "--std=08", "lfsr.vhd", cwd=tmp_path)
        done("ghdl", "-e", "--std=08", "tb", cwd=tmp_path)
        dump = tmp_path / f"dump.{kind}"
        done("ghdl", "-r", "--std=08", "tb", f"--{kind}={dump}", "--stop-time=3us", cwd=tmp_path)
        result = compare_waveform(component, twin, dump)
        # GHDL leaves the top level out of an FST file.
        scope = "dut" if kind == "fst" else "tb.dut"
        assert (result.recorded.scope, result.recorded.first) == (scope, 3)
        assert result.clocks > 290
        if seed == config.generator.seed:
            assert result, result
            assert result.recorded.time == "35 ns"
        else:
            assert str(result.difference).startswith("cycle 3 (35 ns), port o_data, lane 0: ")


@pytest.mark.long
def test_a_large_dump_takes_little_memory(tmp_path):
    script = Path(__file__).parents[2] / "bench" / "waveform.py"
    spec = importlib.util.spec_from_file_location("bench_waveform", script)
    large = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(large)
    for resets in True, False:
        large.write(tmp_path / "d.vcd", 100_000_000, resets, idle=False)
        seconds, megabytes = large.measure(tmp_path / "d.vcd")
        assert megabytes < 1000
        assert seconds < 120
