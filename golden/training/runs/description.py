"""Descriptions of data sets: name, sizes and SHA-256, by which a data set is recognised.

A run's recipe.toml has the description of the data set that it was trained on, in the table `data`;
a built-in recipe has the name of the one that it is made for.
"""

from collections.abc import Mapping
from typing import Any

from golden.datasets import Dataset
from golden.training.runs.checkpoint import digest

#: Descriptions of the data sets that built-in recipes are made for.
KNOWN: dict[str, dict[str, Any]] = {
    "MNIST": {
        "train_images": 60_000,
        "test_images": 10_000,
        "height": 28,
        "width": 28,
        "channels": 1,
        "classes": 10,
        "sha256": "e6d24b97558aa9676683f0463d67e18da800bd43976fe80a0f1c9d8531187eae",
    },
    "CIFAR-10": {
        "train_images": 50_000,
        "test_images": 10_000,
        "height": 32,
        "width": 32,
        "channels": 3,
        "classes": 10,
    },
    "digits": {
        "train_images": 1_438,
        "test_images": 359,
        "height": 8,
        "width": 8,
        "channels": 1,
        "classes": 10,
        "sha256": "a24d49e087762d2be2b2e7f04324283535725951dbf6d34cacec8993ea33844c",
    },
}


def described(dataset: Dataset) -> dict[str, Any]:
    """Return the description of a data set.

    Examples
    --------
    >>> from golden.datasets import digits
    >>> described(digits())["sha256"] == KNOWN["digits"]["sha256"]
    True
    """
    return {"name": dataset.name, **_sizes(dataset), "sha256": _sha256(dataset)}


def other_data(recipe: str, description: Mapping[str, Any], dataset: Dataset) -> str:
    """Return a remark if a data set is not the one of a recipe.

    Parameters
    ----------
    recipe
        Name of the recipe.
    description
        The table `data` of its TOML: see `golden.training.toml.made_for`.
    dataset
        The data set.

    Returns
    -------
    str
        One line with the sizes of both; empty if it is the same, or if the recipe has none.

    Examples
    --------
    >>> from golden.datasets import digits
    >>> other_data("gupta-dnn", {"name": "MNIST"}, digits())[:77]
    'recipe gupta-dnn is made for MNIST (60,000 images of 28 x 28 x 1, 10 classes)'
    """
    name = description.get("name")
    wanted = {**KNOWN.get(name if isinstance(name, str) else "", {}), **description}
    found = _sizes(dataset)
    if not all(isinstance(wanted.get(key), int) for key in _SHOWN):
        return ""  # a table of somebody's own
    if any(wanted.get(key, value) != value for key, value in found.items()):
        has = f"has {_text(found)}"
    elif "sha256" in wanted and wanted["sha256"] != _sha256(dataset):
        has = "has other images of the same sizes"
    else:
        return ""
    return (
        f"recipe {recipe} is made for {name} ({_text(wanted)}): {dataset.name} {has}; "
        "rates and network may not suit it"
    )


#: Keys of a description that a remark shows.
_SHOWN = ("train_images", "height", "width", "channels", "classes")


def _text(sizes: Mapping[str, Any]) -> str:
    images, height, width, channels, classes = (sizes[key] for key in _SHOWN)
    return f"{images:,} images of {height} x {width} x {channels}, {classes} classes"


def _sizes(dataset: Dataset) -> dict[str, int]:
    height, width, channels = dataset.shape
    return {
        "train_images": len(dataset.train_images),
        "test_images": len(dataset.test_images),
        "height": height,
        "width": width,
        "channels": channels,
        "classes": dataset.classes,
        "pixel_max": dataset.pixel_max,
    }


def _sha256(dataset: Dataset) -> str:
    return digest(
        {
            f"{part}_{kind}": getattr(dataset, f"{part}_{kind}")
            for part in ("train", "test")
            for kind in ("images", "labels")
        }
    )
