"""What a training in floating point needs to know, and what those with floating-point parts share.

HWGQ, DoReFa and the float32 baselines of all systems take the same steps: stochastic gradient
descent with momentum and weight decay.
"""

from dataclasses import dataclass, fields
from enum import StrEnum
from fractions import Fraction
from typing import ClassVar

from golden.settings import Rate, setting
from golden.training.recipe import Recipe


class Loss(StrEnum):
    """What the outputs are held against the labels by."""

    #: Cross-entropy of the softmax.
    SOFTMAX = "softmax"
    #: Half the sum of squares of outputs less targets: 1 of the label's class, 0 of the others.
    SSE = "sse"


class FloatStart(StrEnum):
    """How the first weights are drawn; biases begin at 0."""

    #: From a normal distribution of the recipe's deviation.
    NORMAL = "normal"
    #: Uniform over +-sqrt(6 / (inputs + outputs)) (Glorot and Bengio 2010).
    GLOROT = "glorot"
    #: Uniform over +-sqrt(6 / inputs) (He et al. 2015).
    HE = "he"


@dataclass(frozen=True, kw_only=True)
class SgdRecipe(Recipe):
    """Stochastic gradient descent on floats: w' = w + v', v' = momentum v - rate (g + decay w).

    The gradient g is the mean over the batch.

    Parameters
    ----------
    loss
        What the outputs are held against the labels by: softmax or sse.
    learning_rate
        Learning rate of the first epoch, 0 to 16. A float counts as the decimal it prints as.
    learning_rate_factor
        Factor of the learning rate from each epoch to the next, 0 to 1.
    momentum
        Share of the last update in the next, 0 to 1.
    decay
        Decay of the weights, 0 to 1. Biases, and a batch normalisation's scales and offsets, have
        none.
    start
        How the first weights are drawn: normal, glorot or he.
    deviation
        Standard deviation of the first weights where `start` is normal, 0 to 10.

    The others are those of `Recipe`.
    """

    loss: Loss = setting(Loss.SOFTMAX, "What the outputs are held against the labels by")
    learning_rate: Rate = setting(
        "0.1",
        "Learning rate of the first epoch",
        low=0,
        high=16,
        more="A float counts as the decimal it prints as.",
    )
    learning_rate_factor: Rate = setting(
        1, "Factor of the learning rate from each epoch to the next", low=0, high=1
    )
    momentum: Rate = setting(0, "Share of the last update in the next", low=0, high=1)
    decay: Rate = setting(
        0,
        "Decay of the weights",
        low=0,
        high=1,
        more="Biases, and a batch normalisation's scales and offsets, have none.",
    )
    start: FloatStart = setting(FloatStart.GLOROT, "How the first weights are drawn")
    deviation: Rate = setting(
        "0.01",
        "Standard deviation of the first weights where `start` is normal",
        low=0,
        high=10,
    )

    def rate(self, epoch: int) -> Fraction:
        """Learning rate in `epoch`, from 0."""
        return Fraction(str(self.learning_rate)) * Fraction(str(self.learning_rate_factor)) ** epoch

    def in_float(self, batch_norm: bool) -> "FloatRecipe":
        """The float32 training of the same network by the same steps."""
        shared = {field.name: getattr(self, field.name) for field in fields(SgdRecipe)}
        return FloatRecipe(**shared, batch_norm=batch_norm)


@dataclass(frozen=True, kw_only=True)
class FloatRecipe(SgdRecipe):
    """A float32 training, the baseline of the others; the defaults are for the digits that travel
    with the code.

    Nothing is rounded and no array is used: `generator`, `rows` and `columns` have no effect.

    Parameters
    ----------
    batch_norm
        Batch normalisation (Ioffe and Szegedy 2015) of every layer's sums but the last one's. Such
        a layer has no bias.

    The others are those of `SgdRecipe`.
    """

    SYSTEM: ClassVar[str] = "float"

    network: str = "64FC"
    batch: int = 32
    epochs: int = 20
    momentum: Rate = "0.9"
    batch_norm: bool = setting(
        False,
        "Batch normalisation (Ioffe and Szegedy 2015) of every layer's sums but the last one's",
        more="Such a layer has no bias.",
    )

    def baseline(self) -> "FloatRecipe":
        """The float32 training to compare with: this one."""
        return self
