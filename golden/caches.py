"""Folders and files of the user's cache, which saves time and is never needed.

A folder that cannot be made or written, or into which other users can write, is not used. A
temporary folder takes its place, with one remark, and is removed at the end of the process.
"""

import grp
import logging
import os
import pwd
import stat
import tempfile
from functools import cache
from pathlib import Path
from threading import RLock

#: Its remarks go to standard error, unless a program has handlers of its own.
_log = logging.getLogger("gradloom")
_lock = RLock()
_noted: set[Path] = set()


def user() -> Path:
    """Return the folder of the user's caches, whether or not it can be used.

    It is XDG_CACHE_HOME, if that is an absolute path, or else ~/.cache.

    Raises
    ------
    RuntimeError
        The user has no home folder.
    """
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return named if named.is_absolute() else Path.home() / ".cache"


def home() -> Path:
    """Return a folder for caches that can be used: that of the user, or a temporary one.

    If it is not what the tools and workers that this process starts would find by themselves, the
    environment names it from then on: they have caches of their own in the same folder.
    """
    with _lock:
        try:
            folder = user()
        except RuntimeError as error:
            folder, problem = Path("~/.cache"), str(error)
            os.environ["HOME"] = str(_temporary())
        else:
            # Of the folders of tools, this one has code that is run as it is found.
            problem = trouble(folder / "wasmtime")
        if problem:
            _note(folder, problem)
            folder = _temporary()
            os.environ.setdefault("MPLCONFIGDIR", str(folder / "matplotlib"))
        if problem or os.environ.get("XDG_CACHE_HOME"):
            os.environ["XDG_CACHE_HOME"] = str(folder)
        return folder


def folder(name: str) -> Path:
    """Return the folder `gradloom/NAME` of the cache, which exists, or a temporary one."""
    return usable(home() / "gradloom" / name)


def usable(place: Path) -> Path:
    """Return `place`, which is made if it is missing, or a temporary folder of the same name."""
    if problem := trouble(place):
        _note(place, problem)
        return temporary(place.name)
    return place


def temporary(name: str) -> Path:
    """Return a folder, by a name, that is removed at the end of this process."""
    with _lock:
        place = _temporary() / name
        place.mkdir(mode=0o700, exist_ok=True)
        return place


def trouble(place: Path) -> str:
    """Return why a folder, which is made if it is missing, cannot be used; empty if it can."""
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if problem := _foreign(place.stat()):
            return problem
        with tempfile.TemporaryFile(dir=place):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def trusted(path: Path) -> bool:
    """Return whether there is a file of the cache that no other user can have written."""
    try:
        about = path.stat()
    except OSError:
        return False
    return stat.S_ISREG(about.st_mode) and not _foreign(about)


def read(path: Path) -> bytes | None:
    """Return the content of a file of the cache; None if there is none that can be trusted."""
    try:
        return path.read_bytes() if trusted(path) else None
    except OSError:
        return None


def write(path: Path, content: bytes) -> bool:
    """Write a file of the cache: a reader at the same time finds all of it or none.

    Returns
    -------
    bool
        Whether it was written. If it was not (the disk is full, say), there is a remark.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.replace(name, path)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        _note(path.parent, error.strerror or str(error))
        return False
    return True


@cache
def _directory() -> tempfile.TemporaryDirectory[str]:
    """Return what removes this process's temporary folder at its end."""
    return tempfile.TemporaryDirectory(prefix="gradloom-cache-", ignore_cleanup_errors=True)


def _temporary() -> Path:
    """Return this process's temporary folder, which only this user can read."""
    return Path(_directory().name)


def _note(place: Path, problem: str) -> None:
    """Say once that a folder is not used."""
    if place not in _noted:
        _noted.add(place)
        _log.warning("gradloom: the cache %s is not used: %s", place, problem)


def _foreign(about: os.stat_result) -> str:
    """Return why other users may have written a file or folder; empty if they cannot."""
    if about.st_uid != os.geteuid():
        return "it belongs to another user"
    if about.st_mode & stat.S_IWOTH:
        return "other users can write to it"
    if about.st_mode & stat.S_IWGRP and not _alone(about.st_gid):
        return "its group can write to it"
    return ""


def _alone(group: int) -> bool:
    """Return whether this user is the only one in a group: many systems give each user one."""
    try:
        name = pwd.getpwuid(os.geteuid()).pw_name
        found = grp.getgrgid(group)
    except KeyError:
        return False
    return found.gr_name == name and set(found.gr_mem) <= {name}
