"""The command line. Exit status: 0 all agreed or was done, 1 a difference, 2 bad arguments or a missing tool."""

import importlib.util
import json
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from gradloom.units import UNITS, Unit

#: Progress and remarks; results go to standard output.
_stderr = Console(stderr=True)


def _bar() -> Progress:
    """A progress bar on standard error, gone when it is done."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=_stderr, transient=True, disable=not _stderr.is_terminal)


class _UnitCommand(click.Command):
    """A command on a unit: its help ends with the unit's ports, latency and throughput."""

    def __init__(self, unit: Unit, **settings: Any):
        super().__init__(name=unit.name, **settings)
        self.unit = unit

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The unit's description at the default parameters."""
        defaults = {
            param.name: param.get_default(ctx) if not param.multiple else ()
            for param in self.unit.options
        }
        defaults = {
            param.name: param.type_cast_value(ctx, defaults[param.name])
            for param in self.unit.options
        }
        formatter.write_paragraph()
        formatter.write("With the parameters at their defaults:\n")
        for line in self.unit.describe(self.unit.configure(**defaults)).splitlines():
            formatter.write(f"{line}\n")


def _commands(
    group: click.Group, verb: str, run: Callable[..., Any], options: tuple[click.Option, ...]
) -> None:
    """A command for every unit in `group`; `run` gets the unit, its configuration and the values of `options`."""
    own = [option.name for option in options]
    for unit in UNITS.values():

        def callback(unit: Unit = unit, **given: Any) -> Any:
            settings = {name: given.pop(name) for name in own if name}
            return run(unit, unit.configure(**given), **settings)

        group.add_command(
            _UnitCommand(
                unit,
                callback=callback,
                params=[*unit.options, *options],
                help=f"{verb} {unit.name}: {unit.summary}",
                short_help=unit.summary,
            )
        )


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="gradloom")
def cli() -> None:
    """Training hardware for low-precision neural networks, held to a NumPy model at every clock."""


@cli.group(name="generate")
def generate_group() -> None:
    """Write the Verilog of a unit."""


def _generate(unit: Unit, config: Any, output: Path, cycles: int, seed: int) -> None:
    from gradloom.package import package, write
    from gradloom.verilog import generate

    hint = "--output"
    with _stderr.status(f"generating {unit.name}"):
        if output.suffix == ".v":
            _refuse(("cycles", "seed"), "the testbench is written into a folder, -o FOLDER/")
            if not output.parent.is_dir():
                raise click.BadParameter(f"{output.parent} is not a folder", param_hint=hint)
            folder, files = output.parent, {output.name: generate(unit, config)}
        else:
            if output.exists() and not output.is_dir():
                raise click.BadParameter(
                    f"{output} is a file: a folder is wanted, or a name that ends in .v",
                    param_hint=hint,
                )
            folder, files = output, package(unit, config, cycles, seed)
    write(files, folder)
    for name, text in files.items():
        click.echo(f"{folder / name}: {len(text.splitlines()):,} lines")


_commands(
    generate_group,
    "Write the Verilog of",
    _generate,
    (
        click.Option(
            ["-o", "--output"],
            type=click.Path(path_type=Path),
            required=True,
            help="A folder, made if it is missing, for the module, a testbench that checks it, a "
            "FuseSoC core and descriptions; or NAME.v for the module alone.",
        ),
        click.Option(
            ["--cycles"],
            type=click.IntRange(1),
            default=2_000,
            show_default=True,
            help="Clock edges of the testbench.",
        ),
        click.Option(
            ["--seed"],
            type=click.IntRange(0),
            default=0,
            show_default=True,
            help="Of the testbench's stimulus.",
        ),
    ),
)


@cli.group(name="compare")
def compare_group() -> None:
    """Compare a unit with its twin at every clock: on random stimulus, or from a waveform file."""


#: Options of `compare` that belong to a simulation, and to a waveform.
_OF_STIMULUS = "cycles", "seed", "simulator", "waves"
_OF_WAVEFORM = "clock", "scope", "from_start"


