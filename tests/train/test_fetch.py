"""Fetching data sets, from a server in this process: whole, wrong, broken off, and again."""

import gzip
import hashlib
import io
import os
import re
import signal
import sys
import tarfile
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from cifar_sets import FOLDERS, write
from command import call, started
from idx_files import idx_bytes

from golden.datasets import load
from gradloom.train import fetching
from gradloom.train.fetching import SOURCES, FetchError, File, Source, fetch

pytest.importorskip("pooch")


class Server(ThreadingHTTPServer):
    """Serves `files` (path -> content) and notes what it is asked for.

    `cut` and `stall` are numbers of bytes after which it hangs up, or says no more.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {}
        self.asked = []
        self.encodings = set()
        self.cut = self.stall = None
        self.sent = threading.Event()
        self.over = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        """Who hangs up on us is of no interest."""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        self.server.encodings.add(self.headers["Accept-Encoding"])
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        end = self.server.cut or self.server.stall
        self.wfile.write(content[:end])
        self.wfile.flush()
        self.server.sent.set()
        if self.server.stall:
            self.server.over.wait()

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def nobody():
    """Address of a port where nobody listens."""
    server = Server()
    server.server_close()
    return server.url


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "80")
    return lambda *arguments: call(monkeypatch, capsys, "data", *arguments)


def published(contents, server, unpacked=()):
    """A source of those files (name -> content), which the server has."""
    server.files |= {f"/{name}": content for name, content in contents.items()}
    return Source(
        title="made",
        home="here",
        licence="any",
        mirrors=(server.url,),
        files=tuple(
            File(name=name, size=len(content), sha256=hashlib.sha256(content).hexdigest())
            for name, content in contents.items()
        ),
        unpacked=unpacked,
    )


def idx_contents():
    random = np.random.default_rng(3)
    contents = {}
    for part, count in (("train", 60), ("t10k", 40)):
        images = random.integers(0, 256, (count, 28, 28), np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        contents[f"{part}-images-idx3-ubyte.gz"] = gzip.compress(idx_bytes(images))
        contents[f"{part}-labels-idx1-ubyte.gz"] = gzip.compress(idx_bytes(labels))
    return contents


def archive_of(folder, *, also=(), left_out=()):
    """A .tar.gz of the folder's files under the folder's name, and further members."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for member in also:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
        for path in sorted(folder.iterdir()):
            if path.name not in left_out:
                archive.add(path, f"{folder.name}/{path.name}")
    return file.getvalue()


def content_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def refusal(*arguments, **settings):
    with pytest.raises(FetchError) as caught:
        fetch(*arguments, **settings)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_every_source_is_pinned():
    assert list(SOURCES) == ["mnist", "fashion-mnist", "cifar-10", "cifar-10-binary"]
    for source in SOURCES.values():
        assert len(source.mirrors) > 1 and source.home and source.licence
        assert all(re.fullmatch(r"https?://\S+/", mirror) for mirror in source.mirrors)
        for file in source.files:
            assert re.fullmatch("[0-9a-f]{64}", file.sha256) and file.size > 4_000
    hashes = [file.sha256 for source in SOURCES.values() for file in source.files]
    assert len(set(hashes)) == len(hashes) == 10
    for name, version in (("cifar-10", "python"), ("cifar-10-binary", "binary")):
        assert {path.split("/")[0] for path in SOURCES[name].unpacked} == {FOLDERS[version]}
        assert len(SOURCES[name].unpacked) == 6


def test_files_arrive_whole_and_load(server, tmp_path):
    contents = idx_contents()
    source = published(contents, server)
    said = []
    assert source.missing(tmp_path / "a" / "b") == list(contents)
    fetch(source, tmp_path / "a" / "b", say=said.append)
    assert content_of(tmp_path / "a" / "b") == contents
    assert server.encodings == {"identity"}  # nothing that a client would unpack by itself
    assert len(said) == 4 and all(f" bytes from {server.url}" in line for line in said)
    assert source.missing(tmp_path / "a" / "b") == []
    data = load(tmp_path / "a" / "b")
    assert data.train_images.shape == (60, 28, 28) and data.classes == 10
    mode = (tmp_path / "a" / "b" / next(iter(contents))).stat().st_mode & 0o777
    umask = os.umask(0)
    os.umask(umask)
    assert mode == 0o666 & ~umask  # not the private one of temporary files


