"""What a DoReFa training needs to know (Zhou et al. 2016)."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from golden import check
from golden.training.recipe import Rate
from golden.training.systems.float.recipe import FloatRecipe, SgdRecipe

#: Bits that stand for a float that is not quantized.
FLOAT_BITS = 32


class Edges(StrEnum):
    """What becomes of the first and the last layer."""

    #: Their weights and errors stay floats, and the input does, as in the paper.
    FLOAT = "float"
    #: They are as the others, and the pixels are whole numbers.
    QUANTIZED = "quantized"


@dataclass(frozen=True, kw_only=True)
class DorefaBits:
    """Widths of the DoReFa codes, by default 1-2-6.

    Parameters
    ----------
    weight
        Weights, 1 to 8.
    activation
        Activations, 1 to 8.
    gradient
        Errors of a layer's sums, 1 to 16, or 32 for floats.
    """

    weight: int = 1
    activation: int = 2
    gradient: int = 6

    def __post_init__(self) -> None:
        check.whole("weight", self.weight, 1, 8)
        check.whole("activation", self.activation, 1, 8)
        if self.gradient != FLOAT_BITS:
            check.whole("gradient", self.gradient, 1, 16)

    @classmethod
    def parse(cls, text: str) -> "DorefaBits":
        """The widths that `text` names, as in 1-2-6."""
        try:
            weight, activation, gradient = (int(part) for part in text.split("-"))
        except ValueError:
            raise ValueError(f"bits {text!r}: W-A-G is wanted, as in 1-2-6") from None
        return cls(weight=weight, activation=activation, gradient=gradient)

    def __str__(self) -> str:
        return f"{self.weight}-{self.activation}-{self.gradient}"


@dataclass(frozen=True, kw_only=True)
class DorefaRecipe(SgdRecipe):
    """A DoReFa training; the defaults are for the digits that travel with the code.

    The noise of the errors is NumPy's, from `seed`: `generator`, `rows` and `columns` have no
    effect.

    Parameters
    ----------
    bits
        Widths of the codes.
    edges
        What becomes of the first and the last layer.

    The others are those of `SgdRecipe`.
    """

    SYSTEM: ClassVar[str] = "dorefa"

    network: str = "128FC-128FC"
    batch: int = 32
    epochs: int = 20
    learning_rate: Rate = "0.05"
    learning_rate_factor: Rate = "0.9"
    momentum: Rate = "0.9"
    bits: DorefaBits = field(default_factory=DorefaBits)
    edges: Edges = Edges.FLOAT

    def __post_init__(self) -> None:
        super().__post_init__()
        check.instance("bits", self.bits, DorefaBits)
        check.one_of("edges", self.edges, Edges)

    def baseline(self) -> FloatRecipe:
        """The float32 training of the same network by the same steps."""
        return self.in_float(batch_norm=True)
