"""Quantizers in integers: WAGE's for weights, activations, errors and gradients (Wu et al. 2018),
with their twins, HWGQ's by thresholds (Cai et al. 2017) and BNN's sign (Hubara et al. 2016).

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
    "limit",
    "quantize_activation",
    "quantize_error",
    "quantize_sign",
    "shift_exponent",
    "ternarise",
    "update_weight",
]
