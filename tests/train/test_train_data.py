"""`gradloom train` on data that no recipe was tuned for: any size and classes, CIFAR-10's form."""

import csv
import struct

import cifar_sets
import numpy as np
import pytest
from click.testing import CliRunner

from gradloom.cli import cli


def write_idx(path, array):
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + array.tobytes())


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """Three classes of 17 x 19 pixels: bright on top, in the middle, or at the bottom."""
    folder = tmp_path_factory.mktemp("shapes")
    random = np.random.default_rng(5)
    for part, count in (("train", 210), ("t10k", 40)):
        labels = random.integers(0, 3, count).astype(np.uint8)
        images = random.integers(0, 90, (count, 17, 19), np.uint8)
        for image, label in zip(images, labels):
            image[6 * label : 6 * label + 5] += 150
        write_idx(folder / f"{part}-images-idx3-ubyte", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte", labels)
    return folder


def trained(*arguments):
    result = CliRunner().invoke(cli, ["train", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.output


DENSE = ("gupta-dnn", "wage-mlp", "li-r", "li-sr", "li-bc", "bnn-mlp", "float-gupta-dnn")
CONVOLUTIONAL = ("gupta-cnn", "wage-cnn", "hwgq-cnn", "dorefa-cnn", "float-wage-cnn")


@pytest.mark.parametrize("recipe", [*DENSE, *CONVOLUTIONAL])
def test_a_recipe_works_as_it_is(recipe, shapes, tmp_path):
    """Its batch and its network; the epochs are fewer, for the test's sake."""
    out = tmp_path / "run"
    trained(recipe, "--data", shapes, "--set", "epochs=2", "--out", out)
    with (out / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = ["epoch", "train_loss", "train_error", "test_error", "seconds"]
    assert [list(row)[:5] for row in rows] == [columns] * 2
    assert all(np.isfinite(float(value)) for row in rows for value in row.values())


@pytest.mark.parametrize("recipe", ["gupta-dnn", "wage-cnn", "float-gupta-dnn"])
def test_it_learns_such_data(recipe, shapes, tmp_path):
    out = tmp_path / "run"
    settings = ["--set", "batch=20", "--set", "epochs=4"]
    if recipe != "wage-cnn":
        settings += ["--set", "network=64FC", "--set", "learning_rate=0.5"]
    trained(recipe, "--data", shapes, *settings, "--out", out)
    with (out / "metrics.csv").open(newline="") as file:
        assert float(list(csv.DictReader(file))[-1]["test_error"]) < 25  # of 67 by chance


def test_an_image_too_small_is_told_what_is_wanted(tmp_path):
    for part in ("train", "t10k"):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte", np.zeros((9, 12, 11), np.uint8))
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte", np.arange(9, dtype=np.uint8))
    result = CliRunner().invoke(cli, ["train", "gupta-cnn", "--data", str(tmp_path)])
    message = str(result.exception)
    assert "images of 12 x 11; images of 16 x 16 or more are wanted" in message
    assert "16C5 does not fit" in message


@pytest.mark.parametrize(
    ("recipe", "version"),
    [("gupta-cifar", "python"), ("wage-vgg", "binary"), ("float-gupta-cifar", "binary")],
)
def test_the_networks_for_cifar_train_on_its_form(recipe, version, tmp_path):
    """Some steps of the whole network, on a small made set."""
    cifar_sets.write(tmp_path / "data", version)
    text = trained(recipe, "--data", tmp_path / "data", "--set", "batch=5", "--set", "epochs=1")
    assert "15 images of 32 x 32 x 3 to train with, 3 to test" in text
