"""Recipes by name, and what `--set key=value` makes of them."""

from collections.abc import Iterable
from dataclasses import fields, replace
from enum import StrEnum
from typing import Any

from golden.lfsr import Generator
from golden.training import Bits, GuptaRecipe, Recipe, WageRecipe

#: The recipes that there are, at settings for the built-in digits.
RECIPES: dict[str, Recipe] = {"wage": WageRecipe(), "gupta": GuptaRecipe()}


def varied(recipe: Recipe, settings: Iterable[str]) -> Recipe:
    """`recipe` with each `key=value` of `settings` in place of its own.

    Raises
    ------
    ValueError
        A key that the recipe has not, or a value that it does not allow.
    """
    changes: dict[str, Any] = {}
    generator: dict[str, int] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise ValueError(f"setting {setting!r}: key=value is wanted, as in batch=64")
        if key.startswith("generator."):
            name = key.removeprefix("generator.")
            _known(key, [f"generator.{field.name}" for field in fields(Generator)])
            generator[name] = _whole(key, text, 16 if name == "mask" else 10)
        else:
            _known(key, [field.name for field in fields(recipe) if field.name != "generator"])
            changes[key] = _value(key, text, getattr(recipe, key))
    if generator:
        changes["generator"] = replace(recipe.generator, **generator)
    return replace(recipe, **changes)


def keys(recipe: Recipe) -> list[str]:
    """What can be set, with its present value."""
    names = [field.name for field in fields(recipe) if field.name != "generator"]
    own = [f"{name}={_text(getattr(recipe, name))}" for name in names]
    generator = recipe.generator
    return [
        *own,
        *(f"generator.{f.name}={_text(getattr(generator, f.name))}" for f in fields(generator)),
    ]


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(
            ":".join(map(str, item)) if isinstance(item, tuple) else str(item) for item in value
        )
    return "default" if value is None else str(value)


def _known(key: str, allowed: list[str]) -> None:
    if key not in allowed:
        raise ValueError(f"setting {key!r} is not one of this recipe's: {', '.join(allowed)}")


def _whole(key: str, text: str, base: int = 10) -> int:
    try:
        return int(text, base)
    except ValueError:
        kind = "a hexadecimal number" if base == 16 else "a whole number"
        raise ValueError(f"{key} = {text!r}: {kind} is wanted") from None


def _value(key: str, text: str, present: Any) -> Any:
    """`text` as what stands in a recipe under `key` now."""
    match present:
        case StrEnum():
            kind = type(present)
            if text not in list(kind):
                raise ValueError(f"{key} = {text!r}: allowed are {', '.join(kind)}")
            return kind(text)
        case Bits():
            return Bits.parse(text)
        case tuple():
            items = [item for item in text.split(",") if item]
            if key == "rates":
                pairs = [item.partition(":") for item in items]
                return tuple((_whole(key, epoch), _whole(key, rate)) for epoch, _, rate in pairs)
            return tuple(_whole(key, item) for item in items)
        case int() if key not in ("learning_rate", "learning_rate_factor", "momentum", "decay"):
            return _whole(key, text)
    return text  # an exact number, which the recipe reads itself
