"""Units that are broken on purpose: the comparison finds each, at the first clock that is wrong.

A mutant is the unit's own text with one thing changed. The clock at which it must be reported is
known without the twin: the first one at which the simulated mutant and the simulated unit differ,
and where the stimulus makes it plain, a clock that is written here.
"""

from dataclasses import replace

import numpy as np
import pytest
from mutated import Mutant
from support import OneByOne

import golden
import hdl.array.array
import hdl.array.edges
import hdl.array.foot
import hdl.array.grid
import hdl.buffer
import hdl.cells.base
import hdl.cells.generic
import hdl.lfsr
import hdl.macc
import hdl.mask
import hdl.output_error
import hdl.pipeline
import hdl.quantize.activation
import hdl.quantize.error
import hdl.quantize.exponent
import hdl.quantize.grid
import hdl.quantize.momentum
import hdl.quantize.scale
import hdl.quantize.update
import hdl.quantize.weight
import hdl.rounder
from golden.fixed import Conversion, Fixed, Rounding
from golden.lfsr import Generator
from gradloom.comparison.compare import compare
from gradloom.sim.simulators import simulate
from gradloom.sim.stimulus import random_inputs
from gradloom.sim.toplevel import flatten


def first_difference(component, good, bad):
    """Cycle, port, lane and both values of the first difference of two traces."""
    ports = [port for port in flatten(component) if port.direction == "out"]
    for cycle in range(len(good[ports[0].name])):
        for port in ports:
            expected, got = good[port.name][cycle], bad[port.name][cycle]
            for lane in range(port.lanes or 1):
                pair = (expected, got) if port.lanes is None else (expected[lane], got[lane])
                if pair[0] != pair[1]:
                    return cycle, port.name, None if port.lanes is None else lane, *pair
    return None


def conversion(rounding, fraction=12, il=4, fl=4):
    return Conversion(fraction=fraction, target=Fixed(il, fl), rounding=rounding)


NEAR = golden.RounderConfig(width=20, conversions=(conversion(Rounding.NEAREST_DOWN),), lanes=2)
EVEN = golden.RounderConfig(width=20, conversions=(conversion(Rounding.NEAREST_EVEN),), lanes=2)
DRAWN = golden.RounderConfig(width=20, conversions=(conversion(Rounding.STOCHASTIC),), lanes=2)
SHORT = golden.RounderConfig(
    width=40,
    conversions=(conversion(Rounding.STOCHASTIC, 24, 16, 0),),
    generator=Generator(leap=2, draw=2),
)
NARROW = golden.RounderConfig(
    width=8, conversions=(conversion(Rounding.STOCHASTIC, 4, 2, 2),), lanes=2
)
CLIPPED = replace(NARROW, width=9, saturated=True)
COARSE = golden.RounderConfig(
    width=20, conversions=(conversion(Rounding.NEAREST_DOWN, 14, 6, 0),), lanes=2
)
OVERFLOW = "sign = kept[-1]"
OVERFLOW_BEFORE = 'sign = self._kept(conversions[0], registered(m, wide, "early", 2))[-1]'
LFSR = golden.LfsrConfig(lanes=3)
MACC = golden.MaccConfig(a=Fixed(2, 4), b=Fixed(2, 4), depth=30)
TERNARY = golden.MaccConfig(a=Fixed(1, 4), b=Fixed(1, 1), depth=30, segments=1, ternary=True)
ARRAY = golden.ArrayConfig(rows=3, columns=3)
CLIPPING = golden.ArrayConfig(rows=3, columns=3, saturated=True)
SIDES = "list(taken.a), list(taken.b)"
MIXED = golden.ArrayConfig(
    rows=3,
    columns=4,
    macc=golden.MaccConfig(a=Fixed(1, 3), b=Fixed(1, 4), depth=1000),
    conversions=(),
    multipliers=(2, 2),
    ternary_depth=30,
)
RAW = golden.ArrayConfig(rows=3, columns=3, conversions=())
ERROR = golden.ErrorQuantizerConfig(lanes=2)
UPDATE = golden.WeightUpdateConfig(lanes=2)
COARSE_DRAWS = golden.GridUpdateConfig(
    rule="bc",
    binary=True,
    grid=0,
    drawn=True,
    rate_bits=0,
    width=10,
    fine=Fixed(2, 6),
    generator=Generator(draw=3),
)
MOMENTUM = golden.MomentumUpdateConfig(lanes=2)
SHIFT = golden.ShiftExponentConfig(lanes=2, width=24)


