"""Training in 16-bit fixed point with stochastic rounding (Gupta et al. 2015): convolutions and
dense layers with ReLU, max-pooling, softmax cross-entropy.

All weights, biases, activations, errors and updates are words <16-FL,FL>. Sums are exact and are
rounded once. An update is the exact sum of gradient, momentum and decay, each times its factor, and
is also rounded once. Words are stored in float64, in which they and their sums are exact.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from golden.carried import Carried, saturate_carried
from golden.lfsr import Words
from golden.settings import exact
from golden.training.layers import convolution
from golden.training.layers.network import Shape
from golden.training.layers.windows import Tensor
from golden.training.step.record import Record, note, note_gradient
from golden.training.systems.gupta.plan import GuptaPlanner
from golden.training.systems.gupta.recipe import WORD, GuptaRecipe, UpdateFactors
from golden.training.systems.gupta.update import Gradient, exact_sum, largest_sum, update
from golden.training.trainers.trainer import pixel_table
from golden.training.trainers.words import Operands, WordTrainer

#: Largest magnitude of a word.
_TOP = 1 << (WORD - 1)


class Gradients(NamedTuple):
    """Exact gradient sums of a layer."""

    weights: Gradient
    biases: Gradient


class GuptaTrainer(WordTrainer[GuptaRecipe]):
    """Trainer in fixed point, with ReLU, max-pooling and softmax cross-entropy.

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

    Attributes
    ----------
    weights
        Weights of every layer, (inputs, outputs): codes of the recipe's format, in float64.
    biases
        Biases of every layer, (outputs,).
    weight_updates, bias_updates
        The latest updates, for momentum; empty without momentum.

    Examples
    --------
    >>> recipe = GuptaRecipe(network="8FC", batch=4)
    >>> trainer = GuptaTrainer(recipe, shape=(8, 8, 1), classes=10, pixel_max=16)
    >>> images = np.arange(256).reshape(4, 8, 8) % 17
    >>> trainer.step(images, np.arange(4)).images
    4
    >>> trainer.draws
    Draws(array=84, elementwise=78)
    """

    STATE = ("weights", "biases", "weight_updates", "bias_updates")

    planner: GuptaPlanner

    def __init__(self, recipe: GuptaRecipe, *, shape: Shape, classes: int, pixel_max: int):
        super().__init__(recipe, shape=shape, classes=classes, pixel_max=pixel_max)
        self.planner = GuptaPlanner(recipe, self.stages)
        for layer in range(self.layers):
            self._require_exact(f"words of {WORD} bits", layer, _TOP, _TOP, _TOP)
            self._require_rounded(layer, self._sums_bound(layer), self._error_sums_bound(layer))
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

    def _ones(self, layer: int) -> float:
        return float(1 << self.recipe.input_format(layer).fl)

    def _sums(self, layer: int, x: Tensor, operands: Operands) -> tuple[Carried, int]:
        stage = self.stages[layer]
        biases = operands.biases * self._ones(layer)
        sums = convolution.forward(stage, x, operands.weights, _TOP, _TOP, biases)
        return sums, self._sums_bound(layer)

    def _sums_bound(self, layer: int) -> int:
        """Return an upper bound of a layer's sums, biases included."""
        return (self.stages[layer].inputs + 1) * _TOP * _TOP

    def _error_sums(self, layer: int, delta: Tensor, weights: Carried) -> tuple[Carried, int]:
        sums = convolution.error(self.stages[layer], delta, weights, _TOP, _TOP)
        return sums, self._error_sums_bound(layer)

    def _error_sums_bound(self, layer: int) -> int:
        """Return an upper bound of a layer's error sums."""
        stage = self.stages[layer]
        return stage.window.height * stage.window.width * stage.outputs * _TOP * _TOP

    def _gradient(self, layer: int, x: Tensor, delta: Tensor, record: Record | None) -> Gradients:
        """Return the exact gradient sums of weights and biases."""
        stage, errors = self.stages[layer], delta.reshape(-1, self.stages[layer].outputs)
        one = self._ones(layer)
        if stage.dense:
            most = max(float(x.max()), one)  # inputs are not negative
            largest = int(most * float((np.ones(len(errors)) @ np.abs(errors)).max()))
            of_weights = Gradient(x.reshape(len(x), -1).T, errors, largest)
        else:
            sums = convolution.gradient(stage, x, delta, _TOP, _TOP)
            largest = int(max(sums.max(), -sums.min()))
            of_weights = Gradient(sums, None, largest)
        biases = np.ones(len(errors)) @ errors * one
        of_biases = Gradient(biases, None, int(np.abs(biases).max()))
        if record is not None:
            out = np.vstack([of_weights.whole, biases])
            note_gradient(record, self.planner.gradient(layer), stage, x, delta, out, one)
        return Gradients(of_weights, of_biases)

    def _update(self, layer: int, x: Tensor, delta: Tensor, record: Record | None) -> None:
        # One operation for both: the biases are the last row of the weights.
        recipe, operation = self.recipe, self.planner.weight_update(layer)
        gradients = self._gradient(layer, x, delta, record)
        factors, conversion = recipe.factors(self.epoch, layer), recipe.update(self.epoch, layer)
        words = self._elementwise_words(operation)
        of_weights, of_biases = (None, None) if words is None else (words[:-1], words[-1])
        noted: list[dict[str, Tensor]] | None = None if record is None else []

        def move(
            factor: UpdateFactors,
            gradient: Gradient,
            word: Carried,
            last: list[Carried],
            drawn: Words | None,
            reach: int,
        ) -> int:
            """Update a tensor, and return a bound of its magnitudes."""
            v = last[layer] if last else None
            updates, before = v, {}
            if noted is not None:
                sums = gradient.whole
                bound = largest_sum(factor, gradient.largest)
                z = exact_sum(factor, sums, sums if v is None else v, word, bound)
                before = {"gradient": sums, "weight": word.copy(), "z": z}
                if v is None:
                    updates = np.empty_like(word)
                else:
                    before["last"] = v.copy()
            draw = recipe.generator.draw
            now = update(factor, conversion, gradient, v, word, drawn, draw, reach, updates)
            if noted is not None and updates is not None:
                noted.append(before | {"out": updates, "moved": word})
            return now

        weight, bias, reach = self.weights[layer], self.biases[layer], self._reach[layer]
        self._reach[layer] = move(
            factors, gradients.weights, weight, self.weight_updates, of_weights, reach
        )
        plain = factors.without_decay
        move(plain, gradients.biases, bias, self.bias_updates, of_biases, _TOP)
        if noted is not None:
            tensors = {name: np.vstack([part[name] for part in noted]) for name in noted[0]}
            scalars = {name: getattr(factors, name) for name in operation.SCALARS}
            note(record, operation, tensors, scalars)
