"""A design that tests itself on a board: stimulus and expected results are in its block RAM.

Every unit has a player, which sends it operands from a ROM, and a checker, which compares its
results with another ROM. All units work at the same time, at the full clock. A run goes through the
stimulus several times, and begins each of these passes with a reset: first without gaps and stalls,
then with outputs that stall at random, with operands that pause at random, and with both. Results
are compared in order, so the expected ones do not depend on stalls and pauses. A result too many
and a result too few are found as well.

Runs follow each other until one fails. Once per second the verdict of the last run is sent as a
line of text on a UART. After a failure the design stops, and repeats a line about the first
difference until it is restarted.

A checker keeps the two payloads that differ. Afterwards both are shifted out bit by bit, to find
the number in the payload that differs. So no wide multiplexer is needed, and none of this limits
the clock.
"""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Array, C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out, connect

from boards.link.printer import Printer
from boards.link.printer_twin import PrinterConfig
from boards.link.text import Text
from boards.link.uart import Transmitter
from boards.selftest.bench import Bench
from boards.selftest.checker_twin import CheckerConfig
from boards.selftest.checks import Check, Element, elements
from boards.selftest.config import TopConfig
from boards.selftest.messages import NUMBERS, WORDS, messages

#: Bits of a count: clocks, values, runs.
COUNT = 32
#: Clocks without any transfer, beyond the longest latency, after which a pass is over. A stall or a
#: pause is at most as long as the longest run of equal bits of a 32-bit generator, 32 clocks.
MARGIN = 80


class SelfTest(wiring.Component):
    """Runs the units on their stimulus again and again, and reports each verdict.

    Parameters
    ----------
    checks
        The units with their operands and expected results.
    config
        Course of the runs, clock and serial line.

    Members
    -------
    restart : In(1)
        A rising edge restarts everything, at the end of the present run.
    running : Out(1)
        Toggles with every line of text, while runs go on.
    passed : Out(1)
        A run is complete, and none has failed.
    failed : Out(1)
        A run has failed; no further run begins.
    tx : Out(1)
        Serial line: 8 bits, no parity, one stop bit.
    """

    restart: Signal
    running: Signal
    passed: Signal
    failed: Signal
    tx: Signal

    def __init__(self, checks: Sequence[Check], config: TopConfig):
        self.checks = tuple(checks)
        self.config = config
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
        passes, period = self.config.passes, self.config.clocks_per_line
        m.submodules.bench = bench = Bench(self.checks)
        numbers = [elements(layout) for layout in bench.layouts]

        # Counts: clocks of the pass; clocks and values of the run; clocks since the last transfer.
        clock, clocks, values, run = (
            Signal(COUNT, name=name) for name in ("clock", "clocks", "values", "run")
        )
        limit = max(each.latency for each in self.checks) + MARGIN
        quiet = Signal(range(limit + 1))
        pass_number = Signal(range(passes))
        last_pass = pass_number == passes - 1
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

        # A press of the button is stored until the present run is over.
        pressed, again = Signal(), Signal()
        m.d.sync += pressed.eq(self.restart)
        timer = Signal(range(period))
        with m.If(timer != 0):
            m.d.sync += timer.eq(timer - 1)

        # The lines of text.
        ports = dict.fromkeys(element.port for each in numbers for element in each)
        texts = messages(self.config.board, [*(each.name for each in self.checks), *ports])
        width = max(COUNT, *(element.width for each in numbers for element in each)) + 1
        m.submodules.printer = printer = Printer(
            PrinterConfig(rom=texts.text.rom, numbers=len(NUMBERS), words=len(WORDS), width=width)
        )
        m.submodules.uart = uart = Transmitter(self.config.uart)
        connect(m, printer.o, uart.i)
        message = Signal.like(printer.message)
        failed_clock, unit = Signal(COUNT), Signal.like(bench.unit)
        expected, got = (Signal(signed(width), name=name) for name in ("expected", "got"))
        element = Signal(range(sum(map(len, numbers))))
        told = self._element(m, numbers, texts.text, element)
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
            "head": texts.head,
            "tail": texts.tail,
            "unit": Array(texts.text.at[each.name] for each in self.checks)[unit],
            "port": told.port,
        }
        m.d.comb += [
            self.tx.eq(uart.tx),
            bench.unit.eq(unit),
            printer.message.eq(message),
            *(printer.numbers[k].eq(number_of[name]) for k, name in enumerate(NUMBERS)),
            *(printer.words[k].eq(word_of[name]) for k, name in enumerate(WORDS)),
        ]

        def blame(units: Value) -> None:
            """Select the first of `units`, a bit each, as the one that failed."""
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
                    m.d.sync += [
                        self.failed.eq(1),
                        failed_clock.eq(clock - CheckerConfig.fails_after),
                    ]
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
                            message.eq(texts.missing),
                        ]
                        blame(~bench.complete)
                        m.next = "say"
                    with m.Elif(last_pass):
                        m.d.sync += [self.passed.eq(1), message.eq(texts.agrees)]
                        m.next = "over"
            with m.State("over"):  # the run has ended, or the line about a failure has been sent
                with m.If(again):
                    m.d.sync += [self.passed.eq(0), self.failed.eq(0), run.eq(0), again.eq(0)]
                    m.d.sync += [timer.eq(0), blinks.eq(0)]
                    m.next = "begin"
                with m.Elif(timer == 0):
                    m.next = "say"
                with m.Elif(~self.failed):
                    m.next = "begin"
            with m.State("failed"):
                m.d.sync += [self.passed.eq(0), message.eq(texts.differs)]
                m.next = "look"
                with m.If(bench.extra):
                    m.d.sync += message.eq(texts.extra)
                    m.next = "say"

            # The number that differs is found by shifting each number of the pair into a register,
            # with its sign behind it.
            with m.State("look"):  # a ROM has the number's width and sign at the next clock
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
                m.d.sync += [timer.eq(period - 1), blinks.eq(~blinks)]
                m.next = "saying"
            with m.State("saying"), m.If(~printer.busy):
                m.next = "over"
                with m.If(~self.failed & ~again):
                    m.next = "begin"
        with m.If(self.restart & ~pressed):
            m.d.sync += again.eq(1)
        return m

    def _element(self, m: Module, numbers: list[list[Element]], text: Text, element: Value) -> Any:
        """Width, sign, lane and port of number `element` of all units, one clock later."""
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
