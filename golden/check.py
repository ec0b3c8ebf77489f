"""Checks of parameters. An error is one line: the parameter, its value and the allowed range."""

from collections.abc import Iterable
from numbers import Integral
from typing import Any


def whole(name: str, value: Any, low: int, high: int) -> int:
    """Return `value` as an int if it is a whole number from `low` to `high`.

    Raises
    ------
    TypeError
        `value` is not a whole number. A bool does not count as one.
    ValueError
        `value` is outside the range.

    Examples
    --------
    >>> whole("lanes", 300, 1, 255)
    Traceback (most recent call last):
        ...
    ValueError: lanes = 300: allowed are 1 to 255
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} = {value!r}: a whole number from {low} to {high} is wanted")
    number = int(value)
    if not low <= number <= high:
        raise ValueError(f"{name} = {value}: allowed are {low} to {high}")
    return number


def one_of(name: str, value: Any, allowed: Iterable[Any]) -> None:
    """Raise a ValueError unless `value` is one of `allowed`."""
    allowed = tuple(allowed)
    if value not in allowed:
        raise ValueError(f"{name} = {value!r}: allowed are {', '.join(map(str, allowed))}")


def instance(name: str, value: Any, kind: type) -> None:
    """Raise a TypeError unless `value` is an instance of `kind`."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} = {value!r}: a {kind.__name__} is wanted")
