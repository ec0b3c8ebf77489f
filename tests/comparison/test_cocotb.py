import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest.importorskip("cocotb", minversion="2", reason="cocotb 2 is not installed")
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

TESTS = Path(__file__).parents[1]
EXAMPLE = TESTS.parent / "docs" / "examples" / "cocotb" / "run.py"

COUNTER = """
module counter(input clk, input rst, input enable, input fault,
               output reg [7:0] count, output [6:0] half);
  assign half = count[7:1];
  always @(posedge clk)
    if (rst) count <= 3;
    else count <= count + enable + 16 * fault;
endmodule
"""


def verilator_is_too_old():
    """Whether cocotb cannot work with the installed Verilator, or there is none."""
    if not shutil.which("verilator"):
        return True
    text = subprocess.run(["verilator", "--version"], capture_output=True, text=True).stdout
    version = re.search(r"Verilator (\d+)\.(\d+)", text)
    return not version or tuple(map(int, version.groups())) < (5, 36)


SIMULATORS = [
    pytest.param(
        "icarus",
        marks=pytest.mark.skipif(not shutil.which("iverilog"), reason="there is no Icarus Verilog"),
    ),
    pytest.param(
        "verilator",
        marks=[
            pytest.mark.skipif(verilator_is_too_old(), reason="cocotb needs Verilator 5.036"),
            pytest.mark.long,
        ],
    ),
]


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_the_example_runs(simulator, tmp_path):
    result = subprocess.run(
        [sys.executable, EXAMPLE, simulator], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.splitlines()[-1] == "2 tests, 0 failed"
    assert result.stdout.count("agree with the twin") == 2


def run(simulator, module, folder, monkeypatch, tests=""):
    """Run a module of tests on the counter; return the file of results."""
    monkeypatch.syspath_prepend(TESTS)
    monkeypatch.setenv("COCOTB_TEST_FILTER", tests)
    source = folder / "counter.v"
    source.write_text(COUNTER)
    runner = get_runner(simulator)
    runner.build(
        sources=[source], hdl_toplevel="counter", build_dir=folder, timescale=("1ns", "1ps")
    )
    log, results = folder / "log", folder / "results.xml"
    try:
        runner.test(
            hdl_toplevel="counter",
            test_module=module,
            build_dir=folder,
            log_file=log,
            results_xml=str(results),
        )
    except SystemExit:  # tests failed
        if not results.exists():
            pytest.fail(log.read_text())
    return results


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_the_scoreboard_in_a_bench(simulator, tmp_path, monkeypatch):
    # Verilator knows no x.
    tests = "" if simulator == "icarus" else "^(?!.*unknown)"
    results = run(simulator, "cocotb_counter", tmp_path, monkeypatch, tests)
    assert get_results(results) == (8 if simulator == "icarus" else 6, 0), (
        tmp_path / "log"
    ).read_text()


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_a_difference_fails_the_test_however_it_ends(simulator, tmp_path, monkeypatch):
    results = run(simulator, "cocotb_ends", tmp_path, monkeypatch)
    cases = list(ElementTree.parse(results).iter("testcase"))
    failed = {
        case.get("name")
        for case in cases
        if not {child.tag for child in case}.isdisjoint({"failure", "error"})
    }
    assert len(cases) == 16
    assert failed == {case.get("name") for case in cases if case.get("name").startswith("fails")}
    # What was found is in the log, also where cocotb says only that an error came with the end.
    assert (tmp_path / "log").read_text().count("port count: expected") > 8
