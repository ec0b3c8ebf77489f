"""Damaged recipes, checkpoints and tables of runs: one line, or a run that goes on as it stood."""

import json
import shutil
import zipfile

import numpy as np
import pytest
from bounded import bounded
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import mutated, respelled

from golden.datasets import digits
from golden.training import Run, new_trainer, toml, train
from golden.training.runs.checkpoint import Checkpoint, DamagedError, digest

QUICK = settings(max_examples=40)
LONG = settings(max_examples=800)

RECIPES = ("digits-gupta", "digits-wage", "li-sr", "hwgq-cnn", "dorefa-cnn", "gupta-cifar")
TEXTS = {name: toml.text(name) for name in RECIPES}
SETTINGS = ["network=4FC", "batch=359", "epochs=2"]


DATA = digits()


@pytest.fixture(scope="module")
def data():
    return DATA


@pytest.fixture(scope="module")
def begun(tmp_path_factory, data):
    """Folder of a run that stands in its second epoch."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    with Run(toml.load("digits-gupta", SETTINGS), data, folder, every=0.0) as run:
        for _ in zip(range(6), run.walk()):
            pass
    return folder


def refused_in_a_line(error):
    assert "\n" not in str(error) and "allow_pickle" not in str(error)
    assert "unsafe" not in str(error).lower()


# Recipes.


def check_recipe(text, data):
    with bounded():
        try:
            recipe = toml.read(text)
            trainer = new_trainer(recipe, data)
        except ValueError as error:
            refused_in_a_line(error)
            return
        text = toml.written(recipe)
        assert toml.written(toml.read(text)) == text
        assert trainer.layers >= 1


@st.composite
def texts(draw):
    text = TEXTS[draw(st.sampled_from(RECIPES))]
    if draw(st.booleans()):
        return draw(respelled(text))
    return draw(mutated(text.encode())).decode("utf-8", "replace")


@QUICK
@given(text=texts())
def test_damaged_recipes(text):
    check_recipe(text, DATA)


@pytest.mark.long
@LONG
@given(text=texts())
def test_much_damaged_recipes(text):
    check_recipe(text, DATA)


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 100_000,
        "a" + ".a" * 20_000 + " = 1",
        f"batch = {'9' * 5000}",
        "system = 'gupta'\nbatch = 0x" + "f" * 5000,
        "system = 'gupta'\nlearning_rate = '1e999999999'",
        "system = 'gupta'\nlearning_rate = 1e999999999",
        "system = 'gupta'\nnetwork = '65536FC-65536FC-65536FC'",
        "system = 'wage'\nnetwork = '" + "-".join(["1FC"] * 20_000) + "'",
        "system = 'wage'\nrates = [" + "[1, 0], " * 20_000 + "]",
        "system = ['wage']",
        "data = 3\nsystem = 'wage'",
    ],
    ids=range(11),
)
def test_recipes_without_bounds(text, data):
    check_recipe(text, data)


def test_a_file_without_an_end_is_no_recipe(tmp_path):
    (tmp_path / "endless.toml").symlink_to("/dev/zero")
    with bounded(), pytest.raises(ValueError, match="not a regular file"):
        toml.load(tmp_path / "endless.toml")
    (tmp_path / "large.toml").write_text("#" * (1 << 21))
    with pytest.raises(ValueError, match="no recipe: more than 65,536 bytes"):
        toml.load(tmp_path / "large.toml")


# Checkpoints.


def check_checkpoint(folder, content, data):
    """Whatever stands in the latest checkpoint, a run is refused in a line or goes on."""
    (folder / "checkpoint.npz").write_bytes(content)
    with bounded():
        try:
            with Run(toml.load("digits-gupta", SETTINGS), data, folder, resume=True) as run:
                for _ in zip(range(2), run.walk()):
                    pass
        except ValueError as error:
            refused_in_a_line(error)
            assert str(error).startswith(str(folder))
            return False
    return True


@pytest.fixture
def alone(begun, tmp_path):
    """A copy of the run with one checkpoint."""
    shutil.copytree(begun, tmp_path / "run")
    (tmp_path / "run/checkpoint.previous.npz").unlink()
    return tmp_path / "run"


def test_damaged_checkpoints(alone, data):
    content = (alone / "checkpoint.npz").read_bytes()

    @QUICK
    @given(damaged=mutated(content))
    def check(damaged):
        # What is damaged where nothing stands, as in a date, may pass.
        check_checkpoint(alone, damaged, data)

    check()


#: Of a value in the JSON of a checkpoint.
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=4),
    st.just([]),
    st.just({}),
)


@st.composite
def changed(draw, value):
    """A JSON value with one value in it exchanged."""
    if isinstance(value, dict) and value and draw(st.integers(0, 4)):
        key = draw(st.sampled_from(sorted(value)))
        return {**value, key: draw(changed(value[key]))}
    if isinstance(value, list) and value and draw(st.integers(0, 4)):
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], draw(changed(value[at])), *value[at + 1 :]]
    return draw(ODD)


@st.composite
def forged(draw, arrays):
    """The arrays of a checkpoint, one of them exchanged, with a hash that is right."""
    arrays = dict(arrays)
    name = draw(st.sampled_from(sorted(set(arrays) - {"sha256"})))
    if arrays[name].dtype.kind == "U" and draw(st.booleans()):
        arrays[name] = np.array(json.dumps(draw(changed(json.loads(str(arrays[name]))))))
    else:
        arrays[name] = draw(
            st.sampled_from(
                [
                    arrays[name][..., :-1] if arrays[name].ndim else np.array("{"),
                    np.full_like(arrays[name], 3) if arrays[name].ndim else np.array("[]"),
                    np.zeros(0, np.int64),
                    np.full(arrays[name].shape, np.nan),
                    np.full(arrays[name].shape, -1, np.int64),
                    np.full(arrays[name].shape, 1 << 40, np.int64),
                ]
            )
        )
    arrays.pop("sha256")
    return {**arrays, "sha256": np.array(digest(arrays))}


def check_forged(folder, arrays, data):
    with (folder / "new.npz").open("wb") as file:
        np.savez(file, **arrays)
    check_checkpoint(folder, (folder / "new.npz").read_bytes(), data)


def arrays_of(folder):
    with np.load(folder / "checkpoint.npz") as file:
        return {name: file[name] for name in file.files}


def test_forged_checkpoints(alone, data):
    @QUICK
    @given(arrays=forged(arrays_of(alone)))
    def check(arrays):
        check_forged(alone, arrays, data)

    check()


@pytest.mark.long
def test_many_forged_checkpoints(alone, data):
    @LONG
    @given(arrays=forged(arrays_of(alone)))
    def check(arrays):
        check_forged(alone, arrays, data)

    check()


def npy(header, data=b""):
    """A member of an archive, with a header of its own."""
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text + data


CLAIMS = {
    "2^40 values": npy(f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({1 << 40},)}}"),
    "values without end": npy(f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({10**30},)}}"),
    "a negative length": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -1)}"),
    "objects": npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", b"cos\nsystem\n"),
    "objects in records": npy("{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (1,)}"),
    "code": npy("__import__('os').system('touch harm')"),
    "nested without end": npy("(" * 100),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_in_a_header_is_not_believed(name, alone, data, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile(alone / "checkpoint.npz", "w") as file:
        file.writestr("weights 1.npy", CLAIMS[name])
        file.writestr("sha256.npy", CLAIMS[name])
    with bounded(memory=1 << 28), pytest.raises(DamagedError) as caught:
        Checkpoint.read(alone / "checkpoint.npz")
    refused_in_a_line(caught.value)
    assert str(caught.value).startswith(f"{alone}/checkpoint.npz: damaged: ")
    assert not (tmp_path / "harm").exists()


def test_a_compressed_checkpoint_is_none(alone, data):
    """A small one may become large."""
    with zipfile.ZipFile(alone / "checkpoint.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("weights 1.npy", bytes(1 << 20))
    with pytest.raises(DamagedError, match=r"'weights 1\.npy' is compressed$"):
        Checkpoint.read(alone / "checkpoint.npz")


@pytest.mark.long
@pytest.mark.parametrize("name", ["recipe.toml", "metrics.csv", "layers.csv", "histograms.npz"])
def test_damaged_tables(name, begun, tmp_path):
    plots = pytest.importorskip("gradloom.train.plots")
    pytest.importorskip("matplotlib")
    folder = tmp_path / "run"
    shutil.copytree(begun, folder)
    content = (folder / name).read_bytes()

    @settings(max_examples=30)
    @given(damaged=mutated(content))
    def check(damaged):
        (folder / name).write_bytes(damaged)
        with bounded(20, 1 << 30):
            try:
                plots.draw(folder)
            except ValueError as error:
                refused_in_a_line(error)

    check()


def test_an_undamaged_run_goes_on(alone, data):
    """What the tests above change is a run that would go on."""
    assert check_checkpoint(alone, (alone / "checkpoint.npz").read_bytes(), data)
    train(toml.load("digits-gupta", SETTINGS), data, alone, resume=True)
