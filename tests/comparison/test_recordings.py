# amaranth: UnusedElaboratable=no
"""Recordings that are not one gapless run, and files that are not plain ones."""

import bz2
import gzip
import lzma
import os
import shutil
import subprocess
import threading
from importlib.util import find_spec

import numpy as np
import pytest
from click.testing import CliRunner
from toys import Counter, CounterTwin

import golden
import hdl
from gradloom.cli import cli
from gradloom.sim.stimulus import random_inputs
from gradloom.sim.toplevel import flatten

pytest.importorskip("pywellen", reason="pywellen is not installed")
from dumps import CLOCKS, RESETS, Dump, against_counter, counting

from gradloom.comparison.waveform_reader import compare_waveform

icarus = pytest.mark.skipif(
    not (shutil.which("iverilog") and shutil.which("vvp")), reason="there is no Icarus Verilog"
)


def steps(path):
    """Header of a VCD file, and its body as lists of lines, one for each time."""
    header, _, body = path.read_text().partition("$enddefinitions $end\n")
    return header + "$enddefinitions $end\n", ["#" + step for step in body.split("#")[1:]]


def changed(path, change):
    """Rewrite a VCD file with `change` applied to its list of steps."""
    header, body = steps(path)
    path.write_text(header + "".join(change(body)))
    return path


def moved(body, by):
    return [f"#{int(step[1:].split()[0]) + by}\n" + step.partition("\n")[2] for step in body]


def paused(body, off, on):
    """A dump that is off from step `off` to step `on`, with x and all values as simulators do."""
    values = {}
    for step in body[: on + 1]:
        for line in step.splitlines()[1:]:
            values[line.split()[-1] if line[0] == "b" else line[1:]] = line
    stop, start = int(body[off][1:].split()[0]), int(body[on][1:].split()[0])
    unknown = [f"bx {key}" if line[0] == "b" else f"x{key}" for key, line in values.items()]
    before = [f"#{stop + 3}\n$dumpoff\n", *(f"{line}\n" for line in unknown), "$end\n"]
    after = [f"#{start + 3}\n$dumpon\n", *(f"{line}\n" for line in values.values()), "$end\n"]
    return [*body[: off + 1], "".join(before), "".join(after), *body[on + 1 :]]


# Times and gaps.


def test_several_runs_in_one_file_are_refused(tmp_path):
    path = counting().write(tmp_path / "d.vcd")
    changed(path, lambda body: [*body, *body])
    with pytest.raises(ValueError, match=r"time goes back from 600 ns to 0 ns: several runs"):
        against_counter(path)
    # However far it is, and also where it is not at the beginning of a line.
    path = counting(30_000).write(tmp_path / "d.vcd")
    changed(path, lambda body: [*body[:-10], *moved(body[:2], 1), *body[-10:]])
    with pytest.raises(ValueError, match=r"time goes back from \d+,\d+ ns to 1 ns"):
        against_counter(path)
    path = counting().write(tmp_path / "d.vcd")
    changed(path, lambda body: [*body, "#700 1! #10 0!\n"])
    with pytest.raises(ValueError, match="the reader says: time decreased from 700 to 10"):
        against_counter(path)
    path = counting().write(tmp_path / "d.vcd")
    path.write_text(path.read_text() * 2)
    with pytest.raises(ValueError, match=r"d.vcd has a second header: several dumps in one file"):
        against_counter(path)
    path = counting().write(tmp_path / "d.vcd")
    changed(path, lambda body: ["#-10\n0!\n", *body])
    with pytest.raises(ValueError, match=r"d.vcd has negative times"):
        against_counter(path)


def test_all_values_again_in_the_middle_of_a_step_lose_nothing(tmp_path):
    path = counting().write(tmp_path / "d.vcd")

    def dumped(step):
        return f"{step}$dumpall\n" + step.partition("\n")[2] + "$end\n"

    changed(path, lambda body: list(map(dumped, body)))
    assert against_counter(path).clocks == CLOCKS - RESETS


