"""The loops of a pass: which rows and words belong to a vector, one in a clock or in two."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from golden import check
from golden.core.isa import PASS_LOOPS, Target, VectorInstruction
from golden.core.pass_nest import PassNestConfig
from hdl.core.engine import Nest
from hdl.core.indices import Pair, pair, stepped
from hdl.core.loops import Countdown, chunk_ends, lanes_there
from hdl.delay import registered


class PassNest(Nest):
    """The loops of a pass: rows and words of a vector, one in a clock or in two.

    Parameters
    ----------
    config
        Its widths.

    Members
    -------
    even : In(1)
        The next clock is an even one.
    room : In(1)
        The output queue has room for a chunk.
    valid : Out(1)
        A vector is here; only in the first of two clocks.
    s, k : Out(row)
        Its rows of sums and masks, two clocks later.
    to_high, to_low : Out
        The index of its words, two clocks later.
    counters : Out(iterations of the loops)
        Its iterations, two clocks later.
    loop_ends : Out(1 bit for each loop)
        Loops that are in their last iterations.
    lanes : Out(8)
        Its lanes, less one.
    ends, last : Out(1)
        It is the last one of its chunk; of the pass.

    The others are those of `Nest`.

    Examples
    --------
    >>> nest = PassNest(PassNestConfig(banks=12))
    >>> print(nest.to_high.shape(), nest.to_low.shape())
    unsigned(10) unsigned(4)
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

    def __init__(self, config: PassNestConfig):
        check.instance("config", config, PassNestConfig)
        self.config = config
        self.banks = config.banks
        self.address = config.address_bits
        super().__init__(
            VectorInstruction,
            {
                "even": In(1),
                "room": In(1),
                "valid": Out(1),
                "s": Out(config.s_bits),
                "k": Out(config.k_bits),
                "to_high": Out(config.address_bits),
                "to_low": Out(range(config.banks)),
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

        # Which vector is next: flags alone. The loops are a vector ahead, so that what follows from
        # their flags has a clock of its own.
        loops = Countdown(m, coming, now, "end")
        ends = loops.ends
        choice = Signal(PASS_LOOPS, reset_less=True)  # the loop that takes the step behind it
        reach = Signal(PASS_LOOPS, reset_less=True)  # that loop or one outside of it does
        of_chunk, of_all = chunk_ends(now, ends), Cat(ends).all()

        # One vector after the other. Two clocks behind an instruction's last one the next one may
        # be taken: in the first of them the loops are begun anew. In a vector's last clock `moves`
        # is high, or `asks` for a further chunk, or `leaves`.
        moves, asks, leaves = Signal(), Signal(), Signal()
        idle = Signal(init=1)
        # A vector takes two clocks, and begins in an even one; it goes to the output queue.
        slow, out = Signal(), Signal()
        next_slow = registered(m, coming.target == Target.W, "next_slow")
        next_out = registered(m, coming.target == Target.OUT, "next_out", reset_less=False)
        # Whether the clock is one in which it may begin is known before.
        next_asks = Signal()
        m.d.comb += next_asks.eq(asks)
        m.d.sync += asks.eq(next_asks)
        asks_on_time = registered(
            m, next_asks & (~slow | ~self.even), "asks_on_time", reset_less=False
        )
        next_on_time = registered(m, ~next_slow | ~self.even, "next_on_time")
        with m.If(idle):
            m.d.sync += [slow.eq(coming.target == Target.W), out.eq(coming.target == Target.OUT)]
        queue = out & ~self.room
        next_queue = next_out & ~self.room
        step = Signal()
        m.d.comb += [
            commands.takes.eq(commands.wants & commands.ready & next_on_time & ~next_queue),
            commands.free.eq(idle),
            commands.continues.eq(asks),
            commands.begins.eq(asks_on_time & commands.passes & ~queue),
            commands.full.eq(Mux(asks, queue, next_queue)),
            step.eq(moves | commands.begins),
        ]
        self.hold(m, idle)
        m.d.sync += [
            commands.wants.eq(idle & ~commands.takes),
            self.valid.eq(commands.takes | step),
        ]
        with m.If(commands.takes | step):
            m.d.sync += [moves.eq(~slow & ~of_chunk), leaves.eq(~slow & of_all)]
            m.d.comb += next_asks.eq(~slow & of_chunk & ~of_all)
        with m.Elif(self.valid & slow):
            m.d.sync += [moves.eq(~self.ends), leaves.eq(self.last)]
            m.d.comb += next_asks.eq(self.ends & ~self.last)
        with m.Else():
            m.d.sync += leaves.eq(0)
        with m.If(commands.takes):
            m.d.sync += idle.eq(0)
        with m.Elif(leaves):
            m.d.sync += idle.eq(1)
        with m.If(idle | step):
            m.d.sync += [
                choice.eq(Cat(loops.choice)),
                reach.eq(Cat(Cat(loops.choice[: k + 1]).any() for k in range(PASS_LOOPS))),
                self.loop_ends.eq(Cat(ends)),
                self.last.eq(of_all),
                self.ends.eq(of_chunk),
                self.lanes.eq(lanes_there(now.lanes, ends)),
            ]
        with m.If(idle):
            loops.load()
            with m.If(commands.takes):
                loops.step()
        with m.Elif(step):
            loops.step()

        # Where it is: a clock later the indices take the same step, and have a clock for it.
        took = registered(m, commands.takes, "took", reset_less=False)
        moved = [
            registered(m, step & choice[k], f"moved_{k}", reset_less=False)
            for k in range(PASS_LOOPS)
        ]
        turns = [
            registered(
                m,
                commands.takes | (step & reach[k]),
                f"turns_{k}",
                reset_less=False,
            )
            for k in range(PASS_LOOPS)
        ]
        # The innermost loop's registers are shown, so they begin at 0.
        counters = [Signal(16, name=f"counter_{k}") for k in range(PASS_LOOPS)]
        starts = [
            (
                Signal(self.config.s_bits, name=f"s_{k}", reset_less=kept),
                Signal(self.config.k_bits, name=f"k_{k}", reset_less=kept),
                *pair(self.address, self.banks, f"to_{k}", reset_less=kept),
            )
            for k, kept in enumerate([True] * (PASS_LOOPS - 1) + [False])
        ]
        first = now.s, now.k, now.to.high, now.to.low
        following = [
            (s + loop.s, k + loop.k, *stepped(Pair(*to), loop.target, self.banks))
            for loop, (s, k, *to) in zip(now.loops, starts)
        ]
        for k, registers in enumerate(starts):
            with m.If(turns[k]):
                with m.If(took):
                    m.d.sync += counters[k].eq(0)
                with m.Else():
                    m.d.sync += counters[k].eq(Mux(moved[k], counters[k] + 1, 0))
                # Either it is taken, or one of these loops has moved.
                cases = [(took, first), *zip(moved[: k + 1], following)]
                for number, start in enumerate(registers):
                    chosen = [Mux(case, values[number], 0) for case, values in cases]
                    m.d.sync += start.eq(reduce(or_, chosen))
        m.d.sync += [
            *(
                port.eq(start)
                for port, start in zip((self.s, self.k, self.to_high, self.to_low), starts[-1])
            ),
            *(self.counters[k].eq(counter) for k, counter in enumerate(counters)),
        ]
        return m
