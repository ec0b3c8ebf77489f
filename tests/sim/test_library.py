"""Compiled libraries in the cache: used if they are whole, made again if not."""

import ctypes
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from golden import caches
from gradloom.sim import cxxrtl, library


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """The folder of libraries of a cache of the test's own."""
    monkeypatch.setattr(caches, "folder", lambda name: tmp_path / name)
    return tmp_path / "libraries"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Two libraries with a function `number`, by its result."""
    folder = tmp_path_factory.mktemp("compiled")
    for number in (3, 4):
        code = folder / f"{number}.cc"
        code.write_text(f'extern "C" int number() {{ return {number}; }}')
        cxxrtl.tool([*cxxrtl.compiler(), "-fPIC", "-shared", str(code), "-o", f"{folder}/{number}"])
    return {number: (folder / str(number)).read_bytes() for number in (3, 4)}


class Maker:
    """Writes a library, and counts how often."""

    def __init__(self, content):
        self.content, self.calls = content, 0

    def __call__(self, path):
        self.calls += 1
        path.write_bytes(self.content)


def put(path, content):
    """Write another file in the place of one that this process has loaded."""
    path.unlink()
    path.write_bytes(content)


def test_it_is_made_once(kept, compiled):
    make = Maker(compiled[3])
    assert library.load(["a"], make).number() == 3
    assert library.load(["a"], make).number() == 3
    assert make.calls == 1 and len(os.listdir(kept)) == 1
    assert library.load(["b"], make).number() == 3
    assert make.calls == 2 and len(os.listdir(kept)) == 2


@pytest.mark.parametrize("size", [0, 1000, -1])
def test_a_file_that_is_cut_off_is_made_again(size, kept, compiled):
    """Loading one may end the process with a bus error, so it is not tried."""
    library.load(["a"], Maker(compiled[3]))
    (path,) = kept.iterdir()
    put(path, compiled[3][:size])
    make = Maker(compiled[3])
    assert library.load(["a"], make).number() == 3
    assert make.calls == 1 and path.read_bytes() == compiled[3]


def test_a_changed_byte_is_found(kept, compiled, monkeypatch):
    library.load(["a"], Maker(compiled[3]))
    (path,) = kept.iterdir()
    put(path, compiled[4])  # whole, but another's
    make = Maker(compiled[3])
    assert library.load(["a"], make).number() == 3
    assert make.calls == 1


def test_one_that_does_not_load_here_stands_beside_the_new_one(kept, compiled, monkeypatch):
    """A home folder may be shared by machines with other libraries of the system."""
    library.load(["a"], Maker(compiled[3]))
    (path,) = kept.iterdir()
    load = ctypes.CDLL

    def older(name):
        if Path(name) == path:
            raise OSError("version `GLIBC_2.99' not found")
        return load(name)

    monkeypatch.setattr(ctypes, "CDLL", older)
    make = Maker(compiled[4])
    assert library.load(["a"], make).number() == library.load(["a"], make).number() == 4
    assert make.calls == 1 and len(os.listdir(kept)) == 2


def test_another_processor_has_another_library(kept, compiled, monkeypatch):
    make = Maker(compiled[3])
    library.load(["a"], make)
    monkeypatch.setattr(library, "_processor", lambda: "another")
    library.load(["a"], make)
    assert make.calls == 2


def test_where_none_can_be_kept_it_is_used_all_the_same(kept, compiled, monkeypatch, caplog):
    kept.write_text("a file")
    monkeypatch.setattr(caches, "_noted", set())
    assert library.load(["a"], Maker(compiled[3])).number() == 3
    assert str(kept) in caplog.text


def test_two_at_one_time_both_work(kept, compiled):
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda content: library.load(["a"], Maker(content)), compiled.values())
    assert {each.number() for each in found} <= {3, 4}
    assert {path.suffix for path in kept.iterdir()} == {".so"}


def test_what_is_not_a_library_is_an_error(kept):
    with pytest.raises(OSError, match=r"made\.so"):
        library.load(["a"], Maker(b"no library"))


def test_a_simulator_that_is_cut_off_is_made_again(tmp_path):
    """In processes of their own, which a library that is not whole could end."""
    code = (
        "import golden, hdl, os; from golden import caches; from pathlib import Path\n"
        f"caches.folder = lambda name: Path({str(tmp_path)!r}, name)\n"
        "from gradloom.sim.simulators import prepare\n"
        "prepare(hdl.Lfsr(golden.LfsrConfig()), 'cxxrtl').run({'o_ready': [1, 1]})\n"
    )
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code], check=True)
        (path,) = (tmp_path / "libraries").iterdir()
        whole = path.stat().st_size
        os.truncate(path, 1000)
    subprocess.run([sys.executable, "-c", code], check=True)
    assert path.stat().st_size == whole
