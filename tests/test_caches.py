"""The user's cache: what of it is used, and what takes its place."""

import logging
import os
import stat
from pathlib import Path

import pytest

from golden import caches


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of the test's own, in a process that has said nothing yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("MPLCONFIGDIR", "")
    monkeypatch.setattr(caches, "_noted", set())
    return tmp_path / "cache"


def temporary(path):
    return path.is_relative_to(caches._temporary())


def test_it_is_in_the_users_home(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert caches.user() == Path("/somewhere")
    monkeypatch.setenv("HOME", str(tmp_path))
    for none in (None, "", "relative/folder"):
        if none is None:
            monkeypatch.delenv("XDG_CACHE_HOME")
        else:
            monkeypatch.setenv("XDG_CACHE_HOME", none)
        assert caches.user() == caches.home() == tmp_path / ".cache"
    # Tools that would take a relative path have the same folder.
    assert os.environ["XDG_CACHE_HOME"] == str(tmp_path / ".cache")


def test_a_folder_is_made_for_this_user_alone(cache, caplog):
    before = os.umask(0)
    try:
        place = caches.folder("things")
    finally:
        os.umask(before)
    assert place == cache / "gradloom" / "things"
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert not caplog.records


def made_a_file(cache):
    cache.parent.mkdir(exist_ok=True)
    cache.write_text("not a folder")


def made_a_link_to_nothing(cache):
    cache.symlink_to(cache.parent / "nothing")


def made_a_file_inside(cache):
    cache.mkdir()
    (cache / "wasmtime").write_text("not a folder")


def opened_to_all(cache):
    (cache / "wasmtime").mkdir(parents=True)
    (cache / "wasmtime").chmod(0o777)


@pytest.mark.parametrize(
    "change", [made_a_file, made_a_link_to_nothing, made_a_file_inside, opened_to_all]
)
def test_a_temporary_one_takes_its_place(change, cache, caplog):
    change(cache)
    first = caches.home()
    assert temporary(first) and stat.S_IMODE(first.stat().st_mode) == 0o700
    assert os.environ["XDG_CACHE_HOME"] == str(first)  # for tools with caches of their own
    assert caches.home() == first and temporary(caches.folder("things"))
    (record,) = caplog.records  # once
    assert str(cache) in record.getMessage() and record.levelno == logging.WARNING


def test_without_a_home_there_is_a_temporary_one(cache, caplog, monkeypatch):
    def none():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "")
    monkeypatch.setattr(caches.Path, "home", none)
    assert temporary(caches.home())
    assert "Could not determine home directory" in caplog.text


def test_a_folder_that_others_can_write_is_not_used(cache, caplog, monkeypatch):
    place = caches.folder("things")
    place.chmod(0o777)
    assert temporary(caches.folder("things"))
    assert "other users can write to it" in caplog.text
    assert caches.folder("others") == cache / "gradloom" / "others"
    place.chmod(0o770)
    monkeypatch.setattr(caches, "_alone", lambda group: False)
    assert temporary(caches.folder("things"))
    # Where each user has a group of his own, a new folder is often open to it.
    monkeypatch.setattr(caches, "_alone", lambda group: True)
    assert caches.folder("things") == place


def test_a_folder_of_another_user_is_not_used(cache, caplog, monkeypatch):
    caches.folder("things")
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    assert temporary(caches.folder("things"))
    assert "belongs to another user" in caplog.text


def test_a_group_of_several_is_not_a_users_own(monkeypatch):
    user = caches.pwd.getpwuid(os.geteuid())
    own = caches.grp.struct_group((user.pw_name, "x", 7, []))
    monkeypatch.setattr(caches.grp, "getgrgid", {7: own}.__getitem__)
    assert caches._alone(7)
    assert not caches._alone(8)
    for other in ((user.pw_name, "x", 7, ["mallory"]), ("staff", "x", 7, [])):
        other = caches.grp.struct_group(other)
        monkeypatch.setattr(caches.grp, "getgrgid", {7: other}.__getitem__)
        assert not caches._alone(7)


def test_a_file_is_written_whole_or_not_at_all(cache, caplog, monkeypatch):
    path = caches.folder("things") / "one"
    assert caches.write(path, b"first") and caches.read(path) == b"first"

    def full(number, *rest):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert not caches.write(path, b"second")
    assert caches.read(path) == b"first" and os.listdir(path.parent) == ["one"]
    assert "No space left on device" in caplog.text


def test_a_file_that_others_can_write_is_not_read(cache):
    path = caches.folder("things") / "one"
    caches.write(path, b"content")
    path.chmod(0o666)
    assert caches.read(path) is None
    path.unlink()
    os.mkfifo(path)  # reading would wait for ever
    assert caches.read(path) is None


def test_a_folder_that_is_gone_comes_again(cache):
    path = caches.folder("things") / "one"
    path.parent.rmdir()
    assert caches.write(path, b"content") and caches.read(path) == b"content"
