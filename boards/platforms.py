"""Boards that carry a self-test: what is on them, how much of it fits, how it is loaded.

Pins, clocks and LEDs come from amaranth-boards; this table says which of them the self-test uses
and which array a board's block RAM, multipliers and logic hold at the clock of its own oscillator.
"""

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from math import ceil
from pathlib import Path
from typing import Any

from amaranth.build import Attrs, Resource
from amaranth.hdl import Elaboratable, Module, Shape
from amaranth.lib import io
from amaranth.lib.cdc import FFSynchronizer  # type: ignore[import-untyped]

from boards.checks import Check
from boards.gowin import with_present_flow
from boards.selftest import SelfTest, SelfTestConfig
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
)
from golden.macc import MaccConfig

#: Bits of a block RAM's words and how many there are, by family.
_DEEP = ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384))
GEOMETRIES: dict[str, tuple[tuple[int, int], ...]] = {
    "ecp5": _DEEP,
    "gowin": _DEEP,
    "ice40": ((16, 256), (8, 512), (4, 1024), (2, 2048)),
    "xilinx7": _DEEP,
}

#: Kinds of cells that say how full a device is, by family.
CELLS = {
    "ecp5": ("TRELLIS_COMB", "TRELLIS_FF", "MULT18X18D", "DP16KD"),
    "gowin": ("LUT4", "ALU", "DFF", "MULT18X18", "BSRAM"),
    "ice40": ("ICESTORM_LC", "ICESTORM_DSP", "ICESTORM_RAM"),
    "xilinx7": ("LUTs", "CARRY4", "FDRE", "DSP48E1", "RAMB18E1", "RAMB36E1"),
}
#: Last part of a bitstream's name, by family.
BITSTREAMS = {"ecp5": "bit", "gowin": "fs", "ice40": "bin", "xilinx7": "bit"}
#: Bits from which on a buffer is counted as block RAM.
BUFFER_BITS = 256
#: The most bytes that the texts take.
TEXT_BYTES = 512


def blocks(family: str, width: int, depth: int) -> int:
    """Block RAMs of a family that a memory of `depth` words of `width` bits takes."""
    return min(ceil(width / w) * ceil(depth / d) for w, d in GEOMETRIES[family])


def selftest_config(
    size: int, *, width: int = 16, lanes: int, wide: int, operands: int
) -> SelfTestConfig:
    """A self-test of a square array that rounds in two ways, and of WAGE's units.

    Parameters
    ----------
    size
        Rows and columns.
    width
        Bits of an operand.
    lanes
        Values side by side in WAGE's units.
    wide
        Bits of their sums, errors and gradients.
    operands
        Operands a unit.
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


#: A resource of a platform: name, number, and the part of it, if it has parts.
Pin = tuple[str, int, str | None]


def _led(number: int) -> Pin:
    return ("led", number, None)


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board, and the self-test that it carries.

    Parameters
    ----------
    name
        On the command line.
    title
        In lists.
    device
        The FPGA.
    family
        `ecp5`, `ice40`, `gowin`, or `xilinx7`, which has no open place and route on PyPI.
    platform
        Makes the Amaranth platform.
    memories
        Block RAMs of the device.
    config
        What is tested.
    running, passed, failed
        LEDs.
    button
        What starts it anew, if there is one.
    uart
        Resource with the serial line.
    serial
        Where the line comes out.
    load
        Command that loads the bitstream, {file}.
    options
        Further options of Amaranth's build.
    """

    name: str
    title: str
    device: str
    family: str
    platform: Callable[[], Any]
    memories: int
    config: SelfTestConfig
    running: Pin
    passed: Pin
    failed: Pin
    button: Pin | None = None
    uart: Pin = ("uart", 0, "tx")
    serial: str
    load: str
    options: dict[str, str] = field(default_factory=dict)

    @property
    def array(self) -> ArrayConfig:
        """The array that is tested."""
        return next(unit for unit in self.config.units if isinstance(unit, ArrayConfig))

    @property
    def cells(self) -> tuple[str, ...]:
        """Kinds of cells that say how full the device is."""
        return CELLS[self.family]

    @property
    def file(self) -> str:
        """Name of the file that is loaded."""
        if self.load.startswith("dfu-util"):
            return "selftest.dfu"
        return f"selftest.{BITSTREAMS[self.family]}"

    def load_command(self, folder: Path) -> str:
        """The command that loads what a build left in `folder`."""
        load = self.load.format(file=shlex.quote(str(folder / self.file)))
        if self.family == "xilinx7":
            return f"(cd {shlex.quote(str(folder))} && sh build_selftest.sh) && {load}"
        return load

    @property
    def frequency(self) -> float:
        """Of its clock, in hertz."""
        return float(self.platform().default_clk_frequency)

    def pins(self) -> dict[str, str]:
        """Pins of the FPGA by what the self-test does with them."""
        platform = self.platform()
        uses = {
            "running": self.running,
            "passed": self.passed,
            "failed": self.failed,
            "tx": self.uart,
            "button": self.button,
        }
        return {use: _pin(platform, pin) for use, pin in uses.items() if pin is not None}


