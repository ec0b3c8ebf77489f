"""Nodes made of a device's own cells: the same twin, clock by clock; the cells' models; places."""

import gc
import re
import subprocess
from dataclasses import replace

import pytest
from generated import tool
from hypothesis import given, settings
from hypothesis import strategies as st
from primitives import OWN, Lowered, needs_yosys, yosys
from support import SEEDS, agrees
from test_array import configurations

import golden
import hdl
from boards.targets import TARGETS
from golden.fixed import Conversion, Fixed
from golden.macc import MaccConfig
from gradloom.compare import compare
from gradloom.ports import flatten
from gradloom.stimulus import random_inputs
from gradloom.units import UNITS
from gradloom.verilog import generate
from hdl.cells import CELLS, Ecp5, Generic, ecp5

ECP5 = CELLS["ecp5"]


class Apart(Generic):
    """Generic cells with a register for every use of a control bit, which any simulator knows."""

    name = "apart"
    apart = True


def fixed(width):
    return Fixed(1, width - 1)


def small(rows, columns, conversions=(), **node):
    macc = MaccConfig(**{"a": fixed(8), "b": fixed(8), "depth": 100} | node)
    return golden.ArrayConfig(rows=rows, columns=columns, macc=macc, conversions=conversions)


# Registers for every use.


@settings(max_examples=30)
@given(configurations(), SEEDS, st.sampled_from([0, 0.01, 0.05]))
def test_registers_for_every_use_change_nothing(config, seed, resets):
    agrees(hdl.Array(config, cells=Apart()), golden.Array(config), 200, seed, resets=resets)


@pytest.mark.parametrize("ternary", [False, True])
@pytest.mark.parametrize("segments", [1, 2, 3, 4])
def test_a_node_with_registers_for_every_use_has_the_same_trace(segments, ternary):
    config = MaccConfig(b=fixed(2 if ternary else 16), segments=segments, ternary=ternary)
    agrees(hdl.Macc(config, cells=Apart()), golden.Macc(config), 300, segments)


# The device's cells, by their models.


def differs(component, twin, folder, clocks=3000, seed=1, resets=0.0, **given):
    """The report of the first difference, or None."""
    inputs = random_inputs(flatten(component), clocks, seed)
    inputs |= given
    if resets:
        import numpy as np

        inputs["rst"] = (np.random.default_rng(seed).random(clocks) < resets).astype(int)
    comparison = compare(component, twin, inputs, simulator=Lowered(component, folder))
    return None if comparison else comparison.report()


NODES = {
    "default": MaccConfig(),
    "2 x 18 bits": MaccConfig(a=fixed(2), b=fixed(18), depth=1),
    "18 x 18 bits, three segments": MaccConfig(a=fixed(18), b=fixed(18), depth=1000, segments=3),
    "odd segments": MaccConfig(a=fixed(8), b=fixed(8), depth=10, segments=4),
    "one segment": MaccConfig(a=fixed(5), b=fixed(7), depth=3, segments=1),
    "ternary": MaccConfig(a=fixed(8), b=fixed(2), depth=8192, segments=1, ternary=True),
    "ternary, three segments": MaccConfig(
        a=fixed(24), b=fixed(2), depth=9, segments=3, ternary=True
    ),
    "ternary, four segments": MaccConfig(
        a=fixed(3), b=fixed(2), depth=9999, segments=4, ternary=True
    ),
}
ARRAYS = {
    "1 x 1": small(1, 1),
    "2 x 3": small(2, 3, segments=3),
    "3 x 2, rounded": small(
        3,
        2,
        (
            Conversion(fraction=14, target=fixed(8)),
            Conversion(fraction=12, target=fixed(6), rounding="nearest-even"),
        ),
        a=fixed(8),
        b=fixed(9),
    ),
    "5 x 4": small(5, 4, a=fixed(16), b=fixed(16)),
    "1 x 2, ternary": small(1, 2, b=fixed(2), ternary=True, segments=1),
    "3 x 4, ternary": small(3, 4, b=fixed(2), ternary=True),
    "3 x 3, mixed": replace(small(3, 3), multipliers=(2, 1)),
    "2 x 4, mixed": replace(small(2, 4, segments=3), multipliers=(1, 3)),
}


def cases(configs, quick):
    return [
        pytest.param(config, id=name, marks=[] if name in quick else [pytest.mark.long])
        for name, config in configs.items()
    ]


