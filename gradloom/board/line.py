"""The line to a board: a serial port, a terminal device, or TCP."""

import os
from collections.abc import Iterator

from gradloom.board.link import LinkError


class LineError(LinkError):
    """A line cannot be opened, or is gone."""


class SerialLine:
    """A serial port, or what pyserial takes in its place.

    Parameters
    ----------
    port
        Name of a device, as /dev/ttyUSB0; or an address, as socket://localhost:7000.
    baud
        Baud rate.

    Raises
    ------
    LineError
        It cannot be opened, or is gone while it is used.
    ModuleNotFoundError
        pyserial is not installed.
    """

    def __init__(self, port: str, baud: int):
        import serial  # type: ignore[import-untyped]

        self._port = port
        # pyserial's own errors are of these kinds.
        self._errors = (OSError, ValueError)
        try:
            self._line = serial.serial_for_url(port, baud, timeout=0.02)
        except self._errors as error:
            raise self._error(error) from None

    def _error(self, error: Exception) -> LineError:
        number = getattr(error, "errno", None)
        return LineError(f"{self._port}: {os.strerror(number) if number else error}")

    def write(self, part: bytes) -> None:
        """Send bytes."""
        try:
            self._line.write(part)
        except self._errors as error:
            raise self._error(error) from None

    def read(self) -> bytes:
        """Return the bytes that have come; waits for some milliseconds if there are none."""
        try:
            return bytes(self._line.read(max(1, self._line.in_waiting)))
        except self._errors as error:
            raise self._error(error) from None

    def parts(self) -> Iterator[bytes]:
        """Yield the bytes that come, for ever."""
        while True:
            yield self.read()
