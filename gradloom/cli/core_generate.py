"""`gradloom generate core`: a network's training core as a folder of files."""

from pathlib import Path
from typing import Any

import click

from gradloom.cli.base import Output, stderr
from gradloom.cli.core import network_of, of_network
from gradloom.cli.generate import checked_name, generate_group


@generate_group.command(
    name="core",
    help=(
        "Write the training core of RECIPE: Verilog, programs, weights, registers, a testbench.\n\n"
        "The testbench trains some steps through the core's registers and streams, and compares "
        "its weights with the golden trainer's."
    ),
    short_help="Write the Verilog of a network's training core.",
)
@of_network
@click.option(
    "-o",
    "--output",
    type=Output(),
    required=True,
    help="Folder, made if it is missing.",
)
@click.option(
    "--name",
    callback=checked_name,
    help="Name of the module. All other names begin with it. The default is gradloom_core.",
)
@click.option(
    "--edge",
    type=click.Choice(["none", "axi", "wishbone"]),
    default="none",
    show_default=True,
    help="Buses of registers and streams: plain ones; AXI4-Lite and AXI4-Stream; Wishbone and "
    "AXI4-Stream.",
)
@click.option(
    "--from",
    "run",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="RUN",
    help="Folder of a run of RECIPE: its weights are taken in the place of the seed's.",
)
@click.option(
    "--steps",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="Number of steps in the testbench. Each takes seconds in Icarus Verilog; 20 times their "
    "clocks must fit into 31 bits, in which the testbench counts.",
)
def generate_core(
    recipe: str,
    output: Path,
    name: str | None,
    edge: str,
    run: Path | None,
    steps: int,
    **given: Any,
) -> None:
    """The command `gradloom generate core`."""
    from golden.core.edge import Edge
    from golden.files import tried, write
    from gradloom.core.package.files import MODULE, core_package, names

    with stderr.status("generating core"):
        tried(output, names(name or MODULE))
        network, dataset = network_of(recipe, **given)
        files = core_package(network, dataset, name=name, edge=Edge(edge), run=run, steps=steps)
    write(files, output)
    for file, text in files.items():
        click.echo(f"{output / file}: {len(text.splitlines()):,} lines")
