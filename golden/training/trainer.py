"""What trainers share: lanes of random bits, recorded operations, the walk through epochs."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from fractions import Fraction
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from golden import check
from golden.datasets import Bytes, Dataset
from golden.fixed import Codes, Conversion, Rounding, round_shift, saturate
from golden.lfsr import Lanes, dither
from golden.products import (
    array_draws,
    array_leaps,
    elementwise_draws,
    elementwise_leaps,
    matmul,
)
from golden.training.recipe import Recipe
from golden.training.record import Convert, Product, Record
from golden.training.score import Draws, Epoch, Score

#: Truth values, any shape.
Mask = NDArray[np.bool_]


#: The recipe of a kind of trainer.
R = TypeVar("R", bound=Recipe)


class Trainer(ABC, Generic[R]):
    """Weights, lanes and the walk through a step; a subclass says what the step's arithmetic is.

    Parameters
    ----------
    recipe
        What to train, and how.
    inputs
        Pixels of an image.
    classes
        Classes of the data set.

    Attributes
    ----------
    sizes
        Neurons of every layer, the input first.
    epoch
        Number of the current epoch, from 0; the learning rate depends on it.
    draws
        Draws the lanes have made so far.
    step_start
        Draws they had made at the start of the latest step.
    """

    #: Input code of every pixel value; a subclass makes it.
    _table: Codes

    def __init__(self, recipe: R, inputs: int, classes: int):
        check.whole("inputs", inputs, 1, 1 << 20)
        check.whole("classes", classes, 2, 256)
        self.sizes = (inputs, *recipe.hidden, classes)
        self.epoch = 0
        self.draws = Draws()
        self.step_start = Draws()
        self.random = np.random.Generator(np.random.PCG64(recipe.seed))
        self.recipe = recipe
        # Evaluations begin at the seeds, so lanes that never move are kept to copy from.
        columns = recipe.columns
        self._array_seeds = Lanes(recipe.generator, 0, columns)
        self._elementwise_seeds = Lanes(recipe.generator, columns, columns)
        self._array = self._array_seeds.copy()
        self._elementwise = self._elementwise_seeds.copy()

    @property
    def layers(self) -> int:
        """Layers with weights."""
        return len(self.sizes) - 1

    def step(self, images: Bytes, labels: Bytes, record: Record | None = None) -> Score:
        """One training step on a batch: forward, backward, update.

        Parameters
        ----------
        images, labels
            The batch, of the recipe's size; a row or an array of pixels for each image.
        record
            A list that gets one entry for each hardware operation, in order.

        Returns
        -------
        Score of the batch before the update.
        """
        if not len(images) == len(labels) == self.recipe.batch:
            raise ValueError(
                f"a step on {len(images)} images and {len(labels)} labels: "
                f"the recipe says batch = {self.recipe.batch}"
            )
        self.step_start = self.draws
        return self._step(self._pixels(images), np.asarray(labels, np.int64), record)

    def evaluate(self, images: Bytes, labels: Bytes) -> Score:
        """Score on `images`, by batches of the recipe's size with what is left as the last one.

        The rounders use copies of the lanes, set to their seeds; the training's own do not move.
        """
        score, lanes, batch = Score(), self._array_seeds.copy(), self.recipe.batch
        for start in range(0, len(images), batch):
            part = slice(start, start + batch)
            score += self._score(
                self._pixels(images[part]), np.asarray(labels[part], np.int64), lanes
            )
        return score

    def predict(self, images: Bytes) -> Codes:
        """Class of every image, as `evaluate` finds it."""
        lanes, batch = self._array_seeds.copy(), self.recipe.batch
        return np.concatenate(
            [
                winners(self._outputs(self._pixels(images[start : start + batch]), lanes))
                for start in range(0, len(images), batch)
            ]
        )

    def epochs(self, dataset: Dataset) -> Iterator[Epoch]:
        """Train for as many epochs as the recipe says are left, and yield what each came to."""
        batch = self.recipe.batch
        if len(dataset.train_images) < batch:
            raise ValueError(
                f"batch = {batch}: {dataset.name} has only "
                f"{len(dataset.train_images)} images to train with"
            )
        while self.epoch < self.recipe.epochs:
            started = time.perf_counter()
            order = self.random.permutation(len(dataset.train_images))
            train = Score()
            for start in range(0, len(order) - batch + 1, batch):
                chosen = order[start : start + batch]
                train += self.step(dataset.train_images[chosen], dataset.train_labels[chosen])
            self.epoch += 1
            test = self.evaluate(dataset.test_images, dataset.test_labels)
            yield Epoch(
                epoch=self.epoch, train=train, test=test, seconds=time.perf_counter() - started
            )

    @abstractmethod
    def _step(self, pixels: Codes, labels: Codes, record: Record | None) -> Score:
        """The step, from input codes (batch, inputs)."""

    @abstractmethod
    def _outputs(self, pixels: Codes, lanes: Lanes) -> Codes:
        """Outputs of the last layer, (batch, classes), rounded with `lanes`, which move on."""

    @abstractmethod
    def _score(self, pixels: Codes, labels: Codes, lanes: Lanes) -> Score:
        """Score of a batch in evaluation."""

    def _pixels(self, images: Bytes) -> Codes:
        """Input codes, (batch, inputs)."""
        return self._table[np.asarray(images).reshape(len(images), -1)]

    def _elementwise_dither(self, size: int, dropped: int) -> Codes:
        """Random addends for `size` values at the elementwise rounders, whose lanes move on."""
        words = elementwise_draws(self._elementwise, size)
        self.draws = Draws(
            array=self.draws.array,
            elementwise=self.draws.elementwise + elementwise_leaps(self._elementwise.count, size),
        )
        return dither(words, dropped, self.recipe.generator.draw)

    def _raw_product(self, name: str, a: Codes, b: Codes, record: Record | None) -> Codes:
        """A product that drains unrounded."""
        out = matmul(a, b)
        if record is not None:
            record.append(Product(name=name, a=a, b=b, conversion=None, out=out))
        return out

    def _rounded_product(
        self, name: str, a: Codes, b: Codes, conversion: Conversion, record: Record | None
    ) -> tuple[Codes, Mask]:
        """A product rounded at the foot of the array's columns, and where it saturated."""
        out, saturated = round_product(a, b, conversion, self._array, self.recipe)
        if conversion.rounding is Rounding.STOCHASTIC:
            leaps = array_leaps(self.recipe.rows, self.recipe.columns, *out.shape)
            self.draws = Draws(array=self.draws.array + leaps, elementwise=self.draws.elementwise)
        if record is not None:
            record.append(Product(name=name, a=a, b=b, conversion=conversion, out=out))
        return out, saturated

    def _convert(self, name: str, z: Codes, conversion: Conversion, record: Record | None) -> Codes:
        """A tensor of wide codes rounded elementwise."""
        flat = z.reshape(-1)
        stochastic = conversion.rounding is Rounding.STOCHASTIC
        out = conversion(
            flat, self._elementwise_dither(flat.size, conversion.dropped) if stochastic else 0
        )
        if record is not None:
            record.append(Convert(name=name, z=flat, conversion=conversion, out=out))
        return out.reshape(z.shape)


