"""`gradloom compare`: compares a unit, or a waveform of one, with its twin."""

import sys
from pathlib import Path
from typing import Any

import click

from gradloom.cli.base import Output, UnitGroup, bar, cli, commands, refuse, show_json, stderr
from gradloom.sim.stimulus import COMPARE_CLOCKS, UsualInputs
from gradloom.units import Unit
from hdl.cells import CELLS


@cli.group(
    name="compare",
    cls=UnitGroup,
    help=(
        "Compare a unit with its twin at every clock: on random stimulus, or from a waveform file."
    ),
    short_help="Compare a unit with its twin at every clock.",
)
def compare_group() -> None:
    """The command `gradloom compare`."""


#: The simulator of what would take long in Amaranth's own.
COMPILED = click.option(
    "--simulator",
    type=click.Choice(["pysim", "cxxrtl"]),
    default="cxxrtl",
    show_default=True,
    help="Amaranth's simulator (pysim), or a compiled one (cxxrtl).",
)

#: Options of `compare` for a simulation only, and for a waveform only.
_OF_STIMULUS = "cycles", "seed", "cells", "simulator", "waves"
_OF_WAVEFORM = "clock", "reset", "scope", "prefix", "port", "inputs_at_edge", "from_start"

#: What `--clock` and `--reset` take in place of a name.
_NONE = "none"


class _Renamed(click.ParamType):
    """A port of the unit and its name in a file: `OURS=THEIRS`."""

    name = "names"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Return the two names."""
        if isinstance(value, tuple):
            return value
        ours, equals, theirs = str(value).partition("=")
        if not (ours and equals and theirs):
            self.fail(f"{value}: OURS=THEIRS is wanted, for example i_valid=valid_in", param, ctx)
        for name, option in ("clk", "--clock"), ("rst", "--reset"):
            if ours == name:
                self.fail(f"{value}: {name} is given by {option}", param, ctx)
        return ours, theirs


def _compare_waveform(
    unit: Unit,
    config: Any,
    path: Path,
    as_json: bool,
    clock: str,
    reset: str,
    port: tuple[tuple[str, str], ...],
    **given: Any,
) -> None:
    from gradloom.comparison.waveform_reader import compare_waveform

    try:
        with stderr.status(f"reading {path}"):
            result = compare_waveform(
                unit.component(config),
                unit.twin(config),
                path,
                clock=None if clock == _NONE else clock,
                reset=None if reset == _NONE else reset,
                ports=dict(port),
                **given,
            )
    except ModuleNotFoundError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        show_json(
            {
                "unit": unit.name,
                "waveform": str(path),
                **vars(result.recorded),
                "clocks": result.clocks,
                "values": result.values,
                "mismatches": result.mismatches,
                "difference": vars(result.difference) if result.difference else None,
                "remarks": result.remarks,
            }
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
    cells: str | None,
    simulator: str | None,
    waves: Path | None,
    waveform: Path | None,
    as_json: bool,
    **of_waveform: Any,
) -> None:
    from boards.flow.tools import FlowError
    from gradloom.comparison.compare import compare
    from gradloom.sim.simulators import prepare

    if waveform:
        refuse(_OF_STIMULUS, "not with --waveform, where nothing is simulated")
        _compare_waveform(unit, config, waveform, as_json, **of_waveform)
        return
    refuse(_OF_WAVEFORM, "only with --waveform FILE")
    if not unit.has_cells:
        refuse(("cells",), f"{unit.name} has none of a device's own cells")
    component = unit.component(config, **({} if cells is None else {"cells": CELLS[cells]}))
    if simulator is None:
        simulator = "pysim" if cells in (None, "generic") else "cxxrtl"
    try:
        with stderr.status(f"building {unit.name}"):
            simulation = prepare(component, simulator)  # type: ignore[arg-type]
    except FlowError as error:
        raise click.ClickException(str(error)) from error
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
        show_json(
            {
                "unit": unit.name,
                "cells": cells or ("generic" if unit.has_cells else None),
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
    else:
        click.echo(result.report())
    if not result:
        sys.exit(1)


commands(
    compare_group,
    "Compare {} with its twin",
    _compare,
    (
        click.Option(
            ["--cycles"],
            type=click.IntRange(1),
            default=COMPARE_CLOCKS,
            show_default=True,
            help="Number of clock edges.",
        ),
        click.Option(
            ["--seed"],
            type=click.IntRange(0),
            default=0,
            show_default=True,
            help="Seed of the random stimulus.",
        ),
        click.Option(
            ["--cells"],
            type=click.Choice(list(CELLS)),
            help="Technology of multipliers and adders, as of `generate`: models of a device's "
            "cells are simulated, for which Yosys is needed. The default is generic.",
        ),
        click.Option(
            ["--simulator"],
            type=click.Choice(["pysim", "cxxrtl"]),
            help="Amaranth's simulator (pysim), or a compiled one (cxxrtl), which alone knows the "
            "cells of a device. The default is pysim, with such cells cxxrtl.",
        ),
        click.Option(
            ["--waves"],
            type=Output(".vcd"),
            help="Folder, or FILE.vcd, for waveforms of the first difference.",
        ),
        click.Option(
            ["--waveform"],
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Compare the values in a VCD, FST or GHW file of any simulator or logic analyser, "
            "without a simulation.",
        ),
        click.Option(
            ["--clock"],
            default="clk",
            show_default=True,
            metavar="NAME",
            help="The clock in FILE: its name in the unit's scope, or its whole path. none: there "
            "is no clock, each time unit is a sample; a time such as 10ns: a sample each 10 ns.",
        ),
        click.Option(
            ["--reset"],
            default="rst",
            show_default=True,
            metavar="NAME",
            help="The reset in FILE, like the clock. none: there is none, it is 0 throughout.",
        ),
        click.Option(
            ["--port"],
            type=_Renamed(),
            multiple=True,
            metavar="OURS=THEIRS",
            help="A port, and its name in FILE. May be given several times.",
        ),
        click.Option(
            ["--prefix"],
            default="",
            metavar="TEXT",
            help="Beginning of the names of all ports in FILE, for example top_i/array_0/inst/.",
        ),
        click.Option(
            ["--scope"],
            metavar="PATH",
            help="Path of the unit in FILE, for example tb.dut. Needed if there are several.",
        ),
        click.Option(
            ["--inputs-at-edge"],
            is_flag=True,
            help="Inputs that change together with the clock are those of this edge, as in the "
            "usual loop in C++ around a verilated unit.",
        ),
        click.Option(
            ["--from-start"],
            is_flag=True,
            help="Registers have their initial values when FILE begins: do not wait for a reset.",
        ),
        click.Option(["--json", "as_json"], is_flag=True, help="Print the result as JSON."),
    ),
)
