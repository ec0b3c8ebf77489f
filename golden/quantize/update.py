"""WAGE's Q_G and the saturating update of the stored weights (Wu et al. 2018)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from golden import check
from golden.borders import Border, Operands
from golden.buffer import BUFFER_LATENCY, OnePerClock, StreamTwin
from golden.fixed import WIDEST, WIDEST_WORD, Codes, random_bits
from golden.lfsr import MOST_LANES, Generator, LfsrConfig, Words, addends
from golden.port import OPERAND, RESULT, Port
from golden.quantize.scale import EXPONENT, exponent_bits, limit
from golden.settings import check_settings, setting
from golden.twin import Trace


def update_weight(
    n: ArrayLike,
    gradient: ArrayLike,
    exponent: int,
    rate: int,
    saturation: int = 127,
    r: ArrayLike = 0,
) -> Codes:
    """Return updated weights n - sgn(g) * ((|g| + r) >> (exponent - rate)), saturated.

    Parameters
    ----------
    n
        Stored weights of at most 24 bits, any shape.
    gradient
        Gradients g of at most 62 bits, in the shape of `n`.
    exponent
        log2 of the gradients' scale, -62 to 62. Up to `rate`, gradients are shifted left and
        nothing is rounded.
    rate
        log2 of the learning rate, exponent - 62 or more, up to 62.
    saturation
        The largest magnitude of a result, 1 to 2^23 - 1.
    r
        Random bits in [0, 2^(exponent - rate)), in the shape of `n`.

    Returns
    -------
    Codes
        Weights, int64, in the shape of `n`.

    Raises
    ------
    TypeError, ValueError
        A number is not an integer, or is out of range.

    Examples
    --------
    >>> update_weight([10, 10, -127], [100, -100, 500], exponent=6, rate=0, r=[0, 63, 0]).tolist()
    [9, 12, -127]
    """
    most = (1 << (WIDEST_WORD - 1)) - 1
    n, gradient = check.codes("n", n, -most - 1, most), check.codes("gradient", gradient)
    exponent = check.whole("exponent", exponent, -WIDEST, WIDEST)
    s = exponent - check.whole("rate", rate, exponent - WIDEST, WIDEST)
    saturation = check.whole("saturation", saturation, 1, most)
    r = random_bits(r, s) if s > 0 else 0
    check.broadcast(n=n, gradient=gradient, r=r)
    return _updated(n, gradient, s, saturation, r)


def _updated(n: Codes, gradient: Codes, s: int, saturation: int, r: Codes | int) -> Codes:
    """Return updated weights, as `update_weight`, with s = exponent - rate; all is checked."""
    magnitude = np.abs(gradient)
    # A step of more than twice the range of a weight saturates every n. Larger steps are clipped
    # before the shift, which might overflow otherwise.
    far = 2 << WIDEST_WORD
    wide: Any = magnitude + r
    steps = wide >> s if s > 0 else np.minimum(magnitude, far) << min(-s, WIDEST_WORD)
    return np.clip(n - np.sign(gradient) * steps, -saturation, saturation)


#: Bits of the port `rate`: log2 of the learning rate, -8 to 7.
RATE_BITS = 4


@dataclass(frozen=True, kw_only=True)
class WeightUpdateConfig(OnePerClock):
    """Q_G and the saturating update of the stored weights.

    Parameters
    ----------
    width
        Width of a gradient, 2 to 54 bits.
    bits
        Width k_G of a stored weight, 3 to 24 bits.
    half
        Saturate at 2^(bits - 2), as the released code of WAGE does. Otherwise the limit is 2^(bits
        - 1) - 1, as in the paper.
    lanes
        Weights per clock, 1 to 255.
    first_lane
        Number of the first lane's generator, 0 to 254.
    generator
        The generator that all lanes share.

    Examples
    --------
    >>> config = WeightUpdateConfig(bits=8, half=True)
    >>> config.saturation, config.latency
    (64, 8)
    """

    width: int = setting(
        32, "Width of a gradient", low=2, high=WIDEST - 2 ** (RATE_BITS - 1), unit="bits"
    )
    bits: int = setting(8, "Width k_G of a stored weight", low=3, high=WIDEST_WORD, unit="bits")
    half: bool = setting(
        False,
        "Saturate at 2^(bits - 2), as the released code of WAGE does",
        more="Otherwise the limit is 2^(bits - 1) - 1, as in the paper.",
    )
    lanes: int = setting(1, "Weights per clock", low=1, high=MOST_LANES)
    first_lane: int = setting(0, "Number of the first lane's generator", low=0, high=MOST_LANES - 1)
    generator: Generator = setting(Generator(), "The generator that all lanes share")

    def __post_init__(self) -> None:
        check_settings(self)
        self.generator.require_lanes(self.first_lane + self.lanes)

    @property
    def lfsr(self) -> LfsrConfig:
        """The generators of the lanes."""
        return LfsrConfig(generator=self.generator, lanes=self.lanes, first_lane=self.first_lane)

    @property
    def saturation(self) -> int:
        """The largest magnitude of a stored weight."""
        return 1 << (self.bits - 2) if self.half else limit(self.bits)

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        zero = "the whole gradient is zero: weights do not change, but are saturated"
        rate = "log2 of the learning rate; read with each operand"
        return (
            *OPERAND,
            Port("i_weight", "in", self.bits, True, self.lanes, "stored weights"),
            Port("i_gradient", "in", self.width, True, self.lanes, "their gradients"),
            *RESULT,
            Port("o_weight", "out", self.bits, True, self.lanes, "updated weights"),
            Port("exponent", "in", exponent_bits(self.width), meaning=EXPONENT),
            Port("zero", "in", 1, meaning=zero),
            Port("rate", "in", RATE_BITS, True, meaning=rate),
        )

    @property
    def latency(self) -> int:
        """Clocks from the one that accepts an operand to the one that shows its result."""
        return 6 + BUFFER_LATENCY

    def borders(self) -> list[Border]:
        """Return, for every shift, steps that just saturate a weight or just do not, of both signs,
        and gradients just at the carry of their random word.
        """
        rates = range(-(1 << (RATE_BITS - 1)), 1 << (RATE_BITS - 1))
        found: list[Border] = []
        for shift in range(-rates[-1], self.width - rates[0]):
            # One of the pairs of exponent and rate with this shift.
            pairs = [(shift + rate, rate) for rate in rates if 0 <= shift + rate < self.width]
            exponent, rate = pairs[shift * 5 % len(pairs)]
            settings = {"exponent": exponent, "rate": rate, "zero": 0}
            dropped = {"i_gradient": shift} if shift > 0 else {}
            found.append(Operands(lanes=self._steps(shift), settings=settings, dropped=dropped))
        settings = {"exponent": 0, "rate": 0, "zero": 1}
        found.append(Operands(lanes=self._steps(0), settings=settings))
        return found

    def _steps(self, shift: int) -> dict[str, tuple[int, ...]]:
        """Return weights, and gradients whose steps lead to the saturation or next to it."""
        top, most = self.saturation, (1 << (self.width - 1)) - 1
        # Gradients whose random word decides between a step of one and none.
        weights = [top, top, -top, -top, 0, 0] if shift > 0 else []
        gradients = [1, -1] * (len(weights) // 2)
        # Each high bit of a step must cause saturation.
        far = range(max(shift, 0) + (2 * top).bit_length(), self.width - 1)
        single = [bit for bit in far if (bit + shift) % 3 == 0 or bit >= self.width - 3]
        weights += [0] * len(single)
        gradients += [(-1) ** bit << bit for bit in single]
        for weight in (top, -top, 0):
            for end in (top, -top):
                for past in range(-2, 3):
                    step = weight - (end + past)
                    size = abs(step) << shift if shift > 0 else abs(step) >> -shift
                    if size <= most:
                        weights.append(weight)
                        gradients.append(size if step > 0 else -size)
        return {"i_weight": tuple(weights), "i_gradient": tuple(gradients)}


class WeightUpdate(StreamTwin):
    """Twin of `hdl.WeightUpdate`: input stream `i` (`weight`, `gradient`) and ports `exponent`,
    `zero` and `rate`; output stream `o` (`weight`).

    Parameters
    ----------
    config
        Widths, saturation, lanes and generator.

    Examples
    --------
    >>> twin = WeightUpdate(WeightUpdateConfig())
    >>> one = np.ones(9, int)
    >>> operands = {"i_weight": 10 * one[:, None], "i_gradient": 64 * one[:, None]}
    >>> settings = {"exponent": 6 * one, "zero": 0 * one, "rate": 0 * one}
    >>> trace = twin.run({"i_valid": one, "o_ready": one, **operands, **settings})
    >>> trace["o_weight"][:, 0].tolist()  # valid after 8 clocks
    [0, 0, 0, 0, 0, 0, 0, 0, 9]
    """

    def __init__(self, config: WeightUpdateConfig):
        check.instance("config", config, WeightUpdateConfig)
        self.config = config
        self.ports = config.ports
        self.lanes = config.lfsr.start()

    def results(self, accepted: Trace, words: Words) -> Trace:
        """Return updated weights; see `StreamTwin`."""
        config, gradient, weight = self.config, accepted["i_gradient"], accepted["i_weight"]
        exponent = np.minimum(accepted["exponent"], config.width - 1)
        gradient = gradient * (1 - accepted["zero"][:, None])
        shift = exponent - accepted["rate"]
        updated = np.zeros_like(weight)
        for s in np.unique(shift).tolist():
            rows = shift == s
            r = addends(words[rows], s, config.generator.draw)
            # If all gradients are zero, sgn(0) = 0: the weights do not change.
            updated[rows] = _updated(weight[rows], gradient[rows], s, config.saturation, r)
        return {"weight": updated}
