"""What the commands share: progress, errors in one line, a command for every unit."""

import sys
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from gradloom.units import UNITS, Unit

#: Progress and remarks; results go to standard output.
stderr = Console(stderr=True)


def bar() -> Progress:
    """A progress bar on standard error, gone when it is done."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    return shown(*columns)


def shown(*columns: ProgressColumn) -> Progress:
    """A display of these columns on standard error, gone when it is done."""
    return Progress(
        *columns,
        console=stderr,
        transient=True,
        disable=not stderr.is_terminal,
        # What is printed meanwhile goes where it should, also where that is not this terminal.
        redirect_stdout=sys.stdout.isatty(),
    )


def defaults(options: Iterable[click.Parameter]) -> dict[str, Any]:
    """The values of options that are not given, by their names."""
    return click.Command("defaults", params=list(options)).make_context("defaults", []).params


class UnitCommand(click.Command):
    """A command on a unit: its help ends with the unit's ports, latency and throughput."""

    def __init__(self, unit: Unit, **settings: Any):
        super().__init__(name=unit.name, **settings)
        self.unit = unit

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The unit's description at the default parameters."""
        formatter.write_paragraph()
        formatter.write("With the parameters at their defaults:\n")
        own = {option.name for option in self.unit.options}
        options = [param for param in self.params if param.name in own]
        config = self.unit.configure(**defaults(options))
        for line in self.unit.describe(config).splitlines():
            formatter.write(f"{line}\n")


class UnitGroup(click.Group):
    """A group with a command for every unit in `UNITS`, beside commands of its own."""

    #: The command of a unit; `commands` sets it.
    command_of: Callable[[Unit], click.Command]

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the commands."""
        return sorted({*self.commands, *UNITS})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command of that name; None if there is none."""
        if name in UNITS and name not in self.commands:
            return self.command_of(UNITS[name])
        return super().get_command(ctx, name)


def commands(
    group: click.Group,
    verb: str,
    run: Callable[..., Any],
    options: tuple[click.Option, ...],
    settings: Callable[[Unit], Iterable[click.Option]] = lambda unit: unit.options,
) -> None:
    """Give every unit a command in `group`, a `UnitGroup`.

    `run` gets the unit, its configuration and the values of `options`. The options that make the
    configuration are the unit's own, or others by `settings`.
    """
    assert isinstance(group, UnitGroup)
    own = [option.name for option in options]

    def command_of(unit: Unit) -> click.Command:
        def callback(**given: Any) -> Any:
            values = {name: given.pop(name) for name in own if name}
            return run(unit, unit.configure(**given), **values)

        return UnitCommand(
            unit,
            callback=callback,
            params=[*settings(unit), *options],
            help=f"{verb} {unit.name}: {unit.summary}",
            short_help=unit.summary,
        )

    group.command_of = command_of


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    help=(
        "Training hardware for low-precision neural networks, held to a NumPy model at every clock."
    ),
)
@click.version_option(package_name="gradloom")
def cli() -> None:
    """The command `gradloom`."""


def refuse(unwanted: tuple[str, ...], why: str) -> None:
    """Refuse options that were given and would have no effect."""
    ctx = click.get_current_context()
    given = [
        f"--{name.replace('_', '-')}"
        for name in unwanted
        if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    ]
    if given:
        raise click.UsageError(f"{', '.join(given)}: {why}", ctx)


def fail(text: str, status: int = 2) -> NoReturn:
    """End with `status` and one line on standard error."""
    print(f"gradloom: {' '.join(text.split())}", file=sys.stderr)
    sys.exit(status)
