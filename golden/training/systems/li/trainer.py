"""Training with weights on a coarse grid: rounded to nearest (R), stochastically rounded (SR) and
BinaryConnect (BC) of Li et al. 2017, "Training Quantized Nets"; binary activations (BNN).

A weight of a layer is u * 2^-k with u from -1 to 1. With R and SR, u is always on the grid: each
step is computed in the fine format, and the result is rounded to the grid. With BC, u is a fine
buffer, and products take the nearest value on the grid. Sums, words and softmax are those of
Gupta's training: words are stored in float64, in which they and their sums are exact.
"""

import math
from dataclasses import replace

import numpy as np

from golden.carried import Carried, fits, round_carried, saturate_carried
from golden.fixed import Codes, Conversion, Rounding, round_shift
from golden.training.layers import convolution
from golden.training.layers.network import Shape, Stage
from golden.training.layers.windows import Tensor
from golden.training.step.ops import FineStep
from golden.training.step.record import Record, note, note_gradient
from golden.training.systems.gupta.recipe import WORD
from golden.training.systems.li.plan import LiPlanner
from golden.training.systems.li.recipe import Activation, Binarize, LiRecipe, Update
from golden.training.trainers.trainer import Mask, pixel_table
from golden.training.trainers.words import Operands, WordTrainer


