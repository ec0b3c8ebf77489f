"""The operations of a training step: what each one reads, writes and draws.

A plan (`golden.training.plan`) lists a step's operations; a trainer records them with the values
that went in and came out (`golden.training.step.record`). Whatever runs a step elsewhere, in
simulation or on hardware, reads operations and nothing else. An operation holds no number that
depends on the data or on the epoch: those are its scalars, by name.

Layers count from 1; layer 0 is the input. Groups of samples count from 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from golden.fixed import Conversion, Fixed, Rounding
from golden.order import ColumnOrder, Matrix, Order, RowOrder, TileOrder, VectorOrder
from golden.training.layers.network import Window


class Kind(StrEnum):
    """What a tensor of a training step is."""

    #: What a layer gives to the next one; of layer 0 the pixels.
    ACTIVATION = "activation"
    #: The class of each sample.
    LABEL = "label"
    #: Stored weights, (inputs, outputs); with Gupta's rules the biases are one more row.
    WEIGHT = "weight"
    #: Biases that are stored apart.
    BIAS = "bias"
    #: The latest update of weights, which momentum carries on.
    VELOCITY = "velocity"
    #: Weights as they are multiplied.
    FORWARD_WEIGHT = "forward weight"
    #: Biases as they are multiplied.
    FORWARD_BIAS = "forward bias"
    #: Results of a forward product: raw sums, or words.
    SUM = "sum"
    #: Results after max-pooling.
    POOLED = "pooled sum"
    #: Which value of each window was the first maximum, counted row by row.
    FIRST = "first maximum"
    #: Where errors pass an activation.
    ACTIVE = "active"
    #: Where a quantizer did not clip, and where a sum was in its word's range.
    UNCLIPPED = "unclipped"
    #: Softmax's results.
    PROBABILITY = "probability"
    #: Output less target, not yet quantized.
    DIFFERENCE = "difference"
    #: Results of an error product, not yet masked or quantized.
    RAW_ERROR = "raw error"
    #: Errors of a layer's results, after pooling if there is one.
    ERROR = "error"
    #: Errors before pooling, at every place of the sums.
    SPREAD_ERROR = "spread error"
    #: Sums of a gradient product.
    GRADIENT = "gradient"
    #: What is subtracted from weights or biases.
    STEP = "step"
    #: The same for biases that are stored apart.
    BIAS_STEP = "bias step"
    #: Codes before their rounding.
    WIDE = "wide code"
    #: Factors of a batch normalisation.
    GAMMA = "gamma"


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A tensor of a step by its name, and the matrix that an operation takes it as.

    Parameters
    ----------
    kind
        What it is.
    layer
        Of which layer.
    group
        Of which group of samples; None of what all groups share.
    matrix
        Its rows and columns.
    """

    kind: Kind
    layer: int
    group: int | None = None
    matrix: Matrix

    def __str__(self) -> str:
        of_group = "" if self.group is None else f", group {self.group}"
        return f"{self.kind} {self.layer}{of_group}"


@dataclass(frozen=True, kw_only=True)
class Operation:
    """An operation of a step.

    Parameters
    ----------
    layer
        Whose operation it is; of an error product, the layer whose weights it takes.
    reads, writes
        Tensors that go in and come out, by the names in `READS` and `WRITES`, the last of which may
        be missing. A tensor may be written again, as by a mask; what is read is the latest.
    order
        The order in which its values pass; None where no hardware unit takes values one by one.
    exact
        Whether its arithmetic is that of numbers that hardware repeats to the bit; False marks
        floating point.
    """

    #: Names of what goes in, of what comes out, and of the scalars.
    READS: ClassVar[tuple[str, ...]] = ()
    WRITES: ClassVar[tuple[str, ...]] = ()
    SCALARS: ClassVar[tuple[str, ...]] = ()

    layer: int
    reads: tuple[Tensor, ...]
    writes: tuple[Tensor, ...]
    order: Order | None = None
    exact: bool = True

    @property
    def draws(self) -> bool:
        """Whether its values meet random words."""
        return False

    @property
    def leaps(self) -> int:
        """Draws that it makes on every lane that it uses."""
        return self.order.leaps if self.draws and self.order is not None else 0

    def tensors(self) -> dict[str, Tensor]:
        """What it reads and writes, by the names in `READS` and `WRITES`."""
        return dict(zip(self.READS, self.reads)) | dict(zip(self.WRITES, self.writes))

    def __str__(self) -> str:
        reads, writes = (", ".join(map(str, some)) for some in (self.reads, self.writes))
        return f"{type(self).__name__}: {reads} -> {writes}"


class Pass(StrEnum):
    """Which of a layer's products."""

    FORWARD = "forward"
    ERROR = "error"
    GRADIENT = "gradient"


