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
from hdl.delay import registered, unreset

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
    took : Out(1)
        An instruction has been taken in the clock before; it is still the next one here.
    begins_step : Out(1)
        It is the first one of its step.
    begun : Out
        Steps whose first instruction has been taken.
    at, chunk, at_step : Out
        The running instruction, its chunk, and its step.
    state : Out(3)
        What the engine does, as `golden.core.register.State`.
    stuck : Out(1)
        In the clock before it was seen that it will not go on unless another engine ends a chunk.
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
    took: Signal
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
                "took": Out(1),
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
        # A word that is read passes a register on its way to the instruction's many. So the list
        # reads a clock ahead: the next word or, when all are there, the first one of the
        # instruction behind them, which is not taken before.
        behind = Signal.like(self.next_at, name="behind", reset_less=True)
        reads = Signal.like(address, name="reads")
        m.d.comb += reads.eq(Mux(self.start, self.first, Mux(reading, address + 1, behind)))
        word = self.cells.rows(
            *(m, "list", self.words, WORD),
            write=self.write,
            to=self.to,
            value=self.value,
            row=reads,
            clocks=1,
        )
        given = registered(m, word, "given")
        m.d.sync += [
            address.eq(reads),
            arrives.eq(reading & ~self.start),
            stored_in.eq(place),
        ]
        with m.If(reading):
            m.d.sync += place.eq(place + 1)
            with m.If(place == size - 1):
                m.d.sync += reading.eq(0)
        shadow = [Signal(WORD, name=f"word_{word}", reset_less=True) for word in range(size)]
        for number, word in enumerate(shadow):
            with m.If(arrives & (stored_in == number)):
                m.d.sync += word.eq(given)
        coming = Value.cast(commands.next)
        m.d.comb += coming.eq(Cat(shadow)[: len(coming)])

        # Which instruction comes next. That one is taken is known late in the clock: but for the
        # reading of words, all follows a clock later.
        within, last_step = Signal(), Signal()
        next_at, step, begun, at, at_step, chunk = (
            unreset(m, getattr(self, name), f"{name}_there")
            for name in ("next_at", "step", "begun", "at", "at_step", "chunk")
        )
        following = Signal(STEPS, reset_less=True)  # the step after this one
        bases = [Signal(COUNT, name=f"base_{k}", reset_less=True) for k in range(3)]
        took = self.took
        m.d.sync += took.eq(commands.takes & ~self.start)
        began = registered(m, commands.begins, "began", reset_less=False)
        at_first = registered(m, next_at == self.first, "at_first")
        at_last = registered(m, next_at == self.last, "at_last")
        ended = registered(m, commands.takes & at_last & ~self.start, "ended", reset_less=False)
        m.d.sync += behind.eq(Mux(next_at == self.last, self.first, next_at + size))
        m.d.comb += [
            self.begins_step.eq(took & at_first),
            self.done.eq(~within),
            commands.odd.eq(step[0]),
        ]
        m.d.sync += [
            within.eq(self.used & (step != self.limit)),
            last_step.eq(following == self.limit),
        ]
        with m.If(self.start):
            m.d.sync += [
                within.eq(self.used & (self.limit != 0)),
                reading.eq(self.used),
                next_at.eq(self.first),
                place.eq(0),
                step.eq(0),
                following.eq(1),
                begun.eq(0),
                *(base.eq(0) for base in bases),
            ]
        with m.Else():
            with m.If(commands.takes):
                m.d.sync += [place.eq(0), reading.eq(1)]
            with m.If(took):
                m.d.sync += [
                    at.eq(next_at),
                    at_step.eq(step),
                    begun.eq(begun + at_first),
                    next_at.eq(behind),
                    chunk.eq(0),
                ]
            with m.If(began):
                m.d.sync += chunk.eq(chunk + 1)
            with m.If(ended):
                m.d.sync += [
                    within.eq(self.used & ~last_step),
                    step.eq(following),
                    following.eq(following + 1),
                    *(base.eq(base + total) for base, total in zip(bases, self.totals)),
                ]

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
        with m.If(self.start):
            m.d.sync += waits.eq(0)
        with m.If(commands.takes | self.start):
            m.d.sync += there.eq(0)

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
        further_all: list[tuple[Value, Value]] = []
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

            # Of the running instruction: the next chunk and the two after it. They follow a clock
            # after a chunk has begun.
            on = Signal(name=f"on_{k}", reset_less=True)
            slope = Signal(8, name=f"slope_{k}", reset_less=True)
            one, two, three = (
                Signal(COUNT, name=f"{name}_{k}", reset_less=True)
                for name in ("one", "two", "three")
            )
            third = registered(m, (limit + (wait.slope << 1))[:COUNT], f"third_{k}")
            # They are stored until an instruction is taken.
            with m.If(commands.free):
                m.d.sync += [
                    on.eq(wait.on),
                    slope.eq(wait.slope),
                    one.eq(second),
                    two.eq(third),
                    three.eq(third + wait.slope),
                ]
            with m.Elif(began):
                m.d.sync += [one.eq(two), two.eq(three), three.eq(three + slope)]
            # All limits that may come next are compared: which it is, is known late in the clock.
            # Of an instruction that is not taken yet, that of its second chunk.
            at_second, at_one, at_two, at_three = (
                ~(self.counts[k] - limit)[COUNT - 1] for limit in (second, one, two, three)
            )
            further_all.append(
                (
                    ~on | Mux(began, at_three, at_two),
                    Mux(
                        commands.free,
                        ~wait.on | at_second,
                        ~on | Mux(began, at_two, at_one),
                    ),
                )
            )
            next_pass.append(self._further(m, further_all[-1], began, f"further_{k}"))
        settles: Any = commands.next.settle if self.engine is Engine.VECTOR else C(0, 1)
        settled = Signal()
        m.d.sync += settled.eq(self.settled)
        own = ~settles | settled
        # All three waits at once, and what else may hold a chunk back: one register for each of the
        # two, as they are the beginning of long paths. So a halt is seen a clock later.
        firsts = Signal()
        together = [Cat(each).all() for each in zip(*further_all)]
        refuses = self.fault != Fault.NONE
        goes = ~(self.halt | (there & refuses))
        m.d.sync += firsts.eq(
            Cat(passed_all).all() & (~settles | self.settled) & within & ~(self.halt | refuses)
        )
        m.d.comb += [
            commands.ready.eq(there & firsts),
            commands.passes.eq(
                self._further(m, [each & goes for each in together], began, "furthers")
            ),
        ]
        self._state(m, there, halted, first_pass, next_pass, own)
        return m

    def _further(self, m: Module, choices: Sequence[Value], began: Value, name: str) -> Value:
        """Return in the next clock the first choice if a chunk has begun in this one, or the
        second one.

        That one has begun is known late in a clock: the choice is made in the next one. A product's
        chunk has more clocks than one, so nothing is asked for so soon.
        """
        found = [registered(m, value, f"{name}_{k}") for k, value in enumerate(choices)]
        return found[1] if self.engine is Engine.ARRAY else Mux(began, *found)

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
        commands = self.commands
        # An engine may wait for its own passes, too.
        first = dict(zip(self.engine.others, first_pass))
        first[self.engine] = own
        further = dict(zip(self.engine.others, next_pass))

        def waits(state: Signal, passes: Mapping[Engine, Value]) -> None:
            """Choose the first engine that is waited for; else room, or an even clock."""
            m.d.sync += state.eq(Mux(commands.full, State.STREAM, State.FETCH))
            for engine in sorted(passes, reverse=True):
                with m.If(~passes[engine]):
                    m.d.sync += state.eq(State.waits(engine))

        # Whether it waits is known late in a clock: what for is found beside it.
        of_first, of_further = (
            Signal.like(self.state, name=name) for name in ("of_first", "of_further")
        )
        waits(of_first, first)
        with m.If(~there):
            m.d.sync += of_first.eq(State.FETCH)
        with m.If(self.done):
            m.d.sync += of_first.eq(State.IDLE)
        waits(of_further, further)
        wants = registered(m, commands.wants & ~commands.takes, "waits_first", reset_less=False)
        continues = registered(
            m, commands.continues & ~commands.begins, "waits_further", reset_less=False
        )
        m.d.comb += self.state.eq(Mux(wants, of_first, Mux(continues, of_further, State.BUSY)))
        asks = commands.wants | commands.continues
        stands = registered(m, asks & halted, "stands", reset_less=False)
        m.d.comb += self.stuck.eq(
            stands | ((self.state != State.BUSY) & (self.state != State.FETCH))
        )