def _refuse(unwanted: tuple[str, ...], why: str) -> None:
    """Refuse options that were given and would have no effect."""
    ctx = click.get_current_context()
    given = [
        f"--{name.replace('_', '-')}"
        for name in unwanted
        if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    ]
    if given:
        raise click.UsageError(f"{', '.join(given)}: {why}", ctx)


def _compare_waveform(
    unit: Unit,
    config: Any,
    path: Path,
    clock: str,
    scope: str | None,
    from_start: bool,
    as_json: bool,
) -> None:
    from gradloom.waveform import compare_waveform

    try:
        with _stderr.status(f"reading {path}"):
            result = compare_waveform(
                unit.component(config), unit.twin(config), path, clock, scope, from_start
            )
    except ModuleNotFoundError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(
            json.dumps(
                {
                    "unit": unit.name,
                    "waveform": str(path),
                    **vars(result.recorded),
                    "clocks": result.clocks,
                    "values": result.values,
                    "mismatches": result.mismatches,
                    "difference": vars(result.difference) if result.difference else None,
                }
            )
        )
    else:
        click.echo(result.report())
    if not result:
        sys.exit(1)


def _compare(
    unit: Unit,
    config: Any,
    cycles: int,
    seed: int,
    simulator: str,
    waves: Path | None,
    waveform: Path | None,
    clock: str,
    scope: str | None,
    from_start: bool,
    as_json: bool,
) -> None:
    from gradloom.compare import compare
    from gradloom.simulators import build
    from gradloom.stimulus import random_inputs

    if waveform:
        _refuse(_OF_STIMULUS, "not with --waveform, for nothing is simulated then")
        _compare_waveform(unit, config, waveform, clock, scope, from_start, as_json)
        return
    _refuse(_OF_WAVEFORM, "only with --waveform FILE")
    component = unit.component(config)
    with _stderr.status(f"building {unit.name}"):
        simulation = build(component, simulator)  # type: ignore[arg-type]
    inputs = random_inputs(simulation.flat, cycles, seed)
    with _bar() as progress:
        task = progress.add_task(unit.name, total=cycles)
        result = compare(
            component,
            unit.twin(config),
            inputs,
            simulation,
            waves=waves,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    if as_json:
        difference = result.difference
        click.echo(
            json.dumps(
                {
                    "unit": unit.name,
                    "simulator": result.simulator,
                    "seed": seed,
                    "clocks": result.clocks,
                    "values": result.values,
                    "mismatches": result.mismatches,
                    "clocks_per_second": round(result.clocks_per_second),
                    "difference": vars(difference) if difference else None,
                    "files": [str(path) for path in result.files],
                }
            )
        )
    else:
        click.echo(result.report())
    if not result:
        sys.exit(1)


_commands(
    compare_group,
    "Compare with its twin",
    _compare,
    (
        click.Option(
            ["--cycles"],
            type=click.IntRange(1),
            default=10_000,
            show_default=True,
            help="Clock edges.",
        ),
        click.Option(
            ["--seed"],
            type=click.IntRange(0),
            default=0,
            show_default=True,
            help="Of the stimulus.",
        ),
        click.Option(
            ["--simulator"],
            type=click.Choice(["pysim", "cxxrtl"]),
            default="pysim",
            show_default=True,
            help="Amaranth's own, or a compiled one.",
        ),
        click.Option(
            ["--waves"],
            type=click.Path(path_type=Path),
            help="Folder for waveforms of the first difference.",
        ),
        click.Option(
            ["--waveform"],
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Compare what a VCD, FST or GHW file of any simulator recorded; nothing is "
            "simulated.",
        ),
        click.Option(
            ["--clock"],
            default="clk",
            show_default=True,
            metavar="NAME",
            help="The clock in FILE, by its name in the unit's scope or its whole path.",
        ),
        click.Option(
            ["--scope"],
            metavar="PATH",
            help="The unit in FILE, as in tb.dut; found if it is the only one.",
        ),
        click.Option(
            ["--from-start"],
            is_flag=True,
            help="Registers hold their initial values when FILE begins: do not wait for a reset.",
        ),
        click.Option(["--json", "as_json"], is_flag=True, help="Print the result as JSON."),
    ),
)


@cli.command()
@click.argument("recipe", default="wage")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Folder with IDX files (train-images-idx3-ubyte and so on, plain or .gz); the digits without it.",
)
@click.option(
    "--set",
    "settings",
    metavar="KEY=VALUE",
    multiple=True,
    help="Vary the recipe, as in --set batch=64.",
)
def train(recipe: str, data: Path | None, settings: tuple[str, ...]) -> None:
    """Train in integers, as the hardware would: RECIPE is wage (the default) or gupta."""
    from golden.datasets import digits, idx
    from golden.training import new_trainer
    from gradloom.recipes import RECIPES, keys, varied

    if recipe not in RECIPES:
        raise click.BadParameter(
            f"{recipe!r}: allowed are {', '.join(RECIPES)}", param_hint="RECIPE"
        )
    chosen = varied(RECIPES[recipe], settings)
    dataset = digits() if data is None else idx(data)
    trainer = new_trainer(chosen, dataset)
    click.echo(f"{recipe}: {' '.join(keys(chosen))}")
    click.echo(
        f"{dataset.name}: {len(dataset.train_images):,} images to train with, {len(dataset.test_images):,} to test"
    )
    with _bar() as progress:
        task = progress.add_task("epochs", total=chosen.epochs)
        for epoch in trainer.epochs(dataset):
            progress.advance(task)
            click.echo(
                f"epoch {epoch.epoch:3}: loss {epoch.train.mean_loss:.4f}, training error {epoch.train.error:5.2f} %, "
                f"test error {epoch.test.error:5.2f} %, {epoch.seconds:.2f} s"
            )


