"""A terminal device of one's own, as the serial port of a simulated board."""

import os
import pty
import tty
from collections.abc import Iterable
from types import TracebackType


class Terminal:
    """A pseudo-terminal: who opens `name` reads what is played.

    Use it as a context manager. Bytes come as they are: the device is raw.

    Examples
    --------
    >>> with Terminal() as terminal:
    ...     terminal.name.startswith("/dev/")
    True
    """

    def __init__(self) -> None:
        self._own, self._other = pty.openpty()
        tty.setraw(self._other)
        #: Name of the device.
        self.name = os.ttyname(self._other)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._own)
        os.close(self._other)

    def play(self, parts: Iterable[bytes]) -> None:
        """Write parts, and wait while the device is full of what nobody has read."""
        for part in parts:
            while part:
                part = part[os.write(self._own, part) :]
