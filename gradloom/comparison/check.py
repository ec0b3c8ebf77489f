"""Outputs of a unit held against its twin, batch by batch, in memory that does not grow.

`Check` is the one loop of all comparisons: with simulated clocks, with recorded ones and in cocotb
benches. The twin goes on from batch to batch; only the last clocks are kept,
for the report.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from golden.fixed import Codes
from golden.port import Port, inputs_of, outputs_of
from golden.twin import Trace
from gradloom.comparison.report import (
    TABLE_AFTER,
    TABLE_BEFORE,
    Comparison,
    Difference,
    Recorded,
    Window,
    bits,
    table,
)
from gradloom.comparison.unknown import Doubts


class Runs(Protocol):
    """The least that a twin does. One that has `initial` and `advance` too can be compared in
    batches; without them, a comparison is one run, however long.
    """

    def run(self, inputs: Mapping[str, Codes]) -> Trace:
        """Outputs at every edge for the inputs at every edge, from the reset state on."""


def goes_on(twin: Runs) -> bool:
    """Whether a twin can be compared in batches."""
    return hasattr(twin, "initial") and hasattr(twin, "advance")


class Model:
    """A twin whose outputs are known to be those of `ports`."""

    def __init__(self, twin: Runs, ports: Sequence[Port]):
        self.twin: Any = twin
        self.ports = ports
        self._goes_on = goes_on(twin)
        if not ports:
            raise ValueError("the component has no output port: nothing to compare")

    def initial(self) -> Any:
        """The reset state."""
        return self.twin.initial() if self._goes_on else None

    def advance(self, state: Any, stimulus: Trace) -> tuple[Any, Trace]:
        """State and outputs after `stimulus`.

        Raises
        ------
        ValueError
            The outputs do not fit the ports.
        """
        if self._goes_on:
            state, outputs = self.twin.advance(state, stimulus)
        elif state is None:
            state, outputs = "after a whole run", self.twin.run(stimulus)
        else:
            raise AssertionError(f"{type(self.twin).__name__} has no advance: give one batch")
        trace = {name: np.asarray(values) for name, values in outputs.items()}
        self._check(trace, len(stimulus["rst"]))
        return state, trace

    def _check(self, trace: Trace, clocks: int) -> None:
        who = type(self.twin).__name__
        names = {port.name for port in self.ports}
        if missing := sorted(names - trace.keys()):
            raise ValueError(f"twin {who} says nothing of the output port {', '.join(missing)}")
        if extra := sorted(trace.keys() - names):
            raise ValueError(
                f"twin {who} gives {', '.join(extra)}: the component has no such output port"
            )
        for port in self.ports:
            values = trace[port.name]
            if values.shape != port.shape(clocks):
                raise ValueError(
                    f"twin {who} gives {port.name} in the shape {values.shape}: "
                    f"{port.shape(clocks)} is wanted"
                )
            if values.dtype.kind not in "iub":
                raise ValueError(
                    f"twin {who} gives {port.name} as {values.dtype}: integers are wanted"
                )


class Check:
    """Outputs held against a twin, batch by batch, from the reset state on.

    Parameters
    ----------
    ports
        The unit's ports.
    twin
        Its twin.
    first
        Number of the first clock edge.
    when
        The time of an edge, by its number; it is asked for edges of the current batch only.
    before, after
        Clocks that are kept before and after the first difference.

    Attributes
    ----------
    clocks, values, mismatches : int
        Clocks and values that were compared, and values that differed.
    unknown, undefined : int
        Unknown input values among it, and output values that were left out because of them.
    difference : Difference or None
        The first difference: the earliest cycle, there the first port, there the lowest lane.
    port : Port or None
        Its port.
    window : Window or None
        The clocks around it.
    """

    def __init__(
        self,
        ports: Sequence[Port],
        twin: Runs,
        *,
        first: int = 0,
        when: Callable[[int], str | None] = lambda clock: None,
        before: int = TABLE_BEFORE,
        after: int = TABLE_AFTER,
    ):
        self.inputs, self.outputs = inputs_of(ports), outputs_of(ports)
        self.clocks = self.values = self.mismatches = self.unknown = self.undefined = 0
        self.difference: Difference | None = None
        self.port: Port | None = None
        self.window: Window | None = None
        self._first = first
        self._when = when
        self._before, self._after = before, after
        self._model = Model(twin, self.outputs)
        self._state = self._model.initial()
        self._doubts = Doubts(self._model, self.inputs, when)

    def take(self, stimulus: Trace, got: Trace, unknown: Mapping[str, Codes] | None = None) -> None:
        """Compare the next clocks.

        Parameters
        ----------
        stimulus
            Values of all inputs.
        got
            Values of all outputs.
        unknown
            Masks of the bits that are not known, for the ports that have any; such bits are 0 in
            the values. An output with unknown bits differs.

        Raises
        ------
        ValueError
            The twin's outputs do not fit the ports, or an input has unknown bits that the unit's
            state depends on.
        """
        start, clocks = self._first + self.clocks, len(stimulus["rst"])
        before = self._state
        self._state, expected = self._model.advance(before, stimulus)
        masks = dict(unknown or {})
        given = {port.name: masks[port.name] for port in self.inputs if port.name in masks}
        flags = self._doubts.look(start, before, self._state, stimulus, given, expected)
        if flags:
            got = dict(got)
            for name, some in flags.items():
                got[name] = np.where(some, expected[name], got[name])
                if name in masks:
                    masks[name] = np.where(some, 0, masks[name])
        left_out = sum(int(np.count_nonzero(some)) for some in flags.values())
        self.unknown += sum(int(np.count_nonzero(some)) for some in given.values())
        self.undefined += left_out
        self.values -= left_out
        self._hold(Window(start, stimulus, got, expected, masks))
        self.clocks += clocks

    def _hold(self, batch: Window) -> None:
        first: tuple[int, Port] | None = None
        for port in self.outputs:
            wrong = _wrong(batch, port)
            self.values += wrong.size
            if count := int(np.count_nonzero(wrong)):
                self.mismatches += count
                cycle = batch.start + int(wrong.argmax()) // (port.lanes or 1)
                if first is None or cycle < first[0]:
                    first = cycle, port
        if self.difference is not None:
            assert self.window is not None
            end = self.difference.cycle + self._after + 1
            if self.window.stop < end:
                self.window = self.window.then(batch.part(batch.start, end))
            return
        kept = self.window
        if first is None:
            if kept is not None and batch.stop - batch.start < self._before:
                batch = kept.then(batch)
            self.window = batch.part(batch.stop - self._before, batch.stop)
            return
        cycle, self.port = first
        self.difference = _difference(batch, cycle, self.port, self._when(cycle))
        whole = batch if kept is None else kept.then(batch)
        self.window = whole.part(cycle - self._before, cycle + self._after + 1)

    def result(
        self,
        unit: str,
        name: str,
        seconds: float,
        files: Sequence[Path] = (),
        recorded: Recorded | None = None,
    ) -> Comparison:
        """The comparison of all clocks that were taken.

        Parameters
        ----------
        unit, name, seconds, files, recorded
            As in `Comparison`; counts of unknown values are added to `recorded`.
        """
        text = ""
        if self.difference is not None:
            assert self.window is not None and self.port is not None
            text = table(self.inputs, self.window, self.port, self.difference)
        if recorded is not None:
            recorded = replace(recorded, unknown=self.unknown, undefined=self.undefined)
        covered = None
        if files and self.window is not None:
            covered = self.window.start, self.window.stop - 1
        return Comparison(
            unit,
            name,
            self.clocks,
            self.values,
            self.mismatches,
            seconds,
            self.difference,
            text,
            tuple(files),
            covered,
            recorded,
        )


def _wrong(batch: Window, port: Port) -> Any:
    """Flags of the values of `port` that differ."""
    wrong = batch.got[port.name] != batch.expected[port.name]
    if port.name in batch.unknown:
        wrong |= batch.unknown[port.name] != 0
    return wrong


def _difference(batch: Window, cycle: int, port: Port, time: str | None) -> Difference:
    """The difference of `port` at `cycle`, in its lowest lane."""
    name, clock = port.name, cycle - batch.start
    lane = None if port.lanes is None else int(_wrong(batch, port)[clock].argmax())
    at = (clock,) if lane is None else (clock, lane)
    value, mask = int(batch.got[name][at]), batch.unknown.get(name)
    seen = value if mask is None or not mask[at] else bits(port, value, int(mask[at]))
    return Difference(cycle, name, lane, int(batch.expected[name][at]), seen, time)
