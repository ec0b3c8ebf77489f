"""`gradloom build` and `targets`: synthesis, place and route for FPGAs."""

import importlib.util
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.progress import TaskID, TextColumn

from golden.files import tried, write
from gradloom.cli.base import (
    Output,
    UnitGroup,
    cli,
    commands,
    json_text,
    of_option,
    results,
    show_json,
    shown,
    stderr,
)
from gradloom.units import Unit
from hdl.cells import CELLS

if TYPE_CHECKING:
    from boards.target import Target
    from gradloom.fpga import Buildable


@cli.group(
    name="build",
    cls=UnitGroup,
    help="Build a unit for an FPGA: resources and clock, by Yosys and nextpnr.",
    short_help="Build a unit for an FPGA.",
)
def build_group() -> None:
    """The command `gradloom build`."""


@contextmanager
def stages() -> Iterator[Callable[[int, str], None]]:
    """Show the progress of parallel runs: number 0 is synthesis, the others are seeds."""
    from rich.progress import SpinnerColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with shown(*columns) as progress:
        tasks: dict[int, TaskID] = {}
        latest: dict[int, str] = {}

        def show(number: int, text: str) -> None:
            line = f"seed {number}: {text}" if number else text
            stage = line.split(",")[0].split(" round")[0]
            if not number:
                stage = stage.split(":")[0]
            if not stderr.is_terminal and latest.get(number) != stage:
                stderr.print(line if stage.endswith("done") else stage, highlight=False)
            latest[number] = stage
            if number not in tasks:
                tasks[number] = progress.add_task(line, total=None)
            progress.update(tasks[number], description=line)
            if text.startswith("done"):
                progress.stop_task(tasks[number])

        yield show


#: Options of `gradloom build` for a unit and for the core.
OPTIONS = (
    click.Option(["--target"], required=True, help="The device: see `gradloom targets`."),
    click.Option(
        ["--seeds"],
        type=click.IntRange(1, 1000),
        default=1,
        show_default=True,
        help="Number of placements with different seeds.",
    ),
    click.Option(
        ["--frequency"],
        type=click.FloatRange(1, 2000),
        help="Clock that placement aims for, in MHz. The default is that of the target.",
    ),
    click.Option(["--speed"], help="Speed grade, if the device has several."),
    click.Option(
        ["--cells"],
        type=click.Choice(list(CELLS)),
        help="Technology of multipliers and adders: generic, or that of the target, which is "
        "the default.",
    ),
    click.Option(
        ["--places/--no-places"],
        default=True,
        help="Fix the positions of an array's multipliers, or let nextpnr choose them.",
    ),
    click.Option(
        ["-o", "--output"],
        type=Output(),
        help="Folder for the report (HTML and JSON) and the Verilog.",
    ),
    click.Option(["--json", "as_json"], is_flag=True, help="Print the report as JSON."),
    click.Option(
        ["--scheduler"],
        metavar="ADDRESS",
        help="Address of a dask scheduler whose workers run the seeds, for example tcp://host:8786.",
    ),
    click.Option(
        ["--workers"],
        type=click.IntRange(1),
        help="Number of processes on this machine. The default is the number of cores.",
    ),
)


def run_build(
    unit: "Buildable",
    configure: "Callable[[Target], tuple[Any, dict[str, Any]]]",
    target: str,
    seeds: int,
    frequency: float | None,
    speed: str | None,
    cells: str | None,
    places: bool,
    output: Path | None,
    as_json: bool,
    scheduler: str | None,
    workers: int | None,
) -> None:
    """Build for a target, and show and write the report.

    Parameters
    ----------
    unit
        The unit, or the core.
    configure
        Returns the configuration for a target, and what the report says beside the flow's figures.
    target, seeds, frequency, speed, cells, places, output, as_json, scheduler, workers
        Values of `OPTIONS`.
    """
    from boards.flow import page, report
    from boards.flow.tools import FlowError
    from boards.target import find
    from gradloom.fpga import build
    from gradloom.jobs import JobsError

    with of_option("--target"):
        chosen = find(target)
    with of_option("--speed"):
        chosen.device.grade(speed)
    config, more = configure(chosen)
    files = f"{unit.module}.v", "report.json", "report.html"
    if output is not None:
        tried(output, files)
    if output is not None and importlib.util.find_spec("matplotlib") is None:
        raise click.ClickException(
            "--output writes a page with plots and needs matplotlib: pip install 'gradloom[fpga]'"
        )
    try:
        with stages() as show:
            made, verilog = build(
                unit,
                config,
                chosen,
                seeds=seeds,
                frequency=frequency,
                grade=speed,
                cells=cells,
                placed=places,
                scheduler=scheduler,
                workers=workers,
                listener=show,
            )
    except (FlowError, JobsError) as error:
        raise click.ClickException(str(error)) from error
    made |= more
    made["command"] = shlex.join(["gradloom", *sys.argv[1:]])
    if output is not None:
        texts = verilog, json_text(made, indent=1) + "\n", page.page(made)
        write(dict(zip(files, texts)), output)
    if as_json:
        show_json(made)
    else:
        results().print(report.terminal(made))
        if output is not None:
            click.echo(f"{output}: {', '.join(files)}")


def _build(unit: Unit, config: Any, **options: Any) -> None:
    """Build a unit."""
    run_build(unit, lambda target: (config, {}), **options)


commands(build_group, "Synthesise, place and route {}", _build, OPTIONS)


@cli.command(
    name="targets",
    help="List the devices that `build` supports.",
    short_help="List the devices for `build`.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def list_targets(as_json: bool) -> None:
    """The command `gradloom targets`."""
    from rich.table import Table

    from boards.device import RESOURCES
    from boards.target import FULLEST, TARGETS

    if as_json:
        rows = {
            target.name: {
                "device": target.device.title,
                "speed_grades": target.device.grades,
                "available": target.device.available,
                "largest_array": target.largest_array()[0],
                "bounded_by": target.largest_array()[1],
                "clock": target.nextpnr is not None,
            }
            for target in TARGETS.values()
        }
        show_json(rows)
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("target", no_wrap=True)
    table.add_column("device", no_wrap=True)
    for resource in RESOURCES:
        table.add_column(resource, justify="right")
    table.add_column("largest array", justify="right")
    table.add_column("bound by")
    table.add_column("clock")
    for target in TARGETS.values():
        size, bound = target.largest_array()
        numbers = [f"{target.device.available[resource]:,}" for resource in RESOURCES]
        clock = "estimated" if target.nextpnr else "none: synthesis only"
        table.add_row(target.name, target.device.title, *numbers, f"{size} x {size}", bound, clock)
    results().print(table)
    click.echo(
        "Largest array: an estimate for square arrays of 16-bit nodes with rounders, from the "
        "resources of a small one in each family.\n"
        f"It fills at most {FULLEST:.0%} of the device, or uses all of its DSPs."
    )
