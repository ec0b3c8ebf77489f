"""IDX files: a magic number, the lengths of the dimensions, then the bytes.

MNIST and data sets in its format consist of four such files.
"""

import gzip
import math
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from golden.datasets.dataset import Bytes, Dataset, DatasetError

#: The expected files, for messages.
LOOKED_FOR = "train-images-idx3-ubyte and so on, plain or .gz"

#: Data type of unsigned bytes in the magic number, the only one for images and labels.
_UNSIGNED_BYTE = 0x08
#: Largest number of dimensions that is accepted.
_MOST_DIMENSIONS = 4
#: Bytes read at a time, so that no more memory is allocated than the file has data, even if its
#: header is wrong.
_CHUNK = 1 << 20
#: Ends of the names of the four files, the usual one first.
_IMAGES = ("idx3-ubyte", "idx4-ubyte")
_LABELS = ("idx1-ubyte",)


def idx(directory: str | Path) -> Dataset:
    """Return the data set in a directory of IDX files, as those of MNIST, Fashion-MNIST and KMNIST.

    The files are `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
    `t10k-labels-idx1-ubyte`, or the same with a dot before `idx` (`train-images.idx3-ubyte`), plain
    or compressed by gzip (`.gz`). Images may have any size. A fourth dimension is the channels
    (`train-images-idx4-ubyte`: images, height, width, channels). The number of classes is the
    largest label + 1.

    Raises
    ------
    DatasetError
        A file is missing or damaged, or the shapes of two files do not match.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise DatasetError(f"{directory}: no such directory")
    parts: dict[str, Bytes] = {}
    for part in ("train", "t10k"):
        images_path = _find(directory, f"{part}-images", _IMAGES)
        labels_path = _find(directory, f"{part}-labels", _LABELS)
        images = _of_dimensions(images_path, (3, 4))
        labels = _of_dimensions(labels_path, (1,))
        if len(images) != len(labels):
            raise DatasetError(
                f"{images_path}: {len(images)} images, but {labels_path} has {len(labels)} labels"
            )
        first = parts.setdefault("train-images", images)
        if images.shape[1:] != first.shape[1:]:
            raise DatasetError(
                f"{images_path}: images of {_times(images.shape[1:])} pixels, "
                f"those to train with are of {_times(first.shape[1:])}"
            )
        parts[f"{part}-images"], parts[f"{part}-labels"] = images, labels
    classes = 1 + max(int(parts["train-labels"].max()), int(parts["t10k-labels"].max()))
    if classes < 2:
        raise DatasetError(f"{directory}: every label is 0, at least two classes are wanted")
    return Dataset(
        name=directory.resolve().name,
        train_images=parts["train-images"],
        train_labels=parts["train-labels"],
        test_images=parts["t10k-images"],
        test_labels=parts["t10k-labels"],
        pixel_max=255,
        classes=classes,
    )


def present(directory: Path) -> bool:
    """Return whether the directory has any of the files that `idx` reads."""
    return any(
        (directory / name).exists()
        for part in ("train", "t10k")
        for name in _names(f"{part}-images", _IMAGES) + _names(f"{part}-labels", _LABELS)
    )


def _names(stem: str, suffixes: tuple[str, ...]) -> list[str]:
    """Return the accepted names of a file."""
    return [
        f"{stem}{mark}{suffix}{packed}"
        for suffix in suffixes
        for packed in ("", ".gz")
        for mark in "-."
    ]


def _find(directory: Path, stem: str, suffixes: tuple[str, ...]) -> Path:
    """Return the path of a file with one of the accepted names."""
    names = _names(stem, suffixes)
    for name in names:
        if (directory / name).exists():
            return directory / name
    raise DatasetError(f"{directory}: no file {' or '.join(names)}")


def _of_dimensions(path: Path, dimensions: tuple[int, ...]) -> Bytes:
    """Return the array of a file; raise an error for other numbers of dimensions."""
    array = read_idx(path)
    if array.ndim not in dimensions:
        raise DatasetError(
            f"{path}: magic {_magic(array.ndim)}, {' or '.join(map(_magic, dimensions))} expected "
            f"({' or '.join(map(str, dimensions))} dimensions, {array.ndim} found)"
        )
    return array


def _times(lengths: tuple[int, ...]) -> str:
    return " x ".join(map(str, lengths))


def _magic(dimensions: int) -> str:
    return f"{_UNSIGNED_BYTE << 8 | dimensions:08X}"


def read_idx(path: str | Path) -> Bytes:
    """Return the array of an IDX file of unsigned bytes, gzipped if its name ends in `.gz`.

    Returns
    -------
    Bytes
        uint8, in the shape of the header.

    Raises
    ------
    DatasetError
        The file is missing, not in IDX format, not in gzip format despite its name, or its length
        differs from that in the header.

    Examples
    --------
    >>> size = Path("labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
    >>> read_idx("labels-idx1-ubyte").tolist()
    [7, 2, 1]
    """
    path = Path(path)
    packed = path.suffix == ".gz"
    try:
        with path.open("rb") as raw:
            if not packed:
                return _parse(path, raw, path.stat().st_size)
            with gzip.open(raw) as file:
                return _parse(path, file, None)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DatasetError(f"{path}: damaged or not gzip ({error})") from None
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}") from None


def _parse(path: Path, file: IO[bytes] | gzip.GzipFile, size: int | None) -> Bytes:
    """Read header and data of an IDX file of `size` bytes; None if the size is not known."""
    magic = file.read(4)
    if len(magic) < 4:
        raise DatasetError(f"{path}: {len(magic)} bytes found, at least 4 expected (IDX magic)")
    if magic[:3] != bytes((0, 0, _UNSIGNED_BYTE)) or not 1 <= magic[3] <= _MOST_DIMENSIONS:
        gzipped = magic.startswith(b"\x1f\x8b")
        hint = " (gzip: a name that ends in .gz is expected)" if gzipped else ""
        raise DatasetError(
            f"{path}: magic {magic.hex().upper()} found, "
            f"{_magic(1)} (labels) or {_magic(3)} (images) expected{hint}"
        )
    dimensions = magic[3]
    header = file.read(4 * dimensions)
    if len(header) < 4 * dimensions:
        raise DatasetError(
            f"{path}: {4 + len(header)} bytes found, {4 + 4 * dimensions} expected (IDX header)"
        )
    shape = tuple(int.from_bytes(header[i : i + 4], "big") for i in range(0, len(header), 4))
    start, length = 4 + len(header), math.prod(shape)
    sizes = _times(shape)
    if length == 0:
        raise DatasetError(f"{path}: empty, its header says {sizes}")
    expected = f"{start + length} expected ({start} of header, {sizes} of data)"
    if size is not None and size != start + length:
        raise DatasetError(f"{path}: {size} bytes found, {expected}")
    data = bytearray()
    while len(data) <= length:  # one byte more than expected shows that there is more
        chunk = file.read(min(_CHUNK, length + 1 - len(data)))
        if not chunk:
            break
        data += chunk
    if len(data) != length:
        found = f"more than {start + length}" if len(data) > length else f"{start + len(data)}"
        raise DatasetError(f"{path}: {found} bytes found, {expected}")
    return np.frombuffer(bytes(data), np.uint8).reshape(shape)
