"""ReLU and Q_A: integers against the paper's reals, and hardware against twin."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import SEEDS, agrees
from wage_units import LANES, WIDTHS, power, q

import golden
import hdl
from golden.quantize import (
    ActivationQuantizerConfig,
    quantize_activation,
)


@pytest.mark.parametrize("bits", [2, 5, 8])
def test_activations_are_the_papers(bits):
    acc = np.arange(-600, 1400)
    for shift in range(9):
        scale = power(shift + bits - 1)  # of a code of the sum, in reals
        expected = [q(max(Fraction(a), Fraction(0)) / scale, bits) for a in acc.tolist()]
        assert quantize_activation(acc, shift, bits).tolist() == expected


@settings(max_examples=60)
@given(WIDTHS, st.integers(2, 24), st.integers(1, 24), LANES, SEEDS)
def test_activation_quantizers_agree(width, bits, most_shift, lanes, seed):
    config = ActivationQuantizerConfig(width=width, bits=bits, most_shift=most_shift, lanes=lanes)
    agrees(hdl.ActivationQuantizer(config), golden.ActivationQuantizer(config), 200, seed)
