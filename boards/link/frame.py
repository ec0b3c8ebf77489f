r"""Frames on a serial line: what a computer asks of a board, and what the board answers.

A frame is between two flags, in the octet stuffing of RFC 1662: a flag or an escape inside is sent
as an escape and the byte XOR 0x20. Inside are a header, a payload, and the CRC-32/ISO-HDLC of both,
the lowest byte first:

    kind (1)  number (2)  length (2)  payload (length)  CRC (4)

A frame of a wrong length or with a wrong checksum is dropped without an answer.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from golden import check

#: A flag begins and ends a frame; an escape is before a byte that is changed.
FLAG, ESCAPE, CHANGE = 0x7E, 0x7D, 0x20
#: Bytes of a header, and of a checksum.
HEADER, SUM = 5, 4
#: The most bytes of a payload that a length can say.
LONGEST = 0xFFFF


@dataclass(frozen=True)
class Frame:
    r"""A frame.

    Parameters
    ----------
    kind
        What it is: a `Command`, or an answer to it.
    number
        Its number; that of an answer is the command's.
    payload
        What it carries.

    Examples
    --------
    >>> frame = Frame(6, 0x0102, b"~a")
    >>> frame.content
    b'\x06\x02\x01\x02\x00~a'
    >>> frame.encoded[:9], len(frame.encoded)
    (b'~\x06\x02\x01\x02\x00}^a', 14)
    >>> next(Frames().decoded(frame.encoded)) == frame
    True
    """

    kind: int
    number: int
    payload: bytes = b""

    def __post_init__(self) -> None:
        check.whole_fields(self, 0, 0xFF, "kind")
        check.whole_fields(self, 0, 0xFFFF, "number")
        check.whole("bytes of payload", len(self.payload), 0, LONGEST)

    @property
    def content(self) -> bytes:
        """Header and payload."""
        words = (self.number, len(self.payload))
        header = bytes([self.kind]) + b"".join(word.to_bytes(2, "little") for word in words)
        return header + self.payload

    @property
    def encoded(self) -> bytes:
        """The bytes on the line."""
        whole = self.content + zlib.crc32(self.content).to_bytes(SUM, "little")
        inside = bytearray()
        for byte in whole:
            inside += bytes([ESCAPE, byte ^ CHANGE]) if byte in (FLAG, ESCAPE) else bytes([byte])
        return bytes([FLAG, *inside, FLAG])


class Frames:
    """Finds the frames in bytes that come in parts.

    Parameters
    ----------
    longest
        The most bytes of a payload.

    Attributes
    ----------
    dropped : int
        Frames that were dropped: too long, cut, or with a wrong length or checksum.
    """

    def __init__(self, longest: int = LONGEST):
        self.longest = longest
        self.dropped = 0
        self._inside: bytearray | None = None
        self._escaped = False

    def decoded(self, part: bytes) -> Iterator[Frame]:
        """Yield the frames that end in a further part."""
        for byte in part:
            if byte == FLAG:
                found = self._ended()
                self._inside, self._escaped = bytearray(), False
                if found is not None:
                    yield found
            elif self._inside is None:
                continue
            elif len(self._inside) > self.longest + HEADER + SUM:
                self.dropped += 1
                self._inside = None
            elif self._escaped:
                self._inside.append(byte ^ CHANGE)
                self._escaped = False
            elif byte == ESCAPE:
                self._escaped = True
            else:
                self._inside.append(byte)

    def _ended(self) -> Frame | None:
        """Return the frame that a flag has ended, if it is one."""
        if not self._inside:
            return None
        content, crc = bytes(self._inside[:-SUM]), self._inside[-SUM:]
        length = int.from_bytes(content[3:HEADER], "little")
        right = (
            not self._escaped
            and len(content) >= HEADER
            and len(content) - HEADER == length <= self.longest
            and zlib.crc32(content).to_bytes(SUM, "little") == crc
        )
        if not right:
            self.dropped += 1
            return None
        number = int.from_bytes(content[1:3], "little")
        return Frame(content[0], number, content[HEADER:])
