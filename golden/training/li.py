"""Training with weights on a coarse grid: rounded to nearest (R), stochastically rounded (SR) and
BinaryConnect (BC) of Li et al. 2017, "Training Quantized Nets"; binary activations (BNN).

A weight of a layer is u * 2^-k, u from -1 to 1. With R and SR u is always on the grid: the step
is taken finely and rounded away at once. With BC u is a fine buffer, and its nearest value on the
grid serves forward and backward. Sums, words and the softmax are those of Gupta's training, and as
there words travel in float64, which holds them and their sums exactly.
"""

import math
from dataclasses import replace
from functools import partial

import numpy as np

from golden.carried import Carried, fits, round_carried, saturate_carried
from golden.fixed import Codes, Conversion, Fixed, Rounding, round_shift
from golden.lfsr import Lanes
from golden.training import convolution, softmax
from golden.training.integer import IntegerTrainer, note_product
from golden.training.li_recipe import Activation, Binarize, LiRecipe, Plan, Update
from golden.training.network import Shape, Stage
from golden.training.record import Convert, Record
from golden.training.score import Score
from golden.training.trainer import Mask, pixel_table
from golden.training.windows import Tensor, max_pool, unpool


class LiTrainer(IntegerTrainer[LiRecipe]):
    """Trains layers with ReLU or sign between them and softmax cross-entropy after them.

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
    plans
        Points and bounds of every layer.
    weights
        Stored weights u of every layer, (inputs, outputs), whole numbers in float64: codes of the
        grid (R, SR; -1 and +1 on the binary one), or of the fine format (BC).
    biases
        Biases of every layer, (outputs,), codes of the fine format. They are never rounded to the
        grid, and 1 of a bias is 1 whatever the layer's scale (ours).
    """

    STATE = ("weights", "biases")

    def __init__(self, recipe: LiRecipe, *, shape: Shape, classes: int, pixel_max: int):
        super().__init__(recipe, shape=shape, classes=classes, pixel_max=pixel_max)
        pixels = recipe.formats.input
        self._table = pixel_table(pixel_max, 1 << pixels.fl, pixels.minimum, pixels.maximum).astype(
            np.float64
        )
        self._error_bound = -recipe.formats.error.minimum
        #: 1 as a code of the grid, and of the fine format.
        self._one, self._fine_one = 1 << recipe.grid_fl, 1 << recipe.formats.fine_fl
        self.plans = [recipe.plan(stage, not layer) for layer, stage in enumerate(self.stages)]
        for stage, plan in zip(self.stages, self.plans):
            recipe.require_width(plan, math.prod(stage.sums[:2]))
        self.weights: list[Carried] = [self._first_weights(stage) for stage in self.stages]
        self.biases = [np.zeros(stage.outputs) for stage in self.stages]

    def _first_weights(self, stage: Stage) -> Carried:
        """Uniform from -1 to 1 in the fine format, and to the nearest of the grid for R and SR."""
        real = 2 * self.random.random((stage.inputs, stage.outputs)) - 1
        fine = np.rint(np.ldexp(real, self.recipe.formats.fine_fl))
        return fine if self.recipe.update == Update.BC else self._nearest(fine)

    def _unit(self, layer: int) -> float:
        buffer = self.recipe.update == Update.BC
        fraction = self.recipe.formats.fine_fl if buffer else self.recipe.grid_fl
        return 2.0 ** -(fraction + self.plans[layer].scale)

    def _to_quantizer(self, u: Carried) -> Carried:
        """What the quantizer takes for fine codes: on the binary grid (u + 1) / 2."""
        return u + self._fine_one if self.recipe.binary else u.copy()

    def _from_quantizer(self, y: Carried) -> Carried:
        """Codes of the grid, from -1 to 1, for what the quantizer gave; in place."""
        if not self.recipe.binary:
            return np.clip(y, -self._one, self._one, out=y)
        np.clip(y, 0, 1, out=y)
        y *= 2
        y -= 1
        return y

    def _nearest(self, u: Carried) -> Carried:
        """The grid's nearest to fine codes from -1 to 1, ties away from zero; 0 goes to +1 on the
        binary one.
        """
        nearest = replace(self.recipe.quantizer, rounding=Rounding.NEAREST_AWAY)
        return self._from_quantizer(
            round_carried(self._to_quantizer(u), nearest, 2 * self._fine_one)
        )

    def _forward_weights(self, layer: int, record: Record | None) -> Carried:
        """Weights of a training step, codes of the grid."""
        recipe, u = self.recipe, self.weights[layer]
        if recipe.update != Update.BC:
            return u
        name, bound = f"weight {layer + 1}", 2 * self._fine_one
        if recipe.binarize == Binarize.DETERMINISTIC:
            z = self._to_quantizer(u)
            return self._from_quantizer(self._converted(name, z, recipe.quantizer, bound, record))
        # +1 is wanted if r < the probability's code, which has the bits of a draw. Convert rounds
        # down if r < 2^draw - z: with 2^draw - code for z it gives 0 for +1, and 1 for -1.
        draw = recipe.generator.draw
        code = probability_code(u.astype(np.int64), recipe.formats.fine_fl, draw)
        to_bit = Conversion(fraction=draw, target=Fixed(2, 0), rounding=Rounding.STOCHASTIC)
        z = ((1 << draw) - code).astype(np.float64)
        return 1 - 2 * self._converted(name, z, to_bit, 1 << draw, record)

    def _converted(
        self, name: str, z: Carried, conversion: Conversion, bound: int, record: Record | None
    ) -> Carried:
        """A tensor of wide codes up to `bound` in magnitude, rounded elementwise in place."""
        words = self._elementwise_words(z.size, conversion)
        if words is not None:
            words = words.reshape(z.shape)
        wide = None if record is None else z.astype(np.int64).reshape(-1)
        y = round_carried(z, conversion, bound, words, self.recipe.generator.draw)
        saturate_carried(y, conversion.target)
        if record is not None and wide is not None:
            out = y.astype(np.int64).reshape(-1)
            record.append(Convert(name=name, z=wide, conversion=conversion, out=out))
        return y

    def _sums(
        self, layer: int, x: Tensor, w: Carried, bias: Carried, lanes: Lanes
    ) -> tuple[Carried, Mask | None]:
        """Sums of a layer with its biases, rounded, and where they saturated."""
        stage, plan = self.stages[layer], self.plans[layer]
        sums = convolution.forward(stage, x, w, plan.input_bound, self._one)
        z = sums + bias * float(1 << plan.ones)
        bound = stage.inputs * plan.input_bound * self._one + plan.bias_bound
        return self._rounded_carried(z, plan.forward, bound, lanes)

    def _activation(self, y: Carried) -> Carried:
        if self.recipe.activation == Activation.SIGN:
            return np.where(y >= 0, 1.0, -1.0)
        return np.maximum(y, 0)

    def _passes(self, y: Carried) -> Mask:
        """Where the error gets back through the activation."""
        if self.recipe.activation == Activation.SIGN:
            return np.abs(y) <= 1 << self.recipe.formats.activation_fl
        return y > 0

    def _outputs(self, pixels: Tensor, lanes: Lanes) -> Carried:
        """Logits; BC's weights are the grid's nearest, also where training draws them (ours)."""
        x = y = pixels
        for layer, stage in enumerate(self.stages):
            w, conversion = self.weights[layer], self.plans[layer].bias
            if self.recipe.update == Update.BC:
                w = self._nearest(w)
            bias = conversion(self.biases[layer].astype(np.int64)).astype(np.float64)
            y, _ = self._sums(layer, x, w, bias, lanes)
            if stage.pool is not None:
                y, _ = max_pool(y, stage.pool)
            x = self._activation(y)
        return y.reshape(len(y), -1)

    def _probabilities(self, y: Carried) -> Codes:
        return softmax.softmax(y.astype(np.int64), self.recipe.formats.activation_fl)

    def _scored(self, outputs: Tensor, labels: Codes) -> Score:
        return softmax.cross_entropy(outputs, self._probabilities(outputs), labels)

    def _step(self, pixels: Tensor, labels: Codes, record: Record | None) -> Score:
        recipe = self.recipe
        weights: list[Carried] = []
        inputs = [pixels]
        outside: list[Mask | None] = []  # of every layer, where a sum saturated
        taken: list[Tensor | None] = []  # which of a pooling's values went on
        passes: list[Mask] = []  # and which of those the error comes back through
        y = pixels
        for layer, stage in enumerate(self.stages):
            plan = self.plans[layer]
            weights.append(self._forward_weights(layer, record))
            fine = self.biases[layer].copy()
            bias = self._converted(
                f"bias {layer + 1}", fine, plan.bias, -recipe.formats.fine.minimum, record
            )
            y, saturated = self._sums(layer, inputs[-1], weights[-1], bias, self._array)
            note_product(
                record,
                f"forward {layer + 1}",
                partial(_with_biases, plan=plan, bias=bias),
                stage,
                inputs[-1],
                weights[-1],
                y,
                plan.forward,
            )
            if self.watching:
                self.saturated[layer] = 0.0 if saturated is None else float(np.mean(saturated))
            outside.append(saturated)
            y, first = (y, None) if stage.pool is None else max_pool(y, stage.pool)
            taken.append(first)
            passes.append(self._passes(y))
            inputs.append(self._activation(y))
        logits = y.reshape(len(y), -1)
        probability = self._probabilities(logits)
        score = softmax.cross_entropy(logits, probability, labels)
        probability[np.arange(len(labels)), labels] -= 1 << softmax.FRACTION
        delta = self._converted(
            "output error",
            probability.astype(np.float64).reshape(y.shape),
            recipe.output_error,
            1 << softmax.FRACTION,
            record,
        )
        _drop(delta, outside[-1])
        gradients: dict[int, tuple[Carried, Carried]] = {}
        for layer in reversed(range(self.layers)):
            gradients[layer] = self._gradient(layer, inputs[layer], delta, record)
            if layer:
                delta = self._error(layer, delta, weights[layer], record)
                delta = delta * passes[layer - 1]
                under, first = self.stages[layer - 1], taken[layer - 1]
                if under.pool is not None and first is not None:
                    delta = unpool(delta, first, under.pool, under.sums)
                    saturate_carried(delta, recipe.formats.error)  # where windows overlap
                _drop(delta, outside[layer - 1])
        for layer in range(self.layers):
            self._update(layer, *gradients[layer], record)
        return score

    def _gradient(
        self, layer: int, x: Tensor, delta: Carried, record: Record | None
    ) -> tuple[Carried, Carried]:
        """Exact gradient sums of weights and biases."""
        stage, plan = self.stages[layer], self.plans[layer]
        of_weights = convolution.gradient(stage, x, delta, plan.input_bound, self._error_bound)
        of_biases = delta.reshape(-1, stage.outputs).sum(axis=0) * float(1 << plan.ones)
        if record is not None:
            out = np.vstack([of_weights, of_biases])
            operands = partial(_with_ones, plan=plan)
            note_product(record, f"gradient {layer + 1}", operands, stage, x, delta, out)
        return of_weights.astype(np.float64, copy=False), of_biases

    def _error(self, layer: int, delta: Carried, w: Carried, record: Record | None) -> Carried:
        """Rounded errors of the inputs of a layer, (batch, *image)."""
        stage, conversion = self.stages[layer], self.plans[layer].error
        sums = convolution.error(stage, delta, w, self._error_bound, self._one)
        terms = stage.window.height * stage.window.width * stage.outputs
        bound = terms * self._error_bound * self._one
        rows, _ = self._rounded_carried(
            sums.astype(np.float64, copy=False), conversion, bound, self._array
        )
        operands, name = convolution.error_operands, f"error {layer + 1}"
        note_product(record, name, operands, stage, delta, w, rows, conversion)
        return convolution.as_image(stage, rows)

    def _update(
        self, layer: int, of_weights: Carried, of_biases: Carried, record: Record | None
    ) -> None:
        """New weights and biases; a step is rounded once, from the exact sums, to a fine code."""
        recipe, plan, name = self.recipe, self.plans[layer], f"{layer + 1}"
        formats, top = recipe.formats, float(self._fine_one)
        point = formats.error_fl + plan.input_fraction
        rate = recipe.step(self.epoch, point, plan.scale)
        step = self._fine_step(f"step {name} weights", of_weights, *rate, record)
        if recipe.update == Update.BC:
            self.weights[layer] = np.clip(self.weights[layer] - step, -top, top)
        else:
            fine = self.weights[layer] * float(1 << (formats.fine_fl - recipe.grid_fl))
            z = self._to_quantizer(fine - step)
            bound = 2 * self._fine_one - formats.fine.minimum
            y = self._converted(f"update {name} weights", z, recipe.quantizer, bound, record)
            self.weights[layer] = self._from_quantizer(y)
        rate = recipe.step(self.epoch, formats.error_fl + plan.ones, 0)
        step = self._fine_step(f"step {name} biases", of_biases, *rate, record)
        self.biases[layer] = saturate_carried(self.biases[layer] - step, formats.fine)

    def _fine_step(
        self,
        name: str,
        gradient: Carried,
        rate: int,
        conversion: Conversion,
        record: Record | None,
    ) -> Carried:
        """Gradient sums times a rate, as fine codes."""
        bound = rate * int(np.abs(gradient).max())
        if fits(bound, conversion):
            return self._converted(name, gradient * float(rate), conversion, bound, record)
        z = rate * gradient.astype(np.int64)
        return self._convert(name, z, conversion, record).astype(np.float64)


