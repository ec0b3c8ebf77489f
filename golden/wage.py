"""WAGE in integers (Wu et al. 2018): the quantizers of weights, activations, errors and gradients,
and their twins.

Reals are codes over a power of two: weights n / 2^(k_G - 1), activations and errors over 2^(k - 1)
of their own k. The functions take whole tensors; training calls them, and the twins say at which
clock the same numbers appear.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import isqrt

import numpy as np
from numpy.typing import ArrayLike

from golden import check
from golden.borders import Border, Course, Operands, around, lone, rounded_at
from golden.buffer import BUFFER_LATENCY, Queue, StreamTwin, schedule, show
from golden.fixed import WIDEST, WIDEST_WORD, Codes, Rounding, round_shift
from golden.lfsr import MOST_LANES, Generator, Lanes, Words, dither
from golden.port import OPERAND, RESULT, Port
from golden.twin import Trace, Twin


def limit(bits: int) -> int:
    """The largest code of a WAGE word, 1 - sigma: 2^(bits - 1) - 1. The range is symmetric."""
    return (1 << (bits - 1)) - 1


def ternarise(n: ArrayLike, bits: int = 2, stored: int = 8) -> Codes:
    """Q_W: forward weights of `bits` bits from stored weights of `stored` bits;
    at 2 bits sgn(n) * [|n| > 2^(stored-3)].

    Half-way weights go to the even code, so |n| = 32 of 8 bits is 0.
    """
    rounded = round_shift(n, stored - bits, Rounding.NEAREST_EVEN)
    return np.clip(rounded, -limit(bits), limit(bits))


def alpha_exponent(inputs: int, bits: int = 2, c: int = 6) -> int:
    """log2 of the layer's scale alpha = max{Shift(Lmin / L), 1}, exact.

    `inputs` is the fan-in kh * kw * channels, `bits` k_W,
    and L = sqrt(c / inputs) before any clamp.
    """
    square = Fraction(9 * inputs, c * 4**bits)  # (Lmin / L)^2, Lmin = 1.5 * 2^(1 - bits)
    m = 0
    while square > Fraction(2) ** (2 * m + 1):
        m += 1
    return m


def quantize_activation(acc: ArrayLike, shift: int, bits: int = 8) -> Codes:
    """ReLU and Q_A: RNE(min(max(acc, 0), limit << shift) >> shift),
    `shift` = k_W - 1 + log2 alpha.
    """
    return round_shift(np.clip(acc, 0, limit(bits) << shift), shift, Rounding.NEAREST_EVEN)


def shift_exponent(maximum: int, ceil: bool = False) -> int:
    """log2 of Shift(maximum), `maximum` > 0: rounded (a compare with sqrt 2), or rounded up.
    No float logarithm.
    """
    e = int(maximum).bit_length() - 1
    return e + (maximum > (1 << e if ceil else isqrt(1 << 2 * e + 1)))


def quantize_error(
    error: ArrayLike,
    exponent: int,
    bits: int = 8,
    rounding: Rounding = Rounding.NEAREST_EVEN,
    r: ArrayLike = 0,
) -> Codes:
    """Q_E: errors over 2^`exponent` as codes of `bits` bits.

    `rounding` is nearest-even or stochastic; then `r` in [0, 2^(exponent - bits + 1)) goes to the
    magnitude. Where bits are appended (exponent <= bits - 1) nothing is rounded.
    """
    error = np.asarray(error, np.int64)
    top, s = limit(bits), exponent - (bits - 1)
    if s <= 0:
        return np.clip(np.clip(error, -top, top) << -s, -top, top)
    if rounding is Rounding.STOCHASTIC:
        return np.sign(error) * np.minimum((np.abs(error) + r) >> s, top)
    return round_shift(np.clip(error, -(top << s), top << s), s, Rounding.NEAREST_EVEN)


def update_weight(
    n: ArrayLike,
    gradient: ArrayLike,
    exponent: int,
    rate: int,
    saturation: int = 127,
    r: ArrayLike = 0,
) -> Codes:
    """Q_G and the saturating update: n - sgn(g) * ((|g| + r) >> (exponent - rate)),
    clipped to +-saturation.

    `rate` is log2 of the learning rate, `r` in [0, 2^(exponent - rate)). Where exponent <= rate the
    gradient is shifted left and nothing is rounded.
    """
    gradient = np.asarray(gradient, np.int64)
    s = exponent - rate
    magnitude = np.abs(gradient)
    # A step of more than two words' range saturates whatever n is:
    # cut there, before the shift could overflow.
    far = 2 << WIDEST_WORD
    steps = (magnitude + r) >> s if s > 0 else np.minimum(magnitude, far) << min(-s, WIDEST_WORD)
    return np.clip(np.asarray(n, np.int64) - np.sign(gradient) * steps, -saturation, saturation)


#: Meaning of the port `exponent`.
_EXPONENT = "log2 of the tensor's scale, from wage-shift; read with each operand"


def exponent_bits(width: int) -> int:
    """Bits of the exponent of a tensor of `width`-bit values: it is at most `width` - 1."""
    return (width - 1).bit_length()


def _check_lanes(lanes: int, first_lane: int = 0) -> None:
    check.whole("lanes", lanes, 1, MOST_LANES)
    check.whole("first_lane", first_lane, 0, MOST_LANES - 1)


class _OnePerClock:
    """What the configurations of the element-wise units have in common."""

    @property
    def throughput(self) -> str:
        """What a clock gives."""
        return "one vector of lanes a clock; i_ready falls only when the output is not taken"


@dataclass(frozen=True, kw_only=True)
class WeightQuantizerConfig(_OnePerClock):
    """Q_W: stored weights to forward weights.

    Parameters
    ----------
    stored
        Bits of a stored weight, k_G, 3 to 24.
    bits
        Bits of a forward weight, k_W, 2 to `stored`; 2 is ternary.
    lanes
        Weights a clock, 1 to 255.
    """

    stored: int = 8
    bits: int = 2
    lanes: int = 1

    def __post_init__(self) -> None:
        check.whole("stored", self.stored, 3, WIDEST_WORD)
        check.whole("bits", self.bits, 2, self.stored)
        _check_lanes(self.lanes)

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
        """Stored weights on both sides of the thresholds, the outermost ones among them."""
        top, low = limit(self.bits), -1 << (self.stored - 1)
        codes = {*range(-2, 2), top - 1, top, -top - 1, -top}
        values = around(rounded_at(codes, self.stored - self.bits), low, -1 - low, 1)
        return [Operands(lanes={"i_data": values})]


class WeightQuantizer(StreamTwin):
    """Twin of `hdl.WeightQuantizer`: stream `i` (`data`) to stream `o` (`data`)."""

    def __init__(self, config: WeightQuantizerConfig):
        self.config = config
        self.ports = config.ports
        self.latency = config.latency

    def results(self, accepted: Trace, words: Words) -> Trace:
        """See `StreamTwin`."""
        return {"data": ternarise(accepted["i_data"], self.config.bits, self.config.stored)}


@dataclass(frozen=True, kw_only=True)
class ActivationQuantizerConfig(_OnePerClock):
    """ReLU and Q_A: sums to activations, with the masks that the backward pass needs.

    Parameters
    ----------
    width
        Bits of a sum, 2 to 62.
    bits
        Bits of an activation, k_A, 2 to 24.
    most_shift
        The largest shift that the port `shift` can ask for, 1 to 24; a larger one means this one.
    lanes
        Sums a clock, 1 to 255.
    """

    width: int = 21
    bits: int = 8
    most_shift: int = 8
    lanes: int = 1

    def __post_init__(self) -> None:
        check.whole("width", self.width, 2, WIDEST)
        check.whole("bits", self.bits, 2, WIDEST_WORD)
        check.whole("most_shift", self.most_shift, 1, 24)
        _check_lanes(self.lanes)

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
        self.latency = config.latency

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


@dataclass(frozen=True, kw_only=True)
class ShiftExponentConfig:
    """The maximum of a tensor and the exponent of Shift, by which errors and gradients are scaled.

    Parameters
    ----------
    width
        Bits of a value, 2 to 62.
    ceil
        Round the exponent up (a leading-one detector)
        in place of to nearest (and a compare with sqrt 2).
    lanes
        Values a clock, 1 to 255.
    """

    width: int = 32
    ceil: bool = False
    lanes: int = 1

    def __post_init__(self) -> None:
        check.whole("width", self.width, 2, WIDEST)
        check.instance("ceil", self.ceil, bool)
        _check_lanes(self.lanes)

    @property
    def levels(self) -> int:
        """Levels of the tree that finds a vector's maximum."""
        return (self.lanes - 1).bit_length()

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        keep = "the value counts; else it is taken as zero"
        exponent = "log2 of the maximum, rounded; 0 where it is 0"
        return (
            *OPERAND,
            Port("i_data", "in", self.width, True, self.lanes, "values of the tensor"),
            Port("i_keep", "in", 1, False, self.lanes, keep),
            Port("i_last", "in", 1, meaning="the tensor's last vector"),
            *RESULT,
            Port("o_maximum", "out", self.width, meaning="the largest magnitude of the tensor"),
            Port("o_exponent", "out", exponent_bits(self.width), meaning=exponent),
            Port("o_zero", "out", 1, meaning="the whole tensor is zero"),
        )

    @property
    def latency(self) -> int:
        """Clocks from the one that accepts a tensor's last vector
        to the one that shows its exponent.
        """
        return 1 + self.levels + 3 + BUFFER_LATENCY

    def borders(self) -> list[Border]:
        """Tensors whose maximum is on one side of a power of two, or of a threshold of Shift.

        Each is of one to three vectors, after another tensor's end; the maximum is in any lane, of
        either sign. All the rest is small, or just on the other side of the threshold.
        """
        low = -1 << (self.width - 1)
        found: list[Border] = []
        for e in range(self.width):
            below = isqrt(1 << 2 * e + 1)
            tensors = [
                (m, min(m, 1), 1 + (e + m) % 3, m)
                for m in sorted({(1 << e) - 1, 1 << e, (1 << e) + 1, below, below + 1})
            ]
            tensors += [(below + 1, below, 2, 0), (below + 1, below, 2, 1)]
            for m, rest, vectors, place in tensors:
                sign = 1 if m < -low and (e + m) % 2 else -1
                if not low <= sign * m < -low or rest >= -low:
                    continue
                data = np.full((1 + vectors, self.lanes), rest, np.int64)
                data[0] = min(m, 1)
                data[1 + place % vectors, (e + m) % self.lanes] = sign * m
                last = np.zeros(len(data), np.int64)
                last[[0, -1]] = 1
                ports = {
                    "i_valid": np.ones_like(last),
                    "i_data": data,
                    "i_keep": np.ones_like(data),
                    "i_last": last,
                }
                found.append(Course(ports=ports))
        return found

    @property
    def throughput(self) -> str:
        """What a clock gives."""
        return (
            "one vector of lanes a clock, tensors back to back; "
            "i_ready falls only on a tensor's last vector, when exponents are not taken"
        )


