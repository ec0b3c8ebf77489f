"""Exact integer products with BLAS.

A floating-point sum of integers is exact as long as every partial sum fits the mantissa, so BLAS
computes fixed-point products exactly (Gupta et al. 2015, section 3).
"""

import numpy as np
from numpy.typing import ArrayLike

from golden import check
from golden.fixed import Codes

#: Types, narrowest first, and the limit below which all integers are exact in them.
_EXACT: tuple[tuple[type[np.floating], int], ...] = ((np.float32, 1 << 24), (np.float64, 1 << 53))


def _magnitude(name: str, codes: Codes, bound: int | None) -> int:
    """Return the largest magnitude in `codes`, or `bound` if it is given and holds."""
    actual = max(int(codes.max(initial=0)), -int(codes.min(initial=0)))
    if bound is None:
        return actual
    bound = check.whole(f"{name}_bound", bound, 0)
    if actual > bound:
        raise ValueError(f"{name}: largest magnitude {actual}, at most {bound} was promised")
    return bound


def matmul(
    a: ArrayLike, b: ArrayLike, a_bound: int | None = None, b_bound: int | None = None
) -> Codes:
    """Return the exact product of two integer matrices, (M, K) by (K, N).

    It is computed in float32 if max|a| * max|b| * K < 2^24, in float64 if this is below 2^53, and
    otherwise in parts of K that are exact in float64, whose products are added in int64.

    Parameters
    ----------
    a, b
        Matrices of integers of any type.
    a_bound, b_bound
        Bounds of the magnitudes, so that the choice of the type does not depend on the data; None
        takes the actual maxima.

    Returns
    -------
    Codes
        The product, int64, (M, N).

    Raises
    ------
    ValueError
        Shapes do not match, a bound does not hold, or a sum might not fit int64.
    TypeError
        An operand does not have an integer type.

    Examples
    --------
    >>> matmul([[1, 2], [3, 4]], [[1 << 40], [-1]]).tolist()
    [[1099511627774], [3298534883324]]
    """
    a, b = check.integers("a", a), check.integers("b", b)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
        raise ValueError(f"product of {a.shape} by {b.shape}: (M, K) by (K, N) is wanted")
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
    """Return the narrowest float type in which sums of `depth` products up to `term` are exact.

    Raises
    ------
    ValueError
        The sums are not exact in float64 either.

    Examples
    --------
    >>> carrier(127 * 127, 1000).__name__, carrier(127 * 127, 2000).__name__
    ('float32', 'float64')
    """
    term = check.whole("term", term, 0)
    depth = check.whole("depth", depth, 0)
    for kind, exact in _EXACT:
        if term * depth < exact:
            return kind
    raise ValueError(f"sums of {depth} terms up to {term} reach 2^53: float64 is not exact there")
