"""The demonstration: training on digits in integers, one step on the units and all steps on the
core, in a simulator, and Verilog.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import golden
from golden.datasets import Dataset, digits
from golden.files import tried, write
from golden.training import Epoch, Recipe, Record, Trainer, load, new_trainer
from gradloom.comparison.compare import Comparison, compare
from gradloom.core import demo as core_demo
from gradloom.rtl.verilog import verilog
from gradloom.sim.simulation import Simulation
from gradloom.sim.simulators import SimulatorName, prepare
from gradloom.train.replay import UnitReplay, unit_replays
from gradloom.units import UNITS

#: Systems of the table to their recipes.
SYSTEMS = {"WAGE": "digits-wage", "Gupta": "digits-gupta"}
#: Rows and columns of the array whose Verilog is written.
SIDE = 8


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


def _train(
    recipe: Recipe, dataset: Dataset, out: Console, progress: Progress
) -> tuple[Trainer[Any], Record]:
    """Train, print the error of some epochs, and record one more step."""
    trainer = new_trainer(recipe, dataset)
    task = progress.add_task("training", total=recipe.epochs)
    for epoch in trainer.epochs(dataset):
        progress.advance(task)
        if epoch.epoch in (1, 2, 4, 8, 16, 32) or epoch.epoch == recipe.epochs:
            out.print(_line(epoch))
    progress.remove_task(task)
    record: Record = []
    trainer.step(dataset.train_images[: recipe.batch], dataset.train_labels[: recipe.batch], record)
    return trainer, record


def _line(epoch: Epoch) -> str:
    """Return the loss and the errors of an epoch as text."""
    return (
        f"  epoch {epoch.epoch:3}: loss {epoch.train.mean_loss:.3f}, "
        f"training error {epoch.train.error:5.2f} %, test error {epoch.test.error:5.2f} %"
    )


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


def _replay(
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


def _table(outcomes: list[Outcome]) -> Table:
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


def run(folder: Path, simulator: SimulatorName, out: Console, progress: Progress) -> bool:
    """Run the demonstration and write Verilog into `folder`. Returns whether all values agree."""
    unit = UNITS["array"]
    file = f"{unit.module}.v"
    tried(folder, [file])
    dataset = digits()
    shape = " x ".join(map(str, dataset.train_images.shape[1:]))
    out.print(
        f"UCI handwritten digits, {shape}: {len(dataset.train_images):,} images to train with, "
        f"{len(dataset.test_images)} held out (a random fifth, seed 0)."
    )
    outcomes: list[Outcome] = []
    for system, name in SYSTEMS.items():
        recipe = load(name)
        network = "-".join(filter(None, (recipe.network, f"{dataset.classes}FC")))
        out.print(f"\n{name} in integers, {network} on {shape} pixels:", highlight=False)
        trainer, record = _train(recipe, dataset, out, progress)
        outcomes += _replay(system, unit_replays(trainer, record), simulator, progress)

    out.print()
    out.print(_table(outcomes))
    results = sum(outcome.replay.results for outcome in outcomes)
    differ = sum(outcome.against_training for outcome in outcomes)
    out.print(f"Of {results:,} results of the training model in these steps, {differ:,} differ.")
    for outcome in outcomes:
        if not outcome.comparison:
            out.print(f"{outcome.system}: {outcome.comparison.report()}", markup=False)

    trains = core_demo.run(dataset, out, progress)

    config = golden.ArrayConfig(rows=SIDE, columns=SIDE)
    text = verilog(unit.component(config))
    write({file: text}, folder)
    out.print(
        f"\n{folder / file}: Verilog of the {SIDE} x {SIDE} array of {config.macc.a} nodes "
        f"with stochastic rounders, {len(text.splitlines()):,} lines.",
        highlight=False,
    )
    agree = trains and bool(outcomes) and all(outcome.agrees for outcome in outcomes)
    out.print(
        "Hardware, twins and training agree in every value."
        if agree
        else "[bold]There are differences.[/bold]"
    )
    return agree
