"""The published results again: trains the systems of docs/results.md, and writes that page.

    python bench/results.py --data DIR --out FOLDER [--only GROUP ...] [--workers N]

DIR holds MNIST (`gradloom data fetch mnist`). FOLDER gets a folder a run; called again, what is
there goes on where it stopped. `--page` trains nothing and makes the page of docs/results.json,
which holds what every epoch of every run came to (with `--out`, of what is in FOLDER by now). Needs
the extra `train`.
"""

import argparse
import csv
import json
import os
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from versions import ran_on

from golden.files import replaced
from golden.training import toml
from golden.training.runs.run import METRICS
from gradloom.train.sweep import Point, sweep

ROOT = Path(__file__).parent.parent
FIGURES = ROOT / "docs" / "results.json"
PAGE = ROOT / "docs" / "results.md"
IMAGES = ROOT / "docs" / "images"


@dataclass(frozen=True)
class Row:
    """A line of a table: a recipe, what is varied, and what the paper has.

    `paper` is a test error in per cent, as it is printed or read off a figure. `name` is what the
    folders of its runs begin with, where recipe and settings make none.
    """

    label: str
    recipe: str
    settings: tuple[str, ...] = ()
    paper: str = ""
    name: str = ""

    @property
    def run_name(self) -> str:
        """What the folders of its runs begin with."""
        values = (setting.partition("=")[2] for setting in self.settings)
        return self.name or "-".join([self.recipe, *values])


@dataclass(frozen=True)
class Group:
    """A table."""

    name: str
    title: str
    source: str
    rows: tuple[Row, ...]
    seeds: int = 1
    mnist: bool = True  # else the digits that travel with the code


GROUPS = (
    Group(
        "gupta-dnn",
        "Gupta: fully connected, MNIST",
        "784-1000-1000-10, ReLU, cross-entropy, minibatch 100; every word 16 bits, <16-FL,FL>. "
        "Gupta et al. 2015, section 4.1; the paper's figures are read off its figure 1.",
        (
            Row("float32", "float-gupta-dnn", (), "1.4"),
            *(
                Row(
                    f"FL = {fl}, {rounding}",
                    "gupta-dnn",
                    (f"formats.fl={fl}", f"rounding={rounding}"),
                    paper,
                )
                for fl, rounding, paper in (
                    (14, "stochastic", "about 1.45"),
                    (10, "stochastic", "about 1.45"),
                    (8, "stochastic", "about 1.5"),
                    (14, "nearest", "about 1.45"),
                    (10, "nearest", "about 1.75"),
                    (8, "nearest", "about 3.0"),
                )
            ),
        ),
        seeds=3,
    ),
    Group(
        "gupta-cnn",
        "Gupta: convolutional, MNIST",
        "Two convolutions of 5 x 5 (8 and 16 channels) with max-pooling, 128 neurons; outputs in "
        "<6,10>. Gupta et al. 2015, section 4.1.",
        (
            Row("float32", "float-gupta-cnn", (), "0.77"),
            Row(
                "FL = 14, stochastic", "gupta-cnn", ("formats.fl=14", "rounding=stochastic"), "0.83"
            ),
            Row(
                "FL = 12, stochastic", "gupta-cnn", ("formats.fl=12", "rounding=stochastic"), "0.90"
            ),
            Row(
                "FL = 14, nearest",
                "gupta-cnn",
                ("formats.fl=14", "rounding=nearest"),
                "does not converge",
            ),
        ),
    ),
    Group(
        "wage-mlp",
        "WAGE: fully connected, MNIST",
        "784-1000-1000-10, squared loss, 2-8-8-8. Network and learning rates are ours.",
        (Row("2-8-8-8", "wage-mlp"),),
        seeds=3,
    ),
    Group(
        "wage-cnn",
        "WAGE: convolutional, MNIST",
        "32C5-MP2-64C5-MP2-512FC-10, squared loss, 2-8-8-8. Wu et al. 2018, section 4.1: 100 "
        "epochs at a learning rate of 1; the paper's figure is the mean of ten runs. The rates of "
        "the recipe `wage-cnn`, ours, begin at 8 and halve. The paper does not say whether its "
        "convolutions are padded; ours are not, unless the line says so.",
        (
            Row("float32", "float-wage-cnn", ("epochs=10",)),
            Row(
                "2-8-8-8, the paper's schedule",
                "wage-cnn",
                ("epochs=100", "rates=1:0"),
                "0.40",
                "wage-cnn-paper",
            ),
            Row("2-8-8-8, the recipe's rates", "wage-cnn"),
            Row(
                "padded by 2, the recipe's rates",
                "wage-cnn",
                ("network=32C5p2-MP2-64C5p2-MP2-512FC",),
                name="wage-cnn-padded",
            ),
        ),
    ),
    Group(
        "wage-variants",
        "WAGE: what the paper leaves open, MNIST",
        "The network above, unpadded, with the recipe's rates and one thing changed; one seed.",
        (
            Row("as the recipe", "wage-cnn"),
            Row("minibatch 64", "wage-cnn", ("batch=64",), name="wage-cnn-batch-64"),
            Row("c = 3", "wage-cnn", ("c=3",), name="wage-cnn-c-3"),
            Row("first weights as released", "wage-cnn", ("start=released",)),
            Row(
                "all as in the released code",
                "wage-cnn",
                ("c=3", "start=released", "saturation=half"),
                name="wage-cnn-all-released",
            ),
        ),
    ),
    Group(
        "order",
        "Order of the samples: the digits",
        "An epoch takes the images in a permutation of PCG64, or in an order that hardware can "
        "make of an LFSR and a key (`order = lfsr`).",
        tuple(
            Row(f"{name}, {order}", f"digits-{recipe}", (f"order={order}",))
            for name, recipe in (("WAGE", "wage"), ("Gupta", "gupta"))
            for order in ("permutation", "lfsr")
        ),
        seeds=5,
        mnist=False,
    ),
    Group(
        "li",
        "Li: rules for weights on a grid, MNIST",
        "256FC-256FC-10 and one step-size schedule for all rules; weights on a grid of nine values "
        "(-1 to 1 in quarters, times a power of two a layer). The claim of Li et al. 2017 is the "
        "ordering float < BC < big-batch SR < SR < R. Grid and schedule were chosen after trials "
        "of about seven others with seed 0, in half of which big-batch SR was ahead of SR.",
        (
            Row("float32", "float-li-bc"),
            Row("BC", "li-bc"),
            Row("big-batch SR", "li-bigsr"),
            Row("SR", "li-sr"),
            Row("R", "li-r"),
        ),
        seeds=5,
    ),
    Group(
        "others",
        "BNN, HWGQ, DoReFa: MNIST",
        "Networks and schedules are ours; the papers have no such rows.",
        (
            Row("BNN", "bnn-mlp"),
            Row("HWGQ, binary weights", "hwgq-cnn", ("epochs=4", "learning_rate_factor=0.4")),
            Row("DoReFa", "dorefa-cnn", ("epochs=4", "learning_rate_factor=0.4")),
        ),
    ),
)


