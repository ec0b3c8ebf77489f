"""Data sets: the digits that travel with the code, and directories of IDX files (MNIST and kin).

Whatever is wrong with a file is said in one line that names the file, and found before its data are
allocated.
"""

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from golden import check

#: Unsigned bytes: pixels and labels.
Bytes = NDArray[np.uint8]

_DIGITS = Path(__file__).parent / "data" / "digits.npz"
#: Data type byte of IDX files of unsigned bytes, the only ones that hold images and labels.
_UNSIGNED_BYTE = 0x08
#: Most dimensions an IDX file may claim here.
_MOST_DIMENSIONS = 4
#: Bytes read at a time, so that a false header cannot make us allocate what the file does not hold.
_CHUNK = 1 << 20


class DatasetError(ValueError):
    """A data set cannot be read; the message names the file and what is wrong with it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """Images and labels, held-out ones apart.

    Parameters
    ----------
    name
        What reports call it.
    train_images, test_images
        uint8, (images, height, width), pixels 0 to `pixel_max`; training and test images are of one
        size.
    train_labels, test_labels
        uint8, (images,), labels 0 to `classes` - 1.
    pixel_max
        Pixel value that stands for 1, 1 to 255.
    classes
        Classes, 2 to 256.
    """

    name: str
    train_images: Bytes
    train_labels: Bytes
    test_images: Bytes
    test_labels: Bytes
    pixel_max: int
    classes: int

    def __post_init__(self) -> None:
        check.whole("pixel_max", self.pixel_max, 1, 255)
        check.whole("classes", self.classes, 2, 256)
        for part in ("train", "test"):
            images, labels = getattr(self, f"{part}_images"), getattr(self, f"{part}_labels")
            for name, array, dimensions in (
                (f"{part}_images", images, 3),
                (f"{part}_labels", labels, 1),
            ):
                check.instance(name, array, np.ndarray)
                if array.dtype != np.uint8 or array.ndim != dimensions or array.size == 0:
                    raise ValueError(
                        f"{name} is {array.dtype} of shape {array.shape}: "
                        f"uint8 of {dimensions} dimensions and at least one element are wanted"
                    )
            if len(images) != len(labels):
                raise ValueError(
                    f"{part}_images holds {len(images)} images: "
                    f"{part}_labels holds {len(labels)} labels"
                )
            check.whole(f"largest pixel of {part}_images", images.max(), 0, self.pixel_max)
            check.whole(f"largest label of {part}_labels", labels.max(), 0, self.classes - 1)
        if self.train_images.shape[1:] != self.test_images.shape[1:]:
            raise ValueError(
                f"train_images are of {self.train_images.shape[1:]} pixels: "
                f"test_images are of {self.test_images.shape[1:]}"
            )

    @property
    def pixels(self) -> int:
        """Pixels of an image."""
        return math.prod(self.train_images.shape[1:])


def digits(held_out_seed: int = 0) -> Dataset:
    """The UCI handwritten digits, 8 x 8 pixels of 0 to 16: 1,438 to train with and 359 held out.

    The held-out fifth is random: the first 359 indices of a permutation by PCG64 of
    `held_out_seed`. Both parts keep the order of the file.
    """
    check.whole("held_out_seed", held_out_seed, 0, 2**63 - 1)
    with np.load(_DIGITS, allow_pickle=False) as data:
        images, labels = data["images"], data["labels"]
    order = np.random.Generator(np.random.PCG64(held_out_seed)).permutation(len(images))
    test = np.zeros(len(images), bool)
    test[order[: len(images) // 5]] = True
    return Dataset(
        name="digits",
        train_images=images[~test],
        train_labels=labels[~test],
        test_images=images[test],
        test_labels=labels[test],
        pixel_max=16,
        classes=10,
    )


def idx(directory: str | Path) -> Dataset:
    """The data set of a directory of IDX files, as MNIST, Fashion-MNIST and EMNIST come.

    Files are `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
    `t10k-labels-idx1-ubyte`, or the same with a dot for the last hyphen but one
    (`train-images.idx3-ubyte`), each plain or gzipped (`.gz`). Images may be of any size; classes
    are counted from the labels.

    Raises
    ------
    DatasetError
        A file is missing or damaged, or two of them do not belong together.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise DatasetError(f"{directory}: no such directory")
    parts: dict[str, Bytes] = {}
    for part in ("train", "t10k"):
        images_path = _find(directory, f"{part}-images", "idx3-ubyte")
        labels_path = _find(directory, f"{part}-labels", "idx1-ubyte")
        images, labels = read_idx(images_path), read_idx(labels_path)
        for path, array, dimensions in ((images_path, images, 3), (labels_path, labels, 1)):
            if array.ndim != dimensions:
                raise DatasetError(
                    f"{path}: magic {_magic(array.ndim)}, {_magic(dimensions)} expected "
                    f"({dimensions} dimensions, {array.ndim} found)"
                )
        if len(images) != len(labels):
            raise DatasetError(
                f"{images_path}: {len(images)} images, but {labels_path} has {len(labels)} labels"
            )
        first = parts.setdefault("train-images", images)
        if images.shape[1:] != first.shape[1:]:
            raise DatasetError(
                f"{images_path}: images of {images.shape[1]} x {images.shape[2]} pixels, "
                f"those to train with are of {first.shape[1]} x {first.shape[2]}"
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


def _find(directory: Path, stem: str, suffix: str) -> Path:
    """The file of the directory that goes by one of the usual spellings."""
    names = [f"{stem}{mark}{suffix}{packed}" for packed in ("", ".gz") for mark in "-."]
    for name in names:
        if (directory / name).exists():
            return directory / name
    raise DatasetError(f"{directory}: no file {' or '.join(names)}")


def _magic(dimensions: int) -> str:
    return f"{_UNSIGNED_BYTE << 8 | dimensions:08X}"


def read_idx(path: str | Path) -> Bytes:
    """The array of one IDX file of unsigned bytes, gzipped if its name ends in `.gz`.

    Raises
    ------
    DatasetError
        The file is not there, not IDX, not gzip where its name says so, or shorter or longer than
        its header says.
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
    """Header and data of an IDX file of `size` bytes, None where only reading on can tell."""
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
    sizes = " x ".join(map(str, shape))
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
