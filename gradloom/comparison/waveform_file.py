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
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gradloom.comparison import fst_blocks, vcd_text

#: Versions of pywellen that are not used.
_LOSES_CHANGES = {f"0.25.{patch}" for patch in range(6)}
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


_UNCLOSED = "the file was never closed, the simulation was killed or goes on"
_REMEDY = "call $dumpflush before the simulation is killed, or dump VCD"

#: Number of bytes that are unpacked at once.
_PIECE = 1 << 16
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
    if (found := version("pywellen")) in _LOSES_CHANGES:
        raise ModuleNotFoundError(
            f"pywellen {found} loses changes beside $dumpall: pip install 'pywellen>=0.25.6'"
        )
    with tempfile.TemporaryDirectory(prefix="gradloom-") as folder:
        readable, remarks = _readable(path, Path(folder))
        with _captured(Path(folder) / "printed") as printed:
            try:
                fst_blocks.check_claims(readable, path.name)
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
    kept: dict[int, int] = {}
    for number, stream in (1, sys.stdout), (2, sys.stderr):
        if stream is not None:
            stream.flush()
        with suppress(OSError):  # closed by the caller
            kept[number] = os.dup(number)
    with path.open("wb") as file:
        try:
            for number in kept:
                os.dup2(file.fileno(), number)
            yield lambda: path.read_text("utf-8", "replace").splitlines()
        finally:
            for number, before in kept.items():
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
    if first.lstrip().startswith(b"$"):
        readable = vcd_text.mended(path.name, readable, folder / "mended.vcd", remarks)
    elif b"FSDB" in first:
        raise ValueError(
            f"{path.name} is an FSDB file, which is not read: convert it with fsdb2vcd"
        )
    elif fst_blocks.is_fst(first) and not fst_blocks.is_closed(readable, path.name):
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


def _with_hierarchy(path: Path, readable: Path, folder: Path) -> Path:
    """Return an FST file that was never closed, with its hierarchy where the library looks."""
    hierarchy = path.with_name(f"{path.name}.hier")
    if not hierarchy.is_file():
        raise ValueError(
            f"{path.name} was never closed or is cut off, and {hierarchy.name}, which the "
            f"simulator writes beside it until then, is not there: keep both files, {_REMEDY}"
        )
    target = folder / "killed.fst"
    target.symlink_to(readable.resolve())
    target.with_suffix(".fst.hier").symlink_to(hierarchy.resolve())
    return target


def _structure(name: str, path: Path, content: Any) -> tuple[list[tuple[int, int]], int | None]:
    """Return the pauses of a file, and the last time at which a VCD file has a change."""
    if content.file_format == "FST":
        return _switched(fst_blocks.switches(path)), None
    if content.file_format == "VCD":
        switches, last = vcd_text.structure(
            name, path, lambda time: time_text(time, content.timescale)
        )
        return _switched(switches), last
    return [], None


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
