"""Recipes of trainings with half-wave Gaussian quantizers (Cai et al. 2017)."""

from dataclasses import dataclass
from typing import ClassVar

from golden.quantize.folding import QUANTIZERS, HalfWave, Levels
from golden.settings import Rate, setting
from golden.training.systems.float.recipe import FloatRecipe, SgdRecipe


@dataclass(frozen=True, kw_only=True)
class HwgqRecipe(SgdRecipe):
    """A training with weights of one bit and activations of a few levels; the defaults are for the
    digits in `golden.datasets`.

    No rounder draws random bits: `generator`, `rows` and `columns` have no effect.

    Parameters
    ----------
    levels
        Levels of an activation: uniform or two.

    The others are those of `SgdRecipe`.

    Examples
    --------
    >>> HwgqRecipe(levels="two").quantizer.words
    (0, 3, 10)
    """

    SYSTEM: ClassVar[str] = "hwgq"

    network: str = "128FC-128FC"
    batch: int = 32
    epochs: int = 20
    learning_rate: Rate = "0.05"
    learning_rate_factor: Rate = "0.9"
    momentum: Rate = "0.9"
    levels: Levels = setting(Levels.UNIFORM, "Levels of an activation")

    @property
    def quantizer(self) -> HalfWave:
        """Quantizer of the activations."""
        return QUANTIZERS[Levels(self.levels)]

    def baseline(self) -> FloatRecipe:
        """Return the recipe of a float32 training of the same network with the same settings."""
        return self.in_float(batch_norm=True)
