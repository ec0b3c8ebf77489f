"""Receives bytes from a serial line: 8 data bits, no parity, one stop bit."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from boards.link.receiver_twin import ReceiverConfig


class Receiver(wiring.Component):
    """Receives bytes from a serial line.

    A byte is there `config.latency` clocks after the first one of its start bit. Each bit is looked
    at in its middle. A byte whose stop bit is low is dropped.

    Parameters
    ----------
    config
        Clocks per bit.

    Members
    -------
    rx : In(1)
        The line, synchronous to the clock.
    valid : Out(1), byte : Out(8)
        A byte has come. It is not specified while `valid` is low.
    """

    rx: Signal
    valid: Signal
    byte: Signal

    def __init__(self, config: ReceiverConfig):
        self.config = config
        super().__init__({"rx": In(1), "valid": Out(1), "byte": Out(8)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        clocks = self.config.clocks
        half = clocks // 2
        timer = Signal(range(clocks))
        left = Signal(range(11))  # bits that have not been looked at
        lost = Signal()
        m.d.sync += self.valid.eq(0)
        with m.If(left == 0):
            m.d.sync += lost.eq(lost & ~self.rx)
            with m.If(~self.rx & ~lost):
                # This is the first clock of the start bit, and its middle comes `half` later.
                m.d.sync += [left.eq(10), timer.eq(half - 1)]
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Else():
            m.d.sync += [timer.eq(clocks - 1), left.eq(left - 1)]
            with m.If(left == 1):
                m.d.sync += [self.valid.eq(self.rx), lost.eq(~self.rx)]
            with m.Elif(left == 10), m.If(self.rx):
                m.d.sync += left.eq(0)
            with m.Else():
                m.d.sync += self.byte.eq(Cat(self.byte[1:], self.rx))
        return m
