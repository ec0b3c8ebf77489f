"""Convert on streams: wide codes in, rounded and saturated codes out, one draw per operand in every
lane.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from golden import check
from golden.borders import Border, Operands, around, lone, rounded_at
from golden.buffer import BUFFER_LATENCY, OnePerClock, StreamTwin
from golden.fixed import WIDEST, Codes, Conversion, Fixed, Rounding
from golden.lfsr import MOST_LANES, Generator, LfsrConfig, Words, addends
from golden.port import OPERAND, RESULT, Port
from golden.settings import check_settings, setting
from golden.twin import Trace

#: Latency of the rounding pipeline without the output buffer, in clocks.
PIPELINE_LATENCY = 5
#: Meaning of the port `o_saturated`.
SATURATED = "the code was beyond the target's limits, and is clipped"


def check_conversions(conversions: tuple[Conversion, ...], width: int) -> None:
    """Check the conversions of a rounder of `width`-bit codes.

    Raises
    ------
    TypeError
        `conversions` is not a tuple of `Conversion`.
    ValueError
        There are none or more than 16, or one of them drops more than `width` bits.
    """
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
    conversions: tuple[Conversion, ...],
    choice: Codes | None,
    z: Codes,
    words: Words,
    draw: int,
    of: Callable[[Conversion, Codes, Codes], Any] = Conversion.apply,
) -> Codes:
    """Convert vectors of codes, each with a conversion of its own.

    Parameters
    ----------
    conversions
        The conversions.
    choice
        Number of the conversion of each vector, (vectors,). Numbers beyond the last conversion
        select the last one. None is allowed if there is one conversion.
    z
        Wide codes, (vectors, lanes).
    words
        Random words, (vectors, lanes) or (vectors, 1).
    draw
        Bits of a random word.
    of
        What is returned of the codes: `Conversion.apply` for the results, `Conversion.clips` for
        whether they saturated.

    Returns
    -------
    Codes
        Rounded and saturated codes, or flags, (vectors, lanes).
    """
    if choice is None or len(conversions) == 1:
        r = addends(words, conversions[0].dropped, draw)
        return np.asarray(of(conversions[0], z, r), np.int64)
    choice = np.minimum(choice, len(conversions) - 1)
    out = np.zeros_like(z)
    for number, conversion in enumerate(conversions):
        rows = choice == number
        out[rows] = of(conversion, z[rows], addends(words[rows], conversion.dropped, draw))
    return out


def conversion_borders(conversion: Conversion, width: int) -> tuple[int, ...]:
    """Return codes at and next to the borders of a conversion.

    These are codes of `width` bits at the limits, one step beyond them, at ties and at exact
    values, and codes that saturate because of a single high bit.
    """
    target, low = conversion.target, -1 << (width - 1)
    codes = {target.minimum - 1, target.minimum, target.maximum, target.maximum + 1, -1, 0, 1}
    near = around(rounded_at(codes, conversion.dropped), low, -1 - low)
    dropped = max(conversion.dropped, 0)
    first = max(conversion.dropped + target.width - 1, 0)
    return tuple(sorted({*near, *lone(first, width, dropped)}))


@dataclass(frozen=True, kw_only=True)
class RounderConfig(OnePerClock):
    """Parallel rounders: Convert on one vector of wide codes per clock.

    Parameters
    ----------
    width
        Width of a wide code, 2 to 62 bits.
    conversions
        How codes are rounded, 1 to 16 conversions; with several, each operand chooses one. Numbers
        beyond the last conversion select the last one.
    lanes
        Values per clock, 1 to 255.
    first_lane
        Number of the first lane's generator, 0 to 254.
    generator
        The generator that all lanes share. A rounder that only rounds to nearest has no generator
        and ignores it.
    saturated
        A bit beside each result: Convert clipped it. A largest code may also be exact, so the
        result itself does not say it.

    Examples
    --------
    >>> conversion = Conversion(fraction=12, target=Fixed(2, 6))
    >>> config = RounderConfig(width=20, conversions=(conversion,), lanes=4)
    >>> config.stochastic, config.result_width, config.latency
    (True, 8, 7)
    """

    width: int = setting(40, "Width of a wide code", low=2, high=WIDEST, unit="bits")
    conversions: tuple[Conversion, ...] = setting(
        (Conversion(fraction=28, target=Fixed(2, 14)),),
        "How codes are rounded, 1 to 16 conversions; with several, each operand chooses one",
        more="Numbers beyond the last conversion select the last one.",
    )
    lanes: int = setting(1, "Values per clock", low=1, high=MOST_LANES)
    first_lane: int = setting(0, "Number of the first lane's generator", low=0, high=MOST_LANES - 1)
    generator: Generator = setting(
        Generator(),
        "The generator that all lanes share",
        more="A rounder that only rounds to nearest has no generator and ignores it.",
    )
    saturated: bool = setting(
        False,
        "A bit beside each result: Convert clipped it",
        more="A largest code may also be exact, so the result itself does not say it.",
        quiet=True,
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
        """Return codes at the limits, ties and exact values of every conversion, and just at the
        carry of a random word.
        """
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
        results = [Port("o_data", "out", self.result_width, True, self.lanes, meaning)]
        if self.saturated:
            results.append(Port("o_saturated", "out", 1, False, self.lanes, SATURATED))
        return (*ports, *RESULT, *results)

    @property
    def latency(self) -> int:
        """Clocks from the one that accepts an operand to the one that shows its result."""
        return PIPELINE_LATENCY + BUFFER_LATENCY


class Rounder(StreamTwin):
    """Twin of `hdl.Rounder`: input stream `i` (`data`, and `choice` if there are several
    conversions); output stream `o` (`data`, and `saturated` with that setting).

    Parameters
    ----------
    config
        Widths, conversions, lanes and generator.

    Examples
    --------
    >>> conversion = Conversion(fraction=4, target=Fixed(6, 2), rounding=Rounding.NEAREST_EVEN)
    >>> twin = Rounder(RounderConfig(width=12, conversions=(conversion,)))
    >>> trace = twin.run({"i_valid": [1] * 8, "i_data": [[11]] * 8, "o_ready": [1] * 8})
    >>> trace["o_data"][:, 0].tolist()  # valid after 7 clocks
    [0, 0, 0, 0, 0, 0, 0, 3]
    """

    def __init__(self, config: RounderConfig):
        check.instance("config", config, RounderConfig)
        self.config = config
        self.ports = config.ports
        if config.stochastic:
            self.lanes = config.lfsr.start()

    def results(self, accepted: Trace, words: Words) -> Trace:
        """Return rounded codes; see `StreamTwin`."""
        config = self.config
        given = accepted.get("i_choice"), accepted["i_data"], words, config.generator.draw
        results = {"data": choose(config.conversions, *given)}
        if config.saturated:
            results["saturated"] = choose(config.conversions, *given, Conversion.clips)
        return results
