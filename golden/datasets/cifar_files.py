"""CIFAR-10 (A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009): six files,
as pickles of Python or as binary records.

A pickle is a program that its reader runs. Those of this data set need four functions of NumPy and
nothing else, so they are run with stand-ins for these four, and whatever else a file asks for is
refused: nothing but this module's own code is called.
"""

import io
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np

from golden.datasets.dataset import Bytes, Dataset, DatasetError

_TRAINING = tuple(f"data_batch_{number}" for number in range(1, 6))
_TEST = "test_batch"
#: Folder that the archive of each version unpacks to, and how its files' names end.
_VERSIONS = {"python": ("cifar-10-batches-py", ""), "binary": ("cifar-10-batches-bin", ".bin")}
#: What a folder is searched for, as messages say it.
LOOKED_FOR = (
    "data_batch_1 to 5 and test_batch, or the same with .bin, there or in "
    "cifar-10-batches-py or cifar-10-batches-bin"
)

_SIDE = 32
_CHANNELS = 3
#: Bytes of an image: three planes (red, green, blue), each row by row.
_PIXELS = _CHANNELS * _SIDE * _SIDE
_CLASSES = 10
#: Most tuples a pickle may have: one an image in some protocols, a handful in the published files.
_MOST_TUPLES = 20_000


def cifar10(directory: str | Path) -> Dataset:
    """CIFAR-10 from a folder, in its Python or its binary version, batches of any size.

    Files are `data_batch_1` to `data_batch_5` and `test_batch`, or the same with `.bin`, in the
    folder itself or where the archives put them (`cifar-10-batches-py`, `cifar-10-batches-bin`).
    Images are (images, 32, 32, 3), red first; training images keep the order of the batches.

    Raises
    ------
    DatasetError
        A file is missing or damaged, or both versions are there.
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
    # The files hold planes of one channel, and the model takes the channels of a pixel together.
    # (concatenate would keep the planes' order in memory)
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
    """Version and folder of every CIFAR-10, whole or not, in the directory or just below."""
    return [
        (version, folder)
        for version, (below, suffix) in _VERSIONS.items()
        for folder in (directory, directory / below)
        if any((folder / (name + suffix)).is_file() for name in (*_TRAINING, _TEST))
    ]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}") from None


def _checked(path: Path, pixels: Bytes, labels: Bytes) -> tuple[Bytes, Bytes]:
    """The batch, if its labels are those of ten classes."""
    if labels.max() >= _CLASSES:
        first = int(np.argmax(labels >= _CLASSES))
        raise DatasetError(
            f"{path}: label {labels[first]} of image {first}, 0 to {_CLASSES - 1} expected"
        )
    return pixels, labels


def _binary_batch(path: Path) -> tuple[Bytes, Bytes]:
    """Pixels (images, 3072) and labels of a file of records: a label, then the pixels."""
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
    """Pixels (images, 3072) and labels of a pickle of a dictionary with `data` and `labels`."""
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
    """Stands in for numpy.dtype: keeps the name of a type."""

    def __init__(self, name: object, *_: object):
        self.name = name.decode("latin1") if isinstance(name, bytes) else name
        if not isinstance(self.name, str):
            raise TypeError("a type has no name")

    def __setstate__(self, state: object) -> None:
        """Byte order and fields: bytes have none."""


class _Array:
    """Stands in for numpy.ndarray and the function that makes one: keeps what it is made of."""

    state: tuple[Any, ...] = ()

    def __init__(self, *_: object):
        pass

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def array(self) -> Bytes:
        """The array, if it is one of unsigned bytes."""
        if len(self.state) != 5:
            raise ValueError("it has no content")
        _, shape, kind, by_columns, content = self.state
        if not isinstance(kind, _Type) or kind.name not in ("u1", "uint8"):
            raise ValueError(
                f"it is of {kind.name if isinstance(kind, _Type) else 'no'} type, not u1"
            )
        return np.frombuffer(content, np.uint8).reshape(shape, order="F" if by_columns else "C")


class _Buffer(_Array):
    """Stands in for the function that makes an array in pickles of protocol 5."""

    def __init__(self, content: bytes, kind: object, shape: object, order: object):
        self.state = (1, shape, kind, order == "F", content)


class _Encoded:
    """Stands in for codecs.encode, by which Python 3 writes bytes in protocol 2."""

    def __new__(cls, text: str, encoding: str = "latin1") -> "_Encoded":
        return text.encode("latin1")  # type: ignore[return-value]


_NEEDED: dict[str, type] = {
    "numpy.ndarray": _Array,
    "numpy.dtype": _Type,
    "_codecs.encode": _Encoded,
    # NumPy 2 has its core under another name.
    **{f"numpy.{core}.multiarray._reconstruct": _Array for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": _Buffer for core in ("core", "_core")},
}


class _Unpickler(pickle.Unpickler):
    """Knows the stand-ins and nothing else."""

    def find_class(self, module: str, name: str) -> type:
        asked = f"{module}.{name}"
        if asked not in _NEEDED:
            raise pickle.UnpicklingError(f"it asks for {asked[:80]!r}, which no batch needs")
        return _NEEDED[asked]


def _unpickled(path: Path) -> Any:
    """What a pickle holds, with stand-ins for its arrays."""
    content = _content(path)
    tuples = 0
    try:
        for operation, argument, _ in pickletools.genops(content):
            # The reader makes a table as long as the largest index says, ...
            if operation.name.endswith("PUT") and not 0 <= (argument or 0) <= len(content):
                raise pickle.UnpicklingError(f"entry {argument} of its memo is beyond its length")
            # ... and calls itself for tuples in tuples, until the stack is full.
            tuples += "TUPLE" in operation.name
            if tuples > _MOST_TUPLES:
                raise pickle.UnpicklingError(f"it has more than {_MOST_TUPLES} tuples")
        return _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:  # a damaged pickle may raise anything
        raise DatasetError(
            f"{path}: refused, damaged or no pickle of a CIFAR-10 batch: {_line(error)}"
        ) from None


def _line(error: Exception) -> str:
    """What an error says, in one line that is not too long."""
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:200]} ..."
