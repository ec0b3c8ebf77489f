"""Training steps and inference on a simulated core, beside the golden trainer's."""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from golden.core.isa import Engine
from golden.core.lower import Compiled
from golden.core.program import Program
from golden.core.register import State
from golden.core.twin import STORES
from golden.datasets import Dataset
from golden.training.runs.run import steps_of_epoch
from golden.training.step.record import Record
from golden.training.systems.wage.trainer import WageTrainer
from gradloom.core.check import Difference, differences
from gradloom.core.driver import MOST
from gradloom.core.machine import Machine
from gradloom.core.ran import Ran
from gradloom.core.start import lane_states, started, steps_from
from gradloom.core.waves import Begun, place, write_waves
from gradloom.sim.simulators import SimulatorName

#: Steps that are simulated in one go, and whose records are in memory.
BLOCK = 16
#: Clocks of a program, at the most, before it is interrupted for the first time.
_FIRST_RESET = 2000


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Outcome of a comparison.

    Parameters
    ----------
    steps
        Training steps, or batches.
    clocks
        Clocks of all of them.
    writes
        Writes compared, by store.
    chunks
        Chunks whose last clocks were compared.
    differences
        The first difference in each store, the earliest first; empty if all agree.
    files
        Waveform files that were written.
    resets
        Number of resets in the middle of a block of steps.
    wrong
        Of an inference, whose steps are batches: wrong classes that were counted. None otherwise.
    states
        Clocks of every engine in each of its states, as the core's counters had them.
    """

    steps: int
    clocks: int
    writes: dict[str, int]
    chunks: int
    differences: tuple[Difference, ...]
    files: tuple[Path, ...] = ()
    resets: int = 0
    wrong: int | None = None
    states: dict[Engine, dict[State, int]]

    def __bool__(self) -> bool:
        return not self.differences

    @property
    def unit(self) -> str:
        """What was compared: a step, or a batch of an inference."""
        return "step" if self.wrong is None else "batch"

    def report(self) -> str:
        """Return the outcome in lines."""
        steps = _number(self.steps, self.unit)
        if self.differences:
            lines = [f"{steps}: the core differs from the golden trainer"]
            return "\n".join([*lines, *map(str, self.differences), *map(str, self.files)])
        stores = ", ".join(f"{name.upper()} {count:,}" for name, count in self.writes.items())
        total = sum(self.writes.values())
        resets = f", after {_number(self.resets, 'reset')} in their middle" if self.resets else ""
        wrong = "" if self.wrong is None else f"; {self.wrong:,} wrong classes"
        return (
            f"{steps} agree{'s' * (self.steps == 1)}{resets}: {total:,} writes ({stores}) and the "
            f"clocks of {self.chunks:,} chunks, in {self.clocks:,} clocks{wrong}"
        )

    def waits(self) -> str:
        """Return what the engines did in all clocks, in lines: they issue, wait for an engine or
        for a stream, fetch an instruction, or have ended their steps.

        Examples
        --------
        >>> states = {engine: dict.fromkeys(State, 0) for engine in Engine}
        >>> states[Engine.ARRAY] |= {State.BUSY: 2000, State.WAIT_IN: 15, State.FETCH: 30}
        >>> states[Engine.IN] |= {State.BUSY: 1000, State.WAIT_ARRAY: 1038, State.STREAM: 7}
        >>> of = Compared(steps=1, clocks=9, writes={}, chunks=2, differences=(), states=states)
        >>> print(of.waits())
        stalled by the input stream in 7 clocks, by the output stream in 0 clocks
        clocks  issues  for array  for vector  for in  for out  for stream  fetches  ended
        array    2,000          0           0      15        0           0       30      0
        in       1,000      1,038           0       0        0           7        0      0
        """
        columns = {
            "issues": State.BUSY,
            **{f"for {engine.name.lower()}": State.waits(engine) for engine in Engine},
            "for stream": State.STREAM,
            "fetches": State.FETCH,
            "ended": State.IDLE,
        }
        rows = [["clocks", *columns]] + [
            [engine.name.lower(), *(f"{states[state]:,}" for state in columns.values())]
            for engine, states in self.states.items()
            if states[State.BUSY]
        ]
        widths = [max(map(len, column)) for column in zip(*rows)]
        given, taken = (self.states[mover][State.STREAM] for mover in (Engine.IN, Engine.OUT))
        return "\n".join(
            [
                f"stalled by the input stream in {given:,} clocks, by the output stream in "
                f"{taken:,} clocks",
                *(
                    "  ".join([name.ljust(widths[0]), *map(str.rjust, counts, widths[1:])])
                    for name, *counts in rows
                ),
            ]
        )


def _number(count: int, unit: str) -> str:
    plural = "es" if unit.endswith("ch") else "s"
    return f"{count} {unit}{plural * (count != 1)}"


class Comparison:
    """Blocks of steps on a core, each beside the golden records.

    Parameters
    ----------
    compiled
        The network on a core.
    simulator
        Name of the simulator.
    gaps, stalls
        Idle clocks before beats of the input and of the output stream.
    most
        Clocks after which a block of steps must be done.
    waves
        A .vcd file for the clocks around the first difference.
    """

    def __init__(
        self,
        compiled: Compiled,
        *,
        simulator: SimulatorName = "cxxrtl",
        gaps: Sequence[int] = (0,),
        stalls: Sequence[int] = (0,),
        most: int = MOST,
        waves: Path | None = None,
    ):
        self.compiled = compiled
        self.most = most
        self.waves = waves
        self._new: Callable[[], Machine] = lambda: Machine(
            compiled, simulator=simulator, gaps=gaps, stalls=stalls
        )
        self.machine = self._new()
        self.steps = self.clocks = self.chunks = self.resets = 0
        self.wrong: int | None = None
        self.writes: dict[str, int] = {}
        self.states = {engine: dict.fromkeys(State, 0) for engine in Engine}
        self.found: list[Difference] = []
        self.files: list[Path] = []

    def block(self, program: Program, begun: Begun, records: Sequence[Record]) -> Ran:
        """Carry out steps and compare them; the core has the weights that they begin with."""
        compiled, machine = self.compiled, self.machine
        machine.send_batches(records)
        ran = machine.run(program, len(records), begun.rate, self.most)
        self.found = differences(compiled, program, records, ran)
        for name in STORES:
            self.writes[name] = self.writes.get(name, 0) + len(ran.events[name])
        for engine, states in machine.clocks().items():
            for state, clocks in states.items():
                self.states[engine][state] += clocks
        self.clocks += ran.clocks
        self.chunks += sum(len(ran.done[engine]) for engine in (Engine.ARRAY, Engine.VECTOR))
        self.steps += len(records)
        if self.found and self.waves is not None:
            self.files = write_waves(
                self.waves, self._new(), program, begun, records, ran, self.found[0]
            )
        return ran

    def interrupted(self, begun: Begun, records: Sequence[Record], clocks: int) -> None:
        """Begin steps, reset the core after some clocks, and give it their weights again."""
        self.machine.send_batches(records)
        self.machine.interrupt(self.compiled.train, len(records), begun.rate, clocks)
        place(self.machine, begun)
        self.resets += 1

    def outcome(self) -> Compared:
        """Return the outcome so far."""
        return Compared(
            steps=self.steps,
            clocks=self.clocks,
            writes=self.writes,
            chunks=self.chunks,
            differences=tuple(self.found),
            files=tuple(self.files),
            resets=self.resets,
            wrong=self.wrong,
            states=self.states,
        )


def blocks_of(
    dataset: Dataset, steps: int, trainer: WageTrainer
) -> Iterator[tuple[Begun, list[Record]]]:
    """Yield the records of some steps in blocks, with the state before each block."""

    def begun(rate: int) -> Begun:
        weights = [weight.copy() for weight in trainer.weights]
        return Begun(weights=weights, states=lane_states(trainer), rate=rate)

    before = begun(trainer.recipe.rate(trainer.epoch))
    records: list[Record] = []
    for rate, record in steps_from(trainer, dataset, steps):
        records.append(record)
        following = trainer.recipe.rate(trainer.epoch)
        if following != rate or len(records) == BLOCK:
            yield before, records
            records, before = [], begun(following)
    if records:
        yield before, records


def compare_steps(
    compiled: Compiled,
    dataset: Dataset,
    steps: int,
    *,
    run: Path | None = None,
    resets: int | None = None,
    progress: Callable[[int], None] = lambda done: None,
    **options: Any,
) -> Compared:
    """Compare a core's training steps with the golden trainer's: every write into every store.

    Memory does not grow with the number of steps.

    Parameters
    ----------
    compiled
        The network on a core.
    dataset
        Images and classes.
    steps
        Number of steps.
    run
        Folder of a run to go on from; None for the recipe's seed.
    resets
        Seed of resets: the core is reset in the middle of half of the blocks of steps, is given
        weights and lanes again, and repeats the block. None resets nothing.
    progress
        Called with the number of steps done.
    options
        Keywords of `Comparison`.

    Raises
    ------
    ValueError
        The recipe has fewer steps, or the run is of another recipe or data set.
    CoreError
        A block of steps is not done in time, or the core has found a fault.
    """
    recipe = compiled.recipe
    whole = steps_of_epoch(recipe, dataset) * recipe.epochs
    if not 1 <= steps <= whole:
        raise ValueError(f"steps = {steps}: allowed are 1 to {whole}, the whole training")
    trainer = started(compiled, dataset, run)
    comparison = Comparison(compiled, **options)
    chance = np.random.default_rng(resets)
    clocks = 0
    for begun, records in blocks_of(dataset, steps, trainer):
        if not comparison.steps:
            place(comparison.machine, begun)
        if resets is not None and (not comparison.steps or chance.random() < 0.5):
            comparison.interrupted(begun, records, int(chance.integers(1, clocks or _FIRST_RESET)))
        ran = comparison.block(compiled.train, begun, records)
        clocks = ran.clocks
        progress(comparison.steps)
        if comparison.found:
            break
    return comparison.outcome()


def compare_inference(
    compiled: Compiled,
    dataset: Dataset,
    batches: int,
    *,
    run: Path | None = None,
    progress: Callable[[int], None] = lambda done: None,
    **options: Any,
) -> Compared:
    """Compare a core's inference with the golden trainer's: every write, the scores of a batch, and
    the number of wrong classes.

    Parameters
    ----------
    batches
        Number of whole batches of test images; after the last one, the first one comes again.

    The others are those of `compare_steps`.
    """
    batch = compiled.recipe.batch
    trainer = started(compiled, dataset, run)
    begun = Begun(weights=trainer.weights, states=lane_states(trainer), rate=0)
    comparison = Comparison(compiled, **options)
    place(comparison.machine, begun)
    images, labels = dataset.test_images, dataset.test_labels
    for first in range(0, batches, BLOCK):
        records: list[Record] = []
        wrong = 0
        for number in range(first, min(first + BLOCK, batches)):
            rows = np.arange(number * batch, (number + 1) * batch) % len(images)
            record: Record = []
            # The forward pass of a step that nobody goes on from.
            deepcopy(trainer).step(images[rows], labels[rows], record)
            records.append(record)
            wrong += int((trainer.predict(images[rows]) != labels[rows]).sum())
        comparison.block(compiled.infer, begun, records)
        if comparison.found:
            break
        comparison.steps -= len(records)
        ran = comparison.block(compiled.test, begun, records)
        comparison.wrong = (comparison.wrong or 0) + ran.wrong
        if not comparison.found and ran.wrong != wrong:
            comparison.found = [
                Difference(
                    store="counter of wrong classes",
                    clock=ran.clocks,
                    text=f"expected {wrong}, got {ran.wrong}",
                    where=f"batches {first} to {first + len(records) - 1}, classify",
                )
            ]
        progress(comparison.steps)
        if comparison.found:
            break
    return comparison.outcome()
