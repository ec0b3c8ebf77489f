"""Counters of what an engine does in each clock, which a host reads consistently."""

from typing import Any

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from golden.core.field import WORD
from golden.core.register import State
from hdl.delay import registered

#: Bits of a state's number.
STATE = (len(State) - 1).bit_length()


class Clocks(wiring.Component):
    """Clocks in each state, of an engine that is always in exactly one.

    As one counter goes up in a clock, all of them are in one small memory with one adder. It has
    two halves: one counts, the other one holds what was latched. A word counts from 0 after a latch
    without being cleared: a bit for each says whether it has been written since.

    The clocks of the present state are in a register, which is made a clock before.

    Members
    -------
    next : In(3)
        What the engine does in the next clock.
    counts : In(1)
        The clock counts.
    clear : In(1)
        All counters begin at 0, from the next clock on.
    latch : In(1)
        The counters, with this clock, are kept; new ones begin at 0.
    at : In(3)
        State whose latched clocks are shown, at once.
    value : Out(32)
        These, modulo 2^32.
    """

    next: Signal
    counts: Signal
    clear: Signal
    latch: Signal
    at: Signal
    value: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "next": In(STATE),
                "counts": In(1),
                "clear": In(1),
                "latch": In(1),
                "at": In(STATE),
                "value": Out(WORD),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        memory: Memory[Any, Any] = Memory(shape=WORD, depth=2 << STATE, init=[])
        m.submodules.memory = memory
        own, shown = memory.read_port(domain="comb"), memory.read_port(domain="comb")
        write = memory.write_port()
        half = Signal()
        state = registered(m, self.next, "state", reset_less=False)
        present, after = Signal(WORD), Signal(WORD)
        written, kept = Signal(1 << STATE), Signal(1 << STATE)
        marked = Signal(1 << STATE)
        here: Value = (C(1) << state)[: 1 << STATE] & self.counts.replicate(1 << STATE)
        m.d.comb += [
            after.eq(present + self.counts),
            own.addr.eq(Cat(self.next, half)),
            write.addr.eq(Cat(state, half)),
            write.en.eq(self.counts),
            write.data.eq(after),
            marked.eq(written | here),
            shown.addr.eq(Cat(self.at, ~half)),
            self.value.eq(Mux(kept.bit_select(self.at, 1), shown.data, 0)),
        ]
        m.d.sync += [
            written.eq(marked),
            present.eq(
                Mux(
                    self.next == state,
                    after,
                    Mux(written.bit_select(self.next, 1), own.data, 0),
                )
            ),
        ]
        with m.If(self.latch):
            m.d.sync += [half.eq(~half), kept.eq(marked), written.eq(0), present.eq(0)]
        with m.If(self.clear):
            m.d.sync += [written.eq(0), present.eq(0)]
        return m
