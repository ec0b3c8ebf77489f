"""Simulated boards as devices: a terminal device of one's own, or a port of TCP."""

import os
import pty
import select
import socket
import time
import tty
from collections.abc import Callable, Iterable
from functools import partial
from types import TracebackType

from gradloom.board.link import Line

#: Seconds between two turns of a simulated board to which nobody has said anything for a while.
_IDLE = 0.05
#: Turns after which nobody has said anything for a while.
_TURNS = 100


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
            self.write(part)

    def serve(self, board: Line) -> None:
        """Let a board answer what is written to the device, for ever."""
        _serve(self._own, partial(os.read, self._own, 4096), self.write, board)

    def write(self, part: bytes) -> None:
        """Write bytes, as fast as somebody reads them."""
        while part:
            part = part[os.write(self._own, part) :]


def listening(port: int) -> socket.socket:
    """Return a socket at a port of this machine; 0 is any free one.

    Raises
    ------
    OSError
        The port is taken.
    """
    return socket.create_server(("127.0.0.1", port))


def serve_tcp(server: socket.socket, board: Line) -> None:
    """Let a board answer what comes at a socket, one connection after the other, for ever."""
    while True:
        connection, _ = server.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                _serve(
                    connection.fileno(), partial(connection.recv, 4096), connection.sendall, board
                )
            except OSError:
                continue  # the other end has gone


def _serve(
    number: int, read: Callable[[], bytes], write: Callable[[bytes], object], board: Line
) -> None:
    """Pass bytes between a file's number and a board, until there is nobody at the other end."""
    idle = 0
    while True:
        came, _, _ = select.select([number], [], [], 0)
        if came:
            part = read()
            if not part:
                return
            board.write(part)
        said = board.read()
        if said:
            write(said)
        idle = 0 if came or said else idle + 1
        if idle > _TURNS:
            # A board's time goes on, but there is no hurry.
            time.sleep(_IDLE)
