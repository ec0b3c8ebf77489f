"""Exact integer products through BLAS.

A fixed-point product can be simulated with a vendor's BLAS (Gupta et al. 2015, section 3): a
floating-point sum of integers is exact while every partial sum fits the mantissa.
"""

import numpy as np
from numpy.typing import ArrayLike

from golden.fixed import Codes

#: Integers up to here are exact in the type, narrowest first.
_EXACT: tuple[tuple[type[np.floating], int], ...] = ((np.float32, 1 << 24), (np.float64, 1 << 53))


def _magnitude(name: str, codes: Codes, bound: int | None) -> int:
    """The largest magnitude in `codes`, or the `bound` given for it, which must hold."""
    actual = max(int(codes.max(initial=0)), -int(codes.min(initial=0)))
    if bound is None:
        return actual
    if actual > bound:
        raise ValueError(f"{name}: largest magnitude {actual}, at most {bound} was promised")
    return bound


def matmul(
    a: ArrayLike, b: ArrayLike, a_bound: int | None = None, b_bound: int | None = None
) -> Codes:
    """The exact product of two integer matrices, (M, K) by (K, N).

    Computed in float32 where max|a| * max|b| * K < 2^24, in float64 where it is below 2^53, and
    otherwise in parts of K that are each exact, summed in int64.

    Parameters
    ----------
    a, b
        Integer matrices.
    a_bound, b_bound
        Largest magnitudes to plan with, so that the type does not depend on the data; None takes
        the actual ones.

    Returns
    -------
    int64, (M, N).

    Raises
    ------
    ValueError
        Shapes do not fit, a bound does not hold, or a sum might not fit int64.
    TypeError
        An operand is not of integers.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
        raise ValueError(f"product of {a.shape} by {b.shape}: (M, K) by (K, N) is wanted")
    for name, operand in (("a", a), ("b", b)):
        if not np.issubdtype(operand.dtype, np.integer):
            raise TypeError(f"{name} is of {operand.dtype}: integers are wanted")
    depth = a.shape[1]
    term = _magnitude("a", a, a_bound) * _magnitude("b", b, b_bound)
    if term * depth >= 1 << 63:
        raise ValueError(
            f"product of depth {depth} and terms up to {term}: a sum may not fit int64"
        )
    for kind, exact in _EXACT:
        if term * depth < exact:
            return _float_product(a, b, kind)
    part = (_EXACT[-1][1] - 1) // term
    if part == 0:  # not even one term is exact in float64
        return a.astype(np.int64) @ b.astype(np.int64)
    total = np.zeros((a.shape[0], b.shape[1]), np.int64)
    for start in range(0, depth, part):
        total += _float_product(a[:, start : start + part], b[start : start + part], _EXACT[-1][0])
    return total


def _float_product(a: Codes, b: Codes, kind: type[np.floating]) -> Codes:
    product: Codes = (a.astype(kind) @ b.astype(kind)).astype(np.int64)
    return product


def carrier(term: int, depth: int) -> type[np.floating]:
    """The narrowest float type in which every sum of `depth` products up to `term` is exact.

    Raises
    ------
    ValueError
        Not even float64 is wide enough.
    """
    for kind, exact in _EXACT:
        if term * depth < exact:
            return kind
    raise ValueError(f"sums of {depth} terms up to {term} reach 2^53: float64 is not exact there")
