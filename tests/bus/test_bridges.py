# amaranth: UnusedElaboratable=no
# (components for their ports alone)
"""Bridges from buses to registers: every output at every clock, and what a manager sees of them."""

import numpy as np
import pytest

from golden.bus import axi_lite, wishbone
from golden.bus.space import Space
from gradloom import compare, random_inputs
from gradloom.sim.toplevel import flatten
from hdl.bus.axi_lite import AxiLite
from hdl.bus.wishbone import Wishbone

SPACES = [
    Space(bits=3, addresses=(0, 1, 5), latency=1),
    Space(bits=2, addresses=(0, 1, 2, 3), latency=4),
    Space(bits=7, addresses=tuple(range(0, 100, 3)), latency=3),
]


def bridges(space):
    yield AxiLite(space), axi_lite.AxiLite(space)
    for pipelined in (False, True):
        yield (
            Wishbone(space, pipelined=pipelined),
            wishbone.Wishbone(space, pipelined=pipelined),
        )


def traffic(ports, clocks, seed, often):
    """Random inputs: each bit of a handshake is high with a probability, strobes often whole."""
    rng = np.random.default_rng(seed)
    inputs = random_inputs(ports, clocks, seed)
    inputs["rst"] = (rng.random(clocks) < 0.01).astype(int)
    for name, values in inputs.items():
        if name != "rst" and values.max() <= 1 and name != "wb_we":
            inputs[name] = (rng.random(clocks) < often).astype(int)
        if name.endswith(("strb", "sel")):
            inputs[name] = np.where(rng.random(clocks) < 0.7, 15, values)
    return inputs


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("often", [0.2, 0.5, 0.9])
def test_bridges_are_their_twins(space, often):
    for component, twin in bridges(space):
        result = compare(component, traffic(twin.ports, 600, 3, often), twin)
        assert result, result.report()


@pytest.mark.parametrize("space", SPACES)
def test_ports_are_described(space):
    for component, twin in bridges(space):
        assert flatten(component) == list(twin.ports)


def steady(ports, clocks, **given):
    """Inputs that stay as they are."""
    inputs = {port.name: np.zeros(clocks, int) for port in ports if port.direction == "in"}
    for name, value in given.items():
        inputs[name][:] = value
    return inputs


def test_axi_carries_out_an_access_in_each_clock():
    twin = axi_lite.AxiLite(SPACES[1])
    names = ("awvalid", "wvalid", "bready", "arvalid", "rready")
    on = {f"s_axi_{name}": 1 for name in names} | {"s_axi_wstrb": 15}
    reads = twin.run(steady(twin.ports, 100, **on | {"s_axi_awvalid": 0}))
    assert reads["bus_read"][3:].all() and reads["s_axi_rvalid"][10:].all()
    writes = twin.run(steady(twin.ports, 100, **on | {"s_axi_arvalid": 0}))
    assert writes["bus_write"][3:].all() and writes["s_axi_bvalid"][3:].all()
    both = twin.run(steady(twin.ports, 100, **on))
    assert (both["bus_write"] + both["bus_read"])[3:].all()
    assert abs(int(both["bus_write"].sum()) - int(both["bus_read"].sum())) <= 1


def test_pipelined_wishbone_carries_out_an_access_in_each_clock():
    twin = wishbone.Wishbone(SPACES[1], pipelined=True)
    out = twin.run(steady(twin.ports, 100, wb_cyc=1, wb_stb=1, wb_sel=15))
    assert out["bus_read"][1:].all() and out["wb_ack"][wishbone.latency(SPACES[1]) :].all()


@pytest.mark.parametrize("pipelined", [False, True])
def test_wishbone_answers_after_its_latency(pipelined):
    space = SPACES[0]
    twin = wishbone.Wishbone(space, pipelined=pipelined)
    inputs = steady(twin.ports, 20, wb_cyc=1, wb_sel=15, bus_data=7)
    inputs["wb_stb"][3 : 4 if pipelined else 4 + wishbone.latency(space)] = 1
    inputs["wb_adr"][:] = 5
    out = twin.run(inputs)
    assert np.flatnonzero(out["wb_ack"]).tolist() == [3 + wishbone.latency(space)]
    assert out["wb_dat_r"].max() == 7
    inputs["wb_adr"][:] = 4
    out = twin.run(inputs)
    assert np.flatnonzero(out["wb_err"]).tolist() == [3 + wishbone.latency(space)]
    assert not (out["wb_ack"] | out["wb_dat_r"] | out["bus_read"]).any()
