"""Timing diagrams: a short script for each unit, run in Amaranth's simulator, written as WaveJSON.

A cell of a diagram is a clock, and what it shows is the value just before the rising edge that ends
the cell, as everywhere in gradloom. Colours pair an operand with the result that it causes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import click
import numpy as np

import golden
from golden.core.commands import put
from golden.core.index import Index
from golden.core.isa import (
    ArrayInstruction,
    Clip,
    Move,
    MoveInstruction,
    MoveLoop,
    PassLoop,
    Target,
    TermLoop,
    TileLoop,
    VectorInstruction,
)
from golden.port import completed, inputs_of
from golden.twin import Trace
from gradloom import UNITS, Port, Unit, prepare
from gradloom.sim.simulation import Simulation

#: An operand of a script: field or plain port to value, scalar or one a lane. None is a gap.
Operand = dict[str, Any] | None
#: A row of a WaveJSON document.
Row = dict[str, Any]

#: WaveDrom's fills: white for what belongs to no operand, and those that operands take in turn.
_PLAIN, _FILLS = "2", "3574689"
#: Ports from and to whose first value other than 0 the latency counts.
_EVENTS = {
    "banks": ("a_address", "a_data"),
    "row-store": ("row", "data"),
    "product-nest": ("commands_takes", "valid"),
    "operand-stream": ("high", "words"),
    "pass-nest": ("commands_takes", "valid"),
    "move-nest": ("commands_takes", "active"),
}
_CONTROLS = ("i_valid", "i_ready", "o_valid", "o_ready")


@dataclass(frozen=True, kw_only=True)
class Script:
    """What happens in a diagram.

    Parameters
    ----------
    unit
        Name of the unit.
    arguments
        Its parameters, as on the command line.
    operands
        What is offered, a clock each from clock 0 on; an operand that has to wait is held, and
        those behind it come later. For a unit without an input stream, the inputs at each clock.
    stalls
        Clocks at which the result is not taken.
    clocks
        Clocks of the run.
    skipped
        Clocks left out of the picture.
    text
        What there is to see.
    ports
        Names of the ports in the picture; empty for all.
    scale
        Width of a clock, in WaveDrom's steps.
    """

    unit: str
    arguments: tuple[str, ...]
    operands: tuple[Operand, ...]
    stalls: tuple[int, ...] = ()
    clocks: int
    skipped: tuple[int, int] = (0, 0)
    ports: tuple[str, ...] = ()
    text: str
    scale: int = 1


@dataclass(frozen=True)
class Run:
    """A script that has been simulated.

    Parameters
    ----------
    script
        The script.
    unit, config
        The unit and its configuration.
    ports
        The plain ports in the picture.
    inputs, outputs
        Every port at every clock edge.
    start, end
        The clock from which latency counts, and the clock to which it does.
    """

    script: Script
    unit: Unit
    config: Any
    ports: list[Port]
    inputs: Trace
    outputs: Trace
    start: int
    end: int

    @property
    def shown(self) -> list[int | None]:
        """Clocks in the picture, and None where some are left out."""
        first, stop = self.script.skipped
        clocks: list[int | None] = [
            clock for clock in range(self.script.clocks) if not first <= clock < stop
        ]
        return clocks if first == stop else [*clocks[:first], None, *clocks[first:]]


def _product(a: Sequence[Sequence[int]], b: Sequence[Sequence[int]]) -> list[Operand]:
    """The operands of a tile: columns of `a` with rows of `b`."""
    columns = list(zip(*a))
    return [
        {"i_a": column, "i_b": row, "i_last": int(k == len(columns) - 1)}
        for k, (column, row) in enumerate(zip(columns, b))
    ]


def _macc() -> tuple[Operand, ...]:
    """Two dot products back to back, with their markers as late as the node wants them."""
    config = UNITS["macc"].configure(**_parsed(UNITS["macc"], ()))
    sums = (((1, 2), (3, 4), (5, 6)), ((2, 7), (4, 9)))
    clocks: list[dict[str, Any]] = [{} for _ in range(15)]
    clock = 1
    for terms in sums:
        clocks[clock + config.first_delay]["first"] = 1
        for a, b in terms:
            clocks[clock] |= {"a": a, "b": b}
            clock += 1
        clocks[clock - 1 + config.load_delay]["load"] = 1
    clocks[9]["hold"] = 1
    clocks[12]["above"] = 17
    return tuple(clocks)


def _nest() -> tuple[Operand, ...]:
    """A row of two places with three taps of five channels: the outer taps are outside of it."""
    banks = 8
    place = TileLoop(count=2, a=Index.of(5, banks), s=1)
    clip = Clip(on=True, low=1, high=3, slope=1, loop=5)
    taps = TermLoop(count=3, a=Index.of(5, banks), b=Index.of(5, banks))
    channels = TermLoop(count=5, a=Index.of(1, banks), b=Index.of(1, banks))
    instruction = ArrayInstruction(
        a=Index.of(16 - 5, banks),
        s=4,
        tiles=(*(TileLoop(),) * 5, place),
        terms=(TermLoop(), TermLoop(), taps, channels),
        clips=(Clip(), clip),
    )
    inputs = completed(inputs_of(configuration(UNITS["product-nest"]).ports), {}, 101)
    put(instruction, inputs, slice(None))
    inputs["commands_ready"][70:76] = 1
    inputs["start"][0] = 1
    return _clocks(inputs, 101)


def _pass() -> tuple[Operand, ...]:
    """Three rows in two chunks, the second of which waits; then an update of two rows."""
    banks, clocks = 8, 18
    inputs = completed(inputs_of(configuration(UNITS["pass-nest"]).ports), {}, clocks)
    rows = PassLoop(count=2, s=4, target=Index.of(9, banks)), PassLoop(count=2, s=1)
    first = VectorInstruction(
        target=Target.X, s=20, to=Index.of(14, banks), loops=(*rows, PassLoop(), PassLoop())
    )
    update = VectorInstruction(
        target=Target.W,
        s=40,
        loops=(PassLoop(), PassLoop(count=2, s=1), PassLoop(), PassLoop()),
        last_count=2,
    )
    put(replace(first, last_count=2), inputs, slice(0, 4))
    put(update, inputs, slice(4, None))
    inputs["even"] = np.arange(clocks) % 2
    inputs["commands_ready"][3:12] = 1
    inputs["commands_passes"][7] = 1
    return _clocks(inputs, clocks)


def _move() -> tuple[Operand, ...]:
    """Two rows of weights, the second of which waits; then a sample of one beat, with its label."""
    banks, clocks = 8, 16
    inputs = completed(inputs_of(configuration(UNITS["move-nest"]).ports), {}, clocks)
    row = MoveLoop(count=2, stride=Index.of(18, banks))
    beat = MoveLoop(count=2, stride=Index.of(8, banks))
    weights = MoveInstruction(
        move=Move.WEIGHTS, at=Index.of(33, banks), loops=(row, MoveLoop(), beat)
    )
    put(weights, inputs, slice(0, 4))
    put(MoveInstruction(at=Index.of(80, banks)), inputs, slice(4, None))
    inputs["commands_ready"][3:13] = 1
    inputs["commands_passes"][7] = 1
    inputs["steps"][[4, 5, 8, 10, 12, 13]] = 1
    for name in ("row_ends", "row_done"):
        inputs[name][[5, 10, 13]] = 1
    return _clocks(inputs, clocks)


def _clocks(inputs: Trace, clocks: int) -> tuple[Operand, ...]:
    """Return inputs clock by clock."""
    return tuple(
        {name: values[clock] for name, values in inputs.items()} for clock in range(clocks)
    )


def _column() -> tuple[Operand, ...]:
    """Two columns of a matrix: their offsets, their first words, and what the memory says."""
    clocks: list[dict[str, Any]] = [
        {"loops_count": (0, 0, 2), "loops_high": (0, 0, 2)} if clock < 3 else {}
        for clock in range(16)
    ]
    clocks[0]["start"] = clocks[4]["takes"] = 1
    clocks[6] |= {"high": 4, "low": 4, "there": 2}
    clocks[7] |= {"high": 5, "low": 0, "there": 1}
    clocks[11]["data"] = (35, 46, 0, 0, 24)
    clocks[12]["data"] = (25, 36, 0, 0, 0)
    return tuple(clocks)


def _thresholds() -> tuple[Operand, ...]:
    """Loads of two channels beside the first operands, and sums of both."""
    sums = ((9, 0), (9, 0), (-9, 1), (9, 1), None, (-10, 1), (8, 0), (17, 0), (16, 0))
    offers = [
        None if pair is None else {"i_data": (pair[0],), "i_block": pair[1]}
        for pair in (None, *sums)
    ]
    first = {"load": 1, "load_block": 0, "load_thresholds": (0, 8, 13, 16)}
    second = {"load": 1, "load_block": 1, "load_thresholds": (0, 4, 7, 9), "load_negative": 1}
    for offer, load in zip(offers[1:], (first, second)):
        assert offer is not None
        offer |= load
    return tuple(offers)


def _scripts() -> tuple[Script, ...]:
    return (
        Script(
            unit="lfsr",
            arguments=("--lanes", "2"),
            operands=({},) * 9,
            stalls=(0, 3, 4, 7),
            clocks=9,
            scale=2,
            text=(
                "Two lanes. A draw is a clock with `o_ready` high: both lanes leap, and show their "
                "next words a clock later. While `o_ready` is low (clocks 3 and 4) the words stay."
            ),
        ),
        Script(
            unit="bank",
            arguments=("--groups", "1,1"),
            operands=(
                {"leap": (1, 0)},
                {"leap": (1, 1)},
                {"lane": 1, "load": 1, "load_state": (0x12345678,)},
                {"leap": (0, 1)},
                {"leap": (1, 0), "lane": 1},
                {"leap": (0, 1)},
                {},
                {},
            ),
            clocks=8,
            scale=2,
            text=(
                "Two groups of one lane each. Lane 0 leaps at clocks 0, 1 and 4, lane 1 at clocks "
                "1 and 5. At clock 2 a state is given for lane 1, and its word is there at clock "
                "4; the leap of clock 3 is lost, for the load wins. `state` shows at clock 4 the "
                "state that was replaced, and at clock 6 the new one: clock 4 asked for it."
            ),
        ),
        Script(
            unit="rounder",
            arguments=("--width", "12", "--conversion", "2:6,0:stochastic", "--lfsr-seed", "2"),
            operands=(
                None,
                {"i_data": (10,)},
                {"i_data": (10,)},
                {"i_data": (12,)},
                None,
                {"i_data": (-6,)},
                {"i_data": (10,)},
                {"i_data": (200,)},
                {"i_data": (-900,)},
                {"i_data": (10,)},
                {"i_data": (11,)},
            ),
            stalls=(8, 9, 10),
            clocks=21,
            text=(
                "Codes with two fraction bits are rounded to whole numbers of six bits. 10 stands "
                "for 2.5 and becomes 2 or 3, by the random bits; 12 is 3 exactly and stays; 200 "
                "and -900 saturate. The result is not taken at clocks 8 to 10: it is held, the "
                "buffer fills, and `i_ready` falls until there is room again."
            ),
        ),
        Script(
            unit="macc",
            arguments=(),
            operands=_macc(),
            clocks=15,
            text=(
                "Two dot products back to back, 1·2 + 3·4 + 5·6 = 44 and 2·7 + 4·9 = 50. `first` "
                "and `load` follow the operands to meet their products. `hold` at clock 9 keeps 44 "
                "in the shadow for a clock more, until the second `load` replaces it by 50; from "
                "then on, without `load` and `hold`, the shadow takes what comes from `above`."
            ),
        ),
        Script(
            unit="array",
            arguments=(
                *("--rows", "2", "--columns", "2", "--a", "8,0", "--b", "8,0"),
                *("--depth", "255", "--raw"),
            ),
            operands=(
                None,
                *_product(((1, 2, 3), (4, 5, -6)), ((7, 8), (9, 10), (11, 12))),
                *_product(((2,), (-1,)), ((3, 5),)),
            ),
            stalls=(17,),
            clocks=23,
            skipped=(7, 15),
            text=(
                "A tile of depth 3, and one of depth 1 right behind it. The second tile's only "
                "operand is a `last` that comes one clock after the other one; in an array of two "
                "rows it waits for a clock. Rows leave bottom row first, and `o_last` marks row 0. "
                "At clock 17 the row is not taken, and stays."
            ),
        ),
        Script(
            unit="wage-weight",
            arguments=("--lanes", "2"),
            operands=(
                None,
                *({"i_data": pair} for pair in ((33, -33), (32, -32), (100, 5))),
                None,
                *({"i_data": pair} for pair in ((-97, 96), (127, -1), (0, 64), (-40, 31))),
            ),
            stalls=(5, 6),
            clocks=14,
            text=(
                "Two lanes of stored 8-bit weights become ternary; |n| = 32 is the tie that goes "
                "to 0. The result is not taken at clocks 5 and 6: it is held, and `i_ready` "
                "falls once four operands are on their way."
            ),
        ),
        Script(
            unit="wage-activation",
            arguments=("--lanes", "1", "--width", "16"),
            operands=(
                None,
                *(
                    {"i_data": (value,), "shift": shift}
                    for value, shift in ((-5, 4), (8, 4), (24, 4))
                ),
                None,
                *(
                    {"i_data": (value,), "shift": shift}
                    for value, shift in ((40, 4), (2032, 4), (5000, 4), (40, 3))
                ),
            ),
            stalls=(7, 8),
            clocks=16,
            text=(
                "Sums over 2^4: 8 and 24 are ties and go to the even code, 5000 is clipped and "
                "says so on `o_unclipped`. The last operand comes with another shift. The result "
                "is not taken at clocks 7 and 8."
            ),
        ),
        Script(
            unit="wage-shift",
            arguments=("--lanes", "2", "--width", "16"),
            operands=(
                None,
                {"i_data": (3, -40), "i_keep": (1, 1), "i_last": 0},
                {"i_data": (91, 500), "i_keep": (1, 0), "i_last": 1},
                {"i_data": (0, 0), "i_keep": (1, 1), "i_last": 1},
                None,
                {"i_data": (-90, 12), "i_keep": (1, 1), "i_last": 1},
            ),
            stalls=(9, 10),
            clocks=15,
            text=(
                "Three tensors, of two vectors, one and one. 500 is masked by `i_keep`, so the "
                "first maximum is 91, whose power of two is 2^7; 90 is under 2^6.5 and gives 6. "
                "The second tensor is all zero. The first result is not taken at clocks 9 and 10."
            ),
        ),
        Script(
            unit="softmax",
            arguments=(
                *("--classes", "3", "--outputs", "3,5", "--error", "1,7"),
                *("--rounding", "nearest-even"),
            ),
            operands=(
                None,
                *({"i_data": value, "i_label": 1} for value in (20, 52, 20)),
                None,
                *({"i_data": value, "i_label": 0} for value in (8, 8, 8)),
            ),
            stalls=(45,),
            clocks=52,
            skipped=(9, 42),
            text=(
                "Two samples of three outputs, in <3,5>. The first one's are 0.625, 1.625 and "
                "0.625, and class 1 is right: probabilities of 0.212, 0.576 and 0.212, in units of "
                "2^-16, and errors of 0.212, -0.424 and 0.212 in <1,7>. All of the second one's "
                "are equal. The second error is not taken at clock 45, and stays."
            ),
        ),
        Script(
            unit="wage-error",
            arguments=("--lanes", "1", "--width", "16"),
            operands=(
                None,
                *(
                    {"i_data": (value,), "i_keep": (keep,), "exponent": 10}
                    for value, keep in ((1000, 1), (-333, 1), (12, 1))
                ),
                None,
                *(
                    {"i_data": (value,), "i_keep": (keep,), "exponent": 10}
                    for value, keep in ((20, 1), (700, 0), (-900, 1), (-5, 1), (3, 1))
                ),
            ),
            stalls=(8, 9, 10),
            clocks=20,
            text=(
                "A tensor whose largest error is 1000, so the exponent is 10 and three bits go. 12 "
                "and 20 are ties; 700 is masked. The first result is not taken at clocks 8 to 10, "
                "and `i_ready` falls."
            ),
        ),
        Script(
            unit="wage-update",
            arguments=("--lanes", "1", "--width", "16", "--lfsr-seed", "522"),
            operands=(
                None,
                *(
                    {"i_weight": (weight,), "i_gradient": (gradient,), "exponent": 10}
                    for weight, gradient in ((5, 1000), (5, -300), (-5, 512))
                ),
                None,
                *(
                    {"i_weight": (weight,), "i_gradient": (gradient,), "exponent": 10}
                    for weight, gradient in ((0, -900), (127, -900), (9, 0), (3, 512))
                ),
                {"i_weight": (3,), "i_gradient": (512,), "exponent": 10, "rate": 2},
            ),
            stalls=(9, 10, 11),
            clocks=21,
            text=(
                "A gradient whose largest magnitude is 1000, so the exponent is 10. At rate 0 a "
                "gradient of 1000 moves a weight by 1 nearly always, one of -300 seldom, one of "
                "512 every other time. 127 is the limit. The last operand comes with rate 2, four "
                "times as large a step. The first result is not taken at clocks 9 to 11."
            ),
        ),
        Script(
            unit="pool",
            arguments=("--lanes", "2", "--width", "8", "--most-places", "4"),
            operands=(
                None,
                {"i_data": (99, 99), "i_there": 0, "i_last": 0},
                {"i_data": (-7, 5), "i_there": 1, "i_last": 0},
                {"i_data": (-3, 8), "i_there": 1, "i_last": 0},
                {"i_data": (-3, 6), "i_there": 1, "i_last": 1},
                {"i_data": (-128, 2), "i_there": 1, "i_last": 0},
                None,
                {"i_data": (99, 3), "i_there": 0, "i_last": 1},
                {"i_data": (4, 0), "i_there": 1, "i_last": 1},
            ),
            stalls=(11, 12),
            clocks=16,
            text=(
                "Windows of four places, two and one, in two lanes. 99 is padding and is nowhere "
                "the maximum. -3 is there twice, and the first one counts, at place 2. In the "
                "second window the only place in the image has the lowest code, which is lane "
                "0's maximum. The second result is not taken at clocks 11 and 12."
            ),
        ),
        Script(
            unit="unpool",
            arguments=("--lanes", "2", "--width", "8", "--most-places", "4", "--saturate"),
            operands=(
                None,
                {"i_data": (100, -5), "i_index": (3, 3), "i_number": 3, "i_there": 1, "i_last": 0},
                {"i_data": (90, 9), "i_index": (2, 1), "i_number": 2, "i_there": 1, "i_last": 0},
                {"i_data": (-70, -2), "i_index": (0, 0), "i_number": 0, "i_there": 1, "i_last": 1},
                {"i_data": (80, 7), "i_index": (1, 1), "i_number": 1, "i_there": 1, "i_last": 0},
                None,
                {"i_data": (60, 6), "i_index": (3, 1), "i_number": 3, "i_there": 1, "i_last": 1},
                {"i_data": (55, 4), "i_index": (2, 2), "i_number": 2, "i_there": 0, "i_last": 1},
            ),
            stalls=(11, 12),
            clocks=16,
            text=(
                "Places in three windows, two and none, in two lanes. The first one is the maximum "
                "of all three windows in lane 0, where 100 + 90 - 70 = 120 is in range, and of two "
                "in lane 1. At the second one 80 + 60 is saturated to 127. The second result is "
                "not taken at clocks 11 and 12."
            ),
        ),
        Script(
            unit="threshold",
            arguments=("--width", "8", "--channels", "2"),
            operands=_thresholds(),
            stalls=(8, 9),
            clocks=19,
            text=(
                "Two channels of one lane. Their thresholds are loaded at clocks 1 and 2. The "
                "operand of clock 1 does not see the load of its clock: all its thresholds are 0, "
                "the top level's too, so that errors do not pass. 9 at clock 2 is above 0 and 8, "
                "and errors pass. Sums of the other channel are negated: -9 has the highest code, "
                "and 9 has 0. -10 is above the top level. At clock 7 the sum is equal to a "
                "threshold and does not pass it. The result is not taken at clocks 8 and 9."
            ),
        ),
        Script(
            unit="sign",
            arguments=("--width", "8", "--fraction", "4"),
            operands=(
                None,
                *({"i_data": (value,)} for value in (5, 0, -1)),
                None,
                *({"i_data": (value,)} for value in (16, 17, -16, -17)),
            ),
            stalls=(6, 7),
            clocks=15,
            text=(
                "Words with four fraction bits, so that 16 is 1.0. 0 has the sign 1. Errors pass "
                "from -16 to 16, and not at 17 and -17. The result is not taken at clocks 6 and 7."
            ),
        ),
        Script(
            unit="mask",
            arguments=("--lanes", "1", "--width", "8"),
            operands=(
                None,
                *(
                    {"i_data": (word,), "i_active": (0,), "i_unclipped": (0,), "relu": 1}
                    for word in (5, -6, 0)
                ),
                None,
                *(
                    {
                        "i_data": (error,),
                        "i_active": (active,),
                        "i_unclipped": (unclipped,),
                        "use_active": 1,
                        "use_unclipped": saturation,
                    }
                    for error, active, unclipped, saturation in (
                        (-9, 1, 1, 1),
                        (12, 0, 1, 1),
                        (-3, 1, 0, 1),
                        (-3, 1, 0, 0),
                    )
                ),
            ),
            stalls=(6,),
            clocks=14,
            text=(
                "ReLU of three words, whose mask leaves at `o_active`; then four errors, of which "
                "the second is masked by the ReLU and the third by saturation. The fourth is the "
                "same again, but saturation is not asked. The result is not taken at clock 6."
            ),
        ),
        Script(
            unit="output-error",
            arguments=("--lanes", "2", "--width", "12", "--classes", "3"),
            operands=(
                None,
                *(
                    {"i_data": pair, "i_label": label, "i_block": block, "one": 8}
                    for pair, label, block in (
                        ((300, -20), 0, 0),
                        ((7, 99), 0, 1),
                        ((-1, 256), 1, 0),
                        ((40, 99), 1, 1),
                    )
                ),
                None,
                *(
                    {"i_data": pair, "i_label": 2, "i_block": block, "one": 9}
                    for block, pair in enumerate(((5, 6), (512, 99)))
                ),
            ),
            stalls=(9,),
            clocks=16,
            text=(
                "Three classes in two lanes: two samples of two blocks, whose classes are 0 and "
                "1, with the target 256; then one of class 2 with the target 512. The second "
                "lane of each block 1 has no class. The result is not taken at clock 9."
            ),
        ),
        Script(
            unit="grid-update",
            arguments=("--rule", "bc", "--lanes", "1", "--rate-bits", "0"),
            operands=(
                None,
                *(
                    {"i_gradient": (gradient << 18,), "i_buffer": (buffer << 18,), "shift": shift}
                    for gradient, buffer, shift in ((1, 2, 1), (-8, 0, 1), (1, 2, 0), (0, 3, 0))
                ),
            ),
            stalls=(17, 18),
            clocks=23,
            skipped=(8, 15),
            text=(
                "BinaryConnect on the grid of quarters, with 2^18 for a quarter. A buffer of 1/2 "
                "loses half of a gradient of 1/4: 3/8 is a tie, and the weight is 2 quarters. A "
                "buffer of 0 gains 1. The third operand comes with twice the rate, and the last "
                "one without a gradient. The first result is not taken at clocks 17 and 18."
            ),
        ),
        Script(
            unit="momentum-update",
            arguments=("--lanes", "1", "--rounding", "nearest-even", "--decay-bits", "0"),
            operands=(
                None,
                *(
                    {
                        "i_gradient": (gradient << 28,),
                        "i_weight": (100,),
                        "i_update": (update,),
                        "rate": rate,
                        "momentum": 1 << 15,
                    }
                    for gradient, update, rate in (
                        (1, 0, 1 << 21),
                        (0, 64, 1 << 21),
                        (1, 64, 1 << 21),
                        (1, 64, 1 << 20),
                    )
                ),
            ),
            stalls=(19, 20),
            clocks=25,
            skipped=(8, 17),
            text=(
                "Weights of 100 and a momentum of 1/2. The first operand has a gradient of 1 at a "
                "rate of 2^-11, which is 8 of 2^-14; the second has an update of 64 and no "
                "gradient; the third has both; the fourth comes with half the rate. The first "
                "result is not taken at clocks 19 and 20."
            ),
        ),
        Script(
            unit="banks",
            arguments=("--banks", "2"),
            operands=(
                {"b_address": (3, 5), "b_write": (1, 1), "b_value": (71, 72)},
                {"b_address": (3, 6), "b_write": (0, 1), "b_value": (0, 73)},
                {"a_address": (3, 6)},
                {"a_address": (0, 5), "b_address": (0, 6)},
                {},
                {},
                {},
            ),
            clocks=7,
            scale=2,
            text=(
                "Two banks. B writes at clocks 0 and 1, and reads in bank 0 at clock 1 what it "
                "has written: 71 is at `b_data` two clocks later. A reads both banks at clocks 2 "
                "and 3, each at an address of its own."
            ),
        ),
        Script(
            unit="row-store",
            arguments=("--lanes", "3"),
            operands=(
                {"write": 1, "to": 9, "value": (11, 12, 13)},
                {"write": 1, "to": 10, "value": (14, 15, 16)},
                {"row": 9},
                {"row": 10, "write": 1, "to": 9, "value": (17, 18, 19)},
                {"row": 9},
                {},
                {},
                {},
            ),
            clocks=8,
            scale=2,
            text=(
                "Rows 9 and 10 are written at clocks 0 and 1 and read at clocks 2 and 3; row 9 "
                "is written again at clock 3 and read at clock 4."
            ),
        ),
        Script(
            unit="product-nest",
            arguments=(),
            operands=_nest(),
            clocks=101,
            skipped=(3, 74),
            ports=(
                "start",
                "commands_ready",
                "commands_wants",
                "commands_takes",
                "valid",
                "a_high",
                "a_low",
                "b_high",
                "b_low",
                "last",
                "s",
            ),
            text=(
                "A row of two places with three taps, of which one is outside of the row at each "
                "place. The instruction is there from clock 1 on and taken at clock 75. The first "
                "tile begins at tap 1: B's index is 5, in bank 5 at address 0, and A's is 16, the "
                "row's first word. The second tile begins at tap 0 and leaves out tap 2. Each tap "
                "is a run of five channels, and nothing waits between runs and tiles."
            ),
        ),
        Script(
            unit="pass-nest",
            arguments=(),
            operands=_pass(),
            clocks=18,
            ports=(
                "commands_ready",
                "commands_wants",
                "commands_takes",
                "commands_passes",
                "commands_continues",
                "commands_begins",
                "even",
                "valid",
                "ends",
                "last",
                "s",
                "to_high",
                "to_low",
            ),
            text=(
                "A pass of two chunks, two vectors each, is taken at clock 3. The first chunk's "
                "vectors come at the clocks 4 and 5. At clock 5 the second one could begin, but it "
                "waits for `commands_passes` until clock 7; its vectors come at the clocks 8 and "
                "9, and the two clocks after them have none. Then an update is taken: its two "
                "vectors take two clocks each, and begin in even ones. The rows of sums are two "
                "clocks behind the vectors."
            ),
        ),
        Script(
            unit="move-nest",
            arguments=(),
            operands=_move(),
            clocks=16,
            ports=(
                "commands_ready",
                "commands_wants",
                "commands_takes",
                "commands_passes",
                "commands_continues",
                "commands_begins",
                "active",
                "steps",
                "row_ends",
                "row_done",
                "high",
                "low",
                "row",
                "last_beat",
                "last",
            ),
            text=(
                "A move of two rows, two beats each, is taken at clock 3. The first row's beats "
                "are taken at the clocks 4 and 5; at clock 5 the second row could begin, but it "
                "waits for `commands_passes` until clock 7. Its beats are taken at the clocks 8 "
                "and 10, and at clock 11 the next move. This is one sample of one beat: the beat "
                "behind it, at clock 13, is that of its label, and ends the row."
            ),
        ),
        Script(
            unit="operand-stream",
            arguments=("--banks", "5", "--lanes", "3", "--stores", "1"),
            operands=_column(),
            clocks=16,
            text=(
                "Three lanes and five banks. The loop's stride is 2 · 5 + 1 = 11 words, so these "
                "are columns of a matrix with 11 words in a row. They are found from clock 0 on, "
                "taken at clock 4, and hold from clock 5 on. The index at clock 6 is word 20 + 4: "
                "lanes read the words 24, 35 and 46, in banks 4, 0 and 1 at the addresses 4, 7 "
                "and 9 at clock 9. Their data are there at clock 11, and at the lanes at clock 13. "
                "The index at clock 7 is a word further on and has two lanes."
            ),
        ),
    )


@cache
def scripts() -> dict[str, Script]:
    """The script of every unit, by the unit's name."""
    return {script.unit: script for script in _scripts()}


