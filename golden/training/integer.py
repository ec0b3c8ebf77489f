"""Training on the array: exact products, lanes of random bits, a record of every operation.

Whole numbers travel in floats where they come from BLAS; none is larger than the mantissa holds, so
nothing is lost (`golden.products`).
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from golden.carried import round_carried, saturate_carried
from golden.datasets import Bytes
from golden.fixed import Codes, Conversion, Rounding
from golden.lfsr import Lanes, Words, dither
from golden.products import array_draws, array_leaps, elementwise_draws, elementwise_leaps
from golden.threads import blas_alone, each, slices
from golden.training.network import Shape, Stage
from golden.training.record import Convert, Product, Record
from golden.training.score import Draws, Score
from golden.training.trainer import Mask, R, Trainer
from golden.training.windows import Tensor

#: Values rounded at a time, few enough for a core's cache.
_BLOCK = 1 << 17


class IntegerTrainer(Trainer[R]):
    """A trainer whose every step could run on the hardware, word for word.

    Attributes
    ----------
    draws
        Draws the lanes have made so far.
    step_start
        Draws they had made at the start of the latest step.
    """

    def __init__(self, recipe: R, *, shape: Shape, classes: int, pixel_max: int):
        super().__init__(recipe, shape=shape, classes=classes, pixel_max=pixel_max)
        # Evaluations begin at the seeds, so lanes that never move are kept to copy from.
        self._seeds = self._lanes(0, 0)
        self._move(Draws())

    # All threads are ours: BLAS's own would be awake, and in their way, between its products.

    def step(self, images: Bytes, labels: Bytes, record: Record | None = None) -> Score:
        with blas_alone():
            return super().step(images, labels, record)

    def evaluate(self, images: Bytes, labels: Bytes) -> Score:
        with blas_alone():
            return super().evaluate(images, labels)

    def predict(self, images: Bytes) -> Codes:
        with blas_alone():
            return super().predict(images)

    def _lanes(self, first: int, made: int) -> Lanes:
        """The lanes from `first` on, after so many draws."""
        generator = self.recipe.generator
        seed = generator.advance(generator.seed, made * generator.leap)
        return Lanes(replace(generator, seed=seed), first, self.recipe.columns)

    def _move(self, draws: Draws) -> None:
        self._array = self._lanes(0, draws.array)
        self._elementwise = self._lanes(self.recipe.columns, draws.elementwise)
        self.draws = self.step_start = draws

    def _own_state(self) -> dict[str, Any]:
        return {"draws": asdict(self.draws)}

    def _restore_own(self, walk: Mapping[str, Any]) -> None:
        self._move(Draws(**walk["draws"]))

    def _evaluation_lanes(self) -> Lanes:
        return self._seeds.copy()

    def _elementwise_words(self, size: int, conversion: Conversion | None = None) -> Words | None:
        """Draws for `size` values at the elementwise rounders, whose lanes move on; None where
        `conversion` does not round stochastically.
        """
        if conversion is not None and conversion.rounding is not Rounding.STOCHASTIC:
            return None
        leaps = elementwise_leaps(self._elementwise.count, size)
        self.draws = replace(self.draws, elementwise=self.draws.elementwise + leaps)
        return elementwise_draws(self._elementwise, size)

    def _elementwise_dither(self, size: int, dropped: int) -> Codes:
        """Random addends for `size` values at the elementwise rounders, whose lanes move on."""
        words = self._elementwise_words(size)
        assert words is not None
        return dither(words, dropped, self.recipe.generator.draw)

    def _array_words(
        self, height: int, width: int, conversion: Conversion, lanes: Lanes
    ) -> Words | None:
        """Draws for a product at the foot of the array's columns, whose lanes move on; None where
        `conversion` does not round stochastically: a purely nearest rounder has no generator.
        """
        if conversion.rounding is not Rounding.STOCHASTIC:
            return None
        recipe = self.recipe
        if lanes is self._array:
            leaps = array_leaps(recipe.rows, recipe.columns, height, width)
            self.draws = replace(self.draws, array=self.draws.array + leaps)
        return array_draws(lanes, recipe.rows, recipe.columns, height, width)

    def _rounded_carried(
        self, sums: Tensor, conversion: Conversion, bound: int, lanes: Lanes
    ) -> tuple[Tensor, Mask | None]:
        """Sums of a product, (..., columns), in float64 and up to `bound` in magnitude, rounded in
        place at the foot of the array's columns; and where they came out of range, None if nowhere.
        """
        z = sums.reshape(-1, sums.shape[-1])
        words = self._array_words(*z.shape, conversion, lanes)
        target, draw = conversion.target, self.recipe.generator.draw
        outside: list[tuple[slice, Mask]] = []

        def block(rows: slice) -> None:
            drawn = None if words is None else words[rows]
            y = round_carried(z[rows], conversion, bound, drawn, draw)
            if y.min() < target.minimum or y.max() > target.maximum:
                outside.append((rows, (y < target.minimum) | (y > target.maximum)))
                saturate_carried(y, target)

        each(block, slices(len(z), _BLOCK // z.shape[1], z.shape[1]))
        if not outside:
            return z.reshape(sums.shape), None
        mask = np.zeros(z.shape, np.bool_)
        for rows, part in outside:
            mask[rows] = part
        return z.reshape(sums.shape), mask.reshape(sums.shape)

    def _convert(self, name: str, z: Codes, conversion: Conversion, record: Record | None) -> Codes:
        """A tensor of wide codes rounded elementwise."""
        flat = z.reshape(-1)
        words = self._elementwise_words(flat.size, conversion)
        r = 0 if words is None else dither(words, conversion.dropped, self.recipe.generator.draw)
        out = conversion(flat, r)
        if record is not None:
            record.append(Convert(name=name, z=flat, conversion=conversion, out=out))
        return out.reshape(z.shape)


def note_product(
    record: Record | None,
    name: str,
    operands: Callable[..., tuple[Tensor, Tensor]],
    stage: Stage,
    left: Tensor,
    right: Tensor,
    out: Tensor,
    conversion: Conversion | None = None,
) -> None:
    """Record a product of a stage as the array multiplies it, if anyone asked.

    `operands` is one of `golden.training.convolution`'s, which `left` and `right` go to.
    """
    if record is not None:
        a, b = (operand.astype(np.int64) for operand in operands(stage, left, right))
        product = out.reshape(len(a), b.shape[1]).astype(np.int64)
        record.append(Product(name=name, a=a, b=b, conversion=conversion, out=product))
