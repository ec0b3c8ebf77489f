"""Training in 16-bit fixed point with stochastic rounding (Gupta et al. 2015): convolutions and
dense layers with ReLU, max-pooling, softmax cross-entropy.

Every weight, bias, activation, error and update is a word <16-FL,FL>; sums are exact and rounded
once. The update is rounded once too, from the exact gradient sums, with learning rate, momentum and
decay inside. Words travel in float64, which holds them and their sums exactly.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from golden.carried import Carried, saturate_carried
from golden.fixed import Codes
from golden.lfsr import Lanes
from golden.products import carrier
from golden.training import convolution, softmax
from golden.training.gupta_recipe import WORD, GuptaRecipe, SaturationGradient
from golden.training.gupta_update import Gradient, exact_sum, largest_sum, update
from golden.training.integer import IntegerTrainer, note_product
from golden.training.network import Shape, Stage
from golden.training.recipe import exact
from golden.training.record import Convert, Record
from golden.training.score import Score
from golden.training.trainer import Mask, pixel_table
from golden.training.windows import Tensor

#: A product's A and B, of a stage and the tensors that it multiplies.
Operands = Callable[[Stage, Tensor, Tensor], tuple[Tensor, Tensor]]

#: The largest magnitude of a word.
_TOP = 1 << (WORD - 1)


class Gradients(NamedTuple):
    """Exact gradient sums of a layer."""

    weights: Gradient
    biases: Gradient


class GuptaTrainer(IntegerTrainer[GuptaRecipe]):
    """Trains layers with ReLU and max-pooling between them and softmax cross-entropy after them.

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

    Attributes
    ----------
    weights
        Weights of every layer, (inputs, outputs), codes of the recipe's format in float64.
    biases
        Biases of every layer, (outputs,).
    weight_updates, bias_updates
        The latest updates, which momentum carries on; empty without momentum.
    """

    STATE = ("weights", "biases", "weight_updates", "bias_updates")

    def __init__(self, recipe: GuptaRecipe, *, shape: Shape, classes: int, pixel_max: int):
        super().__init__(recipe, shape=shape, classes=classes, pixel_max=pixel_max)
        for stage in self.stages:  # what no float holds is refused here
            window = stage.window
            for terms in (
                stage.inputs + 1,
                recipe.batch * math.prod(stage.sums[:2]),
                window.height * window.width * stage.outputs,
            ):
                carrier(_TOP * _TOP, terms)
        pixels = recipe.formats.input
        self._table = pixel_table(pixel_max, 1 << pixels.fl, pixels.minimum, pixels.maximum).astype(
            np.float64
        )
        deviation = float(exact("deviation", recipe.deviation, 0, 10))
        words = recipe.formats.weight
        self.weights: list[Carried] = []
        for stage in self.stages:
            normal = self.random.standard_normal((stage.inputs, stage.outputs))
            codes = np.rint(np.ldexp(normal * deviation, words.fl))
            self.weights.append(saturate_carried(codes, words))
        self.biases = [np.zeros(stage.outputs) for stage in self.stages]
        momentum = exact("momentum", recipe.momentum, 0, 1) != 0
        self.weight_updates = [np.zeros_like(weight) for weight in self.weights if momentum]
        self.bias_updates = [np.zeros_like(bias) for bias in self.biases if momentum]
        self._reach = [_TOP] * self.layers

    def _restore_own(self, walk: Mapping[str, Any]) -> None:
        super()._restore_own(walk)
        self._reach = [_TOP] * self.layers

    def _unit(self, layer: int) -> float:
        return 2.0**-self.recipe.formats.fl

    def _one(self, layer: int) -> float:
        """The code of 1 among the inputs of a layer, which its biases meet."""
        return float(1 << self.recipe.input_format(layer).fl)

    def _sums(self, layer: int, x: Tensor) -> Tensor:
        """Exact sums of a layer, (batch, *sums)."""
        sums = convolution.forward(self.stages[layer], x, self.weights[layer], _TOP, _TOP)
        sums += self.biases[layer] * self._one(layer)
        return sums

    def _forward(self, layer: int, x: Tensor, lanes: Lanes) -> tuple[Tensor, Mask | None]:
        """Outputs of a layer before ReLU and pooling, and where they came out of range."""
        stage = self.stages[layer]
        bound = (stage.inputs + 1) * _TOP * _TOP
        return self._rounded_carried(self._sums(layer, x), self.recipe.forward(layer), bound, lanes)

    def _outputs(self, pixels: Tensor, lanes: Lanes) -> Tensor:
        x = y = pixels
        for layer, stage in enumerate(self.stages):
            y, _ = self._forward(layer, x, lanes)
            y, _ = convolution.pool(stage, y)
            x = np.maximum(y, 0)
        return y.reshape(len(y), -1)

    def _probabilities(self, y: Tensor) -> Codes:
        return softmax.softmax(y.astype(np.int64), self.recipe.formats.activation.fl)

    def _scored(self, outputs: Tensor, labels: Codes) -> Score:
        return softmax.cross_entropy(outputs, self._probabilities(outputs), labels)

    def _step(self, pixels: Tensor, labels: Codes, record: Record | None) -> Score:
        recipe = self.recipe
        inputs = [pixels]
        outside: list[Mask | None] = []  # of every layer, where Convert saturated
        taken: list[Any] = []  # and which of a pooling's values went on
        for layer, stage in enumerate(self.stages):
            y, saturated = self._forward(layer, inputs[-1], self._array)
            note_product(
                record,
                f"forward {layer + 1}",
                self._forward_operands(layer),
                stage,
                inputs[-1],
                self.weights[layer],
                y,
                recipe.forward(layer),
            )
            if self.watching:
                self.saturated[layer] = 0.0 if saturated is None else float(np.mean(saturated))
            outside.append(saturated)
            y, first = convolution.pool(stage, y)
            taken.append(first)
            inputs.append(np.maximum(y, 0))
        y = y.reshape(len(y), -1)
        probability = self._probabilities(y)
        score = softmax.cross_entropy(y, probability, labels)
        probability[np.arange(len(labels)), labels] -= 1 << softmax.FRACTION
        delta = self._convert("output error", probability, recipe.output_error, record)
        delta = self._passed(outside[-1], delta.reshape(len(y), 1, 1, -1).astype(np.float64))
        gradients: dict[int, Gradients] = {}
        for layer in reversed(range(self.layers)):
            gradients[layer] = self._gradient(layer, inputs[layer], delta, record)
            if layer:
                below = self._error(layer, delta, record)
                below *= inputs[layer] > 0
                under = self.stages[layer - 1]
                if under.pool is not None:
                    below = convolution.unpooled(under, below, taken[layer - 1])
                    if under.pool.overlap > 1:  # errors met and added up
                        saturate_carried(below, recipe.formats.weight)
                delta = self._passed(outside[layer - 1], below)
        for layer in range(self.layers):
            self._update(layer, gradients[layer], record)
        return score

    def _passed(self, saturated: Mask | None, delta: Tensor) -> Tensor:
        """`delta` less the errors of values that came out of range, if they are to stop there."""
        if saturated is not None and self.recipe.saturation_gradient == SaturationGradient.ZERO:
            delta *= ~saturated
        return delta

    def _forward_operands(self, layer: int) -> Operands:
        """A and B with the biases as a last row, which meets a column of ones."""

        def operands(stage: Stage, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
            a, b = convolution.forward_operands(stage, x, w)
            ones = np.full((len(a), 1), self._one(layer))
            return np.hstack([a, ones]), np.vstack([b, self.biases[layer]])

        return operands

    def _gradient_operands(self, layer: int) -> Operands:
        """A with a last row of ones, and B."""

        def operands(stage: Stage, x: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
            a, b = convolution.gradient_operands(stage, x, e)
            return np.vstack([a, np.full((1, a.shape[1]), self._one(layer))]), b

        return operands

    def _gradient(self, layer: int, x: Tensor, delta: Tensor, record: Record | None) -> Gradients:
        """Exact gradient sums of weights and biases."""
        stage, errors = self.stages[layer], delta.reshape(-1, self.stages[layer].outputs)
        one = self._one(layer)
        most = max(float(x.max()), one)  # no input is negative
        if stage.dense:
            largest = int(most * float((np.ones(len(errors)) @ np.abs(errors)).max()))
            of_weights = Gradient(convolution.as_rows(stage, x).T, errors, largest)
        else:
            sums = convolution.gradient(stage, x, delta, _TOP, _TOP)
            largest = int(max(sums.max(), -sums.min()))
            of_weights = Gradient(sums, None, largest)
        biases = np.ones(len(errors)) @ errors * one
        of_biases = Gradient(biases, None, int(np.abs(biases).max()))
        if record is not None:
            note_product(
                record,
                f"gradient {layer + 1}",
                self._gradient_operands(layer),
                stage,
                x,
                delta,
                np.vstack([of_weights.whole, biases]),
            )
        return Gradients(of_weights, of_biases)

    def _error(self, layer: int, delta: Tensor, record: Record | None) -> Tensor:
        """Rounded errors of the inputs of a layer, (batch, *image)."""
        stage, conversion = self.stages[layer], self.recipe.error
        weight = self.weights[layer]
        sums = convolution.error(stage, delta, weight, _TOP, _TOP)
        terms = stage.window.height * stage.window.width * stage.outputs
        rows, _ = self._rounded_carried(sums, conversion, terms * _TOP * _TOP, self._array)
        note_product(
            record,
            f"error {layer + 1}",
            convolution.error_operands,
            stage,
            delta,
            weight,
            rows,
            conversion,
        )
        return convolution.as_image(stage, rows)

    def _update(self, layer: int, gradients: Gradients, record: Record | None) -> None:
        """New weights and biases."""
        recipe = self.recipe
        factors, conversion = recipe.factors(self.epoch, layer), recipe.update(self.epoch, layer)
        plain = factors.without_decay
        for name, factor, gradient, words, last, reach in (
            ("weights", factors, gradients.weights, self.weights, self.weight_updates, self._reach),
            ("biases", plain, gradients.biases, self.biases, self.bias_updates, None),
        ):
            word, v = words[layer], last[layer] if last else None
            z, updates = None, v
            if record is not None:
                sums = gradient.whole
                bound = largest_sum(factor, gradient.largest)
                z = exact_sum(factor, sums, sums if v is None else v, word, bound)
                updates = np.empty_like(word) if v is None else v
            drawn = self._elementwise_words(word.size, conversion)
            now = update(
                factor,
                conversion,
                gradient,
                v,
                word,
                drawn,
                recipe.generator.draw,
                _TOP if reach is None else reach[layer],
                updates,
            )
            if reach is not None:
                reach[layer] = now
            if record is not None and z is not None and updates is not None:
                record.append(
                    Convert(
                        name=f"update {layer + 1} {name}",
                        z=z.reshape(-1),
                        conversion=conversion,
                        out=updates.astype(np.int64).reshape(-1),
                    )
                )
