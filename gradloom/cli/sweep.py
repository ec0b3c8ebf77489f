"""`gradloom sweep`: trains one recipe with many combinations of values."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import click
from rich.box import SIMPLE
from rich.table import Table

from gradloom.cli.base import Output, bar, cli, fail, results
from gradloom.cli.train import DATA, SETTINGS, draw, mismatch, say


@cli.command(
    help="Train RECIPE with every combination of values, one folder per run.",
    short_help="Train RECIPE with combinations of values.",
)
@click.argument("recipe")
@click.option(
    "--grid",
    "grids",
    metavar="KEY=A,B,C",
    multiple=True,
    help="Values of a key, for example --grid formats.fl=8,10,14. May be given several times.",
)
@click.option(
    "--seeds",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    help="Number of runs per combination. The seeds count from that of the recipe.",
)
@DATA
@SETTINGS
@click.option(
    "-o",
    "--out",
    type=Output(),
    required=True,
    help="Folder for the runs and their summary.",
)
@click.option("--resume", is_flag=True, help="Continue the runs in --out from their checkpoints.")
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Address of a dask scheduler whose workers train, for example tcp://host:8786. They need "
    "access to the same folders.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="Number of processes on this machine, one thread each; by default the number of cores.",
)
def sweep(
    recipe: str,
    grids: tuple[str, ...],
    seeds: int,
    data: Path | None,
    settings: tuple[str, ...],
    out: Path,
    resume: bool,
    scheduler: str | None,
    workers: int | None,
) -> None:
    """The command `gradloom sweep`."""
    from golden.datasets import remarks
    from golden.training import toml
    from gradloom.jobs import JobsError
    from gradloom.train import sweep as sweeping

    base = toml.load(recipe, settings)
    runs = sweeping.points(base, _grid(grids), seeds, f"recipe {recipe}")
    dataset = sweeping.dataset_of(None if data is None else str(data.absolute()))
    for remark in mismatch(recipe, dataset, data) + remarks(dataset):
        say(remark)
    rows: dict[int, dict[str, Any]] = {}
    with bar() as progress:
        overall = progress.add_task("runs", total=len(runs))
        tasks: dict[int, Any] = {}

        def listen(number: int, standing: sweeping.Progress) -> None:
            if number in rows:
                return
            if number not in tasks:
                tasks[number] = progress.add_task(runs[number].name, total=standing.steps)
            progress.update(tasks[number], completed=standing.done)

        try:
            for number, row in sweeping.sweep(
                runs,
                out,
                data=data,
                resume=resume,
                scheduler=scheduler,
                workers=workers,
                listener=listen,
            ):
                rows[number] = row
                progress.advance(overall)
                if number in tasks:
                    progress.remove_task(tasks.pop(number))
                click.echo(
                    f"{row['run']}: test error {row['test_error']:.2f} % "
                    f"after epoch {row['epoch']}, {len(rows)} of {len(runs)} runs"
                )
                for remark in _of_training(out / row["run"]):
                    say(f"{row['run']}: {remark}")
        except JobsError as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt:
            fail(
                f"interrupted: {len(rows)} of {len(runs)} runs are finished, "
                "--resume continues the others from their checkpoints",
                130,
            )
    results().print(_table([rows[number] for number in sorted(rows)]))
    draw(out)
    made = sorted(path.name for path in out.glob("[!.]*") if path.is_file())
    click.echo(f"{out}: {', '.join(made)}")


def _of_training(folder: Path) -> list[str]:
    """Return the remarks of a run on its training; those on the data are said once."""
    from golden.training.runs.run import REMARKS

    path = folder / REMARKS
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [line for line in lines if line.startswith("epoch ")]


def _grid(texts: Sequence[str]) -> dict[str, list[str]]:
    """Return the values by key of texts like `key=a,b,c`."""
    grid: dict[str, list[str]] = {}
    for text in texts:
        key, equals, values = text.partition("=")
        if not equals or not all(values.split(",")):
            raise ValueError(f"--grid {text!r}: give KEY=A,B,C, for example formats.fl=8,10,14")
        if key in grid:
            raise ValueError(f"--grid {text!r}: {key} has values already: {','.join(grid[key])}")
        grid[key] = values.split(",")
    return grid


def _table(rows: list[dict[str, Any]]) -> Table:
    """Return a table with one row per combination of values."""
    from gradloom.train.sweep import grouped

    groups = grouped(rows)
    table = Table(title="Test error (%) after the last epoch", box=SIMPLE)
    for key, _ in next(iter(groups)):
        table.add_column(key)
    for heading in ("runs", "median", "least", "most"):
        table.add_column(heading, justify="right")
    for values, errors in groups.items():
        texts = [f"{error:.2f}" for error in (median(errors), min(errors), max(errors))]
        table.add_row(*(value for _, value in values), str(len(errors)), *texts)
    return table
