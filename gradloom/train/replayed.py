"""A recorded training step on the units in a simulator, and a table of what came of it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE
from rich.progress import Progress
from rich.table import Table

from gradloom.comparison.compare import Comparison, compare
from gradloom.sim.simulation import Simulation
from gradloom.sim.simulators import SimulatorName, prepare
from gradloom.train.replay import UnitReplay


@dataclass(frozen=True)
class Outcome:
    """Result of a replay.

    Parameters
    ----------
    system
        The training system.
    replay
        The unit and its part of the step.
    comparison
        Comparison of the hardware with its twin, every port at every clock.
    against_training
        Number of results of the twin that differ from the training model.
    """

    system: str
    replay: UnitReplay
    comparison: Comparison
    against_training: int

    @property
    def agrees(self) -> bool:
        """Hardware, twin and training model have the same results, and there are some."""
        return self.comparison.agrees and self.replay.results > 0 and not self.against_training


def _built(
    components: list[Any], simulator: SimulatorName, progress: Progress
) -> Iterator[Simulation]:
    """Yield the simulations of `components`, built two at a time."""
    task = progress.add_task("building simulators", total=len(components))
    with ThreadPoolExecutor(2) as pool:
        for simulation in pool.map(lambda component: prepare(component, simulator), components):
            progress.advance(task)
            yield simulation
    progress.remove_task(task)


def replayed(
    system: str, parts: list[UnitReplay], simulator: SimulatorName, progress: Progress
) -> list[Outcome]:
    """Run hardware and twin of every replay."""
    components = [replay.unit.component(replay.config) for replay in parts]
    outcomes = []
    for replay, component, simulation in zip(
        parts, components, list(_built(components, simulator, progress))
    ):
        inputs, twin = replay.inputs, replay.unit.twin(replay.config)
        task = progress.add_task(f"{system}: {replay.title}", total=len(inputs["i_valid"]))
        comparison = compare(
            component,
            inputs,
            twin,
            simulation,
            progress=lambda done, _, task=task: progress.update(task, completed=done),  # type: ignore[misc]
        )
        outcomes.append(Outcome(system, replay, comparison, replay.differences(twin.run(inputs))))
        progress.remove_task(task)
    return outcomes


def agree(outcomes: list[Outcome]) -> bool:
    """Return whether all agree, and there are some."""
    return bool(outcomes) and all(outcome.agrees for outcome in outcomes)


def totals(outcomes: list[Outcome]) -> tuple[int, int]:
    """Return the numbers of results of the training model, and of those that differ."""
    return (
        sum(outcome.replay.results for outcome in outcomes),
        sum(outcome.against_training for outcome in outcomes),
    )


def table(outcomes: list[Outcome]) -> Table:
    """Return a table with one row per replay."""
    table = Table(
        title="One training step through the hardware, every port at every clock", box=SIMPLE
    )
    table.add_column("unit", no_wrap=True)
    for heading in ("clocks", "values compared", "mismatches", "clocks/s"):
        table.add_column(heading, justify="right")
    for number, outcome in enumerate(outcomes):
        comparison = outcome.comparison
        table.add_row(
            f"{outcome.system}: {outcome.replay.title}",
            f"{comparison.clocks:,}",
            f"{comparison.values:,}",
            f"{comparison.mismatches:,}",
            f"{comparison.clocks_per_second:,.0f}",
            end_section=[later.system for later in outcomes[number + 1 : number + 2]]
            != [outcome.system],
        )
    return table
