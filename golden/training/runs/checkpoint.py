"""Checkpoints: the complete state of a training in a file, written atomically.

A checkpoint is an .npz file with the arrays of the trainer's state, a text (JSON) about the run,
and a SHA-256 of both. The previous checkpoint is kept too.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden import check
from golden.files import replaced
from golden.training.runs.arrays import read_arrays
from golden.training.runs.score import Epoch, Histogram, LayerReport, Score

#: File names of the latest checkpoint in a run's folder and of the previous one.
LATEST, PREVIOUS = "checkpoint.npz", "checkpoint.previous.npz"
#: Version of the format; trainings do not resume from other versions, as results would differ.
FORMAT = 2

#: Above any number of epochs, images or steps.
_MANY = 1 << 40
_NO_BARS = Histogram(counts=np.zeros(0, np.int64), edges=np.zeros(1))


class DamagedError(ValueError):
    """A checkpoint cannot be read; the message has the file and the reason."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Checkpoint:
    """State of a run.

    Parameters
    ----------
    recipe
        The recipe, in TOML.
    data
        Description of the data set: name, sizes, SHA-256 of images and labels.
    history
        Reports of all complete epochs. Histograms are not stored, and are empty after reading.
    state
        State of the trainer.
    """

    recipe: str
    data: dict[str, Any]
    history: list[Epoch]
    state: Mapping[str, NDArray[Any]]

    def write(self, folder: Path) -> None:
        """Write the checkpoint to `folder`, atomically; the latest one becomes the previous one."""
        about = {
            "format": FORMAT,
            "recipe": self.recipe,
            "data": self.data,
            "history": [_json_of(epoch) for epoch in self.history],
        }
        arrays: dict[str, Any] = {**self.state, "about": np.array(json.dumps(about))}
        with replaced(folder / LATEST) as temporary:
            with temporary.open("wb") as file:
                np.savez(file, **arrays, sha256=np.array(digest(arrays)))
            if (folder / LATEST).exists():
                (folder / LATEST).replace(folder / PREVIOUS)

    @classmethod
    def read(cls, path: Path) -> "Checkpoint":
        """Read a checkpoint.

        Raises
        ------
        DamagedError
            The file is not a checkpoint, is damaged, or has another format.
        """
        try:
            arrays = read_arrays(path)
        except ValueError as error:
            raise DamagedError(f"{path}: damaged: {error}") from None
        if "sha256" not in arrays or "about" not in arrays:
            raise DamagedError(f"{path}: damaged: no checkpoint of a training")
        if str(arrays.pop("sha256")) != digest(arrays):
            raise DamagedError(f"{path}: damaged: its SHA-256 is not that of its contents")
        try:
            about = json.loads(str(arrays.pop("about")))
            found_format = about.pop("format")
        except check.FOREIGN as error:
            raise DamagedError(f"{path}: damaged: its description: {_first_line(error)}") from None
        if found_format != FORMAT:
            raise DamagedError(
                f"{path}: of format {found_format}, {FORMAT} is wanted: "
                "another version of gradloom made it, whose draws came in another order"
            )
        try:
            history = [_epoch_of(table) for table in about.pop("history")]
            check.instance("recipe", about["recipe"], str)
            data = dict(about["data"])
            return cls(state=arrays, history=history, recipe=about["recipe"], data=data)
        except check.FOREIGN as error:
            raise DamagedError(f"{path}: damaged: its description: {_first_line(error)}") from None


def digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the SHA-256 of names, dtypes, shapes and values, in hexadecimal.

    Examples
    --------
    >>> len(digest({"images": np.zeros((2, 8, 8), np.uint8)}))
    64
    """
    sha = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        sha.update(f"{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()


def _first_line(error: Exception) -> str:
    """Return the first line of an error's message."""
    return (str(error).splitlines() or [""])[0] or type(error).__name__


def _json_of(epoch: Epoch) -> dict[str, Any]:
    """Return an epoch as a table for JSON, without its histograms."""
    scores = {
        name: [score.images, score.wrong, score.loss.hex()]
        for name, score in (("train", epoch.train), ("test", epoch.test))
    }
    layers = [[layer.name, layer.saturated, layer.unmoved] for layer in epoch.layers]
    return {"epoch": epoch.epoch, "seconds": epoch.seconds, "layers": layers, **scores}


def _epoch_of(table: dict[str, Any]) -> Epoch:
    """Return the epoch of a table from `_json_of`."""
    number = check.whole("epoch", table["epoch"], 1, _MANY)
    train, test = (
        Score(
            images=check.whole("images", images, 1, _MANY),
            wrong=check.whole("wrong", wrong, 0, images),
            loss=float.fromhex(loss),
        )
        for images, wrong, loss in (table["train"], table["test"])
    )
    layers = tuple(
        LayerReport(
            name=str(name),
            saturated=float(saturated),
            unmoved=float(unmoved),
            weights=_NO_BARS,
            updates=_NO_BARS,
        )
        for name, saturated, unmoved in table["layers"]
    )
    seconds = float(table["seconds"])
    return Epoch(epoch=number, seconds=seconds, train=train, test=test, layers=layers)
