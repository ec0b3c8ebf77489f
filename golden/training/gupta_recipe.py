"""What a training in 16-bit fixed point needs to know (Gupta et al. 2015)."""

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from golden import check
from golden.fixed import WIDEST, Conversion, Fixed, Rounding
from golden.training import softmax
from golden.training.recipe import Recipe

#: Bits of every word.
WORD = 16
#: Fraction bits of the learning rate, the momentum, the decay and the mean over the batch.
RATE_FRACTION = 16

#: A number that a recipe takes exactly: 0.1 is one tenth.
Rate = int | float | str | Fraction


class SaturationGradient(StrEnum):
    """What the error becomes where the forward pass saturated."""

    #: Zero, as the derivative of the clip is.
    ZERO = "zero"
    #: It passes as if nothing had happened.
    PASS = "pass"


def exact(name: str, value: Rate, low: Rate, high: Rate) -> Fraction:
    """The rational that `value` prints as, if it is from `low` to `high`."""
    try:
        rational = Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{name} = {value!r}: a number from {low} to {high} is wanted") from None
    if not Fraction(low) <= rational <= Fraction(high):
        raise ValueError(f"{name} = {value}: allowed are {low} to {high}")
    return rational


def _whole_rate(rational: Fraction) -> int:
    """RNE(rational * 2^16)."""
    return round(rational * (1 << RATE_FRACTION))


@dataclass(frozen=True, kw_only=True)
class UpdateFactors:
    """The update of a weight as one exact sum: velocity * v - gradient * sum(x delta) - weight * w.

    Powers of two that all factors share are divided out, so that the sum stays narrow, as far as no
    rounding changes by it.

    Parameters
    ----------
    fraction
        Fraction bits of the sum.
    gradient, velocity, weight
        Whole factors of the gradient sum, of the last update and of the weight.
    """

    fraction: int
    gradient: int
    velocity: int
    weight: int

    def require_width(self, batch: int) -> None:
        """Raise a ValueError unless every sum over `batch` images fits the widest code, 62 bits."""
        top = 1 << (WORD - 1)
        terms = (self.gradient * batch * top * top, self.velocity * top, self.weight * top)
        width = sum(terms).bit_length() + 1
        if width > WIDEST:
            raise ValueError(
                f"update of {self.gradient} * {batch} * 2^{2 * WORD - 2} + "
                f"{self.velocity} * 2^{WORD - 1} + {self.weight} * 2^{WORD - 1} = {sum(terms)}: "
                f"{width} bits, at most {WIDEST} are allowed; "
                "take a batch that is a power of two, or a learning rate of fewer bits"
            )


@dataclass(frozen=True, kw_only=True)
class GuptaRecipe(Recipe):
    """A fixed-point training; the defaults are for the digits that travel with the code.

    Parameters
    ----------
    fl
        Fraction bits of every word, 0 to 14; the format is <16-FL,FL>.
    rounding
        stochastic or nearest-down, everywhere.
    learning_rate
        Of the first epoch, up to 16. A float counts as the decimal it prints as.
    learning_rate_factor
        From each epoch to the next, 0 to 1.
    momentum
        Share of the last update in the next, 0 to 1.
    decay
        Of weights, 0 to 1; biases have none.
    deviation
        Standard deviation of the first weights, up to 10; the paper's is 0.01. Biases begin at 0.
    saturation_gradient
        What the error becomes where the forward pass saturated; the paper does not say.

    The others are those of `Recipe`.
    """

    hidden: tuple[int, ...] = (64,)
    batch: int = 32
    epochs: int = 20
    fl: int = 14
    rounding: Rounding = Rounding.STOCHASTIC
    learning_rate: Rate = "0.5"
    learning_rate_factor: Rate = 1
    momentum: Rate = 0
    decay: Rate = 0
    deviation: Rate = "0.01"
    saturation_gradient: SaturationGradient = SaturationGradient.ZERO

    def __post_init__(self) -> None:
        super().__post_init__()
        check.whole("fl", self.fl, 0, WORD - 2)  # a bias meets the input 1, so 1 must be a word
        check.one_of("rounding", self.rounding, (Rounding.STOCHASTIC, Rounding.NEAREST_DOWN))
        exact("learning_rate", self.learning_rate, 0, 16)
        exact("learning_rate_factor", self.learning_rate_factor, 0, 1)
        exact("momentum", self.momentum, 0, 1)
        exact("decay", self.decay, 0, 1)
        exact("deviation", self.deviation, 0, 10)
        check.one_of("saturation_gradient", self.saturation_gradient, SaturationGradient)
        varies = exact("learning_rate_factor", self.learning_rate_factor, 0, 1) != 1
        for epoch in range(self.epochs if varies else 1):
            self.factors(epoch)

    @property
    def format(self) -> Fixed:
        """Format of every word."""
        return Fixed(WORD - self.fl, self.fl)

    @property
    def product(self) -> Conversion:
        """What the array's rounders do to a sum of products of two words."""
        return Conversion(
            fraction=2 * self.fl, target=self.format, rounding=Rounding(self.rounding)
        )

    @property
    def output_error(self) -> Conversion:
        """What becomes of a probability less the target."""
        return Conversion(
            fraction=softmax.FRACTION, target=self.format, rounding=Rounding(self.rounding)
        )

    def update(self, epoch: int) -> Conversion:
        """What becomes of the exact sum of an update in `epoch`, from 0."""
        fraction = self.factors(epoch).fraction
        return Conversion(fraction=fraction, target=self.format, rounding=Rounding(self.rounding))

    def factors(self, epoch: int) -> UpdateFactors:
        """Factors of the update in `epoch`, from 0.

        Learning rate, momentum and decay are RNE(x * 2^16), and so is 1 / batch, which takes the
        mean.

        Raises
        ------
        ValueError
            The learning rate of that epoch rounds to 0, or the sum might exceed 62 bits.
        """
        first = exact("learning_rate", self.learning_rate, 0, 16)
        factor = exact("learning_rate_factor", self.learning_rate_factor, 0, 1)
        rate = _whole_rate(first * factor**epoch)
        if rate == 0:
            raise ValueError(
                f"learning_rate = {self.learning_rate} falls below 2^-{RATE_FRACTION + 1} "
                f"in epoch {epoch + 1}: it rounds to 0 with {RATE_FRACTION} fraction bits"
            )
        gradient = rate * _whole_rate(Fraction(1, self.batch))
        velocity = _whole_rate(exact("momentum", self.momentum, 0, 1)) << (RATE_FRACTION + self.fl)
        weight = rate * _whole_rate(exact("decay", self.decay, 0, 1)) << self.fl
        fraction = 2 * RATE_FRACTION + 2 * self.fl
        together = gradient | velocity | weight
        # While no fewer bits are dropped than a draw has, dividing out changes no rounding.
        spare = fraction - self.fl - self.generator.draw
        shared = min((together & -together).bit_length() - 1, spare)
        factors = UpdateFactors(
            fraction=fraction - shared,
            gradient=gradient >> shared,
            velocity=velocity >> shared,
            weight=weight >> shared,
        )
        factors.require_width(self.batch)
        return factors
