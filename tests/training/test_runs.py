"""Runs: stopped at any moment, in any way, they go on to the same bits; what is damaged or foreign
is refused in a line.
"""

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command import started
from generated import gradloom

from golden.datasets import digits
from golden.training import Interrupted, Run, load, toml, train
from golden.training.runs import checkpoint
from golden.training.runs.checkpoint import Checkpoint
from golden.training.runs.run import latest

#: A recipe of every arithmetic, so small that a run takes a fraction of a second.
RECIPES = {
    "wage": ("digits-wage", ["network=3C3-MP2-8FC", "error_rounding=stochastic"]),
    "gupta": ("digits-gupta", ["network=3C3-MP2-8FC", "momentum=0.9"]),
    "li": ("li-sr", ["network=8FC"]),
    "bnn": ("bnn-mlp", ["network=8FC-8FC"]),
    "hwgq": ("hwgq-cnn", ["network=3C3-MP2-8FC"]),
    "dorefa": ("dorefa-cnn", ["network=3C3-MP2-8FC"]),
    "float": ("float-digits-gupta", ["network=8FC", "batch_norm=true"]),
}
STEPS = 5


def small(name="gupta", *settings):
    recipe, own = RECIPES[name]
    return load(recipe, [*own, f"batch={1438 // STEPS}", "epochs=3", *settings])


@pytest.fixture(scope="module")
def data():
    return digits()


@pytest.fixture(scope="module")
def straight(tmp_path_factory, data):
    """Folder of a run that was never stopped."""
    made = {}

    def run(name="gupta"):
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name) / "run"
            train(small(name), data, made[name])
        return made[name]

    return run


def rows(path):
    """Rows of a table, without the seconds."""
    with path.open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def state(folder):
    """All of the latest checkpoint but the seconds."""
    found = dict(Checkpoint.read(folder / "checkpoint.npz").state)
    walk = json.loads(str(found.pop("walk")))
    walk.pop("seconds")
    return walk, found


def same(first, second):
    """Two runs have come to the same in every bit."""
    for table in ("metrics.csv", "layers.csv"):
        assert rows(first / table) == rows(second / table)
    assert (first / "recipe.toml").read_text() == (second / "recipe.toml").read_text()
    (walk, arrays), (other_walk, others) = state(first), state(second)
    assert walk == other_walk
    assert arrays.keys() == others.keys()
    for name, array in arrays.items():
        assert array.dtype == others[name].dtype
        assert np.array_equal(array, others[name]), name
    assert (first / "histograms.npz").read_bytes() == (second / "histograms.npz").read_bytes()
    return True


def walked(recipe, data, folder, steps, every=0.0, **options):
    """A run that ends for no reason after so many steps more, the last of them unsaved or not."""
    with Run(recipe, data, folder, every=every, **options) as run:
        for _, _ in zip(range(steps), run.walk()):
            pass


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize(
    "stops", [(1,), (STEPS - 1,), (STEPS,), (2, 1, STEPS, 3), (3 * STEPS,)], ids=str
)
def test_a_run_goes_on_to_the_same_bits(name, stops, straight, data, tmp_path):
    for steps in stops:
        walked(small(name), data, tmp_path / "run", steps, resume=True)
    with Run(small(name), data, tmp_path / "run", resume=True) as run:
        assert len(run.history) == sum(stops) // STEPS
        for _ in run.walk():
            pass
        assert run.finished
    assert same(tmp_path / "run", straight(name))


def test_steps_after_the_checkpoint_are_made_again(straight, data, tmp_path):
    """With checkpoints at the ends of epochs alone."""
    walked(small(), data, tmp_path / "run", STEPS + 3, every=1e9)
    with Run(small(), data, tmp_path / "run", resume=True) as run:
        assert run.place == "after epoch 1"
    train(small(), data, tmp_path / "run", resume=True)
    assert same(tmp_path / "run", straight())


