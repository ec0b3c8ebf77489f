"""The Verilog that a person reads is the circuit that Amaranth made: a proof for every unit."""

import ast
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
from amaranth.hdl import Cat, Module, Mux, ResetInserter, ResetSignal, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from equivalence import NotEquivalentError, judged, prove, tidied, written
from generated import CASES, configured
from hypothesis import given, settings
from hypothesis import strategies as st
from mutated import mutated
from primitives import needs_yosys
from support import conversions, formats, generators
from test_macc import configurations as nodes
from test_macc import ternaries
from wage_units import error_quantizers, weight_updates

import golden
import gradloom.rtl.readable
from golden.bus.space import Space
from golden.fixed import Conversion, Fixed, Rounding
from gradloom.units import UNITS
from hdl.bus.axi_lite import AxiLite
from hdl.bus.wishbone import Wishbone
from hdl.cells import CELLS
from hdl.delay import registered
from hdl.reset import OwnReset

pytestmark = needs_yosys
LONG = pytest.mark.long

SMALL = golden.MaccConfig(a=Fixed(1, 3), b=Fixed(1, 2), depth=7, segments=1)
STOCHASTIC = Conversion(fraction=5, target=Fixed(1, 3))
LANES = golden.RounderConfig(width=8, lanes=2, conversions=(STOCHASTIC,))
ARRAY = golden.ArrayConfig(rows=1, columns=2, macc=SMALL, conversions=(STOCHASTIC,))

#: Name of a unit and its configuration, some seconds each.
QUICK = [
    ("lfsr", golden.LfsrConfig(lanes=2)),
    ("bank", golden.BankConfig(groups=(1, 2))),
    ("rounder", LANES),
    ("macc", SMALL),
    ("wage-weight", golden.WeightQuantizerConfig()),
    ("wage-activation", golden.ActivationQuantizerConfig(width=8, bits=3, most_shift=3)),
    ("wage-shift", golden.ShiftExponentConfig(width=5)),
    ("wage-error", golden.ErrorQuantizerConfig(width=6, bits=3)),
    ("wage-update", golden.WeightUpdateConfig(width=6, bits=3)),
    ("pool", golden.PoolConfig(width=4, most_places=3, lanes=2)),
    ("unpool", golden.UnpoolConfig(width=4, most_places=3, most_windows=3, saturate=True, lanes=2)),
    ("sign", golden.SignQuantizerConfig(width=6, fraction=3)),
    ("threshold", golden.ThresholdQuantizerConfig(width=4, levels=3, channels=3, lanes=2)),
    ("mask", golden.MaskConfig(width=5, lanes=2)),
    ("output-error", golden.OutputErrorConfig(width=5, classes=5, lanes=2, most_one=3)),
    (
        "momentum-update",
        golden.MomentumUpdateConfig(
            width=4,
            fraction=3,
            word=Fixed(1, 2),
            rate_bits=2,
            rate_fraction=2,
            momentum_bits=2,
            momentum_fraction=2,
            decay_bits=0,
        ),
    ),
    (
        "grid-update",
        golden.GridUpdateConfig(width=4, rate_bits=2, most_shift=3, fine=Fixed(2, 3), grid=1),
    ),
    (
        "grid-update",
        golden.GridUpdateConfig(
            rule="fine", width=4, rate_bits=2, most_shift=3, fine=Fixed(2, 3), grid=0
        ),
    ),
    (
        "softmax",
        golden.SoftmaxConfig(classes=2, outputs=golden.Fixed(2, 2), error=golden.Fixed(1, 3)),
    ),
    ("array", ARRAY),
    ("banks", golden.BanksConfig(banks=2, words=5, width=3)),
    ("row-store", golden.RowStoreConfig(rows=5, lanes=2, width=3)),
    (
        "product-nest",
        golden.ProductNestConfig(rows=3, banks=3, address_bits=3, row_bits=3, clips=False),
    ),
    ("pass-nest", golden.PassNestConfig(banks=3, address_bits=3, s_bits=3, k_bits=3)),
    ("move-nest", golden.MoveNestConfig(banks=3, address_bits=3)),
    ("operand-stream", golden.OperandStreamConfig(banks=5, lanes=3, address_bits=3, width=2)),
]