def _pin(platform: Any, pin: Pin) -> str:
    """Names of the pins behind a resource."""
    name, number, part = pin
    ios = platform.lookup(name, number).ios
    if part is not None:
        ios = next(each for each in ios if getattr(each, "name", None) == part).ios
    pins = next(each for each in ios if hasattr(each, "map_names"))
    return " ".join(pins.map_names(platform._conn_pins, pins))


def memory_budget(board: Board, checks: list[Check]) -> dict[str, int]:
    """Block RAMs of the memories of a self-test, by what they hold.

    Raises
    ------
    ValueError
        They are more than the board has.
    """
    budget = {}
    for each in checks:
        unit: Any = each.component()
        operands, results = each.depth
        ports = sum(
            Shape.cast(unit.signature.members[name].shape).width
            for name in each.operands
            if name in unit.signature.members
        )
        operand = Shape.cast(unit.i.payload.shape()).width + ports
        result = Shape.cast(unit.o.payload.shape()).width
        budget[f"{each.name} operands"] = blocks(board.family, operand, operands)
        budget[f"{each.name} results"] = blocks(board.family, result, results)
        # Its output buffer, unless it is so small that synthesis takes registers.
        if result * each.latency >= BUFFER_BITS:
            budget[f"{each.name} buffer"] = blocks(board.family, result, each.latency)
    budget["texts"] = blocks(board.family, 8, TEXT_BYTES)
    total = sum(budget.values())
    if total > board.memories:
        parts = " + ".join(f"{name} {number}" for name, number in budget.items())
        raise ValueError(
            f"{board.name}: the self-test takes {parts} = {total} of the {board.memories} block "
            f"RAMs of an {board.device}: fewer operands or a smaller array are wanted"
        )
    return budget


class Top(Elaboratable):
    """A self-test on the pins of a board.

    Parameters
    ----------
    board
        The board.
    checks
        What is tested.
    """

    def __init__(self, board: Board, checks: list[Check]):
        self.board = board
        self.checks = checks

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        board = self.board
        m.submodules.selftest = selftest = SelfTest(
            self.checks,
            board=board.name,
            frequency=platform.default_clk_frequency,
            passes=board.config.passes,
        )

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


def _of(module: str, name: str) -> Any:
    """A platform's class from amaranth-boards."""
    try:
        return getattr(import_module(f"amaranth_boards.{module}"), name)
    except ImportError:
        raise FileNotFoundError(
            "amaranth-boards is not installed, and boards' pins come from it: "
            "pip install amaranth-boards"
        ) from None


def _plain(module: str, name: str) -> Callable[[], Any]:
    return lambda: _of(module, name)()


def _icebreaker() -> Any:
    platform = _of("icebreaker", "ICEBreakerPlatform")()
    platform.add_resources(platform.break_off_pmod)
    return platform


def _orangecrab(name: str) -> Callable[[], Any]:
    def make() -> Any:
        platform = _of("orangecrab_r0_2", name)()
        # The board has no serial line of its own: it comes out at the pin that is labelled 1 (TX).
        interface = import_module("amaranth_boards.resources.interface")
        uart: Resource = interface.UARTResource(
            0, rx="0", tx="1", conn=("io", 0), attrs=Attrs(IO_TYPE="LVCMOS33")
        )
        platform.add_resources([uart])
        return platform

    return make


def _tang_nano_9k() -> Any:
    return with_present_flow(_of("tang_nano_9k", "TangNano9kPlatform"))()


