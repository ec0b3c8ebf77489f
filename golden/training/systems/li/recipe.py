"""What a training with weights on a coarse grid needs to know (Li et al. 2017; BNN)."""

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

from golden.fixed import WIDEST, WIDEST_WORD, Conversion, Fixed, Rounding
from golden.settings import Rate, check_settings, exact, setting
from golden.training.layers import softmax
from golden.training.layers.network import Stage
from golden.training.recipe import Recipe
from golden.training.systems.gupta.recipe import WORD, GuptaRounding

if TYPE_CHECKING:
    from golden.training.systems.float.recipe import FloatRecipe

#: The grid of the weights -1 and +1.
BINARY = "binary"
#: The grids: of another one's name d the values are the multiples of 2^-d from -1 to 1.
GRIDS = (BINARY, *map(str, range(11)))
#: Significant bits of the factor that makes a step of a sum: learning rate, mean and scale in one.
RATE_BITS = 12
#: Fraction bits that a bias has as an operand, where the point of the sums allows it.
_BIAS_FRACTION = 12


class Update(StrEnum):
    """How a weight takes its step (Li et al. 2017, section 3)."""

    #: To the nearest value of the grid, ties away from zero.
    R = "r"
    #: To a neighbour on the grid by chance, unbiased; with large batches "big-batch SR".
    SR = "sr"
    #: In a fine buffer; the gradient is that at the buffer's nearest value of the grid.
    BC = "bc"


class Activation(StrEnum):
    """What follows the sums of a hidden layer."""

    #: max(y, 0).
    RELU = "relu"
    #: -1 or +1, 0 gives +1; the error passes where |y| <= 1 (BNN).
    SIGN = "sign"


class Binarize(StrEnum):
    """How a BinaryConnect buffer becomes -1 or +1 in a training step."""

    #: By its sign; 0 gives +1.
    DETERMINISTIC = "deterministic"
    #: +1 with a probability of clip((w + 1) / 2, 0, 1).
    STOCHASTIC = "stochastic"


@dataclass(frozen=True, kw_only=True)
class LiFormats:
    """Where the points of the words are; words have 16 bits, fine ones 24. All of it is ours.

    Parameters
    ----------
    activation_fl
        Fraction bits of the sums after their rounding, and so of ReLU's results, 0 to 15.
    error_fl
        Fraction bits of errors, 0 to 15.
    input_fl
        Fraction bits of pixels, 0 to 15.
    fine_fl
        Fraction bits of steps, biases and BinaryConnect's buffers, 0 to 22. 1 is one of their
        codes.
    """

    activation_fl: int = setting(
        10,
        "Fraction bits of the sums after their rounding, and so of ReLU's results",
        low=0,
        high=WORD - 1,
    )
    error_fl: int = setting(14, "Fraction bits of errors", low=0, high=WORD - 1)
    input_fl: int = setting(8, "Fraction bits of pixels", low=0, high=WORD - 1)
    fine_fl: int = setting(
        20,
        "Fraction bits of steps, biases and BinaryConnect's buffers",
        low=0,
        high=WIDEST_WORD - 2,
        more="1 is one of their codes.",
    )

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def activation(self) -> Fixed:
        """Format of the sums after their rounding."""
        return Fixed(WORD - self.activation_fl, self.activation_fl)

    @property
    def error(self) -> Fixed:
        """Format of errors."""
        return Fixed(WORD - self.error_fl, self.error_fl)

    @property
    def input(self) -> Fixed:
        """Format of pixels."""
        return Fixed(WORD - self.input_fl, self.input_fl)

    @property
    def fine(self) -> Fixed:
        """Format of steps, biases and buffers."""
        return Fixed(WIDEST_WORD - self.fine_fl, self.fine_fl)


@dataclass(frozen=True, kw_only=True)
class LayerFormats:
    """The points and bounds of a layer.

    Parameters
    ----------
    scale
        k: a weight u of the grid stands for u * 2^-k.
    input_fraction
        Fraction bits of what comes in.
    input_bound
        Its largest magnitude, a code.
    ones
        log2 of the input code that the biases meet.
    bias
        From a fine bias to the operand; on the sums' point it is shifted left by `ones`.
    forward
        From the sums to the activation's word.
    error
        From the sums of errors times weights to the error's word.
    """

    scale: int
    input_fraction: int
    input_bound: int
    ones: int
    bias: Conversion
    forward: Conversion
    error: Conversion

    @property
    def bias_bound(self) -> int:
        """The largest magnitude that a bias adds to a sum."""
        return 1 << (WORD - 1 + self.ones)