def test_the_tables_say_what_training_came_to(straight, data):
    told = []
    trainer, history = train(small(), data, progress=told.append)
    assert told == history and len(history) == 3 and trainer.epoch == 3
    found = rows(straight() / "metrics.csv")
    assert list(found[0]) == ["epoch", "train_loss", "train_error", "test_error"]
    for row, epoch in zip(found, history, strict=True):
        assert int(row["epoch"]) == epoch.epoch
        assert float(row["train_loss"]) == epoch.train.mean_loss
        assert float(row["train_error"]) == epoch.train.error
        assert float(row["test_error"]) == epoch.test.error
    layers = rows(straight() / "layers.csv")
    assert [(row["epoch"], row["layer"], row["name"]) for row in layers[:3]] == [
        ("1", "1", "3C3"),
        ("1", "2", "8FC"),
        ("1", "3", "10FC"),
    ]
    last = history[-1].layers[0]
    assert [float(layers[-3][key]) for key in ("saturated", "unmoved")] == [
        last.saturated,
        last.unmoved,
    ]
    with np.load(straight() / "histograms.npz") as bars:
        assert np.array_equal(bars["weights 1 counts"], last.weights.counts)
        assert np.array_equal(bars["updates 1 edges"], last.updates.edges)
        assert len(bars.files) == 3 * 4
    assert not list(straight().glob(".checkpoint*"))


def test_recipe_toml_repeats_the_run(straight, data, tmp_path):
    again = load(straight() / "recipe.toml")
    assert again == small()
    train(again, data, tmp_path / "again")
    assert same(tmp_path / "again", straight())
    text = (straight() / "recipe.toml").read_text()
    for line in ('name = "digits"', "train_images = 1438", "height = 8", "classes = 10"):
        assert line in text.partition("[data]")[2]


def test_without_a_folder_nothing_is_written(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    walked(small(), data, None, 7)
    assert list(tmp_path.iterdir()) == []


def test_a_finished_run_has_nothing_left_to_do(straight, data, tmp_path):
    shutil.copytree(straight(), tmp_path / "run")
    trainer, history = train(small(), data, tmp_path / "run", resume=True)
    assert trainer.epoch == 3 and len(history) == 3
    assert same(tmp_path / "run", straight())


@pytest.mark.parametrize("stopped", [2 * STEPS, 2 * STEPS + 2])
@pytest.mark.parametrize("name", ["wage", "gupta", "float"])
def test_a_run_is_prolonged(name, stopped, straight, data, tmp_path):
    """After its last epoch, or within one: as if it had been as long from the beginning."""
    shorter = small(name, f"epochs={-(-stopped // STEPS)}")
    walked(shorter, data, tmp_path / "run", stopped)
    with Run(small(name), data, tmp_path / "run", resume=True) as run:
        assert len(run.history) == 2 and not run.finished
        for _ in run.walk():
            pass
    assert same(tmp_path / "run", straight(name))


def test_a_run_may_end_earlier_but_not_before_what_it_did(straight, data, tmp_path):
    walked(small(), data, tmp_path / "run", STEPS + 2)
    refused(small("gupta", "epochs=1"), data, tmp_path / "run", "epoch 2 has begun: the recipe sa")
    _, history = train(small("gupta", "epochs=2"), data, tmp_path / "run", resume=True)
    assert rows(tmp_path / "run/metrics.csv") == rows(straight() / "metrics.csv")[:2]
    assert len(history) == 2
    assert load(tmp_path / "run/recipe.toml").epochs == 2


def test_a_run_is_prolonged_at_the_command_line(data, straight, tmp_path):
    folder = tmp_path / "run"
    (tmp_path / "mine.toml").write_text(toml.written(small("gupta", "epochs=2")))
    command = ["train", str(tmp_path / "mine.toml"), "--out", str(folder)]
    assert gradloom(*command).returncode == 0
    done = gradloom(*command, "--resume", "--set", "epochs=3")
    assert done.returncode == 0, done.stderr
    assert f"{folder}: goes on after epoch 2\n" in done.stdout
    assert rows(folder / "metrics.csv") == rows(straight() / "metrics.csv")


def test_remarks_on_the_data_are_in_the_folder(data, tmp_path):
    gaps = replace(data, train_labels=2 * data.train_labels, classes=19)
    with Run(small(), gaps, tmp_path / "run", remarks=["mine"]) as run:
        first, second, third, fourth = run.remarks
    assert first == "mine" and second.startswith("digits: 10 of 19 classes have training images;")
    assert third.startswith("digits: 192 of 359 test images (53.5 %) are of classes without a")
    assert fourth.startswith("digits: no test image is of classes 10, 12, 14, 16, 18: ")
    assert (tmp_path / "run/remarks.txt").read_text().splitlines() == run.remarks


def test_a_checkpoint_is_written_at_least_so_often(data, tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    written = []
    monkeypatch.setattr(Checkpoint, "write", lambda self, folder: written.append(now[0]))
    with Run(small("gupta", "batch=16"), data, tmp_path / "run") as run:
        for _, _ in zip(range(50), run.walk()):
            now[0] += 7.0
    assert written == [63.0 * count for count in range(1, 6)]


# Stopped by force.

#: Trains, and kills itself: argv is the folder, how often to write before, and where to stop then.
KILLED = """
import io, os, signal, sys
import numpy as np
from pathlib import Path
sys.path[:0] = {tests!r}
from test_runs import small
from golden.datasets import digits
from golden.training import Run

folder, before, where = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
savez, rename, left = np.savez, Path.replace, [before]

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def dying_savez(file, *args, **arrays):
    if "about" in arrays:
        left[0] -= 1
        if left[0] < 0 and where == "bytes":
            whole = io.BytesIO()
            savez(whole, *args, **arrays)
            file.write(whole.getvalue()[: len(whole.getvalue()) // 2])
            file.flush()
            os.fsync(file.fileno())
            die()
    savez(file, *args, **arrays)

def dying_replace(self, target):
    if left[0] < 0 and where == "before" and Path(target).name == "checkpoint.previous.npz":
        die()
    result = rename(self, target)
    if left[0] < 0 and where == "between" and Path(target).name == "checkpoint.previous.npz":
        die()
    if left[0] < 0 and where == "after" and Path(target).name == "checkpoint.npz":
        die()
    if left[0] <= 0 and where == "table" and Path(target).name == "metrics.csv":
        die()
    return result

np.savez, Path.replace = dying_savez, dying_replace
with Run(small("wage"), digits(), folder, every=0.0, resume=True) as run:
    for _ in run.walk():
        pass
"""


def killed(folder, before, where):
    """Run until it is killed."""
    rooms = [str(Path(__file__).parents[number]) for number in range(2)]
    script = textwrap.dedent(KILLED).format(tests=rooms)
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder), str(before), where],
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    return done


