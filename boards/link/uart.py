"""A serial line: 8 data bits, no parity, one stop bit."""

from amaranth.hdl import C, Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from boards.link.uart_twin import ReceiverConfig, UartConfig


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
