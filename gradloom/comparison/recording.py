"""Compares a recording of a unit (a waveform file, samples of a cocotb bench) with the twin.

A recording has the values of the ports just before every clock edge, and masks of unknown bits (x,
z). The twin starts in the reset state, so the comparison begins at the first edge with `rst` low
after one with `rst` high. If no reset was recorded, it begins at the first edge of the recording.
After a gap the unit's state is unknown: the comparison goes on after the next reset.

Unknown input bits are mostly harmless; `gradloom.comparison.unknown_bits` finds those that are not.
An unknown output bit is a difference if the twin's output is defined.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
from amaranth.lib import wiring
from numpy.typing import NDArray

from golden.fixed import Codes
from golden.port import RESET, Port
from golden.twin import Trace
from gradloom.comparison.check import Check, TwinLike, has_advance
from gradloom.comparison.report import Comparison, Recorded, joined
from gradloom.sim.packing import from_numbers

#: Number of clocks in a batch.
BATCH = 1 << 16

#: Fewer clocks, or clocks without any valid output, are no agreement.
FEWEST_CLOCKS = 16

#: One recorded value of a port: a number, or its bits as text if some of them are not 0 or 1.
Word = int | str

# The nine values of VHDL's std_logic; Verilog has four of them. L and H are weak, but known.
_KNOWN = str.maketrans("xzuw-lhXZUWLH", "0000001000001")
_UNKNOWN = str.maketrans("01xzuw-lhXZUWLH", "001111100111100")


@dataclass(frozen=True)
class Gap:
    """A place where a recording is interrupted.

    Parameters
    ----------
    clock
        Number of the first edge after the gap, in the recording.
    text
        What is missing, in words.
    explained
        The recording says so itself. Otherwise values may be missing anywhere, and agreement is not
        believed.
    """

    clock: int
    text: str
    explained: bool = True


class Recording(ABC):
    """Values of ports at clock edges.

    Attributes
    ----------
    name : str
        Name of the file or the simulator.
    scope : str
        Path of the unit in the design.
    first : int
        Number of the first edge.
    clocks : int
        Number of edges.
    gaps : sequence of Gap
        Where the recording is interrupted, in order.
    remarks : tuple of str
        What else is missing in it, in words.
    early : Recording or None
        If inputs that change together with an edge are those of this edge: the same recording, with
        all values as they are just before the edges.
    """

    name: str
    scope: str
    first: int = 0
    clocks: int
    gaps: Sequence[Gap] = ()
    remarks: tuple[str, ...] = ()
    early: "Recording | None" = None

    @abstractmethod
    def read(self, port: Port, clocks: slice) -> tuple[Codes, Codes]:
        """Return the values of `port` just before the edges `clocks`, and masks of unknown bits.

        Returns
        -------
        values, unknown : ndarray
            One entry per edge, with a second axis if the port has lanes. Unknown bits are 0 in the
            values.
        """

    def when(self, clock: int) -> str | None:
        """Return the time of an edge, given its number in the recording; None without times."""
        return None

    def at(self, clock: int) -> str:
        """Return the number of an edge, and its time, as text."""
        time = self.when(clock)
        return f"cycle {self.first + clock}" + ("" if time is None else f" ({time})")


def mark_used(component: wiring.Component) -> None:
    """Prevent Amaranth's warning about a component that is never elaborated."""
    component._MustUse__used = True  # type: ignore[attr-defined]


def codes_of_words(port: Port, words: Sequence[Word]) -> tuple[Codes, Codes]:
    """Return the values of a port in recorded words, and masks of unknown bits.

    Returns
    -------
    values, masks : ndarray
        The shape of the port's values, with one entry per clock.
    """
    known = [word if isinstance(word, int) else int(word.translate(_KNOWN), 2) for word in words]
    values = from_numbers(port, known)
    masks = np.zeros_like(values)
    texts = [k for k, word in enumerate(words) if not isinstance(word, int)]
    if texts:
        bits = [int(str(words[k]).translate(_UNKNOWN), 2) for k in texts]
        masks[texts] = from_numbers(replace(port, signed=False), bits)
    return values, masks


def read(recording: Recording, ports: Sequence[Port], span: slice) -> tuple[Trace, Trace]:
    """Return the values of some ports, and masks for those that have unknown bits."""
    trace: Trace = {}
    unknown: Trace = {}
    for port in ports:
        trace[port.name], masks = recording.read(port, span)
        if masks.any():
            unknown[port.name] = masks
    return trace, unknown


def read_resets(recording: Recording) -> NDArray[np.int8]:
    """Return `rst` just before every edge.

    Returns
    -------
    ndarray of int8, shape (clocks,)
        0, 1, or -1 where it is unknown.
    """
    resets = np.empty(recording.clocks, np.int8)
    for at in range(0, recording.clocks, BATCH):
        span = slice(at, min(at + BATCH, recording.clocks))
        values, unknown = recording.read(RESET, span)
        resets[span] = np.where(unknown == 0, values, -1)
    return resets


