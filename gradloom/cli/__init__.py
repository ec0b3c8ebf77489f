"""The command line.

Exit status: 0 success, 1 a difference, 2 bad arguments or a missing tool, 3 an undecided proof.
"""

import sys
from typing import NoReturn

import click

# These modules add their commands to `cli`.
from gradloom.cli import build, compare, data, generate, mutate, prove, sweep, train  # noqa: F401
from gradloom.cli.base import cli, fail


def main() -> NoReturn:
    """The command `gradloom`."""
    try:
        status = cli.main(standalone_mode=False, prog_name="gradloom")
    except click.UsageError as error:
        where = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
        fail(error.format_message() + where)
    except click.ClickException as error:
        fail(error.format_message())
    except (click.Abort, KeyboardInterrupt):
        fail("interrupted", 130)
    except (ValueError, TypeError, OSError) as error:
        fail(str(error))
    except RuntimeError as error:  # may be the output of a tool: several lines
        print(f"gradloom: {error}", file=sys.stderr)
        sys.exit(2)
    sys.exit(status if isinstance(status, int) else 0)
