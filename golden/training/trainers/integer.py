"""Training on the array: exact products, and lanes of random bits.

Whole numbers travel in floats where they come from BLAS; none is larger than the mantissa holds, so
nothing is lost (`golden.products`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from golden.carried import round_carried, saturate_carried
from golden.datasets import Bytes
from golden.fixed import Codes
from golden.lfsr import Lanes, Words, dither
from golden.threads import blas_alone, each, slices
from golden.training.layers.network import Shape, Stage
from golden.training.layers.windows import Tensor
from golden.training.runs.score import Draws, Score
from golden.training.step.operation import Operation
from golden.training.step.ops import Product
from golden.training.step.record import Record
from golden.training.trainers.trainer import Mask, R, Trainer

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

    def _elementwise_words(self, operation: Operation) -> Words | None:
        """Draws for an operation at the elementwise rounders, whose lanes move on; None where it
        draws nothing.
        """
        if not operation.draws or operation.order is None:
            return None
        made = self.draws.elementwise + operation.leaps
        self.draws = replace(self.draws, elementwise=made)
        return operation.order.words(self._elementwise)

    def _dither(self, operation: Operation, dropped: int) -> Codes:
        """Random addends for an operation at the elementwise rounders, whose lanes move on."""
        words = self._elementwise_words(operation)
        assert words is not None
        return dither(words, dropped, self.recipe.generator.draw)

    def _array_words(self, products: Sequence[Product], stage: Stage, lanes: Lanes) -> Words | None:
        """Draws at the foot of the array's columns for a forward product or all error products of
        a stage, with rows (batch, y, x); None where they draw nothing. The lanes move on.
        """
        if not products[0].draws:
            return None
        if lanes is self._array:
            made = self.draws.array + sum(product.leaps for product in products)
            self.draws = replace(self.draws, array=made)
        if len(products) == 1:
            return products[0].order.words(lanes)
        height, width, channels = stage.image
        whole = None
        for product, phase in zip(products, stage.phases, strict=True):
            words = product.order.words(lanes)
            if whole is None:
                samples = product.order.matrix.samples
                whole = np.empty((samples, height, width, channels), words.dtype)
            part = phase.of(whole)
            part[...] = words.reshape(part.shape)
        assert whole is not None
        return whole.reshape(-1, channels)

    def _rounded_carried(
        self,
        sums: Tensor,
        products: Sequence[Product],
        stage: Stage,
        bound: int,
        lanes: Lanes,
    ) -> tuple[Tensor, Mask | None]:
        """Sums of a forward product, or of all error products of a stage, in float64 and up to
        `bound` in magnitude, rounded in place at the foot of the array's columns; and where they
        came out of range, None if nowhere.
        """
        conversion = products[0].conversion
        assert conversion is not None
        words = self._array_words(products, stage, lanes)
        shape = (-1, sums.shape[-1]) if words is None else words.shape
        z: Tensor = sums.reshape(shape)
        target, draw = conversion.target, self.recipe.generator.draw
        outside: list[tuple[slice, Mask]] = []

        def block(rows: slice) -> None:
            drawn = None if words is None else words[rows]
            y = round_carried(z[rows], conversion, bound, drawn, draw)
            if y.min() < target.minimum or y.max() > target.maximum:
                outside.append((rows, (y < target.minimum) | (y > target.maximum)))
                saturate_carried(y, target)

        width = z.shape[-1]
        each(block, slices(len(z), _BLOCK // width, width))
        if not outside:
            return z.reshape(sums.shape), None
        mask = np.zeros(z.shape, np.bool_)
        for rows, part in outside:
            mask[rows] = part
        return z.reshape(sums.shape), mask.reshape(sums.shape)


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Tensors of all groups of a batch as one, without a copy where there is one group."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
