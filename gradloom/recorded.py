"""What a unit did elsewhere against its twin: clocks that were recorded, not simulated here.

A recording gives the values of the ports just before every clock edge, with masks of the bits that
are not known (x, z). The twin begins in the reset state, so the comparison does: at the first edge
with `rst` low after one with `rst` high, or, where no reset was recorded, at the first edge of all.

Unknown inputs are common and mostly harmless: a payload is x while its valid is 0. So the twin is
run again, with other bits in place of the unknown ones. Where its outputs are the same, the bits do
not matter. Where an output changes at the very clock, it follows its input without a register (the
array's `i_ready` looks at `i_last`); it is not defined there and is left out. Where outputs change
at another clock, the unit's state would be unknown: that is an error.

An output with unknown bits where the twin's is defined is a difference.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from time import perf_counter
from typing import NoReturn

import numpy as np
from amaranth.lib import wiring
from numpy.typing import NDArray

from golden.fixed import Codes
from golden.port import RESET, Port, inputs_of, outputs_of
from golden.twin import Trace
from gradloom.compare import (
    Comparison,
    Difference,
    Finding,
    Recorded,
    Runs,
    expected_of,
    held,
)
from gradloom.packing import Packing, words_of

#: Clocks that are compared in one go, where resets allow it: a run of the twin cannot be cut
#: elsewhere.
BATCH = 1 << 16

#: Clocks around a difference that are read for the report.
_AROUND = 10

#: Runs of the twin that look for unknown bits that last.
_ROUNDS = 8

#: Output values that are meant, by port.
Flags = dict[str, NDArray[np.bool_]]

#: One recorded value of a port: a number, or its bits as text if some of them are not 0 or 1.
Word = int | str

# The nine values of VHDL's std_logic, of which Verilog has four; L and H are weak, but known.
_KNOWN = str.maketrans("xzuw-lhXZUWLH", "0000001000001")
_UNKNOWN = str.maketrans("01xzuw-lhXZUWLH", "001111100111100")


class Recording(ABC):
    """Values of ports at clock edges.

    Attributes
    ----------
    name : str
        What the clocks are from: a file, or a simulator.
    scope : str
        Path of the unit in the design.
    first : int
        Number of the first edge.
    clocks : int
        Edges.
    """

    name: str
    scope: str
    first: int = 0
    clocks: int

    @abstractmethod
    def read(self, port: Port, clocks: slice) -> tuple[Codes, Codes]:
        """Values of `port` before the edges `clocks`, and masks of their unknown bits.

        Unknown bits are 0 in the values.
        """

    def when(self, clock: int) -> str | None:
        """The time of an edge, by its number in the recording, if the recording has times."""
        return None

    def at(self, clock: int) -> str:
        """An edge in words."""
        time = self.when(clock)
        return f"cycle {self.first + clock}" + ("" if time is None else f" ({time})")


def ports_alone(component: wiring.Component) -> None:
    """Spare the user Amaranth's warning of a component that is never made hardware of."""
    component._MustUse__used = True  # type: ignore[attr-defined]


def to_codes(port: Port, words: Sequence[Word]) -> tuple[Codes, Codes]:
    """Values of a port from recorded words, and masks of their unknown bits."""
    known = [word if isinstance(word, int) else int(word.translate(_KNOWN), 2) for word in words]
    values = _unpacked(port, known)
    masks = np.zeros_like(values)
    texts = [k for k, word in enumerate(words) if not isinstance(word, int)]
    if texts:
        bits = [int(str(words[k]).translate(_UNKNOWN), 2) for k in texts]
        masks[texts] = _unpacked(replace(port, signed=False), bits)
    return values, masks


def _unpacked(port: Port, words: Sequence[int]) -> Codes:
    values = np.empty(port.shape(len(words)), np.int64)
    count = words_of(port)
    if count <= 2:
        rows = np.array(words, np.uint64).view("<u4").reshape(-1, 2)[:, :count]
    else:
        octets = b"".join([word.to_bytes(4 * count, "little") for word in words])
        rows = np.frombuffer(octets, "<u4").reshape(-1, count)
    Packing([port]).unpack(rows, {port.name: values}, slice(0, len(words)))
    return values


