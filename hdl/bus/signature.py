"""The plain bus of registers, to which the wrappers of other buses adapt."""

from amaranth.hdl import Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.core.field import WORD
from golden.core.registers import ADDRESS


class RegisterBus(wiring.Signature):
    """Reads and writes of registers of 32 bits, one access in a clock; nothing ever waits.

    A read's value is at `data` after a fixed number of clocks, `golden.core.registers.READ_LATENCY`
    for a core. It shows all writes of earlier clocks, for a core also those of its own clock and of
    the one after it.

    Members
    -------
    address : Out(bits)
        Address of the access; it counts words.
    write : Out(1)
        `value` is written.
    value : Out(32)
        What is written.
    read : Out(1)
        The register is read. A read and a write in the same clock are of the same register; a core
        gives what is written.
    data : In(32)
        The register that was read; 0 for a clock without a read, and for an address without a
        register.

    Examples
    --------
    >>> sorted(RegisterBus().members)
    ['address', 'data', 'read', 'value', 'write']
    """

    def __init__(self, address: int = ADDRESS):
        super().__init__(
            {
                "address": Out(address),
                "write": Out(1),
                "value": Out(WORD),
                "read": Out(1),
                "data": In(WORD),
            }
        )

    def create(self, *, path: tuple[str | int, ...] = (), src_loc_at: int = 0) -> "RegisterPort":
        return RegisterPort(self, path=path, src_loc_at=1 + src_loc_at)


class RegisterPort(wiring.PureInterface):
    """The signals of a `RegisterBus`."""

    address: Signal
    write: Signal
    value: Signal
    read: Signal
    data: Signal
