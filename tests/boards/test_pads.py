"""Whole designs of boards from pad to pad: clock, button, LEDs and serial line in Verilator."""

import re
import shutil
import subprocess
from dataclasses import dataclass, replace

import pytest
from small_trainings import made

from boards import bitstream
from boards.board import BOARDS
from boards.flow.tools import find_tool, run
from boards.trainer.pins import Top
from boards.trainer.training import BAUD, expected
from gradloom.sim import device_cells

#: Pads, and what a platform resets its clock domain with, by family.
PADS = {
    "ecp5": """
module IB(input I, output O); assign O = I; endmodule
module OBZ(input I, T, output O); assign O = T ? 1'bz : I; endmodule
module FD1S3AX(input CK, D, output reg Q = 0);
    parameter GSR = "";
    always @(posedge CK) Q <= D;
endmodule
module SGSR(input CLK, GSR); endmodule
""",
    "gowin": """
module IBUF(input I, output O); assign O = I; endmodule
module TBUF(input I, OEN, output O); assign O = OEN ? 1'bz : I; endmodule
""",
    "xc7": """
module IBUF(input I, output O); assign O = I; endmodule
module OBUFT(input I, T, output O); assign O = T ? 1'bz : I; endmodule
module BUFGCTRL(input I0, I1, CE0, CE1, S0, S1, IGNORE0, IGNORE1, output O);
    parameter SIM_DEVICE = "";
    assign O = I0 & CE0;
endmodule
module STARTUPE2(output EOS); assign EOS = 1; endmodule
module FDPE(input C, CE, D, PRE, output reg Q = 1);
    parameter INIT = 1;
    always @(posedge C, posedge PRE) Q <= PRE | (CE ? D : Q);
endmodule
""",
}

#: Reads lines, shows the LEDs at the end of each, and presses the button in the middle.
BENCH = """
module bench;
    reg clk = 0, press = %(idle)d;
    wire tx;
    wire [%(leds)d:0] led;
    wire pad = clk, button = press;
    trainer dut(%(ports)s);
    always #1 clk = ~clk;
    integer k, lines = 0;
    reg [7:0] c = 0;
    initial while (lines < %(lines)d) begin
        while (tx !== 1'b0) @(posedge clk);
        repeat (%(half)d) @(posedge clk);
        for (k = 0; k < 8; k = k + 1) begin
            repeat (%(bit)d) @(posedge clk);
            c[k] = tx;
        end
        repeat (%(bit)d) @(posedge clk);
        if (c != 10)
            $write("%%c", c);
        else begin
            lines = lines + 1;
            $write(" led=%%b\\n", led);
        end
        if (lines == %(lines)d) $finish;
    end
    always @(lines) if (lines == %(lines)d / 2) begin
        press = ~press;
        repeat (1000) @(posedge clk);
        press = ~press;
    end
endmodule
"""


@dataclass(frozen=True)
class Case:
    """A board, and how it looks from outside.

    `leds` are ports from the highest bit on; `start` and `done` are their levels at the end of the
    first line and of the last one. `real` has the board's own bits on the line.
    `high` is a port that is held high.
    """

    name: str
    clock: str
    button: str
    idle: int
    leds: tuple[str, ...]
    start: str
    done: str
    real: bool = False
    high: str = ""


CASES = (
    Case(
        "ulx3s-85f",
        "clk25_0__io",
        "button_fire_0__io",
        0,
        tuple(f"led_{k}__io" for k in reversed(range(8))),
        "00000000",
        "11111111",
        real=True,
    ),
    # Low lights an LED, and low is a press. (The device is too small for it: only simulated.)
    Case(
        "tangnano9k",
        "clk27_0__io",
        "button_0__io",
        1,
        ("led_2__io", "led_1__io", "led_0__io"),
        "111",
        "101",
    ),
    Case(
        "arty-a7-35t",
        "clk100_0__io",
        "button_0__io",
        0,
        ("led_2__io", "led_1__io", "led_0__io"),
        "000",
        "010",
        high="rst_0__io",
    ),
)


@pytest.mark.long
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_board_trains_from_pad_to_pad(case, tmp_path):
    if not shutil.which("verilator"):
        pytest.skip("verilator is not installed")
    board = BOARDS[case.name]
    core = made(images=13, tests=5, epochs=1, rows=2, columns=2, batch=3)
    frequency = board.frequency if case.real else 8 * BAUD
    training = replace(core, board=board.name, frequency=frequency)
    plan = bitstream._plan(board, Top(board, training), "trainer")
    plan.extract(tmp_path)
    if board.family != "xc7":
        script = "read_rtlil trainer.il; write_verilog -noattr trainer.v"
        run(find_tool("yosys"), ["-p", script], tmp_path, lambda line: None)
    text = (tmp_path / "trainer.v").read_text("utf-8")
    cells = device_cells.models(re.findall(r"^ +(\w+) (?:#\(|\w+ \()", text, re.M))
    bits = training.uart.clocks
    texts = [None, *map(str, expected(training))]
    texts.append(f"done {texts[-1]}")
    ports = {
        case.clock: "pad",
        case.button: "button",
        "uart_0__tx__io": "tx",
        **({case.high: "1'b1"} if case.high else {}),
        **{led: f"led[{len(case.leds) - 1 - k}]" for k, led in enumerate(case.leds)},
    }
    bench = BENCH % {
        "idle": case.idle,
        "leds": len(case.leds) - 1,
        "ports": ", ".join(f".{port}({wire})" for port, wire in ports.items()),
        "lines": 2 * len(texts),
        "half": bits // 2,
        "bit": bits,
    }
    (tmp_path / "bench.v").write_text(bench + PADS[board.family] + cells)
    command = ["verilator", "--binary", "--timing", "-Wno-fatal", "-Wno-lint", "-Wno-style"]
    command += ["-CFLAGS", "-O1", "--x-initial", "fast", "--top", "bench", "-o", "bench"]
    subprocess.run(
        [*command, "bench.v", "trainer.v"], cwd=tmp_path, check=True, capture_output=True
    )
    said = subprocess.run(
        [tmp_path / "obj_dir" / "bench"], capture_output=True, timeout=300, check=True
    ).stdout
    # Not as text: that would take a carriage return for the end of a line.
    lines = re.findall(r"(.*)\r led=([01]+)\n", said.decode("ascii"))
    assert len(lines) == 2 * len(texts)
    for turn in (lines[: len(texts)], lines[len(texts) :]):
        assert f" board={case.name} " in turn[0][0]
        assert [text for text, _ in turn[1:]] == texts[1:]
        assert [turn[0][1], turn[-1][1]] == [case.start, case.done]
