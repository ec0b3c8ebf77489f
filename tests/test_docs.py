"""The pages in docs/: what they show is what the hardware does, and what they say to type works."""

import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import numpy as np
import pytest
from click.testing import CliRunner

import golden
import gradloom
import hdl
from gradloom import UNITS
from gradloom.cli import cli

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
MISSING = [
    name for name in ("sphinx", "myst_parser", "furo", "yowasp_wavedrom") if not find_spec(name)
]
needs_sphinx = pytest.mark.skipif(bool(MISSING), reason=f"there is no {', '.join(MISSING)}")
if not MISSING:
    sys.path.insert(0, str(DOCS / "_ext"))
    from gradloom_docs import describe, timing, wavefront

every_unit = pytest.mark.parametrize("name", UNITS)


# Timing diagrams


def cells(row):
    """What a row of WaveJSON shows in each cell: a number, None for x, "gap" for a gap."""
    data = iter(row.get("data", ()))
    shown = []
    current = None
    for state in row["wave"]:
        if state == "|":
            shown.append("gap")
            continue
        if state == "x":
            current = None
        elif state in "01":
            current = int(state)
        elif state != ".":
            current = next(data)
        shown.append(current)
    return shown


@needs_sphinx
@every_unit
def test_a_diagram_shows_what_the_twin_says(name):
    run = timing.run(name)
    twin = run.unit.twin(run.config).run(run.inputs)
    rows = {row["name"]: row for row in timing.wavejson(run)["signal"] if "name" in row}
    del rows["clk"]
    compared = 0
    for port in run.ports:
        for lane in range(port.lanes or 1):
            row = rows.pop(port.name if port.lanes in (None, 1) else f"{port.name}[{lane}]")
            shown = cells(row)
            assert len(shown) == len(run.shown)
            for clock, cell in zip(run.shown, shown):
                if clock is None:
                    assert cell == "gap"
                    continue
                values = (twin if port.direction == "out" else run.inputs)[port.name][clock]
                value = np.ravel(values)[lane]
                if cell is None:
                    told_by = "load" if port.name.startswith("load") else "i_valid"
                    assert port.direction == "in" and not run.inputs[told_by][clock]
                    continue
                digits = (4, 8) if name in ("lfsr", "bank") else ()
                base = 16 if isinstance(cell, str) and len(cell) in digits else 10
                assert (int(cell, base) if isinstance(cell, str) else cell) == value, (port, clock)
                compared += port.direction == "out"
    assert not rows
    assert compared > 20


@needs_sphinx
@every_unit
def test_a_diagram_measures_the_latency(name):
    run = timing.run(name)
    assert run.end - run.start == run.config.latency
    document = timing.wavejson(run)
    clocks = run.config.latency
    assert document["edge"] == [f"A+B {clocks} clock{'s' * (clocks > 1)}"]
    marks = document["signal"][-1]["node"]
    assert run.shown[marks.index("A")] == run.start
    assert run.shown[marks.index("B")] == run.end
    assert timing.svg(name).startswith("<svg")


@needs_sphinx
@every_unit
def test_a_diagram_shows_handshake_and_stall(name):
    run = timing.run(name)
    if "o_valid" not in run.outputs:
        return
    shown = [clock for clock in run.shown if clock is not None]
    assert any(not run.inputs["o_ready"][t] and run.outputs["o_valid"][t] for t in shown)
    assert any(run.inputs["o_ready"][t] and run.outputs["o_valid"][t] for t in shown)
    if name != "lfsr":
        assert {0, 1} == set(run.inputs["i_valid"][shown].tolist())


# Tables


