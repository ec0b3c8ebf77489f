"""A trainer whose steps are carried out by a core on a board."""

from collections.abc import Callable, Iterator

import numpy as np

from golden.core.lower import Compiled, candidates
from golden.core.registers import design_hash
from golden.datasets import Dataset
from golden.fixed import Codes
from golden.training.layers.network import Shape
from golden.training.layers.windows import Tensor
from golden.training.recipe import Recipe
from golden.training.runs.score import Score
from golden.training.step.record import Record
from golden.training.systems.wage.trainer import WageTrainer
from gradloom.board.driver import BoardDriver
from gradloom.board.link import Line, Link, LinkError
from gradloom.core.driver import Driver
from gradloom.core.ran import Ran
from gradloom.core.trainer import CoreTrainer


class BoardTrainer(CoreTrainer):
    """Trains on a core on a board, with the results of `WageTrainer` to the bit.

    Parameters
    ----------
    compiled
        The network on the board's core.
    pixel_max
        Pixel value of 1.
    line
        The line to the board.
    """

    BACKEND = "board"

    def __init__(self, compiled: Compiled, *, pixel_max: int, line: Line):
        self.line = line
        super().__init__(compiled, pixel_max=pixel_max)

    def connected(self) -> Driver:
        return BoardDriver(self.compiled, self.line)

    @property
    def link(self) -> Link:
        """The session with the board."""
        assert isinstance(self.machine, BoardDriver)
        return self.machine.link

    def _step(self, pixels: Tensor, labels: Codes, record: Record | None) -> Score:
        if self.watching:
            self._watch_golden(pixels, labels)
        return super()._step(pixels, labels, record)

    def _watch(self, ran: Ran) -> None:
        """Take nothing: a board does not show its masks."""

    def _watch_golden(self, pixels: Tensor, labels: Codes) -> None:
        """Take the share of values that are clipped from a step of golden's."""
        core = self.compiled
        golden = WageTrainer(
            core.recipe, shape=core.shape, classes=core.classes, pixel_max=self.pixel_max
        )
        golden.weights = [each.copy() for each in self.weights]
        golden.draws, golden.epoch, golden.watching = self.draws, self.epoch, True
        golden._step(pixels, labels, None)
        self.saturated = list(golden.saturated)


def designs(recipe: Recipe, shape: Shape, classes: int) -> Iterator[Compiled]:
    """Return the cores that a board may have for a training, the fastest one first.

    All of them carry out the scores of a step.
    """
    return candidates(recipe, shape, classes, scores=True)


def of_board(recipe: Recipe, shape: Shape, classes: int, line: Line) -> Compiled:
    """Return the core that a board has for a training.

    Raises
    ------
    LinkError
        No board answers, or it has the core of another training.
    """
    about, hashes = Link(line, None).about, []
    for each in designs(recipe, shape, classes):
        hashes.append(design_hash(each.config))
        if hashes[-1] == about.design:
            return each
    raise LinkError(
        f"board {about.name} has the design {about.design:016x}, and this training's is "
        f"{hashes[0]:016x}: build it with the same recipe and settings"
    )


def board_trainer(line: Line) -> Callable[[Recipe, Dataset], BoardTrainer]:
    """Return what makes a trainer on a board, for `golden.training.Run`."""

    def new(recipe: Recipe, dataset: Dataset) -> BoardTrainer:
        core = of_board(recipe, dataset.shape, dataset.classes, line)
        return BoardTrainer(core, pixel_max=dataset.pixel_max, line=line)

    return new


def difference(step: int, got: list[Codes], wanted: list[Codes]) -> str | None:
    """Return the first difference of weights after a step, in words; None if there is none."""
    for layer, (one, other) in enumerate(zip(got, wanted, strict=True), 1):
        places = np.argwhere(one != other)
        if len(places):
            row, column = (int(k) for k in places[0])
            return (
                f"step {step}, weights of layer {layer}, row {row}, column {column}: expected "
                f"{int(other[row, column])}, got {int(one[row, column])}"
            )
    return None
