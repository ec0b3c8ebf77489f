"""The training that a core goes on with: from the recipe's seed, or from a run's checkpoint."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from golden.core.lower import Compiled
from golden.datasets import Dataset
from golden.training import new_trainer, toml
from golden.training.runs.description import described
from golden.training.runs.run import latest
from golden.training.step.record import Record
from golden.training.systems.wage.trainer import WageTrainer


def started(compiled: Compiled, dataset: Dataset, run: Path | None = None) -> WageTrainer:
    """Return a trainer of a network, at its beginning or where a run stands.

    Parameters
    ----------
    compiled
        The network.
    dataset
        Images and classes.
    run
        Folder of the run; None for the recipe's seed.

    Raises
    ------
    ValueError
        There is no checkpoint, or it is of another recipe or of other data.
    """
    recipe = compiled.recipe
    trainer = new_trainer(recipe, dataset)
    assert isinstance(trainer, WageTrainer)
    if run is None:
        return trainer
    found, _ = latest(run)
    before = toml.read(found.recipe, str(run))
    # No step depends on the number of epochs.
    was, now = (toml.keys(each) for each in (replace(before, epochs=recipe.epochs), recipe))
    if other := sorted(set(was) - set(now)):
        raise ValueError(f"{run}: made with {', '.join(other)}: give it by --set, or its recipe")
    for key, value in described(dataset).items():
        if key != "name" and found.data.get(key) != value:
            raise ValueError(
                f"{run}: made on {found.data.get('name')}, {key} = {found.data.get(key)}: "
                f"{dataset.name} has {value}"
            )
    try:
        trainer.restore(found.state, len(dataset.train_images))
    except ValueError as error:
        raise ValueError(f"{run}: {error}") from None
    return trainer


def lane_states(trainer: WageTrainer) -> list[int]:
    """Return the states of the elementwise lanes' generators before the next step."""
    generator, columns = trainer.recipe.generator, trainer.recipe.columns
    seed = generator.advance(generator.seed, trainer.draws.elementwise * generator.leap)
    here = replace(generator, seed=seed)
    return [here.lane_seed(columns + lane) for lane in range(columns)]


def steps_from(trainer: WageTrainer, dataset: Dataset, steps: int) -> Iterator[tuple[int, Record]]:
    """Yield the records of a trainer's next steps, each with log2 of its learning rate.

    A training that has ended goes on for as many epochs as are needed.
    """
    records: list[Record] = []
    per_epoch = len(dataset.train_images) // trainer.recipe.batch
    needed = trainer.epoch + -(-(trainer.position + steps) // max(1, per_epoch))
    trainer.recipe = replace(trainer.recipe, epochs=max(trainer.recipe.epochs, needed))
    walk = trainer.walk(dataset, records.append)
    for _ in range(steps):
        rate = trainer.recipe.rate(trainer.epoch)
        next(walk)
        yield rate, records.pop()