def mutants(module, unit, config, *rows):
    return [Mutant(name, unit, tuple(changes), config, module) for name, *changes in rows]


MUTANTS = [
    *(
        Mutant(name, unit, (change,), config, hdl.pipeline)
        for unit, config in (("Rounder", DRAWN), ("WeightUpdate", UPDATE), ("ShiftExponent", SHIFT))
        for name, change in (
            (
                "draws without operands",
                ('"lfsr", config.lfsr, accepted', '"lfsr", config.lfsr, C(1)'),
            ),
            (
                "operands twice",
                ("pipeline.operand.valid.eq(accepted)", "pipeline.operand.valid.eq(self.i.valid)"),
            ),
            ("a place too few", ("depth=config.buffer)", "depth=config.buffer - 1)")),
            ("every operand claims", ("if self._claims else", "if 0 else")),
        )
        if (unit == "ShiftExponent") == (name == "every operand claims")
    ),
    *mutants(
        hdl.lfsr,
        "Lfsr",
        LFSR,
        ("a wrong tap", ("[generator.taps, *", "[generator.taps ^ 8, *")),
        (
            "one step a draw",
            ("leap = squared(step, generator.leap.bit_length() - 1)", "leap = step"),
        ),
        (
            "lanes in draws",
            ("generator.lane_steps.bit_length() - 1", "generator.lane_steps.bit_length() + 3"),
        ),
        ("no reset", ('name=f"state_{lane}")', 'name=f"state_{lane}", reset_less=True)')),
        ("a clock late", ("m.d.comb += word.eq(", "m.d.sync += word.eq(")),
        ("leaps at every clock", ("with m.If(leaps_now):", "with m.If(1):")),
    ),
    *mutants(
        hdl.rounder,
        "Rounder",
        NEAR,
        ("ties up", ("return C(half - 1)\n", "return C(half)\n")),
        (
            "limits swapped",
            ("Mux(negative, ~highest, highest)", "Mux(negative, highest, ~highest)"),
        ),
        (
            "highest code off by one",
            ("[conversion.target.maximum for", "[conversion.target.maximum - 1 for"),
        ),
        ("no saturation", ("overflow.eq(~(", "overflow.eq(0 & (")),
        ("lost carry", ("high + low[cut]", "high + 0")),
        (
            "no reset",
            ('Signal(name=f"valid_{stage}")', 'Signal(name=f"valid_{stage}", reset_less=True)'),
        ),
        ("a clock late", ("m.d.comb += self.result.valid.eq", "m.d.sync += self.result.valid.eq")),
    ),
    *mutants(
        hdl.rounder,
        "Rounder",
        CLIPPED,
        (
            "a limit is clipped",
            (
                'overflow, "clipped"',
                'overflow | (field == conversions[0].target.maximum), "clipped"',
            ),
        ),
        ("only above", ('overflow, "clipped"', 'overflow & ~negative, "clipped"')),
        ("of the next result", ('"clipped", PIPELINE_LATENCY - stages)', '"clipped", 0)')),
        ("of another lane", ("saturated[lane].eq(clipped)", "saturated[1 - lane].eq(clipped)")),
    ),
    *mutants(
        hdl.rounder,
        "Rounder",
        EVEN,
        ("ties to odd", ("return C(half - 1) + lowest_kept", "return C(half) - lowest_kept")),
    ),
    *mutants(
        hdl.rounder,
        "Rounder",
        DRAWN,
        ("high bits of the word", ("return word[: max(dropped, 0)]", "return word[-dropped:]")),
    ),
    *mutants(
        hdl.rounder,
        "Rounder",
        NARROW,
        ("saturates before the draw", (OVERFLOW, OVERFLOW_BEFORE)),
        ("zeros take a carry", ("Mux(sign, full, clear)", "Mux(sign, full | clear, clear)")),
        ("ones but the lowest are ones", ("full, full & sign", "full, full")),
    ),
    *mutants(
        hdl.mask,
        "Mask",
        golden.MaskConfig(width=6, lanes=2),
        ("ReLU of the others", ("self.relu & word[-1]", "self.relu & ~word[-1]")),
        ("always masked", ("self.use_active & ~", "~")),
        ("the other mask", ("operand.unclipped[lane])", "operand.active[lane])")),
        ("zero is active", (" & word[:-1].any()", "")),
        ("a masked word is not active", ("above, f", "above & ~masked, f")),
    ),
    *mutants(
        hdl.output_error,
        "OutputError",
        golden.OutputErrorConfig(width=6, classes=7, lanes=3, most_one=5),
        ("the target of all blocks", ("here & (place == lane)", "here & (place[:2] == lane)")),
        ("a class of the padding", ("left > lane", "left >= lane")),
        ("outputs of the padding", ("Mux(here, word, 0)", "word")),
        ("added", ("(kept - taken)", "(kept + taken)")),
        ("no largest target", ("Mux(self.one > most, most, self.one)", "self.one")),
        ("a block early", ("left > lane", "left - 1 > lane")),
    ),
    *mutants(
        hdl.rounder,
        "Rounder",
        SHORT,
        ("no one below the word", ("C(1 << (missing - 1), missing)", "C(0, missing)")),
    ),
    *mutants(
        hdl.rounder,
        "Rounder",
        COARSE,
        ("lost carry into the addend", ("Cat(low[cut], high) + ", "Cat(C(0), high) + ")),
    ),
    *mutants(
        hdl.macc,
        "Macc",
        MACC,
        ("hold inverted", ("self.load | ~self.hold", "self.load | self.hold")),
        (
            "the shadow never loads",
            ("Mux(load, accumulator, self.above[low:high])", "self.above[low:high]"),
        ),
        (
            "a clock late",
            ("(m, self, a, b,", '(m, self, registered(m, a, "later"), b,'),
        ),
        (
            "a reset where there is none",
            ('self.a, "a_hop")', 'self.a, "a_hop", reset_less=False)'),
        ),
    ),
    *mutants(
        hdl.cells.generic,
        "Macc",
        MACC,
        ("sums never begin", ("Mux(first, 0, accumulator)", "accumulator")),
        ("operand squared", ('registered(m, b, "b_operand")', 'registered(m, a, "b_operand")')),
        ("lost carry", ("Cat(carry, kept))[1:]", "Cat(C(0), kept))[1:]")),
        ("a product late", ("range(PRODUCT_LATENCY - 3)", "range(PRODUCT_LATENCY - 2)")),
    ),
    *mutants(
        hdl.macc,
        "Macc",
        TERNARY,
        (
            "a ternary operand late",
            ("config, self.a,", 'config, registered(m, self.a, "later"),'),
        ),
        ("first late", ("self.b, self.first)", "self.b, first_hop)")),
    ),
    *mutants(
        hdl.cells.base,
        "Macc",
        TERNARY,
        (
            "no carry for the complement",
            ("registered(m, nonzero & negative,", "registered(m, nonzero & ~nonzero,"),
        ),
        ("-2 subtracts", ("nonzero, negative = b[0], b[1]", "nonzero, negative = b.any(), b[1]")),
        ("1 subtracts", ("nonzero, negative = b[0], b[1]", "nonzero, negative = b[0], b[0]")),
        ("a sign lost", ('(m, signed.as_signed(), "signed")', '(m, signed, "signed")')),
    ),
    *mutants(
        hdl.array.edges,
        "Array",
        ARRAY,
        ("operands swapped", (SIDES, "list(taken.b), list(taken.a)")),
        ("gaps multiply", ("Mux(gaps[delay], 0, delayed)", "delayed")),
    ),
    *mutants(
        hdl.array.array,
        "Array",
        ARRAY,
        ("last too early", ("last[rows - 2]", "last[rows - 3]")),
        (
            "no reset of the tile's beginning",
            ("begins = Signal(init=1)", "begins = Signal(init=1, reset_less=True)"),
        ),
        ("no reset of the markers", ('"last", reset_less=False)', '"last")')),
    ),
    *mutants(
        hdl.array.foot,
        "Array",
        ARRAY,
        ("every column the same lane", ("config.lfsr.lane(column)", "config.lfsr.lane(0)")),
        ("lanes leap without rows", ("lane, valid[column]", "lane, valid[column] | 1")),
        ("a row less in the tile", ("m.Elif(row == 0)", "m.Elif(row == 1)")),
    ),
    *mutants(
        hdl.array.foot,
        "Array",
        CLIPPING,
        (
            "a bit of another row",
            ('columns - 1 - column, f"deskew_clipped', 'columns - column, f"deskew_clipped'),
        ),
    ),
    *mutants(
        hdl.array.foot,
        "Array",
        RAW,
        ("a column late", ('columns - 1 - column, f"deskew_{', 'columns - column, f"deskew_{')),
        ("a segment early", ('lag - k, f"foot', 'lag, f"foot')),
    ),
    *mutants(
        hdl.array.grid,
        "Array",
        RAW,
        ("a row's hold too long", ("(hold & ~release[row])", "hold")),
    ),
    *mutants(
        hdl.array.grid,
        "Array",
        MIXED,
        ("no wait beside the block", ('registered(m, a, f"waits_{row}", step)', "a")),
        ("a high segment early", ('f"{name}_{number}", number)', 'f"{name}_{number}", 0)')),
        ("a sign lost", ("part[-1].replicate(", "(part[-1] & 0).replicate(")),
        (
            "b passes into the block",
            ("below[: len(operands.block)] = operands.block", "pass"),
        ),
    ),
    *mutants(
        hdl.array.edges,
        "Array",
        MIXED,
        ("no wait above the block", ("[column + extra for", "[column for")),
        ("the block's way in too short", ("[above_block + column for", "[column for")),
        ("-2 multiplies", ("(code[1] & code[0]).replicate", "code[1].replicate")),
        ("always multiplies", ("Mux(multiply, code,", "Mux(1, code,")),
        ("never multiplies", ("Mux(multiply, code,", "Mux(0, code,")),
    ),
    *mutants(
        hdl.array.array,
        "Array",
        MIXED,
        ("ternary nodes when the block multiplies", ("accepted & ~operand.multiply", "accepted")),
    ),
    *mutants(
        hdl.quantize.weight,
        "WeightQuantizer",
        golden.WeightQuantizerConfig(lanes=2),
        ("threshold off by one", ("((1 << (dropped - 1)) - 1)", "(1 << (dropped - 1))")),
        ("no reset", ('"valid", reset_less=False)', '"valid")')),
    ),
    *mutants(
        hdl.quantize.activation,
        "ActivationQuantizer",
        golden.ActivationQuantizerConfig(width=9, bits=4, most_shift=3, lanes=2),
        ("ties up", ("half & (rest.any() | kept[0])", "half")),
        ("no ReLU", ("Mux(acc[-1], 0, acc[:-1])", "acc[:-1]")),
        ("clip mask off by one", ("full & shifted[:most].any()", "full")),
    ),
    *mutants(
        hdl.quantize.sign,
        "SignQuantizer",
        golden.SignQuantizerConfig(width=9, fraction=5, lanes=2),
        ("0 has no sign", ("Cat(C(1, 1), negative)", "Cat(negative, negative)")),
        ("1.0 does not pass", ("ones | zeros | (one & whole)", "ones | zeros")),
        ("more than 1.0 passes", ("ones | zeros | (one & whole)", "ones | zeros | one")),
        ("less than -1.0 passes", ("high.all()", "high[0]")),
        ("no reset", ('"valid", 2, reset_less=False)', '"valid", 2)')),
    ),
    *mutants(
        hdl.quantize.threshold,
        "ThresholdQuantizer",
        golden.ThresholdQuantizerConfig(width=7, channels=6, lanes=2),
        ("a sum on a threshold passes", ("Cat(~negative, turned)", "Cat(0, turned)")),
        ("no sum is negated", ("Mux(negative, acc, ~acc)", "~acc")),
        ("the top level counts", ("sum(passed[:-1]", "sum(passed[1:]")),
        ("errors pass above the top level", ("passed[0] & ~passed[-1]", "passed[0]")),
        ("a load is for all lanes", ("self.load & (self.load_lane == lane)", "self.load")),
        (
            "an operand sees the load of its clock",
            (
                "memory.read_port(), memory.write_port()\n",
                "(w := memory.write_port(), memory.read_port(transparent_for=[w]))[::-1]\n",
            ),
        ),
        ("no reset", ("config.read_clocks + 2, reset_less=False", "config.read_clocks + 2")),
    ),
    *mutants(
        hdl.quantize.exponent,
        "ShiftExponent",
        SHIFT,
        ("maximum of the last vector", ("Mux(ends, 0, largest)", "0")),
        ("maximum of all tensors", ("Mux(ends, 0, largest)", "largest")),
        ("lesser of two", ("Mux(a > b, a, b)", "Mux(a > b, b, a)")),
        (
            "masked values count",
            ("Mux(self.operand.payload.keep[lane], magnitude, 0)", "magnitude"),
        ),
        ("gaps count", ("Mux(there, level[0], 0)", "level[0]")),
        ("ends a clock late", ('"ends", 1 + config.levels', '"ends", 2 + config.levels')),
    ),
    *mutants(
        hdl.quantize.scale,
        "ErrorQuantizer",
        ERROR,
        ("ties up", ("((magnitude >> shift.dropped) & shift.mask[:1])[0]", "shift.mask[0]")),
    ),
    *mutants(
        hdl.quantize.error,
        "ErrorQuantizer",
        ERROR,
        ("clips off by one", ("Mux(negative, -top, top)", "Mux(negative, -top, top - 1)")),
        ("sign lost", ("Mux(negative, -low, low)", "low")),
        ("zero tensors pass", ("keep[lane] & ~self.zero", "keep[lane]")),
        ("no reset", ('"valid", 5, reset_less=False)', '"valid", 5)')),
    ),
    *mutants(
        hdl.quantize.grid,
        "GridUpdate",
        golden.GridUpdateConfig(rule="bc", rate_bits=0, width=22, grid=3),
        ("ties up", ("above[0] & (rest | above[1])", "above[0]")),
        ("a bit that left is lost", ("rest = some | ", "rest = ")),
        ("a coarse step too few", ("doubled >> places", "doubled >> places[:4]")),
        ("buffers are not clipped", ("clipped(fine, -config.one, config.one)", "fine")),
        ("a shift of the next operand", ('"shift", config.product_stages', '"shift", 0')),
        ("no reset", ('"valid", until, reset_less=False)', '"valid", until)')),
    ),
    *mutants(
        hdl.quantize.grid,
        "GridUpdate",
        COARSE_DRAWS,
        ("a weight of 1 is never sure", ("word >= chance", "word > chance")),
        ("probabilities rounded down", ("(half + doubled[spare])", "0")),
    ),
    *mutants(
        hdl.quantize.grid,
        "GridUpdate",
        golden.GridUpdateConfig(width=22),
        ("beyond the grid", ("clipped(code, -(1 << config.grid), 1 << config.grid)", "code")),
        ("steps wrap", ("saturated(rounded, config.fine.width)", "rounded[:24].as_signed()")),
    ),
    *mutants(
        hdl.quantize.grid,
        "GridUpdate",
        golden.GridUpdateConfig(rule="fine", grid=0, width=24),
        ("biases wrap", ("saturated(fine, config.fine.width)", "fine[:24].as_signed()")),
        (
            "biases are clipped to 1",
            ("saturated(fine, config.fine.width)", "clipped(fine, -config.one, config.one)"),
        ),
    ),
    *mutants(
        hdl.quantize.momentum,
        "MomentumUpdate",
        MOMENTUM,
        ("limbs have signs", ("else Cat(a[a_low:a_end], C(0, 1))", "else a[a_low:a_end]")),
        ("a limb out of place", ("shift + a_low + b_low", "shift + a_low")),
        ("a carry lost", ("wide[apart:].as_signed() + high.value", "wide[apart:] | high.value")),
        ("sums wrap", ("saturated(total, WIDEST)", "total[:WIDEST].as_signed()")),
        ("weights wrap", ("saturated(moved, config.word.width)", "moved[:-1].as_signed()")),
        ("decay lost", ("loses += products(m, weight", "products(m, weight")),
        (
            "an update of the next operand",
            ('f"update_out_{lane}", WEIGHT_STAGES', 'f"u_{lane}", 1'),
        ),
        ("a word of the next operand", ('f"random_{lane}", sums', 'f"random_{lane}", sums - 1')),
        ("no reset", ('"valid", sums, reset_less=False)', '"valid", sums)')),
    ),
    *mutants(
        hdl.quantize.momentum,
        "MomentumUpdate",
        golden.MomentumUpdateConfig(power=True, momentum_bits=0, decay_bits=0, rate_bits=21),
        ("shifts past the last", ("Mux(places > most, most, places)", "places")),
        ("fine steps lost", ("a << places[:fine] if fine else a", "a")),
        ("descent goes up", ("- (lost.value << lost.shift)", "+ (lost.value << lost.shift)")),
    ),
    *mutants(
        hdl.quantize.update,
        "WeightUpdate",
        UPDATE,
        ("step - n", ("updated.eq(_moved", "updated.eq(-_moved")),
        ("lower limit off by one", ("before + top)", "before + top + 1)")),
        ("rate doubles", ("exponent, self.rate)", "exponent, self.rate + 1)")),
        ("a clock late", ('"valid", 6, reset_less=False)', '"valid", 7, reset_less=False)')),
        ("operands of different clocks", ("wait = 5 -", "wait = 4 -")),
    ),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.unit}: {mutant.name}")
