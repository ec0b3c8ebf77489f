"""Recipes of trainings with weights on a coarse grid (Li et al. 2017; BNN)."""

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

from golden.fixed import WIDEST, WIDEST_WORD, Conversion, Fixed, Rounding
from golden.settings import Rate, check_settings, exact, setting
from golden.softmax.integers import FRACTION
from golden.training.layers.network import Stage
from golden.training.recipe import Recipe
from golden.training.systems.gupta.recipe import WORD, GuptaRounding

if TYPE_CHECKING:
    from golden.training.systems.float.recipe import FloatRecipe

#: Name of the grid -1 and +1.
BINARY = "binary"
#: Names of all grids. The grid d has the multiples of 2^-d from -1 to 1.
GRIDS = (BINARY, *map(str, range(11)))
#: Significant bits of a step's factor, which combines learning rate, mean and scale.
RATE_BITS = 12
#: Fraction bits of a bias as an operand, if the sums have as many.
_BIAS_FRACTION = 12


class Update(StrEnum):
    """Update rule of the weights (Li et al. 2017, section 3)."""

    #: Rounding to the nearest value of the grid, ties away from zero.
    R = "r"
    #: Stochastic rounding to the grid, unbiased; with large batches "big-batch SR".
    SR = "sr"
    #: BinaryConnect: a fine buffer is updated; the nearest values of the grid are the weights.
    BC = "bc"


class Activation(StrEnum):
    """Activation function of the hidden layers."""

    #: max(y, 0).
    RELU = "relu"
    #: -1 for y < 0, otherwise +1; errors pass where |y| <= 1 (BNN).
    SIGN = "sign"


class Binarize(StrEnum):
    """Rounding of a BinaryConnect buffer to -1 or +1 in a training step."""

    #: To the sign; 0 counts as positive.
    DETERMINISTIC = "deterministic"
    #: To +1 with a probability of clip((w + 1) / 2, 0, 1).
    STOCHASTIC = "stochastic"


