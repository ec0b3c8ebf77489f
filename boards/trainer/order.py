"""The numbers of an epoch's samples, from a register that passes once through all of its states.

A state XOR the epoch's key is the next number; those beyond the last image are skipped. They are
found ahead, into a queue: skipping takes clocks, and a batch is wanted at one beat a clock.
"""

from typing import Any

from amaranth.hdl import C, Module, Mux, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from boards.trainer.order_twin import OrderConfig


class SampleOrder(wiring.Component):
    """Finds the numbers of an epoch's samples.

    A number a clock is looked at while the queue has room, from the clock after `begin` on; one of
    a sample is on the stream from the next clock on.

    Parameters
    ----------
    config
        Images, and how many numbers are found ahead.

    Members
    -------
    begin : In(1)
        Begin the next epoch; after a reset, epoch 0. What is left of the one before is dropped.
    primed : Out(1)
        No number is looked for: the queue is full, or all of the epoch's are found.
    o : Out(stream of numbers)
        The numbers. The payload is not specified while `valid` is low.
    """

    begin: Signal
    primed: Signal
    o: stream.Interface

    def __init__(self, config: OrderConfig):
        self.config = config
        super().__init__(
            {"begin": In(1), "primed": Out(1), "o": Out(stream.Signature(config.bits))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        bits = config.bits
        fifo: Any = SyncFIFO(width=bits, depth=config.depth)
        m.submodules.queue = queue = ResetInserter(self.begin)(fifo)
        state, key, next_key = (Signal(bits, name=name) for name in ("state", "key", "next_key"))
        left = Signal(range(config.taken + 1))
        number, looks = Signal(bits), Signal()
        m.d.comb += [
            number.eq(state ^ key),
            looks.eq((left != 0) & queue.w_rdy),
            self.primed.eq(~looks),
            queue.w_data.eq(number),
            queue.w_en.eq(looks & (number < config.images)),
            self.o.valid.eq(queue.r_rdy),
            self.o.payload.eq(queue.r_data),
            queue.r_en.eq(self.o.ready),
        ]
        with m.If(looks):
            m.d.sync += state.eq((state >> 1) ^ Mux(state[0], C(config.mask, bits), 0))
            m.d.sync += left.eq(left - queue.w_en)
        with m.If(self.begin):
            m.d.sync += [
                state.eq(1),
                key.eq(next_key),
                next_key.eq(next_key + config.key),
                left.eq(config.taken),
            ]
        return m
