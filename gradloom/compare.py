"""A unit against its twin: every output port, at every clock edge.

The component is simulated on a stimulus, the twin is run on the same one, and the first difference
is reported with the clocks around it; on request a waveform file opens there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from time import perf_counter
from typing import Protocol

import numpy as np
from amaranth.lib import wiring
from numpy.typing import ArrayLike

from golden.fixed import Codes
from golden.port import Port, checked, completed
from golden.twin import Trace
from gradloom import waves as _waves
from gradloom.simulators import Progress, Simulation, SimulatorName, ready

#: Clocks of a report's table before and after the difference.
_TABLE_BEFORE, _TABLE_AFTER = 5, 2
#: Characters of a table's row; inputs that do not fit are left out.
_ROW = 110


class Runs(Protocol):
    """What a twin can do."""

    def run(self, inputs: Mapping[str, Codes]) -> Trace:
        """Outputs at every edge for the inputs at every edge."""


@dataclass(frozen=True)
class Difference:
    """The first difference of a comparison.

    Parameters
    ----------
    cycle
        Number of the clock edge, from 0.
    port
        Name of the output port.
    lane
        Lane of a vector; None for a scalar.
    expected
        The twin's value.
    got
        The component's value; of one with unknown bits, the bits as text (`01x1`), or x.
    time
        Time of the clock edge, where what was compared has times.
    """

    cycle: int
    port: str
    lane: int | None
    expected: int
    got: int | str
    time: str | None = None

    def __str__(self) -> str:
        time = "" if self.time is None else f" ({self.time})"
        lane = "" if self.lane is None else f", lane {self.lane}"
        return (
            f"cycle {self.cycle}{time}, port {self.port}{lane}: "
            f"expected {self.expected}, got {self.got}"
        )


@dataclass(frozen=True)
class Recorded:
    """Where the clocks of a comparison are from, if they were recorded and not simulated.

    Parameters
    ----------
    scope
        Path of the unit in the design.
    first
        Number of the first clock edge that was compared; the edges before it were not.
    time
        Time of that edge, where the recording has times.
    reset
        Whether it is the first edge after a reset; if not, registers are taken to have held their
        initial values at it.
    unknown
        Input values with unknown bits; none matters for what was compared.
    undefined
        Output values that follow unknown inputs of the same clock; they were left out.
    """

    scope: str
    first: int
    time: str | None
    reset: bool
    unknown: int = 0
    undefined: int = 0

    def __str__(self) -> str:
        time = "" if self.time is None else f" ({self.time})"
        if self.reset:
            since = f"from cycle {self.first}{time} on, the first after a reset"
        else:
            since = f"from cycle {self.first}{time} on, taken for the reset state"
        text = f"{self.scope}: compared {since}"
        if self.unknown:
            text += f"; unknown input values: {self.unknown:,}"
        if self.undefined:
            text += f", outputs that they leave undefined: {self.undefined:,}"
        return text


@dataclass(frozen=True, repr=False)
class Comparison:
    """What a comparison found; true where component and twin agree.

    Parameters
    ----------
    unit
        Name of the component.
    simulator
        Name of the simulator, or of the file.
    clocks
        Clock edges compared.
    values
        Values compared, over all output ports, lanes and edges.
    mismatches
        Values that differ.
    seconds
        Time of the simulation alone, without building and without the twin; of a file, the time
        that reading it took.
    difference
        The first difference: the earliest cycle, there the first port in port order, there the
        lowest lane.
    table
        The clocks around it.
    files
        Waveform files that were written.
    recorded
        Where the clocks are from, if they were recorded and not simulated.
    """

    unit: str
    simulator: str
    clocks: int
    values: int
    mismatches: int
    seconds: float
    difference: Difference | None = None
    table: str = ""
    files: tuple[Path, ...] = field(default=())
    recorded: Recorded | None = None

    @property
    def agrees(self) -> bool:
        """Whether no value differs."""
        return self.difference is None

    @property
    def clocks_per_second(self) -> float:
        """Speed of the simulation alone."""
        return self.clocks / max(self.seconds, 1e-9)

    def __bool__(self) -> bool:
        return self.agrees

    def report(self) -> str:
        """One line, and on a difference the clocks around it and the files written.

        Of a recording, another line says which clocks were compared.
        """
        clocks = "1 clock" if self.clocks == 1 else f"{self.clocks:,} clocks"
        done = f"{clocks} {'of' if self.recorded else 'on'} {self.simulator}"
        where = [] if self.recorded is None else [str(self.recorded)]
        if self.difference is None:
            agree = f"{self.unit}: {self.values:,} values in {done} agree with the twin"
            speed = f" ({self.clocks_per_second:,.0f} clocks/s)" if self.recorded is None else ""
            return "\n".join([agree + speed, *where])
        lines = [
            f"{self.unit}: {self.difference}",
            f"{self.mismatches:,} of {self.values:,} values in {done} differ from the twin",
            *where,
            self.table,
            *(f"written: {path}" for path in self.files),
        ]
        return "\n".join(lines)

    __str__ = report

    def __repr__(self) -> str:
        return f"<Comparison {self.report()}>"


def compare(
    component: wiring.Component,
    twin: Runs,
    inputs: Mapping[str, ArrayLike],
    simulator: SimulatorName | Simulation = "pysim",
    waves: str | PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Hold `component` against `twin` on a stimulus.

    Parameters
    ----------
    component
        The unit.
    twin
        Its twin: `run` gives the same output ports.
    inputs
        Port name to integers, one entry a clock edge, and a second axis where the port carries
        lanes. A port that is missing, `rst` among them, is 0 for both sides.
    simulator
        "pysim", "cxxrtl", or what `build` gave for this component.
    waves
        A folder or a .vcd file: where waveforms are written if there is a difference.
    progress
        Called now and then with the clocks that are simulated and the clocks that there are.

    Raises
    ------
    ValueError
        The stimulus does not fit the ports, or the twin's outputs are not those of the component.
    """
    simulation = ready(component, simulator)
    clocks, given = checked(simulation.inputs, inputs)
    stimulus = completed(simulation.inputs, given, clocks)
    begin = perf_counter()
    got = simulation.run(stimulus, progress)
    seconds = perf_counter() - begin
    expected = expected_of(twin, simulation.outputs, stimulus, clocks)
    finding = held(simulation.inputs, simulation.outputs, stimulus, got, expected)
    files: list[Path] = []
    if waves is not None and finding.difference is not None and finding.port is not None:
        first = finding.port, finding.difference.cycle
        files = _waves.write(Path(waves), simulation, stimulus, got, expected, first)
    return Comparison(
        type(component).__name__,
        simulation.name,
        clocks,
        finding.values,
        finding.mismatches,
        seconds,
        finding.difference,
        finding.table,
        tuple(files),
    )