@needs_sphinx
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        *((name, "") for name in UNITS),
        ("product-nest", "--rows 20 --no-clips"),
        ("pass-nest", "--banks 5 --s-bits 20"),
        ("move-nest", "--banks 5"),
        ("softmax", "--classes 5"),
        ("operand-stream", "--banks 13 --lanes 9 --stores 1"),
        *(
            ("array", f"--rows {r} --columns {c} --segments {s} {more}")
            for r, c, s, more in (
                (1, 1, 1, ""),
                (3, 7, 4, ""),
                (28, 28, 2, "--raw"),
                (5, 4, 1, "--ternary --raw"),
            )
        ),
        ("macc", "--ternary"),
        ("pool", "--lanes 5 --most-places 4"),
        ("unpool", "--lanes 5 --saturate"),
        ("threshold", "--read-clocks 1"),
        *(("wage-shift", f"--lanes {lanes}") for lanes in (1, 2, 3, 4, 5, 8, 9, 255)),
        *(
            (name, "--lanes 5")
            for name in ("rounder", "wage-weight", "wage-error", "wage-update", "sign")
        ),
        ("momentum-update", "--width 18 --rate-bits 17 --momentum-bits 0"),
        ("grid-update", "--rule bc --binary --grid 0"),
        ("grid-update", "--rule bc --binary --grid 0 --drawn --width 18"),
        ("grid-update", "--rate-bits 0"),
        ("grid-update", "--rule fine --grid 0"),
        ("momentum-update", "--power --momentum-bits 0 --decay-bits 0"),
        ("momentum-update", "--width 54 --rate-bits 37"),
        *((name, "--lanes 5") for name in ("rounder", "wage-weight", "wage-error", "wage-update")),
    ],
)
def test_the_latency_formula_holds(name, arguments):
    config = timing.configuration(UNITS[name], arguments.split())
    assert describe.LATENCY[name].value(config) == config.latency


@needs_sphinx
@every_unit
def test_tables_have_every_port_and_every_parameter(name):
    unit = UNITS[name]
    ports = {row[0].strip("`"): row for row in describe.ports(unit)}
    flat = {port.name: port for port in timing.configuration(unit).ports}
    assert set(ports) == {"clk", "rst", *flat}
    for port in flat.values():
        assert ports[port.name][1:] == (port.direction, str(port.bits), port.text)
    options = {row[1].strip("`") for row in describe.parameter_table(unit)}
    assert options == {option.opts[0] for option in unit.options} - {"--set"}
    assert all(all(row) for row in describe.parameter_table(unit))


@needs_sphinx
@every_unit
def test_a_page_has_all_that_a_unit_has(name):
    text = (DOCS / "units" / f"{name}.md").read_text()
    for part in ("timing", "figures", "ports", "parameters", "resources", "commands"):
        assert text.count(f"```{{unit-{part}}} {name}\n") == 1
    assert "](../numerics.md#" in text or "](../core.md#" in text
    assert f"units/{name}\n" in (DOCS / "index.md").read_text()


@needs_sphinx
def test_measured_resources_are_shown_where_there_are_some(tmp_path):
    unit = UNITS["macc"]
    assert describe.resources(tmp_path, unit) is None
    (tmp_path / "resources.json").write_text(
        '{"note": "by hand", "macc": [{"device": "X", "LUT": 1234}, {"device": "Y", "MHz": 99.25}]}'
    )
    note, rows = describe.resources(tmp_path, unit)
    assert note == "by hand"
    assert rows == [("device", "LUT", "MHz"), ("X", "1,234", ""), ("Y", "", "99.2")]
    assert describe.resources(tmp_path, UNITS["lfsr"]) is None


def parse(line):
    """Have the command line take `line` apart, and do nothing."""
    program, group, command, *arguments = shlex.split(line, comments=True)
    assert program == "gradloom"
    if "--help" not in arguments:
        units = cli.commands[group]
        units.get_command(click.Context(units), command).make_context(command, arguments)


@needs_sphinx
@every_unit
def test_a_units_commands_can_be_typed(name):
    lines = [line for line in describe.commands(UNITS[name]).splitlines() if line]
    for line in lines:
        if not line.startswith("#"):
            parse(line)


@needs_sphinx
@every_unit
def test_a_units_python_runs(name, capsys):
    exec(describe.python(UNITS[name]).replace("5_000", "60"), {})
    assert "agree with the twin" in capsys.readouterr().out


# The wavefront


