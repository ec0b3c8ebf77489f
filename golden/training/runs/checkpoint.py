"""Checkpoints: all that a training needs to go on, in a file that is whole or not there.

A checkpoint is an .npz file: the arrays of the trainer's state, a text (JSON) about the run, and a
SHA-256 over both. The one before it is kept too.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.files import replaced
from golden.training.runs.score import Epoch, Histogram, LayerReport, Score

#: The latest checkpoint of a run's folder, and the one before it.
LATEST, PREVIOUS = "checkpoint.npz", "checkpoint.previous.npz"
#: Changes when trainings can no longer go on from older checkpoints to the same bits.
FORMAT = 2

_NO_BARS = Histogram(counts=np.zeros(0, np.int64), edges=np.zeros(1))


class DamagedError(ValueError):
    """A checkpoint cannot be read; the message names the file and what is wrong with it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Checkpoint:
    """Where a training stands.

    Parameters
    ----------
    recipe
        The recipe, in TOML.
    data
        What the data set is: name, sizes, SHA-256 of its images and labels.
    history
        What every epoch came to; as it is read, without the bars of histograms.
    state
        The trainer's.
    """

    recipe: str
    data: dict[str, Any]
    history: list[Epoch]
    state: Mapping[str, NDArray[Any]]

    def write(self, folder: Path) -> None:
        """Put it into `folder`; whenever this is stopped, there is a whole checkpoint as before."""
        about = {
            "format": FORMAT,
            "recipe": self.recipe,
            "data": self.data,
            "history": [_told(epoch) for epoch in self.history],
        }
        arrays = {**self.state, "about": np.array(json.dumps(about))}
        with replaced(folder / LATEST) as temporary:
            with temporary.open("wb") as file:
                np.savez(file, allow_pickle=False, **arrays, sha256=np.array(digest(arrays)))
            if (folder / LATEST).exists():
                (folder / LATEST).replace(folder / PREVIOUS)

    @classmethod
    def read(cls, path: Path) -> "Checkpoint":
        """The checkpoint of a file.

        Raises
        ------
        DamagedError
            It is none, or not as it was written.
        """
        try:
            # NumPy would not close a file of its own that it cannot read.
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            found = str(arrays.pop("sha256"))
        except Exception as error:  # a damaged file can make the reader stumble anywhere
            raise DamagedError(f"{path}: damaged: {_first_line(error)}") from None
        if found != digest(arrays):
            raise DamagedError(f"{path}: damaged: its SHA-256 is not that of its contents")
        about = json.loads(str(arrays.pop("about")))
        if (found_format := about.pop("format")) != FORMAT:
            raise DamagedError(
                f"{path}: of format {found_format}, {FORMAT} is wanted: "
                "another version of gradloom made it, whose draws came in another order"
            )
        history = [_epoch(told) for told in about.pop("history")]
        return cls(state=arrays, history=history, **about)


def digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 over names, kinds, shapes and values, in hexadecimal."""
    sha = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        sha.update(f"{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()


def _first_line(error: Exception) -> str:
    """An error in a line."""
    return (str(error).splitlines() or [""])[0] or type(error).__name__


def _told(epoch: Epoch) -> dict[str, Any]:
    """An epoch as JSON has it, without its histograms."""
    scores = {
        name: [score.images, score.wrong, score.loss.hex()]
        for name, score in (("train", epoch.train), ("test", epoch.test))
    }
    layers = [[layer.name, layer.saturated, layer.unmoved] for layer in epoch.layers]
    return {"epoch": epoch.epoch, "seconds": epoch.seconds, "layers": layers, **scores}


def _epoch(told: dict[str, Any]) -> Epoch:
    """The epoch that `_told` told of."""
    train, test = (
        Score(images=images, wrong=wrong, loss=float.fromhex(loss))
        for images, wrong, loss in (told["train"], told["test"])
    )
    layers = tuple(
        LayerReport(
            name=name, saturated=saturated, unmoved=unmoved, weights=_NO_BARS, updates=_NO_BARS
        )
        for name, saturated, unmoved in told["layers"]
    )
    return Epoch(
        epoch=told["epoch"], seconds=told["seconds"], train=train, test=test, layers=layers
    )
