"""The testbench of a generated core: plain Verilog-2005 that trains some steps and checks them.

It does what a host does: it reads who is there, writes programs through the registers, sends
weights and samples, waits, reads what happened, and compares the weights that the core carries out
with those that the golden trainer has after the same steps.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from golden.core.config import CoreConfig
from golden.core.edge import Edge, ports
from golden.core.program import Part
from golden.core.registers import Registers
from golden.port import inputs_of, outputs_of
from gradloom.core.package.tasks import accesses, common, constants, programs
from gradloom.rtl.package import FAILURE, commands, instance, span
from gradloom.rtl.verilog import TIMESCALE, comment, made_by

#: Ports of the two streams, by edge: data, valid, ready, last.
_IN = ("s_axis_tdata", "s_axis_tvalid", "s_axis_tready", "s_axis_tlast")
_OUT = ("m_axis_tdata", "m_axis_tvalid", "m_axis_tready", "m_axis_tlast")
_PLAIN_IN = ("i_words", "i_valid", "i_ready", "i_last")
_PLAIN_OUT = ("o_words", "o_valid", "o_ready", "o_last")


#: The most clocks that a testbench waits: it counts in an integer of Verilog, 32 bits with a sign.
_MOST = (1 << 31) - 2


def patience(clocks: int, beats: int, words: int) -> int:
    """Return the clocks after which all must be done.

    Parameters
    ----------
    clocks
        Clocks of all steps, if the streams never wait.
    beats
        Beats of both streams, which wait at random.
    words
        Words of all programs.
    """
    return 20 * (clocks + 4 * beats + 40 * words + 10_000)


def most_steps(clocks: int, samples: int, weights: int, words: int) -> int:
    """Return the number of steps whose clocks a testbench can count.

    Parameters
    ----------
    clocks, samples
        Clocks of a step, and beats of its samples.
    weights
        Beats of the weights, which go in and come out.
    words
        Words of all programs.

    Examples
    --------
    >>> most_steps(11_428, 288, 1280, 3000)
    8524
    """
    before = patience(0, 2 * weights, words)
    return (_MOST - before) // (patience(clocks, 2 * weights + samples, words) - before)


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What the testbench trains.

    Parameters
    ----------
    rates
        Numbers of steps that follow each other, each with log2 of its learning rate.
    beats_in, beats_out
        Beats that are sent, and beats that are carried out.
    weights
        Beats that are sent and are weights; samples follow.
    clocks
        Clocks of all steps, if the streams never wait.
    """

    rates: tuple[tuple[int, int], ...]
    beats_in: int
    beats_out: int
    weights: int
    clocks: int

    @property
    def steps(self) -> int:
        """Number of steps."""
        return sum(steps for steps, _ in self.rates)


def hex_beat(data: int, bits: int, last: bool) -> str:
    """Return a line of a file for $readmemh: whether it is the last beat, then its data.

    Examples
    --------
    >>> hex_beat(0xAB, 12, True)
    '1_0ab'
    """
    return f"{int(last)}_{data:0{-(-bits // 4)}x}"


