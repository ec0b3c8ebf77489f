"""A training on the pins of a board."""

from typing import Any

from amaranth.hdl import Elaboratable, Module

from boards.board import Board
from boards.pins import Pins
from boards.trainer.top import Trainer
from boards.trainer.training import Training
from hdl.cells import CELLS


class Top(Elaboratable):
    """A training on the pins of a board.

    With a bar of LEDs, these show how many epochs are done, or blink all together after a fault;
    else the three LEDs of the self-test do: a blink code, the end, a fault.

    Parameters
    ----------
    board
        The board.
    training
        The training, at the frequency of the board.
    """

    def __init__(self, board: Board, training: Training):
        self.board = board
        self.training = training

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        board = self.board
        trainer = Trainer(self.training, cells=CELLS[board.device.cells])
        m.submodules.trainer = trainer
        pins = Pins(m, platform)
        if board.bar:
            for number, pin in enumerate(board.bar):
                # Where there are fewer than eight, each stands for more epochs.
                own = trainer.bar[(number + 1) * len(trainer.bar) // len(board.bar) - 1]
                pins.drive(f"bar_{number}", pin, (own & ~trainer.failed) | trainer.alarm)
        else:
            pins.drive("running", board.running, trainer.blink & ~trainer.ended)
            pins.drive("passed", board.passed, trainer.ended)
            pins.drive("failed", board.failed, trainer.failed)
        pins.drive("tx", board.uart, trainer.tx)
        if board.button is not None:
            pins.read("button", board.button, trainer.restart)
        return m
