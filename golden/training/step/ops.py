"""The operations of a training step: tensors read and written, scalars and draws of each kind.

`golden.training.step.operation` has their base class.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from golden.fixed import Conversion, Fixed, Rounding
from golden.order import ColumnOrder, RowOrder, TileOrder, VectorOrder
from golden.training.layers.network import Window
from golden.training.step.operation import Operation, Tensor


class Pass(StrEnum):
    """The products of a layer."""

    FORWARD = "forward"
    ERROR = "error"
    GRADIENT = "gradient"


@dataclass(frozen=True, kw_only=True)
class Product(Operation):
    """A product on the array.

    The error product of a convolution with stride s consists of s x s products, one for each phase.
    Rounded forward products also write a mask of the results that did not saturate.

    Parameters
    ----------
    kind
        Forward, error or gradient product.
    phase
        ((y + p) mod s, (x + p) mod s) of the positions (y, x) of its results; p is the padding.
    conversion
        Conversion of the rounders below the columns; None if the sums drain raw.
    """

    READS = ("a", "b")
    WRITES = ("out", "unclipped")

    kind: Pass
    phase: tuple[int, int] = (0, 0)
    conversion: Conversion | None = None
    order: TileOrder

    @property
    def draws(self) -> bool:
        return self.conversion is not None and self.conversion.rounding is Rounding.STOCHASTIC


@dataclass(frozen=True, kw_only=True)
class Pool(Operation):
    """Max-pooling."""

    READS = ("values",)
    WRITES = ("pooled", "first")

    window: Window


@dataclass(frozen=True, kw_only=True)
class Unpool(Operation):
    """The way back through max-pooling: each error is added at the first maximum of its window.

    Parameters
    ----------
    window
        Window of the pooling.
    limit
        Format to whose range the sums of errors are saturated, or None.
    """

    READS = ("errors", "first")
    WRITES = ("spread",)

    window: Window
    limit: Fixed | None = None


@dataclass(frozen=True, kw_only=True)
class Mask(Operation):
    """Sets values to 0 where a mask is 0."""

    READS = ("values", "keep")
    WRITES = ("out",)


@dataclass(frozen=True, kw_only=True)
class Relu(Operation):
    """max(y, 0), and the mask y > 0."""

    READS = ("values",)
    WRITES = ("out", "active")


@dataclass(frozen=True, kw_only=True)
class Sign(Operation):
    """-1 for y < 0, otherwise +1; and the mask |y| <= 1.

    Parameters
    ----------
    one
        The code of 1.
    """

    READS = ("values",)
    WRITES = ("out", "active")

    one: int


@dataclass(frozen=True, kw_only=True)
class Softmax(Operation):
    """Probabilities with 16 fraction bits.

    Parameters
    ----------
    fraction
        Fraction bits of the outputs.
    """

    READS = ("outputs",)
    WRITES = ("probability",)

    fraction: int


@dataclass(frozen=True, kw_only=True)
class OutputError(Operation):
    """Outputs, or probabilities, minus the target.

    Parameters
    ----------
    one
        log2 of the code of 1, which is the target of the right class.
    """

    READS = ("outputs", "label")
    WRITES = ("difference",)

    one: int


# Units of WAGE.


@dataclass(frozen=True, kw_only=True)
class QuantizeWeight(Operation):
    """WAGE's Q_W.

    Parameters
    ----------
    bits, stored
        Bits of forward and of stored weights.
    """

    READS = ("n",)
    WRITES = ("code",)

    bits: int
    stored: int
    order: ColumnOrder


@dataclass(frozen=True, kw_only=True)
class QuantizeActivation(Operation):
    """WAGE's ReLU and Q_A, with the masks of the backward pass.

    Parameters
    ----------
    bits
        Bits of an activation.
    shift
        Bits dropped.
    """

    READS = ("acc",)
    WRITES = ("code", "active", "unclipped")

    bits: int
    shift: int
    order: RowOrder


@dataclass(frozen=True, kw_only=True)
class ShiftExponent(Operation):
    """The largest magnitude of a tensor and log2 of its Shift; both are 0 if all values are 0.

    Parameters
    ----------
    ceil
        Round up to the next power of two, not to the nearest one.
    """

    READS = ("values",)
    SCALARS = ("maximum", "exponent")

    ceil: bool
    order: VectorOrder


@dataclass(frozen=True, kw_only=True)
class QuantizeError(Operation):
    """WAGE's Q_E; results are 0 where the mask is 0.

    Parameters
    ----------
    bits
        Bits of an error.
    rounding
        Stochastic or nearest-even.
    """

    READS = ("values", "keep")
    WRITES = ("code",)
    SCALARS = ("maximum", "exponent")

    bits: int
    rounding: Rounding
    order: RowOrder

    @property
    def draws(self) -> bool:
        return self.rounding is Rounding.STOCHASTIC


@dataclass(frozen=True, kw_only=True)
class WageUpdate(Operation):
    """WAGE's Q_G and the saturating update; the scalar `rate` is log2 of the learning rate.

    Parameters
    ----------
    bits
        Bits of a stored weight.
    half
        Saturate at a half, not at the largest code.
    """

    READS = ("n", "gradient")
    WRITES = ("out",)
    SCALARS = ("maximum", "exponent", "rate")

    bits: int
    half: bool
    order: ColumnOrder

    @property
    def draws(self) -> bool:
        return True


# Conversions of wide codes in elementwise rounders.


@dataclass(frozen=True, kw_only=True)
class Convert(Operation):
    """Conversion of wide codes in the elementwise rounders.

    Parameters
    ----------
    target
        Format of the results.
    rounding
        Rounding of the dropped bits.
    fraction
        Fraction bits of the wide codes; None if they are the scalar `fraction`.
    """

    READS: ClassVar[tuple[str, ...]] = ("z",)
    WRITES: ClassVar[tuple[str, ...]] = ("out",)

    target: Fixed
    rounding: Rounding
    fraction: int | None
    order: VectorOrder

    @property
    def draws(self) -> bool:
        return self.rounding is Rounding.STOCHASTIC

    def conversion(self, scalars: Mapping[str, int]) -> Conversion:
        """Return the conversion, for the scalars of a recorded operation."""
        fraction = scalars["fraction"] if self.fraction is None else self.fraction
        return Conversion(fraction=fraction, target=self.target, rounding=self.rounding)


@dataclass(frozen=True, kw_only=True)
class FixedPointUpdate(Convert):
    """Gupta's update: z = velocity * v - gradient * G - weight * w, v' = Convert(z) and
    w' = saturate(w + v').

    The factors are scalars, and z is exact. The last row, the biases, has no weight decay. Without
    momentum, there is no v.
    """

    READS = ("gradient", "weight", "last")
    WRITES = ("z", "out", "moved")
    SCALARS = ("fraction", "gradient", "velocity", "weight")


@dataclass(frozen=True, kw_only=True)
class GridWeight(Convert):
    """Forward weights of BinaryConnect: the nearest value of the grid, or -1 and +1 at random.

    `z` are the rounder's operands, `out` its results, and `code` the resulting weights.
    """

    READS = ("buffer",)
    WRITES = ("z", "out", "code")


@dataclass(frozen=True, kw_only=True)
class FineStep(Convert):
    """A step in the fine format: Convert(number * gradient), `number` a scalar."""

    READS = ("gradient",)
    WRITES = ("z", "out")
    SCALARS = ("fraction", "number")


@dataclass(frozen=True, kw_only=True)
class GridUpdate(Convert):
    """The rules R and SR: weights minus their steps, rounded to the grid.

    `z` are the rounder's operands, `out` its results, and `moved` the new weights.
    """

    READS = ("weight", "step")
    WRITES = ("z", "out", "moved")


@dataclass(frozen=True, kw_only=True)
class FineUpdate(Operation):
    """Values minus their steps, clipped.

    Parameters
    ----------
    low, high
        The limits.
    """

    READS = ("values", "step")
    WRITES = ("moved",)

    low: int
    high: int


# Floating point.


class FloatPart(StrEnum):
    """Parts of a step in floating point."""

    WEIGHTS = "forward weights from stored weights"
    FORWARD = "inputs times weights"
    SCALE = "integer sums times their scale"
    NORMALISE = "batch normalisation"
    BIAS = "addition of biases"
    ACTIVATION = "activation"
    LOSS = "derivative of the loss with respect to the outputs"
    NORMALISE_BACK = "derivative of a batch normalisation"
    QUANTIZE_ERROR = "quantization of errors"
    ERROR = "errors times weights"
    SCALE_ERROR = "integer sums of errors times their scale"
    GRADIENT = "inputs times errors"
    UPDATE = "update of weights, biases and normalisation"


@dataclass(frozen=True, kw_only=True)
class Float(Operation):
    """A part of a step in floating point.

    Parameters
    ----------
    part
        The part.
    names
        Names of inputs and of outputs.
    """

    part: FloatPart
    names: tuple[tuple[str, ...], tuple[str, ...]]
    exact: bool = False

    def tensors(self) -> dict[str, Tensor]:
        reads, writes = self.names
        return dict(zip(reads, self.reads)) | dict(zip(writes, self.writes))
