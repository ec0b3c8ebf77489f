"""WAGE's Q_E, which scales a tensor of errors by a power of two (Wu et al. 2018)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from golden import check
from golden.borders import Border, Operands, around, rounded_at
from golden.buffer import BUFFER_LATENCY, OnePerClock, StreamTwin
from golden.fixed import WIDEST, WIDEST_WORD, Codes, Rounding, random_bits, rounded
from golden.lfsr import MOST_LANES, Generator, LfsrConfig, Words, addends
from golden.port import OPERAND, RESULT, Port
from golden.quantize.scale import EXPONENT, exponent_bits, limit
from golden.settings import check_settings, setting
from golden.twin import Trace

#: Roundings of errors.
ROUNDINGS = (Rounding.NEAREST_EVEN, Rounding.STOCHASTIC)


def quantize_error(
    error: ArrayLike,
    exponent: int,
    bits: int = 8,
    rounding: Rounding = Rounding.NEAREST_EVEN,
    r: ArrayLike = 0,
) -> Codes:
    """Return errors divided by 2^exponent, as codes of `bits` bits.

    Parameters
    ----------
    error
        Errors of at most 62 bits, any shape.
    exponent
        log2 of the tensor's scale, 0 to 62. Up to bits - 1, no bits are dropped and nothing is
        rounded.
    bits
        Width k_E of a result, 2 to 24 bits.
    rounding
        Nearest-even or stochastic.
    r
        Random bits in [0, 2^(exponent - bits + 1)), in the shape of `error`. Stochastic rounding
        adds them to the magnitudes.

    Returns
    -------
    Codes
        Codes from -(2^(bits - 1) - 1) to 2^(bits - 1) - 1, int64, in the shape of `error`.

    Raises
    ------
    TypeError, ValueError
        A number is not an integer, or is out of range.

    Examples
    --------
    >>> quantize_error([-1000, 20, 24, 512], exponent=10).tolist()
    [-125, 2, 3, 64]
    """
    error = check.codes("error", error)
    exponent = check.whole("exponent", exponent, 0, WIDEST)
    bits = check.whole("bits", bits, 2, WIDEST_WORD)
    check.one_of("rounding", rounding, ROUNDINGS)
    s = exponent - (bits - 1)
    r = random_bits(r, s) if s > 0 and rounding == Rounding.STOCHASTIC else 0
    check.broadcast(error=error, r=r)
    return _quantized(error, s, bits, rounding, r)


def _quantized(error: Codes, s: int, bits: int, rounding: Rounding, r: Codes | int) -> Codes:
    """Return quantized errors, as `quantize_error`, with s bits dropped; all is checked."""
    top = limit(bits)
    if s <= 0:
        return np.clip(np.clip(error, -top, top) << -s, -top, top)
    if rounding == Rounding.STOCHASTIC:
        wide: Any = np.abs(error) + r
        return np.sign(error) * np.minimum(wide >> s, top)
    return rounded(np.clip(error, -(top << s), top << s), s, Rounding.NEAREST_EVEN)


@dataclass(frozen=True, kw_only=True)
class ErrorQuantizerConfig(OnePerClock):
    """Q_E: errors divided by the scale of their tensor.

    Parameters
    ----------
    width
        Width of an error, 2 to 62 bits.
    bits
        Width k_E of a result, 2 to 24 bits.
    rounding
        Rounding of the errors: nearest-even or stochastic. Stochastic rounding gives every lane a
        generator.
    lanes
        Errors per clock, 1 to 255.
    first_lane
        Number of the first lane's generator, 0 to 254.
    generator
        The generator that all lanes share.

    Examples
    --------
    >>> config = ErrorQuantizerConfig(width=32, lanes=4)
    >>> config.latency, config.buffer
    (7, 8)
    """

    width: int = setting(32, "Width of an error", low=2, high=WIDEST, unit="bits")
    bits: int = setting(8, "Width k_E of a result", low=2, high=WIDEST_WORD, unit="bits")
    rounding: Rounding = setting(
        Rounding.NEAREST_EVEN,
        "Rounding of the errors",
        allowed=ROUNDINGS,
        more="Stochastic rounding gives every lane a generator.",
    )
    lanes: int = setting(1, "Errors per clock", low=1, high=MOST_LANES)
    first_lane: int = setting(0, "Number of the first lane's generator", low=0, high=MOST_LANES - 1)
    generator: Generator = setting(Generator(), "The generator that all lanes share")

    def __post_init__(self) -> None:
        check_settings(self)
        if self.rounding is Rounding.STOCHASTIC:
            self.generator.require_lanes(self.first_lane + self.lanes)

    @property
    def lfsr(self) -> LfsrConfig:
        """The generators of the lanes."""
        return LfsrConfig(generator=self.generator, lanes=self.lanes, first_lane=self.first_lane)

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        keep = "the error is quantized; otherwise the result is 0"
        zero = "the whole tensor is zero: all results are 0"
        return (
            *OPERAND,
            Port("i_data", "in", self.width, True, self.lanes, "errors"),
            Port("i_keep", "in", 1, False, self.lanes, keep),
            *RESULT,
            Port("o_data", "out", self.bits, True, self.lanes, "quantized errors"),
            Port("exponent", "in", exponent_bits(self.width), meaning=EXPONENT),
            Port("zero", "in", 1, meaning=zero),
        )

    @property
    def latency(self) -> int:
        """Clocks from the one that accepts an operand to the one that shows its result."""
        return 5 + BUFFER_LATENCY

    def borders(self) -> list[Border]:
        """Return, for every exponent, errors at 0 and at the limits, and errors with a single high
        bit.

        To nearest, they are on both sides of ties; stochastically, of the carry of a random word.
        Signs alternate.
        """
        top, high = limit(self.bits), (1 << (self.width - 1)) - 1
        stochastic = self.rounding is Rounding.STOCHASTIC
        found: list[Border] = []
        for k in range(self.width):
            s = k - (self.bits - 1)
            # Each high bit of a magnitude must cause saturation, for every exponent.
            single = [
                1 << bit
                for bit in range(k, self.width - 1)
                if (bit + k) % 3 == 0 or bit >= self.width - 4
            ]
            if carries := stochastic and s > 0:
                codes = {0, 1, 2, top - 1, top, *((1 << n) - 1 for n in range(2, self.bits))}
                sizes = [code << s for code in sorted(codes) if code << s <= high]
            else:
                sizes = list(around(rounded_at({0, 1, top - 1, top}, s), 0, high, 1))
            values = (
                *((-1) ** n * size for n, size in enumerate(sizes)),
                *(sign * size for size in single for sign in (1, -1)),
                -high - 1,
            )
            found.append(
                Operands(
                    lanes={"i_data": values, "i_keep": (1,) * len(values)},
                    settings={"exponent": k, "zero": 0},
                    dropped={"i_data": s} if carries else {},
                )
            )
        ends = {"i_data": (top, -top, high, -high), "i_keep": (1, 1, 1, 1)}
        found.append(Operands(lanes=ends, settings={"exponent": self.bits - 1, "zero": 1}))
        return found


class ErrorQuantizer(StreamTwin):
    """Twin of `hdl.ErrorQuantizer`: input stream `i` (`data`, `keep`) and ports `exponent` and
    `zero`; output stream `o` (`data`).

    Parameters
    ----------
    config
        Widths, rounding, lanes and generator.

    Examples
    --------
    >>> import numpy as np
    >>> twin = ErrorQuantizer(ErrorQuantizerConfig())
    >>> one = np.ones(8, int)
    >>> operands = {"i_data": 24 * one[:, None], "i_keep": one[:, None]}
    >>> settings = {"exponent": 10 * one, "zero": 0 * one}
    >>> trace = twin.run({"i_valid": one, "o_ready": one, **operands, **settings})
    >>> trace["o_data"][:, 0].tolist()  # valid after 7 clocks
    [0, 0, 0, 0, 0, 0, 0, 3]
    """

    def __init__(self, config: ErrorQuantizerConfig):
        check.instance("config", config, ErrorQuantizerConfig)
        self.config = config
        self.ports = config.ports
        if config.rounding is Rounding.STOCHASTIC:
            self.lanes = config.lfsr.start()

    def results(self, accepted: Trace, words: Words) -> Trace:
        """Return quantized errors; see `StreamTwin`."""
        config, error = self.config, accepted["i_data"]
        exponent = np.minimum(accepted["exponent"], config.width - 1)
        data = np.zeros_like(error)
        for k in np.unique(exponent).tolist():
            rows = exponent == k
            s = k - (config.bits - 1)
            r = addends(words[rows], s, config.generator.draw)
            data[rows] = _quantized(error[rows], s, config.bits, config.rounding, r)
        return {"data": data * accepted["i_keep"] * (1 - accepted["zero"][:, None])}
