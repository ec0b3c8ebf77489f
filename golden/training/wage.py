"""WAGE training of a network of dense layers in integers alone (Wu et al. 2018).

Forward weights are ternary by default, activations, errors and stored weights have 8 bits. The
output error is that of the squared loss. Nothing is rounded in the array: sums drain raw to the
quantizers, which see whole tensors.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.fixed import Codes, Rounding
from golden.lfsr import Lanes
from golden.products import matmul
from golden.training.record import Quantize, Record
from golden.training.score import Score
from golden.training.trainer import Trainer, pixel_table, winners
from golden.training.wage_recipe import PixelScale, Saturation, Shift, Start, WageRecipe
from golden.wage import (
    alpha_exponent,
    limit,
    quantize_activation,
    quantize_error,
    shift_exponent,
    ternarise,
    update_weight,
)


class WageTrainer(Trainer[WageRecipe]):
    """Trains dense layers without biases.

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
        Stored weights of every layer, (inputs, outputs), codes of `recipe.bits.gradient` bits.
    alphas
        log2 of every layer's scale.
    """

    def __init__(self, recipe: WageRecipe, *, inputs: int, classes: int, pixel_max: int):
        super().__init__(recipe, inputs, classes)
        bits = recipe.bits
        top = limit(bits.activation)
        symmetric = recipe.pixels == PixelScale.SYMMETRIC
        self._table = pixel_table(pixel_max, 1 << (bits.activation - 1), -top, top, symmetric)
        self.alphas = [alpha_exponent(size, bits.weight, recipe.c) for size in self.sizes[:-1]]
        self.weights = [self._first_weights(*shape) for shape in zip(self.sizes, self.sizes[1:])]

    def _first_weights(self, inputs: int, outputs: int) -> Codes:
        """Uniform over +-max(L, Lmin), L = sqrt(c / inputs), on the grid of the recipe's start."""
        recipe, bits = self.recipe, self.recipe.bits
        reach = max(math.sqrt(recipe.c / inputs), 1.5 * 2.0 ** (1 - bits.weight))
        real = (2 * self.random.random((inputs, outputs)) - 1) * reach
        if recipe.start == Start.RELEASED:
            coarse = np.rint(np.ldexp(real, bits.weight - 1)).astype(np.int64)
            grid = coarse << (bits.gradient - bits.weight)
            return np.clip(grid, -recipe.grid_limit, recipe.grid_limit)
        top = limit(bits.gradient)
        return np.clip(np.rint(np.ldexp(real, bits.gradient - 1)).astype(np.int64), -top, top)

    def _shift(self, layer: int) -> int:
        """Fraction bits that Q_A drops from the sums of a layer (0 the first)."""
        return self.recipe.bits.weight - 1 + self.alphas[layer]

    @property
    def _one(self) -> int:
        """log2 of the output sum that stands for 1, the target of the right class."""
        return self.recipe.bits.activation + self.recipe.bits.weight - 2 + self.alphas[-1]

    def _forward_weight(self, layer: int) -> Codes:
        return ternarise(self.weights[layer], self.recipe.bits.weight, self.recipe.bits.gradient)

    def _outputs(self, pixels: Codes, lanes: Lanes) -> Codes:
        activation, bits = pixels, self.recipe.bits.activation
        for layer in range(self.layers - 1):
            acc = matmul(activation, self._forward_weight(layer))
            activation = quantize_activation(acc, self._shift(layer), bits)
        return matmul(activation, self._forward_weight(self.layers - 1))

    def _score(self, pixels: Codes, labels: Codes, lanes: Lanes) -> Score:
        acc = self._outputs(pixels, lanes)
        return self._scored(acc, self._output_error(acc, labels), labels)

    def _output_error(self, acc: Codes, labels: Codes) -> Codes:
        """Output less target, in units of the sums."""
        error = acc.copy()
        error[np.arange(len(labels)), labels] -= 1 << self._one
        return error

    def _scored(self, acc: Codes, error: Codes, labels: Codes) -> Score:
        """Half the sum of squares, as in the released code."""
        loss = float(np.sum(np.ldexp(error, -self._one) ** 2)) / 2
        return Score(images=len(labels), wrong=int(np.sum(winners(acc) != labels)), loss=loss)

    def _step(self, pixels: Codes, labels: Codes, record: Record | None) -> Score:
        forward: list[Codes] = []
        activations, accs = [pixels], []
        for layer in range(self.layers):
            forward.append(self._quantize_weight(layer, record))
            accs.append(
                self._raw_product(f"forward {layer + 1}", activations[-1], forward[-1], record)
            )
            if layer < self.layers - 1:
                activations.append(self._quantize_activation(layer, accs[-1], record))
        sums = self._output_error(accs[-1], labels)
        score = self._scored(accs[-1], sums, labels)
        error = self._quantize_error(self.layers - 1, sums, np.ones_like(sums), record)
        gradients: dict[int, Codes] = {}
        for layer in reversed(range(self.layers)):
            gradients[layer] = self._raw_product(
                f"gradient {layer + 1}", activations[layer].T, error, record
            )
            if layer == 0:
                break
            sums = self._raw_product(f"error {layer + 1}", error, forward[layer].T, record)
            below = accs[layer - 1]
            # The maximum inside Q_E sees errors of dead neurons: only what Q_A clipped is zeroed
            # before it.
            unclipped = below <= limit(self.recipe.bits.activation) << self._shift(layer - 1)
            error = self._quantize_error(
                layer - 1, sums * unclipped, (below > 0).astype(np.int64), record
            )
        for layer in range(self.layers):
            self._update(layer, gradients[layer], record)
        return score

    def _quantize_weight(self, layer: int, record: Record | None) -> Codes:
        bits, n, code = self.recipe.bits, self.weights[layer], self._forward_weight(layer)
        settings = {"bits": bits.weight, "stored": bits.gradient}
        _note(record, "weight", f"weight {layer + 1}", {"n": n}, settings, {"code": code})
        return code

    def _quantize_activation(self, layer: int, acc: Codes, record: Record | None) -> Codes:
        bits, shift = self.recipe.bits.activation, self._shift(layer)
        code = quantize_activation(acc, shift, bits)
        if record is not None:
            settings = {"bits": bits, "shift": shift}
            out = {"code": code, "active": acc > 0, "unclipped": acc <= limit(bits) << shift}
            _note(record, "activation", f"activation {layer + 1}", {"acc": acc}, settings, out)
        return code

    def _exponent(self, name: str, values: Codes, record: Record | None) -> int:
        """log2 of Shift(max|values|); 0 where all are zero: then so is every result."""
        ceil = self.recipe.shift == Shift.CEIL
        maximum = int(np.abs(values).max())
        exponent = shift_exponent(maximum, ceil) if maximum else 0
        out = {
            "maximum": np.array(maximum),
            "exponent": np.array(exponent),
            "zero": np.array(maximum == 0),
        }
        _note(record, "shift", name, {"values": values}, {"ceil": int(ceil)}, out)
        return exponent

    def _quantize_error(self, layer: int, sums: Codes, keep: Codes, record: Record | None) -> Codes:
        bits, rounding = self.recipe.bits.error, Rounding(self.recipe.error_rounding)
        stochastic = rounding is Rounding.STOCHASTIC
        exponent = self._exponent(f"error scale {layer + 1}", sums, record)
        r: Codes | int = 0
        if stochastic:
            r = self._elementwise_dither(sums.size, exponent - (bits - 1)).reshape(sums.shape)
        code = quantize_error(sums, exponent, bits, rounding, r) * keep
        inputs = {"values": sums, "keep": keep}
        settings = {"bits": bits, "exponent": exponent, "stochastic": int(stochastic)}
        _note(record, "error", f"error {layer + 1}", inputs, settings, {"code": code})
        return code

    def _update(self, layer: int, gradient: Codes, record: Record | None) -> None:
        n, rate = self.weights[layer], self.recipe.rate(self.epoch)
        saturation = self.recipe.weight_limit
        exponent = self._exponent(f"gradient scale {layer + 1}", gradient, record)
        r = self._elementwise_dither(gradient.size, exponent - rate).reshape(gradient.shape)
        self.weights[layer] = update_weight(n, gradient, exponent, rate, saturation, r)
        inputs = {"n": n, "gradient": gradient}
        half = int(self.recipe.saturation == Saturation.HALF)
        bits = self.recipe.bits.gradient
        settings = {"bits": bits, "half": half, "exponent": exponent, "rate": rate}
        _note(record, "update", f"update {layer + 1}", inputs, settings, {"n": self.weights[layer]})


def _note(
    record: Record | None,
    unit: str,
    name: str,
    inputs: dict[str, Codes],
    settings: dict[str, int],
    out: Mapping[str, NDArray[Any]],
) -> None:
    """Record a pass through a unit, if anyone asked."""
    if record is not None:
        codes = {key: value.astype(np.int64) for key, value in out.items()}
        record.append(Quantize(unit=unit, name=name, inputs=inputs, settings=settings, out=codes))
