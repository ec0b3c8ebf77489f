"""`gradloom compare`: a unit, or a waveform of one, against its twin."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from gradloom.cli.base import UnitGroup, bar, cli, commands, refuse, stderr
from gradloom.sim.stimulus import COMPARE_CLOCKS, UsualInputs
from gradloom.units import Unit


@cli.group(
    name="compare",
    cls=UnitGroup,
    help=(
        "Compare a unit with its twin at every clock: on random stimulus, or from a waveform file."
    ),
)
def compare_group() -> None:
    """The command `gradloom compare`."""


#: Options of `compare` that belong to a simulation, and to a waveform.
_OF_STIMULUS = "cycles", "seed", "simulator", "waves"
_OF_WAVEFORM = "clock", "scope", "from_start"


def _compare_waveform(
    unit: Unit,
    config: Any,
    path: Path,
    clock: str,
    scope: str | None,
    from_start: bool,
    as_json: bool,
) -> None:
    from gradloom.comparison.waveform import compare_waveform

    try:
        with stderr.status(f"reading {path}"):
            result = compare_waveform(
                unit.component(config), unit.twin(config), path, clock, scope, from_start
            )
    except ModuleNotFoundError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(
            json.dumps(
                {
                    "unit": unit.name,
                    "waveform": str(path),
                    **vars(result.recorded),
                    "clocks": result.clocks,
                    "values": result.values,
                    "mismatches": result.mismatches,
                    "difference": vars(result.difference) if result.difference else None,
                }
            )
        )
    else:
        click.echo(result.report())
    if not result:
        sys.exit(1)


def _compare(
    unit: Unit,
    config: Any,
    cycles: int,
    seed: int,
    simulator: str,
    waves: Path | None,
    waveform: Path | None,
    clock: str,
    scope: str | None,
    from_start: bool,
    as_json: bool,
) -> None:
    from gradloom.comparison.compare import compare
    from gradloom.sim.simulators import prepare

    if waveform:
        refuse(_OF_STIMULUS, "not with --waveform, for nothing is simulated then")
        _compare_waveform(unit, config, waveform, clock, scope, from_start, as_json)
        return
    refuse(_OF_WAVEFORM, "only with --waveform FILE")
    component = unit.component(config)
    with stderr.status(f"building {unit.name}"):
        simulation = prepare(component, simulator)  # type: ignore[arg-type]
    with bar() as progress:
        task = progress.add_task(unit.name, total=cycles)
        result = compare(
            component,
            UsualInputs(unit, config, cycles, seed),
            unit.twin(config),
            simulation,
            waves=waves,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    if as_json:
        difference = result.difference
        click.echo(
            json.dumps(
                {
                    "unit": unit.name,
                    "simulator": result.simulator,
                    "seed": seed,
                    "clocks": result.clocks,
                    "values": result.values,
                    "mismatches": result.mismatches,
                    "clocks_per_second": round(result.clocks_per_second),
                    "difference": vars(difference) if difference else None,
                    "files": [str(path) for path in result.files],
                }
            )
        )
    else:
        click.echo(result.report())
    if not result:
        sys.exit(1)


commands(
    compare_group,
    "Compare with its twin",
    _compare,
    (
        click.Option(
            ["--cycles"],
            type=click.IntRange(1),
            default=COMPARE_CLOCKS,
            show_default=True,
            help="Clock edges.",
        ),
        click.Option(
            ["--seed"],
            type=click.IntRange(0),
            default=0,
            show_default=True,
            help="Of the stimulus.",
        ),
        click.Option(
            ["--simulator"],
            type=click.Choice(["pysim", "cxxrtl"]),
            default="pysim",
            show_default=True,
            help="Amaranth's own, or a compiled one.",
        ),
        click.Option(
            ["--waves"],
            type=click.Path(path_type=Path),
            help="Folder for waveforms of the first difference.",
        ),
        click.Option(
            ["--waveform"],
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Compare what a VCD, FST or GHW file of any simulator recorded; nothing is "
            "simulated.",
        ),
        click.Option(
            ["--clock"],
            default="clk",
            show_default=True,
            metavar="NAME",
            help="The clock in FILE, by its name in the unit's scope or its whole path.",
        ),
        click.Option(
            ["--scope"],
            metavar="PATH",
            help="The unit in FILE, as in tb.dut; found if it is the only one.",
        ),
        click.Option(
            ["--from-start"],
            is_flag=True,
            help="Registers hold their initial values when FILE begins: do not wait for a reset.",
        ),
        click.Option(["--json", "as_json"], is_flag=True, help="Print the result as JSON."),
    ),
)
