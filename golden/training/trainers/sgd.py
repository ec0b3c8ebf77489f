"""Stochastic gradient descent in floating point: the common step of the float32 baselines, HWGQ and
DoReFa.

A layer consists of products with weights, batch normalisation or biases, max-pooling and an
activation. The activation never decreases, so pooling before it has the same result as after it.
"""

import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np

from golden.fixed import Codes
from golden.training.layers.float import (
    BATCH_SHARE,
    EPSILON,
    Normalised,
    Scaled,
    error,
    forward,
    gradient,
    loss_and_error,
)
from golden.training.layers.network import Shape
from golden.training.layers.windows import Tensor, max_pool, unpool
from golden.training.runs.score import Score
from golden.training.step.record import Record, note, note_errors, note_forward, note_gradient
from golden.training.step.sgd_plan import SgdPlanner
from golden.training.systems.float.recipe import FloatStart, SgdRecipe
from golden.training.trainers.trainer import Mask, Trainer, winners

#: Type of a trainer's recipe.
S = TypeVar("S", bound=SgdRecipe)


@dataclass(kw_only=True, eq=False)
class Pass:
    """Values of a layer's forward pass that its backward pass reads.

    Parameters
    ----------
    x
        Input.
    w
        Weights.
    normalised
        Batch normalisation, if there is one.
    first
        Positions of the maxima of a pooling, if there is one.
    active
        Mask of the activation; None for the last layer, which has none.
    """

    x: Scaled
    w: Scaled
    normalised: Normalised | None
    first: Tensor | None
    active: Mask | None


@dataclass(kw_only=True, eq=False)
class Back:
    """Results of a layer's backward pass.

    Parameters
    ----------
    e
        Errors of its sums, as operands of products.
    by_bias, by_gamma
        Derivatives with respect to its biases and to the factors of its normalisation, (outputs,).
    """

    e: Scaled
    by_bias: Tensor
    by_gamma: Tensor


class Slopes(NamedTuple):
    """Gradients of all parameters of a layer."""

    weights: Tensor
    biases: Tensor
    gammas: Tensor


