"""A part with a reset of its own is reset by nothing else, elaborated as often as it may be."""

from amaranth.hdl import Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from hdl.delay import registered
from hdl.reset import OwnReset


class Counter(wiring.Component):
    """Counts from 5 on in a port, from 0 on in a register without a reset, and fills a FIFO."""

    count: Out(8, init=5)
    free: Out(8)
    filled: Out(3)

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = SyncFIFO(width=1, depth=7)
        free = Signal(8, init=3, reset_less=True)
        m.d.sync += [self.count.eq(self.count + 1), free.eq(free + 1)]
        m.d.comb += [queue.w_en.eq(1), self.free.eq(free), self.filled.eq(queue.level)]
        return m


class Whole(wiring.Component):
    """A counter that is reset a clock after all the rest, or when it is cleared."""

    clear: In(1)
    rest: Out(8)

    def __init__(self):
        super().__init__()
        self.counter = Counter()

    def elaborate(self, platform):
        m = Module()
        own = registered(m, self.clear | ResetSignal(), "own")
        m.submodules.counter = OwnReset(own)(self.counter)
        m.d.sync += self.rest.eq(self.rest + 1)
        return m


def played(whole, clears, resets, clocks=7):
    """Return `rest` and the counter's outputs before each edge."""
    m = Module()
    m.submodules.whole = whole
    rst = Signal()
    m.d.comb += ResetSignal().eq(rst)
    seen = []

    async def bench(ctx):
        counter = whole.counter
        for clock in range(clocks):
            ctx.set(whole.clear, clock in clears)
            ctx.set(rst, clock in resets)
            ports = (whole.rest, counter.count, counter.free, counter.filled)
            seen.append(tuple(ctx.get(port) for port in ports))
            await ctx.tick(domain="sync")

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return [list(port) for port in zip(*seen)]


def test_a_part_has_its_own_reset_alone():
    rest, count, free, filled = played(Whole(), clears=(), resets=(2,))
    assert rest == [0, 1, 2, 0, 1, 2, 3]
    assert count == [5, 6, 7, 8, 5, 6, 7]
    assert filled == [0, 1, 2, 3, 0, 1, 2]
    assert free == [3, 4, 5, 6, 7, 8, 9]


def test_a_part_is_cleared_in_the_same_way():
    rest, count, free, filled = played(Whole(), clears=(2,), resets=())
    assert rest == [0, 1, 2, 3, 4, 5, 6]
    assert count == [5, 6, 7, 8, 5, 6, 7]
    assert filled == [0, 1, 2, 3, 0, 1, 2]
    assert free == [3, 4, 5, 6, 7, 8, 9]


def test_a_part_can_be_elaborated_again():
    whole = Whole()
    first = played(whole, clears=(4,), resets=(1,))
    assert played(whole, clears=(4,), resets=(1,)) == first
