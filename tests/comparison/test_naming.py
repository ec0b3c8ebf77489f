# amaranth: UnusedElaboratable=no
"""Recordings that name things otherwise, or have no clock."""

import json
import random
import subprocess
import sys
from itertools import chain

import numpy as np
import pytest
from amaranth.hdl import ClockDomain, DomainRenamer, Module
from amaranth.sim import Simulator

import golden
import hdl
from gradloom.sim.stimulus import random_inputs
from gradloom.sim.toplevel import flatten

pytest.importorskip("pywellen", reason="pywellen is not installed")
from dumps import CLOCKS, RESETS, Dump, against_counter, against_difference, counting, subtracting

from gradloom.comparison.waveform_reader import compare_waveform

ARRAY = golden.ArrayConfig(rows=2, columns=2)
PATH = "top_i/array_0/inst/"


def against_array(path, **settings):
    return compare_waveform(hdl.Array(ARRAY), golden.Array(ARRAY), path, **settings)


def array(seed, clocks=300, resets=(0, 1)):
    """The bits of every port of an array at every clock, as text."""
    component, twin = hdl.Array(ARRAY), golden.Array(ARRAY)
    inputs = random_inputs(flatten(component), clocks, seed=seed)
    inputs["rst"][:] = np.isin(np.arange(clocks), resets)
    rows = Dump(component, twin, inputs).rows
    return {name: ["".join(reversed(row)) for row in values] for name, values in rows.items()}


def vivado(path, *windows, prefix=PATH, gap=(), bits="", left_out=()):
    """A VCD file as Vivado's logic analyser writes it: one sample per time unit, no clock."""
    rows = {
        name: list(chain.from_iterable(window[name] for window in windows))
        for name in windows[0]
        if name not in left_out
    }
    window = np.repeat(np.arange(len(windows)), [len(each["i_valid"]) for each in windows])
    columns, variables = [], []
    for name, texts in rows.items():
        width = len(texts[0])
        if bits and width > 1:
            for bit in range(width):
                variables.append((1, f"{prefix}{name}{bits.format(bit)}"))
                columns.append([text[-1 - bit] for text in texts])
        else:
            variables.append(
                (width, f"{prefix}{name}" + (f" [{width - 1}:0]" if width > 1 else ""))
            )
            columns.append(texts)
    columns = [
        ["x" * len(text) if k in gap else text for k, text in enumerate(texts)] for texts in columns
    ]
    variables += [(1, "_TRIGGER"), (1, "_WINDOW"), (1, "_GAP")]
    columns += [
        [str(int(k == 20)) for k in range(len(window))],
        [str(1 - number % 2) for number in window],
        [str(int(k in gap)) for k in range(len(window))],
    ]
    order = list(range(len(variables)))
    if bits:
        random.Random(0).shuffle(order)  # bits of a vector do not follow each other
    lines = ["$version\n        Vivado v2017.2 (64-bit)\n$end", "$timescale\n        1ps\n$end"]
    lines += ["$scope module dut $end"]
    lines += [f"$var reg {variables[k][0]} <{k}> {variables[k][1]} $end" for k in order]
    lines += ["$upscope $end", "$enddefinitions $end"]
    for t in range(len(window)):
        changes = [
            f"b{texts[t].lstrip('0') or '0'} <{k}>" if len(texts[t]) > 1 else f"{texts[t]}<{k}>"
            for k, texts in enumerate(columns)
            if not t or texts[t] != texts[t - 1]
        ]
        if changes:
            lines += [f"#{t}", *changes]
    # Some programs write one more time, without a sample.
    path.write_text("\n".join([*lines, f"#{len(window)}", ""]))
    return path


def test_vivados_logic_analyser(tmp_path):
    path = vivado(tmp_path / "iladata.vcd", array(1))
    with pytest.raises(
        ValueError,
        match=rf"no ports of Array by their own names; in scope dut with --prefix {PATH} all are",
    ):
        against_array(path)
    with pytest.raises(ValueError, match=r"no clock clk .*, or give --clock none"):
        against_array(path, prefix=PATH)
    result = against_array(path, prefix=PATH, clock=None)
    assert result, result
    assert (result.clocks, result.recorded.scope, result.recorded.first) == (298, "dut", 2)
    # One wrong bit in one sample.
    rows = array(1)
    text = rows["o_data"][200]
    rows["o_data"][200] = text[:-1] + str(1 - int(text[-1]))
    result = against_array(vivado(path, rows), prefix=PATH, clock=None)
    assert (result.difference.cycle, result.difference.port, result.mismatches) == (
        200,
        "o_data",
        1,
    )


