"""The printer's configuration and its twin: which characters it sends, and when."""

from dataclasses import dataclass

import numpy as np

from boards.link.text import END, NUMBER, WORD
from golden import check
from golden.port import Port
from golden.twin import Trace, Twin


@dataclass(frozen=True, kw_only=True)
class PrinterConfig:
    r"""A printer.

    Parameters
    ----------
    rom
        The messages and words; see `boards.link.text.assemble`.
    numbers, words
        How many of each the messages name, 1 to 64.
    width
        Bits of a number, 2 to 62.

    Examples
    --------
    >>> PrinterConfig(rom=b"a\x80\0", numbers=1, words=1, width=8).digits
    3
    """

    rom: bytes
    numbers: int
    words: int
    width: int

    def __post_init__(self) -> None:
        check.whole_fields(self, 1, 64, "numbers", "words")
        check.whole_fields(self, 2, 62, "width")
        if not self.rom or self.rom[-1] != END:
            raise ValueError(f"rom = {self.rom!r}: it must end with the byte {END}")
        for byte in self.rom:
            if byte >= WORD:
                check.whole("number of a word in rom", byte - WORD, 0, self.words - 1)
            elif byte >= NUMBER:
                check.whole("number of a number in rom", byte - NUMBER, 0, self.numbers - 1)

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        return (
            Port("start", "in", 1, meaning="print a message, while `busy` is low"),
            Port("message", "in", self.place_bits, meaning="position of the message's first byte"),
            Port("busy", "out", 1, meaning="a message is being printed"),
            Port("numbers", "in", self.width, True, self.numbers, "the numbers"),
            Port("words", "in", self.place_bits, False, self.words, "position of each word"),
            Port("o_valid", "out", 1, meaning="a character is there; it stays until it is taken"),
            Port("o_ready", "in", 1, meaning="the character is taken at this clock edge"),
            Port("o_data", "out", 8, meaning="the character; not specified without one"),
        )

    @property
    def place_bits(self) -> int:
        """Bits of a position in the ROM."""
        return max((len(self.rom) - 1).bit_length(), 1)

    @property
    def digits(self) -> int:
        """Most digits of a number."""
        return len(str(2 ** (self.width - 1)))


@dataclass(frozen=True)
class Wait:
    """Some clocks in which nothing shows."""

    clocks: int


@dataclass(frozen=True)
class Send:
    """A character, shown until it is taken."""

    character: int


@dataclass(frozen=True)
class Look:
    """The clock that sees the byte at a position of the ROM, and decides what follows."""

    place: int


#: What a printer still has to do, the present step first; nothing while it is idle.
Plan = tuple[Wait | Send | Look, ...]


def _fetch(place: int) -> Plan:
    """The steps that fetch a byte: one clock for the ROM, and one that sees it."""
    return Wait(1), Look(place)


class Printer(Twin[Plan]):
    r"""Twin of the printer: `start`, `message`, `numbers`, `words`, `o_ready` in; its outputs out.

    Two clocks fetch a byte of the ROM. Then a character is valid until it is taken; a word follows
    at once; a number takes one clock per bit (after its sign, if it is negative), one clock per
    digit (leading zeros included), and one more. A word must not name another word.

    `o_data` is not specified while `o_valid` is low; here it is 0.

    Parameters
    ----------
    config
        The ROM, and how many numbers and words its messages name.

    Examples
    --------
    >>> twin = Printer(PrinterConfig(rom=b"ab\0", numbers=1, words=1, width=8))
    >>> ones, zeros = np.ones(9, int), np.zeros(9, int)
    >>> inputs = {"start": ones, "message": zeros, "o_ready": ones}
    >>> lanes = {"numbers": zeros[:, None], "words": zeros[:, None]}
    >>> twin.run({**inputs, **lanes})["o_data"].tolist()
    [0, 0, 0, 97, 0, 0, 98, 0, 0]
    """

    def __init__(self, config: PrinterConfig):
        self.config = config
        self.ports = config.ports

    def initial(self) -> Plan:
        return ()

    def stretch(self, state: Plan, inputs: Trace) -> tuple[Plan, Trace]:
        plan = state
        out = {
            name: np.zeros(len(inputs["start"]), np.int64) for name in ("busy", "o_valid", "o_data")
        }
        for clock, (start, taken) in enumerate(zip(inputs["start"], inputs["o_ready"])):
            if not plan:
                plan = _fetch(int(inputs["message"][clock])) if start else ()
                continue
            out["busy"][clock] = 1
            step, *rest = plan
            if isinstance(step, Send):
                out["o_valid"][clock], out["o_data"][clock] = 1, step.character
                plan = tuple(rest) if taken else plan
            elif isinstance(step, Wait):
                plan = (*([Wait(step.clocks - 1)] if step.clocks > 1 else []), *rest)
            else:
                numbers, words = inputs["numbers"][clock], inputs["words"][clock]
                plan = (*self._seen(step.place, numbers.tolist(), words.tolist()), *rest)
        return plan, out

    def _seen(self, place: int, numbers: list[int], words: list[int]) -> Plan:
        """The steps that follow the clock which sees the byte at `place`."""
        byte = self.config.rom[place]
        if byte == END:
            return ()
        if byte >= WORD:
            return *_fetch(words[byte - WORD]), *_fetch(place + 1)
        if byte < NUMBER:
            return Send(byte), *_fetch(place + 1)
        number = numbers[byte - NUMBER]
        steps: list[Wait | Send | Look] = [Send(ord("-"))] if number < 0 else []
        steps.append(Wait(self.config.width))
        for digit in str(abs(number)).rjust(self.config.digits):
            steps.append(Wait(1))
            if digit != " ":
                steps.append(Send(ord(digit)))
        return *steps, Wait(1), *_fetch(place + 1)
