"""WAGE's ReLU and Q_A, from sums to activations (Wu et al. 2018)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from golden import check
from golden.borders import Border, Operands, around, lone, rounded_at
from golden.buffer import BUFFER_LATENCY, OnePerClock, StreamTwin
from golden.fixed import WIDEST, WIDEST_WORD, Codes, Rounding, rounded
from golden.lfsr import MOST_LANES, Words
from golden.port import OPERAND, RESULT, Port
from golden.quantize.scale import limit
from golden.settings import check_settings, setting
from golden.twin import Trace


def quantize_activation(acc: ArrayLike, shift: int, bits: int = 8) -> Codes:
    """Return activations: ReLU, then Q_A, which shifts, rounds to nearest even and clips.

    Parameters
    ----------
    acc
        Sums of at most 62 bits, any shape.
    shift
        Bits dropped, k_W - 1 + log2 alpha, 0 to 62.
    bits
        Width k_A of an activation, 2 to 24 bits.

    Returns
    -------
    Codes
        Activations from 0 to 2^(bits - 1) - 1, int64, in the shape of `acc`.

    Raises
    ------
    TypeError, ValueError
        A number is not an integer, or is out of range.

    Examples
    --------
    >>> quantize_activation([-100, 8, 24, 5000], shift=4).tolist()
    [0, 0, 2, 127]
    """
    acc = check.codes("acc", acc)
    shift = check.whole("shift", shift, 0, WIDEST)
    return _quantized(acc, shift, check.whole("bits", bits, 2, WIDEST_WORD))


def _quantized(acc: Codes, shift: int, bits: int) -> Codes:
    """Return activations, as `quantize_activation`; all is checked."""
    top = limit(bits) << shift
    clipped = np.clip(acc, 0, min(top, (1 << WIDEST) - 1))
    return rounded(clipped, shift, Rounding.NEAREST_EVEN)


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
        The largest shift, 1 to 24. A larger value at the port `shift` has the effect of this one.
    lanes
        Sums per clock, 1 to 255.

    Examples
    --------
    >>> config = ActivationQuantizerConfig(width=21, most_shift=8)
    >>> config.latency
    5
    >>> config.ports[-1].name, config.ports[-1].width
    ('shift', 4)
    """

    width: int = setting(21, "Width of a sum", low=2, high=WIDEST, unit="bits")
    bits: int = setting(8, "Width k_A of an activation", low=2, high=WIDEST_WORD, unit="bits")
    most_shift: int = setting(
        8,
        "The largest shift",
        low=1,
        high=24,
        more="A larger value at the port `shift` has the effect of this one.",
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
        """Return sums at 0, at ties, and at the limit of the activations, for every shift."""
        top, low = limit(self.bits), -1 << (self.width - 1)
        found: list[Border] = []
        for s in range(self.most_shift + 1):
            near = around(rounded_at({-1, 0, 1, 2, top - 1, top}, s), low, -1 - low, 1)
            values = (*near, *lone(s + self.bits - 1, self.width, s))
            found.append(Operands(lanes={"i_data": values}, settings={"shift": s}))
        return found


class ActivationQuantizer(StreamTwin):
    """Twin of `hdl.ActivationQuantizer`: input stream `i` (`data`) and port `shift`; output stream
    `o` (`data`, `active`, `unclipped`).

    Parameters
    ----------
    config
        Widths, lanes and the largest shift.

    Examples
    --------
    >>> twin = ActivationQuantizer(ActivationQuantizerConfig())
    >>> operands = {"i_data": [[24]] * 6, "shift": [4] * 6}
    >>> trace = twin.run({"i_valid": [1] * 6, "o_ready": [1] * 6, **operands})
    >>> trace["o_data"][:, 0].tolist()  # valid after 5 clocks
    [0, 0, 0, 0, 0, 2]
    """

    def __init__(self, config: ActivationQuantizerConfig):
        check.instance("config", config, ActivationQuantizerConfig)
        self.config = config
        self.ports = config.ports

    def results(self, accepted: Trace, words: Words) -> Trace:
        """Return activations and masks; see `StreamTwin`."""
        config, acc = self.config, accepted["i_data"]
        shift = np.minimum(accepted["shift"], config.most_shift)
        data, unclipped = np.zeros_like(acc), np.zeros_like(acc)
        for s in np.unique(shift).tolist():
            rows = shift == s
            data[rows] = _quantized(acc[rows], s, config.bits)
            unclipped[rows] = acc[rows] <= limit(config.bits) << s
        return {"data": data, "active": (acc > 0).astype(np.int64), "unclipped": unclipped}
