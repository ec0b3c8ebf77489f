"""WAGE training in integers alone (Wu et al. 2018).

Forward weights are ternary by default, activations, errors and stored weights have 8 bits. The
output error is that of the squared loss. Nothing is rounded in the array: sums drain raw to the
quantizers, which see whole tensors. Sums are pooled before ReLU and quantizer.

Activations, errors and sums are whole numbers that floats carry (`golden.products`).
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.fixed import Codes, Rounding
from golden.training import convolution, wage_tensors
from golden.training.integer import IntegerTrainer, note_product
from golden.training.network import Shape, Stage
from golden.training.record import Quantize, Record
from golden.training.score import Score
from golden.training.trainer import pixel_table, winners
from golden.training.wage_recipe import PixelScale, Saturation, Shift, Start, WageRecipe
from golden.training.windows import Tensor, unpool
from golden.wage import alpha_exponent, limit, quantize_error


class WageTrainer(IntegerTrainer[WageRecipe]):
    """Trains convolutions and dense layers without biases.

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
        Stored weights of every layer, (inputs, outputs), codes of `recipe.bits.gradient` bits.
    alphas
        log2 of every layer's scale.
    """

    weights: list[Codes]

    def __init__(self, recipe: WageRecipe, *, shape: Shape, classes: int, pixel_max: int):
        super().__init__(recipe, shape=shape, classes=classes, pixel_max=pixel_max)
        bits = recipe.bits
        top = limit(bits.activation)
        symmetric = recipe.pixels == PixelScale.SYMMETRIC
        table = pixel_table(pixel_max, 1 << (bits.activation - 1), -top, top, symmetric)
        self._table = table.astype(np.float32)
        self.alphas = [alpha_exponent(stage.inputs, bits.weight, recipe.c) for stage in self.stages]
        self.weights = [self._first_weights(stage) for stage in self.stages]

    def _first_weights(self, stage: Stage) -> Codes:
        """Uniform over +-max(L, Lmin), L = sqrt(c / inputs), on the grid of the recipe's start."""
        recipe, bits = self.recipe, self.recipe.bits
        reach = max(math.sqrt(recipe.c / stage.inputs), 1.5 * 2.0 ** (1 - bits.weight))
        real = (2 * self.random.random((stage.inputs, stage.outputs)) - 1) * reach
        if recipe.start == Start.RELEASED:
            coarse = np.rint(np.ldexp(real, bits.weight - 1)).astype(np.int64)
            grid = coarse << (bits.gradient - bits.weight)
            return np.clip(grid, -recipe.grid_limit, recipe.grid_limit)
        top = limit(bits.gradient)
        return np.clip(np.rint(np.ldexp(real, bits.gradient - 1)).astype(np.int64), -top, top)

    def _unit(self, layer: int) -> float:
        return 2.0 ** (1 - self.recipe.bits.gradient)

    def _shift(self, layer: int) -> int:
        """Fraction bits that Q_A drops from the sums of a layer (0 the first)."""
        return self.recipe.bits.weight - 1 + self.alphas[layer]

    def _most(self, layer: int) -> int:
        """The largest sum of a layer that Q_A does not clip."""
        return limit(self.recipe.bits.activation) << self._shift(layer)

    @property
    def _one(self) -> int:
        """log2 of the output sum that stands for 1, the target of the right class."""
        return self.recipe.bits.activation + self.recipe.bits.weight - 2 + self.alphas[-1]

    def _forward_weight(self, layer: int) -> Tensor:
        bits = self.recipe.bits
        return wage_tensors.forward_weight(self.weights[layer], bits.weight, bits.gradient)

    def _sums(self, layer: int, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor | None]:
        """Sums of a layer, pooled, and which of a window's was the first maximum."""
        bits = self.recipe.bits
        return convolution.forward_pooled(
            self.stages[layer], x, weight, limit(bits.activation), limit(bits.weight)
        )

    def _outputs(self, pixels: Tensor, lanes: Any) -> Tensor:
        x = pixels
        for layer in range(self.layers - 1):
            acc, _ = self._sums(layer, x, self._forward_weight(layer))
            x = wage_tensors.activation(acc, self._shift(layer), self.recipe.bits.activation)
        last = self.layers - 1
        acc, _ = self._sums(last, x, self._forward_weight(last))
        return acc.reshape(len(pixels), -1)

    def _output_error(self, acc: Tensor, labels: Codes) -> Tensor:
        """Output less target, in units of the sums."""
        error = acc.astype(np.float64)  # float32 may have no room for the target
        error[np.arange(len(labels)), labels] -= 2.0**self._one
        return error

    def _scored(self, outputs: Tensor, labels: Codes) -> Score:
        """Half the sum of squares, as in the released code."""
        error = self._output_error(outputs, labels)
        loss = float(np.sum(np.ldexp(error, -self._one) ** 2)) / 2
        return Score(images=len(labels), wrong=int(np.sum(winners(outputs) != labels)), loss=loss)

    def _step(self, pixels: Tensor, labels: Codes, record: Record | None) -> Score:
        forward: list[Tensor] = []
        activations: list[Tensor] = [pixels]
        accs: list[Tensor] = []
        firsts: list[Tensor | None] = []
        for layer in range(self.layers):
            forward.append(self._quantize_weight(layer, record))
            x = activations[-1]
            acc, first = self._sums(layer, x, forward[-1])
            if record is not None:
                self._note_sums(layer, x, forward[-1], record)
            accs.append(acc)
            firsts.append(first)
            if layer < self.layers - 1:
                activations.append(self._quantize_activation(layer, acc, record))
        outputs = accs[-1].reshape(len(labels), -1)
        score = self._scored(outputs, labels)
        sums = self._output_error(outputs, labels)
        error = self._quantize_error(self.layers - 1, sums, np.ones_like(sums), record)
        error = error.reshape(accs[-1].shape)
        gradients: dict[int, Tensor] = {}
        for layer in reversed(range(self.layers)):
            x, first = activations[layer], firsts[layer]
            gradients[layer] = self._gradient(layer, x, error, first, record)
            if layer:
                sums = self._error_sums(layer, error, forward[layer], first, record)
                error = self._back(layer, sums, accs[layer - 1], record)
        for layer in range(self.layers):
            self._update(layer, gradients[layer], record)
        return score

    def _gradient(
        self, layer: int, x: Tensor, error: Tensor, first: Tensor | None, record: Record | None
    ) -> Tensor:
        """Sums for the weights of a layer from the errors of its pooled sums."""
        bits, stage = self.recipe.bits, self.stages[layer]
        bounds = limit(bits.activation), limit(bits.error)
        sums = convolution.gradient(stage, x, error, *bounds, first)
        if record is not None:
            whole, operands = _unpooled(stage, error, first), convolution.gradient_operands
            note_product(record, f"gradient {layer + 1}", operands, stage, x, whole, sums)
        return sums

    def _error_sums(
        self, layer: int, error: Tensor, weight: Tensor, first: Tensor | None, record: Record | None
    ) -> Tensor:
        """Sums for the inputs of a layer from the errors of its pooled sums, as rows."""
        bits, stage = self.recipe.bits, self.stages[layer]
        bounds = limit(bits.error), limit(bits.weight)
        sums = convolution.error(stage, error, weight, *bounds, first)
        if record is not None:
            whole, operands = _unpooled(stage, error, first), convolution.error_operands
            note_product(record, f"error {layer + 1}", operands, stage, whole, weight, sums)
        return sums

    def _back(self, layer: int, sums: Tensor, below: Tensor, record: Record | None) -> Tensor:
        """Errors of the layer before from their sums and its own pooled sums, `below`."""
        rows = convolution.as_rows(self.stages[layer], below)
        # The maximum inside Q_E sees errors of dead neurons: only what Q_A clipped is zeroed
        # before it.
        wage_tensors.keep(sums, rows <= self._most(layer - 1))
        error = self._quantize_error(layer - 1, sums, rows > 0, record)
        return convolution.as_image(self.stages[layer], error)

    def _note_sums(self, layer: int, x: Tensor, weight: Tensor, record: Record) -> None:
        """Record a forward product, whose sums a pooling leaves few of."""
        bits, stage = self.recipe.bits, self.stages[layer]
        acc = convolution.forward(stage, x, weight, limit(bits.activation), limit(bits.weight))
        operands = convolution.forward_operands
        note_product(record, f"forward {layer + 1}", operands, stage, x, weight, acc)

    def _quantize_weight(self, layer: int, record: Record | None) -> Tensor:
        bits, n, code = self.recipe.bits, self.weights[layer], self._forward_weight(layer)
        settings = {"bits": bits.weight, "stored": bits.gradient}
        _note(record, "weight", f"weight {layer + 1}", {"n": n}, settings, {"code": code})
        return code

    def _quantize_activation(self, layer: int, acc: Tensor, record: Record | None) -> Tensor:
        bits, shift = self.recipe.bits.activation, self._shift(layer)
        code = wage_tensors.activation(acc, shift, bits)
        if self.watching:
            self.saturated[layer] = float(np.mean(acc > self._most(layer)))
        if record is not None:
            settings = {"bits": bits, "shift": shift}
            out = {"code": code, "active": acc > 0, "unclipped": acc <= self._most(layer)}
            _note(record, "activation", f"activation {layer + 1}", {"acc": acc}, settings, out)
        return code

    def _exponent(self, name: str, values: Tensor, record: Record | None) -> tuple[int, int]:
        """The largest magnitude and log2 of its Shift; 0 where all are zero: so is every result."""
        ceil = self.recipe.shift == Shift.CEIL
        maximum, exponent = wage_tensors.exponent(values, ceil)
        if record is not None:
            out = {
                "maximum": np.array(maximum),
                "exponent": np.array(exponent),
                "zero": np.array(maximum == 0),
            }
            _note(record, "shift", name, {"values": values}, {"ceil": int(ceil)}, out)
        return maximum, exponent

    def _quantize_error(
        self, layer: int, sums: Tensor, keep: NDArray[Any], record: Record | None
    ) -> Tensor:
        """Errors as codes, zero but where `keep` says; in the order of the rows of `sums`."""
        bits, rounding = self.recipe.bits.error, Rounding(self.recipe.error_rounding)
        stochastic = rounding is Rounding.STOCHASTIC
        _, exponent = self._exponent(f"error scale {layer + 1}", sums, record)
        if stochastic:
            r = self._elementwise_dither(sums.size, exponent - (bits - 1)).reshape(sums.shape)
            exact = quantize_error(sums.astype(np.int64), exponent, bits, rounding, r)
            code = exact.astype(np.float32)
        else:
            code = wage_tensors.error(sums, exponent, bits).astype(np.float32, copy=False)
        wage_tensors.keep(code, keep)
        inputs = {"values": sums, "keep": keep}
        settings = {"bits": bits, "exponent": exponent, "stochastic": int(stochastic)}
        _note(record, "error", f"error {layer + 1}", inputs, settings, {"code": code})
        return code

    def _update(self, layer: int, gradient: Tensor, record: Record | None) -> None:
        stored, rate = self.weights[layer], self.recipe.rate(self.epoch)
        n = stored if record is None else stored.copy()
        words = self._elementwise_words(n.size)
        assert words is not None
        maximum, exponent = self._exponent(f"gradient scale {layer + 1}", gradient, record)
        wage_tensors.update(
            n,
            gradient,
            maximum,
            exponent - rate,
            self.recipe.weight_limit,
            words,
            self.recipe.generator.draw,
            out=stored,
        )
        inputs = {"n": n, "gradient": gradient}
        half = int(self.recipe.saturation == Saturation.HALF)
        bits = self.recipe.bits.gradient
        settings = {"bits": bits, "half": half, "exponent": exponent, "rate": rate}
        _note(record, "update", f"update {layer + 1}", inputs, settings, {"n": stored})


def _unpooled(stage: Stage, error: Tensor, first: Tensor | None) -> Tensor:
    """Errors of a stage's sums before pooling."""
    if stage.pool is None or first is None:
        return error
    return unpool(error, first, stage.pool, stage.sums)


def _note(
    record: Record | None,
    unit: str,
    name: str,
    inputs: Mapping[str, NDArray[Any]],
    settings: dict[str, int],
    out: Mapping[str, NDArray[Any]],
) -> None:
    """Record a pass through a unit, if anyone asked: its tensors flat, in row-major order."""
    if record is not None:
        record.append(
            Quantize(
                unit=unit,
                name=name,
                inputs={key: _flat(value) for key, value in inputs.items()},
                settings=settings,
                out={key: _flat(value) for key, value in out.items()},
            )
        )


def _flat(values: NDArray[Any]) -> Codes:
    """A tensor as it streams by; what is one value a tensor stays a scalar."""
    codes = values.astype(np.int64)
    return codes.reshape(-1) if codes.ndim else codes
