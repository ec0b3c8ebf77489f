"""What every simulator of a unit does: runs that can go on, one batch of clocks after another."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from amaranth.lib import wiring
from numpy.typing import ArrayLike, NDArray

from golden.fixed import Codes
from golden.port import checked, inputs_of, outputs_of
from golden.twin import Trace
from gradloom.sim.packing import Packing, Rows
from gradloom.sim.toplevel import TopLevel

if TYPE_CHECKING:
    from gradloom.sim.probes import Probes

#: Called with the clocks that are done and the clocks that there are.
Progress = Callable[[int, int], None]


class Engine(Protocol):
    """One run of a component in a simulator, somewhere in its time."""

    def run(self, rows: Rows) -> Rows:
        """Simulate the clocks whose inputs are `rows`; return their outputs."""

    def play(self, surroundings: Any, rows: Rows, clocks: int, dense: bool) -> Rows:
        """The same with surroundings, which set their inputs in `rows`: one row for every clock, or
        a single one for all of them. Returns all outputs if they are to be `dense`, or those of
        the last clock.
        """

    def close(self) -> None:
        """The run is over."""


class Surrounded(Protocol):
    """The parts of an environment at work; see `gradloom.sim`."""

    def take_events(self, part: int) -> NDArray[np.uint32]:
        """Words of a part's events, which are forgotten then."""

    def words(self, part: int) -> NDArray[np.uint32]:
        """Words of a memory."""

    def done(self, part: int) -> bool:
        """Whether a part has nothing left to do."""


class State:
    """Where a simulation is after some clocks; good for one `advance`.

    Attributes
    ----------
    clock : int
        Clocks that have been simulated.
    """

    def __init__(self, simulation: "Simulation", engine: Engine, clock: int):
        self.clock = clock
        self._simulation = simulation
        self._engine: Engine | None = engine

    def engine(self, simulation: "Simulation") -> Engine:
        """The engine, if this state can be advanced by `simulation`."""
        if simulation is not self._simulation:
            raise ValueError("the state belongs to another simulation")
        if self._engine is None:
            raise ValueError(
                f"the state at clock {self.clock} has been advanced already: a simulator's state "
                "is good for one use, go on from the state that advance returned"
            )
        return self._engine

    def moved(self, clocks: int) -> "State":
        """The state after `clocks` more, which takes over the engine."""
        engine, self._engine = self.engine(self._simulation), None
        return State(self._simulation, engine, self.clock + clocks)

    def close(self) -> None:
        """End the run; an engine can then serve another one. Also done when the state is dropped.

        The state of a run that has a waveform file must be closed for the file to be whole.
        """
        if self._engine is not None:
            self._simulation._end(self._engine)
            self._engine = None

    def __del__(self) -> None:
        # Garbage is collected in any order: the engine's own parts may be gone.
        with suppress(RuntimeError):
            self.close()


