"""Results kept by content: the same tools do not make the same from the same text twice."""

import gzip
import hashlib
import json
import os
import tempfile
import zlib
from pathlib import Path
from typing import Any


def folder() -> Path:
    """Where builds are kept."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "gradloom" / "builds"


def key(*parts: str) -> str:
    """The name of what is made of all these."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def load(name: str) -> Any:
    """What is kept under this name; None if nothing is, or what is there cannot be read."""
    try:
        with gzip.open(folder() / f"{name}.json.gz", "rt") as file:
            return json.load(file)
    except (OSError, EOFError, ValueError, zlib.error):
        return None


def store(name: str, value: Any) -> None:
    """Keep a value; whoever reads at the same time finds all of it or nothing."""
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
