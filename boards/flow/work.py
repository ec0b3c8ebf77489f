"""What the two tools' callers share: progress, a folder for files, a key of the code."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache as once
from pathlib import Path

from boards.flow.tools import FlowError

#: Called with a description of the present step.
Progress = Callable[[str], None]
#: The step in which YoWASP's tools compile their WebAssembly.
COMPILING = "compiling the tool's WebAssembly, once for this installation"
#: Files of `boards` that decide how the tools' answers are read.
_READERS = ("device.py", "target.py", "flow/netlist.py", "flow/nextpnr.py", "flow/yosys.py")


class TooLarge(FlowError):
    """The design does not fit the device."""


@contextmanager
def work_folder() -> Iterator[Path]:
    """A folder for a tool's files, which is removed in any case."""
    with tempfile.TemporaryDirectory(prefix="gradloom-build-") as name:
        yield Path(name)


@once
def code() -> str:
    """Return the text of the code that reads the tools' answers.

    It is part of every cache key: when the code changes, what it made before is not used again.
    """
    boards = Path(__file__).parent.parent
    return "".join((boards / name).read_text("utf-8") for name in _READERS)
