"""Plots of a run or a sweep, drawn from the tables in its folder. Equal tables give equal files."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from golden import check
from golden.training.runs.arrays import read_arrays
from golden.training.runs.run import HISTOGRAMS, LAYERS, METRICS
from gradloom.figures import HEIGHT, WIDTH, needed, saved
from gradloom.train.sweep import SUMMARY, grouped


def draw(folder: Path, suffix: str = "png") -> list[Path]:
    """Draw the plots of a run or a sweep, as PNG or SVG, into its folder.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    MissingError
        matplotlib is missing.
    ValueError
        The folder has neither a run nor a sweep, or a damaged one.
    """
    needed("the plots need")
    if not any((folder / name).is_file() for name in (SUMMARY, METRICS)):
        raise ValueError(f"{folder}: neither {METRICS} of a run nor {SUMMARY} of a sweep")
    try:
        return _drawn(folder, suffix)
    except check.FOREIGN as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{folder}: no plots, a table or the histograms are damaged: {reason}"
        ) from error


def _drawn(folder: Path, suffix: str) -> list[Path]:
    if (folder / SUMMARY).is_file():
        rows = _rows(folder / SUMMARY)
        return [saved(folder / f"sweep.{suffix}", lambda figure: _sweep(figure, rows))]
    metrics, layers = _rows(folder / METRICS), _rows(folder / LAYERS)
    made = []
    if metrics:
        made += [
            saved(folder / f"error.{suffix}", lambda figure: _error(figure, metrics)),
            saved(folder / f"loss.{suffix}", lambda figure: _loss(figure, metrics)),
        ]
    if layers:
        made.append(saved(folder / f"layers.{suffix}", lambda figure: _layers(figure, layers)))
    if layers and (folder / HISTOGRAMS).exists():
        bars = read_arrays(folder / HISTOGRAMS)
        names = _layer_names(layers)
        made.append(
            saved(folder / f"histograms.{suffix}", lambda figure: _histograms(figure, names, bars))
        )
    return made


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except csv.Error as error:
        raise ValueError(f"{path.name}: {error}") from None


def _numbers(rows: list[dict[str, str]], column: str) -> list[float]:
    return [float(row[column]) for row in rows]


def _epochs(axes: Any, epochs: list[float]) -> None:
    """Label the axis of epochs, with ticks at whole numbers."""
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=(1, 2, 5, 10)))
    axes.margins(x=0.02)
    if len(epochs) == 1:
        axes.set_xlim(epochs[0] - 1, epochs[0] + 1)


def _curve(axes: Any, epochs: list[float], values: list[float], label: str, **style: Any) -> None:
    axes.plot(epochs, values, label=label, marker="." if len(epochs) < 40 else "", **style)


def _error(figure: Any, rows: list[dict[str, str]]) -> None:
    axes, epochs = figure.subplots(), _numbers(rows, "epoch")
    test = _numbers(rows, "test_error")
    _curve(axes, epochs, _numbers(rows, "train_error"), "training")
    _curve(axes, epochs, test, "test")
    _upright(axes, [*_numbers(rows, "train_error"), *test])
    _epochs(axes, epochs)
    axes.set_ylabel("error (%)")
    axes.set_title(f"test error {test[-1]:.2f} % after epoch {int(epochs[-1])}")
    axes.legend()


def _upright(axes: Any, values: list[float]) -> None:
    """Scale the axis of values: linear from 0 on or, if some values are far below others,
    logarithmic, with zeros below its lower end.
    """
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    positive = [value for value in values if 0 < value < np.inf]
    if not positive:
        return
    if max(positive) <= 20 * min(positive):
        axes.set_ylim(0, 1.05 * max(positive))
        return
    axes.set_yscale("log", nonpositive="clip")
    axes.set_ylim(0.8 * min(positive), 1.25 * max(positive))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _loss(figure: Any, rows: list[dict[str, str]]) -> None:
    axes, epochs = figure.subplots(), _numbers(rows, "epoch")
    losses = _numbers(rows, "train_loss")
    _curve(axes, epochs, losses, "training")
    _upright(axes, losses)
    _epochs(axes, epochs)
    axes.set_ylabel("training loss (mean per image)")
    axes.set_title("mean loss of the training batches")


def _layer_names(rows: list[dict[str, str]]) -> list[str]:
    """Return numbers and names of the layers, in order."""
    names = {int(row["layer"]): row["name"] for row in rows}
    return [f"{number}: {names[number]}" for number in sorted(names)]


def _layers(figure: Any, rows: list[dict[str, str]]) -> None:
    import matplotlib

    figure.set_size_inches(WIDTH, 1.6 * HEIGHT)
    names = _layer_names(rows)
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(names)))
    upper, lower = figure.subplots(2, sharex=True)
    for axes, column, title in (
        (upper, "saturated", "values that saturated in the forward pass"),
        (lower, "unmoved", "weights that an update did not change"),
    ):
        for number, (name, colour) in enumerate(zip(names, colours), 1):
            own = [row for row in rows if int(row["layer"]) == number]
            epochs = _numbers(own, "epoch")
            shares = [100 * share for share in _numbers(own, column)]
            _curve(axes, epochs, shares, name, color=colour)
        _epochs(axes, epochs)
        axes.set_ylabel("share (%)")
        axes.set_title(f"{title}, last step of the epoch")
    upper.set_xlabel("")
    figure.legend(*upper.get_legend_handles_labels(), title="layer", loc="outside right upper")


def _histograms(figure: Any, names: list[str], bars: Mapping[str, Any]) -> None:
    figure.set_size_inches(WIDTH, 1.5 + 1.35 * len(names))
    grid = figure.subplots(len(names), 2, squeeze=False)
    for number, (name, pair) in enumerate(zip(names, grid), 1):
        for axes, kind, colour in zip(pair, ("weights", "updates"), ("C0", "C1")):
            counts, edges = (bars[f"{kind} {number} {part}"] for part in ("counts", "edges"))
            axes.stairs(counts, edges, fill=True, color=colour)
            axes.set_yscale("symlog", linthresh=1)
            axes.set_ylim(bottom=0)
            axes.margins(x=0.02)
            axes.locator_params(axis="x", nbins=5)
        pair[0].set_ylabel(f"{name}\n(values per bar)")
    for axes, kind in zip(grid[-1], ("weight", "update of the last step")):
        axes.set_xlabel(f"{kind} (value)")
    figure.suptitle("weights and their last updates, after the last epoch")


def _sweep(figure: Any, rows: list[dict[str, str]]) -> None:
    """Plot the error over the values of the first key, one line per combination of the others."""
    groups = grouped(rows)
    if () in groups:  # only the seeds differ
        groups = {(("seed", row["seed"]),): [float(row["test_error"])] for row in rows}
    key = next(iter(groups))[0][0]
    values = list(dict.fromkeys(first for (_, first), *_ in groups))
    axes, places = figure.subplots(), _places(values)
    lines: dict[str, dict[str, list[float]]] = {}
    for ((_, first), *others), errors in groups.items():
        label = ", ".join(f"{name}={value}" for name, value in others)
        lines.setdefault(label, {})[first] = errors
    for number, (label, line) in enumerate(lines.items()):
        x = [places[value] for value in line]
        order = np.argsort(x)
        low, middle, high = (
            [pick(errors) for errors in line.values()] for pick in (min, np.median, max)
        )
        colour = f"C{number % 10}"
        style = {"label": label, "color": colour, "linestyle": "" if key == "seed" else "-"}
        axes.plot(np.take(x, order), np.take(middle, order), marker="o", **style)
        if low != high:
            bounds = np.take(low, order), np.take(high, order)
            axes.fill_between(np.take(x, order), *bounds, color=colour, alpha=0.18, linewidth=0)
        for place, errors in zip(x, line.values()):
            axes.plot([place] * len(errors), errors, ".", color=colour, alpha=0.6, markersize=4)
    axes.set_xticks(list(places.values()), list(places))
    axes.margins(x=0.05)
    axes.set_xlabel(key)
    axes.set_ylabel("test error (%)")
    most = max(map(len, groups.values()))
    axes.set_title(
        f"test error after the last epoch: median, minimum and maximum of {most} seeds"
        if most > 1
        else "test error after the last epoch"
    )
    _upright(axes, [error for errors in groups.values() for error in errors])
    if len(lines) > 1:
        axes.legend()


def _places(values: list[str]) -> dict[str, float]:
    """Return the positions of values: numbers to scale, others (or far apart ones) side by side."""
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        numbers = []
    gaps = np.diff(np.unique(numbers))
    if len(gaps) and gaps.min() > 0.03 * gaps.sum() and len(gaps) + 1 == len(values):
        return dict(zip(values, numbers))
    return {value: float(place) for place, value in enumerate(values)}
