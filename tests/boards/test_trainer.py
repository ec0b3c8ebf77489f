"""A board that trains by itself: its whole design simulated, and the text on its line."""

import copy
import os
import re
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import pytest
from small_trainings import BIT, made

from boards.board import BOARDS
from boards.link.uart_twin import UartConfig
from boards.trainer.course import OP_BITS, Op, banner, course
from boards.trainer.order_twin import OrderConfig
from boards.trainer.top import Trainer
from boards.trainer.training import BAUD, Line, Training, expected, shortened
from golden.core.field import WORD
from golden.core.lower import compiled
from golden.core.registers import ADDRESS
from golden.core.schedule import predict
from golden.datasets import digits
from golden.training import Bits, load
from golden.training.runs.samples import lfsr_order
from gradloom.board.simulated import Receiver, SimulatedBoard
from gradloom.board.watch import Watch, lines
from gradloom.cli.boards import training_of


def broken(training, **parts):
    """The training with some of its parts changed, in hardware only."""
    other = copy.copy(training)
    other.__dict__.update(parts)
    return other


def said(board, most=4_000_000):
    """The lines of a board, from its banner to its end."""
    found = []
    for text in lines(board.parts()):
        found.append(text)
        if text.startswith(("done ", "FAULT ")):
            return found
        assert board.clock < most
    raise AssertionError


def watched(training, texts):
    """The remark of every line, up to the one that ends it."""
    watch, found = Watch(training), []
    for text in texts:
        verdict = watch.verdict(text)
        found.append(verdict)
        if verdict.ends:
            break
    return found


@pytest.fixture(scope="module")
def board():
    return SimulatedBoard(made())


def test_a_board_trains_and_says_what_golden_says(board):
    training = board.training
    must = [banner(training), *map(str, expected(training))]
    texts = said(board)
    assert texts == [*must, f"done {must[-1]}"]
    assert len(must) == 5 and len({text.split("crc=")[1] for text in must[1:]}) == 4
    assert board.ended and not board.failed and board.bar == 0xFF
    assert [verdict.remark for verdict in watched(training, texts)] == [
        "the same training",
        *["equal"] * 4,
    ]


def test_the_button_begins_the_same_training_again(board):
    training = board.training
    must = [banner(training), *map(str, expected(training))]
    if not board.ended:
        said(board)
    # A press while the last line is repeated, and one in the middle of a training.
    board.advance(10, restart=True)
    part = b""
    while b"epoch=1" not in part or part[-1:] != b"\n":
        part += board.advance(500)
    board.advance(500)
    assert board.bar == 0b11 and not board.ended
    assert part.decode().splitlines()[-3:] == must[:3]
    board.advance(10, restart=True)
    assert said(board) == [*must, f"done {must[-1]}"]
    assert board.ended and board.bar == 0xFF


def rom_with(words, number, word):
    return (*words[:number], word, *words[number + 1 :])


def with_a_weight(training):
    weights = training.weights
    return {"weights": replace(weights, words=rom_with(weights.words, 3, weights.words[3] ^ 2))}


def with_a_test_label(training):
    # An image that is right with the first weights is wrong then, or one that is wrong is right.
    config = training.samples
    found = int(training.trainer().predict(training.dataset.test_images[:1])[0])
    place = (config.order.images + 1) * config.beats - 1
    right = config.rom[place] == found
    rom = rom_with(config.rom, place, (found + 1) % 5 if right else found)
    return {"samples": replace(config, rom=rom)}


def with_a_pixel(training):
    config = training.samples
    # Of the image that is in the first batch of epoch 2, and was not in any before.
    first = set(lfsr_order(config.order.images, 0)[: config.order.taken].tolist())
    second = lfsr_order(config.order.images, 1)[: config.order.taken].tolist()
    place = next(number for number in second if number not in first) * config.beats
    other = config.rom[place] ^ 0x7F
    return {"samples": replace(config, rom=rom_with(config.rom, place, other))}


def with_a_rate(training):
    core = training.compiled
    return {"compiled": replace(core, recipe=replace(core.recipe, rates=((1, 0),)))}


class OtherKey(OrderConfig):
    key = 3


def with_another_order(training):
    config = training.samples
    order = config.order
    other = OtherKey(images=order.images, taken=order.taken, depth=order.depth)
    return {"samples": replace(config, order=other)}


