"""A simulation of a design in its environment: dense traces, and events."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden import check
from golden.port import Port, checked
from golden.twin import Trace
from gradloom.sim.environment import Layout, Memory, Numbers, Part, Source
from gradloom.sim.packing import Packing
from gradloom.sim.simulation import Progress, Simulation, State, Surrounded

#: Number of words for the number of the clock in an event.
_CLOCK = 2


@dataclass(frozen=True)
class Played:
    """Traces and events of some clocks.

    Parameters
    ----------
    inputs, outputs
        Port name to values at every edge, one row per clock, for all input ports, and for all
        output ports and probes. Empty without traces.
    events
        Name of a watch or host to its events: a structured array with the field `clock` and one
        field per port, int64.
    done
        Every source has sent its beats, every host has finished its accesses, and every memory has
        returned its words.
    """

    inputs: Trace
    outputs: Trace
    events: dict[str, NDArray[np.void]]
    done: bool


@dataclass(frozen=True)
class EnvironmentState:
    """State of a design and of its environment. It can be advanced only once.

    Parameters
    ----------
    simulation
        The simulation's state.
    surroundings
        The state of the parts.
    """

    simulation: State
    surroundings: Surrounded


class Environment:
    """A design and the parts that surround it, in one of the simulators.

    Parameters
    ----------
    simulation
        The design, built by `prepare`.
    parts
        Sources, sinks, memories, hosts and watches. An input port can be driven by one part only.
        Inputs without a part are arguments of `advance`, or 0.

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
        check.instance("simulation", simulation, Simulation)
        for part in parts:
            check.instance("a part", part, Part)
        self.simulation = simulation
        self.parts = parts
        self._layout = layout = Layout(simulation.packed_inputs, simulation.packed_outputs)
        numbers: Numbers = [len(parts)]
        for part in parts:
            numbers += [part.kind, *part.text(layout)]
        self._text = np.concatenate([np.atleast_1d(np.asarray(n, np.uint32)) for n in numbers])
        self._driven = set(layout.driven)
        self._names = [f"{type(part).__name__} {part.name}" for part in parts]
        #: For each part with events: its number, the ports and their packing.
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
        self._sources = {
            part.name: (number, part)
            for number, part in enumerate(parts)
            if isinstance(part, Source)
        }

    def initial(self) -> EnvironmentState:
        """Return the reset state."""
        surroundings = self.simulation.surround(self._text, self._names)
        return EnvironmentState(self.simulation.initial(), surroundings)

    def run(
        self, clocks: int, inputs: Mapping[str, ArrayLike] | None = None, trace: bool = True
    ) -> Played:
        """Return traces and events of clocks from the reset state on; see `advance`."""
        return self.advance(self.initial(), clocks, inputs, trace)[1]

    def advance(
        self,
        state: EnvironmentState,
        clocks: int,
        inputs: Mapping[str, ArrayLike] | None = None,
        trace: bool = True,
        progress: Progress | None = None,
    ) -> tuple[EnvironmentState, Played]:
        """Simulate some clocks.

        Parameters
        ----------
        state
            Result of `initial` or of the last `advance`.
        clocks
            Number of clocks, at least 1.
        inputs
            Values of input ports without a part, such as `rst`: one row per clock. Ports without an
            entry are 0.
        trace
            Record every port at every clock. If false, only events are recorded.
        progress
            Called now and then with the number of simulated clocks and the number of all clocks.

        Returns
        -------
        state : EnvironmentState
            The state after these clocks.
        played : Played
            Their traces and events.

        Raises
        ------
        ValueError
            Inputs do not fit the ports, or a request is for words that a memory does not have.
        """
        simulation = self.simulation
        clocks = check.whole("clocks", clocks, 1)
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

    def send(self, state: EnvironmentState, stream: str, beats: Mapping[str, ArrayLike]) -> None:
        """Give a source further beats, from a state on. So a run of any length needs little memory.

        Parameters
        ----------
        state
            The state that is advanced next.
        stream
            Name of the source's stream.
        beats
            See `Source`.

        Raises
        ------
        ValueError
            There is no source of this name, or the beats do not fit its ports.

        Examples
        --------
        >>> import numpy as np, golden, hdl
        >>> from gradloom import prepare
        >>> from gradloom.sim import Environment, Sink, Source, Watch
        >>> environment = Environment(
        ...     prepare(hdl.WeightQuantizer(golden.WeightQuantizerConfig())),
        ...     Source(stream="i", beats={"data": [[100]]}),
        ...     Sink(stream="o"),
        ...     Watch(name="results", when=("o_valid", "o_ready"), data=("o_data",)),
        ... )
        >>> state, first = environment.advance(environment.initial(), 20)
        >>> environment.send(state, "i", {"data": [[-3], [-100]]})
        >>> state, second = environment.advance(state, 20)
        >>> second.done, second.events["results"]["o_data"].tolist()
        (True, [[0], [-1]])
        """
        if stream not in self._sources:
            known = ", ".join(self._sources) or "none"
            raise ValueError(f"there is no source {stream}; there is {known}")
        number, source = self._sources[stream]
        state.surroundings.send(number, source.rows(self._layout, beats))

    def begun_again(self, state: EnvironmentState) -> EnvironmentState:
        """Return the design of a state with all parts as at the beginning, at clock 0 of theirs.

        Beats that a source has not sent are gone. The state that is given cannot be used any more.
        """
        surroundings = self.simulation.surround(self._text, self._names)
        return EnvironmentState(state.simulation, surroundings)

    def words(self, state: EnvironmentState, name: str) -> NDArray[np.int64]:
        """Return the contents of a memory, given the name of its stream of requests.

        Returns
        -------
        ndarray of int64
            Shape (words,) or (words, lanes).
        """
        number, port = self._memories[name]
        packing = Packing([port])
        rows = state.surroundings.words(number).reshape(-1, packing.words)
        values = {port.name: np.empty(port.shape(len(rows)), np.int64)}
        packing.unpack(rows, values, slice(0, len(rows)))
        return values[port.name]


def _type(ports: list[Port]) -> np.dtype[np.void]:
    """Return the type of an event."""
    fields = [(port.name, np.int64, port.shape(0)[1:]) for port in ports]
    return np.dtype([("clock", np.int64), *fields])


def _unpacked(words: NDArray[np.uint32], ports: list[Port], packing: Packing) -> NDArray[np.void]:
    """Return events, given their words."""
    rows = words.reshape(-1, _CLOCK + (packing.words if ports else 0))
    events = np.empty(len(rows), _type(ports))
    events["clock"] = np.ascontiguousarray(rows[:, :_CLOCK]).view(np.int64)[:, 0]
    values = {port.name: np.empty(port.shape(len(rows)), np.int64) for port in ports}
    packing.unpack(rows[:, _CLOCK:], values, slice(0, len(rows)))
    for name, codes in values.items():
        events[name] = codes
    return events
