"""`gradloom prove`: proves units equal to their specifications, for all inputs and states."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from rich.table import Table

from golden.files import write
from gradloom.cli.base import (
    Output,
    UnitGroup,
    cli,
    commands,
    defaults,
    fail,
    results,
    show_json,
    stderr,
)
from gradloom.cli.small import with_defaults
from gradloom.units import UNITS, Unit

#: Exit status of a verdict.
_STATUS = {"proved": 0, "bounded": 0, "failed": 1, "vacuous": 1, "undecided": 3}

#: Default parameters of a proof: an array of 64 nodes is not feasible, nor are thousands of words.
_SMALL: dict[str, dict[str, Any]] = {
    "array": {"rows": 2, "columns": 2, "a": "1,2", "b": "1,2", "depth": 7},
    "banks": {"banks": 2, "words": 11, "width": 4},
    "move-nest": {"banks": 3, "address_bits": 3},
    "operand-stream": {"banks": 7, "lanes": 6, "address_bits": 3, "width": 2},
    "row-store": {"rows": 11, "lanes": 2, "width": 4},
    "threshold": {"channels": 6, "lanes": 2, "width": 8},
    "softmax": {"classes": 3, "generators": 2},
}

_OPTIONS = (
    click.Option(
        ["--timeout"],
        type=click.IntRange(1),
        default=120,
        show_default=True,
        help="Seconds for one call of the solver.",
    ),
    click.Option(
        ["--waves"],
        type=Output(),
        default=Path("prove"),
        show_default=True,
        help="Folder for the waveforms of counterexamples.",
    ),
    click.Option(
        ["--workers"],
        type=click.IntRange(1),
        help="Number of processes on this machine. The default is one module after the other.",
    ),
    click.Option(
        ["--scheduler"],
        metavar="ADDRESS",
        help="Address of a dask scheduler whose workers run the proofs, for example tcp://host:8786.",
    ),
    click.Option(["--json", "as_json"], is_flag=True, help="Print the results as JSON."),
)


@cli.group(
    name="prove",
    cls=UnitGroup,
    invoke_without_command=True,
    params=list(_OPTIONS),
    help="Prove that units fulfil their specifications, for all inputs and states. Without a "
    "unit, all units are proved.\n\n"
    "Exit status: 0 all properties are proved, 1 a property fails, 3 a property is undecided.",
    short_help="Prove that units fulfil their specifications.",
)
@click.pass_context
def prove_group(ctx: click.Context, /, **settings: Any) -> None:
    """Prove all units if there is no command for one."""
    if ctx.invoked_subcommand is None:
        _prove([(unit, _usual(unit)) for unit in UNITS.values() if unit.specification], **settings)
        return
    given = [
        option.opts[0]
        for option in _OPTIONS
        if ctx.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
    ]
    if given:
        unit = ctx.invoked_subcommand
        raise click.UsageError(f"{', '.join(given)}: give it after the unit, prove {unit} ...")


def _usual(unit: Unit) -> Any:
    """Return the default configuration of a unit's proofs."""
    return unit.configure(**defaults(_options(unit)))


def _options(unit: Unit) -> tuple[click.Option, ...]:
    """Return the unit's options, some with other defaults."""
    return with_defaults(unit, _SMALL.get(unit.name, {}))


def _prove(
    configurations: Sequence[tuple[Unit, Any]],
    *,
    timeout: int,
    waves: Path,
    workers: int | None,
    scheduler: str | None,
    as_json: bool,
) -> None:
    from boards.flow.tools import FlowError
    from gradloom.jobs import JobsError
    from gradloom.prove import Proof, prove

    found: dict[int, list[Proof]] = {}
    try:
        with stderr.status("starting Yosys") as status:
            for number, proofs in prove(
                configurations,
                patience=timeout,
                scheduler=scheduler,
                workers=workers,
                listener=lambda number, text: status.update(text),
            ):
                found[number] = proofs
    except (FlowError, JobsError) as error:
        fail(str(error))
    proofs = [proof for number in sorted(found) for proof in found[number]]
    names = {
        proof: f"{proof.module}-{proof.property.replace(' ', '-')}.vcd"
        for proof in proofs
        if proof.waveform
    }
    files: dict[Proof, Path] = {}
    if names:
        try:
            write({name: proof.waveform for proof, name in names.items()}, waves)
        except OSError as error:  # the verdicts count, with or without waveforms
            print(f"gradloom: no waveforms: {error}", file=sys.stderr)
        else:
            files = {proof: waves / name for proof, name in names.items()}
    if as_json:
        show_json(
            [
                {**proof.as_dict(), "file": str(files[proof]) if proof in files else None}
                for proof in proofs
            ],
            indent=2,
        )
    else:
        _print(proofs, files)
    statuses = {_STATUS[proof.verdict] for proof in proofs}
    sys.exit(1 if 1 in statuses else max(statuses))


def _print(proofs: Sequence[Any], files: dict[Any, Path]) -> None:
    """Print the table, and then the properties that are not proved."""
    table = Table(box=None, pad_edge=False)
    for heading in ("module", "property", "verdict", "method", "assumed"):
        table.add_column(heading, no_wrap=True)
    table.add_column("s", justify="right")
    for proof in proofs:
        table.add_row(
            proof.module,
            proof.property,
            proof.verdict,
            proof.method,
            proof.assumed,
            f"{proof.seconds:.1f}",
        )
    results().print(table)
    for proof in proofs:
        if proof.verdict in ("proved", "bounded"):
            continue
        click.echo(f"\n{proof.module}, {proof.property}: {proof.verdict}, {proof.why}")
        click.echo(f"  property: {proof.statement}")
        for line in proof.counterexample:
            click.echo(f"  {line}")
        if proof in files:
            click.echo(f"  waveform: {files[proof]}")


def _prove_one(unit: Unit, config: Any, **settings: Any) -> None:
    _prove([(unit, config)], **settings)


commands(prove_group, "Prove the properties of {}", _prove_one, _OPTIONS, _options)
