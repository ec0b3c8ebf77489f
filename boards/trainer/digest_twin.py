"""The configuration of the weights' checksum, and its twin: the sum after every beat."""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from golden import check
from golden.fixed import Codes
from golden.port import OPERAND, Port
from golden.twin import Trace, Twin


def weights_crc(weights: Iterable[Codes], width: int) -> int:
    """Return the CRC-32/ISO-HDLC of stored weights: layer by layer, row by row.

    Each code is in two's complement, in as many whole bytes as it takes, the lowest one first.

    Parameters
    ----------
    weights
        Codes of every layer, (inputs, outputs).
    width
        Bits of a code.

    Examples
    --------
    >>> f"{weights_crc([np.array([[1, -1], [2, -2]])], 8):08x}"
    '4f53310d'
    """
    size = -(-width // 8)
    codes = np.concatenate([np.asarray(each, np.int64).ravel() for each in weights])
    parts = codes[:, None] >> 8 * np.arange(size) & 0xFF
    return zlib.crc32(parts.astype(np.uint8).tobytes())


@dataclass(frozen=True, kw_only=True)
class DigestConfig:
    """A checksum over the weights that a core carries out.

    Parameters
    ----------
    words
        Words of a beat.
    bits
        Bits of a word.
    width
        Bits of a code, not more than a word has.
    shapes
        Rows and columns of each layer's matrix.

    Examples
    --------
    >>> DigestConfig(words=4, bits=21, width=8, shapes=((2, 6), (6, 3))).beats
    10
    """

    words: int
    bits: int
    width: int
    shapes: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        check.whole_fields(self, 1, 256, "words")
        check.whole_fields(self, 1, 62, "bits")
        check.whole_fields(self, 1, self.bits, "width")
        check.whole("number of layers", len(self.shapes), 1, 256)
        for shape in self.shapes:
            for size in shape:
                check.whole("rows or columns", size, 1, 1 << 20)

    @property
    def size(self) -> int:
        """Bytes of a code."""
        return -(-self.width // 8)

    def blocks(self, columns: int) -> int:
        """Return the beats of a row."""
        return -(-columns // self.words)

    @property
    def beats(self) -> int:
        """Beats of all weights."""
        return sum(rows * self.blocks(columns) for rows, columns in self.shapes)

    @cached_property
    def codes(self) -> tuple[int, ...]:
        """Codes in each beat."""
        found: list[int] = []
        for rows, columns in self.shapes:
            blocks = self.blocks(columns)
            found += rows * [*[self.words] * (blocks - 1), columns - (blocks - 1) * self.words]
        return tuple(found)

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        return (
            *OPERAND,
            Port("i_words", "in", self.bits, True, self.words, "words of a beat"),
            Port("i_last", "in", 1, meaning="not looked at"),
            Port("crc", "out", 32, meaning="the sum of all bytes so far"),
            Port("done", "out", 1, meaning="all weights have come, and are in the sum"),
        )


@dataclass(frozen=True)
class DigestState:
    """What a checksum keeps between two clocks.

    Parameters
    ----------
    beats
        Beats that have come.
    crc
        Sum of the bytes so far.
    rest
        Bytes that are still to come into it.
    """

    beats: int = 0
    crc: int = 0
    rest: bytes = b""


class Digest(Twin[DigestState]):
    """Twin of the checksum: `i_valid`, `i_words`, `i_last` in; `i_ready`, `crc`, `done` out.

    From the clock after a beat on, one of its bytes comes into the sum in each clock, which shows
    at the next one; after the last byte the next beat is taken. After the last beat `done` is high,
    and none is taken.

    Parameters
    ----------
    config
        The weights.

    Examples
    --------
    >>> twin = Digest(DigestConfig(words=2, bits=8, width=8, shapes=((2, 2),)))
    >>> words = np.array([[1, -1], [0, 0], [0, 0], [2, -2], [0, 0], [0, 0], [0, 0]])
    >>> ones = np.ones(7, int)
    >>> out = twin.run({"i_valid": ones, "i_words": words, "i_last": ones})
    >>> out["i_ready"].tolist(), out["done"].tolist(), f"{out['crc'][-1]:08x}"
    ([1, 0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0, 1], '4f53310d')
    """

    def __init__(self, config: DigestConfig):
        self.config = config
        self.ports = config.ports

    def initial(self) -> DigestState:
        return DigestState()

    def stretch(self, state: DigestState, inputs: Trace) -> tuple[DigestState, Trace]:
        config = self.config
        clocks = len(inputs["i_valid"])
        out: Trace = {name: np.zeros(clocks, np.int64) for name in ("i_ready", "crc", "done")}
        beats, crc, rest = state.beats, state.crc, state.rest
        for clock in range(clocks):
            whole = beats == config.beats
            out["crc"][clock] = crc
            out["done"][clock] = whole and not rest
            if rest:
                crc, rest = zlib.crc32(rest[:1], crc), rest[1:]
            elif not whole:
                out["i_ready"][clock] = 1
                if inputs["i_valid"][clock]:
                    codes = inputs["i_words"][clock, : config.codes[beats]].tolist()
                    low = (1 << config.width) - 1, 1 << config.width - 1
                    for code in codes:
                        own = ((code & low[0]) ^ low[1]) - low[1]
                        rest += own.to_bytes(config.size, "little", signed=True)
                    beats += 1
        return DigestState(beats, crc, rest), out