@cli.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default="build/demo",
    show_default=True,
    help="Folder for the Verilog.",
)
@click.option(
    "--simulator",
    type=click.Choice(["pysim", "cxxrtl"]),
    default="pysim",
    show_default=True,
    help="Amaranth's own, or compiled ones.",
)
def demo(output: Path, simulator: str) -> None:
    """Train on digits in integers, send a step through the hardware, write Verilog."""
    from gradloom.demo import run

    with _bar() as progress:
        agree = run(output, simulator, Console(highlight=False), progress)  # type: ignore[arg-type]
    if not agree:
        sys.exit(1)


@cli.group(name="build")
def build_group() -> None:
    """What a unit takes of a device, and its clock, by the open tools."""


@contextmanager
def _stages() -> Iterator[Callable[[int, str], None]]:
    """Shows what runs side by side are doing: 0 is synthesis, the others are seeds."""
    from rich.progress import SpinnerColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(
        *columns, console=_stderr, transient=True, disable=not _stderr.is_terminal
    ) as progress:
        tasks: dict[int, TaskID] = {}
        shown: dict[int, str] = {}

        def say(number: int, text: str) -> None:
            line = f"seed {number}: {text}" if number else text
            stage = line.split(",")[0].split(" round")[0]
            if not number:
                stage = stage.split(":")[0]
            if not _stderr.is_terminal and shown.get(number) != stage:
                _stderr.print(line if stage.endswith("done") else stage, highlight=False)
            shown[number] = stage
            if number not in tasks:
                tasks[number] = progress.add_task(line, total=None)
            progress.update(tasks[number], description=line)
            if text.startswith("done"):
                progress.stop_task(tasks[number])

        yield say


