"""Training with weights of one bit and half-wave Gaussian quantizers (Cai et al. 2017).

In products, weights are signs (0 counts as positive), activations are the integers of their levels,
and pixels are integers: the products of the forward pass are exact. Each layer has a scale, the
mean magnitude of its weights (Rastegari et al. 2016). It is applied after the products, in the
batch normalisation before each quantizer. For the backward pass, the quantizer counts as a clipped
ReLU.

The batch statistics and the backward pass are float32, so results may differ between machines.
Inference is in integers: `HwgqTrainer.fold` computes thresholds from the stored state, as exact
rationals, and evaluation compares integer sums with them.

Where the paper has no rule, or a more precise one, the rules here are our own: all layers have
weights of one bit, including the first and the last one; the last layer has neither normalisation
nor bias, so that its largest integer sum is the class; stored weights are limited to -1 to 1, as in
BinaryConnect, so that no gradient needs a mask; the gradient of the signs is that of the stored
weights, without the derivative of the scale; pooling takes the sums before the quantizer.
"""

import numpy as np

from golden.quantize.folding import Folded, fold
from golden.quantize.threshold import quantize
from golden.training.layers.convolution import forward
from golden.training.layers.float import EPSILON, Scaled
from golden.training.layers.network import Shape
from golden.training.layers.windows import Tensor, max_pool
from golden.training.step.sgd_plan import HwgqPlanner
from golden.training.systems.hwgq.recipe import HwgqRecipe
from golden.training.trainers.sgd import SgdTrainer
from golden.training.trainers.trainer import Mask


class HwgqTrainer(SgdTrainer[HwgqRecipe]):
    """Trainer with weights of one bit and half-wave Gaussian quantizers.

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
    >>> recipe = HwgqRecipe(network="8FC", batch=4)
    >>> trainer = HwgqTrainer(recipe, shape=(8, 8, 1), classes=10, pixel_max=16)
    >>> trainer.fold(0).thresholds.shape
    (8, 4)
    """

    PLANNER = HwgqPlanner

    def __init__(self, recipe: HwgqRecipe, *, shape: Shape, classes: int, pixel_max: int):
        super().__init__(recipe, shape=shape, classes=classes, pixel_max=pixel_max)
        quantizer = recipe.quantizer
        self._words = np.array(quantizer.words, self.KIND)
        self._thresholds = [self.KIND(step) for step in quantizer.thresholds]
        self._top = self.KIND(quantizer.levels[-1])

    def _forward_weight(self, layer: int) -> Scaled:
        weight = self.weights[layer]
        signs = np.where(weight < 0, -1, 1).astype(self.KIND)
        return Scaled(words=signs, scale=float(np.abs(weight).mean(dtype=np.float64)), bound=1)

    def _limited(self, weight: Tensor) -> Tensor:
        return np.clip(weight, -1, 1)

    def _activation(self, y: Tensor) -> tuple[Scaled, Mask, float]:
        code = np.zeros(y.shape, np.int64)
        for threshold in self._thresholds:
            code += y > threshold
        quantizer, beyond = self.recipe.quantizer, y > self._top
        unit, bound = float(quantizer.unit), quantizer.words[-1]
        x = Scaled(words=self._words[code], scale=unit, bound=bound)
        return x, (y > 0) & ~beyond, float(np.mean(beyond))

    def _bound(self, layer: int) -> int:
        """Return the largest integer in the input of a layer."""
        return self.recipe.quantizer.words[-1] if layer else self.pixel_max

    def _sum_scale(self, layer: int) -> float:
        """Return the real value of 1 in the sums of a layer."""
        unit = float(self.recipe.quantizer.unit) if layer else 1 / self.pixel_max
        return unit * float(self._forward_weight(layer).scale)

    def fold(self, layer: int) -> Folded:
        """Return the thresholds for the integer sums of a hidden layer, from running statistics.

        Parameters
        ----------
        layer
            Number of the layer, from 0.

        Returns
        -------
        Folded
            Thresholds of every channel, (outputs, steps).
        """
        bound = self._bound(layer) * self.stages[layer].inputs
        return fold(
            gamma=self.gammas[layer],
            beta=self.biases[layer],
            mean=self.means[layer],
            variance=self.variances[layer],
            epsilon=EPSILON,
            scale=self._sum_scale(layer),
            steps=self.recipe.quantizer.steps,
            width=bound.bit_length() + 1,
        )

    def _evaluation_lanes(self) -> list[Folded]:
        return [self.fold(layer) for layer in range(self.layers - 1)]

    def _outputs(self, pixels: Tensor, lanes: list[Folded]) -> Tensor:
        # The scale is applied at the end, in float64, which does not change the order of the sums.
        x = pixels
        for layer, stage in enumerate(self.stages):
            w = self._forward_weight(layer)
            acc = forward(stage, x, w.words, self._bound(layer), 1)
            if layer < self.layers - 1:
                code, _ = quantize(acc.astype(np.int64), lanes[layer])
                if stage.pool is not None:
                    code, _ = max_pool(code, stage.pool)
                x = self._words[code]
        return acc.reshape(len(pixels), -1).astype(np.float64) * self._sum_scale(self.layers - 1)
