"""The cross-entropy of softmax's probabilities."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.fixed import Codes
from golden.softmax.integers import FRACTION
from golden.training.runs.score import Score
from golden.training.trainers.trainer import winners


def cross_entropy(y: NDArray[Any], probability: Codes, labels: Codes) -> Score:
    """Return the score of a batch.

    Parameters
    ----------
    y
        Logits, (batch, classes).
    probability
        Their probabilities, (batch, classes). In the loss, 0 counts as the smallest code, 1.
    labels
        Class of every image, (batch,).
    """
    right = np.maximum(probability[np.arange(len(labels)), labels], 1)
    loss = len(labels) * FRACTION * math.log(2) - float(np.sum(np.log(right)))
    return Score(images=len(labels), wrong=int(np.sum(winners(y) != labels)), loss=loss)
