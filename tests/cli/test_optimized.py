"""`python -O` and `-OO`: without assertions and docstrings, every command does the same."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from generated import gradloom

ROOT = Path(__file__).parent.parent.parent

QUICK = ["--help", "train digits-wage --set epochs=1"]
LONG = [
    *("generate --help", "compare array --help", "prove --help", "build --help", "train --help"),
    "generate lfsr -o lfsr.v",
    "generate array --rows 2 --columns 2 -o array/",
    "generate rounder --conversion 28:2,14:stochastic -o rounder/",
    "generate wage-update -o update/",
    "compare array --rows 2 --columns 2 --cycles 300 --json",
    "compare wage-shift --cycles 300",
    "compare lfsr --cycles 300 --simulator cxxrtl",
    "mutate wage-weight --mutants 3 --cycles 50",
    "prove wage-weight --stored 3",
    *("recipes", "recipes gupta-dnn", "targets", "boards", "data list"),
    "train digits-gupta --set epochs=2 --set network=8FC -o run",
    "train digits-gupta --set epochs=3 --set network=8FC -o run --resume",
    "plots run",
    "sweep digits-gupta --grid batch=32,64 --set epochs=1 --set network=4FC -o sweep --workers 1",
    # Mistakes are found without assertions.
    *("generate lfsr --lanes 0 -o x.v", "train digits-gupta --set batch=0", "train none"),
    *("compare lfsr --draw 99", "plots nowhere"),
]


def untimed(text):
    """Without durations and speeds."""
    in_json = r'"(seconds|clocks_per_second)": [\d.]+'
    in_table = r"\d+\.\d+ *$"
    said = rf"\d[\d,.]*(?= ?(s\b|clocks/s|ms\b))|{in_json}|{in_table}"
    return re.sub(said, "T", text, flags=re.MULTILINE)


def results(folder, flags, commands):
    """Exit status and output of commands, one after the other, and the files that they made."""
    folder.mkdir()
    told = []
    for command in commands:
        done = subprocess.run(
            [sys.executable, *flags, "-m", "gradloom", *command.split()],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert "Traceback" not in done.stderr, (command, done.stderr)
        told.append((command, done.returncode, untimed(done.stdout), untimed(done.stderr)))
    made = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".v", ".mem", ".json", ".core", ".toml", ".png")
    }
    return told, made


def check(flag, commands, tmp_path):
    plain, made = results(tmp_path / "plain", [], commands)
    optimized, same = results(tmp_path / "optimized", [flag], commands)
    assert optimized == plain
    assert made.keys() == same.keys()
    assert [name for name in made if made[name] != same[name]] == []


def test_without_docstrings(tmp_path):
    check("-OO", QUICK, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("flag", ["-O", "-OO"])
def test_every_command_without_assertions(flag, tmp_path):
    check(flag, QUICK + LONG, tmp_path)
    assert gradloom("--version").returncode == 0
