"""Stochastic gradient descent in floating point: the step that the float32 baselines, HWGQ and
DoReFa share.

A layer is: products with weights, batch normalisation or a bias, max-pooling, activation. Pooling
comes before the activation, which never falls, so the outcome is the same as after it.
"""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from golden.fixed import Codes
from golden.training.float_layers import (
    BATCH_SHARE,
    EPSILON,
    Normalised,
    Scaled,
    error,
    forward,
    gradient,
    loss_and_error,
)
from golden.training.float_recipe import FloatStart, SgdRecipe
from golden.training.network import Shape
from golden.training.record import Record
from golden.training.score import Score
from golden.training.trainer import Mask, Trainer, winners
from golden.training.windows import Tensor, max_pool, unpool

#: The recipe of a kind of trainer.
S = TypeVar("S", bound=SgdRecipe)


@dataclass(kw_only=True, eq=False)
class Pass:
    """What a layer's way back needs of its way forward.

    Parameters
    ----------
    x
        Input.
    w
        Weights that it met.
    normalised
        Batch normalisation, if there is one.
    first
        Where each maximum of a pooling stood, if there is one.
    active
        Where the activation lets errors pass; None of the last layer, which has no activation.
    """

    x: Scaled
    w: Scaled
    normalised: Normalised | None
    first: Tensor | None
    active: Mask | None


