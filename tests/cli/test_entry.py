"""The command's exit status and its streams, whatever happens: one line, and never a traceback."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command import call, started

from boards.flow.tools import FlowError
from gradloom.cli import entry

COMMAND = [sys.executable, "-m", "gradloom"]
COMPARE = ["compare", "lfsr", "--cycles", "50"]


def shell(text, **environment):
    """What a shell's command prints and returns; $GRADLOOM is the command."""
    return subprocess.run(
        ["bash", "-c", text],
        env={**os.environ, "GRADLOOM": " ".join(COMMAND), **environment},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def raising(monkeypatch, capsys):
    """Calls the command, which raises."""

    def run(error):
        def invoke(*_, **settings):
            raise error

        monkeypatch.setattr("gradloom.cli.units.results", invoke)
        return call(monkeypatch, capsys, "units")

    return run


class Odd(Exception):
    """One that nobody expects."""


ERRORS = [
    (ValueError("width = 0"), 2, "width = 0"),
    (TypeError("integers are wanted"), 2, "integers are wanted"),
    (ImportError("No module named 'x'"), 2, "No module named 'x'"),
    (FlowError("yosys failed:\n  ERROR: no"), 2, "yosys failed: ERROR: no"),
    (FileNotFoundError(2, "No such file or directory", "x"), 2, "x: No such file or directory"),
    (PermissionError(13, "Permission denied", "out"), 3, "out: Permission denied"),
    (OSError(30, "Read-only file system", "out"), 3, "out: Read-only file system"),
    (OSError(28, "No space left on device"), 3, "output: No space left on device"),
    (BrokenPipeError(32, "Broken pipe"), 3, "the reader of the output has left"),
    (MemoryError(), 3, "out of memory"),
    (RecursionError("too deep"), 3, "internal error: RecursionError: too deep (GRADLOOM_TRACE"),
    (RuntimeError("a\nb"), 3, "internal error: RuntimeError: a b (GRADLOOM_TRACEBACK=1 shows"),
    (KeyError("a"), 3, "internal error: KeyError: 'a' (GRADLOOM_TRACEBACK=1 shows where)"),
    (Odd(), 3, "internal error: Odd: "),
    (KeyboardInterrupt(), 130, "interrupted"),
]


@pytest.mark.parametrize(
    ("error", "status", "message"), ERRORS, ids=lambda value: type(value).__name__
)
def test_whatever_is_raised_is_one_line(error, status, message, raising):
    code, out, err = raising(error)
    assert (code, out) == (status, "")
    assert err.startswith(f"gradloom: {message}") and len(err.splitlines()) == 1


def test_a_file_that_cannot_be_read_is_an_argument(raising, tmp_path, monkeypatch):
    (tmp_path / "x").touch()
    monkeypatch.setattr(entry.os, "access", lambda path, mode: False)
    assert raising(PermissionError(13, "Permission denied", str(tmp_path / "x")))[0] == 2


def test_a_traceback_is_shown_on_request(raising, monkeypatch):
    monkeypatch.setenv("GRADLOOM_TRACEBACK", "1")
    code, _, err = raising(KeyError("a"))
    assert code == 3 and "Traceback" in err and 'test_entry.py", line' in err
    assert err.splitlines()[-1].startswith("gradloom: internal error: KeyError: 'a'")


def test_a_thread_that_ends_by_an_error_is_one_line(monkeypatch, capsys):
    def run(*_, **settings):
        thread = entry.threading.Thread(target=lambda: 1 // 0)
        thread.start()
        thread.join()
        raise ValueError("after it")

    monkeypatch.setattr("gradloom.cli.units.results", run)
    _, _, err = call(monkeypatch, capsys, "units")
    assert err.startswith("gradloom: ZeroDivisionError: ")
    assert err.splitlines()[1:] == ["gradloom: after it"]


def test_the_readme_lists_all_statuses():
    text = (Path(__file__).parents[2] / "README.md").read_text()
    table = dict(re.findall(r"^\| (\d+) \| (.*) \|$", text, re.M))
    assert set(table) == {"0", "1", "2", "3", "130"}


# Streams that are closed, full, or have no reader.

STREAMS = [
    ("$GRADLOOM compare lfsr --cycles 50 >&-", 3, "", "standard output is closed"),
    ("$GRADLOOM compare lfsr --cycles 50 >/dev/full", 3, "", "output: No space left on device"),
    ("$GRADLOOM --help >/dev/full", 3, "", "output: No space left on device"),
    ("$GRADLOOM units --json >/dev/full", 3, "", "output: No space left on device"),
    ("$GRADLOOM compare lfsr --cycles 50 2>&-", 0, "agree", None),
    ("$GRADLOOM compare lfsr --cycles 50 2>/dev/full", 0, "agree", None),
    ("$GRADLOOM compare lfsr --lanes x 2>&-", 2, "", None),
    ("$GRADLOOM compare lfsr --lanes x 2>/dev/full", 2, "", None),
    ("$GRADLOOM compare 2>/dev/full", 2, "", None),
    ("$GRADLOOM compare lfsr --cycles 50 >&- 2>&-", 3, "", None),
    ("$GRADLOOM compare lfsr --cycles 50 <&- 2>&-", 0, "agree", None),
]


@pytest.mark.parametrize(("text", "status", "said", "complaint"), STREAMS)
def test_a_stream_that_cannot_be_written_is_no_traceback(text, status, said, complaint):
    done = shell(text)
    assert done.returncode == status
    assert said in done.stdout and (said or not done.stdout)
    assert done.stderr == (f"gradloom: {complaint}\n" if complaint else "")


@pytest.mark.parametrize("arguments", ["recipes", "units --json", "--help", "compare array --help"])
def test_a_reader_that_leaves_is_one_line(arguments):
    """The reader has left before anything is written: it opened the fifo, and let the writer."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer) as out:
        done = subprocess.run(
            [*COMMAND, *arguments.split()], stdout=out, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 3
    assert done.stderr == "gradloom: the reader of the output has left\n"


def test_a_file_that_is_opened_does_not_become_a_stream(tmp_path):
    """With standard error closed, the next file would have its number, and get its remarks."""
    path = tmp_path / "lfsr.v"
    done = shell(f"$GRADLOOM generate lfsr -o {path} 2>&-")
    assert done.returncode == 0
    assert path.read_text().endswith("endmodule\n")


# Signals.

#: Runs a command whose comparison says that it has begun, and waits for ever: in short sleeps,
#: because a signal that comes just before a long one does not end it.
WAITING = """
import time
import gradloom.comparison.compare as comparison
def wait(*arguments, **settings):
    print("begun", flush=True)
    while True:
        time.sleep(0.05)
comparison.compare = wait
from gradloom.cli import main
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_it_is_an_interruption(number):
    with started(*COMPARE, code=WAITING) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(number)
        _, err = process.communicate()
    assert (process.returncode, err) == (130, "gradloom: interrupted\n")


def test_a_hangup_that_is_ignored_stays_so(tmp_path):
    """As with nohup; Ctrl-C may be ignored too, as in a shell's background."""
    with subprocess.Popen(
        ["bash", "-c", f"trap '' HUP INT; exec {sys.executable} -c \"$0\" {' '.join(COMPARE)}"]
        + [WAITING],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate()
    assert (process.returncode, err) == (130, "gradloom: interrupted\n")


def test_signals_and_streams_are_as_before_after_a_call(monkeypatch, capsys):
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
    hook = entry.threading.excepthook
    call(monkeypatch, capsys, *COMPARE)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)] == before
    assert entry.threading.excepthook is hook
    assert not isinstance(sys.stderr, entry._Heedless)


def test_an_interruption_while_it_is_loaded_is_one_line():
    code = (
        "import sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'gradloom.cli.commands': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from gradloom.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code, "units"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "gradloom: interrupted\n")


def test_a_shell_completes_commands():
    done = shell(
        "$GRADLOOM", _GRADLOOM_COMPLETE="bash_complete", COMP_WORDS="gradloom t", COMP_CWORD="1"
    )
    assert done.returncode == 0
    assert done.stdout.split() == ["plain,targets", "plain,train"]


def test_an_interruption_while_a_core_is_made_is_one_line():
    """Its parts are made and in no module yet, which Amaranth remarks on."""
    code = (
        "from gradloom.core.machine import Core\n"
        "from gradloom.sim import toplevel\n"
        "def interrupted(*_): raise KeyboardInterrupt\n"
        "Core.elaborate = interrupted\n"
        "from gradloom.cli import main\n"
        "main()\n"
    )
    words = ["compare", "core", "digits-wage", "--simulator", "pysim"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, encoding="utf-8"
    )
    assert (done.returncode, done.stderr) == (130, "gradloom: interrupted\n")
