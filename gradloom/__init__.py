"""gradloom: training hardware for low-precision neural networks,
held to a NumPy model at every clock.
"""

from golden.port import Port
from gradloom.compare import Comparison, Difference, compare
from gradloom.ports import TopLevel, flatten
from gradloom.simulators import prepare, simulate
from gradloom.stimulus import random_inputs
from gradloom.units import UNITS, Unit
from gradloom.verilog import verilog

__all__ = [
    "UNITS",
    "Comparison",
    "Difference",
    "Port",
    "TopLevel",
    "Unit",
    "compare",
    "flatten",
    "prepare",
    "random_inputs",
    "simulate",
    "verilog",
]
