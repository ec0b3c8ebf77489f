"""Registers behind a plain bus, as the bridges of other buses see them."""

from dataclasses import dataclass

from golden import check
from golden.port import Port

#: Bits and bytes of a register.
WORD, BYTES = 32, 4


@dataclass(frozen=True, kw_only=True)
class Space:
    """Where there are registers, and when the value of one that is read is there.

    Parameters
    ----------
    bits
        Bits of an address, which counts words, 1 to 30.
    addresses
        The addresses at which there is a register.
    latency
        Clocks from the one in which an address is read to the one in which its value is there, 1
        to 255.

    Examples
    --------
    >>> space = Space(bits=3, addresses=(0, 1, 5), latency=2)
    >>> space.known(5), space.known(4)
    (True, False)
    """

    bits: int
    addresses: tuple[int, ...]
    latency: int

    def __post_init__(self) -> None:
        check.whole("bits", self.bits, 1, 30)
        check.whole("latency", self.latency, 1, 255)
        for address in self.addresses:
            check.whole("an address", address, 0, (1 << self.bits) - 1)

    def known(self, address: int) -> bool:
        """Return whether there is a register at an address."""
        return address in self.addresses

    @property
    def ports(self) -> tuple[Port, ...]:
        """The plain bus, as the ports of what drives it."""
        return (
            Port("bus_address", "out", self.bits, meaning="address of the access, in words"),
            Port("bus_write", "out", 1, meaning="the value is written"),
            Port("bus_value", "out", WORD, meaning="what is written"),
            Port("bus_read", "out", 1, meaning="the register is read"),
            Port("bus_data", "in", WORD, meaning=f"what was read {self.latency} clocks ago"),
        )


@dataclass(frozen=True)
class Access:
    """An access on the plain bus.

    Parameters
    ----------
    address
        Its address; 0 in a clock without one.
    write, read
        What it does.
    value
        What is written.
    """

    address: int = 0
    write: bool = False
    read: bool = False
    value: int = 0
