"""Builds the bitstream of a board's training, with the tools' figures for clock and size."""

from pathlib import Path

from boards import bitstream
from boards.bitstream import Product, Progress
from boards.board import Board
from boards.trainer.pins import Top
from boards.trainer.training import Training
from golden.core.registers import design_hash
from golden.settings import mapping

#: Name of the design and of its files.
NAME = "trainer"


def build(
    board: Board,
    training: Training,
    folder: Path,
    progress: Progress = lambda stage, text: None,
) -> Product:
    """Build the training of a board.

    Parameters
    ----------
    board
        The board.
    training
        The training, at the frequency of the board.
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
    made = bitstream.build(board, Top(board, training), NAME, folder, progress)
    core, data = training.compiled, training.dataset
    report = made.report
    report |= {
        "training": {
            "recipe": {"system": core.recipe.SYSTEM, **mapping(core.recipe)},
            "data": data.name,
            "images": len(data.train_images),
            "test_images": len(data.test_images),
            "network": training.name,
            "design": f"{design_hash(core.config):016x}",
            "clocks_of_an_epoch": training.clocks,
        },
    }
    return made