def round_product(
    a: Codes, b: Codes, conversion: Conversion, lanes: Lanes, recipe: Recipe
) -> tuple[Codes, Mask]:
    """A product rounded by the array of `recipe`, and where the rounded sum was out of range.

    A purely nearest rounder has no generator: the lanes move for stochastic rounding alone.
    """
    z = matmul(a, b)
    r: Codes | int = 0
    if conversion.rounding is Rounding.STOCHASTIC:
        words = array_draws(lanes, recipe.rows, recipe.columns, *z.shape)
        r = dither(words, conversion.dropped, recipe.generator.draw)
    y = round_shift(z, conversion.dropped, conversion.rounding, r)
    out = saturate(y, conversion.target)
    return out, y != out


def pixel_table(pixel_max: int, one: int, low: int, high: int, symmetric: bool = False) -> Codes:
    """Input code of every pixel value: RNE(one * p / pixel_max), clipped to `low` to `high`.

    `symmetric` spreads the pixels over -one to one: RNE(one * (2 p - pixel_max) / pixel_max).
    """
    check.whole("pixel_max", pixel_max, 1, 255)
    values = [2 * p - pixel_max if symmetric else p for p in range(pixel_max + 1)]
    return np.clip(
        np.array([round(Fraction(one * value, pixel_max)) for value in values], np.int64), low, high
    )


def winners(outputs: Codes) -> Codes:
    """Class of every row of outputs: the lowest index among equal maxima."""
    return np.argmax(outputs, axis=1).astype(np.int64)
