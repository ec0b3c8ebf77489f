"""Recipes of WAGE trainings (Wu et al. 2018)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from golden import check
from golden.fixed import Rounding
from golden.quantize import limit
from golden.settings import Bound, check_settings, setting
from golden.training.recipe import Recipe

if TYPE_CHECKING:
    from golden.training.systems.float.recipe import FloatRecipe


class Start(StrEnum):
    """Grid of the first weights."""

    #: The grid of the stored weights.
    PAPER = "paper"
    #: The coarse grid of the forward weights, as in the authors' released code.
    RELEASED = "released"


class Saturation(StrEnum):
    """Limit of stored weights."""

    #: The largest code, 127 for 8 bits.
    FULL = "full"
    #: A half, 64 for 8 bits: the largest ternary weight, as in the authors' released code.
    HALF = "half"


class Shift(StrEnum):
    """Rounding of the scales of errors and gradients to powers of two."""

    #: To the power with the nearest logarithm.
    ROUND = "round"
    #: Up to the next power.
    CEIL = "ceil"


class PixelScale(StrEnum):
    """Range of the inputs."""

    #: 0 to 1.
    UNIT = "unit"
    #: -1 to 1, as in the authors' released code.
    SYMMETRIC = "symmetric"


@dataclass(frozen=True, kw_only=True)
class Bits:
    """Widths of the WAGE words, by default 2-8-8-8.

    Parameters
    ----------
    weight
        Width of forward weights, 2 to the least of 8 and gradient.
    activation
        Width of activations and input, 2 to 16 bits.
    gradient
        Width of stored weights and their updates, 3 to 16 bits.
    error
        Width of errors, 2 to 16 bits.

    Examples
    --------
    >>> Bits.parse("2-8-8-8") == Bits()
    True
    """

    weight: int = setting(
        2,
        "Width of forward weights",
        low=2,
        high=(8, Bound("gradient", lambda bits: bits.gradient)),
        unit="bits",
    )
    activation: int = setting(8, "Width of activations and input", low=2, high=16, unit="bits")
    gradient: int = setting(
        8, "Width of stored weights and their updates", low=3, high=16, unit="bits"
    )
    error: int = setting(8, "Width of errors", low=2, high=16, unit="bits")

    def __post_init__(self) -> None:
        check_settings(self)

    @classmethod
    def parse(cls, text: str) -> "Bits":
        """Read widths from a text, as 2-8-8-8.

        Raises
        ------
        ValueError
            The text has another form, or a width is out of range.
        """
        try:
            weight, activation, gradient, error = (int(part) for part in text.split("-"))
        except ValueError:
            raise ValueError(f"bits {text!r}: W-A-G-E is wanted, as in 2-8-8-8") from None
        return cls(weight=weight, activation=activation, gradient=gradient, error=error)

    def __str__(self) -> str:
        return f"{self.weight}-{self.activation}-{self.gradient}-{self.error}"


@dataclass(frozen=True, kw_only=True)
class WageRecipe(Recipe):
    """A WAGE training; the defaults are for the digits in `golden.datasets`.

    Parameters
    ----------
    bits
        Widths of the words.
    c
        Constant c of the first weights' range sqrt(c / inputs): 6 or 3. It is 6 in the paper and 3
        in the released code. The layers' scales alpha depend on it too.
    start
        Grid of the first weights: paper or released.
    saturation
        Limit of stored weights: full or half.
    pixels
        Range of the inputs: unit or symmetric.
    shift
        Rounding of the scales of errors and gradients to powers of two: round or ceil. The scale
        alpha is always rounded to the nearest power.
    error_rounding
        Rounding of the errors: nearest-even or stochastic.
    rates
        Pairs (epoch, log2 of the learning rate from that epoch on). Epochs are counted from 1 and
        ascend, the first one is 1, and log2 is -8 to 7.

    The others are those of `Recipe`.

    Examples
    --------
    >>> recipe = WageRecipe(rates=((1, 0), (41, -1)))
    >>> recipe.rate(39), recipe.rate(40), recipe.weight_limit
    (0, -1, 127)
    """

    SYSTEM: ClassVar[str] = "wage"

    network: str = "128FC"
    batch: int = 32
    epochs: int = 80
    bits: Bits = setting(Bits(), "Widths of the words")
    c: int = setting(
        6,
        "Constant c of the first weights' range sqrt(c / inputs)",
        allowed=(6, 3),
        more="It is 6 in the paper and 3 in the released code. The layers' scales alpha depend on "
        "it too.",
    )
    start: Start = setting(Start.PAPER, "Grid of the first weights")
    saturation: Saturation = setting(Saturation.FULL, "Limit of stored weights")
    pixels: PixelScale = setting(PixelScale.UNIT, "Range of the inputs")
    shift: Shift = setting(
        Shift.ROUND,
        "Rounding of the scales of errors and gradients to powers of two",
        more="The scale alpha is always rounded to the nearest power.",
    )
    error_rounding: Rounding = setting(
        Rounding.NEAREST_EVEN,
        "Rounding of the errors",
        allowed=(Rounding.NEAREST_EVEN, Rounding.STOCHASTIC),
    )
    rates: tuple[tuple[int, int], ...] = setting(
        ((1, 0), (41, -1), (57, -2), (69, -3)),
        "Pairs (epoch, log2 of the learning rate from that epoch on)",
        more="Epochs are counted from 1 and ascend, the first one is 1, and log2 is -8 to 7.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.rates or self.rates[0][0] != 1:
            raise ValueError(
                f"rates = {self.rates}: a first pair of epoch 1 is wanted, as in ((1, 0), (31, -1))"
            )
        lowest = 1
        for epoch, rate in self.rates:
            check.whole("epoch of a rate", epoch, lowest, 1_000_000)
            check.whole(f"rate from epoch {epoch} on", rate, -8, 7)
            lowest = epoch + 1

    def rate(self, epoch: int) -> int:
        """Return log2 of the learning rate in `epoch`, counted from 0."""
        return [rate for first, rate in self.rates if first <= epoch + 1][-1]

    def baseline(self) -> "FloatRecipe":
        """Return the recipe of a float32 training of the same network with the same loss.

        WAGE's learning rates are for gradients scaled to 1, so the baseline has other ones.
        """
        from golden.training.systems.float.recipe import FloatRecipe, Loss

        return FloatRecipe(
            network=self.network,
            batch=self.batch,
            epochs=self.epochs,
            seed=self.seed,
            order=self.order,
            loss=Loss.SSE,
            learning_rate="0.01",
            learning_rate_factor="0.95",
            momentum="0.9",
        )

    @property
    def weight_limit(self) -> int:
        """The largest magnitude of a stored weight."""
        if self.saturation == Saturation.HALF:
            return 1 << (self.bits.gradient - 2)
        return limit(self.bits.gradient)

    @property
    def grid_limit(self) -> int:
        """The largest forward weight, as a code of stored ones."""
        return limit(self.bits.weight) << (self.bits.gradient - self.bits.weight)