@needs_yosys
@pytest.mark.parametrize("config", cases(NODES, ["default", "odd segments", "ternary"]))
def test_a_node_of_ecp5_cells_has_the_trace_of_the_twin(config, tmp_path):
    assert differs(hdl.Macc(config, cells=ECP5), golden.Macc(config), tmp_path) is None


@needs_yosys
@pytest.mark.parametrize("config", cases(ARRAYS, ["2 x 3", "1 x 2, ternary", "3 x 3, mixed"]))
def test_an_array_of_ecp5_cells_has_the_trace_of_the_twin(config, tmp_path):
    """Gaps, stalls, tiles shorter than R, resets: all that random inputs have."""
    import numpy as np

    rng = np.random.default_rng(7)
    component, twin = hdl.Array(config, cells=ECP5), golden.Array(config)
    simulator = Lowered(component, tmp_path)
    # Every operand a tile's last one often, seldom, and with operands and results free to go.
    for lasts, gaps, resets in ((0.3, 0.3, 0.01), (0.02, 0.05, 0.002), (1.0, 0.0, 0.0)):
        inputs = random_inputs(flatten(component), 4000, 3)
        inputs["i_last"] = (rng.random(4000) < lasts).astype(int)
        inputs["i_valid"] = (rng.random(4000) >= gaps).astype(int)
        inputs["o_ready"] = (rng.random(4000) >= gaps).astype(int)
        inputs["rst"] = (rng.random(4000) < resets).astype(int)
        comparison = compare(component, twin, inputs, simulator=simulator)
        assert comparison, comparison.report()


@needs_yosys
def test_a_wrong_table_in_the_carry_cells_is_seen(tmp_path, monkeypatch):
    config = NODES["one segment"]
    # A ^ B whatever `first` is: sums never begin.
    monkeypatch.setattr(ecp5, "LOAD_OR_ADD", 0x66AA)
    assert differs(hdl.Macc(config, cells=ECP5), golden.Macc(config), tmp_path)


@needs_yosys
@pytest.mark.parametrize("table", [0x6666, 0xA6AA, 0x6696 ^ 0x0100], ids=hex)
def test_a_wrong_table_in_a_ternary_node_is_seen(table, tmp_path, monkeypatch):
    monkeypatch.setattr(ecp5, "ADD_OR_SUBTRACT", table)
    config = NODES["ternary"]
    assert differs(hdl.Macc(config, cells=ECP5), golden.Macc(config), tmp_path)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_operands_that_the_block_does_not_take_are_refused():
    for name in "ab":
        config = MaccConfig(**{name: fixed(19)}, depth=2)
        with pytest.raises(ValueError, match=rf"{name} = <1,18>: .* 1 to 18 bits"):
            hdl.Macc(config, cells=ECP5)
        with pytest.raises(ValueError, match=rf"{name} = <1,18>"):
            hdl.Array(golden.ArrayConfig(macc=config, conversions=()), cells=ECP5)
    gc.collect()  # here, where what was never used may go without a warning


# The models.


@needs_yosys
@pytest.mark.parametrize("table", [ecp5.LOAD_OR_ADD, ecp5.ADD_OR_SUBTRACT], ids=hex)
def test_the_carry_cells_model_is_the_one_that_yosys_ships(table, tmp_path):
    """For the parameters that are used, proved for all inputs."""
    own = re.search(r"^module CCU2C.*?^endmodule", OWN, re.M | re.S)[0]
    ports = [f"{name}{half}" for half in range(2) for name in "ABCD"] + ["CIN"]
    parameters = ", ".join(
        f'.INIT{half}(16\'h{table:04x}), .INJECT1_{half}("NO")' for half in range(2)
    )
    connected = ", ".join(f".{name}({name})" for name in [*ports, "S0", "S1", "COUT"])
    wrappers = [
        f"module {name}_here (input {', '.join(ports)}, output S0, S1, COUT); "
        f"{name} #({parameters}) cell ({connected}); endmodule"
        for name in ("own", "CCU2C")
    ]
    (tmp_path / "cells.v").write_text("\n".join([own.replace("CCU2C", "own"), *wrappers]))
    yosys(
        "read_verilog -lib +/ecp5/cells_sim.v; setattr -mod -unset blackbox -unset whitebox "
        "-unset lib_whitebox =CCU2C =LUT4 =LUT2; read_verilog cells.v; "
        "hierarchy; proc; flatten; miter -equiv -flatten own_here CCU2C_here miter; "
        "sat -verify -prove trigger 0 miter",
        tmp_path,
    )


