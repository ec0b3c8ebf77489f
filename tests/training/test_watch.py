"""The watch over a training: what stands still or saturates is said once; what learns is not."""

from dataclasses import replace

import numpy as np
import pytest

from golden.datasets import digits
from golden.training import Epoch, Histogram, LayerReport, Run, Score, load, train
from golden.training.runs import description, watch
from golden.training.toml import made_for, names

BARS = Histogram(counts=np.zeros(0, np.int64), edges=np.zeros(1))
RECIPE = load("gupta-dnn")


def epoch(number, train_error, test_error, saturated, unmoved):
    layers = tuple(
        LayerReport(name="8FC", weights=BARS, updates=BARS, saturated=s, unmoved=u)
        for s, u in zip(saturated, unmoved)
    )
    return Epoch(
        epoch=number,
        train=Score(images=1000, wrong=round(10 * train_error)),
        test=Score(images=1000, wrong=round(10 * test_error)),
        seconds=1.0,
        layers=layers,
    )


@pytest.mark.parametrize(
    ("train_error", "test_error", "saturated"),
    [
        (71.6, 57.9, 0.08),
        (25.6, 12.8, 0.57),  # the digits, their second epoch
        (12.1, 6.4, 0.74),
        (11.1, 3.8, 0.97),  # MNIST with gupta-dnn, its first epoch
        (1.6, 2.8, 0.90),
        (0.0, 45.0, 1.0),  # learned by heart
    ],
)
def test_outputs_that_are_sure_may_saturate(train_error, test_error, saturated):
    report = epoch(1, train_error, test_error, (0.0, saturated), (0.5, 0.5))
    assert watch.remarks(RECIPE, 10, [report]) == []


def test_saturated_outputs_of_wrong_images_are_said_once():
    history = [
        epoch(1, 45.0, 35.0, (0.02, 0.0, 0.4), (0.8, 0.8, 0.5)),
        epoch(2, 33.0, 31.0, (0.02, 0.0, 0.9), (0.8, 0.8, 0.5)),
        epoch(3, 32.0, 30.0, (0.02, 0.0, 0.9), (0.8, 0.8, 0.5)),
    ]
    (line,) = watch.remarks(RECIPE, 10, history)
    assert line == (
        "epoch 2: 90 % of the outputs saturate, with 31.0 % of the images wrong, and saturated "
        "outputs teach nothing: try integer bits (formats.activation_fl=10) and a smaller "
        "learning_rate"
    )


def test_hidden_layers_that_saturate_are_named():
    (line,) = watch.remarks(RECIPE, 10, [epoch(4, 20, 20, (0.1, 0.6, 0.0), (0.5, 0.5, 0.5))])
    assert line.startswith("epoch 4: 60 % of the values of layer 2 (8FC) saturate: try integer")
    assert not watch.remarks(RECIPE, 10, [epoch(4, 20, 20, (0.1, 0.3, 0.0), (0.5, 0.5, 0.5))])


@pytest.mark.parametrize(
    ("error", "unmoved", "said"),
    [
        (90.0, (1.0, 1.0, 1.0), True),
        (20.0, (1.0, 1.0, 1.0), True),  # it learned, and stands still since
        (1.0, (1.0, 1.0, 1.0), False),  # nothing is left to learn
        (88.0, (1.0, 1.0, 0.995), True),  # the biases of the last layer alone move
        (30.0, (0.9999, 0.9999, 0.995), False),  # steps that are drawn may be rare
        (88.0, (0.9, 0.95, 0.9), False),
    ],
)
def test_weights_that_stand_still(error, unmoved, said):
    found = watch.remarks(RECIPE, 10, [epoch(1, error, error, (0.0,) * 3, unmoved)])
    assert len(found) == said
    if said:
        assert "of the weights did not move in its last step" in found[0]
        assert "try a larger deviation" in found[0]


@pytest.mark.parametrize("name", ["digits-gupta", "digits-wage", "li-sr", "float-digits-wage"])
def test_a_training_that_learns_has_no_remarks(name):
    recipe = load(name, ["batch=32", "epochs=6"])
    with Run(recipe, digits()) as run:
        for _ in run.walk():
            pass
        assert run.remarks == []
        assert run.history[-1].test.error < 40


def test_a_training_that_saturates_says_so_once_and_what_is_said_helps(tmp_path):
    settings = ["network=64FC-64FC", "epochs=3", "deviation=0.5"]
    with Run(load("digits-gupta", settings), digits(), tmp_path / "run") as run:
        for _ in run.walk():
            pass
    outputs, hidden = run.remarks
    assert " of the outputs saturate, with 89.7 % of the images wrong, " in outputs
    assert "formats.activation_fl=10) and a smaller learning_rate" in outputs
    assert " of the values of layer 2 (64FC) saturate" in hidden
    assert (tmp_path / "run/remarks.txt").read_text().splitlines() == run.remarks
    assert run.history[-1].test.error > 80
    better = [*settings, "formats.activation_fl=10", "learning_rate=0.1"]
    with Run(load("digits-gupta", better), digits(), tmp_path / "better") as run:
        for _ in run.walk():
            pass
    assert run.remarks == [] and run.history[-1].test.error < 20
    assert not (tmp_path / "better/remarks.txt").exists()


def test_watching_changes_no_bit(monkeypatch):
    """The remarks are read from reports; no draw and no step depends on them."""
    recipe = load("digits-gupta", ["epochs=2", "network=8FC"])
    first, _ = train(recipe, digits())
    monkeypatch.setattr(watch, "remarks", lambda *_: ["said"])
    second, _ = train(recipe, digits())
    assert all(np.array_equal(a, b) for a, b in zip(first.weights, second.weights))


# The data set that a recipe is made for.


def test_every_recipe_names_its_data_set():
    for name in names():
        assert made_for(name)["name"] in description.KNOWN
        assert made_for(f"float-{name}") == made_for(name)


def test_another_data_set_is_said_with_both_sizes():
    data = digits()
    assert description.other_data("digits-wage", made_for("digits-wage"), data) == ""
    assert description.other_data("mine", {}, data) == ""
    assert description.other_data("gupta-cnn", made_for("gupta-cnn"), data) == (
        "recipe gupta-cnn is made for MNIST (60,000 images of 28 x 28 x 1, 10 classes): digits has "
        "1,438 images of 8 x 8 x 1, 10 classes; rates and network may not suit it"
    )
    images = data.train_images.copy()
    images[7, 3, 3] = 16 - images[7, 3, 3] or 1
    other = replace(data, name="like-digits", train_images=images)
    line = description.other_data("digits-wage", made_for("digits-wage"), other)
    assert "10 classes): like-digits has other images of the same sizes; rates" in line


def test_a_runs_recipe_names_the_data_set_it_was_trained_on(tmp_path):
    data, recipe = digits(), load("digits-wage", ["epochs=1", "network=4FC"])
    train(recipe, data, tmp_path / "run")
    path = tmp_path / "run/recipe.toml"
    assert made_for(path) == description.described(data)
    assert description.other_data(str(path), made_for(path), data) == ""
    fewer = replace(data, test_images=data.test_images[1:], test_labels=data.test_labels[1:])
    assert "is made for digits" in description.other_data(str(path), made_for(path), fewer)
