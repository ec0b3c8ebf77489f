"""Wishbone B4 to the plain bus of registers: classic cycles, or pipelined ones.

The registers answer after a fixed number of clocks, and so does the bridge: a shift register has
the answers that are due. `golden/bus/wishbone.py` has the rules.
"""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden import check
from golden.bus.space import BYTES, WORD, Space
from golden.bus.wishbone import latency
from hdl.bus.signature import RegisterBus, RegisterPort
from hdl.delay import registered


class WishboneBus(wiring.Signature):
    """Wishbone B4 as its master has it, with words of 32 bits.

    Parameters
    ----------
    address
        Bits of an address, which counts words.
    pipelined
        Whether cycles are pipelined, with `stall`.

    Examples
    --------
    >>> "stall" in WishboneBus(7, pipelined=False).members
    False
    """

    def __init__(self, address: int, *, pipelined: bool):
        stall = {"stall": In(1)} if pipelined else {}
        super().__init__(
            {
                "cyc": Out(1),
                "stb": Out(1),
                "we": Out(1),
                "adr": Out(address),
                "sel": Out(BYTES),
                "dat_w": Out(WORD),
                **stall,
                "ack": In(1),
                "err": In(1),
                "dat_r": In(WORD),
            }
        )


class Wishbone(wiring.Component):
    """Carries accesses of Wishbone to registers.

    A write is carried out if all of its bytes are selected. One of some bytes only, and any access
    to an address without a register, is answered by `err` and does nothing.

    Parameters
    ----------
    space
        The registers.
    pipelined
        Whether cycles are pipelined.

    Members
    -------
    wb : In(WishboneBus)
        Where the accesses come from.
    bus : Out(RegisterBus)
        Where the registers are.
    """

    wb: Any
    bus: RegisterPort

    def __init__(self, space: Space, *, pipelined: bool = False):
        check.instance("space", space, Space)
        self.space = space
        self.pipelined = pipelined
        super().__init__(
            {
                "wb": In(WishboneBus(space.bits, pipelined=pipelined)),
                "bus": Out(RegisterBus(space.bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        wb, bus = self.wb, self.bus
        clocks = latency(self.space)
        # Answers that are due, the next one at bit 0; a cycle that ends drops them.
        acks, errs, values = (Signal(clocks, name=name) for name in ("acks", "errs", "values"))
        accepted, known, good = Signal(), Signal(), Signal()
        free = 1 if self.pipelined else ~(acks | errs).any()
        with m.Switch(wb.adr), m.Case(*self.space.addresses):
            m.d.comb += known.eq(1)
        m.d.comb += [
            accepted.eq(wb.cyc & wb.stb & free),
            good.eq(known & (wb.sel.all() | ~wb.we)),
        ]
        for answers, comes in ((acks, good), (errs, ~good), (values, good & ~wb.we)):
            m.d.sync += answers.eq(Mux(wb.cyc, Cat(answers[1:], accepted & comes), 0))
        m.d.sync += [
            bus.address.eq(Mux(accepted, wb.adr, 0)),
            bus.write.eq(accepted & good & wb.we),
            bus.value.eq(Mux(accepted & wb.we, wb.dat_w, 0)),
            bus.read.eq(accepted & good & ~wb.we),
        ]
        value = registered(m, bus.data, "value")
        m.d.comb += [
            wb.ack.eq(acks[0] & wb.cyc),
            wb.err.eq(errs[0] & wb.cyc),
            wb.dat_r.eq(Mux(values[0] & wb.cyc, value, 0)),
        ]
        return m
