"""Where commands write: the place is tried before the work, and errors name it."""

import errno
import resource
from pathlib import Path

import pytest
from command import call

from golden.files import replaced, tried, write

#: Every command that writes, without the place.
COMMANDS = {
    "generate": ["generate", "lfsr", "-o"],
    "generate core": ["generate", "core", "digits-wage", "-o"],
    "picture": ["estimate", "core", "digits-wage", "--picture"],
    "build": ["build", "lfsr", "--target", "ecp5-25f", "-o"],
    "selftest": ["build", "selftest", "--board", "icebreaker", "-o"],
    "trainer": ["build", "trainer", "--board", "ulx3s-85f", "-o"],
    "host": ["build", "host", "digits-wage", "--board", "ulx3s-85f", "-o"],
    "client": ["board", "client", "digits-wage", "-o"],
    "compare": ["compare", "lfsr", "--cycles", "10", "--waves"],
    "prove": ["prove", "lfsr", "--waves"],
    "demo": ["demo", "-o"],
    "train": ["train", "digits-wage", "--out"],
    "sweep": ["sweep", "digits-wage", "--out"],
    "fetch": ["data", "fetch", "mnist", "--to"],
}
#: What each command calls for its work.
WORK = [
    # First: its modules are loaded by that, and take others' functions as they are.
    "gradloom.train.demo.run",
    "gradloom.rtl.package.package",
    "gradloom.core.package.files.core_package",
    "gradloom.core.estimate.estimate",
    "gradloom.fpga.build",
    "boards.selftest.bitstream.build",
    "boards.trainer.bitstream.build",
    "boards.hosted.bitstream.build",
    "gradloom.board.client.client",
    "gradloom.comparison.compare.compare",
    "gradloom.prove.prove",
    "golden.training.Run",
    "gradloom.train.sweep.sweep",
    "gradloom.cli.data.fetch",
]


class Worked(Exception):
    """A command has begun its work."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty current folder, in which no command can do its work."""

    def work(*_, **__):
        raise Worked

    for name in WORK:
        monkeypatch.setattr(name, work)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def worked(monkeypatch, capsys, arguments):
    """The command comes to its work."""
    status, _, err = call(monkeypatch, capsys, *arguments)
    assert status == 3 and "internal error: Worked" in err


def refused(monkeypatch, capsys, arguments):
    """The line of a refusal, whose status says that it is none of the comparison's."""
    status, out, err = call(monkeypatch, capsys, *arguments)
    assert status in (2, 3)
    assert out == "" and len(err.splitlines()) == 1
    return err


commands = pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)


@commands
@pytest.mark.parametrize("place", ["file", "file/inside", "/dev/full", "/proc/nowhere/x", "link"])
def test_a_place_that_cannot_be_written_is_refused_at_once(
    command, place, folder, monkeypatch, capsys
):
    (folder / "file").write_text("mine")
    (folder / "link").symlink_to("nowhere/at/all")
    assert place in refused(monkeypatch, capsys, [*command, place])
    assert (folder / "file").read_text() == "mine"
    assert {path.name for path in folder.iterdir()} == {"file", "link"}


@commands
@pytest.mark.parametrize("place", ["x.sv", "x.V", "x.html", "new/x.json", "x.vhd"])
def test_a_name_like_a_files_is_not_made_a_folder(command, place, folder, monkeypatch, capsys):
    said = refused(monkeypatch, capsys, [*command, place])
    assert f"{place} looks like a file" in said
    assert f"{place}/" in said, "the remedy"
    assert not list(folder.iterdir())


@commands
@pytest.mark.parametrize("place", ["x.sv/", "new/run.7", "v1.2", "new/er/folder", "there.html"])
def test_a_folder_may_have_any_name(command, place, folder, monkeypatch, capsys):
    (folder / "there.html").mkdir()
    worked(monkeypatch, capsys, [*command, place])
    assert [path.name for path in folder.iterdir()] == ["there.html"], "nothing before the work"


@commands
def test_the_home_folder_is_known(command, folder, monkeypatch, capsys):
    (folder / "home").mkdir()
    (folder / "home/file").write_text("mine")
    monkeypatch.setenv("HOME", str(folder / "home"))
    *rest, option = command
    option = option if option.startswith("--") else "--output"
    refused(monkeypatch, capsys, [*rest, f"{option}=~/file"])
    worked(monkeypatch, capsys, [*rest, f"{option}=~/new"])


@pytest.mark.parametrize(
    ("command", "default"),
    [
        (["build", "selftest", "--board", "icebreaker"], "build/selftest-icebreaker"),
        (["demo"], "build/demo"),
    ],
)
def test_a_default_place_is_tried_as_well(command, default, folder, monkeypatch, capsys):
    (folder / "build").write_text("a file")
    assert default in refused(monkeypatch, capsys, command)


def test_proofs_need_their_default_place_for_a_counterexample_only(folder, monkeypatch, capsys):
    (folder / "prove").write_text("a file")
    worked(monkeypatch, capsys, ["prove", "lfsr"])


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("generate", "gradloom_lfsr_tb_in.mem"),
        ("build", "report.html"),
        ("selftest", "report.json"),
    ],
)
def test_a_folder_in_the_place_of_a_file_is_refused_at_once(
    command, file, folder, monkeypatch, capsys
):
    (folder / "out" / file).mkdir(parents=True)
    assert f"out/{file}" in refused(monkeypatch, capsys, [*COMMANDS[command], "out"])
    assert [path.name for path in (folder / "out").iterdir()] == [file]


@pytest.mark.parametrize("place", ["nowhere/x.v", "folder.v", "folder.v/", "new.v/", "file/x.v"])
def test_a_file_of_verilog_that_cannot_be(place, folder, monkeypatch, capsys):
    (folder / "folder.v").mkdir()
    (folder / "file").write_text("mine")
    refused(monkeypatch, capsys, ["generate", "lfsr", "-o", place])
    assert not list((folder / "folder.v").iterdir())


# The functions behind them.


def test_a_full_disk_names_the_file_and_leaves_nothing(tmp_path):
    """A limit of the size of files is like one: a write in the middle fails, as root too."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    files = {"one.v": "1" * 9_000, "two.v": "2" * 30_000}
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(OSError, match=r"'.*/new/er/two\.v'$") as stop:
            write(files, tmp_path / "new/er")
        with (
            pytest.raises(OSError, match=r"'.*/three\.v'$"),
            replaced(tmp_path / "three.v") as path,
        ):
            path.write_text(files["two.v"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert stop.value.errno == errno.EFBIG
    assert not list(tmp_path.iterdir())


def test_a_disk_without_room_for_a_block_is_found_when_it_is_tried(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(OSError, match=r"'.*/new'$"):
            tried(tmp_path / "new")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_an_error_of_something_else_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError, match="other"), replaced(tmp_path / "mine"):
        Path(tmp_path / "other").read_text()
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_too_long_is_found_when_it_is_tried(tmp_path):
    for folder, names in ((tmp_path / ("x" * 300), []), (tmp_path, ["y" * 300])):
        with pytest.raises(OSError, match="too long"):
            tried(folder, names)
