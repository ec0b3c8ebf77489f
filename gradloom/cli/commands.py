"""All commands: these modules add theirs to `cli`."""

from gradloom.cli import (  # noqa: F401
    board,
    boards,
    build,
    compare,
    core,
    core_compare,
    core_generate,
    data,
    generate,
    mutate,
    prove,
    step_compare,
    sweep,
    train,
    units,
)
from gradloom.cli.base import cli

__all__ = ["cli"]
