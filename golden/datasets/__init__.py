"""Data sets: the digits, which are part of this package, and folders of IDX or CIFAR-10 files.

An error in a file is one line with the name of the file. Files are checked before memory for their
data is allocated.
"""

from pathlib import Path

import numpy as np

from golden import check
from golden.datasets import cifar_files, idx_files
from golden.datasets.cifar_files import cifar10
from golden.datasets.dataset import Bytes, Dataset, DatasetError
from golden.datasets.idx_files import idx, read_idx
from golden.datasets.oddities import remarks

__all__ = [
    "Bytes",
    "Dataset",
    "DatasetError",
    "cifar10",
    "digits",
    "idx",
    "load",
    "read_idx",
    "remarks",
]

_DIGITS = Path(__file__).parent.parent / "data" / "digits.npz"


def digits(held_out_seed: int = 0) -> Dataset:
    """Return the UCI handwritten digits: 8 x 8 pixels from 0 to 16, 1,438 training images and 359
    test images.

    The test images are chosen at random: they are the first 359 indices of a permutation by PCG64.
    Both parts keep the order of the file.

    Parameters
    ----------
    held_out_seed
        Seed of PCG64.

    Examples
    --------
    >>> data = digits()
    >>> data.train_images.shape, data.test_images.shape, data.classes
    ((1438, 8, 8), (359, 8, 8), 10)
    """
    held_out_seed = check.whole("held_out_seed", held_out_seed, 0, 2**63 - 1)
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


def load(directory: str | Path) -> Dataset:
    """Return the data set of a folder, in the format of its files: see `idx` and `cifar10`.

    Raises
    ------
    DatasetError
        The folder has no files of a known format, or files of several formats, or a file is missing
        or damaged.
    """
    directory = Path(directory)
    has_idx = [place.path for place in idx_files.places(directory)]
    has_cifar = [folder for _, folder in cifar_files.places(directory)]
    if not has_idx and not has_cifar:
        if not directory.is_dir():
            raise DatasetError(f"{directory}: no such directory")
        raise DatasetError(
            f"{directory}: no data set: looked for IDX files ({idx_files.LOOKED_FOR}) "
            f"and CIFAR-10 files ({cifar_files.LOOKED_FOR})"
        )
    if has_idx and has_cifar:
        raise DatasetError(
            f"{directory}: IDX files ({', '.join(map(str, has_idx))}) and CIFAR-10 files "
            f"({', '.join(map(str, has_cifar))}): a folder with one data set is wanted"
        )
    return idx(directory) if has_idx else cifar10(directory)
