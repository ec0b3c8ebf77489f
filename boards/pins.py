"""The pins of a board: outputs at LEDs and serial lines, and a button."""

from typing import Any

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import io
from amaranth.lib.cdc import FFSynchronizer  # type: ignore[import-untyped]

from boards.board import Pin


class Pins:
    """Pins of a platform, for a top level.

    Parameters
    ----------
    m
        The top level.
    platform
        The platform.
    """

    def __init__(self, m: Module, platform: Any):
        self.m = m
        self.platform = platform
        self._ports: dict[tuple[str, int], Any] = {}

    def _port(self, pin: Pin) -> Any:
        name, number, part = pin
        if (name, number) not in self._ports:
            self._ports[name, number] = self.platform.request(name, number, dir="-")
        port = self._ports[name, number]
        return port if part is None else getattr(port, part)

    def drive(self, name: str, pin: Pin, value: Value) -> None:
        """Put a value on a pin, by a buffer of this name."""
        self.m.submodules[f"{name}_pin"] = buffer = io.Buffer(io.Direction.Output, self._port(pin))
        self.m.d.comb += buffer.o.eq(value)

    def read(self, name: str, pin: Pin, to: Signal) -> None:
        """Read a pin, by a buffer of this name and a synchronizer."""
        self.m.submodules[f"{name}_pin"] = buffer = io.Buffer(io.Direction.Input, self._port(pin))
        self.m.submodules[f"{name}_sync"] = FFSynchronizer(buffer.i, to)
