"""Prints messages of a ROM: what a design says to a serial terminal.

A number becomes decimal by doubling: in each clock the decimal digits shift by one bit, and before
that every digit of five or more is raised by three. That takes small adders and no divider, and is
faster than the line.
"""

from typing import Any

from amaranth.hdl import Array, C, Cat, Module, Mux, Signal, signed
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from boards.link.printer_twin import PrinterConfig
from boards.link.text import END


class Printer(wiring.Component):
    """Prints messages of a ROM on a stream of characters.

    Parameters
    ----------
    config
        The ROM, and how many numbers and words its messages name.

    Members
    -------
    start : In(1)
        Print a message; has an effect while `busy` is low.
    message : In
        Position of the message's first byte in the ROM.
    busy : Out(1)
        A message is being printed: `numbers` and `words` must not change.
    numbers : In(codes of `width` bits)
        The numbers.
    words : In
        Position of each word's first byte.
    o : Out(stream of 8 bits)
        The characters. The payload is not specified while `valid` is low.
    """

    start: Signal
    message: Signal
    busy: Signal
    numbers: Any
    words: Any
    o: stream.Interface

    def __init__(self, config: PrinterConfig):
        self.config = config
        place = range(len(config.rom))
        super().__init__(
            {
                "start": In(1),
                "message": In(place),
                "busy": Out(1),
                "numbers": In(signed(config.width)).array(config.numbers),
                "words": In(place).array(config.words),
                "o": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = self.config.width
        digits = len(str(1 << (width - 1)))
        rom: Any = memory.Memory(shape=8, depth=len(self.config.rom), init=list(self.config.rom))
        m.submodules.rom = rom
        read = rom.read_port()
        place, back = Signal.like(self.message), Signal.like(self.message)
        inside = Signal()  # a word
        byte = Signal(8)
        decimal = Signal(4 * digits)  # the highest digit last
        magnitude = Signal(width)
        bits_left, digits_left = Signal(range(width + 1)), Signal(range(digits + 1))
        shown = Signal()  # a digit other than a leading zero
        number = Signal(signed(width))
        m.d.comb += [
            read.addr.eq(place),
            number.eq(Array(self.numbers)[read.data[:6]]),
            self.o.payload.eq(byte),
        ]

        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("idle"))
            with m.State("idle"):
                m.d.sync += inside.eq(0)
                with m.If(self.start):
                    m.d.sync += place.eq(self.message)
                    m.next = "read"
            with m.State("read"):
                m.next = "look"
            with m.State("look"):
                m.d.sync += [byte.eq(read.data), place.eq(place + 1)]
                m.next = "read"
                with m.If(read.data == END):
                    m.d.sync += [inside.eq(0), place.eq(back)]
                    with m.If(~inside):
                        m.next = "idle"
                with m.Elif(~read.data[7]):
                    m.next = "send"
                with m.Elif(read.data[6]):
                    m.d.sync += [
                        inside.eq(1),
                        back.eq(place + 1),
                        place.eq(Array(self.words)[read.data[:6]]),
                    ]
                with m.Else():
                    m.d.sync += [
                        magnitude.eq(Mux(number < 0, -number, number)),
                        byte.eq(ord("-")),
                        decimal.eq(0),
                        bits_left.eq(width),
                    ]
                    m.next = "convert"
                    with m.If(number < 0):
                        m.next = "sign"
            with m.State("sign"), m.If(self.o.ready):
                m.next = "convert"
            with m.State("convert"):
                raised = Cat(
                    Mux(digit >= 5, digit + 3, digit)[:4]
                    for digit in (decimal[4 * k : 4 * k + 4] for k in range(digits))
                )
                m.d.sync += [
                    decimal.eq(Cat(magnitude[-1], raised)),
                    magnitude.eq(magnitude << 1),
                    bits_left.eq(bits_left - 1),
                    digits_left.eq(digits),
                    shown.eq(0),
                ]
                with m.If(bits_left == 1):
                    m.next = "digit"
            with m.State("digit"):
                top = decimal[-4:]
                m.d.sync += [
                    byte.eq(Cat(top, C(0x3, 4))),
                    decimal.eq(decimal << 4),
                    digits_left.eq(digits_left - 1),
                ]
                with m.If(digits_left == 0):
                    m.next = "read"
                with m.Elif(shown | (top != 0) | (digits_left == 1)):
                    m.d.sync += shown.eq(1)
                    m.next = "send digit"
            with m.State("send digit"), m.If(self.o.ready):
                m.next = "digit"
            with m.State("send"), m.If(self.o.ready):
                m.next = "read"
            m.d.comb += self.o.valid.eq(
                fsm.ongoing("sign") | fsm.ongoing("send") | fsm.ongoing("send digit")
            )
        return m
