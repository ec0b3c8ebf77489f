"""Lines of text with numbers in them, from a small ROM: what a design says to a serial terminal.

A message is text in which a byte below 128 is a character and a byte above names something that is
known only when the message is sent: a number, printed in decimal, or a word, printed from another
place of the same ROM. A number becomes decimal by doubling: a shift a clock, each digit of five or
more three higher before it. That takes small adders and no divider, and is faster than the line.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Array, C, Cat, Module, Mux, Signal, signed
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

#: A byte that names number k is NUMBER + k, one that names word k is WORD + k; END ends a message
#: and a word.
END, NUMBER, WORD = 0, 0x80, 0xC0


@dataclass(frozen=True)
class Text:
    """The ROM of a printer, and where what is in it.

    Parameters
    ----------
    rom
        Its bytes.
    at
        First byte of each message or word, by the text it was made from.
    """

    rom: bytes
    at: Mapping[str, int]


def assemble(texts: Sequence[str], numbers: Sequence[str], words: Sequence[str]) -> Text:
    """A ROM of all of `texts`, in which {name} stands for a number or a word of that name."""
    names = {name: NUMBER + k for k, name in enumerate(numbers)}
    names |= {name: WORD + k for k, name in enumerate(words)}
    rom, at = bytearray(), {}
    for text in dict.fromkeys(texts):
        at[text] = len(rom)
        plain, *rest = text.split("{")
        rom += plain.encode("ascii")
        for part in rest:
            name, plain = part.split("}")
            rom += bytes([names[name]]) + plain.encode("ascii")
        rom.append(END)
    return Text(bytes(rom), at)


class Printer(wiring.Component):
    """Prints messages of a ROM.

    Parameters
    ----------
    rom
        Its bytes; see `assemble`.
    numbers, words
        How many of each the messages name.
    width
        Bits of a number.

    Members
    -------
    start : In(1)
        Print the message that begins at `message`; only while `busy` is low.
    message : In
        Its first byte's place in the ROM.
    busy : Out(1)
        A message is being printed: `numbers` and `words` must not change.
    numbers : In(codes of `width` bits)
        The numbers.
    words : In
        First byte of each word.
    o : Out(stream of 8 bits)
        The characters.
    """

    start: Signal
    message: Signal
    busy: Signal
    numbers: Any
    words: Any
    o: stream.Interface

    def __init__(self, rom: bytes, *, numbers: int, words: int, width: int):
        self.rom = rom
        self.width = width
        place = range(len(rom))
        super().__init__(
            {
                "start": In(1),
                "message": In(place),
                "busy": Out(1),
                "numbers": In(signed(width)).array(numbers),
                "words": In(place).array(words),
                "o": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rom: Any = memory.Memory(shape=8, depth=len(self.rom), init=list(self.rom))
        m.submodules.rom = rom
        read = rom.read_port()
        place, back = Signal.like(self.message), Signal.like(self.message)
        inside = Signal()  # a word
        byte = Signal(8)
        digits = len(str(1 << (self.width - 1)))
        decimal = Signal(4 * digits)  # the highest digit last
        magnitude = Signal(self.width)
        bits_left, digits_left = Signal(range(self.width + 1)), Signal(range(digits + 1))
        shown = Signal()  # a digit other than a leading zero
        number = Signal(signed(self.width))
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
                        bits_left.eq(self.width),
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
