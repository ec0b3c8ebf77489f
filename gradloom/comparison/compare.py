"""A unit against its twin: every output port, at every clock edge.

The component is simulated on a stimulus, the twin is run on the same one, batch by batch, and the
first difference is reported with the clocks around it; on request a waveform file opens there.
"""

from collections.abc import Iterable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from time import perf_counter

import numpy as np
from amaranth.lib import wiring
from numpy.typing import ArrayLike

from golden.port import checked, completed
from golden.twin import Trace
from gradloom.comparison import waves as _waves
from gradloom.comparison.check import Check, Runs, goes_on
from gradloom.comparison.report import Comparison, Difference, Recorded
from gradloom.sim.simulation import Progress, Simulation
from gradloom.sim.simulators import SimulatorName, ready
from gradloom.units import twin_of

__all__ = ["BATCH", "Comparison", "Difference", "Recorded", "Runs", "compare"]

#: Clocks that are simulated, then compared, in one go.
BATCH = 1 << 16

#: A stimulus: port name to integers.
Inputs = Mapping[str, ArrayLike]


def compare(
    component: wiring.Component,
    inputs: Inputs | Iterable[Inputs],
    twin: Runs | None = None,
    simulator: SimulatorName | Simulation = "pysim",
    waves: str | PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Compare every output of a component with its twin, at every clock edge of a stimulus.

    Memory does not grow with the clocks, except for the stimulus itself: a long one can be an
    iterable of batches that are made when they are needed.

    Parameters
    ----------
    component
        The unit.
    inputs
        Port name to integers, one entry per clock edge, and a second axis where the port carries
        lanes. A port that is missing, `rst` among them, is 0 for both sides. Or an iterable of
        batches of that, each of which goes on where the one before ended.
    twin
        Its twin: outputs have the names of the component's output ports. One that has `run` alone,
        without `initial` and `advance`, runs on the whole stimulus at once. A unit's own twin if
        left out.
    simulator
        "pysim", "cxxrtl", or what `prepare` returned for this component.
    waves
        A folder or a .vcd file: where waveforms are written if there is a difference.
    progress
        Called now and then with the clocks that are simulated and the clocks that there are; of
        batches, `inputs.clocks`, or those that were asked for so far.

    Raises
    ------
    ValueError
        The stimulus does not fit the ports, or the twin's outputs are not those of the component.
    TypeError
        The component is no unit, and no twin was given.

    Examples
    --------
    >>> import golden, hdl
    >>> from gradloom import random_inputs
    >>> config = golden.WeightQuantizerConfig(lanes=2)
    >>> bool(compare(hdl.WeightQuantizer(config), random_inputs(config.ports, 100, seed=1)))
    True
    """
    if twin is None:
        twin = twin_of(component)
    simulation = ready(component, simulator)
    check = Check(simulation.flat, twin, before=_waves.BEFORE, after=_waves.AFTER)
    total = getattr(inputs, "clocks", 0)
    early: list[Trace] = []
    seconds = 0.0
    state = simulation.initial()
    for stimulus, known in _batches(simulation, inputs, whole=not goes_on(twin)):
        done, total = check.clocks, max(total, known)

        def tell(more: int, clocks: int, done: int = done, total: int = total) -> None:
            if progress:
                progress(done + more, total)

        begin = perf_counter()
        state, got = simulation.advance(state, stimulus, tell)
        seconds += perf_counter() - begin
        if waves is not None and done < _waves.MOST_EARLY:
            early.append({name: values[: _waves.MOST_EARLY] for name, values in stimulus.items()})
        check.take(stimulus, got)
    state.close()
    files: list[Path] = []
    if waves is not None and check.difference is not None:
        assert check.window is not None and check.port is not None
        first = check.port, check.difference.cycle
        files = _waves.write(Path(waves), simulation, check.window, first, _joined(early))
    return check.result(type(component).__name__, simulation.name, seconds, files)


def _batches(
    simulation: Simulation, inputs: Inputs | Iterable[Inputs], whole: bool
) -> Iterator[tuple[Trace, int]]:
    """Batches of a stimulus with all inputs, one batch if `whole`; each with the number of clocks
    that there are at least.
    """
    if not isinstance(inputs, Mapping):
        if whole:
            inputs = _joined([_complete(simulation, batch) for batch in inputs])
        else:
            clocks = 0
            for batch in inputs:
                stimulus = _complete(simulation, batch, clocks)
                clocks += len(stimulus["rst"])
                yield stimulus, clocks
            if not clocks:
                raise ValueError("there is no batch of inputs")
            return
    stimulus = _complete(simulation, inputs)
    clocks = len(stimulus["rst"])
    length = clocks if whole else BATCH
    for start in range(0, clocks, length):
        yield {name: values[start : start + length] for name, values in stimulus.items()}, clocks


def _complete(simulation: Simulation, inputs: Inputs, start: int = 0) -> Trace:
    """`inputs`, known to fit the ports, with zeros for those that are missing."""
    try:
        clocks, given = checked(simulation.inputs, inputs)
    except ValueError as error:
        if not start:
            raise
        raise ValueError(f"in the batch that begins at clock {start}: {error}") from error
    return completed(simulation.inputs, given, clocks)


def _joined(parts: list[Trace]) -> Trace:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
