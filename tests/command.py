"""The command line, called in this process or started in one of its own, to be interrupted."""

import signal
import subprocess
import sys

import pytest

from gradloom import cli


def call(monkeypatch, capsys, *arguments):
    """Exit status, standard output and standard error of the command, in this process."""
    monkeypatch.setattr(sys, "argv", ["gradloom", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


def started(*arguments, code="from gradloom.cli import main; main()", **settings):
    """A process with the command, or with `code` in its place; its output is piped.

    Its signals are those of a terminal's foreground, wherever the tests run: a shell's background
    ignores Ctrl-C, and nohup ignores SIGHUP.
    """

    def usual():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)

    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=usual,  # between fork and exec, and it takes no lock
        **settings,
    )
