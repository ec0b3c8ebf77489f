"""A design that tests itself on a board: stimulus and the golden model's answers in its block RAM.

Every unit has a player, which sends it operands from a ROM, and a checker, which holds each result
against the next one in another ROM. All units work at the same time, at full clock. A run goes
through the stimulus several times, each time from a reset: first without any gap or stall, then
with outputs that stall, with operands that pause, with both, at random. Results are compared in
order, so what is right does not depend on those; a result too many and one too few are found as
well.

Runs follow each other until one fails. Once a second the last run's verdict goes out as a line of
text on a UART; after a failure the design stops and repeats the line of the first difference, until
it is started again.

A checker keeps the pair of payloads that differed. Which number of it did is found bit by bit
afterwards: the pair is shifted out, so there is no wide multiplexer, and nothing of this stands in
the way of the clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from amaranth.hdl import Array, C, Cat, Module, Mux, ResetInserter, Shape, Signal, Value, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect

from boards.checks import Check, Element, UnitConfig, elements, make_check, pack
from boards.printer import Printer, Text, assemble
from boards.uart import Transmitter, divisor
from golden import check
from golden.lfsr import Generator, LfsrConfig
from hdl.lfsr import Lfsr

#: Stimulus and results stay in block RAM, where synthesis might make logic of a small ROM.
ROM = {"rom_style": "block"}
#: Bits of a count: clocks, values, runs.
COUNT = 32
#: Bauds of the serial line.
BAUD = 115200
#: How often a run goes through the stimulus. The number of a pass says how: if bit 0 is set,
#: outputs stall; if bit 1 is, operands pause.
PASSES = 4
#: Clocks without any transfer, beyond the longest latency, after which a pass is over. A stall or a
#: pause is no longer than the longest run of equal bits of a 32-bit generator, 32.
MARGIN = 80
#: Clocks from the one that takes a wrong result to the one in which its checker says so.
FAILS_AFTER = 3
#: What makes stalls and pauses: two bits a unit.
_PATTERN = Generator(bits=32, leap=16, draw=16)
#: What the random numbers of a unit are made from: the seed, and its number among the units.
_SEEDS = 1000


@dataclass(frozen=True, kw_only=True)
class SelfTestConfig:
    """What is tested and how much of it.

    Parameters
    ----------
    units
        Configurations of the units, 1 to 8, of different kinds.
    operands
        Operands of each unit, 1 to 65536: the depth of the memories.
    passes
        Times that a run goes through them, 1 to 16; the kinds of gaps and stalls repeat after 4.
    seed
        Of the random numbers.
    """

    units: tuple[UnitConfig, ...]
    operands: int = 256
    passes: int = PASSES
    seed: int = 1

    def __post_init__(self) -> None:
        check.whole("number of units", len(self.units), 1, _PATTERN.draw // 2)
        check.whole("operands", self.operands, 1, 1 << 16)
        check.whole("passes", self.passes, 1, 16)
        check.whole("seed", self.seed, 0, 1 << 30)

    def checks(self) -> list[Check]:
        """The units with their operands and the golden model's answers."""
        return [
            make_check(unit, self.operands, self.seed * _SEEDS + number)
            for number, unit in enumerate(self.units)
        ]


def _rom(m: Module, width: int, words: list[int]) -> Any:
    """Words in block RAM."""
    rom: Any = memory.Memory(shape=width, depth=len(words), init=words, attrs=ROM)
    m.submodules.rom = rom
    return rom


def _after(m: Module, value: Value, name: str) -> Signal:
    """`value`, a clock later; not reset."""
    late = Signal(value.shape(), name=name, reset_less=True)
    m.d.sync += late.eq(value)
    return late


