"""Damaged data sets: one line that names the file, or data of the right form; nothing else."""

import gzip
import io
import os
import struct
import tarfile

import cifar_sets
import numpy as np
import pytest
from bounded import bounded
from hypothesis import given, settings
from hypothesis import strategies as st
from idx_files import idx_bytes
from mutations import mutated

from golden.datasets import DatasetError, load, remarks
from gradloom.train import fetching
from gradloom.train.fetching import FetchError

QUICK = settings(max_examples=60)
LONG = settings(max_examples=800)

RANDOM = np.random.default_rng(0)
IDX = {
    f"{part}-{kind}-idx{array.ndim}-ubyte": idx_bytes(array)
    for part, count in (("train", 6), ("t10k", 4))
    for kind, array in (
        ("images", RANDOM.integers(0, 256, (count, 3, 4), np.uint8)),
        ("labels", np.arange(count, dtype=np.uint8) % 3),
    )
}


def read(folder):
    """Load a folder; the data set, or None where it was refused in a line."""
    with bounded():
        try:
            data = load(folder)
            assert all("\n" not in line for line in remarks(data))
        except DatasetError as error:
            assert "\n" not in str(error) and str(error).startswith(str(folder))
            return None
    assert len(data.train_images) == len(data.train_labels) > 0
    assert data.train_images.max() <= data.pixel_max
    return data


@st.composite
def damaged_idx(draw):
    """Name and content of the four files, one of them damaged, maybe compressed before or after."""
    files, name = dict(IDX), draw(st.sampled_from(sorted(IDX)))
    content = draw(mutated(files.pop(name), most=3))
    if draw(st.booleans()):
        packed = gzip.compress(content, mtime=0)
        files[f"{name}.gz"] = draw(st.one_of(st.just(packed), mutated(packed, most=2)))
    else:
        files[name] = content
    return files


def check_idx(folder, files):
    for path in folder.iterdir():
        path.unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    read(folder)


def check_cifar(folder, version, content):
    suffix = "" if version == "python" else ".bin"
    (folder / f"data_batch_2{suffix}").write_bytes(content)
    data = read(folder)
    assert data is None or data.shape == (32, 32, 3)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module", params=["python", "binary"])
def cifar(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    cifar_sets.write(folder, request.param, count=2)
    suffix = "" if request.param == "python" else ".bin"
    return folder, request.param, (folder / f"data_batch_2{suffix}").read_bytes()


@QUICK
@given(files=damaged_idx())
def test_damaged_idx_files(files, place):
    check_idx(place, files)


@pytest.mark.long
@LONG
@given(files=damaged_idx())
def test_much_damaged_idx_files(files, place):
    check_idx(place, files)


def test_damaged_cifar_files(cifar):
    folder, version, content = cifar

    @QUICK
    @given(damaged=mutated(content))
    def check(damaged):
        check_cifar(folder, version, damaged)

    check()


@pytest.mark.long
def test_much_damaged_cifar_files(cifar):
    folder, version, content = cifar

    @LONG
    @given(damaged=mutated(content))
    def check(damaged):
        check_cifar(folder, version, damaged)

    check()


def bomb(shape, size):
    """A small gzip file: a header of these dimensions, and `size` zeros."""
    content = io.BytesIO()
    with gzip.GzipFile(fileobj=content, mode="wb", mtime=0) as file:
        file.write(struct.pack(f">{1 + len(shape)}I", 0x800 | len(shape), *shape))
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))
    return content.getvalue()


@pytest.mark.parametrize("shape", [(1 << 10, 1 << 10, 1 << 10), (1 << 20, 1 << 10, 1 << 10)])
def test_a_bomb_is_refused_before_it_fills_the_memory(shape, tmp_path):
    for name, content in IDX.items():
        (tmp_path / name).write_bytes(content)
    name = "train-images-idx3-ubyte"
    (tmp_path / name).unlink()
    packed = bomb(shape, 200 << 20)
    assert len(packed) < 1 << 20
    (tmp_path / f"{name}.gz").write_bytes(packed)
    with bounded(memory=1 << 28), pytest.raises(DatasetError, match="that a gzip file of this"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "data_batch_1.bin"])
