"""Recipes as TOML: the built-in ones by name, files, and what `key=value` makes of them.

The form of a recipe is its fields and `system`; a field that is made of fields is a table. What a
field may be follows from its type. Whatever is wrong is said in one line that names the recipe or
the file, the key, the value and what is allowed.
"""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from enum import StrEnum
from fractions import Fraction
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import UnionType
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

import tomli_w

from golden.training.recipe import Recipe
from golden.training.systems.registry import SYSTEMS

_FOLDER: Traversable = files("golden.training") / "recipes"
#: Before the name of a recipe: the float32 training to compare it with.
FLOAT = "float-"
#: The table of a run's recipe.toml that says what it was trained on; no part of the recipe.
DATA = "data"


def names() -> tuple[str, ...]:
    """The built-in recipes; each has a `float-` one too."""
    found = (Path(file.name) for file in _FOLDER.iterdir())
    return tuple(sorted(file.stem for file in found if file.suffix == ".toml"))


def text(name: str) -> str:
    """A built-in recipe as it is written, with its comments; a `float-` one in full.

    Raises
    ------
    ValueError
        There is none of that name.
    """
    recipe = load(name)
    if name not in names():
        return written(recipe)
    return (_FOLDER / f"{name}.toml").read_text("utf-8")


def load(recipe: str | Path, settings: Iterable[str] = ()) -> Recipe:
    """A recipe by name or by path, with each `key=value` of `settings` in place of its own.

    Parameters
    ----------
    recipe
        A built-in one, `float-` and the name of one, or the path of a .toml file.
    settings
        Keys as in TOML, with dots into tables: batch=64, generator.seed=5, rounding=nearest-down.

    Raises
    ------
    ValueError
        There is no such recipe, or something in it or in the settings is wrong.
    """
    if (path := Path(recipe)).suffix == ".toml":
        where = str(recipe)
        try:
            found = read(path.read_text("utf-8"), where)
        except OSError as error:
            raise ValueError(f"{where}: {error.strerror or error}") from None
        except UnicodeDecodeError:
            raise ValueError(f"{where}: not TOML: it is no text in UTF-8") from None
    else:
        name = str(recipe)
        where, base = f"recipe {name}", name.removeprefix(FLOAT)
        if base not in names():
            raise ValueError(
                f"recipe {name!r}: allowed are {', '.join(names())}, each with {FLOAT} before it, "
                "and the path of a .toml file"
            )
        found = read((_FOLDER / f"{base}.toml").read_text("utf-8"), f"recipe {base}")
        found = found.baseline() if name != base else found
    return varied(found, settings, where)