@pytest.mark.parametrize("bits", ["[{}]", " [{}]", "({})"])
def test_bits_of_a_vector_are_gathered_wherever_they_are(bits, tmp_path):
    path = vivado(tmp_path / "d.vcd", array(1), bits=bits)
    result = against_array(path, prefix=PATH, clock=None)
    assert result, result
    assert result.clocks == 298
    rows = array(1)
    rows["o_data"][100] = rows["o_data"][100][:-17] + "x" + rows["o_data"][100][-16:]
    result = against_array(
        vivado(tmp_path / "d.vcd", rows, bits=bits), prefix=PATH, clock=None, scope="dut"
    )
    assert (result.difference.cycle, result.difference.lane) == (100, 1)


def test_windows_and_missing_samples_interrupt_a_recording(tmp_path):
    path = tmp_path / "d.vcd"
    vivado(path, array(1), array(2, resets=(40,)), array(3, resets=()))
    result = against_array(path, prefix=PATH, clock=None)
    assert result, result
    assert result.clocks == 298 + 259
    assert result.remarks == (
        "window 2 begins at 300 ps: compared again from cycle 341 (341 ps) on",
        "window 3 begins at 600 ps: not compared after it, without a reset",
    )
    vivado(path, array(1, resets=(0, 1, 200)), gap=range(150, 170))
    result = against_array(path, prefix=PATH, clock=None)
    assert result, result
    assert result.clocks == 148 + 99
    assert result.remarks[0].startswith("no samples from 150 ps to 170 ps: compared again from")


def test_a_capture_of_a_run_without_its_reset_is_no_verdict(tmp_path):
    rows = {name: texts[57:] for name, texts in array(3).items()}
    path = vivado(tmp_path / "d.vcd", rows)
    with pytest.raises(ValueError, match=r"has no reset, and differs at .* record a reset too"):
        against_array(path, prefix=PATH, clock=None)
    # Without the reset among its signals.
    vivado(path, array(1, resets=()), left_out=["rst"])
    with pytest.raises(
        ValueError, match=rf"all ports of Array are there, but {PATH}rst is missing: .*--reset none"
    ):
        against_array(path, prefix=PATH, clock=None)
    result = against_array(path, prefix=PATH, clock=None, reset=None)
    assert result, result
    assert not result.recorded.reset


def test_names_of_single_ports(tmp_path):
    rows = array(1)
    renamed = {"valid_in" if name == "i_valid" else name: texts for name, texts in rows.items()}
    path = vivado(tmp_path / "d.vcd", renamed | {"i_valid": rows["i_valid"]}, left_out=["i_valid"])
    with pytest.raises(ValueError, match=rf"in scope dut, {PATH}i_valid is missing$"):
        against_array(path, prefix=PATH, clock=None)
    for theirs in PATH + "valid_in", f"dut.{PATH}valid_in":
        names = {"i_valid": theirs}
        assert against_array(path, prefix=PATH, clock=None, ports=names)
    with pytest.raises(ValueError, match="Array has no port valid; there are i_valid, i_ready"):
        against_array(path, prefix=PATH, clock=None, ports={"valid": "x"})
    with pytest.raises(ValueError, match=rf"{PATH}i_last has 1 bits, not 32$"):
        against_array(path, prefix=PATH, clock=None, ports=names | {"i_a": PATH + "i_last"})
    with pytest.raises(ValueError, match=rf"{PATH}i_a has 32 bits, not 1: name the reset"):
        against_array(path, prefix=PATH, clock=None, ports=names, reset=PATH + "i_a")


@pytest.mark.parametrize("written", ["i_a[31..0]", "i_a(31 downto 0)", "i_a(31:0)", "i_a[31:0]"])
def test_ranges_as_other_programs_write_them(written, tmp_path):
    path = vivado(tmp_path / "d.vcd", array(1))
    path.write_text(path.read_text().replace("i_a [31:0]", written))
    result = against_array(path, prefix=PATH, clock=None)
    assert result, result


