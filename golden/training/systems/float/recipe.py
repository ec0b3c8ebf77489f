"""What a training in floating point needs to know, and what those with floating-point parts share.

HWGQ, DoReFa and the float32 baselines of all systems take the same steps: stochastic gradient
descent with momentum and weight decay.
"""

from dataclasses import dataclass, fields
from enum import StrEnum
from fractions import Fraction
from typing import ClassVar

from golden import check
from golden.training.recipe import Rate, Recipe, exact


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
        What the outputs are held against the labels by.
    learning_rate
        Of the first epoch, up to 16. A float counts as the decimal it prints as.
    learning_rate_factor
        From each epoch to the next, 0 to 1.
    momentum
        Share of the last update in the next, 0 to 1.
    decay
        Of weights, 0 to 1; biases, and a batch normalisation's scales and offsets, have none.
    start
        How the first weights are drawn.
    deviation
        Standard deviation of the first weights where `start` is normal, up to 10.

    The others are those of `Recipe`.
    """

    loss: Loss = Loss.SOFTMAX
    learning_rate: Rate = "0.1"
    learning_rate_factor: Rate = 1
    momentum: Rate = 0
    decay: Rate = 0
    start: FloatStart = FloatStart.GLOROT
    deviation: Rate = "0.01"

    def __post_init__(self) -> None:
        super().__post_init__()
        check.one_of("loss", self.loss, Loss)
        exact("learning_rate", self.learning_rate, 0, 16)
        exact("learning_rate_factor", self.learning_rate_factor, 0, 1)
        exact("momentum", self.momentum, 0, 1)
        exact("decay", self.decay, 0, 1)
        check.one_of("start", self.start, FloatStart)
        exact("deviation", self.deviation, 0, 10)

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
        Batch normalisation (Ioffe and Szegedy 2015) of every layer's sums but the last one's; such
        a layer has no bias.

    The others are those of `SgdRecipe`.
    """

    SYSTEM: ClassVar[str] = "float"

    network: str = "64FC"
    batch: int = 32
    epochs: int = 20
    momentum: Rate = "0.9"
    batch_norm: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check.instance("batch_norm", self.batch_norm, bool)

    def baseline(self) -> "FloatRecipe":
        """The float32 training to compare with: this one."""
        return self
