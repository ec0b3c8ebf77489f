"""`gradloom compare step`: the operations of a training step on the simulated units."""

import sys
from pathlib import Path

import click

from gradloom.cli.base import bar, results, show_json
from gradloom.cli.compare import COMPILED, compare_group
from gradloom.cli.train import DATA, SETTINGS, dataset_of


@compare_group.command(
    name="step",
    help=(
        "Carry out a training step of RECIPE on the units, and compare every port at every clock, "
        "and every result with the golden trainer's.\n\n"
        "Each operation of the step goes through its unit with the operands, the order and the "
        "random bits of the training. Networks for the digits take seconds; of larger ones a "
        "smaller form does: --set network=12FC --set batch=4."
    ),
    short_help="Compare the operations of a training step on the units.",
)
@click.argument("recipe")
@DATA
@SETTINGS
@click.option(
    "--step",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Number of the step, from the recipe's first weights on.",
)
@COMPILED
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def compare_step(
    recipe: str,
    data: Path | None,
    settings: tuple[str, ...],
    step: int,
    simulator: str,
    as_json: bool,
) -> None:
    """The command `gradloom compare step`."""
    from golden.training import toml
    from gradloom.train.one_step import in_floating_point, left_out, recorded_step
    from gradloom.train.replay import unit_replays
    from gradloom.train.replayed import agree, replayed, table, totals

    trainer, record = recorded_step(toml.load(recipe, settings), dataset_of(data), step)
    with bar() as progress:
        outcomes = replayed(recipe, unit_replays(trainer, record), simulator, progress)  # type: ignore[arg-type]
    left, floats = left_out(record), in_floating_point(record)
    if as_json:
        show_json(
            {
                "recipe": recipe,
                "step": step,
                "simulator": simulator,
                "operations": len(record),
                "units": [
                    {
                        "title": outcome.replay.title,
                        "unit": outcome.replay.unit.name,
                        "operations": len(outcome.replay.pieces),
                        "clocks": outcome.comparison.clocks,
                        "values": outcome.comparison.values,
                        "mismatches": outcome.comparison.mismatches,
                        "results": outcome.replay.results,
                        "differ": outcome.against_training,
                    }
                    for outcome in outcomes
                ],
                "floating_point": floats,
                "left_out": left,
            }
        )
    else:
        out = results()
        out.print(table(outcomes))
        for outcome in outcomes:
            if not outcome.comparison:
                out.print(f"{outcome.replay.title}: {outcome.comparison.report()}", markup=False)
        count, differ = totals(outcomes)
        out.print(
            f"Step {step} of {recipe}, {len(record)} operations: of {count:,} results of the "
            f"training model, {differ:,} differ.",
            highlight=False,
        )
        if floats:
            out.print(f"In floating point, and so not on hardware: {'; '.join(floats)}.")
        if left:
            out.print(f"No unit carries out: {', '.join(left)}.")
    if left or not agree(outcomes):
        sys.exit(1)
