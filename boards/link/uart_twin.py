"""The UART transmitter's configuration and its twin: the line's level at every clock."""

from dataclasses import dataclass

import numpy as np

from golden import check
from golden.port import Port
from golden.twin import Trace, Twin

#: Baud rate of a board's line, if no other one is chosen.
BAUD = 115200
#: How far a bit's time may be off: a receiver samples the tenth bit in its middle, and its own
#: clock has a percent or two of error as well.
TOLERANCE = 0.02


@dataclass(frozen=True, kw_only=True)
class UartConfig:
    """A UART transmitter: 8 data bits, no parity, one stop bit.

    Parameters
    ----------
    clocks
        Clocks per bit, 2 to 2**24.

    Examples
    --------
    >>> UartConfig(clocks=5).period
    51
    """

    clocks: int

    #: Clocks from the one that accepts a byte to the first one of its start bit.
    latency = 2

    def __post_init__(self) -> None:
        check.whole_fields(self, 2, 1 << 24, "clocks")

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        return (
            Port("i_valid", "in", 1, meaning="a byte is offered"),
            Port("i_ready", "out", 1, meaning="a byte is taken, if one is offered"),
            Port("i_data", "in", 8, meaning="the byte"),
            Port("tx", "out", 1, meaning="the line; high while idle"),
        )

    @property
    def period(self) -> int:
        """Least number of clocks from one accepted byte to the next: ten bits and one clock."""
        return 10 * self.clocks + 1

    @classmethod
    def at(cls, frequency: float, baud: int) -> "UartConfig":
        """Return the configuration for a baud rate at a clock of `frequency` hertz.

        Raises
        ------
        ValueError
            No whole number of clocks comes near enough to a bit's time.

        Examples
        --------
        >>> UartConfig.at(25e6, 115200)
        UartConfig(clocks=217)
        """
        clocks = round(frequency / baud)
        if clocks < 2 or abs(frequency / clocks / baud - 1) > TOLERANCE:
            raise ValueError(
                f"{baud:.0f} baud at a clock of {frequency / 1e6:g} MHz: {clocks} clocks per bit "
                f"are {frequency / max(clocks, 1):.0f} baud; at least 2 clocks and at most "
                f"{TOLERANCE:.0%} off are allowed"
            )
        return cls(clocks=clocks)


@dataclass(frozen=True)
class Sending:
    """The byte that a transmitter has accepted last.

    Parameters
    ----------
    byte
        The byte.
    age
        Clocks since the one that accepted it.
    """

    byte: int
    age: int


class Transmitter(Twin[Sending | None]):
    """Twin of the transmitter: `i_valid`, `i_data` in; `i_ready`, `tx` out.

    Parameters
    ----------
    config
        Clocks per bit.

    Examples
    --------
    >>> inputs = {"i_valid": np.ones(23, int), "i_data": np.full(23, 0x55)}
    >>> Transmitter(UartConfig(clocks=2)).run(inputs)["tx"].tolist()
    [1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 1]
    """

    def __init__(self, config: UartConfig):
        self.config = config
        self.ports = config.ports

    def initial(self) -> Sending | None:
        return None

    def stretch(self, state: Sending | None, inputs: Trace) -> tuple[Sending | None, Trace]:
        config = self.config
        clocks = len(inputs["i_valid"])
        out: Trace = {name: np.ones(clocks, np.int64) for name in ("i_ready", "tx")}
        sent = [] if state is None else [(-state.age, state.byte)]
        free = 0 if state is None else config.period - state.age
        for clock in np.flatnonzero(inputs["i_valid"]).tolist():
            if clock >= free:
                sent.append((clock, int(inputs["i_data"][clock])))
                free = clock + config.period
        for clock, byte in sent:
            out["i_ready"][max(clock + 1, 0) : max(clock + config.period, 0)] = 0
            for place, level in enumerate([0, *(byte >> bit & 1 for bit in range(8)), 1]):
                start = clock + config.latency + place * config.clocks
                out["tx"][max(start, 0) : max(start + config.clocks, 0)] = level
        if not sent or (age := clocks - sent[-1][0]) > config.period:
            return None, out
        return Sending(sent[-1][1], age), out
