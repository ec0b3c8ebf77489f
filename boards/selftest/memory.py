"""How many block RAMs a self-test takes at most."""

from math import ceil
from typing import Any

from amaranth.hdl import Shape
from amaranth.lib import data

from boards.board import Board
from boards.selftest.checks import Check, elements
from golden import ArrayConfig
from hdl.array.array import SLICE
from hdl.buffer import BLOCK
from hdl.cells import CELLS

#: The most bytes that the texts take.
TEXT_BYTES = 512
#: The most bits that the description of a number in a payload takes.
ELEMENT_BITS = 32


def memory_budget(board: Board, checks: list[Check]) -> dict[str, int]:
    """Return the block RAMs of a self-test's memories, by their use.

    This is an upper bound: synthesis may make registers or LUTs of a small memory.

    Parameters
    ----------
    board
        The board.
    checks
        The units, as from `Board.checks`.

    Raises
    ------
    ValueError
        The device has fewer.
    """
    blocks = board.device.family.block_rams
    budget: dict[str, int] = {}
    numbers = 0
    for each, config in zip(checks, board.config.units):
        unit: Any = each.component()
        operands, results = each.depth
        ports = sum(
            Shape.cast(unit.signature.members[name].shape).width
            for name in each.operands
            if name in unit.signature.members
        )
        operand = Shape.cast(unit.i.payload.shape()).width + ports
        result = Shape.cast(unit.o.payload.shape()).width
        numbers += len(elements(data.Layout.cast(unit.o.payload.shape())))
        budget[f"{each.name} operands"] = blocks(operand, operands)
        budget[f"{each.name} results"] = blocks(result, results)
        # The FIFO's memory has a power of two of words. An array with its own control registers at
        # every load has it in slices, and each slice in blocks.
        depth = 1 << (each.latency - 2).bit_length()
        if isinstance(config, ArrayConfig) and CELLS[board.device.cells].duplicate:
            slices = ceil(result / SLICE)
            parts = ceil(depth / BLOCK) if slices > 1 else 1
            number = slices * parts * blocks(ceil(result / slices), ceil(depth / parts))
        else:
            number = blocks(result, depth)
        budget[f"{each.name} buffer"] = number
    budget["texts"] = blocks(8, TEXT_BYTES)
    budget["numbers"] = blocks(ELEMENT_BITS, numbers)
    total = sum(budget.values())
    if total > board.device.block_rams:
        sum_of = " + ".join(f"{name} {number}" for name, number in budget.items())
        raise ValueError(
            f"{board.name}: the self-test takes {sum_of} = {total} of the "
            f"{board.device.block_rams} block RAMs of an {board.device.part}: "
            "fewer operands or a smaller array are wanted"
        )
    return budget
