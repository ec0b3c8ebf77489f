"""IDX files: a magic number, the lengths of the dimensions, then the bytes.

MNIST and data sets in its format consist of four such files.
"""

import gzip
import math
import os
import re
import zlib
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from golden.datasets.dataset import Bytes, Dataset, DatasetError, open_regular

#: The expected files, for messages.
LOOKED_FOR = "train-images-idx3-ubyte and so on, plain or .gz, there or in raw or NAME/raw"

#: Data type of unsigned bytes in the magic number, the only one for images and labels.
_UNSIGNED_BYTE = 0x08
#: Largest number of dimensions that is accepted.
_MOST_DIMENSIONS = 4
#: Bytes read at a time, so that no more memory is allocated than the file has data, even if its
#: header is wrong.
_CHUNK = 1 << 20
#: Largest ratio of data to a .gz file, above a size that never hurts. Images of a few grey pixels
#: are below 100; gzip itself reaches 1,000, with zeros only.
_MOST_RATIO, _SMALL = 200, 1 << 26
#: Beginnings of the names of training and test files, the usual one first; EMNIST has `test`.
_PARTS = {"train": ("train",), "test": ("t10k", "test")}
#: Ends of the names of the four files, the usual one first.
_IMAGES = ("idx3-ubyte", "idx4-ubyte")
_LABELS = ("idx1-ubyte",)
#: Any of the names, after the name of the set: `emnist-letters-` and so on.
_NAME = re.compile(r"(.*-)?(?:train|t10k|test)-(?:images[-.]idx[34]|labels[-.]idx1)-ubyte(?:\.gz)?")
#: Folder of the files in torchvision's layout, below that of the data set.
_RAW = "raw"


class Place(NamedTuple):
    """A data set of IDX files: their folder, and the beginning of all names, mostly empty."""

    folder: Path
    prefix: str = ""

    @property
    def path(self) -> Path:
        """The path by which `idx` takes this data set alone."""
        return self.folder / self.prefix.rstrip("-")

    @property
    def name(self) -> str:
        """Name of the data set."""
        if self.prefix:
            return self.prefix.rstrip("-")
        folder = self.folder.resolve()
        return folder.parent.name if folder.name == _RAW else folder.name


def idx(directory: str | Path) -> Dataset:
    """Return the data set in a directory of IDX files, as those of MNIST, Fashion-MNIST and KMNIST.

    The files are `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
    `t10k-labels-idx1-ubyte`, or the same with a dot before `idx` (`train-images.idx3-ubyte`), plain
    or compressed by gzip (`.gz`). They may also be in `raw` or `NAME/raw` below the directory, as
    torchvision has them. EMNIST's files begin with the name of one of its sets; where there are
    several, `DIRECTORY/emnist-letters` names one.

    Images may have any size. A fourth dimension is the channels (`train-images-idx4-ubyte`: images,
    height, width, channels). The number of classes is the largest label + 1.

    Raises
    ------
    DatasetError
        A file is missing or damaged, the shapes of two files do not match, or the directory has
        several data sets.
    """
    directory = Path(directory)
    found = places(directory)
    if not found:
        missing = "no IDX files: looked for " + LOOKED_FOR
        raise DatasetError(f"{directory}: {missing if directory.is_dir() else 'no such directory'}")
    if len(found) > 1:
        raise several(directory, [place.path for place in found])
    (place,) = found
    images, labels, paths = {}, {}, {}
    for part in _PARTS:
        paths[part] = _find(place, part, "images", _IMAGES)
        labels_path = _find(place, part, "labels", _LABELS)
        images[part] = _of_dimensions(paths[part], (3, 4))
        labels[part] = _of_dimensions(labels_path, (1,))
        if len(images[part]) != len(labels[part]):
            raise DatasetError(
                f"{paths[part]}: {len(images[part])} images, "
                f"but {labels_path} has {len(labels[part])} labels"
            )
    sizes = {part: images[part].shape[1:] for part in _PARTS}
    if sizes["test"] != sizes["train"]:
        raise DatasetError(
            f"{paths['test']}: images of {_times(sizes['test'])} pixels, "
            f"those to train with are of {_times(sizes['train'])}"
        )
    classes = 1 + max(int(labels[part].max()) for part in _PARTS)
    if classes < 2:
        raise DatasetError(f"{directory}: every label is 0, at least two classes are wanted")
    return Dataset(
        name=place.name,
        train_images=images["train"],
        train_labels=labels["train"],
        test_images=images["test"],
        test_labels=labels["test"],
        pixel_max=255,
        classes=classes,
    )


