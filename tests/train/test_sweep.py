"""Sweeps: every combination once, whoever dies; what was finished is not trained again."""

import csv
import os
import re
import signal
from importlib.util import find_spec
from pathlib import Path

import pytest
from command import started
from generated import gradloom

from golden.datasets import digits
from golden.training import Run, load, train
from golden.training.runs.checkpoint import Checkpoint
from gradloom import jobs
from gradloom.train import sweep as sweeping
from gradloom.train.sweep import grouped, points, sweep

distributed = pytest.mark.skipif(
    find_spec("distributed") is None, reason="dask.distributed is not installed"
)

STEPS = 7
RECIPE = load("digits-gupta", ["network=6FC", f"batch={1438 // STEPS}", "epochs=2"])


def names(found):
    return [point.name for point in found]


def test_every_combination_is_a_run():
    found = points(RECIPE, {"formats.fl": ["8", "10"], "rounding": ["nearest"]}, seeds=2)
    assert names(found) == [
        "formats.fl=8,rounding=nearest,seed=0",
        "formats.fl=8,rounding=nearest,seed=1",
        "formats.fl=10,rounding=nearest,seed=0",
        "formats.fl=10,rounding=nearest,seed=1",
    ]
    assert [p.recipe.formats.fl for p in found] == [8, 8, 10, 10]
    assert [p.recipe.seed for p in found] == [0, 1, 0, 1]
    assert names(points(load("digits-wage", ["seed=5"]), {}, seeds=2)) == ["seed=5", "seed=6"]
    assert names(points(RECIPE, {"seed": ["3", "4"]})) == ["seed=3", "seed=4"]


def test_a_folders_name_is_one_folders():
    (found,) = points(RECIPE, {"learning_rate": ["1/3"], "network": ["-".join(["9FC"] * 60)]})
    assert re.fullmatch(r"learning_rate=1_3,network=9FC-[\w-]+-[0-9a-f]{12}", found.name)
    assert len(found.name) < 250


