"""The training core with a bus of the outside at its registers and at its streams."""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from golden import check
from golden.core.config import CoreConfig
from golden.core.edge import Edge, input_beat, output_beat, ports, space
from hdl.bus.axi_lite import AxiLite, AxiLiteBus
from hdl.bus.axi_stream import AxiStreamBus, FromAxiStream, ToAxiStream, Words
from hdl.bus.signature import RegisterBus
from hdl.bus.wishbone import Wishbone, WishboneBus
from hdl.cells import CELLS, Cells
from hdl.core.core import Core


class EdgedCore(wiring.Component):
    """A training core, with its edge. `golden.core.edge.ports` describes the ports.

    Parameters
    ----------
    config
        The core.
    edge
        Its edge.
    cells
        Technology of the array and of the stores.

    Attributes
    ----------
    ports : tuple of Port
        The plain ports.

    Members
    -------
    bus : In(RegisterBus), or s_axi : In(AxiLiteBus), or wb : In(WishboneBus)
        The registers.
    i : In(stream of Words), or s_axis : In(AxiStreamBus)
        The input stream.
    o : Out(stream of Words), or m_axis : Out(AxiStreamBus)
        The output stream.
    """

    def __init__(
        self, config: CoreConfig, edge: Edge = Edge.NONE, *, cells: Cells = CELLS["generic"]
    ):
        check.instance("config", config, CoreConfig)
        self.config = config
        self.edge = edge
        self.cells = cells
        self.ports = ports(config, edge)
        where, takes, gives = space(config), input_beat(config), output_beat(config)
        members: dict[str, Any]
        if edge is Edge.NONE:
            members = {
                "bus": In(RegisterBus()),
                "i": In(stream.Signature(Words(takes))),
                "o": Out(stream.Signature(Words(gives))),
            }
        else:
            registers = (
                {"s_axi": In(AxiLiteBus(where.bits + 2))}
                if edge is Edge.AXI
                else {"wb": In(WishboneBus(where.bits, pipelined=False))}
            )
            members = {
                **registers,
                "s_axis": In(AxiStreamBus(takes)),
                "m_axis": Out(AxiStreamBus(gives)),
            }
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        outer: Any = self
        where, takes, gives = space(self.config), input_beat(self.config), output_beat(self.config)
        m.submodules.core = core = Core(self.config, cells=self.cells)
        if self.edge is Edge.NONE:
            connect(m, flipped(outer.bus), core.bus)
            connect(m, flipped(outer.i), core.i)
            connect(m, core.o, flipped(outer.o))
            return m
        bridge: Any
        if self.edge is Edge.AXI:
            m.submodules.axi_lite = bridge = AxiLite(where)
            connect(m, flipped(outer.s_axi), bridge.s_axi)
        else:
            m.submodules.wishbone = bridge = Wishbone(where)
            connect(m, flipped(outer.wb), bridge.wb)
        m.submodules.from_axi_stream = comes = FromAxiStream(takes)
        m.submodules.to_axi_stream = goes = ToAxiStream(gives)
        connect(m, bridge.bus, core.bus)
        connect(m, flipped(outer.s_axis), comes.s_axis)
        connect(m, comes.o, core.i)
        connect(m, core.o, goes.i)
        connect(m, goes.m_axis, flipped(outer.m_axis))
        return m
