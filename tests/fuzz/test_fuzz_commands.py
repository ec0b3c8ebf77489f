"""Odd command lines: an exit status that is documented, one line for a mistake, no traceback."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from unittest import mock

import pytest
from bounded import bounded
from hypothesis import given, settings
from hypothesis import strategies as st

from gradloom import cli
from gradloom.units import UNITS

QUICK = settings(max_examples=40)
LONG = settings(max_examples=1_000)

#: Small values of every kind, so that what is accepted takes no time, and values of no kind.
VALUES = [
    *("0", "1", "2", "3", "-1", "5", "0x10", "1.5"),
    *("1,7", "2,14", "20,20", "1,2,3", "12:3,5:nearest-even", "9:2,3:stochastic", ",", ":", "="),
    *("", " ", "x", "none", "true", "nan", "inf", "1e999999999", "9" * 5000, "0x" + "f" * 5000),
    *("é", "\u0661", "\udcff", "-", "--", "-h", "a\nb", "%s", "{}", "../..", "/", "~"),
    *("rows=3", "macc.a=1,7", "generator.seed=0", "lanes=2", "a.b.c=1", "epochs=1", "batch=64"),
]
value = st.one_of(st.sampled_from(VALUES), st.text(max_size=5).filter(lambda s: "\0" not in s))


def options(unit):
    """Names of the unit's options, and of some of the commands."""
    return [option.opts[0] for option in unit.options] + ["--set", "--seed", "--speed", "-o"]


@st.composite
def of_units(draw):
    """`generate` or `compare` of a small unit."""
    unit = UNITS[draw(st.sampled_from(sorted(UNITS)))]
    verb = draw(st.sampled_from(["generate", "compare"]))
    arguments = [verb, unit.name]
    if unit.name == "array":
        arguments += ["--rows", "2", "--columns", "2"]
    arguments += ["-o", "out.v"] if verb == "generate" else ["--cycles", "20"]
    for _ in range(draw(st.integers(1, 3))):
        arguments.append(draw(st.sampled_from(options(unit))))
        if draw(st.integers(0, 9)):
            arguments.append(draw(value))
    return arguments


@st.composite
def of_training(draw):
    """`train`, `recipes`, `plots`, `data` and `sweep`, on a tiny network."""
    command = draw(
        st.sampled_from(
            [
                ["train", "digits-gupta", "--set", "network=2FC", "--set", "epochs=1"],
                ["train", "float-digits-wage", "--set", "network=2FC", "--set", "epochs=1"],
                ["train"],
                ["recipes"],
                ["plots"],
                ["data", "list"],
                ["data", "fetch"],
                ["sweep", "digits-gupta", "--set", "network=2FC", "--set", "epochs=1"],
                ["targets"],
                ["boards"],
            ]
        )
    )
    keys = ["batch", "epochs", "learning_rate", "network", "formats.fl", "rows", "generator.seed"]
    words = st.one_of(
        value,
        st.sampled_from(["--set", "--data", "--resume", "-o", "--grid", "--json", "--seeds"]),
        st.builds("{}={}".format, st.sampled_from(keys), value),
    )
    return [*command, *draw(st.lists(words, max_size=4))]


def run(arguments):
    """Exit status, standard output and standard error of the command, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["gradloom", *arguments]),
        redirect_stdout(out),
        redirect_stderr(err),
        bounded(120, 1 << 34),  # Yosys as WebAssembly reserves 4 GB of addresses
        pytest.raises(SystemExit) as stop,
    ):
        cli.main()
    return stop.value.code or 0, out.getvalue(), err.getvalue()


def check(arguments):
    status, out, err = run(arguments)
    assert status in (0, 1, 2, 3), (arguments, status, err)
    assert "Traceback" not in out + err and "internal error" not in err, err
    if status == 2 and "Usage: " not in err:
        last = err.splitlines()[-1]
        assert last.startswith("gradloom: ") and len(last) > 12, err


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Commands write where they are called, and nowhere else."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path))


@QUICK
@given(arguments=of_units())
def test_odd_commands_of_units(arguments):
    check(arguments)


@QUICK
@given(arguments=of_training())
def test_odd_commands_of_training(arguments):
    check(arguments)


@pytest.mark.long
@LONG
@given(arguments=st.one_of(of_units(), of_training()))
def test_many_odd_commands(arguments):
    check(arguments)
