"""Recipes of DoReFa trainings (Zhou et al. 2016)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from golden import check
from golden.settings import Rate, check_settings, setting
from golden.training.systems.float.recipe import FloatRecipe, SgdRecipe

#: Number of bits that means a float without quantization.
FLOAT_BITS = 32


class Edges(StrEnum):
    """Quantization of the first and the last layer."""

    #: Their weights and errors, and the input, are floats, as in the paper.
    FLOAT = "float"
    #: They are quantized like the other layers, and pixels are integers.
    QUANTIZED = "quantized"


@dataclass(frozen=True, kw_only=True)
class DorefaBits:
    """Widths of the DoReFa codes, by default 1-2-6.

    Parameters
    ----------
    weight
        Width of weights, 1 to 8 bits.
    activation
        Width of activations, 1 to 8 bits.
    gradient
        Width of the errors of a layer's sums, 1 to 16 bits, or 32 for floats.

    Examples
    --------
    >>> DorefaBits.parse("1-2-6") == DorefaBits(weight=1, activation=2, gradient=6)
    True
    """

    weight: int = setting(1, "Width of weights", low=1, high=8, unit="bits")
    activation: int = setting(2, "Width of activations", low=1, high=8, unit="bits")
    gradient: int = setting(
        6, "Width of the errors of a layer's sums, 1 to 16 bits, or 32 for floats"
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.gradient != FLOAT_BITS:
            check.whole("gradient", self.gradient, 1, 16)

    @classmethod
    def parse(cls, text: str) -> "DorefaBits":
        """Read widths from a text, as 1-2-6.

        Raises
        ------
        ValueError
            The text has another form, or a width is out of range.
        """
        try:
            weight, activation, gradient = (int(part) for part in text.split("-"))
        except ValueError:
            raise ValueError(f"bits {text!r}: W-A-G is wanted, as in 1-2-6") from None
        return cls(weight=weight, activation=activation, gradient=gradient)

    def __str__(self) -> str:
        return f"{self.weight}-{self.activation}-{self.gradient}"


@dataclass(frozen=True, kw_only=True)
class DorefaRecipe(SgdRecipe):
    """A DoReFa training; the defaults are for the digits in `golden.datasets`.

    The noise of the errors comes from NumPy's generator with `seed`: `generator`, `rows` and
    `columns` have no effect.

    Parameters
    ----------
    bits
        Widths of the codes.
    edges
        Quantization of the first and the last layer: float or quantized.

    The others are those of `SgdRecipe`.

    Examples
    --------
    >>> recipe = DorefaRecipe(bits=DorefaBits(weight=2, activation=2, gradient=8))
    >>> print(recipe.bits, recipe.baseline().SYSTEM)
    2-2-8 float
    """

    SYSTEM: ClassVar[str] = "dorefa"

    network: str = "128FC-128FC"
    batch: int = 32
    epochs: int = 20
    learning_rate: Rate = "0.05"
    learning_rate_factor: Rate = "0.9"
    momentum: Rate = "0.9"
    bits: DorefaBits = setting(DorefaBits(), "Widths of the codes")
    edges: Edges = setting(Edges.FLOAT, "Quantization of the first and the last layer")

    def baseline(self) -> FloatRecipe:
        """Return the recipe of a float32 training of the same network with the same settings."""
        return self.in_float(batch_norm=True)
