"""Fetches data sets from the network: their addresses, the hashes of their files, the transfer.

Transfers use pooch, which is part of the extra `train`. A file is written under a temporary name
and renamed when it is complete and has the right hash. After any failure it is removed.
"""

import gzip
import shutil
import tarfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

from rich.progress import Progress, TaskID

from golden import caches
from golden.files import replaced

#: Seconds without a byte after which a transfer is given up.
TIMEOUT = 30
_CHUNK = 1 << 16
#: Largest ratio of the content of an archive to its size, above a size that never hurts.
_MOST_RATIO, _SMALL = 10, 1 << 26


class FetchError(RuntimeError):
    """A data set cannot be fetched; the message names the file and the reason."""


@dataclass(frozen=True, kw_only=True)
class File:
    """A file as published.

    Parameters
    ----------
    name
        Name of the file, on every mirror and in the folder.
    size
        Number of bytes.
    sha256
        Hash of the content, in hexadecimal.
    """

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data set as published.

    Parameters
    ----------
    title
        Description, one line.
    home
        Address of the authors' description.
    licence
        Licence.
    mirrors
        Addresses of folders with the files, tried in this order.
    files
        Files to transfer.
    unpacked
        Paths of the unpacked files, in the folder and in the archives. Empty if there are no
        archives.
    """

    title: str
    home: str
    licence: str
    mirrors: tuple[str, ...]
    files: tuple[File, ...]
    unpacked: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Number of bytes to transfer."""
        return sum(file.size for file in self.files)

    def missing(self, folder: Path) -> list[str]:
        """Return the names of the files that are missing in the folder or have another size."""
        absent = [
            file.name
            for file in self.files
            if not (folder / file.name).is_file()
            or (folder / file.name).stat().st_size != file.size
        ]
        return absent + [name for name in self.unpacked if not (folder / name).is_file()]


_BATCHES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
_CIFAR = {
    "home": "https://www.cs.toronto.edu/~kriz/cifar.html",
    "licence": "none stated; its authors ask to cite Krizhevsky 2009",
}

