"""From a recipe and a data set to a trained network."""

from collections.abc import Callable
from typing import Any

from golden.datasets import Dataset
from golden.training.gupta import GuptaTrainer
from golden.training.gupta_recipe import GuptaRecipe
from golden.training.recipe import Recipe
from golden.training.score import Epoch
from golden.training.trainer import Trainer
from golden.training.wage import WageTrainer
from golden.training.wage_recipe import WageRecipe


def new_trainer(recipe: Recipe, dataset: Dataset) -> Trainer[Any]:
    """A trainer at its first step, of the kind of `recipe`, for the images of `dataset`."""
    sizes = {
        "inputs": dataset.pixels,
        "classes": dataset.classes,
        "pixel_max": dataset.pixel_max,
    }
    match recipe:
        case WageRecipe():
            return WageTrainer(recipe, **sizes)
        case GuptaRecipe():
            return GuptaTrainer(recipe, **sizes)
    raise TypeError(f"recipe = {recipe!r}: a WageRecipe or a GuptaRecipe is wanted")


def train(
    recipe: Recipe, dataset: Dataset, progress: Callable[[Epoch], None] | None = None
) -> tuple[Trainer[Any], list[Epoch]]:
    """Train on `dataset` as `recipe` says.

    Parameters
    ----------
    recipe
        What to train, and how.
    dataset
        What on.
    progress
        Called with each epoch as it ends.

    Returns
    -------
    The trainer after its last step, and what every epoch came to.
    """
    trainer = new_trainer(recipe, dataset)
    history = []
    for epoch in trainer.epochs(dataset):
        history.append(epoch)
        if progress is not None:
            progress(epoch)
    return trainer, history