def test_a_mutant_is_found_at_its_first_wrong_clock(mutant):
    original = mutant.original()
    inputs = random_inputs(flatten(original), 800, 11)
    for clock in (100, 101, 250, 600):
        inputs["rst"][clock] = 1
    good = simulate(original, inputs)
    bad = simulate(mutant.component(), inputs)
    found = first_difference(original, good, bad)
    assert found is not None, "the mutant does as the unit does"

    comparison = compare(mutant.component(), inputs, mutant.twin())
    assert not comparison
    difference = comparison.difference
    assert (difference.cycle, difference.port, difference.lane) == found[:3]
    assert (difference.expected, difference.got) == found[3:]
    assert f"cycle {difference.cycle}, port {difference.port}" in comparison.report()

    # Up to that clock nothing is wrong; the unit itself is never wrong.
    before = {name: values[: difference.cycle] for name, values in inputs.items()}
    assert difference.cycle == 0 or compare(mutant.component(), before, mutant.twin())
    assert compare(mutant.original(), inputs, mutant.twin())


# Clocks that are plain from the stimulus


def offered(clocks, **values):
    """All is offered and taken; operands are zero but where they are given, {clock: value}."""
    inputs = {"i_valid": np.ones(clocks, int), "o_ready": np.ones(clocks, int)}
    for name, (shape, given) in values.items():
        inputs[name] = np.zeros((clocks, *shape), int)
        for clock, value in given.items():
            inputs[name][clock] = value
    return inputs


