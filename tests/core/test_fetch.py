"""The list of an engine by itself: when its chunks may begin, and what it refuses."""

from dataclasses import replace

import pytest
from amaranth.sim import Simulator

from golden.core.config import CoreConfig
from golden.core.field import encode, words_of
from golden.core.isa import (
    INSTRUCTIONS,
    Engine,
    Function,
    Move,
    MoveInstruction,
    MoveLoop,
    Opcode,
    PassLoop,
    VectorInstruction,
    Wait,
)
from hdl.core.fetch import Fetch

#: Chunks of the instruction that waits, and its wait.
CHUNKS = 8
WAIT = Wait(on=True, count=5, slope=3)


def simulated(dut, bench):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


async def written(ctx, dut, words):
    """Write words into the list, one in each clock."""
    ctx.set(dut.write, 1)
    for place, word in enumerate(words):
        ctx.set(dut.to, place)
        ctx.set(dut.value, word)
        await ctx.tick()
    ctx.set(dut.write, 0)


async def begun(ctx, dut):
    ctx.set(dut.start, 1)
    await ctx.tick()
    ctx.set(dut.start, 0)


def list_of(engine):
    """A list whose engine takes 3 clocks to settle, as those of passes and movers do."""
    return Fetch(CoreConfig(), engine, 3)


@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize("engine", [Engine.VECTOR, Engine.IN, Engine.OUT])
def test_each_chunk_has_the_limit_of_its_own_wait(engine, which):
    """Of an instruction that is taken as early as can be, right behind another one. Each chunk may
    begin two clocks after its count is shown, and not before.
    """
    waits = tuple(WAIT if k == which else Wait() for k in range(3))
    if engine is Engine.VECTOR:
        plain = VectorInstruction(function=Function.CLASSIFY, settle=True)
        made = replace(plain, loops=(PassLoop(count=CHUNKS), *plain.loops[1:]), waits=waits)
    else:
        plain = MoveInstruction(move=Move.SAMPLES if engine is Engine.IN else Move.SCORES)
        made = replace(plain, loops=(MoveLoop(count=CHUNKS), *plain.loops[1:]), waits=waits)
    other = replace(plain, waits=tuple(Wait(on=True, count=0, slope=100) for _ in range(3)))
    dut, size = list_of(engine), words_of(INSTRUCTIONS[engine])

    async def bench(ctx):
        await written(ctx, dut, encode(other) + encode(made))
        for port, value in ((dut.last, size), (dut.used, 1), (dut.limit, 1), (dut.settled, 1)):
            ctx.set(port, value)
        await begun(ctx, dut)
        ctx.set(dut.commands.wants, 1)
        ctx.set(dut.commands.free, 1)
        clocks = []
        for number in range(2):
            if number:
                ctx.set(dut.counts[which], WAIT.count)
            clock = 0
            while not ctx.get(dut.commands.ready) and clock < 100:
                await ctx.tick()
                clock += 1
            clocks.append(clock)
            ctx.set(dut.commands.takes, 1)
            await ctx.tick()
            ctx.set(dut.commands.takes, 0)
        # Taken at once: its first clock is the one after these, `config.fetch` after the other's.
        assert clocks == [size + 3, size + 3]
        ctx.set(dut.commands.wants, 0)
        ctx.set(dut.commands.free, 0)
        ctx.set(dut.commands.continues, 1)
        for chunk in range(1, CHUNKS):
            limit = WAIT.count + WAIT.slope * chunk
            ctx.set(dut.counts[which], limit - 1)
            await ctx.tick().repeat(3)
            assert not ctx.get(dut.commands.passes), chunk
            ctx.set(dut.counts[which], limit)
            await ctx.tick()
            assert ctx.get(dut.commands.passes), chunk
            ctx.set(dut.commands.begins, 1)
            await ctx.tick()
            ctx.set(dut.commands.begins, 0)

    simulated(dut, bench)


@pytest.mark.parametrize("early", [0, 1, 2])
def test_a_start_drops_what_was_loaded_before(early):
    """An illegal instruction of the program before is complete some clocks before a start, in the
    list of which it is replaced.
    """
    dut, size = list_of(Engine.IN), words_of(INSTRUCTIONS[Engine.IN])
    legal = MoveInstruction()

    async def bench(ctx):
        await written(ctx, dut, encode(replace(legal, opcode=Opcode.ILLEGAL)))
        for port, value in ((dut.used, 1), (dut.limit, 1)):
            ctx.set(port, value)
        await begun(ctx, dut)
        for clock in range(size + early):
            if clock == 4:  # its first word has been read
                await written(ctx, dut, encode(legal)[:1])
            else:
                await ctx.tick()
            at_loaded.append(ctx.get(dut.loaded))
        seen.append(ctx.get(dut.refused))
        await begun(ctx, dut)
        for _ in range(size + 6):
            seen.append(ctx.get(dut.refused))
            await ctx.tick()

    at_loaded: list[int] = []
    seen: list[int] = []
    simulated(dut, bench)
    assert at_loaded == [0] * (size - 1) + [1] + [0] * early
    assert seen == [early == 2] + [0] * (size + 6)
