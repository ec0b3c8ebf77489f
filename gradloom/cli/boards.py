"""`gradloom boards`, `build selftest`, `build trainer` and `build host`: what runs on boards."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from golden.files import tried, write
from gradloom.cli.base import Output, cli, fail, json_text, of_option, show_json
from gradloom.cli.build import build_group, stages
from gradloom.cli.train import BAUD, DATA, SETTINGS, dataset_of

if TYPE_CHECKING:
    from boards.bitstream import Product
    from boards.board import Board
    from boards.trainer.training import Training
    from golden.core.lower import Compiled
    from golden.datasets import Dataset
    from golden.training.recipe import Recipe

BOARD = click.option(
    "--board",
    required=True,
    help="The board: a name from `gradloom boards`, or the path of a .toml file with one's own.",
)


def _output(design: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option(
        "-o",
        "--output",
        type=Output(),
        help=f"Folder for the bitstream and the report. The default is build/{design}-BOARD.",
    )


@build_group.command(
    name="selftest",
    help="Build a bitstream with which a board compares the hardware with the model by itself.",
    short_help="Build a bitstream with which a board tests itself.",
)
@BOARD
@_output("selftest")
@click.option(
    "--broken", is_flag=True, help="Expect a wrong bit, to see how the board reports a failure."
)
def build_selftest(board: str, output: Path | None, broken: bool) -> None:
    """The command `gradloom build selftest`."""
    from boards.own import found
    from boards.selftest import bitstream

    with of_option("--board"):
        chosen = found(board)
    _build(
        chosen,
        bitstream.NAME,
        output,
        lambda work, show: bitstream.build(chosen, work, show, broken=broken),
        f"array {chosen.size}",
    )


def _build(
    board: "Board",
    design: str,
    output: Path | None,
    build: Callable[[Path, Callable[[str, str], None]], "Product"],
    what: str,
) -> None:
    """Build a design for a board, write its files, and say what came of it."""
    from boards import bitstream
    from boards.flow.tools import FlowError

    folder = output or Path("build") / f"{design}-{board.name}"
    names = bitstream.files(board, design)
    tried(folder, names)
    try:
        with stages() as show, tempfile.TemporaryDirectory(prefix=f"gradloom-{design}-") as work:
            made = build(Path(work), lambda stage, text: show(0, f"{stage}: {text[:60]}"))
    except bitstream.ClockError as error:
        fail(str(error), 1)
    except FlowError as error:
        raise click.ClickException(str(error)) from error
    report = json_text(made.report, indent=1) + "\n"
    write({**made.files, bitstream.REPORT: report.encode()}, folder)
    clock = made.report["clock_mhz"]
    met = f", the design meets {clock['met']:g} MHz" if "met" in clock else ""
    click.echo(f"{board.title}: {what}; clock {clock['wanted']:g} MHz{met}")
    cells = made.report["cells"]
    shown = [f"{name} {_said(cells[name])}" for name in board.cells if name in cells]
    click.echo(", ".join(shown))
    click.echo(f"{folder}: {', '.join(names)}")
    click.echo(f"load with: {board.load_command(folder, design)}")


def _said(cells: int | dict[str, int]) -> str:
    """Return a number of cells in words."""
    return str(cells) if isinstance(cells, int) else f"{cells['used']} of {cells['available']}"


#: Options of a training on a board.
_TRAINING = (
    click.argument("recipe", required=False),
    BOARD,
    DATA,
    SETTINGS,
    click.option(
        "--train-images",
        type=click.IntRange(2),
        help="Images to train with, the first ones. The default is what fits the board.",
    ),
    click.option(
        "--test-images",
        type=click.IntRange(1),
        help="Images to test with, the first ones. The default is what fits the board.",
    ),
)


def of_training(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a training on a board (decorator)."""
    for option in reversed(_TRAINING):
        command = option(command)
    return command


def training_of(
    recipe: str | None,
    board: str,
    data: Path | None,
    settings: tuple[str, ...],
    train_images: int | None,
    test_images: int | None,
) -> "tuple[Board, Training]":
    """Return a board, and the training of the options `_TRAINING`."""
    from boards.board import BOARDS
    from boards.own import found
    from boards.trainer.size import RECIPE
    from boards.trainer.training import Training, shortened
    from golden.training import toml

    with of_option("--board"):
        chosen = found(board)
        size = chosen.trainer
        if size is None:
            able = ", ".join(name for name, each in BOARDS.items() if each.trainer)
            raise ValueError(f"{board}: the smallest core is too large for it; allowed are {able}")
    dataset = shortened(
        dataset_of(data),
        size.train if train_images is None else train_images,
        size.test if test_images is None else test_images,
    )
    own = toml.load(recipe or RECIPE, ["order=lfsr", *size.settings, *settings])
    training = Training(
        compiled=_fitted(chosen, own, dataset, scores=False),
        dataset=dataset,
        board=chosen.name,
        frequency=chosen.frequency,
    )
    return chosen, training


