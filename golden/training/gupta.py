"""Training in 16-bit fixed point with stochastic rounding, dense layers with ReLU (Gupta et al.
2015).

Every weight, bias, activation, error and update is a word <16-FL,FL>; sums are exact and rounded
once. The update is rounded once too, from the exact gradient sums, with learning rate, momentum and
decay inside.
"""

import math

import numpy as np

from golden.fixed import Codes, saturate
from golden.lfsr import Lanes
from golden.training import softmax
from golden.training.gupta_recipe import GuptaRecipe, SaturationGradient, exact
from golden.training.record import Record
from golden.training.score import Score
from golden.training.trainer import Mask, Trainer, pixel_table, round_product, winners


class GuptaTrainer(Trainer[GuptaRecipe]):
    """Trains dense layers with ReLU between them and softmax cross-entropy after them.

    Parameters
    ----------
    recipe
        What to train, and how.
    inputs
        Pixels of an image.
    classes
        Classes of the data set.
    pixel_max
        Pixel value that stands for 1.

    Attributes
    ----------
    weights
        Weights of every layer, (inputs, outputs), codes of the recipe's format.
    biases
        Biases of every layer, (outputs,).
    weight_updates, bias_updates
        The latest updates, which momentum carries on.
    """

    def __init__(self, recipe: GuptaRecipe, *, inputs: int, classes: int, pixel_max: int):
        super().__init__(recipe, inputs, classes)
        self._table = pixel_table(
            pixel_max, 1 << recipe.fl, recipe.format.minimum, recipe.format.maximum
        )
        deviation = float(exact("deviation", recipe.deviation, 0, 10))
        shapes = list(zip(self.sizes, self.sizes[1:]))
        self.weights = [
            saturate(
                np.rint(np.ldexp(self.random.standard_normal(shape) * deviation, recipe.fl)).astype(
                    np.int64
                ),
                recipe.format,
            )
            for shape in shapes
        ]
        self.biases = [np.zeros(outputs, np.int64) for _, outputs in shapes]
        self.weight_updates = [np.zeros_like(weight) for weight in self.weights]
        self.bias_updates = [np.zeros_like(bias) for bias in self.biases]

    def _with_ones(self, x: Codes) -> Codes:
        """Inputs of a layer with a column of ones, which the biases meet."""
        return np.hstack([x, np.full((len(x), 1), 1 << self.recipe.fl, np.int64)])

    def _with_biases(self, layer: int) -> Codes:
        return np.vstack([self.weights[layer], self.biases[layer]])

    def _outputs(self, pixels: Codes, lanes: Lanes) -> Codes:
        x = y = pixels
        for layer in range(self.layers):
            a = self._with_ones(x)
            y, _ = round_product(
                a, self._with_biases(layer), self.recipe.product, lanes, self.recipe
            )
            x = np.maximum(y, 0)
        return y

    def _score(self, pixels: Codes, labels: Codes, lanes: Lanes) -> Score:
        y = self._outputs(pixels, lanes)
        return self._scored(y, softmax.softmax(y, self.recipe.fl), labels)

    def _scored(self, y: Codes, probability: Codes, labels: Codes) -> Score:
        """Cross-entropy; a probability that rounded down to 0 counts as the least there is."""
        right = np.maximum(probability[np.arange(len(labels)), labels], 1)
        loss = len(labels) * softmax.FRACTION * math.log(2) - float(np.sum(np.log(right)))
        return Score(images=len(labels), wrong=int(np.sum(winners(y) != labels)), loss=loss)

    def _step(self, pixels: Codes, labels: Codes, record: Record | None) -> Score:
        recipe = self.recipe
        zero = recipe.saturation_gradient == SaturationGradient.ZERO
        inputs: list[Codes] = []
        passes: list[Mask] = []  # where the error gets back through what follows each layer's sum
        x = y = pixels
        for layer in range(self.layers):
            inputs.append(self._with_ones(x))
            y, saturated = self._rounded_product(
                f"forward {layer + 1}", inputs[-1], self._with_biases(layer), recipe.product, record
            )
            passes.append(~saturated if zero else np.ones_like(saturated))
            if layer < self.layers - 1:
                passes[-1] &= y > 0
                x = np.maximum(y, 0)
        probability = softmax.softmax(y, recipe.fl)
        score = self._scored(y, probability, labels)
        probability[np.arange(len(labels)), labels] -= 1 << softmax.FRACTION
        delta = self._convert("output error", probability, recipe.output_error, record) * passes[-1]
        gradients: dict[int, Codes] = {}
        for layer in reversed(range(self.layers)):
            gradients[layer] = self._raw_product(
                f"gradient {layer + 1}", inputs[layer].T, delta, record
            )
            if layer == 0:
                break
            below, _ = self._rounded_product(
                f"error {layer + 1}", delta, self.weights[layer].T, recipe.product, record
            )
            delta = below * passes[layer - 1]
        for layer in range(self.layers):
            self._update(layer, gradients[layer], record)
        return score

    def _update(self, layer: int, gradient: Codes, record: Record | None) -> None:
        """New weights and biases; the gradient's last row is the biases'."""
        factors, conversion = self.recipe.factors(self.epoch), self.recipe.update(self.epoch)
        exact_sum = -factors.gradient * gradient
        of_weights = exact_sum[:-1]
        of_weights += (
            factors.velocity * self.weight_updates[layer] - factors.weight * self.weights[layer]
        )
        of_biases = exact_sum[-1] + factors.velocity * self.bias_updates[layer]
        self.weight_updates[layer] = self._convert(
            f"update {layer + 1} weights", of_weights, conversion, record
        )
        self.bias_updates[layer] = self._convert(
            f"update {layer + 1} biases", of_biases, conversion, record
        )
        self.weights[layer] = saturate(
            self.weights[layer] + self.weight_updates[layer], self.recipe.format
        )
        self.biases[layer] = saturate(
            self.biases[layer] + self.bias_updates[layer], self.recipe.format
        )
