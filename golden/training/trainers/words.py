"""The common step of Gupta's and Li's trainings.

The array rounds sums to words, biases are a row of the products, and the loss is softmax
cross-entropy. Words are stored in float64, in which they and their sums are exact.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from golden.carried import Carried, fits, round_carried, saturate_carried
from golden.fixed import Codes
from golden.lfsr import Lanes
from golden.softmax.integers import FRACTION, softmax
from golden.training.layers import convolution
from golden.training.layers.softmax import cross_entropy
from golden.training.layers.windows import Tensor
from golden.training.runs.score import Score
from golden.training.step.ops import Convert
from golden.training.step.record import Record, note, note_errors, note_forward
from golden.training.step.word_plan import R, WordPlanner
from golden.training.trainers.integer import IntegerTrainer, joined
from golden.training.trainers.trainer import Mask


class Operands(NamedTuple):
    """Weights and biases of a layer's products."""

    weights: Carried
    biases: Carried


class Way(NamedTuple):
    """Forward pass of a group of samples, by layer, for its backward pass.

    Attributes
    ----------
    inputs
        Input of each layer.
    outside
        Where sums saturated; None if nowhere.
    taken
        Positions of the maxima of each pooling; None without a pooling.
    pooled
        Operand of each activation; for the last layer, the outputs.
    """

    inputs: list[Tensor]
    outside: list[Mask | None]
    taken: list[Tensor | None]
    pooled: list[Tensor]


