"""WAGE's Q_W, from stored weights to forward weights, and a layer's scale (Wu et al. 2018)."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike

from golden import check
from golden.borders import Border, Operands, around, rounded_at
from golden.buffer import BUFFER_LATENCY, OnePerClock, StreamTwin
from golden.fixed import WIDEST_WORD, Codes, Rounding, rounded
from golden.lfsr import MOST_LANES, Words
from golden.port import OPERAND, RESULT, Port
from golden.quantize.scale import limit
from golden.settings import Bound, check_settings, setting
from golden.twin import Trace


def ternarise(n: ArrayLike, bits: int = 2, stored: int = 8) -> Codes:
    """Return forward weights of `bits` bits: stored weights rounded to nearest, ties to even.

    Forward weights of 2 bits are ternary: sgn(n) * [|n| > 2^(stored - 3)].

    Parameters
    ----------
    n
        Stored weights, any shape.
    bits, stored
        Widths of forward and of stored weights, 2 to 24 bits; `stored` is no less than `bits`.

    Returns
    -------
    Codes
        Forward weights, int64, in the shape of `n`.

    Raises
    ------
    TypeError, ValueError
        A number is not an integer, or is out of range.

    Examples
    --------
    >>> ternarise([-40, -32, 0, 32, 33, 127]).tolist()
    [-1, 0, 0, 0, 1, 1]
    """
    bits = check.whole("bits", bits, 2, WIDEST_WORD)
    stored = check.whole("stored", stored, bits, WIDEST_WORD)
    code = rounded(check.codes("n", n), stored - bits, Rounding.NEAREST_EVEN)
    return np.clip(code, -limit(bits), limit(bits))


def alpha_exponent(inputs: int, bits: int = 2, c: int = 6) -> int:
    """Return log2 of a layer's scale alpha = max{Shift(Lmin / L), 1}, exact.

    Parameters
    ----------
    inputs
        Fan-in: height * width * channels of the kernel, 1 or more.
    bits
        Width k_W of a forward weight, which determines Lmin, 2 to 24 bits.
    c
        Constant of L = sqrt(c / inputs), 1 or more.

    Examples
    --------
    >>> alpha_exponent(784), alpha_exponent(5 * 5 * 32)
    (3, 3)
    """
    inputs = check.whole("inputs", inputs, 1)
    bits = check.whole("bits", bits, 2, WIDEST_WORD)
    c = check.whole("c", c, 1)
    square = Fraction(9 * inputs, c * 4**bits)  # (Lmin / L)^2, Lmin = 1.5 * 2^(1 - bits)
    m = 0
    while square > Fraction(2) ** (2 * m + 1):
        m += 1
    return m


@dataclass(frozen=True, kw_only=True)
class WeightQuantizerConfig(OnePerClock):
    """Q_W: stored weights to forward weights.

    Parameters
    ----------
    stored
        Width k_G of a stored weight, 3 to 24 bits.
    bits
        Width k_W of a forward weight, 2 to stored. A weight of 2 bits is ternary.
    lanes
        Weights per clock, 1 to 255.

    Examples
    --------
    >>> config = WeightQuantizerConfig(lanes=8)
    >>> print(config.ports[2])
    i_data: in signed(8) x 8
    """

    stored: int = setting(8, "Width k_G of a stored weight", low=3, high=WIDEST_WORD, unit="bits")
    bits: int = setting(
        2,
        "Width k_W of a forward weight",
        low=2,
        high=Bound("stored", lambda config: config.stored),
        unit="bits",
        more="A weight of 2 bits is ternary.",
    )
    lanes: int = setting(1, "Weights per clock", low=1, high=MOST_LANES)

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        return (
            *OPERAND,
            Port("i_data", "in", self.stored, True, self.lanes, "stored weights"),
            *RESULT,
            Port("o_data", "out", self.bits, True, self.lanes, "forward weights"),
        )

    @property
    def latency(self) -> int:
        """Clocks from the one that accepts an operand to the one that shows its result."""
        return 1 + BUFFER_LATENCY

    def borders(self) -> list[Border]:
        """Return stored weights on both sides of all thresholds."""
        top, low = limit(self.bits), -1 << (self.stored - 1)
        codes = {*range(-2, 2), top - 1, top, -top - 1, -top}
        values = around(rounded_at(codes, self.stored - self.bits), low, -1 - low, 1)
        return [Operands(lanes={"i_data": values})]


class WeightQuantizer(StreamTwin):
    """Twin of `hdl.WeightQuantizer`: input stream `i` (`data`); output stream `o` (`data`).

    Parameters
    ----------
    config
        Widths and lanes.

    Examples
    --------
    >>> twin = WeightQuantizer(WeightQuantizerConfig())
    >>> trace = twin.run({"i_valid": [1] * 4, "i_data": [[40]] * 4, "o_ready": [1] * 4})
    >>> trace["o_data"][:, 0].tolist()  # valid after 3 clocks
    [0, 0, 0, 1]
    """

    def __init__(self, config: WeightQuantizerConfig):
        check.instance("config", config, WeightQuantizerConfig)
        self.config = config
        self.ports = config.ports

    def results(self, accepted: Trace, words: Words) -> Trace:
        """Return forward weights; see `StreamTwin`."""
        return {"data": ternarise(accepted["i_data"], self.config.bits, self.config.stored)}
