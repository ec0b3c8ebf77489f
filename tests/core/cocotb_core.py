"""A host of a generated core, which knows its folder alone: JSON and memory files."""

import itertools
import json
import os
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)

FOLDER, NAME, SEED = Path(os.environ["FOLDER"]), os.environ["NAME"], int(os.environ["SEED"])
ABOUT = json.loads((FOLDER / f"{NAME}.json").read_text(encoding="utf-8"))
REGISTERS = {register["name"]: register for register in ABOUT["registers"]}


def lines(end):
    text = (FOLDER / f"{NAME}{end}").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if not line.startswith("//")]


def frames(end):
    """Packets of a file of beats, in bytes."""
    found, packet = [], b""
    for line in lines(end):
        last, data = line.split("_")
        packet += bytes.fromhex(data)[::-1]
        if last == "1":
            found.append(packet)
            packet = b""
    assert not packet
    return found


def pauses(seed):
    dice = random.Random(seed)
    return (dice.random() < 0.4 for _ in itertools.count())


class Host:
    """Rules a core through AXI4-Lite.

    Parameters
    ----------
    dut
        The core.
    """

    def __init__(self, dut):
        self.bus = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.clk, dut.rst)
        for number, channel in enumerate(
            [
                self.bus.write_if.aw_channel,
                self.bus.write_if.w_channel,
                self.bus.write_if.b_channel,
                self.bus.read_if.ar_channel,
                self.bus.read_if.r_channel,
            ]
        ):
            channel.set_pause_generator(pauses(SEED + number))

    async def write(self, name, value):
        await self.bus.write_dword(REGISTERS[name]["address"], value & 0xFFFF_FFFF)

    async def read(self, name):
        return await self.bus.read_dword(REGISTERS[name]["address"])

    async def load(self, program):
        """Make a program the next one."""
        words = [int(word, 16) for word in lines("_program.mem")]
        engines = ("array", "vector", "in", "out")
        lists = {part["engine"]: part for part in ABOUT["programs"][program]}
        for number, engine in enumerate(engines):
            part = lists.get(engine, {"at": 0, "words": 0, "last": 0, "total": 0})
            await self.write("program_at", number << 24)
            for word in words[part["at"] :][: part["words"]]:
                await self.write("program", word)
            await self.write(f"first_{engine}", 0)
            await self.write(f"last_{engine}", part["last"])
            await self.write(f"total_{engine}", part["total"])
        mask = sum((engine in lists) << number for number, engine in enumerate(engines))
        await self.write("engines", mask)

    async def run(self, steps):
        """Carry it out."""
        await self.write("steps", steps)
        await self.write("control", 1)
        while await self.read("status") & 1:
            pass
        assert await self.read("fault") == 0
        assert await self.read("steps_done") == steps


@cocotb.test()
async def a_host_trains(dut):
    cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
    host = Host(dut)
    source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.clk, dut.rst)
    sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.clk, dut.rst)
    source.set_pause_generator(pauses(SEED + 10))
    sink.set_pause_generator(pauses(SEED + 11))
    dut.rst.value = 1
    await ClockCycles(dut.clk, 4)
    dut.rst.value = 0
    await RisingEdge(dut.clk)
    design = await host.read("design_high") << 32 | await host.read("design_low")
    assert f"{design:016x}" == ABOUT["design"]
    await host.load("load")
    samples = frames("_tb_in.mem")
    for packet in [*frames("_weights.mem"), *samples]:
        await source.send(AxiStreamFrame(packet))
    await host.run(1)
    await host.load("train")
    rates = dict(ABOUT["recipe"]["rates"])
    await host.write("rate_step", 0)
    await host.write("rate", rates[1] & 0xF)
    await host.run(len(samples))
    assert await host.read("undefined") == 0
    await host.load("dump")
    await host.run(1)
    for packet in frames("_tb_out.mem"):
        assert bytes((await sink.recv()).tdata) == packet
    assert sink.empty() and source.empty()
