"""Files of a unit for a Verilog project: module, testbench, description, FuseSoC core.

The testbench is plain Verilog-2005 and reads the outputs of the twin from a file. So a user can
compare the module with the NumPy model in any simulator, without this package.
"""

import json
import re
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any

from golden.port import CLOCK, RESET, Port, inputs_of, outputs_of
from golden.settings import mapping
from golden.twin import Trace
from gradloom.descriptions import timing
from gradloom.rtl.names import checked_name
from gradloom.rtl.verilog import TIMESCALE, comment, made_by, verilog
from gradloom.sim import device_cells
from gradloom.sim.packing import to_numbers
from gradloom.sim.stimulus import TESTBENCH_CLOCKS, usual_inputs
from gradloom.units import Unit
from hdl.cells import Cells

#: What follows the name of the module in the names of the files.
ENDS = (".v", ".vh", ".json", ".core", "_tb.v", "_cells.v", "_tb_in.mem", "_tb_out.mem")


#: The end of a testbench that has failed.
FAILURE = (
    "      // Verilog-2005 has no exit status.",
    "`ifdef __ICARUS__",
    "      $finish_and_return(1);",
    "`else",
    "      $stop;",
    "`endif",
)


def package(
    unit: Unit,
    config: Any,
    cycles: int = TESTBENCH_CLOCKS,
    seed: int = 0,
    name: str | None = None,
    **made_of: Any,
) -> dict[str, str]:
    """Return the files of a unit.

    Parameters
    ----------
    unit, config
        The unit and its configuration.
    cycles, seed
        Number of clock edges of the testbench, and seed of its stimulus.
    name
        Name of the module. The names of its inner modules, testbench, files and core begin with it,
        so that packages of several names can be in one design. The default is `gradloom_` and the
        unit's name.
    made_of
        Further arguments of the component: `cells`, and `places` for an array.

    Returns
    -------
    dict of str to str
        Name of a file to its text.

    Raises
    ------
    ValueError
        The name is not allowed: see `gradloom.rtl.verilog.verilog`.
    """
    name = checked_name(unit.module if name is None else name)
    ports = config.ports
    inputs, outputs = inputs_of(ports), outputs_of(ports)
    stimulus = usual_inputs(unit, config, cycles, seed)
    expected = unit.twin(config).run(stimulus)
    module = verilog(unit.component(config, **made_of), name)
    models = device_cells.models(re.findall(r"^ +(\w+) (?:#\(|\w+ \()", module, re.M))
    return {
        f"{name}.v": module,
        f"{name}.vh": template(name, ports, timing(config)),
        f"{name}.json": _description(unit, name, config, ports),
        f"{name}.core": fusesoc_core(
            name,
            unit.summary,
            memories=(f"{name}_tb_in.mem", f"{name}_tb_out.mem"),
            cells=made_of.get("cells"),
            models=bool(models),
        ),
        f"{name}_tb.v": _testbench(name, ports, cycles, seed, bool(models)),
        **({f"{name}_cells.v": models} if models else {}),
        f"{name}_tb_in.mem": _memory(inputs, stimulus, cycles, "inputs"),
        f"{name}_tb_out.mem": _memory(outputs, expected, cycles, "expected outputs"),
    }


