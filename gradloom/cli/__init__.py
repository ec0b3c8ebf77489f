"""The command line: `main` is the command `gradloom`, `cli` its group of commands for click."""

from typing import Any

from gradloom.cli.entry import main

__all__ = ["cli", "main"]  # `cli` is loaded when it is used


def __getattr__(name: str) -> Any:
    """Load the commands, which takes a second: not before `main` can tell of what fails then."""
    if name != "cli":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from gradloom.cli.commands import cli

    return cli
