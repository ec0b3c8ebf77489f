"""Records of training steps: every operation with its values.

A record is sufficient to repeat a step on other hardware and to compare every word. A trainer
appends one entry for each operation of its plan (`golden.training.plan`), in order.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.training.layers.convolution import error_operands, forward_operands, gradient_operands
from golden.training.layers.network import Stage
from golden.training.layers.windows import Tensor
from golden.training.step.operation import Operation


@dataclass(frozen=True, kw_only=True, eq=False)
class Entry:
    """An operation with the values of its tensors and scalars.

    Parameters
    ----------
    operation
        The operation.
    tensors
        Inputs and outputs by name, each with the rows and columns of its tensor in
        `operation.tensors()`: int64 codes, or floats if the operation is not exact.
    scalars
        Its scalars, by their names in `SCALARS`.

    Examples
    --------
    >>> from golden.datasets import digits
    >>> from golden.training import WageRecipe, new_trainer
    >>> data, record = digits(), []
    >>> trainer = new_trainer(WageRecipe(network="", batch=2), data)
    >>> score = trainer.step(data.train_images[:2], data.train_labels[:2], record)
    >>> print(record[0].operation)
    QuantizeWeight: weight 1 -> forward weight 1
    >>> {name: values.shape for name, values in record[0].tensors.items()}
    {'n': (64, 10), 'code': (64, 10)}
    """

    operation: Operation
    tensors: Mapping[str, NDArray[Any]]
    scalars: Mapping[str, int]


#: The entries of a step, in order.
Record = list[Entry]

#: A tensor, or a function that returns it, called only if there is a record.
Made = NDArray[Any] | Callable[[], NDArray[Any]]


def note(
    record: Record | None,
    operation: Operation,
    tensors: Mapping[str, Made],
    scalars: Mapping[str, int] | None = None,
) -> None:
    """Append an operation to a record, if there is one.

    Parameters
    ----------
    record
        The record, or None.
    operation
        The operation.
    tensors
        All of its tensors by name, in any type and shape, in the order (samples, places, channels).
        They are copied.
    scalars
        All of its scalars by name.

    Raises
    ------
    ValueError
        A tensor or scalar of the operation is missing, or there are others.
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
    """Record the forward product of a stage.

    Parameters
    ----------
    record, product
        The record, if there is one, and the operation.
    stage
        The layer.
    x
        Inputs, (batch, *stage.image).
    w
        Weights, (inputs, outputs).
    ones
        Code of 1. If it is given, biases are the last row of the weights, and the inputs have a
        column of ones.
    out
        The outputs by name.
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
    """Record the error products of a stage.

    Parameters
    ----------
    record, products
        The record, if there is one, and the operations.
    stage
        The layer.
    e
        Errors of its sums, (batch, *stage.sums).
    w
        Weights, (inputs, outputs).
    out
        Results, (batch, *stage.image).
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
    """Record the gradient product of a stage.

    Parameters
    ----------
    record, product
        The record, if there is one, and the operation.
    stage
        The layer.
    x
        Inputs, (batch, *stage.image).
    e
        Errors of its sums, (batch, *stage.sums).
    out
        Gradients, (inputs, outputs).
    ones
        Code of 1. If it is given, the gradients have a last row for biases, and the inputs have a
        row of ones.
    """
    if record is None:
        return
    a, b = gradient_operands(stage, x, e)
    if ones is not None:
        a = np.vstack([a, np.full((1, a.shape[1]), ones, a.dtype)])
    note(record, product, {"a": a, "b": b, "out": out})