def test_a_pause_is_said_and_the_comparison_goes_on_after_the_next_reset(tmp_path):
    dump = counting(200, more_resets=[120])
    path = changed(dump.write(tmp_path / "d.vcd"), lambda body: paused(body, 81, 151))
    result = against_counter(path)
    assert result, result
    # Edges 3 to 39 before the pause; edge 75 is the first after it, 121 the first after the reset.
    assert (result.clocks, result.recorded.first) == (37 + 79, RESETS)
    assert result.remarks == (
        "the dump was switched off from 408 ns to 758 ns: "
        "compared again from cycle 86 (1,220 ns) on",
    )
    assert result.report().splitlines()[2] == result.remarks[0]
    # What differs is in one of the parts.
    dump.rows["half"][30] = ["0000000"]
    dump.rows["half"][150] = ["0000001"]
    result = against_counter(
        changed(dump.write(tmp_path / "d.vcd"), lambda body: paused(body, 81, 151))
    )
    assert (result.difference.cycle, result.mismatches, result.clocks) == (30, 2, 116)
    assert result.remarks
    # The reset lasts into the pause: there is nothing.
    late = counting(200, more_resets=range(41))
    path = changed(late.write(tmp_path / "d.vcd"), lambda body: paused(body, 81, 151))
    with pytest.raises(ValueError, match="no clock follows a reset of 165 clocks"):
        against_counter(path)
    # Without a reset nothing is known of the state after it.
    dump = counting(200)
    dump.rows["half"][150] = ["0000001"]
    result = against_counter(
        changed(dump.write(tmp_path / "d.vcd"), lambda body: paused(body, 81, 151))
    )
    assert result, result
    assert result.clocks == 37
    assert "not compared after it, without a reset" in result.report()


def test_edges_that_are_missing_without_a_pause_are_no_agreement(tmp_path):
    dump = counting(200, more_resets=[150])
    path = dump.write(tmp_path / "d.vcd")
    for missing, found in [(range(100, 130), True), (range(100, 110), False)]:
        header, body = steps(dump.write(path))
        kept = [
            step.replace("1!\n", "") if k // 2 in missing and k % 2 == 0 else step
            for k, step in enumerate(body)
        ]
        path.write_text(header + "".join(kept))
        if found:
            with pytest.raises(
                ValueError,
                match=r"d.vcd is not compared: clk does not rise from 990 ns to 1,300 ns, where "
                r"its edges are mostly 10 ns apart, and no pause",
            ):
                against_counter(path)
    # A difference before the gap, or after the next reset, is one all the same.
    dump.rows["half"][160] = ["0000001"]
    header, body = steps(dump.write(path))
    kept = [step.replace("1!\n", "") if 200 <= k < 260 else step for k, step in enumerate(body)]
    path.write_text(header + "".join(kept))
    result = against_counter(path)
    assert result.difference.time == "1,610 ns"
    assert "clk does not rise from 990 ns to 1,300 ns" in result.report()


@pytest.mark.parametrize("clocks", [1, 15, 16])
def test_few_clocks_are_no_agreement(clocks, tmp_path):
    path = counting(RESETS + clocks).write(tmp_path / "d.vcd")
    if clocks == 16:
        assert against_counter(path).clocks == 16
        return
    with pytest.raises(
        ValueError, match=rf"d.vcd is not compared: after a reset it has {clocks} of {clocks + 3} "
    ):
        against_counter(path)


