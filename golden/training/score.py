"""What trainings report: scores, epochs, and how far the random bits have moved."""

from dataclasses import dataclass


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
    """

    epoch: int
    train: Score
    test: Score
    seconds: float
