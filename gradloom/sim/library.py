"""Shared libraries that are compiled once and kept in the user's cache.

The name of a library's file has the hash of everything that it was made from, and the hash of its
content. So a file that is not whole is found before it is loaded (loading one could end the
process), and libraries of several machines that share a home folder stand side by side.
"""

import ctypes
import hashlib
import platform
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from golden import caches


def load(made_of: Sequence[str], make: Callable[[Path], None]) -> ctypes.CDLL:
    """Return a library: from the cache, or made now.

    Parameters
    ----------
    made_of
        Everything that the library is made from, beside this machine's kind of processor.
    make
        Writes the library to the path that it is given.

    Raises
    ------
    OSError
        The library that was made now cannot be loaded.
    """
    key = _hash("\0".join([*made_of, _processor()]).encode())
    folder = caches.folder("libraries")
    for path in sorted(folder.glob(f"{key}-*.so")):
        if (found := _loaded(path)) is not None:
            return found
    with tempfile.TemporaryDirectory(prefix="gradloom-library-") as work:
        made = Path(work) / "made.so"
        make(made)
        content = made.read_bytes()
        path = folder / f"{key}-{_hash(content)}.so"
        caches.write(path, content)
        # Where it could not be kept, or may not be run.
        return _loaded(path) or ctypes.CDLL(str(made))


def _loaded(path: Path) -> ctypes.CDLL | None:
    """Return the library in a file; None if it is not whole or is of another machine."""
    content = caches.read(path)
    if content is None or not path.stem.endswith(_hash(content)):
        return None
    try:
        return ctypes.CDLL(str(path))
    except OSError:
        return None


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _processor() -> str:
    """Return the kind of processor and its instructions: some compilers use all that there are."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        text = ""
    found = re.search(r"^(?:flags|Features)\s*:.*$", text, re.M)
    return f"{platform.system()} {platform.machine()} {found[0] if found else ''}"