def found_in(module, inputs, *, config, unit, changes):
    component = Mutant("", unit, tuple(changes), config, module).component()
    comparison = compare(component, inputs, getattr(golden, unit)(config))
    assert not comparison
    d = comparison.difference
    return d.cycle, d.port, d.lane, d.expected, d.got


def test_the_only_tie_is_where_a_rounding_constant_is_wrong():
    tie = 5 * 256 + 128
    inputs = offered(80, i_data=((2,), {20: [tie - 1, tie + 1], 37: [0, tie], 50: [tie, 0]}))
    found = found_in(
        hdl.rounder,
        inputs,
        config=NEAR,
        unit="Rounder",
        changes=[("return C(half - 1)\n", "return C(half)\n")],
    )
    assert found == (37 + NEAR.latency, "o_data", 1, 5, 6)


def test_a_wrong_tap_shows_where_single_steps_part():
    right, wrong = Generator(leap=1, draw=1), 0xA3000008
    walker, state, clock = OneByOne(right), 1, 0
    while walker.state & 1 == state & 1:
        walker.walk(1)
        state = state >> 1 ^ (wrong if state & 1 else 0)
        clock += 1
    config = golden.LfsrConfig(generator=right)
    found = found_in(
        hdl.lfsr,
        {"o_ready": np.ones(100, int)},
        config=config,
        unit="Lfsr",
        changes=[("[generator.taps, *", "[generator.taps ^ 8, *")],
    )
    assert found == (clock, "o_data", 0, walker.state & 1, state & 1)


