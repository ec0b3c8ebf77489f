"""A design that trains a network by itself: core, samples, initial weights, host, lines of text.

All that it needs is in block RAM. After power-up, and at each press of the button, it writes the
core's programs and initial weights, and trains: after every epoch it counts the wrong classes of
the test images, sums the weights, and prints a line on a UART. `boards.trainer.training.expected`
has the lines that must come.
"""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from boards.link.printer import Printer
from boards.link.printer_twin import PrinterConfig
from boards.link.uart import Transmitter
from boards.rom.player import Player
from boards.trainer.blink import Blink
from boards.trainer.blink_twin import FLASHES, BlinkConfig
from boards.trainer.course import NUMBERS, WORDS, course
from boards.trainer.digest import Digest
from boards.trainer.host import Host
from boards.trainer.samples import Samples
from boards.trainer.training import Training
from golden.core.edge import input_beat
from golden.core.field import WORD
from hdl.bus.axi_stream import Words
from hdl.cells import CELLS, Cells
from hdl.core.core import Core


class Trainer(wiring.Component):
    """Trains a network from its first weights on, and says what comes of every epoch.

    Parameters
    ----------
    training
        The training.
    cells
        Technology of the core's array and stores.

    Members
    -------
    restart : In(1)
        A rising edge begins the training again, after the line that is printed.
    tx : Out(1)
        Serial line: 8 bits, no parity, one stop bit.
    bar : Out(8)
        One more is lit with each eighth of the epochs, the first at bit 0.
    blink : Out(1)
        Flashes as often as bits of `bar` are lit, pauses, and begins again.
    ended : Out(1)
        All epochs are done.
    failed : Out(1)
        The core has found a fault.
    alarm : Out(1)
        Flashes after a fault.
    """

    restart: Signal
    tx: Signal
    bar: Signal
    blink: Signal
    ended: Signal
    failed: Signal
    alarm: Signal

    def __init__(self, training: Training, *, cells: Cells = CELLS["generic"]):
        self.training = training
        self.cells = cells
        super().__init__(
            {
                "restart": In(1),
                "tx": Out(1),
                "bar": Out(8),
                "blink": Out(1),
                "ended": Out(1),
                "failed": Out(1),
                "alarm": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        training = self.training
        steps = course(training)
        m.submodules.host = host = Host(training, steps)
        m.submodules.core = core = Core(training.compiled.config, cells=self.cells)
        connect(m, host.bus, core.bus)

        # What is sent, and what is summed.
        clears: Any = ResetInserter(host.clear)
        samples, digest = Samples(training.samples), Digest(training.digest)
        weights = Player(training.weights, Words(input_beat(training.compiled.config)))
        m.submodules.samples = clears(samples)
        m.submodules.weights = clears(weights)
        m.submodules.digest = ResetInserter(host.clear | host.digest)(digest)
        m.d.comb += [
            weights.go.eq(host.weights),
            samples.train.eq(host.train),
            samples.test.eq(host.test),
            host.primed.eq(samples.primed),
            core.i.valid.eq(Mux(host.weights, weights.o.valid, samples.o.valid)),
            core.i.payload.eq(Mux(host.weights, weights.o.payload, samples.o.payload)),
            weights.o.ready.eq(core.i.ready & host.weights),
            samples.o.ready.eq(core.i.ready & ~host.weights),
            host.crc.eq(digest.crc),
            host.summed.eq(digest.done),
        ]
        connect(m, core.o, digest.i)

        # What is said and shown.
        text = PrinterConfig(
            rom=steps.text.rom, numbers=len(NUMBERS), words=len(WORDS), width=WORD + 1
        )
        m.submodules.printer = printer = Printer(text)
        m.submodules.uart = uart = Transmitter(training.uart)
        m.submodules.blink = blink = Blink(BlinkConfig.at(training.frequency))
        connect(m, printer.o, uart.i)
        m.d.comb += [
            host.restart.eq(self.restart),
            printer.start.eq(host.say),
            printer.message.eq(host.message),
            host.busy.eq(printer.busy),
            *(to.eq(of) for to, of in zip(printer.numbers, host.numbers)),
            *(to.eq(of) for to, of in zip(printer.words, host.words)),
            self.tx.eq(uart.tx),
            self.bar.eq(Cat(host.eighths > k for k in range(8))),
            blink.number.eq(Mux(host.failed, FLASHES, host.eighths)),
            self.alarm.eq(blink.led & host.failed),
            self.blink.eq(blink.led),
            self.ended.eq(host.ended),
            self.failed.eq(host.failed),
        ]
        return m