def _parsed(unit: Unit, arguments: Sequence[str]) -> dict[str, Any]:
    command = click.Command(unit.name, params=list(unit.options))
    return command.make_context(unit.name, list(arguments)).params


def configuration(unit: Unit, arguments: Sequence[str] = ()) -> Any:
    """The configuration that `arguments` on the command line make."""
    return unit.configure(**_parsed(unit, arguments))


@cache
def run(name: str) -> Run:
    """The script of the unit `name`, simulated."""
    script, unit = scripts()[name], UNITS[name]
    config = configuration(unit, script.arguments)
    simulation = prepare(unit.component(config))
    ports = [port for port in simulation.flat if port.name in script.ports or not script.ports]
    offers = [*script.operands, *(None,) * script.clocks][: script.clocks]
    while True:
        inputs = _inputs(simulation, script, offers)
        outputs = simulation.run(inputs)
        ready = outputs.get("i_ready")
        if ready is None or (waits := _hurried(offers, ready.tolist())) is None:
            break
        offers = [*offers[: waits + 1], *offers[waits:-1]]
    start, end = _latency(name, config, inputs, outputs)
    return Run(script, unit, config, ports, inputs, outputs, start, end)


def _inputs(simulation: Simulation, script: Script, offers: Sequence[Operand]) -> Trace:
    """Every input at every clock."""
    inputs: Trace = {}
    for port in inputs_of(simulation.flat):
        values = np.zeros(port.shape(script.clocks), np.int64)
        if port.name == "i_valid":
            values[:] = [offer is not None for offer in offers]
        elif port.name == "o_ready":
            values[:] = [clock not in script.stalls for clock in range(script.clocks)]
        else:
            for clock, offer in enumerate(offers):
                values[clock] = (offer or {}).get(port.name, 0)
        inputs[port.name] = values
    return inputs


