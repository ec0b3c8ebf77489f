"""Many runs of one recipe: every combination of a grid, with several seeds, a folder each.

The runs are jobs of `gradloom.jobs`: processes of this machine, or the workers of a dask scheduler
that see the same folders. A run whose worker dies is taken up again from its checkpoint.
"""

import csv
import hashlib
import importlib.util
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

from golden.datasets import Dataset, digits, load
from golden.files import replaced
from golden.training import Epoch, Recipe, Run, toml
from golden.training.runs.run import RECIPE
from gradloom import jobs

#: Table of a sweep's folder: a row a run.
SUMMARY = "summary.csv"
#: What a row tells of a run after the grid's keys.
RESULTS = ("seed", "epoch", "train_loss", "train_error", "test_error", "seconds")
#: Most characters of a folder's name.
_LONGEST = 200
#: Seconds between two reports of a run that is going on.
_SPOKEN = 0.5


@dataclass(frozen=True, kw_only=True)
class Point:
    """A run of a sweep.

    Parameters
    ----------
    values
        The grid's keys and their values here.
    recipe
        What they make.
    """

    values: tuple[tuple[str, str], ...]
    recipe: Recipe

    @property
    def name(self) -> str:
        """Name of its folder."""
        parts = [f"{key}={value}" for key, value in self.values if key != "seed"]
        text = ",".join([*parts, f"seed={self.recipe.seed}"])
        name = re.sub(r"[^\w.,=+:-]", "_", text)
        if len(name) <= _LONGEST:
            return name
        return f"{name[:_LONGEST]}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run is: steps of all its epochs."""

    done: int
    steps: int


#: Told the number of a run and how far it is.
Listener = Callable[[int, Progress], None]


def points(
    recipe: Recipe, grid: Mapping[str, Sequence[str]], seeds: int = 1, where: str = "recipe"
) -> list[Point]:
    """The runs of a sweep: every combination, the last key's values and the seeds going by fastest.

    Parameters
    ----------
    recipe
        What they vary.
    grid
        Values by key, as `golden.training.toml.varied` takes them.
    seeds
        Runs of a combination, with seeds from the recipe's on.
    where
        What the recipe is called in errors.

    Raises
    ------
    ValueError
        A key or a value that the recipe does not allow, or one run twice.
    """
    if "seed" in grid and seeds != 1:
        raise ValueError(f"seed is a key of the grid: {seeds} seeds of each cannot be had too")
    found: dict[str, Point] = {}
    for values in product(*grid.values()):
        pairs = tuple(zip(grid, values))
        base = toml.varied(recipe, [f"{key}={value}" for key, value in pairs], where)
        for seed in range(seeds):
            point = Point(values=pairs, recipe=replace(base, seed=base.seed + seed))
            text = toml.written(point.recipe)
            if text in found or point.name in [other.name for other in found.values()]:
                raise ValueError(f"grid: {point.name} is there twice")
            found[text] = point
    return list(found.values())


