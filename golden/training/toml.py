"""Recipes as TOML: the built-in ones by name, files, and what `key=value` makes of them.

A recipe is a configuration like any other, and `golden.settings` reads and prints it; the key
`system` names its class. Whatever is wrong is said in one line that names the recipe or the file,
the key, the value and what is allowed.
"""

import tomllib
from collections.abc import Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import tomli_w

from golden import settings as codec
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
    recipe: Recipe = codec.made(SYSTEMS[name].recipe, table, f"{where}: ")
    return recipe


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
    table = {"system": recipe.SYSTEM, **codec.table(recipe)}
    return tomli_w.dumps({**table, **({DATA: data} if data else {})})


def varied(recipe: Recipe, settings: Iterable[str], where: str = "recipe") -> Recipe:
    """`recipe` with each `key=value` of `settings` in place of its own.

    Raises
    ------
    ValueError
        A key that the recipe has not, or a value that it does not allow; the message begins with
        `where`.
    """
    varied: Recipe = codec.varied(recipe, settings, f"{where}: ")
    return varied


def keys(recipe: Recipe) -> list[str]:
    """Every setting of a recipe as `varied` takes it, with its present value."""
    return codec.shown(recipe)