#: Data sets by name. TensorFlow Datasets and others check the same hashes.
SOURCES = {
    "mnist": Source(
        title="handwritten digits, 28 x 28, 60,000 + 10,000",
        home="http://yann.lecun.com/exdb/mnist/",
        licence="CC BY-SA 3.0 (Y. LeCun, C. Cortes)",
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        files=(
            File(
                name="train-images-idx3-ubyte.gz",
                size=9_912_422,
                sha256="440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            ),
            File(
                name="train-labels-idx1-ubyte.gz",
                size=28_881,
                sha256="3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            ),
            File(
                name="t10k-images-idx3-ubyte.gz",
                size=1_648_877,
                sha256="8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            ),
            File(
                name="t10k-labels-idx1-ubyte.gz",
                size=4_542,
                sha256="f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
        ),
    ),
    "fashion-mnist": Source(
        title="photographs of clothes, 28 x 28, 60,000 + 10,000",
        home="https://github.com/zalandoresearch/fashion-mnist",
        licence="MIT (Zalando SE)",
        mirrors=(
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        ),
        files=(
            File(
                name="train-images-idx3-ubyte.gz",
                size=26_421_880,
                sha256="3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            ),
            File(
                name="train-labels-idx1-ubyte.gz",
                size=29_515,
                sha256="a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            ),
            File(
                name="t10k-images-idx3-ubyte.gz",
                size=4_422_102,
                sha256="346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            ),
            File(
                name="t10k-labels-idx1-ubyte.gz",
                size=5_148,
                sha256="67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            ),
        ),
    ),
    "cifar-10": Source(
        title="colour photographs, 32 x 32 x 3, 50,000 + 10,000, as pickles",
        mirrors=(
            "https://www.cs.toronto.edu/~kriz/",
            "https://dataset.bj.bcebos.com/cifar/",
        ),
        files=(
            File(
                name="cifar-10-python.tar.gz",
                size=170_498_071,
                sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
            ),
        ),
        unpacked=tuple(f"cifar-10-batches-py/{name}" for name in _BATCHES),
        **_CIFAR,
    ),
    "cifar-10-binary": Source(
        title="colour photographs, 32 x 32 x 3, 50,000 + 10,000, as records",
        mirrors=(
            "https://www.cs.toronto.edu/~kriz/",
            "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/",
        ),
        files=(
            File(
                name="cifar-10-binary.tar.gz",
                size=170_052_171,
                sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            ),
        ),
        unpacked=tuple(f"cifar-10-batches-bin/{name}.bin" for name in _BATCHES),
        **_CIFAR,
    ),
}


def default_folder(name: str) -> Path:
    """Return the default folder of a data set, in the user's cache.

    Raises
    ------
    RuntimeError
        The user has no home folder.
    """
    return caches.user() / "gradloom" / name


def fetch(
    source: Source,
    folder: Path,
    mirrors: Sequence[str] = (),
    say: Callable[[str], None] = lambda text: None,
    progress: Progress | None = None,
) -> None:
    """Fetch the files of a data set into `folder`. Existing files are checked and kept.

    Parameters
    ----------
    source
        The data set.
    folder
        The folder, made if it is missing.
    mirrors
        Addresses to try instead of the published ones.
    say
        Called with one line for every file: its address, or that it is already there.
    progress
        Display of the transfers.

    Raises
    ------
    FetchError
        No mirror has a file with the right hash, an existing file has another hash, an archive
        lacks a file, or pooch is not installed. Complete files stay, so a second call continues.
    """
    pooch = _pooch()
    folder.mkdir(parents=True, exist_ok=True)
    for file in source.files:
        path = folder / file.name
        if path.exists():
            if not path.is_file():
                raise FetchError(f"{path}: not a regular file; choose another folder")
            found = pooch.file_hash(str(path), alg="sha256")
            if found != file.sha256:
                raise FetchError(
                    f"{path}: SHA-256 {file.sha256} expected, {found} found; "
                    "remove the file, or choose another folder"
                )
            say(f"{file.name}: already there")
            continue
        with replaced(path) as temporary:
            mirror = _transfer(pooch, file, temporary, mirrors or source.mirrors, progress)
        say(f"{file.name}: {file.size:,} bytes from {mirror}")
    if any(not (folder / name).is_file() for name in source.unpacked):
        for file in source.files:
            _unpack(folder / file.name, folder, source.unpacked)
            say(f"{file.name}: unpacked")


def _pooch() -> ModuleType:
    try:
        import pooch
    except ImportError as error:
        raise FetchError("fetching data sets needs pooch: pip install 'gradloom[train]'") from error
    return pooch


def _transfer(
    pooch: Any, file: File, temporary: Path, mirrors: Sequence[str], progress: Progress | None
) -> str:
    """Fill the temporary file from the first mirror with the right content. Returns the mirror."""
    from requests import RequestException

    reasons = []
    for mirror in mirrors:
        address = f"{mirror.rstrip('/')}/{file.name}"
        bar = _Bar(progress, file.name) if progress else None
        download = pooch.HTTPDownloader(
            progressbar=bar or False,
            chunk_size=_CHUNK,
            timeout=TIMEOUT,
            # Otherwise a server may compress the file, or decompress it.
            headers={"Accept-Encoding": "identity"},
        )
        try:
            with temporary.open("wb") as target:
                download(address, _Limited(target, file.size), None)
        except _TooMuchError:
            reasons.append(f"{address}: more than the {file.size:,} bytes expected")
            continue
        except RequestException as error:
            reasons.append(f"{address}: {_reason(error)}")
            continue
        except ValueError:  # pooch takes the length for a number
            reasons.append(f"{address}: its header Content-Length is no number")
            continue
        finally:
            if bar:
                bar.close()
        found = pooch.file_hash(str(temporary), alg="sha256")
        if found == file.sha256:
            return mirror
        size = temporary.stat().st_size
        reasons.append(
            f"{address}: SHA-256 {file.sha256} expected, {found} found "
            f"({size:,} bytes, {file.size:,} expected)"
        )
    raise FetchError(f"{file.name} was not fetched: {'; '.join(reasons)}")


def _reason(error: Any) -> str:
    """Return the reason of a failed transfer, shorter than the message of requests."""
    import requests

    if error.response is not None:
        return f"{error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return f"no answer within {TIMEOUT} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the transfer was interrupted"
    if isinstance(error, requests.ConnectionError):
        # The operating system's message is the last part.
        cause = str(getattr(error.args[0], "reason", error)) if error.args else ""
        return f"no connection ({cause.rpartition(': ')[2]})"
    return str(error)


class _TooMuchError(Exception):
    """More bytes came than the file has."""


class _Limited:
    """A file for writing that takes a number of bytes and no more."""

    def __init__(self, file: BinaryIO, size: int):
        self._file = file
        self._left = size

    def write(self, data: bytes) -> int:
        """Write the bytes, or raise an error."""
        self._left -= len(data)
        if self._left < 0:
            raise _TooMuchError
        return self._file.write(data)

    def flush(self) -> None:
        """Write what is buffered."""
        self._file.flush()


class _Unpacked:
    """A gzip file for reading that ends with an error after a number of bytes."""

    def __init__(self, file: gzip.GzipFile, most: int):
        self._file = file
        self._most = self._left = most

    def read(self, size: int) -> bytes:
        """Read bytes."""
        data = self._file.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise tarfile.ReadError(f"it has more than {self._most:,} bytes")
        return data


class _Bar:
    """A progress bar with the methods that pooch calls, shown by rich."""

    total = 0  # bytes, set by pooch

    def __init__(self, progress: Progress, name: str):
        self._progress = progress
        self._task: TaskID | None = progress.add_task(name, total=None)

    def update(self, size: int) -> None:
        """Count further bytes."""
        if self._task is not None:
            self._progress.update(self._task, total=self.total or None, advance=size)

    def reset(self) -> None:
        """Count from 0 again."""
        if self._task is not None:
            self._progress.reset(self._task)

    def close(self) -> None:
        """Remove the bar."""
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None


def _unpack(archive: Path, folder: Path, wanted: Sequence[str]) -> None:
    """Write the wanted files of a tar archive, and no others, into the folder."""
    missing = dict.fromkeys(wanted)
    try:
        with (
            gzip.open(archive) as whole,
            tarfile.open(
                fileobj=_Unpacked(whole, max(_MOST_RATIO * archive.stat().st_size, _SMALL)),  # type: ignore[call-overload]
                mode="r|",
            ) as members,
        ):
            for member in members:
                # Only known names are written, so no path can lead out of the folder.
                content = members.extractfile(member) if member.isfile() else None
                if member.name not in missing or content is None:
                    continue
                path = folder / member.name
                path.parent.mkdir(exist_ok=True)
                with replaced(path) as temporary, temporary.open("wb") as target:
                    shutil.copyfileobj(content, target)
                del missing[member.name]
    except (
        *(tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error),
        *(ValueError, OverflowError),  # of tarfile, for numbers and texts in damaged headers
    ) as error:
        raise FetchError(f"{archive}: not a tar archive, or a damaged one ({error})") from None
    if missing:
        raise FetchError(f"{archive}: no {', '.join(missing)} in it")
