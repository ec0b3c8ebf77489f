"""Parts of a floating-point training: losses, batch normalisation, products of scaled words.

Tensors are (batch, height, width, channels). Weights are (inputs, outputs), their rows in the order
(ky, kx, channel). Results have the float type of the operands.
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
    """Return the sum of a batch's losses, and its derivative with respect to the outputs.

    Parameters
    ----------
    loss
        The loss.
    outputs
        Outputs of the last layer, (batch, classes).
    labels
        Class of every image, (batch,).

    Returns
    -------
    total : float
        Sum of the losses, for reports.
    error : Tensor
        Derivative, (batch, classes).
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
    """A batch normalisation of a layer's sums, with the values for its backward pass.

    Parameters
    ----------
    y
        gamma x + beta, in the shape of the sums.
    x
        Normalised sums: (sum - mean) / deviation, (batch * places, channels).
    mean, variance
        Statistics of the batch, (channels,). The variance is the mean square, not the unbiased
        estimate.
    """

    y: Tensor
    x: Tensor
    mean: Tensor
    variance: Tensor

    @classmethod
    def of(cls, sums: Tensor, gamma: Tensor, beta: Tensor) -> "Normalised":
        """Normalise sums (..., channels) by statistics of the batch (Ioffe and Szegedy 2015)."""
        flat = sums.reshape(-1, sums.shape[-1])
        mean = _mean(flat)
        x = flat - mean
        y = x * x
        variance = _mean(y)
        x /= np.sqrt(variance + EPSILON)
        np.multiply(x, gamma, out=y)  # in place: allocation takes longer than the arithmetic
        y += beta
        return cls(y=y.reshape(sums.shape), x=x, mean=mean, variance=variance)

    def back(self, d: Tensor, gamma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the derivatives with respect to sums, gamma and beta, from that of y.

        Parameters
        ----------
        d
            Derivative with respect to y, in the shape of the sums.
        gamma
            Factors, (channels,).

        Returns
        -------
        by_sums, by_gamma, by_beta : Tensor
            In the shape of the sums, and (channels,).
        """
        flat = d.reshape(self.x.shape)
        common = flat * self.x
        by_gamma, by_beta = _mean(common), _mean(flat)
        np.multiply(self.x, by_gamma, out=common)
        error = flat - by_beta
        error -= common
        error *= gamma / np.sqrt(self.variance + EPSILON)
        return error.reshape(d.shape), by_gamma * len(flat), by_beta * len(flat)


def _mean(flat: Tensor) -> Tensor:
    """Return the mean of every column, by BLAS, which adds in blocks and so is more accurate."""
    return np.ones(len(flat), flat.dtype) @ flat / len(flat)


@dataclass(frozen=True, kw_only=True, eq=False)
class Scaled:
    """Real numbers: words times a scale.

    Parameters
    ----------
    words
        A tensor or weights; integers if `bound` is given.
    scale
        Real value of a word of 1: one number, or one for each image, (batch, 1, 1, 1).
    bound
        Upper bound of the magnitudes of integer words; None if the words are any reals.
    """

    words: Tensor
    scale: float | Tensor = 1.0
    bound: int | None = None

    @property
    def reals(self) -> Tensor:
        """The real numbers, in the words' type."""
        return self.words * self.scale


def forward(stage: Stage, x: Scaled, w: Scaled) -> Tensor:
    """Return the sums of words of a layer, (batch, *stage.sums), without scale.

    If inputs and weights are integers, the sums are exact; otherwise they have the type of `x`.
    """
    if x.bound is None or w.bound is None:
        return (patches(x.words, stage.window) @ w.words).reshape(len(x.words), *stage.sums)
    return convolution.forward(stage, x.words, w.words, x.bound, w.bound)


def gradient(stage: Stage, x: Scaled, e: Scaled) -> Tensor:
    """Return the sums of inputs times errors over batch and places, (inputs, outputs)."""
    return patches(x.words, stage.window).T @ e.reals.reshape(-1, stage.outputs) * x.scale


def error(stage: Stage, e: Scaled, w: Scaled) -> Tensor:
    """Return the sums of words of errors times weights, (batch, *stage.image), without scale.

    If errors and weights are integers, the sums are exact; otherwise they have the type of `e`.
    """
    if e.bound is not None and w.bound is not None:
        return convolution.error(stage, e.words, w.words, e.bound, w.bound)
    seen = e.words.reshape(-1, stage.outputs) @ w.words.T
    if stage.dense:
        return seen.reshape(-1, *stage.image)
    return spread(seen, stage.window, stage.image, len(e.words))