@dataclass(frozen=True, eq=False)
class _ShiftState:
    """What the twin of `hdl.ShiftExponent` keeps between two clocks."""

    queue: Queue
    #: Largest magnitude of the tensor whose last vector has not come.
    maximum: int


class ShiftExponent(Twin[_ShiftState]):
    """Twin of `hdl.ShiftExponent`: stream `i` (`data`, `keep`, `last`)
    to stream `o` (`maximum`, `exponent`, `zero`).
    """

    def __init__(self, config: ShiftExponentConfig):
        self.config = config
        self.ports = config.ports
        # The exponent of m is the number of these below it.
        self._below = np.array(
            [1 << e if config.ceil else isqrt(1 << 2 * e + 1) for e in range(WIDEST)], np.int64
        )

    def initial(self) -> _ShiftState:
        """The reset state."""
        return _ShiftState(Queue(), 0)

    def stretch(self, state: _ShiftState, inputs: Trace) -> tuple[_ShiftState, Trace]:
        """See `Twin`."""
        latency = self.config.latency
        valid, last = inputs["i_valid"] != 0, inputs["i_last"] != 0
        times = schedule(
            state.queue, valid & last, inputs["o_ready"] != 0, latency=latency, depth=latency + 1
        )
        ready = ~last | times.ready
        accepted = np.flatnonzero(valid & ready)
        # Tensors end after these vectors; what follows belongs to one that goes on.
        ends = np.searchsorted(accepted, times.claims) + 1
        data = inputs["i_data"][accepted].astype(np.int64)
        magnitude = (np.abs(data) * inputs["i_keep"][accepted]).max(axis=1, initial=0)
        # Before them comes the tensor that was going on, after them an end without a vector.
        magnitude = np.concatenate([[state.maximum], magnitude, [0]])
        maxima = np.maximum.reduceat(magnitude, np.concatenate([[0], ends + 1]))
        maximum, rest = maxima[:-1], int(maxima[-1])
        results = {
            "maximum": maximum,
            "exponent": np.searchsorted(self._below, maximum),
            "zero": (maximum == 0).astype(np.int64),
        }
        queue, shown = show(state.queue, times, results)
        return _ShiftState(queue, rest), {"i_ready": ready.astype(np.int64), **shown}


