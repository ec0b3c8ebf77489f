"""Leap-forward Galois LFSRs side by side: a draw of every lane a clock.

A state is a vector over GF(2) and a step a linear map of it, kept here as the list of what each
state bit becomes. A leap is the step squared log2(leap) times and costs a few XORs a bit; a lane's
seed is the shared seed after a power of the same map.
"""

from collections.abc import Sequence
from functools import reduce
from operator import xor

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden import check
from golden.lfsr import Generator, LfsrConfig


def apply(columns: list[int], state: int) -> int:
    """The linear map `columns` (image of each state bit) of `state`."""
    return reduce(xor, (column for bit, column in enumerate(columns) if state >> bit & 1), 0)


def squared(columns: list[int], times: int) -> list[int]:
    """The map that `times` squarings make of `columns`."""
    for _ in range(times):
        columns = [apply(columns, column) for column in columns]
    return columns


def states(
    m: Module, generator: Generator, first_lane: int, leaps: Sequence[Value]
) -> list[Signal]:
    """State registers of lanes side by side.

    Parameters
    ----------
    m
        The module that gets them.
    generator
        The generator all lanes share.
    first_lane
        Number of the first lane.
    leaps
        For each lane, whether it leaps at this clock.

    Returns
    -------
    The lanes' states, `generator.bits` bits each. A later assignment replaces a leap.
    """
    step = [generator.taps, *(1 << bit for bit in range(generator.bits - 1))]
    leap = squared(step, generator.leap.bit_length() - 1)
    lane_jump = squared(step, generator.lane_steps.bit_length() - 1)
    seed = generator.seed
    for _ in range(first_lane):
        seed = apply(lane_jump, seed)
    found = []
    for lane, leaps_now in enumerate(leaps, first_lane):
        state = Signal(generator.bits, init=seed, name=f"state_{lane}")
        after = Cat(
            reduce(xor, (state[k] for k, column in enumerate(leap) if column >> bit & 1))
            for bit in range(generator.bits)
        )
        with m.If(leaps_now):
            m.d.sync += state.eq(after)
        found.append(state)
        seed = apply(lane_jump, seed)
    return found


def _lanes(m: Module, config: LfsrConfig, draws: Value, words: data.View) -> None:
    """Registers of the lanes, which all leap where `draws` is 1, and their `words`."""
    leaps = [draws] * config.lanes
    for word, state in zip(words, states(m, config.generator, config.first_lane, leaps)):
        m.d.comb += word.eq(state[: config.generator.draw])


def _words(config: LfsrConfig) -> data.ArrayLayout:
    """A word of every lane."""
    return data.ArrayLayout(config.generator.draw, config.lanes)


class Lfsr(wiring.Component):
    """Random bits from `lanes` generators that leap together.

    Parameters
    ----------
    config
        Generator and lanes.

    Members
    -------
    o : Out(stream of {data: lanes words of `draw` bits})
        Always valid. A transfer is a draw: at the next clock every lane shows the low bits
        of its next state. The first word after reset is that of the lane's seed.

    Examples
    --------
    >>> from golden import LfsrConfig
    >>> print(Lfsr(LfsrConfig(lanes=4)).o.payload.shape())
    StructLayout({'data': ArrayLayout(16, 4)})
    """

    o: stream.Interface

    def __init__(self, config: LfsrConfig):
        check.instance("config", config, LfsrConfig)
        self.config = config
        super().__init__({"o": Out(stream.Signature(data.StructLayout({"data": _words(config)})))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.o.valid.eq(1)
        _lanes(m, self.config, self.o.ready, self.o.payload.data)
        return m


class Lanes(wiring.Component):
    """The same lanes inside another unit.

    Its ports are no stream `o`: in a waveform they stand in one scope with the unit's own.

    Parameters
    ----------
    config
        Generator and lanes.

    Members
    -------
    draw : In(1)
        All lanes leap.
    word : Out(lanes words of `draw` bits)
        The low bits of the lanes' states.
    """

    draw: Signal
    word: data.View

    def __init__(self, config: LfsrConfig):
        self.config = config
        super().__init__({"draw": In(1), "word": Out(_words(config))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        _lanes(m, self.config, self.draw, self.word)
        return m


def words(m: Module, name: str, config: LfsrConfig, draws: Value) -> data.View:
    """A word of random bits for every lane, from a submodule `name`; all leap where `draws` is
    1.
    """
    m.submodules[name] = lanes = Lanes(config)
    m.d.comb += lanes.draw.eq(draws)
    return lanes.word
