"""What trainings report: scores, epochs, and how far the random bits have moved."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Bars of a histogram.
BARS = 60


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Draws that every lane has made; times the generator's leap, single steps from its seed."""

    array: int = 0
    elementwise: int = 0


@dataclass(frozen=True, kw_only=True)
class Score:
    """How a network did on some images.

    Parameters
    ----------
    images
        How many there were.
    wrong
        How many it put into another class than the label's.
    loss
        Sum of the images' losses, a float for reports alone.
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
        """Images in the wrong class, in per cent."""
        return 100 * self.wrong / self.images

    @property
    def mean_loss(self) -> float:
        """Loss of an image on average."""
        return self.loss / self.images


@dataclass(frozen=True, kw_only=True, eq=False)
class Histogram:
    """How often values fall between edges, in reals.

    Parameters
    ----------
    counts
        Values in each bar.
    edges
        Lower edge of each bar, and the upper one of the last.
    """

    counts: NDArray[np.int64]
    edges: NDArray[np.float64]

    @classmethod
    def of(cls, values: NDArray[Any], unit: float) -> "Histogram":
        """Histogram of `values` times `unit`."""
        counts, edges = np.histogram(values, BARS)
        return cls(counts=counts.astype(np.int64), edges=edges.astype(np.float64) * unit)


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerReport:
    """What the last step of an epoch did in a layer.

    Parameters
    ----------
    name
        The layer, as its network writes it.
    weights
        Stored weights after the step.
    updates
        What the step added to them.
    saturated
        Share of the forward values that came to the end of their range, 0 to 1.
    unmoved
        Share of the weights that stayed as they were, 0 to 1.
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
        """Report on weights before and after a step, codes that count `unit` each."""
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
    """What an epoch came to.

    Parameters
    ----------
    epoch
        Its number, from 1.
    train
        Scores of its training batches, each taken before the batch's update.
    test
        Score on the held-out images, after its last update.
    seconds
        Wall time of both.
    layers
        What its last step did in every layer.
    """

    epoch: int
    train: Score
    test: Score
    seconds: float
    layers: tuple[LayerReport, ...] = ()
