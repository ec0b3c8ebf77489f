"""Recipes of trainings in floating point, and the common settings of HWGQ, DoReFa and the float32
baselines.

All of them use stochastic gradient descent with momentum and weight decay.
"""

from dataclasses import dataclass, fields
from enum import StrEnum
from fractions import Fraction
from typing import ClassVar

from golden.settings import Rate, setting
from golden.training.recipe import Recipe


class Loss(StrEnum):
    """Loss functions."""

    #: Cross-entropy of the softmax.
    SOFTMAX = "softmax"
    #: Half the sum of squares of outputs minus targets; targets are 1 for the label, otherwise 0.
    SSE = "sse"


class FloatStart(StrEnum):
    """Distribution of the first weights; biases begin at 0."""

    #: Normal, with the recipe's deviation.
    NORMAL = "normal"
    #: Uniform over +-sqrt(6 / (inputs + outputs)) (Glorot and Bengio 2010).
    GLOROT = "glorot"
    #: Uniform over +-sqrt(6 / inputs) (He et al. 2015).
    HE = "he"


@dataclass(frozen=True, kw_only=True)
class SgdRecipe(Recipe):
    """Stochastic gradient descent in floating point.

    The update is v' = momentum v - rate (g + decay w) and w' = w + v', where the gradient g is the
    mean over the batch.

    Parameters
    ----------
    loss
        Loss function: softmax or sse.
    learning_rate
        Learning rate of the first epoch, 0 to 16. A float is read as its decimal text.
    learning_rate_factor
        Factor of the learning rate from each epoch to the next, 0 to 1.
    momentum
        Share of the previous update in the next one, 0 to 1.
    decay
        Weight decay, 0 to 1. Biases, and the parameters of a batch normalisation, have none.
    start
        Distribution of the first weights: normal, glorot or he.
    deviation
        Standard deviation of the first weights if `start` is normal, 0 to 10.

    The others are those of `Recipe`.
    """

    loss: Loss = setting(Loss.SOFTMAX, "Loss function")
    learning_rate: Rate = setting(
        "0.1",
        "Learning rate of the first epoch",
        low=0,
        high=16,
        more="A float is read as its decimal text.",
    )
    learning_rate_factor: Rate = setting(
        1, "Factor of the learning rate from each epoch to the next", low=0, high=1
    )
    momentum: Rate = setting(0, "Share of the previous update in the next one", low=0, high=1)
    decay: Rate = setting(
        0,
        "Weight decay",
        low=0,
        high=1,
        more="Biases, and the parameters of a batch normalisation, have none.",
    )
    start: FloatStart = setting(FloatStart.GLOROT, "Distribution of the first weights")
    deviation: Rate = setting(
        "0.01",
        "Standard deviation of the first weights if `start` is normal",
        low=0,
        high=10,
    )

    def rate(self, epoch: int) -> Fraction:
        """Return the learning rate in `epoch`, counted from 0."""
        return Fraction(str(self.learning_rate)) * Fraction(str(self.learning_rate_factor)) ** epoch

    def in_float(self, batch_norm: bool) -> "FloatRecipe":
        """Return the recipe of a float32 training of the same network with the same settings."""
        shared = {field.name: getattr(self, field.name) for field in fields(SgdRecipe)}
        return FloatRecipe(**shared, batch_norm=batch_norm)


@dataclass(frozen=True, kw_only=True)
class FloatRecipe(SgdRecipe):
    """A float32 training, the baseline of other systems; the defaults are for the digits in
    `golden.datasets`.

    Nothing is rounded, and no array is used: `generator`, `rows` and `columns` have no effect.

    Parameters
    ----------
    batch_norm
        Batch normalisation (Ioffe and Szegedy 2015) in all layers but the last one. Normalised
        layers have no bias.

    The others are those of `SgdRecipe`.

    Examples
    --------
    >>> recipe = FloatRecipe(learning_rate="0.1", learning_rate_factor="0.5")
    >>> [float(recipe.rate(epoch)) for epoch in range(3)]
    [0.1, 0.05, 0.025]
    """

    SYSTEM: ClassVar[str] = "float"

    network: str = "64FC"
    batch: int = 32
    epochs: int = 20
    momentum: Rate = "0.9"
    batch_norm: bool = setting(
        False,
        "Batch normalisation (Ioffe and Szegedy 2015) in all layers but the last one",
        more="Normalised layers have no bias.",
    )

    def baseline(self) -> "FloatRecipe":
        """Return this recipe itself."""
        return self