def litescope(path, rows, old):
    """A VCD file as LiteScope writes it: each sample twice, and a clock of its own."""
    columns = {
        f"main_{name}": [text for text in texts for _ in "01"] for name, texts in rows.items()
    }
    count = len(columns["main_rst"])
    columns["scope_clk"] = ["1", "0"] * (count // 2)
    keys = {name: chr(ord("!") + k) for k, name in enumerate(columns)}
    lines = ["$timescale 1ps $end", f"$scope {'dumped_signals' if old else 'module top'} $end"]
    lines += [f"$var wire {len(t[0])} {keys[name]} {name} $end" for name, t in columns.items()]
    lines += [f"${'unscope' if old else 'upscope'}  $end", "$enddefinitions  $end", "$dumpvars"]
    lines += [f"b{'x' * len(t[0])} {keys[name]}" for name, t in columns.items()] + ["$end"]
    for t in range(count):
        lines.append(f"#{t}")
        lines += [
            f"b{texts[t]} {keys[name]}"
            for name, texts in columns.items()
            if old or not t or texts[t] != texts[t - 1]
        ]
    path.write_text("\n".join([*lines, ""]))
    return path


@pytest.mark.parametrize("old", [True, False])
def test_litescope(old, tmp_path):
    path = litescope(tmp_path / "d.vcd", array(1), old)
    result = against_array(path, prefix="main_", clock="scope_clk")
    assert result, result
    # The last sample has no edge after it.
    assert (result.clocks, result.recorded.scope) == (297, "dumped_signals" if old else "top")
    assert against_array(path, prefix="main_", clock="2 ps").clocks == 298


def test_samples_that_are_several_time_units_apart(tmp_path):
    path = counting().write(tmp_path / "d.vcd")
    text = path.read_text().replace("1!\n", "").replace("0!\n", "")
    path.write_text(text)
    result = against_counter(path, clock="10ns")
    assert result, result
    assert result.clocks == CLOCKS - RESETS
    for clock, error in [
        (None, r"all its changes are multiples of 10 ns apart: .* give it to --clock"),
        ("20 ns", "between samples that are 20 ns apart"),
        ("10 ps", "10 ps is no whole number of its time units of 1 ns"),
    ]:
        with pytest.raises(ValueError, match=error):
            against_counter(path, clock=clock)
    path.write_text(text + f"#{1 << 40}\n1<1>\n")
    with pytest.raises(ValueError, match="too many time units for a sample in each"):
        against_counter(path, clock=None)
    path.write_text(text.replace("$timescale 1ns $end\n", ""))
    with pytest.raises(ValueError, match="has no unit of time"):
        against_counter(path, clock="10ns")
    with pytest.raises(ValueError, match="--inputs-at-edge: not without a clock"):
        against_counter(path, clock=None, inputs_at_edge=True)


@pytest.mark.parametrize("reset_less", [False, True])
@pytest.mark.parametrize("inside", [False, True])
def test_a_renamed_clock_domain(inside, reset_less, tmp_path):
    component = hdl.Array(ARRAY)
    top = DomainRenamer("fast")(component)
    if inside or reset_less:
        outer = Module()
        outer.domains.fast = ClockDomain(reset_less=reset_less)
        outer.submodules.u = top
        top = outer
    inputs = random_inputs(flatten(component), 200, seed=3)

    async def drive(ctx):
        for clock in range(200):
            await ctx.tick("fast")
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

    simulator = Simulator(top)
    simulator.add_clock(1e-8, domain="fast")
    simulator.add_testbench(drive)
    path = tmp_path / "d.vcd"
    with simulator.write_vcd(str(path)):
        simulator.run()
    scope = "bench.top.u" if inside or reset_less else "bench.top"
    pattern = rf"in scope {scope} all ports of Array are there, but rst is missing: .* fast_clk"
    with pytest.raises(ValueError, match=pattern):
        against_array(path)
    for reset in [None] if reset_less else ["fast_rst", f"{scope}.fast_rst", None]:
        result = against_array(path, clock="fast_clk", reset=reset)
        assert result, result
        assert result.recorded.scope == scope
    if reset_less:
        with pytest.raises(ValueError, match="fast_rst is missing: name the reset"):
            against_array(path, clock="fast_clk", reset="fast_rst")


def test_the_error_names_the_scope_that_comes_nearest(tmp_path):
    path = counting().write(tmp_path / "d.vcd", scopes=("tb", "tb.other", "tb.u"))
    first, second, third = path.read_text().split(" clk $end\n")[0:3]
    other = path.read_text()[len(" clk $end\n".join([first, second, third])) :]
    # In two of the scopes, most ports are called otherwise.
    for name in "enable", "count", "half":
        second, third = (text.replace(f" {name}", " x") for text in (second, third))
    path.write_text(" clk $end\n".join([first, second, third]) + other.replace(" half", " halves"))
    with pytest.raises(ValueError, match=r"in scope tb.u, half is missing$"):
        against_counter(path)
    assert against_counter(path, ports={"half": "halves"}).recorded.scope == "tb.u"


def test_numbers_and_texts_are_no_bits(tmp_path):
    path = counting().write(tmp_path / "d.vcd")
    text = path.read_text()
    for kind, value in ("real 64", "r1.5 "), ("string 1", "son "):
        changed = text.replace("wire 1 <1> enable", f"{kind} <1> enable")
        path.write_text(
            changed.replace("\n1<1>", f"\n{value}<1>").replace("\n0<1>", f"\n{value}<1>")
        )
        with pytest.raises(ValueError, match=r"in scope tb.dut, enable has no bits, not 1$"):
            against_counter(path)


def test_lanes_that_are_declared_in_any_order(tmp_path):
    path = subtracting().write(tmp_path / "d.vcd", layout="bits")
    lines = path.read_text().splitlines()
    where = [k for k, line in enumerate(lines) if line.startswith("$var") and "[" in line]
    variables = [lines[k] for k in where]
    random.Random(1).shuffle(variables)
    for k, line in zip(where, variables):
        lines[k] = line
    path.write_text("\n".join([*lines, ""]))
    result = against_difference(path)
    assert result, result
    assert result.clocks == CLOCKS - RESETS
    # A bit that is not there.
    lines.remove(next(line for line in lines if line.endswith(" a [7] $end")))
    path.write_text("\n".join([*lines, ""]))
    with pytest.raises(ValueError, match="a has 14 elements of 1 bits, not 3 of 5"):
        against_difference(path)


def test_the_command_without_an_output(tmp_path):
    path = vivado(tmp_path / "d.vcd", array(1))
    given = ["--rows", "2", "--columns", "2", "--waveform", str(path), "--clock", "none"]
    command = [sys.executable, "-m", "gradloom", "compare", "array", *given]
    shell = ["sh", "-c", 'exec "$@" >&-', "sh", *command]
    process = subprocess.run(shell, capture_output=True, text=True)
    assert process.returncode == 3  # nothing could be told: refused before the file is read
    assert len(process.stderr.splitlines()) == 1 and "Traceback" not in process.stderr


def test_the_command_has_the_same_options(tmp_path):
    path = vivado(tmp_path / "d.vcd", array(1), array(3, resets=()), left_out=["o_last"])
    given = ["--rows", "2", "--columns", "2", "--waveform", str(path)]

    def run(*more):
        command = [sys.executable, "-m", "gradloom", "compare", "array", *given, *more]
        process = subprocess.run(command, capture_output=True, text=True)
        return process.returncode, process.stdout, process.stderr

    status, out, error = run("--clock", "none", "--prefix", PATH)
    assert (status, out, error.count("\n")) == (2, "", 1)
    assert "o_last is missing" in error
    named = ["--clock", "none", "--prefix", PATH, "--port", f"o_last={PATH}o_valid"]
    status, out, error = run(*named, "--json")
    assert status == 1, error
    report = json.loads(out)
    assert report["remarks"] == [
        "window 2 begins at 300 ps: not compared after it, without a reset"
    ]
    assert report["difference"]["port"] == "o_last"
    for wrong, text in [
        (["--port", "o_last"], "OURS=THEIRS is wanted"),
        (["--port", "rst=x"], "rst is given by --reset"),
        (["--port", "clk=x"], "clk is given by --clock"),
        ([*named, "--inputs-at-edge"], "--inputs-at-edge: not without a clock"),
    ]:
        status, out, error = run(*wrong)
        assert (status, out, error.count("\n")) == (2, "", 1), error
        assert text in error
