"""What the command prints: whole names, plain text in a pipe, JSON with values of its own kinds."""

import json
import os
import pty
import re
import subprocess
import sys

import click
import numpy as np
import pytest
from command import call

from boards.board import BOARDS
from boards.target import TARGETS
from golden.training import toml
from gradloom.cli import base, cli
from gradloom.train.fetching import SOURCES
from gradloom.units import UNITS

COMMAND = [sys.executable, "-m", "gradloom"]
#: A command to the names that it lists.
LISTS = {
    "recipes": list(toml.names()),
    "units": list(UNITS),
    "targets": list(TARGETS),
    "boards": list(BOARDS),
    "data list": list(SOURCES),
}


@pytest.fixture
def command(monkeypatch, capsys):
    return lambda text: call(monkeypatch, capsys, *text.split())


def every_command(group=cli, path=()):
    """Path and command of all of them, groups as well."""
    yield path, group
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            yield from every_command(group.get_command(context, name), (*path, name))


PATHS = {" ".join(path): each for path, each in every_command() if path}


@pytest.mark.parametrize("path", PATHS)
def test_every_command_has_a_short_help(path):
    """Without one, click cuts off the long help."""
    text = PATHS[path].short_help
    assert text and text.endswith(".") and not text.endswith("..")


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_no_summary_of_a_group_is_cut_off(columns, command, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    groups = [path for path, each in every_command() if isinstance(each, click.Group)]
    assert len(groups) > 5
    for path in groups:
        _, out, _ = command(" ".join([*path, "--help"]))
        commands = out.partition("Commands:")[2]
        assert commands.strip() and "..." not in commands and "…" not in commands


def on_a_terminal(arguments, columns, **environment):
    """What a command writes to a terminal of so many columns."""
    reader, writer = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), **environment}
    with subprocess.Popen(
        [*COMMAND, *arguments], stdin=writer, stdout=writer, stderr=writer, env=environment
    ) as process:
        os.close(writer)
        said = b""
        while True:
            try:
                part = os.read(reader, 65536)
            except OSError:  # on Linux, the end
                break
            if not part:
                break
            said += part
    os.close(reader)
    assert process.returncode == 0, said
    return said.decode()


@pytest.mark.parametrize("text", LISTS)
def test_names_are_whole_on_a_narrow_terminal(text):
    said = on_a_terminal(text.split(), 40, NO_COLOR="1")
    assert "…" not in said
    for name in LISTS[text]:
        assert name in said


