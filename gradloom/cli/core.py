"""`gradloom estimate core`, and the options of all commands for a network on the training core."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gradloom.cli.base import Output, cli, of_option, show_json
from gradloom.cli.build import OPTIONS, build_group, run_build
from gradloom.cli.train import DATA, SETTINGS, dataset_of, say

if TYPE_CHECKING:
    from boards.target import Target
    from golden.core.lower import Compiled
    from golden.datasets import Dataset

#: Steps of a timeline.
STEPS = 4
#: The fastest clock, in MHz.
MOST_MHZ = 10_000
#: The most values of an image.
MOST_VALUES = 1 << 16

#: Options of a network on the core.
_NETWORK = (
    click.argument("recipe"),
    DATA,
    click.option(
        "--image",
        metavar="HxWxC",
        help="Shape of an image, as 28x28x1, without a data set; random images are taken.",
    ),
    click.option("--classes", type=click.IntRange(2, 256), help="Number of classes, with --image."),
    SETTINGS,
    click.option(
        "--inputs",
        type=click.IntRange(1, 2),
        default=1,
        show_default=True,
        help="Buffers for the samples of a step: with 2, the next step's come while this one runs.",
    ),
    click.option(
        "--gradients",
        type=click.Choice(["auto", "stored", "twice"]),
        default="auto",
        show_default=True,
        help="Store all sums of a gradient until its scale is known, or make the product twice: "
        "auto stores what fits.",
    ),
)


def of_network(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the recipe and the options of a network on the core (decorator)."""
    for option in reversed(_NETWORK):
        command = option(command)
    return command


def _dataset(data: Path | None, image: str | None, classes: int | None) -> "Dataset":
    """Return the data set of --data, the digits, or random images of --image."""
    import numpy as np

    from golden.datasets import Dataset

    if image is None:
        if classes is not None:
            raise click.UsageError("--classes is for --image; a data set has its own")
        return dataset_of(data)
    if data is not None:
        raise click.UsageError("--image or --data, not both")
    if classes is None:
        raise click.UsageError("--image needs --classes, the number of classes")
    try:
        height, width, channels = (int(part) for part in image.lower().split("x"))
        if min(height, width, channels) < 1:
            raise ValueError
    except ValueError:
        raise click.UsageError(
            f"--image {image}: height, width and channels are wanted, each at least 1, as 28x28x1"
        ) from None
    if (values := height * width * channels) > MOST_VALUES:
        raise click.UsageError(f"--image {image}: {values:,} values, allowed are {MOST_VALUES:,}")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4096, height, width, channels), np.uint8)
    labels = (np.arange(4096) % classes).astype(np.uint8)
    return Dataset(
        name=f"random images of {image}",
        train_images=images,
        train_labels=labels,
        test_images=images[:256],
        test_labels=labels[:256],
        classes=classes,
        pixel_max=255,
    )


def network_of(
    recipe: str,
    data: Path | None,
    image: str | None,
    classes: int | None,
    settings: tuple[str, ...],
    inputs: int,
    gradients: str,
    target: "Target | None" = None,
) -> "tuple[Compiled, Dataset]":
    """Return the network of the options `_NETWORK` on a core, and its data set."""
    from golden.core.lower import compiled, fitting
    from golden.core.lowering import Gradients
    from golden.training import toml
    from gradloom.core.estimate import fits

    dataset = _dataset(data, image, classes)
    network = toml.load(recipe, settings), dataset.shape, dataset.classes
    if gradients == "auto" and target is not None:
        made = fitting(*network, inputs=inputs, fits=lambda config: fits(config, target))
    else:
        form = Gradients.STORED if gradients == "auto" else Gradients(gradients)
        made = compiled(*network, inputs=inputs, gradients=form)
    return made, dataset


def _checked_clock(context: click.Context, parameter: click.Parameter, clock: float) -> float:
    if not 0 < clock <= MOST_MHZ:  # nan neither
        raise click.BadParameter(f"{clock:g}: allowed are numbers above 0, to {MOST_MHZ}")
    return clock


def _file(path: Path, name: str) -> Path:
    """Return a path that was given as one of a file; in a folder, a file of this name."""
    file = path if path.suffix == Path(name).suffix else path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


@cli.group(
    name="estimate",
    help="Estimate clocks and memory before any synthesis.",
    short_help="Estimate clocks and memory before any synthesis.",
)
def estimate_group() -> None:
    """Estimate clocks and memory before any synthesis."""


@estimate_group.command(
    name="core",
    help="Estimate the training core of RECIPE: clocks of a step, use of the array, memory.",
    short_help="Estimate a network's training core.",
)
@of_network
@click.option(
    "--clock",
    type=float,
    callback=_checked_clock,
    default=100.0,
    show_default=True,
    metavar="MHZ",
    help="The clock, for samples a second; at most 10000.",
)
@click.option(
    "--target", metavar="NAME", help="Count block RAMs of this target, from `gradloom targets`."
)
@click.option(
    "--timeline",
    type=Output(".json"),
    metavar="FILE",
    help="Write when each engine does what, as a Chrome trace for Perfetto.",
)
@click.option(
    "--picture",
    type=Output(".svg"),
    metavar="FILE",
    help="Draw the same timeline, as an SVG file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the estimate as JSON.")
def estimate_core(
    recipe: str,
    clock: float,
    target: str | None,
    timeline: Path | None,
    picture: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """The command `gradloom estimate core`."""
    from boards.target import find
    from gradloom.core.estimate import estimate

    with of_option("--target"):
        fitted = find(target) if target else None
    network, _ = network_of(recipe, **given, target=fitted)
    found = estimate(network, clock, fitted)
    if timeline is not None or picture is not None:
        from golden.core.schedule import schedule

        spans = list(schedule(network.config, network.train, STEPS))
    if timeline is not None:
        from gradloom.core.timeline import write

        file = _file(timeline, "timeline.json")
        write(file, spans)
        say(f"{file}: {STEPS} steps, for Perfetto and other viewers of Chrome traces")
    if picture is not None:
        from gradloom.core.timetable import draw
        from gradloom.figures import MissingError

        file = _file(picture, "timeline.svg")
        try:
            draw(file, spans)
        except MissingError as error:
            raise click.ClickException(str(error)) from error
        say(f"{file}: {STEPS - 1} steps")
    if as_json:
        show_json(found.as_dict())
    else:
        click.echo(found.report())


@build_group.command(
    name="core",
    help=(
        "Synthesise, place and route the training core of RECIPE. Its memories and lists have the "
        "sizes that the network takes."
    ),
    short_help="The training core of a network.",
    params=list(OPTIONS),
)
@of_network
def build_core(recipe: str, **given: Any) -> None:
    """The command `gradloom build core`."""
    from gradloom.core.build import CoreDesign, training

    options = {option.name: given.pop(option.name) for option in OPTIONS if option.name}

    def configure(target: "Target") -> tuple[Any, dict[str, Any]]:
        network, _ = network_of(recipe, **given, target=target)
        return network.config, {"training": training(network)}

    run_build(CoreDesign(), configure, **options)
