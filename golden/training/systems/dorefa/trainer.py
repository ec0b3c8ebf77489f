"""DoReFa training: weights, activations and errors of few bits (Zhou et al. 2016).

quantize_k(r) = RNE((2^k - 1) r) / (2^k - 1) makes a code of 0 to 2^k - 1 of a real from 0 to 1.
Weights are codes 2 n - (2^k - 1) by way of tanh, or signs times their mean magnitude; activations
are codes; errors, of each image by its own largest one, are codes 2 n - (2^k - 1) after uniform
noise. Products of codes are exact whole numbers, scaled then.

Means, tanh, batch statistics, scales and gradients are of float32, outside the bit-exact promise.

Ours, where the paper is silent or does otherwise: plain stochastic gradient descent (the paper's is
Adam); batch normalisation before every activation; with quantized edges the pixels are codes and
the outputs' errors are quantized too; the largest |tanh| of a layer counts as a constant in the
gradient. The noise is NumPy's, drawn from the recipe's PCG64 between the epochs' permutations.
"""

import numpy as np

from golden.training.layers.float import Scaled
from golden.training.layers.windows import Tensor
from golden.training.step.sgd_plan import DorefaPlanner
from golden.training.systems.dorefa.recipe import DorefaRecipe
from golden.training.trainers.sgd import SgdTrainer
from golden.training.trainers.trainer import Mask


def codes(r: Tensor, bits: int) -> Tensor:
    """RNE((2^bits - 1) r) for reals 0 to 1, whole numbers in their float type."""
    return np.rint(r * ((1 << bits) - 1))


class DorefaTrainer(SgdTrainer[DorefaRecipe]):
    """Trains with weights, activations and errors of few bits.

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
        # Of an image without error every code is times 0, whatever it is.
        real = d / np.where(largest > 0, 2 * largest, 1) + 0.5 + noise
        n = codes(np.clip(real, 0, 1), bits)
        return Scaled(words=2 * n - top, scale=largest / top, bound=top)

    def _noise(self, shape: tuple[int, ...]) -> Tensor:
        """Uniform over 0 to 1, of the trainer's type."""
        return self.random.random(shape, self.KIND)


def _largest(tanh: Tensor) -> float:
    """Largest magnitude of a layer's tanh; 1 where all are 0."""
    return float(np.abs(tanh).max()) or 1.0