FAULTS = {
    "a weight": (with_a_weight, 0, "crc"),
    "a label of the test": (with_a_test_label, 0, "wrong"),
    "an image's pixel": (with_a_pixel, 2, "(crc|wrong)"),
    "the order": (with_another_order, 2, "crc"),
    "the learning rate": (with_a_rate, 3, "crc"),
}


@pytest.mark.long
@pytest.mark.parametrize("name", FAULTS)
def test_a_broken_board_is_found_in_its_epoch(name):
    change, epoch, what = FAULTS[name]
    training = made()
    other = broken(training, **change(training))
    texts = said(SimulatedBoard(training, top=Trainer(other)))
    *equal, last = watched(training, texts)
    assert [verdict.remark for verdict in equal] == ["the same training", *["equal"] * epoch]
    assert last.wrong and last.text.startswith(f"epoch={epoch} ")
    assert re.match(f"{what}: ", last.remark), last


@pytest.mark.long
def test_a_fault_of_the_core_is_said():
    training = made()
    top = Trainer(training)
    steps = course(training)
    # The first word of the test's list of the array engine: an opcode that there is not.
    place = next(k for k, word in enumerate(steps.rom) if word & 15 == Op.FEED)
    found = [k for k, word in enumerate(steps.rom[place:], place) if word & 15 == Op.WRITE]
    programs = [k for k in found if steps.rom[k] >> 4 & 0x7F == 0x12]
    rom = rom_with(steps.rom, programs[0], steps.rom[programs[0]] | 0xFF << 11)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("boards.trainer.top.course", lambda _: replace(steps, rom=rom))
        board = SimulatedBoard(training, top=top)
    texts = said(board)
    assert texts[0] == banner(training)
    assert texts[1].startswith("FAULT opcode engine=array instruction=0 chunk=0 step=0 epoch=0")
    assert board.failed and not board.ended
    assert watched(training, texts)[-1].remark == "the core has found a fault"


@pytest.mark.long
@pytest.mark.parametrize(
    "changes",
    [
        {"images": 20, "tests": 7, "classes": 8, "batch": 7, "rows": 2, "columns": 2},
        {"images": 40, "tests": 3, "batch": 9, "rows": 4, "columns": 3, "network": "5FC-4FC"},
        {"images": 12, "tests": 2, "batch": 5, "bits": "8-16-16-16", "network": ""},
    ],
)
def test_other_networks_train_as_well(changes):
    if "bits" in changes:
        changes = changes | {"bits": Bits.parse(changes["bits"])}
    training = made(**changes)
    texts = said(SimulatedBoard(training))
    assert texts[1:-1] == list(map(str, expected(training)))


@pytest.mark.long
def test_the_digits_network_trains_on_the_simulated_board():
    recipe = load("digits-wage", ["batch=64", "epochs=2", "order=lfsr"])
    data = digits()
    training = Training(
        compiled=compiled(recipe, data.shape, data.classes),
        dataset=data,
        board="desk",
        frequency=BIT * BAUD,
    )
    texts = said(SimulatedBoard(training))
    assert texts[1:-1] == list(map(str, expected(training)))
    first, last = (int(re.search(r"wrong=(\d+)", text)[1]) for text in (texts[1], texts[-1]))
    assert last < 0.7 * first


