"""`gradloom train`, `recipes`, `plots` and `demo`: training in integers."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.box import SIMPLE
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from gradloom.cli.base import Output, bar, cli, fail, refuse, results, show_json, shown

if TYPE_CHECKING:
    from golden.datasets import Dataset
    from golden.training import Run, Trainer

#: Options that `gradloom sweep` has too.
DATA = click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Folder of a data set: IDX files (train-images-idx3-ubyte and so on, plain or .gz) or "
    "those of CIFAR-10, there or in the folders below it that torchvision makes. The default is "
    "the small set of digits in this package.",
)
SETTINGS = click.option(
    "--set",
    "settings",
    metavar="KEY=VALUE",
    multiple=True,
    help="Change a value of the recipe, for example --set batch=64 --set generator.seed=5.",
)


def dataset_of(data: Path | None) -> "Dataset":
    """Return the data set of --data; without it, the digits."""
    from golden.datasets import digits, load

    return digits() if data is None else load(data)


#: Options of a board.
PORT = click.option(
    "--port",
    required=True,
    help="Where the board is: a serial port, as /dev/ttyUSB0, or socket://HOST:PORT.",
)
BAUD = click.option(
    "--baud",
    type=click.IntRange(1200, 12_000_000),
    default=115200,
    show_default=True,
    help="Baud rate of the serial line.",
)


@contextmanager
def line_of(port: str | None, baud: int) -> Iterator[Any]:
    """Open the line to a board, and say in one line what is wrong with it; None without a port."""
    from gradloom.board.line import SerialLine
    from gradloom.board.link import LinkError

    if port is None:
        yield None
        return
    try:
        yield SerialLine(port, baud)
    except ModuleNotFoundError:
        raise click.ClickException(
            "a serial port needs pyserial: pip install 'gradloom[board]'"
        ) from None
    except LinkError as error:
        fail(str(error))


class _Speed(ProgressColumn):
    """Recent speed in steps per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f} steps/s" if speed else "", style="progress.data.speed")


def _steps() -> Progress:
    """Return a bar for the steps of a run, on standard error."""
    return shown(
        TextColumn("{task.description}"),
        BarColumn(10),
        TextColumn("{task.fields[standing]}"),
        _Speed(),
        TimeRemainingColumn(),
    )


@cli.command(
    help=(
        "Train by RECIPE: a name from `gradloom recipes`, or the path of a .toml file.\n\n"
        "`float-` before a name selects its float32 baseline. Ctrl-C stops after the current "
        "step. With --out, --resume continues from there, with the same result as one run."
    ),
    short_help="Train by RECIPE, a name or a .toml file.",
)
@click.argument("recipe")
@DATA
@SETTINGS
@click.option(
    "-o",
    "--out",
    type=Output(),
    help="Folder for recipe, metrics, checkpoints and plots. Without it, nothing is written.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Continue from the checkpoint in --out; from the start if there is none yet.",
)
@click.option(
    "--on",
    "backend",
    type=click.Choice(["golden", "simulation", "board"]),
    default="golden",
    show_default=True,
    help="Train in NumPy (golden), on the training core in a simulator, or on a board with one "
    "(gradloom build host). The results are the same to the bit, and a run may be resumed on "
    "another one.",
)
@click.option(
    "--port", help="With --on board: its serial port, as /dev/ttyUSB0, or socket://HOST:PORT."
)
@BAUD
@click.option(
    "--simulator",
    type=click.Choice(["pysim", "cxxrtl"]),
    default="cxxrtl",
    show_default=True,
    help="With --on simulation: Amaranth's simulator (pysim), or a compiled one (cxxrtl).",
)
def train(
    recipe: str,
    data: Path | None,
    settings: tuple[str, ...],
    out: Path | None,
    resume: bool,
    backend: str,
    port: str | None,
    baud: int,
    simulator: str,
) -> None:
    """The command `gradloom train`."""
    from golden.training import Interrupted, Run, toml
    from gradloom.core.errors import CoreError

    if (port is not None) != (backend == "board"):
        raise click.UsageError("--on board and --port belong together")
    if backend != "board":
        refuse(("baud",), "this is for --on board")
    if resume and out is None:
        raise click.UsageError("--resume needs --out, the folder of the run")
    chosen = toml.load(recipe, settings)
    dataset = dataset_of(data)
    given: dict[str, Any] = {"resume": resume, "remarks": mismatch(recipe, dataset, data)}
    if backend == "simulation":
        from gradloom.core.trainer import core_trainer

        given["new"] = core_trainer(simulator)  # type: ignore[arg-type]
    else:
        refuse(("simulator",), "this is for --on simulation")
    with line_of(port, baud) as line:
        if line is not None:
            from gradloom.board.trainer import board_trainer

            given["new"] = board_trainer(line)
        with Run(chosen, dataset, out, **given) as run:
            click.echo(f"{recipe}: {dataset.classes} classes, {' '.join(toml.keys(chosen))}")
            size = " x ".join(map(str, dataset.shape))
            click.echo(
                f"{dataset.name}: {len(dataset.train_images):,} images of {size} to train with, "
                f"{len(dataset.test_images):,} to test"
            )
            for remark in filter(None, [run.remark, *run.remarks]):
                say(remark)
            if resume:
                click.echo(f"{out}: goes on {run.place}")
            if backend == "simulation" and not run.finished:
                _build(run.trainer)
            try:
                _walk(run)
            except Interrupted as stop:
                fail(str(stop), 130)
            except CoreError as error:
                hint = f" ({run.hint})" if run.hint else ""
                fail(f"{recipe}: the core has failed {_step_of(run)}: {error}{hint}", 1)
            if out is not None:
                draw(out)
                click.echo(f"{out}: {', '.join(sorted(p.name for p in out.glob('[!.]*')))}")


