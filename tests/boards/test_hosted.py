"""A core on a board that a computer drives: commands, trainings, and a line with faults."""

import re
import shutil
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from small_cores import random_images, small

from boards.hosted.protocol import ANSWER, VERSION, About, Command, Status
from boards.link.frame import FLAG, Frame, Frames
from golden.bus.axi_stream import Beat
from golden.core.registers import Registers, design_hash
from golden.training import Run, new_trainer
from gradloom.board import client
from gradloom.board.driver import BoardDriver
from gradloom.board.link import Link, LinkError, RefusedError
from gradloom.board.simulated import SimulatedHost
from gradloom.board.trainer import BoardTrainer, board_trainer, designs, difference, of_board
from gradloom.core.errors import CoreError, FaultError
from gradloom.core.start import lane_states
from gradloom.core.trainer import core_trainer

DATA = random_images((3, 3, 1), 5, count=40)
RECIPE = small(epochs=3)
CORE = next(designs(RECIPE, DATA.shape, DATA.classes))
DESIGN = design_hash(CORE.config)


@pytest.fixture(scope="module")
def board():
    return SimulatedHost(CORE)


def on(board, **options):
    """Options of a link whose patience counts the board's own clocks."""
    return {"clock": lambda: board.clock / 1e6, "patience": 0.04, "seed": 1} | options


def exchanged(board, *frames):
    """The frames that a board answers to some frames."""
    found = Frames()
    answers = []
    for frame in frames:
        board.write(frame.encoded)
        for _ in range(12):
            answers += found.decoded(board.read())
    assert not found.dropped
    return answers


def begun(board, number=7):
    """A session has been begun with this number; the number of the next command."""
    hello = bytes([VERSION]) + DESIGN.to_bytes(8, "little")
    (answer,) = exchanged(board, Frame(Command.HELLO, number, hello))
    assert answer == Frame(Command.HELLO | ANSWER, number, b"\0" + board.about.encoded)
    return number + 1


def test_a_board_says_what_it_is(board):
    about = Link(board, None, **on(board)).about
    assert about == board.about == About.decoded(about.encoded)
    assert about.design == DESIGN and about.takes == Beat(words=4, width=8)


def test_nothing_is_answered_before_a_session(board):
    board.power_up()
    (answer,) = exchanged(board, Frame(Command.STATUS, 3))
    assert answer == Frame(Command.STATUS | ANSWER, 3, bytes([Status.SESSION]))
    # Another design, and another version: the board says what it is, and there is no session.
    for content, status in (
        (bytes([VERSION]) + (DESIGN ^ 1 << 63).to_bytes(8, "little"), Status.DESIGN),
        (bytes([VERSION + 1]) + DESIGN.to_bytes(8, "little"), Status.VERSION),
    ):
        (answer,) = exchanged(board, Frame(Command.HELLO, 5, content))
        assert answer.payload == bytes([status]) + board.about.encoded
        (answer,) = exchanged(board, Frame(Command.STATUS, 6))
        assert answer.payload == bytes([Status.SESSION])
    with pytest.raises(LinkError, match=r"has the design [0-9a-f]{16}, and 0{15}1 is wanted"):
        Link(board, 1, **on(board))


def test_registers_are_read_and_written(board):
    number = begun(board)
    table = Registers(CORE.config)
    address = {name: table.named(name).address for name in ("id", "design_low", "lane", "steps")}
    write = bytes([2, address["lane"], 3, 0, 0, 0, address["steps"], 1, 2, 3, 4])
    answers = exchanged(
        board,
        Frame(Command.WRITE, number, write),
        Frame(Command.READ, number + 1, bytes(address.values())),
        Frame(Command.READ, number + 2),
        Frame(Command.WRITE, number + 3, b"\0"),
    )
    assert [answer.payload[0] for answer in answers] == [Status.OK] * 4
    words = np.frombuffer(answers[1].payload[1:], "<u4").tolist()
    assert words == [0x474C0001, DESIGN & 0xFFFFFFFF, 3, 0x04030201]
    assert answers[2].payload == answers[3].payload == b"\0"