@pytest.mark.parametrize("text", LISTS)
@pytest.mark.parametrize("columns", ["x", "1", "40"])
def test_names_are_whole_in_a_pipe(text, columns, command, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    status, out, err = command(text)
    assert (status, err) == (0, "")
    assert "…" not in out and "\x1b" not in out
    for name in LISTS[text]:
        (line,) = (line for line in out.splitlines() if line.split()[:1] in ([name], [f"{name}:"]))
        assert line


@pytest.mark.parametrize("text", LISTS)
def test_every_list_is_there_as_json(text, command):
    status, out, err = command(f"{text} --json")
    assert (status, err) == (0, "")
    assert list(json.loads(out)) == LISTS[text]
    assert not list(texts_of_other_kinds(json.loads(out)))


def texts_of_other_kinds(value, where=""):
    """Places of texts that are numbers, booleans or nothing in Python's words."""
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for name, each in pairs:
            yield from texts_of_other_kinds(each, f"{where}.{name}")
    elif isinstance(value, str):
        if value in ("True", "False", "None", "nan", "inf", "-inf"):
            yield f"{where}: {value}"
        elif not re.search(r"speed_grades|pins|grid", where):  # names and formats
            try:
                float(value)
            except ValueError:
                return
            yield f"{where}: {value}"


def test_a_text_of_another_kind_is_found():
    wrong = {"a": "2", "b": ["None", "-1.5"], "c": {"d": "False"}, "e": "2,14", "f": 2, "g": None}
    found = list(texts_of_other_kinds(wrong))
    assert found == [".a: 2", ".b.0: None", ".b.1: -1.5", ".c.d: False"]


@pytest.mark.parametrize("name", UNITS)
def test_a_units_description_has_values_of_their_own_kinds(name, command, tmp_path):
    status, _, _ = command(f"generate {name} -o {tmp_path / 'made'}/ --cycles 10")
    assert status == 0
    (path,) = (tmp_path / "made").glob("*.json")
    description = json.loads(path.read_text("utf-8"), parse_constant=pytest.fail)
    assert not list(texts_of_other_kinds(description))
    assert isinstance(description["latency"]["clocks"], int)


@pytest.mark.parametrize("recipe", toml.names())
def test_a_recipe_is_there_as_json(recipe, command):
    status, out, _ = command(f"recipes {recipe} --json")
    found = json.loads(out)
    assert status == 0 and not list(texts_of_other_kinds(found))
    assert found["system"] == toml.load(recipe).SYSTEM
    assert found["epochs"] == toml.load(recipe).epochs


def test_json_has_no_numbers_that_it_cannot_have():
    value = {
        "nan": float("nan"),
        "inf": [float("inf"), -np.inf, (1.5, np.float64("nan"))],
        "numpy": [np.int64(3), np.float32(0.5), np.True_],
        "plain": [True, None, 1, "text"],
    }
    assert json.loads(base.json_text(value), parse_constant=pytest.fail) == {
        "nan": None,
        "inf": [None, None, [1.5, None]],
        "numpy": [3, 0.5, True],
        "plain": [True, None, 1, "text"],
    }


#: Commands of each kind: a status, bars, tables.
SHOWN = ["compare lfsr --cycles 100", "generate lfsr -o lfsr.v", "targets"]


@pytest.mark.parametrize("text", SHOWN)
@pytest.mark.parametrize(
    "environment",
    [
        {"FORCE_COLOR": "1"},
        {"TTY_COMPATIBLE": "1"},
        {"FORCE_COLOR": "1", "NO_COLOR": "1"},
        {"TERM": "dumb", "FORCE_COLOR": "1"},
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=lambda each: " ".join(each),
)
def test_a_pipe_gets_no_cursor_movements(text, environment, tmp_path):
    done = subprocess.run(
        [*COMMAND, *text.split()],
        env={**os.environ, **environment},
        cwd=tmp_path,
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    # Colours end in m; all other sequences move the cursor, or hide it.
    sequences = done.stdout.split(b"\x1b[")[1:]
    assert all(each.lstrip(b"0123456789;")[:1] == b"m" for each in sequences)
    assert b"\r" not in done.stdout
    if "PYTHONIOENCODING" in environment:
        assert done.stdout.isascii()


def test_a_dumb_terminal_gets_no_sequences():
    text = ["compare", "array", "--rows", "2", "--columns", "2", "--cycles", "100"]
    assert "\x1b" not in on_a_terminal(text, 80, TERM="dumb")
    assert "\x1b" in on_a_terminal(text, 80, TERM="xterm")


def test_a_name_that_the_locale_does_not_have_breaks_nothing(tmp_path):
    for name in ("gégé.v", os.fsdecode(b"\xff.v")):
        for environment in ({"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}):
            done = subprocess.run(
                [*COMMAND, "generate", "lfsr", "-o", name],
                env={**os.environ, **environment},
                cwd=tmp_path,
                capture_output=True,
            )
            assert (done.returncode, done.stderr) == (0, b"")
            assert (tmp_path / name).exists()
    assert len(os.listdir(tmp_path)) == 2


#: A mistake to the option as it was typed.
TYPED = [
    ("build lfsr --target nope", "--target: target 'nope': allowed are ecp5-25f"),
    ("build lfsr --target ecp5-25f --speed 99", "--speed: ecp5-25f: speed grade '99'"),
    ("build selftest --board nope", "--board: board 'nope': allowed are "),
    ("generate array -o x --places nope", "--places: target 'nope'"),
    ("compare lfsr --waveform x --seed 3", "--seed: not with --waveform"),
    ("compare lfsr --scope x", "--scope: only with --waveform"),
]


@pytest.mark.parametrize(("text", "message"), TYPED)
def test_a_message_has_the_option_as_it_was_typed(text, message, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = command(text)
    assert (status, out, len(err.splitlines())) == (2, "", 1)
    assert err.startswith(f"gradloom: {message}")
