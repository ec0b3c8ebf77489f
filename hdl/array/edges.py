"""The left and upper edges of the array: operands enter unskewed and leave skewed.

A gap, a clock without an operand, travels from row to row and from column to column beside the
operands, so no signal drives a whole edge at once. In a gap both operands are zero. For the sums,
one zero factor would do; but in a simulation the input payload may be unknown (x) while `valid` is
low, and would make the sums unknown.
"""

from collections.abc import Sequence
from typing import NamedTuple

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data

from golden.array import ArrayConfig
from hdl.cells import Cells
from hdl.delay import delay_line


class Operands(NamedTuple):
    """Operands at the edges of the grid."""

    #: For each row, from the left.
    left: list[Value]
    #: For each column, from above the top row.
    top: list[Value]
    #: For each column of the block of multipliers in a mixed array, from above the block.
    block: list[Value]


def extra_delay(config: ArrayConfig, row: int, column: int) -> int:
    """Return the clocks by which a node's operands are delayed in addition to the skew, so that
    nodes with a shorter pipeline have the same markers.
    """
    return config.macc.product_latency - config.node(row, column).product_latency


def ternary_or_code(code: Value, multiply: Value) -> Value:
    """Return what the block of a mixed array multiplies by: `code` if `multiply` is high, else the
    value of its low two bits, -1, 0 or 1, where -2 counts as 0.
    """
    sign = (code[1] & code[0]).replicate(len(code) - 1)
    return Mux(multiply, code, Cat(code[0], sign).as_signed())


def skewed(
    m: Module,
    config: ArrayConfig,
    cells: Cells,
    taken: data.View,
    accepted: Value,
    ternary_valid: Value,
) -> Operands:
    """Delay the operands of row r and column c by r and c clocks and by `extra_delay`; replace
    gaps by zeros.

    Parameters
    ----------
    m
        The array's module.
    config
        The array's configuration.
    cells
        Technology of the control registers.
    taken
        The array's input payload, registered once.
    accepted
        Whether the array accepts an operand in this clock, one clock ahead of `taken`.
    ternary_valid
        Whether that operand is one for ternary nodes.

    Returns
    -------
    Operands
        Operands at the edges of the grid.
    """

    def skew(side: str, operands: Sequence[Value], delays: list[int], valid: Value) -> list[Value]:
        gap: Value = ~valid
        gaps = []
        for clock in range(max(delays) + 1):
            gap = cells.control(m, gap, f"{side}_gap_{clock}", init=1)
            gaps.append(gap)
        lanes: list[Value] = []
        for number, (operand, delay) in enumerate(zip(operands, delays, strict=True)):
            delayed = delay_line(m, operand, delay, f"{side}_skew_{number}")[-1]
            gated = Signal(Value.cast(operand).shape(), name=f"{side}_gated_{number}")
            m.d.comb += gated.eq(Mux(gaps[delay], 0, delayed))
            lanes.append(gated)
        return lanes

    rows, columns = range(config.rows), range(config.columns)
    a, b = list(taken.a), list(taken.b)
    left = skew("a", a, [row + extra_delay(config, row, 0) for row in rows], accepted)
    if config.multipliers is None:
        delays = [column + extra_delay(config, 0, column) for column in columns]
        return Operands(left, skew("b", b, delays, accepted), [])
    # A column of the block that has no ternary nodes above it needs no input for them: nothing
    # reads what is made for it here, and tools remove it.
    height, width = config.multipliers
    above_block = config.rows - height
    extra = config.macc.product_latency - config.ternary.product_latency
    ternary = [code[:2].as_signed() for code in b]
    top = skew("b", ternary, [column + extra for column in columns], ternary_valid)
    delays = [above_block + column for column in range(width)]
    return Operands(left, top, skew("block", b[:width], delays, accepted))