class Player(wiring.Component):
    """Sends the words of a ROM, one a clock.

    Parameters
    ----------
    layout
        Shape of a word.
    words
        The words, as whole numbers.

    Members
    -------
    go : In(1)
        A word may come up at the next clock; else there is a gap. A word that is up stays up
        until it is taken.
    o : Out(stream)
        The words, once, from reset on.
    """

    go: Signal
    o: Any

    def __init__(self, layout: data.Layout, words: Sequence[int]):
        self.layout = layout
        self.words = list(words)
        super().__init__({"go": In(1), "o": Out(stream.Signature(layout))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = len(self.words)
        rom = _rom(m, Shape.cast(self.layout).width, self.words)
        read = rom.read_port()
        # A word is read, then put up: the way from `ready` ends at registers behind the memory.
        place = Signal(range(depth + 1))
        is_read, moves, takes = Signal(), Signal(), Signal()
        word = Signal(Shape.cast(self.layout).width, reset_less=True)
        m.d.comb += [
            takes.eq(is_read & (~self.o.valid | self.o.ready) & self.go),
            moves.eq((~is_read | takes) & (place != depth)),
            read.en.eq(moves),
            read.addr.eq(place),
            self.o.payload.eq(word),
        ]
        with m.If(moves):
            m.d.sync += [place.eq(place + 1), is_read.eq(1)]
        with m.Elif(takes):
            m.d.sync += is_read.eq(0)
        with m.If(takes):
            m.d.sync += [word.eq(read.data), self.o.valid.eq(1)]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m


class Checker(wiring.Component):
    """Holds results against the words of a ROM.

    Parameters
    ----------
    layout
        Shape of a result.
    words
        What is expected, as whole numbers.

    Members
    -------
    i : In(stream)
        Results.
    ready : In(1)
        Results may be taken at this clock.
    agreed : Out
        How many results have been found right.
    taken : Out(1)
        One more, at this clock.
    complete : Out(1)
        All that were expected have.
    failed : Out(1)
        A result was wrong: it is number `agreed` and was taken `FAILS_AFTER` clocks before `failed`
        rose. Nothing is compared any more.
    extra : Out(1)
        It came after all that were expected.
    shift : In(1)
        After a failure: go on to the next bit of the pair.
    expected, got : Out(1)
        The lowest bits of the pair that differs, the payload's lowest bit first.
    """

    i: Any
    ready: Signal
    agreed: Signal
    taken: Signal
    complete: Signal
    failed: Signal
    extra: Signal
    shift: Signal
    expected: Signal
    got: Signal

    def __init__(self, layout: data.Layout, words: Sequence[int]):
        self.layout = layout
        self.words = list(words)
        super().__init__(
            {
                "i": In(stream.Signature(layout)),
                "ready": In(1),
                "agreed": Out(range(len(self.words) + 1)),
                "taken": Out(1),
                "complete": Out(1),
                "failed": Out(1),
                "extra": Out(1),
                "shift": In(1),
                "expected": Out(1),
                "got": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width, count = Shape.cast(self.layout).width, len(self.words)
        rom = _rom(m, width, self.words)
        read = rom.read_port()

        # Results as they are taken, and the words to come, both a clock later.
        fetched = Signal(range(count + 1))
        takes = Signal()
        m.d.comb += [
            self.i.ready.eq(self.ready),
            takes.eq(self.i.valid & self.ready),
            read.addr.eq(fetched),
            read.en.eq(1),
        ]
        with m.If(takes & (fetched != count)):
            m.d.sync += fetched.eq(fetched + 1)
        there = Signal()
        m.d.sync += there.eq(takes)
        result = _after(m, Value.cast(self.i.payload), "result")
        beyond = _after(m, fetched == count, "beyond")

        # Side by side. A pair that differs stays.
        present, over = Signal(), Signal(reset_less=True)
        wanted, found = (Signal(width, name=name, reset_less=True) for name in ("wanted", "found"))
        differs = Signal()
        m.d.comb += [
            differs.eq(present & (over | (wanted != found))),
            self.taken.eq(present & ~differs & ~self.failed),
            self.complete.eq(self.agreed == count),
            self.extra.eq(over),
            self.expected.eq(wanted[0]),
            self.got.eq(found[0]),
        ]
        with m.If(~(differs | self.failed)):
            m.d.sync += [
                present.eq(there),
                over.eq(beyond),
                wanted.eq(read.data),
                found.eq(result),
                self.agreed.eq(self.agreed + present),
            ]
        with m.Elif(self.shift):
            m.d.sync += [wanted.eq(wanted >> 1), found.eq(found >> 1)]
        with m.If(differs):
            m.d.sync += self.failed.eq(1)
        return m


class Bench(wiring.Component):
    """The units, each between its player and its checker.

    Parameters
    ----------
    checks
        The units with their operands and results.

    Members
    -------
    clear : In(1)
        Reset of everything but the pattern of stalls and pauses.
    anew : In(1)
        Reset of the pattern.
    runs : In(1)
        Operands and results may move.
    stalls, pauses : In(1)
        Outputs stall, operands pause, at random.
    moved : Out(1)
        Something did, a clock ago.
    right : Out
        Numbers in the results that were found right a clock ago.
    complete, wrong : Out(a bit a unit)
        All its results have been found right; one was wrong.
    unit : In
        The one that the following ports speak of.
    result, extra, expected, got : Out
        `agreed` and so on of its checker.
    shift : In(1)
        The next bit of its pair, please.
    """

    clear: Signal
    anew: Signal
    runs: Signal
    stalls: Signal
    pauses: Signal
    moved: Signal
    right: Signal
    complete: Signal
    wrong: Signal
    unit: Signal
    result: Signal
    extra: Signal
    expected: Signal
    got: Signal
    shift: Signal

    def __init__(self, checks: Sequence[Check]):
        self.checks = tuple(checks)
        self._components: list[Any] = [each.component() for each in checks]
        self.layouts = [data.Layout.cast(c.o.payload.shape()) for c in self._components]
        bits = len(self.checks)
        super().__init__(
            {
                **{name: In(1) for name in ("clear", "anew", "runs", "stalls", "pauses", "shift")},
                "moved": Out(1),
                "right": Out(range(sum(len(elements(each)) for each in self.layouts) + 1)),
                "complete": Out(bits),
                "wrong": Out(bits),
                "unit": In(range(bits)),
                "result": Out(range(max(each.depth[1] for each in self.checks) + 1)),
                "extra": Out(1),
                "expected": Out(1),
                "got": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pattern = Lfsr(LfsrConfig(generator=_PATTERN))
        m.submodules.pattern = ResetInserter(self.anew)(pattern)
        m.d.comb += pattern.o.ready.eq(self.runs)
        random = Value.cast(pattern.o.payload.data[0])

        checkers: list[Checker] = []
        moves: list[Value] = []
        right: Value = C(0)
        for k, (each, unit, layout) in enumerate(zip(self.checks, self._components, self.layouts)):
            operand = data.Layout.cast(unit.i.payload.shape())
            plain = [name for name in each.operands if name in unit.signature.members]
            # A word is an operand's payload, and the plain ports above it.
            word = data.StructLayout(
                {str(name): field.shape for name, field in operand}
                | {name: unit.signature.members[name].shape for name in plain}
            )
            player = Player(word, pack(word, each.operands))
            checker = Checker(layout, pack(layout, each.results))
            name = each.name.replace("-", "_")
            m.submodules[name] = ResetInserter(self.clear)(unit)
            m.submodules[f"{name}_player"] = ResetInserter(self.clear)(player)
            m.submodules[f"{name}_checker"] = ResetInserter(self.clear)(checker)
            m.d.comb += [
                player.go.eq(self.runs & ~(self.pauses & random[2 * k])),
                player.o.ready.eq(unit.i.ready),
                unit.i.valid.eq(player.o.valid),
                Value.cast(unit.i.payload).eq(Value.cast(player.o.payload)),
                *(getattr(unit, port).eq(player.o.payload[port]) for port in plain),
                checker.ready.eq(self.runs & ~(self.stalls & random[2 * k + 1])),
                checker.shift.eq(self.shift & (self.unit == k)),
                self.complete[k].eq(checker.complete),
                self.wrong[k].eq(checker.failed),
            ]
            connect(m, unit.o, checker.i)
            checkers.append(checker)
            moves += [player.o.valid & player.o.ready, checker.i.valid & checker.i.ready]
            right = right + Mux(checker.taken, len(elements(layout)), 0)

        m.d.sync += [self.moved.eq(Cat(moves).any()), self.right.eq(right)]
        m.d.comb += [
            self.result.eq(Array(checker.agreed for checker in checkers)[self.unit]),
            self.extra.eq(Array(checker.extra for checker in checkers)[self.unit]),
            self.expected.eq(Array(checker.expected for checker in checkers)[self.unit]),
            self.got.eq(Array(checker.got for checker in checkers)[self.unit]),
        ]
        return m


#: The numbers and words that the messages name, in the order in which the printer knows them.
_NUMBERS = ("run", "pass", "clocks", "values", "clock", "result", "lane", "expected", "got")
_WORDS = ("head", "tail", "unit", "port")


@dataclass(frozen=True)
class _Messages:
    """The ROM of a self-test's texts, and where the messages and the two fixed words are in it."""

    text: Text
    agrees: int
    differs: int
    extra: int
    missing: int
    head: int
    tail: int


def _messages(board: str, names: Sequence[str]) -> _Messages:
    """What can be printed, with `names` of units and ports among the words."""
    head = f"gradloom {version('gradloom')} selftest "
    tail = f" board={board} run={{run}}\r\n"
    where = "{head}FAIL unit={unit} clock={clock} "
    which = " result={result} pass={pass}{tail}"
    texts = (
        "{head}PASS clocks={clocks} values={values}{tail}",
        where + "port={port} lane={lane} expected={expected} got={got}" + which,
        where + "expected=nothing" + which,
        where + "got=nothing" + which,
        head,
        tail,
    )
    text = assemble([*texts, *names], _NUMBERS, _WORDS)
    return _Messages(text, *(text.at[t] for t in texts))


class SelfTest(wiring.Component):
    """Units, their stimulus and their expected results, and the verdict.

    Parameters
    ----------
    checks
        The units with their operands and results.
    board
        Name of the board, for the lines of text.
    frequency
        Of the clock, in hertz.
    passes
        Times that a run goes through the stimulus.
    period
        Clocks between two lines of text; by default a second of them.
    baud
        Of the serial line.

    Members
    -------
    restart : In(1)
        A rise starts everything anew, once the present run is over.
    running : Out(1)
        Blinks, one `period` on and one off, while runs go on.
    passed : Out(1)
        A run has been through, and none has failed.
    failed : Out(1)
        A run has failed; nothing runs any more.
    tx : Out(1)
        Serial line: 8 bits, no parity, one stop bit.
    """

    restart: Signal
    running: Signal
    passed: Signal
    failed: Signal
    tx: Signal

    def __init__(
        self,
        checks: Sequence[Check],
        *,
        board: str,
        frequency: float,
        passes: int = PASSES,
        period: int | None = None,
        baud: int = BAUD,
    ):
        self.checks = tuple(checks)
        self.board = board
        self.passes = passes
        self.period = round(frequency) if period is None else period
        self.divisor = divisor(frequency, baud)
        super().__init__(
            {
                "restart": In(1),
                "running": Out(1),
                "passed": Out(1),
                "failed": Out(1),
                "tx": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.bench = bench = Bench(self.checks)
        numbers = [elements(layout) for layout in bench.layouts]

        # What is counted: clocks of the pass; clocks and values of the run; clocks of no transfer.
        clock, clocks, values, run = (
            Signal(COUNT, name=name) for name in ("clock", "clocks", "values", "run")
        )
        limit = max(each.latency for each in self.checks) + MARGIN
        quiet = Signal(range(limit + 1))
        pass_number = Signal(range(self.passes))
        last_pass = pass_number == self.passes - 1
        with m.If(bench.anew):
            m.d.sync += [clocks.eq(0), values.eq(0)]
        with m.Elif(bench.runs):
            m.d.sync += [clocks.eq(clocks + 1), values.eq(values + bench.right)]
        with m.If(bench.clear):
            m.d.sync += [clock.eq(0), quiet.eq(0)]
        with m.Elif(bench.runs):
            m.d.sync += [clock.eq(clock + 1), quiet.eq(Mux(bench.moved, 0, quiet + 1))]
        mode = Cat(pass_number, C(0, 2))
        m.d.comb += [bench.stalls.eq(mode[0]), bench.pauses.eq(mode[1])]

        # A press of the button is remembered until the course comes to where it starts anew.
        pressed, again = Signal(), Signal()
        m.d.sync += pressed.eq(self.restart)
        timer = Signal(range(self.period))
        with m.If(timer != 0):
            m.d.sync += timer.eq(timer - 1)

        # What is said.
        ports = dict.fromkeys(element.port for each in numbers for element in each)
        messages = _messages(self.board, [*(each.name for each in self.checks), *ports])
        width = max(COUNT, *(element.width for each in numbers for element in each)) + 1
        m.submodules.printer = printer = Printer(
            messages.text.rom, numbers=len(_NUMBERS), words=len(_WORDS), width=width
        )
        m.submodules.uart = uart = Transmitter(self.divisor)
        connect(m, printer.o, uart.i)
        message = Signal.like(printer.message)
        failed_clock, unit = Signal(COUNT), Signal.like(bench.unit)
        expected, got = (Signal(signed(width), name=name) for name in ("expected", "got"))
        element = Signal(range(sum(map(len, numbers))))
        told = self._element(m, numbers, messages.text, element)
        number_of = {
            "run": run,
            "pass": pass_number,
            "clocks": clocks,
            "values": values,
            "clock": failed_clock,
            "result": bench.result,
            "lane": told.lane,
            "expected": expected,
            "got": got,
        }
        word_of = {
            "head": messages.head,
            "tail": messages.tail,
            "unit": Array(messages.text.at[each.name] for each in self.checks)[unit],
            "port": told.port,
        }
        m.d.comb += [
            self.tx.eq(uart.tx),
            bench.unit.eq(unit),
            printer.message.eq(message),
            *(printer.numbers[k].eq(number_of[name]) for k, name in enumerate(_NUMBERS)),
            *(printer.words[k].eq(word_of[name]) for k, name in enumerate(_WORDS)),
        ]

        def blame(units: Value) -> None:
            """The first of `units` is the one that failed."""
            for k in reversed(range(len(self.checks))):
                with m.If(units[k]):
                    first = sum(map(len, numbers[:k]))
                    m.d.sync += [unit.eq(k), element.eq(first)]

        bit = Signal(range(width))
        unequal, blinks = Signal(), Signal()
        within = bit < told.width
        m.d.comb += self.running.eq(blinks & ~self.failed)
        with m.FSM(name="course") as course:
            m.d.comb += [
                bench.clear.eq(course.ongoing("clear")),
                bench.anew.eq(course.ongoing("begin")),
                bench.runs.eq(course.ongoing("run")),
                bench.shift.eq(course.ongoing("compare") & within),
                printer.start.eq(course.ongoing("say")),
            ]
            with m.State("begin"):
                m.d.sync += [pass_number.eq(0), run.eq(run + 1)]
                m.next = "clear"
            with m.State("clear"):
                m.next = "run"
            with m.State("run"):
                with m.If(bench.wrong.any()):
                    m.d.sync += [self.failed.eq(1), failed_clock.eq(clock - FAILS_AFTER)]
                    blame(bench.wrong)
                    m.next = "failed"
                with m.Elif(quiet == limit):
                    m.d.sync += pass_number.eq(pass_number + 1)
                    m.next = "clear"
                    with m.If(~bench.complete.all()):
                        m.d.sync += [
                            pass_number.eq(pass_number),
                            self.failed.eq(1),
                            failed_clock.eq(clock - limit),
                            message.eq(messages.missing),
                        ]
                        blame(~bench.complete)
                        m.next = "say"
                    with m.Elif(last_pass):
                        m.d.sync += [self.passed.eq(1), message.eq(messages.agrees)]
                        m.next = "over"
            with m.State("over"):  # a run, or the time in which a failure was told
                with m.If(again):
                    m.d.sync += [self.passed.eq(0), self.failed.eq(0), run.eq(0), again.eq(0)]
                    m.d.sync += [timer.eq(0), blinks.eq(0)]
                    m.next = "begin"
                with m.Elif(timer == 0):
                    m.next = "say"
                with m.Elif(~self.failed):
                    m.next = "begin"
            with m.State("failed"):
                m.d.sync += [self.passed.eq(0), message.eq(messages.differs)]
                m.next = "look"
                with m.If(bench.extra):
                    m.d.sync += message.eq(messages.extra)
                    m.next = "say"

            # Which number of the pair it is: each is shifted to a register, its sign after it.
            with m.State("look"):  # what an element is, a ROM says at the next clock
                m.d.sync += [bit.eq(0), unequal.eq(0)]
                m.next = "compare"
            with m.State("compare"):
                fills = told.signed
                m.d.sync += [
                    expected.eq(
                        Cat(expected[1:], Mux(within, bench.expected, fills & expected[-1]))
                    ),
                    got.eq(Cat(got[1:], Mux(within, bench.got, fills & got[-1]))),
                    unequal.eq(unequal | (within & (bench.expected ^ bench.got))),
                    bit.eq(bit + 1),
                ]
                with m.If(bit == width - 1):
                    m.next = "compared"
            with m.State("compared"):
                m.next = "say"
                with m.If(~unequal):
                    m.d.sync += element.eq(element + 1)
                    m.next = "look"

            with m.State("say"):
                m.d.sync += [timer.eq(self.period - 1), blinks.eq(~blinks)]
                m.next = "saying"
            with m.State("saying"), m.If(~printer.busy):
                m.next = "over"
                with m.If(~self.failed & ~again):
                    m.next = "begin"
        with m.If(self.restart & ~pressed):
            m.d.sync += again.eq(1)
        return m

    def _element(self, m: Module, numbers: list[list[Element]], text: Text, element: Value) -> Any:
        """What number `element` of those of all units is, a clock later."""
        every = [each for unit in numbers for each in unit]
        layout = data.StructLayout(
            {
                "width": range(max(each.width for each in every) + 1),
                "signed": 1,
                "lane": range(max(each.lane for each in every) + 1),
                "port": range(len(text.rom)),
            }
        )
        rom: Any = memory.Memory(
            shape=layout,
            depth=len(every),
            init=[
                {
                    "width": each.width,
                    "signed": int(each.signed),
                    "lane": each.lane,
                    "port": text.at[each.port],
                }
                for each in every
            ],
        )
        m.submodules.elements = rom
        read = rom.read_port()
        m.d.comb += read.addr.eq(element)
        return read.data