def points(group: Group) -> list[list[Point]]:
    """The runs of each of a table's lines, a seed each."""
    found = []
    for row in group.rows:
        recipes = [toml.load(row.recipe, [*row.settings, f"seed={n}"]) for n in range(group.seeds)]
        found.append(
            [Point(values=(("recipe", row.run_name),), recipe=recipe) for recipe in recipes]
        )
    return found


def train(groups: list[Group], data: Path, out: Path, workers: int) -> None:
    """Carry out what is not done yet."""
    for source in (data, None):
        found = {
            point.name: point
            for group in groups
            if group.mnist == (source is not None)
            for line in points(group)
            for point in line
        }
        runs = list(found.values())
        for number, row in sweep(runs, out, data=source, resume=True, workers=workers):
            print(
                f"{runs[number].name}: test error {row['test_error']:.2f} % after epoch "
                f"{row['epoch']}, {row['seconds']:.0f} s",
                flush=True,
            )


def collected(groups: list[Group], out: Path) -> dict[str, Any]:
    """What the runs of some tables came to, as docs/results.json has it."""
    found: dict[str, Any] = {}
    for group in groups:
        for row, line in zip(group.rows, points(group)):
            runs = []
            for point in line:
                path = out / point.name / METRICS
                if not path.exists():
                    continue
                with path.open(newline="") as file:
                    epochs = list(csv.DictReader(file))
                if len(epochs) < point.recipe.epochs:
                    continue  # not done yet
                runs.append(
                    {
                        "seed": point.recipe.seed,
                        "recipe": toml.written(point.recipe),
                        **{
                            column: [round(float(epoch[column]), 4) for epoch in epochs]
                            for column in ("train_loss", "train_error", "test_error", "seconds")
                        },
                    }
                )
            if runs:
                found.setdefault(group.name, {})[row.label] = runs
    return found


def spread(values: list[float]) -> str:
    """The median, and the least and the greatest where there are several."""
    middle = f"{statistics.median(values):.2f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):.2f} to {max(values):.2f})"


def table(group: Group, lines: dict[str, Any]) -> list[str]:
    """A table of the page."""
    several = group.seeds > 1
    head = ["", "paper, %", "test error, %", "training error, %", "epochs", "seeds", "s an epoch"]
    rows = [head, ["---"] + ["---:"] * (len(head) - 1)]
    for row in group.rows:
        if not (runs := lines.get(row.label)):
            continue
        rows.append(
            [
                row.label,
                row.paper or "-",
                f"**{spread([run['test_error'][-1] for run in runs])}**",
                spread([run["train_error"][-1] for run in runs]),
                str(len(runs[0]["test_error"])),
                str(len(runs)),
                f"{statistics.median(s for run in runs for s in run['seconds']):.0f}",
            ]
        )
    command = f"python bench/results.py --data DIR --out FOLDER --only {group.name}"
    return [
        f"## {group.title}",
        "",
        group.source,
        "",
        *(f"| {' | '.join(cells)} |" for cells in rows),
        "",
        f"![Test error by epoch](images/results-{group.name}.svg)",
        "",
        *([ordered(group, lines), ""] if several else []),
        ("Medians over the seeds, and the ranges. " if several else "") + f"`{command}`",
        "",
    ]


