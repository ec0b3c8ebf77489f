"""Convert in hardware's order: wide codes in, rounded and saturated codes out,
one draw a value and lane.
"""

from dataclasses import dataclass

import numpy as np

from golden import check
from golden.borders import Border, Operands, around, lone, rounded_at
from golden.buffer import BUFFER_LATENCY, OnePerClock, StreamTwin
from golden.fixed import WIDEST, Codes, Conversion, Fixed, Rounding
from golden.lfsr import MOST_LANES, Generator, LfsrConfig, Words, dither
from golden.port import OPERAND, RESULT, Port
from golden.settings import check_settings, setting
from golden.twin import Trace

#: Clocks through the rounding pipeline itself, without the output buffer.
PIPELINE_LATENCY = 5


def check_conversions(conversions: tuple[Conversion, ...], width: int) -> None:
    """Raise unless `conversions` is a list that a rounder of `width`-bit codes can offer."""
    check.instance("conversions", conversions, tuple)
    check.whole("number of conversions", len(conversions), 1, 16)
    for conversion in conversions:
        check.instance("conversion", conversion, Conversion)
        if conversion.dropped > width:
            raise ValueError(
                f"conversion {conversion} drops {conversion.fraction} - {conversion.target.fl} = "
                f"{conversion.dropped} bits: codes of {width} bits have no more than {width}"
            )


def choose(
    conversions: tuple[Conversion, ...], choice: Codes | None, z: Codes, words: Words, draw: int
) -> Codes:
    """`z` (values, lanes) converted each by the conversion that `choice` (values,) names,
    with draws `words`, (values, lanes) or (values, 1).

    A choice past the last conversion means the last one; of one conversion none is needed.
    """
    if choice is None or len(conversions) == 1:
        return conversions[0](z, dither(words, conversions[0].dropped, draw))
    choice = np.minimum(choice, len(conversions) - 1)
    out = np.zeros_like(z)
    for number, conversion in enumerate(conversions):
        rows = choice == number
        out[rows] = conversion(z[rows], dither(words[rows], conversion.dropped, draw))
    return out


def conversion_borders(conversion: Conversion, width: int) -> tuple[int, ...]:
    """Codes of `width` bits at the limits of a conversion, a step past them, at ties and at exact
    values, and those that a single bit above the target's saturates.
    """
    target, low = conversion.target, -1 << (width - 1)
    codes = {target.minimum - 1, target.minimum, target.maximum, target.maximum + 1, -1, 0, 1}
    near = around(rounded_at(codes, conversion.dropped), low, -1 - low)
    dropped = max(conversion.dropped, 0)
    first = max(conversion.dropped + target.width - 1, 0)
    return tuple(sorted({*near, *lone(first, width, dropped)}))


@dataclass(frozen=True, kw_only=True)
class RounderConfig(OnePerClock):
    """Lanes of rounders side by side: Convert on a vector of wide codes a clock.

    Parameters
    ----------
    width
        Width of a wide code, 2 to 62 bits.
    conversions
        How codes are rounded, 1 to 16 conversions; with several, each operand chooses one. A choice
        past the last conversion means the last one.
    lanes
        Values per clock, 1 to 255.
    first_lane
        Number of the first lane's generator, 0 to 254.
    generator
        The generator that all lanes share. A rounder that only rounds to nearest has none and
        ignores it.
    """

    width: int = setting(40, "Width of a wide code", low=2, high=WIDEST, unit="bits")
    conversions: tuple[Conversion, ...] = setting(
        (Conversion(fraction=28, target=Fixed(2, 14)),),
        "How codes are rounded, 1 to 16 conversions; with several, each operand chooses one",
        more="A choice past the last conversion means the last one.",
    )
    lanes: int = setting(1, "Values per clock", low=1, high=MOST_LANES)
    first_lane: int = setting(0, "Number of the first lane's generator", low=0, high=MOST_LANES - 1)
    generator: Generator = setting(
        Generator(),
        "The generator that all lanes share",
        more="A rounder that only rounds to nearest has none and ignores it.",
    )

    def __post_init__(self) -> None:
        check_settings(self)
        check_conversions(self.conversions, self.width)
        if self.stochastic:
            self.generator.require_lanes(self.first_lane + self.lanes)

    @property
    def stochastic(self) -> bool:
        """Whether any conversion rounds stochastically, so that the unit has generators."""
        return any(c.rounding is Rounding.STOCHASTIC for c in self.conversions)

    @property
    def lfsr(self) -> LfsrConfig:
        """The generators of the lanes."""
        return LfsrConfig(generator=self.generator, lanes=self.lanes, first_lane=self.first_lane)

    @property
    def result_width(self) -> int:
        """Bits of a result: those of the widest target."""
        return max(conversion.target.width for conversion in self.conversions)

    def borders(self) -> list[Border]:
        """Codes at every conversion's limits, ties and exact values, and just at its carry."""
        found: list[Border] = []
        low, high = -1 << (self.width - 1), (1 << (self.width - 1)) - 1
        for number, conversion in enumerate(self.conversions):
            settings = {"i_choice": number} if len(self.conversions) > 1 else {}
            values = conversion_borders(conversion, self.width)
            found.append(Operands(lanes={"i_data": values}, settings=settings))
            s, target = conversion.dropped, conversion.target
            if conversion.rounding is Rounding.STOCHASTIC and s > 0:
                codes = [target.maximum - 1, target.maximum, target.minimum - 1, target.minimum]
                codes += [-2, -1, 0, 1, *((1 << k) - 1 for k in range(2, target.width))]
                values = tuple(c << s for c in codes if low <= c << s <= high)
                found.append(
                    Operands(lanes={"i_data": values}, settings=settings, dropped={"i_data": s})
                )
        return found

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        ports = [
            *OPERAND,
            Port("i_data", "in", self.width, True, self.lanes, "wide codes, one per lane"),
        ]
        if len(self.conversions) > 1:
            bits = (len(self.conversions) - 1).bit_length()
            meaning = "number of the conversion, in the order of the parameter"
            ports.append(Port("i_choice", "in", bits, meaning=meaning))
        meaning = "rounded codes; those of a narrower target are sign-extended"
        return (
            *ports,
            *RESULT,
            Port("o_data", "out", self.result_width, True, self.lanes, meaning),
        )

    @property
    def latency(self) -> int:
        """Clocks from the one that accepts an operand to the one that shows its result."""
        return PIPELINE_LATENCY + BUFFER_LATENCY


class Rounder(StreamTwin):
    """Twin of `hdl.Rounder`: stream `i` (`data`, and `choice` where there is one)
    to stream `o` (`data`).
    """

    def __init__(self, config: RounderConfig):
        self.config = config
        self.ports = config.ports
        if config.stochastic:
            self.lanes = config.lfsr.start()

    def results(self, accepted: Trace, words: Words) -> Trace:
        """See `StreamTwin`."""
        config, choice = self.config, accepted.get("i_choice")
        data = choose(config.conversions, choice, accepted["i_data"], words, config.generator.draw)
        return {"data": data}
