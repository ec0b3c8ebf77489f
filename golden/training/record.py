"""What a training step did, operation by operation: enough to do it again on other hardware and
compare every word.

A trainer appends one entry for each hardware operation, in the order in which they run; the order
of the draws follows from it. All codes are int64.
"""

from dataclasses import dataclass

from golden.fixed import Codes, Conversion


@dataclass(frozen=True, kw_only=True, eq=False)
class Product:
    """A product on the array.

    Parameters
    ----------
    name
        Which one, as in "forward 1", "error 2" or "gradient 1"; layers count from 1.
    a, b
        Operands, (M, K) and (K, N); the columns of `b` are the array's columns.
    conversion
        What the rounders at the foot of the columns did; None where the sums drained raw and no
        lane moved.
    out
        The result, (M, N).
    """

    name: str
    a: Codes
    b: Codes
    conversion: Conversion | None
    out: Codes


@dataclass(frozen=True, kw_only=True, eq=False)
class Convert:
    """A pass of wide codes through the elementwise rounders.

    Parameters
    ----------
    name
        Which one, as in "output error" or "update 1 weights".
    z
        Wide codes, flat, in the order in which they meet the draws.
    conversion
        What the rounders did.
    out
        The result, of the shape of `z`.
    """

    name: str
    z: Codes
    conversion: Conversion
    out: Codes


@dataclass(frozen=True, kw_only=True, eq=False)
class Quantize:
    """A pass of a tensor through one of the WAGE units.

    ============ =============== ======================= ========================
    unit         inputs          settings                out
    ============ =============== ======================= ========================
    weight       n               bits, stored            code
    activation   acc             bits, shift             code, active, unclipped
    shift        values          ceil                    maximum, exponent, zero
    error        values, keep    bits, exponent,         code
                                 stochastic
    update       n, gradient     bits, half, exponent,   n
                                 rate
    ============ =============== ======================= ========================

    Parameters
    ----------
    unit
        Which unit.
    name
        Which pass, as in "activation 1"; layers count from 1.
    inputs
        Tensors that stream through. `values` of a hidden layer are zero already where the forward
        pass clipped; `keep` is the ReLU mask, applied to the result (all ones for the output
        layer).
    settings
        What the unit is set to. `stochastic`, `ceil` and `half` (saturation at a half) are 0 or
        1, `rate` is log2 of the learning rate.
    out
        The results. `active` is acc > 0, `unclipped` is acc <= limit << shift, both 0 or 1. Where
        all values are zero, maximum and exponent are 0 and `zero` is 1.
    """

    unit: str
    name: str
    inputs: dict[str, Codes]
    settings: dict[str, int]
    out: dict[str, Codes]


#: One hardware operation.
Entry = Product | Convert | Quantize
#: A step's operations, in order.
Record = list[Entry]
