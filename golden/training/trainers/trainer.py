"""The base of all trainers: epochs and steps, evaluation, and a state that can be resumed."""

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden import check
from golden.datasets import Dataset
from golden.fixed import Codes
from golden.memory import machine_memory
from golden.training.layers.network import Shape, image_shape, stages
from golden.training.layers.windows import Tensor
from golden.training.recipe import Recipe, SampleOrder
from golden.training.runs.samples import lfsr_order
from golden.training.runs.score import Draws, Epoch, LayerReport, Score
from golden.training.step.planner import Planner
from golden.training.step.record import Record

#: Truth values, any shape.
Mask = NDArray[np.bool_]

#: Bytes of a weight, of its update and of its gradient, at least.
_WEIGHT_BYTES = 3 * 8
#: Above any number of epochs, steps or images.
_MANY = 1 << 40

#: Type of a trainer's recipe.
R = TypeVar("R", bound=Recipe)


class Trainer(ABC, Generic[R]):
    """Weights and progress of a training; a subclass defines the arithmetic of a step.

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
    stages
        The layers with weights, with their positions in the network.
    weights
        Stored weights of every layer, (inputs, outputs).
    epoch
        Number of complete epochs; the learning rate depends on it.
    position
        Number of complete steps of the current epoch.
    train
        Score of the batches of the current epoch so far.
    draws
        Draws of the lanes of random bits so far; 0 without lanes.
    step_start
        Draws of the lanes before the latest step.
    watching
        Whether a step updates `saturated`.
    saturated
        Share of the forward values of each layer that reached the end of their range, in the latest
        step with `watching`.

    Examples
    --------
    >>> from golden.datasets import digits
    >>> from golden.training import WageRecipe, new_trainer
    >>> data = digits()
    >>> trainer = new_trainer(WageRecipe(network="16FC", batch=4), data)
    >>> isinstance(trainer, Trainer), [weight.shape for weight in trainer.weights]
    (True, [(64, 16), (16, 10)])
    >>> trainer.step(data.train_images[:4], data.train_labels[:4]).images
    4
    >>> trainer.predict(data.test_images[:2]).shape
    (2,)
    """

    #: What carries out the steps.
    BACKEND = "golden"
    #: Tensors of the state: names of attributes that are lists of arrays, one per layer.
    STATE: tuple[str, ...] = ("weights",)

    weights: list[Tensor]
    #: Operations of a step; set by a subclass.
    planner: Planner[Any]
    #: Input of every pixel value; set by a subclass.
    _table: Tensor

    def __init__(self, recipe: R, *, shape: Shape, classes: int, pixel_max: int):
        self.recipe = recipe
        self.shape = image_shape(shape)
        self.classes = check.whole("classes", classes, 2, 256)
        self.pixel_max = check.whole("pixel_max", pixel_max, 1, 255)
        self.stages = stages(recipe.network, self.shape, self.classes)
        weights = sum(stage.inputs * stage.outputs for stage in self.stages)
        if weights * _WEIGHT_BYTES > machine_memory():
            raise ValueError(
                f"network = {recipe.network!r}: {weights:,} weights for images of "
                f"{' x '.join(map(str, self.shape))}: more than the memory of this machine holds"
            )
        self.random = np.random.Generator(np.random.PCG64(recipe.seed))
        self.epoch = 0
        self.position = 0
        self.draws = self.step_start = Draws()
        self.watching = False
        self.saturated = [0.0] * len(self.stages)
        self._order = np.zeros(0, np.int64)
        self.train = Score()
        self._seconds = 0.0

    @property
    def layers(self) -> int:
        """Number of layers with weights."""
        return len(self.stages)

    def step(self, images: ArrayLike, labels: ArrayLike, record: Record | None = None) -> Score:
        """Train on one batch: forward pass, backward pass, update.

        Parameters
        ----------
        images
            Integers of any type from 0 to `pixel_max`, (batch, height, width, channels), with the
            recipe's batch; the last axis may be missing if there is one channel.
        labels
            Integers of any type from 0 to `classes` - 1, (batch,).
        record
            A list to which one entry per operation is appended, in order.

        Returns
        -------
        Score
            Score of the batch before the update.

        Raises
        ------
        TypeError, ValueError
            Images or labels are not integers, are out of range or have another shape, or the batch
            has another size.
        """
        images, labels = self._images(images), self._labels(labels)
        if not len(images) == len(labels) == self.recipe.batch:
            raise ValueError(
                f"a step on {len(images)} images and {len(labels)} labels: "
                f"the recipe says batch = {self.recipe.batch}"
            )
        self.step_start = self.draws
        return self._step(self._pixels(images), labels, record)

    def evaluate(self, images: ArrayLike, labels: ArrayLike) -> Score:
        """Return the score of images, in batches of the recipe's size.

        The last batch is padded with images of zeros, which do not count. Every evaluation draws
        from the seeds, and does not change the random bits of the training.

        Parameters
        ----------
        images, labels
            As in `step`, any number of images.

        Raises
        ------
        TypeError, ValueError
            Images or labels are not integers, are out of range or have another shape.
        """
        score, images, labels = Score(), self._images(images), self._labels(labels)
        if len(images) != len(labels):
            raise ValueError(f"{len(images)} images and {len(labels)} labels: as many are wanted")
        for outputs, part in self._evaluated(images):
            score += self._scored(outputs, labels[part])
        return score

    def predict(self, images: ArrayLike) -> Codes:
        """Return the class of every image, (images,), as in `evaluate`."""
        outputs = (outputs for outputs, _ in self._evaluated(self._images(images)))
        return np.concatenate([winners(one) for one in outputs])

    def batches(self, images: ArrayLike) -> Iterator[tuple[Tensor, slice]]:
        """Yield whole batches for an evaluation.

        Parameters
        ----------
        images
            As in `evaluate`.

        Yields
        ------
        inputs : Tensor
            Inputs, (batch, height, width, channels); images of zeros fill the last batch.
        part : slice
            The images that they are of.
        """
        images, batch = self._images(images), self.recipe.batch
        for start in range(0, len(images), batch):
            part = slice(start, min(start + batch, len(images)))
            chosen = images[part]
            missing = batch - len(chosen)
            if missing:
                chosen = np.concatenate([chosen, np.zeros((missing, *chosen.shape[1:]), np.uint8)])
            yield self._pixels(chosen), part

    def _evaluated(self, images: NDArray[Any]) -> Iterator[tuple[Tensor, slice]]:
        """Yield the outputs of a batch, (images, classes), and the slice of its images."""
        lanes = self._evaluation_lanes()
        for pixels, part in self.batches(images):
            yield self._outputs(pixels, lanes)[: part.stop - part.start], part

    def walk(
        self, dataset: Dataset, note: Callable[[Record], None] | None = None
    ) -> Iterator[Epoch | None]:
        """Train from the current state to the recipe's last epoch, one step at a time.

        At each yield, the state is complete: a training that is resumed from it has the same
        results.

        Parameters
        ----------
        dataset
            The images and their classes.
        note
            Called with the record of every step, if it is given.

        Yields
        ------
        Epoch or None
            A report after the last step of an epoch; None after all other steps.

        Raises
        ------
        ValueError
            The data set has fewer images than a batch.
        """
        batch, images = self.recipe.batch, len(dataset.train_images)
        # An epoch in the order of an LFSR may leave one image out.
        least = images - (self.recipe.order == SampleOrder.LFSR)
        if least < batch:
            raise ValueError(
                f"batch = {batch}: {dataset.name} has only {least} images to train with in an epoch"
            )
        while self.epoch < self.recipe.epochs:
            started = time.perf_counter()
            if not self.position:
                self._order = self._samples(images)
                self.train, self._seconds = Score(), 0.0
            steps = len(self._order) // batch
            chosen = self._order[self.position * batch :][:batch]
            self.position += 1
            last = self.position == steps
            before = [weight.copy() for weight in self.weights] if last else []
            self.watching = last
            record: Record | None = None if note is None else []
            images_of_step = dataset.train_images[chosen]
            self.train += self.step(images_of_step, dataset.train_labels[chosen], record)
            if note is not None and record is not None:
                note(record)
            self.watching = False
            report = None
            if last:
                self.position, self.epoch = 0, self.epoch + 1
                report = Epoch(
                    epoch=self.epoch,
                    train=self.train,
                    test=self.evaluate(dataset.test_images, dataset.test_labels),
                    seconds=self._seconds + time.perf_counter() - started,
                    layers=tuple(
                        LayerReport.of(
                            stage.text, old, new, self._unit(layer), self.saturated[layer]
                        )
                        for layer, (stage, old, new) in enumerate(
                            zip(self.stages, before, self.weights)
                        )
                    ),
                )
            self._seconds += time.perf_counter() - started
            yield report

    def _samples(self, images: int) -> Codes:
        """Return the numbers of the images in the order of the next epoch."""
        if self.recipe.order == SampleOrder.LFSR:
            return lfsr_order(images, self.epoch)
        return self.random.permutation(images)

    def epochs(self, dataset: Dataset) -> Iterator[Epoch]:
        """Train from the current state to the recipe's last epoch, and yield a report for each."""
        return (report for report in self.walk(dataset) if report is not None)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the complete state of the training, as arrays by name."""
        named = {
            f"{name} {layer}": array.copy()
            for name in self.STATE
            for layer, array in enumerate(getattr(self, name), 1)
        }
        walk = {
            "epoch": self.epoch,
            "position": self.position,
            "images": self.train.images,
            "wrong": self.train.wrong,
            "loss": self.train.loss.hex(),
            "seconds": self._seconds,
            "random": self.random.bit_generator.state,
            **self._own_state(),
        }
        return {**named, "order": self._order.copy(), "walk": np.array(json.dumps(walk))}

    def restore(self, state: Mapping[str, NDArray[Any]], images: int | None = None) -> None:
        """Continue from the state of a trainer with the same recipe, network and images.

        Parameters
        ----------
        state
            As from `state`.
        images
            Number of training images, to check the place in an epoch; None checks nothing of it.

        Raises
        ------
        ValueError
            An array is missing, has another shape or dtype, or values that no training has. The
            trainer does not change.
        """
        named: dict[str, list[NDArray[Any]]] = {}
        for name in self.STATE:
            for layer, present in enumerate(getattr(self, name), 1):
                found = _found(state, f"{name} {layer}")
                if found.shape != present.shape or found.dtype != present.dtype:
                    raise ValueError(
                        f"{name} {layer} is {found.dtype} of {found.shape}: "
                        f"{present.dtype} of {present.shape} is wanted"
                    )
                if not np.isfinite(found).all():
                    raise ValueError(f"{name} {layer} has values that are no finite numbers")
                named.setdefault(name, []).append(found.copy())
        order, text = _found(state, "order"), str(_found(state, "walk"))
        try:
            walk = json.loads(text)
            epoch = check.whole("epoch", walk["epoch"], 0, _MANY)
            position = check.whole("position", walk["position"], 0, _MANY)
            wrong = check.whole("wrong", walk["wrong"], 0, _MANY)
            seen = check.whole("images", walk["images"], wrong, _MANY)
            train = Score(images=seen, wrong=wrong, loss=float.fromhex(walk["loss"]))
            seconds = float(walk["seconds"])
            random = np.random.Generator(np.random.PCG64(0))
            random.bit_generator.state = walk["random"]
            if position and seen != position * self.recipe.batch:
                raise ValueError(f"position = {position} after {seen} images")
            if position and images is not None:
                _check_order(order, position, self.recipe.batch, images)
            self._restore_own(walk)
        except check.FOREIGN as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(f"walk is of no training: {reason}") from None
        self.epoch, self.position, self.train, self._seconds = epoch, position, train, seconds
        self.random, self._order = random, order.copy()
        for name, arrays in named.items():
            setattr(self, name, arrays)

    def _own_state(self) -> dict[str, Any]:
        """Return the additional state of a subclass, which JSON can represent."""
        return {}

    def _restore_own(self, walk: Mapping[str, Any]) -> None:
        """Restore the additional state of a subclass; foreign values raise an error of
        `golden.check.FOREIGN`, and change nothing.
        """

    @abstractmethod
    def _unit(self, layer: int) -> float:
        """Return the real value of 1 in the stored weights of a layer."""

    @abstractmethod
    def _step(self, pixels: Tensor, labels: Codes, record: Record | None) -> Score:
        """Train on inputs (batch, height, width, channels) and their labels."""

    def _evaluation_lanes(self) -> Any:
        """Return the lanes of one evaluation, which `_outputs` takes for each batch."""
        return None

    @abstractmethod
    def _outputs(self, pixels: Tensor, lanes: Any) -> Tensor:
        """Return the outputs of the last layer in evaluation, (batch, classes)."""

    @abstractmethod
    def _scored(self, outputs: Tensor, labels: Codes) -> Score:
        """Return the score of the outputs of a batch."""

    def _images(self, images: ArrayLike) -> NDArray[Any]:
        """Return images, checked: integers of any type, with or without an axis of channels."""
        pixels = check.integers("images", images)
        shape = self.shape if pixels.ndim == 4 or self.shape[2] > 1 else self.shape[:2]
        if not len(pixels.shape) or not len(pixels) or pixels.shape[1:] != shape:
            raise ValueError(
                f"images of {pixels.shape}: {('images', *shape)} are wanted".replace("'", "")
            )
        if pixels.dtype != np.uint8 or self.pixel_max < 255:
            check.whole("largest pixel of images", pixels.max(), 0, self.pixel_max)
            check.whole("smallest pixel of images", pixels.min(), 0, self.pixel_max)
        return pixels

    def _pixels(self, images: NDArray[Any]) -> Tensor:
        """Return the inputs, (batch, height, width, channels), of images that are checked."""
        return self._table[images.reshape(-1, *self.shape)]

    def _labels(self, labels: ArrayLike) -> Codes:
        """Return labels, checked: (images,)."""
        classes = check.codes("labels", labels, 0, self.classes - 1)
        if classes.ndim != 1:
            raise ValueError(f"labels of {classes.shape}: (images,) are wanted")
        return classes


def _check_order(order: NDArray[Any], position: int, batch: int, images: int) -> None:
    """Raise a ValueError unless an order of images has a step at `position`."""
    if order.dtype != np.int64 or order.ndim != 1:
        raise ValueError(f"order is {order.dtype} of {order.shape}: int64 of one dimension")
    if order.min(initial=0) < 0 or order.max(initial=0) >= images:
        raise ValueError(f"order has other numbers than 0 to {images - 1}")
    if position >= len(order) // batch:
        raise ValueError(f"position = {position} of {len(order) // batch} steps")


def _found(state: Mapping[str, NDArray[Any]], name: str) -> NDArray[Any]:
    if name not in state:
        raise ValueError(f"{name} is missing")
    return state[name]


def pixel_table(pixel_max: int, one: int, low: int, high: int, symmetric: bool = False) -> Codes:
    """Return the input code of every pixel value.

    Parameters
    ----------
    pixel_max
        Pixel value of 1.
    one
        Code of 1.
    low, high
        Range to which codes are clipped.
    symmetric
        Whether pixels are mapped to -1 to 1, not to 0 to 1.

    Returns
    -------
    Codes
        one * p / pixel_max for each pixel value p, or one * (2 p - pixel_max) / pixel_max if
        `symmetric`, rounded to nearest, ties to even; (pixel_max + 1,).

    Examples
    --------
    >>> pixel_table(4, one=128, low=-127, high=127).tolist()
    [0, 32, 64, 96, 127]
    """
    pixel_max = check.whole("pixel_max", pixel_max, 1, 255)
    one, low, high = (
        check.whole(name, value, -1 << 61, 1 << 61)
        for name, value in (("one", one), ("low", low), ("high", high))
    )
    values = [2 * p - pixel_max if symmetric else p for p in range(pixel_max + 1)]
    return np.clip(
        np.array([round(Fraction(one * value, pixel_max)) for value in values], np.int64), low, high
    )


def winners(outputs: Tensor) -> Codes:
    """Return the class of every row of outputs, (batch,): the lowest index among equal maxima."""
    return np.argmax(outputs, axis=1).astype(np.int64)