def test_a_register_without_reset_shows_right_after_the_reset():
    inputs = {"o_ready": np.ones(60, int), "rst": (np.arange(60) == 33).astype(int)}
    found = found_in(
        hdl.lfsr,
        inputs,
        config=golden.LfsrConfig(),
        unit="Lfsr",
        changes=[('name=f"state_{lane}")', 'name=f"state_{lane}", reset_less=True)')],
    )
    walker = OneByOne(Generator())
    walker.walk(34 * 16)
    assert found == (34, "o_data", 0, 1, walker.state & 0xFFFF)


def test_results_that_a_reset_should_have_ended_come_out():
    """An operand five clocks before a reset would have shown two clocks after it."""
    inputs = offered(60, i_data=((2,), {30: [256 * 3, 256 * 4]}))
    inputs["i_valid"] = (np.arange(60) == 30).astype(int)
    inputs["rst"] = (np.arange(60) == 32).astype(int)
    found = found_in(
        hdl.rounder,
        inputs,
        config=NEAR,
        unit="Rounder",
        changes=[
            ('Signal(name=f"valid_{stage}")', 'Signal(name=f"valid_{stage}", reset_less=True)')
        ],
    )
    assert found == (30 + NEAR.latency, "o_valid", None, 0, 1)


def test_a_unit_a_clock_late_shows_at_the_first_result():
    inputs = offered(60, i_weight=((2,), {}), i_gradient=((2,), {}))
    inputs["i_valid"][:13] = 0
    found = found_in(
        hdl.quantize.update,
        inputs,
        config=UPDATE,
        unit="WeightUpdate",
        changes=[('"valid", 6, reset_less=False)', '"valid", 7, reset_less=False)')],
    )
    assert found == (13 + UPDATE.latency, "o_valid", None, 1, 0)


