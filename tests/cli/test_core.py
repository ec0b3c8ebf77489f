"""The commands of the training core."""

import json
import re
from dataclasses import replace

import pytest
from command import call
from small_cores import changed

from golden.core.isa import Engine, Opcode
from golden.core.lower import compiled

SMALL = (
    *("--image", "2x3x1", "--classes", "5", "--set", "network=9FC", "--set", "batch=6"),
    *("--set", "rows=3", "--set", "columns=4"),
)


def test_estimate_in_lines(monkeypatch, capsys):
    words = "estimate core digits-wage --set batch=64 --target ecp5-85f"
    status, out, err = call(monkeypatch, capsys, *words.split())
    lines = out.splitlines()
    assert (status, err) == (0, "")
    assert lines[0].startswith("128FC on 8 x 8: 22,436 clocks a step, 90.1 % useful; 285,256 sampl")
    assert lines[4].split() == ["forward", "1", "7,680", "0", "100.0%"]
    assert lines[-4:-2] == ["42 of the 208 block RAMs of ecp5-85f", "64 of the 156 multipliers"]
    for line, kind in zip(lines[-2:], ("LUTs", "flip-flops"), strict=True):
        end = "fitted to synthesised cores of 2 x 2 to 8 x 8"
        assert re.fullmatch(rf"about [\d,]+ of the 83,640 {kind}, {end}, to \d+%", line)


def test_what_does_not_fit_is_said_of_each_resource(monkeypatch, capsys):
    words = "estimate core digits-wage --set rows=40 --set columns=40 --target ecp5-85f"
    _, out, _ = call(monkeypatch, capsys, *words.split())
    blocks, multipliers, luts, registers = out.splitlines()[-4:]
    assert blocks == "148 of the 208 block RAMs of ecp5-85f"
    assert multipliers == "1,600 of the 156 multipliers (1,444 too many)"
    for line in luts, registers:
        assert "too many" in line and line.endswith("no bound known")
    words = "estimate core digits-wage --target ice40-up5k"
    _, out, _ = call(monkeypatch, capsys, *words.split())
    assert out.splitlines()[-1].startswith("about ")


def test_estimate_as_json_and_as_a_timetable(monkeypatch, capsys, tmp_path):
    file = tmp_path / "steps.json"
    status, out, _ = call(
        monkeypatch, capsys, "estimate", "core", "digits-wage", "--json", "--timeline", file
    )
    found = json.loads(out)
    assert status == 0 and sum(line["useful"] for line in found["lines"][:2]) == 32 * 64 * 128
    assert [memory["name"][0] for memory in found["memories"][:5]] == list("XEWSK")
    events = json.loads(file.read_text())["traceEvents"]
    names = {event["name"] for event in events}
    assert {"forward 1", "update 2", "waits for vector", "samples"} <= names
    threads = {}
    for event in events:
        if event["ph"] == "X":
            threads.setdefault(event["tid"], []).append(event)
    for chunks in threads.values():  # an engine does one thing at a time
        ends = 0
        for event in sorted(chunks, key=lambda each: each["ts"]):
            assert event["ts"] >= ends
            ends = event["ts"] + event["dur"]


def test_what_does_not_fit_is_made_twice(monkeypatch, capsys):
    words = "estimate core wage-mlp --set network=128FC --set batch=64 --image 28x28x1 --classes 10"
    _, stored, _ = call(monkeypatch, capsys, *words.split())
    assert "gradient 1 again" not in stored
    _, fitted, _ = call(monkeypatch, capsys, *words.split(), "--target", "ecp5-85f")
    assert "gradient 1 again" in fitted and "too many" not in fitted
    _, small, _ = call(monkeypatch, capsys, *words.split(), "--target", "ecp5-25f")
    assert "too many" in small


def test_compare(monkeypatch, capsys):
    status, out, _ = call(
        *(monkeypatch, capsys, "compare", "core", "digits-wage", *SMALL),
        *("--steps", 1, "--stalls", 1, "--simulator", "pysim"),
    )
    assert status == 0 and out.startswith("core digits-wage: 1 step agrees: ")
    assert [line.split()[0] for line in out.splitlines()[1:]] == [
        *("stalled", "clocks", "array", "vector", "in")
    ]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("gupta-dnn",), "system = gupta: the training core trains wage, as in digits-wage"),
        (
            ("wage-cnn", "--image", "28x28x1", "--classes", "10"),
            "32C5 is a convolution; the training core has dense layers, as in 128FC-64FC",
        ),
        (("digits-wage", "--image", "8x8"), "--image needs --classes, the number of classes"),
        (
            ("digits-wage", "--image", "8x8", "--classes", "3"),
            "--image 8x8: height, width and channels are wanted, each at least 1, as 28x28x1",
        ),
        (
            ("digits-wage", "--image", "99999x99999x1", "--classes", "3"),
            "--image 99999x99999x1: 9,999,800,001 values, allowed are 65,536",
        ),
        (
            (*("digits-wage", "--set", f"network={'-'.join(['2FC'] * 40)}"),),
            "too large for a core's instructions (",
        ),
        (("li-sr",), "system = li: the training core trains wage"),
        (("digits-wage", "--classes", "3"), "--classes is for --image; a data set has its own"),
        (("nothing",), "nothing"),
    ],
)
@pytest.mark.parametrize("command", ["compare", "estimate"])
def test_wrong_input_is_one_line(monkeypatch, capsys, command, words, text):
    status, out, err = call(monkeypatch, capsys, command, "core", *words)
    assert status == 2 and out == "" and text in err and len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--clock", "nan"), "nan: allowed are numbers above 0, to 10000"),
        (("--clock", "0"), "0: allowed are numbers above 0, to 10000"),
        (("--target", "nosuch"), "--target: target 'nosuch': allowed are "),
        (("--timeline", "steps.txt"), "steps.txt"),
    ],
)
def test_wrong_options_of_an_estimate_are_one_line(monkeypatch, capsys, tmp_path, words, text):
    monkeypatch.chdir(tmp_path)
    status, out, err = call(monkeypatch, capsys, "estimate", "core", "digits-wage", *words)
    assert status == 2 and out == "" and text in err and len(err.splitlines()) == 1


