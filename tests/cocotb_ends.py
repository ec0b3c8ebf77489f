"""Benches with a fault in the hardware that end before anybody looks at the scoreboard.

Run by test_cocotb.py: those that begin with `fails` must fail.
"""

import cocotb
from cocotb.triggers import ClockCycles, Timer
from cocotb_counter import enable, scoreboard, start


async def faulty(dut, clocks=20):
    """Reset, stimulus, one wrong value, more stimulus."""
    await start(dut)
    await enable(dut, 20)
    dut.fault.value = 1
    await ClockCycles(dut.clk, 1)
    dut.fault.value = 0
    await enable(dut, clocks)


async def right(dut):
    await start(dut)
    await enable(dut, 20)


async def watch(dut):
    """Compare until cancelled."""
    with scoreboard(dut):
        await Timer(1, unit="sec")


@cocotb.test()
async def fails_by_pass_test(dut):
    with scoreboard(dut):
        await faulty(dut)
        cocotb.pass_test("done")


@cocotb.test()
async def fails_in_a_task_that_the_end_of_the_test_cuts_off(dut):
    cocotb.start_soon(watch(dut))
    await faulty(dut)


@cocotb.test()
async def fails_in_such_a_task_with_pass_test(dut):
    cocotb.start_soon(watch(dut))
    await faulty(dut)
    cocotb.pass_test("done")


@cocotb.test()
async def fails_in_a_task_that_another_one_waits_for(dut):
    task = cocotb.start_soon(watch(dut))

    async def wait():
        await task

    cocotb.start_soon(wait())
    await faulty(dut)


@cocotb.test()
async def fails_in_a_task_that_is_cancelled(dut):
    task = cocotb.start_soon(watch(dut))
    await faulty(dut)
    task.cancel()
    await ClockCycles(dut.clk, 5)


@cocotb.test()
async def fails_though_the_task_is_waited_for_and_its_error_dropped(dut):
    task = cocotb.start_soon(watch(dut))
    await faulty(dut)
    task.cancel()
    try:
        await task
    except BaseException:
        await ClockCycles(dut.clk, 5)


@cocotb.test()
async def fails_without_finish(dut):
    scoreboard(dut)
    await faulty(dut)


@cocotb.test(expect_error=KeyError)
async def fails_before_an_error_that_is_expected(dut):
    with scoreboard(dut):
        await faulty(dut)
        raise KeyError


@cocotb.test()
async def fails_without_finish_and_without_clocks_to_compare(dut):
    scoreboard(dut)
    await start(dut)


@cocotb.test()
async def fails_by_pass_test_without_clocks_to_compare(dut):
    with scoreboard(dut):
        await start(dut)
        cocotb.pass_test("done")


@cocotb.test()
async def fails_without_any_output(dut):
    with scoreboard(dut):
        await start(dut)
        dut.enable.value = 0
        await ClockCycles(dut.clk, 50)


@cocotb.test(expect_error=AssertionError)
async def passes_if_the_difference_is_expected(dut):
    with scoreboard(dut):
        await faulty(dut, clocks=5_000)


@cocotb.test()
async def passes_without_finish(dut):
    scoreboard(dut)
    await right(dut)


@cocotb.test()
async def passes_in_a_task_that_the_end_of_the_test_cuts_off(dut):
    cocotb.start_soon(watch(dut))
    await right(dut)


@cocotb.test()
async def passes_by_pass_test(dut):
    with scoreboard(dut):
        await right(dut)
        cocotb.pass_test("done")


@cocotb.test(expect_error=KeyError)
async def passes_with_an_error_that_is_expected(dut):
    with scoreboard(dut):
        await right(dut)
        raise KeyError
