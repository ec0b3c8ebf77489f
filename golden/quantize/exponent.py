"""WAGE Shift: the exponent of the maximum of a tensor (Wu et al. 2018)."""

from dataclasses import dataclass
from math import isqrt
from typing import ClassVar

import numpy as np

from golden.borders import Border, Course
from golden.buffer import BUFFER_LATENCY, OnePerClock, Queue, schedule, show
from golden.fixed import WIDEST
from golden.lfsr import MOST_LANES
from golden.port import OPERAND, RESULT, Port
from golden.quantize.scale import exponent_bits
from golden.settings import check_settings, setting
from golden.twin import Trace, Twin


def shift_exponent(maximum: int, ceil: bool = False) -> int:
    """log2 of Shift(maximum), `maximum` > 0: rounded (a compare with sqrt 2), or rounded up.
    No float logarithm.
    """
    e = int(maximum).bit_length() - 1
    return e + (maximum > (1 << e if ceil else isqrt(1 << 2 * e + 1)))


@dataclass(frozen=True, kw_only=True)
class ShiftExponentConfig(OnePerClock):
    """The maximum of a tensor and the exponent of Shift, by which errors and gradients are scaled.

    Parameters
    ----------
    width
        Width of a value, 2 to 62 bits.
    ceil
        Round the exponent up and not to nearest. That takes a leading-one detector alone; to
        nearest takes a compare with sqrt 2 too.
    lanes
        Values per clock, 1 to 255.
    """

    #: What each figure counts.
    FIGURES: ClassVar[dict[str, str]] = {
        "latency": (
            "Clocks from the one that accepts a tensor's last vector to the one that shows its "
            "exponent."
        )
    }

    width: int = setting(32, "Width of a value", low=2, high=WIDEST, unit="bits")
    ceil: bool = setting(
        False,
        "Round the exponent up and not to nearest",
        more="That takes a leading-one detector alone; to nearest takes a compare with sqrt 2 too.",
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
        config = self.config
        valid, last = inputs["i_valid"] != 0, inputs["i_last"] != 0
        times = schedule(
            state.queue,
            valid & last,
            inputs["o_ready"] != 0,
            latency=config.latency,
            depth=config.buffer,
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
