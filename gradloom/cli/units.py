"""`gradloom units`: lists the units."""

import click
from rich.box import SIMPLE
from rich.table import Table

from gradloom.cli.base import cli, results, show_json
from gradloom.units import UNITS


@cli.command(
    name="units",
    help="List the units, of which `generate`, `compare` and others take one.",
    short_help="List the units.",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the list as JSON, with the units' parameters, ports and latencies at the defaults.",
)
def list_units(as_json: bool) -> None:
    """The command `gradloom units`."""
    from golden.settings import mapping

    if as_json:
        rows = {}
        for unit in UNITS.values():
            config = unit.config()
            rows[unit.name] = {
                "summary": unit.summary,
                "module": unit.module,
                "parameters": mapping(config),
                "latency": config.latency,
                "throughput": config.throughput,
                "ports": [
                    {
                        "name": port.name,
                        "direction": port.direction,
                        "bits": port.bits,
                        "lanes": port.lanes,
                        "signed": port.signed,
                        "meaning": port.meaning,
                    }
                    for port in config.ports
                ],
            }
        show_json(rows)
        return
    table = Table(box=SIMPLE)
    table.add_column("unit", no_wrap=True)
    table.add_column("what it does", no_wrap=True)
    for unit in UNITS.values():
        table.add_row(unit.name, unit.summary)
    results().print(table)
