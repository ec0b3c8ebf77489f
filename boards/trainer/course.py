"""The course of a training on a board: a list of steps in a ROM, which the host carries out.

A host of a core writes programs, starts them, and reads what has happened. On a board that trains
by itself this is a list of steps, made here from the core's table of registers and its programs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from importlib.metadata import version

from boards.link.text import Text, assemble
from boards.trainer.training import Training
from golden.core.field import WORD
from golden.core.isa import Engine
from golden.core.program import Program, parts
from golden.core.register import Fault, State
from golden.core.registers import ADDRESS, Registers, design_hash


class Op(IntEnum):
    """What a step does; most have an address or a value."""

    #: Write the value into the register at the address.
    WRITE = 0
    #: Write the epoch's learning rate into the register at the address.
    RATE = 1
    #: Wait until no program runs; after a fault go on at the value.
    WAIT = 2
    #: Set the number at the address to the value.
    SET = 3
    #: Add the register at the address to the number at the value.
    ADD = 4
    #: Drop all that was to be sent or summed.
    CLEAR = 5
    #: Send what the value says, a `Feed`, as soon as it can be sent without a gap.
    FEED = 6
    #: Begin a checksum.
    DIGEST = 7
    #: Wait until the checksum is that of all weights.
    SUM = 8
    #: Print the message at the value.
    SAY = 9
    #: Go on with the next epoch; after the last one, at the value.
    NEXT = 10
    #: Go on at the value.
    JUMP = 11
    #: Say by the LEDs that all is over: 0 well, 1 with a fault.
    END = 12
    #: Wait as many clocks as the value says.
    PAUSE = 13


class Feed(IntEnum):
    """What is sent to the core."""

    WEIGHTS = 0
    TRAIN = 1
    TEST = 2


#: Bits of an operation in a word of the ROM; the address and the value are above it.
OP_BITS = 4
#: Numbers of the messages, in the order of the printer's ports.
NUMBERS = ("epoch", "wrong", "clocks", "fault", "instruction", "chunk", "step")
#: Words of the messages: what has stopped which engine, and the digits of the checksum.
WORDS = ("kind", "engine", *(f"digit{k}" for k in range(8)))
#: The digits, in their order in the ROM.
DIGITS = "0123456789ABCDEF"


@dataclass(frozen=True)
class Course:
    """The steps of a training, and its messages.

    Parameters
    ----------
    rom
        Words of the steps.
    text
        The messages and words.
    faults, engines, digits
        Places of words: of each fault, of each engine, and of the digit 0.
    """

    rom: tuple[int, ...]
    text: Text
    faults: tuple[int, ...]
    engines: tuple[int, ...]
    digits: int


#: A step: operation, address, and a value or the name of the place of one.
_Step = tuple[Op, int, int | str]


def banner(training: Training) -> str:
    """Return the first line of a training: what is trained, and the hash of the core's design."""
    core = training.compiled
    return (
        f"gradloom {version('gradloom')} trainer board={training.board} network={training.name} "
        f"batch={core.recipe.batch} epochs={core.recipe.epochs} "
        f"design={design_hash(core.config):016X}"
    )


