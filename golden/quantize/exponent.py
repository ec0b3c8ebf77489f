"""WAGE's Shift: the exponent of the maximum of a tensor (Wu et al. 2018)."""

from dataclasses import dataclass
from math import isqrt
from typing import ClassVar

import numpy as np

from golden import check
from golden.borders import Border, Course
from golden.buffer import BUFFER_LATENCY, OnePerClock, Queue, grouped, show
from golden.fixed import WIDEST
from golden.lfsr import MOST_LANES
from golden.port import OPERAND, RESULT, Port
from golden.quantize.scale import exponent_bits
from golden.settings import check_settings, setting
from golden.twin import Trace, Twin


def shift_exponent(maximum: int, ceil: bool = False) -> int:
    """Return log2 of Shift(maximum), without a floating-point logarithm.

    Parameters
    ----------
    maximum
        The largest magnitude of a tensor, 1 to 2^62.
    ceil
        Round the exponent up. Otherwise it is rounded to nearest, by a comparison with sqrt 2.

    Raises
    ------
    TypeError, ValueError
        The maximum is not a whole number, or is out of range.

    Examples
    --------
    >>> [shift_exponent(maximum) for maximum in (1, 5, 6, 8)]
    [0, 2, 3, 3]
    >>> shift_exponent(5, ceil=True)
    3
    """
    maximum = check.whole("maximum", maximum, 1, 1 << WIDEST)
    ceil = check.truth("ceil", ceil)
    e = maximum.bit_length() - 1
    return e + (maximum > (1 << e if ceil else isqrt(1 << 2 * e + 1)))


@dataclass(frozen=True, kw_only=True)
class ShiftExponentConfig(OnePerClock):
    """The maximum of a tensor and the exponent of Shift, by which errors and gradients are scaled.

    Parameters
    ----------
    width
        Width of a value, 2 to 62 bits.
    ceil
        Round the exponent up, not to nearest. Rounding up needs only a leading-one detector;
        rounding to nearest also needs a comparison with sqrt 2.
    lanes
        Values per clock, 1 to 255.

    Examples
    --------
    >>> config = ShiftExponentConfig(lanes=8)
    >>> config.levels, config.latency
    (3, 10)
    """

    #: Meaning of each figure.
    FIGURES: ClassVar[dict[str, str]] = {
        "latency": (
            "Clocks from the one that accepts a tensor's last vector to the one that shows its "
            "exponent."
        )
    }

    width: int = setting(32, "Width of a value", low=2, high=WIDEST, unit="bits")
    ceil: bool = setting(
        False,
        "Round the exponent up, not to nearest",
        more="Rounding up needs only a leading-one detector; rounding to nearest also needs a "
        "comparison with sqrt 2.",
    )
    lanes: int = setting(1, "Values per clock", low=1, high=MOST_LANES)

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def levels(self) -> int:
        """Levels of the tree that finds a vector's maximum."""
        return (self.lanes - 1).bit_length()

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        keep = "the value is used; otherwise it counts as 0"
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
        return 1 + self.levels + 4 + BUFFER_LATENCY

    def borders(self) -> list[Border]:
        """Return tensors whose maximum is next to a power of two or to a threshold of Shift.

        Each has one to three vectors and follows the end of another tensor. Lane and sign of the
        maximum vary. All other values are small, or just on the other side of the threshold.
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
        """Operands per clock, and stalls."""
        return (
            "one vector of lanes per clock, tensors back to back; "
            "i_ready is low only at a tensor's last vector, while exponents are not taken"
        )


@dataclass(frozen=True, eq=False)
class _ShiftState:
    """State of the twin of `hdl.ShiftExponent`."""

    queue: Queue
    #: Largest magnitude of the incomplete tensor.
    maximum: int


class ShiftExponent(Twin[_ShiftState]):
    """Twin of `hdl.ShiftExponent`: input stream `i` (`data`, `keep`, `last`); output stream `o`
    (`maximum`, `exponent`, `zero`).

    Parameters
    ----------
    config
        Width, rounding and lanes.

    Examples
    --------
    >>> twin = ShiftExponent(ShiftExponentConfig())
    >>> data = np.array([[5], [-24], [0], [0], [0], [0], [0], [0], [0]])
    >>> one = np.ones(9, int)
    >>> operands = {"i_data": data, "i_keep": one[:, None], "i_last": np.arange(9) == 1}
    >>> trace = twin.run({"i_valid": one, "o_ready": one, **operands})
    >>> trace["o_valid"].tolist()  # 7 clocks after the last vector
    [0, 0, 0, 0, 0, 0, 0, 0, 1]
    >>> int(trace["o_maximum"][-1]), int(trace["o_exponent"][-1])
    (24, 5)
    """

    def __init__(self, config: ShiftExponentConfig):
        check.instance("config", config, ShiftExponentConfig)
        self.config = config
        self.ports = config.ports
        # The exponent of a maximum is the number of these thresholds below it.
        self._below = np.array(
            [1 << e if config.ceil else isqrt(1 << 2 * e + 1) for e in range(WIDEST)], np.int64
        )

    def initial(self) -> _ShiftState:
        """Return the reset state."""
        return _ShiftState(Queue(), 0)

    def stretch(self, state: _ShiftState, inputs: Trace) -> tuple[_ShiftState, Trace]:
        """See `Twin`."""
        config = self.config
        groups = grouped(state.queue, inputs, latency=config.latency, depth=config.buffer)
        accepted = groups.accepted
        data = inputs["i_data"][accepted].astype(np.int64)
        magnitude = (np.abs(data) * inputs["i_keep"][accepted]).max(axis=1, initial=0)
        # The incomplete tensor of the state comes first; the zero at the end belongs to the one
        # after the last complete tensor.
        magnitude = np.concatenate([[state.maximum], magnitude, [0]])
        maxima = np.maximum.reduceat(magnitude, groups.starts)
        maximum, rest = maxima[:-1], int(maxima[-1])
        results = {
            "maximum": maximum,
            "exponent": np.searchsorted(self._below, maximum),
            "zero": (maximum == 0).astype(np.int64),
        }
        queue, shown = show(state.queue, groups.times, results)
        return _ShiftState(queue, rest), {"i_ready": groups.ready.astype(np.int64), **shown}