def test_without_any_output_there_is_no_agreement(tmp_path):
    rst = (np.arange(CLOCKS) < RESETS).astype(np.int64)
    dump = Dump(Counter(), CounterTwin(), {"rst": rst, "enable": np.zeros(CLOCKS, np.int64)})
    with pytest.raises(
        ValueError, match="no output is valid or changes in 114 values in 57 clocks"
    ):
        against_counter(dump.write(tmp_path / "d.vcd"))
    config = golden.WeightQuantizerConfig(lanes=2)
    component, twin = hdl.WeightQuantizer(config), golden.WeightQuantizer(config)
    inputs = random_inputs(flatten(component), CLOCKS, seed=1)
    inputs["rst"][:] = rst
    inputs["i_valid"][:] = 0
    with pytest.raises(ValueError, match="no output is valid or changes in"):
        compare_waveform(component, twin, Dump(component, twin, inputs).write(tmp_path / "d.vcd"))


def test_a_start_in_the_middle_of_a_run_is_no_verdict(tmp_path):
    dump = counting()
    for name, rows in dump.rows.items():
        dump.rows[name] = rows[20:]
    path = dump.write(tmp_path / "d.vcd")
    with pytest.raises(
        ValueError, match=r"d.vcd has no reset, and differs at cycle 0 .*--from-start"
    ):
        against_counter(path)
    assert against_counter(path, from_start=True).difference.cycle == 0
    with pytest.raises(ValueError, match=r"has no reset, and differs at"):
        against_counter(path, inputs_at_edge=True)
    # With a reset later on, what comes before it is left out.
    dump = counting(more_resets=[30])
    for name, rows in dump.rows.items():
        dump.rows[name] = rows[20:]
    result = against_counter(dump.write(path))
    assert result, result
    assert result.recorded.first == 11


# Inputs that change together with the clock.


def late_inputs(unit, clocks=200):
    """A dump in which the inputs of a clock change at the time of its edge."""
    component, twin = unit
    inputs = random_inputs(flatten(component), clocks, seed=5)
    inputs["rst"][:] = np.arange(clocks) < RESETS
    dump = Dump(component, twin, inputs)
    state = twin.initial()
    early = {name: np.concatenate([values[:1], values[:-1]]) for name, values in inputs.items()}
    for clock in range(clocks):
        seen = {name: values[clock : clock + 1] for name, values in early.items()}
        after = {name: values[clock : clock + 1] for name, values in inputs.items()}
        for port in dump.ports:
            if port.direction == "out":
                row = twin.advance(state, seen)[1][port.name].reshape(-1).tolist()
                mask = (1 << port.width) - 1
                dump.rows[port.name][clock] = [f"{code & mask:0{port.width}b}" for code in row]
        state, _ = twin.advance(state, after)
    for port in dump.ports:
        if port.direction == "in":
            rows = dump.rows[port.name]
            dump.rows[port.name] = [rows[0], *rows[:-1]]
    return dump


ARRAY = golden.ArrayConfig(rows=2, columns=2)


@pytest.mark.parametrize(
    "unit", [(Counter(), CounterTwin()), (hdl.Array(ARRAY), golden.Array(ARRAY))]
)
def test_inputs_that_change_with_the_clock_are_tried_the_other_way(unit, tmp_path):
    dump = late_inputs(unit)
    path = dump.write(tmp_path / "d.vcd")
    with pytest.raises(ValueError, match=r"differs from the twin at cycle .* --inputs-at-edge"):
        compare_waveform(*unit, path)
    result = compare_waveform(*unit, path, inputs_at_edge=True)
    assert result, result
    assert result.clocks == 200 - RESETS
    # A fault of the hardware is one with either reading, and is reported where it is.
    port = dump.ports[-1]
    row = dump.rows[port.name][150]
    row[0] = "".join("10"[int(bit)] for bit in row[0])
    dump.write(path)
    result = compare_waveform(*unit, path)
    assert not result
    assert "with --inputs-at-edge, 1 values differ, the first at cycle 150" in result.report()
    result = compare_waveform(*unit, path, inputs_at_edge=True)
    assert (result.difference.cycle, result.difference.port) == (150, port.name)
    assert result.mismatches == 1


# Files.


