"""Plan of a WAGE step (Wu et al. 2018)."""

from collections.abc import Iterator

from golden.fixed import Rounding
from golden.quantize import alpha_exponent
from golden.training.layers.network import Stage
from golden.training.step.operation import Kind, Operation, Tensor
from golden.training.step.ops import (
    Mask,
    OutputError,
    QuantizeActivation,
    QuantizeError,
    QuantizeWeight,
    ShiftExponent,
    WageUpdate,
)
from golden.training.step.planner import Planner, remembered
from golden.training.systems.wage.recipe import Saturation, Shift, WageRecipe


class WagePlanner(Planner[WageRecipe]):
    """Operations of a WAGE step.

    Sums drain raw. The whole batch goes through the step together, as the quantizers need the
    maxima of its tensors.

    Attributes
    ----------
    alphas
        log2 of every layer's scale.
    """

    def __init__(self, recipe: WageRecipe, stages: tuple[Stage, ...]):
        super().__init__(recipe, stages)
        self.alphas = [
            alpha_exponent(stage.inputs, recipe.bits.weight, recipe.c) for stage in stages
        ]

    def step(self) -> Iterator[Operation]:
        last = len(self.stages) - 1
        for layer in range(last + 1):
            yield self.quantize_weight(layer)
            yield self.forward(layer, Kind.FORWARD_WEIGHT, None)
            yield from self.pool(layer)
            if layer < last:
                yield self.quantize_activation(layer)
        yield self.output_error()
        yield self.error_exponent(last)
        yield self.quantize_error(last)
        for layer in reversed(range(last + 1)):
            if layer:
                yield from self.errors(layer, Kind.FORWARD_WEIGHT, None)
                yield self.clip_mask(layer - 1)
                yield self.error_exponent(layer - 1)
                yield self.quantize_error(layer - 1)
                yield from self.unpool(layer - 1)
            yield self.gradient(layer)
            yield self.gradient_exponent(layer)
            yield self.update(layer)

    def shift(self, layer: int) -> int:
        """Return the number of bits that Q_A drops from the sums of a layer."""
        return self.recipe.bits.weight - 1 + self.alphas[layer]

    @property
    def one(self) -> int:
        """log2 of the output sum of 1, which is the target of the right class."""
        return self.recipe.bits.activation + self.recipe.bits.weight - 2 + self.alphas[-1]

    @remembered
    def quantize_weight(self, layer: int) -> QuantizeWeight:
        """Return Q_W of a layer's weights."""
        stored, bits = self.weights(layer, Kind.WEIGHT), self.recipe.bits
        return QuantizeWeight(
            layer=layer + 1,
            bits=bits.weight,
            stored=bits.gradient,
            reads=(stored,),
            writes=(self.weights(layer, Kind.FORWARD_WEIGHT),),
            order=self.by_columns(stored),
        )

    @remembered
    def quantize_activation(self, layer: int) -> QuantizeActivation:
        """Return ReLU and Q_A of a hidden layer."""
        acc = self.pooled(layer, self.after(layer))
        kinds = (Kind.ACTIVATION, Kind.ACTIVE, Kind.UNCLIPPED)
        return QuantizeActivation(
            layer=layer + 1,
            bits=self.recipe.bits.activation,
            shift=self.shift(layer),
            reads=(acc,),
            writes=tuple(self.pooled(layer, kind) for kind in kinds),
            order=self.by_rows(acc),
        )

    @remembered
    def output_error(self) -> OutputError:
        """Return the operation that subtracts targets from outputs."""
        last = len(self.stages) - 1
        return OutputError(
            layer=last + 1,
            one=self.one,
            reads=(self.sums(last, Kind.SUM), self.labels(None)),
            writes=(self.sums(last, Kind.DIFFERENCE),),
        )

    def _exponent(self, layer: int, values: Tensor) -> ShiftExponent:
        weights = values.kind is Kind.GRADIENT
        return ShiftExponent(
            layer=layer + 1,
            ceil=self.recipe.shift == Shift.CEIL,
            reads=(values,),
            writes=(),
            order=self.by_columns(values) if weights else self.by_rows(values),
        )

    def _unscaled(self, layer: int, kind: Kind) -> Tensor:
        """Return the tensor of a layer's errors before or after Q_E, or of their mask.

        Errors of a hidden layer have the matrix of the next layer's error product.
        """
        if layer == len(self.stages) - 1:
            return self.sums(layer, Kind.DIFFERENCE if kind is Kind.RAW_ERROR else kind)
        return self.below(layer + 1, kind)

    @remembered
    def error_exponent(self, layer: int) -> ShiftExponent:
        """Return the operation for the scale of a layer's errors."""
        return self._exponent(layer, self._unscaled(layer, Kind.RAW_ERROR))

    @remembered
    def quantize_error(self, layer: int) -> QuantizeError:
        """Return Q_E of a layer's errors, with the mask of the ReLU."""
        values, keep = self._unscaled(layer, Kind.RAW_ERROR), self._unscaled(layer, Kind.ACTIVE)
        return QuantizeError(
            layer=layer + 1,
            bits=self.recipe.bits.error,
            rounding=Rounding(self.recipe.error_rounding),
            reads=(values, keep),
            writes=(self._unscaled(layer, Kind.ERROR),),
            order=self.by_rows(values),
        )

    @remembered
    def clip_mask(self, layer: int) -> Mask:
        """Return the mask of a hidden layer's errors: 0 where Q_A clipped."""
        values, keep = (self.below(layer + 1, kind) for kind in (Kind.RAW_ERROR, Kind.UNCLIPPED))
        return Mask(layer=layer + 1, reads=(values, keep), writes=(values,))

    @remembered
    def gradient_exponent(self, layer: int) -> ShiftExponent:
        """Return the operation for the scale of a layer's gradient."""
        return self._exponent(layer, self.weights(layer, Kind.GRADIENT))

    @remembered
    def update(self, layer: int) -> WageUpdate:
        """Return Q_G and the update of a layer's weights."""
        stored = self.weights(layer, Kind.WEIGHT)
        return WageUpdate(
            layer=layer + 1,
            bits=self.recipe.bits.gradient,
            half=self.recipe.saturation == Saturation.HALF,
            reads=(stored, self.weights(layer, Kind.GRADIENT)),
            writes=(stored,),
            order=self.by_columns(stored),
        )