def test_a_command_of_a_wrong_length_does_nothing(board):
    number = begun(board)
    steps = Registers(CORE.config).named("steps").address
    beat = bytes(4)
    wrong = [
        (Command.WRITE, b""),
        (Command.WRITE, bytes([1, steps, 9, 9, 9])),
        (Command.WRITE, bytes([1, steps, 9, 9, 9, 9, 9])),
        (Command.READ, bytes(board.about.most_read + 1)),
        (Command.SEND, b"\1"),
        (Command.SEND, b"\0\2" + beat),
        (Command.SEND, b"\0\1" + beat + b"\0"),
        (Command.RECEIVE, b""),
        (Command.RECEIVE, b"\1\1"),
        (Command.RUN, b"\1\0\0"),
        (Command.STATUS, b"\0"),
        (Command.RESET, b"\0"),
    ]
    before = exchanged(board, Frame(Command.READ, number, bytes([steps])))
    for k, (command, content) in enumerate(wrong, 1):
        (answer,) = exchanged(board, Frame(command, number + k, content))
        assert answer.payload == bytes([Status.LENGTH]), (command, content)
    number += len(wrong) + 1
    after = exchanged(board, Frame(Command.READ, number, bytes([steps])))
    assert before[0].payload == after[0].payload
    (answer,) = exchanged(board, Frame(Command.STATUS, number + 1))
    assert answer.payload[-4:] == np.array([512, 0], "<u2").tobytes(), "no beat came in"
    (answer,) = exchanged(board, Frame(99, number + 2))
    assert answer.payload == bytes([Status.COMMAND])
    # HELLO of a wrong length ends the session.
    (answer,) = exchanged(board, Frame(Command.HELLO, number + 3, b"\1"))
    assert answer.payload == bytes([Status.LENGTH])
    (answer,) = exchanged(board, Frame(Command.STATUS, number + 4))
    assert answer.payload == bytes([Status.SESSION])


def test_a_command_that_comes_again_is_carried_out_once(board):
    number = begun(board, 0xFFFE)
    beats = bytes([0, 3]) + bytes(range(12))
    assert exchanged(board, Frame(Command.RESET, number))[0].payload == b"\0"
    # The number after the last one is 0.
    sent = Frame(Command.SEND, 0, beats)
    answers = exchanged(board, sent, sent, sent)
    assert answers == [Frame(Command.SEND | ANSWER, 0, b"\0")] * 3
    (answer,) = exchanged(board, Frame(Command.STATUS, 1))
    assert answer.payload[-4:] == np.array([512 - 3, 0], "<u2").tobytes()
    # A number that is neither the last one nor the next one ends the session.
    (answer,) = exchanged(board, Frame(Command.STATUS, 5))
    assert answer.payload == bytes([Status.NUMBER])
    (answer,) = exchanged(board, Frame(Command.STATUS, 2))
    assert answer.payload == bytes([Status.SESSION])


def test_a_full_stream_takes_no_beat(board):
    number = begun(board)
    exchanged(board, Frame(Command.RESET, number))
    most = board.about.most_taken
    content = bytes([0, most]) + bytes(most * board.about.taken_bytes)
    statuses = []
    for k in range(1, 5):
        (answer,) = exchanged(board, Frame(Command.SEND, number + k, content))
        statuses.append(answer.payload[0])
    fit = 512 // most
    assert statuses == [Status.OK] * fit + [Status.ROOM] * (4 - fit)
    (answer,) = exchanged(board, Frame(Command.STATUS, number + 5))
    assert answer.payload[-4:] == np.array([512 - fit * most, 0], "<u2").tobytes()
    (answer,) = exchanged(board, Frame(Command.RESET, number + 6))
    (answer,) = exchanged(board, Frame(Command.STATUS, number + 7))
    assert answer.payload[-4:] == np.array([512, 0], "<u2").tobytes()


