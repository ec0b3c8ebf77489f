"""Report of a comparison: number of clocks and values, first difference, clocks around it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from golden.fixed import Codes
from golden.port import Port
from golden.twin import Trace

#: Number of clocks in a report's table before and after the difference.
TABLE_BEFORE, TABLE_AFTER = 5, 2
#: Number of characters in a row of the table; inputs that do not fit are left out.
_ROW = 110
#: Number of remarks on a recording that are shown.
_MOST_REMARKS = 4


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
        The component's value. If it has unknown bits: its bits as text (`01x1`), or x.
    time
        Time of the clock edge, if the comparison is of a recording with times.

    Examples
    --------
    >>> print(Difference(cycle=12, port="o_data", lane=1, expected=-3, got=4))
    cycle 12, port o_data, lane 1: expected -3, got 4
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
    """Which clocks of a recording were compared.

    Parameters
    ----------
    scope
        Path of the unit in the design.
    first
        Number of the first clock edge that was compared.
    time
        Time of this edge, if the recording has times.
    reset
        This edge is the first one after a reset. If false, registers are assumed to have their
        initial values there.
    unknown
        Number of input values with unknown bits. None of them affects a compared output.
    undefined
        Number of output values that depend on unknown inputs of the same clock; they were not
        compared.
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
    """Result of a comparison. Its truth value is whether component and twin agree.

    Parameters
    ----------
    unit
        Name of the component.
    simulator
        Name of the simulator, or of the file.
    clocks
        Number of clock edges compared.
    values
        Number of values compared, over all output ports, lanes and edges.
    mismatches
        Number of values that differ.
    seconds
        Time of the simulation alone, without building it and without the twin. For a recording: the
        time of reading and comparing.
    difference
        The first difference: the earliest cycle, there the first port in port order, there the
        lowest lane.
    table
        The clocks around the first difference, as text.
    files
        Waveform files that were written.
    covered
        The first and the last cycle in these files; files of the unit's own signals begin at 0.
    recorded
        Which clocks of a recording were compared. None for a simulation.
    remarks
        What is missing in a recording, in words: gaps, and what was compared after them.

    Examples
    --------
    >>> import golden, hdl
    >>> from gradloom import compare
    >>> comparison = compare(hdl.Lfsr(golden.LfsrConfig(lanes=2)), {"o_ready": [1, 1, 0, 1]})
    >>> comparison.agrees, comparison.clocks, comparison.mismatches
    (True, 4, 0)
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
    covered: tuple[int, int] | None = None
    recorded: Recorded | None = None
    remarks: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        """Values were compared, and none differs."""
        return self.difference is None and self.values > 0

    @property
    def clocks_per_second(self) -> float:
        """Speed of the simulation alone, in clocks per second."""
        return self.clocks / max(self.seconds, 1e-9)

    def __bool__(self) -> bool:
        return self.agrees

    def report(self) -> str:
        """Return the result as text: one line or, if there is a difference, also the clocks around
        it and the files written. Another line names the compared clocks of a recording.
        """
        clocks = "1 clock" if self.clocks == 1 else f"{self.clocks:,} clocks"
        done = f"{clocks} {'of' if self.recorded else 'on'} {self.simulator}"
        where = [] if self.recorded is None else [str(self.recorded)]
        where += self.remarks[:_MOST_REMARKS]
        if more := len(self.remarks[_MOST_REMARKS:]):
            where.append(f"and {more:,} more gaps")
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
        if self.covered is not None:
            lines.append("waveform of cycles {:,} to {:,}".format(*self.covered))
        return "\n".join(lines)

    __str__ = report

    def __repr__(self) -> str:
        return f"<Comparison {self.report()}>"


def joined(parts: Sequence[Comparison]) -> Comparison:
    """Return the comparison of all parts of a recording, given those of each, in order."""
    first = next((part for part in parts if part.difference is not None), parts[0])
    recorded = first.recorded
    if recorded is not None:
        each = [part.recorded for part in parts if part.recorded is not None]
        recorded = replace(
            recorded,
            unknown=sum(part.unknown for part in each),
            undefined=sum(part.undefined for part in each),
        )
    return replace(
        first,
        clocks=sum(part.clocks for part in parts),
        values=sum(part.values for part in parts),
        mismatches=sum(part.mismatches for part in parts),
        recorded=recorded,
    )


@dataclass(frozen=True)
class Window:
    """Consecutive clocks of a comparison.

    Parameters
    ----------
    start
        Number of the first clock.
    stimulus, got, expected
        Input values, the component's and the twin's output values, by port: one row per clock.
    unknown
        Masks of unknown bits, for the ports that have any.
    """

    start: int
    stimulus: Trace
    got: Trace
    expected: Trace
    unknown: Mapping[str, Codes] = field(default_factory=dict)

    @property
    def stop(self) -> int:
        """Number of the clock after the last one."""
        return self.start + len(next(iter(self.expected.values())))

    def part(self, start: int, stop: int) -> "Window":
        """Return copies of those clocks that are from `start` until before `stop`."""
        start, stop = max(start, self.start), min(stop, self.stop)
        span = slice(start - self.start, max(stop - self.start, 0))

        def cut(trace: Mapping[str, Codes]) -> Trace:
            return {name: values[span].copy() for name, values in trace.items()}

        return Window(
            start, cut(self.stimulus), cut(self.got), cut(self.expected), cut(self.unknown)
        )

    def then(self, other: "Window") -> "Window":
        """Return these clocks and those of `other`, which follow directly."""

        def joined(first: Mapping[str, Codes], second: Mapping[str, Codes]) -> Trace:
            return {name: np.concatenate([first[name], second[name]]) for name in first}

        masked = {**self.unknown, **other.unknown}

        def masks(window: Window) -> Trace:
            values = {**window.stimulus, **window.got}
            return {name: window.unknown.get(name, np.zeros_like(values[name])) for name in masked}

        return Window(
            self.start,
            joined(self.stimulus, other.stimulus),
            joined(self.got, other.got),
            joined(self.expected, other.expected),
            joined(masks(self), masks(other)),
        )


def table(inputs: Sequence[Port], window: Window, port: Port, difference: Difference) -> str:
    """Return a table of the clocks around a difference, one row per clock: the inputs, then the
    expected and the actual value of the port. > marks the clock of the difference.

    Parameters
    ----------
    inputs
        The input ports.
    window
        Compared clocks, which include those around the difference.
    port
        The port that differs.
    difference
        The difference.
    """
    cycle, lane = difference.cycle, difference.lane
    part = window.part(cycle - TABLE_BEFORE, cycle + TABLE_AFTER + 1)
    stimulus, unknown = part.stimulus, part.unknown
    expected, got = part.expected[port.name], part.got[port.name]
    clocks = range(len(got))
    suffix = "" if lane is None else f"[{lane}]"
    last = [
        [f"{port.name}{suffix} expected", *_cells(port, expected, None, lane, clocks)],
        [f"{port.name}{suffix} got", *_cells(port, got, unknown.get(port.name), lane, clocks)],
    ]
    columns = [["cycle", *(str(part.start + clock) for clock in clocks)]]
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
    marks = ["  ", *("> " if part.start + clock == cycle else "  " for clock in clocks)]
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
    """Return the values of a port, or of one lane, as text."""
    cells = []
    for clock in clocks:
        at = (clock,) if lane is None else (clock, lane)
        value, mask = int(values[at]), 0 if unknown is None else int(unknown[at])
        cells.append(bits(port, value, mask) if mask else str(value))
    return cells


def bits(port: Port, value: int, unknown: int) -> str:
    """Return the bits of a value, with x for unknown ones; a single x if all are unknown."""
    if unknown == (1 << port.width) - 1:
        return "x"
    return "".join(
        "x" if unknown >> bit & 1 else str(value >> bit & 1) for bit in reversed(range(port.width))
    )
