"""Samples in block RAM, sent as a core's input stream takes them."""

from typing import Any

from amaranth.hdl import Array, C, Module, Mux, Signal, Value, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from boards.rom.rom import block_rom
from boards.shifts import times
from boards.trainer.order import SampleOrder
from boards.trainer.samples_twin import SamplesConfig
from golden.bus.axi_stream import Beat
from hdl.bus.axi_stream import Words


class Samples(wiring.Component):
    """Sends an epoch's samples, or those to test with.

    A beat a clock; the first one `config.latency` clocks after its sample's number is there.

    Parameters
    ----------
    config
        The samples.

    Members
    -------
    train : In(1)
        Send the samples of the next epoch; after a reset, of epoch 0. Whatever was sent before is
        over.
    test : In(1)
        Send the samples to test with, in whole batches.
    primed : Out(1)
        As many samples are known ahead as can be, from the second clock after `train` on.
    o : Out(stream of {words; last})
        The beats. The payload is not specified while `valid` is low.
    """

    train: Signal
    test: Signal
    primed: Signal
    o: Any

    def __init__(self, config: SamplesConfig):
        self.config = config
        beat = Words(Beat(words=config.banks, width=config.width))
        super().__init__(
            {
                "train": In(1),
                "test": In(1),
                "primed": Out(1),
                "o": Out(stream.Signature(beat)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        images, beats = config.order.images, config.beats
        rom = block_rom(m, config.rom_bits, config.rom)
        read = rom.read_port()
        m.submodules.order = order = SampleOrder(config.order)

        # Whose turn it is.
        testing = Signal()
        filler = images + config.test
        tested, left = Signal(range(filler + 1)), Signal(range(config.tests + 1))
        number, there = Signal(range(filler + 1)), Signal()
        m.d.comb += [
            order.begin.eq(self.train),
            number.eq(Mux(testing, tested, order.o.payload)),
            there.eq(Mux(testing, left != 0, order.o.valid)),
            self.primed.eq(testing | order.primed),
        ]

        # Three stages: a beat's place, its word, and the codes; they move together.
        place, beat = Signal(range(len(config.rom))), Signal(range(beats))
        begun = Signal(range(config.batch + 1))
        moves, begins, takes = Signal(), Signal(), Signal()
        reads, is_read = Signal(), Signal()
        label = beat == beats - 1
        m.d.comb += [
            moves.eq(~self.o.valid | self.o.ready),
            begins.eq(moves & (~reads | label)),
            takes.eq(begins & there),
            order.o.ready.eq(begins & ~testing),
            read.en.eq(moves),
            read.addr.eq(place),
        ]
        with m.If(begins):
            m.d.sync += [reads.eq(there), beat.eq(0), place.eq(times(number, beats))]
        with m.Elif(moves):
            m.d.sync += [beat.eq(beat + 1), place.eq(place + 1)]
        with m.If(takes):
            m.d.sync += begun.eq(Mux(begun == config.batch, 1, begun + 1))
            with m.If(testing):
                m.d.sync += [
                    left.eq(left - 1),
                    tested.eq(Mux(tested == filler, filler, tested + 1)),
                ]
        is_label, is_last = Signal(), Signal()
        codes: Any = Array(C(code, signed(config.width)) for code in config.codes)
        with m.If(moves):
            m.d.sync += [
                is_read.eq(reads),
                is_label.eq(label),
                is_last.eq(label & (begun == config.batch)),
                self.o.valid.eq(is_read),
                self.o.payload.last.eq(is_last),
            ]
            for k, word in enumerate(self.o.payload.words):
                first = k * config.code_bits
                code = codes[read.data[first : first + config.code_bits]]
                own = read.data[k * config.width :][: config.width]
                m.d.sync += Value.cast(word).eq(Mux(is_label, own, code))
        with m.If(self.train | self.test):
            m.d.sync += [testing.eq(self.test), tested.eq(images), left.eq(config.tests)]
        return m