def _hurried(offers: Sequence[Operand], ready: Sequence[int]) -> int | None:
    """The first clock whose operand is not taken, and is not offered again a clock later."""
    for clock, (offer, after) in enumerate(zip(offers, offers[1:])):
        if offer is not None and not ready[clock] and after is not offer:
            return clock
    return None


def _latency(name: str, config: Any, inputs: Trace, outputs: Trace) -> tuple[int, int]:
    """Clocks from which and to which latency counts."""
    if name == "lfsr":
        drawn = int(inputs["o_ready"].argmax())
        return drawn, drawn + 1
    if name == "bank":
        lane, state = inputs["lane"], inputs["load_state"][:, 0]
        load = int(inputs["load"].argmax())
        found = outputs["word"][:, lane[load]] == state[load] & 0xFFFF
        return load, int(found.argmax())
    if name == "macc":
        # From the first sum's last operand to the sum.
        total = np.cumsum(inputs["a"] * inputs["b"])[3]
        return 3, int((outputs["drain"] == total).argmax())
    if name in _EVENTS:
        first, second = (
            (inputs | outputs)[port].reshape(len(inputs["rst"]), -1).any(axis=1)
            for port in _EVENTS[name]
        )
        return int(first.argmax()), int(second.argmax())
    return int(_ends(config, inputs, outputs).argmax()), int(outputs["o_valid"].argmax())