class Check:
    """Recorded clocks held against a twin, batch by batch.

    Parameters
    ----------
    ports
        The unit's ports.
    twin
        Its twin.

    Attributes
    ----------
    clocks, values, mismatches : int
        What was compared so far.
    unknown, undefined : int
        Unknown input values among it, and output values that were left out because of them.
    difference : Difference or None
        The first difference.
    table : str
        The clocks around it.
    """

    def __init__(self, ports: Sequence[Port], twin: Runs):
        self.ports = ports
        self.inputs, self.outputs = inputs_of(ports), outputs_of(ports)
        self.twin = twin
        self.clocks = self.values = self.mismatches = self.unknown = self.undefined = 0
        self.difference: Difference | None = None
        self.table = ""

    def take(self, recording: Recording, span: slice) -> None:
        """Compare the clocks `span` of a recording; the first of them is in the reset state.

        Raises
        ------
        ValueError
            An input has unknown bits that the unit's state depends on.
        """
        stimulus, unknown = _read(recording, self.inputs, span)
        expected = expected_of(self.twin, self.outputs, stimulus, span.stop - span.start)
        undefined: Flags = {}
        if unknown:
            undefined = self._undefined(recording, span, stimulus, unknown, expected)
            self.unknown += sum(int(np.count_nonzero(masks)) for masks in unknown.values())
            self.undefined += sum(int(np.count_nonzero(flags)) for flags in undefined.values())
        self.clocks += span.stop - span.start

        def find(start: int, stop: int) -> Finding:
            """Compare some of the clocks."""
            part = slice(start - span.start, stop - span.start)
            got, masks = _read(recording, self.outputs, slice(start, stop))
            for name, flags in undefined.items():
                got[name] = np.where(flags[part], expected[name][part], got[name])
                if name in masks:
                    masks[name] = np.where(flags[part], 0, masks[name])
            masks |= {name: unknown[name][part] for name in unknown}
            return held(
                self.inputs,
                self.outputs,
                {name: values[part] for name, values in stimulus.items()},
                got,
                {name: values[part] for name, values in expected.items()},
                unknown=masks,
                start=recording.first + start,
                when=lambda clock: recording.when(clock - recording.first),
            )

        # Outputs are read in pieces, for memory's sake.
        for start in range(span.start, span.stop, BATCH):
            finding = find(start, min(start + BATCH, span.stop))
            self.values += finding.values
            self.mismatches += finding.mismatches
            if self.difference is None and finding.difference is not None:
                at = finding.difference.cycle - recording.first
                # Once more, with the clocks around it that are in another piece.
                around = find(max(at - _AROUND, span.start), min(at + _AROUND, span.stop))
                self.difference, self.table = around.difference, around.table
        self.values -= sum(int(np.count_nonzero(flags)) for flags in undefined.values())

    def _undefined(
        self,
        recording: Recording,
        span: slice,
        stimulus: Trace,
        unknown: Trace,
        expected: Trace,
    ) -> Flags:
        """Flags of the output values that depend on unknown bits of the same clock."""
        rng = np.random.default_rng(0)
        other = {
            port.name: _filled(port, stimulus[port.name], unknown[port.name], rng)
            for port in self.inputs
            if port.name in unknown
        }

        def changes(chosen: NDArray[np.bool_]) -> Flags:
            """Flags of the output values that other bits at the chosen clocks change."""
            clocks = len(chosen)
            changed = {name: values[:clocks] for name, values in stimulus.items()}
            for name, values in other.items():
                there = chosen.reshape(-1, *[1] * (values.ndim - 1))
                changed[name] = np.where(there, values[:clocks], changed[name])
            trace = expected_of(self.twin, self.outputs, changed, clocks)
            flags = {name: trace[name] != expected[name][:clocks] for name in expected}
            return {name: wrong for name, wrong in flags.items() if wrong.any()}

        doubtful = np.zeros(span.stop - span.start, np.bool_)
        for masks in unknown.values():
            doubtful |= _any(masks != 0)
        undefined = changes(doubtful)
        if not undefined:
            return {}
        # Bits of some of the clocks must show nowhere but at these.
        later = _clocks(undefined, len(doubtful)) & ~doubtful
        for _ in range(_ROUNDS):
            if later.any():
                self._blame(recording, span, unknown, doubtful, int(later.argmax()), changes)
            some = doubtful & (rng.random(len(doubtful)) < 0.5)
            flags = changes(some)
            later = _clocks(flags, len(doubtful)) & ~some
            for name, wrong in flags.items():
                undefined[name] = undefined.get(name, np.False_) | wrong
        return undefined

    def _blame(
        self,
        recording: Recording,
        span: slice,
        unknown: Trace,
        doubtful: NDArray[np.bool_],
        at: int,
        changes: Callable[[NDArray[np.bool_]], Flags],
    ) -> NoReturn:
        """Say which unknown bits it is that show at the clock `at`."""
        # Half of the candidates go at a time.
        low, high = 0, max(at, 1)
        while high - low > 1:
            middle = (low + high) // 2
            chosen = doubtful[: at + 1].copy()
            chosen[middle:] = False
            if _clocks(changes(chosen), at + 1)[at]:
                high = middle
            else:
                low = middle
        names = [name for name, masks in unknown.items() if masks[low].any()]
        raise ValueError(
            f"input {', '.join(names)} has unknown bits (x or z) at "
            f"{recording.at(span.start + low)}, and later outputs depend on them"
        )

    def result(self, unit: str, name: str, recorded: Recorded, seconds: float) -> Comparison:
        """What was found."""
        return Comparison(
            unit,
            name,
            self.clocks,
            self.values,
            self.mismatches,
            seconds,
            self.difference,
            self.table,
            recorded=replace(recorded, unknown=self.unknown, undefined=self.undefined),
        )


