"""Runs: trainings with a folder of results, which can be interrupted and resumed.

A run's folder has `recipe.toml` (all settings, and a description of the data set), `metrics.csv`
(one row per epoch), `layers.csv` (one row per epoch and layer), `histograms.npz` (weights and
updates of the latest epoch), `remarks.txt` (if there are any), `backends.csv` (if other than golden
carried out any step) and two checkpoints. A run that is resumed from a checkpoint has the same
results, to the bit.
"""

import csv
import fcntl
import os
import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from golden.datasets import Dataset
from golden.datasets import remarks as of_data
from golden.files import replaced
from golden.training import toml
from golden.training.recipe import Recipe
from golden.training.runs import backends, watch
from golden.training.runs.checkpoint import LATEST, PREVIOUS, Checkpoint, DamagedError
from golden.training.runs.description import described
from golden.training.runs.score import Epoch, LayerReport, Score
from golden.training.systems.registry import new_trainer
from golden.training.trainers.trainer import Trainer

#: Files of a run's folder, beside the checkpoints.
RECIPE, METRICS, LAYERS, HISTOGRAMS = "recipe.toml", "metrics.csv", "layers.csv", "histograms.npz"
#: Remarks on the data set and the training, one line each.
REMARKS = "remarks.txt"
#: Seconds from one checkpoint to the next; the current step is completed first.
EVERY = 60.0


class Interrupted(KeyboardInterrupt):
    """A run was stopped by Ctrl-C; the message has the epoch, the step and the checkpoint."""


def steps_of_epoch(recipe: Recipe, dataset: Dataset) -> int:
    """Return the number of steps of an epoch. Raises ValueError if there is none."""
    images = len(dataset.train_images)
    if images < recipe.batch:
        raise ValueError(
            f"batch = {recipe.batch}: {dataset.name} has only {images} images to train with"
        )
    return images // recipe.batch


