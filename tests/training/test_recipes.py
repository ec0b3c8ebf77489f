"""Recipes: what is written reads back to the same training, and a mistake is one line."""

import re
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from golden.datasets import Dataset, digits
from golden.training import SYSTEMS, FloatRecipe, GuptaRecipe, load, new_trainer, toml
from golden.training.layers.network import smallest, stages

ALL = [prefix + name for name in toml.names() for prefix in ("", toml.FLOAT)]
#: What makes a step of any of them quick on images of 8 x 8.
SMALL = ["network=2C3-MP2-6FC", "batch=4", "epochs=1"]


def test_there_are_the_recipes_that_the_documentation_names():
    assert set(toml.names()) >= {
        *("digits-wage", "digits-gupta", "gupta-dnn", "gupta-cnn", "gupta-cifar"),
        *("wage-mlp", "wage-cnn", "wage-vgg", "li-r", "li-sr", "li-bc", "li-bigsr"),
        *("hwgq-cnn", "bnn-mlp", "dorefa-cnn"),
    }
    assert {load(name).SYSTEM for name in ALL} == set(SYSTEMS)


@pytest.mark.parametrize("name", ALL)
def test_a_recipe_reads_back_from_what_is_written(name):
    recipe = load(name)
    text = toml.written(recipe, {"name": "digits", "classes": 10})
    assert toml.read(text) == recipe
    assert toml.written(toml.read(text)) == toml.written(recipe)
    assert "[data]" in text and "[data]" not in toml.written(recipe)


@pytest.mark.parametrize("name", ALL)
def test_every_setting_can_be_set_to_what_it_is(name):
    """From another recipe of the same system, key by key."""
    recipe = load(name)
    other = replace(type(recipe)(), seed=77, batch=3)
    kept = [key for key in toml.keys(other) if key.split("=")[0] not in dict(settings(recipe))]
    assert all(key.split("=")[0].startswith(("formats.", "generator.")) for key in kept)
    none = [f"{key.split('=')[0]}=none" for key in kept]
    assert toml.varied(other, [*none, *toml.keys(recipe)]) == recipe


def settings(recipe):
    return [setting.split("=", 1) for setting in toml.keys(recipe)]


@pytest.mark.parametrize("name", [name for name in ALL if not name.startswith(toml.FLOAT)])
def test_a_recipe_says_what_it_is_and_fits_what_it_says(name):
    text = toml.text(name)
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert len(comments) >= 3 and comments == text.splitlines()[: len(comments)]
    assert re.search(r"20\d\d|Li et al|Rules", " ".join(comments))
    assert "Expects images of " in text
    recipe = load(name)
    height, width = smallest(recipe.network)
    assert stages(recipe.network, (height, width, 3), 7)
    if "any size" in text:
        assert (height, width) == (1, 1)
    else:
        assert f"Expects images of {height} x {width} or more" in text
        with pytest.raises(ValueError, match=f"images of {height} x {width} or more are wanted"):
            stages(recipe.network, (height - 1, width, 1), 7)


@pytest.mark.parametrize("name", ALL)
def test_what_is_written_trains_to_the_same_bits(name):
    data = digits()
    recipe = load(name, SMALL)
    trainers = [new_trainer(r, data) for r in (recipe, toml.read(toml.written(recipe)))]
    for trainer in trainers:
        for start in range(0, 12, 4):
            part = slice(start, start + 4)
            trainer.step(data.train_images[part], data.train_labels[part])
    first, second = (trainer.state() for trainer in trainers)
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("name", ALL)
def test_any_classes_and_any_image_that_is_large_enough(name):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (8, 9, 11, 3), np.uint8)
    labels = np.arange(8, dtype=np.uint8) % 3
    data = Dataset(
        name="noise",
        train_images=images,
        train_labels=labels,
        test_images=images,
        test_labels=labels,
        pixel_max=255,
        classes=3,
    )
    trainer = new_trainer(load(name, SMALL), data)
    trainer.step(images[:4], labels[:4])
    assert set(trainer.predict(images)) <= {0, 1, 2}