def _step_of(run: "Run") -> str:
    """Return the step in which a run has failed, in words."""
    epoch, step = run.trainer.epoch + 1, run.trainer.position
    return f"in epoch {epoch}, step {step} of {run.steps}" if step else run.place


def _build(trainer: "Trainer[Any]") -> None:
    """Build the simulator of a trainer on a core."""
    from gradloom.core.trainer import CoreTrainer

    assert isinstance(trainer, CoreTrainer)
    first = ", which takes minutes the first time" if trainer.simulator == "cxxrtl" else ""
    say(f"building the core's simulator{first}")
    _ = trainer.machine


def _walk(run: "Run") -> None:
    """Train to the end, with a bar of steps and one line per epoch."""
    trainer, epochs, now = run.trainer, run.recipe.epochs, run.remarks
    with _steps() as progress:
        done = trainer.epoch * run.steps + trainer.position
        task = progress.add_task("training", total=epochs * run.steps, completed=done, standing="")
        for epoch in run.walk():
            score = run.score
            progress.update(
                task,
                advance=1,
                description=f"epoch {min(trainer.epoch + 1, epochs)}/{epochs} "
                f"step {trainer.position:{len(str(run.steps))}}/{run.steps}",
                standing=f"loss {score.mean_loss:.3f} error {score.error:4.1f} %",
            )
            if epoch is not None:
                said, now = now, run.remarks
                click.echo(
                    f"epoch {epoch.epoch:3}: loss {epoch.train.mean_loss:.4f}, "
                    f"training error {epoch.train.error:5.2f} %, "
                    f"test error {epoch.test.error:5.2f} %, {epoch.seconds:.2f} s"
                )
                for remark in now:
                    if remark not in said:
                        say(remark)


def mismatch(recipe: str, dataset: "Dataset", data: Path | None) -> list[str]:
    """Return a remark if the data set of `--data` is not the one that the recipe is made for."""
    from golden.training import toml
    from golden.training.runs.description import other_data

    remark = other_data(recipe, toml.made_for(recipe), dataset)
    if remark and data is None:
        remark += "; without --data it is the digits of this package"
    return [remark] if remark else []


def say(remark: str) -> None:
    """Print a remark to standard error."""
    print(f"gradloom: {remark}", file=sys.stderr)


def draw(folder: Path, suffix: str = "png") -> None:
    """Draw the plots of a run, or print one line if the package for plots is missing."""
    from gradloom.figures import MissingError
    from gradloom.train import plots

    try:
        plots.draw(folder, suffix)
    except MissingError as error:
        print(f"gradloom: {error}", file=sys.stderr)


@cli.command(
    help=(
        "List the built-in recipes, or print RECIPE in TOML.\n\n"
        "`float-` before a name selects its float32 baseline."
    ),
    short_help="List the recipes, or print one.",
)
@click.argument("recipe", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the list or RECIPE as JSON.")
def recipes(recipe: str | None, as_json: bool) -> None:
    """The command `gradloom recipes`."""
    from golden.settings import mapping
    from golden.training import toml
    from golden.training.layers.network import smallest

    if recipe is not None:
        if as_json:
            found = toml.load(recipe)
            show_json({"system": found.SYSTEM, **mapping(found)})
        else:
            click.echo(toml.text(recipe).rstrip())
        return
    loaded = {name: toml.load(name) for name in toml.names()}
    if as_json:
        show_json(
            {
                name: {
                    "system": found.SYSTEM,
                    "network": found.network,
                    "smallest_images": smallest(found.network),
                }
                for name, found in loaded.items()
            }
        )
        return
    table = Table(box=SIMPLE)
    for heading in ("recipe", "system", "network", "images from"):
        table.add_column(heading, no_wrap=True)
    for name, found in loaded.items():
        size = " x ".join(map(str, smallest(found.network)))
        table.add_row(name, found.SYSTEM, found.network, size)
    results().print(table)


@cli.command(
    help="Draw the plots of a run or a sweep in FOLDER again.",
    short_help="Draw the plots of a run or a sweep.",
)
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--format",
    "suffix",
    type=click.Choice(["png", "svg"]),
    default="png",
    show_default=True,
    help="Format of the image files.",
)
def plots(folder: Path, suffix: str) -> None:
    """The command `gradloom plots`."""
    from gradloom.figures import MissingError
    from gradloom.train import plots as drawing

    try:
        made = drawing.draw(folder, suffix)
    except MissingError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{folder}: {', '.join(path.name for path in made)}")


@cli.command(
    help="Train on digits in integers, run one step on the units and train on the core, both "
    "simulated, write Verilog.\n\nThe core is compiled for its simulation the first time, which "
    "takes a minute or more; it is cached.",
    short_help="Train, also on the simulated core, write Verilog.",
)
@click.option(
    "-o",
    "--output",
    type=Output(),
    default="build/demo",
    show_default=True,
    help="Folder for the Verilog.",
)
@click.option(
    "--simulator",
    type=click.Choice(["pysim", "cxxrtl"]),
    default="pysim",
    show_default=True,
    help="Amaranth's simulator (pysim), or compiled ones (cxxrtl).",
)
def demo(output: Path, simulator: str) -> None:
    """The command `gradloom demo`."""
    from gradloom.core.errors import CoreError
    from gradloom.train.demo import run

    try:
        with bar() as progress:
            agree = run(output, simulator, results(), progress)  # type: ignore[arg-type]
    except CoreError as error:
        fail(f"the core has failed: {error}", 1)
    if not agree:
        sys.exit(1)