def _ends(config: Any, inputs: Trace, outputs: Trace) -> Any:
    """Whether an operand is accepted, the last one where several have a result."""
    accepted = inputs["i_valid"] & outputs["i_ready"]
    if isinstance(config, golden.SoftmaxConfig):
        return accepted & (np.cumsum(accepted) % config.classes == 0)
    return accepted & inputs.get("i_last", np.int64(1))


def _owners(run: Run) -> Callable[[Port, int], int | None]:
    """Number of the operand, or of the tensor, to which the value of a port belongs at a clock."""
    inputs, outputs = run.inputs, run.outputs

    def before(happens: Any) -> list[int]:
        return (np.cumsum(happens) - happens).tolist()

    if run.unit.name == "lfsr":
        draw = before(inputs["o_ready"])
        return lambda port, clock: draw[clock]
    if run.unit.name == "bank":
        loaded = int(inputs["load_state"].max())
        states = {"load_state": inputs["load_state"], "state": outputs["state"]}
        return lambda port, clock: (
            0 if port.name in states and states[port.name][clock, 0] == loaded else None
        )
    if run.unit.name == "macc":
        return lambda port, clock: _sum_of(run, port, clock)
    if run.unit.name in _EVENTS:
        return lambda port, clock: None
    last_out = outputs.get("o_last", np.ones_like(outputs["o_valid"]))
    entered = before(_ends(run.config, inputs, outputs))
    left = before(outputs["o_valid"] & inputs["o_ready"] & last_out)

    def owner(port: Port, clock: int) -> int | None:
        if port.name.startswith("load"):
            return None
        if port.direction == "in":
            return entered[clock] if inputs["i_valid"][clock] else None
        return left[clock] if outputs["o_valid"][clock] else None

    return owner