def test_a_baseline_has_the_network_and_the_batches():
    for name in toml.names():
        recipe, baseline = load(name), load(f"float-{name}")
        assert isinstance(baseline, FloatRecipe)
        for key in ("network", "batch", "epochs", "seed"):
            assert getattr(recipe, key) == getattr(baseline, key)


def test_settings_are_read_by_the_type_of_their_field():
    recipe = load(
        "gupta-cnn",
        [
            *("formats.fl=8", "formats.input_fl=none", "generator.seed=5", "rounding=nearest"),
            *("network=32C5-MP2", "generator.mask=0x80000EA6", "learning_rate=1/3", "decay=0.50"),
        ],
    )
    assert (recipe.formats.fl, recipe.formats.input_fl, recipe.formats.activation_fl) == (
        8,
        None,
        10,
    )
    assert (recipe.generator.seed, recipe.generator.mask) == (5, 0x80000EA6)
    assert recipe.generator.leap == 16
    assert recipe.rounding is type(recipe.rounding).NEAREST
    assert recipe.network == "32C5-MP2"
    assert (recipe.learning_rate, recipe.decay) == ("1/3", 0.5)
    wage = load("wage-vgg", ["rates=1:2,7:-1", "bits=3-6-10-8", "bits.error=9"])
    assert wage.rates == ((1, 2), (7, -1))
    assert str(wage.bits) == "3-6-10-9"
    assert load("float-digits-wage", ["batch_norm=true"]).batch_norm is True


@pytest.mark.parametrize("value", [0.5, "0.5", "1/2", ".50", Fraction(1, 2)])
def test_an_exact_number_has_one_text(value):
    assert "learning_rate = 0.5\n" in toml.written(GuptaRecipe(learning_rate=value))


def test_numbers_that_a_float_is_not_stay_exact():
    for value, text in ((Fraction(1, 3), '"1/3"'), ("0.1", "0.1"), (0.1, "0.1"), (1.0, "1")):
        recipe = GuptaRecipe(learning_rate=value)
        assert f"learning_rate = {text}\n" in toml.written(recipe)
        read = toml.read(toml.written(recipe))
        assert Fraction(str(read.learning_rate)) == Fraction(str(value))