@needs_sphinx
def test_a_wave_of_operands_runs_over_the_array():
    first = {}
    for frame in wavefront.frames():
        for r, row in enumerate(frame.nodes):
            for c, node in enumerate(row):
                if node.operands is not None:
                    first.setdefault((r, c), frame.clock)
    assert len(first) == wavefront.SIZE**2
    for (r, c), clock in first.items():
        assert clock - first[0, 0] == r + c


@needs_sphinx
def test_the_wavefront_is_the_product():
    _, stimulus, outputs = wavefront.trace()
    twin = golden.Array(wavefront.CONFIG).run(stimulus)
    for port, values in outputs.items():
        np.testing.assert_array_equal(values, twin[port])

    frames = wavefront.frames()
    size, tiles = wavefront.SIZE, range(wavefront.TILES)
    taken = [frame for frame in frames if frame.column]
    ends = [number + 1 for number, frame in enumerate(taken) if frame.last]
    assert len(ends) == wavefront.TILES
    products = [
        np.transpose([frame.column for frame in tile]) @ [frame.row for frame in tile]
        for tile in (taken[: ends[0]], taken[ends[0] : ends[1]])
    ]
    # Every node loads each of its sums once, and a tile's rows leave bottom row first.
    for r in range(size):
        for c in range(size):
            nodes = [frame.nodes[r][c] for frame in frames]
            loads = [
                (now.sum_tile, now.sum, after.shadow, after.shadow_tile)
                for now, after in zip(nodes, nodes[1:])
                if now.moves == "load"
            ]
            want = [(t, products[t][r, c], products[t][r, c], t) for t in tiles]
            assert loads == want
            assert sum(node.adds for node in nodes) == len(taken)
    rows = [(frame.out_tile, frame.out) for frame in frames if frame.out]
    assert rows == [(t, products[t][r].tolist()) for t in tiles for r in reversed(range(size))]


@needs_sphinx
def test_the_bottom_rows_shadows_hold_what_leaves():
    """Column c drains the rows of a tile, bottom row first, c clocks after column 0."""
    frames = wavefront.frames()
    rows = [frame.out for frame in frames if frame.out]
    for c in range(wavefront.SIZE):
        foot = [frame.nodes[-1][c] for frame in frames]
        assert [node.shadow for node in foot if node.shadow_tile is not None] == [
            row[c] for row in rows
        ]


@needs_sphinx
def test_the_picture_loads_nothing():
    page = wavefront.page()
    assert "http" not in page
    assert not re.search(r"<(script|link|img)[^>]*(src|href)=", page)


# What the pages say to type


def blocks(page, language):
    """The blocks of a page in a language, "" for those in none."""
    fences = re.findall(
        r"^```(.*)\n((?:(?!```).*\n)*)```$", (DOCS / page).read_text(), re.MULTILINE
    )
    return [text for given, text in fences if given == language]


def files_of(page):
    """The files that a page names right before their blocks: "This is `dense.py`:"."""
    found = re.findall(
        r"is\s`(\w+\.py)`[^`]*?:\n\n```python\n(.*?)^```$",
        (DOCS / page).read_text(),
        re.MULTILINE | re.DOTALL,
    )
    assert len(found) == len(blocks(page, "python"))
    return dict(found)


