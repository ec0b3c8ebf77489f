"""The base of all simulators: runs that can be continued, batch by batch."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from amaranth.lib import wiring
from numpy.typing import ArrayLike, NDArray

from golden import check
from golden.fixed import Codes
from golden.port import checked, inputs_of, outputs_of
from golden.twin import Trace
from gradloom.sim.packing import Packing, Rows
from gradloom.sim.toplevel import TopLevel

if TYPE_CHECKING:
    from gradloom.sim.probes import Probes

#: Called with the number of simulated clocks and the number of all clocks.
Progress = Callable[[int, int], None]


class Engine(Protocol):
    """A run of a component in a simulator."""

    def run(self, rows: Rows) -> Rows:
        """Simulate the clocks with the inputs `rows`. Returns the outputs, one row per clock."""

    def play(self, surroundings: Any, rows: Rows, clocks: int, dense: bool) -> Rows:
        """Simulate some clocks in an environment, whose parts set their inputs in `rows`.

        Parameters
        ----------
        surroundings
            The parts.
        rows
            Inputs: one row per clock, or one row for all clocks.
        clocks
            Number of clocks.
        dense
            Return the outputs of every clock, one row per clock, and not only those of the last.
        """

    def close(self) -> None:
        """End the run."""


class Surrounded(Protocol):
    """The parts of an environment in a simulator."""

    def take_events(self, part: int) -> NDArray[np.uint32]:
        """Return the words of a part's events, and remove them."""

    def words(self, part: int) -> NDArray[np.uint32]:
        """Return the words of a memory."""

    def send(self, part: int, rows: Rows) -> None:
        """Give a source further beats, one row of words each."""

    def done(self, part: int) -> bool:
        """Return whether a part is done."""


class State:
    """State of a simulation. It can be advanced only once.

    Attributes
    ----------
    clock : int
        Number of simulated clocks.
    """

    def __init__(self, simulation: "Simulation", engine: Engine, clock: int):
        self.clock = clock
        self._simulation = simulation
        self._engine: Engine | None = engine

    def engine(self, simulation: "Simulation") -> Engine:
        """Return the engine, if this state can be advanced by `simulation`."""
        if simulation is not self._simulation:
            raise ValueError("the state belongs to another simulation")
        if self._engine is None:
            raise ValueError(
                f"the state at clock {self.clock} has been advanced already: a simulator's state "
                "can be advanced once, continue from the state that advance returned"
            )
        return self._engine

    def moved(self, clocks: int) -> "State":
        """Return the state after `clocks` more clocks. This state cannot be used any more."""
        engine, self._engine = self.engine(self._simulation), None
        return State(self._simulation, engine, self.clock + clocks)

    def close(self) -> None:
        """End the run. Its engine can then be used for another run. Garbage collection of the state
        does this too.

        A waveform file of the run is complete only after this.
        """
        if self._engine is not None:
            self._simulation._end(self._engine)
            self._engine = None

    def __del__(self) -> None:
        # Garbage is collected in any order: parts of the engine may be gone already.
        with suppress(RuntimeError):
            self.close()


class Simulation(ABC):
    """A component in a simulator.

    `run` begins in the reset state. A run can also be cut into batches: `initial` returns the reset
    state, `advance` the outputs of some clocks and the state after them. Unlike the state of a
    twin, that of a simulation can be advanced only once.

    Parameters
    ----------
    component
        The unit.
    probes
        Signals inside the component that are recorded like outputs: port name to a value of the
        component, to the path of a signal (`fifo.storage.w_port__en`), or to a path and the shape
        of the signal's bits.

    Attributes
    ----------
    name : str
        Name of the simulator.
    flat : list of Port
        Plain ports of the component without `clk` and `rst`.
    inputs, outputs : list of Port
        Ports of a stimulus (`rst` first) and of a trace (probes last).
    packed_inputs, packed_outputs : Packing
        Their positions in the rows of words of the simulators.

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
    #: Number of clocks that are packed and simulated at once, so that they stay in the cache.
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
        """Return the outputs of a run from the reset state on; see `simulate`."""
        state = self.initial()
        try:
            state, trace = self.advance(state, inputs, progress)
        finally:
            state.close()
        return trace

    def initial(self) -> State:
        """Return the reset state. There can be several runs at the same time."""
        return State(self, self._begin(), 0)

    def advance(
        self, state: State, inputs: Mapping[str, ArrayLike], progress: Progress | None = None
    ) -> tuple[State, Trace]:
        """Simulate the clocks after `state`, which cannot be used any more.

        Parameters
        ----------
        state
            Result of `initial` or of the last `advance` of this simulation.
        inputs
            See `simulate`; at least one clock.
        progress
            Called now and then with the number of simulated clocks and the number of all clocks of
            this batch.

        Returns
        -------
        state : State
            The state after these clocks.
        outputs : dict of str to ndarray
            Output port to its values: shape (clocks,), or (clocks, lanes) if the port has lanes.

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
        """Return the parts of an environment, given their description `text`."""
        from gradloom.sim.players import Surroundings

        return Surroundings(text.tolist(), names)

    def play(
        self, state: State, surroundings: Surrounded, clocks: int, inputs: Trace, dense: bool
    ) -> Iterator[tuple[slice, Rows, Rows]]:
        """Simulate some clocks in an environment, batch by batch.

        Yields
        ------
        span : slice
            The clocks of the batch.
        inputs, outputs : ndarray of uint32
            Rows of words: one row per clock or, if not `dense`, a single one.
        """
        engine = state.engine(self)
        for start in range(0, clocks, self.batch):
            span = slice(start, min(start + self.batch, clocks))
            rows = self.packed_inputs.pack(inputs, span if inputs or dense else slice(0, 1))
            yield span, rows, engine.play(surroundings, rows, span.stop - start, dense)

    @abstractmethod
    def _begin(self) -> Engine:
        """Return an engine in the reset state."""

    @abstractmethod
    def _end(self, engine: Engine) -> None:
        """End the run of `engine`."""


def top_level(component: wiring.Component, probes: "Probes | None") -> TopLevel:
    """Return a component with plain ports, and with its probes as outputs."""
    check.instance("component", component, wiring.Component)
    if not probes:
        return TopLevel(component)
    from gradloom.sim.probes import probed

    return probed(component, probes)
