"""Where a unit's results change: operands on both sides of its limits, ties and thresholds.

Random operands seldom meet a border of a wide word. A configuration's `borders()` lists what does;
the default stimulus builds a part of its operands from that.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from golden.fixed import Codes


@dataclass(frozen=True, kw_only=True)
class Operands:
    """Operands that take one clock: each lane has one of the rows.

    Parameters
    ----------
    lanes
        Columns by port: row k of all of them belongs together.
    settings
        Values of ports without lanes.
    dropped
        By port, how many of its low bits meet a random word. They are to be set so that with the
        word they just carry, or just do not.
    """

    lanes: Mapping[str, tuple[int, ...]]
    settings: Mapping[str, int] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(next(iter(self.lanes.values())))


@dataclass(frozen=True, kw_only=True)
class Course:
    """Operands of several clocks, one after the other.

    Parameters
    ----------
    ports
        Values by port, one entry a clock, and a second axis where the port carries lanes.
    """

    ports: Mapping[str, Codes]


#: Anything that `borders()` lists.
Border = Operands | Course


def around(values: Iterable[int], low: int, high: int, reach: int = 2) -> tuple[int, ...]:
    """The numbers from `low` to `high` that are within `reach` of one of `values`."""
    near = {value + k for value in values for k in range(-reach, reach + 1)}
    return tuple(sorted(value for value in near if low <= value <= high))


def rounded_at(codes: Iterable[int], dropped: int) -> list[int]:
    """Values that round to `codes` and next to them: each code, and the tie above it."""
    if dropped <= 0:
        return [code >> -dropped for code in codes]
    half = 1 << (dropped - 1)
    return [value for code in codes for value in (code << dropped, (code << dropped) + half)]


def lone(first: int, width: int, dropped: int = 0) -> tuple[int, ...]:
    """Codes of `width` bits: from bit `first` on a single bit is not as the sign, and the `dropped`
    lowest are 0.

    What detects that a code is too large looks at all these bits, and each has to count.
    """
    bits = [1 << bit for bit in range(first, width - 1)]
    return (*bits, *(~bit >> dropped << dropped for bit in bits))
