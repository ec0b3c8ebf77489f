"""Files that once did harm, or would to a careless reader: each one is read, or refused in a line.

`test_fuzz_waveforms` reads the waveforms among them.
"""

from pathlib import Path

import cifar_sets
import pytest
from bounded import bounded

from golden.datasets import digits, load, read_idx
from golden.training import new_trainer, toml
from golden.training.runs.checkpoint import Checkpoint
from gradloom.train import fetching

CORPUS = Path(__file__).parent / "corpus"
#: Those that are what they should be.
GOOD = {"images.idx", "lfsr.vcd", "lfsr.fst"}
#: Archives that have the wanted files, and others beside them that are not written.
BESIDE = {path.name for path in CORPUS.glob("*.tar.gz")}


def pickled(path, folder):
    cifar_sets.write(folder / "data", "python", 1)
    (folder / "data/data_batch_3").write_bytes(path.read_bytes())
    load(folder / "data")


def unpacked(path, folder):
    fetching._unpack(path, folder / "data", ("folder/a", "folder/b"))


#: What reads a file, by its suffix.
DOORS = {
    ".idx": lambda path, folder: read_idx(path),
    ".idx.gz": lambda path, folder: read_idx(path),
    ".pickle": pickled,
    ".toml": lambda path, folder: new_trainer(toml.load(path), digits()),
    ".npz": lambda path, folder: Checkpoint.read(path),
    ".tar.gz": unpacked,
}
FILES = {
    path.name: door for suffix, door in DOORS.items() for path in sorted(CORPUS.glob(f"*{suffix}"))
}


def test_the_corpus_is_small_and_every_file_has_a_door():
    files = list(CORPUS.iterdir())
    waveforms = {path.name for path in files if path.suffix in (".vcd", ".fst")}
    assert {path.name for path in files} == FILES.keys() | waveforms
    assert all(path.stat().st_size < 100_000 for path in files)


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_the_corpus(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here/data").mkdir(parents=True)
    with bounded(memory=1 << 28):
        if name in GOOD | BESIDE:
            FILES[name](CORPUS / name, tmp_path / "here")
        else:
            with pytest.raises(ValueError) as caught:
                FILES[name](CORPUS / name, tmp_path / "here")
            assert "\n" not in str(caught.value)
            assert "unsafe" not in str(caught.value)
    # Nothing was written, or called, beside the data.
    assert [path.name for path in tmp_path.iterdir()] == ["here"]
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["data"]
    if name in BESIDE:
        found = {path.relative_to(tmp_path / "here/data").as_posix() for path in
                 (tmp_path / "here/data").rglob("*") if not path.is_dir()}  # fmt: skip
        assert found == {"folder/a", "folder/b"}
    assert not Path("/tmp/gradloom-outside").exists()
