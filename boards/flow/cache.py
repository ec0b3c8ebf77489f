"""A cache of the tools' results on disk: the same input is never built twice by the same tools."""

import gzip
import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

from golden import caches


def folder() -> Path:
    """Return the folder of the cache: `gradloom/builds` in the user's cache, or a temporary one."""
    return caches.folder("builds")


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
    content = caches.read(_path(name))
    try:
        kept = json.loads(gzip.decompress(content or b""))
    except (OSError, EOFError, ValueError, zlib.error):
        return None
    return kept["value"] if isinstance(kept, dict) and kept.get("name") == name else None


def store(name: str, value: Any) -> None:
    """Store a value that is ready for JSON; a reader at the same time finds all of it or none."""
    text = json.dumps({"name": name, "value": value})
    caches.write(_path(name), gzip.compress(text.encode(), 6, mtime=0))


def _path(name: str) -> Path:
    return folder() / f"{name}.json.gz"
