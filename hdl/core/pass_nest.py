"""The loops of a pass: which rows and words belong to a vector, one in a clock or in two."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from golden.core.isa import PASS_LOOPS, Target, VectorInstruction
from hdl.core.engine import Nest
from hdl.core.indices import Pair, pair, stepped
from hdl.core.loops import advance, chunk_ends, lanes_there, last_iterations


class PassNest(Nest):
    """The loops of a pass: rows and words of a vector, one in a clock or in two.

    Members
    -------
    even : In(1)
        The next clock is an even one.
    room : In(1)
        The output queue has room for a chunk.
    valid : Out(1)
        A vector is here; only in the first of two clocks.
    s, k, to_high, to_low : Out
        Its rows of sums and masks, and the index of its words.
    counters : Out(iterations of the loops)
    lanes : Out
        Its lanes, less one.
    row_ends : Out(1)
        It is in the last block of classes.
    ends, last : Out(1)
        It is the last one of its chunk; of the pass.
    """

    even: Signal
    room: Signal
    valid: Signal
    s: Signal
    k: Signal
    to_high: Signal
    to_low: Signal
    counters: data.View
    lanes: Signal
    ends: Signal
    last: Signal

    def __init__(self, banks: int, address: int, s_row: int, k_row: int):
        self.banks = banks
        self.address = address
        self.rows = s_row, k_row
        super().__init__(
            VectorInstruction,
            {
                "even": In(1),
                "room": In(1),
                "valid": Out(1),
                "s": Out(s_row),
                "k": Out(k_row),
                "to_high": Out(address),
                "to_low": Out(range(banks)),
                "counters": Out(data.ArrayLayout(16, PASS_LOOPS)),
                "lanes": Out(8),
                "ends": Out(1),
                "last": Out(1),
            },
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self.hold(m)
        now, commands = self.now, self.commands
        coming = commands.next
        s_row, k_row = self.rows
        counters = [self.counters[k] for k in range(PASS_LOOPS)]
        starts = [
            (
                Signal(s_row, name=f"s_{k}", reset_less=True),
                Signal(k_row, name=f"k_{k}", reset_less=True),
                *pair(self.address, self.banks, f"to_{k}"),
            )
            for k in range(PASS_LOOPS)
        ]
        ends = last_iterations(m, now, now.loops, counters, "end")
        m.d.comb += [
            *(
                port.eq(start)
                for port, start in zip((self.s, self.k, self.to_high, self.to_low), starts[-1])
            ),
            self.last.eq(Cat(ends).all()),
            self.ends.eq(chunk_ends(now, ends)),
            self.lanes.eq(lanes_there(now.lanes, ends)),
        ]

        running, second = Signal(), Signal()
        slow = Signal()  # a vector takes two clocks
        here = Signal()  # this clock is the last one of the vector's
        next_slow = coming.target == Target.W
        m.d.comb += [
            slow.eq(now.target == Target.W),
            self.valid.eq(running & ~second),
            here.eq(running & (second | ~slow)),
        ]
        queue = (now.target == Target.OUT) & ~self.room
        next_queue = (coming.target == Target.OUT) & ~self.room
        free = Signal()
        step = Signal()
        waiting = Signal()  # for a further chunk
        m.d.comb += [
            free.eq(~running | (here & self.last)),
            commands.wants.eq(free & ~waiting),
            commands.takes.eq(
                commands.wants & commands.ready & (~next_slow | self.even) & ~next_queue
            ),
            commands.continues.eq(waiting | (here & self.ends & ~self.last)),
            commands.begins.eq(commands.continues & commands.passes & (~slow | self.even) & ~queue),
            commands.full.eq(Mux(commands.continues, queue, next_queue)),
            step.eq((here & ~self.ends) | commands.begins),
        ]
        with m.If(commands.takes):
            m.d.sync += [running.eq(1), second.eq(0), waiting.eq(0)]
            m.d.sync += [counter.eq(0) for counter in counters]
            first = coming.s, coming.k, coming.to.high, coming.to.low
            for registers in starts:
                m.d.sync += [start.eq(value) for start, value in zip(registers, first)]
        with m.Elif(step):
            m.d.sync += [running.eq(1), second.eq(0), waiting.eq(0)]
        with m.Elif(here):
            m.d.sync += [running.eq(0), second.eq(0), waiting.eq(~self.last)]
        with m.Elif(running):
            m.d.sync += second.eq(1)
        with m.If(step):
            following = [
                (s + loop.s, k + loop.k, *stepped(Pair(*to), loop.target, self.banks))
                for (s, k, *to), loop in zip(starts, now.loops)
            ]
            advance(m, ends, counters, starts, following)
        return m