def sweep(
    runs: Sequence[Point],
    folder: str | Path,
    *,
    data: str | Path | None = None,
    resume: bool = False,
    scheduler: str | None = None,
    workers: int | None = None,
    listener: Listener = lambda number, progress: None,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Carry out `runs`, each in a folder of its name, and keep `summary.csv`.

    Yields the number of a run and its row of the table, as they are done; those that were finished
    before come first.

    Parameters
    ----------
    runs
        See `points`.
    folder
        Where the runs' folders are.
    data
        Folder of the data set; the digits without it.
    resume
        Go on with the runs that the folder holds.
    scheduler, workers
        Where they run: see `gradloom.jobs.run`.
    listener
        Told how far the runs are.

    Raises
    ------
    ValueError
        A run cannot be made, or its folder is not its own: before any starts.
    gradloom.jobs.JobsError
        See `gradloom.jobs.run`; what is done then stays.
    """
    folder = Path(folder).absolute()
    source = None if data is None else str(Path(data).absolute())
    rows: dict[int, dict[str, Any]] = {}
    waiting = []
    for number, history in _standing(runs, folder, _dataset(source), resume):
        if history is None:
            waiting.append(number)
        else:
            rows[number] = _row(runs[number], history)
    if len(waiting) > 1 and importlib.util.find_spec("distributed") is None:
        raise jobs.JobsError("several runs need dask.distributed: pip install 'gradloom[train]'")
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder, [rows[number] for number in sorted(rows)])
    yield from rows.items()

    def heard(job: int, text: str) -> None:
        done, _, steps = text.partition("/")
        listener(waiting[job], Progress(done=int(done), steps=int(steps)))

    tasks = [(runs[number].recipe, source, str(folder / runs[number].name)) for number in waiting]
    if not tasks:
        return
    done = jobs.run(_carry_out, tasks, scheduler=scheduler, workers=workers, listener=heard)
    for job, history in done:
        number = waiting[job]
        rows[number] = _row(runs[number], history)
        _write(folder, [rows[known] for known in sorted(rows)])
        yield number, rows[number]


def _standing(
    runs: Sequence[Point], folder: Path, dataset: Dataset, resume: bool
) -> list[tuple[int, list[Epoch] | None]]:
    """Every run's number, and the history of those that are finished; all are found possible."""
    for point in runs:
        try:
            Run(point.recipe, dataset)
        except ValueError as error:
            raise ValueError(f"{point.name}: {error}") from None
    held = [(folder / point.name / RECIPE).exists() for point in runs]
    if not resume and (any(held) or (folder / SUMMARY).exists()):
        raise ValueError(f"{folder} holds a sweep already: resume it, or take another folder")
    found: list[tuple[int, list[Epoch] | None]] = []
    for number, (point, holds) in enumerate(zip(runs, held)):
        history = None
        if holds:
            with Run(point.recipe, dataset, folder / point.name, resume=True) as run:
                history = run.history if run.finished else None
        found.append((number, history))
    return found


def _carry_out(recipe: Recipe, source: str | None, folder: str, say: jobs.Say) -> list[Epoch]:
    """A job: the run in its folder, from where it stands."""
    spoken = 0.0
    with Run(recipe, _dataset(source), folder, resume=True) as run:
        steps = run.steps * recipe.epochs
        for _ in run.walk():
            if (now := time.monotonic()) - spoken >= _SPOKEN:
                spoken = now
                say(f"{run.trainer.epoch * run.steps + run.trainer.position}/{steps}")
        # The bars of histograms stay in the folder.
        return [replace(epoch, layers=()) for epoch in run.history]


@lru_cache(maxsize=1)
def _dataset(source: str | None) -> Dataset:
    """The data set of a folder, read once in a process."""
    return digits() if source is None else load(Path(source))


def _row(point: Point, history: list[Epoch]) -> dict[str, Any]:
    last = history[-1]
    told = {
        "seed": point.recipe.seed,
        "epoch": last.epoch,
        "train_loss": last.train.mean_loss,
        "train_error": last.train.error,
        "test_error": last.test.error,
        "seconds": sum(epoch.seconds for epoch in history),
    }
    return {"run": point.name, **dict(point.values), **told}


def _write(folder: Path, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    with replaced(folder / SUMMARY) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def grouped(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[tuple[str, str], ...], list[float]]:
    """Test errors of the runs by the values of the grid's keys, seeds together, in order.

    Parameters
    ----------
    rows
        Of the table, as they come or as they are read from it.
    """
    found: dict[tuple[tuple[str, str], ...], list[float]] = {}
    for row in rows:
        keys = [key for key in row if key != "run" and key not in RESULTS]
        values = tuple((key, str(row[key])) for key in keys)
        found.setdefault(values, []).append(float(row["test_error"]))
    return found
