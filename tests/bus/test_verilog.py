"""The buses' generated Verilog in Icarus: managers of cocotbext-axi, and a master of Wishbone."""

import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
from amaranth.hdl import Array, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from golden.bus.axi_stream import Beat
from golden.bus.space import Space
from gradloom.rtl.verilog import verilog
from hdl.bus.axi_lite import AxiLite, AxiLiteBus
from hdl.bus.axi_stream import AxiStreamBus, FromAxiStream, ToAxiStream
from hdl.bus.wishbone import Wishbone, WishboneBus
from hdl.delay import registered

pytest.importorskip("cocotbext.axi", reason="cocotbext-axi is not installed")
from cocotb_tools.runner import get_runner

pytestmark = pytest.mark.skipif(not shutil.which("iverilog"), reason="there is no Icarus Verilog")
SPACE = Space(bits=4, addresses=(0, 1, 2, 5, 6, 9, 12, 15), latency=4)


class Registers(wiring.Component):
    """Registers of a space behind a bridge: what was written is read."""

    def __init__(self, bus, bridge):
        self.bridge = bridge
        ((self.name, member),) = bus.items()
        super().__init__({self.name: member})

    def elaborate(self, platform):
        m = Module()
        m.submodules.bridge = bridge = self.bridge
        connect(m, flipped(getattr(self, self.name)), getattr(bridge, self.name))
        bus, space = bridge.bus, self.bridge.space
        words = Array(Signal(32, name=f"register_{k}") for k in range(1 << space.bits))
        value = Signal(32)
        with m.If(bus.read):
            m.d.comb += value.eq(words[bus.address])
        with m.If(bus.write):
            m.d.sync += words[bus.address].eq(bus.value)
        m.d.comb += bus.data.eq(registered(m, value, "value", space.latency))
        return m


class Loop(wiring.Component):
    """AXI4-Stream to words, and back."""

    def __init__(self):
        self.beat = Beat(words=3, width=12)
        super().__init__(
            {"s_axis": In(AxiStreamBus(self.beat)), "m_axis": Out(AxiStreamBus(self.beat))}
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.comes = comes = FromAxiStream(self.beat)
        m.submodules.goes = goes = ToAxiStream(self.beat)
        connect(m, flipped(self.s_axis), comes.s_axis)
        connect(m, comes.o, goes.i)
        connect(m, goes.m_axis, flipped(self.m_axis))
        return m


def wishbone(pipelined):
    bus = In(WishboneBus(SPACE.bits, pipelined=pipelined))
    return Registers({"wb": bus}, Wishbone(SPACE, pipelined=pipelined))


DESIGNS = {
    "axi_lite": (
        lambda: Registers({"s_axi": In(AxiLiteBus(SPACE.bits + 2))}, AxiLite(SPACE)),
        7,
    ),
    "axi_streams": (Loop, 3),
    "wishbone": (lambda: wishbone(False), 2),
    "pipelined_wishbone": (lambda: wishbone(True), 2),
}


@pytest.mark.parametrize("name", DESIGNS)
def test_random_traffic(name, tmp_path, monkeypatch):
    made, benches = DESIGNS[name]
    monkeypatch.syspath_prepend(Path(__file__).parent)
    monkeypatch.setenv("KNOWN", ",".join(map(str, SPACE.addresses)))
    monkeypatch.setenv("ROOM", str(1 << SPACE.bits))
    monkeypatch.setenv("COCOTB_TEST_FILTER", rf"cocotb_buses\.{name}_")
    source = tmp_path / "design.v"
    source.write_text(verilog(made(), name="outer"), encoding="utf-8")
    runner = get_runner("icarus")
    runner.build(
        sources=[source], hdl_toplevel="outer", build_dir=tmp_path, timescale=("1ns", "1ps")
    )
    log, results = tmp_path / "log", tmp_path / "results.xml"
    try:
        runner.test(
            hdl_toplevel="outer",
            test_module="cocotb_buses",
            build_dir=tmp_path,
            log_file=log,
            results_xml=str(results),
        )
    except SystemExit:
        pytest.fail(log.read_text(encoding="utf-8"))
    cases = list(ElementTree.parse(results).iter("testcase"))
    ran = [case for case in cases if case.find("skipped") is None]
    assert len(ran) == benches
    assert not any({"failure", "error"} & {child.tag for child in case} for case in ran)
