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
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from os import PathLike, fspath
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from amaranth.hdl import Cat, Elaboratable, Module, Signal
from amaranth.lib import wiring
from amaranth.sim import Simulator
from numpy.typing import ArrayLike

from golden.fixed import Codes
from golden.port import Port, checked, inputs_of, outputs_of
from golden.twin import Trace
from gradloom.packing import Packing, Rows, words_of
from gradloom.ports import TopLevel

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

    def close(self) -> None:
        """The run is over."""


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

    def _engine_of(self, simulation: "Simulation") -> Engine:
        """The engine, if this state can be advanced by `simulation`."""
        if simulation is not self._simulation:
            raise ValueError("the state belongs to another simulation")
        if self._engine is None:
            raise ValueError(
                f"the state at clock {self.clock} has been advanced already: a simulator's state "
                "is good for one use, go on from the state that advance returned"
            )
        return self._engine

    def _moved(self, clocks: int) -> "State":
        """The state after `clocks` more, which takes over the engine."""
        engine, self._engine = self._engine, None
        assert engine is not None
        return State(self._simulation, engine, self.clock + clocks)

    def close(self) -> None:
        """End the run; an engine can then serve another one. Also done when the state is dropped.

        The state of a run that has a waveform file must be closed for the file to be whole.
        """
        if self._engine is not None:
            self._simulation._end(self._engine)
            self._engine = None

    def __del__(self) -> None:
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

    Attributes
    ----------
    name : str
        Name of the simulator.
    flat : list of Port
        The unit's plain ports without `clk` and `rst`.
    inputs, outputs : list of Port
        The ports of a stimulus (`rst` first) and of a trace.

    Examples
    --------
    >>> import numpy as np, golden, hdl
    >>> from gradloom import build
    >>> simulation = build(hdl.Lfsr(golden.LfsrConfig()))
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

    def __init__(self, component: wiring.Component):
        self.component = component
        self.top = TopLevel(component)
        self.flat = self.top.flat
        self.inputs = inputs_of(self.flat)
        self.outputs = outputs_of(self.flat)
        self._in = Packing(self.inputs)
        self._out = Packing(self.outputs)

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
        engine = state._engine_of(self)
        clocks, values = checked(self.inputs, inputs)
        trace: dict[str, Codes] = {
            port.name: np.empty(port.shape(clocks), np.int64) for port in self.outputs
        }
        after = state._moved(clocks)
        for start in range(0, clocks, self.batch):
            span = slice(start, min(start + self.batch, clocks))
            self._out.unpack(engine.run(self._in.pack(values, span)), trace, span)
            if progress:
                progress(span.stop, clocks)
        return after, trace

    @abstractmethod
    def _begin(self) -> Engine:
        """An engine in the reset state."""

    @abstractmethod
    def _end(self, engine: Engine) -> None:
        """The run of `engine` is over."""


class Pysim(Simulation):
    """A component in Amaranth's own simulator.

    Parameters
    ----------
    component
        The unit.
    vcd
        A file to be written with every signal inside the unit, at a tenth of the speed.
    """

    name = "pysim"
    batch = 256  # for progress to be seen

    def __init__(self, component: wiring.Component, vcd: str | PathLike[str] | None = None):
        super().__init__(component)
        self._vcd = None if vcd is None else fspath(vcd)
        # Making an engine takes long: one whose run is over serves again.
        self._idle = [self._new()]

    def _new(self) -> "_PysimEngine":
        return _PysimEngine(self.top, self._in, self._out)

    def _begin(self) -> Engine:
        engine = self._idle.pop() if self._idle else self._new()
        engine.begin(self._vcd)
        return engine

    def _end(self, engine: Engine) -> None:
        assert isinstance(engine, _PysimEngine)
        engine.close()
        self._idle.append(engine)


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
        self._rows: Rows | None = None
        self._answers: list[bytes] = []

    def begin(self, vcd: str | None) -> None:
        """Go to the reset state; write a waveform from now on if `vcd` names a file."""
        if self._fresh:
            self._simulator.add_testbench(self._testbench)
        else:
            self._simulator.reset()
        self._fresh, self._open, self._rows, self._vcd = False, True, None, vcd is not None
        if vcd is not None:
            self._file.enter_context(self._simulator.write_vcd(vcd))

    def close(self) -> None:
        self._open = False
        self._simulator.advance()  # for the testbench to come to its end
        self._file.close()

    def run(self, rows: Rows) -> Rows:
        self._rows, self._answers = rows, []
        while len(self._answers) < len(rows):
            self._simulator.advance()
        return np.frombuffer(b"".join(self._answers), "<u4").reshape(len(rows), -1)

    async def _testbench(self, ctx: Any) -> None:
        """Where no waveform is written, no time need pass."""
        clk = self._top.clk
        stimulus, answer = Cat(*self._bench.stimulus), Cat(*self._bench.answer)
        # The highest bit is the clock: inputs change and the clock falls in one step.
        stimulus_and_fall = Cat(*self._bench.stimulus, clk)
        last = None
        while self._open:
            for row in self._rows if self._rows is not None else ():
                word = int.from_bytes(row.tobytes(), "little")
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
                self._answers.append(ctx.get(answer).to_bytes(self._size, "little"))
                ctx.set(clk, 1)
            self._rows = None
            await ctx.delay(0)  # `run` goes on here with other rows


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


def build(component: wiring.Component, simulator: SimulatorName = "pysim") -> Simulation:
    """Make `component` ready for several runs.

    This is where `cxxrtl` compiles; several components may be built at once, in threads or
    processes.
    """
    match simulator:
        case "pysim":
            return Pysim(component)
        case "cxxrtl":
            from gradloom.cxxrtl import Cxxrtl

            return Cxxrtl(component)
    raise ValueError(f"simulator = {simulator!r}: pysim and cxxrtl are known")


def ready(component: wiring.Component, simulator: SimulatorName | Simulation) -> Simulation:
    """What runs `component`: `simulator` itself if it was built for it, or else built now."""
    if not isinstance(simulator, Simulation):
        return build(component, simulator)
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
        "pysim", "cxxrtl", or what `build` gave for this component.
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
