"""Sends bytes of a stream on a serial line: 8 data bits, no parity, one stop bit."""

from amaranth.hdl import C, Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from boards.link.uart_twin import UartConfig


class Transmitter(wiring.Component):
    """Sends bytes on a serial line.

    The start bit of a byte begins `config.latency` clocks after the byte is accepted; bytes follow
    each other every `config.period` clocks.

    Parameters
    ----------
    config
        Clocks per bit.

    Members
    -------
    i : In(stream of 8 bits)
        The bytes. `ready` is low while one is being sent.
    tx : Out(1)
        The line: high while idle; a start bit, the bits of the byte from the lowest on, a stop bit.
    """

    i: stream.Interface
    tx: Signal

    def __init__(self, config: UartConfig):
        self.config = config
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        clocks = self.config.clocks
        timer = Signal(range(clocks))
        left = Signal(range(11))  # bits that are not yet over
        bits = Signal(9, init=0x1FF)  # the one on the line first
        line = Signal(init=1)
        m.d.sync += line.eq(bits[0])
        m.d.comb += [self.i.ready.eq(left == 0), self.tx.eq(line)]
        with m.If(left == 0), m.If(self.i.valid):
            m.d.sync += [
                bits.eq(Cat(C(0, 1), self.i.payload)),
                left.eq(10),
                timer.eq(clocks - 1),
            ]
        with m.Elif(timer == 0):
            m.d.sync += [bits.eq(Cat(bits[1:], C(1, 1))), left.eq(left - 1)]
            m.d.sync += timer.eq(clocks - 1)
        with m.Else():
            m.d.sync += timer.eq(timer - 1)
        return m
