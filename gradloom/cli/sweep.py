"""`gradloom sweep`: many runs of one recipe."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from gradloom.cli.base import bar, cli, fail
from gradloom.cli.train import DATA, SETTINGS, draw


@cli.command(
    help="Train RECIPE with every combination of values, each in a folder of its own.",
)
@click.argument("recipe")
@click.option(
    "--grid",
    "grids",
    metavar="KEY=A,B,C",
    multiple=True,
    help="Values of a key, as in --grid formats.fl=8,10,14; with several, every combination.",
)
@click.option(
    "--seeds",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    help="Runs of each combination, with seeds from the recipe's on.",
)
@DATA
@SETTINGS
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder for the runs, a folder each, and their summary.",
)
@click.option("--resume", is_flag=True, help="Go on with the runs that --out holds.")
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="dask scheduler whose workers train, as in tcp://host:8786; they see the same folders.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="Processes of this machine, of one thread each; as many as cores without it.",
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
    from golden.training import toml
    from gradloom import sweep as sweeping
    from gradloom.jobs import JobsError

    base = toml.load(recipe, settings)
    runs = sweeping.points(base, _grid(grids), seeds, f"recipe {recipe}")
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
        except JobsError as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt:
            fail(
                f"interrupted: {len(rows)} of {len(runs)} runs are finished, "
                "--resume goes on with the others from their checkpoints",
                130,
            )
    Console(highlight=False).print(_table([rows[number] for number in sorted(rows)]))
    draw(out)
    made = sorted(path.name for path in out.glob("[!.]*") if path.is_file())
    click.echo(f"{out}: {', '.join(made)}")


def _grid(texts: Sequence[str]) -> dict[str, list[str]]:
    """Values by key of `key=a,b,c`."""
    grid: dict[str, list[str]] = {}
    for text in texts:
        key, equals, values = text.partition("=")
        if not equals or not all(values.split(",")):
            raise ValueError(f"--grid {text!r}: KEY=A,B,C is wanted, as in formats.fl=8,10,14")
        if key in grid:
            raise ValueError(f"--grid {text!r}: {key} has values already: {','.join(grid[key])}")
        grid[key] = values.split(",")
    return grid


def _table(rows: list[dict[str, Any]]) -> Table:
    from gradloom.sweep import grouped

    groups = grouped(rows)
    table = Table(title="Test error (%) after the last epoch", box=SIMPLE)
    for key, _ in next(iter(groups)):
        table.add_column(key)
    for heading in ("runs", "median", "least", "most"):
        table.add_column(heading, justify="right")
    for values, errors in groups.items():
        told = [f"{error:.2f}" for error in (median(errors), min(errors), max(errors))]
        table.add_row(*(value for _, value in values), str(len(errors)), *told)
    return table