def test_what_is_there_is_not_fetched_again(server, tmp_path):
    source = published(idx_contents(), server)
    fetch(source, tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    server.asked.clear()
    said = []
    fetch(source, tmp_path, say=said.append)
    assert server.asked == ["/t10k-labels-idx1-ubyte.gz"]
    assert [line.endswith("already there") for line in said] == [True, True, True, False]
    fetch(source, tmp_path)
    assert len(server.asked) == 1


def test_a_file_of_ones_own_is_not_overwritten(server, tmp_path):
    source = published({"file": b"published"}, server)
    (tmp_path / "file").write_bytes(b"my own")
    own = hashlib.sha256(b"my own").hexdigest()
    assert refusal(source, tmp_path) == (
        f"{tmp_path / 'file'}: SHA-256 {source.files[0].sha256} expected, {own} found; "
        "remove the file, or choose another folder"
    )
    assert content_of(tmp_path) == {"file": b"my own"} and not server.asked
    assert source.missing(tmp_path) == ["file"]


def test_a_wrong_file_is_refused(server, tmp_path):
    contents = idx_contents()
    source = published(contents, server)
    bad = "t10k-images-idx3-ubyte.gz"
    damaged = bytearray(contents[bad])
    damaged[100] ^= 1
    server.files[f"/{bad}"] = bytes(damaged)
    message = refusal(source, tmp_path)
    assert message == (
        f"{bad} was not fetched: {server.url}/{bad}: "
        f"SHA-256 {hashlib.sha256(contents[bad]).hexdigest()} expected, "
        f"{hashlib.sha256(damaged).hexdigest()} found "
        f"({len(damaged):,} bytes, {len(damaged):,} expected)"
    )
    assert set(content_of(tmp_path)) == set(list(contents)[:2])  # those before it stay


@pytest.mark.parametrize("length", [1, 3000])
def test_a_transfer_that_breaks_off_leaves_nothing_and_is_made_again(server, tmp_path, length):
    source = published({"file": os.urandom(200_000)}, server)
    server.cut = length
    address = f"{server.url}/file"
    assert refusal(source, tmp_path) == (
        f"file was not fetched: {address}: the transfer was interrupted"
    )
    assert content_of(tmp_path) == {}
    server.cut = None
    fetch(source, tmp_path)
    assert content_of(tmp_path) == {"file": server.files["/file"]}


def test_a_server_that_says_nothing_is_left(server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "TIMEOUT", 0.2)
    source = published({"file": os.urandom(200_000)}, server)
    server.stall = 1000
    assert refusal(source, tmp_path).endswith("/file: no answer within 0.2 s")
    assert content_of(tmp_path) == {}


def test_the_next_mirror_is_asked(server, nobody, tmp_path):
    source = published({"file": b"published" * 1000}, server)
    server.files |= {"/wrong/file": b"another"}
    mirrors = (nobody, f"{server.url}/none/", f"{server.url}/wrong", f"{server.url}/")
    said = []
    fetch(replace(source, mirrors=mirrors), tmp_path, say=said.append)
    assert server.asked == ["/none/file", "/wrong/file", "/file"]
    assert said == [f"file: 9,000 bytes from {server.url}/"]
    assert content_of(tmp_path) == {"file": b"published" * 1000}
    (tmp_path / "file").unlink()
    message = refusal(replace(source, mirrors=mirrors[:3]), tmp_path)
    assert f"{nobody}/file: no connection ([Errno 111] Connection refused); " in message
    assert f"{server.url}/none/file: 404 Not Found; " in message
    assert f"{server.url}/wrong/file: SHA-256 " in message
    assert content_of(tmp_path) == {}


def test_mirrors_of_ones_own_come_instead(server, nobody, tmp_path):
    source = replace(published({"file": b"published"}, server), mirrors=(f"{server.url}/never",))
    fetch(source, tmp_path, mirrors=(nobody, server.url))
    assert server.asked == ["/file"]


@pytest.mark.parametrize("version", FOLDERS)
def test_an_archive_is_unpacked_and_loads(server, tmp_path, version):
    folder = tmp_path / "made" / FOLDERS[version]
    write(folder, version)
    unpacked = tuple(f"{folder.name}/{path.name}" for path in folder.iterdir())
    source = published({"made.tar.gz": archive_of(folder)}, server, unpacked)
    to = tmp_path / "to"
    fetch(source, to)
    assert source.missing(to) == []
    assert content_of(to / folder.name) == content_of(folder)
    assert np.array_equal(load(to).train_images, load(folder).train_images)
    # What is gone is unpacked again, without another transfer; what is there stays.
    (to / unpacked[2]).unlink()
    assert source.missing(to) == [unpacked[2]]
    fetch(source, to)
    assert content_of(to / folder.name) == content_of(folder)
    assert server.asked == ["/made.tar.gz"]
    said = []
    fetch(source, to, say=said.append)
    assert said == ["made.tar.gz: already there"]


def test_only_what_is_wanted_leaves_an_archive(server, tmp_path):
    folder = tmp_path / "made" / FOLDERS["binary"]
    write(folder, "binary", 1)
    unpacked = tuple(f"{folder.name}/{path.name}" for path in folder.iterdir())
    link = tarfile.TarInfo(folder.name)  # would lead everything that follows elsewhere
    link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "elsewhere")
    strangers = [tarfile.TarInfo(name) for name in ("../escaped", str(tmp_path / "absolute"))]
    for stranger in strangers:
        stranger.size = 5
    (tmp_path / "elsewhere").mkdir()
    content = archive_of(folder, also=[link, *strangers])
    source = published({"made.tar.gz": content}, server, unpacked)
    to = tmp_path / "to"
    fetch(source, to)
    assert {path.name for path in to.iterdir()} == {"made.tar.gz", folder.name}
    assert not (to / folder.name).is_symlink()
    assert content_of(to / folder.name) == content_of(folder)
    assert content_of(tmp_path / "elsewhere") == {}
    assert {path.name for path in tmp_path.iterdir()} == {"made", "elsewhere", "to"}


