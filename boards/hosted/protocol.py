"""What a computer asks of a core on a board, and what it answers: commands, statuses, and what the
board says of itself. docs/link.md has the same for other languages.
"""

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct

from golden import check
from golden.bus.axi_stream import Beat
from golden.core.config import CoreConfig
from golden.core.edge import input_beat, output_beat
from golden.core.registers import design_hash

#: Version of the commands and of their frames.
VERSION = 1
#: What an answer's kind is higher by than that of its command.
ANSWER = 0x80
#: The largest payload, and the beats of each stream that a board keeps, if nothing else is said.
LONGEST, DEPTH = 1024, 512
#: Bytes of a register's address and of its word, and of a number of beats.
ADDRESS_BYTES, WORD_BYTES = 1, 4
#: The numbers that a board says of itself, before its name.
_NUMBERS = Struct("<BQHBBHBBHI")


class Command(IntEnum):
    """What is asked."""

    #: Begin a session: version (1) and hash of the design (8). Answer: what the board is.
    HELLO = 1
    #: Write registers: how many (1), then address (1) and word (4) of each.
    WRITE = 2
    #: Read registers: an address (1) each. Answer: a word (4) each.
    READ = 3
    #: Put beats into the input stream: whether the last one has `last` (1), how many (1), words.
    SEND = 4
    #: Take beats of the output stream: at most so many (1). Answer: words and `last` (1) of each.
    RECEIVE = 5
    #: Begin the program that the registers name: number of steps (4).
    RUN = 6
    #: Answer: the registers `status`, `steps_done` and `fault` (4 each), beats that the input
    #: stream has room for, and beats that the output stream holds (2 each).
    STATUS = 7
    #: Reset the core softly, and drop the beats of both streams.
    RESET = 8


class Status(IntEnum):
    """The first byte of every answer's payload."""

    #: Carried out.
    OK = 0
    #: There is no session: only HELLO is answered.
    SESSION = 1
    #: The number is neither that of the last command nor the next one; the session is over.
    NUMBER = 2
    #: There is no such command.
    COMMAND = 3
    #: The payload is too short or too long for its command; nothing was done.
    LENGTH = 4
    #: The input stream has no room for so many beats; nothing was done.
    ROOM = 5
    #: HELLO has another version of the commands.
    VERSION = 6
    #: HELLO has the hash of another design.
    DESIGN = 7

    @property
    def text(self) -> str:
        """What it means, in words."""
        return {
            Status.OK: "carried out",
            Status.SESSION: "the board has no session, as after a reset",
            Status.NUMBER: "the board expects a command of another number",
            Status.COMMAND: "the board does not know the command",
            Status.LENGTH: "the command has a wrong length",
            Status.ROOM: "the board has no room for the beats",
            Status.VERSION: "the board has another version of the commands",
            Status.DESIGN: "the board has another design",
        }[self]


@dataclass(frozen=True, kw_only=True)
class About:
    """What a board says of itself.

    Parameters
    ----------
    version
        Version of the commands.
    design
        Hash of the core's design.
    longest
        The most bytes of a payload.
    takes, gives
        Words of a beat of the input and of the output stream, and bits of a word.
    takes_depth, gives_depth
        Beats of each stream that the board keeps.
    frequency
        Frequency of the clock in hertz.
    name
        Name of the board, printable ASCII of at most 32 characters.

    Examples
    --------
    >>> about = About.of(CoreConfig(), frequency=25_000_000, name="desk")
    >>> About.decoded(about.encoded) == about, len(about.encoded)
    (True, 27)
    """

    version: int = VERSION
    design: int
    longest: int = LONGEST
    takes: Beat
    gives: Beat
    takes_depth: int = DEPTH
    gives_depth: int = DEPTH
    frequency: int
    name: str

    def __post_init__(self) -> None:
        check.whole_fields(self, 0, 0xFF, "version")
        check.whole_fields(self, 0, (1 << 64) - 1, "design")
        check.whole_fields(self, 64, 4096, "longest")
        check.whole_fields(self, 2, 0xFFFF, "takes_depth", "gives_depth")
        check.whole_fields(self, 0, (1 << 32) - 1, "frequency")
        if not self.name or len(self.name) > 32 or not self.name.isprintable():
            raise ValueError(f"name = {self.name!r}: 1 to 32 printable characters are wanted")
        if min(self.most_taken, self.most_given) < 1:
            raise ValueError(f"longest = {self.longest}: a beat does not fit a payload")
        if self.takes_depth < self.most_taken:
            raise ValueError(
                f"takes_depth = {self.takes_depth}: at least the {self.most_taken} beats of a "
                "payload are wanted"
            )

    @classmethod
    def of(
        cls, config: CoreConfig, *, frequency: int, name: str, longest: int = LONGEST
    ) -> "About":
        """Return what a board with a core says of itself."""
        return cls(
            design=design_hash(config),
            takes=input_beat(config),
            gives=output_beat(config),
            frequency=frequency,
            name=name,
            longest=longest,
        )

    @property
    def taken_bytes(self) -> int:
        """Bytes of a beat that is put into the input stream."""
        return self.takes.words * self.takes.bytes

    @property
    def given_bytes(self) -> int:
        """Bytes of a beat of the output stream, with its `last`."""
        return self.gives.words * self.gives.bytes + 1

    @property
    def most_taken(self) -> int:
        """The most beats of a SEND."""
        return min(0xFF, (self.longest - 2) // self.taken_bytes)

    @property
    def most_given(self) -> int:
        """The most beats of an answer to RECEIVE."""
        return min(0xFF, (self.longest - 1) // self.given_bytes)

    @property
    def most_read(self) -> int:
        """The most registers of a READ."""
        return (self.longest - 1) // WORD_BYTES

    @property
    def most_written(self) -> int:
        """The most registers of a WRITE."""
        return min(0xFF, (self.longest - 1) // (ADDRESS_BYTES + WORD_BYTES))

    @property
    def encoded(self) -> bytes:
        """The bytes of the answer to HELLO, after its status."""
        takes, gives = self.takes, self.gives
        found = _NUMBERS.pack(
            *(self.version, self.design, self.longest),
            *(takes.words, takes.width, self.takes_depth),
            *(gives.words, gives.width, self.gives_depth),
            self.frequency,
        )
        return found + self.name.encode("ascii")

    @classmethod
    def decoded(cls, content: bytes) -> "About":
        """Return what the answer to HELLO says.

        Raises
        ------
        ValueError
            It is none.
        """
        numbers = _NUMBERS.unpack_from(content.ljust(_NUMBERS.size, b"\0"))
        version, design, longest, words_in, width_in, depth_in, *rest = numbers
        words_out, width_out, depth_out, frequency = rest
        return cls(
            version=version,
            design=design,
            longest=longest,
            takes=Beat(words=words_in, width=width_in),
            gives=Beat(words=words_out, width=width_out),
            takes_depth=depth_in,
            gives_depth=depth_out,
            frequency=frequency,
            name=content[_NUMBERS.size :].decode("ascii"),
        )
