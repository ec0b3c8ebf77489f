"""Blocks of FST files: whether a file was closed, when its dump was switched on and off, and the
lengths that it claims for its contents.

The layout is that of GTKWave's fstapi.c: a byte of kind and eight of length, then lengths of the
block's own.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import IO

#: Types of blocks.
_HEADER, _BLACKOUT, _GEOMETRY, _HIERARCHY, _WHOLE = 0, 2, 3, (4, 6, 7), 254
_HEADER_LENGTH = 329
#: Offsets of lengths (eight bytes, most significant first) in a block, by its kind; negative ones
#: count from its end.
_CLAIMS = {
    0: (41, 49, 57, 65),  # header: scopes, variables, signals, blocks of values
    1: (-24, -16, -8),  # values: bytes of the table of times, compressed ones, times
    3: (9, 17),  # widths: bytes, signals
    4: (9,),  # names: bytes
    5: (-24, -16, -8),
    6: (9,),
    7: (9, 17),
    8: (-24, -16, -8),
    _WHOLE: (9,),  # all of the file, compressed
}
#: Largest ratio of a content to the file, above a size that never hurts: compressed twice by LZ4,
#: or once by zlib, of which the ratio is about 1,000.
_MOST_RATIO, _SMALL = 1 << 14, 1 << 24


def is_fst(first: bytes) -> bool:
    """Return whether a file is FST, given its first bytes."""
    return first[:9] == bytes([_HEADER]) + _HEADER_LENGTH.to_bytes(8, "big")


def _heads(file: IO[bytes], size: int) -> Iterator[tuple[int, int, int]]:
    """Yield place, type and length of the blocks of an FST file of `size` bytes.

    The length counts its own eight bytes. A file may be cut off, or damaged.
    """
    at = 0
    while at + 9 <= size:
        file.seek(at)
        head = file.read(9)
        length = int.from_bytes(head[1:], "big")
        yield at, head[0], length
        at += 1 + max(length, 8)


def _blocks(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield type and content of the blocks of an FST file; the content of pauses alone is read."""
    with path.open("rb") as file:
        size = path.stat().st_size
        for at, kind, length in _heads(file, size):
            if not 8 <= length <= size - at - 1:  # not finished, or cut off
                return
            yield kind, file.read(length - 8) if kind == _BLACKOUT else b""


def check_claims(path: Path, name: str) -> None:
    """Raise a ValueError if an FST file claims more than it may hold; other files pass.

    The reader reserves memory for what is claimed, and ends the whole process if it does not get
    it.

    Parameters
    ----------
    path
        The file.
    name
        Its name in errors.
    """
    size = path.stat().st_size
    most = max(_MOST_RATIO * size, _SMALL)
    with path.open("rb") as file:
        for at, kind, length in _heads(file, size):
            if not at and not (kind == _WHOLE or (kind, length) == (_HEADER, _HEADER_LENGTH)):
                return  # another format
            for place in _CLAIMS.get(kind, ()):
                offset = at + place if place > 0 else at + 1 + length + place
                if not at < offset <= size - 8:
                    continue
                file.seek(offset)
                claim = int.from_bytes(file.read(8), "big")
                if claim > most:
                    raise ValueError(
                        f"{name} is no whole FST file: it claims {claim:,} bytes or entries, "
                        f"in a file of {size:,}"
                    )


def is_closed(path: Path, name: str) -> bool:
    """Return whether a file is whole. `name` is its name in errors."""
    kinds = [kind for kind, _ in _blocks(path)]
    if kinds.count(_HEADER) > 1:
        raise ValueError(f"{name} has a second header: several dumps in one file? Split it")
    return _GEOMETRY in kinds and not set(kinds).isdisjoint(_HIERARCHY)


def switches(path: Path) -> list[tuple[bool, int]]:
    """Return when the dump of an FST file was switched on (True) and off."""
    found = []
    for kind, data in _blocks(path):
        if kind == _BLACKOUT:
            count, at = _variable_length(data, 0)
            time = 0
            for _ in range(min(count, len(data))):
                step, after = _variable_length(data, at + 1)
                time += step
                found.append((data[at : at + 1] == b"\1", time))
                at = after
    return found


def _variable_length(data: bytes, at: int) -> tuple[int, int]:
    """Return the number at `at` in 7-bit groups, lowest first, and the place after it."""
    value = shift = 0
    while True:
        byte = data[at] if at < len(data) else 0  # of a damaged file
        value |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if not byte & 0x80:
            return value, at
