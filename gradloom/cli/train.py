"""`gradloom train` and `gradloom demo`: training in integers."""

import sys
from pathlib import Path

import click
from rich.console import Console

from gradloom.cli.base import bar, cli


@cli.command()
@click.argument("recipe", default="wage")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Folder with IDX files (train-images-idx3-ubyte and so on, plain or .gz); "
    "the digits without it.",
)
@click.option(
    "--set",
    "settings",
    metavar="KEY=VALUE",
    multiple=True,
    help="Vary the recipe, as in --set batch=64.",
)
def train(recipe: str, data: Path | None, settings: tuple[str, ...]) -> None:
    """Train in integers, as the hardware would: RECIPE is wage (the default) or gupta."""
    from golden.datasets import digits, idx
    from golden.training import new_trainer
    from gradloom.recipes import RECIPES, keys, varied

    if recipe not in RECIPES:
        raise click.BadParameter(
            f"{recipe!r}: allowed are {', '.join(RECIPES)}", param_hint="RECIPE"
        )
    chosen = varied(RECIPES[recipe], settings)
    dataset = digits() if data is None else idx(data)
    trainer = new_trainer(chosen, dataset)
    click.echo(f"{recipe}: {' '.join(keys(chosen))}")
    click.echo(
        f"{dataset.name}: {len(dataset.train_images):,} images to train with, "
        f"{len(dataset.test_images):,} to test"
    )
    with bar() as progress:
        task = progress.add_task("epochs", total=chosen.epochs)
        for epoch in trainer.epochs(dataset):
            progress.advance(task)
            click.echo(
                f"epoch {epoch.epoch:3}: loss {epoch.train.mean_loss:.4f}, "
                f"training error {epoch.train.error:5.2f} %, "
                f"test error {epoch.test.error:5.2f} %, {epoch.seconds:.2f} s"
            )


@cli.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default="build/demo",
    show_default=True,
    help="Folder for the Verilog.",
)
@click.option(
    "--simulator",
    type=click.Choice(["pysim", "cxxrtl"]),
    default="pysim",
    show_default=True,
    help="Amaranth's own, or compiled ones.",
)
def demo(output: Path, simulator: str) -> None:
    """Train on digits in integers, send a step through the hardware, write Verilog."""
    from gradloom.demo import run

    with bar() as progress:
        agree = run(output, simulator, Console(highlight=False), progress)  # type: ignore[arg-type]
    if not agree:
        sys.exit(1)
