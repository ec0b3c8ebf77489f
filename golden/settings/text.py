"""The text form of configurations, that of the command line: name=value with dotted names."""

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

#: What stands for None, and for an empty tuple, in a text.
NONE = "none"
#: What reads a text, by the type of its value.
_READERS: dict[Any, Callable[[str], Any]] = {
    int: lambda text: int(text, 0),
    float: float,
    bool: {"true": True, "false": False}.__getitem__,
    str: str,
}


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
    for name, hint in hints_of(kind).items():
        if is_table(hint):
            found += [
                Leaf(f"{name}.{leaf.name}", leaf.owner, *_rest(leaf)) for leaf in leaves(hint)
            ]
        else:
            optional = name in optional_of(kind)
            found.append(Leaf(name, kind, hint, optional, defaults[name], said[name]))
    return tuple(found)


def _rest(leaf: Leaf) -> tuple[Any, bool, Any, Setting]:
    return leaf.hint, leaf.optional, leaf.default, leaf.setting


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
        _put(type(config), values, name, text, where)
    return made(type(config), values, where)


def read(hint: Any, said: Setting, text: str) -> Any:
    """The value of a text, of a type; raises a ValueError that says what is wanted."""
    return taken(hint, _plain_of(hint, said, text))


def _put(kind: Any, values: dict[str, Any], name: str, text: str, where: str) -> None:
    """Put the plain form of a `text` in its place, by dotted name, in the `values` of a `kind`."""
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
    """Every setting as `varied` takes it, name=value; what is None is left out."""
    kind: Any = type(config)
    return [
        f"{leaf.name}={leaf.show(plain(leaf.hint, value))}"
        for leaf in leaves(kind)
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
    if is_value(type(value)):
        return str(value.text)
    return f"0x{value:X}" if hexadecimal else str(value)


def _plain_of(hint: Any, said: Setting, text: str) -> Any:
    """The plain form of a `text`; a ValueError says what is wanted."""
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
        if said.form and len(items) != len(parts_of(hint, len(items))):
            raise ValueError(f"{said.form} is wanted")
        return [_item(hint, said, item) for item in items]
    if issubclass(hint, StrEnum):
        return text
    if said.hexadecimal:
        try:
            return int(text, 16)
        except ValueError:
            raise ValueError("a hexadecimal number is wanted, as in 0xB400") from None
    try:
        return _READERS[hint](text)
    except (ValueError, KeyError):
        raise ValueError(f"{said.form or WANTED[hint]} is wanted") from None


def _item(hint: Any, said: Setting, text: str) -> Any:
    """An item of a tuple, or of a tuple in it, whose parts stand between colons."""
    item = get_args(hint)[0]
    if get_origin(item) is not tuple:
        return _plain_of(item, said, text)
    parts = text.split(":")
    if len(parts) != len(parts_of(item, len(parts))):
        raise ValueError("pairs are wanted, as in 1:0,41:-1")
    return [_plain_of(part, said, value) for part, value in zip(parts_of(item, len(parts)), parts)]


#: What a value of a type is called, and what reads it from a text.