def test_compressed_files_and_pipes_are_read(tmp_path):
    path = counting().write(tmp_path / "d.vcd")
    text = path.read_bytes()
    for name, compress in ("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress):
        packed = tmp_path / f"d.vcd.{name}"
        packed.write_bytes(compress(text))
        assert against_counter(packed).clocks == CLOCKS - RESETS
        if name != "bz2":  # which is one block here
            packed.write_bytes(compress(counting(5000).write(path).read_bytes())[:-200])
            result = against_counter(packed)
            assert 1000 < result.clocks < 5000
            assert "the compressed file breaks off" in result.remarks
        packed.write_bytes(compress(text)[:20])
        with pytest.raises(ValueError, match=f"d.vcd.{name} is compressed and breaks off before"):
            against_counter(packed)
    damaged = bytearray(gzip.compress(text))
    damaged[40:60] = bytes(20)
    (tmp_path / "damaged.gz").write_bytes(damaged)
    with pytest.raises(ValueError, match=r"damaged.gz is compressed and cannot be unpacked"):
        against_counter(tmp_path / "damaged.gz")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=[text])
    writer.start()
    assert against_counter(pipe).clocks == CLOCKS - RESETS
    writer.join()


@pytest.mark.skipif(not shutil.which("zstd"), reason="there is no zstd")
def test_zstandard_is_read_where_python_can(tmp_path):
    path = counting().write(tmp_path / "d.vcd")
    subprocess.run(["zstd", "-q", path], check=True)
    packed = tmp_path / "d.vcd.zst"
    if find_spec("compression"):
        assert against_counter(packed).clocks == CLOCKS - RESETS
    else:
        with pytest.raises(ValueError, match=r"d.vcd.zst is compressed by Zstandard.*zstd -d"):
            against_counter(packed)


@pytest.mark.parametrize(
    ("first", "text"),
    [
        (b"PK\x03\x04", "is a ZIP archive: unpack it first"),
        (b"\x01\x38\x00\x04", "is an LXT file"),
        (b"\x13\x80\x00\x01", "is an LXT2 file.* lxt2vcd"),
        (b"VZ\x00\x01", "is a VZT file.* vzt2vcd"),
        (b"\x00\x00FSDB Writer 5.8\x00", "is an FSDB file.* fsdb2vcd"),
        (b"Sample in Buffer,Sample in Window,TRIGGER\n", "is a table of a logic analyser"),
        (b"  \n\n", "is not a whole VCD, FST or GHW file: it is empty"),
        (
            b"$date today $end\n$scope module tb $end\n",
            "is not a whole VCD, FST or GHW file: it has no .enddefinitions",
        ),
        (b"$enddefinitions $end\n#0\n$dumpports\n", "is an extended VCD file"),
        (b"$comment of an FSDB file $end\n", "is not a whole .* has no .enddefinitions"),
        (b"hello\n", "is not a whole VCD, FST or GHW file"),
    ],
)
def test_other_files_are_refused_by_what_they_are(first, text, tmp_path):
    path = tmp_path / "dump"
    path.write_bytes(first)
    with pytest.raises(ValueError, match=f"dump {text}") as found:
        against_counter(path)
    assert "\n" not in str(found.value)


