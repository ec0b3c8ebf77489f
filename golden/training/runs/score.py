"""Reports of trainings: scores, epochs, and numbers of draws."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Bars of a histogram.
BARS = 60


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Number of draws of every lane.

    Parameters
    ----------
    array
        Draws of the lanes of the array's columns.
    elementwise
        Draws of the lanes of the elementwise rounders.

    Examples
    --------
    >>> Draws(array=28)
    Draws(array=28, elementwise=0)
    """

    array: int = 0
    elementwise: int = 0


@dataclass(frozen=True, kw_only=True)
class Score:
    """Score of a network on some images.

    Parameters
    ----------
    images
        Number of images.
    wrong
        Number of images in a wrong class.
    loss
        Sum of the images' losses, a float for reports.

    Examples
    --------
    >>> score = Score(images=30, wrong=2, loss=15.0) + Score(images=10, wrong=2, loss=5.0)
    >>> score.error, score.mean_loss
    (10.0, 0.5)
    """

    images: int = 0
    wrong: int = 0
    loss: float = 0.0

    def __add__(self, other: "Score") -> "Score":
        return Score(
            images=self.images + other.images,
            wrong=self.wrong + other.wrong,
            loss=self.loss + other.loss,
        )

    @property
    def error(self) -> float:
        """Share of images in a wrong class, in per cent."""
        return 100 * self.wrong / self.images

    @property
    def mean_loss(self) -> float:
        """Mean loss of an image."""
        return self.loss / self.images


@dataclass(frozen=True, kw_only=True, eq=False)
class Histogram:
    """A histogram of real values.

    Parameters
    ----------
    counts
        Number of values in each bar, int64, (bars,).
    edges
        Lower edge of each bar, and the upper edge of the last one, (bars + 1,).

    Examples
    --------
    >>> histogram = Histogram.of(np.array([-128, 0, 127]), unit=1 / 128)
    >>> int(histogram.counts.sum()), histogram.edges.shape
    (3, (61,))
    """

    counts: NDArray[np.int64]
    edges: NDArray[np.float64]

    @classmethod
    def of(cls, values: NDArray[Any], unit: float) -> "Histogram":
        """Return the histogram of `values` times `unit`."""
        counts, edges = np.histogram(values, BARS)
        return cls(counts=counts.astype(np.int64), edges=edges.astype(np.float64) * unit)


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerReport:
    """Report on a layer in the last step of an epoch.

    Parameters
    ----------
    name
        The layer in the text of the network.
    weights
        Stored weights after the step.
    updates
        Changes of the stored weights in the step.
    saturated
        Share of the forward values that reached the end of their range, 0 to 1.
    unmoved
        Share of the weights that did not change, 0 to 1.

    Examples
    --------
    >>> before, after = np.array([0, 5, -3, 7]), np.array([0, 6, -3, 7])
    >>> report = LayerReport.of("10FC", before, after, unit=1 / 128, saturated=0.0)
    >>> float(report.unmoved)
    0.75
    """

    name: str
    weights: Histogram
    updates: Histogram
    saturated: float
    unmoved: float

    @classmethod
    def of(
        cls, name: str, before: NDArray[Any], after: NDArray[Any], unit: float, saturated: float
    ) -> "LayerReport":
        """Return the report on the weights of a layer before and after a step.

        Parameters
        ----------
        name
            The layer.
        before, after
            Stored weights, codes.
        unit
            Real value of a code of 1.
        saturated
            As in the class.
        """
        update = after - before
        return cls(
            name=name,
            weights=Histogram.of(after, unit),
            updates=Histogram.of(update, unit),
            saturated=saturated,
            unmoved=1 - np.count_nonzero(update) / update.size,
        )


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """Report on an epoch.

    Parameters
    ----------
    epoch
        Number of the epoch, counted from 1.
    train
        Score of its training batches, each before the batch's update.
    test
        Score of the test images, after the last update.
    seconds
        Wall time of training and test.
    layers
        Reports on every layer in the last step.

    Examples
    --------
    >>> train, test = Score(images=1408, wrong=704), Score(images=359, wrong=0)
    >>> epoch = Epoch(epoch=1, train=train, test=test, seconds=0.5)
    >>> epoch.train.error, epoch.test.error
    (50.0, 0.0)
    """

    epoch: int
    train: Score
    test: Score
    seconds: float
    layers: tuple[LayerReport, ...] = ()
