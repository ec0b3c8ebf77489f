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
#: Table that describes a data set: in a run's recipe.toml the one that it was trained on, in a
#: built-in recipe the one that it is made for. It is not a part of the recipe.
DATA = "data"
#: Largest size of a recipe's file in bytes, and its largest number of dots in a line: tomllib takes
#: time and memory for the square of a key's parts.
_LARGEST, _MOST_DOTS = 1 << 16, 200


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
        return written(recipe, made_for(name))
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
    source, where = _source(recipe)
    found = read(source, where)
    if Path(recipe).suffix != ".toml" and str(recipe).startswith(FLOAT):
        found = found.baseline()
    return varied(found, settings, where)


def made_for(recipe: str | Path) -> dict[str, Any]:
    """Return the description of the data set that a recipe is made for, or was trained on.

    Parameters
    ----------
    recipe
        As in `load`.

    Returns
    -------
    dict
        Its name, and more in a run's recipe.toml; empty if the recipe has none. See
        `golden.training.runs.description`.

    Examples
    --------
    >>> made_for("float-gupta-cnn")
    {'name': 'MNIST'}
    """
    return data_of(*_source(recipe))


def data_of(text: str, where: str = "recipe") -> dict[str, Any]:
    """Return the description of a data set in the TOML of a recipe; empty if there is none."""
    found = _table(text, where).get(DATA)
    return found if isinstance(found, dict) else {}


def _source(recipe: str | Path) -> tuple[str, str]:
    """Return the TOML of a recipe by name or path, and the beginning of messages about it."""
    if (path := Path(recipe)).suffix == ".toml":
        return content_of(path), str(recipe)
    name = str(recipe)
    base = name.removeprefix(FLOAT)
    if base not in names():
        raise ValueError(
            f"recipe {name!r}: allowed are {', '.join(names())}, each with {FLOAT} before it, "
            "and the path of a .toml file"
        )
    return (_FOLDER / f"{base}.toml").read_text("utf-8"), f"recipe {name}"


def content_of(path: Path) -> str:
    """Return the text of a recipe's file."""
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise ValueError(f"{path}: not a regular file")
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from None
    try:
        return content.decode("utf-8")  # `_table` refuses what is too long
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not TOML: it is no text in UTF-8") from None


def _table(text: str, where: str) -> dict[str, Any]:
    """Return the content of a TOML text; errors begin with `where`."""
    if len(text) > _LARGEST:
        raise ValueError(f"{where}: no recipe: more than {_LARGEST:,} bytes")
    if any(line.count(".") > _MOST_DOTS for line in text.splitlines()):
        raise ValueError(f"{where}: no recipe: more than {_MOST_DOTS} dots in a line")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError(f"{where}: not TOML: nested too deeply") from None
    except ValueError as error:  # of tomllib, or of a number with thousands of digits
        raise ValueError(f"{where}: not TOML: {error}") from None


def read(text: str, where: str = "recipe") -> Recipe:
    """Read a recipe from TOML.

    Raises
    ------
    ValueError
        The text is not a recipe; the message begins with `where`.
    """
    table = _table(text, where)
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
