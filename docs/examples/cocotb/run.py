"""Generate the array's Verilog and run the bench on it: python run.py [icarus|verilator]."""

import sys
from pathlib import Path

from bench_array import CONFIG
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

import gradloom


def main():
    """Build and test; the exit status is 1 if a test failed."""
    simulator = sys.argv[1] if len(sys.argv) > 1 else "icarus"
    build = Path("build")
    build.mkdir(exist_ok=True)
    verilog = build / "array.v"
    top = "product"  # the name of the module, any
    verilog.write_text(gradloom.verilog(gradloom.Array(CONFIG), name=top))
    runner = get_runner(simulator)
    runner.build(sources=[verilog], hdl_toplevel=top, build_dir=build, timescale=("1ns", "1ps"))
    results = runner.test(hdl_toplevel=top, test_module="bench_array", build_dir=build)
    tests, failed = get_results(results)
    print(f"{tests} tests, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
