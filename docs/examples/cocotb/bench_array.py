"""A cocotb bench of a 2 x 2 array: it drives the unit, and leaves all checks to the scoreboard."""

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

import golden
from gradloom.cocotb import Scoreboard

#: The parameters that the Verilog was generated with.
CONFIG = golden.ArrayConfig(rows=2, columns=2)


async def start(dut):
    """Clock and reset."""
    dut.rst.value = 1
    dut.i_valid.value = 0
    dut.o_ready.value = 1
    cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
    for _ in range(3):
        await RisingEdge(dut.clk)
    dut.rst.value = 0


async def send(dut, *, last):
    """One column of A and one row of B, of random values; `last` ends the tile."""
    dut.i_valid.value = 1
    dut.i_a.value = random.getrandbits(32)
    dut.i_b.value = random.getrandbits(32)
    dut.i_last.value = last
    await RisingEdge(dut.clk)
    while not dut.i_ready.value:
        await RisingEdge(dut.clk)
    dut.i_valid.value = 0


@cocotb.test()
async def tiles_back_to_back(dut):
    """Products of 2 x 5 and 5 x 2 matrices without a gap."""
    with Scoreboard(dut, golden.Array(CONFIG)):
        await start(dut)
        for _ in range(50):
            for k in range(5):
                await send(dut, last=k == 4)
        for _ in range(30):
            await RisingEdge(dut.clk)


@cocotb.test()
async def a_consumer_that_stalls(dut):
    """The array keeps its results until they are taken, and the operands wait."""
    scoreboard = Scoreboard(dut, golden.Array(CONFIG))
    await start(dut)

    async def stall():
        while True:
            dut.o_ready.value = random.random() < 0.2
            await RisingEdge(dut.clk)

    cocotb.start_soon(stall())
    for _ in range(50):
        for k in range(5):
            await send(dut, last=k == 4)
    comparison = scoreboard.finish()
    assert comparison.clocks > 250