@dataclass(frozen=True, kw_only=True)
class LiFormats:
    """Formats, given by their fraction bits: words of 16 bits, and fine words of 24 bits.

    The paper has no formats, as it trains in floating point.

    Parameters
    ----------
    activation_fl
        Fraction bits of rounded sums and of ReLU's results, 0 to 15.
    error_fl
        Fraction bits of errors, 0 to 15.
    input_fl
        Fraction bits of pixels, 0 to 15.
    fine_fl
        Fraction bits of steps, biases and BinaryConnect's buffers, 0 to 22. The format includes 1.

    Examples
    --------
    >>> formats = LiFormats()
    >>> print(formats.activation, formats.error, formats.fine)
    <6,10> <2,14> <4,20>
    """

    activation_fl: int = setting(
        10,
        "Fraction bits of rounded sums and of ReLU's results",
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
        more="The format includes 1.",
    )

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def activation(self) -> Fixed:
        """Format of rounded sums."""
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
    """Formats and bounds of a layer.

    Parameters
    ----------
    scale
        k: a weight u of the grid stands for the real number u * 2^-k.
    input_fraction
        Fraction bits of the input.
    input_bound
        Largest magnitude of an input code.
    ones
        log2 of the input code by which biases are multiplied.
    bias
        Conversion of a fine bias to an operand; its product with `ones` has the sums' fraction
        bits.
    forward
        Conversion of sums to activations.
    error
        Conversion of sums of errors times weights to errors.
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
        """Largest magnitude of a bias in a sum."""
        return 1 << (WORD - 1 + self.ones)


def scale_exponent(inputs: int, c: int) -> int:
    """Return the k of a layer's scale 2^-k, the power of two nearest to sqrt(c / inputs).

    It is the integer with 2^(2k-1) <= inputs / c < 2^(2k+1), but at least 0.

    Examples
    --------
    >>> scale_exponent(784, 6)
    4
    """
    k = 0
    while 2 * inputs >= c << 2 * (k + 1):
        k += 1
    return k


def _floor_log2(x: Fraction) -> int:
    """Return the e with 2^e <= x < 2^(e+1)."""
    e = x.numerator.bit_length() - x.denominator.bit_length()
    return e if x >= Fraction(2) ** e else e - 1


@dataclass(frozen=True, kw_only=True)
class LiRecipe(Recipe):
    """A training with weights on a grid, by the rules of Li et al. 2017; the defaults are for the
    digits in `golden.datasets`.

    The papers use floating point except for the weights. The other formats, their rounding and the
    scales of the layers are our own rules.

    Parameters
    ----------
    update
        Update rule of the weights: r, sr or bc.
    grid
        Grid of the weights: binary, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 or 10. The grid binary has -1 and
        +1; a grid d has the multiples of 2^-d from -1 to 1.
    binarize
        Rounding of a buffer to -1 or +1: deterministic or stochastic. stochastic is allowed only
        with the update bc and the binary grid.
    activation
        Activation function of the hidden layers: relu or sign. sign is that of BNN.
    formats
        Formats of words and fine words.
    rounding
        Rounding of sums to words, forward and backward: stochastic or nearest. As in Gupta's
        training, nearest rounds ties down.
    learning_rate
        Learning rate of the first epoch, 0 to 16. A float is read as its decimal text.
    learning_rate_factor
        Factor of the learning rate from each epoch to the next, 0 to 1.

    The others are those of `Recipe`.

    Examples
    --------
    >>> recipe = LiRecipe(update="sr", grid="2")
    >>> print(recipe.quantizer)
    20:2,2:stochastic
    """

    GROUPS: ClassVar[bool] = True
    SYSTEM: ClassVar[str] = "li"

    network: str = "64FC"
    batch: int = 32
    epochs: int = 20
    update: Update = setting(Update.BC, "Update rule of the weights")
    grid: str = setting(
        BINARY,
        "Grid of the weights",
        allowed=GRIDS,
        more="The grid binary has -1 and +1; a grid d has the multiples of 2^-d from -1 to 1.",
    )
    binarize: Binarize = setting(
        Binarize.DETERMINISTIC,
        "Rounding of a buffer to -1 or +1",
        more="stochastic is allowed only with the update bc and the binary grid.",
    )
    activation: Activation = setting(
        Activation.RELU, "Activation function of the hidden layers", more="sign is that of BNN."
    )
    formats: LiFormats = setting(LiFormats(), "Formats of words and fine words")
    rounding: GuptaRounding = setting(
        GuptaRounding.STOCHASTIC,
        "Rounding of sums to words, forward and backward",
        more="As in Gupta's training, nearest rounds ties down.",
    )
    learning_rate: Rate = setting(
        "0.1",
        "Learning rate of the first epoch",
        low=0,
        high=16,
        more="A float is read as its decimal text.",
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
            self.step(epoch, self.formats.error_fl + WORD - 1, 0)  # the most fraction bits

    def baseline(self) -> "FloatRecipe":
        """Return the recipe of a float32 training of the same network and schedule, with ReLU."""
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
        """Conversion of fine codes u to the grid; for the binary grid, of (u + 1) / 2 to 0 and 1.

        Only the update rule `sr` rounds stochastically. The target's range is -2 to 2; results are
        clipped afterwards.
        """
        rounding = Rounding.STOCHASTIC if self.update == Update.SR else Rounding.NEAREST_AWAY
        fraction = self.formats.fine_fl + self.binary
        return Conversion(fraction=fraction, target=Fixed(2, self.grid_fl), rounding=rounding)

    @property
    def output_error(self) -> Conversion:
        """Conversion of probabilities minus targets."""
        return self._to_word(FRACTION, self.formats.error)

    def _to_word(self, fraction: int, target: Fixed) -> Conversion:
        nearest = self.rounding == GuptaRounding.NEAREST
        rounding = Rounding.NEAREST_DOWN if nearest else Rounding.STOCHASTIC
        return Conversion(fraction=fraction, target=target, rounding=rounding)

    def layer_formats(self, stage: Stage, first: bool) -> LayerFormats:
        """Return the formats and bounds of a layer.

        The scale is the power of two nearest to sqrt(2 / inputs) / (root mean square of the first
        forward weights on the grid). With this deviation, ReLU's activations stay in their range
        (He et al. 2015); Li et al. use batch normalisation instead. As operands, biases have 16
        bits, of which 12 are fraction bits if the sums have as many.

        Parameters
        ----------
        stage
            The layer.
        first
            Whether its input is the pixels.

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
        """Return the factor and the conversion from a gradient sum to a fine step.

        Parameters
        ----------
        epoch
            The epoch, counted from 0.
        fraction
            Fraction bits of the gradient sum.
        scale
            Scale exponent of the layer; 0 for biases.

        Returns
        -------
        number : int
            Factor of the sum: learning rate * 2^scale / batch, rounded to nearest even at 12
            significant bits, or fewer if the product would have more than 62 fraction bits.
        conversion : Conversion
            Conversion of the product.

        Raises
        ------
        ValueError
            The factor of that epoch is 0.
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
        """Check that every product of a gradient sum and a step's factor fits 62 bits.

        Parameters
        ----------
        formats
            Formats of the layer.
        places
            Number of places of the layer in one image.

        Raises
        ------
        ValueError
            The product is wider.
        """
        bound = max(formats.input_bound, 1 << formats.ones) << (WORD - 1)
        width = ((bound * places * self.batch) << RATE_BITS).bit_length() + 1
        if width > WIDEST:
            raise ValueError(
                f"batch = {self.batch}: a step of {bound} * {places} places * {self.batch} images "
                f"* 2^{RATE_BITS}: "
                f"{width} bits, at most {WIDEST} are allowed; take a smaller batch or input_fl"
            )
