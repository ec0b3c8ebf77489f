"""A checksum over the weights that a core carries out: CRC-32/ISO-HDLC, a byte a clock."""

from typing import Any

from amaranth.hdl import Array, C, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.crc import catalog  # type: ignore[import-untyped]
from amaranth.lib.wiring import In, Out

from boards.trainer.digest_twin import DigestConfig
from golden.bus.axi_stream import Beat
from hdl.bus.axi_stream import Words


class Digest(wiring.Component):
    """Takes the beats of all weights, and sums their codes.

    A beat of n bytes takes n + 1 clocks.

    Parameters
    ----------
    config
        The weights.

    Members
    -------
    i : In(stream of {words; last})
        The beats, as a core's program `dump` carries them out. `ready` is low while one is summed,
        and after the last one.
    crc : Out(32)
        The sum so far; from a reset on, that of nothing.
    done : Out(1)
        All weights have come, and are in the sum.
    """

    i: Any
    crc: Signal
    done: Signal

    def __init__(self, config: DigestConfig):
        self.config = config
        beat = Words(Beat(words=config.words, width=config.bits))
        super().__init__({"i": In(stream.Signature(beat)), "crc": Out(32), "done": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.submodules.crc = crc = catalog.CRC32_ISO_HDLC(data_width=8).create()
        held = Signal(config.words * config.width)
        codes, part = Signal(range(config.words + 1)), Signal(range(config.size))
        layers = range(len(config.shapes))
        layer = Signal(range(len(layers) + 1))
        row = Signal(range(max(rows for rows, _ in config.shapes)))
        block = Signal(range(max(config.blocks(columns) for _, columns in config.shapes)))
        last_row: Any = Array(rows - 1 for rows, _ in config.shapes)
        last_block: Any = Array(config.blocks(columns) - 1 for _, columns in config.shapes)
        last_codes: Any = Array((columns - 1) % config.words + 1 for _, columns in config.shapes)
        whole = layer == len(layers)
        code = held[: config.width].as_signed()
        m.d.comb += [
            self.i.ready.eq((codes == 0) & ~whole),
            self.done.eq((codes == 0) & whole),
            self.crc.eq(crc.crc),
            crc.valid.eq(codes != 0),
            crc.data.eq(code >> (part << 3) if config.size > 1 else code),
        ]
        with m.If(codes != 0):
            with m.If(part == config.size - 1):
                m.d.sync += [
                    part.eq(0),
                    codes.eq(codes - 1),
                    held.eq(held >> config.width),
                ]
            with m.Else():
                m.d.sync += part.eq(part + 1)
        ends_row, ends_layer = Signal(), Signal()
        m.d.comb += [
            ends_row.eq(block == last_block[layer]),
            ends_layer.eq(ends_row & (row == last_row[layer])),
        ]
        with m.If(self.i.valid & self.i.ready):
            words = self.i.payload.words
            m.d.sync += [
                held.eq(Cat(word[: config.width] for word in words)),
                codes.eq(Mux(ends_row, last_codes[layer], C(config.words))),
                block.eq(Mux(ends_row, 0, block + 1)),
                layer.eq(layer + ends_layer),
            ]
            with m.If(ends_row):
                m.d.sync += row.eq(Mux(ends_layer, 0, row + 1))
        return m
