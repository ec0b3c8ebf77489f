"""`gradloom board`: boards that run, on the desk or in a simulator."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gradloom.cli.base import Output, bar, cli, fail
from gradloom.cli.boards import of_training, training_of
from gradloom.cli.train import BAUD, DATA, PORT, SETTINGS, dataset_of, line_of, say

if TYPE_CHECKING:
    from golden.datasets import Dataset
    from golden.training.systems.wage.trainer import WageTrainer
    from gradloom.board.trainer import BoardTrainer


@cli.group(
    name="board",
    help="Boards that run: ask them, compare them with the model, or simulate one.",
    short_help="Ask and compare boards that run, or simulate one.",
)
def board_group() -> None:
    """The command `gradloom board`."""


@board_group.command(
    name="watch",
    help=(
        "Compare what a board that trains by itself says with what the model says: at a serial "
        "port, or in a file that a terminal has written (- for standard input). Ends with the "
        "last epoch, or with the first line that is not equal (exit status 1).\n\n"
        "RECIPE and options are those of `gradloom build trainer`."
    ),
    short_help="Compare what a board says of its training with the model.",
)
@of_training
@click.option("--port", help="Serial port, as /dev/ttyUSB0.")
@click.option(
    "--log", type=click.File("rb"), help="File with the lines of a terminal, - for standard input."
)
def watch_board(port: str | None, log: Any, **given: Any) -> None:
    """The command `gradloom board watch`."""
    from gradloom.board.watch import Watch, lines

    if (port is None) == (log is None):
        raise click.UsageError("--port or --log, one of both")
    _, training = training_of(**given)
    watch = Watch(training)
    with line_of(port, training.baud) as line:
        ends = False
        for text in lines(line.parts() if line else iter(lambda: log.read1(), b"")):
            verdict = watch.verdict(text)
            click.echo(f"{text}  [{verdict.remark}]" if verdict.remark else text)
            if verdict.wrong:
                fail(f"not equal: {text}: {verdict.remark}", 1)
            if ends := verdict.ends:
                break
    if not ends:
        fail(f"the lines end before the last epoch: {watch.compared} were compared", 1)
    say(f"equal: {watch.compared or 'the last'} of {training.compiled.recipe.epochs + 1} lines")


@board_group.command(
    name="info",
    help="Ask a board with a core that a computer drives what it is.",
    short_help="Ask a board what it is.",
)
@PORT
@BAUD
def info(port: str, baud: int) -> None:
    """The command `gradloom board info`."""
    from gradloom.board.link import Link

    with line_of(port, baud) as line:
        about = Link(line, None).about
    click.echo(
        f"board    {about.name}, {about.frequency / 1e6:g} MHz\n"
        f"design   {about.design:016x}\n"
        f"streams  in {about.takes.words} words of {about.takes.width} bits, "
        f"{about.takes_depth} beats kept; out {about.gives.words} of {about.gives.width}, "
        f"{about.gives_depth} kept\n"
        f"link     version {about.version}, payloads of at most {about.longest} bytes"
    )


def _of_steps(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of steps on a board (decorator)."""
    options = (
        click.argument("recipe"),
        PORT,
        BAUD,
        DATA,
        SETTINGS,
        click.option(
            "--from",
            "run",
            type=click.Path(path_type=Path),
            help="Begin at the checkpoint of a run, with its weights, lanes and place.",
        ),
        click.option(
            "--steps", type=click.IntRange(1), default=100, show_default=True, help="Steps."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@board_group.command(
    name="run",
    help=(
        "Train some steps of RECIPE on a board, and show how fast it was, what its engines did, "
        "and how many test images are in a wrong class. Nothing is kept: `gradloom train --on "
        "board` keeps a run."
    ),
    short_help="Train some steps on a board, and show its counters.",
)
@_of_steps
def run_steps(steps: int, **given: Any) -> None:
    """The command `gradloom board run`."""
    import time

    from gradloom.core.errors import CoreError

    with _started(**given) as (trainer, _, dataset), bar() as progress:
        try:
            walk = trainer.walk(dataset)
            trainer.machine.clocks()
            began, seconds, clocks = time.monotonic(), 0.0, {}
            for _ in progress.track(range(steps), description="steps"):
                if next(walk, trainer) is trainer:
                    break
            seconds = time.monotonic() - began
            clocks = trainer.machine.clocks()
            score = trainer.evaluate(dataset.test_images, dataset.test_labels)
        except CoreError as error:
            fail(str(error), 1)
    click.echo(f"{steps} steps, {steps / seconds:.3g} steps a second, over the line")
    for engine, states in clocks.items():
        shown = ", ".join(f"{s.name.lower()} {n:,}" for s, n in states.items() if n)
        click.echo(f"  {engine.name.lower():7}{shown} clocks, of the last program")
    click.echo(f"test error {score.error:.2f} %, {score.wrong} of {score.images}")


@board_group.command(
    name="compare",
    help=(
        "Train some steps of RECIPE on a board and in the model, and compare all weights after "
        "each step. A difference is named by step, layer, row and column (exit status 1)."
    ),
    short_help="Compare a board's training with the model, step by step.",
)
@_of_steps
def compare_steps(steps: int, **given: Any) -> None:
    """The command `gradloom board compare`."""
    from gradloom.board.trainer import difference
    from gradloom.core.errors import CoreError

    with _started(**given) as (trainer, golden, dataset), bar() as progress:
        done, found = 0, None
        try:
            walks = zip(trainer.walk(dataset), golden.walk(dataset))
            for step in progress.track(range(steps), description="steps"):
                if next(walks, None) is None:
                    break
                done += 1
                if found := difference(step, trainer.weights, golden.weights):
                    break
                if trainer.train != golden.train:
                    found = f"step {step}: the scores are others, and the weights are equal"
                    break
        except CoreError as error:
            fail(f"step {done}: {error}", 1)
        repeated, dropped = trainer.link.repeated, trainer.link.dropped
    if found:
        fail(f"not equal: {found}", 1)
    click.echo(
        f"{done} steps agree: all {sum(each.size for each in golden.weights):,} weights after "
        f"each; {repeated} commands were sent again, {dropped} frames came damaged"
    )


@contextmanager
def _started(
    recipe: str,
    port: str,
    baud: int,
    data: Path | None,
    settings: tuple[str, ...],
    run: Path | None,
) -> "Iterator[tuple[BoardTrainer, WageTrainer, Dataset]]":
    """Return a trainer on a board, golden's at the same place, and the data set."""
    from golden.training import toml
    from gradloom.board.trainer import BoardTrainer, of_board
    from gradloom.core.start import started

    chosen, dataset = toml.load(recipe, settings), dataset_of(data)
    with line_of(port, baud) as line:
        core = of_board(chosen, dataset.shape, dataset.classes, line)
        golden = started(core, dataset, run)
        trainer = BoardTrainer(core, pixel_max=dataset.pixel_max, line=line)
        trainer.restore(golden.state(), len(dataset.train_images))
        yield trainer, golden, dataset


@board_group.command(
    name="client",
    help=(
        "Write a client in C for a board with the training core of RECIPE: the link, a header with "
        "the core's registers and programs, and an example."
    ),
    short_help="Write a client in C for a board with a core.",
)
@click.argument("recipe")
@DATA
@SETTINGS
@click.option("-o", "--output", type=Output(), required=True, help="Folder for the files.")
def write_client(recipe: str, data: Path | None, settings: tuple[str, ...], output: Path) -> None:
    """The command `gradloom board client`."""
    from golden.files import tried, write
    from golden.training import toml
    from gradloom.board.client import HEADER, PLAIN, client
    from gradloom.board.trainer import designs

    tried(output, (*PLAIN, HEADER))
    dataset = dataset_of(data)
    core = next(designs(toml.load(recipe, settings), dataset.shape, dataset.classes))
    write(client(core), output)
    click.echo(f"{output}: {', '.join((*PLAIN, HEADER))}")


@board_group.group(
    name="simulate",
    help="Simulate a board: its whole design, and its serial line.",
    short_help="Simulate a board.",
)
def simulate_group() -> None:
    """The command `gradloom board simulate`."""


@simulate_group.command(
    name="trainer",
    help=(
        "Simulate a board that trains by itself, with the text of its serial line on standard "
        "output, or at a terminal device that --pty makes.\n\n"
        "RECIPE and options are those of `gradloom build trainer`."
    ),
    short_help="Simulate a board that trains by itself.",
)
@of_training
@click.option(
    "--pty",
    is_flag=True,
    help="Put the text on a terminal device whose name is shown, for `gradloom board watch`; wait "
    "until somebody reads it.",
)
def simulate_trainer(pty: bool, **given: Any) -> None:
    """The command `gradloom board simulate trainer`."""
    from gradloom.board.simulated import SimulatedBoard
    from gradloom.board.terminal import Terminal
    from gradloom.board.watch import lines

    _, training = training_of(**given)
    say("building the simulation, which takes minutes the first time")
    board = SimulatedBoard(training)
    if pty:
        with Terminal() as terminal:
            click.echo(terminal.name)
            terminal.play(board.parts())
    for text in lines(board.parts()):
        click.echo(text)
        if text.startswith(("done ", "FAULT ")):
            return


@simulate_group.command(
    name="host",
    help=(
        "Simulate a board with the training core of RECIPE, which a computer drives, behind a "
        "terminal device whose name is shown; or with --tcp behind a port of this machine, for "
        "--port socket://localhost:PORT. Ctrl-C ends it."
    ),
    short_help="Simulate a board with a core that a computer drives.",
)
@click.argument("recipe")
@DATA
@SETTINGS
@click.option(
    "--tcp",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="A port of TCP in place of a terminal device; 0 is any free one.",
)
def simulate_host(
    recipe: str, data: Path | None, settings: tuple[str, ...], tcp: int | None
) -> None:
    """The command `gradloom board simulate host`."""
    from golden.training import toml
    from gradloom.board.simulated import SimulatedHost
    from gradloom.board.terminal import Terminal, listening, serve_tcp
    from gradloom.board.trainer import designs

    dataset = dataset_of(data)
    core = next(designs(toml.load(recipe, settings), dataset.shape, dataset.classes))
    if tcp is not None:
        try:
            server = listening(tcp)
        except OSError as error:
            fail(f"--tcp {tcp}: {error.strerror}")
    say("building the simulation, which takes minutes the first time")
    board = SimulatedHost(core)
    if tcp is not None:
        click.echo(f"socket://localhost:{server.getsockname()[1]}")
        serve_tcp(server, board)
    with Terminal() as terminal:
        click.echo(terminal.name)
        terminal.serve(board)