@pytest.mark.parametrize(
    ("grid", "seeds", "message"),
    [
        ({"colour": ["red"]}, 1, r"^recipe x: unknown key 'colour': allowed are .*"),
        ({"batch": ["8", "many"]}, 1, r"^recipe x: batch = 'many': a whole number is wanted$"),
        ({"formats.fl": ["8", "99"]}, 1, r"^recipe x: formats\.fl = 99: allowed are 0 to 14$"),
        ({"batch": ["8", "8"]}, 1, r"^grid: batch=8,seed=0 occurs twice$"),
        ({"learning_rate": ["0.5", "1/2"]}, 1, r"^grid: learning_rate=1_2,seed=0 occurs twice$"),
        (
            {"seed": ["1", "2"]},
            3,
            r"^seed is a key of the grid: give it values there, or seeds = 3 without it$",
        ),
    ],
    ids=str,
)
def test_a_bad_value_is_one_line(grid, seeds, message):
    with pytest.raises(ValueError, match=message):
        points(RECIPE, grid, seeds, "recipe x")


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"network": ["6FC", "6C9"]}, r"^network=6C9,seed=0: .*6C9 does not fit"),
        ({"batch": ["8", "9999"]}, r"^batch=9999,seed=0: batch = 9999: digits has only 1438"),
    ],
)
def test_nothing_starts_when_a_run_cannot(grid, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        list(sweep(points(RECIPE, grid), tmp_path / "sweep"))
    assert list(tmp_path.iterdir()) == []


def table(folder):
    with (folder / "summary.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_single_run_needs_no_cluster(tmp_path, monkeypatch):
    monkeypatch.setattr(sweeping.importlib.util, "find_spec", lambda name: None)
    told = []
    ((number, row),) = sweep(
        points(RECIPE, {"formats.fl": ["10"]}),
        tmp_path,
        listener=lambda number, progress: told.append((number, progress.done, progress.steps)),
    )
    _, history = train(points(RECIPE, {"formats.fl": ["10"]})[0].recipe, digits())
    assert (number, row["test_error"]) == (0, history[-1].test.error)
    assert told[0] == (0, 1, 2 * STEPS)
    assert table(tmp_path)[0]["test_error"] == repr(history[-1].test.error)
    assert list(table(tmp_path)[0]) == ["run", "formats.fl", *sweeping.RESULTS]
    with pytest.raises(jobs.JobsError, match=re.escape("pip install 'gradloom[train]'")):
        list(sweep(points(RECIPE, {"formats.fl": ["8", "9"]}), tmp_path / "other"))


def test_a_folder_that_holds_a_sweep_is_not_written_over(tmp_path):
    runs = points(RECIPE, {"formats.fl": ["10"]})
    list(sweep(runs, tmp_path))
    for other in (runs, points(RECIPE, {"formats.fl": ["9"]})):
        with pytest.raises(ValueError, match="has a sweep already: resume it, or choose another"):
            list(sweep(other, tmp_path))
    train(RECIPE, digits(), tmp_path / "killed" / runs[0].name)
    with pytest.raises(ValueError, match="has a sweep already"):
        list(sweep(runs, tmp_path / "killed"))


def test_finished_runs_are_not_trained_again(tmp_path, monkeypatch):
    runs = points(RECIPE, {"formats.fl": ["10"]})
    ((_, row),) = sweep(runs, tmp_path)
    monkeypatch.setattr(jobs, "run", None)
    assert list(sweep(runs, tmp_path, resume=True)) == [(0, row)]


def test_a_run_of_another_recipe_is_refused_before_any_starts(tmp_path):
    runs = points(RECIPE, {"formats.fl": ["10", "12"]})
    train(runs[0].recipe, digits(), tmp_path / runs[1].name)
    with pytest.raises(ValueError, match=r"made with formats\.fl = 10: the recipe says 12"):
        list(sweep(runs, tmp_path, resume=True))
    assert not (tmp_path / runs[0].name).exists()


def test_seeds_come_together():
    rows = [
        {"run": f"a={a},seed={seed}", "a": a, "seed": seed, "test_error": 10 * a + seed}
        for a in (1, 2)
        for seed in (3, 4)
    ]
    assert grouped(rows) == {(("a", "1"),): [13, 14], (("a", "2"),): [23, 24]}


def dying(recipe, source, folder, say):
    """A job that kills its worker in the middle of a run, once, and notes where it takes it up."""
    folder = Path(folder)
    with Run(recipe, digits(), folder, resume=True, every=0.0) as run:
        with (folder.parent / f"{folder.name}.places").open("a") as file:
            file.write(f"{os.environ['OPENBLAS_NUM_THREADS']} thread, {run.place}\n")
        for _ in run.walk():
            if run.recipe.formats.fl == 8 and run.trainer.epoch == 0 and run.trainer.position == 4:
                marker = folder.parent / "killed"
                if not marker.exists():
                    marker.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
        return run.history


@distributed
def test_a_dead_workers_run_goes_on_from_its_checkpoint(tmp_path, monkeypatch):
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    found = points(RECIPE, {"formats.fl": ["8", "14"]}, seeds=2)
    monkeypatch.setattr(sweeping, "_carry_out", dying)
    rows = dict(sweep(found, tmp_path, workers=2))
    assert sorted(rows) == [0, 1, 2, 3]
    assert (tmp_path / "killed").exists()
    places = {p.stem: p.read_text().splitlines() for p in tmp_path.glob("*.places")}
    again = [lines for lines in places.values() if len(lines) > 1]
    assert again
    for first, *_, second in again:
        assert first == "1 thread, at the start"
        assert re.fullmatch(rf"1 thread, in epoch 1, after step [34] of {STEPS}", second)
    for number, point in enumerate(found):
        _, history = train(point.recipe, digits())
        assert rows[number]["test_error"] == history[-1].test.error
        assert rows[number]["train_loss"] == history[-1].train.mean_loss
    assert [row["run"] for row in table(tmp_path)] == names(found)


def commanded(folder, *arguments, epochs=2):
    return [
        *("sweep", "digits-gupta", "--set", "network=6FC", "--set", f"batch={1438 // STEPS}"),
        *("--set", f"epochs={epochs}", "--grid", "formats.fl=8,14", "--seeds", "2"),
        *("--out", str(folder), "--workers", "2", *arguments),
    ]


#: The command; runs with 14 bits wait in their second epoch for who opens the fifo, and for ever.
WAITING = """
import sys
from gradloom.train import sweep

latch, steps = sys.argv.pop(1), int(sys.argv.pop(1))

def waiting(recipe, source, folder, say):
    from gradloom.train import sweep

    def told(text):
        say(text)
        if recipe.formats.fl == 14 and int(text.split("/")[0]) > steps:
            open(latch).read()

    sweep._REPORTED = 0.0  # after every step
    return sweep._carry_out(recipe, source, folder, told)

sweep._carry_out = waiting
from gradloom.cli import main
main()
"""


@distributed
@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_sweep_goes_on(number, tmp_path):
    folder, latch = tmp_path / "sweep", tmp_path / "latch"
    command = commanded(folder, epochs=3)
    os.mkfifo(latch)
    process = started(latch, STEPS, *command, code=WAITING)
    assert process.stdout.readline()  # a run is finished
    with latch.open("w"):  # and another one waits
        process.send_signal(number)
        _, err = process.communicate()
    assert process.returncode == 130, err
    assert re.fullmatch(r"gradloom: interrupted: \d of 4 runs are finished, .*\n", err)
    finished = {path: path.stat().st_mtime_ns for path in folder.glob("*/checkpoint.npz")}
    finished = {p: t for p, t in finished.items() if len(Checkpoint.read(p).history) == 3}
    assert finished
    refused = gradloom(*command)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert "has a sweep already" in refused.stderr
    done = gradloom(*command, "--resume")
    assert done.returncode == 0, done.stderr
    assert len(table(folder)) == 4
    assert "Test error (%) after the last epoch" in done.stdout
    assert re.search(r"^ +8 +2 +\d+\.\d\d +\d+\.\d\d +\d+\.\d\d *$", done.stdout, re.M)
    for path, written in finished.items():
        assert path.stat().st_mtime_ns == written
    # Straight through, it is the same.
    for row in table(folder):
        recipe = load(folder / row["run"] / "recipe.toml")
        assert repr(train(recipe, digits())[1][-1].test.error) == row["test_error"]


WRONG = {
    "no values": (("--grid", "batch"), "--grid 'batch': give KEY=A,B,C"),
    "an empty value": (("--grid", "batch=8,,9"), "give KEY=A,B,C"),
    "a key twice": (("--grid", "seed=1", "--grid", "seed=2"), "seed has values already: 1"),
    "a bad value": (("--grid", "batch=8,x"), "recipe digits-gupta: batch = 'x'"),
    "no such recipe": ((), "recipe 'adam'"),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=WRONG)
def test_a_mistake_is_one_line(arguments, message, tmp_path):
    recipe = "digits-gupta" if arguments else "adam"
    done = gradloom("sweep", recipe, *arguments, "--out", str(tmp_path / "sweep"))
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []
