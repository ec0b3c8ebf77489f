"""gradloom: training hardware for low-precision neural networks, and a NumPy model to compare it
with at every clock.

This module has the names for users: the hardware units of `hdl`, simulators, the comparison of a
component with its twin, Verilog of any component. Names are imported when they are first used, so
that `import gradloom` is quick.
"""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gradloom.neighbours import hidden

if TYPE_CHECKING:
    from golden.port import Port
    from gradloom.comparison.compare import compare
    from gradloom.comparison.report import Comparison, Difference
    from gradloom.rtl.verilog import verilog
    from gradloom.sim import Environment, Host, Memory, Poll, Read, Sink, Source, Wait, Watch, Write
    from gradloom.sim.simulation import Simulation
    from gradloom.sim.simulators import prepare, simulate
    from gradloom.sim.stimulus import random_inputs, usual_inputs
    from gradloom.sim.toplevel import TopLevel, flatten
    from gradloom.units import UNITS, Unit, twin_of
    from hdl import (
        ActivationQuantizer,
        Array,
        Bank,
        Banks,
        Buffer,
        ErrorQuantizer,
        GridUpdate,
        Lfsr,
        Macc,
        Mask,
        MomentumUpdate,
        MoveNest,
        OperandStream,
        OutputError,
        PassNest,
        Pool,
        ProductNest,
        Rounder,
        RowStore,
        ShiftExponent,
        SignQuantizer,
        Softmax,
        ThresholdQuantizer,
        Unpool,
        WeightQuantizer,
        WeightUpdate,
    )
    from hdl.layout import payload

if _hidden := hidden():
    # The command says it in one line: as `python -m gradloom`, which is found just now, or as the
    # script `gradloom`.
    if os.path.basename(next(iter(sys.argv), "")) in ("-m", "gradloom"):
        print(f"gradloom: {_hidden}", file=sys.stderr)
        sys.exit(2)
    raise ImportError(_hidden)

#: Module to the names that are imported from it.
_HOMES = {
    "golden.port": "Port",
    "gradloom.comparison.compare": "compare",
    "gradloom.comparison.report": "Comparison Difference",
    "gradloom.rtl.verilog": "verilog",
    "gradloom.sim": "Environment Host Memory Poll Read Sink Source Wait Watch Write",
    "gradloom.sim.simulation": "Simulation",
    "gradloom.sim.simulators": "prepare simulate",
    "gradloom.sim.stimulus": "random_inputs usual_inputs",
    "gradloom.sim.toplevel": "TopLevel flatten",
    "gradloom.units": "UNITS Unit twin_of",
    "hdl": "ActivationQuantizer Array Bank Banks Buffer ErrorQuantizer GridUpdate Lfsr Macc Mask "
    "MomentumUpdate MoveNest OperandStream OutputError PassNest Pool ProductNest Rounder "
    "RowStore ShiftExponent SignQuantizer Softmax ThresholdQuantizer Unpool "
    "WeightQuantizer WeightUpdate",
    "hdl.layout": "payload",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = [
    "UNITS",
    "ActivationQuantizer",
    "Array",
    "Bank",
    "Banks",
    "Buffer",
    "Comparison",
    "Difference",
    "Environment",
    "ErrorQuantizer",
    "GridUpdate",
    "Host",
    "Lfsr",
    "Macc",
    "Mask",
    "Memory",
    "MomentumUpdate",
    "MoveNest",
    "OperandStream",
    "OutputError",
    "PassNest",
    "Poll",
    "Pool",
    "Port",
    "ProductNest",
    "Read",
    "Rounder",
    "RowStore",
    "ShiftExponent",
    "SignQuantizer",
    "Simulation",
    "Sink",
    "Softmax",
    "Source",
    "ThresholdQuantizer",
    "TopLevel",
    "Unit",
    "Unpool",
    "Wait",
    "Watch",
    "WeightQuantizer",
    "WeightUpdate",
    "Write",
    "compare",
    "flatten",
    "payload",
    "prepare",
    "random_inputs",
    "simulate",
    "twin_of",
    "usual_inputs",
    "verilog",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