def trained(board, steps=3):
    """Weights after some steps on a board, through a new driver, and golden's."""
    trainer = BoardTrainer(CORE, pixel_max=DATA.pixel_max, line=board)
    trainer.connected = lambda: BoardDriver(CORE, board, **on(board))
    golden = new_trainer(RECIPE, DATA)
    for _ in islice(zip(trainer.walk(DATA), golden.walk(DATA)), steps):
        pass
    return trainer, golden


def test_a_network_trains_on_a_board(board):
    trainer, golden = trained(board, 8)
    assert difference(8, trainer.weights, golden.weights) is None
    assert trainer.machine.lanes() == lane_states(golden)
    assert trainer.train == golden.train and trainer.epoch == 1
    score = trainer.evaluate(DATA.test_images, DATA.test_labels)
    assert score == golden.evaluate(DATA.test_images, DATA.test_labels)
    assert trainer.machine.link.repeated == trainer.machine.link.dropped == 0
    wrong = [each.copy() for each in golden.weights]
    wrong[1][2, 3] += 1
    assert difference(8, trainer.weights, wrong) == (
        f"step 8, weights of layer 2, row 2, column 3: expected {wrong[1][2, 3]}, "
        f"got {golden.weights[1][2, 3]}"
    )


@pytest.fixture
def own_clock(board, monkeypatch):
    """Links and drivers of trainers have the board's clock; checkpoints have no time."""
    trainer = "gradloom.board.trainer"
    monkeypatch.setattr(f"{trainer}.Link", lambda *given: Link(*given, **on(board)))
    monkeypatch.setattr(f"{trainer}.BoardDriver", lambda *given: BoardDriver(*given, **on(board)))
    monkeypatch.setattr("time.perf_counter", lambda: 0.0)


@pytest.mark.long
def test_a_run_goes_from_golden_to_a_board_and_back(board, tmp_path, own_clock):
    def walked(folder, *turns):
        for number, (new, steps) in enumerate(turns):
            with Run(RECIPE, DATA, folder, resume=number > 0, every=0.0, new=new) as run:
                for _ in islice(run.walk(), steps):
                    pass

    def files(folder):
        paths = sorted(folder.glob("[!.]*"))
        return {path.name: path.read_bytes() for path in paths if path.name != "backends.csv"}

    golden, mixed = tmp_path / "golden", tmp_path / "mixed"
    walked(golden, (new_trainer, 100))
    by_board = board_trainer(board)
    walked(mixed, (new_trainer, 4), (by_board, 9), (core_trainer("pysim"), 1), (by_board, 100))
    assert files(mixed) == files(golden)
    who = [line.split(",") for line in (mixed / "backends.csv").read_text().split()[1:]]
    steps = [name for _, first, last, name in who for _ in range(int(first), int(last) + 1)]
    assert steps == ["golden"] * 4 + ["board"] * 9 + ["simulation"] + ["board"] * 4


def test_a_fault_of_the_core_is_told(board):
    driver = BoardDriver(CORE, board, **on(board))
    golden = new_trainer(RECIPE, DATA)
    driver.place(golden.weights, lane_states(golden))
    beats = np.zeros((5, 5), np.int64)
    beats[-1, -1] = 1
    driver.send(beats)
    with pytest.raises(FaultError, match="train: The input stream's last beat came before"):
        driver.run(CORE.train, 1)
    # A reset, and all is as before.
    trainer, golden = trained(board, 2)
    assert difference(2, trainer.weights, golden.weights) is None


def test_another_training_is_another_design(board, own_clock):
    other = small(epochs=3, batch=5)
    with pytest.raises(LinkError, match="build it with the same recipe and settings"):
        of_board(other, DATA.shape, DATA.classes, board)
    assert of_board(RECIPE, DATA.shape, DATA.classes, board).config == CORE.config


class Silence:
    """A line at which nobody is."""

    def write(self, part):
        pass

    def read(self):
        return b""


def test_nobody_answers():
    with pytest.raises(LinkError, match="no answer to HELLO, which was sent 3 times"):
        Link(Silence(), None, patience=0.001, attempts=3)


