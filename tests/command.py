"""The command line, called in this process."""

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
