"""What all engines share: how they get instructions, and how they count their chunks."""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Member, Out

from golden.core.field import WORD
from hdl.core.fields import layout

#: Width of a count of chunks.
COUNT = 16


class Commands(wiring.Signature):
    """Instructions on their way from a list to its engine.

    Parameters
    ----------
    kind
        Class of the engine's instructions.

    Members
    -------
    next : Out(instruction)
        The next instruction.
    odd : Out(1)
        It belongs to an odd step, counted from 0.
    ready : Out(1)
        It may be taken: it is there, and its first chunk need not wait.
    wants : In(1)
        The engine is free for it.
    takes : In(1)
        The instruction is taken: it runs from the next clock on.
    free : In(1)
        No chunk of the running instruction will be begun any more, or none runs. It is high
        whenever `wants` is.
    passes : Out(1)
        The next chunk of the running instruction need not wait.
    continues : In(1)
        The engine is free for that chunk.
    begins : In(1)
        A further chunk of the running instruction is begun.
    full : In(1)
        The chunk that comes next has no room in the output queue.
    """

    def __init__(self, kind: Any):
        super().__init__(
            {
                "next": Out(layout(kind)),
                "odd": Out(1),
                "ready": Out(1),
                "wants": In(1),
                "takes": In(1),
                "free": In(1),
                "passes": Out(1),
                "continues": In(1),
                "begins": In(1),
                "full": In(1),
            }
        )


class CoreEngine(wiring.Component):
    """Base class of the engines.

    Parameters
    ----------
    kind
        Class of its instructions.
    members
        Further members.

    Members
    -------
    commands : In(Commands)
        Its instructions.
    count : Out
        Chunks that it has finished since `clear`, modulo 2^16.
    clear : In(1)
        A program is begun.
    ended : Out(1)
        A chunk is finished: `count` is one higher from the next clock on.
    flight : Out(1)
        Something that was issued has not ended.
    """

    commands: Any
    count: Signal
    clear: Signal
    ended: Signal
    flight: Signal

    def __init__(self, kind: Any, members: Mapping[str, Member]):
        super().__init__(
            {
                "commands": In(Commands(kind)),
                "count": Out(COUNT),
                "clear": In(1),
                "ended": Out(1),
                "flight": Out(1),
                **members,
            }
        )

    def running(self, m: Module) -> Any:
        """Return the instruction that runs, from the clock after the one that takes it."""
        kept = held(m, self.commands.next, self.commands.free)
        return data.View(self.commands.next.shape(), kept)

    def counted(self, m: Module, done: Value) -> None:
        """Count a chunk in each clock in which `done` is high."""
        m.d.comb += self.ended.eq(done)
        with m.If(self.clear):
            m.d.sync += self.count.eq(0)
        with m.Else():
            m.d.sync += self.count.eq(self.count + done)


class Nest(wiring.Component):
    """Base class of the loops of an engine's instruction.

    Parameters
    ----------
    kind
        Class of the instructions.
    members
        Further members.

    Members
    -------
    commands : In(Commands)
        The engine's instructions.

    Attributes
    ----------
    now : View(instruction)
        The instruction that runs.
    """

    commands: Any

    def __init__(self, kind: Any, members: Mapping[str, Member]):
        super().__init__({"commands": In(Commands(kind)), **members})
        self.now: Any = Signal(layout(kind), name="now")

    def hold(self, m: Module, free: Value) -> None:
        """Keep an instruction, as `held`, from the clock on in which it is taken."""
        m.d.comb += Value.cast(self.now).eq(held(m, self.commands.next, free))


def held(m: Module, instruction: Any, free: Value) -> Value:
    """Return the instruction that runs, from the clock after the one that takes it.

    It is kept in words: simulators handle registers of hundreds of bits badly.

    Parameters
    ----------
    m
        Module that gets the registers.
    instruction
        The next instruction.
    free
        Nothing more is wanted of the running instruction, or none runs. The next one is stored
        whether it is taken or not, as this is known earlier in the clock.
    """
    bits = Value.cast(instruction)
    words = []
    for first in range(0, len(bits), WORD):
        given = bits[first : first + WORD]
        word = Signal(len(given), name=f"now_{first // WORD}", reset_less=True)
        with m.If(free):
            m.d.sync += word.eq(given)
        words.append(word)
    return Cat(words)
