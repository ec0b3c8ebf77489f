"""Two simulators behind one call: the same stimulus gives the same trace.

`pysim` is Amaranth's own: nothing to compile, some hundred to some ten thousand clocks a second.
`cxxrtl` compiles the unit to a library first (seconds, then cached) and runs some hundred thousand
clocks a second.

An entry of a stimulus or of a trace is the value just before a clock edge; entry 0 is the reset
state. An output that depends on an input without a register shows in the same entry.

Two things are left open by Amaranth, and the simulators differ there: the register of a memory's
read port goes back to its first value with the reset in `pysim` and keeps its value in RTLIL (so in
`cxxrtl` and in Verilog), and a memory that is addressed beyond its last word. A unit shows neither.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np
from amaranth.hdl import Cat, Elaboratable, Module, Signal
from amaranth.lib import wiring
from amaranth.sim import Simulator
from numpy.typing import ArrayLike, NDArray

from golden.fixed import Codes
from golden.port import Port, checked, inputs_of, outputs_of
from golden.twin import Trace
from gradloom.packing import Packing, Rows, words_of
from gradloom.ports import TopLevel

if TYPE_CHECKING:
    from gradloom.sim.probes import Probes

#: Called with the clocks that are done and the clocks that there are.
Progress = Callable[[int, int], None]

SimulatorName = Literal["pysim", "cxxrtl"]

#: Nanoseconds from one clock edge to the next, in waveforms.
PERIOD = 10

#: Words of the widest signal of the bench, unless a port is wider itself.
_WIDEST_SIGNAL = 256


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
    """What surrounds a design, at work; see `gradloom.sim`."""

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
        self.top = _top(component, probes)
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
        """Surroundings of which `text` is the description; see `gradloom.sim.environment`."""
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


def _top(component: wiring.Component, probes: "Probes | None") -> TopLevel:
    if not probes:
        return TopLevel(component)
    from gradloom.sim.probes import probed

    return probed(component, probes)


class Pysim(Simulation):
    """A component in Amaranth's own simulator.

    Parameters
    ----------
    component
        The unit.
    vcd
        A file to be written with every signal inside the unit, at a tenth of the speed.
    probes
        As in `Simulation`.
    """

    name = "pysim"
    batch = 256  # for progress to be seen

    def __init__(
        self,
        component: wiring.Component,
        vcd: str | PathLike[str] | None = None,
        probes: "Probes | None" = None,
    ):
        super().__init__(component, probes)
        self._vcd = None if vcd is None else fspath(vcd)
        # Making an engine takes long: one whose run is over serves again.
        self._idle = [self._new()]

    def _new(self) -> "_PysimEngine":
        return _PysimEngine(self.top, self.packed_inputs, self.packed_outputs)

    def _begin(self) -> Engine:
        engine = self._idle.pop() if self._idle else self._new()
        engine.begin(self._vcd)
        return engine

    def _end(self, engine: Engine) -> None:
        assert isinstance(engine, _PysimEngine)
        engine.close()
        self._idle.append(engine)


#: Clocks to be simulated: yields inputs, and is sent the outputs.
Clocks = Generator[int, int, None]


class _PysimEngine:
    """Amaranth's simulator with a testbench that drives the clock by hand."""

    def __init__(self, top: TopLevel, inputs: Packing, outputs: Packing):
        self._top = top
        self._bench = _Bench(top, inputs, outputs)
        self._size = outputs.words * 4
        self._simulator = Simulator(self._bench)
        self._file = ExitStack()
        self._fresh = True
        self._open = self._vcd = False
        self._job: Clocks | None = None

    def begin(self, vcd: str | None) -> None:
        """Go to the reset state; write a waveform from now on if `vcd` names a file."""
        if self._fresh:
            self._simulator.add_testbench(self._testbench)
        else:
            self._simulator.reset()
        self._fresh, self._open, self._job, self._vcd = False, True, None, vcd is not None
        if vcd is not None:
            self._file.enter_context(self._simulator.write_vcd(vcd))

    def close(self) -> None:
        self._open = False
        self._simulator.advance()  # for the testbench to come to its end
        self._file.close()

    def run(self, rows: Rows) -> Rows:
        answers: list[bytes] = []

        def clocks() -> Clocks:
            for row in rows:
                answer = yield int.from_bytes(row.tobytes(), "little")
                answers.append(answer.to_bytes(self._size, "little"))

        self._do(clocks())
        return np.frombuffer(b"".join(answers), "<u4").reshape(len(rows), -1)

    def play(self, surroundings: Any, rows: Rows, clocks: int, dense: bool) -> Rows:
        answers = np.zeros((clocks if dense else 1, self._size // 4), np.uint32)

        def play() -> Clocks:
            for clock in range(clocks):
                given = rows[clock if len(rows) == clocks else 0]
                row = [*given.tolist(), *[0] * answers.shape[1]]
                surroundings.drive(row)
                given[:] = row[: len(given)]
                answer = yield int.from_bytes(given.tobytes(), "little")
                words = np.frombuffer(answer.to_bytes(self._size, "little"), "<u4")
                answers[clock if dense else 0] = words
                row[len(given) :] = words.tolist()
                surroundings.observe(row)

        self._do(play())
        return answers

    def _do(self, job: Clocks) -> None:
        self._job = job
        while self._job is not None:
            self._simulator.advance()

    async def _testbench(self, ctx: Any) -> None:
        """Simulate the clocks of each job: where no waveform is written, no time need pass."""
        clk = self._top.clk
        stimulus, answer = Cat(*self._bench.stimulus), Cat(*self._bench.answer)
        # The highest bit is the clock: inputs change and the clock falls in one step.
        stimulus_and_fall = Cat(*self._bench.stimulus, clk)
        last = None
        while self._open:
            job = self._job
            word = next(job, None) if job else None
            while job and word is not None:
                if self._vcd:
                    ctx.set(stimulus, word)
                    await ctx.delay(PERIOD / 2 * 1e-9)
                    ctx.set(clk, 0)
                    await ctx.delay(PERIOD / 2 * 1e-9)
                elif word != last:
                    ctx.set(stimulus_and_fall, word)
                    last = word
                else:
                    ctx.set(clk, 0)
                got = ctx.get(answer)
                try:
                    word = job.send(got)
                except StopIteration:
                    word = None
                ctx.set(clk, 1)
            self._job = None
            await ctx.delay(0)  # another job goes on here


class _Bench(Elaboratable):
    """A top level whose inputs are one signal and whose outputs are another, laid out as rows.

    A set and a get of one plain signal are quick; of many, they take longer than a small unit
    itself. Only very wide rows take several signals.
    """

    def __init__(self, top: TopLevel, inputs: Packing, outputs: Packing):
        self.top = top
        self._inputs = _grouped(inputs)
        self._outputs = _grouped(outputs)
        self.stimulus = [signal for signal, _ in self._inputs]
        self.answer = [signal for signal, _ in self._outputs]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.top = self.top
        for signal, ports in self._inputs:
            for port, bit in ports:
                m.d.comb += self.top.signals[port.name].eq(signal[bit:])
        for signal, ports in self._outputs:
            for port, bit in ports:
                m.d.comb += signal[bit : bit + port.bits].eq(self.top.signals[port.name])
        return m


def _grouped(packing: Packing) -> list[tuple[Signal, list[tuple[Port, int]]]]:
    """Signals that make up a row, each with its ports and their lowest bits."""
    groups: list[list[tuple[Port, int]]] = []
    for port, word in packing.places:
        # Python writes no numbers of more than 4300 digits, and the simulator writes its masks.
        if not groups or word - groups[-1][0][1] + words_of(port) > _WIDEST_SIGNAL:
            groups.append([])
        groups[-1].append((port, word))
    starts = [group[0][1] for group in groups]
    stops = [*starts[1:], packing.words]
    return [
        (
            Signal((stop - start) * 32, name=f"row_{start}"),
            [(port, (word - start) * 32) for port, word in group],
        )
        for group, start, stop in zip(groups, starts, stops)
    ]


def prepare(
    component: wiring.Component,
    simulator: SimulatorName = "pysim",
    probes: "Probes | None" = None,
) -> Simulation:
    """Make `component` ready for several runs.

    This is where `cxxrtl` compiles; several components may be built at once, in threads or
    processes. A design of several modules is a component that connects them.

    Parameters
    ----------
    component
        The unit.
    simulator
        "pysim" or "cxxrtl".
    probes
        Signals inside the unit that are recorded like outputs: port name to a value of the
        component; or to the path of a signal, as in `fifo.storage.w_port__en`; or to such a path
        and the shape that the bits have.
    """
    match simulator:
        case "pysim":
            return Pysim(component, probes=probes)
        case "cxxrtl":
            from gradloom.cxxrtl import Cxxrtl

            return Cxxrtl(component, probes)
    raise ValueError(f"simulator = {simulator!r}: pysim and cxxrtl are known")


def ready(component: wiring.Component, simulator: SimulatorName | Simulation) -> Simulation:
    """What runs `component`: `simulator` itself if it was built for it, or else built now."""
    if not isinstance(simulator, Simulation):
        return prepare(component, simulator)
    if simulator.component is not component:
        raise ValueError(f"the simulation was built for another {type(component).__name__}")
    return simulator


def simulate(
    component: wiring.Component,
    inputs: Mapping[str, ArrayLike],
    simulator: SimulatorName | Simulation = "pysim",
    progress: Progress | None = None,
) -> Trace:
    """Run a unit on a stimulus.

    Parameters
    ----------
    component
        The unit.
    inputs
        Port name to integers, one entry a clock edge, and a second axis where the port carries
        lanes. `rst` can be among them; a port that is missing is 0.
    simulator
        "pysim", "cxxrtl", or what `prepare` gave for this component.
    progress
        Called now and then with the clocks that are done and the clocks that there are.

    Returns
    -------
    Every output port's values just before every edge.

    Raises
    ------
    ValueError
        A name is unknown, lengths do not match, or a value is out of its port's range.
    """
    return ready(component, simulator).run(inputs, progress)