def read(text: str, where: str = "recipe") -> Recipe:
    """The recipe that `text` is, in TOML.

    Raises
    ------
    ValueError
        It is none; the message begins with `where`.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{where}: not TOML: {error}") from None
    table.pop(DATA, None)
    name = table.pop("system", None)
    if not isinstance(name, str) or name not in SYSTEMS:
        wrong = "no system" if name is None else f"system = {name!r}"
        raise ValueError(f"{where}: {wrong}: allowed are {', '.join(SYSTEMS)}")
    return _made(SYSTEMS[name].recipe, table, where)


def written(recipe: Recipe, data: Mapping[str, Any] | None = None) -> str:
    """`recipe` in TOML, with every field; `read` makes an equal one of it.

    Equal recipes have one text. An exact number stands there as the number that it is.

    Parameters
    ----------
    recipe
        The recipe.
    data
        What it was trained on; `read` passes over it.
    """
    table = {"system": recipe.SYSTEM, **_table(recipe)}
    return tomli_w.dumps({**table, **({DATA: data} if data else {})})


def varied(recipe: Recipe, settings: Iterable[str], where: str = "recipe") -> Recipe:
    """`recipe` with each `key=value` of `settings` in place of its own.

    Raises
    ------
    ValueError
        A key that the recipe has not, or a value that it does not allow; the message begins with
        `where`.
    """
    table = _table(recipe)
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise ValueError(f"{where}: setting {setting!r}: key=value is wanted, as in batch=64")
        place, kind = table, cast(Any, type(recipe))
        *tables, last = key.split(".")
        for name in tables:
            kind = _hints(kind).get(name, object)
            place = place.setdefault(name, {})
            if not is_dataclass(kind):
                break
        if not is_dataclass(kind) or last not in _hints(kind):
            raise ValueError(_unknown(where, key, type(recipe)))
        if text == "none" and last in _optional(kind):
            place.pop(last, None)
            continue
        try:
            place[last] = _plain(_hints(kind)[last], text)
        except ValueError as error:
            raise ValueError(f"{where}: {key} = {text!r}: {error}") from None
    return _made(type(recipe), table, where)


def keys(recipe: Recipe) -> list[str]:
    """Every setting of a recipe as `varied` takes it, with its present value."""
    return [f"{key}={_text(value)}" for key, value in _flat(_table(recipe))]


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _text(value: Any, between: str = ",") -> str:
    if isinstance(value, list):
        return between.join(_text(item, ":") for item in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _hints(kind: Any) -> dict[str, Any]:
    """Type of every field of a dataclass that can be set, None left out of it."""
    hints = get_type_hints(kind)
    return {field.name: _without_none(hints[field.name]) for field in fields(kind) if field.init}


def _optional(kind: Any) -> set[str]:
    """The fields that may be None, which TOML leaves out."""
    return {name for name, hint in get_type_hints(kind).items() if type(None) in get_args(hint)}


def _without_none(hint: Any) -> Any:
    if get_origin(hint) not in (Union, UnionType):
        return hint
    kinds = tuple(kind for kind in get_args(hint) if kind is not type(None))
    return kinds[0] if len(kinds) == 1 else Union[kinds]  # noqa: UP007  (made of a tuple)


def _is_number(hint: Any) -> bool:
    """Whether a field is a number that is taken exactly."""
    return Fraction in get_args(hint)


def _known(kind: Any) -> list[str]:
    """Every key of a recipe, with dots into tables."""
    return [
        f"{name}.{part}" if part else name
        for name, hint in _hints(kind).items()
        for part in (_known(hint) if is_dataclass(hint) else [""])
    ]


def _unknown(where: str, key: str, kind: Any) -> str:
    return f"{where}: unknown key {key!r}: allowed are {', '.join(_known(kind))}"


def _number(value: Any) -> int | float | str:
    """An exact number as TOML has it, in one form alone; as a text where TOML has it not."""
    rational = Fraction(str(value))
    if rational.denominator == 1:
        return int(rational)
    rounded = float(rational)
    return rounded if Fraction(str(rounded)) == rational else str(rational)


def _table(of: Any) -> dict[str, Any]:
    """Fields of a dataclass as TOML has them; what is None is left out."""
    return {
        name: _value(hint, value)
        for name, hint in _hints(type(of)).items()
        if (value := getattr(of, name)) is not None
    }


def _value(hint: Any, value: Any) -> Any:
    """The value of a field as TOML has it."""
    if is_dataclass(value):
        return _table(value)
    if _is_number(hint):
        return _number(value)
    if isinstance(value, tuple):
        return [_value(part, item) for part, item in zip(_parts(hint, len(value)), value)]
    return str(value) if isinstance(value, StrEnum) else value


def _parts(hint: Any, length: int) -> tuple[Any, ...]:
    """Type of each of so many items of a tuple."""
    parts = get_args(hint)
    return (parts[0],) * length if parts[-1:] == (...,) else parts


def _made(kind: Any, table: Mapping[str, Any], where: str, prefix: str = "") -> Any:
    """The dataclass `kind` of a table, which stands under the keys of `prefix`."""
    hints = _hints(kind)
    given = {}
    for name, value in table.items():
        key = f"{prefix}{name}"
        if name not in hints:
            allowed = ", ".join(f"{prefix}{known}" for known in _known(kind))
            raise ValueError(f"{where}: unknown key {key!r}: allowed are {allowed}")
        if is_dataclass(hints[name]) and isinstance(value, dict):
            given[name] = _made(hints[name], value, where, f"{key}.")
            continue
        try:
            given[name] = _taken(hints[name], value)
        except ValueError as error:
            raise ValueError(f"{where}: {key} = {value!r}: {error}") from None
    try:
        return kind(**given)
    except (TypeError, ValueError) as error:
        named = str(error).partition(" = ")[0] in hints
        place = prefix if named or not prefix else f"{prefix[:-1]}: "
        raise ValueError(f"{where}: {place}{error}") from None


def _taken(hint: Any, value: Any) -> Any:
    """A field's value of what TOML has; raises a ValueError that says what is wanted."""
    if _is_number(hint):
        if not isinstance(value, bool) and isinstance(value, int | float | str):
            try:
                return _number(value)
            except (ValueError, ZeroDivisionError):
                pass
        raise ValueError("a number is wanted")
    if is_dataclass(hint):
        raise ValueError(f"a table of {', '.join(_known(hint))} is wanted")
    if get_origin(hint) is tuple:
        if not isinstance(value, list) or len(_parts(hint, len(value))) != len(value):
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


def _plain(hint: Any, text: str) -> Any:
    """A `text` as TOML has a value of that type; a ValueError says what is wanted."""
    if is_dataclass(hint):
        if (parse := getattr(hint, "parse", None)) is None:
            known = ", ".join(_known(hint))
            raise ValueError(f"a table: set one of its keys {known}")
        return _table(parse(text))
    if _is_number(hint):
        return text
    if get_origin(hint) is tuple:
        return [_items(hint, item) for item in text.split(",") if item]
    if issubclass(hint, StrEnum):
        return text
    wanted, reader = _WANTED[hint]
    try:
        return reader(text)
    except (ValueError, KeyError):
        raise ValueError(f"{wanted} is wanted") from None


def _items(hint: Any, text: str) -> Any:
    """An item of a tuple, or of a tuple in it, whose parts stand between colons."""
    item = get_args(hint)[0]
    if get_origin(item) is not tuple:
        return _plain(item, text)
    parts = text.split(":")
    if len(parts) != len(_parts(item, len(parts))):
        raise ValueError("pairs are wanted, as in 1:0,41:-1")
    return [_plain(part, value) for part, value in zip(_parts(item, len(parts)), parts)]


def _example(hint: Any) -> str:
    return "[[1, 0], [41, -1]]" if get_origin(get_args(hint)[0]) is tuple else "[1, 2]"


#: What a value of a type is called, and what reads it from a text.
_WANTED: dict[Any, tuple[str, Callable[[str], Any]]] = {
    int: ("a whole number", lambda text: int(text, 0)),
    float: ("a number", float),
    bool: ("true or false", {"true": True, "false": False}.__getitem__),
    str: ("a text", str),
}
