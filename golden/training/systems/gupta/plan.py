"""Plan of a step in 16-bit fixed point (Gupta et al. 2015)."""

from collections.abc import Iterator

from golden.fixed import Conversion
from golden.settings import exact
from golden.training.step.operation import Kind
from golden.training.step.ops import FixedPointUpdate
from golden.training.step.planner import remembered
from golden.training.step.word_plan import WordPlanner
from golden.training.systems.gupta.recipe import GuptaRecipe, SaturationGradient


class GuptaPlanner(WordPlanner[GuptaRecipe]):
    """Operations in Gupta's fixed point; biases are the last row of the weights."""

    @property
    def multiplied(self) -> Kind:
        return Kind.WEIGHT

    def forward_conversion(self, layer: int) -> Conversion:
        return self.recipe.forward(layer)

    def error_conversion(self, layer: int) -> Conversion:
        return self.recipe.error

    @property
    def output_conversion(self) -> Conversion:
        return self.recipe.output_error

    @property
    def outputs_fraction(self) -> int:
        return self.recipe.formats.activation.fl

    @property
    def masks_saturated(self) -> bool:
        return self.recipe.saturation_gradient == SaturationGradient.ZERO

    def update(self, layer: int) -> Iterator[FixedPointUpdate]:
        yield self.weight_update(layer)

    @remembered
    def weight_update(self, layer: int) -> FixedPointUpdate:
        """Return the update of a layer's weights and biases."""
        conversion = self.recipe.update(0, layer)
        gradient, velocity, weight, wide = (
            self.weights(layer, kind, biases=True)
            for kind in (Kind.GRADIENT, Kind.VELOCITY, Kind.WEIGHT, Kind.WIDE)
        )
        momentum = exact("momentum", self.recipe.momentum, 0, 1) != 0
        return FixedPointUpdate(
            layer=layer + 1,
            target=conversion.target,
            rounding=conversion.rounding,
            fraction=None,
            reads=(gradient, weight, velocity) if momentum else (gradient, weight),
            writes=(wide, velocity, weight),
            order=self.by_columns(weight),
        )
