"""A simulation of a design in its environment: dense traces, and events."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden.port import Port, checked
from golden.twin import Trace
from gradloom.sim.environment import Layout, Memory, Numbers, Part
from gradloom.sim.packing import Packing
from gradloom.sim.simulation import Progress, Simulation, State, Surrounded

#: Words of a clock's number in an event.
_CLOCK = 2


@dataclass(frozen=True)
class Played:
    """Traces and events of some clocks.

    Parameters
    ----------
    inputs, outputs
        Values of all input and output ports and probes at every edge, as a twin takes and gives
        them; empty if no traces were asked for.
    events
        Events of each watch and host by name: structured arrays with the field `clock` and one for
        each port, int64.
    done
        Whether every source has sent its beats, every host done its accesses, and every memory
        given its answers.
    """

    inputs: Trace
    outputs: Trace
    events: dict[str, NDArray[np.void]]
    done: bool


@dataclass(frozen=True)
class EnvironmentState:
    """State of a design and of its environment; good for one `advance`.

    Parameters
    ----------
    simulation
        The simulation's state.
    surroundings
        The parts at work.
    """

    simulation: State
    surroundings: Surrounded


class Environment:
    """A design and the parts that surround it, in one of the simulators.

    Parameters
    ----------
    simulation
        The design, made ready by `prepare`.
    parts
        Sources, sinks, memories, hosts and watches. No two drive one input port; inputs that none
        drives are given to `advance`, or 0.

    Raises
    ------
    ValueError
        A part does not fit the ports.

    Examples
    --------
    >>> import golden, hdl
    >>> from gradloom import prepare
    >>> from gradloom.sim import Environment, Sink, Source, Watch
    >>> simulation = prepare(hdl.WeightQuantizer(golden.WeightQuantizerConfig()))
    >>> played = Environment(
    ...     simulation,
    ...     Source(stream="i", beats={"data": [[100], [-3], [-100]]}, gaps=(0, 2)),
    ...     Sink(stream="o", stalls=(1,)),
    ...     Watch(name="results", when=("o_valid", "o_ready"), data=("o_data",)),
    ... ).run(20)
    >>> played.done, played.events["results"]["o_data"].tolist()
    (True, [[1], [0], [-1]])
    """

    def __init__(self, simulation: Simulation, *parts: Part):
        self.simulation = simulation
        self.parts = parts
        layout = Layout(simulation.packed_inputs, simulation.packed_outputs)
        numbers: Numbers = [len(parts)]
        for part in parts:
            numbers += [part.kind, *part.text(layout)]
        self._text = np.concatenate([np.atleast_1d(np.asarray(n, np.uint32)) for n in numbers])
        self._driven = set(layout.driven)
        self._names = [f"{type(part).__name__} {part.name}" for part in parts]
        #: Part number, ports and their packing, of each part with events.
        self._events: dict[str, tuple[int, list[Port], Packing]] = {}
        for number, part in enumerate(parts):
            ports = part.recorded(layout)
            if ports is None:
                continue
            if part.name in self._events:
                raise ValueError(f"two parts have events of the name {part.name}")
            self._events[part.name] = number, ports, Packing(ports)
        self._memories = {
            part.name: (number, part.data(layout))
            for number, part in enumerate(parts)
            if isinstance(part, Memory)
        }

    def initial(self) -> EnvironmentState:
        """The reset state, with nothing sent yet."""
        surroundings = self.simulation.surround(self._text, self._names)
        return EnvironmentState(self.simulation.initial(), surroundings)

    def run(
        self, clocks: int, inputs: Mapping[str, ArrayLike] | None = None, trace: bool = True
    ) -> Played:
        """`advance` from the reset state."""
        return self.advance(self.initial(), clocks, inputs, trace)[1]

    def advance(
        self,
        state: EnvironmentState,
        clocks: int,
        inputs: Mapping[str, ArrayLike] | None = None,
        trace: bool = True,
        progress: Progress | None = None,
    ) -> tuple[EnvironmentState, Played]:
        """State after some clocks, and their traces and events.

        Parameters
        ----------
        state
            From `initial` or the last `advance`.
        clocks
            So many, at least 1.
        inputs
            Values of input ports that no part drives, `rst` among them; 0 where one is missing.
        trace
            Whether to record every port at every clock; without that, memory holds events alone.
        progress
            Called now and then with the clocks that are done and all of them.

        Raises
        ------
        ValueError
            Inputs do not fit, or a memory is asked for words that it does not have.
        """
        simulation = self.simulation
        if clocks < 1:
            raise ValueError(f"clocks = {clocks}: at least 1 is needed")
        values: Trace = {}
        if inputs:
            known, values = checked(simulation.inputs, inputs)
            if known != clocks:
                raise ValueError(f"inputs have {known} clocks, not {clocks}")
            if driven := sorted(self._driven & values.keys()):
                raise ValueError(f"inputs: {', '.join(driven)} is driven by a part")
        packed_in, packed_out = simulation.packed_inputs, simulation.packed_outputs
        traces: list[Trace] = [
            {port.name: np.empty(port.shape(clocks), np.int64) for port in ports}
            for ports in ((simulation.inputs, simulation.outputs) if trace else ())
        ]
        events: dict[str, list[NDArray[np.void]]] = {name: [] for name in self._events}
        after = EnvironmentState(state.simulation.moved(clocks), state.surroundings)
        for span, given, answers in simulation.play(
            after.simulation, state.surroundings, clocks, values, dense=trace
        ):
            if trace:
                packed_in.unpack(given, traces[0], span)
                packed_out.unpack(answers, traces[1], span)
            for name, (number, ports, packing) in self._events.items():
                words = state.surroundings.take_events(number)
                if len(words):
                    events[name].append(_unpacked(words, ports, packing))
            if progress:
                progress(span.stop, clocks)
        return after, Played(
            traces[0] if trace else {},
            traces[1] if trace else {},
            {
                name: np.concatenate([np.empty(0, _type(self._events[name][1])), *parts])
                for name, parts in events.items()
            },
            all(state.surroundings.done(number) for number in range(len(self.parts))),
        )

    def words(self, state: EnvironmentState, name: str) -> NDArray[np.int64]:
        """Contents of a memory, by the name of its stream of requests.

        Returns
        -------
        (words,) or (words, lanes)
        """
        number, port = self._memories[name]
        packing = Packing([port])
        rows = state.surroundings.words(number).reshape(-1, packing.words)
        values = {port.name: np.empty(port.shape(len(rows)), np.int64)}
        packing.unpack(rows, values, slice(0, len(rows)))
        return values[port.name]


def _type(ports: list[Port]) -> np.dtype[np.void]:
    """Type of an event."""
    fields = [(port.name, np.int64, port.shape(0)[1:]) for port in ports]
    return np.dtype([("clock", np.int64), *fields])


def _unpacked(words: NDArray[np.uint32], ports: list[Port], packing: Packing) -> NDArray[np.void]:
    """Events of their words."""
    rows = words.reshape(-1, _CLOCK + (packing.words if ports else 0))
    events = np.empty(len(rows), _type(ports))
    events["clock"] = np.ascontiguousarray(rows[:, :_CLOCK]).view(np.int64)[:, 0]
    values = {port.name: np.empty(port.shape(len(rows)), np.int64) for port in ports}
    packing.unpack(rows[:, _CLOCK:], values, slice(0, len(rows)))
    for name, codes in values.items():
        events[name] = codes
    return events