@dataclass(frozen=True)
class Finding:
    """What was found where outputs were held against the expected ones.

    Parameters
    ----------
    values, mismatches, difference, table
        As in a `Comparison`.
    port
        The port of the first difference.
    """

    values: int
    mismatches: int
    difference: Difference | None = None
    table: str = ""
    port: Port | None = None


def held(
    inputs: Sequence[Port],
    outputs: Sequence[Port],
    stimulus: Trace,
    got: Trace,
    expected: Trace,
    *,
    unknown: Mapping[str, Codes] | None = None,
    start: int = 0,
    when: Callable[[int], str | None] | None = None,
) -> Finding:
    """Hold the outputs `got` against the `expected` ones, and find the first difference.

    Parameters
    ----------
    inputs, outputs
        The ports.
    stimulus, got, expected
        Their values at every edge.
    unknown
        Masks of the bits that are not known, by port; an output with unknown bits differs.
    start
        Number of the first edge.
    when
        The time of an edge, by its number.
    """
    unknown = unknown or {}
    values = mismatches = 0
    first: tuple[int, Port] | None = None
    for port in outputs:
        wrong = got[port.name] != expected[port.name]
        if port.name in unknown:
            wrong |= unknown[port.name] != 0
        values += wrong.size
        if count := int(np.count_nonzero(wrong)):
            mismatches += count
            cycle = int(wrong.argmax()) // (port.lanes or 1)
            if first is None or cycle < first[0]:
                first = cycle, port
    if first is None:
        return Finding(values, mismatches)

    cycle, port = first
    name, mask = port.name, unknown.get(port.name)
    lane = None
    if port.lanes is not None:
        wrong = got[name][cycle] != expected[name][cycle]
        lane = int((wrong if mask is None else wrong | (mask[cycle] != 0)).argmax())
    at = (cycle,) if lane is None else (cycle, lane)
    value = int(got[name][at])
    seen = value if mask is None or not mask[at] else _bits(port, value, int(mask[at]))
    difference = Difference(
        start + cycle,
        name,
        lane,
        int(expected[name][at]),
        seen,
        when(start + cycle) if when else None,
    )
    table = _table(inputs, stimulus, port, lane, expected[name], got[name], cycle, unknown, start)
    return Finding(values, mismatches, difference, table, port)


