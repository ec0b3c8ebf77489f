"""What a node is made of on a device: multiplier, accumulating adder, registers that stay apart.

A technology is one small file here. `generic` is Verilog that any tool takes; the others are made
of a vendor's own cells. All have the same latency, so that one twin serves them all, and a design
says which it wants: `hdl.Array(config, cells=CELLS["ecp5"])`.
"""

from hdl.cells.base import MULTIPLIER_LATENCY, SUM_LATENCY, Cells
from hdl.cells.ecp5 import Ecp5
from hdl.cells.generic import Generic
from hdl.cells.gowin import Gowin
from hdl.cells.ice40 import Ice40
from hdl.cells.xilinx import Xilinx

#: Every technology, by name.
CELLS: dict[str, Cells] = {
    cells.name: cells for cells in (Generic(), Ecp5(), Ice40(), Gowin(), Xilinx())
}

__all__ = [
    "CELLS",
    "MULTIPLIER_LATENCY",
    "SUM_LATENCY",
    "Cells",
    "Ecp5",
    "Generic",
    "Gowin",
    "Ice40",
    "Xilinx",
]
