"""A trainer whose steps are carried out by a core in a simulator."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from golden.core.beats import matrices, sample_beats, scores_of
from golden.core.lower import Compiled, compiled
from golden.core.twin import MASKS
from golden.datasets import Dataset
from golden.fixed import Codes
from golden.training.layers.windows import Tensor
from golden.training.recipe import Recipe
from golden.training.runs.score import Draws, Score
from golden.training.step.record import Record
from golden.training.systems.registry import plan
from golden.training.systems.wage.trainer import WageTrainer
from golden.training.trainers.trainer import winners
from gradloom.core.driver import Driver, wrong_of_batch
from gradloom.core.errors import CoreError
from gradloom.core.machine import Machine
from gradloom.core.ran import Ran
from gradloom.core.start import lane_states
from gradloom.sim.simulators import SimulatorName


class CoreTrainer(WageTrainer):
    """Trains on a core in a simulator, with the results of `WageTrainer` to the bit.

    The core has the weights and the elementwise lanes while it trains. They are read from it when
    somebody asks for the weights, and written into it before the next step if they were set.

    Parameters
    ----------
    compiled
        The network on a core whose steps carry out their scores.
    pixel_max
        Pixel value of 1.
    simulator
        Name of the simulator.
    """

    BACKEND = "simulation"

    def __init__(self, compiled: Compiled, *, pixel_max: int, simulator: SimulatorName = "cxxrtl"):
        if not compiled.scores:
            raise ValueError("the core's steps do not carry out their scores")
        self.compiled = compiled
        self.simulator = simulator
        self._machine: Driver | None = None
        self._known: list[Codes] | None = None
        self._placed = False
        super().__init__(
            compiled.recipe, shape=compiled.shape, classes=compiled.classes, pixel_max=pixel_max
        )
        self._leaps = sum(
            operation.leaps
            for operation in plan(compiled.recipe, compiled.shape, compiled.classes)
            if operation.draws and operation.order is not None
        )

    @property
    def machine(self) -> Driver:
        """The core; the first access builds the simulator, which may take minutes."""
        if self._machine is None:
            self._machine = self.connected()
        return self._machine

    def connected(self) -> Driver:
        """Return a new core."""
        return Machine(self.compiled, simulator=self.simulator)

    @property
    def weights(self) -> list[Codes]:
        """Stored weights of every layer, (inputs, outputs)."""
        if self._known is None:
            self._known = self._read()
        return self._known

    @weights.setter
    def weights(self, weights: list[Codes]) -> None:
        self._known, self._placed = weights, False

    def _move(self, draws: Draws) -> None:
        super()._move(draws)
        self._placed = False

    def _read(self) -> list[Codes]:
        """Return the weights that are in the core, whose lanes must be where they ought to be."""
        machine, core = self.machine, self.compiled
        ran = machine.run(core.dump, 1)
        if machine.lanes() != lane_states(self):
            raise CoreError(
                f"the core's lanes are not in the states after {self.draws.elementwise} draws"
            )
        return matrices(core.layout.w, ran.events["out"], core.config.banks)

    def _ready(self) -> Driver:
        """Return the core, with weights and lanes in it."""
        machine = self.machine
        if not self._placed:
            assert self._known is not None
            machine.place(self._known, lane_states(self))
            self._placed = True
        return machine

    def _step(self, pixels: Tensor, labels: Codes, record: Record | None) -> Score:
        if record is not None:
            raise ValueError("steps on a core have no record: the golden trainer's have")
        machine = self._ready()
        machine.send(sample_beats(self.compiled, pixels, labels))
        self._known = None
        ran = machine.run(self.compiled.train, 1, self.recipe.rate(self.epoch))
        self.draws = replace(self.draws, elementwise=self.draws.elementwise + self._leaps)
        if self.watching:
            self._watch(ran)
        return self._scored(self._scores(ran), labels)

    def _scores(self, ran: Ran) -> Codes:
        """Return the scores that a program has carried out, (batch, classes)."""
        return scores_of(self.compiled, ran.events["out"])

    def _watch(self, ran: Ran) -> None:
        """Take the share of values that are clipped from the masks that a step has written."""
        masks, columns = ran.events[MASKS], self.recipe.columns
        store = np.zeros((self.compiled.config.k_rows, 2 * columns), np.int64)
        store[masks["k_to"]] = masks["k_value"]
        for layer, rows in enumerate(self.compiled.layout.k):
            row, block = np.indices((rows.rows, rows.blocks))
            unclipped = store[rows.places(row, block)][..., columns:].reshape(rows.rows, -1)
            self.saturated[layer] = float(np.mean(unclipped[:, : self.stages[layer].outputs] == 0))

    def _outputs(self, pixels: Tensor, lanes: Any) -> Tensor:
        machine = self._ready()
        machine.send(sample_beats(self.compiled, pixels, np.zeros(len(pixels))))
        return self._scores(machine.run(self.compiled.infer, 1))

    def evaluate(self, images: ArrayLike, labels: ArrayLike) -> Score:
        """Return the score of images; the core itself counts the wrong classes.

        Raises
        ------
        CoreError
            The core's count is not that of the scores that it carries out.
        """
        images, classes = self._images(images), self._labels(labels)
        if len(images) != len(classes):
            raise ValueError(f"{len(images)} images and {len(classes)} labels: as many are wanted")
        score, wrong = Score(), 0
        for pixels, part in self.batches(images):
            outputs, own = self._outputs(pixels, None), classes[part]
            score += self._scored(outputs[: len(own)], own)
            # Where images of zeros fill the batch, the last one is of them.
            wrong += wrong_of_batch(self.machine, pixels, own, winners(outputs[-1:]))
        if wrong != score.wrong:
            raise CoreError(f"the core counts {wrong} wrong classes; its scores have {score.wrong}")
        return score


def core_trainer(
    simulator: SimulatorName = "cxxrtl",
) -> Callable[[Recipe, Dataset], CoreTrainer]:
    """Return what makes a trainer on a core, for `golden.training.Run`.

    Examples
    --------
    >>> from golden.datasets import digits
    >>> from golden.training import load
    >>> trainer = core_trainer("pysim")(load("digits-wage"), digits())
    >>> trainer.BACKEND, [weight.shape for weight in trainer.weights]
    ('simulation', [(64, 128), (128, 10)])
    """

    def new(recipe: Recipe, dataset: Dataset) -> CoreTrainer:
        core = compiled(recipe, dataset.shape, dataset.classes, scores=True)
        return CoreTrainer(core, pixel_max=dataset.pixel_max, simulator=simulator)

    return new
