"""`gradloom compare core`: a network on the simulated training core beside the golden trainer."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from gradloom.cli.base import Output, bar, fail, refuse, show_json
from gradloom.cli.compare import COMPILED, compare_group
from gradloom.cli.core import network_of, of_network


@compare_group.command(
    name="core",
    help=(
        "Compare training steps of RECIPE on the simulated core with the golden trainer's.\n\n"
        "Every write into every store is compared: its clock, bank, address and value."
    ),
    short_help="Compare training steps on the core with the golden trainer's.",
)
@of_network
@click.option(
    "--steps",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    help="Number of steps; with --infer, of whole batches.",
)
@click.option(
    "--from",
    "run",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="RUN",
    help="Folder of a run of RECIPE: begin at its checkpoint.",
)
@click.option(
    "--infer",
    is_flag=True,
    help="Compare the programs for inference: scores of test images, and wrong classes.",
)
@click.option(
    "--stalls",
    type=click.IntRange(0),
    metavar="SEED",
    help="Let the input and the output stream wait at random.",
)
@click.option(
    "--resets",
    type=click.IntRange(0),
    metavar="SEED",
    help="Reset the core in the middle of steps at random; it is given its weights again.",
)
@COMPILED
@click.option(
    "--waves",
    type=Output(".vcd"),
    help="Folder, or FILE.vcd, for waveforms of the first difference.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def compare_core(
    recipe: str,
    steps: int,
    run: Path | None,
    infer: bool,
    stalls: int | None,
    resets: int | None,
    simulator: str,
    waves: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """The command `gradloom compare core`."""
    from gradloom.core.errors import CoreError
    from gradloom.core.session import Compared, compare_inference, compare_steps
    from gradloom.sim import pauses

    network, dataset = network_of(recipe, **given)
    options: dict[str, Any] = {"run": run, "simulator": simulator}
    if waves is not None:
        options["waves"] = waves if waves.suffix == ".vcd" else waves / "core.vcd"
    if stalls is not None:
        options |= {"gaps": pauses(0.3, stalls), "stalls": pauses(0.3, stalls + 1)}
    if infer:
        refuse(("resets",), "not with --infer, where no step can be left half done")
    else:
        options["resets"] = resets
    compare: Callable[..., Compared] = compare_inference if infer else compare_steps
    with bar() as progress:
        first = ", which takes minutes the first time" if simulator == "cxxrtl" else ""
        building = f"building the simulator{first}"
        task = progress.add_task(building, total=steps)

        def show(done: int) -> None:
            progress.update(task, completed=done, description=f"core {recipe}")

        try:
            result = compare(
                network,
                dataset,
                steps,
                progress=show,
                **options,
            )
        except CoreError as error:
            fail(f"core {recipe}: {error}", 1)
    if as_json:
        show_json(
            {
                "recipe": recipe,
                "simulator": simulator,
                ("batches" if infer else "steps"): result.steps,
                "clocks": result.clocks,
                "writes": result.writes,
                "chunks": result.chunks,
                "resets": result.resets,
                "wrong": result.wrong,
                "states": {
                    engine.name.lower(): {state.name.lower(): n for state, n in states.items()}
                    for engine, states in result.states.items()
                },
                "differences": [vars(each) for each in result.differences],
                "files": [str(path) for path in result.files],
            }
        )
    else:
        click.echo(f"core {recipe}: {result.report()}")
        if stalls is not None:
            click.echo(result.waits())
    if not result:
        sys.exit(1)
