"""The demonstration: training on digits in integers, one step on the units and all steps on the
core, in a simulator, and Verilog.
"""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

import golden
from golden.datasets import Dataset, digits
from golden.files import tried, write
from golden.training import Epoch, Recipe, Record, Trainer, load, new_trainer
from gradloom.core import demo as core_demo
from gradloom.rtl.verilog import verilog
from gradloom.sim.simulators import SimulatorName
from gradloom.train.replay import unit_replays
from gradloom.train.replayed import Outcome, agree, replayed, table, totals
from gradloom.units import UNITS

#: Systems of the table to their recipes.
SYSTEMS = {"WAGE": "digits-wage", "Gupta": "digits-gupta"}
#: Rows and columns of the array whose Verilog is written.
SIDE = 8


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
        outcomes += replayed(system, unit_replays(trainer, record), simulator, progress)

    out.print()
    out.print(table(outcomes))
    results, differ = totals(outcomes)
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
    agrees = trains and agree(outcomes)
    out.print(
        "Hardware, twins and training agree in every value."
        if agrees
        else "[bold]There are differences.[/bold]"
    )
    return agrees