@dataclass(frozen=True, kw_only=True)
class ErrorQuantizerConfig(_OnePerClock):
    """Q_E: errors over their tensor's scale, as words.

    Parameters
    ----------
    width
        Bits of an error, 2 to 62.
    bits
        Bits of a result, k_E, 2 to 24.
    rounding
        Nearest-even or stochastic; the latter gives every lane a generator.
    lanes, first_lane
        Errors a clock, and the number of the first one's generator.
    generator
        The generator all lanes share.
    """

    width: int = 32
    bits: int = 8
    rounding: Rounding = Rounding.NEAREST_EVEN
    lanes: int = 1
    first_lane: int = 0
    generator: Generator = Generator()

    def __post_init__(self) -> None:
        check.whole("width", self.width, 2, WIDEST)
        check.whole("bits", self.bits, 2, WIDEST_WORD)
        check.one_of("rounding", self.rounding, (Rounding.NEAREST_EVEN, Rounding.STOCHASTIC))
        object.__setattr__(self, "rounding", Rounding(self.rounding))  # its name will do
        _check_lanes(self.lanes, self.first_lane)
        check.instance("generator", self.generator, Generator)
        if self.rounding is Rounding.STOCHASTIC:
            self.generator.require_lanes(self.first_lane + self.lanes)

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        keep = "the error is passed on; else the result is 0"
        zero = "the whole tensor is zero, and so are the results"
        return (
            *OPERAND,
            Port("i_data", "in", self.width, True, self.lanes, "errors"),
            Port("i_keep", "in", 1, False, self.lanes, keep),
            *RESULT,
            Port("o_data", "out", self.bits, True, self.lanes, "quantized errors"),
            Port("exponent", "in", exponent_bits(self.width), meaning=_EXPONENT),
            Port("zero", "in", 1, meaning=zero),
        )

    @property
    def latency(self) -> int:
        """Clocks from the one that accepts an operand to the one that shows its result."""
        return 5 + BUFFER_LATENCY

    def borders(self) -> list[Border]:
        """For every exponent: errors at 0, where they are clipped, at ties there or just at the
        carry of a random word, in either sign by turns; and with a single bit above.
        """
        top, high = limit(self.bits), (1 << (self.width - 1)) - 1
        stochastic = self.rounding is Rounding.STOCHASTIC
        found: list[Border] = []
        for k in range(self.width):
            s = k - (self.bits - 1)
            # Each bit of a magnitude that is too large has to count, wherever the exponent puts it.
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
    """Twin of `hdl.ErrorQuantizer`: stream `i` (`data`, `keep`), ports `exponent` and `zero`
    to stream `o` (`data`).
    """

    def __init__(self, config: ErrorQuantizerConfig):
        self.config = config
        self.ports = config.ports
        self.latency = config.latency
        if config.rounding is Rounding.STOCHASTIC:
            self.lanes = Lanes(config.generator, config.first_lane, config.lanes)

    def results(self, accepted: Trace, words: Words) -> Trace:
        """See `StreamTwin`."""
        config, error = self.config, accepted["i_data"]
        exponent = np.minimum(accepted["exponent"], config.width - 1)
        data = np.zeros_like(error)
        for k in np.unique(exponent).tolist():
            rows = exponent == k
            r = dither(words[rows], k - (config.bits - 1), config.generator.draw)
            data[rows] = quantize_error(error[rows], k, config.bits, config.rounding, r)
        return {"data": data * accepted["i_keep"] * (1 - accepted["zero"][:, None])}