def test_the_clocks_of_an_epoch_are_the_schedules():
    training = made()
    clocks, spans = predict(training.compiled.config, training.compiled.train, training.steps)
    assert training.clocks > training.steps // 2 * clocks
    assert training.clocks > max(span.done for span in spans)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"order": "permutation"}, "order = permutation: a board takes its samples in the order"),
        ({"images": 36}, "36 images to train with in batches of 6: an epoch may leave one image"),
        ({"images": 6, "tests": 6}, "6 images to train with: more than batch = 6 are wanted"),
        ({"tests": 7, "classes": 4}, "7 images to test with: with 4 classes there is no class"),
    ],
)
def test_what_a_board_cannot_train_is_named(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        made(**changes)


def test_bad_names_and_bauds_are_named():
    training = made()
    with pytest.raises(ValueError, match="printable ASCII without braces"):
        replace(training, board="my board")
    with pytest.raises(ValueError, match="baud"):
        replace(training, baud=10**6)


def test_a_watch_sees_what_is_missing_and_what_is_another_training():
    training = made()
    must = list(map(str, expected(training)))
    first = banner(training)

    def last(*texts):
        return watched(training, texts)[-1]

    assert last(first, must[0], must[2]).remark == "a line is missing: epoch 1"
    assert last(first.replace("batch=6", "batch=7")).remark == f"another training than {first}"
    # Connected in the middle, or after the end.
    assert not last("och=0 wr", must[2], must[3]).wrong
    assert last(f"done {must[3]}").ends and not last(f"done {must[3]}").wrong
    assert last(f"done {must[2]}").wrong
    assert last("epoch=4 wrong=1 of=8 clocks=1 crc=00000000").remark == "there are 3 epochs"
    number = Line(epoch=3, wrong=0, of=8, clocks=training.clocks + 1, crc=0)
    assert "wrong: " in last(str(number)).remark


def test_a_receiver_may_be_cut_anywhere():
    from boards.link.uart_twin import Transmitter

    config = UartConfig(clocks=5)
    text = bytes(range(0, 250, 7))
    clocks = len(text) * 60
    data = np.zeros(clocks, int)
    data[::60] = list(text)
    valid = (np.arange(clocks) % 60 == 0).astype(int)
    levels = Transmitter(config).run({"i_valid": valid, "i_data": data})["tx"]
    for size in (1, 7, 51, 1000, clocks):
        receiver = Receiver(config)
        parts = [receiver.bytes(levels[at : at + size]) for at in range(0, clocks, size)]
        assert b"".join(parts) + receiver.bytes(np.ones(60, int)) == text


#: A training of the command line that is simulated in a second.
SMALL = [
    "--board=orangecrab-25f",
    *("--set=network=9FC", "--set=batch=6", "--set=rows=3", "--set=columns=4", "--set=epochs=2"),
    *("--train-images=33", "--test-images=8"),
]


def command(*arguments, **settings):
    line = [sys.executable, "-m", "gradloom", "board", *arguments]
    return subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **settings
    )


@pytest.mark.long
def test_a_simulated_board_is_watched_at_a_terminal_device():
    simulated = command("simulate", "trainer", *SMALL, "--pty")
    try:
        port = simulated.stdout.readline().strip()
        assert port.startswith("/dev/")
        watch = command("watch", *SMALL, "--port", port)
        out, err = watch.communicate(timeout=300)
        assert watch.returncode == 0, err
        assert "gradloom: equal: 3 of 3 lines" in err
        assert out.count("[equal]") == 3
    finally:
        simulated.kill()
        simulated.communicate()


def test_a_log_is_compared(tmp_path):
    recipe = load(
        "digits-wage",
        ["network=9FC", "batch=6", "rows=3", "columns=4", "epochs=2", "order=lfsr"],
    )
    data = shortened(digits(), 33, 8)
    orangecrab = BOARDS["orangecrab-25f"]
    training = Training(
        compiled=compiled(recipe, data.shape, data.classes),
        dataset=data,
        board=orangecrab.name,
        frequency=orangecrab.frequency,
    )
    texts = [banner(training), *map(str, expected(training))]
    log = tmp_path / "log"

    def watched_log(texts, *more):
        log.write_text("".join(f"{text}\r\n" for text in texts))
        process = command("watch", *SMALL, "--log", str(log), *more)
        out, err = process.communicate(timeout=100)
        return process.returncode, out, err

    status, _, err = watched_log(texts)
    assert status == 0 and "equal: 3 of 3 lines" in err, err
    status, _, err = watched_log([*texts[:3], texts[3].replace("clocks=", "clocks=1")])
    assert status == 1 and "not equal: epoch=2" in err
    status, _, err = watched_log(texts[:2])
    assert status == 1 and "the lines end before the last epoch: 1 were compared" in err
    status, _, err = watched_log(texts, "--set=order=permutation")
    assert status == 2 and "order = permutation" in err
    status, _, err = watched_log(texts, "--port=x")
    assert status == 2 and "--port or --log, one of both" in err
    process = command("watch", *SMALL, "--port", os.fspath(tmp_path / "none"))
    _, err = process.communicate(timeout=100)
    assert process.returncode == 2 and err.count("\n") == 1 and "none" in err


@pytest.mark.parametrize("name", [name for name, board in BOARDS.items() if board.trainer])
def test_every_board_has_a_training_that_fits(name):
    _, training = training_of(None, name, None, (), None, None)
    device = BOARDS[name].device
    config, blocks = training.samples, device.family.block_rams
    memories = blocks(config.rom_bits, len(config.rom))
    memories += blocks(training.weights.width, len(training.weights.words))
    memories += blocks(OP_BITS + ADDRESS + WORD, len(course(training).rom))
    assert memories < device.block_rams
    assert banner(training).startswith(f"gradloom {version('gradloom')} trainer board={name} ")
