"""The form of all data sets in memory: images and labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden import check

#: Unsigned bytes: pixels and labels.
Bytes = NDArray[np.uint8]


class DatasetError(ValueError):
    """A data set cannot be read; the message has the file and the reason."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """Images and labels for training and test.

    Parameters
    ----------
    name
        Name in reports.
    train_images, test_images
        uint8, (images, height, width) or (images, height, width, channels), pixels from 0 to
        `pixel_max`. Training and test images have the same shape.
    train_labels, test_labels
        uint8, (images,), labels from 0 to `classes` - 1.
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
        check.whole("pixel_max", self.pixel_max, 1, 255)
        check.whole("classes", self.classes, 2, 256)
        for part in ("train", "test"):
            images, labels = getattr(self, f"{part}_images"), getattr(self, f"{part}_labels")
            for name, array, dimensions in (
                (f"{part}_images", images, (3, 4)),
                (f"{part}_labels", labels, (1,)),
            ):
                check.instance(name, array, np.ndarray)
                if array.dtype != np.uint8 or array.ndim not in dimensions or array.size == 0:
                    wanted = " or ".join(map(str, dimensions))
                    raise ValueError(
                        f"{name} is {array.dtype} of shape {array.shape}: "
                        f"uint8 of {wanted} dimensions and at least one element are wanted"
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
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        height, width = self.train_images.shape[1:3]
        return height, width, self.train_images.shape[3] if self.train_images.ndim == 4 else 1