class Simulation(ABC):
    """A component made ready to run.

    `run` begins in the reset state. A run can also be cut into batches: `initial` returns the reset
    state, `advance` the outputs of some clocks and the state after them. Unlike a twin's, a state
    of a simulation can be advanced once only.

    Parameters
    ----------
    component
        The unit.
    probes
        Signals inside the unit that are recorded like outputs: port name to a value of the
        component; or to the path of a signal, as in `fifo.storage.w_port__en`; or to such a path
        and the shape that the bits have.

    Attributes
    ----------
    name : str
        Name of the simulator.
    flat : list of Port
        The unit's plain ports without `clk` and `rst`.
    inputs, outputs : list of Port
        The ports of a stimulus (`rst` first) and of a trace, probes last.
    packed_inputs, packed_outputs : Packing
        Their places in the rows of words that the simulators take.

    Examples
    --------
    >>> import numpy as np, golden, hdl
    >>> from gradloom import prepare
    >>> simulation = prepare(hdl.Lfsr(golden.LfsrConfig()))
    >>> whole = simulation.run({"o_ready": np.ones(100, int)})
    >>> state = simulation.initial()
    >>> state, first = simulation.advance(state, {"o_ready": np.ones(60, int)})
    >>> state, second = simulation.advance(state, {"o_ready": np.ones(40, int)})
    >>> np.array_equal(np.concatenate([first["o_data"], second["o_data"]]), whole["o_data"])
    True
    """

    name: ClassVar[str]
    #: Clocks that are packed and simulated in one go: few enough to stay in the cache.
    batch: int = 16384

    def __init__(self, component: wiring.Component, probes: "Probes | None" = None):
        self.component = component
        self.top = top_level(component, probes)
        self.flat = self.top.flat
        self.inputs = inputs_of(self.flat)
        self.outputs = outputs_of(self.flat)
        self.packed_inputs = Packing(self.inputs)
        self.packed_outputs = Packing(self.outputs)

    def run(self, inputs: Mapping[str, ArrayLike], progress: Progress | None = None) -> Trace:
        """Outputs of a run that begins in the reset state; see `simulate`."""
        state = self.initial()
        try:
            state, trace = self.advance(state, inputs, progress)
        finally:
            state.close()
        return trace

    def initial(self) -> State:
        """The reset state. Several runs may be under way at a time."""
        return State(self, self._begin(), 0)

    def advance(
        self, state: State, inputs: Mapping[str, ArrayLike], progress: Progress | None = None
    ) -> tuple[State, Trace]:
        """State and outputs of the clocks that follow on `state`, which cannot be used again.

        Parameters
        ----------
        state
            From `initial` or the last `advance` of this simulation.
        inputs
            As in `simulate`; at least one clock.
        progress
            Called now and then with the clocks of this batch that are done, and all of them.

        Returns
        -------
        The state after the last clock, and every output port's values, (clocks,) or (clocks,
        lanes).

        Raises
        ------
        ValueError
            The state was advanced before, or the inputs do not fit the ports.
        """
        engine = state.engine(self)
        clocks, values = checked(self.inputs, inputs)
        trace: dict[str, Codes] = {
            port.name: np.empty(port.shape(clocks), np.int64) for port in self.outputs
        }
        after = state.moved(clocks)
        for start in range(0, clocks, self.batch):
            span = slice(start, min(start + self.batch, clocks))
            self.packed_outputs.unpack(
                engine.run(self.packed_inputs.pack(values, span)), trace, span
            )
            if progress:
                progress(span.stop, clocks)
        return after, trace

    def surround(self, text: NDArray[np.uint32], names: Sequence[str]) -> Surrounded:
        """The parts of an environment at work, made of their description `text`."""
        from gradloom.sim.players import Surroundings

        return Surroundings(text.tolist(), names)

    def play(
        self, state: State, surroundings: Surrounded, clocks: int, inputs: Trace, dense: bool
    ) -> Iterator[tuple[slice, Rows, Rows]]:
        """Simulate some clocks among surroundings: batches of clocks, rows of inputs, and of
        outputs; of single clocks if not `dense`.
        """
        engine = state.engine(self)
        for start in range(0, clocks, self.batch):
            span = slice(start, min(start + self.batch, clocks))
            count = span.stop - start
            if inputs or dense:
                rows = np.zeros((count, self.packed_inputs.words), np.uint32)
                if inputs:
                    rows = self.packed_inputs.pack(inputs, span)
            else:
                rows = np.zeros((1, self.packed_inputs.words), np.uint32)
            yield span, rows, engine.play(surroundings, rows, count, dense)

    @abstractmethod
    def _begin(self) -> Engine:
        """An engine in the reset state."""

    @abstractmethod
    def _end(self, engine: Engine) -> None:
        """The run of `engine` is over."""


def top_level(component: wiring.Component, probes: "Probes | None") -> TopLevel:
    """Return a component behind plain ports, with its probes as outputs beside them."""
    if not probes:
        return TopLevel(component)
    from gradloom.sim.probes import probed

    return probed(component, probes)
