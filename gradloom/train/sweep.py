"""Many runs of one recipe: every combination of a grid, with several seeds, one folder per run.

The runs are jobs of `gradloom.jobs`: processes on this machine, or workers of a dask scheduler with
access to the same folders. A run whose worker dies continues from its checkpoint.
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

#: Table in a sweep's folder, one row per run.
SUMMARY = "summary.csv"
#: Columns of the table after the grid's keys.
RESULTS = ("seed", "epoch", "train_loss", "train_error", "test_error", "seconds")
#: Largest number of characters of a folder's name.
_LONGEST = 200
#: Seconds between two reports of progress.
_REPORTED = 0.5


@dataclass(frozen=True, kw_only=True)
class Point:
    """A run of a sweep.

    Parameters
    ----------
    values
        Pairs of a key of the grid and its value in this run.
    recipe
        The recipe with these values.
    """

    values: tuple[tuple[str, str], ...]
    recipe: Recipe

    @property
    def name(self) -> str:
        """Name of the run's folder."""
        parts = [f"{key}={value}" for key, value in self.values if key != "seed"]
        text = ",".join([*parts, f"seed={self.recipe.seed}"])
        name = re.sub(r"[^\w.,=+:-]", "_", text)
        if len(name) <= _LONGEST:
            return name
        return f"{name[:_LONGEST]}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Progress of a run: steps done, and steps of all epochs."""

    done: int
    steps: int


#: Called with the number of a run and its progress.
Listener = Callable[[int, Progress], None]


def points(
    recipe: Recipe, grid: Mapping[str, Sequence[str]], seeds: int = 1, where: str = "recipe"
) -> list[Point]:
    """Return the runs of a sweep: every combination of values, with every seed.

    Parameters
    ----------
    recipe
        The recipe to vary.
    grid
        Key to values: see `golden.training.toml.varied`.
    seeds
        Number of runs per combination. Their seeds count from that of the recipe.
    where
        Name of the recipe in errors.

    Returns
    -------
    list of Point
        The runs. The seed changes fastest, then the last key.

    Raises
    ------
    ValueError
        A key or a value is not allowed, or two runs are equal.
    """
    if "seed" in grid and seeds != 1:
        raise ValueError(
            f"seed is a key of the grid: give it values there, or seeds = {seeds} without it"
        )
    found: dict[str, Point] = {}
    for values in product(*grid.values()):
        pairs = tuple(zip(grid, values))
        base = toml.varied(recipe, [f"{key}={value}" for key, value in pairs], where)
        for seed in range(seeds):
            point = Point(values=pairs, recipe=replace(base, seed=base.seed + seed))
            text = toml.written(point.recipe)
            if text in found or point.name in [other.name for other in found.values()]:
                raise ValueError(f"grid: {point.name} occurs twice")
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
    """Train `runs`, each in the folder of its name, and keep `summary.csv` up to date.

    Parameters
    ----------
    runs
        Result of `points`.
    folder
        Folder for the runs' folders.
    data
        Folder of the data set; by default the digits in this package.
    resume
        Continue the runs in the folder.
    scheduler, workers
        Where the runs take place: see `gradloom.jobs.run`.
    listener
        Called with the progress of each run.

    Yields
    ------
    number : int
        Number of a run that is finished. Runs that were finished before come first.
    row : dict
        Its row of the table.

    Raises
    ------
    ValueError
        A run cannot be made, or its folder is of another run. No run is started then.
    gradloom.jobs.JobsError
        See `gradloom.jobs.run`. Finished runs stay.
    """
    folder = Path(folder).absolute()
    source = None if data is None else str(Path(data).absolute())
    rows: dict[int, dict[str, Any]] = {}
    waiting = []
    for number, history in _standing(runs, folder, dataset_of(source), resume):
        if history is None:
            waiting.append(number)
        else:
            rows[number] = _row(runs[number], history)
    if len(waiting) > 1 and importlib.util.find_spec("distributed") is None:
        raise jobs.JobsError("several runs need dask.distributed: pip install 'gradloom[train]'")
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder, [rows[number] for number in sorted(rows)])
    yield from rows.items()

    def report(job: int, text: str) -> None:
        done, _, steps = text.partition("/")
        listener(waiting[job], Progress(done=int(done), steps=int(steps)))

    tasks = [(runs[number].recipe, source, str(folder / runs[number].name)) for number in waiting]
    if not tasks:
        return
    done = jobs.run(_carry_out, tasks, scheduler=scheduler, workers=workers, listener=report)
    for job, history in done:
        number = waiting[job]
        rows[number] = _row(runs[number], history)
        _write(folder, [rows[known] for known in sorted(rows)])
        yield number, rows[number]


def _standing(
    runs: Sequence[Point], folder: Path, dataset: Dataset, resume: bool
) -> list[tuple[int, list[Epoch] | None]]:
    """Check all runs. Returns each one's number, and its history if it is finished."""
    for point in runs:
        try:
            Run(point.recipe, dataset)
        except ValueError as error:
            raise ValueError(f"{point.name}: {error}") from None
    held = [(folder / point.name / RECIPE).exists() for point in runs]
    if not resume and (any(held) or (folder / SUMMARY).exists()):
        raise ValueError(f"{folder} has a sweep already: resume it, or choose another folder")
    found: list[tuple[int, list[Epoch] | None]] = []
    for number, (point, holds) in enumerate(zip(runs, held)):
        history = None
        if holds:
            with Run(point.recipe, dataset, folder / point.name, resume=True) as run:
                history = run.history if run.finished else None
        found.append((number, history))
    return found


def _carry_out(recipe: Recipe, source: str | None, folder: str, say: jobs.Say) -> list[Epoch]:
    """A job: train a run in its folder, from its checkpoint if there is one."""
    reported = 0.0
    with Run(recipe, dataset_of(source), folder, resume=True) as run:
        steps = run.steps * recipe.epochs
        for _ in run.walk():
            if (now := time.monotonic()) - reported >= _REPORTED:
                reported = now
                say(f"{run.trainer.epoch * run.steps + run.trainer.position}/{steps}")
        # Histograms, which are large, stay in the folder.
        return [replace(epoch, layers=()) for epoch in run.history]


@lru_cache(maxsize=1)
def dataset_of(source: str | None) -> Dataset:
    """Return the data set of a folder, which is read once per process."""
    return digits() if source is None else load(Path(source))


def _row(point: Point, history: list[Epoch]) -> dict[str, Any]:
    """Return the row of a finished run."""
    last = history[-1]
    results = {
        "seed": point.recipe.seed,
        "epoch": last.epoch,
        "train_loss": last.train.mean_loss,
        "train_error": last.train.error,
        "test_error": last.test.error,
        "seconds": sum(epoch.seconds for epoch in history),
    }
    return {"run": point.name, **dict(point.values), **results}


def _write(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Write the table."""
    if not rows:
        return
    with (
        replaced(folder / SUMMARY) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def grouped(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[tuple[str, str], ...], list[float]]:
    """Return the test errors of all seeds, by the values of the grid's keys.

    Parameters
    ----------
    rows
        Rows of the table, as made or as read from the file.

    Returns
    -------
    dict
        Pairs of key and value to the list of test errors, in the order of the rows.
    """
    found: dict[tuple[tuple[str, str], ...], list[float]] = {}
    for row in rows:
        keys = [key for key in row if key != "run" and key not in RESULTS]
        values = tuple((key, str(row[key])) for key in keys)
        found.setdefault(values, []).append(float(row["test_error"]))
    return found
