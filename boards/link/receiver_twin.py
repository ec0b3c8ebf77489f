"""The UART receiver's configuration and its twin: which bytes come, and when."""

from dataclasses import dataclass

import numpy as np

from golden import check
from golden.port import Port
from golden.twin import Trace, Twin


@dataclass(frozen=True, kw_only=True)
class ReceiverConfig:
    """A UART receiver: 8 data bits, no parity, one stop bit.

    Parameters
    ----------
    clocks
        Clocks per bit, 2 to 2**24.

    Examples
    --------
    >>> ReceiverConfig(clocks=4).latency
    39
    """

    clocks: int

    def __post_init__(self) -> None:
        check.whole_fields(self, 2, 1 << 24, "clocks")

    @property
    def latency(self) -> int:
        """Clocks from the first one of a start bit to the one in which the byte is there."""
        return self.clocks // 2 + 9 * self.clocks + 1

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        return (
            Port("rx", "in", 1, meaning="the line; high while idle"),
            Port("valid", "out", 1, meaning="a byte has come"),
            Port("byte", "out", 8, meaning="the byte; not specified without one"),
        )


@dataclass(frozen=True)
class Receiving:
    """What a receiver keeps between two clocks.

    Parameters
    ----------
    age
        Clocks since the first one of a start bit; None without one.
    bits
        Bits that have come, the first one lowest.
    lost
        Whether a stop bit was low, and the line has not been high since.
    valid
        Whether a byte has come in the clock before.
    """

    age: int | None = None
    bits: int = 0
    lost: bool = False
    valid: bool = False


class Receiver(Twin[Receiving]):
    """Twin of the receiver: `rx` in; `valid`, `byte` out.

    A bit is looked at in its middle. A start bit that is high there is none. A byte whose stop bit
    is low is dropped, and the next start bit comes after the line was high.

    `byte` is not specified while `valid` is low; here it is 0.

    Parameters
    ----------
    config
        Clocks per bit.

    Examples
    --------
    >>> sent = {"i_valid": np.ones(60, int), "i_data": np.full(60, 0x55)}
    >>> from boards.link.uart_twin import Transmitter, UartConfig
    >>> line = Transmitter(UartConfig(clocks=4)).run(sent)["tx"]
    >>> out = Receiver(ReceiverConfig(clocks=4)).run({"rx": line})
    >>> out["byte"][out["valid"] == 1].tolist()
    [85]
    """

    def __init__(self, config: ReceiverConfig):
        self.config = config
        self.ports = config.ports

    def initial(self) -> Receiving:
        return Receiving()

    def stretch(self, state: Receiving, inputs: Trace) -> tuple[Receiving, Trace]:
        clocks, half = self.config.clocks, self.config.clocks // 2
        line = inputs["rx"].tolist()
        out: Trace = {name: np.zeros(len(line), np.int64) for name in ("valid", "byte")}
        age, bits, lost, valid = state.age, state.bits, state.lost, state.valid
        for clock, level in enumerate(line):
            if valid:
                out["valid"][clock], out["byte"][clock] = 1, bits
            valid = False
            if age is None:
                lost = lost and not level
                if not level and not lost:
                    age, bits = 0, 0
            if age is not None:
                bit, rest = divmod(age - half, clocks)
                age += 1
                if rest == 0 and bit == 0 and level:
                    age = None
                elif rest == 0 and 1 <= bit <= 8:
                    bits |= level << bit - 1
                elif rest == 0 and bit == 9:
                    age, lost, valid = None, not level, bool(level)
        return Receiving(age, bits, lost, valid), out
