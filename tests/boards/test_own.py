"""Boards of one's own, from a TOML file."""

import re
import subprocess
import sys

import pytest

from boards import bitstream
from boards.board import BOARDS
from boards.link.uart_twin import UartConfig
from boards.own import board_of, found
from boards.selftest.pins import Top

ULX3S = """
title = "my ULX3S"
device = "ecp5-85f"
package = "CABGA381"
speed = "6"
clock = { pin = "G2", mhz = 25 }
uart = { rx = "M1", tx = "L4" }
leds = ["B2", "C2", "C1", "D2", "D1", "E2", "E1", "H3"]
button = "R1"
load = "openFPGALoader -b ulx3s {file}"
size = 4
recipe = ["batch=64"]
"""
ICE40 = {
    "device": "ice40-up5k",
    "package": "SG48",
    "clock": {"pin": "35", "mhz": 12},
    "uart": {"rx": "6", "tx": "9"},
    "leds": ["11", "37", "26"],
    "leds_low": True,
}


def test_a_file_describes_a_board(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(ULX3S)
    board, ulx3s = found(str(path)), BOARDS["ulx3s-85f"]
    assert (board.name, board.title, board.device) == ("mine", "my ULX3S", ulx3s.device)
    assert board.frequency == ulx3s.frequency and board.pins() == ulx3s.pins()
    assert board.bar == ulx3s.bar and board.trainer.settings == ("batch=64",)
    assert board.array.rows == 4
    platform = board.platform()
    assert (platform.device, platform.package, platform.speed) == ("LFE5U-85F", "BG381", "6")
    assert set(platform.required_tools) <= set(ulx3s.platform().required_tools)
    assert board.load_command(tmp_path, "trainer").startswith("openFPGALoader -b ulx3s ")
    assert UartConfig.at(board.frequency, 115200).clocks == 217


def test_its_project_has_the_pins(tmp_path):
    board = board_of("mine", ICE40 | {"size": 1})
    plan = bitstream._plan(board, Top(board, board.checks()), "selftest")
    constraints = plan.files["selftest.pcf"]
    constraints = constraints if isinstance(constraints, str) else constraints.decode()
    pins = dict(re.findall(r"set_io (\S+) (\S+)", constraints))
    assert pins == {
        "clk_0__io": "35",
        "led_0__io": "11",
        "led_1__io": "37",
        "led_2__io": "26",
        "uart_0__tx__io": "9",
    }
    assert "set_frequency clk_0__io 12.0" in constraints


def test_a_platform_in_its_place(tmp_path):
    (tmp_path / "my_platform.py").write_text(
        "from amaranth_boards.tang_nano_9k import TangNano9kPlatform as Mine\n"
    )
    path = tmp_path / "nano.toml"
    path.write_text('device = "gowin-gw1nr9"\nplatform = "my_platform:Mine"\n')
    board, known = found(str(path)), BOARDS["tangnano9k"]
    assert board.pins() == known.pins() and board.frequency == 27e6
    assert board.platform().required_tools == known.platform().required_tools


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"device": "ecp9"}, "device = 'ecp9': allowed are ecp5-25f"),
        ({"device": None}, "device: is missing"),
        ({"colour": "red"}, "colour: unknown; allowed are title, device"),
        ({"leds": ["1", "2"]}, "leds = ['1', '2']: three pins or more are wanted"),
        ({"leds": "1 2 3"}, "leds = '1 2 3': list is wanted"),
        ({"clock": {"pin": "35"}}, "clock.mhz = None: float is wanted"),
        ({"clock": {"pin": 35, "mhz": 12}}, "clock.pin = 35: str is wanted"),
        ({"clock": {"pin": "35", "mhz": 0}}, "clock.mhz = 0: allowed are 0.1 to 1000"),
        ({"uart": {"tx": "1"}}, "uart.rx = None: str is wanted"),
        ({"package": None}, "package: is missing"),
        ({"leds_low": 1}, "leds_low = 1: bool is wanted"),
        ({"size": 99}, "size = 99: allowed are 1 to 32"),
        ({"recipe": ["batch"]}, "recipe = ['batch']: settings are wanted"),
        ({"platform": "nowhere:X"}, "platform = 'nowhere:X': No module named 'nowhere'"),
    ],
)
def test_what_describes_no_board_is_named(changes, message):
    values = {key: value for key, value in (ICE40 | changes).items() if value is not None}
    with pytest.raises((ValueError, TypeError), match=re.escape(message)):
        board_of("mine", values)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file or directory"),
        ("device = ", "Invalid value"),
        ('device = "ecp5-85f"\n', "leds: is missing"),
    ],
)
def test_a_bad_file_is_one_line(text, message, tmp_path):
    path = tmp_path / "bad.toml"
    if text is not None:
        path.write_text(text)
    line = [sys.executable, "-m", "gradloom", "build", "selftest", "--board", str(path)]
    process = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path)
    assert process.returncode == 2 and message in process.stderr
    assert process.stderr.count("\n") == 1, process.stderr
