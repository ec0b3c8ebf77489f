"""The technologies that nodes and rounders can be made of.

Each technology is one file. `generic` is Verilog that any tool accepts; the others instantiate a
vendor's own cells. All have the same latency, so one twin serves them all, and a design chooses
one by name: `hdl.Array(config, cells=CELLS["ecp5"])`.
"""

from hdl.cells.base import SUM_LATENCY, Cells
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
    "SUM_LATENCY",
    "Cells",
    "Ecp5",
    "Generic",
    "Gowin",
    "Ice40",
    "Xilinx",
]
