"""What every data set is once it is read: images, labels, and how to take them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden import check

#: Unsigned bytes: pixels and labels.
Bytes = NDArray[np.uint8]


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
        uint8, (images, height, width) or (images, height, width, channels), pixels 0 to
        `pixel_max`; training and test images are of one shape.
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
