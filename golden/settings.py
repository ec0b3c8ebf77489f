"""Settings: the fields of configurations. One codec checks, reads, prints and replaces them all.

A configuration is a frozen dataclass whose fields are made by `setting`: default, meaning and range
stand beside the name, and everything else follows from them and from the field's type. A field that
is a configuration itself is a table; its settings have dotted names, as in `macc.a`. A class with
`parse` and `text`, as `golden.fixed.Fixed` is, is one value with one text.

A value has three forms: the one in Python; the plain one of TOML and JSON (numbers, texts, lists,
tables, true, false, null); and a text, as on the command line.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from numbers import Integral
from types import UnionType
from typing import Any, NamedTuple, Union, cast, get_args, get_origin, get_type_hints

from golden import check

#: A number that is taken exactly: 0.1 is one tenth.
Rate = int | float | str | Fraction
#: What stands for None, and for an empty tuple, in a text.
NONE = "none"


class Bound(NamedTuple):
    """An end of a range that depends on other settings of the same configuration.

    Parameters
    ----------
    text
        The bound, as in "bits - 1".
    of
        Its value in a configuration.
    """

    text: str
    of: Callable[[Any], int]


def _in_words(number: int) -> str:
    """A number; a large power of two as one."""
    for power, less in ((number, ""), (number + 1, " - 1")):
        if power >= 1 << 17 and not power & (power - 1):
            return f"2^{power.bit_length() - 1}{less}"
    return str(number)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a field says of itself; `setting` makes it.

    Parameters
    ----------
    text
        Its meaning: the first sentence, without a full stop.
    low, high
        Ends of a number's range. Of several upper ends the least counts.
    allowed
        The values that are allowed, if there are only a few.
    power_of_two
        Of the range only powers of two are allowed.
    unit
        Unit of a number, after its range.
    none
        What None means, a sentence.
    more
        Further sentences, for documents.
    form
        How a tuple is written, as in "ROWS,COLUMNS".
    hexadecimal
        Its text is a hexadecimal number, with or without 0x.
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

    @property
    def range(self) -> str:
        """Allowed values in words; empty where the type says all."""
        # After a bound that is a setting, a unit would read as if it were part of its name.
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
        """Meaning, range and what None means."""
        between = ": " if self.allowed else ", "
        meaning = f"{self.text}{between}{self.range}." if self.range else f"{self.text}."
        return f"{meaning} {self.none}".rstrip()

    @property
    def description(self) -> str:
        """Everything there is to say; the docstring of the class has the same."""
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
) -> Any:
    """A field of a configuration: its default, and what `Setting` says of it.

    Examples
    --------
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
    said = Setting(
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
    )
    return field(default=default, metadata={"setting": said})


def exact(name: str, value: Rate, low: Rate, high: Rate) -> Fraction:
    """The rational that `value` prints as, if it is from `low` to `high`."""
    try:
        rational = Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{name} = {value!r}: a number from {low} to {high} is wanted") from None
    if not Fraction(low) <= rational <= Fraction(high):
        raise ValueError(f"{name} = {value}: allowed are {low} to {high}")
    return rational


# Types of fields.


@dataclass(frozen=True)
class Leaf:
    """A setting that is one value, of a configuration or of a table in it.

    Attributes
    ----------
    name
        With dots into tables, as in "macc.a".
    owner
        The class that has the field.
    hint
        Type of a value, without None.
    optional
        Whether it may be None.
    default
        Its default, or `dataclasses.MISSING`.
    setting
        What the field says of itself.
    """

    name: str
    owner: type
    hint: Any
    optional: bool
    default: Any
    setting: Setting

    def of(self, config: Any) -> Any:
        """Its value in a configuration."""
        for part in self.name.split("."):
            config = getattr(config, part)
        return config

    def show(self, value: Any) -> str:
        """The text of a value; `read` takes it back."""
        return text_of(value, self.setting.hexadecimal)

    def read(self, text: str) -> Any:
        """The value of a text; raises a ValueError that says what is wanted."""
        if text == NONE and self.optional:
            return None
        return read(self.hint, self.setting, text)


@lru_cache(maxsize=256)
def _hints(kind: Any) -> dict[str, Any]:
    """Type of every field of a dataclass that can be set, None left out of it."""
    hints = get_type_hints(kind)
    return {one.name: _without_none(hints[one.name]) for one in fields(kind) if one.init}


@lru_cache(maxsize=256)
def _optional(kind: Any) -> frozenset[str]:
    """The fields that may be None."""
    return frozenset(
        name for name, hint in get_type_hints(kind).items() if type(None) in get_args(hint)
    )


