"""Nests of loops in gates; loops are listed from the outermost on.

Counts are stored less one, so a loop is in its last iteration if its counter equals its count.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value


def last_iterations(
    m: Module, instruction: Any, loops: Sequence[Any], counters: Sequence[Value], name: str
) -> list[Value]:
    """Return whether each loop is in its last iteration.

    Where the loops over chunks, all but the first, are in their last ones, the first loop inside a
    chunk has `last_count` iterations.

    Parameters
    ----------
    m, name
        Module and name of the signals.
    instruction
        The instruction, for `levels` and `last_count`.
    loops, counters
        Its loops, and their counters.
    """
    most = (1 << len(instruction.levels)) - 1
    ends: list[Value] = []
    for k, (loop, counter) in enumerate(zip(loops, counters, strict=True)):
        count = loop.count
        if 1 <= k <= most:
            short = (instruction.levels == k) & Cat(C(1), *ends[1:k]).all()
            count = Mux(short, instruction.last_count, count)
        end = Signal(name=f"{name}_{k}")
        m.d.comb += end.eq(counter == count)
        ends.append(end)
    return ends


def chunk_ends(instruction: Any, ends: Sequence[Value]) -> Value:
    """Return whether all loops inside a chunk are in their last iterations."""
    return Cat((instruction.levels > k) | end for k, end in enumerate(ends)).all()


def lanes_there(last: Any, ends: Sequence[Value]) -> Value:
    """Return the lanes of a block, less one: those of the last block, or all that there may be."""
    block = Cat(~last.loops[k] | end for k, end in enumerate(ends)).all() & last.loops.any()
    return Mux(block, last.lanes, (1 << len(last.lanes)) - 1)


def advance(
    m: Module,
    ends: Sequence[Value],
    counters: Sequence[Signal],
    starts: Sequence[Iterable[Signal]],
    following: Sequence[Iterable[Value]],
) -> None:
    """Take a step: of the innermost loop that is not in its last iteration; those inside it begin
    again.

    Parameters
    ----------
    m
        Module that gets the registers.
    ends, counters
        Whether each loop is in its last iteration, and its counter.
    starts
        Registers of each loop: where its iteration began.
    following
        Values of these after a step of the loop.
    """
    for k, values in enumerate(following):
        with m.If(Cat(~ends[k], *ends[k + 1 :]).all()):
            m.d.sync += counters[k].eq(counters[k] + 1)
            m.d.sync += [counter.eq(0) for counter in counters[k + 1 :]]
            for registers in starts[k:]:
                m.d.sync += [start.eq(value) for start, value in zip(registers, values)]
