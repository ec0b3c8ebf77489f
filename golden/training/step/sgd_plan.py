"""Plans of gradient descent in floating point: the float32 baselines, HWGQ and DoReFa."""

from collections.abc import Iterator

from golden.order import Matrix
from golden.training.step.operation import Kind, Operation, Tensor
from golden.training.step.ops import Float, FloatPart, Mask, Product
from golden.training.step.planner import Planner, R, remembered
from golden.training.systems.dorefa.recipe import FLOAT_BITS, DorefaRecipe, Edges
from golden.training.systems.float.recipe import FloatRecipe
from golden.training.systems.hwgq.recipe import HwgqRecipe


class SgdPlanner(Planner[R]):
    """Operations in floating point; products of integers are exact."""

    EXACT = False
    #: Whether the last layer has biases.
    LAST_BIAS = True

    @property
    def batch_norm(self) -> bool:
        """Whether the sums of every layer but the last are normalised."""
        return True

    def normalised(self, layer: int) -> bool:
        """Return whether a layer's sums are normalised."""
        return self.batch_norm and layer < len(self.stages) - 1

    def biased(self, layer: int) -> bool:
        """Return whether a layer has biases, as part of a normalisation or without one."""
        return self.LAST_BIAS or layer < len(self.stages) - 1

    def whole_weights(self, layer: int) -> bool:
        """Return whether inputs and weights of a layer are multiplied as integers."""
        return False

    def whole_errors(self, layer: int) -> bool:
        """Return whether errors of a layer's sums and its weights are multiplied as integers."""
        return False

    def quantizes_errors(self, layer: int) -> bool:
        """Return whether errors of a layer's sums are quantized."""
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
        """Yield the way back from a layer's results to the errors of its sums."""
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
        """Return a tensor with one number per output of a layer."""
        matrix = Matrix(samples=1, channels=self.stages[layer].outputs)
        return Tensor(kind=kind, layer=layer + 1, matrix=matrix)

    def _errors(self, layer: int) -> Tensor:
        """Return the tensor of the errors of a layer's sums."""
        return self.sums(layer, self.errors_of(self.stages[layer]))

    def _multiplied(self, layer: int) -> Kind:
        """Return the kind of the weights in a layer's products."""
        return Kind.FORWARD_WEIGHT if self.whole_weights(layer) else Kind.WEIGHT

    @remembered
    def make_weights(self, layer: int) -> Float:
        """Return the operation from stored weights to integer forward weights."""
        return self._float(
            layer,
            FloatPart.WEIGHTS,
            {"weight": self.weights(layer, Kind.WEIGHT)},
            {"code": self.weights(layer, Kind.FORWARD_WEIGHT)},
        )

    @remembered
    def product(self, layer: int) -> Product | Float:
        """Return the forward product of a layer."""
        product = self.forward(layer, self._multiplied(layer), None)
        return product if self.whole_weights(layer) else self._in_float(product, FloatPart.FORWARD)

    def _in_float(self, product: Product, part: FloatPart) -> Float:
        reads = dict(zip(Product.READS, product.reads))
        return self._float(product.layer - 1, part, reads, {"out": product.writes[0]})

    @remembered
    def scale(self, layer: int) -> Float:
        """Return the operation that scales integer sums of a layer."""
        sums = self.sums(layer, Kind.SUM)
        return self._float(layer, FloatPart.SCALE, {"values": sums}, {"out": sums})

    @remembered
    def offset(self, layer: int) -> Float:
        """Return the normalisation of a layer's sums, or the addition of its biases."""
        sums = self.sums(layer, Kind.SUM)
        reads = {"values": sums, "bias": self._vector(layer, Kind.BIAS)}
        part = FloatPart.BIAS
        if self.normalised(layer):
            part = FloatPart.NORMALISE
            reads["gamma"] = self._vector(layer, Kind.GAMMA)
        return self._float(layer, part, reads, {"out": sums})

    @remembered
    def activate(self, layer: int) -> Float:
        """Return the activation of a hidden layer."""
        out, active = (self.pooled(layer, kind) for kind in (Kind.ACTIVATION, Kind.ACTIVE))
        return self._float(
            layer,
            FloatPart.ACTIVATION,
            {"values": self.pooled(layer, self.after(layer))},
            {"out": out, "active": active},
        )

    @remembered
    def loss(self) -> Float:
        """Return the operation that computes the derivative of the loss."""
        last = len(self.stages) - 1
        return self._float(
            last,
            FloatPart.LOSS,
            {"outputs": self.sums(last, Kind.SUM), "label": self.labels(None)},
            {"error": self.sums(last, Kind.ERROR)},
        )

    @remembered
    def mask(self, layer: int) -> Mask:
        """Return the mask of a hidden layer's errors by its activation."""
        raw, keep, error = (
            self.below(layer + 1, kind) for kind in (Kind.RAW_ERROR, Kind.ACTIVE, Kind.ERROR)
        )
        return Mask(layer=layer + 1, reads=(raw, keep), writes=(error,), exact=False)

    @remembered
    def normalise_back(self, layer: int) -> Float:
        """Return the way back through a normalisation."""
        errors = self._errors(layer)
        return self._float(layer, FloatPart.NORMALISE_BACK, {"errors": errors}, {"out": errors})

    @remembered
    def quantize_errors(self, layer: int) -> Float:
        """Return the quantization of the errors of a layer's sums."""
        errors = self._errors(layer)
        return self._float(layer, FloatPart.QUANTIZE_ERROR, {"values": errors}, {"code": errors})

    @remembered
    def error_products(self, layer: int) -> tuple[Product | Float, ...]:
        """Return the error products of a layer: in integers, or one in floating point."""
        if self.whole_errors(layer):
            return tuple(self.errors(layer, self._multiplied(layer), None))
        below = self.below(layer, Kind.RAW_ERROR)
        weight = self.weights(layer, self._multiplied(layer))
        reads = {"errors": self._errors(layer), "weight": weight}
        return (self._float(layer, FloatPart.ERROR, reads, {"out": below}),)

    @remembered
    def scale_errors(self, layer: int) -> Float:
        """Return the operation that scales integer sums of errors."""
        below = self.below(layer, Kind.RAW_ERROR)
        return self._float(layer, FloatPart.SCALE_ERROR, {"values": below}, {"out": below})

    @remembered
    def float_gradient(self, layer: int) -> Float:
        """Return the gradient product of a layer."""
        return self._in_float(self.gradient(layer), FloatPart.GRADIENT)

    @remembered
    def update(self, layer: int) -> Float:
        """Return the update of all parameters of a layer."""
        weight = self.weights(layer, Kind.WEIGHT)
        reads = {"weight": weight, "gradient": self.weights(layer, Kind.GRADIENT)}
        return self._float(layer, FloatPart.UPDATE, reads, {"moved": weight})


class FloatPlanner(SgdPlanner[FloatRecipe]):
    """The float32 baselines, without exact products."""

    @property
    def batch_norm(self) -> bool:
        return self.recipe.batch_norm


class HwgqPlanner(SgdPlanner[HwgqRecipe]):
    """HWGQ, with products of integers in the forward pass."""

    LAST_BIAS = False

    def whole_weights(self, layer: int) -> bool:
        return True


class DorefaPlanner(SgdPlanner[DorefaRecipe]):
    """DoReFa, with products of integers in quantized layers."""

    def whole_weights(self, layer: int) -> bool:
        last = len(self.stages) - 1
        return self.recipe.edges == Edges.QUANTIZED or 0 < layer < last

    def whole_errors(self, layer: int) -> bool:
        return self.quantizes_errors(layer)

    def quantizes_errors(self, layer: int) -> bool:
        return self.whole_weights(layer) and self.recipe.bits.gradient != FLOAT_BITS