@lru_cache(maxsize=256)
def of_fields(kind: type) -> dict[str, Setting]:
    """What every field of a configuration says of itself; a field that a class declares again, for
    another default, says what it said before.

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
    for name in _hints(kind):
        if name not in found:
            raise TypeError(f"{kind.__name__}.{name}: a field made by `setting` is wanted")
    return {name: _enumerated(found[name], hint) for name, hint in _hints(kind).items()}


def _enumerated(said: Setting, hint: Any) -> Setting:
    """What a field says, with the values of an enumeration if all of them are allowed."""
    if isinstance(hint, type) and issubclass(hint, StrEnum) and not said.allowed:
        return replace(said, allowed=tuple(hint))
    return said


@lru_cache(maxsize=256)
def leaves(kind: type) -> tuple[Leaf, ...]:
    """Every setting of a configuration that is one value, in order, tables opened.

    Examples
    --------
    >>> from golden.macc import MaccConfig
    >>> [leaf.name for leaf in leaves(MaccConfig)]
    ['a', 'b', 'depth', 'segments', 'ternary']
    """
    found: list[Leaf] = []
    said = of_fields(kind)
    defaults = {one.name: one.default for one in fields(kind)}
    for name, hint in _hints(kind).items():
        if _is_table(hint):
            found += [
                Leaf(f"{name}.{leaf.name}", leaf.owner, *_rest(leaf)) for leaf in leaves(hint)
            ]
        else:
            optional = name in _optional(kind)
            found.append(Leaf(name, kind, hint, optional, defaults[name], said[name]))
    return tuple(found)


def _rest(leaf: Leaf) -> tuple[Any, bool, Any, Setting]:
    return leaf.hint, leaf.optional, leaf.default, leaf.setting


def names(kind: Any) -> list[str]:
    """Dotted names of all settings of a configuration."""
    return [leaf.name for leaf in leaves(kind)]


def _without_none(hint: Any) -> Any:
    if get_origin(hint) not in (Union, UnionType):
        return hint
    kinds = tuple(kind for kind in get_args(hint) if kind is not type(None))
    return kinds[0] if len(kinds) == 1 else Union[kinds]  # noqa: UP007  (made of a tuple)


def _is_number(hint: Any) -> bool:
    """Whether a field is a number that is taken exactly."""
    return Fraction in get_args(hint)


def _is_value(hint: Any) -> bool:
    """Whether it is a class whose objects are one value, with one text."""
    return is_dataclass(hint) and hasattr(hint, "parse") and hasattr(hint, "text")


def _is_table(hint: Any) -> bool:
    """Whether a field is a configuration itself."""
    return is_dataclass(hint) and not _is_value(hint)


def _parts(hint: Any, length: int) -> tuple[Any, ...]:
    """Type of each of so many items of a tuple."""
    parts = get_args(hint)
    return (parts[0],) * length if parts[-1:] == (...,) else parts


# Checks.


def check_settings(config: Any) -> None:
    """Check every field of a configuration by its type and its setting.

    For `__post_init__`; rules between settings that are no range follow it there. An enumeration's
    value may be given by name.

    Raises
    ------
    TypeError, ValueError
        A value is of another kind, or outside of its range: name, value and what is allowed.
    """
    for name, examine in _checks(type(config)):
        value = getattr(config, name)
        checked = examine(config, value)
        if checked is not value:
            object.__setattr__(config, name, checked)


_Check = Callable[[Any, Any], Any]


@lru_cache(maxsize=256)
def _checks(kind: type) -> tuple[tuple[str, _Check], ...]:
    """A check of every field; those whose range depends on others come last."""
    said, optional = of_fields(kind), _optional(kind)
    last = [name for name in said if any(isinstance(end, Bound) for end in said[name].high)]
    order = [*(name for name in said if name not in last), *last]
    hints = _hints(kind)
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

    if _is_number(hint):
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


# The plain form.


def table(config: Any) -> dict[str, Any]:
    """Settings of a configuration in their plain form, as TOML has them; None is left out."""
    return {name: value for name, value in _table(config, table).items() if value is not None}


def mapping(config: Any) -> dict[str, Any]:
    """Settings of a configuration in their plain form, as JSON has them, None among them.

    Examples
    --------
    >>> from golden.lfsr import Generator
    >>> mapping(Generator(leap=8, draw=8))
    {'bits': 32, 'mask': None, 'leap': 8, 'draw': 8, 'seed': 1}
    """
    return _table(config, mapping)


def _table(config: Any, inner: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    return {
        name: inner(value) if _is_table(hint) else plain(hint, value)
        for name, hint in _hints(type(config)).items()
        for value in [getattr(config, name)]
    }


def plain(hint: Any, value: Any) -> Any:
    """The plain form of a value of a type."""
    if value is None:
        return None
    if _is_value(type(value)):
        return value.text
    if _is_number(hint):
        return _number(value)
    if isinstance(value, tuple):
        return [plain(part, item) for part, item in zip(_parts(hint, len(value)), value)]
    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    return str(value) if isinstance(value, StrEnum) else value


def _number(value: Any) -> int | float | str:
    """An exact number as TOML has it, in one form alone; as a text where TOML has it not."""
    rational = Fraction(str(value))
    if rational.denominator == 1:
        return int(rational)
    rounded = float(rational)
    return rounded if Fraction(str(rounded)) == rational else str(rational)


#: From a setting's dotted name to what an error calls it.
Naming = Callable[[str], str]


def made(kind: Any, values: Mapping[str, Any], where: str = "", named: Naming = str) -> Any:
    """The configuration of class `kind` with `values`, each plain or as Python has it.

    Parameters
    ----------
    kind
        A configuration's class.
    values
        By field; a table is a mapping. What is not there has its default.
    where
        Begins every error, as in "recipe digits: ".
    named
        What an error calls a setting of a dotted name.

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
    """The configuration `kind` of a table, which stands under the keys of `prefix`."""
    hints, given = _hints(kind), {}
    for name, value in values.items():
        key = f"{prefix}{name}"
        if name not in hints:
            allowed = ", ".join(f"{prefix}{known}" for known in names(kind))
            raise ValueError(f"{where}unknown key {key!r}: allowed are {allowed}")
        hint = hints[name]
        if _is_table(hint) and isinstance(value, Mapping):
            given[name] = _made(hint, value, where, named, f"{key}.")
        elif value is None and name in _optional(kind):
            given[name] = None
        else:
            try:
                given[name] = _taken(hint, value)
            except ValueError as error:
                raise ValueError(f"{where}{named(key)} = {value!r}: {error}") from None
    try:
        return kind(**given)
    except (TypeError, ValueError) as error:
        name, equals, rest = str(error).partition(" = ")
        if equals and name in hints:
            raise ValueError(f"{where}{named(prefix + name)} = {rest}") from None
        place = f"{named(prefix[:-1])}: " if prefix else ""
        raise ValueError(f"{where}{place}{error}") from None


