"""Parts of a floating-point training: losses, batch normalisation, products of scaled words.

Tensors are (batch, height, width, channels) of one float type, which is kept, and weights
(inputs, outputs) with their rows in the order (ky, kx, channel).
"""

from dataclasses import dataclass

import numpy as np

from golden.fixed import Codes
from golden.training.layers import convolution
from golden.training.layers.network import Stage
from golden.training.layers.windows import Tensor, patches, spread
from golden.training.systems.float.recipe import Loss

#: Added to a batch normalisation's variance.
EPSILON = 1e-5
#: Share of a batch in the running statistics of a batch normalisation.
BATCH_SHARE = 0.1


def loss_and_error(loss: Loss, outputs: Tensor, labels: Codes) -> tuple[float, Tensor]:
    """Sum of the losses of a batch, and its derivative by the outputs.

    Parameters
    ----------
    loss
        Which.
    outputs
        Of the last layer, (batch, classes).
    labels
        Class of every image, (batch,).

    Returns
    -------
    The sum, for reports, and (batch, classes).
    """
    rows = np.arange(len(labels))
    if loss == Loss.SSE:
        error = outputs.copy()
        error[rows, labels] -= 1
        return float(np.sum(error**2, dtype=np.float64)) / 2, error
    shifted = outputs - outputs.max(axis=1, keepdims=True)
    exponential = np.exp(shifted)
    total = exponential.sum(axis=1, keepdims=True)
    surprise = np.log(total[:, 0]) - shifted[rows, labels]
    error = exponential / total
    error[rows, labels] -= 1
    return float(np.sum(surprise, dtype=np.float64)), error


@dataclass(frozen=True, kw_only=True, eq=False)
class Normalised:
    """A layer's sums by batch normalisation, and what its way back needs.

    Parameters
    ----------
    y
        gamma x + beta, x the sums less their mean over their deviation.
    x
        The sums so normalised, (batch * places, channels).
    mean, variance
        Of the batch, (channels,); the variance is the mean square, not the unbiased estimate.
    """

    y: Tensor
    x: Tensor
    mean: Tensor
    variance: Tensor

    @classmethod
    def of(cls, sums: Tensor, gamma: Tensor, beta: Tensor) -> "Normalised":
        """Sums (..., channels) by the statistics of their batch (Ioffe and Szegedy 2015)."""
        flat = sums.reshape(-1, sums.shape[-1])
        mean = _mean(flat)
        x = flat - mean
        y = x * x
        variance = _mean(y)
        x /= np.sqrt(variance + EPSILON)
        np.multiply(x, gamma, out=y)  # in place: fresh memory costs more than the arithmetic
        y += beta
        return cls(y=y.reshape(sums.shape), x=x, mean=mean, variance=variance)

    def back(self, d: Tensor, gamma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Derivatives by the sums, gamma and beta, from the derivative `d` by y."""
        flat = d.reshape(self.x.shape)
        common = flat * self.x
        by_gamma, by_beta = _mean(common), _mean(flat)
        np.multiply(self.x, by_gamma, out=common)
        error = flat - by_beta
        error -= common
        error *= gamma / np.sqrt(self.variance + EPSILON)
        return error.reshape(d.shape), by_gamma * len(flat), by_beta * len(flat)


def _mean(flat: Tensor) -> Tensor:
    """Mean of every column. BLAS adds in blocks, so that the sum of many rows stays accurate."""
    return np.ones(len(flat), flat.dtype) @ flat / len(flat)


@dataclass(frozen=True, kw_only=True, eq=False)
class Scaled:
    """Reals, as words times a scale.

    Parameters
    ----------
    words
        A tensor or weights; whole numbers where `bound` is given.
    scale
        What 1 stands for: one number, or one for each image of a batch, (batch, 1, 1, 1).
    bound
        Largest magnitude of whole words; None where the words are any reals.
    """

    words: Tensor
    scale: float | Tensor = 1.0
    bound: int | None = None

    @property
    def reals(self) -> Tensor:
        """What they stand for, of the words' type."""
        return self.words * self.scale


def forward(stage: Stage, x: Scaled, w: Scaled) -> Tensor:
    """Sums of words of a layer, (batch, *stage.sums), not yet scaled.

    Where input and weights are whole numbers, so are they, and exact; else they are of the type of
    `x`.
    """
    if x.bound is None or w.bound is None:
        return (patches(x.words, stage.window) @ w.words).reshape(len(x.words), *stage.sums)
    return convolution.forward(stage, x.words, w.words, x.bound, w.bound)


def gradient(stage: Stage, x: Scaled, e: Scaled) -> Tensor:
    """Sums over batch and places of input times error, (inputs, outputs)."""
    return patches(x.words, stage.window).T @ e.reals.reshape(-1, stage.outputs) * x.scale


def error(stage: Stage, e: Scaled, w: Scaled) -> Tensor:
    """Sums of words of errors times weights for every input, (batch, *stage.image), not yet scaled;
    see `forward`.
    """
    if e.bound is not None and w.bound is not None:
        return convolution.error(stage, e.words, w.words, e.bound, w.bound)
    seen = e.words.reshape(-1, stage.outputs) @ w.words.T
    if stage.dense:
        return seen.reshape(-1, *stage.image)
    return spread(seen, stage.window, stage.image, len(e.words))
