"""The demonstration, on small networks; the whole one is a long test."""

import io
import re
import subprocess
import sys

import pytest
from rich.console import Console
from rich.progress import Progress
from small_cores import random_images
from small_cores import small as small_core

from golden.training import load
from golden.training.systems.wage import tensors as wage_tensors
from gradloom.core import demo as core_demo
from gradloom.sim.cxxrtl import BuildError
from gradloom.train import demo


@pytest.fixture
def small(monkeypatch):
    sizes = {"digits-wage": ("network=16FC", "batch=8"), "digits-gupta": ("network=5FC", "batch=4")}
    array = ("epochs=1", "rows=2", "columns=3")
    monkeypatch.setattr(demo, "load", lambda name: load(name, [*sizes[name], *array]))
    monkeypatch.setattr(demo, "SIDE", 2)
    monkeypatch.setattr(core_demo, "run", lambda dataset, out, progress: True)


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
        *(f"{system}: {name}" for system in ("WAGE", "Gupta") for name in ("mask", "output-error")),
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


def on_core(**options):
    console = Console(record=True, width=200, file=io.StringIO())
    recipe = small_core(network="4FC", batch=5, epochs=2)
    images = random_images((2, 2, 1), 3, count=16)
    with Progress(console=console, disable=True) as progress:
        agrees = core_demo.train(recipe, images, "pysim", console, progress, **options)
    return agrees, console.export_text()


@pytest.mark.long
def test_the_core_trains_and_counts():
    agrees, text = on_core()
    assert agrees and "6 steps agree: " in text
    assert len(re.findall(r"epoch +[12]: test error +[\d.]+ %, counted by the core", text)) == 2


@pytest.mark.long
def test_a_wrong_count_of_the_core_is_seen(monkeypatch):
    monkeypatch.setattr(core_demo, "count_wrong", lambda *_: 9)
    agrees, text = on_core()
    assert not agrees and "the core counts 9" in text


def test_without_a_compiler_there_are_few_steps(monkeypatch):
    def none():
        raise BuildError("no C++ compiler")

    asked = []
    monkeypatch.setattr(core_demo, "compiler", none)
    monkeypatch.setattr(core_demo, "train", lambda *given, most: asked.append((given[2], most)))
    console = Console(record=True, width=200, file=io.StringIO())
    core_demo.run(None, console, None)
    assert asked == [("pysim", core_demo.FEW)]
    assert "no C++ compiler: 2 steps on Amaranth's simulator" in console.export_text()


@pytest.mark.long
def test_demo_as_a_user_runs_it(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "gradloom", "demo", "-o", str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    errors = re.findall(r"test error +([\d.]+) %$", done.stdout, re.M)
    assert float(errors[-1]) < 5
    on_core = [float(each) for each in re.findall(r"([\d.]+) %, counted by the core", done.stdout)]
    assert len(on_core) == 6 and on_core[-1] < 15 < on_core[0]
    assert "534 steps agree: " in done.stdout