def _sum_of(run: Run, port: Port, clock: int) -> int | None:
    """Number of the dot product to which the value of a node's port belongs."""
    if port.name in ("a", "b", "a_out", "b_out"):
        late = port.name.endswith("_out")
        begins = np.flatnonzero(run.inputs["first"]) - run.config.first_delay + late
        values = (run.outputs | run.inputs)[port.name]
        return int((begins <= clock).sum()) - 1 if values[clock] else None
    if port.name != "drain" or clock < 2:
        return None
    # The shadow moves two clocks behind its markers.
    then = clock - 2
    if run.inputs["load"][then]:
        return int(run.inputs["load"][: then + 1].sum()) - 1
    return _sum_of(run, port, clock - 1) if run.inputs["hold"][then] else None


def _text(port: Port, value: int) -> str:
    if port.name in ("load_state", "state"):
        return f"{value:08X}"
    is_word = port.name in ("o_data", "word") and port.width == 16
    return f"{value:04X}" if is_word else str(value)


def _wave(cells: Sequence[tuple[str, str | None] | None]) -> Row:
    """A row from its cells: WaveDrom's state and, for a word, its text; None is a gap."""
    wave, data = "", []
    previous: tuple[str, str | None] | None = None
    for cell in cells:
        if cell is None:
            wave += "|"
            if previous and previous[1] is not None:
                previous = None  # a word is written again behind a gap
        elif cell == previous:
            wave += "."
        else:
            wave += cell[0]
            if cell[1] is not None:
                data.append(cell[1])
            previous = cell
    return {"wave": wave, "data": data} if data else {"wave": wave}