def probability_code(u: Codes, fraction: int, draw: int) -> Codes:
    """clip((u + 1) / 2, 0, 1) with `draw` fraction bits, to nearest even where it has more.

    `u` are codes of `fraction` fraction bits.
    """
    one = 1 << fraction
    doubled = np.clip(u + one, 0, 2 * one)  # with fraction + 1 fraction bits
    spare = fraction + 1 - draw
    return round_shift(doubled, spare, Rounding.NEAREST_EVEN) if spare > 0 else doubled << -spare


def _drop(delta: Carried, outside: Mask | None) -> None:
    """No error where a sum saturated; in place."""
    if outside is not None:
        delta *= ~outside


def _with_biases(
    stage: Stage, x: Tensor, w: Tensor, *, plan: Plan, bias: Carried
) -> tuple[Tensor, Tensor]:
    """Operands of the forward product; the biases are its last term."""
    a, b = convolution.forward_operands(stage, x, w)
    ones = np.full((len(a), 1), float(1 << plan.ones))
    return np.hstack([a, ones]), np.vstack([b, bias])


def _with_ones(stage: Stage, x: Tensor, e: Tensor, *, plan: Plan) -> tuple[Tensor, Tensor]:
    """Operands of the gradient product; its last row is for the biases."""
    a, b = convolution.gradient_operands(stage, x, e)
    return np.vstack([a, np.full((1, a.shape[1]), float(1 << plan.ones))]), b
