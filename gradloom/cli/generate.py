"""`gradloom generate`: the Verilog of a unit."""

from pathlib import Path
from typing import Any

import click

from gradloom.cli.base import cli, commands, refuse, stderr
from gradloom.units import Unit


@cli.group(name="generate")
def generate_group() -> None:
    """Write the Verilog of a unit."""


def _generate(unit: Unit, config: Any, output: Path, cycles: int, seed: int) -> None:
    from gradloom.package import package, write
    from gradloom.verilog import generate

    hint = "--output"
    with stderr.status(f"generating {unit.name}"):
        if output.suffix == ".v":
            refuse(("cycles", "seed"), "the testbench is written into a folder, -o FOLDER/")
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


commands(
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
