"""A training on the simulated core gives what golden gives, whoever carries out which step."""

import csv
import json

import numpy as np
import pytest
from small_cores import random_images, small

from golden.training import Run, WageTrainer, load, new_trainer
from golden.training.runs import backends
from golden.training.runs.checkpoint import LATEST
from gradloom.core.trainer import core_trainer

SHAPE, CLASSES = (2, 2, 1), 3
#: Stochastic errors, so that two operations of a step draw.
RECIPE = small(network="4FC", batch=5, epochs=2, error_rounding="stochastic")


def images():
    return random_images(SHAPE, CLASSES, count=23)


@pytest.fixture
def without_time(monkeypatch):
    """Checkpoints are files with the seconds of a run in them."""
    monkeypatch.setattr("time.perf_counter", lambda: 0.0)


def trained(folder, turns, resume=False):
    """Train in a folder: by turns some steps with each of some trainers."""
    for number, (new, steps) in enumerate(turns):
        run = Run(RECIPE, images(), folder, resume=resume or number > 0, every=0.0, new=new)
        with run:
            for step, _ in enumerate(run.walk(), 1):
                if step == steps:
                    break
    return run


def files(folder):
    """Contents of a run's files that do not say who carried it out."""
    return {
        path.name: path.read_bytes()
        for path in folder.glob("[!.]*")
        if path.name != backends.BACKENDS
    }


@pytest.mark.long
def test_a_run_changes_between_golden_and_the_core(tmp_path, without_time):
    rng = np.random.default_rng(0)
    trained(tmp_path / "golden", [(new_trainer, 99)])
    whole = len(images().train_images) // RECIPE.batch * RECIPE.epochs
    first = int(rng.integers(1, 4))
    second = int(rng.integers(1, 3))
    core = core_trainer("pysim")
    turns = [(core, first), (new_trainer, second), (core, 99)]
    run = trained(tmp_path / "both", turns)
    assert files(tmp_path / "both") == files(tmp_path / "golden")
    assert run.finished
    with (tmp_path / "both" / backends.BACKENDS).open(encoding="utf-8") as file:
        rows = [tuple(row.values()) for row in csv.DictReader(file)]
    who = [name for _, one, last, name in rows for _ in range(int(one), int(last) + 1)]
    assert who == [
        *["simulation"] * first,
        *["golden"] * second,
        *["simulation"] * (whole - first - second),
    ]


class Other(WageTrainer):
    """Golden under another name."""

    BACKEND = "other"


def other(recipe, dataset):
    return Other(recipe, shape=dataset.shape, classes=dataset.classes, pixel_max=dataset.pixel_max)


def record(folder):
    path = folder / backends.BACKENDS
    return path.read_text("utf-8").splitlines()[1:] if path.exists() else None


def test_who_carried_out_which_step_is_recorded(tmp_path):
    trained(tmp_path, [(new_trainer, 2)])
    assert record(tmp_path) is None  # as in all runs from before
    trained(tmp_path, [(other, 3)], resume=True)
    assert record(tmp_path) == ["1,1,2,golden", "1,3,4,other", "2,1,1,other"]
    trained(tmp_path, [(new_trainer, 99)], resume=True)
    assert record(tmp_path)[2:] == ["2,1,1,other", "2,2,4,golden"]


def test_a_record_that_is_ahead_of_its_checkpoint_is_cut(tmp_path):
    trained(tmp_path, [(other, 2)])
    checkpoint = (tmp_path / LATEST).read_bytes()
    trained(tmp_path, [(other, 4)], resume=True)
    assert record(tmp_path) == ["1,1,4,other", "2,1,2,other"]
    (tmp_path / LATEST).write_bytes(checkpoint)
    trained(tmp_path, [(new_trainer, 1)], resume=True)
    assert record(tmp_path) == ["1,1,2,other", "1,3,3,golden"]


def test_a_damaged_record_is_named(tmp_path):
    trained(tmp_path, [(other, 2)])
    (tmp_path / backends.BACKENDS).write_text("epoch,first_step\n1,x\n", "utf-8")
    with pytest.raises(ValueError, match=r"backends.csv: no record of backends"):
        Run(RECIPE, images(), tmp_path, resume=True)


def test_a_trainer_on_a_core_has_golden_weights_before_its_first_step():
    trainer = core_trainer("pysim")(RECIPE, images())
    golden = new_trainer(RECIPE, images())
    state, wanted = trainer.state(), golden.state()
    assert state.keys() == wanted.keys()
    assert all(np.array_equal(state[name], wanted[name]) for name in state if name != "walk")
    assert json.loads(str(state["walk"])) == json.loads(str(wanted["walk"]))


def test_what_no_core_trains_is_refused():
    for name, text in (("digits-gupta", "system = gupta"), ("wage-cnn", "is a convolution")):
        with pytest.raises(ValueError, match=text):
            core_trainer("pysim")(load(name), random_images((28, 28, 1), 10))