def course(training: Training) -> Course:
    """Return the course of a training.

    Parameters
    ----------
    training
        The training.
    """
    core = training.compiled
    tests = len(training.dataset.test_images)
    result = (
        "wrong={wrong} of="
        + str(tests)
        + " clocks={clocks} crc="
        + "".join(f"{{digit{k}}}" for k in reversed(range(8)))
    )
    greeting = f"{banner(training)}\r\n"
    line = f"epoch={{epoch}} {result}\r\n"
    done = f"done epoch={{epoch}} {result}\r\n"
    failed = (
        "FAULT {kind} engine={engine} instruction={instruction} chunk={chunk} step={step} "
        "epoch={epoch}\r\n"
    )
    faults = [fault.name.lower() for fault in Fault]
    engines = [engine.name.lower() for engine in Engine]
    # The digits come first, each with its end behind it: so one is at twice its value.
    text = assemble([*DIGITS, greeting, line, done, failed, *faults, *engines], NUMBERS, WORDS)
    table = Registers(core.config)

    def write(name: str, value: int) -> _Step:
        return Op.WRITE, table.named(name).address, value

    def add(name: str, number: str) -> _Step:
        return Op.ADD, table.named(name).address, NUMBERS.index(number)

    def put(number: str, value: int) -> _Step:
        return Op.SET, NUMBERS.index(number), value

    control = table.named("control")
    start, latch = (write("control", control[name].mask) for name in ("start", "latch"))
    counters = [f"array_{state.name.lower()}" for state in State]
    labels: dict[str, int] = {}
    steps: list[_Step] = []
    parts_of_course: list[str | _Step] = [
        write("control", control["reset"].mask),
        (Op.CLEAR, 0, 0),
        put("epoch", 0),
        put("clocks", 0),
        (Op.SAY, 0, text.at[greeting]),
        *_program(core.load, 1, table),
        (Op.FEED, 0, Feed.WEIGHTS),
        start,
        (Op.WAIT, 0, "failed"),
        "test",
        *_program(core.test, training.tests, table),
        (Op.FEED, 0, Feed.TEST),
        start,
        (Op.WAIT, 0, "failed"),
        # All that fills the last batch is counted as wrong.
        put("wrong", -training.fillers),
        add("wrong", "wrong"),
        *_program(core.dump, 1, table),
        (Op.DIGEST, 0, 0),
        start,
        (Op.WAIT, 0, "failed"),
        (Op.SUM, 0, 0),
        (Op.SAY, 0, text.at[line]),
        (Op.NEXT, 0, "done"),
        *_program(core.train, training.steps, table),
        write("rate_step", 0),
        (Op.RATE, table.named("rate").address, 0),
        (Op.FEED, 0, Feed.TRAIN),
        start,
        (Op.WAIT, 0, "failed"),
        put("clocks", 0),
        latch,
        *(add(name, "clocks") for name in counters),
        (Op.JUMP, 0, "test"),
        "done",
        (Op.END, 0, 0),
        (Op.SAY, 0, text.at[done]),
        (Op.PAUSE, 0, round(training.frequency)),
        (Op.JUMP, 0, "done"),
        "failed",
        (Op.END, 0, 1),
        *(put(name, 0) for name in NUMBERS[3:]),
        add("fault", "fault"),
        *(add(f"fault_{name}", name) for name in NUMBERS[4:]),
        "fault",
        (Op.SAY, 0, text.at[failed]),
        (Op.PAUSE, 0, round(training.frequency)),
        (Op.JUMP, 0, "fault"),
    ]
    for part in parts_of_course:
        if isinstance(part, str):
            labels[part] = len(steps)
        else:
            steps.append(part)
    return Course(
        rom=tuple(_words(steps, labels)),
        text=text,
        faults=tuple(text.at[name] for name in faults),
        engines=tuple(text.at[name] for name in engines),
        digits=text.at["0"],
    )


def _program(program: Program, steps: int, table: Registers) -> Iterator[_Step]:
    """Yield the writes that make a program the next one."""
    place = table.named("program_at")
    own = {part.engine: part for part in parts([program])}
    for engine, part in own.items():
        yield Op.WRITE, place.address, place["list"].within(engine)
        for word in part.words:
            yield Op.WRITE, table.named("program").address, word
    yield Op.WRITE, table.named("engines").address, sum(1 << engine for engine in own)
    yield Op.WRITE, table.named("steps").address, steps
    for engine in Engine:
        last, chunks = (own[engine].last, own[engine].total) if engine in own else (0, 0)
        for name, value in (("first", 0), ("last", last), ("total", chunks)):
            yield Op.WRITE, table.named(f"{name}_{engine.name.lower()}").address, value


def _words(steps: Sequence[_Step], labels: dict[str, int]) -> Iterator[int]:
    """Yield the words of steps."""
    for op, address, given in steps:
        value = labels[given] if isinstance(given, str) else given
        mask = (1 << WORD) - 1
        yield op | address << OP_BITS | (value & mask) << OP_BITS + ADDRESS
