"""What all trainers share: the walk through epochs, evaluation, a state to stop at and resume."""

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from golden import check
from golden.datasets import Bytes, Dataset
from golden.fixed import Codes
from golden.training.layers.network import Shape, stages
from golden.training.layers.windows import Tensor
from golden.training.recipe import Recipe, SampleOrder
from golden.training.runs.samples import lfsr_order
from golden.training.runs.score import Draws, Epoch, LayerReport, Score
from golden.training.step.planner import Planner
from golden.training.step.record import Record

#: Truth values, any shape.
Mask = NDArray[np.bool_]

#: The recipe of a kind of trainer.
R = TypeVar("R", bound=Recipe)


class Trainer(ABC, Generic[R]):
    """Weights and the walk through a training; a subclass says what a step's arithmetic is.

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
    stages
        The layers with weights, each with its place in the network.
    weights
        Stored weights of every layer, (inputs, outputs).
    epoch
        Epochs done; the learning rate depends on it.
    position
        Steps done of the epoch at hand.
    train
        Scores of its batches so far.
    draws
        Draws the lanes of random bits have made so far; none without lanes.
    step_start
        Draws they had made at the start of the latest step.
    watching
        Whether a step is to say in `saturated` how much of it saturated.
    saturated
        Per layer, the share of the forward values that came to the end of their range in the latest
        step that was watched.
    """

    #: Tensors of the state: names of attributes that are lists of arrays, one a layer.
    STATE: tuple[str, ...] = ("weights",)

    weights: list[Tensor]
    #: The operations of a step; a subclass makes them.
    planner: Planner[Any]
    #: Input of every pixel value; a subclass makes it.
    _table: Tensor

    def __init__(self, recipe: R, *, shape: Shape, classes: int, pixel_max: int):
        for name, size in zip(("height", "width", "channels"), shape, strict=True):
            check.whole(name, size, 1, 1 << 16)
        check.whole("classes", classes, 2, 256)
        check.whole("pixel_max", pixel_max, 1, 255)
        self.recipe = recipe
        self.shape = shape
        self.stages = stages(recipe.network, shape, classes)
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
        """Layers with weights."""
        return len(self.stages)

    def step(self, images: Bytes, labels: Bytes, record: Record | None = None) -> Score:
        """One training step on a batch: forward, backward, update.

        Parameters
        ----------
        images, labels
            The batch, of the recipe's size; an array of pixels for each image.
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
        """Score on `images`, by batches of the recipe's size.

        Images of zeros fill up the last batch; they are not scored. The training's own random bits
        do not move: every evaluation begins at the seeds.
        """
        score = Score()
        for outputs, part in self._evaluated(images):
            score += self._scored(outputs, np.asarray(labels[part], np.int64))
        return score

    def predict(self, images: Bytes) -> Codes:
        """Class of every image, as `evaluate` finds it."""
        return np.concatenate([winners(outputs) for outputs, _ in self._evaluated(images)])

    def _evaluated(self, images: Bytes) -> Iterator[tuple[Tensor, slice]]:
        """Outputs for `images`, batch by batch, and which images they are for."""
        lanes, batch = self._evaluation_lanes(), self.recipe.batch
        for start in range(0, len(images), batch):
            part = slice(start, min(start + batch, len(images)))
            chosen = np.asarray(images[part])
            missing = batch - len(chosen)
            if missing:
                chosen = np.concatenate([chosen, np.zeros((missing, *chosen.shape[1:]), np.uint8)])
            yield self._outputs(self._pixels(chosen), lanes)[: len(chosen) - missing], part

    def walk(self, dataset: Dataset) -> Iterator[Epoch | None]:
        """Train from here to the recipe's last epoch, a step at a time.

        Yields None after a step and what the epoch came to after its last one. At each yield the
        state is whole: what is saved then goes on as if nothing had happened.
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
            self.train += self.step(dataset.train_images[chosen], dataset.train_labels[chosen])
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
        """Which image comes when in the epoch that begins."""
        if self.recipe.order == SampleOrder.LFSR:
            return lfsr_order(images, self.epoch)
        return self.random.permutation(images)

    def epochs(self, dataset: Dataset) -> Iterator[Epoch]:
        """Train for as many epochs as the recipe says are left, and yield what each came to."""
        return (report for report in self.walk(dataset) if report is not None)

    def state(self) -> dict[str, NDArray[Any]]:
        """All that the rest of the training depends on, as arrays by name."""
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
        return {**named, "order": self._order, "walk": np.array(json.dumps(walk))}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from a `state()` of a trainer of the same recipe, network and images.

        Raises
        ------
        ValueError
            Something is missing, or of another shape; the message names it. Nothing is changed
            then.
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
                named.setdefault(name, []).append(found.copy())
        order, walk = _found(state, "order"), json.loads(str(_found(state, "walk")))
        self._restore_own(walk)
        self.epoch, self.position = walk["epoch"], walk["position"]
        self.train = Score(
            images=walk["images"], wrong=walk["wrong"], loss=float.fromhex(walk["loss"])
        )
        self._seconds = walk["seconds"]
        self.random.bit_generator.state = walk["random"]
        self._order = order.copy()
        for name, arrays in named.items():
            setattr(self, name, arrays)

    def _own_state(self) -> dict[str, Any]:
        """What a subclass adds to the state, as JSON has it."""
        return {}

    def _restore_own(self, walk: Mapping[str, Any]) -> None:
        """Take up what `_own_state` gave."""

    @abstractmethod
    def _unit(self, layer: int) -> float:
        """What 1 of a stored weight of a layer stands for, as a real."""

    @abstractmethod
    def _step(self, pixels: Tensor, labels: Codes, record: Record | None) -> Score:
        """The step, from inputs (batch, height, width, channels)."""

    def _evaluation_lanes(self) -> Any:
        """Random bits of one evaluation, handed to `_outputs` batch after batch."""
        return None

    @abstractmethod
    def _outputs(self, pixels: Tensor, lanes: Any) -> Tensor:
        """Outputs of the last layer, (batch, classes), in evaluation."""

    @abstractmethod
    def _scored(self, outputs: Tensor, labels: Codes) -> Score:
        """Score of the outputs of a batch."""

    def _pixels(self, images: Bytes) -> Tensor:
        """Inputs, (batch, height, width, channels)."""
        return self._table[np.asarray(images).reshape(-1, *self.shape)]


def _found(state: Mapping[str, NDArray[Any]], name: str) -> NDArray[Any]:
    if name not in state:
        raise ValueError(f"{name} is missing")
    return state[name]


def pixel_table(pixel_max: int, one: int, low: int, high: int, symmetric: bool = False) -> Codes:
    """Input code of every pixel value: RNE(one * p / pixel_max), clipped to `low` to `high`.

    `symmetric` spreads the pixels over -one to one: RNE(one * (2 p - pixel_max) / pixel_max).
    """
    check.whole("pixel_max", pixel_max, 1, 255)
    values = [2 * p - pixel_max if symmetric else p for p in range(pixel_max + 1)]
    return np.clip(
        np.array([round(Fraction(one * value, pixel_max)) for value in values], np.int64), low, high
    )


def winners(outputs: Tensor) -> Codes:
    """Class of every row of outputs: the lowest index among equal maxima."""
    return np.argmax(outputs, axis=1).astype(np.int64)