def first_after_reset(resets: NDArray[np.int8]) -> tuple[int, bool]:
    """Return the first edge at which the unit is in the reset state, and whether there was a reset.

    Edges with `rst` high are left out, because inputs may be unknown there. Without a reset, the
    first edge is 0.
    """
    high = resets == 1
    if not high.any():
        return 0, False
    start = int(high.argmax())
    after = resets[start:] != 1
    return (start + int(after.argmax()) if after.any() else len(resets)), True


def compare_recording(
    unit: str, ports: Sequence[Port], twin: TwinLike, recording: Recording, from_start: bool = False
) -> Comparison:
    """Compare a recording with a twin.

    Parameters
    ----------
    unit
        Name of the unit.
    ports
        The unit's ports.
    twin
        The unit's twin.
    recording
        The recording.
    from_start
        The unit is in the reset state at the first edge of the recording: do not wait for a reset.

    Returns
    -------
    Comparison
        Its truth value is whether recording and twin agree.

    Raises
    ------
    ValueError
        There is no clock to compare, or an input that matters is unknown. Or no value differs, but
        fewer than `FEWEST_CLOCKS` clocks were compared, no output was valid, or there is a gap that
        nothing explains.
    """
    begin = perf_counter()
    resets = read_resets(recording)
    checks: list[Check] = []
    remarks = list(recording.remarks)
    recorded: Recorded | None = None
    doubt = ""
    bounds = [0, *(gap.clock for gap in recording.gaps), recording.clocks]
    for number, (low, high) in enumerate(zip(bounds, bounds[1:])):
        gap = recording.gaps[number - 1] if number else None
        part = resets[low:high]
        start, reset = first_after_reset(part)
        if from_start and not number:
            start, reset = 0, False
        elif not reset and (number or (resets == 1).any()):
            start = len(part)  # in an unknown state
        start += low
        if gap is not None and (checks or start < high):
            if not gap.explained:
                doubt = doubt or gap.text
            again = "again " if checks else ""
            where = f"compared {again}from {recording.at(start)} on" if start < high else ""
            remarks.append(f"{gap.text}: {where or 'not compared after it, without a reset'}")
        if start == high:
            continue
        if recorded is None:
            first = recording.first + start
            recorded = Recorded(recording.scope, first, recording.when(start), reset)
        checks.append(_checked(ports, twin, recording, resets, slice(start, high)))
    if recorded is None:
        why = "rst stays 1 until the last" if resets[-1] == 1 else "no clock follows a reset"
        raise ValueError(
            f"{recording.name}: {why} of {len(resets):,} clocks: there is nothing to compare"
        )
    seconds = perf_counter() - begin
    result = replace(
        joined(
            [check.result(unit, recording.name, seconds, recorded=recorded) for check in checks]
        ),
        remarks=tuple(remarks),
    )
    if result.difference is None:
        _require_enough(recording, result, checks, doubt)
    return result


def _checked(
    ports: Sequence[Port],
    twin: TwinLike,
    recording: Recording,
    resets: NDArray[np.int8],
    span: slice,
) -> Check:
    """Compare the clocks `span` of a recording, which begin in the reset state."""
    has_unknown = np.flatnonzero(resets[span] < 0)
    if len(has_unknown):
        where = recording.at(span.start + int(has_unknown[0]))
        raise ValueError(f"{recording.name}: rst is unknown (x or z) at {where}")
    check = Check(
        ports,
        twin,
        first=recording.first + span.start,
        when=lambda clock: recording.when(clock - recording.first),
    )
    length = BATCH if has_advance(twin) else span.stop - span.start
    for at in range(span.start, span.stop, length):
        take(check, recording, slice(at, min(at + length, span.stop)))
    return check


def _require_enough(
    recording: Recording, result: Comparison, checks: Sequence[Check], doubt: str
) -> None:
    """Raise ValueError if the agreement of a recording and a twin is of too little to be one."""
    done = f"{result.values:,} values in {result.clocks:,} clocks"
    if doubt:
        raise ValueError(
            f"{recording.name} is not compared: {doubt}, and no pause of the dump explains it: "
            f"does the dump lack changes? ({done} agree)"
        )
    if result.clocks < FEWEST_CLOCKS:
        raise ValueError(
            f"{recording.name} is not compared: after a reset it has {result.clocks} of "
            f"{recording.clocks:,} clocks, at least {FEWEST_CLOCKS} are needed"
        )
    if not any(check.has_output for check in checks):
        raise ValueError(
            f"{recording.name} is not compared: no output is valid or changes in {done}"
        )


def take(check: Check, recording: Recording, span: slice) -> None:
    """Compare the clocks `span` of a recording."""
    stimulus, unknown = read(recording, check.inputs, span)
    got, masks = read(recording, check.outputs, span)
    early = None if recording.early is None else read(recording.early, check.inputs, span)[0]
    check.take(stimulus, got, {**unknown, **masks}, early)
