"""A cache of the tools' results on disk: the same input is never built twice by the same tools."""

import gzip
import hashlib
import json
import os
import tempfile
import zlib
from pathlib import Path
from typing import Any


def folder() -> Path:
    """Return the folder of the cache: `gradloom/builds` in XDG_CACHE_HOME, or in ~/.cache."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "gradloom" / "builds"


def key(*parts: str) -> str:
    """Return the name under which a result is stored.

    Parameters
    ----------
    parts
        Everything that the result depends on.

    Examples
    --------
    >>> key("a", "b") == key("a", "b") != key("ab")
    True
    """
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def load(name: str) -> Any:
    """Return the value that is stored under a name; None if there is none that can be read."""
    try:
        with gzip.open(folder() / f"{name}.json.gz", "rt") as file:
            return json.load(file)
    except (OSError, EOFError, ValueError, zlib.error):
        return None


def store(name: str, value: Any) -> None:
    """Store a value that is ready for JSON; a reader at the same time finds all of it or none."""
    place = folder()
    place.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=place, prefix=f".{name}.")
    try:
        with (
            os.fdopen(handle, "wb") as raw,
            gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, compresslevel=6) as file,
        ):
            file.write(json.dumps(value).encode())
        os.replace(temporary, place / f"{name}.json.gz")
    finally:
        Path(temporary).unlink(missing_ok=True)