def test_a_threshold_off_by_one_shows_at_the_one_maximum_it_is_wrong_for():
    maxima = {4: 741454, 9: 741457, 17: 741455, 25: 741456, 30: 741456}
    inputs = offered(60, i_data=((2,), {clock: [-m, 3] for clock, m in maxima.items()}))
    inputs["i_keep"], inputs["i_last"] = np.ones((60, 2), int), np.ones(60, int)
    found = found_in(
        hdl.quantize.exponent,
        inputs,
        config=SHIFT,
        unit="ShiftExponent",
        # Where it stands, 741456 is the lowest maximum above the threshold.
        changes=[("_root(1 << (2 * width - 1))", "(741456 << (width - 20))")],
    )
    assert found == (25 + SHIFT.latency, "o_exponent", None, 20, 19)


def test_a_swapped_difference_shows_at_the_first_weight_that_is_not_its_own_negative():
    inputs = offered(60, i_weight=((2,), {14: [0, 100]}), i_gradient=((2,), {}))
    found = found_in(
        hdl.quantize.update,
        inputs,
        config=UPDATE,
        unit="WeightUpdate",
        changes=[("updated.eq(_moved(", "updated.eq(-_moved(")],
    )
    assert found == (14 + UPDATE.latency, "o_weight", 1, 100, -100)


