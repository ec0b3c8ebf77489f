"""Metadata of configurations' fields, and properties of their types."""

import re
from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from types import UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

#: A number that is read as an exact decimal fraction: 0.1 is one tenth.
Rate = int | float | str | Fraction


#: Largest exponent of ten of such a number, its largest number of characters, and its bits: it may
#: become a float.
_MOST_EXPONENT, _MOST_CHARACTERS, _MOST_BITS = 300, 1000, 1000


def rational(value: Rate) -> Fraction:
    """Return a number as an exact fraction, by its decimal text.

    Raises
    ------
    ValueError, ZeroDivisionError
        It is no number, or its numerator or denominator would fill the memory, as that of
        1e999999999.
    """
    text = str(value)
    exponent = re.search(r"[eE]([+-]?[\d_]+)", text[:_MOST_CHARACTERS])
    if len(text) > _MOST_CHARACTERS or (exponent and abs(int(exponent[1])) > _MOST_EXPONENT):
        raise ValueError("too long a number")
    number = Fraction(text)
    if abs(number) >= 1 << _MOST_BITS:
        raise ValueError("too large a number")
    return number


class Bound(NamedTuple):
    """A bound of a range that depends on other settings of the same configuration.

    Parameters
    ----------
    text
        The bound, as "bits - 1".
    of
        Returns the bound's value for a configuration.
    """

    text: str
    of: Callable[[Any], int]


