"""The operations of a step of gradient descent in floating point: the float32 baselines, HWGQ and
DoReFa.
"""

from collections.abc import Iterator

from golden.order import Matrix
from golden.training.step.ops import Float, FloatPart, Kind, Mask, Operation, Product, Tensor
from golden.training.step.planner import Planner, R, remembered
from golden.training.systems.dorefa.recipe import FLOAT_BITS, DorefaRecipe, Edges
from golden.training.systems.float.recipe import FloatRecipe
from golden.training.systems.hwgq.recipe import HwgqRecipe


class SgdPlanner(Planner[R]):
    """The operations of a step in floats; products of whole numbers are exact."""

    EXACT = False
    #: Whether the last layer has biases.
    LAST_BIAS = True

    @property
    def batch_norm(self) -> bool:
        """Whether the sums of every layer but the last are normalised."""
        return True

    def normalised(self, layer: int) -> bool:
        """Whether a layer's sums are normalised."""
        return self.batch_norm and layer < len(self.stages) - 1

    def biased(self, layer: int) -> bool:
        """Whether a layer has biases; those of a normalised one are part of that."""
        return self.LAST_BIAS or layer < len(self.stages) - 1

    def whole_weights(self, layer: int) -> bool:
        """Whether weights and inputs of a layer are multiplied as whole numbers."""
        return False

    def whole_errors(self, layer: int) -> bool:
        """Whether errors of a layer's sums are multiplied as whole numbers, by such weights."""
        return False

    def quantizes_errors(self, layer: int) -> bool:
        """Whether errors of a layer's sums are quantized."""
        return False

    def step(self) -> Iterator[Operation]:
        last = len(self.stages) - 1
        for layer in range(last + 1):
            if self.whole_weights(layer):
                yield self.make_weights(layer)
            yield self.product(layer)
            if self.whole_weights(layer):
                yield self.scale(layer)
            if self.biased(layer):
                yield self.offset(layer)
            yield from self.pool(layer)
            if layer < last:
                yield self.activate(layer)
        yield self.loss()
        yield from self.through(last)
        for layer in reversed(range(last + 1)):
            if layer:
                yield from self.error_products(layer)
                if self.whole_errors(layer):
                    yield self.scale_errors(layer)
                yield from self.through(layer - 1)
            yield self.float_gradient(layer)
            yield self.update(layer)

    def through(self, layer: int) -> Iterator[Operation]:
        """The way back from a layer's results to the errors that are multiplied."""
        if layer < len(self.stages) - 1:
            yield self.mask(layer)
        yield from self.unpool(layer)
        if self.normalised(layer):
            yield self.normalise_back(layer)
        if self.quantizes_errors(layer):
            yield self.quantize_errors(layer)

    def _float(
        self, layer: int, part: FloatPart, reads: dict[str, Tensor], writes: dict[str, Tensor]
    ) -> Float:
        return Float(
            layer=layer + 1,
            part=part,
            names=(tuple(reads), tuple(writes)),
            reads=tuple(reads.values()),
            writes=tuple(writes.values()),
        )

    def _vector(self, layer: int, kind: Kind) -> Tensor:
        """A number per output of a layer."""
        matrix = Matrix(samples=1, channels=self.stages[layer].outputs)
        return Tensor(kind=kind, layer=layer + 1, matrix=matrix)

    def _errors(self, layer: int) -> Tensor:
        """Errors of a layer's sums."""
        return self.sums(layer, self.errors_of(self.stages[layer]))

    def _multiplied(self, layer: int) -> Kind:
        """Weights that a layer's products take."""
        return Kind.FORWARD_WEIGHT if self.whole_weights(layer) else Kind.WEIGHT

    @remembered
    def make_weights(self, layer: int) -> Float:
        """Whole forward weights of stored ones."""
        return self._float(
            layer,
            FloatPart.WEIGHTS,
            {"weight": self.weights(layer, Kind.WEIGHT)},
            {"code": self.weights(layer, Kind.FORWARD_WEIGHT)},
        )

    @remembered
    def product(self, layer: int) -> Product | Float:
        """The forward product of a layer."""
        product = self.forward(layer, self._multiplied(layer), None)
        return product if self.whole_weights(layer) else self._in_float(product, FloatPart.FORWARD)

    def _in_float(self, product: Product, part: FloatPart) -> Float:
        reads = dict(zip(Product.READS, product.reads))
        return self._float(product.layer - 1, part, reads, {"out": product.writes[0]})

    @remembered
    def scale(self, layer: int) -> Float:
        """Whole sums of a layer as reals."""
        sums = self.sums(layer, Kind.SUM)
        return self._float(layer, FloatPart.SCALE, {"values": sums}, {"out": sums})

    @remembered
    def offset(self, layer: int) -> Float:
        """Normalisation of a layer's sums, or its biases."""
        sums = self.sums(layer, Kind.SUM)
        reads = {"values": sums, "bias": self._vector(layer, Kind.BIAS)}
        part = FloatPart.BIAS
        if self.normalised(layer):
            part = FloatPart.NORMALISE
            reads["gamma"] = self._vector(layer, Kind.GAMMA)
        return self._float(layer, part, reads, {"out": sums})

    @remembered
    def activate(self, layer: int) -> Float:
        """The activation of a hidden layer."""
        out, active = (self.pooled(layer, kind) for kind in (Kind.ACTIVATION, Kind.ACTIVE))
        return self._float(
            layer,
            FloatPart.ACTIVATION,
            {"values": self.pooled(layer, self.after(layer))},
            {"out": out, "active": active},
        )

    @remembered
    def loss(self) -> Float:
        """The derivative of the loss by the outputs."""
        last = len(self.stages) - 1
        return self._float(
            last,
            FloatPart.LOSS,
            {"outputs": self.sums(last, Kind.SUM), "label": self.labels(None)},
            {"error": self.sums(last, Kind.ERROR)},
        )

    @remembered
    def mask(self, layer: int) -> Mask:
        """Errors of a hidden layer pass where its activation lets them."""
        raw, keep, error = (
            self.below(layer + 1, kind) for kind in (Kind.RAW_ERROR, Kind.ACTIVE, Kind.ERROR)
        )
        return Mask(layer=layer + 1, reads=(raw, keep), writes=(error,), exact=False)

    @remembered
    def normalise_back(self, layer: int) -> Float:
        """The way back through a normalisation."""
        errors = self._errors(layer)
        return self._float(layer, FloatPart.NORMALISE_BACK, {"errors": errors}, {"out": errors})

    @remembered
    def quantize_errors(self, layer: int) -> Float:
        """Errors of a layer's sums as codes."""
        errors = self._errors(layer)
        return self._float(layer, FloatPart.QUANTIZE_ERROR, {"values": errors}, {"code": errors})

    @remembered
    def error_products(self, layer: int) -> tuple[Product | Float, ...]:
        """The error products of a layer: of whole numbers, or one in floats."""
        if self.whole_errors(layer):
            return tuple(self.errors(layer, self._multiplied(layer), None))
        below = self.below(layer, Kind.RAW_ERROR)
        weight = self.weights(layer, self._multiplied(layer))
        reads = {"errors": self._errors(layer), "weight": weight}
        return (self._float(layer, FloatPart.ERROR, reads, {"out": below}),)

    @remembered
    def scale_errors(self, layer: int) -> Float:
        """Whole sums of errors as reals."""
        below = self.below(layer, Kind.RAW_ERROR)
        return self._float(layer, FloatPart.SCALE_ERROR, {"values": below}, {"out": below})

    @remembered
    def float_gradient(self, layer: int) -> Float:
        """The gradient of a layer's weights."""
        return self._in_float(self.gradient(layer), FloatPart.GRADIENT)

    @remembered
    def update(self, layer: int) -> Float:
        """The update of all that a layer has to learn."""
        weight = self.weights(layer, Kind.WEIGHT)
        reads = {"weight": weight, "gradient": self.weights(layer, Kind.GRADIENT)}
        return self._float(layer, FloatPart.UPDATE, reads, {"moved": weight})


class FloatPlanner(SgdPlanner[FloatRecipe]):
    """A float32 baseline has no exact product."""

    @property
    def batch_norm(self) -> bool:
        return self.recipe.batch_norm


class HwgqPlanner(SgdPlanner[HwgqRecipe]):
    """HWGQ multiplies whole numbers in the forward pass."""

    LAST_BIAS = False

    def whole_weights(self, layer: int) -> bool:
        return True


class DorefaPlanner(SgdPlanner[DorefaRecipe]):
    """DoReFa multiplies whole numbers where a layer is quantized."""

    def whole_weights(self, layer: int) -> bool:
        last = len(self.stages) - 1
        return self.recipe.edges == Edges.QUANTIZED or 0 < layer < last

    def whole_errors(self, layer: int) -> bool:
        return self.quantizes_errors(layer)

    def quantizes_errors(self, layer: int) -> bool:
        return self.whole_weights(layer) and self.recipe.bits.gradient != FLOAT_BITS
