"""Sends the words of a ROM on a stream, at most one per clock."""

from typing import Any

from amaranth.hdl import Module, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from boards.rom.player_twin import PlayerConfig
from boards.rom.rom import block_rom, payload_shape


class Player(wiring.Component):
    """Sends the words of a ROM once, from a reset on.

    The first word can be valid `config.latency` clocks after a reset; then one word per clock.

    Parameters
    ----------
    config
        Width and words.
    shape
        Shape of the payload, of the same width; unsigned without it.

    Members
    -------
    go : In(1)
        Permits a word to come up at the next clock; while it is low, gaps appear. A word that is up
        stays until it is taken.
    o : Out(stream of `width` bits)
        The words. The payload is not specified while `valid` is low.
    """

    go: Signal
    o: Any

    def __init__(self, config: PlayerConfig, shape: ShapeLike | None = None):
        self.config = config
        payload = payload_shape(config.width, shape)
        super().__init__({"go": In(1), "o": Out(stream.Signature(payload))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = len(self.config.words)
        rom = block_rom(m, self.config.width, self.config.words)
        read = rom.read_port()
        # A word is read first, and put on the output at the next clock. So `ready` drives registers
        # behind the memory only, not the memory.
        place = Signal(range(depth + 1))
        is_read, moves, takes = Signal(), Signal(), Signal()
        word = Signal(self.config.width, reset_less=True)
        m.d.comb += [
            takes.eq(is_read & (~self.o.valid | self.o.ready) & self.go),
            moves.eq((~is_read | takes) & (place != depth)),
            read.en.eq(moves),
            read.addr.eq(place),
            self.o.payload.eq(word),
        ]
        with m.If(moves):
            m.d.sync += [place.eq(place + 1), is_read.eq(1)]
        with m.Elif(takes):
            m.d.sync += is_read.eq(0)
        with m.If(takes):
            m.d.sync += [word.eq(read.data), self.o.valid.eq(1)]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m
