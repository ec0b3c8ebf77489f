"""Operations of a training step: tensors by name, and the base class of `golden.training.step.ops`.

A plan (`golden.training.plan`) lists the operations of a step. A trainer records them with the
values of their tensors (`golden.training.step.record`). A simulation or hardware that repeats a
step needs the operations only. An operation has no numbers that depend on the data or on the epoch;
these are its scalars, which the record has by name.

Layers are counted from 1; layer 0 is the input. Groups of samples are counted from 0.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from golden.order import Matrix, Order


class Kind(StrEnum):
    """Meaning of a tensor in a training step."""

    #: Output of a layer, input of the next one; for layer 0 the pixels.
    ACTIVATION = "activation"
    #: The class of each sample.
    LABEL = "label"
    #: Stored weights, (inputs, outputs); in Gupta's system the biases are one more row.
    WEIGHT = "weight"
    #: Biases that are stored separately.
    BIAS = "bias"
    #: The latest update of weights, for momentum.
    VELOCITY = "velocity"
    #: Weights as operands of products.
    FORWARD_WEIGHT = "forward weight"
    #: Biases as operands of products.
    FORWARD_BIAS = "forward bias"
    #: Results of a forward product: raw sums or rounded words.
    SUM = "sum"
    #: Results after max-pooling.
    POOLED = "pooled sum"
    #: Position of the first maximum in each window, counted row by row.
    FIRST = "first maximum"
    #: Mask of an activation: where errors pass it.
    ACTIVE = "active"
    #: Mask of a quantizer or a rounder: where a value was in range.
    UNCLIPPED = "unclipped"
    #: Results of softmax.
    PROBABILITY = "probability"
    #: Output minus target, not quantized.
    DIFFERENCE = "difference"
    #: Results of an error product, neither masked nor quantized.
    RAW_ERROR = "raw error"
    #: Errors of a layer's results; of the pooled ones if there is a pooling.
    ERROR = "error"
    #: Errors of the sums before the pooling.
    SPREAD_ERROR = "spread error"
    #: Sums of a gradient product.
    GRADIENT = "gradient"
    #: Step that is subtracted from weights.
    STEP = "step"
    #: Step that is subtracted from biases that are stored separately.
    BIAS_STEP = "bias step"
    #: Codes before rounding.
    WIDE = "wide code"
    #: Factors of a batch normalisation.
    GAMMA = "gamma"


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """Name of a tensor in a step, and its matrix form in an operation.

    Parameters
    ----------
    kind
        Meaning of the tensor.
    layer
        Number of its layer.
    group
        Number of its group of samples; None if there are no groups.
    matrix
        Its rows and columns.

    Examples
    --------
    >>> print(Tensor(kind=Kind.SUM, layer=2, matrix=Matrix(samples=64, channels=10)))
    sum 2
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
        Number of the layer; for an error product, of the layer whose weights it multiplies.
    reads, writes
        Inputs and outputs, in the order of the names in `READS` and `WRITES`; the last ones may be
        missing. A tensor may be written several times, as by a mask. A read refers to the latest
        values.
    order
        Order of the values; None if no hardware unit processes them one by one.
    exact
        Whether the results are defined to the bit; False for floating point.
    """

    #: Names of inputs, of outputs and of scalars.
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
        """Whether its values are rounded with random words."""
        return False

    @property
    def leaps(self) -> int:
        """Number of draws of every lane in use."""
        return self.order.leaps if self.draws and self.order is not None else 0

    def tensors(self) -> dict[str, Tensor]:
        """Return inputs and outputs by the names in `READS` and `WRITES`."""
        return dict(zip(self.READS, self.reads)) | dict(zip(self.WRITES, self.writes))

    def __str__(self) -> str:
        reads, writes = (", ".join(map(str, some)) for some in (self.reads, self.writes))
        return f"{type(self).__name__}: {reads} -> {writes}"
