"""Quantizers in gates, WAGE's (Wu et al. 2018), HWGQ's (Cai et al. 2017) and BNN's (Hubara et al.
2016): shifts, adders and comparisons, no multiplier and no divider.

Every scale in WAGE is a power of two. A quantizer reads its exponent from a port beside the stream,
together with each operand. The exponent of a tensor follows from the tensor's maximum, so errors
and gradients pass twice: first through `ShiftExponent`, then through `ErrorQuantizer` or
`WeightUpdate`.

The updates of Gupta et al. 2015, `MomentumUpdate`, and of Li et al. 2017, `GridUpdate`, multiply
where a rate is not a power of two.
"""

from hdl.quantize.activation import ActivationQuantizer
from hdl.quantize.error import ErrorQuantizer
from hdl.quantize.exponent import ShiftExponent
from hdl.quantize.grid import GridUpdate
from hdl.quantize.momentum import MomentumUpdate
from hdl.quantize.sign import SignQuantizer
from hdl.quantize.threshold import ThresholdQuantizer
from hdl.quantize.update import WeightUpdate
from hdl.quantize.weight import WeightQuantizer

__all__ = [
    "ActivationQuantizer",
    "ErrorQuantizer",
    "GridUpdate",
    "MomentumUpdate",
    "ShiftExponent",
    "SignQuantizer",
    "ThresholdQuantizer",
    "WeightQuantizer",
    "WeightUpdate",
]
