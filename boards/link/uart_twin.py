"""The UART transmitter's configuration and its twin: the line's level at every clock."""

from dataclasses import dataclass

import numpy as np

from golden import check
from golden.twin import Trace, Twin

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
        check.whole("clocks", self.clocks, 2, 1 << 24)

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
                f"{baud} baud at a clock of {frequency / 1e6:g} MHz: {clocks} clocks per bit are "
                f"{frequency / max(clocks, 1):.0f} baud; at least 2 clocks and at most "
                f"{TOLERANCE:.0%} off are allowed"
            )
        return cls(clocks=clocks)


class Transmitter(Twin):
    """Twin of the transmitter: `i_valid`, `i_data` in; `i_ready`, `tx` out.

    Examples
    --------
    >>> inputs = {"i_valid": np.ones(23, int), "i_data": np.full(23, 0x55)}
    >>> Transmitter(UartConfig(clocks=2)).run(inputs)["tx"].tolist()
    [1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 1]
    """

    def __init__(self, config: UartConfig):
        self.config = config

    def stretch(self, inputs: Trace) -> Trace:
        config = self.config
        clocks = len(inputs["i_valid"])
        ready, tx = np.ones(clocks, np.int64), np.ones(clocks, np.int64)
        free = 0
        for clock in np.flatnonzero(inputs["i_valid"]).tolist():
            if clock < free:
                continue
            free = clock + config.period
            ready[clock + 1 : free] = 0
            frame = [0, *(int(inputs["i_data"][clock]) >> bit & 1 for bit in range(8)), 1]
            line = np.repeat(frame, config.clocks)[: max(clocks - clock - config.latency, 0)]
            tx[clock + config.latency :][: len(line)] = line
        return {"i_ready": ready, "tx": tx}
