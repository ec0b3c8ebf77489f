"""Plan of a step with weights on a coarse grid (Li et al. 2017; BNN)."""

from collections.abc import Iterator

from golden.fixed import Conversion, Fixed, Rounding
from golden.order import Matrix
from golden.training.layers.network import Stage
from golden.training.step.operation import Kind, Operation, Tensor
from golden.training.step.ops import (
    Convert,
    FineStep,
    FineUpdate,
    GridUpdate,
    GridWeight,
    Relu,
    Sign,
)
from golden.training.step.planner import remembered
from golden.training.step.word_plan import WordPlanner
from golden.training.systems.li.recipe import Activation, Binarize, LayerFormats, LiRecipe, Update


class LiPlanner(WordPlanner[LiRecipe]):
    """Operations of R, SR or BinaryConnect.

    Attributes
    ----------
    formats
        Formats and bounds of every layer.
    """

    def __init__(self, recipe: LiRecipe, stages: tuple[Stage, ...]):
        super().__init__(recipe, stages)
        self.formats: list[LayerFormats] = [
            recipe.layer_formats(stage, not layer) for layer, stage in enumerate(stages)
        ]
        self._buffered = recipe.update == Update.BC

    @property
    def multiplied(self) -> Kind:
        return Kind.FORWARD_WEIGHT if self._buffered else Kind.WEIGHT

    def forward_conversion(self, layer: int) -> Conversion:
        return self.formats[layer].forward

    def error_conversion(self, layer: int) -> Conversion:
        return self.formats[layer].error

    @property
    def output_conversion(self) -> Conversion:
        return self.recipe.output_error

    @property
    def outputs_fraction(self) -> int:
        return self.recipe.formats.activation_fl

    @remembered
    def activate(self, layer: int, group: int | None) -> Relu | Sign:
        if self.recipe.activation == Activation.SIGN:
            one = 1 << self.recipe.formats.activation_fl
            reads, writes = self._activated(layer, group)
            order = self.by_rows(reads[0])
            return Sign(layer=layer + 1, one=one, reads=reads, writes=writes, order=order)
        return super().activate(layer, group)

    def _biases(self, layer: int, kind: Kind) -> Tensor:
        matrix = Matrix(samples=1, channels=self.stages[layer].outputs)
        return Tensor(kind=kind, layer=layer + 1, matrix=matrix)

    def prepare(self, layer: int) -> Iterator[Operation]:
        if self._buffered:
            yield self.grid_weight(layer)
        yield self.bias(layer)

    @property
    def to_bit(self) -> Conversion:
        """Conversion of a probability's code to a random bit: 0 means +1, and 1 means -1."""
        draw = self.recipe.generator.draw
        return Conversion(fraction=draw, target=Fixed(2, 0), rounding=Rounding.STOCHASTIC)

    @remembered
    def grid_weight(self, layer: int) -> GridWeight:
        """Return the operation from a layer's buffer to forward weights."""
        drawn = self.recipe.binarize == Binarize.STOCHASTIC
        conversion = self.to_bit if drawn else self.recipe.quantizer
        buffer, wide, code = (
            self.weights(layer, kind) for kind in (Kind.WEIGHT, Kind.WIDE, Kind.FORWARD_WEIGHT)
        )
        return GridWeight(
            layer=layer + 1,
            target=conversion.target,
            rounding=conversion.rounding,
            fraction=conversion.fraction,
            reads=(buffer,),
            writes=(wide, code, code),
            order=self.by_columns(buffer),
        )

    @remembered
    def bias(self, layer: int) -> Convert:
        """Return the conversion of a layer's biases to operands."""
        fine, word = (self._biases(layer, kind) for kind in (Kind.BIAS, Kind.FORWARD_BIAS))
        return self.convert(layer, fine, word, self.formats[layer].bias, self.by_rows(fine))

    def update(self, layer: int) -> Iterator[Operation]:
        yield self.weight_step(layer)
        yield self.buffer_update(layer) if self._buffered else self.grid_update(layer)
        yield self.bias_step(layer)
        yield self.bias_update(layer)

    def _fine_step(self, layer: int, gradient: Tensor, wide: Tensor, step: Tensor) -> FineStep:
        of_weights = step.kind is Kind.STEP
        return FineStep(
            layer=layer + 1,
            target=self.recipe.formats.fine,
            rounding=Rounding.NEAREST_EVEN,
            fraction=None,
            reads=(gradient,),
            writes=(wide, step),
            order=self.by_columns(step) if of_weights else self.by_rows(step),
        )

    @remembered
    def weight_step(self, layer: int) -> FineStep:
        """Return the operation from a layer's gradient to the step of its weights."""
        kinds = (Kind.GRADIENT, Kind.WIDE, Kind.STEP)
        return self._fine_step(layer, *(self.weights(layer, kind) for kind in kinds))

    @remembered
    def bias_step(self, layer: int) -> FineStep:
        """Return the operation from a layer's gradient to the step of its biases."""
        kinds = (Kind.GRADIENT, Kind.WIDE, Kind.BIAS_STEP)
        return self._fine_step(layer, *(self._biases(layer, kind) for kind in kinds))

    @remembered
    def grid_update(self, layer: int) -> GridUpdate:
        """Return the update of a layer's weights, rounded to the grid."""
        conversion = self.recipe.quantizer
        weight, step, wide = (
            self.weights(layer, kind) for kind in (Kind.WEIGHT, Kind.STEP, Kind.WIDE)
        )
        return GridUpdate(
            layer=layer + 1,
            target=conversion.target,
            rounding=conversion.rounding,
            fraction=conversion.fraction,
            reads=(weight, step),
            writes=(wide, weight, weight),
            order=self.by_columns(weight),
        )

    @remembered
    def buffer_update(self, layer: int) -> FineUpdate:
        """Return the update of a layer's buffer, clipped to -1 to 1."""
        weight, step = (self.weights(layer, kind) for kind in (Kind.WEIGHT, Kind.STEP))
        one = 1 << self.recipe.formats.fine_fl
        return FineUpdate(
            layer=layer + 1, low=-one, high=one, reads=(weight, step), writes=(weight,)
        )

    @remembered
    def bias_update(self, layer: int) -> FineUpdate:
        """Return the update of a layer's biases."""
        bias, step = (self._biases(layer, kind) for kind in (Kind.BIAS, Kind.BIAS_STEP))
        fine = self.recipe.formats.fine
        return FineUpdate(
            layer=layer + 1,
            low=fine.minimum,
            high=fine.maximum,
            reads=(bias, step),
            writes=(bias,),
        )
