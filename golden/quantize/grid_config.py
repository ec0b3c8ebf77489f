"""Configuration of the update of weights on a grid, and of values without one."""

from dataclasses import dataclass
from enum import StrEnum

from golden.borders import Border, Operands, around, lone
from golden.buffer import BUFFER_LATENCY, OnePerClock
from golden.fixed import WIDEST, WIDEST_WORD, Conversion, Fixed, Rounding
from golden.lfsr import MOST_LANES, Generator, LfsrConfig
from golden.port import OPERAND, RESULT, Port
from golden.quantize.momentum_config import PRODUCT_STAGES, limbs
from golden.rounder import PIPELINE_LATENCY, RounderConfig
from golden.settings import check_settings, setting

#: Clocks from the product of gradient and rate to the difference of weight and step: two for the
#: shift, two for the rounding, one each for the saturation and the subtraction.
STEP_STAGES = 6
#: Clocks from a buffer to its weight, where a random word decides: probability, and comparison.
DRAWN_STAGES = 2


class GridRule(StrEnum):
    """Update rule of weights on a grid (Li et al. 2017, section 3), and of values without one."""

    #: Rounding to the nearest value of the grid, ties away from zero.
    R = "r"
    #: Stochastic rounding to the grid.
    SR = "sr"
    #: BinaryConnect: a fine buffer is updated, and the weight is its value on the grid.
    BC = "bc"
    #: No grid: fine values, as biases have, are updated and clipped to their format.
    FINE = "fine"


