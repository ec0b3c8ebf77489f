"""How many block RAMs a self-test takes."""

from typing import Any

from amaranth.hdl import Shape

from boards.board import Board
from boards.selftest.checks import Check

#: Bits from which on a buffer is counted as block RAM.
BUFFER_BITS = 256
#: The most bytes that the texts take.
TEXT_BYTES = 512


def memory_budget(board: Board, checks: list[Check]) -> dict[str, int]:
    """Block RAMs of the memories of a self-test, by what they hold.

    Raises
    ------
    ValueError
        They are more than the board has.
    """
    budget: dict[str, int] = {}
    blocks = board.device.family.block_rams
    for each in checks:
        unit: Any = each.component()
        operands, results = each.depth
        ports = sum(
            Shape.cast(unit.signature.members[name].shape).width
            for name in each.operands
            if name in unit.signature.members
        )
        operand = Shape.cast(unit.i.payload.shape()).width + ports
        result = Shape.cast(unit.o.payload.shape()).width
        budget[f"{each.name} operands"] = blocks(operand, operands)
        budget[f"{each.name} results"] = blocks(result, results)
        # Its output buffer, unless it is so small that synthesis takes registers.
        if result * each.latency >= BUFFER_BITS:
            budget[f"{each.name} buffer"] = blocks(result, each.latency)
    budget["texts"] = blocks(8, TEXT_BYTES)
    total = sum(budget.values())
    if total > board.device.block_rams:
        parts = " + ".join(f"{name} {number}" for name, number in budget.items())
        raise ValueError(
            f"{board.name}: the self-test takes {parts} = {total} of the "
            f"{board.device.block_rams} block RAMs of an {board.device.part}: "
            "fewer operands or a smaller array are wanted"
        )
    return budget
