"""The loops of a pass: which rows and words belong to a vector, one in a clock or in two."""

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.core.isa import PASS_LOOPS, Target, VectorInstruction
from hdl.core.fields import held, layout
from hdl.core.indices import Pair, stepped


class PassNest(wiring.Component):
    """The loops of a pass: rows and words of a vector, one in a clock or in two.

    Members
    -------
    next, ready, takes, passes, begins : as of `hdl.core.nest.ProductNest`
    even : In(1)
        The next clock is an even one.
    room : In(1)
        The output queue has room for a chunk.
    now : Out(instruction)
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

    next: data.View
    ready: Signal
    takes: Signal
    passes: Signal
    begins: Signal
    even: Signal
    room: Signal
    now: data.View
    valid: Signal
    s: Signal
    k: Signal
    to_high: Signal
    to_low: Signal
    counters: data.View
    lanes: Signal
    ends: Signal
    last: Signal
    busy: Signal

    def __init__(self, banks: int, address: int, s_row: int, k_row: int):
        self.banks = banks
        self.address = address
        self.rows = s_row, k_row
        self.layout = layout(VectorInstruction)
        super().__init__(
            {
                "next": In(self.layout),
                "ready": In(1),
                "takes": Out(1),
                "passes": In(1),
                "begins": Out(1),
                "even": In(1),
                "room": In(1),
                "now": Out(self.layout),
                "valid": Out(1),
                "s": Out(s_row),
                "k": Out(k_row),
                "to_high": Out(address),
                "to_low": Out(range(banks)),
                "counters": Out(data.ArrayLayout(16, PASS_LOOPS)),
                "lanes": Out(8),
                "ends": Out(1),
                "last": Out(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        now, coming = self.now, self.next
        held(m, coming, self.takes, now)
        bits = len(Signal(range(self.banks)))
        s_row, k_row = self.rows
        counters = [self.counters[k] for k in range(PASS_LOOPS)]
        starts = [
            (
                Signal(s_row, name=f"s_{k}", reset_less=True),
                Signal(k_row, name=f"k_{k}", reset_less=True),
                Pair(
                    Signal(self.address, name=f"to_{k}_high", reset_less=True),
                    Signal(range(self.banks), name=f"to_{k}_low", reset_less=True),
                ),
            )
            for k in range(PASS_LOOPS)
        ]
        ends: list[Value] = []
        for k in range(PASS_LOOPS):
            count = now.loops[k].count
            if k >= 1:
                short = (now.levels == k) & Cat(C(1), *ends[1:k]).all()
                count = Mux(short, now.last_count, count)
            end = Signal(name=f"end_{k}")
            m.d.comb += end.eq(counters[k] == count)
            ends.append(end)
        s, k_now, to = starts[-1]
        m.d.comb += [
            self.s.eq(s),
            self.k.eq(k_now),
            self.to_high.eq(to.high),
            self.to_low.eq(to.low),
            self.last.eq(Cat(ends).all()),
            self.ends.eq(Cat((now.levels > k) | end for k, end in enumerate(ends)).all()),
            self.lanes.eq(
                Mux(
                    Cat(~now.lanes.loops[k] | end for k, end in enumerate(ends)).all()
                    & now.lanes.loops.any(),
                    now.lanes.lanes,
                    255,
                )
            ),
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
            self.takes.eq(free & ~waiting & self.ready & (~next_slow | self.even) & ~next_queue),
            self.begins.eq(
                (waiting | (here & self.ends & ~self.last))
                & self.passes
                & (~slow | self.even)
                & ~queue
            ),
            step.eq((here & ~self.ends) | self.begins),
            self.busy.eq(running | waiting),
        ]
        with m.If(self.takes):
            m.d.sync += [running.eq(1), second.eq(0), waiting.eq(0)]
            m.d.sync += [counter.eq(0) for counter in counters]
            for s_start, k_start, to_start in starts:
                m.d.sync += [
                    s_start.eq(coming.s),
                    k_start.eq(coming.k),
                    to_start.high.eq(coming.to.high),
                    to_start.low.eq(coming.to.low[:bits]),
                ]
        with m.Elif(step):
            m.d.sync += [running.eq(1), second.eq(0), waiting.eq(0)]
        with m.Elif(here):
            m.d.sync += [running.eq(0), second.eq(0), waiting.eq(~self.last)]
        with m.Elif(running):
            m.d.sync += second.eq(1)
        with m.If(step):
            for k in range(PASS_LOOPS):
                chosen = Cat(~ends[k], *ends[k + 1 :]).all()
                loop = now.loops[k]
                s_start, k_start, to_start = starts[k]
                made = stepped(to_start, Pair(loop.target.high, loop.target.low[:bits]), self.banks)
                with m.If(chosen):
                    m.d.sync += counters[k].eq(counters[k] + 1)
                    for inner in range(k, PASS_LOOPS):
                        s_inner, k_inner, to_inner = starts[inner]
                        m.d.sync += [
                            s_inner.eq(s_start + loop.s),
                            k_inner.eq(k_start + loop.k),
                            to_inner.high.eq(made.high),
                            to_inner.low.eq(made.low),
                        ]
                        if inner > k:
                            m.d.sync += counters[inner].eq(0)
        return m
