"""Blocks of FST files: whether a file was closed, and when its dump was switched on and off."""

import os
from collections.abc import Iterator
from pathlib import Path

#: Types of blocks.
_HEADER, _BLACKOUT, _GEOMETRY, _HIERARCHY = 0, 2, 3, (4, 6, 7)
_HEADER_LENGTH = 329


def is_fst(first: bytes) -> bool:
    """Return whether a file is FST, given its first bytes."""
    return first[:9] == bytes([_HEADER]) + _HEADER_LENGTH.to_bytes(8, "big")


def _blocks(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield type and content of the blocks of an FST file; the content of pauses alone is read."""
    with path.open("rb") as file:
        size = path.stat().st_size
        while len(head := file.read(9)) == 9:
            length = int.from_bytes(head[1:], "big") - 8
            if not 0 <= length <= size - file.tell():  # not finished, or cut off
                return
            if head[0] == _BLACKOUT:
                yield head[0], file.read(length)
            else:
                file.seek(length, os.SEEK_CUR)
                yield head[0], b""


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
