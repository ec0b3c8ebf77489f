"""Shared by all commands: progress displays, errors in one line, a command for every unit."""

import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click
import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from golden.files import tried
from gradloom.units import UNITS, Unit


class _Remarks(Console):
    """Standard error. FORCE_COLOR asks for colours: only a terminal gets cursor movements."""

    @property
    def is_terminal(self) -> bool:
        """Whether it is a terminal."""
        return self.file.isatty()


#: Progress and remarks; results go to standard output.
stderr = _Remarks(stderr=True)
#: Columns for results: a table is as wide as it is, in a narrow terminal and in a pipe, and no
#: name is cut.
_WIDE = 10_000


class _Results(Console):
    """Standard output."""

    def on_broken_pipe(self) -> None:
        """Raise the error: rich would end with exit status 1."""
        raise


def results() -> Console:
    """Return standard output for texts and tables."""
    return _Results(highlight=False, width=_WIDE)


def show_json(value: Any, indent: int | None = None) -> None:
    """Print a value as JSON."""
    click.echo(json_text(value, indent))


def json_text(value: Any, indent: int | None = None) -> str:
    """Return a value as JSON.

    Examples
    --------
    >>> json_text({"clock": float("inf"), "seeds": (1, 2)})
    '{"clock": null, "seeds": [1, 2]}'
    """
    return json.dumps(_finite(value), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    """Return the value with None for numbers that JSON does not have."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {name: _finite(each) for name, each in value.items()}
        case list() | tuple():
            return [_finite(each) for each in value]
        case np.generic():
            return _finite(value.item())
    return value


def bar() -> Progress:
    """Return a progress bar on standard error that disappears at the end."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    return shown(*columns)


class _Shown(Progress):
    """A display that writes nothing where it is disabled; rich before 14.3 ends it with a line."""

    def stop(self) -> None:
        """Take the display away."""
        if not self.disable:
            super().stop()


def shown(*columns: ProgressColumn) -> Progress:
    """Return a display of these columns on standard error that disappears at the end."""
    return _Shown(
        *columns,
        console=stderr,
        transient=True,
        disable=not stderr.is_terminal,
        # If standard output is not the terminal, it must not be redirected to the display.
        redirect_stdout=sys.stdout.isatty(),
    )


def defaults(options: Iterable[click.Parameter]) -> dict[str, Any]:
    """Return the default values of options by name."""
    return click.Command("defaults", params=list(options)).make_context("defaults", []).params


class Output(click.ParamType):
    """Where a command writes: a folder, or a file of one kind. The place is tried at once, so that
    no work is lost.

    `~` is the user's home. A folder whose name looks like that of a file is made only if it is
    written with a slash at the end.

    Parameters
    ----------
    file
        Ending of the files that may be given; without it, only folders are allowed.
    """

    def __init__(self, file: str = ""):
        self.file = file
        self.name = "path" if file else "directory"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path."""
        if isinstance(value, Path):  # a command's own default, which it may not need
            return value
        path = Path(value).expanduser()
        wanted = "a folder" + (f", or a name that ends in {self.file}" if self.file else "")
        if not value:
            self.fail(f"{wanted} is wanted", param, ctx)
        slash = value.endswith("/")
        if self.file and path.suffix == self.file:
            if slash or path.is_dir():
                self.fail(f"{value}: a folder's name cannot end in {self.file} here", param, ctx)
            if not path.parent.is_dir():
                self.fail(f"{path.parent} is not a folder", param, ctx)
            tried(path.parent, [path.name])
            return path
        if path.exists() and not path.is_dir():
            self.fail(f"{value} is a file: give {wanted}", param, ctx)
        if re.fullmatch(r"\.[A-Za-z]\w*", path.suffix) and not slash and not path.exists():
            self.fail(
                f"{value} looks like a file: give {wanted} (for a folder of this name, {value}/)",
                param,
                ctx,
            )
        tried(path)
        return path


class UnitCommand(click.Command):
    """A command for a unit. Its help ends with the unit's ports, latency and throughput."""

    def __init__(self, unit: Unit, **settings: Any):
        super().__init__(name=unit.name, **settings)
        self.unit = unit

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the unit's description with default parameters."""
        formatter.write_paragraph()
        formatter.write("With the parameters at their defaults:\n")
        own = {option.name for option in self.unit.options}
        options = [param for param in self.params if param.name in own]
        config = self.unit.configure(**defaults(options))
        for line in self.unit.describe(config).splitlines():
            formatter.write(f"{line}\n")


class Group(click.Group):
    """A group of commands. Without a command, its help goes to standard error, with exit status 2:
    versions of click differ in that.
    """

    group_class = type  # subgroups are of this class too

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Print the help if there are no arguments."""
        if not args and self.no_args_is_help and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True, color=ctx.color)
            ctx.exit(2)
        return super().parse_args(ctx, args)


class UnitGroup(Group):
    """A group with a command for every unit in `UNITS`, and commands of its own."""

    #: Makes the command of a unit; set by `commands`.
    command_of: Callable[[Unit], click.Command]

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return sorted({*self.commands, *UNITS})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return the command of that name, or None."""
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
    """Add a command for every unit to `group`, a `UnitGroup`.

    Parameters
    ----------
    group
        The group.
    verb
        Beginning of the help, with {} for the unit's name.
    run
        Called with the unit, its configuration and the values of `options`.
    options
        Options of the command itself.
    settings
        Returns the options that make the configuration of a unit; by default the unit's own.
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
            help=f"{verb.format(unit.name)}. {unit.summary}",
            short_help=unit.summary,
        )

    group.command_of = command_of


@click.group(
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    help=(
        "Training hardware for low-precision neural networks, and a NumPy model to compare it with "
        "at every clock."
    ),
)
@click.version_option(package_name="gradloom")
def cli() -> None:
    """The command `gradloom`."""


def refuse(unwanted: tuple[str, ...], why: str) -> None:
    """Raise a UsageError if options were given that would have no effect."""
    ctx = click.get_current_context()
    options = {param.name: param.opts[0] for param in ctx.command.params}
    given = [
        options[name]
        for name in unwanted
        if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    ]
    if given:
        raise click.UsageError(f"{', '.join(given)}: {why}", ctx)


@contextmanager
def of_option(name: str) -> Iterator[None]:
    """Let the message of a ValueError of this context begin with the option that it is about."""
    try:
        yield
    except ValueError as error:
        raise click.UsageError(f"{name}: {error}", click.get_current_context()) from error


def fail(text: str, status: int = 2) -> NoReturn:
    """Print one line to standard error and exit with `status`."""
    print(f"gradloom: {' '.join(text.split())}", file=sys.stderr)
    sys.exit(status)
