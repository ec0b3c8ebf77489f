"""A step of a training, recorded so that it can be replayed on the units."""

from typing import Any

from golden.datasets import Dataset
from golden.order import blocks
from golden.training import Recipe, Record, Trainer, new_trainer
from golden.training.step.ops import Float, Product
from gradloom.train.replay import replays

#: The most clocks of a step's products: what is recorded of them has to fit in memory.
MOST_CLOCKS = 1_000_000


def recorded_step(recipe: Recipe, dataset: Dataset, step: int = 1) -> tuple[Trainer[Any], Record]:
    """Train some steps, and record the last one.

    Parameters
    ----------
    recipe, dataset
        What is trained; images are taken one after the other.
    step
        Number of the recorded step, from 1.

    Returns
    -------
    trainer : Trainer
        The trainer after that step.
    record : Record
        The step's operations with their tensors.

    Raises
    ------
    ValueError
        The data set has too few images, or the array would take too many clocks for the step.

    Examples
    --------
    >>> from golden.datasets import digits
    >>> from golden.training import load
    >>> trainer, record = recorded_step(load("digits-wage", ["network=8FC"]), digits())
    >>> len(record) > 10, left_out(record)
    (True, [])
    """
    images = recipe.batch * step
    if images > len(dataset.train_images):
        raise ValueError(
            f"step {step} of {recipe.batch} images: {dataset.name} has "
            f"{len(dataset.train_images):,} to train with"
        )
    trainer = new_trainer(recipe, dataset)
    record: Record = []
    for number in range(step):
        chosen = slice(number * recipe.batch, (number + 1) * recipe.batch)
        last = number == step - 1
        trainer.step(
            dataset.train_images[chosen], dataset.train_labels[chosen], record if last else None
        )
    clocks = sum(
        blocks(len(a), recipe.rows) * a.shape[1] * blocks(b.shape[1], recipe.columns)
        for entry in record
        if isinstance(entry.operation, Product)
        for a, b in [(entry.tensors["a"], entry.tensors["b"])]
    )
    if clocks > MOST_CLOCKS:
        raise ValueError(
            f"the step's products take {clocks:,} clocks of {recipe.rows} x {recipe.columns} "
            f"nodes: {MOST_CLOCKS:,} are allowed; a smaller network or batch takes fewer"
        )
    return trainer, record


def in_floating_point(record: Record) -> list[str]:
    """Return the parts of a recorded step in floating point, each once.

    Examples
    --------
    >>> from golden.datasets import digits
    >>> from golden.training import load
    >>> recipe = load("hwgq-cnn", ["network=2C3-MP2", "batch=2"])
    >>> in_floating_point(recorded_step(recipe, digits())[1])[2:5]
    ['batch normalisation', 'pool', 'activation']
    """
    parts = [
        str(op.part) if isinstance(op := entry.operation, Float) else type(op).__name__.lower()
        for entry in record
        if not entry.operation.exact
    ]
    return list(dict.fromkeys(parts))


def left_out(record: Record) -> list[str]:
    """Return the operations of a step in integers that no unit carries out, each kind once.

    Those in floating point are no integers, whatever their kind.
    """
    kinds = [
        type(entry.operation).__name__
        for entry in record
        if entry.operation.exact and not replays(entry.operation)
    ]
    return list(dict.fromkeys(kinds))
