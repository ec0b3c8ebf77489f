"""`gradloom compare step`: every recipe's step on the units, and what is said of it."""

import json

import pytest
from click.testing import CliRunner
from command import call

from golden.training import toml
from golden.training.systems.wage import tensors as wage_tensors
from gradloom.cli.commands import cli
from gradloom.train import one_step

#: Networks that take a second or two, by recipe; the others train a layer of four neurons.
NETWORKS = {
    "gupta-cifar": "2C3p1-MP3s2p1-4FC",
    "gupta-cnn": "2C3-MP2-4FC",
    "wage-cnn": "2C3-MP2-4FC",
    "wage-vgg": "2C3p1-2C3p1-MP2-4FC",
    "hwgq-cnn": "2C3-MP2-3FC",
    "dorefa-cnn": "2C3-MP2-3FC",
}
RECIPES = [name for name in toml.names() if not name.startswith("float-")]
#: What HWGQ and DoReFa have in floating point: all but exact products.
FLOAT = {"hwgq-cnn", "dorefa-cnn"}


def compared(recipe, *options):
    settings = {"network": NETWORKS.get(recipe, "4FC"), "batch": 3, "rows": 3, "columns": 3}
    arguments = [f"--set={key}={value}" for key, value in settings.items()]
    command = ["compare", "step", recipe, *arguments, "--simulator", "pysim", *options]
    return CliRunner().invoke(cli, command)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_operation_in_integers_goes_through_a_unit(recipe):
    result = compared(recipe, "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["left_out"] == []
    assert bool(said["floating_point"]) is (recipe in FLOAT)
    assert said["units"]
    for unit in said["units"]:
        assert unit["mismatches"] == unit["differ"] == 0
        assert unit["results"] > 0


def test_fifteen_recipes():
    assert len(RECIPES) == 15


def test_it_is_said_in_words():
    result = compared("wage-mlp", "--step", "2")
    assert result.exit_code == 0
    assert "wage-update" in result.stdout
    assert "Step 2 of wage-mlp, 18 operations: of " in result.stdout
    assert "training model, 0 differ." in result.stdout
    assert "floating" not in result.stdout
    assert "In floating point, and so not on hardware: " in compared("hwgq-cnn").stdout


def test_training_that_rounds_another_way_is_seen(monkeypatch):
    right = wage_tensors.activation
    monkeypatch.setattr(
        wage_tensors, "activation", lambda acc, shift, bits: right(acc, shift, bits) // 2 * 2
    )
    result = compared("wage-mlp")
    assert result.exit_code == 1
    assert "training model, 0 differ" not in result.stdout


def test_an_operation_without_a_unit_is_named(monkeypatch):
    monkeypatch.setattr(one_step, "replays", lambda operation: operation.layer != 1)
    result = compared("wage-mlp")
    assert result.exit_code == 1
    assert "No unit carries out: QuantizeWeight, Product, QuantizeActivation" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "recipe 'nothing': allowed are "),
        (["digits-wage", "--step", "100"], "step 100 of 32 images: digits has 1,438 to train with"),
        (["gupta-dnn", "--set", "rows=2"], "the step's products take "),
        (["digits-wage", "--set", "rows=x"], "rows = "),
        (["digits-wage", "--step", "0"], "0 is not in the range"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_line(arguments, message, monkeypatch, capsys):
    status, out, error = call(monkeypatch, capsys, "compare", "step", *arguments)
    assert (status, out, error.count("\n")) == (2, "", 1)
    assert message in error