class LiTrainer(WordTrainer[LiRecipe]):
    """Trainer of R, SR and BC, with ReLU or sign, and softmax cross-entropy.

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
        Stored weights u of every layer, (inputs, outputs), integers in float64: codes of the grid
        for R and SR (-1 and +1 on the binary one), or of the fine format for BC.
    biases
        Biases of every layer, (outputs,), codes of the fine format. They are not rounded to the
        grid, and the layer's scale does not apply to them (our own rule).

    Examples
    --------
    >>> recipe = LiRecipe(network="8FC", batch=4, update="sr")
    >>> trainer = LiTrainer(recipe, shape=(8, 8, 1), classes=10, pixel_max=16)
    >>> images = np.arange(256).reshape(4, 8, 8) % 17
    >>> trainer.step(images, np.arange(4)).images
    4
    >>> np.unique(trainer.weights[0]).tolist()
    [-1.0, 1.0]
    """

    STATE = ("weights", "biases")

    planner: LiPlanner

    def __init__(self, recipe: LiRecipe, *, shape: Shape, classes: int, pixel_max: int):
        super().__init__(recipe, shape=shape, classes=classes, pixel_max=pixel_max)
        pixels = recipe.formats.input
        self._table = pixel_table(pixel_max, 1 << pixels.fl, pixels.minimum, pixels.maximum).astype(
            np.float64
        )
        self._error_bound = -recipe.formats.error.minimum
        #: 1 as a code of the grid, and of the fine format.
        self._one, self._fine_one = 1 << recipe.grid_fl, 1 << recipe.formats.fine_fl
        self.planner = LiPlanner(recipe, self.stages)
        self._formats = self.planner.formats
        for stage, formats in zip(self.stages, self._formats):
            recipe.require_width(formats, math.prod(stage.sums[:2]))
        for layer, formats in enumerate(self._formats):
            bounds = formats.input_bound, self._one, self._error_bound
            self._require_exact(f"words of {WORD} bits", layer, *bounds)
            self._require_rounded(layer, self._sums_bound(layer), self._error_sums_bound(layer))
        self.weights: list[Carried] = [self._first_weights(stage) for stage in self.stages]
        self.biases = [np.zeros(stage.outputs) for stage in self.stages]

    def _first_weights(self, stage: Stage) -> Carried:
        """Draw weights uniformly from -1 to 1; for R and SR, round them to the grid."""
        real = 2 * self.random.random((stage.inputs, stage.outputs)) - 1
        fine = np.rint(np.ldexp(real, self.recipe.formats.fine_fl))
        return fine if self.recipe.update == Update.BC else self._nearest(fine)

    def _unit(self, layer: int) -> float:
        buffer = self.recipe.update == Update.BC
        fraction = self.recipe.formats.fine_fl if buffer else self.recipe.grid_fl
        return 2.0 ** -(fraction + self._formats[layer].scale)

    def _to_quantizer(self, u: Carried) -> Carried:
        """Return the quantizer's operands for fine codes; for the binary grid, (u + 1) / 2."""
        return u + self._fine_one if self.recipe.binary else u.copy()

    def _from_quantizer(self, y: Carried) -> Carried:
        """Return the codes of the grid, from -1 to 1, for the quantizer's results, in place."""
        if not self.recipe.binary:
            return np.clip(y, -self._one, self._one, out=y)
        np.clip(y, 0, 1, out=y)
        y *= 2
        y -= 1
        return y

    def _nearest(self, u: Carried) -> Carried:
        """Return fine codes rounded to the nearest value of the grid, ties away from zero.

        On the binary grid, 0 is rounded to +1.
        """
        nearest = replace(self.recipe.quantizer, rounding=Rounding.NEAREST_AWAY)
        return self._from_quantizer(
            round_carried(self._to_quantizer(u), nearest, 2 * self._fine_one)
        )

    def _forward_weights(self, layer: int, record: Record | None) -> Carried:
        """Return the weights of a training step, codes of the grid."""
        recipe, u = self.recipe, self.weights[layer]
        if recipe.update != Update.BC:
            return u
        operation = self.planner.grid_weight(layer)
        if recipe.binarize == Binarize.DETERMINISTIC:
            z = self._to_quantizer(u)
            out = self._converted(operation, z, 2 * self._fine_one)
            code = self._from_quantizer(out.copy())
        else:
            # A weight is +1 if its draw r is below the code of the probability. Convert rounds down
            # if r < 2^draw - z. So with z = 2^draw - code, it returns 0 for +1 and 1 for -1.
            draw = recipe.generator.draw
            chance = probability_code(u.astype(np.int64), recipe.formats.fine_fl, draw)
            z = ((1 << draw) - chance).astype(np.float64)
            out = self._converted(operation, z, 1 << draw)
            code = 1 - 2 * out
        note(record, operation, {"buffer": u, "z": z, "out": out, "code": code})
        return code

    def _operands(self, layer: int, record: Record | None) -> Operands:
        weights = self._forward_weights(layer, record)
        operation, fine = self.planner.bias(layer), self.biases[layer]
        biases = self._converted(operation, fine, -self.recipe.formats.fine.minimum)
        note(record, operation, {"z": fine, "out": biases})
        return Operands(weights, biases)

    def _evaluated_operands(self, layer: int) -> Operands:
        # For BC, the nearest values of the grid, even if training draws them (our own rule).
        weights, fine = self.weights[layer], self.biases[layer].astype(np.int64)
        if self.recipe.update == Update.BC:
            weights = self._nearest(weights)
        return Operands(weights, self._formats[layer].bias(fine).astype(np.float64))

    def _ones(self, layer: int) -> float:
        return float(1 << self._formats[layer].ones)

    def _sums(self, layer: int, x: Tensor, operands: Operands) -> tuple[Carried, int]:
        stage, formats = self.stages[layer], self._formats[layer]
        sums = convolution.forward(stage, x, operands.weights, formats.input_bound, self._one)
        z = sums + operands.biases * self._ones(layer)
        return z, self._sums_bound(layer)

    def _sums_bound(self, layer: int) -> int:
        """Return an upper bound of a layer's sums, biases included."""
        formats = self._formats[layer]
        return self.stages[layer].inputs * formats.input_bound * self._one + formats.bias_bound

    def _error_sums(self, layer: int, delta: Tensor, weights: Carried) -> tuple[Carried, int]:
        sums = convolution.error(self.stages[layer], delta, weights, self._error_bound, self._one)
        return sums.astype(np.float64, copy=False), self._error_sums_bound(layer)

    def _error_sums_bound(self, layer: int) -> int:
        """Return an upper bound of a layer's error sums."""
        stage = self.stages[layer]
        terms = stage.window.height * stage.window.width * stage.outputs
        return terms * self._error_bound * self._one

    def _activation(self, y: Carried) -> Carried:
        if self.recipe.activation == Activation.SIGN:
            return np.where(y >= 0, 1.0, -1.0)
        return super()._activation(y)

    def _passes(self, y: Carried) -> Mask:
        if self.recipe.activation == Activation.SIGN:
            return np.abs(y) <= 1 << self.recipe.formats.activation_fl
        return super()._passes(y)

    def _gradient(
        self, layer: int, x: Tensor, delta: Carried, record: Record | None
    ) -> tuple[Carried, Carried]:
        """Return the exact gradient sums of weights and biases."""
        stage, formats = self.stages[layer], self._formats[layer]
        of_weights = convolution.gradient(stage, x, delta, formats.input_bound, self._error_bound)
        one = self._ones(layer)
        of_biases = delta.reshape(-1, stage.outputs).sum(axis=0) * one
        if record is not None:
            out = np.vstack([of_weights, of_biases])
            note_gradient(record, self.planner.gradient(layer), stage, x, delta, out, one)
        return of_weights.astype(np.float64, copy=False), of_biases

    def _update(self, layer: int, x: Tensor, delta: Tensor, record: Record | None) -> None:
        self._take_step(layer, *self._gradient(layer, x, delta, record), record)

    def _take_step(
        self, layer: int, of_weights: Carried, of_biases: Carried, record: Record | None
    ) -> None:
        """Update weights and biases by their exact gradient sums.

        A step is rounded once, from the exact sum to a fine code.
        """
        recipe, formats, planner = self.recipe, self._formats[layer], self.planner
        words, top, u = recipe.formats, float(self._fine_one), self.weights[layer]
        point = words.error_fl + formats.input_fraction
        rate = recipe.step(self.epoch, point, formats.scale)
        step = self._fine_step(planner.weight_step(layer), of_weights, *rate, record)
        if recipe.update == Update.BC:
            self.weights[layer] = np.clip(u - step, -top, top)
            noted = {"values": u, "step": step, "moved": self.weights[layer]}
            note(record, planner.buffer_update(layer), noted)
        else:
            fine = u * float(1 << (words.fine_fl - recipe.grid_fl))
            z = self._to_quantizer(fine - step)
            bound = 2 * self._fine_one - words.fine.minimum
            operation = planner.grid_update(layer)
            out = self._converted(operation, z, bound)
            self.weights[layer] = self._from_quantizer(out.copy())
            moved = {"z": z, "out": out, "moved": self.weights[layer]}
            note(record, operation, {"weight": u, "step": step, **moved})
        rate = recipe.step(self.epoch, words.error_fl + formats.ones, 0)
        step = self._fine_step(planner.bias_step(layer), of_biases, *rate, record)
        biases = self.biases[layer]
        self.biases[layer] = saturate_carried(biases - step, words.fine)
        noted = {"values": biases, "step": step, "moved": self.biases[layer]}
        note(record, planner.bias_update(layer), noted)

    def _fine_step(
        self,
        operation: FineStep,
        gradient: Carried,
        number: int,
        conversion: Conversion,
        record: Record | None,
    ) -> Carried:
        """Return gradient sums times a number, rounded to fine codes."""
        scalars = {"fraction": conversion.fraction, "number": number}
        bound = number * int(np.abs(gradient).max())
        z: Tensor
        if fits(bound, conversion):
            z = gradient * float(number)
            step = self._converted(operation, z, bound, scalars)
        else:
            z = number * gradient.astype(np.int64)  # rounding to nearest draws no words
            step = conversion(z).astype(np.float64)
        note(record, operation, {"gradient": gradient, "z": z, "out": step}, scalars)
        return step


def probability_code(u: Codes, fraction: int, draw: int) -> Codes:
    """Return clip((u + 1) / 2, 0, 1) with `draw` fraction bits, rounded to nearest even.

    Parameters
    ----------
    u
        Codes with `fraction` fraction bits, any shape.
    fraction, draw
        Fraction bits of operands and results.

    Returns
    -------
    Codes
        In the shape of `u`.

    Examples
    --------
    >>> probability_code(np.array([-8, 0, 4, 8]), fraction=3, draw=4).tolist()
    [0, 8, 12, 16]
    """
    one = 1 << fraction
    doubled = np.clip(u + one, 0, 2 * one)  # with fraction + 1 fraction bits
    spare = fraction + 1 - draw
    return round_shift(doubled, spare, Rounding.NEAREST_EVEN) if spare > 0 else doubled << -spare
