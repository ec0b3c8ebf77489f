"""AXI4-Lite to the plain bus of registers.

Every channel into the bridge ends in a queue, and every output comes from a register or a queue,
so that no path leads through the bridge. An access in each clock is possible, reads and writes in
turns; the values of several reads are on their way at a time, and each has its place in the queue
of responses before it begins. `golden/bus/axi_lite.py` has the rules.
"""

from typing import Any

from amaranth.hdl import C, Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from golden import check
from golden.bus.axi_lite import OKAY, PLACES, SLVERR, reads
from golden.bus.space import BYTES, WORD, Space
from hdl.bus.signature import RegisterBus, RegisterPort
from hdl.delay import registered


class AxiLiteBus(wiring.Signature):
    """AXI4-Lite as its manager has it, without protection types.

    Parameters
    ----------
    address
        Bits of a byte address.

    Examples
    --------
    >>> AxiLiteBus(9).members["awaddr"]
    Out(9)
    """

    def __init__(self, address: int):
        super().__init__(
            {
                "awvalid": Out(1),
                "awready": In(1),
                "awaddr": Out(address),
                "wvalid": Out(1),
                "wready": In(1),
                "wdata": Out(WORD),
                "wstrb": Out(BYTES),
                "bvalid": In(1),
                "bready": Out(1),
                "bresp": In(2),
                "arvalid": Out(1),
                "arready": In(1),
                "araddr": Out(address),
                "rvalid": In(1),
                "rready": Out(1),
                "rdata": In(WORD),
                "rresp": In(2),
            }
        )


class AxiLite(wiring.Component):
    """Carries accesses of AXI4-Lite to registers.

    A write is carried out if all of its strobes are set. One of some bytes only, and any access to
    an address without a register, is answered by SLVERR and does nothing.

    Parameters
    ----------
    space
        The registers.

    Members
    -------
    s_axi : In(AxiLiteBus)
        Where the accesses come from. Its channels may be offered and taken in any order.
    bus : Out(RegisterBus)
        Where the registers are.
    """

    s_axi: Any
    bus: RegisterPort

    def __init__(self, space: Space):
        check.instance("space", space, Space)
        self.space = space
        super().__init__(
            {"s_axi": In(AxiLiteBus(space.bits + 2)), "bus": Out(RegisterBus(space.bits))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        axi, bus, space = self.s_axi, self.bus, self.space
        m.submodules.aw = aw = SyncFIFO(width=space.bits, depth=PLACES)
        m.submodules.w = w = SyncFIFO(width=WORD + BYTES, depth=PLACES)
        m.submodules.b = b = SyncFIFO(width=1, depth=PLACES)
        m.submodules.ar = ar = SyncFIFO(width=space.bits, depth=PLACES)
        m.submodules.r = r = SyncFIFO(width=WORD + 1, depth=reads(space))

        # What comes in.
        m.d.comb += [
            axi.awready.eq(aw.w_rdy),
            aw.w_en.eq(axi.awvalid),
            aw.w_data.eq(axi.awaddr[2:]),
            axi.wready.eq(w.w_rdy),
            w.w_en.eq(axi.wvalid),
            w.w_data.eq(Cat(axi.wdata, axi.wstrb)),
            axi.arready.eq(ar.w_rdy),
            ar.w_en.eq(axi.arvalid),
            ar.w_data.eq(axi.araddr[2:]),
        ]

        # One access in a clock: reads that have no place for their values do not go.
        taken = axi.rvalid & axi.rready
        on_way = Signal(range(reads(space) + 1))
        can_write, can_read, writes, reading, reads_next = (
            Signal(name=name)
            for name in ("can_write", "can_read", "writes", "reading", "reads_next")
        )
        m.d.comb += [
            can_write.eq(aw.r_rdy & w.r_rdy & b.w_rdy),
            can_read.eq(ar.r_rdy & (on_way != reads(space))),
            writes.eq(can_write & ~(can_read & reads_next)),
            reading.eq(can_read & ~writes),
            aw.r_en.eq(writes),
            w.r_en.eq(writes),
            ar.r_en.eq(reading),
        ]
        m.d.sync += on_way.eq(on_way + reading - taken)
        with m.If(writes | reading):
            m.d.sync += reads_next.eq(writes)
        address, known = Signal(space.bits), Signal()
        whole = w.r_data[WORD:].all()
        m.d.comb += address.eq(Mux(writes, aw.r_data, ar.r_data))
        with m.Switch(address), m.Case(*space.addresses):
            m.d.comb += known.eq(1)
        m.d.sync += [
            bus.address.eq(Mux(writes | reading, address, 0)),
            bus.write.eq(writes & known & whole),
            bus.value.eq(Mux(writes, w.r_data[:WORD], 0)),
            bus.read.eq(reading & known),
        ]

        # Responses.
        due = registered(m, reading, "due", space.latency + 1, reset_less=False)
        good = registered(m, known, "good", space.latency + 1)
        m.d.comb += [
            b.w_en.eq(writes),
            b.w_data.eq(~(known & whole)),
            axi.bvalid.eq(b.r_rdy),
            axi.bresp.eq(Mux(b.r_rdy & b.r_data[0], _response(SLVERR), _response(OKAY))),
            b.r_en.eq(axi.bready),
            r.w_en.eq(due),
            r.w_data.eq(Cat(Mux(good, bus.data, C(0, WORD)), ~good)),
            axi.rvalid.eq(r.r_rdy),
            axi.rdata.eq(Mux(r.r_rdy, r.r_data[:WORD], 0)),
            axi.rresp.eq(Mux(r.r_rdy & r.r_data[WORD], _response(SLVERR), _response(OKAY))),
            r.r_en.eq(axi.rready),
        ]
        return m


def _response(code: int) -> Const:
    return C(code, 2)
