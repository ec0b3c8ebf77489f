"""Checks of a configuration's fields by their metadata."""

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
    """Return `value` as an exact rational, by its decimal text.

    Raises
    ------
    ValueError
        `value` is not a number from `low` to `high`.

    Examples
    --------
    >>> exact("rate", 0.1, 0, 1)
    Fraction(1, 10)
    """
    try:
        rational = Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{name} = {value!r}: a number from {low} to {high} is wanted") from None
    if not Fraction(low) <= rational <= Fraction(high):
        raise ValueError(f"{name} = {value}: allowed are {low} to {high}")
    return rational


def check_settings(config: Any) -> None:
    """Check every field of a configuration by its type and its metadata.

    It is called in `__post_init__`, before the checks that involve several settings. A value of an
    enumeration may be given by its name; it is replaced by the member.

    Raises
    ------
    TypeError, ValueError
        A value has another type, or is outside its range. The message has the name, the value and
        the allowed values.
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
    """Return a check for every field; fields whose range depends on others are checked last."""
    spec, optional = of_fields(kind), optional_of(kind)
    last = [name for name in spec if any(isinstance(end, Bound) for end in spec[name].high)]
    order = [*(name for name in spec if name not in last), *last]
    hints = hints_of(kind)
    return tuple(
        (name, _checked(name, hints[name], spec[name], name in optional)) for name in order
    )


def _checked(name: str, hint: Any, spec: Setting, optional: bool) -> _Check:
    examine = _examination(name, hint, spec)
    if not optional:
        return examine
    return lambda config, value: None if value is None else examine(config, value)


def _examination(name: str, hint: Any, spec: Setting) -> _Check:
    """Return the check of a field's value that is not None; the check returns the value."""

    def of_kind(config: Any, value: Any) -> Any:
        check.instance(name, value, get_origin(hint) or hint)
        return value

    def number(config: Any, value: Any) -> Any:
        exact(name, value, cast(int, spec.low), cast(int, spec.high[0]))
        return value

    def enumerated(config: Any, value: Any) -> Any:
        check.one_of(name, value, spec.allowed)
        return hint(value)

    def whole(config: Any, value: Any) -> Any:
        if spec.low is not None:
            _check_range(name, value, spec, config)
        if spec.allowed:
            check.one_of(name, value, spec.allowed)
        if spec.power_of_two and value & (value - 1):
            raise ValueError(f"{name} = {value}: a power of two is wanted")
        return value

    def text(config: Any, value: Any) -> Any:
        if spec.allowed:
            check.one_of(name, value, spec.allowed)
        return of_kind(config, value)

    if is_number(hint):
        return number
    if not isinstance(hint, type):
        return of_kind
    if issubclass(hint, StrEnum):
        return enumerated
    return {int: whole, str: text}.get(hint, of_kind)


def _check_range(name: str, value: Any, spec: Setting, config: Any) -> None:
    ends = [(end.of(config), end) if isinstance(end, Bound) else (end, end) for end in spec.high]
    high, which = min(ends, key=lambda end: end[0])
    try:
        check.whole(name, value, cast(int, spec.low), high)
    except ValueError as error:
        if isinstance(which, Bound) and value > high:
            raise ValueError(f"{error} (at most {which.text})") from None
        raise
