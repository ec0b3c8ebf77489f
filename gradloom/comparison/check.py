"""Compares outputs of a unit with its twin, batch by batch, in constant memory.

`Check` is shared by all comparisons: of simulated clocks, of recorded ones and in cocotb benches.
The twin's state is passed from batch to batch. Of the clocks that were compared, only the last ones
are kept, for the report.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from golden import check
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
from gradloom.comparison.unknown_bits import UnknownInputs

#: Number of clocks whose outputs are computed one by one after a difference, for inputs that change
#: at the edges. What comes later counts as it is.
_MOST_CORRECTIONS = 200


class TwinLike(Protocol):
    """The least that a twin has. A twin that also has `initial` and `advance` is compared in
    batches; without them, a comparison is one run, however long.
    """

    def run(self, inputs: Mapping[str, Codes]) -> Trace:
        """Return the outputs at every clock edge, from the reset state on.

        Parameters
        ----------
        inputs
            Port name to one value per clock edge, or one row of lanes per clock edge.
        """


def require_twin(twin: TwinLike, ports: Sequence[Port]) -> None:
    """Check that `twin` is a twin, and of a unit with these ports if its configuration says so.

    Raises
    ------
    TypeError
        It has no `run`, or is a class.
    ValueError
        A port of its configuration is not that of the component.
    """
    if isinstance(twin, type) or not (has_advance(twin) or hasattr(twin, "run")):
        raise TypeError(f"twin = {check.shown(twin)}: a twin is wanted, an object with `run`")
    given = {port.name: port for port in ports}
    for port in getattr(getattr(twin, "config", None), "ports", ()):
        if given.get(port.name, port) != port:
            raise ValueError(
                f"twin {type(twin).__name__} has the port {port}, the component "
                f"{given[port.name]}: one configuration is wanted"
            )


def has_advance(twin: TwinLike) -> bool:
    """Return whether a twin can be compared in batches."""
    return hasattr(twin, "initial") and hasattr(twin, "advance")


class CheckedTwin:
    """A twin, with a check that its outputs fit the ports.

    Parameters
    ----------
    twin
        The twin.
    ports
        The unit's output ports.
    """

    def __init__(self, twin: TwinLike, ports: Sequence[Port]):
        self.twin: Any = twin
        self.ports = ports
        self._has_advance = has_advance(twin)
        if not ports:
            raise ValueError("the component has no output port: nothing to compare")

    def initial(self) -> Any:
        """Return the reset state."""
        return self.twin.initial() if self._has_advance else None

    def advance(self, state: Any, stimulus: Trace) -> tuple[Any, Trace]:
        """Return the state after the clocks of `stimulus`, and the outputs during them.

        Raises
        ------
        ValueError
            The outputs do not fit the ports.
        """
        if self._has_advance:
            state, outputs = self.twin.advance(state, stimulus)
        elif state is None:
            state, outputs = "after a whole run", self.twin.run(stimulus)
        else:
            raise AssertionError(f"{type(self.twin).__name__} has no advance: give one batch")
        who = type(self.twin).__name__
        check.table(f"what twin {who} returns", outputs, "port names to integers")
        trace = {name: np.asarray(values) for name, values in outputs.items()}
        self._check(trace, len(stimulus["rst"]))
        return state, trace

    def _check(self, trace: Trace, clocks: int) -> None:
        who = type(self.twin).__name__
        names = {port.name for port in self.ports}
        if missing := sorted(names - trace.keys()):
            raise ValueError(f"twin {who} has no values for the output port {', '.join(missing)}")
        if extra := sorted(trace.keys() - names):
            raise ValueError(
                f"twin {who} returns {', '.join(extra)}: the component has no such output port"
            )
        for port in self.ports:
            values = trace[port.name]
            if values.shape != port.shape(clocks):
                raise ValueError(
                    f"twin {who} returns {port.name} with the shape {values.shape} "
                    f"instead of {port.shape(clocks)}"
                )
            if values.dtype.kind not in "iub":
                raise ValueError(
                    f"twin {who} returns {port.name} as {values.dtype} instead of integers"
                )


class Check:
    """Comparison of outputs with a twin, batch by batch, from the reset state on.

    Parameters
    ----------
    ports
        The unit's ports.
    twin
        Its twin.
    first
        Number of the first clock edge.
    when
        Returns the time of an edge, given its number. It is called for edges of the current batch
        only.
    before, after
        Number of clocks that are kept before and after the first difference.

    Attributes
    ----------
    clocks, values, mismatches : int
        Number of clocks and of output values compared so far, and of values that differ.
    unknown, undefined : int
        Number of unknown input values, and of output values left out because of them.
    difference : Difference or None
        The first difference: the earliest cycle, there the first port, there the lowest lane.
    has_output : bool
        A valid output was among the values; for a unit without `valid`, an output that changed.
    port : Port or None
        The port of the first difference.
    window : Window or None
        The clocks around the first difference.
    """

    def __init__(
        self,
        ports: Sequence[Port],
        twin: TwinLike,
        *,
        first: int = 0,
        when: Callable[[int], str | None] = lambda clock: None,
        before: int = TABLE_BEFORE,
        after: int = TABLE_AFTER,
    ):
        require_twin(twin, ports)
        self.inputs, self.outputs = inputs_of(ports), outputs_of(ports)
        self.clocks = self.values = self.mismatches = self.unknown = self.undefined = 0
        self.has_output = False
        self.difference: Difference | None = None
        self.port: Port | None = None
        self.window: Window | None = None
        self._first = first
        self._when = when
        self._valid = [port for port in self.outputs if port.name.endswith("valid")]
        self._first_outputs: Trace = {}  # outputs at the first clock
        self._corrections = 0
        self._before, self._after = before, after
        self._model = CheckedTwin(twin, self.outputs)
        self._state = self._model.initial()
        self._unknown_inputs = UnknownInputs(self._model, self.inputs, when)

    def take(
        self,
        stimulus: Trace,
        got: Trace,
        unknown: Mapping[str, Codes] | None = None,
        early: Trace | None = None,
    ) -> None:
        """Compare the next clocks.

        Parameters
        ----------
        stimulus
            Values of all inputs, by port: one row per clock.
        got
            Values of all outputs, by port: one row per clock.
        unknown
            Masks of unknown bits, for the ports that have any; such bits are 0 in the values. An
            output with unknown bits differs.
        early
            Inputs just before the edges, if they are others than those at the edges. Outputs that
            follow an input without a register were recorded with these.

        Raises
        ------
        ValueError
            The twin's outputs do not fit the ports, or the unit's state depends on
            unknown input bits.
        """
        start, clocks = self._first + self.clocks, len(stimulus["rst"])
        before = self._state
        self._state, expected = self._model.advance(before, stimulus)
        if early is not None:
            expected = self._with_early_inputs(before, stimulus, early, got, expected)
        masks = dict(unknown or {})
        given = {port.name: masks[port.name] for port in self.inputs if port.name in masks}
        flags = self._unknown_inputs.undefined_outputs(
            start, before, self._state, stimulus, given, expected
        )
        if flags:
            got = dict(got)
            for name, some in flags.items():
                got[name] = np.where(some, expected[name], got[name])
                if name in masks:
                    masks[name] = np.where(some, 0, masks[name])
        self._note_outputs(got)
        left_out = sum(int(np.count_nonzero(some)) for some in flags.values())
        self.unknown += sum(int(np.count_nonzero(some)) for some in given.values())
        self.undefined += left_out
        self.values -= left_out
        self._compare(Window(start, stimulus, got, expected, masks))
        self.clocks += clocks

    def _with_early_inputs(
        self, state: Any, stimulus: Trace, early: Trace, got: Trace, expected: Trace
    ) -> Trace:
        """Return the outputs just before the edges, where those with the inputs at the edges differ
        from the recorded ones.
        """
        if not has_advance(self._model.twin):
            return expected
        expected = {name: values.copy() for name, values in expected.items()}
        differs = np.zeros(len(stimulus["rst"]), np.bool_)
        for name, values in expected.items():
            differs |= (got[name] != values).reshape(len(differs), -1).any(axis=1)
        at = 0
        for clock in np.flatnonzero(differs).tolist():
            if self._corrections > _MOST_CORRECTIONS:
                break
            if at < clock:
                between = {name: values[at:clock] for name, values in stimulus.items()}
                state, _ = self._model.advance(state, between)
                at = clock
            one = {name: values[clock : clock + 1] for name, values in early.items()}
            for name, values in self._model.advance(state, one)[1].items():
                expected[name][clock] = values[0]
            if self._corrections or any(
                bool((got[name][clock] != values[clock]).any()) for name, values in expected.items()
            ):
                self._corrections += 1  # after a difference
        return expected

    def _note_outputs(self, got: Trace) -> None:
        """Find out whether there was an output at all."""
        if self.has_output:
            return
        if self._valid:
            self.has_output = any(bool((got[port.name] == 1).any()) for port in self._valid)
            return
        if not self._first_outputs:
            self._first_outputs = {port.name: got[port.name][:1].copy() for port in self.outputs}
        self.has_output = any(
            bool((got[port.name] != self._first_outputs[port.name]).any()) for port in self.outputs
        )

    def _compare(self, batch: Window) -> None:
        """Count the differences of a batch, and keep the clocks that a report may need."""
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
        """Return the result for all clocks so far.

        Parameters
        ----------
        unit, name, seconds, files, recorded
            As in `Comparison`; the numbers of unknown values are added to `recorded`.
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
    """Return which values of `port` differ.

    Returns
    -------
    ndarray of bool
        The shape of the port's values.
    """
    wrong = batch.got[port.name] != batch.expected[port.name]
    if port.name in batch.unknown:
        wrong |= batch.unknown[port.name] != 0
    return wrong


def _difference(batch: Window, cycle: int, port: Port, time: str | None) -> Difference:
    """Return the difference of `port` at `cycle`, in the lowest lane that differs."""
    name, clock = port.name, cycle - batch.start
    lane = None if port.lanes is None else int(_wrong(batch, port)[clock].argmax())
    at = (clock,) if lane is None else (clock, lane)
    value, mask = int(batch.got[name][at]), batch.unknown.get(name)
    seen = value if mask is None or not mask[at] else bits(port, value, int(mask[at]))
    return Difference(cycle, name, lane, int(batch.expected[name][at]), seen, time)