@pytest.mark.parametrize("signed", [(1, 1), (0, 1), (1, 0), (0, 0)], ids=str)
def test_each_register_of_the_multiplier_is_a_clock(signed, tmp_path):
    """As Lattice's description of the block has it: for operands, in the middle, for the product.

    A product comes as many clocks after its operands as registers stand on their way; the register
    of an operand alone keeps that operand back.
    """
    tool("iverilog")
    names = ["INPUTA", "INPUTB", "PIPELINE", "OUTPUT"]
    instances, checks = [], []
    for number in range(16):
        used = [name for bit, name in enumerate(names) if number >> bit & 1]
        parameters = ", ".join(f'.REG_{name}_CLK("CLK0")' for name in used)
        bits = ", ".join(
            [f".{port}{bit}({port.lower()}[{bit}])" for port in "AB" for bit in range(18)]
            + [f".P{bit}(p{number}[{bit}])" for bit in range(36)]
        )
        instances.append(
            f"wire [35:0] p{number}; MULT18X18D #({parameters}) m{number} (.CLK0(clk), .CE0(ce), "
            f".RST0(1'b0), .SIGNEDA(1'b{signed[0]}), .SIGNEDB(1'b{signed[1]}), {bits});"
        )
        behind = ("PIPELINE" in used) + ("OUTPUT" in used)
        a, b = (behind + (name in used) for name in ("INPUTA", "INPUTB"))
        extended = [
            f"$signed({{1'b{sign} & {name}_was[{late}][17], {name}_was[{late}]}})"
            for sign, name, late in ((signed[0], "a", a), (signed[1], "b", b))
        ]
        checks.append(
            f"want = {extended[0]} * {extended[1]}; "
            f'if (p{number} !== want[35:0]) $display("wrong: {" ".join(used)} at %0d", clock);'
        )
    (tmp_path / "bench.v").write_text(
        "\n".join(
            [
                "module bench; reg clk = 0; reg ce = 1; reg [17:0] a, b; integer clock, k;",
                "reg [17:0] a_was [0:3]; reg [17:0] b_was [0:3]; reg signed [37:0] want;",
                *instances,
                "initial begin",
                "for (clock = 0; clock < 200; clock = clock + 1) begin",
                "a = $random; b = $random;",
                "a_was[0] = a; b_was[0] = b; #5;",
                "if (clock > 3) begin",
                *checks,
                "end",
                "clk = 1; #5; clk = 0;",
                "for (k = 3; k > 0; k = k - 1) begin",
                "a_was[k] = a_was[k-1]; b_was[k] = b_was[k-1]; end",
                'end $display("done"); $finish; end endmodule',
            ]
        )
    )
    (tmp_path / "cells.v").write_text(OWN)
    command = ["iverilog", "-g2005", "-o", "bench.vvp", "bench.v", "cells.v"]
    subprocess.run(command, cwd=tmp_path, check=True)
    done = subprocess.run(
        ["vvp", "-N", "bench.vvp"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == ["done"]


# Verilog.


def modules(text):
    return {m[1]: m[0] for m in re.finditer(r"^module (\w+) .*?^endmodule$", text, re.M | re.S)}


def test_an_arrays_nodes_are_one_module_with_a_place_each():
    config = small(2, 3)
    places = TARGETS["ecp5-85f"].places.array(2, 3)
    text = generate(UNITS["array"], config, cells=ECP5, places=places)
    found = re.findall(r'array_macc #\(\.PLACE\("(\S+)"\)\) node_(\d)_(\d) \(', text)
    assert {(int(r), int(c)): place for place, r, c in found} == {
        (r, c): places[r][c] for r in range(2) for c in range(3)
    }
    node = modules(text)["array_macc"]
    assert f'parameter PLACE = "{places[0][0]}"' in node
    assert re.search(r"\(\* BEL = PLACE \*\)\n  MULT18X18D #\(", node)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_a_ternary_array_has_no_multipliers_to_place():
    config = small(2, 3, b=fixed(2), ternary=True)
    text = generate(UNITS["array"], config, cells=ECP5)
    assert "MULT18X18D" not in text and "CCU2C" in text
    with pytest.raises(ValueError, match="places: a ternary array has no multipliers"):
        hdl.Array(config, cells=ECP5, places=[["x"] * 3] * 2)
    gc.collect()


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_the_block_of_a_mixed_array_has_places():
    config = replace(small(3, 4), multipliers=(2, 3))
    places = TARGETS["ecp5-85f"].places.array(2, 3)
    text = generate(UNITS["array"], config, cells=ECP5, places=places)
    found = re.findall(r'array_macc #\(\.PLACE\("(\S+)"\)\) node_(\d)_(\d) \(', text)
    assert {(int(r), int(c)): place for place, r, c in found} == {
        (1 + r, c): places[r][c] for r in range(2) for c in range(3)
    }
    with pytest.raises(ValueError, match="places: 2 rows of 3 are wanted"):
        hdl.Array(config, cells=ECP5, places=[["x"] * 4] * 3)
    gc.collect()


def test_without_places_nothing_is_said_of_them():
    text = generate(UNITS["array"], small(2, 3), cells=ECP5)
    assert "PLACE" not in text and "BEL" not in text
    assert text.count("MULT18X18D") == 1


def test_a_node_alone_has_its_place_in_its_text():
    text = generate(UNITS["macc"], MaccConfig(), cells=ECP5, place="X4/Y10/MULT18_0")
    assert '(* BEL = "X4/Y10/MULT18_0" *)' in text


def test_registers_that_are_to_stay_apart_say_so():
    node = modules(generate(UNITS["macc"], MaccConfig(), cells=ECP5))["macc"]
    (block,) = re.findall(r"\(\* keep \*\) always @\(posedge clk\) begin\n(.*?)\n  end", node, re.S)
    names = set(re.findall(r"(\w+) <= ", block))
    assert names == {
        *("first_out", "load_out", "hold_out"),
        *("first_0", "load_0", "moves_0", "first_1", "load_1", "moves_1"),
    }
    assert "(*" not in generate(UNITS["macc"], MaccConfig())


@needs_yosys
def test_yosys_merges_none_of_them(tmp_path):
    config = small(3, 3)
    (tmp_path / "array.v").write_text(generate(UNITS["array"], config, cells=ECP5))
    yosys(
        "read_verilog array.v; synth_ecp5 -top array; write_verilog -attr2comment netlist.v",
        tmp_path,
    )
    netlist = (tmp_path / "netlist.v").read_text()
    for register in ("first_out", "load_out", "first_0", "load_0", "moves_0", "moves_1"):
        nodes = set(re.findall(rf"\\node_(\d_\d)\.{register}_TRELLIS_FF_Q ", netlist))
        # What the last column's nodes hand on leads nowhere; the last row never holds.
        columns = range(2 if register.endswith("_out") else 3)
        rows = range(2 if register.startswith("moves") else 3)
        assert nodes >= {f"{row}_{column}" for row in rows for column in columns}, register
    assert netlist.count("MULT18X18D #(") == 9


# Places.


@pytest.mark.parametrize("name", ["ecp5-25f", "ecp5-45f", "ecp5-85f"])
def test_every_multiplier_of_the_device_has_a_place_of_its_own(name):
    target = TARGETS[name]
    places = [place for line in target.places.lines for place in line]
    assert len(set(places)) == len(places) == target.available["DSP"]


@pytest.mark.parametrize("rows", range(1, 14))
@pytest.mark.parametrize("columns", [1, 2, 3, 5, 8, 12, 13, 52, 53])
def test_neighbours_of_an_array_are_neighbours_on_the_device(rows, columns):
    places = TARGETS["ecp5-85f"].places
    array = places.array(rows, columns)
    length = len(places.lines[0])
    bands = -(-rows // (length // columns)) if columns <= length else 0
    if not 0 < bands <= 3:
        assert array is None
        return
    where = {
        place: (number, step)
        for number, line in enumerate(places.lines)
        for step, place in enumerate(line)
    }
    spots = [[where[place] for place in row] for row in array]
    assert len({spot for row in spots for spot in row}) == rows * columns
    high = -(-rows // bands)
    for row in range(rows):
        for column in range(columns):
            line, step = spots[row][column]
            if column:
                assert spots[row][column - 1] == (line, step - high)
            if row % high:
                assert spots[row - 1][column][0] == line
                assert abs(spots[row - 1][column][1] - step) == 1
            elif row:
                assert spots[row - 1][column] == (line - 1, step)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_places_of_another_size_are_refused():
    with pytest.raises(ValueError, match="3 rows of 2"):
        hdl.Array(small(3, 2), cells=Ecp5(), places=[["x"] * 3] * 2)
    gc.collect()
