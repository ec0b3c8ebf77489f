"""`gradloom generate core`."""

import hashlib

import pytest
from command import call
from generated import gradloom

from gradloom.core.package.files import names

SMALL = (
    *("--image", "2x3x1", "--classes", "5", "--set", "network=9FC", "--set", "batch=6"),
    *("--set", "rows=3", "--set", "columns=4"),
)


def said(monkeypatch, capsys, tmp_path, *arguments):
    """What is said of arguments that are refused; nothing is written."""
    output = tmp_path / "out"
    status, out, err = call(*(monkeypatch, capsys, "generate", "core"), *arguments, "-o", output)
    assert (status, out) == (2, "") and err.count("\n") == 1, err
    assert not output.exists()
    return err


def test_what_cannot_be_generated_is_one_line(monkeypatch, capsys, tmp_path):
    def refused(*arguments):
        return said(monkeypatch, capsys, tmp_path, *arguments)

    assert "the training core trains wage" in refused("digits-gupta")
    assert "a keyword of" in refused("digits-wage", "--name", "module")
    assert "'pci' is not one of" in refused("digits-wage", "--edge", "pci")
    assert "steps = 1000000: allowed are 1 to " in refused("digits-wage", "--steps", 1_000_000)
    empty = tmp_path / "run"
    assert "does not exist" in refused("digits-wage", "--from", empty)
    empty.mkdir()
    assert "no checkpoint" in refused("digits-wage", *SMALL, "--from", empty)
    (empty / "checkpoint.npz").write_bytes(b"none")
    assert "damaged" in refused("digits-wage", *SMALL, "--from", empty)


def test_a_file_in_the_place_of_the_folder_is_told_first(monkeypatch, capsys, tmp_path):
    (tmp_path / "out").write_text("kept", encoding="utf-8")
    status, _, err = call(
        *(monkeypatch, capsys, "generate", "core", "digits-wage", "-o", tmp_path / "out"),
    )
    assert status in (2, 3) and err.count("\n") == 1
    assert (tmp_path / "out").read_text(encoding="utf-8") == "kept"


def test_files_of_others_stay(monkeypatch, capsys, tmp_path):
    """All names begin with the module's, as those of a unit; its own files are replaced."""
    others = {"README.md", "other_tb.v"}
    for name in (*others, "mlp.v", "mlp_readme.md"):
        (tmp_path / name).write_text("there before", encoding="utf-8")
    words = ("generate", "core", "digits-wage", *SMALL, "--name", "mlp", "-o", tmp_path)
    status, out, err = call(monkeypatch, capsys, *words)
    assert (status, err) == (0, "")
    assert all(name.startswith(("mlp.", "mlp_")) for name in names("mlp"))
    told = {line.split(":")[0] for line in out.splitlines()}
    assert told == {str(tmp_path / name) for name in names("mlp")}
    kept = {path.name for path in tmp_path.iterdir() if path.read_bytes() == b"there before"}
    assert kept == others


@pytest.mark.long
def test_the_same_folder_from_any_folder_and_hash_seed(tmp_path):
    digests = []
    for seed, place in ("0", "one"), ("1", "two/deeper"):
        folder = tmp_path / place
        folder.mkdir(parents=True)
        made = gradloom(
            *("generate", "core", "digits-wage", *SMALL, "--name", "mlp", "--edge", "wishbone"),
            *("-o", "out/"),
            folder=folder,
            PYTHONHASHSEED=seed,
        )
        assert made.returncode == 0, made.stderr
        files = sorted((folder / "out").iterdir())
        assert [file.name for file in files] == sorted(names("mlp"))
        told = {line.split(":")[0] for line in made.stdout.splitlines()}
        assert told == {f"out/{name}" for name in names("mlp")}
        texts = [(file.name, file.read_bytes()) for file in files]
        assert not any(str(tmp_path).encode() in text for _, text in texts)
        digests.append(hashlib.sha256(repr(texts).encode()).hexdigest())
    assert len(set(digests)) == 1
