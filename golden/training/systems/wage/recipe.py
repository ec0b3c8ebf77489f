"""What a WAGE training needs to know (Wu et al. 2018)."""

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
        Width of forward weights, 2 to the least of 8 and gradient.
    activation
        Width of activations and input, 2 to 16 bits.
    gradient
        Width of stored weights and their updates, 3 to 16 bits.
    error
        Width of errors, 2 to 16 bits.
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
        Spread of the first weights: 6 or 3. 6 is the paper's, 3 that of the released code. It sets
        the layers' scales alpha too.
    start
        Where the first weights lie: paper or released.
    saturation
        Where stored weights end: full or half.
    pixels
        What pixels become: unit or symmetric.
    shift
        How the scales of errors and gradients become powers of two: round or ceil. The scale alpha
        always takes the nearest.
    error_rounding
        Rounding of the errors: nearest-even or stochastic.
    rates
        Pairs (epoch, log2 of the learning rate from that epoch on). Epochs count from 1 and ascend,
        the first pair is of epoch 1, and log2 is -8 to 7.

    The others are those of `Recipe`.
    """

    SYSTEM: ClassVar[str] = "wage"

    network: str = "128FC"
    batch: int = 32
    epochs: int = 80
    bits: Bits = setting(Bits(), "Widths of the words")
    c: int = setting(
        6,
        "Spread of the first weights",
        allowed=(6, 3),
        more="6 is the paper's, 3 that of the released code. It sets the layers' scales alpha too.",
    )
    start: Start = setting(Start.PAPER, "Where the first weights lie")
    saturation: Saturation = setting(Saturation.FULL, "Where stored weights end")
    pixels: PixelScale = setting(PixelScale.UNIT, "What pixels become")
    shift: Shift = setting(
        Shift.ROUND,
        "How the scales of errors and gradients become powers of two",
        more="The scale alpha always takes the nearest.",
    )
    error_rounding: Rounding = setting(
        Rounding.NEAREST_EVEN,
        "Rounding of the errors",
        allowed=(Rounding.NEAREST_EVEN, Rounding.STOCHASTIC),
    )
    rates: tuple[tuple[int, int], ...] = setting(
        ((1, 0), (41, -1), (57, -2), (69, -3)),
        "Pairs (epoch, log2 of the learning rate from that epoch on)",
        more="Epochs count from 1 and ascend, the first pair is of epoch 1, and log2 is -8 to 7.",
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
