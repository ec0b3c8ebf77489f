"""Asks a board: commands and their answers over a serial line, a terminal device, or TCP."""

import random
import time
from collections.abc import Callable
from typing import Protocol

from boards.hosted.protocol import ANSWER, VERSION, About, Command, Status
from boards.link.frame import Frame, Frames
from gradloom.core.errors import CoreError

#: How many times as long the last waits for an answer are as the first.
_LONGEST = 8


class LinkError(CoreError):
    """A board does not answer, or refuses a command."""


class RefusedError(LinkError):
    """A board has refused a command.

    Parameters
    ----------
    command
        The command.
    status
        Why.
    """

    def __init__(self, command: int, status: int):
        self.status = status
        try:
            why = Status(status).text
        except ValueError:
            why = f"status {status}"
        super().__init__(f"{Command(command).name}: {why}")


class Line(Protocol):
    """A serial line, or what is in its place."""

    def write(self, part: bytes) -> object:
        """Send bytes."""

    def read(self) -> bytes:
        """Return the bytes that have come; waits for some milliseconds if there are none."""


class Link:
    """A session with a board.

    A command is sent again until its answer comes. The board carries out a command of the same
    number once, so that nothing happens twice.

    Parameters
    ----------
    line
        The line.
    design
        Hash of the design that the board must have; None to only ask what it is.
    patience
        Seconds after which a command is sent again; twice as long with each time, up to eight
        times as long.
    attempts
        How often it is sent.
    seed
        Seed of the first number; None for any.
    clock
        Returns the time in seconds.

    Attributes
    ----------
    about : About
        What the board is.
    repeated : int
        Commands that were sent again.

    Raises
    ------
    LinkError
        No board answers, or it is another one.
    """

    def __init__(
        self,
        line: Line,
        design: int | None,
        *,
        patience: float = 0.4,
        attempts: int = 8,
        seed: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.line = line
        self.patience = patience
        self.attempts = attempts
        self.repeated = 0
        self._clock = clock
        self._number = random.Random(seed).randrange(1 << 16)
        self._frames = Frames()
        hello = bytes([VERSION]) + (design or 0).to_bytes(8, "little")
        status, content = self._asked(Command.HELLO, hello)
        if status == Status.VERSION:
            raise RefusedError(Command.HELLO, status)
        try:
            self.about = About.decoded(content)
        except ValueError as error:
            raise LinkError(f"the board says of itself what cannot be: {error}") from None
        if design is not None and status != Status.OK:
            raise LinkError(
                f"board {self.about.name} has the design {self.about.design:016x}, and "
                f"{design:016x} is wanted: build it with the same recipe and settings"
            )

    @property
    def dropped(self) -> int:
        """Frames that came damaged."""
        return self._frames.dropped

    def ask(self, command: Command, payload: bytes = b"") -> bytes:
        """Return what a board answers, after the status.

        Raises
        ------
        RefusedError
            It refuses the command.
        LinkError
            It does not answer.
        """
        status, content = self._asked(command, payload)
        if status != Status.OK:
            raise RefusedError(command, status)
        return content

    def _asked(self, command: Command, payload: bytes) -> tuple[int, bytes]:
        """Return status and content of the answer to a new command."""
        self._number = (self._number + 1) & 0xFFFF
        sent = Frame(command, self._number, payload).encoded
        patience = self.patience
        for attempt in range(self.attempts):
            self.repeated += attempt > 0
            self.line.write(sent)
            ends = self._clock() + patience
            while self._clock() < ends:
                for frame in self._frames.decoded(self.line.read()):
                    right = frame.kind == command | ANSWER and frame.number == self._number
                    if right and frame.payload:
                        return frame.payload[0], frame.payload[1:]
            patience = min(2 * patience, _LONGEST * self.patience)
        raise LinkError(
            f"no answer to {command.name}, which was sent {self.attempts} times: is the board on, "
            "and its line the right one?"
        )