@pytest.mark.parametrize(("name", "config"), QUICK, ids=[name for name, _ in QUICK])
def test_tidied_verilog_is_the_circuit_that_came(name, config, tmp_path):
    pairs = prove(tidied(UNITS[name], config), tmp_path)
    assert pairs > len(config.ports)


class Counter(wiring.Component):
    """Counts up to a limit. `limit` tells it from others of its class; it has no configuration."""

    by: In(3)
    limits: In(data.ArrayLayout(data.ArrayLayout(4, 2), 2))
    count: Out(70)

    def __init__(self, limit):
        self.limit = limit
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        with m.If(self.count < self.limits[0][1] + self.limit):
            m.d.sync += self.count.eq(self.count + self.by)
        return m


class Mixed(wiring.Component):
    """What a design has that no unit has: a reset around a part, in addition to the domain's or in
    its place, wide wires between parts, arrays of arrays, a FIFO of pieces, a memory without
    checks, names that SystemVerilog reserves.
    """

    i: In(8)
    clear: In(1)
    write: In(1)
    o: Out(data.ArrayLayout(40, 2))
    word: Out(16)

    def elaborate(self, platform):
        m = Module()
        soft = Signal()
        m.d.sync += soft.eq(self.clear)
        chosen = Signal(8)
        with m.If(self.i > 9):
            m.d.comb += chosen.eq(self.i - 9)
        counters = [Counter(limit) for limit in (3, 9)]
        own = registered(m, self.clear | ResetSignal(), "own", keep=True)
        for number, reset in enumerate((ResetInserter(soft), OwnReset(own))):
            counter = counters[number]
            m.submodules[f"counter_{number}"] = reset(counter)
            m.d.comb += counter.by.eq(self.i)
            m.d.comb += [Value.cast(counter.limits).eq(self.i * 3)]
        m.submodules.queue = queue = SyncFIFO(width=9, depth=3)
        m.submodules.words = words = Memory(shape=9, depth=8, init=[], attrs={"no_rw_check": 1})
        r, w = words.read_port(), words.write_port()
        m.d.comb += [
            queue.w_data.eq(Cat(self.write, self.i[:4], soft, self.i[4:7])),
            queue.w_en.eq(self.write),
            queue.r_en.eq(~self.write),
            Value.cast(self.o).eq(Cat(counters[0].count[60:70], counters[1].count)),
            w.addr.eq(self.i[:3]),
            r.addr.eq(self.i[3:6]),
            w.data.eq(Cat(self.i[:3], self.i[3:8], queue.r_rdy)),
            w.en.eq(self.write),
            self.word.eq(Mux(queue.r_rdy, queue.r_data, 0) + r.data + chosen),
        ]
        return m


def test_what_no_unit_has_is_proved(tmp_path):
    texts = written(Mixed(), "mixed")
    assert prove(texts, tmp_path) > 20
    assert '(* no_rw_check, ramstyle = "no_rw_check" *)\n  reg [8:0] words' in texts.verilog
    assert not re.search(r"\bsoft\b", texts.verilog) and "soft__2" in texts.verilog
    modules = re.findall(r"^module (\w+)", texts.verilog, re.M)
    assert sorted(modules) == ["mixed", "mixed__counter", "mixed__counter_2", "mixed__queue"]


SPACE = Space(bits=4, addresses=(0, 1, 2, 5), latency=2)


BRIDGES = {
    "axi_lite": lambda: AxiLite(SPACE),
    "wishbone": lambda: Wishbone(SPACE),
    "pipelined_wishbone": lambda: Wishbone(SPACE, pipelined=True),
}