def _build(
    unit: Unit,
    config: Any,
    target: str,
    seeds: int,
    frequency: float | None,
    speed: str | None,
    output: Path | None,
    as_json: bool,
    scheduler: str | None,
    workers: int | None,
) -> None:
    from boards import jobs, report, targets, tools
    from gradloom.build import build
    from gradloom.files import replaced

    chosen = targets.find(target)
    chosen.grade(speed)
    if output is not None and output.exists() and not output.is_dir():
        raise click.BadParameter(f"{output} is not a folder", param_hint="--output")
    if output is not None and importlib.util.find_spec("matplotlib") is None:
        raise click.ClickException(
            "--output writes a page with plots and needs matplotlib: pip install 'gradloom[fpga]'"
        )
    try:
        with _stages() as say:
            made, verilog = build(
                unit,
                config,
                chosen,
                seeds=seeds,
                frequency=frequency,
                grade=speed,
                scheduler=scheduler,
                workers=workers,
                listener=say,
            )
    except (tools.FlowError, jobs.JobsError) as error:
        raise click.ClickException(str(error)) from error
    made["command"] = shlex.join(["gradloom", *sys.argv[1:]])
    if output is not None:
        texts = {
            f"{unit.module}.v": verilog,
            "report.json": json.dumps(made, indent=1) + "\n",
            "report.html": report.page(made),
        }
        output.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            with replaced(output / name) as temporary:
                temporary.write_text(text)
    if as_json:
        click.echo(json.dumps(made))
    else:
        Console(highlight=False).print(report.terminal(made))
        if output is not None:
            click.echo(f"{output}: {', '.join(texts)}")


_commands(
    build_group,
    "Synthesise, place and route",
    _build,
    (
        click.Option(["--target"], required=True, help="The device: see `gradloom targets`."),
        click.Option(
            ["--seeds"],
            type=click.IntRange(1, 1000),
            default=1,
            show_default=True,
            help="Starts of placement, each a run of its own.",
        ),
        click.Option(
            ["--frequency"],
            type=click.FloatRange(1, 2000),
            help="Clock to reach for, in MHz; the target's own without it.",
        ),
        click.Option(["--speed"], help="Speed grade, where the device has several."),
        click.Option(
            ["-o", "--output"],
            type=click.Path(path_type=Path),
            help="Folder for the report (HTML and JSON) and the Verilog.",
        ),
        click.Option(["--json", "as_json"], is_flag=True, help="Print the report as JSON."),
        click.Option(
            ["--scheduler"],
            metavar="ADDRESS",
            help="dask scheduler whose workers run the seeds, as in tcp://host:8786.",
        ),
        click.Option(
            ["--workers"],
            type=click.IntRange(1),
            help="Processes of this machine for the seeds; as many as cores without it.",
        ),
    ),
)


@build_group.command(name="selftest")
@click.option("--board", required=True, help="The board: see `gradloom boards`.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder for the bitstream and the report; build/selftest-BOARD without it.",
)
@click.option(
    "--broken", is_flag=True, help="Expect one bit wrongly: shows what a failure is like."
)
def build_selftest(board: str, output: Path | None, broken: bool) -> None:
    """Build a bitstream with which a board tests the hardware against the model by itself."""
    import tempfile

    from boards import bitstream, platforms, tools
    from gradloom.files import replaced

    chosen = platforms.find(board)
    folder = output or Path("build") / f"selftest-{board}"
    if folder.exists() and not folder.is_dir():
        raise click.BadParameter(f"{folder} is not a folder", param_hint="--output")
    try:
        with _stages() as say, tempfile.TemporaryDirectory(prefix="gradloom-selftest-") as work:
            made = bitstream.build(
                chosen,
                Path(work),
                lambda stage, text: say(0, f"{stage}: {text[:60]}"),
                broken=broken,
            )
    except bitstream.ClockError as error:
        _fail(str(error), 1)
    except tools.FlowError as error:
        raise click.ClickException(str(error)) from error
    folder.mkdir(parents=True, exist_ok=True)
    report = json.dumps(made.report, indent=1) + "\n"
    for name, content in {**made.files, "report.json": report.encode()}.items():
        with replaced(folder / name) as temporary:
            temporary.write_bytes(content)
    clock = made.report["clock_mhz"]
    met = f", the design meets {clock['met']:g} MHz" if "met" in clock else ""
    click.echo(f"{chosen.title}: array {made.report['array']}; clock {clock['wanted']:g} MHz{met}")
    cells = made.report["cells"]
    shown = [f"{name} {cells[name]}" for name in chosen.cells if name in cells]
    click.echo(", ".join(shown))
    click.echo(f"{folder}: {', '.join([*made.files, 'report.json'])}")
    click.echo(f"load with: {chosen.load_command(folder)}")


