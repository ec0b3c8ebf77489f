"""Checks that a configuration makes of its fields, by their settings."""

from collections.abc import Callable
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from typing import Any, cast, get_origin

from golden import check
from golden.settings.fields import (
    Bound,
    Rate,
    Setting,
    hints_of,
    is_number,
    of_fields,
    optional_of,
)


def exact(name: str, value: Rate, low: Rate, high: Rate) -> Fraction:
    """The rational that `value` prints as, if it is from `low` to `high`."""
    try:
        rational = Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{name} = {value!r}: a number from {low} to {high} is wanted") from None
    if not Fraction(low) <= rational <= Fraction(high):
        raise ValueError(f"{name} = {value}: allowed are {low} to {high}")
    return rational


def check_settings(config: Any) -> None:
    """Check every field of a configuration by its type and its setting.

    For `__post_init__`; rules between settings that are no range follow it there. An enumeration's
    value may be given by name.

    Raises
    ------
    TypeError, ValueError
        A value is of another kind, or outside of its range: name, value and what is allowed.
    """
    kind: Any = type(config)
    for name, examine in _checks(kind):
        value = getattr(config, name)
        checked = examine(config, value)
        if checked is not value:
            object.__setattr__(config, name, checked)


_Check = Callable[[Any, Any], Any]


@lru_cache(maxsize=256)
def _checks(kind: type) -> tuple[tuple[str, _Check], ...]:
    """A check of every field; those whose range depends on others come last."""
    said, optional = of_fields(kind), optional_of(kind)
    last = [name for name in said if any(isinstance(end, Bound) for end in said[name].high)]
    order = [*(name for name in said if name not in last), *last]
    hints = hints_of(kind)
    return tuple(
        (name, _checked(name, hints[name], said[name], name in optional)) for name in order
    )


def _checked(name: str, hint: Any, said: Setting, optional: bool) -> _Check:
    examine = _examination(name, hint, said)
    if not optional:
        return examine
    return lambda config, value: None if value is None else examine(config, value)


def _examination(name: str, hint: Any, said: Setting) -> _Check:
    """The check of a value that is not None; it returns the value."""

    def of_kind(config: Any, value: Any) -> Any:
        check.instance(name, value, get_origin(hint) or hint)
        return value

    def number(config: Any, value: Any) -> Any:
        exact(name, value, cast(int, said.low), cast(int, said.high[0]))
        return value

    def enumerated(config: Any, value: Any) -> Any:
        check.one_of(name, value, said.allowed)
        return hint(value)

    def whole(config: Any, value: Any) -> Any:
        if said.low is not None:
            _check_range(name, value, said, config)
        if said.allowed:
            check.one_of(name, value, said.allowed)
        if said.power_of_two and value & (value - 1):
            raise ValueError(f"{name} = {value}: a power of two is wanted")
        return value

    def text(config: Any, value: Any) -> Any:
        if said.allowed:
            check.one_of(name, value, said.allowed)
        return of_kind(config, value)

    if is_number(hint):
        return number
    if not isinstance(hint, type):
        return of_kind
    if issubclass(hint, StrEnum):
        return enumerated
    return {int: whole, str: text}.get(hint, of_kind)


def _check_range(name: str, value: Any, said: Setting, config: Any) -> None:
    ends = [(end.of(config), end) if isinstance(end, Bound) else (end, end) for end in said.high]
    high, which = min(ends, key=lambda end: end[0])
    try:
        check.whole(name, value, cast(int, said.low), high)
    except ValueError as error:
        if isinstance(which, Bound) and value > high:
            raise ValueError(f"{error} (at most {which.text})") from None
        raise