@pytest.mark.parametrize("name", BRIDGES)
def test_bridges_of_buses_are_proved(name, tmp_path):
    assert prove(written(BRIDGES[name](), name), tmp_path) > len(SPACE.ports)


def test_every_unit_is_proved():
    assert {name for name, _ in QUICK} == set(UNITS)


@LONG
@pytest.mark.parametrize(("name", "arguments"), [case for case in CASES if case != ("array", "")])
def test_the_command_lines_are_proved(name, arguments, tmp_path):
    """All but the largest array, which has no module that the others lack."""
    assert prove(tidied(*configured(name, arguments)), tmp_path)


@LONG
@pytest.mark.parametrize("family", [name for name in CELLS if name != "generic"])
def test_what_is_made_of_cells_is_proved(family, tmp_path):
    """Cells are black boxes: the same kind, name and parameters, and the same on every port."""
    segments = 1 if family == "xc7" else 2
    config = replace(ARRAY, macc=replace(SMALL, segments=segments))
    assert prove(tidied(UNITS["array"], config, cells=CELLS[family]), tmp_path)


@st.composite
def any_unit(draw):
    """A unit in a random configuration; arrays and words are small, formats are any."""
    name = draw(st.sampled_from(sorted(UNITS)))
    lanes, width = draw(st.integers(1, 3)), draw(st.integers(2, 24))
    match name:
        case "lfsr":
            config = golden.LfsrConfig(lanes=lanes, generator=draw(generators(lanes)))
        case "bank":
            groups = (lanes, 1)
            config = golden.BankConfig(groups=groups, generator=draw(generators(sum(groups))))
        case "rounder":
            config = golden.RounderConfig(
                width=width,
                lanes=lanes,
                conversions=draw(conversions(width)),
                generator=draw(generators(lanes)),
            )
        case "macc":
            config = draw(nodes() | ternaries())
        case "wage-weight":
            bits = draw(st.integers(2, 6))
            config = golden.WeightQuantizerConfig(
                stored=draw(st.integers(max(bits, 3), 12)), bits=bits, lanes=lanes
            )
        case "wage-activation":
            config = golden.ActivationQuantizerConfig(
                width=width, bits=draw(st.integers(2, 8)), most_shift=lanes, lanes=lanes
            )
        case "wage-shift":
            config = golden.ShiftExponentConfig(
                width=min(width, 16), ceil=draw(st.booleans()), lanes=lanes
            )
        case "wage-error":
            config = replace(draw(error_quantizers()), width=width, bits=4, lanes=1)
        case "wage-update":
            config = replace(draw(weight_updates()), width=width, bits=4, lanes=1)
        case "pool":
            config = golden.PoolConfig(
                width=width, most_places=draw(st.integers(2, 9)), lanes=lanes
            )
        case "unpool":
            config = golden.UnpoolConfig(
                width=width,
                most_places=draw(st.integers(2, 9)),
                most_windows=draw(st.integers(1, 5)),
                saturate=draw(st.booleans()),
                lanes=lanes,
            )
        case "sign":
            config = golden.SignQuantizerConfig(
                width=width,
                fraction=draw(st.integers(0, width - 1)),
                bits=draw(st.integers(1, 2)),
                lanes=lanes,
            )
        case "threshold":
            config = golden.ThresholdQuantizerConfig(
                width=min(width, 8),
                levels=draw(st.integers(2, 5)),
                channels=draw(st.integers(1, 6)),
                lanes=lanes,
                read_clocks=draw(st.integers(1, 2)),
            )
        case "mask":
            config = golden.MaskConfig(width=width, lanes=lanes)
        case "output-error":
            config = golden.OutputErrorConfig(
                width=width,
                classes=draw(st.integers(2, 9)),
                lanes=lanes,
                most_one=draw(st.integers(1, 6)),
            )
        case "momentum-update":
            config = golden.MomentumUpdateConfig(
                width=min(width, 6),
                fraction=lanes,
                word=Fixed(2, 3),
                rate_bits=lanes,
                rate_fraction=3,
                power=draw(st.booleans()),
                momentum_bits=draw(st.integers(0, 2)),
                momentum_fraction=2,
                decay_bits=draw(st.integers(0, 2)),
                decay_fraction=3,
            )
        case "grid-update":
            rule = draw(st.sampled_from(golden.quantize.GridRule))
            binary = rule != "fine" and draw(st.booleans())
            config = golden.GridUpdateConfig(
                rule=rule,
                width=min(width, 6),
                rate_bits=lanes - 1,
                most_shift=lanes,
                fine=Fixed(2, 3),
                grid=0 if binary or rule == "fine" else lanes,
                binary=binary,
            )
        case "softmax":
            config = golden.SoftmaxConfig(
                classes=lanes + 1,
                outputs=golden.Fixed(2, min(width, 9)),
                generators=draw(st.integers(1, 3)),
                generator=draw(generators(3)),
            )
        case "array":
            config = draw(small_arrays())
        case "banks":
            config = golden.BanksConfig(banks=lanes, words=draw(st.integers(2, 9)), width=width)
        case "row-store":
            config = golden.RowStoreConfig(rows=draw(st.integers(2, 9)), lanes=lanes, width=width)
        case "product-nest":
            config = golden.ProductNestConfig(
                rows=lanes, banks=width, address_bits=3, row_bits=4, clips=draw(st.booleans())
            )
        case "pass-nest":
            config = golden.PassNestConfig(
                banks=width,
                address_bits=draw(st.integers(1, 5)),
                s_bits=draw(st.integers(1, 5)),
                k_bits=draw(st.integers(1, 5)),
            )
        case "move-nest":
            config = golden.MoveNestConfig(banks=width, address_bits=draw(st.integers(1, 5)))
        case "operand-stream":
            config = golden.OperandStreamConfig(
                banks=lanes + draw(st.integers(0, 4)),
                lanes=lanes,
                address_bits=draw(st.integers(1, 5)),
                width=draw(st.integers(1, 5)),
                stores=draw(st.integers(1, 4)),
            )
    return name, config


