"""Amaranth's own simulator, with a testbench that drives the clock."""

from collections.abc import Generator
from contextlib import ExitStack
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

import numpy as np
from amaranth.hdl import Cat, Elaboratable, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.sim import Simulator

from golden.port import Port
from gradloom.sim.packing import Packing, Rows, words_of
from gradloom.sim.simulation import Engine, Simulation
from gradloom.sim.toplevel import TopLevel

if TYPE_CHECKING:
    from gradloom.sim.probes import Probes

#: Nanoseconds from one clock edge to the next, in waveforms.
PERIOD = 10

#: Number of words of the widest signal of the bench, unless one port is wider.
_WIDEST_SIGNAL = 256


class Pysim(Simulation):
    """A component in Amaranth's own simulator.

    Parameters
    ----------
    component
        The component.
    vcd
        A waveform file to write, with every signal inside the component. The simulation is then
        about ten times slower.
    probes
        See `Simulation`.
    """

    name = "pysim"
    batch = 256  # small, so that progress is reported often

    def __init__(
        self,
        component: wiring.Component,
        vcd: str | PathLike[str] | None = None,
        probes: "Probes | None" = None,
    ):
        super().__init__(component, probes)
        self._vcd = None if vcd is None else fspath(vcd)
        # Making an engine takes long, so it is used again after the end of its run.
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


class CellsError(ValueError):
    """A component has cells of a device."""


#: Some clocks: a generator that yields inputs and is sent the outputs.
Clocks = Generator[int, int, None]


class _PysimEngine:
    """Amaranth's simulator, with a testbench that drives the clock."""

    def __init__(self, top: TopLevel, inputs: Packing, outputs: Packing):
        self._top = top
        self._bench = _Bench(top, inputs, outputs)
        self._size = outputs.words * 4
        self._simulator = Simulator(self._bench)
        design: Any = self._simulator._design  # type: ignore[attr-defined]  # it has no public name
        for fragment in design.fragments:
            if isinstance(fragment, Instance):
                cell: Any = fragment
                raise CellsError(
                    f"{type(top.component).__name__} has {cell.type}, a cell of a device, "
                    "which Amaranth's simulator (pysim) does not know: cxxrtl has a model of it"
                )
        self._file = ExitStack()
        self._fresh = True
        self._open = self._vcd = False
        self._job: Clocks | None = None

    def begin(self, vcd: str | None) -> None:
        """Go to the reset state. From then on, write a waveform if `vcd` is a file."""
        if self._fresh:
            self._simulator.add_testbench(self._testbench)
        else:
            self._simulator.reset()
        self._fresh, self._open, self._job, self._vcd = False, True, None, vcd is not None
        if vcd is not None:
            self._file.enter_context(self._simulator.write_vcd(vcd))

    def close(self) -> None:
        self._open = False
        self._simulator.advance()  # so that the testbench ends
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
        """Simulate the clocks of each job. Without a waveform, no simulated time passes."""
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
            await ctx.delay(0)  # the next job continues here


class _Bench(Elaboratable):
    """A top level with all inputs in one signal and all outputs in another, laid out as rows.

    To set or get many signals takes longer than the simulation of a small unit. Only very wide rows
    need several signals.
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
    """Return the signals of a row, each with its ports and their lowest bits."""
    groups: list[list[tuple[Port, int]]] = []
    for port, word in packing.places:
        # The simulator writes masks as decimal numbers, and Python limits these to 4300 digits.
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
