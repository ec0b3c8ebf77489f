"""The plain form of configurations, as in TOML and JSON: numbers, texts, lists, tables, true, false
and null.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from enum import StrEnum
from fractions import Fraction
from numbers import Number
from typing import Any, cast, get_args, get_origin

import numpy as np

from golden.settings.fields import (
    hints_of,
    is_number,
    is_table,
    is_value,
    names,
    optional_of,
    parts_of,
    quiet_of,
    rational,
)

#: Description of a value of each type, for messages.
WANTED = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def table(config: Any) -> dict[str, Any]:
    """Return the settings of a configuration in plain form, without None, for TOML.

    Quiet settings (`Setting.quiet`) are left out at their defaults.

    Examples
    --------
    >>> from golden.lfsr import Generator
    >>> table(Generator(leap=8, draw=8))
    {'bits': 32, 'leap': 8, 'draw': 8, 'seed': 1}
    """
    return {name: value for name, value in _table(config, table).items() if value is not None}


def mapping(config: Any) -> dict[str, Any]:
    """Return the settings of a configuration in plain form, including None, for JSON.

    Quiet settings (`Setting.quiet`) are left out at their defaults.

    Examples
    --------
    >>> from golden.lfsr import Generator
    >>> mapping(Generator(leap=8, draw=8))
    {'bits': 32, 'mask': None, 'leap': 8, 'draw': 8, 'seed': 1}
    """
    return _table(config, mapping)


def _table(config: Any, inner: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    kind: Any = type(config)
    quiet = quiet_of(kind)
    return {
        name: inner(value) if is_table(hint) else plain(hint, value)
        for name, hint in hints_of(kind).items()
        for value in [getattr(config, name)]
        if name not in quiet or value != quiet[name]
    }


def plain(hint: Any, value: Any) -> Any:
    """Return the plain form of a value of the type `hint`."""
    if value is None:
        return None
    if is_value(type(value)):
        return value.text
    if is_number(hint):
        return plain_number(value)
    if isinstance(value, tuple):
        return [plain(part, item) for part, item in zip(parts_of(hint, len(value)), value)]
    if isinstance(value, StrEnum):
        return str(value)
    return int(value) if isinstance(value, np.integer) else value


def plain_number(value: Any) -> int | float | str:
    """Return the plain form of an exact number: an int, a float, or a text such as "1/3".

    Equal numbers have the same form.
    """
    number = rational(value)
    if number.denominator == 1:
        return int(number)
    rounded = float(number)
    return rounded if Fraction(str(rounded)) == number else str(number)


#: Returns the name of a setting in error messages, by its dotted name.
Naming = Callable[[str], str]


def made(kind: Any, values: Mapping[str, Any], where: str = "", named: Naming = str) -> Any:
    """Return a configuration from values in plain form or as Python objects.

    Parameters
    ----------
    kind
        Class of the configuration.
    values
        Values by field; a table is a mapping. Missing fields have their defaults.
    where
        Beginning of every error message, as "recipe digits: ".
    named
        Returns the name of a setting in error messages, by its dotted name.

    Raises
    ------
    ValueError
        A name is unknown, or a value is wrong.

    Examples
    --------
    >>> from golden.macc import MaccConfig
    >>> made(MaccConfig, {"a": "2,6", "depth": 9}).width
    27
    """
    return _made(kind, values, where, named, "")


def _made(kind: Any, values: Mapping[str, Any], where: str, named: Naming, prefix: str) -> Any:
    """Return the configuration from a table whose dotted names begin with `prefix`."""
    hints, given = hints_of(kind), {}
    for name, value in values.items():
        key = f"{prefix}{name}"
        if name not in hints:
            allowed = ", ".join(f"{prefix}{known}" for known in names(kind))
            raise ValueError(f"{where}unknown key {key!r}: allowed are {allowed}")
        hint = hints[name]
        if is_table(hint) and isinstance(value, Mapping):
            given[name] = _made(hint, value, where, named, f"{key}.")
        elif value is None and name in optional_of(kind):
            given[name] = None
        else:
            try:
                given[name] = taken(hint, value)
            except ValueError as error:
                raise ValueError(f"{where}{named(key)} = {value!r}: {error}") from None
    try:
        return kind(**given)
    except (TypeError, ValueError) as error:
        name, equals, rest = str(error).partition(" = ")
        if equals and name in hints:
            rest = _BOUND.sub(lambda bound: _renamed(bound[0], hints, prefix, named), rest)
            raise ValueError(f"{where}{named(prefix + name)} = {rest}") from None
        place = f"{named(prefix[:-1])}: " if prefix else ""
        raise ValueError(f"{where}{place}{error}") from None


#: The bound, in an error, that depends on other settings.
_BOUND = re.compile(r"\(at most [^()]+\)")


def _renamed(text: str, hints: Mapping[str, Any], prefix: str, named: Naming) -> str:
    """Return a text with settings called by the names that the user knows, without the dashes of an
    option, which would read as minus signs.
    """

    def called(word: re.Match[str]) -> str:
        return named(prefix + word[0]).split()[-1].lstrip("-") if word[0] in hints else word[0]

    return re.sub(r"\w+", called, text)


def taken(hint: Any, value: Any) -> Any:
    """Return a field's value from its plain form.

    Raises
    ------
    ValueError
        The value has another type; the message describes the expected one.
    """
    if is_number(hint):
        if not isinstance(value, bool) and isinstance(value, Number | str):
            try:
                return plain_number(value)
            except (ValueError, ZeroDivisionError):
                pass
        raise ValueError("a number is wanted")
    if is_dataclass(hint):
        if isinstance(value, cast(type, hint)):
            return value
        if not is_value(hint):
            raise ValueError(f"a table of {', '.join(names(hint))} is wanted")
        if not isinstance(value, str):
            raise ValueError(f"a text {cast(Any, hint).FORM} is wanted")
        return cast(Any, hint).parse(value)
    if get_origin(hint) is tuple:
        if not isinstance(value, list | tuple) or len(parts_of(hint, len(value))) != len(value):
            raise ValueError(f"a list is wanted, as in {_example(hint)}")
        return tuple(taken(part, item) for part, item in zip(parts_of(hint, len(value)), value))
    if issubclass(hint, StrEnum):
        if value not in list(hint):
            raise ValueError(f"allowed are {', '.join(hint)}")
        return hint(value)
    if isinstance(value, np.generic):
        value = value.item()
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise ValueError(f"{WANTED[hint]} is wanted")
    return value


def _example(hint: Any) -> str:
    item = get_args(hint)[0]
    if is_value(item):
        return f'["{item.EXAMPLE}"]'
    return "[[1, 0], [41, -1]]" if get_origin(item) is tuple else "[1, 2]"


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested tables from values by dotted name.

    Examples
    --------
    >>> nested({"rows": 4, "macc.depth": 9, "macc.segments": 1})
    {'rows': 4, 'macc': {'depth': 9, 'segments': 1}}
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        *tables, last = name.split(".")
        place = found
        for part in tables:
            place = place.setdefault(part, {})
        place[last] = value
    return found


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return values by dotted name from nested tables: the inverse of `nested`.

    Examples
    --------
    >>> flat({"rows": 4, "macc": {"depth": 9}})
    {'rows': 4, 'macc.depth': 9}
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found
