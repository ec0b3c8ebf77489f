"""Nests of loops in gates; loops are listed from the outermost on.

Counts are stored less one, so a count is that of the iterations after the first one.
"""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value

from hdl.delay import registered


def chunk_ends(instruction: Any, ends: Sequence[Value]) -> Value:
    """Return whether all loops inside a chunk are in their last iterations."""
    most = (1 << len(instruction.levels)) - 1
    return Cat(
        (instruction.levels > k) | end if k < most else end for k, end in enumerate(ends)
    ).all()


def lanes_there(last: Any, ends: Sequence[Value]) -> Value:
    """Return the lanes of a block, less one: those of the last block, or all that there may be."""
    block = Cat(~last.loops[k] | end for k, end in enumerate(ends)).all() & last.loops.any()
    return Mux(block, last.lanes, (1 << len(last.lanes)) - 1)


class Countdown:
    """Counters of nested loops, with flags instead of comparisons: a step takes one short clock.

    Each loop has the iterations that are left after this one, and registers that say whether there
    are none or one. They follow an instruction's `loops`, `levels` and `last_count`: where the
    loops over chunks, all but the first, are in their last iterations, the first loop inside a
    chunk has `last_count` iterations.

    Parameters
    ----------
    m, name
        Module that gets the registers, and beginning of their names.
    coming, now
        The instruction whose loops are begun next, and the one whose loops have been begun.

    Attributes
    ----------
    ends : list of Signal
        Whether each loop is in its last iteration.
    choice : list of Value
        The loop that takes a step, if one does: one bit, or none if all loops end.
    """

    def __init__(self, m: Module, coming: Any, now: Any, name: str):
        self._m = m
        self._coming, self._now = coming, now
        loops = coming.loops.shape().length
        self._left = [Signal(16, name=f"{name}_left_{k}", reset_less=True) for k in range(loops)]
        self._near = [Signal(name=f"{name}_near_{k}", reset_less=True) for k in range(loops)]
        self.ends = [Signal(name=f"{name}_{k}") for k in range(loops)]
        self.choice = [Cat(~end, *self.ends[k + 1 :]).all() for k, end in enumerate(self.ends)]
        # Counts, and whether they are none or one: of the instruction that is begun next, and of
        # the one that has been begun.
        self._first, self._counts = (
            [*(loop.count for loop in instruction.loops), instruction.last_count]
            for instruction in (coming, now)
        )
        self._first_none = [
            registered(m, count == 0, f"first_none_{k}", reset_less=False)
            for k, count in enumerate(self._first)
        ]
        self._first_one = [
            registered(m, count == 1, f"first_one_{k}") for k, count in enumerate(self._first)
        ]
        counts = range(len(self._first))
        self._none = [Signal(name=f"none_{k}", reset_less=True) for k in counts]
        self._one = [Signal(name=f"one_{k}", reset_less=True) for k in counts]

    def load(self) -> None:
        """Begin with the first iterations: statements inside of an m.If.

        The instruction has been there for a clock, and is `now` from the next one on.
        """
        m = self._m
        m.d.sync += [each.eq(first) for each, first in zip(self._none, self._first_none)]
        m.d.sync += [each.eq(first) for each, first in zip(self._one, self._first_one)]
        for k in range(len(self.ends)):
            short = self._short(self._coming.levels, k, self._first_none)
            m.d.sync += [
                self._left[k].eq(Mux(short, self._first[-1], self._first[k])),
                self._near[k].eq(Mux(short, self._first_one[-1], self._first_one[k])),
                self.ends[k].eq(Mux(short, self._first_none[-1], self._first_none[k])),
            ]

    @staticmethod
    def _short(levels: Value, k: int, ends: Sequence[Value]) -> Value:
        """Return whether loop k begins with the last count, by the flags of the others."""
        if not 1 <= k < 1 << len(levels):
            return C(0, 1)
        return (levels == k) & Cat(C(1), *ends[1:k]).all()

    def step(self) -> None:
        """Take a step: statements inside of an m.If. Behind the last one the loops begin anew."""
        m = self._m
        # A loop moves where all those inside it end: it takes a step, or begins anew. The flags
        # afterwards, but for the loop with the last count; none before it has that.
        moves = [Cat(C(1), *self.ends[k + 1 :]).all() for k in range(len(self.ends))]
        after: list[Value] = [
            Mux(moves[k], Mux(end, self._none[k], self._near[k]), end)
            for k, end in enumerate(self.ends)
        ]
        for k, end in enumerate(self.ends):
            short = self._short(self._now.levels, k, after)
            with m.If(moves[k]):
                with m.If(end):
                    m.d.sync += [
                        self._left[k].eq(Mux(short, self._counts[-1], self._counts[k])),
                        self._near[k].eq(Mux(short, self._one[-1], self._one[k])),
                        end.eq(Mux(short, self._none[-1], self._none[k])),
                    ]
                with m.Else():
                    m.d.sync += [
                        self._left[k].eq(self._left[k] - 1),
                        self._near[k].eq(self._left[k] == 2),
                        end.eq(self._near[k]),
                    ]