def _any(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether a flag is set, for every clock."""
    return np.logical_or.reduce(flags.reshape(len(flags), -1), axis=1)


def _clocks(flags: Flags, clocks: int) -> NDArray[np.bool_]:
    """Whether any port has a flag set, for every clock."""
    every = np.zeros(clocks, np.bool_)
    for some in flags.values():
        every |= _any(some)
    return every


def _filled(port: Port, values: Codes, unknown: Codes, rng: np.random.Generator) -> Codes:
    """`values` with other bits than 0 where they are unknown."""
    sign = 1 << (port.width - 1)
    # Random ones, large numbers, and never 0 again: an unknown control becomes 1.
    bits = (rng.integers(0, 1 << port.width, values.shape) | sign) & unknown
    codes = values | np.where(bits == 0, unknown, bits)
    if port.signed:
        codes = np.where((values >= 0) & (codes & sign != 0), codes - 2 * sign, codes)
    return codes


def _read(recording: Recording, ports: Sequence[Port], span: slice) -> tuple[Trace, Trace]:
    """Values of some ports, and masks of unknown bits where there are any."""
    clocks = span.stop - span.start
    trace: Trace = {}
    unknown: Trace = {}
    for port in ports:
        # Lanes are most of a long recording's memory; twice a value fits.
        narrow = port.lanes is not None and port.width <= 30
        trace[port.name] = np.empty(port.shape(clocks), np.int32 if narrow else np.int64)
        for start in range(0, clocks, BATCH):
            part = slice(start, min(start + BATCH, clocks))
            values, masks = recording.read(
                port, slice(span.start + part.start, span.start + part.stop)
            )
            trace[port.name][part] = values
            if masks.any():
                every = unknown.setdefault(port.name, np.zeros(port.shape(clocks), np.int64))
                every[part] = masks
    return trace, unknown


def read_resets(recording: Recording) -> NDArray[np.int8]:
    """What `rst` is before every edge: 0, 1, or -1 where it is not known."""
    resets = np.empty(recording.clocks, np.int8)
    for at in range(0, recording.clocks, BATCH):
        span = slice(at, min(at + BATCH, recording.clocks))
        values, unknown = recording.read(RESET, span)
        resets[span] = np.where(unknown == 0, values, -1)
    return resets


def reset_state(resets: NDArray[np.int8]) -> tuple[int, bool]:
    """Number of the first edge in the reset state, and whether that is known from a reset.

    The edges of the reset itself are left out but for its end: inputs may be unknown there.
    """
    high = resets == 1
    if not high.any():
        return 0, False
    start = int(high.argmax())
    after = resets[start:] != 1
    return (start + int(after.argmax()) if after.any() else len(resets)), True


def spans(resets: NDArray[np.int8], start: int) -> Iterator[slice]:
    """The edges from `start` on, cut behind resets into batches."""
    cuts = np.flatnonzero(resets == 1) + 1
    while start < len(resets):
        later = cuts[np.searchsorted(cuts, start + BATCH) :]
        stop = int(later[0]) if len(later) else len(resets)
        yield slice(start, stop)
        start = stop


def compare_recording(
    unit: str, ports: Sequence[Port], twin: Runs, recording: Recording, from_start: bool = False
) -> Comparison:
    """Hold a recording against a twin.

    Parameters
    ----------
    unit
        Name of the unit.
    ports
        Its ports.
    twin
        Its twin.
    recording
        What was recorded.
    from_start
        The first edge of the recording is in the reset state; do not wait for a reset.

    Raises
    ------
    ValueError
        There is no clock to compare, or inputs are not known where they must be.
    """
    begin = perf_counter()
    resets = read_resets(recording)
    start, reset = (0, False) if from_start else reset_state(resets)
    if start == len(resets):
        raise ValueError(
            f"{recording.name}: rst stays 1 until the last of {len(resets):,} clocks: "
            "there is nothing to compare"
        )
    doubtful = np.flatnonzero(resets[start:] < 0)
    if len(doubtful):
        where = recording.at(start + int(doubtful[0]))
        raise ValueError(f"{recording.name}: rst is unknown (x or z) at {where}")
    check = Check(ports, twin)
    for span in spans(resets, start):
        check.take(recording, span)
    recorded = Recorded(recording.scope, recording.first + start, recording.when(start), reset)
    return check.result(unit, recording.name, recorded, perf_counter() - begin)
