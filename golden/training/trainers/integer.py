"""Training on the array: exact products, and lanes of random bits.

BLAS computes products of integers in floating point. All sums fit the mantissa, so they are exact
(`golden.products`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from golden import check
from golden.carried import round_carried, saturate_carried
from golden.fixed import Codes
from golden.lfsr import Lanes, Words, dither
from golden.products import carrier
from golden.threads import blas_alone, each, slices
from golden.training.layers.network import Shape, Stage
from golden.training.layers.windows import Tensor
from golden.training.runs.score import Draws, Score
from golden.training.step.operation import Operation
from golden.training.step.ops import Product
from golden.training.step.record import Record
from golden.training.trainers.trainer import Mask, R, Trainer

#: Number of values that are rounded at a time; they fit a core's cache.
_BLOCK = 1 << 17


class IntegerTrainer(Trainer[R]):
    """Base of the trainers whose steps hardware repeats exactly.

    Attributes
    ----------
    draws
        Draws of the lanes so far.
    step_start
        Draws of the lanes before the latest step.
    """

    def __init__(self, recipe: R, *, shape: Shape, classes: int, pixel_max: int):
        super().__init__(recipe, shape=shape, classes=classes, pixel_max=pixel_max)
        # Evaluations begin at the seeds, with copies of these lanes.
        self._seeds = self._lanes(0, 0)
        self._move(Draws())

    def _require_exact(
        self, words: str, layer: int, x: int, w: int, e: int, *, pooled: bool = False
    ) -> None:
        """Check, before the first step, that all sums of a layer's products are exact in float64.

        Parameters
        ----------
        words
            The words' formats, for the error.
        layer
            The layer.
        x, w, e
            Bounds of the magnitudes of inputs, weights and errors.
        pooled
            Whether gradients and errors are summed from the errors after the pooling.

        Raises
        ------
        ValueError
            Sums may reach 2^53. The message names the setting, and the layer.
        """
        recipe, stage = self.recipe, self.stages[layer]
        pool = stage.pool if pooled else None
        rows, columns, _ = stage.sums if pool is None else stage.pooled
        overlap = 1 if pool is None else pool.overlap
        network = f"network = {recipe.network!r}"
        sums = [
            (network, "sums", x * w, stage.inputs),
            (f"batch = {recipe.batch}", "gradient sums", x * e, recipe.batch * rows * columns),
        ]
        if layer:
            terms = stage.window.height * stage.window.width * stage.outputs
            sums.append((network, "error sums", e * overlap * w, terms))
        for setting, name, term, depth in sums:
            try:
                carrier(term, depth)
            except ValueError as error:
                raise ValueError(
                    f"{setting} with {words}: {name} of layer {layer + 1}, {stage.text}: {error}"
                ) from None

    # BLAS is limited to one thread, as its waiting threads would occupy the cores (golden.threads).

    def step(self, images: ArrayLike, labels: ArrayLike, record: Record | None = None) -> Score:
        with blas_alone():
            return super().step(images, labels, record)

    def evaluate(self, images: ArrayLike, labels: ArrayLike) -> Score:
        with blas_alone():
            return super().evaluate(images, labels)

    def predict(self, images: ArrayLike) -> Codes:
        with blas_alone():
            return super().predict(images)

    def _lanes(self, first: int, made: int) -> Lanes:
        """Return the lanes from `first` on, after `made` draws."""
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
        draws = Draws(**walk["draws"])
        for name, made in asdict(draws).items():
            check.whole(name, made, 0, 1 << 62)
        self._move(draws)

    def _evaluation_lanes(self) -> Lanes:
        return self._seeds.copy()

    def _elementwise_words(self, operation: Operation) -> Words | None:
        """Draw the words of an operation in the elementwise rounders.

        Returns
        -------
        Words or None
            Words in the shape of the operation's matrix; None if it does not draw.
        """
        if not operation.draws or operation.order is None:
            return None
        made = self.draws.elementwise + operation.leaps
        self.draws = replace(self.draws, elementwise=made)
        return operation.order.words(self._elementwise)

    def _dither(self, operation: Operation, dropped: int) -> Codes:
        """Draw the random addends of an operation in the elementwise rounders."""
        words = self._elementwise_words(operation)
        assert words is not None
        return dither(words, dropped, self.recipe.generator.draw)

    def _array_words(self, products: Sequence[Product], stage: Stage, lanes: Lanes) -> Words | None:
        """Draw the words of the rounders below the array's columns.

        Parameters
        ----------
        products
            The forward product of a stage, or all of its error products.
        stage
            The layer.
        lanes
            The rounders' lanes.

        Returns
        -------
        Words or None
            Words with rows (batch, y, x); None if the products do not draw.
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
        """Round sums in place, as the rounders below the array's columns do.

        Parameters
        ----------
        sums
            Sums of a forward product, or of all error products of a stage, in float64.
        products, stage, lanes
            As in `_array_words`.
        bound
            Upper bound of the sums' magnitudes.

        Returns
        -------
        words : Tensor
            Rounded and saturated sums, in the shape of `sums`.
        outside : Mask or None
            Where sums saturated, in the same shape; None if nowhere.
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
    """Return the tensors of all groups of a batch as one; without a copy if there is one group."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
