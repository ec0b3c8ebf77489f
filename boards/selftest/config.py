"""What a self-test tests, and how much of it."""

from dataclasses import dataclass

from boards.link.text import check_word
from boards.link.uart_twin import BAUD, UartConfig
from boards.selftest.bench_twin import PATTERN
from boards.selftest.checks import Check, UnitConfig, make_check
from golden import (
    ActivationQuantizerConfig,
    ArrayConfig,
    Conversion,
    ErrorQuantizerConfig,
    Fixed,
    Rounding,
    ShiftExponentConfig,
    WeightQuantizerConfig,
    WeightUpdateConfig,
    check,
)
from golden.macc import MaccConfig

#: Passes of a run. Bit 0 of a pass's number: outputs stall. Bit 1: operands pause.
PASSES = 4
#: Distance of the seeds of two self-tests; a unit's number is added to it.
_SEEDS = 1000


@dataclass(frozen=True, kw_only=True)
class SelfTestConfig:
    """The units of a self-test, and the length of their stimulus.

    Parameters
    ----------
    units
        Configurations of the units, 1 to 8, of different kinds.
    operands
        Operands of each unit, 1 to 65536: the depth of the memories.
    passes
        Times that a run goes through them, 1 to 16; the kinds of gaps and stalls repeat after 4.
    seed
        Seed of the random operands.

    Examples
    --------
    >>> from golden import WeightQuantizerConfig
    >>> [each.name for each in SelfTestConfig(units=(WeightQuantizerConfig(),)).checks()]
    ['wage-weight']
    """

    units: tuple[UnitConfig, ...]
    operands: int = 256
    passes: int = PASSES
    seed: int = 1

    def __post_init__(self) -> None:
        check.whole("number of units", len(self.units), 1, PATTERN.draw // 2)
        check.whole_fields(self, 1, 1 << 16, "operands")
        check.whole_fields(self, 1, 16, "passes")
        check.whole_fields(self, 0, 1 << 30, "seed")

    def checks(self, cells: str = "generic") -> list[Check]:
        """Return the units with their operands and the expected results.

        Parameters
        ----------
        cells
            What the array's nodes are made of: a name of `hdl.cells.CELLS`.
        """
        return [
            make_check(unit, self.operands, self.seed * _SEEDS + number, cells)
            for number, unit in enumerate(self.units)
        ]


@dataclass(frozen=True, kw_only=True)
class TopConfig:
    """The top of a self-test: the course of its runs and its serial line.

    Parameters
    ----------
    board
        Name of the board, for the lines of text: printable ASCII without braces and spaces.
    frequency
        Frequency of the clock in hertz.
    passes
        Times that a run goes through the stimulus, 1 to 16.
    period
        Clocks between two lines of text, 1 to 2**32; one second without it.
    baud
        Baud rate of the serial line.

    Examples
    --------
    >>> TopConfig(board="icebreaker", frequency=12e6).uart.clocks
    104
    """

    board: str
    frequency: float
    passes: int = PASSES
    period: int | None = None
    baud: int = BAUD

    def __post_init__(self) -> None:
        check_word("board", self.board)
        check.whole_fields(self, 1, 16, "passes")
        if self.period is not None:
            check.whole_fields(self, 1, 1 << 32, "period")
        check.whole("period", self.clocks_per_line, 1, 1 << 32)
        UartConfig.at(self.frequency, self.baud)

    @property
    def clocks_per_line(self) -> int:
        """Clocks from one line of text to the next."""
        return round(self.frequency) if self.period is None else self.period

    @property
    def uart(self) -> UartConfig:
        """The serial line's configuration."""
        return UartConfig.at(self.frequency, self.baud)


def selftest_config(
    size: int, *, width: int = 16, lanes: int, wide: int, operands: int
) -> SelfTestConfig:
    """Return a self-test of a square array that rounds in two ways, and of WAGE's units.

    Parameters
    ----------
    size
        Rows and columns.
    width
        Bits of an operand.
    lanes
        Lanes of WAGE's units.
    wide
        Bits of their sums, errors and gradients.
    operands
        Operands of each unit.

    Examples
    --------
    >>> len(selftest_config(2, lanes=1, wide=12, operands=256).units)
    6
    """
    word = Fixed(2, width - 2)
    fraction = 2 * word.fl
    roundings = (Rounding.STOCHASTIC, Rounding.NEAREST_EVEN)
    return SelfTestConfig(
        units=(
            ArrayConfig(
                rows=size,
                columns=size,
                macc=MaccConfig(a=word, b=word),
                conversions=tuple(
                    Conversion(fraction=fraction, target=word, rounding=each) for each in roundings
                ),
            ),
            WeightQuantizerConfig(lanes=lanes),
            ActivationQuantizerConfig(lanes=lanes, width=min(wide, 21)),
            ShiftExponentConfig(lanes=lanes, width=wide),
            ErrorQuantizerConfig(lanes=lanes, width=wide),
            WeightUpdateConfig(lanes=lanes, width=wide),
        ),
        operands=operands,
    )
