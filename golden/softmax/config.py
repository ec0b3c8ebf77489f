"""Configuration of the softmax unit."""

from dataclasses import dataclass
from typing import ClassVar

from golden.borders import Border
from golden.buffer import BUFFER_LATENCY
from golden.fixed import Conversion, Fixed, Rounding
from golden.lfsr import MOST_LANES, Generator, LfsrConfig
from golden.order import blocks
from golden.port import OPERAND, RESULT, Port
from golden.rounder import PIPELINE_LATENCY, RounderConfig
from golden.settings import check_settings, setting
from golden.softmax.integers import FRACTION

#: Clocks through the pipeline of the exponentials.
EXPONENTIAL_LATENCY = 8
#: Clocks through the divider: one for each bit of a quotient.
QUOTIENT_LATENCY = FRACTION + 1
#: Largest whole part of an exponential's power of two: beyond it, an exponential is 0.
NEAR_BITS = 4


@dataclass(frozen=True, kw_only=True)
class SoftmaxConfig:
    """Softmax of a sample's outputs, and the error of each output.

    Parameters
    ----------
    classes
        Outputs of a sample, 2 to 1024.
    outputs
        Format of the outputs.
    error
        Format of the errors.
    rounding
        Rounding of the errors: stochastic, nearest-down, nearest-even, nearest-away or nearest-up.
        Stochastic rounding gives the unit generators.
    generators
        Generators, which the classes of a sample take in turn, 1 to 255. More than there are
        classes have no effect.
    first_lane
        Number of the first generator's lane, 0 to 254.
    generator
        The generator that all lanes share. A unit that rounds to nearest has no generator and
        ignores it.

    Examples
    --------
    >>> config = SoftmaxConfig(classes=10)
    >>> config.latency, config.sum_width, config.draws
    (47, 20, 10)
    """

    #: Meaning of each figure.
    FIGURES: ClassVar[dict[str, str]] = {
        "latency": (
            "Clocks from the one that accepts a sample's last output to the one that shows its "
            "first error."
        )
    }

    classes: int = setting(10, "Outputs of a sample", low=2, high=1024)
    outputs: Fixed = setting(Fixed(6, 10), "Format of the outputs")
    error: Fixed = setting(Fixed(2, 14), "Format of the errors")
    rounding: Rounding = setting(
        Rounding.STOCHASTIC,
        "Rounding of the errors",
        more="Stochastic rounding gives the unit generators.",
    )
    generators: int = setting(
        1,
        "Generators, which the classes of a sample take in turn",
        low=1,
        high=MOST_LANES,
        more="More than there are classes have no effect.",
    )
    first_lane: int = setting(0, "Number of the first generator's lane", low=0, high=MOST_LANES - 1)
    generator: Generator = setting(
        Generator(),
        "The generator that all lanes share",
        more="A unit that rounds to nearest has no generator and ignores it.",
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.stochastic:
            self.generator.require_lanes(self.first_lane + self.generators)

    @property
    def stochastic(self) -> bool:
        """Whether errors are rounded stochastically, so that the unit has generators."""
        return self.rounding is Rounding.STOCHASTIC

    @property
    def lanes(self) -> int:
        """Number of generators that a class uses."""
        return min(self.generators, self.classes)

    @property
    def lfsr(self) -> LfsrConfig:
        """The generators that a class uses."""
        return LfsrConfig(generator=self.generator, lanes=self.lanes, first_lane=self.first_lane)

    @property
    def draws(self) -> int:
        """Draws of every generator for a sample."""
        return blocks(self.classes, self.generators)

    @property
    def rounder(self) -> RounderConfig:
        """The rounder of the errors. Its random words come from `lfsr`."""
        conversion = Conversion(fraction=FRACTION, target=self.error, rounding=self.rounding)
        return RounderConfig(
            width=FRACTION + 2, conversions=(conversion,), generator=self.generator
        )

    @property
    def label_width(self) -> int:
        """Bits of a label."""
        return (self.classes - 1).bit_length()

    @property
    def sum_width(self) -> int:
        """Bits of the sum of a sample's exponentials, at most `classes` times 2^16."""
        return (self.classes << FRACTION).bit_length()

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        label = "the right class; read with the sample's last output. None is right beyond the last"
        probability = f"the class's probability with {FRACTION} fraction bits, rounded down"
        return (
            *OPERAND,
            Port("i_data", "in", self.outputs.width, True, meaning="an output, class 0 first"),
            Port("i_label", "in", self.label_width, meaning=label),
            *RESULT,
            Port("o_data", "out", self.error.width, True, meaning="the class's error"),
            Port("o_probability", "out", FRACTION + 1, meaning=probability),
            Port("o_last", "out", 1, meaning="the sample's last class"),
        )

    @property
    def latency(self) -> int:
        """Clocks from the one that accepts a sample's last output
        to the one that shows its first error.
        """
        return self.exponential_delay + self.classes + self.quotient_delay + BUFFER_LATENCY

    @property
    def exponential_delay(self) -> int:
        """Clocks from the one that accepts a sample's last output to the one in which its first
        exponential is stored.
        """
        return 4 + EXPONENTIAL_LATENCY

    @property
    def quotient_delay(self) -> int:
        """Clocks from the one after a sample's last exponential was stored to its first error."""
        return 1 + QUOTIENT_LATENCY + PIPELINE_LATENCY

    @property
    def buffer(self) -> int:
        """Places of the output buffer: enough for samples without a gap between them."""
        return self.latency + self.classes

    @property
    def throughput(self) -> str:
        """Operands per clock, and stalls."""
        return (
            "one output per clock, samples back to back; only a sample's last output waits, for "
            f"{self.classes} free places of the output buffer"
        )

    def borders(self) -> list[Border]:
        """Return an empty list: `Softmax.legal` makes the stimulus."""
        return []
