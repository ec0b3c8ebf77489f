"""DoReFa training: weights, activations and errors of few bits (Zhou et al. 2016).

quantize_k(r) = RNE((2^k - 1) r) / (2^k - 1) is the code, from 0 to 2^k - 1, of a real number from 0
to 1. Weights are codes 2 n - (2^k - 1) of their tanh; with one bit, they are signs times their mean
magnitude. Activations are codes. Errors are scaled by the largest error of their image; uniform
noise is added, and the result is a code 2 n - (2^k - 1). Products of codes are exact integers,
which are scaled afterwards.

Means, tanh, batch statistics, scales and gradients are float32, so results may differ between
machines.

Where the paper has no rule, or another one, the rules here are our own: plain stochastic gradient
descent (Adam in the paper); batch normalisation before every activation; with quantized edges,
pixels are codes, and the outputs' errors are quantized too; the largest |tanh| of a layer counts as
a constant in the gradient. The noise comes from the recipe's PCG64, in turn with the permutations
of the epochs.
"""

import numpy as np

from golden.training.layers.float import Scaled
from golden.training.layers.windows import Tensor
from golden.training.step.sgd_plan import DorefaPlanner
from golden.training.systems.dorefa.recipe import DorefaRecipe
from golden.training.trainers.sgd import SgdTrainer
from golden.training.trainers.trainer import Mask


def codes(r: Tensor, bits: int) -> Tensor:
    """Return RNE((2^bits - 1) r) for reals from 0 to 1: integers in the same float type.

    Examples
    --------
    >>> codes(np.array([0, 0.4, 1]), bits=2).tolist()
    [0.0, 1.0, 3.0]
    """
    return np.rint(r * ((1 << bits) - 1))


class DorefaTrainer(SgdTrainer[DorefaRecipe]):
    """Trains with weights, activations and errors of few bits.

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
    >>> recipe = DorefaRecipe(network="8FC-8FC", batch=4)
    >>> trainer = DorefaTrainer(recipe, shape=(8, 8, 1), classes=10, pixel_max=16)
    >>> images = np.arange(256).reshape(4, 8, 8) % 17
    >>> trainer.step(images, np.arange(4)).images
    4
    """

    PLANNER = DorefaPlanner

    def _forward_weight(self, layer: int) -> Scaled:
        weight, bits = self.weights[layer], self.recipe.bits.weight
        if not self.planner.whole_weights(layer):
            return Scaled(words=weight)
        if bits == 1:
            signs = np.where(weight < 0, -1, 1).astype(self.KIND)
            return Scaled(words=signs, scale=float(np.abs(weight).mean(dtype=np.float64)), bound=1)
        top = (1 << bits) - 1
        tanh = np.tanh(weight)
        n = codes(tanh / (2 * _largest(tanh)) + self.KIND(0.5), bits)
        return Scaled(words=2 * n - top, scale=1 / top, bound=top)

    def _weight_gradient(self, layer: int, g: Tensor) -> Tensor:
        if not self.planner.whole_weights(layer) or self.recipe.bits.weight == 1:
            return g
        tanh = np.tanh(self.weights[layer])
        return g * (1 - tanh**2) / _largest(tanh)

    def _activation(self, y: Tensor) -> tuple[Scaled, Mask, float]:
        bits = self.recipe.bits.activation
        top = (1 << bits) - 1
        x = Scaled(words=codes(np.clip(y, 0, 1), bits), scale=1 / top, bound=top)
        beyond = y > 1
        return x, (y >= 0) & ~beyond, float(np.mean(beyond))

    def _error(self, layer: int, d: Tensor) -> Scaled:
        bits = self.recipe.bits.gradient
        if not self.planner.quantizes_errors(layer):
            return Scaled(words=d)
        top = (1 << bits) - 1
        largest = np.abs(d).max(axis=(1, 2, 3), keepdims=True)
        noise = (self._noise(d.shape) - 0.5) / top
        # If all errors of an image are 0, their scale is 0, and the codes have no effect.
        real = d / np.where(largest > 0, 2 * largest, 1) + 0.5 + noise
        n = codes(np.clip(real, 0, 1), bits)
        return Scaled(words=2 * n - top, scale=largest / top, bound=top)

    def _noise(self, shape: tuple[int, ...]) -> Tensor:
        """Return uniform noise from 0 to 1."""
        return self.random.random(shape, self.KIND)


def _largest(tanh: Tensor) -> float:
    """Return the largest magnitude of a layer's tanh; 1 if all are 0."""
    return float(np.abs(tanh).max()) or 1.0
