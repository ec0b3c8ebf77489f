"""What a training step did, operation by operation: enough to do it again on other hardware and
compare every word.

A trainer appends one entry for each operation of its plan (`golden.training.plan`), in order.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.training.layers.convolution import error_operands, forward_operands, gradient_operands
from golden.training.layers.network import Stage
from golden.training.layers.windows import Tensor
from golden.training.step.ops import Operation


@dataclass(frozen=True, kw_only=True, eq=False)
class Entry:
    """An operation, and the values that went in and came out.

    Parameters
    ----------
    operation
        Which one.
    tensors
        What it reads and writes by the operation's names, in rows and columns as its `tensors()`
        have them: int64 codes, or floats of an operation that is not exact.
    scalars
        Its scalars, by their names in `SCALARS`.
    """

    operation: Operation
    tensors: Mapping[str, NDArray[Any]]
    scalars: Mapping[str, int]


#: A step's operations, in order.
Record = list[Entry]

#: A tensor, or what makes it where somebody asks.
Made = NDArray[Any] | Callable[[], NDArray[Any]]


def note(
    record: Record | None,
    operation: Operation,
    tensors: Mapping[str, Made],
    scalars: Mapping[str, int] | None = None,
) -> None:
    """Append an operation to a record, if there is one.

    `tensors` are copied, samples outermost, in any shape and type; every name of the operation is
    wanted.
    """
    if record is None:
        return
    found = {}
    for name, tensor in operation.tensors().items():
        made = tensors[name]
        values = made() if callable(made) else made
        values = values.astype(values.dtype if not operation.exact else np.int64)
        found[name] = tensor.matrix.of(values)
    scalars = scalars or {}
    if scalars.keys() != set(operation.SCALARS) or tensors.keys() != found.keys():
        raise ValueError(f"{operation}: {sorted(tensors)} and {sorted(scalars)} were noted")
    record.append(Entry(operation=operation, tensors=found, scalars=dict(scalars)))


def note_forward(
    record: Record | None,
    product: Operation,
    stage: Stage,
    x: Tensor,
    w: Tensor,
    ones: float | None = None,
    **out: Made,
) -> None:
    """Record a forward product of a tensor (batch, *stage.image) and weights.

    With `ones`, the last row of the weights is for biases, which meet a column of them.
    """

    def seen() -> Tensor:
        a, _ = forward_operands(stage, x, w)
        return a if ones is None else np.hstack([a, np.full((len(a), 1), ones, a.dtype)])

    note(record, product, {"a": seen, "b": w, **out})


def note_errors(
    record: Record | None,
    products: Sequence[Operation],
    stage: Stage,
    e: Tensor,
    w: Tensor,
    out: Tensor,
) -> None:
    """Record the error products of a stage, from the errors of its sums and the weights to the
    results (batch, *stage.image).
    """
    if record is None:
        return
    for product, phase in zip(products, (None,) if stage.dense else stage.phases, strict=True):
        a, b = error_operands(stage, e, w, phase)
        part = out if phase is None else phase.of(out)
        note(record, product, {"a": a, "b": b, "out": part})


def note_gradient(
    record: Record | None,
    product: Operation,
    stage: Stage,
    x: Tensor,
    e: Tensor,
    out: Made,
    ones: float | None = None,
) -> None:
    """Record the gradient product of a stage, from the errors of its sums.

    With `ones`, a last row of them makes the gradients of biases.
    """
    if record is None:
        return
    a, b = gradient_operands(stage, x, e)
    if ones is not None:
        a = np.vstack([a, np.full((1, a.shape[1]), ones, a.dtype)])
    note(record, product, {"a": a, "b": b, "out": out})
