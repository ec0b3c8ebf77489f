"""Sends frames: a header, a payload from a memory, their checksum, with flags around."""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.crc import catalog  # type: ignore[import-untyped]
from amaranth.lib.wiring import In, Out

from boards.link.frame import CHANGE, ESCAPE, FLAG, HEADER, SUM
from boards.link.framer_twin import FramerConfig


class Framer(wiring.Component):
    """Sends frames; `boards.link.frame` says what they are.

    A byte is up two clocks after the one before was taken; that is faster than the line.

    Parameters
    ----------
    config
        The longest frame.

    Members
    -------
    start : In(1)
        Send a frame; has an effect while `busy` is low.
    busy : Out(1)
        A frame is sent. The payload must not change.
    kind : In(8), number : In(16), size : In
        Kind and number of the frame, and bytes of its payload, in the clock of `start`.
    place : Out, data : In(8)
        A place in the payload, and a clock later the byte that is there.
    o : Out(stream of 8 bits)
        The bytes. The payload is not specified while `valid` is low.
    """

    start: Signal
    busy: Signal
    kind: Signal
    number: Signal
    size: Signal
    place: Signal
    data: Signal
    o: stream.Interface

    def __init__(self, config: FramerConfig):
        self.config = config
        super().__init__(
            {
                "start": In(1),
                "busy": Out(1),
                "kind": In(8),
                "number": In(16),
                "size": In(config.longest.bit_length()),
                "place": Out(config.place_bits),
                "data": In(8),
                "o": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = crc = catalog.CRC32_ISO_HDLC(data_width=8).create()
        header, left = Signal(8 * HEADER), Signal.like(self.size)
        # Bytes of the header and of the checksum that have been looked at.
        headed, summed = Signal(range(HEADER + 1)), Signal(range(SUM + 1))
        chosen, changed = Signal(8), Signal(8)
        heads, loads = headed != HEADER, left != 0
        ends = summed == SUM
        m.d.comb += [
            chosen.eq(
                Mux(
                    heads,
                    header.word_select(headed, 8),
                    Mux(loads, self.data, crc.crc.word_select(summed, 8)),
                )
            ),
            crc.data.eq(chosen),
            crc.start.eq(self.start & ~self.busy),
        ]
        with m.FSM(name="framer") as framer:
            m.d.comb += self.busy.eq(~framer.ongoing("idle"))
            with m.State("idle"), m.If(self.start):
                m.d.sync += [
                    header.eq(Cat(self.kind, self.number, Cat(self.size)[:16], C(0, 16))),
                    left.eq(self.size),
                    headed.eq(0),
                    summed.eq(0),
                    self.place.eq(0),
                    self.o.payload.eq(FLAG),
                ]
                m.next = "send"
            with m.State("look"):
                m.d.sync += [self.o.payload.eq(chosen), changed.eq(chosen ^ CHANGE)]
                m.next = "send"
                with m.If((chosen == FLAG) | (chosen == ESCAPE)):
                    m.d.sync += self.o.payload.eq(ESCAPE)
                    m.next = "escape"
                with m.If(heads):
                    m.d.sync += headed.eq(headed + 1)
                with m.Elif(loads):
                    m.d.sync += [left.eq(left - 1), self.place.eq(self.place + 1)]
                with m.Else():
                    m.d.sync += summed.eq(summed + 1)
                m.d.comb += crc.valid.eq(heads | loads)
            with m.State("escape"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += self.o.payload.eq(changed)
                    m.next = "send"
            with m.State("send"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "look"
                    with m.If(ends):
                        m.d.sync += self.o.payload.eq(FLAG)
                        m.next = "end"
            with m.State("end"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "idle"
        return m
