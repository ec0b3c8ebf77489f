"""A timetable of the engines as a picture, drawn from its Chrome trace."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from golden.core.isa import Engine
from golden.core.schedule import Span
from gradloom.core.timeline import trace
from gradloom.figures import WIDTH, needed, saved

#: Words in a chunk's name, of which the first one that is in it says what the chunk belongs to.
_KINDS = {
    "update": "updates",
    "gradient": "gradients",
    "error": "errors",
    "forward": "forward pass",
    "activate": "forward pass",
    "": "streams",
}
#: Colours by what the legend says; those of Okabe and Ito, which colour-blind readers can tell
#: apart. Waits are hatched.
_COLOURS = {
    "streams": "#56b4e9",
    "forward pass": "#0072b2",
    "errors": "#e69f00",
    "gradients": "#009e73",
    "updates": "#cc79a7",
    "waits": "#ececec",
}
_HATCH: dict[str, Any] = {"hatch": "/////", "edgecolor": "#8c8c8c"}
#: Inches of an engine's line, of a step beside these, of the margins left and right, of the legend
#: above, and of the name of the axis below.
_LINE, _STEP, _LEFT, _RIGHT, _LEGEND, _AXIS = 0.34, 0.32, 0.6, 0.15, 0.4, 0.2
#: Top and bottom of a bar in its line; the line is 1 high.
_TOP, _BOTTOM = 0.42, 0.94
#: Points of the names over the bars, and the width of a letter as a part of it.
_POINTS, _LETTER = 6.5, 0.56


@dataclass(frozen=True, kw_only=True)
class _Bar:
    """Chunks of a task without a gap between them, or a wait, which has no step. In clocks."""

    engine: int
    name: str
    step: int | None
    first: int
    end: int

    @property
    def kind(self) -> str:
        if self.step is None:
            return "waits"
        return next(kind for word, kind in _KINDS.items() if word in self.name)


def draw(path: Path, spans: Iterable[Span]) -> None:
    """Draw steps as an SVG or a PNG, one below the other.

    Every engine that works has a line. A step lasts from the array's first product to that of the
    next step; so the last step is not drawn.

    Parameters
    ----------
    path
        The file.
    spans
        The chunks of at least two steps.

    Raises
    ------
    MissingError
        matplotlib is missing.
    """
    needed("the picture needs")
    bars = _bars(trace(spans)["traceEvents"])
    saved(path, lambda figure: _steps(figure, bars))


def _bars(events: Iterable[dict[str, Any]]) -> list[_Bar]:
    """Return the bars of a trace's events, engine by engine."""
    bars: list[_Bar] = []
    lasting = [event for event in events if event["ph"] == "X"]
    for event in sorted(lasting, key=lambda event: (event["tid"], event["ts"])):
        bar = _Bar(
            engine=event["tid"],
            name=event["name"],
            step=event["args"]["step"] if event["cat"] == "chunk" else None,
            first=event["ts"],
            end=event["ts"] + event["dur"],
        )
        if bars and bar == replace(bars[-1], first=bars[-1].end, end=bar.end):
            bars[-1] = replace(bars[-1], end=bar.end)
        else:
            bars.append(bar)
    return bars


def _steps(figure: Any, bars: Sequence[_Bar]) -> None:
    """Draw all steps, on the same scale."""
    from matplotlib.patches import Patch

    engines = sorted({bar.engine for bar in bars})
    products = [bar for bar in bars if bar.engine == Engine.ARRAY and bar.step is not None]
    begins = [min(bar.first for bar in products if bar.step == step) for step in _of(products)]
    begins[0] = 0
    clocks = max(last - first for first, last in pairwise(begins))
    lines = _LINE * len(engines)
    high = (lines + _STEP) * (len(begins) - 1) + _LEGEND + _AXIS
    figure.set_layout_engine("none")
    figure.set_size_inches(WIDTH, high)
    for step, begin in enumerate(begins[:-1]):
        above = _LEGEND + (lines + _STEP) * step
        left, wide = _LEFT / WIDTH, 1 - (_LEFT + _RIGHT) / WIDTH
        axes = figure.add_axes((left, 1 - (above + lines) / high, wide, lines / high))
        _step(axes, step, begin, begin + clocks, engines, bars)
    axes.set_xlabel("clock", fontsize=8, labelpad=1)
    kinds = {bar.kind for bar in bars}
    handles = [
        Patch(facecolor=colour, label=kind, **(_HATCH if kind == "waits" else {}), linewidth=0)
        for kind, colour in _COLOURS.items()
        if kind in kinds
    ]
    figure.legend(handles=handles, loc="upper center", ncols=len(handles), fontsize=8)


def _of(bars: Iterable[_Bar]) -> list[int]:
    """Return the steps of bars, in order."""
    return sorted({bar.step for bar in bars if bar.step is not None})


def _step(
    axes: Any, step: int, first: int, end: int, engines: Sequence[int], bars: Sequence[_Bar]
) -> None:
    """Draw the clocks of a step."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Outline

    axes.set_xlim(first, end)
    axes.set_ylim(len(engines), 0)
    names = [Engine(engine).name.lower() for engine in engines]
    axes.set_yticks([line + (_TOP + _BOTTOM) / 2 for line in range(len(engines))], names)
    axes.tick_params(labelsize=8)
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_axisbelow(True)
    axes.annotate(
        f"step {step}", (0, 1), (-3, 0), "axes fraction", "offset points", fontsize=8, ha="right"
    )
    shown = [
        replace(bar, first=max(bar.first, first), end=min(bar.end, end))
        for bar in bars
        if bar.first < end and bar.end > first
    ]
    for kind, colour in _COLOURS.items():
        # One path for all bars of a kind: a path for each makes a large file.
        corners = [
            (clock, engines.index(bar.engine) + height)
            for bar in shown
            if bar.kind == kind
            for clock, height in (
                *((bar.first, _TOP), (bar.end, _TOP), (bar.end, _BOTTOM), (bar.first, _BOTTOM)),
                (bar.first, _TOP),
            )
        ]
        if corners:
            form = [Outline.MOVETO, *3 * [Outline.LINETO], Outline.CLOSEPOLY]
            outline = Outline(np.array(corners), form * (len(corners) // len(form)))
            style = _HATCH if kind == "waits" else {}
            axes.add_patch(PathPatch(outline, facecolor=colour, linewidth=0, **style))
    for line, engine in enumerate(engines):
        _names(axes, line, step, [bar for bar in shown if bar.engine == engine])


def _names(axes: Any, line: int, step: int, bars: Sequence[_Bar]) -> None:
    """Write the names of an engine's tasks, and of waits between them, where there is room."""
    tasks: dict[tuple[str, int], tuple[int, int]] = {}
    for bar in bars:
        if bar.step is not None:
            first, _ = tasks.get((bar.name, bar.step), (bar.first, bar.end))
            tasks[bar.name, bar.step] = first, bar.end
    texts = [
        (name if own == step else f"{name} (step {own})", *clocks)
        for (name, own), clocks in tasks.items()
    ] + [
        (bar.name, bar.first, bar.end)
        for bar in bars
        if bar.step is None
        and not any(first < bar.first and bar.end < end for first, end in tasks.values())
    ]
    left, right = axes.get_xlim()
    points = (WIDTH - _LEFT - _RIGHT) * 72 / (right - left)
    for text, first, end in texts:
        if len(text) * _POINTS * _LETTER <= (end - first) * points:
            place = (first + end) / 2, line + _TOP - 0.06
            axes.text(*place, text, ha="center", va="bottom", fontsize=_POINTS)
