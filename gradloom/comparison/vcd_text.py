"""Text of VCD files: puts headers and ends into a form that the reading library reads, and finds
pauses and times that go back, which it passes over.
"""

import mmap
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

#: Number of bytes that are searched at once, and the longest time stamp.
_BYTES, _DIGITS = 1 << 22, 20
_END = re.compile(rb"\$enddefinitions\s+\$end")
_SWITCH = re.compile(rb"\$dump(on|off)\s")
_STAMP = re.compile(rb"\n#(\d+)")


def mended(name: str, path: Path, target: Path, remarks: list[str]) -> Path:
    """Return a VCD file in a form that the library reads: `path`, or a copy."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        end = _END.search(text)
        if end is None:
            raise ValueError(
                f"{name} is not a whole VCD, FST or GHW file: it has no $enddefinitions and breaks "
                "off before the first value"
            )
        if b"$dumpports" in text[end.end() : end.end() + _BYTES]:
            raise ValueError(
                f"{name} is an extended VCD file ($dumpports), which is not read: use $dumpvars"
            )
        if text.find(b"\n$enddefinitions", end.end()) >= 0:
            raise ValueError(f"{name} has a second header: several dumps in one file? Split it")
        header = text[: end.end()]
        mended = _mended_header(header)
        stop = len(text)
        if text[stop - 1 : stop] not in (b"\n", b"\r"):
            # The last line may be a part of one, and the last time step lacks what comes after it.
            stop = max(text.rfind(b"\n#", end.end()) + 1, end.end())
            remarks.append("the file breaks off within a line")
        if mended == header and stop == len(text):
            return path
        with target.open("wb") as copy:
            copy.write(mended)
            for at in range(end.end(), stop, _BYTES):
                copy.write(text[at : min(at + _BYTES, stop)])
            copy.write(b"\n")
    return target


def _mended_header(header: bytes) -> bytes:
    """Return the header of a VCD file as the standard wants it.

    Older versions of LiteScope write `$scope NAME` without a kind, and `$unscope`. Single bits of a
    vector (`name [3]`) are one vector for the library if they are declared one after the other, and
    lose their numbers otherwise: those become `name(3)`.
    """
    header = re.sub(rb"\$scope\s+(\S+)\s+\$end", rb"$scope module \1 $end", header)
    header = re.sub(rb"\$unscope\b", b"$upscope", header)
    command = re.compile(rb"\$(scope|upscope|var)\s(.*?)\$end", re.DOTALL)
    bit = re.compile(rb"(\s*\S+\s+1\s+\S+\s+)(\S.*?)\s*\[(\d+)\]\s*")
    scopes: list[bytes] = []
    last: tuple[Any, int] | None = None
    seen, scattered = set(), set()
    found: list[tuple[re.Match[bytes], Any]] = []
    for match in command.finditer(header):
        kind, rest = match.groups()
        part = bit.fullmatch(rest) if kind == b"var" else None
        if kind == b"scope":
            scopes.append(rest)
        elif kind == b"upscope" and scopes:
            scopes.pop()
        if part is None:
            last = None
            continue
        vector, index = (tuple(scopes), part[2]), int(part[3])
        if vector in seen and (last is None or last[0] != vector or abs(last[1] - index) != 1):
            scattered.add(vector)
        seen.add(vector)
        last = vector, index
        found.append((match, (vector, part)))
    pieces, at = [], 0
    for match, (vector, part) in found:
        if vector in scattered:
            pieces += [header[at : match.start()], b"$var ", part[1], part[2], b"(", part[3], b") "]
            at = match.end() - len(b"$end")
    return b"".join([*pieces, header[at:]])


def structure(
    name: str, path: Path, text_of: Callable[[int], str]
) -> tuple[list[tuple[bool, int]], int | None]:
    """Return when a dump was switched on (True) and off, and the last time with a change.

    Parameters
    ----------
    name, path
        Name of the file in errors, and the file.
    text_of
        Returns a time with its unit.

    Raises
    ------
    ValueError
        The times go back.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        end = _END.search(text)
        assert end is not None
        last = _last_time(name, text, end.end(), text_of)
        switches = []
        for match in _SWITCH.finditer(text, end.end()):
            stamp = text.rfind(b"\n#", end.end(), match.start())
            digits = _STAMP.match(text, stamp) if stamp >= 0 else None
            switches.append((match[1] == b"on", int(digits[1]) if digits else 0))
    return switches, last


def _last_time(name: str, text: Any, begin: int, text_of: Callable[[int], str]) -> int | None:
    """Return the last time with a change in the body of a VCD file.

    Raises
    ------
    ValueError
        The times go back.
    """
    before, last, end = -1, None, begin
    for at in range(begin, len(text), _BYTES):
        # A stamp begins after a newline; the one before this part belongs to it.
        part = text[at - 1 : at + _BYTES + _DIGITS] + bytes(_DIGITS)
        data = np.frombuffer(part, np.uint8)
        starts = (data[:-1] == ord("\n")) & (data[1:] == ord("#"))
        where = np.flatnonzero(starts[: min(_BYTES, len(text) - at)]) + 2
        if not len(where):
            continue
        times = np.zeros(len(where), np.int64)
        is_digit = np.ones(len(where), np.bool_)
        for k in range(_DIGITS):
            digit = data[where + k] - np.uint8(ord("0"))
            is_digit &= digit < 10
            if not is_digit.any():
                break
            times = np.where(is_digit, 10 * times + digit, times)
        if (data[where] == ord("-")).any():
            raise ValueError(f"{name} has negative times, which are not read")
        steps = np.diff(times, prepend=before)
        if (steps < 0).any():
            wrong = int((steps < 0).argmax())
            old = before if not wrong else int(times[wrong - 1])
            raise ValueError(
                f"{name}: time goes back from {text_of(old)} "
                f"to {text_of(int(times[wrong]))}: several runs in one file? "
                "Split it, one file for each run"
            )
        last = before if len(times) == 1 else int(times[-2])
        before, end = int(times[-1]), at - 1 + int(where[-1])
    # Some writers end with a time of no changes.
    changes = before >= 0 and text[end:].partition(b"\n")[2].strip()
    result = before if changes else last
    return None if result is None or result < 0 else result
