"""Training in float32, the baseline in the papers.

Hidden layers have ReLU and optionally batch normalisation; the loss is squared error or softmax
cross-entropy. Training is stochastic gradient descent with momentum and weight decay.
"""

import numpy as np

from golden.training.layers.float import Scaled
from golden.training.layers.windows import Tensor
from golden.training.step.sgd_plan import FloatPlanner
from golden.training.systems.float.recipe import FloatRecipe
from golden.training.trainers.sgd import SgdTrainer
from golden.training.trainers.trainer import Mask


class FloatTrainer(SgdTrainer[FloatRecipe]):
    """Trainer in float32; nothing runs on the array.

    BLAS adds floats in an order that depends on the machine and on the number of threads. Results
    are equal to the bit on one machine with the same number of threads, also after a resumption.
    They may differ between machines, unlike those of the integer systems.

    Parameters
    ----------
    recipe
        The recipe.
    shape
        Height, width and channels of an image.
    classes
        Number of classes.
    pixel_max
        Pixel value of 1.

    Examples
    --------
    >>> recipe = FloatRecipe(network="8FC", batch=4)
    >>> trainer = FloatTrainer(recipe, shape=(8, 8, 1), classes=10, pixel_max=16)
    >>> images = np.arange(256).reshape(4, 8, 8) % 17
    >>> losses = [trainer.step(images, np.arange(4)).mean_loss for step in range(2)]
    >>> losses[1] < losses[0]
    True
    """

    PLANNER = FloatPlanner

    def _forward_weight(self, layer: int) -> Scaled:
        return Scaled(words=self.weights[layer])

    def _activation(self, y: Tensor) -> tuple[Scaled, Mask, float]:
        active = y > 0
        return Scaled(words=np.where(active, y, 0).astype(y.dtype, copy=False)), active, 0.0
