"""A core that a computer drives, on the pins of a board."""

from typing import Any

from amaranth.hdl import Elaboratable, Module

from boards.board import Board
from boards.hosted.protocol import About
from boards.hosted.top import Hosted
from boards.link.uart_twin import UartConfig
from boards.pins import Pins
from golden.core.config import CoreConfig
from hdl.cells import CELLS


class Top(Elaboratable):
    """A core that a computer drives, on the pins of a board.

    Of the LEDs of the self-test, `running` is lit while beats wait for the core or from it, and
    `passed` while there is a session.

    Parameters
    ----------
    board
        The board.
    config
        The core.
    about
        What the board says of itself.
    uart
        The serial line.
    """

    def __init__(self, board: Board, config: CoreConfig, about: About, uart: UartConfig):
        self.board = board
        self.config = config
        self.about = about
        self.uart = uart

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        board = self.board
        cells = CELLS[board.device.cells]
        m.submodules.hosted = hosted = Hosted(self.config, self.about, self.uart, cells=cells)
        name, number, _ = board.uart
        pins = Pins(m, platform)
        pins.drive("tx", (name, number, "tx"), hosted.tx)
        pins.read("rx", (name, number, "rx"), hosted.rx)
        pins.drive("running", board.running, hosted.runs)
        pins.drive("passed", board.passed, hosted.session)
        return m
