"""Builds the bitstream of a board's self-test, with the tools' figures for clock and size."""

from pathlib import Path

from boards import bitstream
from boards.bitstream import Product, Progress
from boards.board import Board
from boards.selftest.memory import memory_budget
from boards.selftest.pins import Top
from golden.settings import mapping

#: Name of the design and of its files.
NAME = "selftest"


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
    bitstream.tools_of(board)
    progress("stimulus and expected results", "")
    checks = board.checks()
    if broken:
        checks[0] = checks[0].broken(result=checks[0].depth[1] // 2, port="data", lane=0, bit=0)
    budget = memory_budget(board, checks)
    made = bitstream.build(board, Top(board, checks), NAME, folder, progress)
    report = made.report
    blocks = report.pop("block_rams")
    report |= {
        "array": mapping(board.array),
        "cells_of_nodes": board.device.cells,
        "expects_failure": broken,
        "memories": {
            "available": blocks["available"],
            "at_most": sum(budget.values()),
            "parts": budget,
            "taken": blocks["taken"],
        },
    }
    return made