def _fitted(board: "Board", recipe: "Recipe", dataset: "Dataset", *, scores: bool) -> "Compiled":
    """Return a training on the fastest core that a board's device has room for."""
    from boards.target import TARGETS
    from golden.core.lower import fitting
    from gradloom.core.estimate import fits

    target = next((each for each in TARGETS.values() if each.device == board.device), None)
    return fitting(
        recipe,
        dataset.shape,
        dataset.classes,
        scores=scores,
        fits=lambda config: target is None or fits(config, target),
    )


@build_group.command(
    name="trainer",
    help=(
        "Build a bitstream with which a board trains by itself, from power-up on: images, first "
        "weights and programs are in its memory. It says on its serial line what comes of every "
        "epoch; `gradloom board watch` compares that with the model.\n\n"
        "RECIPE is one of WAGE with dense layers; without it, the digits are trained. Its array "
        "and its batch are as the board has room for, unless --set says otherwise."
    ),
    short_help="Build a bitstream with which a board trains by itself.",
)
@of_training
@_output("trainer")
def build_trainer(output: Path | None, **given: Any) -> None:
    """The command `gradloom build trainer`."""
    from boards.trainer import bitstream

    board, training = training_of(**given)
    _build(
        board,
        bitstream.NAME,
        output,
        lambda work, show: bitstream.build(board, training, work, show),
        f"{training.name}, {len(training.dataset.train_images)} images, "
        f"{training.clocks / board.frequency * 1e3:.3g} ms to train an epoch",
    )


@build_group.command(
    name="host",
    help=(
        "Build a bitstream with the training core of RECIPE, which a computer drives over the "
        "board's serial line: `gradloom train RECIPE --on board`, `gradloom board info`, `run`, "
        "`compare`."
    ),
    short_help="Build a bitstream with a core that a computer drives.",
)
@click.argument("recipe")
@BOARD
@DATA
@SETTINGS
@BAUD
@_output("host")
def build_host(
    recipe: str,
    board: str,
    data: Path | None,
    settings: tuple[str, ...],
    baud: int,
    output: Path | None,
) -> None:
    """The command `gradloom build host`."""
    from boards.hosted import bitstream
    from boards.link.uart_twin import UartConfig
    from boards.own import found
    from golden.training import toml

    with of_option("--board"):
        chosen = found(board)
    with of_option("--baud"):
        uart = UartConfig.at(chosen.frequency, baud)
    core = _fitted(chosen, toml.load(recipe, settings), dataset_of(data), scores=True)
    _build(
        chosen,
        bitstream.NAME,
        output,
        lambda work, show: bitstream.build(chosen, core, uart, work, show),
        f"a core of {core.recipe.rows} x {core.recipe.columns} nodes at {baud} baud",
    )


@cli.command(
    name="boards",
    help="List the boards, and what `build selftest` and `build trainer` make for them.",
    short_help="List the boards for `build selftest` and `build trainer`.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def list_boards(as_json: bool) -> None:
    """The command `gradloom boards`."""
    from boards.board import BOARDS
    from boards.selftest.memory import memory_budget
    from golden.settings import mapping

    rows: dict[str, dict[str, Any]] = {}
    for board in BOARDS.values():
        units = board.config.units
        budget = memory_budget(board, board.checks())
        folder = Path("build") / f"selftest-{board.name}"
        rows[board.name] = {
            "board": board.title,
            "device": board.device.part,
            "clock_mhz": board.frequency / 1e6,
            "array": mapping(board.array),
            "lanes": max(getattr(unit, "lanes", 0) for unit in units),
            "memories": {
                "taken": board.block_rams,
                "at_most": sum(budget.values()),
                "available": board.device.block_rams,
            },
            "trains": board.trainer and board.trainer.text,
            "pins": board.pins(),
            "uart": f"115200 8N1, {board.serial}",
            "build": f"gradloom build selftest --board {board.name}",
            "load": board.load_command(folder, "selftest"),
        }
    if as_json:
        show_json(rows)
        return
    for name, row in rows.items():
        pins = ", ".join(f"{use} {pin}" for use, pin in row["pins"].items())
        click.echo(
            f"{name}\n"
            f"  board   {row['board']}, {row['device']}, {row['clock_mhz']:g} MHz\n"
            f"  tests   array {BOARDS[name].size}; WAGE's units, {row['lanes']} lanes\n"
            f"  trains  {row['trains'] or 'nothing: the smallest core is too large'}\n"
            f"  memory  {_memory(**row['memories'])}\n"
            f"  pins    {pins}\n"
            f"  uart    {row['uart']}\n"
            f"  build   {row['build']}\n"
            f"  load    {row['load']}"
        )


def _memory(taken: int | None, at_most: int, available: int) -> str:
    """Return a board's block RAMs as text."""
    if taken is None:
        return f"at most {at_most} of {available} block RAMs"
    return f"{taken} of {available} block RAMs, at most {at_most} by other tools"
