"""Masks of words: ReLU forward, and the masks of the errors on their way back."""

from dataclasses import dataclass
from itertools import product

import numpy as np

from golden import check
from golden.borders import Border, Operands, lone
from golden.buffer import BUFFER_LATENCY, OnePerClock, StreamTwin
from golden.fixed import WIDEST
from golden.lfsr import MOST_LANES, Words
from golden.port import OPERAND, RESULT, Port
from golden.settings import check_settings, setting
from golden.twin import Trace

#: Settings of the ports that choose masks: each port may be 0 or 1.
_CHOICES = tuple(
    dict(zip(("relu", "use_active", "use_unclipped"), bits)) for bits in product((0, 1), repeat=3)
)


@dataclass(frozen=True, kw_only=True)
class MaskConfig(OnePerClock):
    """Masks of words: a word becomes 0 where one of the masks that are in use is 0.

    Parameters
    ----------
    width
        Width of a word, 2 to 62 bits.
    lanes
        Words per clock, 1 to 255.

    Examples
    --------
    >>> config = MaskConfig(width=16, lanes=4)
    >>> config.latency
    3
    >>> [port.name for port in config.ports if port.width == 1 and port.lanes is None][-3:]
    ['relu', 'use_active', 'use_unclipped']
    """

    width: int = setting(16, "Width of a word", low=2, high=WIDEST, unit="bits")
    lanes: int = setting(1, "Words per clock", low=1, high=MOST_LANES)

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        lanes = self.lanes
        active = "mask of the activation; read where `use_active` is 1"
        unclipped = "mask of saturation; read where `use_unclipped` is 1"
        above = "the operand's word was above zero: mask of the ReLU"
        relu = "words below zero become 0; read with each operand"
        use_active = "words whose `i_active` is 0 become 0; read with each operand"
        use_unclipped = "words whose `i_unclipped` is 0 become 0; read with each operand"
        return (
            *OPERAND,
            Port("i_data", "in", self.width, True, lanes, "words"),
            Port("i_active", "in", 1, False, lanes, active),
            Port("i_unclipped", "in", 1, False, lanes, unclipped),
            *RESULT,
            Port("o_data", "out", self.width, True, lanes, "words, or 0 where they are masked"),
            Port("o_active", "out", 1, False, lanes, above),
            Port("relu", "in", 1, meaning=relu),
            Port("use_active", "in", 1, meaning=use_active),
            Port("use_unclipped", "in", 1, meaning=use_unclipped),
        )

    @property
    def latency(self) -> int:
        """Clocks from the one that accepts an operand to the one that shows its result."""
        return 1 + BUFFER_LATENCY

    def borders(self) -> list[Border]:
        """Return words at 0 and at both ends, with every mask and every choice of masks; and words
        of a single bit that is not the sign's.
        """
        low = -1 << (self.width - 1)
        words = (low, -1, 0, 1, -1 - low)
        bits = (0, 1)
        rows = list(zip(*product(words, bits, bits)))
        names = ("i_data", "i_active", "i_unclipped")
        found: list[Border] = [
            Operands(lanes=dict(zip(names, rows)), settings=choice) for choice in _CHOICES
        ]
        single = lone(0, self.width)
        ones = (1,) * len(single)
        lanes = {"i_data": single, "i_active": ones, "i_unclipped": ones}
        return [*found, *(Operands(lanes=lanes, settings=choice) for choice in _CHOICES[::7])]


class Mask(StreamTwin):
    """Twin of `hdl.Mask`: input stream `i` (`data`, `active`, `unclipped`) and ports `relu`,
    `use_active`, `use_unclipped`; output stream `o` (`data`, `active`).

    Parameters
    ----------
    config
        Width and lanes.

    Examples
    --------
    >>> twin = Mask(MaskConfig(lanes=3))
    >>> words = {"i_data": [[5, -6, 7]] * 4, "i_active": [[1, 1, 0]] * 4}
    >>> masks = {"i_unclipped": [[1] * 3] * 4, "use_active": [1] * 4, "use_unclipped": [1] * 4}
    >>> given = {"i_valid": [1] * 4, "o_ready": [1] * 4, "relu": [0] * 4}
    >>> trace = twin.run({**given, **words, **masks})
    >>> trace["o_data"][3].tolist()  # valid after 3 clocks
    [5, -6, 0]
    """

    def __init__(self, config: MaskConfig):
        check.instance("config", config, MaskConfig)
        self.config = config
        self.ports = config.ports

    def results(self, accepted: Trace, words: Words) -> Trace:
        """Return masked words, and the mask of the ReLU; see `StreamTwin`."""
        data = accepted["i_data"]
        rectified = np.where(accepted["relu"][:, None] != 0, np.maximum(data, 0), data)
        masked = rectified
        for name in ("active", "unclipped"):
            used = accepted[f"use_{name}"][:, None] != 0
            masked = np.where(used, masked * accepted[f"i_{name}"], masked)
        return {"data": masked, "active": (data > 0).astype(np.int64)}
