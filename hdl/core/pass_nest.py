"""The loops of a pass: which rows and words belong to a vector, one in a clock or in two."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from golden.core.isa import PASS_LOOPS, Target, VectorInstruction
from hdl.core.engine import Nest
from hdl.core.indices import Pair, pair, stepped
from hdl.core.loops import Countdown, chunk_ends, lanes_there
from hdl.delay import registered

#: Clocks from a vector to its indices.
INDEX_DELAY = 2


class PassNest(Nest):
    """The loops of a pass: rows and words of a vector, one in a clock or in two.

    Parameters
    ----------
    banks
        Banks of the stores.
    address
        Bits of an address.
    s_row, k_row
        Bits of a row of sums, and of one of masks.

    Members
    -------
    even : In(1)
        The next clock is an even one.
    room : In(1)
        The output queue has room for a chunk.
    valid : Out(1)
        A vector is here; only in the first of two clocks.
    s, k, to_high, to_low : Out
        Its rows of sums and masks, and the index of its words, `INDEX_DELAY` clocks later.
    counters : Out(iterations of the loops)
        Its iterations, `INDEX_DELAY` clocks later.
    loop_ends : Out(1 bit for each loop)
        Loops that are in their last iterations.
    lanes : Out
        Its lanes, less one.
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
    loop_ends: Signal
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
                "loop_ends": Out(PASS_LOOPS),
                "lanes": Out(8),
                "ends": Out(1),
                "last": Out(1),
            },
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        now, commands = self.now, self.commands
        coming = commands.next
        s_row, k_row = self.rows

        # Which vector is next: flags alone.
        loops = Countdown(m, PASS_LOOPS, "end")
        ends = loops.ends
        m.d.comb += [
            self.loop_ends.eq(Cat(ends)),
            self.last.eq(Cat(ends).all()),
            self.ends.eq(chunk_ends(now, ends)),
            self.lanes.eq(lanes_there(now.lanes, ends)),
        ]
        running, second = Signal(), Signal()
        here = Signal()  # this clock is the last one of the vector's
        # A vector takes two clocks; it goes to the output queue.
        slow, out = Signal(), Signal()
        next_slow = registered(m, coming.target == Target.W, "next_slow")
        next_out = registered(m, coming.target == Target.OUT, "next_out")
        with m.If(commands.wants):
            m.d.sync += [slow.eq(coming.target == Target.W), out.eq(coming.target == Target.OUT)]
        m.d.comb += [
            self.valid.eq(running & ~second),
            here.eq(running & (second | ~slow)),
        ]
        queue = out & ~self.room
        next_queue = next_out & ~self.room
        free = commands.wants
        step = Signal()
        waiting = Signal()  # for a further chunk
        m.d.comb += [
            commands.wants.eq((~running & ~waiting) | (here & self.last)),
            commands.takes.eq(
                commands.wants & commands.ready & (~next_slow | self.even) & ~next_queue
            ),
            commands.continues.eq(waiting | (here & self.ends & ~self.last)),
            commands.begins.eq(commands.continues & commands.passes & (~slow | self.even) & ~queue),
            commands.full.eq(Mux(commands.continues, queue, next_queue)),
            step.eq((here & ~self.ends) | commands.begins),
        ]
        self.hold(m, free)
        loops.load(coming, commands.takes, free)
        with m.If(commands.takes):
            m.d.sync += [running.eq(1), second.eq(0), waiting.eq(0)]
        with m.Elif(step):
            m.d.sync += [running.eq(1), second.eq(0), waiting.eq(0)]
        with m.Elif(here):
            m.d.sync += [running.eq(0), second.eq(0), waiting.eq(~self.last)]
        with m.Elif(running):
            m.d.sync += second.eq(1)
        with m.If(step):
            loops.step()

        # Where it is: a clock later the indices take the same step, and have a clock for it.
        took = registered(m, commands.takes, "took", reset_less=False)
        moved = [
            registered(m, step & chosen, f"moved_{k}", reset_less=False)
            for k, chosen in enumerate(loops.choice)
        ]
        counters = [Signal(16, name=f"counter_{k}", reset_less=True) for k in range(PASS_LOOPS)]
        starts = [
            (
                Signal(s_row, name=f"s_{k}", reset_less=True),
                Signal(k_row, name=f"k_{k}", reset_less=True),
                *pair(self.address, self.banks, f"to_{k}"),
            )
            for k in range(PASS_LOOPS)
        ]
        with m.If(took):
            m.d.sync += [counter.eq(0) for counter in counters]
            first = now.s, now.k, now.to.high, now.to.low
            for registers in starts:
                m.d.sync += [start.eq(value) for start, value in zip(registers, first)]
        for k, (loop, (s, k_of, *to)) in enumerate(zip(now.loops, starts)):
            following = s + loop.s, k_of + loop.k, *stepped(Pair(*to), loop.target, self.banks)
            with m.If(moved[k]):
                m.d.sync += counters[k].eq(counters[k] + 1)
                m.d.sync += [counter.eq(0) for counter in counters[k + 1 :]]
                for registers in starts[k:]:
                    m.d.sync += [start.eq(value) for start, value in zip(registers, following)]
        m.d.sync += [
            *(
                port.eq(start)
                for port, start in zip((self.s, self.k, self.to_high, self.to_low), starts[-1])
            ),
            *(self.counters[k].eq(counter) for k, counter in enumerate(counters)),
        ]
        return m
