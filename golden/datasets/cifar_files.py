"""CIFAR-10 (A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009): six files,
as pickles of Python or as binary records.

Reading a pickle executes it. The pickles of this data set need only a few functions of NumPy and
one of codecs. This module replaces them by classes of its own and refuses all other names, so a
pickle can call only code of this module.
"""

import io
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np

from golden.datasets.dataset import Bytes, Dataset, DatasetError, open_regular

_TRAINING = tuple(f"data_batch_{number}" for number in range(1, 6))
_TEST = "test_batch"
#: Folder in the archive of each version, and suffix of its files.
_VERSIONS = {"python": ("cifar-10-batches-py", ""), "binary": ("cifar-10-batches-bin", ".bin")}
#: The expected files, for messages.
LOOKED_FOR = (
    "data_batch_1 to 5 and test_batch, or the same with .bin, there or in "
    "cifar-10-batches-py or cifar-10-batches-bin"
)

_SIDE = 32
_CHANNELS = 3
#: Bytes of an image: three planes (red, green, blue), each row by row.
_PIXELS = _CHANNELS * _SIDE * _SIDE
_CLASSES = 10
#: Largest number of tuples in a pickle: some protocols have one per image, the published files few.
_MOST_TUPLES = 20_000


def cifar10(directory: str | Path) -> Dataset:
    """Return CIFAR-10 from a folder, in its Python or its binary version, with batches of any size.

    The files are `data_batch_1` to `data_batch_5` and `test_batch`, or the same with `.bin`, in the
    folder itself or in the archives' folder (`cifar-10-batches-py`, `cifar-10-batches-bin`). Images
    are (images, 32, 32, 3), red first. Training images keep the order of the batches.

    Raises
    ------
    DatasetError
        A file is missing or damaged, or the folder has both versions.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise DatasetError(f"{directory}: no such directory")
    found = places(directory)
    if not found:
        raise DatasetError(f"{directory}: no CIFAR-10 files: looked for {LOOKED_FOR}")
    if len(found) > 1:
        raise DatasetError(
            f"{directory}: CIFAR-10 {len(found)} times, in "
            f"{' and '.join(f'{folder} ({version})' for version, folder in found)}: "
            "name the folder of one"
        )
    version, folder = found[0]
    read = _python_batch if version == "python" else _binary_batch
    suffix = _VERSIONS[version][1]
    batches = [read(folder / (name + suffix)) for name in (*_TRAINING, _TEST)]
    # The files have one plane per channel; in `Dataset`, the channels of a pixel are adjacent, also
    # in memory, which `np.concatenate` alone would not change.
    images = [
        np.ascontiguousarray(
            pixels.reshape(-1, _CHANNELS, _SIDE, _SIDE).transpose(0, 2, 3, 1),
        )
        for pixels, _ in batches
    ]
    labels = [labels for _, labels in batches]
    return Dataset(
        name="cifar-10",
        train_images=np.concatenate(images[:-1]),
        train_labels=np.concatenate(labels[:-1]),
        test_images=images[-1],
        test_labels=labels[-1],
        pixel_max=255,
        classes=_CLASSES,
    )


def places(directory: Path) -> list[tuple[str, Path]]:
    """Return version and folder of every CIFAR-10, complete or not, in a directory or below it."""
    return [
        (version, folder)
        for version, (below, suffix) in _VERSIONS.items()
        for folder in (directory, directory / below)
        if any((folder / (name + suffix)).is_file() for name in (*_TRAINING, _TEST))
    ]


def _content(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read()
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}") from None
    except MemoryError:
        raise DatasetError(f"{path}: larger than the memory at hand") from None


def _checked(path: Path, pixels: Bytes, labels: Bytes) -> tuple[Bytes, Bytes]:
    """Return the batch; raise an error if a label is above 9."""
    if labels.max() >= _CLASSES:
        first = int(np.argmax(labels >= _CLASSES))
        raise DatasetError(
            f"{path}: label {labels[first]} of image {first}, 0 to {_CLASSES - 1} expected"
        )
    return pixels, labels


def _binary_batch(path: Path) -> tuple[Bytes, Bytes]:
    """Return pixels (images, 3072) and labels of a file of records: a label, then the pixels."""
    content = _content(path)
    record = 1 + _PIXELS
    if not content or len(content) % record:
        raise DatasetError(
            f"{path}: {len(content)} bytes found, records of {record} expected "
            f"(1 of label, {_PIXELS} of pixels)"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, record)
    return _checked(path, records[:, 1:], records[:, 0].copy())


def _python_batch(path: Path) -> tuple[Bytes, Bytes]:
    """Return pixels (images, 3072) and labels of a pickled dictionary with `data` and `labels`."""
    batch = _unpickled(path)
    if not isinstance(batch, dict):
        raise DatasetError(f"{path}: a {type(batch).__name__} found, a dictionary expected")
    parts = []
    for key in ("data", "labels"):
        # Strings of Python 2 are read as bytes.
        value = batch.get(key.encode(), batch.get(key))
        if value is None:
            raise DatasetError(f"{path}: no entry {key!r}, 'data' and 'labels' expected")
        parts.append(value)
    data, labels = parts
    if not isinstance(data, _Array):
        raise DatasetError(f"{path}: data is a {type(data).__name__}, an array expected")
    try:
        pixels = data.array()
    except (TypeError, ValueError, OverflowError) as error:
        raise DatasetError(f"{path}: data is no array: {_line(error)}") from None
    if pixels.ndim != 2 or pixels.shape[1] != _PIXELS or not len(pixels):
        raise DatasetError(f"{path}: data is of shape {pixels.shape}, (images, {_PIXELS}) expected")
    if not isinstance(labels, list) or len(labels) != len(pixels):
        found = f"{len(labels)}" if isinstance(labels, list) else f"a {type(labels).__name__}"
        raise DatasetError(
            f"{path}: {len(pixels)} images, and a list of as many labels expected, {found} found"
        )
    for number, label in enumerate(labels):
        if type(label) is not int or not 0 <= label < _CLASSES:
            small = type(label) is int and abs(label) < 1 << 32
            raise DatasetError(
                f"{path}: label {label if small else f'of type {type(label).__name__}'} "
                f"of image {number}, 0 to {_CLASSES - 1} expected"
            )
    return pixels, np.array(labels, np.uint8)


class _Type:
    """Replacement of numpy.dtype, with the name of a type."""

    def __init__(self, name: object, *_: object):
        self.name = name.decode("latin1") if isinstance(name, bytes) else name
        if not isinstance(self.name, str):
            raise TypeError("a type has no name")

    def __setstate__(self, state: object) -> None:
        """Ignore byte order and fields, which bytes do not have."""


class _Array:
    """Replacement of numpy.ndarray and of its constructor function, with the array's state."""

    state: tuple[Any, ...] = ()

    def __init__(self, *_: object):
        pass

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def array(self) -> Bytes:
        """Return the array; raise an error if it is not of unsigned bytes."""
        if len(self.state) != 5:
            raise ValueError("it has no content")
        _, shape, kind, by_columns, content = self.state
        if not isinstance(kind, _Type) or kind.name not in ("u1", "uint8"):
            raise ValueError(
                f"it is of {kind.name if isinstance(kind, _Type) else 'no'} type, not u1"
            )
        return np.frombuffer(content, np.uint8).reshape(shape, order="F" if by_columns else "C")