def _memory(ports: Sequence[Port], trace: Trace, cycles: int, title: str) -> str:
    """Return a file for $readmemh: one line per clock with all ports, the first one highest."""
    words = [0] * cycles
    for port in ports:
        codes = to_numbers(port, trace[port.name])
        words = [word << port.bits | code for word, code in zip(words, codes)]
    digits = -(-sum(port.bits for port in ports) // 4)
    names = ", ".join(port.name for port in ports)
    head = comment([f"{title}, one line per clock, from the highest bit: {names}"])
    return head + "".join(f"{word:0{digits}x}\n" for word in words)


def span(bits: int) -> str:
    """Return the range of a vector; empty for one bit."""
    return f"[{bits - 1}:0] " if bits > 1 else ""


def instance(module: str, name: str, ports: Iterable[Port], wires: str = "") -> list[str]:
    """Return the lines of an instance. Its wires have the names of the ports, after `wires`."""
    names = ["clk", "rst", *(port.name for port in ports)]
    room = max(map(len, names))
    lines = [f"  .{port:{room}} ({wires}{port})" for port in names]
    return [f"{module} {name} (", *(line + "," for line in lines[:-1]), lines[-1], ");"]


def template(name: str, ports: Sequence[Port], notes: Sequence[str] = ()) -> str:
    """Return Verilog with wires for all ports and an instance. The wires' names begin with that of
    the module, so that a module can include several such files.

    Parameters
    ----------
    name, ports
        Name of the module, and its ports.
    notes
        Paragraphs for the head.
    """
    rows = [f"wire {name}_clk, {name}_rst;"]
    declarations = [f"wire {span(port.bits)}{name}_{port.name};" for port in ports]
    room = max(map(len, declarations))
    for port, line in zip(ports, declarations):
        rows.append(f"{line:{room}}  // {port.direction}: {port.text}")
    head = [
        f"An instance of {name}, to copy into a design or to include.",
        "",
        made_by(),
        "",
        *notes,
    ]
    body = [*rows, "", *instance(name, f"{name}_0", ports, f"{name}_")]
    return comment(head) + "\n" + "\n".join(body) + "\n"


def described(ports: Iterable[Port]) -> list[dict[str, Any]]:
    """Return a module's ports as JSON has them, clock and reset first."""
    return [
        {
            "name": port.name,
            "direction": port.direction,
            "bits": port.bits,
            "lanes": port.lanes,
            "width": port.width,
            "signed": port.signed,
            "meaning": port.meaning,
        }
        for port in (CLOCK, RESET, *ports)
    ]


def _description(unit: Unit, name: str, config: Any, ports: Sequence[Port]) -> str:
    """Return the description of the unit in JSON, for programs."""
    description = {
        "unit": unit.name,
        "module": name,
        "summary": unit.summary,
        "generator": {"name": "gradloom", "version": version("gradloom")},
        "license": "Apache-2.0",
        "parameters": mapping(config),
        "latency": {
            "clocks": config.latency,
            "meaning": config.FIGURES["latency"],
        },
        "throughput": config.throughput,
        "ports": described(ports),
    }
    return json.dumps(description, indent=2, ensure_ascii=False) + "\n"


#: Name of the cells to the name of the device's family in FuseSoC's flow for Yosys.
_FAMILIES = {"ice40": "ice40", "gowin": "gowin", "xc7": "xilinx"}


def fusesoc_core(
    name: str,
    summary: str,
    *,
    memories: Sequence[str],
    cells: Cells | None = None,
    models: bool = False,
) -> str:
    """Return a core of FuseSoC (CAPI2).

    Parameters
    ----------
    name, summary
        Name of the module, and what it is.
    memories
        Names of the files that the testbench reads.
    cells
        Technology of the cells, which chooses the family for synthesis.
    models
        Whether there are models of the cells.
    """
    family = _FAMILIES.get(cells.name, "ecp5") if cells else "ecp5"
    read = "".join(
        f"      - {file}: {{file_type: user, copyto: {file}}}\n" for file in memories
    ).rstrip("\n")
    fileset = f"""  cells:
    files:
      - {name}_cells.v: {{file_type: verilogSource-2005}}
"""
    extra = ", cells" if models else ""
    return f"""CAPI=2:
# {made_by()}
name: "gradloom:generated:{name}:{version("gradloom")}"
description: "{summary}"

filesets:
  rtl:
    files:
      - {name}.v: {{file_type: verilogSource-2005}}
  testbench:
    files:
      - {name}_tb.v: {{file_type: verilogSource-2005}}
{read}
{fileset if models else ""}
targets:
  default:
    filesets: [rtl]
    toplevel: {name}

  sim:
    description: "The testbench in Icarus Verilog"
    filesets: [rtl{extra}, testbench]
    toplevel: {name}_tb
    flow: sim
    flow_options:
      tool: icarus
      iverilog_options: ["-g2005"]

  sim_verilator:
    description: "The testbench in Verilator (5.006 or newer)"
    filesets: [rtl{extra}, testbench]
    toplevel: {name}_tb
    flow: sim
    flow_options:
      tool: verilator
      mode: binary
      verilator_options: ["-Wno-fatal"]

  lint:
    description: "Verilator's lint, all warnings on"
    filesets: [rtl{extra}]
    toplevel: {name}
    flow: lint
    flow_options:
      tool: verilator
      verilator_options: ["-Wall"]

  synth:
    description: "Yosys, for {family}"
    filesets: [rtl]
    toplevel: {name}
    flow: generic
    flow_options:
      tool: yosys
      arch: {family}
      output_format: json
"""


def _checks(port: Port) -> list[str]:
    """Return Verilog that compares one output with its expected value."""
    got, want, lane, number = port.name, f"tb_want_{port.name}", "", ""
    if port.bits != port.width:
        part = f"[{port.width} * tb_lane +: {port.width}]"
        got, want, lane, number = got + part, want + part, ", lane %0d", "tb_lane, "
    shown = [f"$signed({value})" if port.signed else value for value in (want, got)]
    lines = [
        f"if (!tb_failed && {got} !== {want}) begin",
        "  tb_failed = 1;",
        f'  $display("clock %0d, port {port.name}{lane}: expected %0d, got %0d (hex %h, %h)",',
        f"    tb_clock, {number}{shown[0]}, {shown[1]},",
        f"    {want}, {got});",
        "end",
    ]
    if lane:
        loop = f"for (tb_lane = 0; tb_lane < {port.lanes}; tb_lane = tb_lane + 1)"
        lines = [loop, *(f"  {line}" for line in lines)]
    return lines


def commands(name: str, models: bool) -> list[str]:
    """Return how a testbench is run, as paragraphs; models of cells are a file more."""
    files = f"{name}.v {name}_cells.v {name}_tb.v" if models else f"{name}.v {name}_tb.v"
    return [
        "  In Icarus Verilog (11 or newer):",
        f"    $ iverilog -g2005 -o {name}_tb.vvp {files}",
        f"    $ vvp -N {name}_tb.vvp",
        "  In Verilator (5.006 or newer):",
        f"    $ verilator --binary --top-module {name}_tb {files}",
        f"    $ obj_dir/V{name}_tb",
        "  With FuseSoC:",
        f"    $ fusesoc --cores-root . run --target=sim gradloom:generated:{name}",
    ]


def _testbench(name: str, ports: Sequence[Port], cycles: int, seed: int, models: bool) -> str:
    inputs, outputs = inputs_of(ports), outputs_of(ports)
    bits_in, bits_out = (sum(port.bits for port in group) for group in (inputs, outputs))
    values = sum(port.lanes or 1 for port in outputs)
    head = [
        f"{name}_tb: compares {name} with its model at every clock.",
        "",
        made_by(),
        "",
        f"{cycles} clocks of random operands with gaps, stalls and resets (seed {seed}) are in "
        f"{name}_tb_in.mem. The expected values of all outputs at each of them, from an integer "
        f"model in NumPy, are in {name}_tb_out.mem. Values are sampled just before a rising edge "
        "of clk.",
        "",
        "It prints PASS and ends with exit status 0, or it prints the first difference and FAIL "
        "and ends with another exit status. In the folder with these files:",
        "",
        *commands(name, models),
        "",
        "Options of the simulation: +data=FOLDER, the folder of the two .mem files, by default "
        "this one; "
        f"+waves, to write {name}_tb.vcd (with Verilator, this needs --trace).",
    ]
    lines = [
        TIMESCALE,
        "",
        f"module {name}_tb;",
        f"  localparam TB_CLOCKS = {cycles};",
        f"  localparam TB_VALUES = {values};  // compared at each clock",
        "",
        f"  reg {span(bits_in)}tb_stimulus [0:TB_CLOCKS-1];",
        f"  reg {span(bits_out)}tb_expected [0:TB_CLOCKS-1];",
        "",
        "  // Names that begin with tb_ are the bench's own, all others the unit's ports.",
        "  reg clk = 0;",
        *(f"  reg {span(port.bits)}{port.name} = 0;" for port in inputs),
        *(f"  wire {span(port.bits)}{port.name};" for port in outputs),
        *(f"  reg {span(port.bits)}tb_want_{port.name};" for port in outputs),
        "",
        *(f"  {line}" for line in instance(name, "dut", ports)),
        "",
        "  integer tb_clock, tb_lane;",
        "  reg tb_failed;",
        "  reg [8*512-1:0] tb_folder;",
        "",
        "  initial begin",
        '    if ($value$plusargs("data=%s", tb_folder)) begin',
        f'      $readmemh({{tb_folder, "/{name}_tb_in.mem"}}, tb_stimulus);',
        f'      $readmemh({{tb_folder, "/{name}_tb_out.mem"}}, tb_expected);',
        "    end else begin",
        f'      $readmemh("{name}_tb_in.mem", tb_stimulus);',
        f'      $readmemh("{name}_tb_out.mem", tb_expected);',
        "    end",
        '    if ($test$plusargs("waves")) begin',
        f'      $dumpfile("{name}_tb.vcd");',
        f"      $dumpvars(0, {name}_tb);",
        "    end",
        "    tb_failed = (^tb_expected[TB_CLOCKS-1] === 1'bx);",
        f'    if (tb_failed) $display("no {name}_tb_out.mem: give its folder by +data=FOLDER");',
        "    tb_lane = 0;",
        "    for (tb_clock = 0; tb_clock < TB_CLOCKS && !tb_failed; tb_clock = tb_clock + 1) begin",
        *_concatenation(inputs, "", "tb_stimulus"),
        *_concatenation(outputs, "tb_want_", "tb_expected"),
        "      #5;",
        *(f"      {line}" for port in outputs for line in _checks(port)),
        "      clk = 1;",
        "      #5;",
        # Before 5.010, Verilator's dumps lack what comes after a delay that ends a block.
        "      clk = 0;",
        "    end",
        "    if (!tb_failed) begin",
        f'      $display("PASS: {name}, %0d clocks, %0d values compared",',
        "               TB_CLOCKS, TB_CLOCKS * TB_VALUES);",
        "      $finish;",
        "    end else begin",
        f'      $display("FAIL: {name}");',
        *FAILURE,
        "    end",
        "  end",
        "endmodule",
    ]
    return comment(head) + "\n" + "\n".join(lines) + "\n"


def _concatenation(ports: Sequence[Port], prefix: str, memory: str) -> list[str]:
    """Return the lines that assign a word of `memory` to all ports together."""
    names = [prefix + port.name for port in ports]
    text = names[0] if len(names) == 1 else "{" + ", ".join(names) + "}"
    line = f"      {text} = {memory}[tb_clock];"
    if len(line) <= 100:
        return [line]
    return [
        "      {",
        *(f"        {name}{',' * (name != names[-1])}" for name in names),
        f"      }} = {memory}[tb_clock];",
    ]
