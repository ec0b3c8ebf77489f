"""WAGE training in integers only (Wu et al. 2018).

By default, forward weights are ternary, and activations, errors and stored weights have 8 bits. The
loss is the squared error. The array does not round: sums drain raw to the quantizers, which process
whole tensors. Pooling takes the sums, before ReLU and quantizer.

Activations, errors and sums are integers stored in floats (`golden.products`).
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.fixed import Codes, Rounding
from golden.quantize import limit, quantize_error
from golden.training.layers import convolution
from golden.training.layers.network import Shape, Stage
from golden.training.layers.windows import Tensor
from golden.training.runs.score import Score
from golden.training.step.operation import Kind
from golden.training.step.ops import ShiftExponent
from golden.training.step.record import Record, note, note_errors, note_forward, note_gradient
from golden.training.systems.wage import tensors as wage_tensors
from golden.training.systems.wage.plan import WagePlanner
from golden.training.systems.wage.recipe import PixelScale, Shift, Start, WageRecipe
from golden.training.trainers.integer import IntegerTrainer
from golden.training.trainers.trainer import pixel_table, winners


class WageTrainer(IntegerTrainer[WageRecipe]):
    """Trainer of WAGE, with convolutions and dense layers without biases.

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
        Stored weights of every layer, (inputs, outputs): codes of `recipe.bits.gradient` bits.

    Examples
    --------
    >>> recipe = WageRecipe(network="8FC", batch=4)
    >>> trainer = WageTrainer(recipe, shape=(8, 8, 1), classes=10, pixel_max=16)
    >>> images = np.arange(256).reshape(4, 8, 8) % 17
    >>> trainer.step(images, np.arange(4)).images
    4
    >>> trainer.draws
    Draws(array=0, elementwise=72)
    """

    weights: list[Codes]
    planner: WagePlanner

    def __init__(self, recipe: WageRecipe, *, shape: Shape, classes: int, pixel_max: int):
        super().__init__(recipe, shape=shape, classes=classes, pixel_max=pixel_max)
        bits = recipe.bits
        top = limit(bits.activation)
        symmetric = recipe.pixels == PixelScale.SYMMETRIC
        table = pixel_table(pixel_max, 1 << (bits.activation - 1), -top, top, symmetric)
        self._table = table.astype(np.float32)
        self.planner = WagePlanner(recipe, self.stages)
        for layer in range(self.layers):
            bounds = (limit(width) for width in (bits.activation, bits.weight, bits.error))
            self._require_exact(f"bits = {bits}", layer, *bounds, pooled=True)
        self.weights = [self._first_weights(stage) for stage in self.stages]

    def _first_weights(self, stage: Stage) -> Codes:
        """Draw weights uniformly from +-max(L, Lmin), L = sqrt(c / inputs), on the first grid."""
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

    def _most(self, layer: int) -> int:
        """Return the largest sum of a layer that Q_A does not clip."""
        return limit(self.recipe.bits.activation) << self.planner.shift(layer)

    def _forward_weight(self, layer: int) -> Tensor:
        bits = self.recipe.bits
        return wage_tensors.forward_weight(self.weights[layer], bits.weight, bits.gradient)

    def _sums(self, layer: int, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the pooled sums of a layer, and the positions of the first maxima."""
        bits = self.recipe.bits
        return convolution.forward_pooled(
            self.stages[layer], x, weight, limit(bits.activation), limit(bits.weight)
        )

    def _outputs(self, pixels: Tensor, lanes: Any) -> Tensor:
        x = pixels
        for layer in range(self.layers - 1):
            acc, _ = self._sums(layer, x, self._forward_weight(layer))
            x = wage_tensors.activation(acc, self.planner.shift(layer), self.recipe.bits.activation)
        last = self.layers - 1
        acc, _ = self._sums(last, x, self._forward_weight(last))
        return acc.reshape(len(pixels), -1)

    def _output_error(self, acc: Tensor, labels: Codes) -> Tensor:
        """Return outputs minus targets, in units of the sums."""
        error = acc.astype(np.float64)  # the difference may not be exact in float32
        error[np.arange(len(labels)), labels] -= 2.0**self.planner.one
        return error

    def _scored(self, outputs: Tensor, labels: Codes) -> Score:
        """Return the score; the loss is half the sum of squares, as in the released code."""
        error = self._output_error(outputs, labels)
        loss = float(np.sum(np.ldexp(error, -self.planner.one) ** 2)) / 2
        return Score(images=len(labels), wrong=int(np.sum(winners(outputs) != labels)), loss=loss)

    def _step(self, pixels: Tensor, labels: Codes, record: Record | None) -> Score:
        last = self.layers - 1
        forward: list[Tensor] = []
        activations: list[Tensor] = [pixels]
        accs: list[Tensor] = []
        firsts: list[Tensor | None] = []
        for layer in range(self.layers):
            forward.append(self._quantize_weight(layer, record))
            x = activations[-1]
            acc, first = self._sums(layer, x, forward[-1])
            self._note_sums(layer, x, forward[-1], acc, first, record)
            accs.append(acc)
            firsts.append(first)
            if layer < last:
                activations.append(self._quantize_activation(layer, acc, record))
        outputs = accs[-1].reshape(len(labels), -1)
        score = self._scored(outputs, labels)
        sums = self._output_error(outputs, labels)
        noted = {"outputs": outputs, "label": labels, "difference": sums}
        note(record, self.planner.output_error(), noted)
        error = self._quantize_error(last, sums, np.ones_like(sums), record)
        error = error.reshape(accs[-1].shape)
        for layer in reversed(range(self.layers)):
            below = error
            if layer:
                sums = self._error_sums(layer, error, forward[layer], firsts[layer], record)
                below = self._back(layer, sums, accs[layer - 1], firsts[layer - 1], record)
            gradient = self._gradient(layer, activations[layer], error, firsts[layer], record)
            self._update(layer, gradient, record)
            error = below
        return score

    def _gradient(
        self, layer: int, x: Tensor, error: Tensor, first: Tensor | None, record: Record | None
    ) -> Tensor:
        """Return the gradient sums of a layer, from the errors of its pooled sums."""
        bits, stage = self.recipe.bits, self.stages[layer]
        bounds = limit(bits.activation), limit(bits.error)
        sums = convolution.gradient(stage, x, error, *bounds, first)
        if record is not None:
            whole = convolution.unpooled(stage, error, first)
            note_gradient(record, self.planner.gradient(layer), stage, x, whole, sums)
        return sums

    def _error_sums(
        self, layer: int, error: Tensor, weight: Tensor, first: Tensor | None, record: Record | None
    ) -> Tensor:
        """Return the error sums of a layer's inputs, from the errors of its pooled sums."""
        bits, stage = self.recipe.bits, self.stages[layer]
        bounds = limit(bits.error), limit(bits.weight)
        sums = convolution.error(stage, error, weight, *bounds, first)
        if record is not None:
            whole = convolution.unpooled(stage, error, first)
            products = self.planner.errors(layer, Kind.FORWARD_WEIGHT, None)
            note_errors(record, products, stage, whole, weight, sums)
        return sums

    def _back(
        self, layer: int, sums: Tensor, below: Tensor, first: Tensor | None, record: Record | None
    ) -> Tensor:
        """Return the errors of the previous layer, from their sums and its pooled sums `below`."""
        # The maximum of Q_E includes errors of neurons that are not active: before Q_E, only errors
        # of clipped sums are set to 0.
        unclipped, plan = below <= self._most(layer - 1), self.planner
        raw = sums if record is None else sums.copy()
        wage_tensors.keep(sums, unclipped)
        note(record, plan.clip_mask(layer - 1), {"values": raw, "keep": unclipped, "out": sums})
        error = self._quantize_error(layer - 1, sums, below > 0, record)
        self._note_unpool(layer - 1, error, first, record)
        return error

    def _note_sums(
        self,
        layer: int,
        x: Tensor,
        weight: Tensor,
        pooled: Tensor,
        first: Tensor | None,
        record: Record | None,
    ) -> None:
        """Record a forward product, with all sums, and the pooling after it."""
        if record is None:
            return
        bits, stage = self.recipe.bits, self.stages[layer]
        acc = convolution.forward(stage, x, weight, limit(bits.activation), limit(bits.weight))
        product = self.planner.forward(layer, Kind.FORWARD_WEIGHT, None)
        note_forward(record, product, stage, x, weight, out=acc)
        if first is not None:
            (pool,) = self.planner.pool(layer)
            note(record, pool, {"values": acc, "pooled": pooled, "first": first})

    def _quantize_weight(self, layer: int, record: Record | None) -> Tensor:
        n, code = self.weights[layer], self._forward_weight(layer)
        note(record, self.planner.quantize_weight(layer), {"n": n, "code": code})
        return code

    def _quantize_activation(self, layer: int, acc: Tensor, record: Record | None) -> Tensor:
        code = wage_tensors.activation(acc, self.planner.shift(layer), self.recipe.bits.activation)
        if self.watching:
            self.saturated[layer] = float(np.mean(acc > self._most(layer)))
        if record is not None:
            masks = {"active": acc > 0, "unclipped": acc <= self._most(layer)}
            note(
                record, self.planner.quantize_activation(layer), {"acc": acc, "code": code} | masks
            )
        return code

    def _exponent(
        self, operation: ShiftExponent, values: Tensor, record: Record | None
    ) -> tuple[int, int]:
        """Return the largest magnitude and log2 of its Shift; both are 0 if all values are 0."""
        maximum, exponent = wage_tensors.exponent(values, self.recipe.shift == Shift.CEIL)
        note(record, operation, {"values": values}, {"maximum": maximum, "exponent": exponent})
        return maximum, exponent

    def _quantize_error(
        self, layer: int, sums: Tensor, keep: NDArray[Any], record: Record | None
    ) -> Tensor:
        """Return errors as codes, with 0 where the mask `keep` is 0."""
        bits, rounding = self.recipe.bits.error, Rounding(self.recipe.error_rounding)
        operation = self.planner.quantize_error(layer)
        maximum, exponent = self._exponent(self.planner.error_exponent(layer), sums, record)
        if operation.draws:
            r = self._dither(operation, exponent - (bits - 1)).reshape(sums.shape)
            exact = quantize_error(sums.astype(np.int64), exponent, bits, rounding, r)
            code = exact.astype(np.float32)
        else:
            code = wage_tensors.error(sums, exponent, bits).astype(np.float32, copy=False)
        wage_tensors.keep(code, keep)
        scalars = {"maximum": maximum, "exponent": exponent}
        note(record, operation, {"values": sums, "keep": keep, "code": code}, scalars)
        return code

    def _note_unpool(
        self, layer: int, error: Tensor, first: Tensor | None, record: Record | None
    ) -> None:
        """Record the way back of errors through the pooling after a layer."""
        stage = self.stages[layer]
        if record is not None and first is not None:
            (unpool,) = self.planner.unpool(layer)
            spread = convolution.unpooled(stage, error, first)
            note(record, unpool, {"errors": error, "first": first, "spread": spread})

    def _update(self, layer: int, gradient: Tensor, record: Record | None) -> None:
        stored, rate = self.weights[layer], self.recipe.rate(self.epoch)
        operation = self.planner.update(layer)
        n = stored if record is None else stored.copy()
        maximum, exponent = self._exponent(self.planner.gradient_exponent(layer), gradient, record)
        words = self._elementwise_words(operation)
        assert words is not None
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
        scalars = {"maximum": maximum, "exponent": exponent, "rate": rate}
        note(record, operation, {"n": n, "gradient": gradient, "out": stored}, scalars)
