"""The common part of the plans of Gupta's and Li's systems.

The array rounds sums to words, biases are a row of the products, and the loss is softmax
cross-entropy.
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

from golden.fixed import Conversion, Fixed
from golden.order import VectorOrder
from golden.softmax.integers import FRACTION
from golden.training.recipe import Recipe
from golden.training.step.operation import Kind, Operation, Tensor
from golden.training.step.ops import Convert, Mask, OutputError, Product, Relu, Sign, Softmax
from golden.training.step.planner import Planner, remembered

R = TypeVar("R", bound=Recipe)


class WordPlanner(Planner[R]):
    """Operations on words; a subclass defines the words and the update."""

    BIAS_ROW = True

    @property
    @abstractmethod
    def multiplied(self) -> Kind:
        """Kind of the weights in products."""

    @abstractmethod
    def forward_conversion(self, layer: int) -> Conversion:
        """Return the conversion of a layer's sums."""

    @abstractmethod
    def error_conversion(self, layer: int) -> Conversion:
        """Return the conversion of the sums of a layer's error product."""

    @property
    @abstractmethod
    def output_conversion(self) -> Conversion:
        """Conversion of probabilities minus targets."""

    @property
    @abstractmethod
    def outputs_fraction(self) -> int:
        """Fraction bits of the outputs."""

    @property
    def error_limit(self) -> Fixed:
        """Format of errors."""
        return self.output_conversion.target

    @property
    def masks_saturated(self) -> bool:
        """Whether errors of saturated sums are set to 0."""
        return True

    def prepare(self, layer: int) -> Iterator[Operation]:
        """Yield the operations before the first forward product of a layer in a step."""
        return iter(())

    @abstractmethod
    def update(self, layer: int) -> Iterator[Operation]:
        """Yield the update of a layer."""

    def step(self) -> Iterator[Operation]:
        last = len(self.stages) - 1
        for number in range(len(self.groups)):
            group = self.name(number)
            for layer in range(last + 1):
                if not number:
                    yield from self.prepare(layer)
                yield self.rounded_forward(layer, group)
                yield from self.pool(layer, group)
                if layer < last:
                    yield self.activate(layer, group)
            yield self.softmax(group)
            yield self.difference(group)
            yield self.output_error(group)
            yield from self.saturation_mask(last, group)
            for layer in reversed(range(last + 1)):
                if layer:
                    yield from self.rounded_errors(layer, group)
                    yield self.activation_mask(layer - 1, group)
                    yield from self.unpool(layer - 1, group, self.error_limit)
                    yield from self.saturation_mask(layer - 1, group)
                if number == len(self.groups) - 1:
                    yield self.gradient(layer)
                    yield from self.update(layer)

    @remembered
    def rounded_forward(self, layer: int, group: int | None) -> Product:
        """Return the forward product of a layer, which also writes the mask of its saturation."""
        conversion = self.forward_conversion(layer)
        unclipped = self.sums(layer, Kind.UNCLIPPED, group)
        product = self.forward(layer, self.multiplied, conversion, group)
        return replace(product, writes=(*product.writes, unclipped))

    @remembered
    def rounded_errors(self, layer: int, group: int | None) -> list[Product]:
        """Return the error products of a layer."""
        return self.errors(layer, self.multiplied, self.error_conversion(layer), group)

    @remembered
    def activate(self, layer: int, group: int | None) -> Relu | Sign:
        """Return the activation of a hidden layer."""
        reads, writes = self._activated(layer, group)
        return Relu(layer=layer + 1, reads=reads, writes=writes)

    def _activated(
        self, layer: int, group: int | None
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Return inputs and outputs of the activation of a layer."""
        kinds = (self.after(layer), Kind.ACTIVATION, Kind.ACTIVE)
        taken, *given = (self.pooled(layer, kind, group) for kind in kinds)
        return (taken,), tuple(given)

    @remembered
    def softmax(self, group: int | None) -> Softmax:
        """Return the softmax of the outputs."""
        last = len(self.stages) - 1
        return Softmax(
            layer=last + 1,
            fraction=self.outputs_fraction,
            reads=(self.sums(last, Kind.SUM, group),),
            writes=(self.sums(last, Kind.PROBABILITY, group),),
        )

    @remembered
    def difference(self, group: int | None) -> OutputError:
        """Return the operation that subtracts targets from probabilities."""
        last = len(self.stages) - 1
        return OutputError(
            layer=last + 1,
            one=FRACTION,
            reads=(self.sums(last, Kind.PROBABILITY, group), self.labels(group)),
            writes=(self.sums(last, Kind.DIFFERENCE, group),),
        )

    @remembered
    def output_error(self, group: int | None) -> Convert:
        """Return the conversion of probabilities minus targets to words."""
        last = len(self.stages) - 1
        wide, error = (self.sums(last, kind, group) for kind in (Kind.DIFFERENCE, Kind.ERROR))
        return self.convert(last, wide, error, self.output_conversion, self.by_rows(wide))

    def convert(
        self,
        layer: int,
        wide: Tensor,
        out: Tensor,
        conversion: Conversion,
        order: VectorOrder,
    ) -> Convert:
        """Return an elementwise conversion of `wide` to `out`."""
        return Convert(
            layer=layer + 1,
            target=conversion.target,
            rounding=conversion.rounding,
            fraction=conversion.fraction,
            reads=(wide,),
            writes=(out,),
            order=order,
        )

    @remembered
    def activation_mask(self, layer: int, group: int | None) -> Mask:
        """Return the mask of a hidden layer's errors by its activation."""
        raw, keep, error = (
            self.below(layer + 1, kind, group) for kind in (Kind.RAW_ERROR, Kind.ACTIVE, Kind.ERROR)
        )
        return Mask(layer=layer + 1, reads=(raw, keep), writes=(error,))

    @remembered
    def saturation_mask(self, layer: int, group: int | None) -> tuple[Mask, ...]:
        """Return the mask of errors of saturated sums; empty if all errors pass."""
        if not self.masks_saturated:
            return ()
        errors = self.sums(layer, self.errors_of(self.stages[layer]), group)
        keep = self.sums(layer, Kind.UNCLIPPED, group)
        return (Mask(layer=layer + 1, reads=(errors, keep), writes=(errors,)),)
