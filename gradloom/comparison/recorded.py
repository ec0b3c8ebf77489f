"""What a unit did elsewhere against its twin: clocks that were recorded, not simulated here.

A recording gives the values of the ports just before every clock edge, with masks of the bits that
are not known (x, z). The twin begins in the reset state, so the comparison does: at the first edge
with `rst` low after one with `rst` high, or, where no reset was recorded, at the first edge of all.

Unknown bits of inputs are as a rule harmless; `gradloom.comparison.unknown` finds where they are
not. An output with unknown bits where the twin's is defined is a difference.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter

import numpy as np
from amaranth.lib import wiring
from numpy.typing import NDArray

from golden.fixed import Codes
from golden.port import RESET, Port
from golden.twin import Trace
from gradloom.comparison.check import Check, Runs, goes_on
from gradloom.comparison.report import Comparison, Recorded
from gradloom.sim.packing import from_numbers

#: Clocks that are read and compared in one go.
BATCH = 1 << 16

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
    values = from_numbers(port, known)
    masks = np.zeros_like(values)
    texts = [k for k, word in enumerate(words) if not isinstance(word, int)]
    if texts:
        bits = [int(str(words[k]).translate(_UNKNOWN), 2) for k in texts]
        masks[texts] = from_numbers(replace(port, signed=False), bits)
    return values, masks


def read(recording: Recording, ports: Sequence[Port], span: slice) -> tuple[Trace, Trace]:
    """Values of some ports, and masks of unknown bits where there are any."""
    trace: Trace = {}
    unknown: Trace = {}
    for port in ports:
        trace[port.name], masks = recording.read(port, span)
        if masks.any():
            unknown[port.name] = masks
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
    check = Check(
        ports,
        twin,
        first=recording.first + start,
        when=lambda clock: recording.when(clock - recording.first),
    )
    length = BATCH if goes_on(twin) else len(resets)
    for at in range(start, len(resets), length):
        take(check, recording, slice(at, min(at + length, len(resets))))
    recorded = Recorded(recording.scope, recording.first + start, recording.when(start), reset)
    seconds = perf_counter() - begin
    return check.result(unit, recording.name, seconds, recorded=recorded)


def take(check: Check, recording: Recording, span: slice) -> None:
    """Compare the clocks `span` of a recording."""
    stimulus, unknown = read(recording, check.inputs, span)
    got, masks = read(recording, check.outputs, span)
    check.take(stimulus, got, {**unknown, **masks})
