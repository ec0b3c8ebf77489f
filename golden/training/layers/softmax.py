"""Softmax in integers: exponentials by table, probabilities with 16 fraction bits.

Gupta et al. 2015 do not say how the output layer was computed; this rule is ours, and simple enough
for hardware: one multiplier, a table of 1,024 words, one shift, one divider.
"""

import math
from decimal import Context, Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.fixed import Codes
from golden.training.runs.score import Score
from golden.training.trainers.trainer import winners

#: Fraction bits of exponentials and probabilities.
FRACTION = 16
#: log2 of the entries of the table.
INDEX_BITS = 10
#: Exponentials are not shifted further than this.
MOST_SHIFT = 31

# With 40 digits no entry comes close enough to a tie for its rounding to be in doubt.
_PRECISE = Context(prec=40)
_ENTRIES = 1 << INDEX_BITS


def _rounded(value: Decimal) -> int:
    return int(value.to_integral_value())


#: log2 e with 16 fraction bits.
LOG2_E = _rounded(_PRECISE.divide(Decimal(1 << FRACTION), _PRECISE.ln(Decimal(2))))
#: Entry j is RNE(2^16 * 2^(-j / 1024)).
TABLE: Codes = np.array(
    [
        _rounded(
            _PRECISE.power(
                Decimal(2), _PRECISE.divide(Decimal(FRACTION * _ENTRIES - j), Decimal(_ENTRIES))
            )
        )
        for j in range(_ENTRIES)
    ],
    np.int64,
)
TABLE.flags.writeable = False


def exponentials(x: Codes, fraction: int) -> Codes:
    """exp(-x) with 16 fraction bits, for codes `x` >= 0 of `fraction` fraction bits."""
    power = x * LOG2_E  # of two, with fraction + 16 fraction bits
    whole = power >> (fraction + FRACTION)
    index = power >> (fraction + FRACTION - INDEX_BITS) & (_ENTRIES - 1)
    exponential: Codes = TABLE[index] >> np.minimum(whole, MOST_SHIFT)
    return exponential


def softmax(y: Codes, fraction: int) -> Codes:
    """Probabilities with 16 fraction bits, rounded down, for each row of logits `y`."""
    exponential = exponentials(y.max(axis=1, keepdims=True) - y, fraction)
    return (exponential << FRACTION) // exponential.sum(axis=1, keepdims=True)


def cross_entropy(y: NDArray[Any], probability: Codes, labels: Codes) -> Score:
    """Score of logits `y` and their probabilities; one that rounded down to 0 counts as the least
    there is.
    """
    right = np.maximum(probability[np.arange(len(labels)), labels], 1)
    loss = len(labels) * FRACTION * math.log(2) - float(np.sum(np.log(right)))
    return Score(images=len(labels), wrong=int(np.sum(winners(y) != labels)), loss=loss)