def ordered(group: Group, lines: dict[str, Any]) -> str:
    """The lines of a table by their medians, in a sentence."""
    medians = {
        row.label: statistics.median(run["test_error"][-1] for run in lines[row.label])
        for row in group.rows
        if row.label in lines
    }
    return f"Measured order: {' < '.join(sorted(medians, key=medians.__getitem__))}."


def plot(group: Group, lines: dict[str, Any]) -> None:
    """Test error by epoch of every line, with all its seeds."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    style = {"svg.hashsalt": "gradloom", "svg.fonttype": "none", "font.size": 10}
    with pyplot.rc_context(style):
        figure, axes = pyplot.subplots(figsize=(7.2, 4.2), layout="constrained")
        for number, row in enumerate(group.rows):
            for run in lines.get(row.label, ()):
                errors = run["test_error"]
                label = row.label if run is lines[row.label][0] else None
                epochs = range(1, len(errors) + 1)
                axes.plot(epochs, errors, color=f"C{number}", label=label, linewidth=1.2)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel("epoch")
        axes.set_ylabel("test error, %")
        axes.grid(alpha=0.3, which="both")
        axes.legend(frameon=False)
        IMAGES.mkdir(exist_ok=True)
        with replaced(IMAGES / f"results-{group.name}.svg") as temporary:
            figure.savefig(temporary, format="svg", metadata={"Date": None})
        pyplot.close(figure)


INTRODUCTION = """# Results

Trainings in integers, beside what the papers report. Every figure is the **last** epoch's test
error on MNIST's 10,000 test images, of training on all its 60,000 others without augmentation; no
epoch was picked, and no seed left out. Where fewer epochs ran than a paper has, the table says how
many did.
The float32 lines are the same networks in floats, for comparison; their bits depend on the machine,
those of all others do not: the same recipe gives the same numbers anywhere.
The rows of MNIST below are of an earlier order of draws, and are to be measured again: the bits are
others now, what is reached should not be.

`python bench/results.py --data DIR --out FOLDER` trains all of it again and writes this page; what
every epoch came to, and every recipe in full, is in `docs/results.json`.
"""

CIFAR = """## CIFAR-10 and SVHN

Not trained here: no data, and too long for two cores. The recipes are there (`gupta-cifar`,
`wage-vgg`), and tests train them for some steps on a small made set of CIFAR-10's format. The
papers' figures, for whoever runs them:

| system | data | test error, % |
|---|---|---:|
| Gupta, float | CIFAR-10 | 24.6 |
| Gupta, FL = 14, stochastic | CIFAR-10 | 25.4 |
| Gupta, FL = 12, stochastic | CIFAR-10 | 28.8 |
| Gupta, FL = 14, nearest | CIFAR-10 | collapses |
| WAGE 2-8-8-8, VGG-like | CIFAR-10 | 6.78 |
| WAGE 2-8-8-8, VGG-like | SVHN | 1.92 |
"""


def page(figures: dict[str, Any]) -> None:
    """docs/results.md and its pictures, of docs/results.json."""
    parts = [INTRODUCTION]
    for group in GROUPS:
        if lines := figures["groups"].get(group.name):
            parts.append("\n".join(table(group, lines)))
            plot(group, lines)
    parts.append(CIFAR)
    parts.append(f"## How it was measured\n\n{figures['measured']}\n")
    with replaced(PAGE) as temporary:
        temporary.write_text("\n".join(parts))


def measured(workers: int) -> str:
    """With what, in a sentence."""
    return (
        f"{ran_on()}, {workers} runs at a time with one thread each. "
        "Seconds are those of the run's own clock, with whatever else the machine was doing."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="The published results again, and their page.")
    parser.add_argument("--data", type=Path, help="folder of MNIST")
    parser.add_argument("--out", type=Path, help="folder of the runs")
    parser.add_argument("--only", nargs="+", choices=[g.name for g in GROUPS], help="these tables")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--page", action="store_true", help="train nothing, make the page")
    given = parser.parse_args()
    figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {"groups": {}}
    if not given.page or given.out:
        if not given.out or not (given.data or given.page):
            parser.error("--data and --out are wanted, or --page")
        groups = [group for group in GROUPS if not given.only or group.name in given.only]
        if not given.page:
            train(groups, given.data, given.out, given.workers)
        figures["groups"] |= collected(groups, given.out)
        figures["measured"] = measured(given.workers)
        with replaced(FIGURES) as temporary:
            temporary.write_text(json.dumps(figures, indent=1) + "\n")
    page(figures)


if __name__ == "__main__":
    main()