def places(directory: Path) -> list[Place]:
    """Return the data sets, complete or not, in a directory or in torchvision's folders below it.

    A path that is no directory may be a directory followed by the name of one set in it.
    """
    if not directory.is_dir():
        prefix = f"{directory.name}-"
        return [place for place in _sets(directory.parent) if place.prefix == prefix]
    folders = (directory, directory / _RAW, *sorted(directory.glob(f"*/{_RAW}")))
    return [place for folder in folders for place in _sets(folder)]


def several(directory: Path, paths: list[Path]) -> DatasetError:
    """Return the error for a directory with several data sets."""
    return DatasetError(
        f"{directory}: {len(paths)} data sets, name one: {', '.join(map(str, paths))}"
    )


def _sets(folder: Path) -> list[Place]:
    """Return the data sets in a folder, by the names of its files."""
    try:
        names = [_NAME.fullmatch(entry.name) for entry in os.scandir(folder) if entry.is_file()]
    except OSError:
        return []
    return [Place(folder, prefix) for prefix in sorted({m[1] or "" for m in names if m})]


def _find(place: Place, part: str, kind: str, suffixes: tuple[str, ...]) -> Path:
    """Return the path of a file with one of the accepted names."""
    names = [
        f"{place.prefix}{stem}-{kind}{mark}{suffix}{packed}"
        for stem in _PARTS[part]
        for suffix in suffixes
        for packed in ("", ".gz")
        for mark in "-."
    ]
    for name in names:
        if (place.folder / name).is_file():
            return place.folder / name
    usual = [name for name in names if f"{_PARTS[part][0]}-" in name]
    raise DatasetError(f"{place.folder}: no file {' or '.join(usual)}")


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
        with open_regular(path) as raw:
            size = os.fstat(raw.fileno()).st_size
            if not packed:
                return _parse(path, raw, size)
            with gzip.open(raw) as file:
                return _parse(path, file, None, max(_MOST_RATIO * size, _SMALL))
    except MemoryError:
        raise DatasetError(f"{path}: larger than the memory at hand") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DatasetError(f"{path}: damaged or not gzip ({error})") from None
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}") from None


def _parse(
    path: Path, file: IO[bytes] | gzip.GzipFile, size: int | None, most: int | None = None
) -> Bytes:
    """Read header and data of an IDX file.

    Parameters
    ----------
    path
        Path for messages.
    file
        The file.
    size
        Its size in bytes; None if it is not known.
    most
        Largest number of bytes of data; None if there is no limit.
    """
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
    # Data beyond the limit is not kept: it is read only to find out whether it is there.
    kept = most is None or length <= most
    wanted = length if kept else _SMALL
    data, count = bytearray(), 0
    while count <= wanted:  # one byte more than expected shows that there is more
        chunk = file.read(min(_CHUNK, wanted + 1 - count))
        if not chunk:
            break
        count += len(chunk)
        if kept:
            data += chunk
    if count > wanted and not kept:
        raise DatasetError(
            f"{path}: its header says {sizes} = {length:,} bytes of data, more than the {most:,} "
            "that a gzip file of this size may have"
        )
    if count != length:
        found = f"more than {start + length}" if count > length else f"{start + count}"
        raise DatasetError(f"{path}: {found} bytes found, {expected}")
    return np.frombuffer(data, np.uint8).reshape(shape)