class Faulty:
    """A line on which bytes are lost, doubled, changed and added, in both directions."""

    def __init__(self, board, rng, often):
        self.board, self.rng, self.often = board, rng, often
        self.counts = dict.fromkeys(
            ("flipped", "dropped", "doubled", "inserted", "cut", "noise"), 0
        )

    def write(self, part):
        self.board.write(self.damaged(part))

    def read(self):
        return self.damaged(self.board.read())

    def damaged(self, part):
        part = bytearray(part)
        while part and self.rng.random() < self.often:
            kind = self.rng.choice(list(self.counts))
            self.counts[kind] += 1
            place = int(self.rng.integers(len(part)))
            match kind:
                case "flipped":
                    part[place] ^= 1 << int(self.rng.integers(8))
                case "dropped":
                    del part[place]
                case "doubled":
                    part.insert(place, part[place])
                case "inserted":
                    part.insert(place, int(self.rng.choice([FLAG, 0x7D, self.rng.integers(256)])))
                case "cut":
                    del part[place:]
                case "noise":
                    noise = self.rng.integers(0, 256, int(self.rng.integers(1, 40)))
                    part[place:place] = noise.astype(np.uint8).tobytes()
        return bytes(part)


def through_faults(board, seed, faults, often=0.05, harsh=0.04):
    """Train with faults until so many were injected.

    Returns how many of each kind there were, and how many runs ended well and with an error.
    """
    rng = np.random.default_rng(seed)
    line = Faulty(board, rng, often)
    counts = {"board reset": 0, "host restarted": 0, "wrong design": 0}
    right = errors = 0
    golden = new_trainer(RECIPE, DATA)
    walk = golden.walk(DATA)
    next(walk)
    (wanted,) = ([each.copy() for each in golden.weights],)
    while sum(line.counts.values()) + sum(counts.values()) < faults:
        kind = rng.choice([*counts, "none"], p=[harsh * 3, harsh * 3, harsh, 1 - 7 * harsh])
        if kind == "wrong design":
            counts[kind] += 1
            with pytest.raises(LinkError):
                Link(
                    line,
                    int(rng.integers(1 << 62)),
                    **on(board, patience=0.006, seed=int(rng.integers(99))),
                )
            continue
        stops = int(rng.integers(5, 60)) if kind != "none" else None
        trainer = BoardTrainer(CORE, pixel_max=DATA.pixel_max, line=line)

        def connected(stops=stops, kind=kind):
            driver = BoardDriver(
                CORE, line, **on(board, patience=0.006, attempts=14, seed=int(rng.integers(99)))
            )
            asked = driver.link._asked

            def counted(command, payload):
                nonlocal stops
                if stops is not None:
                    stops -= 1
                    if stops < 0 and kind == "board reset":
                        board.power_up()
                        stops = None
                    elif stops is not None and stops < 0:
                        # A command is on its way, and nobody waits for its answer.
                        line.write(
                            Frame(command, driver.link._number + 1 & 0xFFFF, payload).encoded
                        )
                        raise KeyboardInterrupt
                return asked(command, payload)

            driver.link._asked = counted
            return driver

        trainer.connected = connected
        if kind != "none":
            counts[kind] += 1
        try:
            next(trainer.walk(DATA))
            got = trainer.weights
        except LinkError as error:
            errors += 1
            assert str(error)
            continue
        except CoreError as error:  # what the core holds is not what was written
            raise AssertionError(f"accepted: {error}") from error
        except KeyboardInterrupt:
            continue
        assert difference(1, got, wanted) is None
        right += 1
    return line.counts | counts, right, errors


@pytest.fixture(scope="module")
def short():
    """A board with short frames, so that more of them are damaged."""
    return SimulatedHost(CORE, longest=64)


@pytest.mark.long
def test_nothing_wrong_is_accepted_in_a_thousand_faults(short):
    counts, right, _ = through_faults(short, 2, 1200)
    assert sum(counts.values()) >= 1200 and min(counts.values()) >= 1
    assert right >= 5


