"""Opens waveform files, and finds the places where they are not one gapless run.

The reading library, pywellen, takes regular files in VCD, FST or GHW. What comes through a pipe or
is compressed is copied first, into a folder that is deleted again. So are VCD files that the
library would not read, or would misread: headers of older logic analysers, single bits of a vector
that are not declared together, a last time step that is cut off. Other files are refused in one
line.

VCD and FST files say where a dump was switched off and on ($dumpoff, $dumpon). The library passes
over that, and over times that go back; so both are read here.
"""

import bz2
import gzip
import importlib
import lzma
import mmap
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

#: Compressed files that are unpacked, by their first bytes.
_UNPACKED: dict[bytes, Any] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
_ZSTANDARD = b"\x28\xb5\x2f\xfd"
#: Other files, by their first bytes.
_REFUSED = {
    b"PK\x03\x04": "a ZIP archive: unpack it first",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive: unpack it first",
    b"\x04\x22\x4d\x18": "compressed by LZ4: unpack it first",
    b"\x1f\x9d": "compressed by compress: unpack it first",
    b"\x01\x38": "an LXT file, which is not read: dump VCD or FST",
    b"\x13\x80": "an LXT2 file, which is not read: dump VCD or FST, or convert it with lxt2vcd",
    b"VZ": "a VZT file, which is not read: dump VCD or FST, or convert it with vzt2vcd",
    b"Sample in Buffer": "a table of a logic analyser, which is not read: export its data as VCD",
}

#: Types of FST blocks.
_FST_HEADER, _FST_BLACKOUT, _FST_GEOMETRY, _FST_HIERARCHY = 0, 2, 3, (4, 6, 7)
_FST_HEADER_LENGTH = 329

_UNCLOSED = "the file was never closed, the simulation was killed or goes on"
_REMEDY = "call $dumpflush before the simulation is killed, or dump VCD"

#: Number of bytes that are unpacked at once.
_PIECE = 1 << 16
#: Number of bytes of a VCD file that are searched at once, and the longest time stamp.
_BYTES, _DIGITS = 1 << 22, 20

#: Units of time, by their power of ten in seconds.
_UNITS = {0: "s", -3: "ms", -6: "us", -9: "ns", -12: "ps", -15: "fs", -18: "as", -21: "zs"}


@dataclass(frozen=True)
class WaveformFile:
    """A waveform file that is open.

    Parameters
    ----------
    content
        The file, an object of pywellen.
    pauses
        Times at which the dump was switched off and on again.
    last
        The last time at which a VCD file has a change; None for other files.
    remarks
        What is missing in the file, in words.
    """

    content: Any
    pauses: list[tuple[int, int]]
    last: int | None
    remarks: tuple[str, ...]

    def text_of(self, time: int) -> str:
        """Return a time with its unit."""
        return time_text(time, self.content.timescale)


def time_text(time: int, scale: Any) -> str:
    """Return a time with its unit. `scale` is the file's timescale, an object of pywellen."""
    exponent = None if scale is None else scale.unit.to_exponent()
    if scale is None or exponent is None:
        return f"time {time}"
    time *= scale.factor
    while time and time % 1000 == 0 and exponent < 0:
        time, exponent = time // 1000, exponent + 3
    return f"{time:,} {_UNITS[exponent]}"


