"""The picture of a timetable: its bars are the schedule's clocks, and docs/ shows what is made."""

import re
from collections import Counter
from importlib.metadata import version
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest
from command import call
from small_cores import small

from golden.core.isa import Engine
from golden.core.lower import compiled
from golden.core.schedule import schedule
from gradloom.core import timetable

ROOT = Path(__file__).parent.parent.parent
PICTURE = ROOT / "docs" / "images" / "core-timeline.svg"

matplotlib = pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is missing")


def texts(svg):
    return re.findall(r">([^<>]+)</text>", svg)


def corners(path):
    """Left, upper, right and lower edge of each rectangle of a path."""
    for rectangle in re.findall(r"M[^Mz]+", path):
        points = [tuple(map(float, p)) for p in re.findall(r"([\d.]+) ([\d.]+)", rectangle)]
        yield *map(min, zip(*points)), *map(max, zip(*points))


def panels(svg):
    """Of each step: left and right edge, and the rectangles of each colour; "url" is a hatch."""
    for part in svg.split('<g id="axes_')[1:]:
        part = part.partition('<g id="legend_')[0]
        paths = re.findall(r'<path d="([^"]+)"[^>]* style="fill: (#\w+|url)', part)
        (frame, _), *rest = ((box, fill) for path, fill in paths for box in corners(path))
        yield frame[0], frame[2], rest


@matplotlib
def test_bars_are_as_long_as_the_schedule_says(tmp_path):
    core = compiled(small(), (2, 3, 1), 5, inputs=2, scores=True)
    spans = list(schedule(core.config, core.train, 4))
    timetable.draw(tmp_path / "steps.svg", spans)
    begins = [
        next(span.start for span in spans if (span.engine, span.step) == (Engine.ARRAY, step))
        for step in range(4)
    ]
    begins[0] = 0
    long = max(last - first for first, last in pairwise(begins))
    colours = {
        "update": "#cc79a7",
        "gradient": "#009e73",
        "error": "#e69f00",
        "forward": "#0072b2",
        "activate": "#0072b2",
        "samples": "#56b4e9",
        "scores": "#56b4e9",
    }
    found = list(panels((tmp_path / "steps.svg").read_text()))
    assert len(found) == 3
    for begin, (left, right, rectangles) in zip(begins, found):
        drawn = Counter()
        for (first, _, last, _), fill in rectangles:
            drawn[fill] += (last - first) * long / (right - left)

        def inside(first, end, begin=begin):
            return max(0, min(end, begin + long) - max(first, begin))

        wanted = Counter()
        for span in spans:
            fill = next(colours[word] for word in colours if word in span.task.name)
            wanted[fill] += inside(span.start, span.end)
            if span.waited is not None:
                wanted["url"] += inside(span.free, span.start)
        assert drawn == pytest.approx({fill: clocks for fill, clocks in wanted.items() if clocks})


@matplotlib
def test_a_picture_says_what_it_shows(tmp_path):
    core = compiled(small(), (2, 3, 1), 5)
    timetable.draw(tmp_path / "steps.svg", schedule(core.config, core.train, 3))
    said = texts((tmp_path / "steps.svg").read_text())
    assert {"clock", "step 0", "step 1", "array", "vector", "in"} <= set(said)
    assert "out" not in said  # it has nothing to do
    legend = ["streams", "forward pass", "errors", "gradients", "updates", "waits"]
    assert said[-len(legend) :] == legend


@matplotlib
def test_the_docs_show_what_the_command_draws(monkeypatch, capsys, tmp_path):
    (command,) = re.findall(
        r"^gradloom (estimate core .*) --picture docs/images/core-timeline.svg$",
        (ROOT / "docs" / "core.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    file = tmp_path / "made.svg"
    status, _, err = call(monkeypatch, capsys, *command.split(), "--picture", file)
    assert status == 0 and err == f"gradloom: {file}: 3 steps\n"
    assert texts(file.read_text()) == texts(PICTURE.read_text())
    # Other versions of matplotlib may round a place differently.
    if f"matplotlib=={version('matplotlib')}\n" in (ROOT / "constraints.txt").read_text():
        assert file.read_bytes() == PICTURE.read_bytes()


def test_a_picture_without_matplotlib_is_one_line(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    words = ("estimate", "core", "digits-wage", "--picture", tmp_path / "steps.svg")
    status, out, err = call(monkeypatch, capsys, *words)
    assert (status, out) == (2, "") and not any(tmp_path.iterdir())
    assert err == "gradloom: the picture needs matplotlib: pip install 'gradloom[train]'\n"
