"""The printer's configuration and its twin: which characters it sends, and when."""

from dataclasses import dataclass

import numpy as np

from boards.selftest.text import END, NUMBER, WORD
from golden import check
from golden.twin import Trace, Twin


@dataclass(frozen=True, kw_only=True)
class PrinterConfig:
    r"""A printer.

    Parameters
    ----------
    rom
        The messages and words; see `boards.selftest.text.assemble`.
    numbers, words
        How many of each the messages name, 1 to 64.
    width
        Bits of a number, 2 to 62.

    Examples
    --------
    >>> PrinterConfig(rom=b"a\\x80\\0", numbers=1, words=1, width=8).digits
    3
    """

    rom: bytes
    numbers: int
    words: int
    width: int

    def __post_init__(self) -> None:
        check.whole("numbers", self.numbers, 1, 64)
        check.whole("words", self.words, 1, 64)
        check.whole("width", self.width, 2, 62)
        if not self.rom or self.rom[-1] != END:
            raise ValueError(f"rom = {self.rom!r}: it must end with the byte {END}")
        for byte in self.rom:
            if byte >= WORD:
                check.whole("number of a word in rom", byte - WORD, 0, self.words - 1)
            elif byte >= NUMBER:
                check.whole("number of a number in rom", byte - NUMBER, 0, self.numbers - 1)

    @property
    def digits(self) -> int:
        """Most digits of a number."""
        return len(str(2 ** (self.width - 1)))


class Printer(Twin):
    r"""Twin of the printer: `start`, `message`, `numbers`, `words`, `o_ready` in; its outputs out.

    Two clocks fetch a byte of the ROM. Then a character is valid until it is taken; a word follows
    at once; a number takes one clock per bit (after its sign, if it is negative), one clock per
    digit (leading zeros included), and one more. A word must not name another word.

    `o_data` is not specified while `o_valid` is low; here it is 0.

    Examples
    --------
    >>> twin = Printer(PrinterConfig(rom=b"ab\\0", numbers=1, words=1, width=8))
    >>> ones, zeros = np.ones(9, int), np.zeros(9, int)
    >>> inputs = {"start": ones, "message": zeros, "o_ready": ones}
    >>> lanes = {"numbers": zeros[:, None], "words": zeros[:, None]}
    >>> twin.run({**inputs, **lanes})["o_data"].tolist()
    [0, 0, 0, 97, 0, 0, 98, 0, 0]
    """

    def __init__(self, config: PrinterConfig):
        self.config = config

    def stretch(self, inputs: Trace) -> Trace:
        clocks = len(inputs["start"])
        trace = {name: np.zeros(clocks, np.int64) for name in ("busy", "o_valid", "o_data")}
        takes = np.flatnonzero(inputs["o_ready"])
        clock = 0
        while (after := np.flatnonzero(inputs["start"][clock:])).size:
            clock += int(after[0])
            end = self._text(int(inputs["message"][clock]), clock + 1, inputs, takes, trace)
            trace["busy"][clock + 1 : end] = 1
            clock = end
        return trace

    def _text(self, place: int, clock: int, inputs: Trace, takes: np.ndarray, trace: Trace) -> int:
        """Print the text at `place`, whose first byte is fetched at `clock`; return the end."""
        clocks = len(inputs["start"])

        def send(character: int, clock: int) -> int:
            """Show a character until it is taken; return the clock after that."""
            position = int(np.searchsorted(takes, clock))
            stop = int(takes[position]) + 1 if position < len(takes) else clocks
            trace["o_valid"][clock:stop] = 1
            trace["o_data"][clock:stop] = character
            return max(stop, clock)

        while clock + 1 < clocks:
            seen = clock + 1
            byte = self.config.rom[place]
            place, clock = place + 1, seen + 1
            if byte == END:
                return clock
            if byte >= WORD:
                word = int(inputs["words"][seen, byte - WORD])
                clock = self._text(word, clock, inputs, takes, trace)
            elif byte >= NUMBER:
                number = int(inputs["numbers"][seen, byte - NUMBER])
                if number < 0:
                    clock = send(ord("-"), clock)
                clock += self.config.width
                for digit in str(abs(number)).rjust(self.config.digits):
                    clock += 1
                    if digit != " ":
                        clock = send(ord(digit), clock)
                clock += 1
            else:
                clock = send(byte, clock)
        return clocks
