"""Training in float32, the baseline that the papers compare with.

Layers with ReLU, squared loss or softmax cross-entropy, stochastic gradient descent with momentum
and weight decay, batch normalisation if wanted.
"""

import numpy as np

from golden.training.layers.float import Scaled
from golden.training.layers.windows import Tensor
from golden.training.step.sgd_plan import FloatPlanner
from golden.training.systems.float.recipe import FloatRecipe
from golden.training.trainers.sgd import SgdTrainer
from golden.training.trainers.trainer import Mask


class FloatTrainer(SgdTrainer[FloatRecipe]):
    """Trains in float32; nothing runs on the array.

    BLAS adds floats in an order that depends on the machine and on its threads. On one machine with
    as many threads a training comes out the same, bit for bit, and goes on so from a saved state;
    between machines it does not: that promise is the integer systems'.

    Parameters
    ----------
    recipe
        What to train, and how.
    shape
        Height, width and channels of an image.
    classes
        Classes of the data set.
    pixel_max
        Pixel value that stands for 1.
    """

    PLANNER = FloatPlanner

    def _forward_weight(self, layer: int) -> Scaled:
        return Scaled(words=self.weights[layer])

    def _activation(self, y: Tensor) -> tuple[Scaled, Mask, float]:
        active = y > 0
        return Scaled(words=np.where(active, y, 0).astype(y.dtype, copy=False)), active, 0.0
