"""Waveforms of a difference between a core and the golden trainer's steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from golden.core.lower import Compiled
from golden.core.program import Program
from golden.core.twin import MASKS, STORES, SUMS, Writes
from golden.fixed import Codes
from golden.training.step.record import Record
from golden.twin import Trace
from gradloom.comparison.report import Window
from gradloom.comparison.waveform_writer import AFTER, BEFORE, write_window
from gradloom.core.check import Difference, expected
from gradloom.core.machine import Machine
from gradloom.core.ran import Ran


@dataclass(frozen=True, kw_only=True, eq=False)
class Begun:
    """Where a block of steps has begun.

    Parameters
    ----------
    weights, states
        Weights, and states of the elementwise lanes, before the first step.
    rate
        log2 of the learning rate.
    """

    weights: list[Codes]
    states: list[int]
    rate: int


def place(machine: Machine, begun: Begun) -> None:
    """Write weights and lanes into a core."""
    machine.place(begun.weights, begun.states)


def write_waves(
    path: Path,
    machine: Machine,
    program: Program,
    begun: Begun,
    records: Sequence[Record],
    ran: Ran,
    difference: Difference,
) -> list[Path]:
    """Write the clocks around a difference: every port, and the writes that were expected.

    The steps are carried out once more, from the beginning of their block.

    Parameters
    ----------
    path
        A .vcd file.
    machine
        A core that has done nothing yet.
    program, begun, records, ran
        The block: its program, where it began, its steps, and what the core did.
    difference
        The difference.

    Returns
    -------
    list of Path
        The file, and a save file for GTKWave.
    """
    compiled = machine.compiled
    place(machine, begun)
    machine.send_batches(records)
    first, last = max(0, difference.clock - BEFORE), difference.clock + AFTER
    simulation, played = machine.traced(program, len(records), begun.rate, first, last)
    wanted, _ = expected(compiled, program, records, ran)
    got = dict(played.outputs)
    asked = {name: values.copy() for name, values in got.items()}
    for store in STORES:
        _expect(asked, compiled, store, wanted[store], first, last)
    name = difference.store if difference.store in STORES else SUMS
    port = next(port for port in simulation.outputs if port.name == f"{name}_value")
    window = Window(first, dict(played.inputs), got, asked)
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_window(path, simulation, window, (port, difference.clock))


def _expect(
    trace: Trace, compiled: Compiled, store: str, wanted: Writes, first: int, last: int
) -> None:
    """Put the writes that are expected into the trace of a store's port.

    Where nothing is written, addresses and values are those that came.
    """
    rows = store in (SUMS, MASKS)
    trace[f"{store}_write"][...] = 0
    inside = np.flatnonzero((wanted.clock >= first) & (wanted.clock <= last))
    for place in inside:
        at, enable = int(wanted.clock[place]) - first, wanted.enable[place]
        if rows:
            trace[f"{store}_write"][at] = 1
            trace[f"{store}_to"][at] = wanted.address[place, 0]
            trace[f"{store}_value"][at] = wanted.value[place]
        else:
            trace[f"{store}_write"][at] = enable
            for name, values in (("address", wanted.address), ("value", wanted.value)):
                trace[f"{store}_{name}"][at][enable] = values[place][enable]
