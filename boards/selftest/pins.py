"""A self-test on the pins of a board."""

from typing import Any

from amaranth.hdl import Elaboratable, Module
from amaranth.lib import io
from amaranth.lib.cdc import FFSynchronizer  # type: ignore[import-untyped]

from boards.board import Board, Pin
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

        def port(pin: Pin) -> Any:
            name, number, part = pin
            if (name, number) not in ports:
                ports[name, number] = platform.request(name, number, dir="-")
            return ports[name, number] if part is None else getattr(ports[name, number], part)

        ports: dict[tuple[str, int], Any] = {}
        for name, pin, value in (
            ("running", board.running, selftest.running),
            ("passed", board.passed, selftest.passed),
            ("failed", board.failed, selftest.failed),
            ("tx", board.uart, selftest.tx),
        ):
            m.submodules[f"{name}_pin"] = buffer = io.Buffer(io.Direction.Output, port(pin))
            m.d.comb += buffer.o.eq(value)
        if board.button is not None:
            m.submodules.button_pin = button = io.Buffer(io.Direction.Input, port(board.button))
            m.submodules.button_sync = FFSynchronizer(button.i, selftest.restart)
        return m
