"""AXI4-Stream beside streams of words: other names, and words that are padded to bytes.

The handshake is that of Amaranth's streams, so nothing is stored. `golden/bus/axi_stream.py` says
where the words are.
"""

from typing import Any

from amaranth.hdl import Module, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.bus.axi_stream import Beat


class AxiStreamBus(wiring.Signature):
    """AXI4-Stream as its transmitter has it: all bytes count, and packets end with `tlast`.

    Parameters
    ----------
    beat
        The words of a beat; each is an element of `tdata`, padded to bytes.

    Examples
    --------
    >>> AxiStreamBus(Beat(words=3, width=12)).members["tdata"].shape.size
    48
    """

    def __init__(self, beat: Beat):
        words = data.ArrayLayout(signed(8 * beat.bytes), beat.words)
        super().__init__({"tdata": Out(words), "tvalid": Out(1), "tready": In(1), "tlast": Out(1)})


class Words(data.StructLayout):
    """Payload of a stream of beats: words, and whether it is a packet's last beat.

    Parameters
    ----------
    beat
        The words of a beat.
    """

    def __init__(self, beat: Beat):
        super().__init__({"words": data.ArrayLayout(signed(beat.width), beat.words), "last": 1})


class FromAxiStream(wiring.Component):
    """Hands on beats of AXI4-Stream, in the clock in which they come.

    Parameters
    ----------
    beat
        The words of a beat.

    Members
    -------
    s_axis : In(AxiStreamBus)
        Where they come from. The bits beyond a word's own are ignored.
    o : Out(stream of Words)
        Where they go.
    """

    s_axis: Any
    o: stream.Interface

    def __init__(self, beat: Beat):
        self.beat = beat
        super().__init__(
            {"s_axis": In(AxiStreamBus(beat)), "o": Out(stream.Signature(Words(beat)))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        axis, payload = self.s_axis, self.o.payload
        m.d.comb += [
            self.o.valid.eq(axis.tvalid),
            axis.tready.eq(self.o.ready),
            payload.last.eq(axis.tlast),
            *(payload.words[k].eq(axis.tdata[k]) for k in range(self.beat.words)),
        ]
        return m


class ToAxiStream(wiring.Component):
    """Hands on beats to AXI4-Stream, in the clock in which they come.

    Parameters
    ----------
    beat
        The words of a beat.

    Members
    -------
    i : In(stream of Words)
        Where they come from.
    m_axis : Out(AxiStreamBus)
        Where they go. The bits beyond a word's own are copies of its sign.
    """

    i: stream.Interface
    m_axis: Any

    def __init__(self, beat: Beat):
        self.beat = beat
        super().__init__(
            {"i": In(stream.Signature(Words(beat))), "m_axis": Out(AxiStreamBus(beat))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        axis, payload = self.m_axis, self.i.payload
        m.d.comb += [
            axis.tvalid.eq(self.i.valid),
            self.i.ready.eq(axis.tready),
            axis.tlast.eq(payload.last),
            *(axis.tdata[k].eq(payload.words[k]) for k in range(self.beat.words)),
        ]
        return m
