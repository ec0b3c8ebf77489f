"""Data sets from the network: where they are, what their files must hash to, how they get here.

Transfers are made with pooch, which the extra `train` brings. A file gets its name when it is whole
and hashes to what is written here; until then there is a temporary one, gone when anything fails.
"""

import shutil
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.progress import Progress, TaskID

from golden.files import replaced

#: Seconds without a byte after which a server counts as silent.
TIMEOUT = 30
_CHUNK = 1 << 16


class FetchError(RuntimeError):
    """A data set cannot be had; the message names the file and what went wrong."""


@dataclass(frozen=True, kw_only=True)
class File:
    """A file as published.

    Parameters
    ----------
    name
        Its name, the same on every mirror and in the folder.
    size
        Bytes.
    sha256
        Hash of its content, in hexadecimal.
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
        What it is, in one line.
    home
        Where its authors describe it.
    licence
        What they allow.
    mirrors
        Addresses before the files' names, tried in this order.
    files
        All files that are transferred.
    unpacked
        Paths in the folder and in the archives; none where the files are used as they are.
    """

    title: str
    home: str
    licence: str
    mirrors: tuple[str, ...]
    files: tuple[File, ...]
    unpacked: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes that are transferred."""
        return sum(file.size for file in self.files)

    def missing(self, folder: Path) -> list[str]:
        """Names of the files that are not in the folder, or not of the published size."""
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

#: Data sets by name. Hashes are those that TensorFlow Datasets and many others check, too.
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
    """Where the data set `name` is kept if nobody says otherwise: in the user's cache."""
    return Path(_pooch().os_cache("gradloom")) / name


def fetch(
    source: Source,
    folder: Path,
    mirrors: Sequence[str] = (),
    say: Callable[[str], None] = lambda text: None,
    progress: Progress | None = None,
) -> None:
    """Bring the files of a data set into `folder`; those that are there stay and are checked.

    Parameters
    ----------
    source
        One of `SOURCES`, or another.
    folder
        Made if it is missing.
    mirrors
        Addresses to try instead of the published ones.
    say
        Gets a line for every file: from where it came, or that it was there.
    progress
        Shows the transfer of each file.

    Raises
    ------
    FetchError
        No mirror gave a file with the right hash, a file of that name is there with another, an
        archive lacks a file, or pooch is not installed. Whatever was whole before stays, and a
        second call goes on from there.
    """
    pooch = _pooch()
    folder.mkdir(parents=True, exist_ok=True)
    for file in source.files:
        path = folder / file.name
        if path.exists():
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
    """Fill the temporary file from the first mirror that has the right content; which it was."""
    from requests import RequestException

    reasons = []
    for mirror in mirrors:
        address = f"{mirror.rstrip('/')}/{file.name}"
        bar = _Bar(progress, file.name) if progress else None
        download = pooch.HTTPDownloader(
            progressbar=bar or False,
            chunk_size=_CHUNK,
            timeout=TIMEOUT,
            # As it is stored: a server may otherwise pack it, or unpack what is packed already.
            headers={"Accept-Encoding": "identity"},
        )
        try:
            download(address, str(temporary), None)
        except RequestException as error:
            reasons.append(f"{address}: {_reason(error)}")
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
    """What went wrong in a transfer, in a few words: requests says it in many."""
    import requests

    if error.response is not None:
        return f"{error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return f"no answer within {TIMEOUT} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the transfer broke off"
    if isinstance(error, requests.ConnectionError):
        # The system's own words come last.
        cause = str(getattr(error.args[0], "reason", error)) if error.args else ""
        return f"no connection ({cause.rpartition(': ')[2]})"
    return str(error)


class _Bar:
    """A progress bar as pooch drives one, shown by rich."""

    total = 0  # of bytes, set by pooch

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
        """Take the bar away."""
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None


def _unpack(archive: Path, folder: Path, wanted: Sequence[str]) -> None:
    """Write the wanted files of a tar archive, and no other, into the folder."""
    missing = dict.fromkeys(wanted)
    try:
        with tarfile.open(archive, "r:gz") as members:
            for member in members:
                # Names are those we know, so none can lead elsewhere.
                content = members.extractfile(member) if member.isfile() else None
                if member.name not in missing or content is None:
                    continue
                path = folder / member.name
                path.parent.mkdir(exist_ok=True)
                with replaced(path) as temporary, temporary.open("wb") as target:
                    shutil.copyfileobj(content, target)
                del missing[member.name]
    except (tarfile.TarError, EOFError) as error:
        raise FetchError(f"{archive}: no tar archive, or a damaged one ({error})") from None
    if missing:
        raise FetchError(f"{archive}: no {', '.join(missing)} in it")
