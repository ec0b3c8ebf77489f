"""Compares a component with its twin: every output port, at every clock edge.

Component and twin run on the same stimulus, batch by batch. The first difference is reported with
the clocks around it, and on request written as a waveform file.
"""

from collections.abc import Iterable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from time import perf_counter

import numpy as np
from amaranth.lib import wiring
from numpy.typing import ArrayLike

from golden.check import shown
from golden.files import tried
from golden.port import checked, completed
from golden.twin import Trace
from gradloom.comparison import waveform_writer
from gradloom.comparison.check import Check, TwinLike, has_advance
from gradloom.comparison.report import Comparison, Difference, Recorded
from gradloom.sim.simulation import Progress, Simulation
from gradloom.sim.simulators import SimulatorName, ready
from gradloom.units import twin_of

__all__ = ["BATCH", "Comparison", "Difference", "Recorded", "TwinLike", "compare"]

#: Number of clocks in a batch.
BATCH = 1 << 16

#: A stimulus: port name to integers.
Inputs = Mapping[str, ArrayLike]


def compare(
    component: wiring.Component,
    inputs: Inputs | Iterable[Inputs],
    twin: TwinLike | None = None,
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
        The component.
    inputs
        Port name to integers, one entry per clock edge, with a second axis if the port has lanes.
        A port without an entry (`rst`, for example) is 0. Or an iterable of such mappings: batches
        that follow each other.
    twin
        The twin, whose outputs have the names of the component's output ports. A twin that has
        `run` only, without `initial` and `advance`, runs on the whole stimulus at once. The default
        for one of gradloom's units is its own twin.
    simulator
        "pysim", "cxxrtl", or what `prepare` returned for this component.
    waves
        A folder or a .vcd file for waveforms, which are written if there is a difference.
    progress
        Called now and then with the number of simulated clocks and the number of all clocks. If
        `inputs` are batches, the latter is `inputs.clocks` or, without this attribute, the number
        of clocks in the batches so far.

    Returns
    -------
    Comparison
        Its truth value is whether component and twin agree.

    Raises
    ------
    ValueError
        The stimulus does not fit the ports, the twin has other ports, or its outputs are not those
        of the component.
    TypeError
        The component is not one of gradloom's units, and no twin was given; or an argument is of
        another kind.

    Examples
    --------
    >>> import golden, hdl
    >>> from gradloom import random_inputs
    >>> config = golden.WeightQuantizerConfig(lanes=2)
    >>> bool(compare(hdl.WeightQuantizer(config), random_inputs(config.ports, 100, seed=1)))
    True
    """
    if waves is not None:
        place = Path(waves)
        if place.suffix == ".vcd":
            tried(place.parent, [place.name])
        else:
            tried(place)
    if twin is None:
        twin = twin_of(component)
    if isinstance(inputs, str | np.ndarray) or not isinstance(inputs, Iterable):
        raise TypeError(
            f"inputs = {shown(inputs)}: a mapping of port names to integers is wanted, "
            "or an iterable of them"
        )
    simulation = ready(component, simulator)
    check = Check(simulation.flat, twin, before=waveform_writer.BEFORE, after=waveform_writer.AFTER)
    total = getattr(inputs, "clocks", 0)
    early: list[Trace] = []
    seconds = 0.0
    state = simulation.initial()
    try:
        for stimulus, known in _batches(simulation, inputs, whole=not has_advance(twin)):
            done, total = check.clocks, max(total, known)

            def report(more: int, clocks: int, done: int = done, total: int = total) -> None:
                if progress:
                    progress(done + more, total)

            begin = perf_counter()
            state, got = simulation.advance(state, stimulus, report)
            seconds += perf_counter() - begin
            if waves is not None and done < waveform_writer.MOST_EARLY:
                early.append(
                    {
                        name: values[: waveform_writer.MOST_EARLY]
                        for name, values in stimulus.items()
                    }
                )
            check.take(stimulus, got)
    finally:
        state.close()
    files: list[Path] = []
    if waves is not None and check.difference is not None:
        assert check.window is not None and check.port is not None
        first = check.port, check.difference.cycle
        files = waveform_writer.write(Path(waves), simulation, check.window, first, _joined(early))
    return check.result(type(component).__name__, simulation.name, seconds, files)


def _batches(
    simulation: Simulation, inputs: Inputs | Iterable[Inputs], whole: bool
) -> Iterator[tuple[Trace, int]]:
    """Yield batches of a stimulus with all inputs, or one batch if `whole`, each with the number of
    clocks that are known so far.
    """
    if not isinstance(inputs, Mapping):
        clocks, batches = 0, list[Trace]()
        for batch in inputs:
            stimulus = _complete(simulation, batch, clocks)
            clocks += len(stimulus["rst"])
            if whole:
                batches.append(stimulus)
            else:
                yield stimulus, clocks
        if not clocks:
            raise ValueError("inputs has no batch")
        if not whole:
            return
        inputs = _joined(batches)
    stimulus = _complete(simulation, inputs)
    clocks = len(stimulus["rst"])
    length = clocks if whole else BATCH
    for start in range(0, clocks, length):
        yield {name: values[start : start + length] for name, values in stimulus.items()}, clocks


def _complete(simulation: Simulation, inputs: Inputs, start: int = 0) -> Trace:
    """Return `inputs`, checked against the ports, with zeros for the ports without an entry."""
    try:
        clocks, given = checked(simulation.inputs, inputs)
    except (TypeError, ValueError) as error:
        if not start:
            raise
        raise type(error)(f"in the batch that begins at clock {start}: {error}") from error
    return completed(simulation.inputs, given, clocks)


def _joined(parts: list[Trace]) -> Trace:
    """Return consecutive traces as one."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