def testbench(
    name: str,
    config: CoreConfig,
    edge: Edge,
    parts: Sequence[Part],
    lesson: Lesson,
    models: bool = False,
) -> str:
    """Return the testbench.

    Parameters
    ----------
    name
        Name of the core's module.
    config, edge
        The core and its edge.
    parts
        The lists of its programs.
    lesson
        What is trained.
    models
        Whether there are models of a device's cells.
    """
    own, table = ports(config, edge), Registers(config)
    by_name = {port.name: port for port in own}
    plain = edge is Edge.NONE
    data_in, valid_in, ready_in, last_in = _PLAIN_IN if plain else _IN
    data_out, valid_out, ready_out, last_out = _PLAIN_OUT if plain else _OUT
    bits_in, bits_out = by_name[data_in].bits, by_name[data_out].bits
    wide_in, wide_out = 4 * -(-bits_in // 4), 4 * -(-bits_out // 4)
    words = sum(len(part.words) for part in parts)
    most = patience(lesson.clocks, lesson.beats_in + lesson.beats_out, words)
    head = [
        f"{name}_tb: trains {lesson.steps} steps on {name}, and compares its weights with the "
        "golden trainer's.",
        "",
        made_by(),
        "",
        f"It loads the programs of {name}_program.mem through the registers, the weights of "
        f"{name}_weights.mem and the samples of {name}_tb_in.mem through the input stream, and "
        f"compares the weights that are carried out with those of {name}_tb_out.mem. Both streams "
        "wait at random.",
        "",
        "It prints PASS and ends with exit status 0, or it prints what is wrong and FAIL and ends "
        "with another exit status. In the folder with these files:",
        "",
        *commands(name, models),
        "",
        "Options of the simulation: +data=FOLDER, the folder of the .mem files, by default this "
        f"one; +waves, to write {name}_tb.vcd (with Verilator, this needs --trace).",
    ]
    reads = (
        (f"{name}_program.mem", "tb_program"),
        (f"{name}_lanes.mem", "tb_lanes"),
        (f"{name}_tb_out.mem", "tb_expected"),
    )
    lines = [
        TIMESCALE,
        "",
        f"module {name}_tb;",
        f"  localparam TB_WORDS = {words};  // of all programs",
        f"  localparam TB_WEIGHTS = {lesson.weights};  // beats that are weights",
        f"  localparam TB_BEATS = {lesson.beats_in};  // beats that are sent",
        f"  localparam TB_OUT = {lesson.beats_out};  // beats that are carried out",
        f"  localparam TB_MOST = {most};  // clocks after which all must be done",
        "",
        "  reg [31:0] tb_program [0:TB_WORDS-1];",
        f"  reg [63:0] tb_lanes [0:{config.columns - 1}];",
        "  // The digit above the data is 1 in the last beat of a packet.",
        f"  reg [{wide_in + 3}:0] tb_beats [0:TB_BEATS-1];",
        f"  reg [{wide_out + 3}:0] tb_expected [0:TB_OUT-1];",
        "",
        "  // Names that begin with tb_ are the bench's own, all others the core's ports.",
        "  reg clk = 0;",
        "  reg rst = 1;",
        *(
            f"  reg {span(port.bits)}{port.name} = 0;"
            for port in inputs_of(own)
            if port.name != "rst"
        ),
        *(f"  wire {span(port.bits)}{port.name};" for port in outputs_of(own)),
        "",
        *(f"  {line}" for line in instance(name, "dut", own)),
        "",
        "  always #5 clk = !clk;",
        "",
        "  // Whether the streams wait: the bits of an LFSR.",
        "  reg [31:0] tb_random = 32'd1;",
        "  always @(posedge clk)",
        "    tb_random <= tb_random[0] ? (tb_random >> 1) ^ 32'h80200003 : tb_random >> 1;",
        "",
        "  // The input stream: weights, then samples.",
        "  reg tb_go = 0;",
        "  integer tb_sent = 0;",
        "  always @(posedge clk)",
        f"    if (tb_go && (!{valid_in} || {ready_in})) begin",
        "      if (tb_sent < TB_BEATS && tb_random[3:2] != 2'd0) begin",
        f"        {valid_in} <= 1;",
        f"        {data_in} <= tb_beats[tb_sent][{bits_in - 1}:0];",
        f"        {last_in} <= tb_beats[tb_sent][{wide_in}];",
        "        tb_sent <= tb_sent + 1;",
        "      end else",
        f"        {valid_in} <= 0;",
        "    end",
        "",
        "  // The output stream: the weights that come are compared.",
        "  reg tb_failed = 0;",
        "  integer tb_got = 0;",
        "  always @(posedge clk) begin",
        f"    {ready_out} <= tb_random[5:4] != 2'd0;",
        f"    if ({valid_out} && {ready_out}) begin",
        "      if (tb_got >= TB_OUT) begin",
        '        if (!tb_failed) $display("more than %0d beats are carried out", TB_OUT);',
        "        tb_failed = 1;",
        "      end else if (!tb_failed &&",
        f"          ({data_out} !== tb_expected[tb_got][{bits_out - 1}:0] ||",
        f"          {last_out} !== tb_expected[tb_got][{wide_out}])) begin",
        '        $display("beat %0d of the weights: expected %h, last %b, got %h, last %b", '
        "tb_got,",
        f"          tb_expected[tb_got][{bits_out - 1}:0], tb_expected[tb_got][{wide_out}], "
        f"{data_out}, {last_out});",
        "        tb_failed = 1;",
        "      end",
        "      tb_got <= tb_got + 1;",
        "    end",
        "  end",
        "",
        "  integer tb_clocks = 0;",
        "  always @(posedge clk) tb_clocks <= tb_clocks + 1;",
        "",
        *accesses(edge),
        *common(table),
        *programs([part for part in parts if part.program in ("load", "train", "dump")]),
        "  reg [8*512-1:0] tb_folder;",
        "  integer tb_lane;",
        "",
        "  initial begin",
        '    if ($value$plusargs("data=%s", tb_folder)) begin',
        *(f'      $readmemh({{tb_folder, "/{file}"}}, {memory});' for file, memory in reads),
        f'      $readmemh({{tb_folder, "/{name}_weights.mem"}}, tb_beats, 0, TB_WEIGHTS - 1);',
        f'      $readmemh({{tb_folder, "/{name}_tb_in.mem"}}, tb_beats, TB_WEIGHTS, TB_BEATS - 1);',
        "    end else begin",
        *(f'      $readmemh("{file}", {memory});' for file, memory in reads),
        f'      $readmemh("{name}_weights.mem", tb_beats, 0, TB_WEIGHTS - 1);',
        f'      $readmemh("{name}_tb_in.mem", tb_beats, TB_WEIGHTS, TB_BEATS - 1);',
        "    end",
        '    if ($test$plusargs("waves")) begin',
        f'      $dumpfile("{name}_tb.vcd");',
        f"      $dumpvars(0, {name}_tb);",
        "    end",
        "    if ((^tb_expected[TB_OUT-1] === 1'bx) || (^tb_program[TB_WORDS-1] === 1'bx)) begin",
        f'      $display("no {name}_tb_out.mem: give its folder by +data=FOLDER");',
        "      tb_failed = 1;",
        "    end",
        "    repeat (4) @(posedge clk);",
        "    #1 rst = 0;",
        *(f"    {line}" for line in _script(config, lesson)),
        "    if (tb_got != TB_OUT && !tb_failed) begin",
        '      $display("%0d beats are carried out, %0d were expected", tb_got, TB_OUT);',
        "      tb_failed = 1;",
        "    end",
        "    if (!tb_failed) begin",
        f'      $display("PASS: {name}, {lesson.steps} steps, %0d beats of weights compared, '
        '%0d clocks",',
        "        TB_OUT, tb_clocks);",
        "      $finish;",
        "    end else begin",
        f'      $display("FAIL: {name}");',
        *FAILURE,
        "    end",
        "  end",
        "endmodule",
    ]
    where = lines.index("")  # the first empty line inside the module
    where = lines.index("", where + 1)
    lines[where:where] = ["", "  // Addresses of registers, which count words."] + constants(
        table, "\n".join(lines)
    )
    return comment(head) + "\n" + "\n".join(lines) + "\n"


def _script(config: CoreConfig, lesson: Lesson) -> Iterator[str]:
    """Yield the lesson, in statements."""
    table = Registers(config)
    for name in ("id", "design_low", "design_high"):
        yield f"expect_register(TB_{name.upper()}, 32'h{table.named(name).reset:08x});"
    yield "tb_go = 1;"
    yield "choose_load;"
    yield "run(1);"
    yield f"for (tb_lane = 0; tb_lane < {config.columns}; tb_lane = tb_lane + 1)"
    yield "  load_lane(tb_lane);"
    yield "choose_train;"
    rate = table.named("rate")["value"]
    for steps, value in lesson.rates:
        yield "write_register(TB_RATE_STEP, 0);"
        yield f"write_register(TB_RATE, {rate.within(value)});  // 2^{value}"
        yield f"run({steps});"
    yield "expect_register(TB_UNDEFINED, 0);"
    yield "choose_dump;"
    yield "run(1);"
    yield "expect_register(TB_FAULT, 0);"
    yield "repeat (16) @(posedge clk);"