def test_an_archive_that_lacks_a_file_is_refused(server, tmp_path):
    folder = tmp_path / "made" / FOLDERS["binary"]
    write(folder, "binary", 1)
    unpacked = tuple(f"{folder.name}/{path.name}" for path in folder.iterdir())
    content = archive_of(folder, left_out=["test_batch.bin"])
    source = published({"made.tar.gz": content}, server, unpacked)
    assert refusal(source, tmp_path) == (
        f"{tmp_path / 'made.tar.gz'}: no {folder.name}/test_batch.bin in it"
    )
    source = published({"cut.tar.gz": content[: len(content) // 2]}, server, unpacked)
    message = refusal(source, tmp_path)
    assert message.startswith(f"{tmp_path / 'cut.tar.gz'}: not a tar archive, or a damaged one (")
    source = published({"no.tar.gz": b"no archive"}, server, unpacked)
    assert "not a tar archive" in refusal(source, tmp_path)
    assert not list((tmp_path / folder.name).glob(".*"))


# The commands


@pytest.fixture
def made(server, monkeypatch):
    """A small data set in the place of MNIST."""
    source = replace(published(idx_contents(), server), mirrors=("http://127.0.0.1:1/",))
    monkeypatch.setitem(SOURCES, "mnist", source)
    return source


def test_the_command_prints_the_folder_alone(server, made, command, tmp_path):
    status, out, err = command("fetch", "mnist", "--mirror", server.url)
    folder = tmp_path / "cache" / "gradloom" / "mnist"
    assert (status, out) == (0, f"{folder}\n")
    assert err.count("bytes from") == 4 and len(err.splitlines()) == 4
    assert len(load(out.strip()).train_images) == 60
    status, out, err = command("fetch", "mnist", "--to", tmp_path / "to", "--mirror", server.url)
    assert (status, out) == (0, f"{tmp_path / 'to'}\n")
    assert len(load(tmp_path / "to").test_images) == 40


def test_the_list_says_what_is_there(server, made, command, tmp_path):
    status, out, err = command("list")
    assert (status, err) == (0, "")
    assert all(f"{name}: {source.title}\n" in out for name, source in SOURCES.items())
    assert "170.5 MB" in out and "MIT" in out and out.count(", not there: ") == 4
    command("fetch", "mnist", "--mirror", server.url)
    folder = tmp_path / "cache" / "gradloom" / "mnist"
    assert f" MB, there: {folder}\n" in command("list")[1]
    (folder / "train-images-idx3-ubyte.gz").write_bytes(b"")
    assert f"incomplete, 1 of 4 files are missing: {folder}\n" in command("list")[1]


def test_published_hashes_hold_for_every_mirror(server, command, tmp_path):
    server.files["/train-images-idx3-ubyte.gz"] = b"no MNIST"
    status, out, err = command("fetch", "mnist", "--to", tmp_path, "--mirror", f"{server.url}/")
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    expected = "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
    assert f"train-images-idx3-ubyte.gz: SHA-256 {expected} expected, " in err
    assert hashlib.sha256(b"no MNIST").hexdigest() in err
    assert content_of(tmp_path) == {}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["fetch", "svhn"], "'svhn' is not one of 'mnist', 'fashion-mnist', 'cifar-10'"),
        (["fetch", "mnist", "--to", __file__], "is a file"),
        (["fetch", "mnist", "--mirror", "ftp://there/"], "--mirror: 'ftp://there/': an address"),
        (["fetch", "mnist", "--mirror", "http://"], "train-images-idx3-ubyte.gz was not fetched"),
        (["fetch", "mnist", "--mirror", "http://[/"], "train-images-idx3-ubyte.gz was not fetched"),
    ],
)
def test_mistakes_are_one_line(command, arguments, complaint):
    status, out, err = command(*arguments)
    assert (status, out) == (2, "") and complaint in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("arguments", [["fetch", "mnist"], ["fetch", "mnist", "--to", "x"]])
