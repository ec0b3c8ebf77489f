"""What a reader should know of a data set before training on it: labels without images, dark
images.
"""

from collections.abc import Iterable

import numpy as np

from golden.datasets.dataset import Dataset

#: Numbers or ranges of numbers that a remark names at most.
_NAMED = 6
#: Share of `pixel_max` up to which the brightest pixel is remarkable.
_DARK = 1 / 8


def remarks(dataset: Dataset) -> list[str]:
    """Return remarks on a data set that can be trained on, but hardly as somebody meant it.

    Returns
    -------
    list of str
        One line each: classes without a training image, test images of such classes, classes
        without a test image, images that are all dark. Mostly empty.

    Examples
    --------
    >>> images, labels = np.full((3, 4, 4), 255, np.uint8), np.array([0, 1, 3], np.uint8)
    >>> data = Dataset(name="gap", train_images=images, train_labels=labels, test_images=images,
    ...                test_labels=labels, pixel_max=255, classes=4)
    >>> remarks(data)
    ['gap: 3 of 4 classes have training images; class 2 has none, and an output all the same']
    """
    trained = np.bincount(dataset.train_labels, minlength=dataset.classes)
    tested = np.bincount(dataset.test_labels, minlength=dataset.classes)
    absent = np.flatnonzero(trained == 0)
    lacking = np.flatnonzero((trained == 0) & (tested > 0))
    unseen = np.flatnonzero((trained > 0) & (tested == 0))
    found = []
    if absent.size:
        one = absent.size == 1
        remedy = "" if absent.size < 2 else ": labels that count from 0 without gaps avoid it"
        found.append(
            f"{dataset.classes - absent.size} of {dataset.classes} classes have training images; "
            f"{'class' if one else 'classes'} {_ranges(absent)} "
            f"{'has none, and an output' if one else 'have none, and an output each'} "
            f"all the same{remedy}"
        )
    if lacking.size:
        count, images = int(tested[lacking].sum()), len(dataset.test_labels)
        found.append(
            f"{count:,} of {images:,} test images ({100 * count / images:.1f} %) are of classes "
            f"without a training image ({_ranges(lacking)}): they add to the test error"
        )
    if unseen.size:
        found.append(
            f"no test image is of {'class' if unseen.size == 1 else 'classes'} {_ranges(unseen)}: "
            "the test error says nothing about "
            f"{'it' if unseen.size == 1 else 'them'}"
        )
    brightest = int(dataset.train_images.max())
    if brightest <= dataset.pixel_max * _DARK:
        found.append(
            f"the brightest training pixel is {brightest}, and {dataset.pixel_max} stands for 1: "
            "the images are almost black; scale the pixels"
        )
    return [f"{dataset.name}: {text}" for text in found]


def _ranges(numbers: Iterable[int]) -> str:
    """Return increasing numbers as text: 1 to 99, 101, 103."""
    runs: list[list[int]] = []
    for number in map(int, numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    texts = [f"{low} to {high}" if high > low else f"{low}" for low, high in runs]
    more = f" and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
    return ", ".join(texts[:_NAMED]) + more