def test_swapped_operands_show_at_the_first_row_that_the_transpose_has_otherwise():
    """Both outer products have the same bottom row: it is the next one that tells."""
    inputs = offered(80, i_a=((3,), {20: [2, 3, 5]}), i_b=((3,), {20: [1, 7, 5]}))
    inputs["i_last"] = (np.arange(80) == 20).astype(int)
    # Bottom row first: 5 * (1, 7, 5) against 5 * (2, 3, 5).
    found = found_in(
        hdl.array.edges,
        inputs,
        config=RAW,
        unit="Array",
        changes=[
            (SIDES, "list(taken.b), list(taken.a)"),
        ],
    )
    assert found == (20 + RAW.latency, "o_data", 0, 5, 10)


def test_a_dot_product_that_does_not_begin_shows_with_the_second_sum():
    clocks = 40
    inputs = {name: np.zeros(clocks, int) for name in ("a", "b", "first", "load", "hold")}
    inputs["a"][[3, 10]] = inputs["b"][[3, 10]] = 3, 2
    for clock in (3, 10):
        inputs["first"][clock + MACC.first_delay] = inputs["load"][clock + MACC.load_delay] = 1
    found = found_in(
        hdl.cells.generic,
        inputs,
        config=MACC,
        unit="Macc",
        changes=[("Mux(first, 0, accumulator)", "accumulator")],
    )
    assert found == (10 + MACC.latency, "drain", None, 4, 13)
