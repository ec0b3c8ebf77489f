"""Plots: from a folder's tables, the same bytes every time, with what the axes mean on them."""

import re
from importlib.util import find_spec

import pytest
from generated import gradloom

from golden.datasets import digits
from golden.training import load, train
from gradloom.figures import MissingError
from gradloom.train import plots
from gradloom.train.sweep import points, sweep

matplotlib = pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is missing")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plots") / "run"
    train(load("digits-gupta", ["network=3C3-MP2-8FC", "epochs=3", "batch=64"]), digits(), folder)
    return folder


@matplotlib
@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_a_runs_plots_are_the_same_every_time(suffix, run):
    made = plots.draw(run, suffix)
    assert [path.name for path in made] == [
        f"{name}.{suffix}" for name in ("error", "loss", "layers", "histograms")
    ]
    first = {path: path.read_bytes() for path in made}
    assert all(len(text) > 3000 for text in first.values())
    plots.draw(run, suffix)
    assert first == {path: path.read_bytes() for path in made}


@matplotlib
def test_axes_say_what_they_are(run):
    texts = {
        path.stem: re.findall(r">([^<>]+)</text>", path.read_text())
        for path in plots.draw(run, "svg")
    }
    assert {"epoch", "error (%)", "test", "training"} <= set(texts["error"])
    assert {"epoch", "training loss (mean per image)"} <= set(texts["loss"])
    assert {"epoch", "share (%)", "1: 3C3", "2: 8FC", "3: 10FC"} <= set(texts["layers"])
    assert {"weight (value)", "update of the last step (value)"} <= set(texts["histograms"])
    assert not any("201" in text for text in texts["error"])


@matplotlib
@pytest.mark.parametrize(
    ("grid", "seeds", "said"),
    [
        ({"batch": ["64", "100", "128"]}, 1, ("batch", "64", "100", "128")),
        ({}, 3, ("seed", "0", "1", "2")),
        (
            {"rounding": ["nearest", "stochastic"], "formats.fl": ["8", "14"]},
            1,
            ("rounding", "nearest", "stochastic", "formats.fl=8", "formats.fl=14"),
        ),
    ],
    ids=["one key", "seeds", "two keys"],
)
def test_a_sweeps_plot_names_its_keys(grid, seeds, said, tmp_path):
    base = load("digits-gupta", ["network=4FC", "epochs=1"])
    for point in (found := points(base, grid, seeds)):
        train(point.recipe, digits(), tmp_path / point.name)
    assert len(list(sweep(found, tmp_path, resume=True))) == len(found)
    (path,) = plots.draw(tmp_path, "svg")
    texts = set(re.findall(r">([^<>]+)</text>", path.read_text()))
    assert {*said, "test error (%)"} <= texts
    before = path.read_bytes()
    assert plots.draw(tmp_path, "svg") == [path]
    assert path.read_bytes() == before


@matplotlib
def test_an_epoch_alone_and_none_can_be_drawn(tmp_path):
    recipe = load("digits-gupta", ["network=", "epochs=1"])
    train(recipe, digits(), tmp_path / "one")
    assert len(plots.draw(tmp_path / "one")) == 4
    folder = tmp_path / "none"
    folder.mkdir()
    for name in ("metrics.csv", "layers.csv"):
        (folder / name).write_text((tmp_path / "one" / name).read_text().splitlines()[0] + "\n")
    assert plots.draw(folder) == []


@matplotlib
def test_the_command_draws_again(run):
    done = gradloom("plots", str(run), "--format", "svg")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{run}: error.svg, loss.svg, layers.svg, histograms.svg\n"


@matplotlib
def test_another_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"neither metrics\.csv of a run nor summary\.csv of a"):
        plots.draw(tmp_path)


def test_without_matplotlib_a_line_says_how_to_get_it(run, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingError, match=re.escape("pip install 'gradloom[train]'")):
        plots.draw(run)