def test_folders_and_devices_are_refused(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder, not a waveform file"):
        against_counter(tmp_path)
    with pytest.raises(ValueError, match="null is not a whole VCD, FST or GHW file: it is empty"):
        against_counter("/dev/null")


def test_line_ends_of_other_systems(tmp_path):
    path = counting().write(tmp_path / "d.vcd")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert against_counter(path).clocks == CLOCKS - RESETS
    changed(path, lambda body: [*body, *body[:3]])
    with pytest.raises(ValueError, match="time goes back from 600 ns to 0 ns"):
        against_counter(path)


def test_a_cut_file_is_compared_up_to_its_last_whole_step(tmp_path):
    path = counting(more_resets=[8]).write(tmp_path / "d.vcd")
    text = path.read_bytes()
    begin, stop = text.index(b"#400\n"), text.index(b"#465\n")
    clocks = []
    # Cut anywhere: in a time, in a value, before a key.
    for end in range(begin + 1, stop):
        path.write_bytes(text[:end])
        result = against_counter(path)
        assert result, result
        clocks.append(result.clocks)
        whole = text[end - 1 : end] == b"\n"
        assert result.remarks == (() if whole else ("the file breaks off within a line",))
    # Edge 3 is at 40 ns, and the first after the reset is edge 9.
    assert set(clocks) == {*range(36, 43)}


def test_the_command_says_what_is_wrong_in_one_line(tmp_path):
    config = golden.WeightQuantizerConfig(lanes=2)
    component, twin = hdl.WeightQuantizer(config), golden.WeightQuantizer(config)
    inputs = random_inputs(flatten(component), CLOCKS, seed=1)
    inputs["rst"][:] = np.arange(CLOCKS) < RESETS
    path = Dump(component, twin, inputs).write(tmp_path / "d.vcd")
    command = ["compare", "wage-weight", "--lanes", "2", "--waveform", str(path)]
    assert CliRunner().invoke(cli, command).exit_code == 0
    changed(path, lambda body: [*body, *body])
    result = CliRunner().invoke(cli, command)
    assert isinstance(result.exception, ValueError)  # status 2, by `main`
    assert result.output == ""


# Simulators.

COUNTER = """
module counter(input clk, input rst, input enable, output reg [7:0] count, output [6:0] half);
  assign half = count[7:1];
  always @(posedge clk) if (rst) count <= 3; else count <= count + enable;
endmodule
module tb;
  reg clk = 0, rst = 1, enable = 0;
  wire [7:0] count;
  wire [6:0] half;
  counter dut(clk, rst, enable, count, half);
  always #5 clk = !clk;
  always @(posedge clk) begin rst <= $time < 30 || $time == 1995; enable <= $random; end
  initial begin
    $dumpfile("dump.vcd");
    $dumpvars(0, tb);
    STEPS
  end
endmodule
"""


def simulated(folder, steps, kind, wait=True):
    (folder / "tb.v").write_text(COUNTER.replace("STEPS", steps))
    subprocess.run(["iverilog", "-o", "tb.vvp", "tb.v"], cwd=folder, check=True)
    command = ["vvp", "-n", "tb.vvp", *(["-fst"] if kind == "fst" else [])]
    if wait:
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        return folder / "dump.vcd"
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if "flushed" in line:
                break
        process.kill()
    return folder / "dump.vcd"


@icarus
@pytest.mark.parametrize("kind", ["vcd", "fst"])
def test_pauses_of_icarus(kind, tmp_path):
    path = simulated(tmp_path, "#533 $dumpoff; #200 $dumpon; #3000 $finish;", kind)
    result = against_counter(path)
    assert result, result
    assert result.remarks[0].startswith("the dump was switched off from 533")
    assert "compared again from cycle" in result.remarks[0]
    assert 200 < result.clocks < 240
    # A pause that is not longer than some clocks, too.
    path = simulated(tmp_path, "#533 $dumpoff; #21 $dumpon; #1000 $finish;", kind)
    assert 40 < against_counter(path).clocks < 60
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(ValueError, match=r"dump.vcd has a second header"):
        against_counter(path)


@icarus
@pytest.mark.parametrize("kind", ["vcd", "fst"])
def test_a_simulation_that_was_killed(kind, tmp_path):
    stimulus = '#1000 $dumpflush; #100 $display("flushed"); $fflush; forever #10;'
    path = simulated(tmp_path, stimulus, kind, wait=False)
    result = against_counter(path)
    assert result, result
    assert result.clocks > 80
    if kind == "fst":
        assert result.remarks == (
            "the file was never closed, the simulation was killed or goes on",
        )
        (tmp_path / "dump.vcd.hier").unlink()
        with pytest.raises(
            ValueError, match=r"never closed or is cut off, and dump.vcd.hier, .*keep both"
        ):
            against_counter(path)