def test_without_pooch_there_is_advice(command, arguments, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    status, out, err = command(*arguments)
    assert (status, out) == (2, "")
    assert err == "gradloom: fetching data sets needs pooch: pip install 'gradloom[train]'\n"


def test_the_progress_bar_counts_bytes(server, tmp_path):
    from rich.console import Console
    from rich.progress import Progress

    source = published({"file": os.urandom(300_000)}, server)
    counted = []

    class Watched(Progress):
        def update(self, task_id, **settings):
            super().update(task_id, **settings)
            task = self.tasks[0]
            counted.append((task.description, task.completed, task.total))

    with Watched(console=Console(file=io.StringIO())) as progress:
        fetch(source, tmp_path, progress=progress)
        assert not progress.tasks
    assert counted[-1] == ("file", 300_000, 300_000) and len(counted) > 2
    server.cut = 1000
    (tmp_path / "file").unlink()
    with Watched(console=Console(file=io.StringIO())) as progress:
        refusal(source, tmp_path, progress=progress)
        assert not progress.tasks


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_by_hand_it_leaves_nothing(number, server, tmp_path):
    server.files["/train-images-idx3-ubyte.gz"] = bytes(1_000_000)
    server.stall = 500_000
    # It waits for the server as long as the server waits for the test.
    code = (
        "from gradloom.train import fetching; fetching.TIMEOUT = 3600\n"
        "from gradloom.cli import main; main()"
    )
    command = ["data", "fetch", "mnist", "--to", tmp_path / "to", "--mirror", server.url]
    process = started(*command, code=code)
    server.sent.wait()  # it goes on only when the test is over
    while not any(path.stat().st_size for path in (tmp_path / "to").iterdir()):
        time.sleep(0.02)
    process.send_signal(number)
    out, err = process.communicate()
    assert (process.returncode, out, err.strip()) == (130, "", "gradloom: interrupted")
    assert content_of(tmp_path / "to") == {}
