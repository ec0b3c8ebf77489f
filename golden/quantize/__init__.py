"""WAGE in integers (Wu et al. 2018): the quantizers of weights, activations, errors and gradients,
and their twins; and the thresholds of HWGQ (`golden.quantize.threshold`).

Reals are codes over a power of two: weights n / 2^(k_G - 1), activations and errors over 2^(k - 1)
of their own k. The functions take whole tensors; training calls them, and the twins say at which
clock the same numbers appear.
"""

from golden.quantize.activation import (
    ActivationQuantizer,
    ActivationQuantizerConfig,
    quantize_activation,
)
from golden.quantize.error import ErrorQuantizer, ErrorQuantizerConfig, quantize_error
from golden.quantize.exponent import ShiftExponent, ShiftExponentConfig, shift_exponent
from golden.quantize.scale import limit
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
    "WeightQuantizer",
    "WeightQuantizerConfig",
    "WeightUpdate",
    "WeightUpdateConfig",
    "alpha_exponent",
    "limit",
    "quantize_activation",
    "quantize_error",
    "shift_exponent",
    "ternarise",
    "update_weight",
]
