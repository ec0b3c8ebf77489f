"""What the units' tests share: comparisons on random stimulus, a testbench on streams, strategies.

`Bench` drives a unit through its streams alone, as a neighbour in a design would, and knows nothing
of ports, traces and twins; it is the second opinion on everything that the twins say of time.
"""

from dataclasses import dataclass, field
from itertools import chain, repeat

import numpy as np
from amaranth.sim import Simulator
from hypothesis import strategies as st

from golden.fixed import Conversion, Fixed, Rounding
from golden.lfsr import MASKS, Generator, step
from gradloom.compare import compare
from gradloom.ports import flatten
from gradloom.stimulus import random_inputs

SEEDS = st.integers(0, 2**32 - 1)


def agrees(component, twin, cycles=400, seed=0, *, resets=0.01, simulator="pysim", **given):
    """Component and twin agree on random stimulus; `given` are ports that carry these values."""
    inputs = random_inputs(flatten(component), cycles, seed)
    inputs["rst"] = (np.random.default_rng(seed + 1).random(cycles) < resets).astype(np.int64)
    comparison = compare(component, {**inputs, **given}, twin, simulator)
    assert comparison, comparison.report()
    return comparison


def codes(width, shape, seed):
    """Random signed codes of `width` bits; the first is the lowest code there is."""
    low = -(1 << (width - 1))
    values = np.random.default_rng(seed).integers(low, -low, shape)
    values.flat[0] = low
    return values


class OneByOne:
    """A lane that takes one single step after the other, from the seed on, lane by lane."""

    def __init__(self, generator, lane=0):
        self.generator = generator
        self.state = generator.seed
        # Counted in leaps of one step where that is quick, and jumped otherwise.
        steps = lane << (generator.bits - 8)
        if steps <= 1 << 18:
            self.walk(steps)
        else:
            self.state = generator.advance(self.state, steps)

    def walk(self, steps):
        for _ in range(steps):
            self.state = step(self.state, self.generator.taps)

    def word(self):
        """The next draw of all `draw` bits."""
        word = self.state & ((1 << self.generator.draw) - 1)
        self.walk(self.generator.leap)
        return word

    def addend(self, dropped):
        """The next draw, as a random number of `dropped` bits."""
        word, draw = self.word(), self.generator.draw
        if dropped <= 0:
            return 0
        if dropped <= draw:
            return word % (1 << dropped)
        return (2 * word + 1) << (dropped - draw - 1)


@dataclass
class Bench:
    """Runs a unit of two streams under Amaranth's simulator.

    Parameters
    ----------
    unit
        Component with streams `i` and `o`.
    gaps
        Idle clocks before each operand, repeated as often as needed.
    stalls
        Clocks for which the consumer's ready is low after each transfer, and before the first.
    ports
        Values of plain input ports for each operand: name to list.

    Attributes
    ----------
    accepted, left
        Clock of each operand's and each result's transfer, from 0.
    """

    unit: object
    gaps: list = field(default_factory=lambda: [0])
    stalls: list = field(default_factory=lambda: [0])
    ports: dict = field(default_factory=dict)
    accepted: list = field(init=False)
    left: list = field(init=False)

    def run(self, operands, results, clocks=20000):
        """Send all `operands` and return the first `results` results, as dictionaries of fields."""
        self.accepted, self.left, payloads = [], [], []
        unit = self.unit
        fields = list(unit.o.payload.shape().members)

        async def produce(ctx):
            clock = 0
            for number, (operand, gap) in enumerate(
                zip(operands, chain.from_iterable(repeat(self.gaps)))
            ):
                for _ in range(gap):
                    await ctx.tick()
                    clock += 1
                ctx.set(unit.i.payload, operand)
                for name, values in self.ports.items():
                    ctx.set(getattr(unit, name), values[number])
                ctx.set(unit.i.valid, 1)
                ready = 0
                while not ready:
                    _, _, ready = await ctx.tick().sample(unit.i.ready)
                    clock += 1
                self.accepted.append(clock - 1)
                ctx.set(unit.i.valid, 0)

        async def consume(ctx):
            clock, stalls = 0, chain.from_iterable(repeat(self.stalls))
            while len(payloads) < results:
                for _ in range(next(stalls)):
                    await ctx.tick()
                    clock += 1
                ctx.set(unit.o.ready, 1)
                valid = 0
                while not valid:
                    _, _, valid, payload = await ctx.tick().sample(unit.o.valid, unit.o.payload)
                    clock += 1
                    if clock > clocks:
                        raise AssertionError(f"{len(payloads)} results in {clocks} clocks")
                self.left.append(clock - 1)
                payloads.append({name: _plain(payload[name]) for name in fields})
                ctx.set(unit.o.ready, 0)

        simulator = Simulator(unit)
        simulator.add_clock(1e-6)
        simulator.add_testbench(produce)
        simulator.add_testbench(consume)
        simulator.run()
        return payloads


def _plain(value):
    """A number, or a list where there are lanes."""
    return value if isinstance(value, int) else [_plain(part) for part in value]


@st.composite
def formats(draw, widest=24):
    width = draw(st.integers(2, widest))
    il = draw(st.integers(1, width))
    return Fixed(il, width - il)


@st.composite
def generators(draw, lanes=1):
    """Generators that can serve `lanes` lanes: any width, mask, leap, draw and seed."""
    apart = [
        (bits, leap)
        for bits in MASKS
        for leap in (1, 2, 4, 8, 16, 32, 64)
        if lanes == 1 or 1 << (bits - 8) > leap * max(64, lanes)
    ]
    bits, leap = draw(st.sampled_from(apart))
    return Generator(
        bits=bits,
        mask=draw(st.sampled_from([None, *MASKS[bits]])),
        leap=leap,
        draw=draw(st.integers(1, min(leap, bits - 1, 32))),
        seed=draw(st.integers(1, (1 << bits) - 1)),
    )


@st.composite
def conversions(draw, width, roundings=tuple(Rounding), most=4):
    """One to `most` conversions that a rounder of codes of `width` bits can offer."""
    chosen = []
    for _ in range(draw(st.integers(1, most))):
        target = draw(formats())
        fraction = draw(st.integers(0, min(62, target.fl + width)))
        rounding = draw(st.sampled_from(roundings))
        chosen.append(Conversion(fraction=fraction, target=target, rounding=rounding))
    return tuple(chosen)