class _Buffer(_Array):
    """Replacement of the constructor function in pickles of protocol 5."""

    def __init__(self, content: bytes, kind: object, shape: object, order: object):
        self.state = (1, shape, kind, order == "F", content)


class _Encoded:
    """Replacement of codecs.encode, in which Python 3 writes bytes in protocol 2."""

    def __new__(cls, text: str, encoding: str = "latin1") -> "_Encoded":
        return text.encode("latin1")  # type: ignore[return-value]


_NEEDED: dict[str, type] = {
    "numpy.ndarray": _Array,
    "numpy.dtype": _Type,
    "_codecs.encode": _Encoded,
    # NumPy 2 has another name for its core.
    **{f"numpy.{core}.multiarray._reconstruct": _Array for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": _Buffer for core in ("core", "_core")},
}


class _Unpickler(pickle.Unpickler):
    """Reads pickles with the replacements only."""

    def find_class(self, module: str, name: str) -> type:
        asked = f"{module}.{name}"
        if asked not in _NEEDED:
            raise pickle.UnpicklingError(f"it asks for {asked[:80]!r}, which no batch needs")
        return _NEEDED[asked]


def _unpickled(path: Path) -> Any:
    """Return the content of a pickle, with replacements of its arrays."""
    content = _content(path)
    tuples = 0
    try:
        for operation, argument, _ in pickletools.genops(content):
            # The reader allocates a table for the largest index, ...
            if operation.name.endswith("PUT") and not 0 <= (argument or 0) <= len(content):
                raise pickle.UnpicklingError(f"entry {argument} of its memo is beyond its length")
            # ... and it is recursive for nested tuples, which may overflow the stack.
            tuples += "TUPLE" in operation.name
            if tuples > _MOST_TUPLES:
                raise pickle.UnpicklingError(f"it has more than {_MOST_TUPLES} tuples")
        return _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:  # a damaged pickle may raise anything
        raise DatasetError(
            f"{path}: refused, damaged or no pickle of a CIFAR-10 batch: {_line(error)}"
        ) from None


def _line(error: Exception) -> str:
    """Return the message of an error as one line of limited length."""
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:200]} ..."
