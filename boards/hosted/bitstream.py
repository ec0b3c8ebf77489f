"""Builds the bitstream of a core that a computer drives, with the tools' figures."""

from pathlib import Path

from boards import bitstream
from boards.bitstream import Product, Progress
from boards.board import Board
from boards.hosted.pins import Top
from boards.hosted.protocol import About
from boards.link.uart_twin import UartConfig
from golden.core.lower import Compiled
from golden.core.registers import design_hash
from golden.settings import mapping

#: Name of the design and of its files.
NAME = "host"


def build(
    board: Board,
    compiled: Compiled,
    uart: UartConfig,
    folder: Path,
    progress: Progress = lambda stage, text: None,
) -> Product:
    """Build a core that a computer drives, for a board.

    Parameters
    ----------
    board
        The board.
    compiled
        The network on its core.
    uart
        The serial line.
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
    config = compiled.config
    about = About.of(config, frequency=round(board.frequency), name=board.name)
    made = bitstream.build(board, Top(board, config, about, uart), NAME, folder, progress)
    report = made.report
    report |= {
        "recipe": {"system": compiled.recipe.SYSTEM, **mapping(compiled.recipe)},
        "design": f"{design_hash(config):016x}",
        "clocks_of_a_bit": uart.clocks,
    }
    return made