class Run:
    """A training, maybe with a folder of results.

    A run locks its folder. It is a context manager; the end of the block releases the folder.

    Parameters
    ----------
    recipe
        The recipe.
    dataset
        The data set.
    folder
        Folder for results; None writes nothing.
    resume
        Resume from the folder's latest checkpoint; begin a new run if there is none.
    every
        Seconds from one checkpoint to the next within an epoch. Each epoch ends with a checkpoint.
    remarks
        Further remarks for the folder.
    new
        Makes the trainer; the default is golden's own. All trainers of a recipe have the same
        results, and the run may have been begun with another one.

    Attributes
    ----------
    trainer
        The trainer; its state is complete between two steps.
    history
        Reports of all complete epochs. Those before a resumption have no histograms.
    remark
        A message for the user about the checkpoint, one line, or empty.
    remarks
        Remarks on the data set (`golden.datasets.remarks`) and on the training so far, one line
        each; more may come after an epoch (`golden.training.runs.watch`).

    Raises
    ------
    ValueError
        The recipe does not fit the data set; or the folder has a run already (without `resume`), is
        in use, or has a run of another recipe or data set.

    Examples
    --------
    >>> from golden.datasets import digits
    >>> from golden.training import WageRecipe
    >>> recipe = WageRecipe(network="8FC", batch=359, epochs=1)
    >>> with Run(recipe, digits(), "run") as run:
    ...     for report in run.walk():
    ...         pass
    >>> run.place, report.epoch
    ('after epoch 1, the last one', 1)
    >>> sorted(path.name for path in run.folder.glob("*.csv"))
    ['layers.csv', 'metrics.csv']
    """

    def __init__(
        self,
        recipe: Recipe,
        dataset: Dataset,
        folder: str | Path | None = None,
        *,
        resume: bool = False,
        every: float = EVERY,
        remarks: Iterable[str] = (),
        new: Callable[[Recipe, Dataset], Trainer[Any]] = new_trainer,
    ):
        self.recipe = recipe
        self.dataset = dataset
        self.folder = None if folder is None else Path(folder)
        self.every = every
        self.trainer: Trainer[Any] = new(recipe, dataset)
        self._backends: tuple[backends.Stretch, ...] = ()
        self.history: list[Epoch] = []
        self.remark = ""
        self._given = [*remarks, *of_data(dataset)]
        self.steps = steps_of_epoch(recipe, dataset)
        if self.folder is None:
            self.data = {}
            return
        self.data = described(dataset)
        holds = any((self.folder / name).exists() for name in (RECIPE, LATEST, PREVIOUS))
        if holds and not resume:
            raise ValueError(f"{self.folder} holds a run: resume it, or take another folder")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._let_go = weakref.finalize(self, os.close, _lock(self.folder))
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the folder."""
        if self.folder is not None:
            self._let_go()

    @property
    def remarks(self) -> list[str]:
        """Remarks so far: those on the data set, then those on the training."""
        return self._given + watch.remarks(self.recipe, self.dataset.classes, self.history)

    @property
    def score(self) -> Score:
        """Score of the training batches of the current epoch so far."""
        return self.trainer.train

    @property
    def finished(self) -> bool:
        """Whether the last epoch is complete."""
        return self.trainer.epoch == self.recipe.epochs

    def walk(self) -> Iterator[Epoch | None]:
        """Train from the current state to the last epoch, one step at a time.

        Ctrl-C ends the training after the current step, with a checkpoint. A second Ctrl-C ends it
        at once.

        Yields
        ------
        Epoch or None
            A report after the last step of an epoch; None after all other steps.

        Raises
        ------
        Interrupted
            Ctrl-C was pressed.
        """
        written = time.monotonic()
        with _between_steps() as wanted:
            for report in self.trainer.walk(self.dataset):
                self._count(report)
                if report is not None:
                    self.history.append(report)
                late = time.monotonic() - written >= self.every
                if fresh := report is not None or late:
                    self._save(report)
                    written = time.monotonic()
                yield report
                if wanted():
                    if not fresh:
                        self._save(None)
                    hint = f": {self.hint}" if self.hint else ""
                    raise Interrupted(f"interrupted {self.place}{hint}")

    def _count(self, report: Epoch | None) -> None:
        """Note what carried out the step that is complete now."""
        trainer = self.trainer
        if report is None:
            epoch, step = trainer.epoch + 1, trainer.position
        else:
            epoch, step = trainer.epoch, report.train.images // self.recipe.batch
        self._backends = backends.extended(self._backends, epoch, step, trainer.BACKEND)

    @property
    def place(self) -> str:
        """The current epoch and step, in words."""
        epoch, step = self.trainer.epoch, self.trainer.position
        if self.finished:
            return f"after epoch {epoch}, the last one"
        if not step:
            return f"after epoch {epoch}" if epoch else "at the start"
        return f"in epoch {epoch + 1}, after step {step} of {self.steps}"

    @property
    def hint(self) -> str:
        """Where a run that has stopped goes on, in words; empty without a checkpoint."""
        if self.folder is None or not (self.folder / LATEST).exists():
            return ""
        return f"{self.folder / LATEST} is whole, resume goes on from it"

    def _begin(self) -> None:
        """Write the recipe to a new folder, or resume from a folder's checkpoint."""
        assert self.folder is not None
        for left in self.folder.glob(f".{LATEST}.*"):  # left by a process that was killed
            left.unlink()
        found = None
        if any((self.folder / name).exists() for name in (LATEST, PREVIOUS)):
            found, self.remark = latest(self.folder)
        elif (self.folder / RECIPE).exists():
            text = toml.content_of(self.folder / RECIPE)
            self._require_same(self.folder / RECIPE, text, toml.data_of(text))
        if found is not None:
            path = self.folder / LATEST
            self._require_same(path, found.recipe, found.data)
            try:
                self.trainer.restore(found.state, len(self.dataset.train_images))
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from None
            self.history = found.history
            if len(found.history) != self.trainer.epoch:
                raise ValueError(
                    f"{path}: {len(found.history)} reports after {self.trainer.epoch} epochs"
                )
            done = self.trainer.epoch + (self.trainer.position > 0)
            if self.recipe.epochs < done:
                raise ValueError(
                    f"{path}: epoch {done} has begun: the recipe says epochs = {self.recipe.epochs}"
                )
            self._backends = backends.read(
                self.folder, self.history, self.trainer.position, self.recipe.batch
            )
        with replaced(self.folder / RECIPE) as temporary:
            temporary.write_text(toml.written(self.recipe, self.data), "utf-8")
        self._write_tables()

    def _require_same(self, path: Path, recipe: str, data: dict[str, Any]) -> None:
        """Raise a ValueError unless a file belongs to this recipe and data set."""
        before = toml.read(recipe, str(path))
        if before.SYSTEM != self.recipe.SYSTEM:
            raise ValueError(
                f"{path}: made by system {before.SYSTEM}: the recipe is of {self.recipe.SYSTEM}"
            )
        was, now = (dict(_pairs(toml.keys(of))) for of in (before, self.recipe))
        for key in {**was, **now}:
            # No step depends on the number of epochs: a run may go on for longer.
            if key != "epochs" and was.get(key) != now.get(key):
                raise ValueError(
                    f"{path}: made with {key} = {was.get(key, 'none')}: "
                    f"the recipe says {now.get(key, 'none')}"
                )
        for key, value in self.data.items():
            if key != "name" and data.get(key) != value:  # the data set's folder may have moved
                raise ValueError(
                    f"{path}: made on {data.get('name')}, {key} = {data.get(key)}: "
                    f"{self.data['name']} has {value}"
                )

    def _save(self, report: Epoch | None) -> None:
        """Write the results of an epoch, if one is complete, and then a checkpoint."""
        if self.folder is None:
            return
        if report is not None:
            self._write_tables()
            with replaced(self.folder / HISTOGRAMS) as temporary:
                np.savez(temporary, **_bars(report.layers))
        backends.write(self.folder, self._backends)
        Checkpoint(
            recipe=toml.written(self.recipe),
            data=self.data,
            history=self.history,
            state=self.trainer.state(),
        ).write(self.folder)

    def _write_tables(self) -> None:
        """Write `metrics.csv` and `layers.csv` for all complete epochs, and the remarks."""
        assert self.folder is not None
        if lines := self.remarks:
            with replaced(self.folder / REMARKS) as temporary:
                temporary.write_text("".join(f"{line}\n" for line in lines), "utf-8")
        else:
            (self.folder / REMARKS).unlink(missing_ok=True)
        _write_csv(
            self.folder / METRICS,
            ("epoch", "train_loss", "train_error", "test_error", "seconds"),
            (
                (e.epoch, e.train.mean_loss, e.train.error, e.test.error, e.seconds)
                for e in self.history
            ),
        )
        _write_csv(
            self.folder / LAYERS,
            ("epoch", "layer", "name", "saturated", "unmoved"),
            (
                (epoch.epoch, number, layer.name, layer.saturated, layer.unmoved)
                for epoch in self.history
                for number, layer in enumerate(epoch.layers, 1)
            ),
        )


