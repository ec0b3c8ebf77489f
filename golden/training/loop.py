"""The systems by name, and from a recipe and a data set to a trainer."""

from typing import Any, NamedTuple

from golden.datasets import Dataset
from golden.training.dorefa import DorefaTrainer
from golden.training.dorefa_recipe import DorefaRecipe
from golden.training.float import FloatTrainer
from golden.training.float_recipe import FloatRecipe
from golden.training.gupta import GuptaTrainer
from golden.training.gupta_recipe import GuptaRecipe
from golden.training.hwgq import HwgqTrainer
from golden.training.hwgq_recipe import HwgqRecipe
from golden.training.li import LiTrainer
from golden.training.li_recipe import LiRecipe
from golden.training.recipe import Recipe
from golden.training.trainer import Trainer
from golden.training.wage import WageTrainer
from golden.training.wage_recipe import WageRecipe


class System(NamedTuple):
    """The recipe of a system, and what carries it out."""

    recipe: type[Recipe]
    trainer: type[Trainer[Any]]


#: The arithmetics that there are, by name.
SYSTEMS: dict[str, System] = {
    recipe.SYSTEM: System(recipe, trainer)
    for recipe, trainer in (
        (GuptaRecipe, GuptaTrainer),
        (WageRecipe, WageTrainer),
        (LiRecipe, LiTrainer),
        (HwgqRecipe, HwgqTrainer),
        (DorefaRecipe, DorefaTrainer),
        (FloatRecipe, FloatTrainer),
    )
}


def new_trainer(recipe: Recipe, dataset: Dataset) -> Trainer[Any]:
    """A trainer at its first step, of the system of `recipe`, for the images of `dataset`.

    Raises
    ------
    TypeError
        `recipe` is not of a system.
    ValueError
        The network does not fit the images.
    """
    system = SYSTEMS.get(recipe.SYSTEM) if isinstance(recipe, Recipe) else None
    if system is None or not isinstance(recipe, system.recipe):
        raise TypeError(f"recipe = {recipe!r}: a recipe of {', '.join(SYSTEMS)} is wanted")
    return system.trainer(
        recipe, shape=dataset.shape, classes=dataset.classes, pixel_max=dataset.pixel_max
    )