class SgdTrainer(Trainer[S]):
    """Stochastic gradient descent with momentum and weight decay.

    A subclass defines how weights, activations and errors are quantized for products.

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
    biases
        Biases of every layer, (outputs,); beta for a normalised layer; empty if there are none.
    gammas
        Factors of every normalised layer, (outputs,); empty for the others.
    means, variances
        Running statistics of every normalised layer for evaluation, (outputs,). Each batch has a
        share of a tenth.
    weight_velocities, bias_velocities, gamma_velocities
        The latest updates of weights, biases and gammas.
    """

    STATE = (
        "weights",
        "biases",
        "gammas",
        "means",
        "variances",
        "weight_velocities",
        "bias_velocities",
        "gamma_velocities",
    )
    planner: SgdPlanner[S]
    #: Class of `planner`.
    PLANNER: type[SgdPlanner[Any]] = SgdPlanner
    #: Type of all tensors.
    KIND: type[np.floating] = np.float32

    def __init__(self, recipe: S, *, shape: Shape, classes: int, pixel_max: int):
        super().__init__(recipe, shape=shape, classes=classes, pixel_max=pixel_max)
        self._table = np.arange(self.pixel_max + 1).astype(self.KIND)
        self.planner = self.PLANNER(recipe, self.stages)
        sizes = list(enumerate(stage.outputs for stage in self.stages))
        normalised = [size if self.planner.normalised(layer) else 0 for layer, size in sizes]
        biased = [size if self.planner.biased(layer) else 0 for layer, size in sizes]
        self.weights = [self._first_weights(stage.inputs, stage.outputs) for stage in self.stages]
        self.biases = [np.zeros(size, self.KIND) for size in biased]
        self.gammas = [np.ones(size, self.KIND) for size in normalised]
        self.means = [np.zeros(size, self.KIND) for size in normalised]
        self.variances = [np.ones(size, self.KIND) for size in normalised]
        self.weight_velocities = [np.zeros_like(weight) for weight in self.weights]
        self.bias_velocities = [np.zeros_like(bias) for bias in self.biases]
        self.gamma_velocities = [np.zeros_like(gamma) for gamma in self.gammas]

    def _first_weights(self, inputs: int, outputs: int) -> Tensor:
        if self.recipe.start == FloatStart.NORMAL:
            real = self.random.standard_normal((inputs, outputs))
            return (real * float(self.recipe.deviation)).astype(self.KIND)
        around = inputs if self.recipe.start == FloatStart.HE else inputs + outputs
        real = 2 * self.random.random((inputs, outputs)) - 1
        return (real * (6 / around) ** 0.5).astype(self.KIND)

    @abstractmethod
    def _forward_weight(self, layer: int) -> Scaled:
        """Return the weights of a layer, counted from 0, as operands of products."""

    @abstractmethod
    def _activation(self, y: Tensor) -> tuple[Scaled, Mask, float]:
        """Return the activations, their mask, and the share of `y` above the activation's range."""

    def _error(self, layer: int, d: Tensor) -> Scaled:
        """Return the errors of a layer's sums, (batch, *sums), as operands of products."""
        return Scaled(words=d)

    def _weight_gradient(self, layer: int, g: Tensor) -> Tensor:
        """Return the gradient of a layer's stored weights, from that of its forward weights."""
        return g

    def _limited(self, weight: Tensor) -> Tensor:
        """Return stored weights after an update, limited to their range."""
        return weight

    def _unit(self, layer: int) -> float:
        return 1.0

    def _input(self, pixels: Tensor) -> Scaled:
        return Scaled(words=pixels, scale=1 / self.pixel_max, bound=self.pixel_max)

    @np.errstate(over="ignore", invalid="ignore")
    def _outputs(self, pixels: Tensor, lanes: Any) -> Tensor:
        x = self._input(pixels)
        for layer, stage in enumerate(self.stages):
            w = self._forward_weight(layer)
            y = _scaled(forward(stage, x, w), x, w)
            if self.gammas[layer].size:
                deviation = np.sqrt(self.variances[layer] + EPSILON)
                y = (y - self.means[layer]) * (self.gammas[layer] / deviation)
            if self.biases[layer].size:
                y = y + self.biases[layer]
            if stage.pool is not None:
                y, _ = max_pool(y, stage.pool)
            if layer < self.layers - 1:
                x, _, _ = self._activation(y)
        return y.reshape(len(pixels), -1)

    def _scored(self, outputs: Tensor, labels: Codes) -> Score:
        loss, _ = loss_and_error(self.recipe.loss, outputs, labels)
        if not math.isfinite(loss):
            raise ValueError(
                f"learning_rate = {self.recipe.learning_rate}: training diverged in epoch "
                f"{self.epoch + 1}, the loss is no finite number any more; take a smaller one"
            )
        wrong = int(np.count_nonzero(winners(outputs) != labels))
        return Score(images=len(labels), wrong=wrong, loss=loss)

    @np.errstate(over="ignore", invalid="ignore")  # `_scored` raises if training diverges
    def _step(self, pixels: Tensor, labels: Codes, record: Record | None) -> Score:
        passes, outputs = self._train_forward(pixels, record)
        score = self._scored(outputs, labels)
        _, d = loss_and_error(self.recipe.loss, outputs, labels)
        d = d / len(labels)
        note(record, self.planner.loss(), {"outputs": outputs, "label": labels, "error": d})
        for layer, slopes in self._slopes(passes, d, record):
            self._update(layer, slopes, record)
        return score

    def _slopes(
        self, passes: list[Pass], d: Tensor, record: Record | None
    ) -> Iterator[tuple[int, Slopes]]:
        """Yield each layer and its gradients, the last layer first.

        The caller may update a layer as soon as it is yielded.

        Parameters
        ----------
        passes
            The forward pass.
        d
            Derivative of the loss with respect to the outputs, (batch, classes).
        record
            The record, if there is one.
        """
        last = self.layers - 1
        way = self._through(last, d.reshape(len(d), *self.stages[-1].pooled), passes[last], record)
        for layer in reversed(range(self.layers)):
            stage, done, e, below = self.stages[layer], passes[layer], way.e, way
            if layer:
                d = self._error_sums(layer, e, done.w, record)
                below = self._through(layer - 1, d, passes[layer - 1], record)
            g = self._weight_gradient(layer, gradient(stage, done.x, e))
            if record is not None:
                product = self.planner.float_gradient(layer)
                note_gradient(record, product, stage, done.x.reals, e.reals, g)
            yield layer, Slopes(weights=g, biases=way.by_bias, gammas=way.by_gamma)
            way = below

    def _train_forward(self, pixels: Tensor, record: Record | None) -> tuple[list[Pass], Tensor]:
        """Run the forward pass with the statistics of the batch, and update the running ones.

        Returns
        -------
        passes : list of Pass
            Values for the backward pass.
        outputs : Tensor
            (batch, classes).
        """
        x, passes = self._input(pixels), []
        for layer, stage in enumerate(self.stages):
            w = self._forward_weight(layer)
            y = self._sums(layer, x, w, record)
            normalised, first, active = None, None, None
            if self.gammas[layer].size:
                normalised = Normalised.of(y, self.gammas[layer], self.biases[layer])
                noted = {"bias": self.biases[layer], "gamma": self.gammas[layer]}
                note(record, self.planner.offset(layer), {"values": y, "out": normalised.y} | noted)
                y = normalised.y
                for running, now in (
                    (self.means, normalised.mean),
                    (self.variances, normalised.variance),
                ):
                    running[layer] = (1 - BATCH_SHARE) * running[layer] + BATCH_SHARE * now
            elif self.biases[layer].size:
                plain, y = y, y + self.biases[layer]
                noted = {"values": plain, "bias": self.biases[layer], "out": y}
                note(record, self.planner.offset(layer), noted)
            if stage.pool is not None:
                whole = y
                y, first = max_pool(y, stage.pool)
                (pool,) = self.planner.pool(layer)
                note(record, pool, {"values": whole, "pooled": y, "first": first})
            below = x
            if layer < self.layers - 1:
                x, active, beyond = self._activation(y)
                noted = {"values": y, "out": x.words, "active": active}
                note(record, self.planner.activate(layer), noted)
                if self.watching:
                    self.saturated[layer] = beyond
            passes.append(Pass(x=below, w=w, normalised=normalised, first=first, active=active))
        return passes, y.reshape(len(pixels), -1)

    def _sums(self, layer: int, x: Scaled, w: Scaled, record: Record | None) -> Tensor:
        """Return the scaled sums of a layer, (batch, *sums)."""
        stage, planner, product = self.stages[layer], self.planner, self.planner.product(layer)
        words = forward(stage, x, w)
        y = _scaled(words, x, w)
        if record is not None and planner.whole_weights(layer):
            stored = {"weight": self.weights[layer], "code": w.words}
            note(record, planner.make_weights(layer), stored)
            note_forward(record, product, stage, x.words, w.words, out=words)
            note(record, planner.scale(layer), {"values": words, "out": y})
        elif record is not None:
            note_forward(record, product, stage, x.reals, w.reals, out=y)
        return y

    def _error_sums(self, layer: int, e: Scaled, w: Scaled, record: Record | None) -> Tensor:
        """Return the scaled sums of errors times weights for the inputs of a layer."""
        stage, planner = self.stages[layer], self.planner
        words = error(stage, e, w)
        d = _scaled(words, e, w)
        if record is not None and planner.whole_errors(layer):
            note_errors(record, planner.error_products(layer), stage, e.words, w.words, words)
            note(record, planner.scale_errors(layer), {"values": words, "out": d})
        elif record is not None:
            (product,) = planner.error_products(layer)
            note(record, product, {"errors": e.reals, "weight": w.reals, "out": d})
        return d

    def _through(self, layer: int, d: Tensor, done: Pass, record: Record | None) -> Back:
        """Return the backward pass from a layer's results to its sums."""
        stage, planner = self.stages[layer], self.planner
        if done.active is not None:
            raw, d = d, d * done.active
            note(record, planner.mask(layer), {"values": raw, "keep": done.active, "out": d})
        if stage.pool is not None and done.first is not None:
            pooled, d = d, unpool(d, done.first, stage.pool, stage.sums)
            (operation,) = planner.unpool(layer)
            note(record, operation, {"errors": pooled, "first": done.first, "spread": d})
        by_gamma = np.zeros_like(self.gammas[layer])
        if done.normalised is not None:
            plain = d
            d, by_gamma, by_bias = done.normalised.back(d, self.gammas[layer])
            note(record, planner.normalise_back(layer), {"errors": plain, "out": d})
        else:
            by_bias = d.reshape(-1, stage.outputs).sum(axis=0)
        e = self._error(layer, d)
        if planner.quantizes_errors(layer):
            note(record, planner.quantize_errors(layer), {"values": d, "code": e.words})
        return Back(e=e, by_bias=by_bias[: self.biases[layer].size], by_gamma=by_gamma)

    def _update(self, layer: int, slopes: Slopes, record: Record | None) -> None:
        """Update all parameters of a layer by their gradients."""
        before = self.weights[layer]
        by_weight = slopes.weights + float(self.recipe.decay) * before
        self.weight_velocities[layer] = self._moved(self.weight_velocities[layer], by_weight)
        self.weights[layer] = self._limited(before + self.weight_velocities[layer])
        self.bias_velocities[layer] = self._moved(self.bias_velocities[layer], slopes.biases)
        self.biases[layer] = self.biases[layer] + self.bias_velocities[layer]
        self.gamma_velocities[layer] = self._moved(self.gamma_velocities[layer], slopes.gammas)
        self.gammas[layer] = self.gammas[layer] + self.gamma_velocities[layer]
        noted = {"weight": before, "gradient": slopes.weights, "moved": self.weights[layer]}
        note(record, self.planner.update(layer), noted)

    def _moved(self, velocity: Tensor, g: Tensor) -> Tensor:
        """Return the next update from the latest one and a gradient."""
        recipe = self.recipe
        return float(recipe.momentum) * velocity - float(recipe.rate(self.epoch)) * g


def _scaled(words: Tensor, left: Scaled, right: Scaled) -> Tensor:
    """Return scaled sums of products of words, in the type of the words on the left."""
    return words.astype(left.words.dtype, copy=False) * (left.scale * right.scale)