def test_a_batch_that_is_larger_than_the_data_is_named(monkeypatch, capsys):
    words = ("compare", "core", "digits-wage", *SMALL[:-6], "--set", "batch=5000")
    status, out, err = call(monkeypatch, capsys, *words, "--simulator", "pysim")
    assert (status, out) == (2, "")
    assert "batch = 5000: random images of 2x3x1 has only 4096 images to train with" in err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("gupta-dnn", "--on", "simulation"), "system = gupta: the training core trains wage"),
        (("digits-wage", "--simulator", "pysim"), "--simulator: this is for --on simulation"),
        (
            ("digits-wage", "--set", "network=4C3-8FC", "--on", "simulation"),
            "4C3 is a convolution; the training core has dense layers",
        ),
    ],
)
def test_what_no_core_trains_is_one_line(monkeypatch, capsys, tmp_path, words, text):
    out_folder = tmp_path / "run"
    status, out, err = call(monkeypatch, capsys, "train", *words, "-o", out_folder)
    assert status == 2 and out == "" and text in err and len(err.splitlines()) == 1
    assert not any(out_folder.glob("*"))


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--infer", "--resets", "1"), "--resets: not with --infer"),
        (("--from", "no-run"), "no-run"),
        (("--waves", "core.fst"), "core.fst looks like a file"),
    ],
)
def test_comparisons_that_cannot_be_are_one_line(monkeypatch, capsys, tmp_path, words, text):
    monkeypatch.chdir(tmp_path)
    status, out, err = call(monkeypatch, capsys, "compare", "core", "digits-wage", *SMALL, *words)
    assert status == 2 and out == "" and text in err and len(err.splitlines()) == 1


def test_a_run_of_other_images_is_refused(monkeypatch, capsys, tmp_path):
    settings = ("--set", "network=8FC", "--set", "epochs=1", "--set", "batch=719")
    status, _, _ = call(monkeypatch, capsys, "train", "digits-wage", *settings, "-o", tmp_path)
    assert status == 0
    words = ("compare", "core", "digits-wage", *settings, "--steps", 1, "--from", tmp_path)
    status, out, err = call(monkeypatch, capsys, *words, "--image", "8x8x1", "--classes", "10")
    assert (status, out) == (2, "") and "made on" in err and len(err.splitlines()) == 1


def test_a_core_that_fails_in_a_training_is_one_line(monkeypatch, capsys, tmp_path):
    """Golden begins the run, a core with a broken program is to go on, and golden ends it."""
    sizes = ("network=2FC", "batch=16", "rows=2", "columns=2")
    words = ("train", "digits-wage", *(word for size in sizes for word in ("--set", size)))
    assert call(monkeypatch, capsys, *words, "--set", "epochs=1", "-o", tmp_path)[0] == 0
    checkpoint = tmp_path / "checkpoint.npz"
    before = checkpoint.read_bytes()

    def broken(*given, **options):
        made = compiled(*given, **options)
        return replace(made, train=changed(made.train, Engine.ARRAY, 1, opcode=Opcode.ILLEGAL))

    monkeypatch.setattr("gradloom.core.trainer.compiled", broken)
    on = (*words, "--set", "epochs=2", "-o", tmp_path, "--resume")
    status, _, err = call(monkeypatch, capsys, *on, "--on", "simulation", "--simulator", "pysim")
    building, failed = err.splitlines()
    assert status == 1 and "building" in building
    assert failed.startswith(
        "gradloom: digits-wage: the core has failed in epoch 2, step 1 of 89: "
    )
    assert "forward 2 (engine array), chunk 0, step 0" in failed
    assert failed.endswith(f" ({checkpoint} is whole, resume goes on from it)")
    assert checkpoint.read_bytes() == before
    status, out, _ = call(monkeypatch, capsys, *on)
    assert status == 0 and "epoch   2: " in out
    assert not (tmp_path / "backends.csv").exists()


@pytest.mark.long
def test_a_training_on_the_core_says_and_leaves_what_golden_does(monkeypatch, capsys, tmp_path):
    """Both are resumed from a run of golden."""
    sizes = ("network=2FC", "batch=719", "rows=2", "columns=2")
    words = ("train", "digits-wage", *(word for size in sizes for word in ("--set", size)))
    lines, names = {}, {}
    for backend in ("golden", "simulation"):
        folder = tmp_path / backend
        status, _, _ = call(monkeypatch, capsys, *words, "--set", "epochs=1", "-o", folder)
        assert status == 0
        on = ("--set", "epochs=2", "--resume", "--on", backend, "-o", folder)
        status, out, err = call(monkeypatch, capsys, *words, *on)
        assert status == 0
        assert ("building the core's simulator" in err) == (backend == "simulation")
        lines[backend] = re.findall(r"^epoch +2: .*test error +[\d.]+ %", out, re.M)
        names[backend] = {path.name for path in folder.glob("[!.]*")}
    assert lines["golden"] == lines["simulation"] and len(lines["golden"]) == 1
    assert names["simulation"] - names["golden"] == {"backends.csv"}
    rows = (tmp_path / "simulation" / "backends.csv").read_text("utf-8").splitlines()
    assert rows[1:] == ["1,1,2,golden", "2,1,2,simulation"]
