"""Training with weights of one bit and half-wave Gaussian quantizers (Cai et al. 2017).

A weight is multiplied as its sign (0 counts as positive), a code as the whole number of its level,
a pixel as it is: the products of the forward pass are exact. Scales, one a layer (the mean
magnitude of its weights, Rastegari et al. 2016), come after the products and go into the batch
normalisation before each quantizer. The backward pass sees a clipped ReLU.

The batch statistics and the backward pass are of float32, outside the bit-exact promise. Inference
is in integers: `HwgqTrainer.fold` makes thresholds of the stored state from exact rationals, and
evaluation compares whole sums with them.

Ours, where the paper is silent or keeps more: all layers have weights of one bit, the first and the
last one too; the last has neither normalisation nor bias, so that its largest whole sum is the
class; stored weights are kept within -1 to 1 (as BinaryConnect does, and then no gradient needs a
mask), and the gradient passes to them as it is, the scale's own derivative left out; pooling goes
by the sums before the quantizer.
"""

import numpy as np

from golden.quantize.threshold import Folded, fold, quantize
from golden.training.layers.convolution import forward
from golden.training.layers.float import EPSILON, Scaled
from golden.training.layers.network import Shape
from golden.training.layers.windows import Tensor, max_pool
from golden.training.step.sgd_plan import HwgqPlanner
from golden.training.systems.hwgq.recipe import HwgqRecipe
from golden.training.trainers.sgd import SgdTrainer
from golden.training.trainers.trainer import Mask


class HwgqTrainer(SgdTrainer[HwgqRecipe]):
    """Trains with weights of one bit and half-wave Gaussian quantizers.

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
        """Largest whole number that comes to a layer."""
        return self.recipe.quantizer.words[-1] if layer else self.pixel_max

    def _sum_scale(self, layer: int) -> float:
        """What 1 of a whole sum of a layer stands for."""
        unit = float(self.recipe.quantizer.unit) if layer else 1 / self.pixel_max
        return unit * float(self._forward_weight(layer).scale)

    def fold(self, layer: int) -> Folded:
        """The thresholds on the whole sums of a hidden layer (0 the first), by the running
        statistics.
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
        # Scaled at the very end, in float64: the order of the whole sums stays.
        x = pixels
        for layer, stage in enumerate(self.stages):
            w = self._forward_weight(layer)
            acc = forward(stage, x, w.words, self._bound(layer), 1)
            if layer < self.layers - 1:
                code, _ = quantize(acc, lanes[layer])
                if stage.pool is not None:
                    code, _ = max_pool(code, stage.pool)
                x = self._words[code]
        return acc.reshape(len(pixels), -1).astype(np.float64) * self._sum_scale(self.layers - 1)
