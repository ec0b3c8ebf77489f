"""WAGE ReLU and Q_A: sums to activations (Wu et al. 2018)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from golden.borders import Border, Operands, around, lone, rounded_at
from golden.buffer import BUFFER_LATENCY, OnePerClock, StreamTwin
from golden.fixed import WIDEST, WIDEST_WORD, Codes, Rounding, round_shift
from golden.lfsr import MOST_LANES, Words
from golden.port import OPERAND, RESULT, Port
from golden.quantize.scale import limit
from golden.settings import check_settings, setting
from golden.twin import Trace


def quantize_activation(acc: ArrayLike, shift: int, bits: int = 8) -> Codes:
    """ReLU and Q_A: RNE(min(max(acc, 0), limit << shift) >> shift),
    `shift` = k_W - 1 + log2 alpha.
    """
    return round_shift(np.clip(acc, 0, limit(bits) << shift), shift, Rounding.NEAREST_EVEN)


@dataclass(frozen=True, kw_only=True)
class ActivationQuantizerConfig(OnePerClock):
    """ReLU and Q_A: sums to activations, with the masks that the backward pass needs.

    Parameters
    ----------
    width
        Width of a sum, 2 to 62 bits.
    bits
        Width k_A of an activation, 2 to 24 bits.
    most_shift
        The largest shift that the port `shift` can ask for, 1 to 24. A larger one means this one.
    lanes
        Sums per clock, 1 to 255.
    """

    width: int = setting(21, "Width of a sum", low=2, high=WIDEST, unit="bits")
    bits: int = setting(8, "Width k_A of an activation", low=2, high=WIDEST_WORD, unit="bits")
    most_shift: int = setting(
        8,
        "The largest shift that the port `shift` can ask for",
        low=1,
        high=24,
        more="A larger one means this one.",
    )
    lanes: int = setting(1, "Sums per clock", low=1, high=MOST_LANES)

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        active = "the sum was above zero: mask of the ReLU"
        unclipped = "the sum was in the range of the activations: mask of the clip"
        shift = "bits dropped from a sum; read with each operand"
        return (
            *OPERAND,
            Port("i_data", "in", self.width, True, self.lanes, "sums"),
            *RESULT,
            Port("o_data", "out", self.bits, True, self.lanes, "activations"),
            Port("o_active", "out", 1, False, self.lanes, active),
            Port("o_unclipped", "out", 1, False, self.lanes, unclipped),
            Port("shift", "in", self.most_shift.bit_length(), meaning=shift),
        )

    @property
    def latency(self) -> int:
        """Clocks from the one that accepts an operand to the one that shows its result."""
        return 3 + BUFFER_LATENCY

    def borders(self) -> list[Border]:
        """For every shift: sums at 0, at ties, and where the activation is clipped."""
        top, low = limit(self.bits), -1 << (self.width - 1)
        found: list[Border] = []
        for s in range(self.most_shift + 1):
            near = around(rounded_at({-1, 0, 1, 2, top - 1, top}, s), low, -1 - low, 1)
            values = (*near, *lone(s + self.bits - 1, self.width, s))
            found.append(Operands(lanes={"i_data": values}, settings={"shift": s}))
        return found


class ActivationQuantizer(StreamTwin):
    """Twin of `hdl.ActivationQuantizer`: stream `i` (`data`) and port `shift`
    to stream `o` (`data`, `active`, `unclipped`).
    """

    def __init__(self, config: ActivationQuantizerConfig):
        self.config = config
        self.ports = config.ports

    def results(self, accepted: Trace, words: Words) -> Trace:
        """See `StreamTwin`."""
        config, acc = self.config, accepted["i_data"]
        shift = np.minimum(accepted["shift"], config.most_shift)
        data, unclipped = np.zeros_like(acc), np.zeros_like(acc)
        for s in np.unique(shift).tolist():
            rows = shift == s
            data[rows] = quantize_activation(acc[rows], s, config.bits)
            unclipped[rows] = acc[rows] <= limit(config.bits) << s
        return {"data": data, "active": (acc > 0).astype(np.int64), "unclipped": unclipped}
