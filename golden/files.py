"""Atomic writing of files: to a temporary file, which is then renamed. Errors name the file."""

import errno
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

#: Errors of a write to an open file. They name no file.
_OF_WRITING = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
#: Bytes that are written to try a folder: a full disk has no room for a block.
_TRIED = 4096


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Yield a temporary path, whose file replaces `path` at the end of the block.

    If the block raises, the temporary file is removed and `path` does not change. The new file is
    on the disk before it is renamed, so after a power failure there is either the old file or the
    new one.

    Parameters
    ----------
    path
        File to write. The temporary file is in the same folder.

    Raises
    ------
    OSError
        The file cannot be written. The error names `path`, not the temporary file.
    """
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name[:100]}.", suffix=path.suffix
        )
        os.close(handle)
        temporary = Path(name)
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp lets nobody else read the file
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        of_writing = error.filename is None and error.errno in _OF_WRITING
        if temporary is None or of_writing or str(error.filename) == str(temporary):
            raise _named(error.errno, path) from error
        raise
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def tried(folder: Path, names: Iterable[str] = ()) -> None:
    """Raise the error that writing into a folder would, before the work for it; leave no trace.

    Parameters
    ----------
    folder
        The folder; it and its parents may be missing.
    names
        Names of the files that will be written.

    Raises
    ------
    OSError
        The folder cannot be made or written to, or a name is that of a folder. The error names
        `folder`, or the file.

    Examples
    --------
    >>> tried(Path(__file__) / "folder")
    Traceback (most recent call last):
        ...
    NotADirectoryError: [Errno 20] Not a directory: ...
    """
    for path in (folder, *(folder / name for name in names)):
        with suppress(FileNotFoundError, NotADirectoryError):
            os.lstat(path)  # fails for a name that is too long, or in a folder that is closed
        if path != folder and path.is_dir():
            raise _named(errno.EISDIR, path)
    place = folder
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if not place.is_dir():  # a file, or a link to nothing
        raise _named(errno.ENOTDIR, folder)
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(bytes(_TRIED))
    except OSError as error:
        raise _named(error.errno, folder) from error


def write(files: Mapping[str, str | bytes], folder: Path) -> None:
    """Write files into a folder, which is made if it is missing: all of them or none.

    Parameters
    ----------
    files
        Name of a file to its content. Text is written in UTF-8.
    folder
        The folder.

    Raises
    ------
    OSError
        Some file cannot be written. The error names it.
    """
    tried(folder, files)
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            for name, content in files.items():
                data = content.encode() if isinstance(content, str) else content
                try:
                    stack.enter_context(replaced(folder / name)).write_bytes(data)
                except OSError as error:
                    raise _named(error.errno, folder / name) from error
    except BaseException:
        for each in missing:
            with suppress(OSError):
                each.rmdir()
        raise


def _named(number: int | None, path: Path) -> OSError:
    """Return the error of this number, with the name of the file that was meant."""
    number = number or errno.EIO
    return OSError(number, os.strerror(number), str(path))


def _sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
