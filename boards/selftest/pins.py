"""A self-test on the pins of a board."""

from typing import Any

from amaranth.hdl import Elaboratable, Module

from boards.board import Board
from boards.pins import Pins
from boards.selftest.checks import Check
from boards.selftest.config import TopConfig
from boards.selftest.top import SelfTest


class Top(Elaboratable):
    """A self-test on the pins of a board.

    Parameters
    ----------
    board
        The board.
    checks
        The units with their operands and expected results.
    """

    def __init__(self, board: Board, checks: list[Check]):
        self.board = board
        self.checks = checks

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        board = self.board
        config = TopConfig(
            board=board.name,
            frequency=platform.default_clk_frequency,
            passes=board.config.passes,
        )
        m.submodules.selftest = selftest = SelfTest(self.checks, config)
        pins = Pins(m, platform)
        pins.drive("running", board.running, selftest.running)
        pins.drive("passed", board.passed, selftest.passed)
        pins.drive("failed", board.failed, selftest.failed)
        pins.drive("tx", board.uart, selftest.tx)
        if board.button is not None:
            pins.read("button", board.button, selftest.restart)
        return m