@st.composite
def small_arrays(draw):
    rows, columns = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    macc = golden.MaccConfig(
        a=draw(formats(6)), b=draw(formats(6)), depth=7, segments=draw(st.integers(1, 3))
    )
    made = draw(st.just(()) | conversions(macc.width, most=2))
    return golden.ArrayConfig(
        rows=rows,
        columns=columns,
        macc=macc,
        conversions=made,
        generator=draw(generators(2)),
        random_port=draw(st.booleans()) and any(c.rounding is Rounding.STOCHASTIC for c in made),
        multipliers=draw(st.none() | st.just((rows, 1))),
        ternary_depth=7,
    )


@LONG
@settings(max_examples=5)
@given(made=any_unit())
def test_random_configurations_are_proved(made, tmp_path_factory):
    name, config = made
    assert prove(tidied(UNITS[name], config), tmp_path_factory.mktemp("proof"))


# A proof that could not fail would be none.


#: A fault in a module of `gradloom/rtl/readable/`, and a unit whose Verilog it changes, or `Mixed`.
FAULTS = {
    "a reset takes the other value": (
        "if (rst) {register} <= {reset[3]};",
        "if (rst) {register} <= {reset[2]};",
        "wage-weight",
        golden.WeightQuantizerConfig(),
    ),
    "a choice is turned round": (
        "{condition} ? {value} : {otherwise};",
        "{condition} ? {otherwise} : {value};",
        "mixed",
        None,
    ),
    "pieces in the other order": (
        "for start in sorted(parts, reverse=True):",
        "for start in sorted(parts):",
        "rounder",
        LANES,
    ),
    "one repetition too few": (
        'times = 1 + match[2].count(", ")',
        'times = match[2].count(", ")',
        "wage-update",
        golden.WeightUpdateConfig(width=6, bits=3),
    ),
    "one seed for all": (
        'values = [f".SEED({value})"] if value else []',
        'values = [f".SEED({constants[0]})"] if value else []',
        "array",
        ARRAY,
    ),
    "first values of ports are lost": (
        'module.initial[name] = first or ""',
        'module.initial[name] = ""',
        "macc",
        SMALL,
    ),
    "an output that something reads is left open": (
        "if match and counts[match[2]] == 1 and",
        "if match and",
        "wage-weight",
        golden.WeightQuantizerConfig(),
    ),
}


