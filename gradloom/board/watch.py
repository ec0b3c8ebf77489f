"""What a board says of its training, beside what the golden trainer says."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from boards.trainer.course import banner
from boards.trainer.training import Line, Training, expected

#: A line of an epoch, or the last one again.
_LINE = re.compile(
    r"(?P<done>done )?epoch=(?P<epoch>\d+) wrong=(?P<wrong>\d+) of=(?P<of>\d+) "
    r"clocks=(?P<clocks>\d+) crc=(?P<crc>[0-9A-F]{8})"
)
_NAMES = ("wrong", "of", "clocks", "crc")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What has been seen in a line.

    Parameters
    ----------
    text
        The line.
    remark
        What is to be said of it.
    wrong
        Whether the board does not do what it must.
    ends
        Whether it was the last line that matters.
    """

    text: str
    remark: str = ""
    wrong: bool = False
    ends: bool = False


class Watch:
    """Compares a board's lines, one after the other.

    A line that is no line of this training is handed on without a word: a terminal may have been
    connected in the middle of one. The first line of an epoch may be that of any epoch.

    Parameters
    ----------
    training
        The training that the board ought to carry out.
    """

    def __init__(self, training: Training):
        self.training = training
        self._expected = expected(training)
        self._known: list[Line] = []
        #: Number of epochs that were compared.
        self.compared = 0
        self._latest: int | None = None

    def line(self, epoch: int) -> Line | None:
        """Return what the board must say of an epoch; None if there is no such epoch."""
        while len(self._known) <= epoch:
            found = next(self._expected, None)
            if found is None:
                return None
            self._known.append(found)
        return self._known[epoch]

    def verdict(self, text: str) -> Verdict:
        """Return what is to be said of a line."""
        if text.startswith("FAULT "):
            return Verdict(text=text, remark="the core has found a fault", wrong=True, ends=True)
        if text.startswith("gradloom ") and " trainer " in text:
            self._latest = None
            if text == (own := banner(self.training)):
                return Verdict(text=text, remark="the same training")
            return Verdict(text=text, remark=f"another training than {own}", wrong=True, ends=True)
        said = _LINE.fullmatch(text)
        if said is None:
            return Verdict(text=text)
        epoch, last = int(said["epoch"]), self.training.compiled.recipe.epochs
        must = self.line(epoch)
        if must is None:
            return Verdict(text=text, remark=f"there are {last} epochs", wrong=True, ends=True)
        skipped = self._latest is not None and epoch > self._latest + 1
        if skipped and not said["done"]:
            remark = f"a line is missing: epoch {(self._latest or 0) + 1}"
            return Verdict(text=text, remark=remark, wrong=True, ends=True)
        for name in _NAMES:
            value: int = getattr(must, name)
            if int(said[name], 16 if name == "crc" else 10) != value:
                shown = f"{value:08X}" if name == "crc" else str(value)
                return Verdict(text=text, remark=f"{name}: {shown} is right", wrong=True, ends=True)
        if said["done"]:
            return Verdict(text=text, remark="equal", wrong=epoch != last, ends=True)
        self._latest = epoch
        self.compared += 1
        return Verdict(text=text, remark="equal", ends=epoch == last)


def lines(parts: Iterable[bytes]) -> Iterator[str]:
    r"""Yield the lines of bytes that come in parts; what is no ASCII is shown as such.

    Examples
    --------
    >>> list(lines([b"one\r\ntw", b"o\r", b"\nthr\xff\nee"]))
    ['one', 'two', 'thr\\xff']
    """
    rest = b""
    for part in parts:
        *whole, rest = (rest + part).split(b"\n")
        for line in whole:
            yield line.rstrip(b"\r").decode("ascii", "backslashreplace")
