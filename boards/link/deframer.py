"""Finds frames in the bytes of a serial line, and keeps one until it is done with."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.crc import catalog  # type: ignore[import-untyped]
from amaranth.lib.wiring import In, Out

from boards.link.deframer_twin import DeframerConfig
from boards.link.frame import CHANGE, ESCAPE, FLAG, HEADER, SUM


class Deframer(wiring.Component):
    """Finds frames whose length and checksum are right; `boards.link.frame` says what they are.

    A frame is there from the clock after its last flag on. Bytes that come while one is there are
    lost, up to the flag that begins the next frame.

    Parameters
    ----------
    config
        The longest frame.

    Members
    -------
    valid : In(1), byte : In(8)
        A byte comes.
    there : Out(1), size : Out
        A frame is there, of so many bytes with its checksum. The size is not specified without one.
    done : In(1)
        The frame is done with.
    place : In, data : Out(8)
        A place in the frame, and a clock later the byte that is there.
    """

    valid: Signal
    byte: Signal
    there: Signal
    size: Signal
    done: Signal
    place: Signal
    data: Signal

    def __init__(self, config: DeframerConfig):
        self.config = config
        super().__init__(
            {
                "valid": In(1),
                "byte": In(8),
                "there": Out(1),
                "size": Out(config.size.bit_length()),
                "done": In(1),
                "place": In(config.place_bits),
                "data": Out(8),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        kept: Any = memory.Memory(shape=8, depth=1 << config.place_bits, init=[])
        m.submodules.memory = kept
        write, read = kept.write_port(), kept.read_port()
        m.submodules.crc = crc = catalog.CRC32_ISO_HDLC(data_width=8).create()
        inside, escaped = Signal(), Signal()
        count, length = Signal.like(self.size), Signal(16)
        flag, escape, stores, right = Signal(), Signal(), Signal(), Signal()
        byte = Mux(escaped, self.byte ^ CHANGE, self.byte)
        came = self.valid & ~self.there
        m.d.comb += [
            flag.eq(came & (self.byte == FLAG)),
            escape.eq(came & inside & (self.byte == ESCAPE) & ~escaped),
            stores.eq(came & inside & ~flag & ~escape & (count != config.size)),
            right.eq(inside & ~escaped & crc.match_detected & (count == length + (HEADER + SUM))),
            write.addr.eq(count),
            write.data.eq(byte),
            write.en.eq(stores),
            crc.start.eq(flag),
            crc.data.eq(byte),
            crc.valid.eq(stores),
            read.addr.eq(self.place),
            self.data.eq(read.data),
        ]
        with m.If(flag):
            m.d.sync += [inside.eq(~right), escaped.eq(0), count.eq(0), length.eq(0)]
            m.d.sync += [self.there.eq(right), self.size.eq(count)]
        with m.Elif(escape):
            m.d.sync += escaped.eq(1)
        with m.Elif(stores):
            m.d.sync += [count.eq(count + 1), escaped.eq(0)]
            with m.If(count == HEADER - 2):
                m.d.sync += length[:8].eq(byte)
            with m.If(count == HEADER - 1):
                m.d.sync += length[8:].eq(byte)
        with m.Elif(came & inside):
            m.d.sync += inside.eq(0)  # too long
        with m.If(self.there & self.done):
            m.d.sync += self.there.eq(0)
        return m
