"""One operand of a product: indices to addresses at the banks of a store, and words back to lanes.

A lane's address takes one adder: how many addresses it is ahead of lane 0 is known before, in a
table, and a carry says that the bank's number wraps around. Lanes meet banks by a rotation, of
addresses one way and of words back. So no lane has a multiplexer of all banks, and any index is
allowed: along a row, down a column, unaligned.
"""

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden import check
from golden.core.isa import LANE_LOOPS
from golden.core.operands import LANE_BITS, OperandStreamConfig
from hdl.core.indices import Pair, lane_addresses, mask, rotated
from hdl.delay import delay_line, registered

#: Clocks from an operand's index to its addresses at the memory, to its data, and to its lanes.
TO_MEMORY, TO_DATA, TO_LANES = 3, 5, 7


def lane_loops(config: OperandStreamConfig) -> data.ArrayLayout:
    """Return the layout of loops over lanes: iterations, less one, and stride div banks."""
    loop = data.StructLayout({"count": LANE_BITS, "high": config.address_bits})
    return data.ArrayLayout(loop, LANE_LOOPS)


class LaneTable(wiring.Component):
    """Addresses by which each lane is ahead of the first one, found lane by lane.

    Parameters
    ----------
    config
        Numbers of lanes and banks, and the width of an address.

    Members
    -------
    loops : In(3 x {count, high})
        Loops over lanes, the last one innermost: iterations, less one, and stride div banks. They
        stay as they are from `start` on, for as many clocks as there are lanes.
    start : In(1)
        The addresses are found by these loops, one lane per clock from the next clock on.
    takes : In(1)
        Those that are found are in use from the next clock on.
    highs : Out(lanes addresses)
        The addresses in use.
    """

    loops: data.View
    start: Signal
    takes: Signal
    highs: data.View

    def __init__(self, config: OperandStreamConfig):
        self.config = config
        super().__init__(
            {
                "loops": In(lane_loops(config)),
                "start": In(1),
                "takes": In(1),
                "highs": Out(data.ArrayLayout(config.address_bits, config.lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes, address = self.config.lanes, self.config.address_bits
        # The last loop is the innermost: its address is the lane's own, those of the others where
        # it began. Banks need no arithmetic, as the offset of lane j is j modulo their number.
        # Counters of what is left after this lane, with flags for none.
        starts = [Signal(address, name=f"start_{k}", reset_less=True) for k in range(LANE_LOOPS)]
        left = [Signal(LANE_BITS, name=f"left_{k}", reset_less=True) for k in range(LANE_LOOPS)]
        ends = [Signal(name=f"end_{k}", reset_less=True) for k in range(LANE_LOOPS)]
        choice = [Cat(~end, *ends[k + 1 :]).all() for k, end in enumerate(ends)]
        here = [Signal(name=f"here_{number}", reset_less=True) for number in range(lanes)]
        found = Signal(data.ArrayLayout(address, lanes), reset_less=True)
        highs = Signal(data.ArrayLayout(address, lanes), reset_less=True)
        none = [registered(m, loop.count == 0, f"none_{k}") for k, loop in enumerate(self.loops)]
        m.d.sync += Cat(here).eq(Mux(self.start, 1, Cat(here) << 1))
        with m.If(self.start):
            for k, (start, loop) in enumerate(zip(starts, self.loops)):
                m.d.sync += [start.eq(0), left[k].eq(loop.count), ends[k].eq(loop.count == 0)]
        with m.Else():
            for number in range(lanes):
                with m.If(here[number]):
                    m.d.sync += found[number].eq(starts[-1])
            for k, (start, loop) in enumerate(zip(starts, self.loops)):
                following = start + loop.high
                with m.If(choice[k]):
                    m.d.sync += [left[k].eq(left[k] - 1), ends[k].eq(left[k] == 1)]
                    for j in range(k + 1, LANE_LOOPS):
                        m.d.sync += [left[j].eq(self.loops[j].count), ends[j].eq(none[j])]
                    for inner in starts[k:]:
                        m.d.sync += inner.eq(following)
        with m.If(self.takes):
            m.d.sync += highs.eq(found)
        m.d.comb += self.highs.eq(highs)
        return m


class OperandStream(wiring.Component):
    """Words of an operand's lanes, from the index of the first lane.

    A reset changes nothing.

    Parameters
    ----------
    config
        Its sizes, and those of the stores.

    Members
    -------
    loops : In(3 x {count, high})
        Loops over lanes, the last one innermost: iterations, less one, and stride div banks; the
        remainder is the number of lanes in an iteration. They stay as they are from `start` on, for
        as many clocks as there are lanes.
    start : In(1)
        Offsets are found by these loops from now on.
    takes : In(1)
        What is found holds for the next clock's index. It is complete `lanes` + 1 clocks after
        `start`.
    source : In(store)
        Store of the words; only with several stores.
    high, low : In
        Index of the first lane: address and bank.
    there : In(8)
        Lanes that are there, less one.
    gap : In(1)
        No lane is there.
    address : Out(banks addresses)
        Addresses at the banks, three clocks after the index.
    reads : Out(stores bits)
        The store is the source of these addresses.
    data : In(stores x banks words)
        The banks' words, five clocks after the index, store by store.
    words : Out(lanes words)
        Words of the lanes, seven clocks after the index; 0 for a lane that is not there.

    Examples
    --------
    >>> stream = OperandStream(OperandStreamConfig(banks=12, lanes=8))
    >>> print(stream.address.shape(), stream.words.shape())
    ArrayLayout(10, 12) ArrayLayout(8, 8)
    """

    loops: data.View
    start: Signal
    takes: Signal
    source: Signal
    high: Signal
    low: Signal
    there: Signal
    gap: Signal
    address: data.View
    reads: data.View
    words: data.View
    data: data.View

    def __init__(self, config: OperandStreamConfig):
        check.instance("config", config, OperandStreamConfig)
        self.config = config
        banks, stores = config.banks, config.stores
        super().__init__(
            {
                "loops": In(lane_loops(config)),
                "start": In(1),
                "takes": In(1),
                "source": In(config.store_bits),
                "high": In(config.address_bits),
                "low": In(config.bank_bits),
                "there": In(LANE_BITS),
                "gap": In(1),
                "address": Out(data.ArrayLayout(config.address_bits, banks)),
                "reads": Out(data.ArrayLayout(1, stores)),
                "data": In(data.ArrayLayout(config.width, stores * banks)),
                "words": Out(data.ArrayLayout(config.width, config.lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        banks, lanes = config.banks, config.lanes
        m.submodules.lane_table = table = LaneTable(config)
        m.d.comb += [
            Value.cast(table.loops).eq(Value.cast(self.loops)),
            table.start.eq(self.start),
            table.takes.eq(self.takes),
        ]

        # Addresses: lanes, then banks.
        index = Pair(self.high, self.low)
        found, bank = lane_addresses(m, index, list(table.highs), lanes, banks, "lane")
        found += [C(0, config.address_bits)] * (banks - lanes)
        addresses, bank = rotated(m, found, bank, "address")
        m.d.comb += [port.eq(address) for port, address in zip(self.address, addresses)]
        source = delay_line(m, self.source, TO_DATA, "source")
        m.d.comb += [reads.eq(source[TO_MEMORY] == store) for store, reads in enumerate(self.reads)]

        # Words: back to lanes. Lanes that are not there are 0.
        words = []
        for number in range(banks):
            word = Signal(config.width, name=f"word_{number}")
            for store in range(config.stores):
                with m.If(source[TO_DATA] == store):
                    m.d.comb += word.eq(self.data[store * banks + number])
            words.append(word)
        bank = registered(m, bank, "bank", TO_DATA - TO_MEMORY)
        back, _ = rotated(m, words, bank, "back", back=True)
        there = Mux(self.gap, 0, mask(self.there, lanes))
        shown = delay_line(m, there, TO_LANES, "there")[TO_LANES]
        m.d.comb += [port.eq(Mux(shown[k], back[k], 0)) for k, port in enumerate(self.words)]
        return m