@cli.command(name="boards")
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def list_boards(as_json: bool) -> None:
    """List the boards that `build selftest` knows."""
    from boards.platforms import BOARDS, memory_budget

    rows: dict[str, dict[str, Any]] = {}
    for board in BOARDS.values():
        array, units = board.array, board.config.units
        budget = memory_budget(board, board.config.checks())
        folder = Path("build") / f"selftest-{board.name}"
        rows[board.name] = {
            "board": board.title,
            "device": board.device,
            "clock_mhz": board.frequency / 1e6,
            "array": f"{array.rows} x {array.columns} of {array.macc.a} x {array.macc.b}",
            "lanes": max(getattr(unit, "lanes", 0) for unit in units),
            "memories": {"at_most": sum(budget.values()), "available": board.memories},
            "pins": board.pins(),
            "uart": f"115200 8N1, {board.serial}",
            "build": f"gradloom build selftest --board {board.name}",
            "load": board.load_command(folder),
        }
    if as_json:
        click.echo(json.dumps(rows))
        return
    for name, row in rows.items():
        pins = ", ".join(f"{use} {pin}" for use, pin in row["pins"].items())
        memories = row["memories"]
        click.echo(
            f"{name}\n"
            f"  board   {row['board']}, {row['device']}, {row['clock_mhz']:g} MHz\n"
            f"  tests   array {row['array']}; WAGE's units, {row['lanes']} lanes\n"
            f"  memory  at most {memories['at_most']} of {memories['available']} block RAMs\n"
            f"  pins    {pins}\n"
            f"  uart    {row['uart']}\n"
            f"  build   {row['build']}\n"
            f"  load    {row['load']}"
        )


@cli.command(name="targets")
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def list_targets(as_json: bool) -> None:
    """List the devices that `build` knows."""
    from rich.table import Table

    from boards.targets import FULLEST, RESOURCES, TARGETS

    if as_json:
        rows = {
            target.name: {
                "device": target.device,
                "speed_grades": target.grades,
                "available": target.available,
                "largest_array": target.largest_array()[0],
                "bounded_by": target.largest_array()[1],
                "clock": target.nextpnr is not None,
            }
            for target in TARGETS.values()
        }
        click.echo(json.dumps(rows))
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
        numbers = [f"{target.available[resource]:,}" for resource in RESOURCES]
        clock = "estimated" if target.nextpnr else "none: synthesis only"
        table.add_row(target.name, target.device, *numbers, f"{size} x {size}", bound, clock)
    # A list, not a layout: lines are as long as they need to be, for people and for grep.
    Console(highlight=False, width=140).print(table)
    click.echo(
        "Largest array: an estimate, for square arrays of 16-bit nodes with rounders, by what a "
        "small one took of each family;\n"
        f"the device is at most {FULLEST:.0%} full, or has all of its DSPs in use."
    )


def _fail(text: str, status: int = 2) -> NoReturn:
    print(f"gradloom: {' '.join(text.split())}", file=sys.stderr)
    sys.exit(status)


def main() -> NoReturn:
    """The command `gradloom`."""
    try:
        status = cli.main(standalone_mode=False, prog_name="gradloom")
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        sys.exit(2)
    except click.UsageError as error:
        where = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
        _fail(error.format_message() + where)
    except click.ClickException as error:
        _fail(error.format_message())
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted", 130)
    except (ValueError, TypeError, OSError) as error:
        _fail(str(error))
    sys.exit(status if isinstance(status, int) else 0)
