"""Recipes as TOML: built-in recipes by name, files, and replacements `key=value`.

`golden.settings` reads and prints recipes as all configurations; the key `system` selects the
class. Every error is one line with the recipe or file, the key, the value and the allowed values.
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
#: Prefix of a recipe's name for its float32 baseline.
FLOAT = "float-"
#: Table of a run's recipe.toml that describes the data set; not a part of the recipe.
DATA = "data"


def names() -> tuple[str, ...]:
    """Return the names of the built-in recipes, without their `float-` baselines."""
    found = (Path(file.name) for file in _FOLDER.iterdir())
    return tuple(sorted(file.stem for file in found if file.suffix == ".toml"))


def text(name: str) -> str:
    """Return the TOML of a built-in recipe with its comments, or of a `float-` baseline.

    Raises
    ------
    ValueError
        There is no recipe with that name.
    """
    recipe = load(name)
    if name not in names():
        return written(recipe)
    return (_FOLDER / f"{name}.toml").read_text("utf-8")


def load(recipe: str | Path, settings: Iterable[str] = ()) -> Recipe:
    """Return a recipe by name or by path, maybe with some settings replaced.

    Parameters
    ----------
    recipe
        Name of a built-in recipe, `float-` followed by such a name, or the path of a .toml file.
    settings
        Replacements `key=value` with dotted keys: batch=64, generator.seed=5,
        rounding=nearest-down.

    Returns
    -------
    Recipe
        A recipe of the class of its system.

    Raises
    ------
    ValueError
        There is no such recipe, or a key or value of the file or the settings is wrong.

    Examples
    --------
    >>> recipe = load("digits-wage", ["batch=32", "network=64FC"])
    >>> recipe.SYSTEM, recipe.batch, recipe.network
    ('wage', 32, '64FC')
    >>> load("float-digits-wage").SYSTEM
    'float'
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
    """Read a recipe from TOML.

    Raises
    ------
    ValueError
        The text is not a recipe; the message begins with `where`.
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
    """Return a recipe in TOML with all fields, which `read` reads. Equal recipes have equal texts.

    Parameters
    ----------
    recipe
        The recipe.
    data
        Description of the data set, for the table `data`, which `read` ignores.
    """
    table = {"system": recipe.SYSTEM, **codec.table(recipe)}
    return tomli_w.dumps({**table, **({DATA: data} if data else {})})


def varied(recipe: Recipe, settings: Iterable[str], where: str = "recipe") -> Recipe:
    """Return a recipe in which some settings are replaced by `key=value`.

    Raises
    ------
    ValueError
        A key is unknown, or a value is not allowed; the message begins with `where`.
    """
    varied: Recipe = codec.varied(recipe, settings, f"{where}: ")
    return varied


def keys(recipe: Recipe) -> list[str]:
    """Return all settings of a recipe as `key=value`, which `varied` takes."""
    return codec.shown(recipe)
