"""Quantizers in integers: WAGE's for weights, activations, errors and gradients (Wu et al. 2018),
with their twins, HWGQ's by thresholds (Cai et al. 2017) and BNN's sign (Hubara et al. 2016).
with their twins, and the thresholds of HWGQ (`golden.quantize.threshold`). Gupta's update with
momentum (Gupta et al. 2015), and those of weights on a grid (Li et al. 2017).

A code n of k bits stands for the real number n / 2^(k - 1); k is k_G for weights, k_A for
activations and k_E for errors. The functions take whole tensors. Training calls them; the twins
call them too, and add the clock of each result.
"""

from golden.quantize.activation import (
    ActivationQuantizer,
    ActivationQuantizerConfig,
    quantize_activation,
)
from golden.quantize.error import ErrorQuantizer, ErrorQuantizerConfig, quantize_error
from golden.quantize.exponent import ShiftExponent, ShiftExponentConfig, shift_exponent
from golden.quantize.grid import GridUpdate, grid_update
from golden.quantize.grid_config import GridRule, GridUpdateConfig
from golden.quantize.momentum import MomentumUpdate, momentum_update
from golden.quantize.momentum_config import MomentumUpdateConfig
from golden.quantize.scale import limit
from golden.quantize.sign import SignQuantizer, SignQuantizerConfig, quantize_sign
from golden.quantize.threshold import ThresholdQuantizer, ThresholdQuantizerConfig
from golden.quantize.update import RATE_BITS, WeightUpdate, WeightUpdateConfig, update_weight
from golden.quantize.weight import WeightQuantizer, WeightQuantizerConfig, alpha_exponent, ternarise

__all__ = [
    "RATE_BITS",
    "ActivationQuantizer",
    "ActivationQuantizerConfig",
    "ErrorQuantizer",
    "ErrorQuantizerConfig",
    "GridRule",
    "GridUpdate",
    "GridUpdateConfig",
    "MomentumUpdate",
    "MomentumUpdateConfig",
    "ShiftExponent",
    "ShiftExponentConfig",
    "SignQuantizer",
    "SignQuantizerConfig",
    "ThresholdQuantizer",
    "ThresholdQuantizerConfig",
    "WeightQuantizer",
    "WeightQuantizerConfig",
    "WeightUpdate",
    "WeightUpdateConfig",
    "alpha_exponent",
    "grid_update",
    "limit",
    "momentum_update",
    "quantize_activation",
    "quantize_error",
    "quantize_sign",
    "shift_exponent",
    "ternarise",
    "update_weight",
]
