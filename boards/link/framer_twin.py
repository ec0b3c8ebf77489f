"""The configuration of the framer, and its twin: the bytes of a frame, and when they come."""

from dataclasses import dataclass
from zlib import crc32

import numpy as np

from boards.link.frame import CHANGE, ESCAPE, FLAG, HEADER, SUM, Frame
from golden import check
from golden.port import RESULT, Port
from golden.twin import Trace, Twin


@dataclass(frozen=True, kw_only=True)
class FramerConfig:
    """A framer.

    Parameters
    ----------
    longest
        The most bytes of a payload, 1 to 4096.

    Examples
    --------
    >>> FramerConfig(longest=64).place_bits
    6
    """

    longest: int

    def __post_init__(self) -> None:
        check.whole_fields(self, 1, 4096, "longest")

    @property
    def place_bits(self) -> int:
        """Bits of a place in the payload."""
        return max(1, (self.longest - 1).bit_length())

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        return (
            Port("start", "in", 1, meaning="send a frame, while `busy` is low"),
            Port("busy", "out", 1, meaning="a frame is sent"),
            Port("kind", "in", 8, meaning="its kind"),
            Port("number", "in", 16, meaning="its number"),
            Port("size", "in", self.longest.bit_length(), meaning="bytes of its payload"),
            Port("place", "out", self.place_bits, meaning="place of a byte of the payload"),
            Port("data", "in", 8, meaning="the byte at the place of the clock before"),
            *RESULT,
            Port("o_data", "out", 8, meaning="a byte; not specified without one"),
        )


@dataclass(frozen=True)
class FramerState:
    """What is left of a frame between two clocks.

    Parameters
    ----------
    up
        Bytes that are up one after the other, the present one first.
    busy
        Whether a frame is sent.
    looked
        Bytes of header, payload and checksum that have been looked at.
    kind, number, size
        Of the frame.
    payload
        Its bytes that have been looked at.
    """

    up: tuple[int, ...] = ()
    busy: bool = False
    looked: int = 0
    kind: int = 0
    number: int = 0
    size: int = 0
    payload: bytes = b""


class Framer(Twin[FramerState]):
    """Twin of the framer: `start`, `kind`, `number`, `size`, `data`, `o_ready` in; `busy`, `place`,
    `o_valid`, `o_data` out.

    The first flag is up from the clock after `start` on. When a byte has been taken, the next one
    is looked at in the clock after, and up in the one after that; what follows an escape, and the
    last flag, are up at once. `place` is one higher after each byte of the payload.

    `o_data` is not specified while `o_valid` is low; here it is 0.

    Parameters
    ----------
    config
        The longest frame.

    Examples
    --------
    >>> twin = Framer(FramerConfig(longest=4))
    >>> ones, zeros = np.ones(40, int), np.zeros(40, int)
    >>> start = (np.arange(40) == 0).astype(int)
    >>> given = {"start": start, "kind": ones, "number": ones, "size": zeros, "data": zeros}
    >>> out = twin.run({**given, "o_ready": ones})
    >>> bytes(out["o_data"][out["o_valid"] == 1].tolist()) == Frame(1, 1).encoded
    True
    """

    def __init__(self, config: FramerConfig):
        self.config = config
        self.ports = config.ports

    def initial(self) -> FramerState:
        return FramerState()

    def stretch(self, state: FramerState, inputs: Trace) -> tuple[FramerState, Trace]:
        clocks = len(inputs["start"])
        names = ("busy", "place", "o_valid", "o_data")
        out: Trace = {name: np.zeros(clocks, np.int64) for name in names}
        places = 1 << self.config.place_bits
        up, busy, looked = list(state.up), state.busy, state.looked
        kind, number, size = state.kind, state.number, state.size
        payload = bytearray(state.payload)
        for clock in range(clocks):
            out["busy"][clock], out["place"][clock] = busy, len(payload) % places
            if up:
                out["o_valid"][clock], out["o_data"][clock] = 1, up[0]
                if inputs["o_ready"][clock]:
                    up.pop(0)
                    if not up and looked == HEADER + size + SUM:
                        # The last flag ends the frame.
                        looked, up = looked + 1, [FLAG]
                    elif not up and looked > HEADER + size + SUM:
                        busy = False
            elif busy:
                if HEADER <= looked < HEADER + size:
                    payload.append(int(inputs["data"][clock]))
                # What the frame would be on the line, were these all of its bytes.
                whole = Frame(kind, number, bytes(payload)).content
                whole = whole[:3] + size.to_bytes(2, "little") + whole[HEADER:]
                if looked >= HEADER + size:
                    whole += crc32(whole).to_bytes(SUM, "little")
                byte = whole[looked]
                up = [ESCAPE, byte ^ CHANGE] if byte in (FLAG, ESCAPE) else [byte]
                looked += 1
            elif inputs["start"][clock]:
                busy, looked, payload, up = True, 0, bytearray(), [FLAG]
                kind, number, size = (
                    int(inputs[name][clock]) for name in ("kind", "number", "size")
                )
        return FramerState(tuple(up), busy, looked, kind, number, size, bytes(payload)), out