def test_a_file_is_a_recipe(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(toml.text("gupta-dnn").replace("batch = 100", "batch = 50"))
    assert load(path) == load(str(path)) == replace(load("gupta-dnn"), batch=50)
    assert load(path, ["batch=100"]) == load("gupta-dnn")


GUPTA = 'system = "gupta"\n'
#: Text of a file, and what the line about it says after the file's name.
WRONG = {
    "unknown key": (
        GUPTA + "colour = 1",
        r"unknown key 'colour': allowed are network, batch, .*formats.fl.*",
    ),
    "unknown key of a table": (
        GUPTA + "[formats]\nfly = 1",
        r"unknown key 'formats\.fly': allowed are formats\.fl, formats\.activation_fl, .*",
    ),
    "text for a number": (GUPTA + 'batch = "many"', r"batch = 'many': a whole number is wanted"),
    "float for a whole number": (GUPTA + "batch = 8.0", r"batch = 8\.0: a whole number is wanted"),
    "bool for a number": (GUPTA + "seed = true", r"seed = True: a whole number is wanted"),
    "no exact number": (GUPTA + 'decay = "low"', r"decay = 'low': a number is wanted"),
    "not a number": (GUPTA + "decay = nan", r"decay = nan: a number is wanted"),
    "number for a text": (GUPTA + "network = 5", r"network = 5: a text is wanted"),
    "number for a table": (GUPTA + "formats = 5", r"formats = 5: a table of fl, .* is wanted"),
    "table for a number": (GUPTA + "[batch]\na = 1", r"batch = {'a': 1}: a whole number is wanted"),
    "impossible": (GUPTA + "batch = 0", r"batch = 0: allowed are 1 to 65536"),
    "impossible in a table": (
        GUPTA + "[formats]\nfl = 15",
        r"formats\.fl = 15: allowed are 0 to 14",
    ),
    "impossible together": (
        GUPTA + "[generator]\nleap = 3",
        r"generator\.leap = 3: a power of two is wanted",
    ),
    "unknown choice": (
        GUPTA + 'rounding = "up"',
        r"rounding = 'up': allowed are stochastic, nearest",
    ),
    "no layer": (GUPTA + 'network = "8D5"', r"network = '8D5': '8D5' is not a layer; .*"),
    "no pairs": (
        'system = "wage"\nrates = [1, 2]',
        r"rates = \[1, 2\]: a list is wanted, as in .*",
    ),
    "no list": ('system = "wage"\nrates = 3', r"rates = 3: a list is wanted, as in \[\[1, 0\], .*"),
    "text in a list": (
        'system = "wage"\nrates = [[1, "a"]]',
        r"rates = .*: a whole number is wanted",
    ),
    "no system": ("batch = 3", r"no system: allowed are gupta, wage, .*float"),
    "unknown system": ('system = "adam"', r"system = 'adam': allowed are gupta, wage, .*float"),
    "system of numbers": ("system = 3", r"system = 3: allowed are gupta, .*"),
    "no TOML": ("batch = = 3", r"not TOML: .*line 1.*"),
    "a key twice": (GUPTA + "batch = 3\nbatch = 4", r"not TOML: Cannot overwrite a value.*"),
}


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG)
def test_a_mistake_in_a_file_is_one_line_that_names_it(text, message, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}: {message}$") as error:
        load(path)
    assert "\n" not in str(error.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    for name, message in (
        ("none.toml", "No such file"),
        ("folder.toml", "Is a directory"),
        ("bytes.toml", "UTF-8"),
    ):
        with pytest.raises(ValueError, match=f"{name}: .*{message}"):
            load(tmp_path / name)


@pytest.mark.parametrize(
    "name", ["adam", "", "float-adam", "float-float-gupta-dnn", "../gupta-dnn"]
)
def test_an_unknown_name_is_refused_with_those_that_there_are(name):
    with pytest.raises(
        ValueError, match=r"^recipe '.*': allowed are bnn-mlp, .*wage-vgg, .*\.toml"
    ):
        load(name)


SETTINGS = {
    "no value": ("batch", r"setting 'batch': key=value is wanted.*"),
    "unknown": ("colour=red", r"unknown key 'colour': allowed are network, .*"),
    "unknown in a table": (
        "formats.fly=1",
        r"unknown key 'formats\.fly': allowed are .*formats\.fl,.*",
    ),
    "no table": ("batch.size=1", r"unknown key 'batch\.size': allowed are .*"),
    "deep": ("formats.fl.bits=1", r"unknown key 'formats\.fl\.bits': allowed are .*"),
    "system": ("system=wage", r"unknown key 'system': allowed are .*"),
    "letters": ("batch=many", r"batch = 'many': a whole number is wanted"),
    "fraction": ("batch=1.5", r"batch = '1\.5': a whole number is wanted"),
    "impossible": ("formats.fl=20", r"formats\.fl = 20: allowed are 0 to 14"),
    "choice": ("rounding=up", r"rounding = 'up': allowed are stochastic, nearest"),
    "whole table": ("formats=8", r"formats = '8': a table: set one of its keys fl, .*"),
    "number": ("learning_rate=fast", r"learning_rate = 'fast': a number is wanted"),
    "none": ("batch=none", r"batch = 'none': a whole number is wanted"),
}


@pytest.mark.parametrize(("setting", "message"), SETTINGS.values(), ids=SETTINGS)
def test_a_mistake_in_a_setting_is_one_line_that_names_the_recipe(setting, message):
    with pytest.raises(ValueError, match=f"^recipe gupta-cnn: {message}$") as error:
        load("gupta-cnn", [setting])
    assert "\n" not in str(error.value)
