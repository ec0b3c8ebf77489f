"""Reading of .npz files that anybody may have changed.

`numpy.load` allocates what a header claims, and advises to read objects unsafely. Here an array
needs its bytes in the file, and no object is ever made.
"""

import math
import stat
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of an .npz file as `numpy.savez` writes it, by name.

    Raises
    ------
    ValueError
        The file is missing, is no such archive, or one of its arrays is compressed, not complete,
        or of Python objects. The message does not name the file.

    Examples
    --------
    >>> np.savez("two.npz", a=np.arange(3), b=np.zeros((2, 2)))
    >>> {name: array.shape for name, array in read_arrays(Path("two.npz")).items()}
    {'a': (3,), 'b': (2, 2)}
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ValueError("no regular file")
        with zipfile.ZipFile(path) as archive:
            return {
                entry.filename.removesuffix(".npy"): _array(archive, entry)
                for entry in archive.infolist()
            }
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from None
    except MemoryError:
        raise ValueError("larger than the memory at hand") from None
    except Exception as error:  # zipfile and NumPy's header raise anything for a damaged file
        raise ValueError(" ".join(str(error).split())[:200] or type(error).__name__) from None


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> NDArray[Any]:
    """Return the array of an entry."""
    if entry.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{entry.filename[:80]!r} is compressed")
    with archive.open(entry) as member:
        shape, by_columns, dtype = _header(member, entry.filename[:80])
        if dtype.hasobject:
            raise ValueError(f"{entry.filename[:80]!r} is of Python objects")
        wanted = math.prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or wanted != entry.file_size - member.tell():
            raise ValueError(f"{entry.filename[:80]!r} has another length than its header says")
        data = bytearray(member.read(wanted))
        if len(data) != wanted:
            raise ValueError(f"{entry.filename[:80]!r} is truncated")
    return np.ndarray(shape, dtype, data, order="F" if by_columns else "C")


def _header(member: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, whether columns come first, and type of an array."""
    form = np.lib.format
    if form.read_magic(member) != (1, 0):
        raise ValueError(f"{name!r} is of another version of NumPy's format than 1.0")
    return form.read_array_header_1_0(member)