#: Modules of `gradloom/rtl/readable/` that do a step of the work.
MODULES = ("parsing", "folding", "pieces", "operators", "merging", "layout")


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault, marks=[] if fault == "a reset takes the other value" else [LONG])
        for fault in FAULTS
    ],
)
def test_a_fault_in_what_tidies_is_found(fault, tmp_path):
    before, after, name, config = FAULTS[fault]
    (module,) = (
        module
        for module in MODULES
        if before in Path(getattr(gradloom.rtl.readable, module).__file__).read_text()
    )
    faulty = mutated(getattr(gradloom.rtl.readable, module), (before, after))

    def texts():
        return tidied(UNITS[name], config) if config is not None else written(Mixed(), name)

    with patch.object(gradloom.rtl.readable, module, faulty):
        of = texts()
    assert of.verilog != texts().verilog, "the fault does not show"
    with pytest.raises(NotEquivalentError):
        prove(of, tmp_path)


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        (r"state_0 <= 32'd1;", "state_0 <= 32'd3;", "unproven"),
        (r"state_0 = 32'd1;", "state_0 = 32'd3;", "begins with"),
        (r"output wire \[15:0\] o_data", "output wire [16:0] o_data", "port"),
        (r"state_0\[0\] \^", "state_0[0] &", "unproven"),
        (r"32'd1;", "32'hx;", "not known"),
        (r"endmodule", "", "Yosys"),
    ],
)
def test_a_fault_in_the_text_is_found(before, after, complaint, tmp_path):
    of = tidied(UNITS["lfsr"], golden.LfsrConfig())
    text, count = re.subn(before, after, of.verilog, count=1)
    assert count
    with pytest.raises(NotEquivalentError, match=complaint):
        prove(replace(of, verilog=text), tmp_path)


def test_a_proof_of_nothing_is_none():
    empty = {"ports": {}, "netnames": {}, "cells": {}}
    nothing = "Found 0 $equiv cells in pairs:\n  Of those cells 0 are proven and 0 are unproven."
    for status in ("", nothing):
        with pytest.raises(NotEquivalentError, match="nothing was compared"):
            judged(empty, empty, status)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("module top #(clk);\nendmodule\n", "no head of a module"),
        (
            "module top(clk);\n  input clk;\n  wire clk;\n  wire [-1:0] none;\n  wire one;\n"
            "  assign one = none;\nendmodule\n",
            "a signal of no bits is read",
        ),
    ],
)
def test_a_text_of_another_kind_is_refused_under_any_switch(text, complaint):
    """Also without assertions, as under `python -O`: the guards are none."""
    script = (
        "from gradloom.rtl.readable import readable, UnknownTextError\n"
        f"try: readable({text!r}, {{'top': ['clk']}})\n"
        "except UnknownTextError as error: print(error)\n"
    )
    for switches in ([], ["-O"]):
        done = subprocess.run(
            [sys.executable, *switches, "-c", script], capture_output=True, text=True, check=True
        )
        assert complaint in done.stdout


def test_no_guard_of_the_generator_is_an_assertion():
    paths = sorted(Path(gradloom.rtl.readable.__file__).parent.glob("*.py"))
    assert {"__init__", "syntax", *MODULES} == {path.stem for path in paths}
    for path in paths:
        tree = ast.parse(path.read_text())
        assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]
