"""A core on a board, which carries out one program after another."""

import time
from collections.abc import Sequence

import numpy as np

from boards.hosted.protocol import Command, Status
from golden.core.field import WORD
from golden.core.lower import Compiled
from golden.core.program import Program
from golden.core.registers import design_hash
from golden.fixed import Codes
from gradloom.board.link import Line, Link, RefusedError
from gradloom.core.driver import MOST, Driver
from gradloom.core.errors import CoreError
from gradloom.core.ran import Ran

#: Seconds in which a program must move something, before it is taken to stand still.
_STILL = 30.0


class BoardDriver(Driver):
    """Drives a core on a board.

    Parameters
    ----------
    compiled
        The network on the core.
    line
        The line to the board.
    options
        Keywords of `Link`.

    Raises
    ------
    LinkError
        No board answers, or it has another design.
    """

    def __init__(self, compiled: Compiled, line: Line, **options: object):
        super().__init__(compiled)
        self.link = Link(line, design_hash(compiled.config), **options)  # type: ignore[arg-type]
        self._beats: list[bytes] = []
        self._lasts: list[bool] = []
        self.reset()

    def send(self, beats: Codes) -> None:
        about = self.link.about
        size, mask = about.takes.bytes, (1 << 8 * about.takes.bytes) - 1
        for *words, last in beats.tolist():
            self._beats.append(b"".join((w & mask).to_bytes(size, "little") for w in words))
            self._lasts.append(bool(last))

    def write(self, *accesses: tuple[str, int]) -> None:
        most = self.link.about.most_written
        for first in range(0, len(accesses), most):
            part = accesses[first : first + most]
            content = bytes([len(part)])
            for name, word in part:
                address = self.registers.named(name).address
                content += bytes([address]) + (word & (1 << WORD) - 1).to_bytes(4, "little")
            self.link.ask(Command.WRITE, content)

    def read(self, *names: str) -> list[int]:
        most, found = self.link.about.most_read, []
        for first in range(0, len(names), most):
            part = names[first : first + most]
            asked = bytes(self.registers.named(name).address for name in part)
            content = self.link.ask(Command.READ, asked)
            found += np.frombuffer(content, "<u4").tolist()
        return [int(word) for word in found]

    def reset(self) -> None:
        self._beats, self._lasts = [], []
        self.link.ask(Command.RESET)

    def run(self, program: Program, steps: int, rate: int = 0, most: int = MOST) -> Ran:
        self.prepare(program, steps, rate)
        self.link.ask(Command.RUN, steps.to_bytes(4, "little"))
        parts: list[bytes] = []
        moved = time.monotonic()
        limit = _STILL + most / max(1, self.link.about.frequency)
        while True:
            word, _, _, room, held = self.status()
            sent = self._sent(room)
            got = self._received(held)
            parts += got
            if sent or got:
                moved = time.monotonic()
            running = self.registers.named("status")["running"].of(word)
            if not running and not held:
                break
            if time.monotonic() - moved > limit:
                raise CoreError(f"{program.name}: the core stands still, status {word:#x}")
        wrong, done = self.checked(program)
        return Ran(start=0, events={"out": self._events(parts)}, done={}, wrong=wrong, steps=done)

    def status(self) -> tuple[int, int, int, int, int]:
        """Return the registers `status`, `steps_done`, `fault`, and the beats of the streams."""
        content = self.link.ask(Command.STATUS)
        status, steps, fault = np.frombuffer(content[:12], "<u4").tolist()
        room, held = np.frombuffer(content[12:], "<u2").tolist()
        return status, steps, fault, room, held

    def _sent(self, room: int) -> int:
        """Put beats into the input stream, as many as there is room for; returns their number."""
        total = 0
        while self._beats and room:
            number = min(room, self.link.about.most_taken, len(self._beats))
            # Only the last beat of a command may end a batch.
            if True in self._lasts[:number]:
                number = self._lasts.index(True) + 1
            last = self._lasts[number - 1]
            content = bytes([last, number]) + b"".join(self._beats[:number])
            try:
                self.link.ask(Command.SEND, content)
            except RefusedError as error:
                if error.status == Status.ROOM:
                    return total
                raise
            del self._beats[:number], self._lasts[:number]
            total += number
            room -= number
        return total

    def _received(self, held: int) -> list[bytes]:
        """Take beats of the output stream, each as its bytes."""
        about, found = self.link.about, []
        while held > 0:
            most = min(held, about.most_given)
            content = self.link.ask(Command.RECEIVE, bytes([most]))
            size = about.given_bytes
            part = [content[at : at + size] for at in range(0, len(content), size)]
            if not part:
                break
            found += part
            held -= len(part)
        return found

    def _events(self, parts: Sequence[bytes]) -> "np.ndarray[tuple[int], np.dtype[np.void]]":
        """Return beats as events of the output stream."""
        about = self.link.about
        words, size = about.gives.words, about.gives.bytes
        found = np.zeros(len(parts), [("o_words", np.int64, (words,)), ("o_last", np.int64)])
        raw = np.frombuffer(b"".join(parts), np.uint8).reshape(len(parts), about.given_bytes)
        each = raw[:, :-1].reshape(len(parts), words, size).astype(np.int64)
        values = (each << 8 * np.arange(size)).sum(axis=2)
        top = 1 << 8 * size - 1
        found["o_words"] = (values ^ top) - top
        found["o_last"] = raw[:, -1] & 1
        return found
