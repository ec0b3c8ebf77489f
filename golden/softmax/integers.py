"""Softmax in integers: exponentials from a table, probabilities with 16 fraction bits.

Gupta et al. 2015 do not describe how the output layer was computed. This rule is our own. Training
calls these functions; the twin calls them too, and adds the clock of each result.
"""

from decimal import Context, Decimal

import numpy as np

from golden import check
from golden.fixed import Codes

#: Fraction bits of exponentials and probabilities.
FRACTION = 16
#: log2 of the entries of the table.
INDEX_BITS = 10
#: Largest shift of an exponential.
MOST_SHIFT = 31

# With 60 digits, no entry is so close to a tie that its rounding depends on the precision.
_PRECISE = Context(prec=60)
_ENTRIES = 1 << INDEX_BITS


def _rounded(value: Decimal) -> int:
    return int(value.to_integral_value())


def _table() -> Codes:
    """Return the table: entry j is RNE(2^16 * 2^(-j / 1024))."""
    step = _PRECISE.power(Decimal(2), _PRECISE.divide(Decimal(-1), Decimal(_ENTRIES)))
    value, entries = Decimal(1 << FRACTION), []
    for _ in range(_ENTRIES):
        entries.append(_rounded(value))
        value = _PRECISE.multiply(value, step)
    table = np.array(entries, np.int64)
    table.flags.writeable = False
    return table


#: log2 e with 16 fraction bits.
LOG2_E = _rounded(_PRECISE.divide(Decimal(1 << FRACTION), _PRECISE.ln(Decimal(2))))
#: Entry j is RNE(2^16 * 2^(-j / 1024)).
TABLE = _table()


def exponentials(x: Codes, fraction: int) -> Codes:
    """Return exp(-x) with 16 fraction bits, for codes x from 0 to 2^45 with `fraction` fraction
    bits, 0 to 31.

    Examples
    --------
    >>> exponentials(np.array([0, 1 << 8]), fraction=8).tolist()
    [65536, 24114]
    """
    x = check.codes("x", x, 0, 1 << 45)
    fraction = check.whole("fraction", fraction, 0, 31)
    power = x * LOG2_E  # exponent of 2, with fraction + 16 fraction bits
    whole = power >> (fraction + FRACTION)
    index = power >> (fraction + FRACTION - INDEX_BITS) & (_ENTRIES - 1)
    exponential: Codes = TABLE[index] >> np.minimum(whole, MOST_SHIFT)
    return exponential


def softmax(y: Codes, fraction: int) -> Codes:
    """Return the probabilities of logits.

    Parameters
    ----------
    y
        Logits, codes from -2^44 to 2^44, (batch, classes).
    fraction
        Fraction bits of the logits, 0 to 31.

    Returns
    -------
    Codes
        Probabilities with 16 fraction bits, rounded down, (batch, classes).

    Examples
    --------
    >>> softmax(np.array([[0, 0], [1 << 8, 0]]), fraction=8).tolist()
    [[32768, 32768], [47908, 17627]]
    """
    y = check.codes("y", y, -1 << 44, 1 << 44)
    if y.ndim != 2 or not y.shape[1]:
        raise ValueError(f"y of {y.shape}: logits (batch, classes) are wanted")
    exponential = exponentials(y.max(axis=1, keepdims=True) - y, fraction)
    return (exponential << FRACTION) // exponential.sum(axis=1, keepdims=True)