def _taken(hint: Any, value: Any) -> Any:
    """A field's value of a plain one; raises a ValueError that says what is wanted."""
    if _is_number(hint):
        if not isinstance(value, bool) and isinstance(value, int | float | str | Fraction):
            try:
                return _number(value)
            except (ValueError, ZeroDivisionError):
                pass
        raise ValueError("a number is wanted")
    if is_dataclass(hint):
        if isinstance(value, cast(type, hint)):
            return value
        if not _is_value(hint):
            raise ValueError(f"a table of {', '.join(names(hint))} is wanted")
        if not isinstance(value, str):
            raise ValueError(f"a text {cast(Any, hint).FORM} is wanted")
        return cast(Any, hint).parse(value)
    if get_origin(hint) is tuple:
        if not isinstance(value, list | tuple) or len(_parts(hint, len(value))) != len(value):
            raise ValueError(f"a list is wanted, as in {_example(hint)}")
        return tuple(_taken(part, item) for part, item in zip(_parts(hint, len(value)), value))
    if issubclass(hint, StrEnum):
        if value not in list(hint):
            raise ValueError(f"allowed are {', '.join(hint)}")
        return hint(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise ValueError(f"{_WANTED[hint][0]} is wanted")
    return value


def _example(hint: Any) -> str:
    item = get_args(hint)[0]
    if _is_value(item):
        return f'["{item.EXAMPLE}"]'
    return "[[1, 0], [41, -1]]" if get_origin(item) is tuple else "[1, 2]"


# The text form.


def varied(config: Any, settings: Iterable[str], where: str = "") -> Any:
    """A configuration with each `name=value` of `settings` in place of its own.

    Raises
    ------
    ValueError
        A name that the configuration does not have, or a value that it does not allow; the message
        begins with `where`.

    Examples
    --------
    >>> from golden.array import ArrayConfig
    >>> varied(ArrayConfig(), ["rows=4", "macc.a=2,6", "generator.leap=32"]).macc.a
    Fixed(il=2, fl=6)
    """
    values = table(config)
    for one in settings:
        name, equals, text = one.partition("=")
        if not equals:
            raise ValueError(f"{where}setting {one!r}: key=value is wanted, as in batch=64")
        put(type(config), values, name, text, where)
    return made(type(config), values, where)


def read(hint: Any, said: Setting, text: str) -> Any:
    """The value of a text, of a type; raises a ValueError that says what is wanted."""
    return _taken(hint, _plain_of(hint, said, text))


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Tables of values by dotted name.

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
    """Values of nested tables by dotted name, the inverse of `nested`."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def put(
    kind: Any,
    values: dict[str, Any],
    name: str,
    text: str,
    where: str = "",
    named: Naming = str,
) -> None:
    """Put the plain form of a `text` in its place, by dotted name, in the `values` of a `kind`.

    Raises
    ------
    ValueError
        The name is unknown, or nothing can be read from the text.
    """
    place, inner = values, kind
    *tables, last = name.split(".")
    for part in tables:
        inner = _hints(inner).get(part, object)
        if not _is_table(inner):
            break
        place = place.setdefault(part, {})
    if not _is_table(inner) or last not in _hints(inner):
        raise ValueError(f"{where}unknown key {name!r}: allowed are {', '.join(names(kind))}")
    if text == NONE and last in _optional(inner):
        place[last] = None
        return
    try:
        place[last] = _plain_of(_hints(inner)[last], of_fields(inner)[last], text)
    except ValueError as error:
        raise ValueError(f"{where}{named(name)} = {text!r}: {error}") from None


def shown(config: Any) -> list[str]:
    """Every setting as `varied` takes it, name=value; what is None is left out."""
    return [
        f"{leaf.name}={leaf.show(plain(leaf.hint, value))}"
        for leaf in leaves(type(config))
        if (value := leaf.of(config)) is not None
    ]


def text_of(value: Any, hexadecimal: bool = False, between: str = ",") -> str:
    """The text of a value, in Python's form or the plain one."""
    if value is None:
        return NONE
    if isinstance(value, list | tuple):
        texts = [text_of(item, between=":") for item in value]
        # Items that have commas themselves stand between spaces.
        return (" " if any("," in text for text in texts) else between).join(texts) or NONE
    if isinstance(value, bool):
        return str(value).lower()
    if _is_value(type(value)):
        return str(value.text)
    return f"0x{value:X}" if hexadecimal else str(value)


def _plain_of(hint: Any, said: Setting, text: str) -> Any:
    """The plain form of a `text`; a ValueError says what is wanted."""
    if _is_table(hint):
        if (parse := getattr(hint, "parse", None)) is None:
            raise ValueError(f"a table: set one of its keys {', '.join(names(hint))}")
        return table(parse(text))
    if _is_number(hint) or _is_value(hint):
        return text
    if get_origin(hint) is tuple:
        if text in ("", NONE):
            return []
        between = " " if _is_value(get_args(hint)[0]) else ","
        items = [item for item in text.split(between) if item]
        if said.form and len(items) != len(_parts(hint, len(items))):
            raise ValueError(f"{said.form} is wanted")
        return [_item(hint, said, item) for item in items]
    if issubclass(hint, StrEnum):
        return text
    if said.hexadecimal:
        try:
            return int(text, 16)
        except ValueError:
            raise ValueError("a hexadecimal number is wanted, as in 0xB400") from None
    wanted, reader = _WANTED[hint]
    try:
        return reader(text)
    except (ValueError, KeyError):
        raise ValueError(f"{said.form or wanted} is wanted") from None


def _item(hint: Any, said: Setting, text: str) -> Any:
    """An item of a tuple, or of a tuple in it, whose parts stand between colons."""
    item = get_args(hint)[0]
    if get_origin(item) is not tuple:
        return _plain_of(item, said, text)
    parts = text.split(":")
    if len(parts) != len(_parts(item, len(parts))):
        raise ValueError("pairs are wanted, as in 1:0,41:-1")
    return [_plain_of(part, said, value) for part, value in zip(_parts(item, len(parts)), parts)]


#: What a value of a type is called, and what reads it from a text.
_WANTED: dict[Any, tuple[str, Callable[[str], Any]]] = {
    int: ("a whole number", lambda text: int(text, 0)),
    float: ("a number", float),
    bool: ("true or false", {"true": True, "false": False}.__getitem__),
    str: ("a text", str),
}