class WordTrainer(IntegerTrainer[R]):
    """Base of the trainers on words; a subclass defines the words and the update.

    Attributes
    ----------
    biases
        Biases of every layer, (outputs,).
    """

    planner: WordPlanner[R]
    biases: list[Carried]

    def _operands(self, layer: int, record: Record | None) -> Operands:
        """Return the operands of a layer's products in a training step."""
        return Operands(self.weights[layer], self.biases[layer])

    def _evaluated_operands(self, layer: int) -> Operands:
        """Return the operands of a layer's products in evaluation."""
        return Operands(self.weights[layer], self.biases[layer])

    @abstractmethod
    def _ones(self, layer: int) -> float:
        """Return the code of 1 in the inputs of a layer, the factor of its biases."""

    @abstractmethod
    def _sums(self, layer: int, x: Tensor, operands: Operands) -> tuple[Carried, int]:
        """Return the exact sums of a layer, (batch, *sums), and a bound of their magnitudes."""

    @abstractmethod
    def _error_sums(self, layer: int, delta: Tensor, weights: Carried) -> tuple[Carried, int]:
        """Return exact sums of errors times weights, (batch, *image), and their bound."""

    @abstractmethod
    def _update(self, layer: int, x: Tensor, delta: Tensor, record: Record | None) -> None:
        """Update weights and biases by the inputs of a layer and the errors of its sums."""

    def _require_rounded(self, layer: int, forward: int, error: int) -> None:
        """Check, before the first step, that sums up to these bounds are rounded exactly.

        Raises
        ------
        ValueError
            A sum and its random bits may reach 2^53. The message names the setting, and the layer.
        """
        planner, stage = self.planner, self.stages[layer]
        rounded = [("sums", forward, planner.forward_conversion(layer))]
        if layer:
            rounded.append(("error sums", error, planner.error_conversion(layer)))
        for name, bound, conversion in rounded:
            if not fits(bound, conversion):
                raise ValueError(
                    f"network = {self.recipe.network!r}: {name} of layer {layer + 1}, "
                    f"{stage.text}, up to {bound} reach 2^53 with their random bits: float64 is "
                    "not exact there"
                )

    def _activation(self, y: Carried) -> Carried:
        return np.maximum(y, 0)

    def _passes(self, y: Carried) -> Mask:
        """Return the mask of the activation: where errors pass it."""
        return y > 0

    def _forward(
        self, layer: int, x: Tensor, operands: Operands, group: int | None, lanes: Lanes
    ) -> tuple[Carried, Mask | None]:
        """Return the words of a layer's sums, and where they saturated."""
        sums, bound = self._sums(layer, x, operands)
        product = self.planner.rounded_forward(layer, group)
        return self._rounded_carried(sums, [product], self.stages[layer], bound, lanes)

    def _outputs(self, pixels: Tensor, lanes: Lanes) -> Carried:
        operands = [self._evaluated_operands(layer) for layer in range(self.layers)]
        outputs = []
        for number, part in enumerate(self.recipe.groups):
            x = y = pixels[part]
            for layer, stage in enumerate(self.stages):
                y, _ = self._forward(layer, x, operands[layer], self.planner.name(number), lanes)
                y, _ = convolution.pool(stage, y)
                x = self._activation(y)
            outputs.append(y.reshape(len(y), -1))
        return joined(outputs)

    def _probabilities(self, y: Carried) -> Codes:
        return softmax(y.astype(np.int64), self.planner.outputs_fraction)

    def _scored(self, outputs: Tensor, labels: Codes) -> Score:
        return cross_entropy(outputs, self._probabilities(outputs), labels)

    def _step(self, pixels: Tensor, labels: Codes, record: Record | None) -> Score:
        groups, score = self.recipe.groups, Score()
        operands: list[Operands] = []
        inputs: list[list[Tensor]] = [[] for _ in self.stages]
        errors: list[list[Tensor]] = [[] for _ in self.stages]
        if self.watching:
            self.saturated = [0.0] * self.layers
        for number, part in enumerate(groups):
            group = self.planner.name(number)
            way = self._way(pixels[part], operands, group, record)
            delta, scored = self._output_error(way, labels[part], group, record)
            score += scored
            for layer in reversed(range(self.layers)):
                inputs[layer].append(way.inputs[layer])
                errors[layer].append(delta)
                below = delta
                if layer:
                    below = self._back(layer, delta, operands[layer].weights, way, group, record)
                if number == len(groups) - 1:  # gradients need the whole batch
                    self._update(layer, joined(inputs[layer]), joined(errors[layer]), record)
                delta = below
        return score

    def _way(
        self, pixels: Tensor, operands: list[Operands], group: int | None, record: Record | None
    ) -> Way:
        """Run the forward pass of a group; the first group also appends the step's operands."""
        way, planner, x = Way([], [], [], []), self.planner, pixels
        for layer, stage in enumerate(self.stages):
            if len(operands) == layer:
                operands.append(self._operands(layer, record))
            y, saturated = self._forward(layer, x, operands[layer], group, self._array)
            if record is not None:
                note_forward(
                    record,
                    planner.rounded_forward(layer, group),
                    stage,
                    x,
                    np.vstack(operands[layer]),
                    self._ones(layer),
                    out=y,
                    unclipped=_kept(y, saturated),
                )
            if self.watching and saturated is not None:
                share = len(pixels) / self.recipe.batch
                self.saturated[layer] += float(np.mean(saturated)) * share
            pooled, first = convolution.pool(stage, y)
            if first is not None:
                (pool,) = planner.pool(layer, group)
                note(record, pool, {"values": y, "pooled": pooled, "first": first})
            way.inputs.append(x)
            way.outside.append(saturated)
            way.taken.append(first)
            way.pooled.append(pooled)
            if layer < self.layers - 1:
                x = self._activation(pooled)
                if record is not None:
                    noted = {"values": pooled, "out": x, "active": self._passes(pooled)}
                    note(record, planner.activate(layer, group), noted)
        return way

    def _output_error(
        self, way: Way, labels: Codes, group: int | None, record: Record | None
    ) -> tuple[Carried, Score]:
        """Return the errors of the last layer's sums, and the score."""
        planner, outputs = self.planner, way.pooled[-1]
        y = outputs.reshape(len(labels), -1)
        probability = self._probabilities(y)
        score = cross_entropy(y, probability, labels)
        note(record, planner.softmax(group), {"outputs": y, "probability": probability})
        z = probability.astype(np.float64)
        z[np.arange(len(labels)), labels] -= 1 << FRACTION
        noted = {"outputs": probability, "label": labels, "difference": z}
        note(record, planner.difference(group), noted)
        operation = planner.output_error(group)
        delta = self._converted(operation, z, 1 << FRACTION)
        note(record, operation, {"z": z, "out": delta})
        last = self.layers - 1
        return self._passed(last, delta.reshape(outputs.shape), way, group, record), score

    def _converted(
        self, operation: Convert, z: Carried, bound: int, scalars: Mapping[str, int] | None = None
    ) -> Carried:
        """Return wide codes, at most `bound` in magnitude, rounded elementwise."""
        conversion = operation.conversion(scalars or {})
        words = self._elementwise_words(operation)
        if words is not None:
            words = words.reshape(z.shape)
        y = round_carried(z.copy(), conversion, bound, words, self.recipe.generator.draw)
        return saturate_carried(y, conversion.target)

    def _passed(
        self, layer: int, delta: Carried, way: Way, group: int | None, record: Record | None
    ) -> Carried:
        """Return errors, with those of saturated sums set to 0 if the plan has that mask.

        Without a record, `delta` is overwritten.
        """
        saturated, kept = way.outside[layer], delta
        if saturated is not None and self.planner.masks_saturated:
            kept = np.multiply(delta, ~saturated, out=None if record is not None else delta)
        if record is not None:
            for mask in self.planner.saturation_mask(layer, group):
                noted = {"values": delta, "keep": _kept(delta, saturated), "out": kept}
                note(record, mask, noted)
        return kept

    def _back(
        self,
        layer: int,
        delta: Carried,
        weights: Carried,
        way: Way,
        group: int | None,
        record: Record | None,
    ) -> Carried:
        """Return the errors of the previous layer's sums."""
        planner, stage, under = self.planner, self.stages[layer], self.stages[layer - 1]
        sums, bound = self._error_sums(layer, delta, weights)
        products = planner.rounded_errors(layer, group)
        raw, _ = self._rounded_carried(sums, products, stage, bound, self._array)
        note_errors(record, products, stage, delta, weights, raw)
        passes = self._passes(way.pooled[layer - 1])
        below = np.multiply(raw, passes, out=None if record is not None else raw)
        noted = {"values": raw, "keep": passes, "out": below}
        note(record, planner.activation_mask(layer - 1, group), noted)
        first = way.taken[layer - 1]
        if under.pool is not None and first is not None:
            errors, below = below, convolution.unpooled(under, below, first)
            if under.pool.overlap > 1:  # several errors may be added
                saturate_carried(below, planner.error_limit)
            (unpool,) = planner.unpool(layer - 1, group, planner.error_limit)
            note(record, unpool, {"errors": errors, "first": first, "spread": below})
        return self._passed(layer - 1, below, way, group, record)


def _kept(values: Tensor, outside: Mask | None) -> Mask:
    """Return where values are in range, in the shape of `values`."""
    return np.ones(values.shape, np.bool_) if outside is None else ~outside