class SgdTrainer(Trainer[S]):
    """Stochastic gradient descent with momentum and weight decay; a subclass says what weights,
    activations and errors become before they are multiplied.

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
    batch_norm
        Whether the sums of every layer but the last are normalised.
    last_bias
        Whether the last layer has a bias.

    Attributes
    ----------
    biases
        Bias of every layer, (outputs,); of a normalised layer, beta. Empty where there is none.
    gammas
        Factor of a normalised layer, (outputs,), empty of the others.
    means, variances
        Running statistics of the normalised layers, for evaluation: a tenth of each batch's goes
        into them.
    weight_velocities, bias_velocities, gamma_velocities
        Their latest updates.
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
    #: Type of all tensors.
    KIND: type[np.floating] = np.float32

    def __init__(
        self,
        recipe: S,
        *,
        shape: Shape,
        classes: int,
        pixel_max: int,
        batch_norm: bool,
        last_bias: bool = True,
    ):
        super().__init__(recipe, shape=shape, classes=classes, pixel_max=pixel_max)
        self.pixel_max = pixel_max
        self._table = np.arange(pixel_max + 1).astype(self.KIND)
        last = len(self.stages) - 1
        outputs = [stage.outputs for stage in self.stages]
        normalised = [
            size if batch_norm and layer < last else 0 for layer, size in enumerate(outputs)
        ]
        biased = [size if last_bias or layer < last else 0 for layer, size in enumerate(outputs)]
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
        """What the stored weights of a layer (0 the first) are multiplied as."""

    @abstractmethod
    def _activation(self, y: Tensor) -> tuple[Scaled, Mask, float]:
        """What goes on to the next layer, where errors come back, and the share of `y` beyond the
        activation's top.
        """

    def _error(self, layer: int, d: Tensor) -> Scaled:
        """What the errors of a layer's sums, (batch, *sums), are multiplied as."""
        return Scaled(words=d)

    def _weight_gradient(self, layer: int, g: Tensor) -> Tensor:
        """Gradient by the stored weights of a layer, from that by its forward weights."""
        return g

    def _limited(self, weight: Tensor) -> Tensor:
        """Stored weights after an update, kept within their range."""
        return weight

    def _unit(self, layer: int) -> float:
        return 1.0

    def _input(self, pixels: Tensor) -> Scaled:
        return Scaled(words=pixels, scale=1 / self.pixel_max, bound=self.pixel_max)

    @np.errstate(over="ignore", invalid="ignore")
    def _outputs(self, pixels: Tensor, lanes: Any) -> Tensor:
        x = self._input(pixels)
        for layer, stage in enumerate(self.stages):
            y = forward(stage, x, self._forward_weight(layer), "", None)
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

    @np.errstate(over="ignore", invalid="ignore")  # the loss tells when training diverges
    def _step(self, pixels: Tensor, labels: Codes, record: Record | None) -> Score:
        passes, outputs = self._train_forward(pixels, record)
        score = self._scored(outputs, labels)
        _, d = loss_and_error(self.recipe.loss, outputs, labels)
        self._update(*self._gradients(passes, d / len(labels), record))
        return score

    def _train_forward(self, pixels: Tensor, record: Record | None) -> tuple[list[Pass], Tensor]:
        """The layers by the statistics of the batch, which go into the running ones, and outputs,
        (batch, classes).
        """
        x, passes = self._input(pixels), []
        for layer, stage in enumerate(self.stages):
            w = self._forward_weight(layer)
            y = forward(stage, x, w, f"forward {layer + 1}", record)
            normalised, first, active = None, None, None
            if self.gammas[layer].size:
                normalised = Normalised.of(y, self.gammas[layer], self.biases[layer])
                y = normalised.y
                for running, now in (
                    (self.means, normalised.mean),
                    (self.variances, normalised.variance),
                ):
                    running[layer] = (1 - BATCH_SHARE) * running[layer] + BATCH_SHARE * now
            elif self.biases[layer].size:
                y = y + self.biases[layer]
            if stage.pool is not None:
                y, first = max_pool(y, stage.pool)
            below = x
            if layer < self.layers - 1:
                x, active, beyond = self._activation(y)
                if self.watching:
                    self.saturated[layer] = beyond
            passes.append(Pass(x=below, w=w, normalised=normalised, first=first, active=active))
        return passes, y.reshape(len(pixels), -1)

    def _gradients(
        self, passes: list[Pass], d: Tensor, record: Record | None
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Gradients by stored weights, biases and gammas, from the derivative by the outputs."""
        weights, biases, gammas = [], [], []
        d = d.reshape(len(d), *self.stages[-1].pooled)
        for layer, (stage, done) in reversed(list(enumerate(zip(self.stages, passes)))):
            if done.active is not None:
                d = d * done.active
            if stage.pool is not None and done.first is not None:
                d = unpool(d, done.first, stage.pool, stage.sums)
            by_gamma = np.zeros_like(self.gammas[layer])
            if done.normalised is not None:
                d, by_gamma, by_bias = done.normalised.back(d, self.gammas[layer])
            else:
                by_bias = d.reshape(-1, stage.outputs).sum(axis=0)
            e = self._error(layer, d)
            weights.append(self._weight_gradient(layer, gradient(stage, done.x, e)))
            biases.append(by_bias[: self.biases[layer].size])
            gammas.append(by_gamma)
            if layer:
                d = error(stage, e, done.w, f"error {layer + 1}", record)
        return weights[::-1], biases[::-1], gammas[::-1]

    def _update(self, weights: list[Tensor], biases: list[Tensor], gammas: list[Tensor]) -> None:
        decay = float(self.recipe.decay)
        for layer in range(self.layers):
            by_weight = weights[layer] + decay * self.weights[layer]
            self.weight_velocities[layer] = self._moved(self.weight_velocities[layer], by_weight)
            self.weights[layer] = self._limited(self.weights[layer] + self.weight_velocities[layer])
            self.bias_velocities[layer] = self._moved(self.bias_velocities[layer], biases[layer])
            self.biases[layer] = self.biases[layer] + self.bias_velocities[layer]
            self.gamma_velocities[layer] = self._moved(self.gamma_velocities[layer], gammas[layer])
            self.gammas[layer] = self.gammas[layer] + self.gamma_velocities[layer]

    def _moved(self, velocity: Tensor, g: Tensor) -> Tensor:
        """The update that follows one, by a gradient."""
        recipe = self.recipe
        return float(recipe.momentum) * velocity - float(recipe.rate(self.epoch)) * g
