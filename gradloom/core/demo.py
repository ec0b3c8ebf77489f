"""A demonstration of the training core: a network trains on it, every write beside golden's."""

import time

from rich.console import Console
from rich.progress import Progress

from golden.core.lower import compiled
from golden.datasets import Dataset
from golden.training import Recipe, load
from golden.training.systems.wage.trainer import WageTrainer
from gradloom.core.driver import count_wrong
from gradloom.core.session import Comparison, blocks_of
from gradloom.core.start import started
from gradloom.core.waves import place
from gradloom.sim.cxxrtl import BuildError, compiler
from gradloom.sim.simulators import SimulatorName

#: A network that learns most of the digits in a few epochs, on an array that simulates fast.
RECIPE = "digits-wage"
SETTINGS = (
    *("network=16FC", "bits=8-8-8-8", "batch=16", "epochs=6"),
    *("rows=4", "columns=4"),
)
#: Steps on Amaranth's own simulator, where there is no C++ compiler for more.
FEW = 2


def run(dataset: Dataset, out: Console, progress: Progress) -> bool:
    """Train on the core, with the compiled simulator if it can be. Returns whether all agrees."""
    recipe = load(RECIPE, SETTINGS)
    try:
        compiler()
    except BuildError as error:
        out.print(f"{error}: {FEW} steps on Amaranth's simulator", markup=False, highlight=False)
        return train(recipe, dataset, "pysim", out, progress, most=FEW)
    return train(recipe, dataset, "cxxrtl", out, progress)


def train(
    recipe: Recipe,
    dataset: Dataset,
    simulator: SimulatorName,
    out: Console,
    progress: Progress,
    most: int | None = None,
) -> bool:
    """Train on the core to the recipe's last epoch, and print the test error after each.

    Parameters
    ----------
    recipe, dataset
        The training.
    simulator
        Name of the simulator.
    out, progress
        Where results are printed, and progress is shown.
    most
        Steps at the most, without any test then.

    Returns
    -------
    bool
        Whether every write, every clock and every test error is golden's.
    """
    core = compiled(recipe, dataset.shape, dataset.classes)
    config, network = core.config, f"{core.recipe.network}-{dataset.classes}FC"
    out.print(
        f"\n{RECIPE}, {network}, on a training core of {config.rows} x {config.columns} nodes in a "
        f"simulator:",
        highlight=False,
    )
    if simulator == "cxxrtl":
        out.print("  compiling the core: minutes the first time, then it is in the cache")
    building = progress.add_task("building the core's simulator", total=None)
    began = time.perf_counter()
    comparison = Comparison(core, simulator=simulator)
    progress.remove_task(building)
    out.print(f"  built in {time.perf_counter() - began:.1f} s", highlight=False)

    trainer = started(core, dataset)
    per_epoch = len(dataset.train_images) // recipe.batch
    steps = per_epoch * recipe.epochs if most is None else most
    task = progress.add_task("training on the core", total=steps)
    began = time.perf_counter()
    while comparison.steps < steps and not comparison.found:
        count = min(per_epoch, steps - comparison.steps)
        for begun, records in blocks_of(dataset, count, trainer):
            if not comparison.steps:
                place(comparison.machine, begun)
            comparison.block(core.train, begun, records)
            progress.update(task, completed=comparison.steps)
            if comparison.found:
                break
        if most is None and not comparison.found and not _tested(comparison, trainer, dataset, out):
            return False
    progress.remove_task(task)
    seconds = time.perf_counter() - began
    out.print(f"  {comparison.outcome().report()}", markup=False, highlight=False)
    out.print(f"  {comparison.clocks / seconds:,.0f} clocks a second", highlight=False)
    return not comparison.found


def _tested(comparison: Comparison, trainer: WageTrainer, dataset: Dataset, out: Console) -> bool:
    """Print the test error that the core counts. Returns whether it is golden's."""
    images, labels = dataset.test_images, dataset.test_labels
    wrong = count_wrong(comparison.machine, trainer, images, labels)
    golden = trainer.evaluate(images, labels)
    out.print(
        f"  epoch {trainer.epoch:3}: test error {100 * wrong / golden.images:5.2f} %, counted by "
        f"the core",
        highlight=False,
    )
    if wrong != golden.wrong:
        out.print(f"  golden has {golden.wrong} wrong images, the core counts {wrong}")
    return wrong == golden.wrong
