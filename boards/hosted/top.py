"""A core that a computer drives over a serial line."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from boards.hosted.protocol import About
from boards.hosted.responder import Responder
from boards.link.deframer import Deframer
from boards.link.framer import Framer
from boards.link.receiver import Receiver
from boards.link.receiver_twin import ReceiverConfig
from boards.link.uart import Transmitter
from boards.link.uart_twin import UartConfig
from golden.core.config import CoreConfig
from golden.core.registers import Registers
from hdl.cells import CELLS, Cells
from hdl.core.core import Core


class Hosted(wiring.Component):
    """A core, a serial line, and what carries out the commands that come on it.

    Parameters
    ----------
    config
        The core.
    about
        What the board says of itself.
    uart
        Clocks per bit of the line.
    cells
        Technology of the core's array and stores.

    Members
    -------
    rx : In(1), tx : Out(1)
        The serial line: 8 bits, no parity, one stop bit. `rx` is synchronous to the clock.
    session : Out(1)
        There is a session.
    runs : Out(1)
        A beat is on its way to the core or from it.
    """

    rx: Signal
    tx: Signal
    session: Signal
    runs: Signal

    def __init__(
        self,
        config: CoreConfig,
        about: About,
        uart: UartConfig,
        *,
        cells: Cells = CELLS["generic"],
    ):
        self.config = config
        self.about = about
        self.uart = uart
        self.cells = cells
        super().__init__({"rx": In(1), "tx": Out(1), "session": Out(1), "runs": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.core = core = Core(self.config, cells=self.cells)
        m.submodules.responder = responder = Responder(self.about, Registers(self.config))
        m.submodules.receiver = receiver = Receiver(ReceiverConfig(clocks=self.uart.clocks))
        m.submodules.deframer = deframer = Deframer(responder.deframer)
        m.submodules.framer = framer = Framer(responder.framer)
        m.submodules.transmitter = transmitter = Transmitter(self.uart)
        connect(m, responder.bus, core.bus)
        connect(m, responder.o, core.i)
        connect(m, core.o, responder.i)
        connect(m, framer.o, transmitter.i)
        m.d.comb += [
            receiver.rx.eq(self.rx),
            deframer.valid.eq(receiver.valid),
            deframer.byte.eq(receiver.byte),
            deframer.done.eq(responder.done),
            deframer.place.eq(responder.place),
            responder.there.eq(deframer.there),
            responder.data.eq(deframer.data),
            framer.start.eq(responder.start),
            framer.kind.eq(responder.kind),
            framer.number.eq(responder.number),
            framer.size.eq(responder.answer_size),
            framer.data.eq(responder.answer),
            responder.busy.eq(framer.busy),
            responder.answer_place.eq(framer.place),
            self.tx.eq(transmitter.tx),
            self.session.eq(responder.session),
            self.runs.eq(core.i.valid | core.o.valid),
        ]
        return m
