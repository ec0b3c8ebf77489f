"""Borders: operands on both sides of a unit's limits, ties and thresholds.

Random operands seldom come close to a border of a wide word. A configuration's `borders()` lists
operands that do, and the default stimulus includes some of them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from golden import check
from golden.fixed import Codes
from golden.port import clocks_of

#: No value is beyond it.
_FAR = 1 << 128


@dataclass(frozen=True, kw_only=True)
class Operands:
    """Operands of one clock each. A stimulus takes one row of the table for each lane.

    Parameters
    ----------
    lanes
        A table with one column per port: the values in row k are given to the ports together.
    settings
        Values of ports without lanes.
    dropped
        Number of low bits of a port to which the unit adds a random word. The stimulus sets these
        bits so that the addition just carries, or just does not.

    Examples
    --------
    >>> Operands(lanes={"i_data": (-1, 0, 1)}, settings={"shift": 3}).rows
    3
    """

    lanes: Mapping[str, tuple[int, ...]]
    settings: Mapping[str, int] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.lanes:
            raise ValueError("lanes: values of a port or more are wanted")
        for name, values in self.lanes.items():
            check.integers(name, values)
            if len(values) != self.rows:
                raise ValueError(f"{name} has {len(values)} values: {self.rows} are wanted")
        for name, value in {**self.settings, **self.dropped}.items():
            check.whole(name, value, -_FAR, _FAR)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(next(iter(self.lanes.values())))


@dataclass(frozen=True, kw_only=True)
class Course:
    """Operands of several successive clocks.

    Parameters
    ----------
    ports
        Values by port: one entry per clock, and a second axis if the port has lanes.
    """

    ports: Mapping[str, Codes]

    def __post_init__(self) -> None:
        clocks_of({name: check.integers(name, values) for name, values in self.ports.items()})


#: An item of the list of `borders()`.
Border = Operands | Course


def _whole(values: Iterable[int]) -> list[int]:
    """Return whole numbers of any type as those of Python."""
    return [check.whole("a value", value, -_FAR, _FAR) for value in values]


def around(values: Iterable[int], low: int, high: int, reach: int = 2) -> tuple[int, ...]:
    """Return the integers from `low` to `high` within a distance of `reach` from any of `values`.

    Examples
    --------
    >>> around([0, 9], -1, 9, reach=1)
    (-1, 0, 1, 8, 9)
    """
    low, high, reach = _whole((low, high, reach))
    near = {value + k for value in _whole(values) for k in range(-reach, reach + 1)}
    return tuple(sorted(value for value in near if low <= value <= high))


def rounded_at(codes: Iterable[int], dropped: int) -> list[int]:
    """Return each of `codes` as a value with `dropped` more bits, and the tie above it.

    Examples
    --------
    >>> rounded_at([1, 2], 3)
    [8, 12, 16, 20]
    """
    dropped = check.whole("dropped", dropped, -_FAR.bit_length(), _FAR.bit_length())
    if dropped <= 0:
        return [code >> -dropped for code in _whole(codes)]
    half = 1 << (dropped - 1)
    doubled = (code << dropped for code in _whole(codes))
    return [value for code in doubled for value in (code, code + half)]


def lone(first: int, width: int, dropped: int = 0) -> tuple[int, ...]:
    """Return codes in which a single bit differs from the sign bit.

    A unit detects overflow by all bits from `first` up; each of them must have an effect.

    Parameters
    ----------
    first
        The lowest of the bits that differ.
    width
        Bits of a code.
    dropped
        Number of low bits that are 0.

    Examples
    --------
    >>> [f"{code & 0xFF:08b}" for code in lone(5, 8, dropped=2)]
    ['00100000', '01000000', '11011100', '10111100']
    """
    first, width, dropped = _whole((first, width, dropped))
    bits = [1 << bit for bit in range(first, width - 1)]
    return (*bits, *(~bit >> dropped << dropped for bit in bits))
