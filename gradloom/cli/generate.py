"""`gradloom generate`: writes the Verilog of a unit."""

from pathlib import Path
from typing import Any

import click

from golden.array import ArrayConfig
from golden.files import tried, write
from gradloom.cli.base import Output, UnitGroup, cli, commands, of_option, refuse, stderr
from gradloom.rtl import names
from gradloom.sim.stimulus import TESTBENCH_CLOCKS
from gradloom.units import Unit
from hdl.cells import CELLS


@cli.group(
    name="generate",
    cls=UnitGroup,
    help="Write the Verilog of a unit.",
    short_help="Write the Verilog of a unit.",
)
def generate_group() -> None:
    """The command `gradloom generate`."""


def checked_name(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Return a name that may be that of a module."""
    if value is not None and (problem := names.problem(value)):
        raise click.BadParameter(f"{value!r}: {problem}", ctx, param)
    return value


def _generate(
    unit: Unit,
    config: Any,
    output: Path,
    name: str | None,
    cycles: int,
    seed: int,
    cells: str | None,
    places: str | None,
) -> None:
    from gradloom.rtl.package import ENDS, package
    from gradloom.rtl.verilog import verilog

    made_of = _made_of(unit, config, cells, places)
    with stderr.status(f"generating {unit.name}"):
        if output.suffix == ".v":
            refuse(("cycles", "seed"), "the testbench is written into a folder, -o FOLDER/")
            text = verilog(unit.component(config, **made_of), name)
            folder, files = output.parent, {output.name: text}
        else:
            tried(output, (f"{name or unit.module}{end}" for end in ENDS))
            folder, files = output, package(unit, config, cycles, seed, name, **made_of)
    write(files, folder)
    for file, text in files.items():
        click.echo(f"{folder / file}: {len(text.splitlines()):,} lines")


def _made_of(unit: Unit, config: Any, cells: str | None, places: str | None) -> dict[str, Any]:
    """Return the component's arguments beside its configuration."""
    if not unit.has_cells:
        refuse(("cells", "places"), f"{unit.name} has none of a device's own cells")
    made_of: dict[str, Any] = {} if cells is None else {"cells": CELLS[cells]}
    if places is not None:
        from boards.target import find

        with of_option("--places"):
            target = find(places)
        if not isinstance(config, ArrayConfig):
            refuse(("places",), "only the multipliers of an array have places")
        if target.device.places is None:
            refuse(("places",), f"no places are known for {places}")
        if cells != target.device.cells:
            refuse(("places",), f"{places} has places for --cells {target.device.cells} only")
        assert target.device.places is not None
        if config.block is None:
            refuse(("places",), "a ternary array has no multipliers")
            return made_of
        made_of["places"] = target.device.places.array(*config.block)
        if made_of["places"] is None:
            refuse(("places",), f"{places} has no pattern of places for this array")
    return made_of


commands(
    generate_group,
    "Write the Verilog of {}",
    _generate,
    (
        click.Option(
            ["-o", "--output"],
            type=Output(".v"),
            required=True,
            help="Folder, made if it is missing, for the module, a testbench that checks it, a "
            "FuseSoC core and descriptions; or FILE.v for the module alone.",
        ),
        click.Option(
            ["--name"],
            callback=checked_name,
            help="Name of the module. The names of its inner modules, testbench, files and core "
            "begin with it. The default is gradloom_ and the unit's name.",
        ),
        click.Option(
            ["--cycles"],
            type=click.IntRange(1),
            default=TESTBENCH_CLOCKS,
            show_default=True,
            help="Number of clock edges in the testbench.",
        ),
        click.Option(
            ["--seed"],
            type=click.IntRange(0),
            default=0,
            show_default=True,
            help="Seed of the testbench's stimulus.",
        ),
        click.Option(
            ["--cells"],
            type=click.Choice(list(CELLS)),
            help="Technology of multipliers and adders. The default, generic, is "
            "inferred from the Verilog on any device.",
        ),
        click.Option(
            ["--places"],
            metavar="TARGET",
            help="Write the positions of an array's multipliers on this device: see `gradloom "
            "targets`.",
        ),
    ),
)
