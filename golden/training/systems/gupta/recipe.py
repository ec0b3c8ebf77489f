"""Recipes of trainings in 16-bit fixed point (Gupta et al. 2015)."""

from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, ClassVar

from golden.fixed import Conversion, Fixed, Rounding
from golden.settings import Rate, check_settings, exact, setting
from golden.softmax.integers import FRACTION
from golden.training.recipe import Recipe

if TYPE_CHECKING:
    from golden.training.systems.float.recipe import FloatRecipe

#: Bits of every word.
WORD = 16
#: Fraction bits of the learning rate, the momentum, the decay and the mean over the batch.
RATE_FRACTION = 16


class SaturationGradient(StrEnum):
    """Errors of results that saturated in the forward pass."""

    #: Errors are set to 0, the derivative of the clip.
    ZERO = "zero"
    #: Errors pass unchanged.
    PASS = "pass"


class GuptaRounding(StrEnum):
    """Rounding of all conversions."""

    #: Up with a probability equal to the dropped fraction.
    STOCHASTIC = "stochastic"
    #: To nearest, ties toward minus infinity, as the paper prints it.
    NEAREST = "nearest"


def _whole_rate(rational: Fraction) -> int:
    """Return RNE(rational * 2^16)."""
    return round(rational * (1 << RATE_FRACTION))


@dataclass(frozen=True, kw_only=True)
class Formats:
    """Formats of 16 bits, <16-FL,FL>, given by their fraction bits.

    Parameters
    ----------
    fl
        Fraction bits of weights, biases, errors and updates, 0 to 14.
    activation_fl
        Fraction bits of the layers' outputs, 0 to 14. None takes `fl`.
    input_fl
        Fraction bits of the pixels, 0 to 14. None takes `fl`.

    Examples
    --------
    >>> formats = Formats(fl=14, activation_fl=10)
    >>> print(formats.weight, formats.activation, formats.input)
    <2,14> <6,10> <2,14>
    """

    # All formats contain 1, the input for biases and the largest error of an output.
    fl: int = setting(
        14, "Fraction bits of weights, biases, errors and updates", low=0, high=WORD - 2
    )
    activation_fl: int | None = setting(
        None,
        "Fraction bits of the layers' outputs",
        low=0,
        high=WORD - 2,
        none="None takes `fl`.",
    )
    input_fl: int | None = setting(
        None, "Fraction bits of the pixels", low=0, high=WORD - 2, none="None takes `fl`."
    )

    def __post_init__(self) -> None:
        check_settings(self)

    @cached_property
    def weight(self) -> Fixed:
        """Format of weights, biases, errors and updates."""
        return Fixed(WORD - self.fl, self.fl)

    @cached_property
    def activation(self) -> Fixed:
        """Format of the layers' outputs."""
        fl = self.fl if self.activation_fl is None else self.activation_fl
        return Fixed(WORD - fl, fl)

    @cached_property
    def input(self) -> Fixed:
        """Format of the pixels."""
        fl = self.fl if self.input_fl is None else self.input_fl
        return Fixed(WORD - fl, fl)


@dataclass(frozen=True, kw_only=True)
class UpdateFactors:
    """Integer factors of the update of a weight.

    The update is the exact sum velocity * v - gradient * G - weight * w, with gradient sums G, the
    previous update v and the weight w. A power of two that all factors share is divided out, as far
    as this does not change the rounding, so that the sum is narrow.

    Parameters
    ----------
    fraction
        Fraction bits of the sum.
    gradient, velocity, weight
        Integer factors of G, v and w.

    Examples
    --------
    >>> GuptaRecipe(batch=32, learning_rate="0.5").factors(epoch=0, layer=0)
    UpdateFactors(fraction=34, gradient=1, velocity=0, weight=0)
    """

    fraction: int
    gradient: int
    velocity: int
    weight: int

    @property
    def without_decay(self) -> "UpdateFactors":
        """The factors for biases, which have no decay."""
        return replace(self, weight=0)


