"""The plan of a training step: its operations in order.

`golden.training.plan` returns it for any recipe. A trainer uses the operations of its system's
`Planner` for draws and records. A test compares records with plans for every recipe.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import wraps
from typing import Any, Generic, TypeVar, cast

from golden.fixed import Conversion, Fixed
from golden.order import ColumnOrder, Matrix, RowOrder, TileOrder
from golden.training.layers.network import Shape, Stage
from golden.training.recipe import Recipe
from golden.training.step.operation import Kind, Operation, Tensor
from golden.training.step.ops import Pass, Pool, Product, Unpool

#: Type of a planner's recipe.
R = TypeVar("R", bound=Recipe)
#: Type of a method.
F = TypeVar("F", bound=Callable[..., Any])


def remembered(method: F) -> F:
    """Cache the results of a planner's method by its arguments (decorator)."""

    @wraps(method)
    def remembering(self: "Planner[Any]", *arguments: Any) -> Any:
        key = (method, *arguments)
        if key not in self.made:
            self.made[key] = method(self, *arguments)
        return self.made[key]

    return cast(F, remembering)


class Planner(ABC, Generic[R]):
    """Returns the operations of a system's step, one by one and in order.

    Parameters `layer` are counted from 0, as in `stages`; layers in operations are counted from 1.
    Parameters `group` are names of groups: see `name`.

    Parameters
    ----------
    recipe
        The recipe.
    stages
        The layers with weights.
    """

    #: Whether biases are one more row of the weights in products.
    BIAS_ROW = False
    #: Whether pooling is exact in forward and backward pass.
    EXACT = True

    def __init__(self, recipe: R, stages: tuple[Stage, ...]):
        self.recipe = recipe
        self.stages = stages
        self.groups = recipe.groups
        self.made: dict[Any, Any] = {}

    @abstractmethod
    def step(self) -> Iterator[Operation]:
        """Yield the operations of a step, in order."""

    def name(self, group: int) -> int | None:
        """Return the name of a group in operations: its number, or None if there is one group."""
        return group if len(self.groups) > 1 else None

    def samples(self, group: int | None) -> int:
        """Return the number of samples of a group; for None, of the batch."""
        if group is None:
            return self.recipe.batch
        return self.groups[group].stop - self.groups[group].start

    def after(self, layer: int) -> Kind:
        """Return the kind of a layer's results before its activation."""
        return Kind.SUM if self.stages[layer].pool is None else Kind.POOLED

    # Tensors.

    def _matrix(self, shape: Shape, samples: int) -> Matrix:
        """Return a matrix with one row for each place of a tensor (samples, *shape)."""
        places = shape[0] * shape[1]
        group = self.recipe.rows if places > 1 else 1
        return Matrix(samples=samples, row_places=places, group=group, channels=shape[2])

    def sums(self, layer: int, kind: Kind, group: int | None = None) -> Tensor:
        """Return a tensor in the shape of a layer's sums."""
        stage = self.stages[layer]
        matrix = self._matrix(stage.sums, self.samples(group))
        return Tensor(kind=kind, layer=layer + 1, group=group, matrix=matrix)

    def pooled(self, layer: int, kind: Kind, group: int | None = None) -> Tensor:
        """Return a tensor in the shape of a layer's results after pooling."""
        stage = self.stages[layer]
        matrix = self._matrix(stage.pooled, self.samples(group))
        return Tensor(kind=kind, layer=layer + 1, group=group, matrix=matrix)

    def below(self, layer: int, kind: Kind, group: int | None = None) -> Tensor:
        """Return a tensor in the shape of a layer's input, as a matrix of its error product."""
        stage, samples = self.stages[layer], self.samples(group)
        height, width, channels = stage.image
        if stage.dense:
            matrix = Matrix(samples=samples, column_places=height * width, channels=channels)
        else:
            matrix = self._matrix(stage.image, samples)
        return Tensor(kind=kind, layer=layer, group=group, matrix=matrix)

    def weights(self, layer: int, kind: Kind, *, biases: bool = False) -> Tensor:
        """Return a tensor in the shape of a layer's weights, with a row for `biases` or without."""
        stage = self.stages[layer]
        matrix = Matrix(samples=stage.inputs + biases, channels=stage.outputs)
        return Tensor(kind=kind, layer=layer + 1, matrix=matrix)

    def labels(self, group: int | None) -> Tensor:
        """Return the tensor of the samples' classes."""
        matrix = Matrix(samples=self.samples(group), channels=1)
        return Tensor(kind=Kind.LABEL, layer=len(self.stages), group=group, matrix=matrix)

    # Orders.

    def by_rows(self, tensor: Tensor) -> RowOrder:
        """Return the order of an elementwise operation on samples."""
        columns = self.recipe.columns
        return RowOrder(matrix=tensor.matrix, first_lane=columns, width=columns)

    def by_columns(self, tensor: Tensor) -> ColumnOrder:
        """Return the order of an elementwise operation on weights."""
        columns = self.recipe.columns
        return ColumnOrder(matrix=tensor.matrix, first_lane=columns, width=columns)

    def _tiles(self, matrix: Matrix, by_columns: bool) -> TileOrder:
        recipe = self.recipe
        return TileOrder(
            matrix=matrix, rows=recipe.rows, columns=recipe.columns, by_columns=by_columns
        )

    # Operations that systems share.

    @remembered
    def forward(
        self, layer: int, weight: Kind, conversion: Conversion | None, group: int | None = None
    ) -> Product:
        """Return the forward product of a layer."""
        stage, out = self.stages[layer], self.sums(layer, Kind.SUM, group)
        seen = replace(out.matrix, channels=stage.inputs + self.BIAS_ROW)
        a = Tensor(kind=Kind.ACTIVATION, layer=layer, group=group, matrix=seen)
        return Product(
            kind=Pass.FORWARD,
            layer=layer + 1,
            reads=(a, self.weights(layer, weight, biases=self.BIAS_ROW)),
            writes=(out,),
            conversion=conversion,
            order=self._tiles(out.matrix, stage.dense),
        )

    @remembered
    def errors(
        self, layer: int, weight: Kind, conversion: Conversion | None, group: int | None = None
    ) -> list[Product]:
        """Return the error products of a layer: one, or one for each phase of a convolution."""
        stage, samples = self.stages[layer], self.samples(group)
        if stage.dense:
            out = self.below(layer, Kind.RAW_ERROR, group).matrix
            return [self._error(layer, weight, conversion, group, out, stage.outputs)]
        return [
            self._error(
                layer,
                weight,
                conversion,
                group,
                self._matrix((phase.places, 1, stage.image[2]), samples),
                phase.taps * stage.outputs,
                (phase.top, phase.left),
            )
            for phase in stage.phases
        ]

    def _error(
        self,
        layer: int,
        weight: Kind,
        conversion: Conversion | None,
        group: int | None,
        out: Matrix,
        depth: int,
        phase: tuple[int, int] = (0, 0),
    ) -> Product:
        stage = self.stages[layer]
        left = replace(out, column_places=1, channels=depth)
        right = Matrix(samples=depth, channels=out.shape[1])
        return Product(
            kind=Pass.ERROR,
            layer=layer + 1,
            phase=phase,
            reads=(
                Tensor(kind=self.errors_of(stage), layer=layer + 1, group=group, matrix=left),
                Tensor(kind=weight, layer=layer + 1, matrix=right),
            ),
            writes=(Tensor(kind=Kind.RAW_ERROR, layer=layer, group=group, matrix=out),),
            conversion=conversion,
            order=self._tiles(out, stage.dense),
        )

    @staticmethod
    def errors_of(stage: Stage) -> Kind:
        """Return the kind of the errors of a stage's sums, the operands of its products."""
        return Kind.ERROR if stage.pool is None else Kind.SPREAD_ERROR

    @remembered
    def gradient(self, layer: int) -> Product:
        """Return the gradient product of a layer, over the whole batch; its sums drain raw."""
        stage = self.stages[layer]
        out = self.weights(layer, Kind.GRADIENT, biases=self.BIAS_ROW)
        depth = self.recipe.batch * math.prod(stage.sums[:2])
        a = Matrix(samples=out.matrix.samples, channels=depth)
        b = Matrix(samples=depth, channels=stage.outputs)
        return Product(
            kind=Pass.GRADIENT,
            layer=layer + 1,
            reads=(
                Tensor(kind=Kind.ACTIVATION, layer=layer, matrix=a),
                Tensor(kind=self.errors_of(stage), layer=layer + 1, matrix=b),
            ),
            writes=(out,),
            order=self._tiles(out.matrix, True),
        )

    @remembered
    def pool(self, layer: int, group: int | None = None) -> tuple[Pool, ...]:
        """Return the max-pooling after a layer; empty if there is none."""
        window = self.stages[layer].pool
        if window is None:
            return ()
        return (
            Pool(
                layer=layer + 1,
                window=window,
                reads=(self.sums(layer, Kind.SUM, group),),
                writes=tuple(self.pooled(layer, kind, group) for kind in (Kind.POOLED, Kind.FIRST)),
                exact=self.EXACT,
            ),
        )

    @remembered
    def unpool(
        self, layer: int, group: int | None = None, limit: Fixed | None = None
    ) -> tuple[Unpool, ...]:
        """Return the way back through the max-pooling after a layer; empty if there is none.

        Sums of several errors are saturated to `limit`, if it is given.
        """
        window = self.stages[layer].pool
        if window is None:
            return ()
        return (
            Unpool(
                layer=layer + 1,
                window=window,
                limit=limit if window.overlap > 1 else None,
                reads=tuple(self.pooled(layer, kind, group) for kind in (Kind.ERROR, Kind.FIRST)),
                writes=(self.sums(layer, Kind.SPREAD_ERROR, group),),
                exact=self.EXACT,
            ),
        )
