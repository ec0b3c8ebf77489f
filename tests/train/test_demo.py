"""The demonstration, on small networks; the whole one is a long test."""

import io
import re
import subprocess
import sys

import pytest
from rich.console import Console
from rich.progress import Progress

from golden.training import load
from golden.training.systems.wage import tensors as wage_tensors
from gradloom.train import demo


@pytest.fixture
def small(monkeypatch):
    sizes = {"digits-wage": ("network=16FC", "batch=8"), "digits-gupta": ("network=5FC", "batch=4")}
    array = ("epochs=1", "rows=2", "columns=3")
    monkeypatch.setattr(demo, "load", lambda name: load(name, [*sizes[name], *array]))
    monkeypatch.setattr(demo, "SIDE", 2)


def run(folder):
    console = Console(record=True, width=100, file=io.StringIO())
    with Progress(console=console, disable=True) as progress:
        agree = demo.run(folder, "pysim", console, progress)
        return agree, console.export_text()


def test_demo_agrees_and_writes_verilog(small, tmp_path):
    agree, text = run(tmp_path / "new" / "folder")
    assert agree
    assert "agree in every value" in text
    for unit in (
        "WAGE: array, raw sums",
        *(f"WAGE: wage-{name}" for name in ("weight", "activation", "shift", "error", "update")),
        "Gupta: array with rounders",
        "Gupta: array, raw sums",
        "Gupta: rounder",
    ):
        row = re.search(rf"{unit} +([\d,]+) +([\d,]+) +(\d+) +([\d,]+)", text)
        assert row, unit
        assert int(row[1].replace(",", "")) > 0
        assert row[3] == "0"
    assert re.search(r"of ([1-9][\d,]*) results of the training model", text.lower())
    assert re.search(
        r"^module gradloom_array\b", (tmp_path / "new/folder/gradloom_array.v").read_text(), re.M
    )


def test_demo_sees_a_twin_that_is_not_training(small, tmp_path, monkeypatch):
    """Hardware and twin agree with each other, but training rounds another way."""
    right = wage_tensors.activation
    monkeypatch.setattr(
        wage_tensors, "activation", lambda acc, shift, bits: right(acc, shift, bits) // 2 * 2
    )
    agree, text = run(tmp_path)
    assert not agree
    assert "There are differences" in text


def test_demo_that_replays_nothing_does_not_agree(small, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "unit_replays", lambda trainer, record: [])
    agree, text = run(tmp_path)
    assert not agree
    assert "agree in every value" not in text


@pytest.mark.long
def test_demo_as_a_user_runs_it(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "gradloom", "demo", "-o", str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    errors = re.findall(r"test error +([\d.]+) %", done.stdout)
    assert float(errors[-1]) < 5
