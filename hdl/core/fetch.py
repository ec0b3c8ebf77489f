"""Fetching of instructions, and the waits of their chunks."""

from collections.abc import Mapping, Sequence
from typing import Any

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.core.config import CoreConfig
from golden.core.field import WORD, words_of
from golden.core.isa import INSTRUCTIONS, Engine
from golden.core.register import Fault, State
from hdl.cells import CELLS, Cells
from hdl.core.engine import COUNT, Commands
from hdl.core.legal import FAULT, Legal

#: Width of a number of steps.
STEPS = 32


class Fetch(wiring.Component):
    """An engine's list: the next instruction, and whether its chunks may begin.

    While an instruction runs, the next one is read from the list, word by word. The engine takes it
    in the clock in which `takes` is high, and says with `begins` when a further chunk begins.

    Parameters
    ----------
    config
        The core.
    engine
        The engine.
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
    used : In(1)
        The engine has a list.
    limit : In
        Number of steps to be made. It may change; no step is begun beyond it.
    start : In(1)
        The program is begun.
    halt : In(1)
        Nothing is taken or begun any more.
    counts : In(3 counts)
        Chunks that the other engines have finished.
    settled : In(1)
        All of the engine's own chunks have ended.
    commands : Out(Commands)
        The instructions.
    loaded : Out(1)
        The last word of an instruction has been stored.
    refused : Out(1), fault : Out(4)
        The instruction that has been loaded, 2 clocks ago, is not carried out; why not.
    next_at, step : Out
        First word of the next instruction, and its step, from 0.
    begins_step : Out(1)
        The first instruction of that step is taken.
    begun : Out
        Steps whose first instruction has been taken.
    at, chunk, at_step : Out
        The running instruction, its chunk, and its step.
    state : Out(3)
        What the engine does in the next clock, as `golden.core.register.State`.
    stuck : Out(1)
        It will not go on unless another engine ends a chunk.
    done : Out(1)
        All steps have been taken.
    """

    write: Signal
    to: Signal
    value: Signal
    first: Signal
    last: Signal
    totals: data.View
    used: Signal
    limit: Signal
    start: Signal
    halt: Signal
    counts: data.View
    settled: Signal
    commands: Any
    loaded: Signal
    refused: Signal
    fault: Signal
    next_at: Signal
    step: Signal
    begins_step: Signal
    begun: Signal
    at: Signal
    chunk: Signal
    at_step: Signal
    state: Signal
    stuck: Signal
    done: Signal

    def __init__(
        self,
        config: CoreConfig,
        engine: Engine,
        settle: int,
        *,
        cells: Cells = CELLS["generic"],
    ):
        self.config = config
        self.cells = cells
        self.engine = engine
        self.words = words = config.programs[engine]
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
                "used": In(1),
                "limit": In(STEPS),
                "start": In(1),
                "halt": In(1),
                "counts": In(counts),
                "settled": In(1),
                "commands": Out(Commands(self.kind)),
                "loaded": Out(1),
                "refused": Out(1),
                "fault": Out(FAULT),
                "next_at": Out(range(words)),
                "step": Out(STEPS),
                "begins_step": Out(1),
                "begun": Out(STEPS),
                "at": Out(range(words)),
                "chunk": Out(COUNT),
                "at_step": Out(STEPS),
                "state": Out(3),
                "stuck": Out(1),
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
        m.d.sync += [arrives.eq(reading & ~self.start), stored_in.eq(place)]
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
        at_last, within, last_step = Signal(), Signal(), Signal()
        following = Signal(STEPS, init=1)  # the step after this one
        bases = [Signal(COUNT, name=f"base_{k}") for k in range(3)]
        m.d.comb += [
            at_last.eq(self.next_at == self.last),
            self.begins_step.eq(commands.takes & (self.next_at == self.first)),
            self.done.eq(~within),
            commands.odd.eq(self.step[0]),
        ]
        m.d.sync += [
            within.eq(self.used & (self.step != self.limit)),
            last_step.eq(following == self.limit),
        ]
        with m.If(self.start):
            m.d.sync += [
                within.eq(self.used & (self.limit != 0)),
                reading.eq(self.used),
                address.eq(self.first),
                self.next_at.eq(self.first),
                place.eq(0),
                self.step.eq(0),
                following.eq(1),
                self.begun.eq(0),
                *(base.eq(0) for base in bases),
            ]
        with m.Elif(commands.takes):
            m.d.sync += [
                place.eq(0),
                reading.eq(1),
                self.at.eq(self.next_at),
                self.at_step.eq(self.step),
                self.chunk.eq(0),
                self.begun.eq(self.begun + self.begins_step),
            ]
            with m.If(at_last):
                m.d.sync += [
                    within.eq(self.used & ~last_step),
                    address.eq(self.first),
                    self.next_at.eq(self.first),
                    self.step.eq(following),
                    following.eq(following + 1),
                    *(base.eq(base + total) for base, total in zip(bases, self.totals)),
                ]
            with m.Else():
                m.d.sync += [
                    address.eq(self.next_at + size),
                    self.next_at.eq(self.next_at + size),
                ]
        with m.Elif(commands.begins):
            m.d.sync += self.chunk.eq(self.chunk + 1)

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
            m.d.sync += [there.eq(0), waits.eq(0)]

        # Whether it is carried out is known before it may be taken.
        m.submodules.legal = legal = Legal(self.config, self.engine)
        m.d.comb += Value.cast(legal.instruction).eq(coming)
        m.d.sync += self.fault.eq(legal.fault)
        # A start drops an instruction that is still on its way from the program before.
        checking, checked = Signal(), Signal()
        m.d.sync += [checking.eq(self.loaded & ~self.start), checked.eq(checking & ~self.start)]
        m.d.comb += self.refused.eq(checked & (self.fault != Fault.NONE))
        halted, bad = Signal(), Signal()
        m.d.sync += bad.eq(self.fault != Fault.NONE)
        m.d.comb += halted.eq(self.halt | (there & bad))

        # Waits. A count passes a limit if their difference modulo 2^16 is below 2^15.
        first_pass, next_pass = [], []
        passed_all: list[Value] = []  # of these three, as they will be
        further_all: list[tuple[Value, Value, Value]] = []
        for k in range(3):
            wait = commands.next.waits[k]
            limit = Signal(COUNT, name=f"limit_{k}", reset_less=True)
            second = Signal(COUNT, name=f"second_{k}", reset_less=True)
            m.d.sync += [
                limit.eq(bases[k] + wait.count),
                second.eq(limit + wait.slope),
            ]
            passed = Signal(name=f"passed_{k}")
            passed_all.append(~wait.on | ~(self.counts[k] - limit)[COUNT - 1])
            m.d.sync += passed.eq(passed_all[-1])
            first_pass.append(passed)

            # Of the running instruction: the next chunk and the one after it.
            on = Signal(name=f"on_{k}", reset_less=True)
            slope = Signal(8, name=f"slope_{k}", reset_less=True)
            one = Signal(COUNT, name=f"one_{k}", reset_less=True)
            two = Signal(COUNT, name=f"two_{k}", reset_less=True)
            # They are stored whenever an instruction is wanted, whether it is taken or not.
            with m.If(commands.wants):
                m.d.sync += [
                    on.eq(wait.on),
                    slope.eq(wait.slope),
                    one.eq(second),
                    two.eq(second + wait.slope),
                ]
            with m.Elif(commands.begins):
                m.d.sync += [one.eq(two), two.eq(two + slope)]
            # All limits that may come next are compared: which it is, is known late in the clock.
            at_second, at_two, at_one = (
                ~(self.counts[k] - limit)[COUNT - 1] for limit in (second, two, one)
            )
            further_all.append((~wait.on | at_second, ~on | at_two, ~on | at_one))
            further = Signal(name=f"further_{k}")
            m.d.sync += further.eq(_latest(commands, further_all[-1]))
            next_pass.append(further)
        settles: Any = commands.next.settle if self.engine is Engine.VECTOR else C(0, 1)
        settled = Signal()
        m.d.sync += settled.eq(self.settled)
        own = ~settles | settled
        # Of all three waits at once.
        firsts, furthers = Signal(), Signal()
        together = [Cat(each).all() for each in zip(*further_all)]
        m.d.sync += [
            firsts.eq(Cat(passed_all).all() & (~settles | self.settled)),
            furthers.eq(_latest(commands, together)),
        ]
        m.d.comb += [
            commands.ready.eq(there & within & firsts & ~halted),
            commands.passes.eq(furthers & ~halted),
        ]
        self._state(m, there, halted, first_pass, next_pass, own)
        return m

    def _state(
        self,
        m: Module,
        there: Value,
        halted: Value,
        first_pass: Sequence[Value],
        next_pass: Sequence[Value],
        own: Value,
    ) -> None:
        """Say what the engine does in the next clock, and whether it is stuck.

        Of several engines that it waits for, the first one counts.
        """
        commands, state = self.commands, self.state
        # An engine may wait for its own passes, too.
        first = dict(zip(self.engine.others, first_pass))
        first[self.engine] = own
        further = dict(zip(self.engine.others, next_pass))

        def waits(passes: Mapping[Engine, Value]) -> None:
            """Choose the first engine that is waited for; else room, or an even clock."""
            m.d.comb += state.eq(Mux(commands.full, State.STREAM, State.FETCH))
            for engine in sorted(passes, reverse=True):
                with m.If(~passes[engine]):
                    m.d.comb += state.eq(State.waits(engine))

        m.d.comb += state.eq(State.BUSY)
        with m.If(commands.wants & ~commands.takes):
            waits(first)
            with m.If(~there):
                m.d.comb += state.eq(State.FETCH)
            with m.If(self.done):
                m.d.comb += state.eq(State.IDLE)
        with m.Elif(commands.continues & ~commands.begins):
            waits(further)
        asks = commands.wants | commands.continues
        m.d.comb += self.stuck.eq(
            (asks & halted) | ((state != State.BUSY) & (state != State.FETCH))
        )


def _latest(commands: Any, choices: Sequence[Value]) -> Value:
    """Return the first choice if an instruction is wanted, the second if a chunk begins, or the
    third one.
    """
    first, second, third = choices
    return Mux(commands.wants, first, Mux(commands.begins, second, third))