@pytest.mark.parametrize(
    ("before", "where"),
    [
        (0, "bytes"),  # the first checkpoint of all
        (1, "bytes"),
        (STEPS + 1, "bytes"),
        (3, "before"),
        (3, "between"),
        (STEPS - 1, "between"),  # the one that ends an epoch
        (3, "after"),
        (2 * STEPS - 1, "table"),  # the epoch is in metrics.csv, but in no checkpoint
    ],
)
def test_a_kill_while_a_checkpoint_is_written_loses_no_bit(before, where, straight, data, tmp_path):
    folder = tmp_path / "run"
    killed(folder, before, where)
    if where == "bytes":
        torn = next(folder.glob(".checkpoint.npz.*"))
        with pytest.raises(ValueError, match="damaged"):
            Checkpoint.read(torn)
    if where == "table":
        assert len(rows(folder / "metrics.csv")) == 2
        assert latest(folder)[0].history[-1].epoch == 1
    with Run(small("wage"), data, folder, resume=True) as run:
        at = before + (where == "after")
        assert (run.trainer.epoch, run.trainer.position) == divmod(at, STEPS)
        assert run.remark == ""
        assert len(rows(folder / "metrics.csv")) == at // STEPS
        assert not list(folder.glob(".checkpoint*"))
        for _ in run.walk():
            pass
    assert same(folder, straight("wage"))


#: The command; it says "now" after some steps, and waits for ever before the last one of all.
KILLABLE = """
import signal, sys
from golden.training.runs.run import Run
from gradloom.cli import main

walk, after = Run.walk, int(sys.argv.pop(1))

def walked(self):
    for number, report in enumerate(walk(self), 1):
        left = self.recipe.epochs * self.steps - self.trainer.epoch * self.steps
        left -= self.trainer.position
        if number == after or left == 1:
            print("now", flush=True)
        if left == 1:
            signal.pause()
        yield report

Run.walk = walked
main()
"""