@dataclass(frozen=True, kw_only=True)
class Product(Operation):
    """A product on the array.

    An error product of a convolution of stride s is s x s products, one for each phase. Forward
    products that are rounded also write where they did not saturate.

    Parameters
    ----------
    kind
        Which one.
    phase
        ((y + p) mod s, (x + p) mod s) of the places that it is for.
    conversion
        What the rounders at the foot of the columns do; None where the sums drain raw.
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
    """Errors go to the first maximum of their window; where several meet, they add up.

    Parameters
    ----------
    window
        The pooling's.
    limit
        Format to whose range sums are saturated, or None.
    """

    READS = ("errors", "first")
    WRITES = ("spread",)

    window: Window
    limit: Fixed | None = None


@dataclass(frozen=True, kw_only=True)
class Mask(Operation):
    """Zeroes values where a mask is 0."""

    READS = ("values", "keep")
    WRITES = ("out",)


@dataclass(frozen=True, kw_only=True)
class Relu(Operation):
    """max(y, 0), and where y > 0."""

    READS = ("values",)
    WRITES = ("out", "active")


@dataclass(frozen=True, kw_only=True)
class Sign(Operation):
    """-1 or +1, 0 gives +1; and where |y| <= 1.

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
    """Outputs, or probabilities, less the target.

    Parameters
    ----------
    one
        log2 of the code that stands for 1, the target of the right class.
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
    """WAGE's ReLU and Q_A, and the masks of the way back.

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
    """A tensor's largest magnitude and log2 of its Shift; 0 and 0 where all values are zero.

    Parameters
    ----------
    ceil
        To the next higher power of two, not the nearest.
    """

    READS = ("values",)
    SCALARS = ("maximum", "exponent")

    ceil: bool
    order: VectorOrder


@dataclass(frozen=True, kw_only=True)
class QuantizeError(Operation):
    """WAGE's Q_E, zero where the mask is 0.

    Parameters
    ----------
    bits
        Bits of an error.
    rounding
        Stochastic, or nearest with ties to even.
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
        Stored weights end at a half, not at the largest code.
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


# Conversions of wide codes by elementwise rounders.


@dataclass(frozen=True, kw_only=True)
class Convert(Operation):
    """Wide codes through the elementwise rounders.

    Parameters
    ----------
    target
        Format of the results.
    rounding
        How they are rounded.
    fraction
        Fraction bits of the wide codes; None where they are the scalar `fraction`.
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
        """What the rounders do, by the operation's scalars."""
        fraction = scalars["fraction"] if self.fraction is None else self.fraction
        return Conversion(fraction=fraction, target=self.target, rounding=self.rounding)


@dataclass(frozen=True, kw_only=True)
class FixedPointUpdate(Convert):
    """Gupta's update: z = velocity * v - gradient * G - weight * w, v' = Convert(z), and
    w' = saturate(w + v'). The factors are scalars; `z` are its exact sums.

    The last row, the biases, has no weight decay. Without momentum there is no v.
    """

    READS = ("gradient", "weight", "last")
    WRITES = ("z", "out", "moved")
    SCALARS = ("fraction", "gradient", "velocity", "weight")


@dataclass(frozen=True, kw_only=True)
class GridWeight(Convert):
    """Forward weights of BinaryConnect: the nearest of the grid, or -1 and +1 by chance.

    `z` are the wide codes that the rounder is given for the buffer's, `out` what it returns, and
    `code` the weights that follow.
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
    """The rules R and SR: weights less their steps, rounded to the grid.

    `z` are the wide codes that the rounder is given, `out` what it returns.
    """

    READS = ("weight", "step")
    WRITES = ("z", "out", "moved")


@dataclass(frozen=True, kw_only=True)
class FineUpdate(Operation):
    """Values less their steps, clipped.

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
    """What a floating-point operation does."""

    WEIGHTS = "makes forward weights of stored ones"
    FORWARD = "multiplies inputs by weights"
    SCALE = "scales whole sums"
    NORMALISE = "normalises over the batch"
    BIAS = "adds biases"
    ACTIVATION = "is the activation"
    LOSS = "is the derivative of the loss by the outputs"
    NORMALISE_BACK = "is the way back through a normalisation"
    QUANTIZE_ERROR = "quantizes errors"
    ERROR = "multiplies errors by weights"
    SCALE_ERROR = "scales whole sums of errors"
    GRADIENT = "multiplies inputs by errors"
    UPDATE = "moves weights, biases and normalisation"


@dataclass(frozen=True, kw_only=True)
class Float(Operation):
    """A part of a step in floating point.

    Parameters
    ----------
    part
        What it does.
    names
        Names of what it reads and writes.
    """

    part: FloatPart
    names: tuple[tuple[str, ...], tuple[str, ...]]
    exact: bool = False

    def tensors(self) -> dict[str, Tensor]:
        reads, writes = self.names
        return dict(zip(reads, self.reads)) | dict(zip(writes, self.writes))