def test_a_refused_command_says_why(board):
    link = Link(board, DESIGN, **on(board))
    with pytest.raises(RefusedError, match="WRITE: the command has a wrong length"):
        link.ask(Command.WRITE, b"\2")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "a" * 33}, "1 to 32 printable characters"),
        ({"longest": 64, "takes": Beat(words=100, width=8)}, "a beat does not fit a payload"),
        ({"takes_depth": 10}, "at least the"),
    ],
)
def test_what_a_board_cannot_be_is_named(changes, message):
    given = {
        "design": 1,
        "takes": Beat(words=4, width=8),
        "gives": Beat(words=4, width=18),
        "frequency": 1,
        "name": "x",
    }
    with pytest.raises(ValueError, match=message):
        About(**given | changes)


#: A core of the command line that is simulated quickly.
SMALL = ["digits-wage", *(f"--set={each}" for each in ("network=5FC", "batch=4", "rows=2"))]
SMALL += ["--set=columns=2", "--set=epochs=1"]


def command(*arguments):
    line = [sys.executable, "-m", "gradloom", *arguments]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.long
@pytest.mark.parametrize("tcp", [False, True])
def test_a_simulated_board_is_driven_from_the_command_line(tcp, tmp_path):
    simulated = command("board", "simulate", "host", *SMALL, *(["--tcp=0"] if tcp else []))
    try:
        port = simulated.stdout.readline().strip()
        assert port.startswith("socket://" if tcp else "/dev/")

        def said(*arguments):
            process = command(*arguments, "--port", port)
            out, err = process.communicate(timeout=600)
            return process.returncode, out, err

        status, out, err = said("board", "info")
        assert status == 0 and "board    simulation, 100 MHz" in out, err
        status, out, err = said("board", "compare", *SMALL, "--steps=2")
        assert status == 0 and out.startswith("2 steps agree: all 370 weights after each"), err
        status, out, err = said("board", "run", *SMALL, "--steps=1", "--set=batch=5")
        assert status == 2 and "build it with the same recipe and settings" in err
        assert err.count("\n") == 1
        status, out, err = said("train", *SMALL, "--on=board", "--resume")
        assert status == 2
    finally:
        simulated.kill()
        simulated.communicate()


def test_ports_that_are_none():
    for port, told in (
        ("/dev/nowhere", "No such file or directory"),
        ("socket://localhost:1", "refused"),
        ("what://ever", "what"),
    ):
        process = command("board", "info", "--port", port)
        _, err = process.communicate(timeout=100)
        assert process.returncode == 2 and told in err and err.count("\n") == 1, err


def test_the_client_in_c_has_the_protocols_numbers():
    text = (Path(client.__file__).parent / "gradloom_link.h").read_text("utf-8")
    known = {name: int(value) for name, value in re.findall(r"\bGL_(\w+) = (\d+)", text)}
    wanted = {each.name: int(each) for each in Command}
    wanted |= {f"STATUS_{each.name}": int(each) for each in Status}
    assert known == {"VERSION": VERSION, **wanted}


@pytest.mark.long
@pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler")
def test_a_client_in_c_asks_a_simulated_board(tmp_path):
    written = command("board", "client", *SMALL, "-o", str(tmp_path))
    out, err = written.communicate(timeout=100)
    assert written.returncode == 0 and "gradloom_core.h" in out, err
    subprocess.run(
        ["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-o", "example"]
        + ["example.c", "gradloom_link.c"],
        cwd=tmp_path,
        check=True,
    )
    simulated = command("board", "simulate", "host", *SMALL)
    try:
        port = simulated.stdout.readline().strip()
        said = subprocess.run(
            ["./example", port, "115200"], cwd=tmp_path, capture_output=True, text=True, timeout=300
        )
        assert said.returncode == 0, said.stderr
        first, second = said.stdout.splitlines()
        assert first.startswith("simulation, 100000000 Hz, design ")
        assert second == "id 474c0001, status 0, room for 512 beats"
        wrong = subprocess.run(
            ["./example", "/dev/null", "115200"], cwd=tmp_path, capture_output=True, text=True
        )
        assert wrong.returncode == 1 and "hello: status -" in wrong.stderr
    finally:
        simulated.kill()
        simulated.communicate()
