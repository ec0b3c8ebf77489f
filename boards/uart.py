"""A serial line out: bytes of a stream, 8 data bits, no parity, one stop bit."""

from amaranth.hdl import C, Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

#: How far a bit's time may be off: a receiver samples the tenth bit in its middle, and its own
#: clock has a percent or two as well.
TOLERANCE = 0.02


def divisor(frequency: float, baud: int) -> int:
    """Clocks a bit.

    Raises
    ------
    ValueError
        No whole number of clocks comes near enough to a bit's time.
    """
    clocks = round(frequency / baud)
    if clocks < 2 or abs(frequency / clocks / baud - 1) > TOLERANCE:
        raise ValueError(
            f"{baud} baud at a clock of {frequency / 1e6:g} MHz: {clocks} clocks a bit are "
            f"{frequency / max(clocks, 1):.0f} baud; at least 2 clocks and at most "
            f"{TOLERANCE:.0%} off are allowed"
        )
    return clocks


class Transmitter(wiring.Component):
    """Sends bytes on a serial line.

    Parameters
    ----------
    clocks
        Clocks a bit, at least 2.

    Members
    -------
    i : In(stream of 8 bits)
        Bytes. `ready` is low while one is being sent.
    tx : Out(1)
        The line: high while idle; a start bit, the bits of the byte from the lowest on, a stop bit.
    """

    i: stream.Interface
    tx: Signal

    def __init__(self, clocks: int):
        if clocks < 2:
            raise ValueError(f"clocks = {clocks}: a bit takes at least 2")
        self.clocks = clocks
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timer = Signal(range(self.clocks))
        left = Signal(range(11))  # bits that are not yet over
        bits = Signal(9, init=0x1FF)  # the one on the line first
        line = Signal(init=1)
        m.d.sync += line.eq(bits[0])
        m.d.comb += [self.i.ready.eq(left == 0), self.tx.eq(line)]
        with m.If(left == 0), m.If(self.i.valid):
            m.d.sync += [
                bits.eq(Cat(C(0, 1), self.i.payload)),
                left.eq(10),
                timer.eq(self.clocks - 1),
            ]
        with m.Elif(timer == 0):
            m.d.sync += [bits.eq(Cat(bits[1:], C(1, 1))), left.eq(left - 1)]
            m.d.sync += timer.eq(self.clocks - 1)
        with m.Else():
            m.d.sync += timer.eq(timer - 1)
        return m
