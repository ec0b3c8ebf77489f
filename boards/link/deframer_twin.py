"""The configuration of the deframer, and its twin: which frames are found, and when."""

from dataclasses import dataclass
from zlib import crc32

import numpy as np

from boards.link.frame import CHANGE, ESCAPE, FLAG, HEADER, SUM
from golden import check
from golden.port import Port
from golden.twin import Trace, Twin


@dataclass(frozen=True, kw_only=True)
class DeframerConfig:
    """A deframer.

    Parameters
    ----------
    longest
        The most bytes of a payload, 1 to 4096.

    Examples
    --------
    >>> DeframerConfig(longest=64).size
    73
    """

    longest: int

    def __post_init__(self) -> None:
        check.whole_fields(self, 1, 4096, "longest")

    @property
    def size(self) -> int:
        """The most bytes of a frame, with header and checksum."""
        return self.longest + HEADER + SUM

    @property
    def place_bits(self) -> int:
        """Bits of a place in the memory, which has a power of two of bytes."""
        return (self.size - 1).bit_length()

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        return (
            Port("valid", "in", 1, meaning="a byte comes"),
            Port("byte", "in", 8, meaning="the byte"),
            Port("there", "out", 1, meaning="a frame is there, until it is done with"),
            Port("size", "out", self.size.bit_length(), meaning="its bytes, with the checksum"),
            Port("done", "in", 1, meaning="the frame is done with"),
            Port("place", "in", self.place_bits, meaning="place of a byte in the frame"),
            Port("data", "out", 8, meaning="the byte at the place of the clock before"),
        )


@dataclass(frozen=True)
class DeframerState:
    """What a deframer keeps between two clocks.

    Parameters
    ----------
    inside
        Bytes since the last flag; None where no frame is begun.
    escaped
        Whether the last one was an escape.
    memory
        The bytes of the latest frame, and of longer ones before it.
    data
        The byte that was read.
    size
        Bytes of the frame that is there; 0 without one.
    """

    inside: bytes | None = None
    escaped: bool = False
    memory: bytes = b""
    data: int = 0
    size: int = 0


class Deframer(Twin[DeframerState]):
    """Twin of the deframer: `valid`, `byte`, `done`, `place` in; `there`, `size`, `data` out.

    A frame is there from the clock after its last flag on, and stays until `done`. Bytes that come
    meanwhile are lost, up to the flag that begins the next frame. A frame that is too long or cut,
    or has a wrong length or checksum, is dropped.

    `size` and `data` are not specified while `there` is low; here they are 0. Nor is `data` at a
    place beyond the frame, after a reset.

    Parameters
    ----------
    config
        The longest frame.

    Examples
    --------
    >>> from boards.link.frame import Frame
    >>> sent = np.array([*Frame(1, 2, b"ab").encoded, 0, 0])
    >>> ones, zeros = np.ones(len(sent), int), np.zeros(len(sent), int)
    >>> given = {"valid": ones, "byte": sent, "done": zeros, "place": zeros + 5}
    >>> out = Deframer(DeframerConfig(longest=8)).run(given)
    >>> out["there"][-3:].tolist(), int(out["size"][-1]), chr(out["data"][-1])
    ([0, 1, 1], 11, 'a')
    """

    def __init__(self, config: DeframerConfig):
        self.config = config
        self.ports = config.ports

    def initial(self) -> DeframerState:
        return DeframerState(memory=bytes(1 << self.config.place_bits))

    def stretch(self, state: DeframerState, inputs: Trace) -> tuple[DeframerState, Trace]:
        clocks = len(inputs["valid"])
        out: Trace = {name: np.zeros(clocks, np.int64) for name in ("there", "size", "data")}
        inside, escaped, size = state.inside, state.escaped, state.size
        memory, data = bytearray(state.memory), state.data
        given = zip(*(inputs[name].tolist() for name in ("valid", "byte", "done", "place")))
        for clock, (valid, byte, done, place) in enumerate(given):
            out["there"][clock], out["size"][clock] = size > 0, size
            out["data"][clock] = data if size else 0
            data = memory[place]
            if size:
                size = 0 if done else size
                continue
            if not valid:
                continue
            if byte == FLAG:
                size = 0 if inside is None or escaped else self._size(inside)
                inside, escaped = (None if size else b""), False
            elif inside is not None and byte == ESCAPE and not escaped:
                escaped = True
            elif inside is not None and len(inside) == self.config.size:
                inside = None
            elif inside is not None:
                memory[len(inside)] = byte ^ CHANGE if escaped else byte
                inside += memory[len(inside) : len(inside) + 1]
                escaped = False
        return DeframerState(inside, escaped, bytes(memory), data, size), out

    def _size(self, inside: bytes) -> int:
        """Return the size of what is between two flags; 0 if it is no frame."""
        content, crc = inside[:-SUM], inside[-SUM:]
        right = (
            len(inside) >= HEADER + SUM
            and int.from_bytes(content[HEADER - 2 : HEADER], "little") == len(content) - HEADER
            and crc32(content).to_bytes(SUM, "little") == crc
        )
        return len(inside) if right else 0
