"""What a cocotb bench asks of the scoreboard, on a counter in Verilog; run by test_cocotb.py."""

import random

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from toys import Counter, CounterTwin

import golden
from gradloom.cocotb import Scoreboard


def scoreboard(dut, **settings):
    return Scoreboard(dut, CounterTwin(), ports=Counter(), **settings)


async def start(dut, resets=3):
    """Clock and reset; without a reset, registers stay unknown until the caller sets them."""
    dut.fault.value = 0
    dut.rst.value = int(resets > 0)
    dut.enable.value = 1
    cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
    await ClockCycles(dut.clk, max(resets, 1))
    dut.rst.value = 0


async def enable(dut, clocks, reset_every=0):
    for clock in range(clocks):
        dut.enable.value = random.getrandbits(1)
        dut.rst.value = int(reset_every and clock % reset_every == reset_every - 1)
        await RisingEdge(dut.clk)


@cocotb.test()
async def an_unknown_output_is_a_difference(dut):
    board = scoreboard(dut)  # of the first test, before any reset
    await start(dut, resets=0)
    await enable(dut, 10)
    with pytest.raises(AssertionError, match=r"cycle 0 .*, port count: expected 3, got x"):
        board.finish()


@cocotb.test()
async def agreement_is_returned(dut):
    board = scoreboard(dut)
    await start(dut)
    await enable(dut, 100, reset_every=30)
    comparison = board.finish()
    assert comparison is board.comparison
    assert comparison.recorded.reset
    assert comparison.recorded.first == 3
    # Whether the edge at which the bench ends is sampled before that is open.
    assert comparison.clocks in (99, 100, 101)
    assert comparison.values == 2 * comparison.clocks
    assert comparison.simulator.startswith("cocotb on ")
    assert comparison.recorded.scope == "counter"


@cocotb.test()
async def a_difference_ends_the_block(dut):
    with pytest.raises(AssertionError) as found, scoreboard(dut):
        await start(dut)
        await enable(dut, 20)
        dut.fault.value = 1
        await RisingEdge(dut.clk)
        dut.fault.value = 0
        await enable(dut, 20)
    lines = str(found.value).splitlines()
    # Edges 0 to 2 see the reset, 3 to 22 the random enables, 23 the fault; it shows at 24.
    assert lines[0].startswith("CounterTwin: cycle 24 ("), lines
    assert " ns), port count: expected " in lines[0]
    assert "counter: compared from cycle 3" in lines[2]


@cocotb.test()
async def the_benchs_own_error_goes_first(dut):
    with pytest.raises(KeyError), scoreboard(dut):
        await start(dut)
        raise KeyError


@cocotb.test()
async def an_unknown_input_that_matters_is_an_error(dut):
    board = scoreboard(dut)
    await start(dut)
    await enable(dut, 10)
    dut.enable.value = cocotb.types.Logic("X")
    await RisingEdge(dut.clk)
    dut.enable.value = 0
    await ClockCycles(dut.clk, 2)
    with pytest.raises(ValueError, match=r"input enable has unknown bits .* at cycle 13 \("):
        board.finish()


@cocotb.test()
async def long_runs_are_compared_in_pieces(dut):
    board = scoreboard(dut)
    await start(dut)
    await enable(dut, 10_000, reset_every=3_333)
    assert board._samples.clocks < 3_400  # what lies before a reset is forgotten
    await enable(dut, 5_000)
    assert board.finish().clocks in (14_999, 15_000, 15_001)


@cocotb.test(expect_error=AssertionError)
async def a_long_run_ends_soon_after_a_difference(dut):
    scoreboard(dut)
    await start(dut)
    dut.fault.value = 1
    await RisingEdge(dut.clk)
    dut.fault.value = 0
    await ClockCycles(dut.clk, 5_000)
    raise KeyError("the scoreboard has not ended the test")


@cocotb.test()
async def what_is_not_the_unit_is_refused(dut):
    with pytest.raises(ValueError, match="counter has no port i_valid"):
        Scoreboard(dut, golden.Array(golden.ArrayConfig(rows=2, columns=2)))
    with pytest.raises(TypeError, match="twin = the class CounterTwin: a twin is wanted"):
        Scoreboard(dut, CounterTwin, ports=Counter())
    with pytest.raises(TypeError, match="the ports of CounterTwin are not known"):
        Scoreboard(dut, CounterTwin())
    with pytest.raises(ValueError, match="there is no clock after a reset"):
        scoreboard(dut).finish()
