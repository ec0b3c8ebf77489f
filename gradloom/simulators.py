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
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from os import PathLike, fspath
from typing import Any, ClassVar, Literal

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


class Simulation(ABC):
    """A component made ready to run; each run begins in the reset state.

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
        What a stimulus can name (`rst` first) and what a trace holds.
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
        """Every output at every edge, for the inputs at every edge; see `simulate`."""
        clocks, values = checked(self.inputs, inputs)
        trace: dict[str, Codes] = {
            port.name: np.empty(port.shape(clocks), np.int64) for port in self.outputs
        }
        spans = [
            slice(start, min(start + self.batch, clocks)) for start in range(0, clocks, self.batch)
        ]
        done = iter(spans)

        def accept(rows: Rows) -> None:
            span = next(done)
            self._out.unpack(rows, trace, span)
            if progress:
                progress(span.stop, clocks)

        self._run((self._in.pack(values, span) for span in spans), accept)
        return trace

    @abstractmethod
    def _run(self, batches: Iterable[Rows], accept: Callable[[Rows], None]) -> None:
        """From the reset state, answer each batch of input rows with as many output rows."""


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
        self._bench = _Bench(self.top, self._in, self._out)
        self._simulator = Simulator(self._bench)
        self._fresh = True
        self._job: tuple[Iterable[Rows], Callable[[Rows], None]] = ((), lambda rows: None)

    def _run(self, batches: Iterable[Rows], accept: Callable[[Rows], None]) -> None:
        self._job = batches, accept
        if self._fresh:
            self._simulator.add_testbench(self._testbench)
        else:
            self._simulator.reset()
        self._fresh = False
        with self._simulator.write_vcd(self._vcd) if self._vcd else nullcontext():
            self._simulator.run()

    async def _testbench(self, ctx: Any) -> None:
        """Drive the clock by hand: where no waveform is written, no time need pass."""
        clk = self.top.clk
        stimulus, answer = Cat(*self._bench.stimulus), Cat(*self._bench.answer)
        # The highest bit is the clock: inputs change and the clock falls in one step.
        stimulus_and_fall = Cat(*self._bench.stimulus, clk)
        size = self._out.words * 4
        batches, accept = self._job
        last = None
        for rows in batches:
            answers = []
            for row in rows:
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
                answers.append(ctx.get(answer).to_bytes(size, "little"))
                ctx.set(clk, 1)
            accept(np.frombuffer(b"".join(answers), "<u4").reshape(len(rows), -1))


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
