"""BNN's activation sign(x), with the mask of its straight-through gradient (Hubara et al. 2016)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden import check
from golden.borders import Border, Operands, around, lone
from golden.buffer import BUFFER_LATENCY, OnePerClock, StreamTwin
from golden.fixed import WIDEST, Codes
from golden.lfsr import MOST_LANES, Words
from golden.port import OPERAND, RESULT, Port
from golden.settings import Bound, check_settings, setting
from golden.twin import Trace


def quantize_sign(x: ArrayLike, fraction: int) -> tuple[Codes, NDArray[np.bool_]]:
    """Return the signs of words, where 0 counts as positive, and the mask of the backward pass.

    Parameters
    ----------
    x
        Words of at most 62 bits, any shape.
    fraction
        Fraction bits of a word, 0 to 62.

    Returns
    -------
    code : Codes
        -1 or 1, int64, in the shape of `x`.
    passes : NDArray[np.bool_]
        Where errors pass: the word's magnitude is 1.0 or less.

    Raises
    ------
    TypeError, ValueError
        A number is not an integer, or is out of range.

    Examples
    --------
    >>> code, passes = quantize_sign([-9, -8, 0, 8, 9], fraction=3)
    >>> code.tolist(), passes.tolist()
    ([-1, -1, 1, 1, 1], [False, True, True, True, False])
    """
    x = check.codes("x", x)
    one = 1 << check.whole("fraction", fraction, 0, WIDEST)
    return np.where(x < 0, -1, 1), np.abs(x) <= one


@dataclass(frozen=True, kw_only=True)
class SignQuantizerConfig(OnePerClock):
    """BNN's activation: words to signs, with the mask of the backward pass.

    Parameters
    ----------
    width
        Width of a word, 2 to 62 bits.
    fraction
        Fraction bits of a word, 0 to width - 1.
    bits
        Width of a code, 1 to 2 bits. A code of 2 bits is -1 or 1, one of 1 bit 0 or 1.
    lanes
        Words per clock, 1 to 255.

    Examples
    --------
    >>> config = SignQuantizerConfig(width=16, fraction=10, bits=1)
    >>> config.latency
    4
    >>> print(config.ports[5])
    o_data: out unsigned(1) x 1
    """

    width: int = setting(16, "Width of a word", low=2, high=WIDEST, unit="bits")
    fraction: int = setting(
        10,
        "Fraction bits of a word",
        low=0,
        high=Bound("width - 1", lambda config: config.width - 1),
    )
    bits: int = setting(
        2,
        "Width of a code",
        low=1,
        high=2,
        unit="bits",
        more="A code of 2 bits is -1 or 1, one of 1 bit 0 or 1.",
    )
    lanes: int = setting(1, "Words per clock", low=1, high=MOST_LANES)

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        signed = self.bits == 2
        codes = "signs: 1, also for 0, or -1" if signed else "signs: 1, also for 0, or 0 for -1"
        passes = "the magnitude is 1.0 or less: mask of the straight-through gradient"
        return (
            *OPERAND,
            Port("i_data", "in", self.width, True, self.lanes, "words"),
            *RESULT,
            Port("o_data", "out", self.bits, signed, self.lanes, codes),
            Port("o_passes", "out", 1, False, self.lanes, passes),
        )

    @property
    def latency(self) -> int:
        """Clocks from the one that accepts an operand to the one that shows its result."""
        return 2 + BUFFER_LATENCY

    def borders(self) -> list[Border]:
        """Return words around 0 and +-1.0, at the ends, and with a single bit beyond 1.0."""
        low, one = -1 << (self.width - 1), 1 << self.fraction
        values = {
            *around({0, one, -one, low, -1 - low}, low, -1 - low),
            *lone(self.fraction, self.width),
            # 1.0 and a single bit below it.
            *(one | 1 << bit for bit in range(self.fraction) if one < -low),
        }
        return [Operands(lanes={"i_data": tuple(sorted(values))})]


class SignQuantizer(StreamTwin):
    """Twin of `hdl.SignQuantizer`: input stream `i` (`data`); output stream `o` (`data`, `passes`).

    Parameters
    ----------
    config
        Widths, fraction bits and lanes.

    Examples
    --------
    >>> twin = SignQuantizer(SignQuantizerConfig())
    >>> trace = twin.run({"i_valid": [1] * 5, "o_ready": [1] * 5, "i_data": [[-1025]] * 5})
    >>> trace["o_data"][:, 0].tolist(), trace["o_passes"][:, 0].tolist()  # valid after 4 clocks
    ([0, 0, 0, 0, -1], [0, 0, 0, 0, 0])
    """

    def __init__(self, config: SignQuantizerConfig):
        check.instance("config", config, SignQuantizerConfig)
        self.config = config
        self.ports = config.ports

    def results(self, accepted: Trace, words: Words) -> Trace:
        """Return signs and masks; see `StreamTwin`."""
        code, passes = quantize_sign(accepted["i_data"], self.config.fraction)
        if self.config.bits == 1:
            code = (code + 1) // 2
        return {"data": code, "passes": passes.astype(np.int64)}