def test_a_pipe_is_no_file(name, tmp_path):
    """Opening it would wait for a writer."""
    os.mkfifo(tmp_path / name)
    with bounded(), pytest.raises(DatasetError):
        load(tmp_path)


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "data_batch_1.bin"])
def test_a_file_of_holes_is_refused(name, tmp_path):
    """2^50 bytes that take no room on the disk."""
    for other, content in IDX.items():
        if not name.startswith("data"):
            (tmp_path / other).write_bytes(content)
    with (tmp_path / name).open("wb") as file:
        file.write(struct.pack(">4I", 0x803, 1 << 30, 1 << 10, 1 << 10))
        try:
            file.truncate(16 + (1 << 43))
        except OSError:
            pytest.skip("this file system has no files of holes")
    with bounded(), pytest.raises(DatasetError, match="more than the memory of this machine"):
        load(tmp_path)


# Archives.

WANTED = ("folder/a", "folder/b")


def archive(members):
    """A tar archive of these members: pairs of a TarInfo and its content."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz", compresslevel=1) as file:
        for member, data in members:
            member.size = len(data)
            file.addfile(member, io.BytesIO(data))
    return content.getvalue()


def member(name, kind=tarfile.REGTYPE, link=""):
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


GOOD = [(member(name), name.encode()) for name in WANTED]
HARMFUL = {
    "a path upward": [(member("../outside"), b"x"), *GOOD],
    "an absolute path": [(member("/tmp/gradloom-outside"), b"x"), *GOOD],
    "a link, then a file through it": [
        (member("folder", tarfile.SYMTYPE, "../elsewhere"), b""),
        *GOOD,
    ],
    "a link in place of a file": [(member("folder/a", tarfile.SYMTYPE, "/etc/passwd"), b""), *GOOD],
    "a hard link": [(member("folder/a", tarfile.LNKTYPE, "../outside"), b""), *GOOD],
    "a pipe": [(member("folder/a", tarfile.FIFOTYPE), b""), *GOOD],
    "more files": [(member("folder/c"), b"x"), *GOOD],
}


def unpack(content, folder):
    """Unpack an archive into a new folder; what stands around it then, and whether it was whole."""
    folder.mkdir()
    (folder / "archive").write_bytes(content)
    whole = True
    with bounded():
        try:
            fetching._unpack(folder / "archive", folder, WANTED)
        except FetchError as error:
            assert "\n" not in str(error)
            whole = False
    left = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert not any(path.is_symlink() for path in folder.rglob("*"))
    return left - {"archive"}, whole


@pytest.mark.parametrize("name", HARMFUL)
def test_an_archive_writes_the_wanted_files_only(name, tmp_path):
    left, whole = unpack(archive(HARMFUL[name]), tmp_path / "data")
    assert whole and left == set(WANTED)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert (tmp_path / "data/folder/a").read_text() == "folder/a"


def test_damaged_archives(tmp_path):
    good, count = archive(GOOD), iter(range(10**6))
    plain = gzip.decompress(good)

    @QUICK
    @given(content=st.one_of(mutated(good), mutated(plain).map(gzip.compress)))
    def check(content):
        left, whole = unpack(content, tmp_path / str(next(count)))
        assert left <= set(WANTED) and (left == set(WANTED) or not whole)

    check()


def test_an_archive_that_grows_without_end_is_refused(tmp_path):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as file:
        large = member("folder/a")
        large.size = 1 << 28
        file.addfile(large, io.BytesIO(bytes(large.size)))
    (tmp_path / "archive").write_bytes(content.getvalue())
    with bounded(memory=1 << 28), pytest.raises(FetchError, match="it has more than 67,108,864"):
        fetching._unpack(tmp_path / "archive", tmp_path, WANTED)
    assert [path.name for path in (tmp_path / "folder").iterdir()] == []
