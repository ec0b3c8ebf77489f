"""Checks of a configuration's fields by their metadata."""

from collections.abc import Callable
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from numbers import Number
from typing import Any, cast, get_args, get_origin

from golden import check
from golden.settings.fields import (
    Bound,
    Rate,
    Setting,
    hints_of,
    is_number,
    of_fields,
    optional_of,
    rational,
)
from golden.settings.plain import plain_number


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
        if isinstance(value, bool) or not isinstance(value, Number | str):
            raise ValueError
        number = rational(value)
    except (ValueError, ZeroDivisionError):
        raise ValueError(
            f"{name} = {check.shown(value)}: a number from {low} to {high} is wanted"
        ) from None
    if not Fraction(low) <= number <= Fraction(high):
        raise ValueError(f"{name} = {value}: allowed are {low} to {high}")
    return number


def check_settings(config: Any) -> None:
    """Check every field of a configuration by its type and its metadata.

    It is called in `__post_init__`, before the checks that involve several settings. A value of an
    enumeration may be given by its name; it is replaced by the member. Numbers and bools of NumPy
    are replaced by those of Python.

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
        rational = exact(name, value, cast(int, spec.low), cast(int, spec.high[0]))
        return value if type(value) in get_args(hint) else plain_number(rational)

    def enumerated(config: Any, value: Any) -> Any:
        check.one_of(name, value, spec.allowed)
        return hint(value)

    def whole(config: Any, value: Any) -> Any:
        value = _whole(name, value, spec, config)
        if spec.allowed:
            check.one_of(name, value, spec.allowed)
        if spec.power_of_two and value & (value - 1):
            raise ValueError(f"{name} = {value}: a power of two is wanted")
        return value

    def text(config: Any, value: Any) -> Any:
        if spec.allowed:
            check.one_of(name, value, spec.allowed)
        return str(of_kind(config, value))

    def truth(config: Any, value: Any) -> Any:
        return check.truth(name, value)

    def items(config: Any, value: Any) -> Any:
        return _plain_items(name, of_kind(config, value))

    if is_number(hint):
        return number
    if get_origin(hint) is tuple:
        return items
    if not isinstance(hint, type):
        return of_kind
    if issubclass(hint, StrEnum):
        return enumerated
    return {int: whole, str: text, bool: truth}.get(hint, of_kind)


def _plain_items(name: str, value: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a tuple whose whole numbers, also those in inner tuples, are of type int.

    Their ranges are checked by the class.
    """

    def item(one: Any) -> Any:
        if isinstance(one, tuple):
            return _plain_items(name, one)
        return int(one) if check.is_whole(one) else one

    plain = tuple(item(one) for one in value)
    same = all(new is old for new, old in zip(plain, value))
    return value if same else plain


def _whole(name: str, value: Any, spec: Setting, config: Any) -> int:
    """Return the value as an int of the field's range."""
    if spec.low is None:
        if not check.is_whole(value):
            raise TypeError(f"{name} = {check.shown(value)}: a whole number is wanted")
        return int(value)
    ends = [(end.of(config), end) if isinstance(end, Bound) else (end, end) for end in spec.high]
    high, which = min(ends, key=lambda end: end[0])
    try:
        return check.whole(name, value, spec.low, high)
    except ValueError as error:
        if isinstance(which, Bound) and value > high:
            raise ValueError(f"{error} (at most {which.text})") from None
        raise
