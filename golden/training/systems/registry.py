"""The systems by name; plans and trainers of recipes."""

from typing import Any, NamedTuple

from golden.datasets import Dataset
from golden.training.layers.network import Shape, stages
from golden.training.recipe import Recipe
from golden.training.step.operation import Operation
from golden.training.step.planner import Planner
from golden.training.step.sgd_plan import DorefaPlanner, FloatPlanner, HwgqPlanner
from golden.training.systems.dorefa.recipe import DorefaRecipe
from golden.training.systems.dorefa.trainer import DorefaTrainer
from golden.training.systems.float.recipe import FloatRecipe
from golden.training.systems.float.trainer import FloatTrainer
from golden.training.systems.gupta.plan import GuptaPlanner
from golden.training.systems.gupta.recipe import GuptaRecipe
from golden.training.systems.gupta.trainer import GuptaTrainer
from golden.training.systems.hwgq.recipe import HwgqRecipe
from golden.training.systems.hwgq.trainer import HwgqTrainer
from golden.training.systems.li.plan import LiPlanner
from golden.training.systems.li.recipe import LiRecipe
from golden.training.systems.li.trainer import LiTrainer
from golden.training.systems.wage.plan import WagePlanner
from golden.training.systems.wage.recipe import WageRecipe
from golden.training.systems.wage.trainer import WageTrainer
from golden.training.trainers.trainer import Trainer


class System(NamedTuple):
    """Classes of a system: recipe, planner of its steps, trainer."""

    recipe: type[Recipe]
    planner: type[Planner[Any]]
    trainer: type[Trainer[Any]]


#: All systems by name.
SYSTEMS: dict[str, System] = {
    recipe.SYSTEM: System(recipe, planner, trainer)
    for recipe, planner, trainer in (
        (GuptaRecipe, GuptaPlanner, GuptaTrainer),
        (WageRecipe, WagePlanner, WageTrainer),
        (LiRecipe, LiPlanner, LiTrainer),
        (HwgqRecipe, HwgqPlanner, HwgqTrainer),
        (DorefaRecipe, DorefaPlanner, DorefaTrainer),
        (FloatRecipe, FloatPlanner, FloatTrainer),
    )
}


def _system(recipe: Recipe) -> System:
    system = SYSTEMS.get(recipe.SYSTEM) if isinstance(recipe, Recipe) else None
    if system is None or not isinstance(recipe, system.recipe):
        raise TypeError(f"recipe = {recipe!r}: a recipe of {', '.join(SYSTEMS)} is wanted")
    return system


def plan(recipe: Recipe, shape: Shape, classes: int) -> list[Operation]:
    """Return the operations of a training step, in order.

    Parameters
    ----------
    recipe
        A recipe of any system.
    shape
        Height, width and channels of an image.
    classes
        Number of classes.

    Raises
    ------
    TypeError
        `recipe` is not the recipe of a system.
    ValueError
        The network does not fit the images.

    Examples
    --------
    >>> from golden.training import load
    >>> for operation in plan(load("digits-gupta"), (8, 8, 1), 10)[:3]:
    ...     print(operation, operation.leaps)
    Product: activation 0, weight 1 -> sum 1, unclipped 1 256
    Relu: sum 1 -> activation 1, active 1 0
    Product: activation 1, weight 2 -> sum 2, unclipped 2 64
    """
    return list(_system(recipe).planner(recipe, stages(recipe.network, shape, classes)).step())


def new_trainer(recipe: Recipe, dataset: Dataset) -> Trainer[Any]:
    """Return a trainer before its first step.

    Parameters
    ----------
    recipe
        A recipe of any system.
    dataset
        The data set, for the shape of its images, its classes and its pixel values.

    Raises
    ------
    TypeError
        `recipe` is not the recipe of a system.
    ValueError
        The network does not fit the images.

    Examples
    --------
    >>> from golden.datasets import digits
    >>> from golden.training import load
    >>> trainer = new_trainer(load("digits-wage"), digits())
    >>> type(trainer).__name__, [weight.shape for weight in trainer.weights]
    ('WageTrainer', [(64, 128), (128, 10)])
    """
    return _system(recipe).trainer(
        recipe, shape=dataset.shape, classes=dataset.classes, pixel_max=dataset.pixel_max
    )