def _bits(port: Port, value: int, unknown: int) -> str:
    """The bits of a value, those that are not known as x; x alone where none is."""
    if unknown == (1 << port.width) - 1:
        return "x"
    return "".join(
        "x" if unknown >> bit & 1 else str(value >> bit & 1) for bit in reversed(range(port.width))
    )


def expected_of(twin: Runs, ports: Sequence[Port], stimulus: Trace, clocks: int) -> Trace:
    """The twin's outputs, known to be those of `ports`."""
    who = type(twin).__name__
    trace = {name: np.asarray(values) for name, values in twin.run(stimulus).items()}
    names = {port.name for port in ports}
    if not names:
        raise ValueError("the component has no output port: nothing to compare")
    if missing := sorted(names - trace.keys()):
        raise ValueError(f"twin {who} says nothing of the output port {', '.join(missing)}")
    if extra := sorted(trace.keys() - names):
        raise ValueError(
            f"twin {who} gives {', '.join(extra)}: the component has no such output port"
        )
    for port in ports:
        values = trace[port.name]
        if values.shape != port.shape(clocks):
            raise ValueError(
                f"twin {who} gives {port.name} in the shape {values.shape}: "
                f"{port.shape(clocks)} is wanted"
            )
        if values.dtype.kind not in "iub":
            raise ValueError(f"twin {who} gives {port.name} as {values.dtype}: integers are wanted")
    return trace


def _table(
    inputs: Sequence[Port],
    stimulus: Trace,
    port: Port,
    lane: int | None,
    expected: Codes,
    got: Codes,
    cycle: int,
    unknown: Mapping[str, Codes],
    start: int,
) -> str:
    """The clocks around a difference, a row a clock: inputs, then the port; > marks the clock."""
    clocks = range(max(cycle - _TABLE_BEFORE, 0), min(cycle + _TABLE_AFTER + 1, len(got)))
    suffix = "" if lane is None else f"[{lane}]"
    last = [
        [f"{port.name}{suffix} expected", *_cells(port, expected, None, lane, clocks)],
        [f"{port.name}{suffix} got", *_cells(port, got, unknown.get(port.name), lane, clocks)],
    ]
    columns = [["cycle", *(str(start + clock) for clock in clocks)]]
    room = _ROW - sum(len(column[0]) + 2 for column in columns + last)
    left_out = 0
    for entry in inputs:
        values, mask = stimulus[entry.name], unknown.get(entry.name)
        if entry.lanes is None:
            column = [entry.name, *_cells(entry, values, mask, None, clocks)]
        elif lane is not None and lane < entry.lanes:
            column = [f"{entry.name}[{lane}]", *_cells(entry, values, mask, lane, clocks)]
        else:
            shown = [_cells(entry, values, mask, k, clocks) for k in range(min(entry.lanes, 3))]
            more = " .." if entry.lanes > 3 else ""
            column = [entry.name, *(" ".join(lanes) + more for lanes in zip(*shown))]
        width = max(map(len, column)) + 2
        if width > room:
            left_out += 1
            continue
        room -= width
        columns.append(column)
    columns += last
    widths = [max(map(len, column)) for column in columns]
    marks = ["  ", *("> " if clock == cycle else "  " for clock in clocks)]
    lines = [
        mark + "  ".join(cell.rjust(width) for cell, width in zip(row, widths))
        for mark, row in zip(marks, zip(*columns))
    ]
    if left_out:
        lines.append(f"({left_out} input ports are left out)")
    return "\n".join(lines)


def _cells(
    port: Port, values: Codes, unknown: Codes | None, lane: int | None, clocks: range
) -> list[str]:
    """A port or one lane of it at some clocks."""
    cells = []
    for clock in clocks:
        at = (clock,) if lane is None else (clock, lane)
        value, mask = int(values[at]), 0 if unknown is None else int(unknown[at])
        cells.append(_bits(port, value, mask) if mask else str(value))
    return cells
