"""The entry of the command line: exit status, errors in one line, standard streams, signals.

Exit status: 0 all is done and agrees, 1 something differs, 2 wrong arguments or a missing tool, 3
an internal error, output that cannot be written, or something undecided, 130 interrupted.
"""

import errno
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from typing import Any, NoReturn, TextIO

#: Errors of files that are the output's, not the user's.
_OUTPUT = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EPIPE}
#: Errors that a file to read and a file to write may both have.
_EITHER = {errno.EACCES, errno.EPERM}


def main() -> NoReturn:
    """The command `gradloom`."""
    closed = _open_streams()
    with redirect_stderr(_Heedless(sys.stderr)), _signals(), _threads():
        status, text = (3, "standard output is closed") if closed else _run()
        try:
            sys.stdout.flush()
        except OSError as error:
            status, text = 3, text or _about(error)
            _forget_output()
        if text:
            print(f"gradloom: {' '.join(text.split())}", file=sys.stderr)
    sys.exit(status)


def _run() -> tuple[int, str]:
    """Run the command. Returns the exit status, and the message of an error."""
    try:
        # Here, so that an interruption or an error while they are loaded is told like any other.
        from click.exceptions import Exit
        from click.shell_completion import shell_complete

        from gradloom.cli.commands import cli

        if asked := os.environ.get("_GRADLOOM_COMPLETE"):
            return shell_complete(cli, {}, "gradloom", "_GRADLOOM_COMPLETE", asked), ""
        try:
            with cli.make_context("gradloom", sys.argv[1:]) as context:
                cli.invoke(context)
        except Exit as stop:
            return stop.exit_code, ""
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else 0, ""
    except BaseException as error:
        # Parts of a core that was being made when this was raised.
        warnings.filterwarnings("ignore", ".* created but never used")
        if os.environ.get("GRADLOOM_TRACEBACK"):
            traceback.print_exc()
        return _told(error)
    return 0, ""


def _told(error: BaseException) -> tuple[int, str]:
    """Return the exit status and the message for what was raised."""
    if isinstance(error, KeyboardInterrupt):
        return 130, str(error) or "interrupted"
    if isinstance(error, MemoryError):
        return 3, "out of memory"
    if isinstance(error, OSError):
        return 3 if _of_output(error) else 2, _about(error)

    from click import ClickException, UsageError

    from boards.flow.tools import FlowError

    if isinstance(error, ClickException):
        where = error.ctx if isinstance(error, UsageError) else None
        return 2, error.format_message() + (f" (see {where.command_path} --help)" if where else "")
    if isinstance(error, ValueError | TypeError | ImportError | FlowError):
        return 2, str(error)
    kind = type(error).__name__
    return 3, f"internal error: {kind}: {error} (GRADLOOM_TRACEBACK=1 shows where)"


def _of_output(error: OSError) -> bool:
    """Return whether output cannot be written; otherwise some file is wrong that the user named."""
    name = error.filename
    unreadable = name is not None and os.path.exists(name) and not os.access(name, os.R_OK)
    return error.errno in _OUTPUT or (error.errno in _EITHER and not unreadable)


def _about(error: OSError) -> str:
    """Return a message without the error's number."""
    if error.errno == errno.EPIPE:
        return "the reader of the output has left"
    if error.strerror is None:
        return str(error)
    name = error.filename or ("output" if error.errno in _OUTPUT else "")
    return f"{name}: {error.strerror}" if name else error.strerror


# Standard streams.


class _Heedless:
    """Standard error, or nothing: remarks that nobody can read are no reason to stop."""

    def __init__(self, stream: TextIO | None):
        self._stream = stream if stream is not None else open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _open_streams() -> bool:
    """Prepare the standard streams. Returns whether standard output is closed.

    In the place of a stream that is closed, a file that is opened later would get what is written
    to the stream.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # has the lowest number that is free: this one
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        return True
    if hasattr(sys.stdout, "reconfigure"):
        # Whatever the locale, and whatever a file is called.
        sys.stdout.reconfigure(errors="backslashreplace")
    return False


def _forget_output() -> None:
    """Let nothing more be written to standard output: Python would try again at its end."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


# What comes from outside, and from other threads.


def _interrupt(number: int, frame: Any) -> None:
    """Do as Ctrl-C does: a training ends after its step, others end at once and clean up."""
    handler = signal.getsignal(signal.SIGINT)
    (handler if callable(handler) else signal.default_int_handler)(number, frame)


@contextmanager
def _signals() -> Iterator[None]:
    """Treat SIGTERM, and SIGHUP unless it is ignored (nohup), as Ctrl-C in this context."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _threads() -> Iterator[None]:
    """Let a thread that ends by an error print one line in this context, unless more is wanted."""
    before = threading.excepthook

    def tell(about: threading.ExceptHookArgs) -> None:
        if os.environ.get("GRADLOOM_TRACEBACK"):
            before(about)
        else:
            print(f"gradloom: {about.exc_type.__name__}: {about.exc_value}", file=sys.stderr)

    threading.excepthook = tell
    try:
        yield
    finally:
        threading.excepthook = before
