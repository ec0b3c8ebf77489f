"""The hardware units, in Amaranth. Each has its twin of the same name in `golden`."""

from hdl.array import Array
from hdl.bank import Bank
from hdl.buffer import Buffer
from hdl.lfsr import Lfsr
from hdl.macc import Macc
from hdl.rounder import Rounder
from hdl.wage import (
    ActivationQuantizer,
    ErrorQuantizer,
    ShiftExponent,
    WeightQuantizer,
    WeightUpdate,
)

__all__ = [
    "ActivationQuantizer",
    "Array",
    "Bank",
    "Buffer",
    "ErrorQuantizer",
    "Lfsr",
    "Macc",
    "Rounder",
    "ShiftExponent",
    "WeightQuantizer",
    "WeightUpdate",
]