@pytest.mark.long
def test_kills_at_any_time_lose_no_bit(data, tmp_path):
    """Again and again, from the command line; then the run goes through."""
    folder, random = tmp_path / "run", np.random.default_rng(0)
    recipe = small("wage", "epochs=30", "batch=64")
    train(recipe, data, tmp_path / "straight")
    (tmp_path / "mine.toml").write_text(toml.written(recipe))
    command = ["train", str(tmp_path / "mine.toml"), "--out", str(folder), "--resume"]
    for after in random.integers(1, 120, 8):
        with subprocess.Popen(
            [sys.executable, "-c", KILLABLE, str(after), *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            while (line := process.stdout.readline()) != "now\n":
                assert line, process.stderr.read()
            time.sleep(random.uniform(0, 0.1))
            process.kill()
        assert process.returncode == -signal.SIGKILL
    done = gradloom(*command)
    assert done.returncode == 0, done.stderr
    assert same(folder, tmp_path / "straight")


def test_ctrl_c_ends_after_the_step_at_hand(straight, data, tmp_path):
    folder = tmp_path / "run"
    before = signal.getsignal(signal.SIGINT)
    with Run(small(), data, folder) as run:
        with pytest.raises(Interrupted) as stop:
            for number, _ in enumerate(run.walk(), 1):
                if number == STEPS + 2:
                    signal.raise_signal(signal.SIGINT)
        assert number == STEPS + 2
        assert str(stop.value) == (
            f"interrupted in epoch 2, after step 2 of {STEPS}: "
            f"{folder}/checkpoint.npz is whole, resume goes on from it"
        )
        assert isinstance(stop.value, KeyboardInterrupt)
    assert signal.getsignal(signal.SIGINT) is before
    with Run(small(), data, folder, resume=True) as run:
        assert (run.trainer.epoch, run.trainer.position) == (1, 2)
    train(small(), data, folder, resume=True)
    assert same(folder, straight())


def test_a_second_ctrl_c_ends_at_once(data, tmp_path):
    with Run(small(), data) as run, pytest.raises(KeyboardInterrupt) as stop:
        for _ in run.walk():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
    assert not isinstance(stop.value, Interrupted)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_at_the_command_line(number, straight, data, tmp_path):
    """It cannot end by itself: it waits when the pipe is full of lines that nobody reads."""
    folder = tmp_path / "run"
    (tmp_path / "mine.toml").write_text(toml.written(small("gupta", "epochs=100000")))
    command = ["train", str(tmp_path / "mine.toml"), "--out", str(folder)]
    process = started(*command)
    for line in process.stdout:
        if line.startswith("epoch   3"):
            break
    process.send_signal(number)
    _, err = process.communicate()
    assert process.returncode == 130
    assert len(err.splitlines()) == 1 and str(folder) in err
    last = latest(folder)[0].history[-1].epoch
    done = gradloom(*command, "--resume", "--set", f"epochs={last - 1}")
    assert done.returncode == 2
    assert re.search(rf"epoch \d+ has begun: the recipe says epochs = {last - 1}$", done.stderr)
    with Run(small("gupta", "epochs=100000"), data, folder, resume=True) as run:
        assert run.trainer.epoch == last
    assert rows(folder / "metrics.csv")[:3] == rows(straight() / "metrics.csv")


# Refused.


@pytest.fixture
def begun(data, tmp_path):
    """Folder of a run that stands in its second epoch."""
    walked(small(), data, tmp_path / "run", STEPS + 2)
    return tmp_path / "run"


def resumed(recipe, data, folder):
    with Run(recipe, data, folder, resume=True) as run:
        return run.place, run.remark


def refused(recipe, data, folder, message):
    with pytest.raises(ValueError, match=message) as error:
        resumed(recipe, data, folder)
    assert "\n" not in str(error.value)
    assert str(folder) in str(error.value)


def test_a_folder_that_holds_a_run_is_not_written_over(begun, data):
    before = {path.name: path.read_bytes() for path in begun.iterdir()}
    with pytest.raises(ValueError, match="holds a run: resume it, or take another folder"):
        Run(small(), data, begun)
    assert before == {path.name: path.read_bytes() for path in begun.iterdir()}


def test_other_files_in_a_folder_are_left_alone(data, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    walked(small(), data, tmp_path, 1)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_folder_in_use_is_refused(begun, data):
    with Run(small(), data, begun, resume=True):
        refused(small(), data, begun, "a training is writing there")
    assert resumed(small(), data, begun)[0].startswith("in epoch 2")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("batch=64", r"made with batch = 287: the recipe says 64$"),
        ("network=4C3-MP2-8FC", r"made with network = 3C3-MP2-8FC: the recipe says 4C3-MP2-8FC$"),
        ("formats.activation_fl=10", r"made with formats\.activation_fl = none: .* says 10$"),
        ("seed=1", r"made with seed = 0: the recipe says 1$"),
    ],
)
@pytest.mark.parametrize("checkpoints", [True, False])
def test_another_recipe_is_refused(setting, message, checkpoints, begun, data):
    if not checkpoints:  # it was killed before the first
        for path in begun.glob("checkpoint*"):
            path.unlink()
    refused(small("gupta", setting), data, begun, message)


def test_another_system_is_refused(begun, data):
    refused(small("wage"), data, begun, "made by system gupta: the recipe is of wage$")


def test_another_data_set_is_refused(begun, data):
    fewer = replace(data, train_images=data.train_images[1:], train_labels=data.train_labels[1:])
    refused(small(), fewer, begun, "made on digits, train_images = 1438: digits has 1437")
    refused(
        small(), replace(data, classes=11), begun, "made on digits, classes = 10: digits has 11"
    )
    images = data.test_images.copy()
    images[3, 2, 1] ^= 1
    refused(small(), replace(data, test_images=images), begun, "made on digits, sha256 = ")
    assert resumed(small(), replace(data, name="moved"), begun)


def test_a_run_that_was_killed_before_its_first_checkpoint_begins(begun, data, straight):
    for path in begun.glob("checkpoint*"):
        path.unlink()
    assert resumed(small(), data, begun) == ("at the start", "")
    assert rows(begun / "metrics.csv") == []
    train(small(), data, begun, resume=True)
    assert same(begun, straight())


def truncated(path):
    path.write_bytes(path.read_bytes()[:-100])


def halved(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path):
    """One bit of a weight."""
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)


