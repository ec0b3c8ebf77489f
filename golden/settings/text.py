"""The text form of configurations, as on the command line: name=value with dotted names."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import lru_cache
from typing import Any, get_args, get_origin

from golden.settings.fields import (
    Setting,
    hints_of,
    is_number,
    is_table,
    is_value,
    names,
    of_fields,
    optional_of,
    parts_of,
)
from golden.settings.plain import WANTED, made, plain, table, taken

#: Text of None and of an empty tuple.
NONE = "none"
#: Functions that read a text, by the type of its value.
_READERS: dict[Any, Callable[[str], Any]] = {
    int: lambda text: int(text, 0),
    float: float,
    bool: {"true": True, "false": False}.__getitem__,
    str: str,
}


@dataclass(frozen=True)
class Leaf:
    """A setting with a single value, of a configuration or of a table in it.

    Attributes
    ----------
    name
        Dotted name, as "macc.a".
    owner
        The class that has the field.
    hint
        Type of a value, without None.
    optional
        Whether the value may be None.
    default
        Default value, or `dataclasses.MISSING`.
    setting
        Metadata of the field.
    """

    name: str
    owner: type
    hint: Any
    optional: bool
    default: Any
    setting: Setting

    def of(self, config: Any) -> Any:
        """Return the setting's value in a configuration."""
        for part in self.name.split("."):
            config = getattr(config, part)
        return config

    def omitted(self, value: Any) -> bool:
        """Return whether documents leave the setting out where it has this value."""
        return self.setting.quiet and bool(value == self.default)

    def show(self, value: Any) -> str:
        """Return the text of a value, which `read` reads."""
        return text_of(value, self.setting.hexadecimal)

    def read(self, text: str) -> Any:
        """Return the value of a text.

        Raises
        ------
        ValueError
            The text has another form; the message describes the expected one.
        """
        if text == NONE and self.optional:
            return None
        return read(self.hint, self.setting, text)


@lru_cache(maxsize=256)
def leaves(kind: type) -> tuple[Leaf, ...]:
    """Return all settings with single values, in order, including those in tables.

    Examples
    --------
    >>> from golden.macc import MaccConfig
    >>> [leaf.name for leaf in leaves(MaccConfig)]
    ['a', 'b', 'depth', 'segments', 'ternary']
    """
    found: list[Leaf] = []
    spec = of_fields(kind)
    defaults = {one.name: one.default for one in fields(kind)}
    for name, hint in hints_of(kind).items():
        if is_table(hint):
            found += [
                Leaf(f"{name}.{leaf.name}", leaf.owner, *_rest(leaf)) for leaf in leaves(hint)
            ]
        else:
            optional = name in optional_of(kind)
            found.append(Leaf(name, kind, hint, optional, defaults[name], spec[name]))
    return tuple(found)


def _rest(leaf: Leaf) -> tuple[Any, bool, Any, Setting]:
    return leaf.hint, leaf.optional, leaf.default, leaf.setting


def varied(config: Any, settings: Iterable[str], where: str = "") -> Any:
    """Return a copy of a configuration in which some settings are replaced.

    Parameters
    ----------
    config
        The configuration.
    settings
        The replacements, as `name=value` with dotted names.
    where
        Beginning of every error message.

    Raises
    ------
    ValueError
        A name is unknown, or a value is not allowed.

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
        _put(type(config), values, name, text, where)
    return made(type(config), values, where)


def read(hint: Any, spec: Setting, text: str) -> Any:
    """Return the value of a text for a field of the type `hint`.

    Raises
    ------
    ValueError
        The text has another form; the message describes the expected one.
    """
    return taken(hint, _plain_of(hint, spec, text))


def _put(kind: Any, values: dict[str, Any], name: str, text: str, where: str) -> None:
    """Store the plain form of a text in nested `values`, by its dotted name."""
    place, inner = values, kind
    *tables, last = name.split(".")
    for part in tables:
        inner = hints_of(inner).get(part, object)
        if not is_table(inner):
            break
        place = place.setdefault(part, {})
    if not is_table(inner) or last not in hints_of(inner):
        raise ValueError(f"{where}unknown key {name!r}: allowed are {', '.join(names(kind))}")
    if text == NONE and last in optional_of(inner):
        place[last] = None
        return
    try:
        place[last] = _plain_of(hints_of(inner)[last], of_fields(inner)[last], text)
    except ValueError as error:
        raise ValueError(f"{where}{name} = {text!r}: {error}") from None


def shown(config: Any) -> list[str]:
    """Return all settings that are not None in the form name=value, which `varied` takes.

    Quiet settings (`Setting.quiet`) are left out at their defaults.

    Examples
    --------
    >>> from golden.lfsr import Generator
    >>> shown(Generator())
    ['bits=32', 'leap=16', 'draw=16', 'seed=1']
    """
    kind: Any = type(config)
    return [
        f"{leaf.name}={leaf.show(plain(leaf.hint, value))}"
        for leaf in leaves(kind)
        if (value := leaf.of(config)) is not None and not leaf.omitted(value)
    ]


def text_of(value: Any, hexadecimal: bool = False, between: str = ",") -> str:
    """Return the text of a value, which is a Python object or in plain form."""
    if value is None:
        return NONE
    if isinstance(value, list | tuple):
        texts = [text_of(item, between=":") for item in value]
        # Spaces separate items that contain commas.
        return (" " if any("," in text for text in texts) else between).join(texts) or NONE
    if isinstance(value, bool):
        return str(value).lower()
    if is_value(type(value)):
        return str(value.text)
    return f"0x{value:X}" if hexadecimal else str(value)


def _plain_of(hint: Any, spec: Setting, text: str) -> Any:
    """Return the plain form of a text; a ValueError describes the expected form."""
    if is_table(hint):
        if (parse := getattr(hint, "parse", None)) is None:
            raise ValueError(f"a table: set one of its keys {', '.join(names(hint))}")
        return table(parse(text))
    if is_number(hint) or is_value(hint):
        return text
    if get_origin(hint) is tuple:
        if text in ("", NONE):
            return []
        between = " " if is_value(get_args(hint)[0]) else ","
        items = [item for item in text.split(between) if item]
        if spec.form and len(items) != len(parts_of(hint, len(items))):
            raise ValueError(f"{spec.form} is wanted")
        return [_item(hint, spec, item) for item in items]
    if issubclass(hint, StrEnum):
        return text
    if spec.hexadecimal:
        try:
            return int(text, 16)
        except ValueError:
            raise ValueError("a hexadecimal number is wanted, as in 0xB400") from None
    try:
        return _READERS[hint](text)
    except (ValueError, KeyError):
        raise ValueError(f"{spec.form or WANTED[hint]} is wanted") from None


def _item(hint: Any, spec: Setting, text: str) -> Any:
    """Return the plain form of an item of a tuple; an item that is a tuple has colons."""
    item = get_args(hint)[0]
    if get_origin(item) is not tuple:
        return _plain_of(item, spec, text)
    parts = text.split(":")
    if len(parts) != len(parts_of(item, len(parts))):
        raise ValueError("pairs are wanted, as in 1:0,41:-1")
    return [_plain_of(part, spec, value) for part, value in zip(parts_of(item, len(parts)), parts)]
