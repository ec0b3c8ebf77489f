"""Fetching of instructions, and the waits of their chunks."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.core.field import WORD, words_of
from golden.core.isa import INSTRUCTIONS, Engine
from hdl.cells import CELLS, Cells
from hdl.core.engine import COUNT, Commands

#: Width of a number of steps.
STEPS = 32


class Fetch(wiring.Component):
    """An engine's list: the next instruction, and whether its chunks may begin.

    While an instruction runs, the next one is read from the list, word by word. The engine takes it
    in the clock in which `takes` is high, and says with `begins` when a further chunk begins.

    Parameters
    ----------
    engine
        The engine.
    words
        Words of the list.
    settle
        Clocks from an instruction's last word until it may be taken.
    cells
        Technology of the list's memory.

    Members
    -------
    write, to, value : In
        A word is written into the list.
    first, last : In(word)
        First word of the program, and that of its last instruction.
    totals : In(3 counts)
        Chunks of a step of the other engines.
    steps : In
        Number of steps to be made.
    start : In(1)
        The program is begun.
    counts : In(3 counts)
        Chunks that the other engines have finished.
    settled : In(1)
        All of the engine's own chunks have ended.
    commands : Out(Commands)
        The instructions.
    loaded : Out(1)
        The last word of an instruction has been stored.
    done : Out(1)
        All steps have been taken.
    """

    write: Signal
    to: Signal
    value: Signal
    first: Signal
    last: Signal
    totals: data.View
    steps: Signal
    start: Signal
    counts: data.View
    settled: Signal
    commands: Any
    loaded: Signal
    done: Signal

    def __init__(self, engine: Engine, words: int, settle: int, *, cells: Cells = CELLS["generic"]):
        self.cells = cells
        self.engine = engine
        self.words = words
        self.settle = settle
        self.kind = INSTRUCTIONS[engine]
        counts = data.ArrayLayout(COUNT, 3)
        super().__init__(
            {
                "write": In(1),
                "to": In(range(words)),
                "value": In(WORD),
                "first": In(range(words)),
                "last": In(range(words)),
                "totals": In(counts),
                "steps": In(STEPS),
                "start": In(1),
                "counts": In(counts),
                "settled": In(1),
                "commands": Out(Commands(self.kind)),
                "loaded": Out(1),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        size, commands = words_of(self.kind), self.commands
        # The words of the next instruction, one in each clock from the first one of the running
        # one.
        address = Signal(range(self.words + size + 1))
        place = Signal(range(size + 1))
        reading = Signal()
        stored_in = Signal(range(size + 1))
        arrives = Signal()
        given = self.cells.rows(
            *(m, "list", self.words, WORD),
            write=self.write,
            to=self.to,
            value=self.value,
            row=address,
            clocks=1,
        )
        m.d.sync += [arrives.eq(reading), stored_in.eq(place)]
        with m.If(reading):
            m.d.sync += [address.eq(address + 1), place.eq(place + 1)]
            with m.If(place == size - 1):
                m.d.sync += reading.eq(0)
        shadow = [Signal(WORD, name=f"word_{word}", reset_less=True) for word in range(size)]
        for number, word in enumerate(shadow):
            with m.If(arrives & (stored_in == number)):
                m.d.sync += word.eq(given)
        coming = Value.cast(commands.next)
        m.d.comb += coming.eq(Cat(shadow)[: len(coming)])

        # Which instruction comes next.
        at_last = Signal()
        left = Signal(STEPS)  # steps to be fetched after this one
        odd = Signal()
        bases = [Signal(COUNT, name=f"base_{k}") for k in range(3)]
        begin = Signal(range(self.words))  # of the instruction that is fetched
        done = Signal(init=1)
        m.d.comb += [at_last.eq(begin == self.last), self.done.eq(done)]
        with m.If(self.start):
            m.d.sync += [
                reading.eq(self.steps != 0),
                address.eq(self.first),
                begin.eq(self.first),
                place.eq(0),
                left.eq(self.steps - 1),
                odd.eq(0),
                done.eq(self.steps == 0),
                *(base.eq(0) for base in bases),
            ]
        with m.Elif(commands.takes):
            m.d.sync += place.eq(0)
            with m.If(at_last):
                m.d.sync += [
                    reading.eq(left != 0),
                    done.eq(left == 0),
                    address.eq(self.first),
                    begin.eq(self.first),
                    left.eq(left - 1),
                    odd.eq(~odd),
                    *(base.eq(base + total) for base, total in zip(bases, self.totals)),
                ]
            with m.Else():
                m.d.sync += [
                    reading.eq(1),
                    address.eq(begin + size),
                    begin.eq(begin + size),
                ]
        m.d.comb += commands.odd.eq(odd)

        # The instruction may be taken some clocks after its last word.
        m.d.comb += self.loaded.eq(arrives & (stored_in == size - 1))
        waits = Signal(range(self.settle + 1))
        there = Signal()
        with m.If(self.loaded):
            m.d.sync += waits.eq(self.settle - 1)
            m.d.sync += there.eq(self.settle == 1)
        with m.Elif(waits != 0):
            m.d.sync += waits.eq(waits - 1)
            with m.If(waits == 1):
                m.d.sync += there.eq(1)
        with m.If(commands.takes | self.start):
            m.d.sync += there.eq(0)

        # Waits. A count passes a limit if their difference modulo 2^16 is below 2^15.
        first_pass, next_pass = [], []
        for k in range(3):
            wait = commands.next.waits[k]
            limit = Signal(COUNT, name=f"limit_{k}", reset_less=True)
            second = Signal(COUNT, name=f"second_{k}", reset_less=True)
            third = Signal(COUNT, name=f"third_{k}", reset_less=True)
            m.d.sync += [
                limit.eq(bases[k] + wait.count),
                second.eq(limit + wait.slope),
                third.eq(second + wait.slope),
            ]
            passed = Signal(name=f"passed_{k}")
            m.d.sync += passed.eq(~wait.on | ~(self.counts[k] - limit)[COUNT - 1])
            first_pass.append(passed)

            # Of the running instruction: the next chunk and the one after it.
            on = Signal(name=f"on_{k}", reset_less=True)
            slope = Signal(8, name=f"slope_{k}", reset_less=True)
            one = Signal(COUNT, name=f"one_{k}", reset_less=True)
            two = Signal(COUNT, name=f"two_{k}", reset_less=True)
            with m.If(commands.takes):
                m.d.sync += [on.eq(wait.on), slope.eq(wait.slope), one.eq(second), two.eq(third)]
            with m.Elif(commands.begins):
                m.d.sync += [one.eq(two), two.eq(two + slope)]
            # All limits that may come next are compared: which it is, is known late in the clock.
            at_second, at_two, at_one = (
                ~(self.counts[k] - limit)[COUNT - 1] for limit in (second, two, one)
            )
            further = Signal(name=f"further_{k}")
            with m.If(commands.takes):
                m.d.sync += further.eq(~wait.on | at_second)
            with m.Elif(commands.begins):
                m.d.sync += further.eq(~on | at_two)
            with m.Else():
                m.d.sync += further.eq(~on | at_one)
            next_pass.append(further)
        settles: Any = commands.next.settle if self.engine is Engine.VECTOR else 0
        settled = Signal()
        m.d.sync += settled.eq(self.settled)
        m.d.comb += [
            commands.ready.eq(there & Cat(first_pass).all() & (~settles | settled)),
            commands.passes.eq(Cat(next_pass).all()),
        ]
        return m