@contextmanager
def opened(path: Path) -> Iterator[WaveformFile]:
    """Open a waveform file. Values must be taken from it before it is closed.

    Raises
    ------
    ModuleNotFoundError
        pywellen is not installed.
    FileNotFoundError, IsADirectoryError
        There is no such file.
    ValueError
        The file cannot be read, or its times go back.
    """
    try:
        import pywellen
    except ImportError as error:
        raise ModuleNotFoundError(
            "reading waveforms needs pywellen: pip install 'gradloom[waveform]'"
        ) from error
    with tempfile.TemporaryDirectory(prefix="gradloom-") as folder:
        readable, remarks = _readable(path, Path(folder))
        with _captured(Path(folder) / "printed") as printed:
            try:
                content = pywellen.Waveform(str(readable), multi_threaded=False)
                pauses, last = _structure(path.name, readable, content)
                yield WaveformFile(content, pauses, last, remarks)
            except (ValueError, KeyboardInterrupt):
                raise
            except BaseException as error:
                # A panic of the reader (in Rust) is not an Exception.
                is_panic = type(error).__name__ == "PanicException"
                if not isinstance(error, RuntimeError) and not is_panic:
                    raise
                if _UNCLOSED in remarks:
                    raise ValueError(
                        f"{path.name} was never closed, and lacks values that were not flushed: "
                        f"{_REMEDY}"
                    ) from error
                reason = " ".join(str(error).split())
                raise ValueError(
                    f"{path.name} is not a whole VCD, FST or GHW file: {reason}"
                ) from error
        for line in printed():
            if line.startswith("WARN"):
                warning = line.partition(":")[2].strip() or line
                raise ValueError(
                    f"{path.name} is not read as it should: the reader says: {warning}"
                )


@contextmanager
def _captured(path: Path) -> Iterator[Callable[[], list[str]]]:
    """Write to a file what the reader prints; yields a function that returns its lines."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    with path.open("wb") as file:
        try:
            for number in 1, 2:
                os.dup2(file.fileno(), number)
            yield lambda: path.read_text(errors="replace").splitlines()
        finally:
            for number, before in zip((1, 2), kept):
                os.dup2(before, number)
                os.close(before)


def _readable(path: Path, folder: Path) -> tuple[Path, tuple[str, ...]]:
    """Return a regular file that the library reads, and remarks on what is missing in it."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such file") from None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"{path} is a folder, not a waveform file")
    remarks: list[str] = []
    if not stat.S_ISREG(mode):
        piped = folder / "piped"
        with path.open("rb") as source, piped.open("wb") as target:
            shutil.copyfileobj(source, target)
        readable = piped
    else:
        readable = path
    first = _first_bytes(readable)
    if unpack := _unpacker(path.name, first):
        readable = _unpacked(path.name, readable, unpack, folder / "unpacked", remarks)
        first = _first_bytes(readable)
    if not first.strip() and remarks:
        raise ValueError(f"{path.name} is compressed and breaks off before the first value")
    if not first.strip():
        raise ValueError(
            f"{path.name} is not a whole VCD, FST or GHW file: it is empty; was the simulation "
            "ended before it wrote the dump?"
        )
    for magic, what in _REFUSED.items():
        if first.startswith(magic):
            raise ValueError(f"{path.name} is {what}")
    if b"FSDB" in first:
        raise ValueError(
            f"{path.name} is an FSDB file, which is not read: convert it with fsdb2vcd"
        )
    if first.lstrip().startswith(b"$"):
        readable = _mended(path.name, readable, folder / "mended.vcd", remarks)
    elif _is_fst(first) and not _is_closed_fst(readable):
        readable = _with_hierarchy(path, readable, folder)
        remarks.append(_UNCLOSED)
    return readable, tuple(remarks)


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(1024)


def _unpacker(name: str, first: bytes) -> Any:
    """Return the function that opens a compressed file; None for one that is not compressed."""
    for magic, unpack in _UNPACKED.items():
        if first.startswith(magic):
            return unpack
    if not first.startswith(_ZSTANDARD):
        return None
    try:
        zstandard: Any = importlib.import_module("compression.zstd")  # Python 3.14
    except ImportError:
        raise ValueError(
            f"{name} is compressed by Zstandard, which Python reads from 3.14 on: "
            f"unpack it first (zstd -d {name})"
        ) from None
    return zstandard.open


def _unpacked(name: str, path: Path, unpack: Any, target: Path, remarks: list[str]) -> Path:
    """Unpack a compressed file. One that breaks off is unpacked as far as it goes."""
    with unpack(path, "rb") as source, target.open("wb") as file:
        try:
            while data := source.read1(_PIECE):
                file.write(data)
        except EOFError:
            remarks.append("the compressed file breaks off")
        except Exception as error:  # each module has errors of its own
            reason = " ".join(str(error).split())
            raise ValueError(f"{name} is compressed and cannot be unpacked: {reason}") from error
    return target