def _in_words(number: int) -> str:
    """Return the text of a number; large powers of two are shown as such."""
    for power, less in ((number, ""), (number + 1, " - 1")):
        if power >= 1 << 17 and not power & (power - 1):
            return f"2^{power.bit_length() - 1}{less}"
    return str(number)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Metadata of a field, made by `setting`.

    Parameters
    ----------
    text
        Meaning of the field: the first sentence, without a full stop.
    low, high
        Bounds of a number. If there are several upper bounds, the lowest one applies.
    allowed
        The allowed values, if there are few.
    power_of_two
        Only powers of two are allowed.
    unit
        Unit of a number.
    none
        Meaning of None, a sentence.
    more
        Further sentences, for documents.
    form
        Form of a tuple's text, as "ROWS,COLUMNS".
    hexadecimal
        The text is a hexadecimal number, with or without 0x.
    quiet
        Documents leave the setting out while it has its default: they stay as they were before
        there was the setting.
    """

    text: str
    low: int | None = None
    high: tuple[int | Bound, ...] = ()
    allowed: tuple[Any, ...] = ()
    power_of_two: bool = False
    unit: str = ""
    none: str = ""
    more: str = ""
    form: str = ""
    hexadecimal: bool = False
    quiet: bool = False

    @property
    def range(self) -> str:
        """Allowed values in words; empty if all values of the type are allowed."""
        # No unit after a bound with a setting's name, as it would look like a part of the name.
        bounded = any(isinstance(end, Bound) for end in self.high)
        unit = f" {self.unit}" if self.unit and not bounded else ""
        if self.allowed:
            *others, last = (str(value) for value in self.allowed)
            return (f"{', '.join(others)} or {last}" if others else last) + unit
        if self.low is None:
            return ""
        ends = [end.text if isinstance(end, Bound) else _in_words(end) for end in self.high]
        most = ends[0] if len(ends) == 1 else f"the least of {', '.join(ends[:-1])} and {ends[-1]}"
        power = ", a power of two" if self.power_of_two else ""
        return f"{self.low} to {most}{unit}{power}"

    @property
    def summary(self) -> str:
        """Meaning, range and meaning of None."""
        between = ": " if self.allowed else ", "
        meaning = f"{self.text}{between}{self.range}." if self.range else f"{self.text}."
        return f"{meaning} {self.none}".rstrip()

    @property
    def description(self) -> str:
        """The whole description; the docstring of the class has the same text."""
        return f"{self.summary} {self.more}".rstrip()


def setting(
    default: Any = MISSING,
    text: str = "",
    *,
    low: int | None = None,
    high: int | Bound | tuple[int | Bound, ...] = (),
    allowed: Iterable[Any] = (),
    power_of_two: bool = False,
    unit: str = "",
    none: str = "",
    more: str = "",
    form: str = "",
    hexadecimal: bool = False,
    quiet: bool = False,
) -> Any:
    """Return a dataclass field with a default and metadata.

    Parameters
    ----------
    default
        Default value; without one, the field is required.
    text, low, high, allowed, power_of_two, unit, none, more, form, hexadecimal, quiet
        See `Setting`.

    Examples
    --------
    >>> from golden.settings import check_settings, varied
    >>> @dataclass(frozen=True, kw_only=True)
    ... class Tank:
    ...     depth: int = setting(8, "Places", low=1, high=64)
    ...
    ...     def __post_init__(self):
    ...         check_settings(self)
    >>> Tank(depth=0)
    Traceback (most recent call last):
        ...
    ValueError: depth = 0: allowed are 1 to 64
    >>> varied(Tank(), ["depth=9"])
    Tank(depth=9)
    """
    spec = Setting(
        text=text,
        low=low,
        high=high if isinstance(high, tuple) and not isinstance(high, Bound) else (high,),
        allowed=tuple(allowed),
        power_of_two=power_of_two,
        unit=unit,
        none=none,
        more=more,
        form=form,
        hexadecimal=hexadecimal,
        quiet=quiet,
    )
    return field(default=default, metadata={"setting": spec})


@lru_cache(maxsize=256)
def hints_of(kind: Any) -> dict[str, Any]:
    """Return the type of every field of a dataclass that can be set, without None."""
    hints = get_type_hints(kind)
    return {one.name: _without_none(hints[one.name]) for one in fields(kind) if one.init}


@lru_cache(maxsize=256)
def optional_of(kind: Any) -> frozenset[str]:
    """Return the names of fields that may be None."""
    return frozenset(
        name for name, hint in get_type_hints(kind).items() if type(None) in get_args(hint)
    )


@lru_cache(maxsize=256)
def of_fields(kind: type) -> dict[str, Setting]:
    """Return the metadata of every field of a configuration.

    A field that a class declares again, with another default, keeps its inherited metadata.

    Raises
    ------
    TypeError
        A field was not made by `setting`.
    """
    found: dict[str, Setting] = {}
    for owner in reversed(kind.__mro__):
        for name, one in getattr(owner, "__dataclass_fields__", {}).items():
            if "setting" in one.metadata:
                found[name] = one.metadata["setting"]
    for name in hints_of(kind):
        if name not in found:
            raise TypeError(f"{kind.__name__}.{name}: a field made by `setting` is wanted")
    return {name: _enumerated(found[name], hint) for name, hint in hints_of(kind).items()}


def _enumerated(spec: Setting, hint: Any) -> Setting:
    """Return the metadata, for an enumeration with all members allowed unless it names some."""
    if isinstance(hint, type) and issubclass(hint, StrEnum) and not spec.allowed:
        return replace(spec, allowed=tuple(hint))
    return spec


@lru_cache(maxsize=256)
def quiet_of(kind: Any) -> dict[str, Any]:
    """Return the defaults of the settings that documents leave out while they have them."""
    spec = of_fields(kind)
    return {one.name: one.default for one in fields(kind) if one.init and spec[one.name].quiet}


def names(kind: Any) -> list[str]:
    """Return the dotted names of all settings of a configuration.

    Examples
    --------
    >>> from golden.lfsr import LfsrConfig
    >>> names(LfsrConfig)[:2]
    ['generator.bits', 'generator.mask']
    """
    return [
        f"{name}.{part}" if part else name
        for name, hint in hints_of(kind).items()
        for part in (names(hint) if is_table(hint) else [""])
    ]


def _without_none(hint: Any) -> Any:
    if get_origin(hint) not in (Union, UnionType):
        return hint
    kinds = tuple(kind for kind in get_args(hint) if kind is not type(None))
    return kinds[0] if len(kinds) == 1 else Union[kinds]  # noqa: UP007  (from a tuple)


def is_number(hint: Any) -> bool:
    """Return whether the type is `Rate`, an exact number."""
    return Fraction in get_args(hint)


def is_value(hint: Any) -> bool:
    """Return whether the type is a class of single values with a text, as `Fixed`."""
    return is_dataclass(hint) and hasattr(hint, "parse") and hasattr(hint, "text")


def is_table(hint: Any) -> bool:
    """Return whether the type is a configuration."""
    return is_dataclass(hint) and not is_value(hint)


def parts_of(hint: Any, length: int) -> tuple[Any, ...]:
    """Return the type of each item of a tuple of `length` items."""
    parts = get_args(hint)
    return (parts[0],) * length if parts[-1:] == (...,) else parts