_ALL = (
    Board(
        name="ulx3s-85f",
        title="ULX3S (85F)",
        device="LFE5U-85F",
        family="ecp5",
        platform=_plain("ulx3s", "ULX3S_85F_Platform"),
        memories=208,
        config=selftest_config(8, lanes=4, wide=32, operands=512),
        running=_led(0),
        passed=_led(1),
        failed=_led(2),
        button=("button_fire", 0, None),
        serial="USB (US1), the FTDI's port",
        load="openFPGALoader -b ulx3s {file}",
    ),
    Board(
        name="icebreaker",
        title="iCEBreaker",
        device="iCE40UP5K",
        family="ice40",
        platform=_icebreaker,
        memories=30,
        config=selftest_config(2, width=8, lanes=1, wide=12, operands=256),
        running=("led_g", 1, None),
        passed=("led_g", 0, None),
        failed=("led_r", 0, None),
        button=("button", 0, None),
        serial="USB, the second port of the FTDI",
        load="iceprog {file}",
        options={"synth_opts": "-dsp"},
    ),
    *(
        Board(
            name=f"orangecrab-{size}f",
            title=f"OrangeCrab r0.2 ({size}F)",
            device=f"LFE5U-{size}F",
            family="ecp5",
            platform=_orangecrab(f"OrangeCrabR0_2_{size}FPlatform"),
            memories=memories,
            config=selftest_config(rows, lanes=lanes, wide=32, operands=512),
            running=("rgb_led", 0, "b"),
            passed=("rgb_led", 0, "g"),
            failed=("rgb_led", 0, "r"),
            button=("button", 0, None),
            serial="pin 1 (TX) of the header, 3.3 V",
            load="dfu-util -a 0 -D {file}",
        )
        for size, memories, rows, lanes in ((25, 56, 4, 2), (85, 208, 8, 4))
    ),
    *(
        Board(
            name=f"ecpix5-{size}f",
            title=f"ECPIX-5 ({size}F)",
            device=f"LFE5UM5G-{size}F",
            family="ecp5",
            platform=_plain("ecpix5", f"ECPIX5{size}Platform"),
            memories=memories,
            # Narrower sums than elsewhere: 100 MHz are met with room to spare.
            config=selftest_config(8, lanes=4, wide=24, operands=512),
            running=("rgb_led", 0, "b"),
            passed=("rgb_led", 1, "g"),
            failed=("rgb_led", 2, "r"),
            serial="micro-USB, the second port of the FTDI",
            load="openFPGALoader -b ecpix5 {file}",
        )
        for size, memories in ((45, 108), (85, 208))
    ),
    Board(
        name="tangnano9k",
        title="Tang Nano 9K",
        device="GW1NR-9C",
        family="gowin",
        platform=_tang_nano_9k,
        memories=26,
        config=selftest_config(2, lanes=1, wide=16, operands=512),
        running=_led(0),
        passed=_led(1),
        failed=_led(2),
        button=("button", 0, None),
        serial="USB, the second port of the BL702",
        load="openFPGALoader -b tangnano9k {file}",
    ),
    Board(
        name="arty-a7-35t",
        title="Arty A7-35T",
        device="XC7A35T",
        family="xilinx7",
        platform=_plain("arty_a7", "ArtyA7_35Platform"),
        memories=100,
        config=selftest_config(6, lanes=4, wide=32, operands=512),
        running=_led(0),
        passed=_led(1),
        failed=_led(2),
        button=("button", 0, None),
        serial="USB, the second port of the FTDI",
        load="openFPGALoader -b arty_a7_35t {file}",
    ),
    Board(
        name="kc705",
        title="KC705",
        device="XC7K325T",
        family="xilinx7",
        platform=_plain("kc705", "KC705Platform"),
        memories=890,
        config=selftest_config(16, lanes=8, wide=32, operands=1024),
        running=_led(0),
        passed=_led(1),
        failed=_led(2),
        serial="USB-UART (CP2103)",
        load="openFPGALoader -b kc705 {file}",
    ),
)

#: Every board, by name.
BOARDS: dict[str, Board] = {board.name: board for board in _ALL}


def find(name: str) -> Board:
    """The board of this name.

    Raises
    ------
    ValueError
        There is none.
    """
    if name not in BOARDS:
        raise ValueError(f"board {name!r}: allowed are {', '.join(BOARDS)}")
    return BOARDS[name]