# VCD


def _mended(name: str, path: Path, target: Path, remarks: list[str]) -> Path:
    """Return a VCD file in a form that the library reads: `path`, or a copy."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        end = re.search(rb"\$enddefinitions\s+\$end", text)
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


def _structure(name: str, path: Path, content: Any) -> tuple[list[tuple[int, int]], int | None]:
    """Return the pauses of a file, and the last time at which a VCD file has a change."""
    if content.file_format == "FST":
        return _switched(_fst_switches(path)), None
    if content.file_format != "VCD":
        return [], None
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        end = re.search(rb"\$enddefinitions\s+\$end", text)
        assert end is not None
        last = _last_time(name, text, end.end(), content)
        switches = []
        for match in re.compile(rb"\$dump(on|off)\s").finditer(text, end.end()):
            stamp = text.rfind(b"\n#", end.end(), match.start())
            digits = re.compile(rb"\n#(\d+)").match(text, stamp) if stamp >= 0 else None
            switches.append((match[1] == b"on", int(digits[1]) if digits else 0))
    return _switched(switches), last


def _last_time(name: str, text: Any, begin: int, content: Any) -> int | None:
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
                f"{name}: time goes back from {time_text(old, content.timescale)} "
                f"to {time_text(int(times[wrong]), content.timescale)}: several runs in one file? "
                "Split it, one file for each run"
            )
        last = before if len(times) == 1 else int(times[-2])
        before, end = int(times[-1]), at - 1 + int(where[-1])
    # Some writers end with a time of no changes.
    changes = before >= 0 and text[end:].partition(b"\n")[2].strip()
    result = before if changes else last
    return None if result is None or result < 0 else result


def _switched(switches: list[tuple[bool, int]]) -> list[tuple[int, int]]:
    """Return the pauses of a dump, given when it was switched on (True) and off."""
    pauses, off = [], None
    for on, time in switches:
        if not on and off is None:
            off = time
        elif on and off is not None:
            pauses.append((off, time))
            off = None
    return pauses


# FST


def _is_fst(first: bytes) -> bool:
    return first[:9] == bytes([_FST_HEADER]) + _FST_HEADER_LENGTH.to_bytes(8, "big")


def _fst_blocks(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield type and content of the blocks of an FST file; the content of pauses alone is read."""
    with path.open("rb") as file:
        while len(head := file.read(9)) == 9:
            length = int.from_bytes(head[1:], "big") - 8
            if length < 0:  # not finished
                return
            if head[0] == _FST_BLACKOUT:
                yield head[0], file.read(length)
            else:
                file.seek(length, os.SEEK_CUR)
                yield head[0], b""


def _is_closed_fst(path: Path) -> bool:
    kinds = {kind for kind, _ in _fst_blocks(path)}
    return _FST_GEOMETRY in kinds and not kinds.isdisjoint(_FST_HIERARCHY)


def _with_hierarchy(path: Path, readable: Path, folder: Path) -> Path:
    """Return an FST file that was never closed, with its hierarchy where the library looks."""
    hierarchy = path.with_name(f"{path.name}.hier")
    if not hierarchy.is_file():
        raise ValueError(
            f"{path.name} was never closed, and {hierarchy.name}, which the simulator writes "
            f"beside it until then, is not there: keep both files, {_REMEDY}"
        )
    target = folder / "killed.fst"
    target.symlink_to(readable.resolve())
    target.with_suffix(".fst.hier").symlink_to(hierarchy.resolve())
    return target


def _fst_switches(path: Path) -> list[tuple[bool, int]]:
    """Return when the dump of an FST file was switched on (True) and off."""
    switches = []
    for kind, data in _fst_blocks(path):
        if kind == _FST_BLACKOUT:
            count, at = _variable_length(data, 0)
            time = 0
            for _ in range(count):
                step, after = _variable_length(data, at + 1)
                time += step
                switches.append((bool(data[at]), time))
                at = after
    return switches


def _variable_length(data: bytes, at: int) -> tuple[int, int]:
    """Return the number at `at` in 7-bit groups, lowest first, and the place after it."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if not byte & 0x80:
            return value, at
