"""Exponentials from a table of the fractions of a power of two: one per clock, in eight stages.

exp(-x) is 2^-t, with t = x log2 e. The integer part of t is a shift, and the top ten bits of its
fraction are an index into a table. The factor RNE(2^16 log2 e) is a constant, and three sums of
multiples of x before the last one are enough for it: a DSP block would save about as many look-up
tables as x has bits times four, and these blocks are the array's.
"""

from math import isqrt
from typing import Any

from amaranth.hdl import C, Module, Mux, Signal, unsigned
from amaranth.lib.memory import Memory

from golden.softmax import SoftmaxConfig
from golden.softmax.config import EXPONENTIAL_LATENCY, NEAR_BITS
from hdl.delay import registered
from hdl.pipeline import Pipeline

#: log2 of the entries of the table.
INDEX = 10
#: Fraction bits of an exponential.
FRACTION = 16
#: log2 e with 14 fraction bits is 23637 / 2^14: 23 * 2^10 + 85, as 94548 is four times of it.
SCALE = 14
#: Fraction bits with which the table is computed.
_PRECISE = 256


def table() -> list[int]:
    """Return the entries: 2^16 * 2^(-j / 1024), rounded to nearest."""
    root = 2 << _PRECISE
    for _ in range(INDEX):
        root = isqrt(root << _PRECISE)
    # Powers of the root from 1 up to 2 are the last entry's successor, the last entry and so on.
    power, entries = 1 << _PRECISE, []
    for _ in range(1 << INDEX):
        power = power * root >> _PRECISE
        kept = _PRECISE - (FRACTION - 1)
        entries.append((power + (1 << (kept - 1))) >> kept)
    return entries[::-1]


class ExponentialPipeline(Pipeline):
    """exp(-x), with 16 fraction bits.

    Parameters
    ----------
    config
        The configuration of the unit: x has the width and the fraction bits of its outputs.

    Members
    -------
    operand : In(stream of {distance: `outputs.width` bits})
        x, at least 0.
    result : Out(stream of {exponential: 17 bits})
        exp(-x), eight clocks later, from 0 to 2^16; not specified while `valid` is low.
    """

    def __init__(self, config: SoftmaxConfig):
        super().__init__(
            config,
            operand={"distance": unsigned(config.outputs.width)},
            result={"exponential": unsigned(FRACTION + 1)},
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        fraction = self.config.outputs.fl
        valid = registered(m, self.operand.valid, "valid", EXPONENTIAL_LATENCY, reset_less=False)
        m.d.comb += self.result.valid.eq(valid)

        # From a distance of 16 on, the exponential is 0. Below, so many bits are enough.
        distance = self.operand.payload.distance
        near = distance[: fraction + NEAR_BITS]
        far = registered(m, distance[fraction + NEAR_BITS :].any(), "far", EXPONENTIAL_LATENCY - 1)

        # t in four sums: 7x, 23x, 85x, and (23 * 2^10 + 85) x.
        bits = len(near)
        seven = registered(m, ((near << 3) - near)[: bits + 3], "seven")
        once = registered(m, near, "once")
        many = registered(m, ((once << 4) + seven)[: bits + 5], "twenty_three")
        seven = registered(m, seven, "seven_taken")
        rest = registered(m, ((many << 2) - seven)[: bits + 7], "eighty_five")
        many = registered(m, many, "twenty_three_taken")
        power = registered(m, ((many << 10) + rest)[: bits + SCALE + 1], "power")
        whole = power[fraction + SCALE :]
        index = power[fraction + SCALE - INDEX : fraction + SCALE]

        # The entry passes a register more: a block RAM takes long from its clock to its data.
        memory: Memory[Any, Any] = Memory(shape=FRACTION + 1, depth=1 << INDEX, init=table())
        m.submodules.entries = memory  # `table` is a word of Verilog
        read = memory.read_port(domain="sync")
        m.d.comb += [read.addr.eq(index), read.en.eq(1)]
        entry = registered(m, read.data, "entry")

        # The shift by the integer part: by less than four, then by multiples of four.
        shift = registered(m, whole, "whole", 2)
        fine = registered(m, entry >> shift[:2], "fine")
        fours = registered(m, shift[2:], "fours") if len(shift) > 2 else C(0, 1)
        coarse = Signal(FRACTION + 1)
        m.d.comb += coarse.eq(Mux(far, 0, fine >> (fours << 2)))
        m.d.comb += self.result.payload.exponential.eq(registered(m, coarse, "exponential"))
        return m
