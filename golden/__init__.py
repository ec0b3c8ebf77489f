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
from golden.mask import Mask, MaskConfig
from golden.output_error import OutputError, OutputErrorConfig
from golden.pool import Pool, PoolConfig
from golden.quantize import (
    ActivationQuantizer,
    ActivationQuantizerConfig,
    ErrorQuantizer,
    ErrorQuantizerConfig,
    GridUpdate,
    GridUpdateConfig,
    MomentumUpdate,
    MomentumUpdateConfig,
    ShiftExponent,
    ShiftExponentConfig,
    SignQuantizer,
    SignQuantizerConfig,
    ThresholdQuantizer,
    ThresholdQuantizerConfig,
    WeightQuantizer,
    WeightQuantizerConfig,
    WeightUpdate,
    WeightUpdateConfig,
)
from golden.rounder import Rounder, RounderConfig
from golden.softmax import Softmax, SoftmaxConfig
from golden.unpool import Unpool, UnpoolConfig

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
    "GridUpdate",
    "GridUpdateConfig",
    "Lfsr",
    "LfsrConfig",
    "Macc",
    "MaccConfig",
    "Mask",
    "MaskConfig",
    "MomentumUpdate",
    "MomentumUpdateConfig",
    "MoveNest",
    "MoveNestConfig",
    "OperandStream",
    "OperandStreamConfig",
    "OutputError",
    "OutputErrorConfig",
    "PassNest",
    "PassNestConfig",
    "Pool",
    "PoolConfig",
    "ProductNest",
    "ProductNestConfig",
    "Rounder",
    "RounderConfig",
    "Rounding",
    "RowStore",
    "RowStoreConfig",
    "ShiftExponent",
    "ShiftExponentConfig",
    "SignQuantizer",
    "SignQuantizerConfig",
    "Softmax",
    "SoftmaxConfig",
    "ThresholdQuantizer",
    "ThresholdQuantizerConfig",
    "Unpool",
    "UnpoolConfig",
    "WeightQuantizer",
    "WeightQuantizerConfig",
    "WeightUpdate",
    "WeightUpdateConfig",
]