def scale_exponent(inputs: int, c: int) -> int:
    """The k of a layer of so many inputs: the whole number with 2^(2k-1) <= inputs / c < 2^(2k+1),
    not below 0. 2^-k is the power of two next to sqrt(c / inputs).
    """
    k = 0
    while 2 * inputs >= c << 2 * (k + 1):
        k += 1
    return k


def _floor_log2(x: Fraction) -> int:
    """The e with 2^e <= x < 2^(e+1)."""
    e = x.numerator.bit_length() - x.denominator.bit_length()
    return e if x >= Fraction(2) ** e else e - 1


@dataclass(frozen=True, kw_only=True)
class LiRecipe(Recipe):
    """Weights on a grid, the rules of Li et al. 2017; the defaults are for the digits that travel
    with the code.

    What the papers leave to floating point, the words, their roundings and the scales of the
    layers, is ours.

    Parameters
    ----------
    update
        How a weight takes its step: r, sr or bc.
    grid
        Grid of the weights: binary, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 or 10. binary is -1 and +1; a
        number d is the multiples of 2^-d from -1 to 1.
    binarize
        How a buffer becomes -1 or +1: deterministic or stochastic. stochastic is for the update bc
        on the binary grid alone.
    activation
        What follows the sums of a hidden layer: relu or sign. sign is that of BNN.
    formats
        Where the points of the words are.
    rounding
        How sums become words, forward and backward: stochastic or nearest. That is as in Gupta's
        training: with nearest, ties go down.
    learning_rate
        Learning rate of the first epoch, 0 to 16. A float counts as the decimal it prints as.
    learning_rate_factor
        Factor of the learning rate from each epoch to the next, 0 to 1.

    The others are those of `Recipe`.
    """

    GROUPS: ClassVar[bool] = True
    SYSTEM: ClassVar[str] = "li"

    network: str = "64FC"
    batch: int = 32
    epochs: int = 20
    update: Update = setting(Update.BC, "How a weight takes its step")
    grid: str = setting(
        BINARY,
        "Grid of the weights",
        allowed=GRIDS,
        more="binary is -1 and +1; a number d is the multiples of 2^-d from -1 to 1.",
    )
    binarize: Binarize = setting(
        Binarize.DETERMINISTIC,
        "How a buffer becomes -1 or +1",
        more="stochastic is for the update bc on the binary grid alone.",
    )
    activation: Activation = setting(
        Activation.RELU, "What follows the sums of a hidden layer", more="sign is that of BNN."
    )
    formats: LiFormats = setting(LiFormats(), "Where the points of the words are")
    rounding: GuptaRounding = setting(
        GuptaRounding.STOCHASTIC,
        "How sums become words, forward and backward",
        more="That is as in Gupta's training: with nearest, ties go down.",
    )
    learning_rate: Rate = setting(
        "0.1",
        "Learning rate of the first epoch",
        low=0,
        high=16,
        more="A float counts as the decimal it prints as.",
    )
    learning_rate_factor: Rate = setting(
        1, "Factor of the learning rate from each epoch to the next", low=0, high=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.binarize == Binarize.STOCHASTIC and (self.update, self.grid) != ("bc", BINARY):
            raise ValueError(
                f"binarize = {self.binarize} with update = {self.update} and grid = {self.grid}: "
                f"it is for update = bc and grid = {BINARY} alone"
            )
        if self.grid_fl > self.formats.fine_fl:
            raise ValueError(
                f"grid = {self.grid} is finer than fine_fl = {self.formats.fine_fl}: "
                "the fine format holds the grid"
            )
        for epoch in (0, self.epochs - 1):
            self.step(epoch, self.formats.error_fl + WORD - 1, 0)  # none has more fraction bits

    def baseline(self) -> "FloatRecipe":
        """The same network, batch, epochs and learning rates in float32, with ReLU."""
        from golden.training.systems.float.recipe import FloatRecipe, FloatStart

        return FloatRecipe(
            network=self.network,
            batch=self.batch,
            epochs=self.epochs,
            seed=self.seed,
            order=self.order,
            learning_rate=self.learning_rate,
            learning_rate_factor=self.learning_rate_factor,
            momentum=0,
            start=FloatStart.HE,
        )

    @property
    def binary(self) -> bool:
        """Whether the grid is -1 and +1."""
        return self.grid == BINARY

    @property
    def grid_fl(self) -> int:
        """Fraction bits of a weight on the grid."""
        return 0 if self.binary else int(self.grid)

    @property
    def quantizer(self) -> Conversion:
        """Fine codes to the grid: (u + 1) / 2 to 0 and 1 on the binary grid, u otherwise.

        Only the update rule `sr` rounds stochastically. The target reaches to 2 and is clipped.
        """
        rounding = Rounding.STOCHASTIC if self.update == Update.SR else Rounding.NEAREST_AWAY
        fraction = self.formats.fine_fl + self.binary
        return Conversion(fraction=fraction, target=Fixed(2, self.grid_fl), rounding=rounding)

    @property
    def output_error(self) -> Conversion:
        """What becomes of a probability less the target."""
        return self._to_word(softmax.FRACTION, self.formats.error)

    def _to_word(self, fraction: int, target: Fixed) -> Conversion:
        nearest = self.rounding == GuptaRounding.NEAREST
        rounding = Rounding.NEAREST_DOWN if nearest else Rounding.STOCHASTIC
        return Conversion(fraction=fraction, target=target, rounding=rounding)

    def layer_formats(self, stage: Stage, first: bool) -> LayerFormats:
        """Points and bounds of a layer; the `first` one gets pixels.

        The scale is a power of two next to sqrt(2 / inputs) / (root mean square of the first
        forward weights on the grid): the deviation that keeps ReLU's activations in their range (He
        et al. 2015), where Li et al. normalise over the batch. Ours, as are the biases' operands:
        of 16 bits, 12 of them fraction bits where the sums have so many.

        Raises
        ------
        ValueError
            The sums have more than 29 fraction bits.
        """
        formats = self.formats
        scale = scale_exponent(stage.inputs, 2 if self.binary else 6)
        signs = self.activation == Activation.SIGN and not first
        input_fraction = 0 if signs else (formats.input_fl if first else formats.activation_fl)
        fraction = input_fraction + self.grid_fl + scale
        ones = min(max(fraction - _BIAS_FRACTION, 0), WORD - 2)
        if fraction - ones >= WORD:
            raise ValueError(
                f"{stage.text}: sums of {input_fraction} + {self.grid_fl} + {scale} fraction bits "
                f"(input, grid, scale): at most {2 * WORD - 3} are allowed, as biases are words"
            )
        return LayerFormats(
            scale=scale,
            input_fraction=input_fraction,
            input_bound=1 if signs else (1 << (formats.input_fl if first else WORD - 1)),
            ones=ones,
            bias=Conversion(
                fraction=formats.fine_fl,
                target=Fixed(WORD - (fraction - ones), fraction - ones),
                rounding=Rounding.NEAREST_EVEN,
            ),
            forward=self._to_word(fraction, formats.activation),
            error=self._to_word(formats.error_fl + self.grid_fl + scale, formats.error),
        )

    def step(self, epoch: int, fraction: int, scale: int) -> tuple[int, Conversion]:
        """How a gradient sum of `fraction` fraction bits becomes a fine step in `epoch`, from 0.

        The sum times the whole number goes through the conversion. The number is learning rate *
        2^`scale` / batch, rounded to nearest even at 12 significant bits, or fewer where 62
        fraction bits of the product would not be enough.

        Raises
        ------
        ValueError
            The learning rate of that epoch comes to 0.
        """
        first = exact("learning_rate", self.learning_rate, 0, 16)
        factor = exact("learning_rate_factor", self.learning_rate_factor, 0, 1)
        rate = first * factor**epoch * 2**scale / self.batch
        point = RATE_BITS - 1 - _floor_log2(rate) if rate else 0
        point = min(point, WIDEST - fraction)
        number = round(rate * Fraction(2) ** point)
        if number == 0:
            raise ValueError(
                f"learning_rate = {self.learning_rate} comes to 0 in epoch {epoch + 1}: "
                f"with batch = {self.batch} a step falls below 2^-{point + 1}"
            )
        conversion = Conversion(
            fraction=fraction + point, target=self.formats.fine, rounding=Rounding.NEAREST_EVEN
        )
        return number, conversion

    def require_width(self, formats: LayerFormats, places: int) -> None:
        """Raise a ValueError unless every product of a gradient sum and a rate fits 62 bits.

        `places` are those of the layer in one image.
        """
        bound = max(formats.input_bound, 1 << formats.ones) << (WORD - 1)
        width = ((bound * places * self.batch) << RATE_BITS).bit_length() + 1
        if width > WIDEST:
            raise ValueError(
                f"step of {bound} * {places} places * {self.batch} images * 2^{RATE_BITS}: "
                f"{width} bits, at most {WIDEST} are allowed; take a smaller batch or input_fl"
            )
