"""The systolic array: `array` accepts tiles, `edges` skews operands, `grid` is the nodes, `foot`
rounds and buffers rows.
"""

from hdl.array.array import Array

__all__ = ["Array"]
