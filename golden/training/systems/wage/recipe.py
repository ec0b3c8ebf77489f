"""What a WAGE training needs to know (Wu et al. 2018)."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from golden import check
from golden.fixed import Rounding
from golden.training.recipe import Recipe
from golden.wage import limit

if TYPE_CHECKING:
    from golden.training.systems.float.recipe import FloatRecipe


class Start(StrEnum):
    """Where the first weights lie."""

    #: On the grid of the stored weights.
    PAPER = "paper"
    #: On the coarse grid of the forward weights, as the authors' released code has it.
    RELEASED = "released"


class Saturation(StrEnum):
    """Where stored weights end."""

    #: At the largest code of a stored weight, 127 of 8 bits.
    FULL = "full"
    #: At a half, 64 of 8 bits: the largest ternary weight, as the authors' released code has it.
    HALF = "half"


class Shift(StrEnum):
    """How the scales of errors and gradients become powers of two."""

    #: To the nearest power, by logarithm.
    ROUND = "round"
    #: To the next higher power.
    CEIL = "ceil"


class PixelScale(StrEnum):
    """What pixels become."""

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
        Forward weights, 2 to 8 and at most `gradient`.
    activation
        Activations and input, 2 to 16.
    gradient
        Stored weights and their updates, 3 to 16.
    error
        Errors, 2 to 16.
    """

    weight: int = 2
    activation: int = 8
    gradient: int = 8
    error: int = 8

    def __post_init__(self) -> None:
        check.whole("gradient", self.gradient, 3, 16)
        check.whole("weight", self.weight, 2, min(8, self.gradient))
        check.whole("activation", self.activation, 2, 16)
        check.whole("error", self.error, 2, 16)

    @classmethod
    def parse(cls, text: str) -> "Bits":
        """The widths that `text` names, as in 2-8-8-8."""
        try:
            weight, activation, gradient, error = (int(part) for part in text.split("-"))
        except ValueError:
            raise ValueError(f"bits {text!r}: W-A-G-E is wanted, as in 2-8-8-8") from None
        return cls(weight=weight, activation=activation, gradient=gradient, error=error)

    def __str__(self) -> str:
        return f"{self.weight}-{self.activation}-{self.gradient}-{self.error}"


@dataclass(frozen=True, kw_only=True)
class WageRecipe(Recipe):
    """A WAGE training; the defaults are for the digits that travel with the code.

    Parameters
    ----------
    bits
        Widths of the words.
    c
        Spread of the first weights: 6 (paper) or 3 (released code). It sets the layers' scales
        alpha too.
    start
        Where the first weights lie.
    saturation
        Where stored weights end.
    pixels
        What pixels become.
    shift
        How the scales of errors and gradients become powers of two; alpha always takes the nearest.
    error_rounding
        nearest-even, or stochastic.
    rates
        Pairs (epoch, log2 of the learning rate from that epoch on); epochs count from 1 and ascend,
        the first pair is of epoch 1, and log2 is -8 to 7.

    The others are those of `Recipe`.
    """

    SYSTEM: ClassVar[str] = "wage"

    network: str = "128FC"
    batch: int = 32
    epochs: int = 80
    bits: Bits = field(default_factory=Bits)
    c: int = 6
    start: Start = Start.PAPER
    saturation: Saturation = Saturation.FULL
    pixels: PixelScale = PixelScale.UNIT
    shift: Shift = Shift.ROUND
    error_rounding: Rounding = Rounding.NEAREST_EVEN
    rates: tuple[tuple[int, int], ...] = ((1, 0), (41, -1), (57, -2), (69, -3))

    def __post_init__(self) -> None:
        super().__post_init__()
        check.instance("bits", self.bits, Bits)
        check.one_of("c", self.c, (6, 3))
        check.one_of("start", self.start, Start)
        check.one_of("saturation", self.saturation, Saturation)
        check.one_of("pixels", self.pixels, PixelScale)
        check.one_of("shift", self.shift, Shift)
        check.one_of(
            "error_rounding", self.error_rounding, (Rounding.NEAREST_EVEN, Rounding.STOCHASTIC)
        )
        check.instance("rates", self.rates, tuple)
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
        """log2 of the learning rate in `epoch`, from 0."""
        return [rate for first, rate in self.rates if first <= epoch + 1][-1]

    def baseline(self) -> "FloatRecipe":
        """The same network and batches in float32, with the same loss.

        WAGE's learning rates are for gradients that are scaled to 1; those here are ours.
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
        """Largest magnitude of a stored weight."""
        if self.saturation == Saturation.HALF:
            return 1 << (self.bits.gradient - 2)
        return limit(self.bits.gradient)

    @property
    def grid_limit(self) -> int:
        """The largest forward weight, as a code of stored ones."""
        return limit(self.bits.weight) << (self.bits.gradient - self.bits.weight)