#: Bits of the port `rate`: log2 of the learning rate, -8 to 7.
RATE_BITS = 4


@dataclass(frozen=True, kw_only=True)
class WeightUpdateConfig(_OnePerClock):
    """Q_G and the saturating update of the stored weights.

    Parameters
    ----------
    width
        Bits of a gradient, 2 to 54.
    bits
        Bits of a stored weight, k_G, 3 to 24.
    half
        Saturate at 2^(bits - 2), as the released code does,
        in place of 2^(bits - 1) - 1, as the paper says.
    lanes, first_lane
        Weights a clock, and the number of the first one's generator.
    generator
        The generator all lanes share.
    """

    width: int = 32
    bits: int = 8
    half: bool = False
    lanes: int = 1
    first_lane: int = 0
    generator: Generator = Generator()

    def __post_init__(self) -> None:
        check.whole("width", self.width, 2, WIDEST - 2 ** (RATE_BITS - 1))
        check.whole("bits", self.bits, 3, WIDEST_WORD)
        check.instance("half", self.half, bool)
        _check_lanes(self.lanes, self.first_lane)
        check.instance("generator", self.generator, Generator)
        self.generator.require_lanes(self.first_lane + self.lanes)

    @property
    def saturation(self) -> int:
        """The largest magnitude of a stored weight."""
        return 1 << (self.bits - 2) if self.half else limit(self.bits)

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        zero = "the whole gradient is zero: no weight is stepped, all are clipped"
        rate = "log2 of the learning rate; read with each operand"
        return (
            *OPERAND,
            Port("i_weight", "in", self.bits, True, self.lanes, "stored weights"),
            Port("i_gradient", "in", self.width, True, self.lanes, "their gradients"),
            *RESULT,
            Port("o_weight", "out", self.bits, True, self.lanes, "updated weights"),
            Port("exponent", "in", exponent_bits(self.width), meaning=_EXPONENT),
            Port("zero", "in", 1, meaning=zero),
            Port("rate", "in", RATE_BITS, True, meaning=rate),
        )

    @property
    def latency(self) -> int:
        """Clocks from the one that accepts an operand to the one that shows its result."""
        return 6 + BUFFER_LATENCY

    def borders(self) -> list[Border]:
        """For every shift, once: steps that just saturate a weight or just do not, from both sides,
        and gradients just at the carry of their random word.
        """
        rates = range(-(1 << (RATE_BITS - 1)), 1 << (RATE_BITS - 1))
        found: list[Border] = []
        for shift in range(-rates[-1], self.width - rates[0]):
            # Of the pairs of exponent and rate that give it, one.
            pairs = [(shift + rate, rate) for rate in rates if 0 <= shift + rate < self.width]
            exponent, rate = pairs[shift * 5 % len(pairs)]
            settings = {"exponent": exponent, "rate": rate, "zero": 0}
            dropped = {"i_gradient": shift} if shift > 0 else {}
            found.append(Operands(lanes=self._steps(shift), settings=settings, dropped=dropped))
        settings = {"exponent": 0, "rate": 0, "zero": 1}
        found.append(Operands(lanes=self._steps(0), settings=settings))
        return found

    def _steps(self, shift: int) -> dict[str, tuple[int, ...]]:
        """Weights, and gradients that step them to the saturation or next to it."""
        top, most = self.saturation, (1 << (self.width - 1)) - 1
        # Gradients of one step or none, whose random word says which.
        weights = [top, top, -top, -top, 0, 0] if shift > 0 else []
        gradients = [1, -1] * (len(weights) // 2)
        # Of a step that is too large, each bit has to count.
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
    """Twin of `hdl.WeightUpdate`: stream `i` (`weight`, `gradient`),
    ports `exponent`, `zero`, `rate` to stream `o` (`weight`).
    """

    def __init__(self, config: WeightUpdateConfig):
        self.config = config
        self.ports = config.ports
        self.latency = config.latency
        self.lanes = Lanes(config.generator, config.first_lane, config.lanes)

    def results(self, accepted: Trace, words: Words) -> Trace:
        """See `StreamTwin`."""
        config, gradient, weight = self.config, accepted["i_gradient"], accepted["i_weight"]
        exponent = np.minimum(accepted["exponent"], config.width - 1)
        gradient = gradient * (1 - accepted["zero"][:, None])
        updated = np.zeros_like(weight)
        for k, rate in np.unique(np.stack([exponent, accepted["rate"]]), axis=1).T.tolist():
            rows = (exponent == k) & (accepted["rate"] == rate)
            r = dither(words[rows], k - rate, config.generator.draw)
            # A gradient tensor that is all zero steps nothing, whatever was drawn: sgn(0) = 0.
            updated[rows] = update_weight(
                weight[rows], gradient[rows], k, rate, config.saturation, r
            )
        return {"weight": updated}
