"""The hardware units, as Amaranth components. Each has its twin of the same name in `golden`."""

from hdl.array import Array
from hdl.bank import Bank
from hdl.buffer import Buffer
from hdl.core.banks import Banks, RowStore
from hdl.core.move_nest import MoveNest
from hdl.core.nest import ProductNest
from hdl.core.operands import OperandStream
from hdl.core.pass_nest import PassNest
from hdl.lfsr import Lfsr
from hdl.macc import Macc
from hdl.mask import Mask
from hdl.output_error import OutputError
from hdl.pool import Pool
from hdl.quantize import (
    ActivationQuantizer,
    ErrorQuantizer,
    GridUpdate,
    MomentumUpdate,
    ShiftExponent,
    SignQuantizer,
    ThresholdQuantizer,
    WeightQuantizer,
    WeightUpdate,
)
from hdl.rounder import Rounder
from hdl.softmax import Softmax
from hdl.unpool import Unpool

__all__ = [
    "ActivationQuantizer",
    "Array",
    "Bank",
    "Banks",
    "Buffer",
    "ErrorQuantizer",
    "GridUpdate",
    "Lfsr",
    "Macc",
    "Mask",
    "MomentumUpdate",
    "MoveNest",
    "OperandStream",
    "OutputError",
    "PassNest",
    "Pool",
    "ProductNest",
    "Rounder",
    "RowStore",
    "ShiftExponent",
    "SignQuantizer",
    "Softmax",
    "ThresholdQuantizer",
    "Unpool",
    "WeightQuantizer",
    "WeightUpdate",
]