def train(
    recipe: Recipe,
    dataset: Dataset,
    folder: str | Path | None = None,
    *,
    resume: bool = False,
    progress: Callable[[Epoch], None] | None = None,
) -> tuple[Trainer[Any], list[Epoch]]:
    """Train to the last epoch of a recipe.

    Parameters
    ----------
    recipe, dataset, folder, resume
        As in `Run`, which trains step by step.
    progress
        Called with the report of each epoch.

    Returns
    -------
    trainer : Trainer
        The trainer after the last step.
    history : list of Epoch
        Reports of all epochs.

    Raises
    ------
    ValueError
        As in `Run`.
    Interrupted
        Ctrl-C was pressed; the folder has a checkpoint.

    Examples
    --------
    >>> from golden.datasets import digits
    >>> from golden.training import WageRecipe
    >>> trainer, history = train(WageRecipe(network="8FC", batch=719, epochs=1), digits())
    >>> history[0].train.images, history[0].test.images
    (1438, 359)
    """
    with Run(recipe, dataset, folder, resume=resume) as run:
        for epoch in run.walk():
            if epoch is not None and progress is not None:
                progress(epoch)
        return run.trainer, run.history


def latest(folder: Path) -> tuple[Checkpoint, str]:
    """Return the latest checkpoint of a run's folder that can be read.

    Returns
    -------
    checkpoint : Checkpoint
        The latest checkpoint, or the previous one if the latest one is damaged.
    remark : str
        A message if the latest checkpoint is damaged; otherwise empty.

    Raises
    ------
    DamagedError
        No checkpoint can be read.
    """
    problem: DamagedError | None = None
    for name in LATEST, PREVIOUS:
        if not (folder / name).exists():
            continue
        try:
            found = Checkpoint.read(folder / name)
        except DamagedError as error:
            problem = problem or error
            continue
        return found, f"{problem}; going on from {name}" if problem else ""
    raise problem or DamagedError(f"{folder / LATEST}: no checkpoint")


def _pairs(settings: Iterable[str]) -> Iterator[tuple[str, str]]:
    for setting in settings:
        key, _, value = setting.partition("=")
        yield key, value


def _lock(folder: Path) -> int:
    """Return a handle that locks the folder until it is closed, or until the process ends."""
    handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise ValueError(f"{folder}: a training is writing there") from None
    return handle


@contextmanager
def _between_steps() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether Ctrl-C was pressed; the first time, it stops nothing.

    This applies to the main thread only; other threads receive no signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    pressed = False

    def note(number: int, frame: object) -> None:
        nonlocal pressed
        pressed = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)


def _bars(layers: tuple[LayerReport, ...]) -> dict[str, Any]:
    """Return the histograms as arrays by name."""
    return {
        f"{what} {number} {part}": getattr(getattr(layer, what), part)
        for number, layer in enumerate(layers, 1)
        for what in ("weights", "updates")
        for part in ("counts", "edges")
    }


def _write_csv(path: Path, columns: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> None:
    """Write a table atomically; numbers have all their digits."""
    with replaced(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
