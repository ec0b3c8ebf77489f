"""The form of all data sets in memory: images and labels."""

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from golden import check
from golden.memory import machine_memory

#: Unsigned bytes: pixels and labels.
Bytes = NDArray[np.uint8]


class DatasetError(ValueError):
    """A data set cannot be read; the message has the file and the reason."""


def open_regular(path: Path) -> BinaryIO:
    """Return a regular file, open for reading, that is not larger than the memory.

    Opening a pipe would wait for a writer, and a device such as /dev/zero has no end.

    Raises
    ------
    DatasetError
        It is another kind of file, or larger than the machine's memory.
    OSError
        It cannot be opened.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
        raise DatasetError(f"{path}: not a regular file")
    if found.st_size > machine_memory():
        raise DatasetError(f"{path}: {found.st_size:,} bytes, more than the memory of this machine")
    return path.open("rb")


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """Images and labels for training and test.

    Parameters
    ----------
    name
        Name in reports.
    train_images, test_images
        Integers, (images, height, width) or (images, height, width, channels), pixels from 0 to
        `pixel_max`. Training and test images have the same shape. They are kept as uint8; an array
        of this type is not copied.
    train_labels, test_labels
        The same for labels from 0 to `classes` - 1, (images,).
    pixel_max
        Pixel value of 1, 1 to 255.
    classes
        Number of classes, 2 to 256.

    Examples
    --------
    >>> images, labels = np.zeros((6, 4, 4), np.uint8), np.array([0, 1] * 3, np.uint8)
    >>> data = Dataset(name="black", train_images=images, train_labels=labels, test_images=images,
    ...                test_labels=labels, pixel_max=255, classes=2)
    >>> data.shape
    (4, 4, 1)
    """

    name: str
    train_images: Bytes
    train_labels: Bytes
    test_images: Bytes
    test_labels: Bytes
    pixel_max: int
    classes: int

    def __post_init__(self) -> None:
        check.instance("name", self.name, str)
        check.whole_fields(self, 1, 255, "pixel_max")
        check.whole_fields(self, 2, 256, "classes")
        for part in ("train", "test"):
            images = self._bytes(f"{part}_images", (3, 4), self.pixel_max)
            labels = self._bytes(f"{part}_labels", (1,), self.classes - 1)
            if len(images) != len(labels):
                raise ValueError(
                    f"{part}_images holds {len(images)} images: "
                    f"{part}_labels holds {len(labels)} labels"
                )
        if self.train_images.shape[1:] != self.test_images.shape[1:]:
            raise ValueError(
                f"train_images are of {self.train_images.shape[1:]} pixels: "
                f"test_images are of {self.test_images.shape[1:]}"
            )

    def _bytes(self, name: str, dimensions: tuple[int, ...], most: int) -> Bytes:
        """Replace an array by its values in uint8, checked to be from 0 to `most`."""
        array = check.integers(name, getattr(self, name))
        if array.ndim not in dimensions or array.size == 0:
            wanted = " or ".join(map(str, dimensions))
            raise ValueError(
                f"{name} is {array.dtype} of shape {array.shape}: "
                f"integers of {wanted} dimensions and at least one element are wanted"
            )
        what = "label" if name.endswith("labels") else "pixel"
        check.whole(f"largest {what} of {name}", array.max(), 0, most)
        check.whole(f"smallest {what} of {name}", array.min(), 0, most)
        array = array.astype(np.uint8, copy=False)
        object.__setattr__(self, name, array)
        return array

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        height, width = self.train_images.shape[1:3]
        return height, width, self.train_images.shape[3] if self.train_images.ndim == 4 else 1
