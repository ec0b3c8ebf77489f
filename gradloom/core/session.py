"""Training steps on a simulated core, each beside the golden trainer's."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from golden.core.isa import Engine
from golden.core.lower import Compiled
from golden.core.twin import STORES
from golden.datasets import Dataset
from golden.training import Trainer, new_trainer
from golden.training.step.record import Record
from gradloom.core.check import Difference, differences
from gradloom.core.machine import MOST, Machine, batch_of, sample_beats, weight_beats
from gradloom.sim.simulators import SimulatorName

#: Steps that are simulated in one go, and whose records are in memory.
BLOCK = 16


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Outcome of a comparison.

    Parameters
    ----------
    steps
        Training steps.
    clocks
        Clocks of all of them.
    writes
        Writes compared, by store.
    chunks
        Chunks whose last clocks were compared.
    differences
        The first difference in each store; empty if all agree.
    """

    steps: int
    clocks: int
    writes: dict[str, int]
    chunks: int
    differences: tuple[Difference, ...]

    def __bool__(self) -> bool:
        return not self.differences

    def report(self) -> str:
        """Return the outcome in lines."""
        steps = f"{self.steps} step{'s' * (self.steps != 1)}"
        if self.differences:
            lines = [f"{steps}: the core differs from the golden trainer"]
            return "\n".join([*lines, *map(str, self.differences)])
        stores = ", ".join(f"{name.upper()} {count:,}" for name, count in self.writes.items())
        total = sum(self.writes.values())
        return (
            f"{steps} agree{'s' * (self.steps == 1)}: {total:,} writes ({stores}) and the clocks "
            f"of {self.chunks:,} chunks, in {self.clocks:,} clocks"
        )


def _blocks(
    compiled: Compiled, dataset: Dataset, steps: int, trainer: Trainer[Any]
) -> Iterator[tuple[int, list[Record]]]:
    """Yield the records of some steps in blocks, each with log2 of its learning rate."""
    records: list[Record] = []
    rate = compiled.recipe.rate(trainer.epoch)
    walk = trainer.walk(dataset, records.append)
    for _ in range(steps):
        now = compiled.recipe.rate(trainer.epoch)
        if records and (now != rate or len(records) == BLOCK):
            yield rate, records
            records.clear()
        rate = now
        next(walk)
    if records:
        yield rate, records


def compare_steps(
    compiled: Compiled,
    dataset: Dataset,
    steps: int,
    *,
    simulator: SimulatorName = "cxxrtl",
    gaps: tuple[int, ...] = (0,),
    stalls: tuple[int, ...] = (0,),
    most: int = MOST,
    progress: Callable[[int], None] = lambda done: None,
) -> Compared:
    """Compare a core's training steps with the golden trainer's: every write into every store.

    Parameters
    ----------
    compiled
        The network on a core.
    dataset
        Images and classes.
    steps
        Number of steps.
    simulator
        Name of the simulator.
    gaps, stalls
        Idle clocks before beats of the input and of the output stream.
    most
        Clocks after which a block of steps must be done.
    progress
        Called with the number of steps done.

    Raises
    ------
    ValueError
        The recipe has fewer steps.
    RuntimeError
        A block of steps is not done in time.
    """
    recipe = compiled.recipe
    whole = len(dataset.train_images) // recipe.batch * recipe.epochs
    if not 1 <= steps <= whole:
        raise ValueError(f"steps = {steps}: allowed are 1 to {whole}, the whole training")
    trainer = new_trainer(recipe, dataset)
    machine = Machine(compiled, simulator=simulator, gaps=gaps, stalls=stalls)
    machine.send(weight_beats(compiled, trainer.weights))
    machine.run(compiled.load, 1, most=most)
    done = clocks = chunks = 0
    writes: dict[str, int] = {}
    found: list[Difference] = []
    for rate, records in _blocks(compiled, dataset, steps, trainer):
        for record in records:
            machine.send(sample_beats(compiled, *batch_of(record)))
        ran = machine.run(compiled.train, len(records), rate, most)
        found = list(differences(compiled, compiled.train, records, ran))
        for name in STORES:
            writes[name] = writes.get(name, 0) + len(ran.events[name])
        clocks += int(max(last[-1] for last in ran.done.values() if len(last)))
        chunks += sum(len(ran.done[engine]) for engine in (Engine.ARRAY, Engine.VECTOR))
        done += len(records)
        progress(done)
        if found:
            break
    return Compared(
        steps=done, clocks=clocks, writes=writes, chunks=chunks, differences=tuple(found)
    )
