"""WAGE's configurations, the paper's reals in rationals, and what several tests of them share."""

from fractions import Fraction

import numpy as np
from hypothesis import strategies as st
from support import generators

from golden.fixed import Rounding
from golden.quantize import (
    ActivationQuantizerConfig,
    ErrorQuantizerConfig,
    WeightQuantizerConfig,
    WeightUpdateConfig,
)

STOCHASTIC, EVEN = Rounding.STOCHASTIC, Rounding.NEAREST_EVEN


def q(x, bits):
    """Q(x, k) = Clip{sigma round(x / sigma), -1 + sigma, 1 - sigma}, as a code over 2^(k - 1)."""
    top = 2 ** (bits - 1) - 1
    return min(max(round(x * 2 ** (bits - 1)), -top), top)  # a Fraction rounds half to even


def power(exponent):
    return Fraction(2) ** exponent


THRESHOLDS = [2, 3, 6, 12, 23, 46, 91, 182, 363, 725, 1449, 2897, 5793, 11586, 23171, 46341]


def exact_exponent(maximum):
    """k with 2^(2k - 1) < M^2 < 2^(2k + 1)."""
    k = 0
    while maximum * maximum >= 1 << 2 * k + 1:
        k += 1
    return k


LANES = st.integers(1, 4)
WIDTHS = st.integers(2, 62)


@st.composite
def error_quantizers(draw):
    lanes, first = draw(LANES), draw(st.sampled_from([0, 30]))
    return ErrorQuantizerConfig(
        width=draw(WIDTHS),
        bits=draw(st.integers(2, 24)),
        rounding=draw(st.sampled_from([EVEN, STOCHASTIC])),
        lanes=lanes,
        first_lane=first,
        generator=draw(generators(first + lanes)),
    )


@st.composite
def weight_updates(draw):
    lanes, first = draw(LANES), draw(st.sampled_from([0, 30]))
    return WeightUpdateConfig(
        width=draw(st.integers(2, 54)),
        bits=draw(st.integers(3, 24)),
        half=draw(st.booleans()),
        lanes=lanes,
        first_lane=first,
        generator=draw(generators(first + lanes)),
    )


WEIGHTS = WeightQuantizerConfig(lanes=3)
ACTIVATIONS = ActivationQuantizerConfig(lanes=3)
ERRORS = ErrorQuantizerConfig(lanes=3)
DRAWN_ERRORS = ErrorQuantizerConfig(lanes=3, first_lane=4, rounding=STOCHASTIC)
UPDATES = WeightUpdateConfig(lanes=3, first_lane=4, half=True)


def stretched(clocks, **operands):
    """Operands from the first clock on, and zeros after them; all is offered and taken."""
    inputs = {"i_valid": np.ones(clocks, int), "o_ready": np.ones(clocks, int)}
    for name, values in operands.items():
        inputs[name] = np.zeros((clocks, *values.shape[1:]), int)
        inputs[name][: len(values)] = values
    return inputs
