"""What a training with half-wave Gaussian quantizers needs to know (Cai et al. 2017)."""

from dataclasses import dataclass
from typing import ClassVar

from golden.quantize.threshold import QUANTIZERS, HalfWave, Levels
from golden.settings import Rate, setting
from golden.training.systems.float.recipe import FloatRecipe, SgdRecipe


@dataclass(frozen=True, kw_only=True)
class HwgqRecipe(SgdRecipe):
    """A training with weights of one bit and activations of a few levels; the defaults are for the
    digits that travel with the code.

    No rounder has random bits: `generator`, `rows` and `columns` have no effect.

    Parameters
    ----------
    levels
        Which levels an activation may take: uniform or two.

    The others are those of `SgdRecipe`.
    """

    SYSTEM: ClassVar[str] = "hwgq"

    network: str = "128FC-128FC"
    batch: int = 32
    epochs: int = 20
    learning_rate: Rate = "0.05"
    learning_rate_factor: Rate = "0.9"
    momentum: Rate = "0.9"
    levels: Levels = setting(Levels.UNIFORM, "Which levels an activation may take")

    @property
    def quantizer(self) -> HalfWave:
        """What the activations are quantized by."""
        return QUANTIZERS[Levels(self.levels)]

    def baseline(self) -> FloatRecipe:
        """The float32 training of the same network by the same steps."""
        return self.in_float(batch_norm=True)