def _cell(run: Run, port: Port, lane: int | None, clock: int, owner: int | None) -> Any:
    values = (run.inputs | run.outputs)[port.name][clock]
    value = int(values if lane is None else values[lane])
    if "i_valid" in run.inputs and port.direction == "in" and port.name not in _CONTROLS:
        # What is loaded beside a stream has nothing to do with the operands.
        loads = port.name.startswith("load")
        if port.name != "load" and not run.inputs["load" if loads else "i_valid"][clock]:
            return "x", None
    if port.width == 1:
        return str(value), None
    fill = _PLAIN if owner is None else _FILLS[owner % len(_FILLS)]
    return fill, _text(port, value)


def wavejson(run: Run) -> dict[str, Any]:
    """The WaveJSON of a run; its rows are named as the ports are, with the lane in brackets."""
    owner, shown = _owners(run), run.shown
    rows: list[Row] = [{"name": "clk", "wave": "p" + "".join(".|"[c is None] for c in shown[1:])}]
    for port in run.ports:
        for lane in [None] if port.lanes in (None, 1) else range(port.lanes):
            index = 0 if port.lanes == 1 else lane
            cells = [
                None if clock is None else _cell(run, port, index, clock, owner(port, clock))
                for clock in shown
            ]
            name = port.name if lane is None else f"{port.name}[{lane}]"
            rows.append({"name": name, **_wave(cells)})
    marks = ["."] * len(shown)
    marks[shown.index(run.start)], marks[shown.index(run.end)] = "A", "B"
    rows.append({"node": "".join(marks)})
    clocks = run.end - run.start
    return {
        "signal": rows,
        "config": {"hscale": run.script.scale},
        "edge": [f"A+B {clocks} clock{'s' * (clocks != 1)}"],
        # One label more than there are cells, for WaveDrom makes one up.
        "head": {"tock": " ".join([*("…" if c is None else str(c) for c in shown), "\u00a0"])},
    }


def svg(name: str) -> str:
    """The timing diagram of the unit `name`."""
    from yowasp_wavedrom import render

    text: str = render(wavejson(run(name)))
    # WaveDrom turns colours round by itself in a dark browser; the page does that for all pictures.
    return text.replace(
        "<style>@media(prefers-color-scheme:dark){:root{filter:invert(1)}}</style>", ""
    )