@dataclass(frozen=True, kw_only=True)
class GuptaRecipe(Recipe):
    """A training in fixed point; the defaults are for the digits in `golden.datasets`.

    Parameters
    ----------
    formats
        Formats of all words.
    rounding
        Rounding of all conversions: stochastic or nearest.
    learning_rate
        Learning rate of the first epoch, 0 to 16. A float is read as its decimal text.
    learning_rate_factor
        Factor of the learning rate from each epoch to the next, 0 to 1.
    momentum
        Share of the previous update in the next one, 0 to 1.
    decay
        Weight decay, 0 to 1. Biases have none.
    deviation
        Standard deviation of the first weights, 0 to 10. In the paper it is 0.01. Biases begin at
        0.
    saturation_gradient
        Errors of results that saturated in the forward pass: zero or pass. The paper has no rule.

    The others are those of `Recipe`.

    Examples
    --------
    >>> recipe = GuptaRecipe(formats=Formats(fl=14), rounding="nearest")
    >>> print(recipe.forward(0))
    28:2,14:nearest-down
    """

    GROUPS: ClassVar[bool] = True
    SYSTEM: ClassVar[str] = "gupta"

    network: str = "64FC"
    batch: int = 32
    epochs: int = 20
    formats: Formats = setting(Formats(), "Formats of all words")
    rounding: GuptaRounding = setting(GuptaRounding.STOCHASTIC, "Rounding of all conversions")
    learning_rate: Rate = setting(
        "0.5",
        "Learning rate of the first epoch",
        low=0,
        high=16,
        more="A float is read as its decimal text.",
    )
    learning_rate_factor: Rate = setting(
        1, "Factor of the learning rate from each epoch to the next", low=0, high=1
    )
    momentum: Rate = setting(0, "Share of the previous update in the next one", low=0, high=1)
    decay: Rate = setting(0, "Weight decay", low=0, high=1, more="Biases have none.")
    deviation: Rate = setting(
        "0.01",
        "Standard deviation of the first weights",
        low=0,
        high=10,
        more="In the paper it is 0.01. Biases begin at 0.",
    )
    saturation_gradient: SaturationGradient = setting(
        SaturationGradient.ZERO,
        "Errors of results that saturated in the forward pass",
        more="The paper has no rule.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        varies = exact("learning_rate_factor", self.learning_rate_factor, 0, 1) != 1
        for epoch in (0, self.epochs - 1) if varies else (0,):
            self._rate(epoch)

    def baseline(self) -> "FloatRecipe":
        """Return the recipe of a float32 training of the same network with the same schedule."""
        from golden.training.systems.float.recipe import FloatRecipe, FloatStart

        return FloatRecipe(
            network=self.network,
            batch=self.batch,
            epochs=self.epochs,
            seed=self.seed,
            order=self.order,
            learning_rate=self.learning_rate,
            learning_rate_factor=self.learning_rate_factor,
            momentum=self.momentum,
            decay=self.decay,
            start=FloatStart.NORMAL,
            deviation=self.deviation,
        )

    def input_format(self, layer: int) -> Fixed:
        """Return the format of a layer's input; layers are counted from 0."""
        return self.formats.activation if layer else self.formats.input

    def forward(self, layer: int) -> Conversion:
        """Return the conversion of a layer's sums; layers are counted from 0."""
        fraction = self.input_format(layer).fl + self.formats.fl
        return self._conversion(fraction, self.formats.activation)

    @property
    def error(self) -> Conversion:
        """Conversion of sums of errors times weights."""
        return self._conversion(2 * self.formats.fl, self.formats.weight)

    @property
    def output_error(self) -> Conversion:
        """Conversion of probabilities minus targets."""
        return self._conversion(FRACTION, self.formats.weight)

    def update(self, epoch: int, layer: int) -> Conversion:
        """Return the conversion of a layer's exact updates in an epoch, both counted from 0."""
        return self._conversion(self.factors(epoch, layer).fraction, self.formats.weight)

    def _conversion(self, fraction: int, target: Fixed) -> Conversion:
        nearest = self.rounding == GuptaRounding.NEAREST
        rounding = Rounding.NEAREST_DOWN if nearest else Rounding.STOCHASTIC
        return Conversion(fraction=fraction, target=target, rounding=rounding)

    def _rate(self, epoch: int) -> int:
        """Return the learning rate of an epoch with 16 fraction bits."""
        first = exact("learning_rate", self.learning_rate, 0, 16)
        factor = exact("learning_rate_factor", self.learning_rate_factor, 0, 1)
        rate = _whole_rate(first * factor**epoch)
        if rate == 0:
            raise ValueError(
                f"learning_rate = {self.learning_rate} falls below 2^-{RATE_FRACTION + 1} "
                f"in epoch {epoch + 1}: it rounds to 0 with {RATE_FRACTION} fraction bits"
            )
        return rate

    @lru_cache(maxsize=256)  # noqa: B019 - every step calls it, and recipes are few
    def factors(self, epoch: int, layer: int) -> UpdateFactors:
        """Return the factors of a layer's update in an epoch, both counted from 0.

        Learning rate, momentum, decay and 1 / batch, for the mean, are rounded to RNE(x * 2^16).
        """
        x_fl = self.input_format(layer).fl
        rate = self._rate(epoch)
        gradient = rate * _whole_rate(Fraction(1, self.batch))
        velocity = _whole_rate(exact("momentum", self.momentum, 0, 1)) << (RATE_FRACTION + x_fl)
        weight = rate * _whole_rate(exact("decay", self.decay, 0, 1)) << x_fl
        fraction = 2 * RATE_FRACTION + x_fl + self.formats.fl
        together = gradient | velocity | weight
        # A division by a common power of two does not change the rounding as long as at least as
        # many bits are dropped as a draw has.
        spare = fraction - self.formats.fl - self.generator.draw
        shared = min((together & -together).bit_length() - 1, spare)
        return UpdateFactors(
            fraction=fraction - shared,
            gradient=gradient >> shared,
            velocity=velocity >> shared,
            weight=weight >> shared,
        )