def exchanged(path):
    """A whole file whose contents are not what the SHA-256 is of."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    arrays["weights 1"] = arrays["weights 1"] + 1
    with path.open("wb") as file:
        np.savez(file, **arrays)


def array(path):
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def pickled(path):
    with path.open("wb") as file:
        np.savez(file, sha256=np.array([object()]))


def foreign(path):
    """An archive of somebody else's."""
    with path.open("wb") as file:
        np.savez(file, weights=np.zeros(3))


DAMAGE = [foreign, truncated, halved, flipped, exchanged, array, pickled]
DAMAGE += [lambda path: path.write_bytes(b""), lambda path: path.write_text("weights")]


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_damage_is_seen_and_the_one_before_taken(damage, begun, data, straight):
    damage(begun / "checkpoint.npz")
    place, remark = resumed(small(), data, begun)
    assert place == f"in epoch 2, after step 1 of {STEPS}"
    assert re.match(rf"{begun}/checkpoint\.npz: damaged: .*; going on from checkpoint.prev", remark)
    assert "\n" not in remark
    damage(begun / "checkpoint.previous.npz")
    refused(small(), data, begun, r"checkpoint\.npz: damaged: (?!.*(pickle|unsafe|load))")
    shutil.copy(straight() / "checkpoint.npz", begun)
    assert resumed(small(), data, begun) == ("after epoch 3, the last one", "")


def test_a_state_of_another_shape_is_refused(begun, data):
    """A checkpoint that is whole, but none of this program's."""
    found = Checkpoint.read(begun / "checkpoint.npz")
    state = {**found.state, "weights 1": found.state["weights 1"][1:]}
    replace(found, state=state).write(begun)
    refused(small(), data, begun, r"checkpoint\.npz: weights 1 is .* is wanted$")
    replace(found, state={k: v for k, v in found.state.items() if k != "order"}).write(begun)
    refused(small(), data, begun, r"checkpoint\.npz: order is missing$")


def test_a_checkpoint_of_an_earlier_format_is_refused(begun, data, monkeypatch):
    """Its lanes stood elsewhere: what came of it would not be an undisturbed run's."""
    found = Checkpoint.read(begun / "checkpoint.npz")
    monkeypatch.setattr(checkpoint, "FORMAT", 1)
    for _ in range(2):  # the one before it too
        found.write(begun)
    monkeypatch.undo()
    refused(small(), data, begun, r"checkpoint\.npz: of format 1, 2 is wanted: [^\n]*$")


@pytest.mark.parametrize("setting", ["network=3C9", "batch=1439"])
def test_what_cannot_be_trained_leaves_no_folder(setting, data, tmp_path):
    with pytest.raises(ValueError, match=r"3C9 does not fit|only 1438 images to train with"):
        Run(small("gupta", setting), data, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
