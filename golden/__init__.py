"""The integer-exact model in NumPy: arithmetic, training, data sets, and the cycle twins of all
hardware units.
"""

from golden.array import Array, ArrayConfig
from golden.bank import Bank, BankConfig
from golden.buffer import Buffer
from golden.core.banks import Banks, BanksConfig, RowStore, RowStoreConfig
from golden.core.move_nest import MoveNest, MoveNestConfig
from golden.core.nest import ProductNest, ProductNestConfig
from golden.core.operands import OperandStream, OperandStreamConfig
from golden.core.pass_nest import PassNest, PassNestConfig
from golden.fixed import Conversion, Fixed, Rounding
from golden.lfsr import Generator, Lfsr, LfsrConfig
from golden.macc import Macc, MaccConfig
from golden.quantize import (
    ActivationQuantizer,
    ActivationQuantizerConfig,
    ErrorQuantizer,
    ErrorQuantizerConfig,
    ShiftExponent,
    ShiftExponentConfig,
    WeightQuantizer,
    WeightQuantizerConfig,
    WeightUpdate,
    WeightUpdateConfig,
)
from golden.rounder import Rounder, RounderConfig
from golden.softmax import Softmax, SoftmaxConfig

__all__ = [
    "ActivationQuantizer",
    "ActivationQuantizerConfig",
    "Array",
    "ArrayConfig",
    "Bank",
    "BankConfig",
    "Banks",
    "BanksConfig",
    "Buffer",
    "Conversion",
    "ErrorQuantizer",
    "ErrorQuantizerConfig",
    "Fixed",
    "Generator",
    "Lfsr",
    "LfsrConfig",
    "Macc",
    "MaccConfig",
    "MoveNest",
    "MoveNestConfig",
    "OperandStream",
    "OperandStreamConfig",
    "PassNest",
    "PassNestConfig",
    "ProductNest",
    "ProductNestConfig",
    "Rounder",
    "RounderConfig",
    "Rounding",
    "RowStore",
    "RowStoreConfig",
    "ShiftExponent",
    "ShiftExponentConfig",
    "Softmax",
    "SoftmaxConfig",
    "WeightQuantizer",
    "WeightQuantizerConfig",
    "WeightUpdate",
    "WeightUpdateConfig",
]
