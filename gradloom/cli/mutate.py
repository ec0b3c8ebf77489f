"""`gradloom mutate`: small faults in a unit's netlist, and the checks that find them."""

import sys
from typing import Any

import click
from rich.table import Table

from gradloom.cli.base import UnitGroup, cli, commands, fail, results, show_json, stderr
from gradloom.cli.small import with_defaults
from gradloom.units import Unit

#: Default parameters: multipliers of a few bits, counters that wrap.
SMALL: dict[str, dict[str, Any]] = {
    "array": {"rows": 4, "columns": 4, "a": "1,2", "b": "1,2", "depth": 7},
    "banks": {"banks": 2, "words": 11, "width": 4},
    "grid-update": {"width": 8, "rate_bits": 2, "most_shift": 5, "fine": "3,6"},
    "macc": {"a": "1,3", "b": "1,3", "depth": 15},
    "momentum-update": {
        "width": 8,
        "fraction": 4,
        "word": "2,3",
        "rate_bits": 4,
        "rate_fraction": 3,
        "momentum_bits": 3,
        "momentum_fraction": 3,
        "decay_bits": 2,
        "decay_fraction": 4,
    },
    "move-nest": {"banks": 3, "address_bits": 5},
    "operand-stream": {"banks": 7, "lanes": 6, "address_bits": 4, "width": 3},
    "pass-nest": {"banks": 3, "address_bits": 19, "s_bits": 20, "k_bits": 20},
    "product-nest": {"rows": 6, "banks": 3, "address_bits": 19, "row_bits": 20},
    "row-store": {"rows": 11, "lanes": 2, "width": 4},
    "threshold": {"channels": 6, "lanes": 2, "width": 7},
    "softmax": {"classes": 3, "outputs": "3,5", "error": "2,6", "generators": 2},
    "wage-update": {"width": 16},
}

_OPTIONS = (
    click.Option(
        ["--mutants"],
        type=click.IntRange(1, 100_000),
        default=500,
        show_default=True,
        help="Largest number of mutants; the netlist may have fewer.",
    ),
    click.Option(
        ["--seed"],
        type=click.IntRange(0),
        default=1,
        show_default=True,
        help="Seed of the choice of mutants.",
    ),
    click.Option(
        ["--timeout"],
        type=click.IntRange(1),
        default=20,
        show_default=True,
        help="Seconds for one call of the solver.",
    ),
    click.Option(
        ["--workers"],
        type=click.IntRange(1),
        help="Number of processes on this machine that examine mutants. The default is one.",
    ),
    click.Option(
        ["--scheduler"],
        metavar="ADDRESS",
        help="Address of a dask scheduler whose workers examine mutants, for example tcp://host:8786.",
    ),
    click.Option(["--json", "as_json"], is_flag=True, help="Print the results as JSON."),
)


@cli.group(
    name="mutate",
    cls=UnitGroup,
    help=(
        "Make small faults in a unit's netlist, and check that the testbench finds each.\n\n"
        "Exit status: 0 every mutant is killed or equivalent, 1 some survive, 3 some are "
        "undecided."
    ),
    short_help="Check that the testbench finds small faults.",
)
def mutate_group() -> None:
    """The command `gradloom mutate`."""


def options(unit: Unit) -> tuple[click.Option, ...]:
    """Return the unit's options, some with other defaults."""
    return with_defaults(unit, SMALL.get(unit.name, {}))


def _mutate(
    unit: Unit,
    config: Any,
    *,
    mutants: int,
    seed: int,
    timeout: int,
    workers: int | None,
    scheduler: str | None,
    as_json: bool,
) -> None:
    from boards.flow.tools import FlowError
    from gradloom.jobs import JobsError
    from gradloom.mutate import mutate
    from gradloom.sim.cxxrtl import BuildError

    try:
        with stderr.status("starting Yosys") as status:
            report = mutate(
                unit,
                config,
                count=mutants,
                seed=seed,
                patience=timeout,
                workers=workers,
                scheduler=scheduler,
                listener=lambda number, text: status.update(text),
            )
    except (FlowError, JobsError, BuildError) as error:
        fail(str(error))
    if as_json:
        show_json(report.as_dict(), indent=2)
    else:
        click.echo(f"{len(report.mutants)} mutants of {unit.name}, seed {seed}, {report.yosys}")
        table = Table(box=None, pad_edge=False)
        for heading in HEADINGS:
            table.add_column(heading, no_wrap=True, justify="right")
        table.add_row(*row(report))
        results().print(table)
        for mutant in report.mutants:
            if mutant.fate not in ("testbench", "equivalent"):
                click.echo(f"  {mutant.fate}: {mutant.mutation}")
    if report.count("survives"):
        sys.exit(1)
    if report.count("undecided"):
        sys.exit(3)


#: Headings of the table.
HEADINGS = (
    "unit",
    "mutants",
    "testbench",
    "compare",
    "proof",
    "equivalent",
    "survive",
    "undecided",
    "s",
)


def row(report: Any) -> list[str]:
    """Return a row of the table."""
    counts = ("testbench", "compare", "proof", "equivalent", "survives", "undecided")
    return [
        report.unit,
        str(len(report.mutants)),
        *(str(report.count(fate)) for fate in counts),
        f"{report.seconds:.0f}",
    ]


commands(mutate_group, "Mutate the netlist of {}", _mutate, _OPTIONS, options)