@dataclass(frozen=True, kw_only=True)
class GridUpdateConfig(OnePerClock):
    """Update of weights on a grid, or of fine values without one: formats and rule.

    Parameters
    ----------
    rule
        Update rule: r, sr, bc or fine. fine is for values without a grid, as biases are; then
        `grid` is 0.
    width
        Width of a gradient sum, 2 to 62 bits. With `rate_bits`, at most 62.
    rate_bits
        Width of the learning rate, 0 to 24 bits. 0 leaves out the rate and its multiplier: steps
        are gradients shifted to the right.
    most_shift
        The largest number of bits that a step drops, 1 to 62.
    fine
        Format of steps and buffers, with 2 or more integer bits.
    grid
        Fraction bits of the grid, which has the multiples of 2^-grid from -1 to 1, 0 to 10. At most
        `fine.fl`.
    binary
        The grid has -1 and 1 only, and `grid` is 0.
    drawn
        The weight of a buffer is drawn at random: 1 with a probability of clip((u + 1) / 2, 0, 1).
        Otherwise it is the nearest value of the grid. For the rule bc and the binary grid only.
    lanes
        Weights per clock, 1 to 255.
    first_lane
        Number of the first lane's generator, 0 to 254.
    generator
        The generator that all lanes share. A unit without random words has no generator and ignores
        it.

    Examples
    --------
    >>> config = GridUpdateConfig(rule="bc", binary=True, grid=0)
    >>> config.stochastic, config.latency
    (False, 19)
    >>> GridUpdateConfig(rule="fine", grid=0).latency
    13
    """

    rule: GridRule = setting(
        GridRule.SR,
        "Update rule",
        more="fine is for values without a grid, as biases are; then `grid` is 0.",
    )
    width: int = setting(
        32,
        "Width of a gradient sum",
        low=2,
        high=WIDEST,
        unit="bits",
        more="With `rate_bits`, at most 62.",
    )
    rate_bits: int = setting(
        12,
        "Width of the learning rate",
        low=0,
        high=WIDEST_WORD,
        unit="bits",
        more="0 leaves out the rate and its multiplier: steps are gradients shifted to the right.",
    )
    most_shift: int = setting(
        31, "The largest number of bits that a step drops", low=1, high=WIDEST
    )
    fine: Fixed = setting(Fixed(4, 20), "Format of steps and buffers, with 2 or more integer bits")
    grid: int = setting(
        2,
        "Fraction bits of the grid, which has the multiples of 2^-grid from -1 to 1",
        low=0,
        high=10,
        more="At most `fine.fl`.",
    )
    binary: bool = setting(False, "The grid has -1 and 1 only, and `grid` is 0")
    drawn: bool = setting(
        False,
        "The weight of a buffer is drawn at random: 1 with a probability of clip((u + 1) / 2, 0, "
        "1)",
        more="Otherwise it is the nearest value of the grid. For the rule bc and the binary grid "
        "only.",
    )
    lanes: int = setting(1, "Weights per clock", low=1, high=MOST_LANES)
    first_lane: int = setting(0, "Number of the first lane's generator", low=0, high=MOST_LANES - 1)
    generator: Generator = setting(
        Generator(),
        "The generator that all lanes share",
        more="A unit without random words has no generator and ignores it.",
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.width + self.rate_bits > WIDEST:
            raise ValueError(
                f"width = {self.width} and rate_bits = {self.rate_bits}: products of "
                f"{self.width + self.rate_bits} bits, at most {WIDEST} are allowed"
            )
        if self.fine.il < 2:
            raise ValueError(f"fine = {self.fine}: 2 or more integer bits are wanted, to hold 1")
        if self.grid > self.fine.fl or (self.binary and self.grid):
            most = 0 if self.binary else self.fine.fl
            raise ValueError(
                f"grid = {self.grid}: allowed are 0 to {most}"
                + (" on the binary grid" if self.binary else f" with fine = {self.fine}")
            )
        if not self.quantized and (self.grid or self.binary):
            raise ValueError(
                f"grid = {self.grid} and binary = {self.binary} with rule = {self.rule}: without a "
                "grid, they are 0 and False"
            )
        if self.drawn and not (self.rule is GridRule.BC and self.binary):
            raise ValueError(
                f"drawn with rule = {self.rule} and binary = {self.binary}: it is for rule = bc "
                "and the binary grid alone"
            )
        if self.stochastic:
            self.generator.require_lanes(self.first_lane + self.lanes)

    @property
    def buffered(self) -> bool:
        """Whether stored are fine codes: BinaryConnect's buffers, or values without a grid."""
        return self.rule in (GridRule.BC, GridRule.FINE)

    @property
    def quantized(self) -> bool:
        """Whether there are weights on a grid, so that the unit has a quantizer."""
        return self.rule is not GridRule.FINE

    @property
    def stochastic(self) -> bool:
        """Whether the unit draws random words, so that it has generators."""
        return self.rule is GridRule.SR or self.drawn

    @property
    def lfsr(self) -> LfsrConfig:
        """The generators of the lanes."""
        return LfsrConfig(generator=self.generator, lanes=self.lanes, first_lane=self.first_lane)

    @property
    def one(self) -> int:
        """1 as a code of the fine format."""
        return 1 << self.fine.fl

    @property
    def stored_width(self) -> int:
        """Bits of a stored weight: a code of the grid, a buffer, or a value without a grid."""
        if not self.quantized:
            return self.fine.width
        return 2 + (self.fine.fl if self.buffered else self.grid)

    @property
    def quantizer(self) -> Conversion:
        """Conversion of fine codes u to the grid; for the binary grid, of (u + 1) / 2 to 0 and
        1. Its results are clipped afterwards.
        """
        rounding = Rounding.STOCHASTIC if self.rule is GridRule.SR else Rounding.NEAREST_AWAY
        fraction = self.fine.fl + self.binary
        return Conversion(fraction=fraction, target=Fixed(2, self.grid), rounding=rounding)

    @property
    def rounder(self) -> RounderConfig:
        """The rounders of the quantizer's operands, without BinaryConnect the differences."""
        wide = self.fine.fl + 2 if self.buffered else self.fine.width
        return RounderConfig(
            width=max(wide, self.fine.fl + 2) + 2,
            conversions=(self.quantizer,),
            lanes=self.lanes,
            first_lane=self.first_lane,
            generator=self.generator,
        )

    @property
    def product_stages(self) -> int:
        """Clocks from the operands to their product; without a rate, to registered gradients."""
        if not self.rate_bits:
            return 1
        pairs = len(limbs(self.width, signed=True)) * len(limbs(self.rate_bits, signed=False))
        return PRODUCT_STAGES + (pairs - 1).bit_length()

    @property
    def shift_bits(self) -> int:
        """Bits of the port `shift`."""
        return self.most_shift.bit_length()

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        lanes, stored = self.lanes, self.stored_width
        name, meaning = ("buffer", "buffers") if self.buffered else ("weight", "weights")
        rate = "the learning rate is rate * 2^-shift; read with each operand"
        shift = "bits that a step drops; read with each operand"
        weight = Port("o_weight", "out", self.grid + 2, True, lanes, "weights on the grid")
        buffer = Port("o_buffer", "out", stored, True, lanes, "updated buffers")
        results = ((buffer,) if self.buffered else ()) + ((weight,) if self.quantized else ())
        return (
            *OPERAND,
            Port("i_gradient", "in", self.width, True, lanes, "gradient sums"),
            Port(f"i_{name}", "in", stored, True, lanes, f"their {meaning}"),
            *RESULT,
            *results,
            *((Port("rate", "in", self.rate_bits, meaning=rate),) if self.rate_bits else ()),
            Port("shift", "in", self.shift_bits, meaning=shift),
        )

    @property
    def latency(self) -> int:
        """Clocks from the one that accepts an operand to the one that shows its result."""
        quantizer = DRAWN_STAGES if self.drawn else PIPELINE_LATENCY + 1 if self.quantized else 0
        return self.product_stages + STEP_STAGES + self.buffered + quantizer + BUFFER_LATENCY

    def borders(self) -> list[Border]:
        """Return steps at ties and limits, and stored weights that lead to ties, limits and exact
        values of the grid.
        """
        most = (1 << (self.width - 1)) - 1
        factor = {"rate": 1} if self.rate_bits else {}
        stored = f"i_{'buffer' if self.buffered else 'weight'}"
        lowest, highest = -(1 << (self.stored_width - 1)), (1 << (self.stored_width - 1)) - 1
        fine = 0 if self.buffered else self.fine.fl - self.grid  # bits below a stored weight
        found: list[Border] = []

        def rows(pairs: list[tuple[int, int]], shift: int, **settings: int) -> None:
            kept = [(g, u) for g, u in pairs if -most - 1 <= g <= most and lowest <= u <= highest]
            if kept:
                found.append(
                    Operands(
                        lanes={
                            "i_gradient": tuple(g for g, _ in kept),
                            stored: tuple(u for _, u in kept),
                        },
                        settings=factor | {"shift": shift} | settings,
                    )
                )

        # Differences around every kind of decision of the grid, or at the limits of the format and
        # farthest beyond them, reached by unrounded steps.
        one, spacing = self.one, self.one >> self.grid << self.binary
        if self.quantized:
            decisions = {-one, one, 0, spacing // 2, -spacing // 2, one - spacing // 2}
            decisions |= {-one - spacing // 2, one + spacing // 2, -one + spacing // 2}
            targets = around(decisions, -4 * one, 4 * one)
        else:
            least, most_apart = lowest - highest, highest - lowest
            targets = around({least, lowest, 0, highest, most_apart}, least, most_apart)
        weights = {lowest, -one >> fine, 0, 1, one >> fine, highest}
        rows([((u << fine) - z, u) for u in sorted(weights) for z in targets], 0)
        # Ties of the step, and steps at the limits of the fine format.
        for shift in sorted(
            {1, min(2, self.most_shift), -(-self.most_shift // 2), self.most_shift}
        ):
            half = 1 << shift >> 1
            ends = (self.fine.minimum, self.fine.maximum, -2, -1, 0, 1, 2)
            near = [(k << shift) + half + past for k in ends for past in (-half, -1, 0, 1)]
            near += [(k << shift) - half + past for k in ends for past in (-1, 0, 1)]
            rows([(g, 0) for g in near], shift)
        bits = (*lone(0, self.width), most, -most - 1)
        rows([(bit, 0) for bit in bits], 0)
        if self.rate_bits:
            full = (1 << self.rate_bits) - 1
            rows([(bit, 0) for bit in bits], min(self.rate_bits, self.most_shift), rate=full)
        return found
