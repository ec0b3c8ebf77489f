"""A bank of LFSRs that several units draw from, and whose states can be set and read.

Each lane has the register of `hdl.lfsr`. One port leads to all of them, through a pipeline stage of
its own: at the first clock the number of a lane becomes one bit for each lane, and a state to be
loaded is compared with 0; at the second the lane takes that state, or its own state goes to the
output. So neither is in the path of a leap, and the AND-OR of all states is alone between two
registers.

There is no copy of the states inside. Lanes are saved by reading them, one per clock, and restored
by loading them, one per clock; a load at the same time as a read exchanges the two states.
"""

from functools import reduce
from operator import or_

from amaranth.hdl import C, Cat, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Member, Out

from golden import check
from golden.bank import BankConfig
from hdl.lfsr import states


class Bank(wiring.Component):
    """Random bits from lanes that leap in groups.

    Parameters
    ----------
    config
        Generator and groups of lanes.

    Members
    -------
    leap : In(groups bits)
        The lanes of the group take their leap at this clock edge: the words that are at the port
        have been used.
    lane : In(number of a lane, from 0 in the bank), if there are several
        The lane to set or to read. Beyond the last lane, nothing is set and 0 is read.
    load : In(1)
        The lane gets the state `load_state`: its word is at the port 2 clocks later. A state of 0
        changes nothing, as an LFSR could not leave it. A leap at the clock between is lost: the
        load wins.
    load_state : In(words of at most 32 bits)
        The state to be loaded, the low word first.
    word : Out(lanes words of `draw` bits)
        The low bits of the lanes' states; always valid.
    state : Out(words of at most 32 bits)
        The state of the lane that was addressed 2 clocks ago, as it was 1 clock ago: the last
        state before a load that came with that address.

    Examples
    --------
    >>> bank = Bank(BankConfig(groups=(1, 1, 4)))
    >>> print(bank.leap.shape(), bank.word.shape(), bank.state.shape())
    ArrayLayout(1, 3) ArrayLayout(16, 6) ArrayLayout(32, 1)
    """

    leap: data.View
    lane: Signal
    load: Signal
    load_state: data.View
    word: data.View
    state: data.View

    def __init__(self, config: BankConfig):
        check.instance("config", config, BankConfig)
        self.config = config
        words = data.ArrayLayout(config.state_width, config.state_words)
        lane: dict[str, Member] = {"lane": In(range(config.lanes))} if config.lanes > 1 else {}
        super().__init__(
            {
                "leap": In(data.ArrayLayout(1, len(config.groups))),
                **lane,
                "load": In(1),
                "load_state": In(words),
                "word": Out(data.ArrayLayout(config.generator.draw, config.lanes)),
                "state": Out(words),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        generator = config.generator

        # The lane that is addressed, a bit for each, and what is to be loaded. Lane 0 is addressed
        # in reset.
        addressed: Value = C(1, 1)
        if config.lanes > 1:
            addressed = Signal(config.lanes, init=1)
            m.d.sync += addressed.eq(Cat(self.lane == k for k in range(config.lanes)))
        given = Signal()
        loaded = Signal(generator.bits, reset_less=True)
        m.d.sync += [
            given.eq(self.load & Value.cast(self.load_state).any()),
            loaded.eq(Value.cast(self.load_state)),
        ]

        leaps = [self.leap[group] for group, size in enumerate(config.groups) for _ in range(size)]
        lanes = states(m, generator, config.first_lane, leaps)
        shown = []
        for number, state in enumerate(lanes):
            with m.If(given & addressed[number]):
                m.d.sync += state.eq(loaded)
            m.d.comb += self.word[number].eq(state[: generator.draw])
            shown.append(state & addressed[number].replicate(generator.bits))
        m.d.sync += Value.cast(self.state).eq(reduce(or_, shown))
        return m