def call(folder, *command):
    done = subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The folder that amaranth.md makes, its tests run."""
    folder = tmp_path_factory.mktemp("project")
    for name, text in files_of("amaranth.md").items():
        (folder / name).write_text(text)
    return folder, call(folder, "-m", "pytest", "-p", "no:cacheprovider")


def test_the_amaranth_project_passes_its_tests(project):
    assert "4 passed" in project[1]


def test_the_units_inside_the_amaranth_project_agree(project, monkeypatch):
    pytest.importorskip("pywellen", reason="pywellen is not installed")
    monkeypatch.chdir(project[0])
    plain = blocks("amaranth.md", "")
    commands = next(block for block in plain if block.startswith("gradloom compare"))
    said = plain[plain.index(commands) + 1]
    printed = ""
    for line in commands.splitlines():
        result = CliRunner().invoke(cli, shlex.split(line)[1:])
        assert result.exit_code == 0, result.output
        printed += result.stdout
    assert printed == said


def test_the_amaranth_project_becomes_verilog(project):
    call(project[0], "to_verilog.py")
    ports = re.search(r"^module dense\((.*?)\);", (project[0] / "dense.v").read_text(), re.M)[1]
    assert {"clk", "rst", "i_valid", "i_a", "shift", "o_data"} <= set(ports.split(", "))


def test_the_quick_start_can_be_typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [line for block in blocks("quickstart.md", "") for line in block.splitlines()]
    targets = (ROOT / "Makefile").read_text()
    for line in lines:
        if line.startswith("make "):
            assert f"\n{line.removeprefix('make ')}:" in targets
        elif line != "gradloom train digits-wage":  # test_cli.py trains
            result = CliRunner().invoke(cli, shlex.split(line)[1:])
            assert result.exit_code == 0, result.output
    assert (tmp_path / "array.v").is_file()
    for block in blocks("quickstart.md", "python"):
        exec(block, {})


@pytest.mark.parametrize("page", ["units/pool.md", "units/unpool.md"])
def test_a_page_prints_what_its_comments_say(page, capsys):
    for block in blocks(page, "python"):
        exec(block, {})
        assert (
            capsys.readouterr().out
            == re.findall(r"^print\(.*\)  # (.*\n)", block, re.MULTILINE)[-1]
        )


@pytest.mark.long
def test_the_training_page_can_be_typed(tmp_path, monkeypatch):
    """Its commands in order, in one folder; those that need data from elsewhere are not blocks."""
    monkeypatch.chdir(tmp_path)
    (recipe,) = blocks("training.md", "toml")
    (tmp_path / "mine.toml").write_text(recipe)
    lines = [line for block in blocks("training.md", "") for line in block.splitlines()]
    assert len(lines) > 6
    for line in lines:
        arguments = shlex.split(line)[1:]
        if arguments[0] == "train" and "=" not in line:
            arguments += ["--set", "epochs=2"]  # the page's point is not how long they take
        result = CliRunner().invoke(cli, arguments)
        assert result.exit_code == 0, f"{line}: {result.output}"
    for block in blocks("training.md", "python"):
        exec(block, {})


# The site


@pytest.mark.parametrize("module", [golden, hdl, gradloom], ids=lambda module: module.__name__)
def test_the_reference_has_every_public_name(module):
    name = module.__name__
    text = (DOCS / "api" / f"{name}.md").read_text()
    listed = set(re.findall(rf"auto\w+:: {name}\.(?:\w+\.)*(\w+)\n", text))
    elsewhere = set(hdl.__all__) if module is gradloom else set()  # its own page has them
    assert not set(module.__all__) - listed - elsewhere


class Links(HTMLParser):
    """Targets and anchors of a page, and what a browser loads for it."""

    def __init__(self, page):
        super().__init__()
        self.targets, self.anchors, self.loads = [], {""}, []
        self.feed(page.read_text())

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.anchors.add(values.get("id") or "")
        for key in ("href", "src"):
            if value := values.get(key):
                self.targets.append(value)
                if key == "src" or tag == "link":
                    self.loads.append(value)


@needs_sphinx
@pytest.mark.long
def test_the_site_builds_and_its_links_lead_somewhere(tmp_path):
    site = tmp_path / "site"
    call(ROOT, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", tmp_path / "trees", DOCS, site)
    pages = {page.resolve(): Links(page) for page in site.rglob("*.html")}
    assert len(pages) > 20
    for page, links in pages.items():
        assert not [one for one in links.loads if urlsplit(one).netloc], page
        for target in links.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            path = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            assert path.exists(), f"{page}: {target}"
            if path in pages:
                assert unquote(parts.fragment) in pages[path].anchors, f"{page}: {target}"
    for name in UNITS:
        assert list((site / "_images").glob(f"timing-{name}-*.svg"))
    assert 'class="wavefront"' in (site / "units" / "array.html").read_text()
