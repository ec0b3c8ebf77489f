"""LUTs and flip-flops of a core on ECP5, from its configuration alone: a fit of synthesised cores.

Both grow with the array: its nodes, its columns' elementwise lanes, and its banks' rotators. In
square arrays the number of nodes alone explains them; lists, registers and control are the same in
all cores.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from golden.core.config import CoreConfig

#: Coefficients of `features` for LUTs and for flip-flops, of cores with 2 x 2, 4 x 4 and 8 x 8
#: nodes, and how far a core that was left out of the fit was from it, at most. They are printed by
#:     python bench/core_builds.py fit
LUT_FIT: tuple[float, ...] = (12706.6, 262.4)
FF_FIT: tuple[float, ...] = (9494.1, 250.5)
LUT_ERROR, FF_ERROR = 0.21, 0.11
#: Nodes of the cores of the fit.
LEAST_NODES, MOST_NODES = 4, 64


@dataclass(frozen=True, kw_only=True)
class Resources:
    """LUTs and flip-flops.

    Parameters
    ----------
    lut, ff
        Their estimated numbers.
    lut_error, ff_error
        Relative errors to be expected; None far from the cores of the fit.
    """

    lut: int
    ff: int
    lut_error: float | None
    ff_error: float | None


def features(config: CoreConfig) -> list[float]:
    """Return what LUTs and flip-flops are fitted to.

    Parameters
    ----------
    config
        The core.

    Returns
    -------
    list of float
        1, and the nodes of the array.

    Examples
    --------
    >>> features(CoreConfig(rows=4, columns=4))
    [1.0, 16.0]
    """
    return [1.0, float(config.rows * config.columns)]


def resources(config: CoreConfig) -> Resources:
    """Estimate LUTs and flip-flops of a core on ECP5, after synthesis.

    Parameters
    ----------
    config
        The core.

    Examples
    --------
    >>> found = resources(CoreConfig())
    >>> found.lut > 0 and found.ff > 0
    True
    >>> resources(CoreConfig(rows=40, columns=40)).lut_error is None
    True
    """
    sides = config.rows, config.columns
    near = LEAST_NODES <= config.rows * config.columns <= MOST_NODES and max(sides) <= 2 * min(
        sides
    )
    return Resources(
        lut=_sum(LUT_FIT, config),
        ff=_sum(FF_FIT, config),
        lut_error=LUT_ERROR if near else None,
        ff_error=FF_ERROR if near else None,
    )


def _sum(fit: Sequence[float], config: CoreConfig) -> int:
    return round(sum(one * value for one, value in zip(fit, features(config), strict=True)))
