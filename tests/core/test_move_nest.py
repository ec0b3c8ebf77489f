"""The loops of a move, clock for clock: hardware, twin, and loops as a program has them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutated import mutated
from support import SEEDS

import golden
import hdl
import hdl.core.move_nest
from golden.core.commands import put
from golden.core.index import Index
from golden.core.isa import MoveInstruction, MoveLoop
from golden.core.move_nest import COUNTED, some_move
from golden.port import completed, inputs_of
from gradloom.comparison.compare import compare

SMALL = golden.MoveNestConfig(banks=5, address_bits=9)


def agrees(config, clocks, seed, simulator="pysim"):
    twin = golden.MoveNest(config)
    inputs = twin.legal(np.random.default_rng(seed), clocks)
    comparison = compare(hdl.MoveNest(config), inputs, twin, simulator)
    assert comparison, comparison.report()


@settings(max_examples=6, deadline=None)
@given(st.integers(1, 33), st.integers(1, 19), SEEDS)
def test_hardware_and_twin_agree(banks, address, seed):
    agrees(golden.MoveNestConfig(banks=banks, address_bits=address), 600, seed)


@pytest.mark.long
def test_the_compiled_simulator_agrees():
    agrees(golden.MoveNestConfig(banks=12), 20_000, 3, "cxxrtl")


def test_the_stimulus_has_what_it_is_about():
    """Rows that wait, and those that do not; labels; rows cut short, and not done; resets."""
    inputs = golden.MoveNest(SMALL).legal(np.random.default_rng(1), 6000)
    outputs = golden.MoveNest(SMALL).run(inputs)
    begins, continues = outputs["commands_begins"] == 1, outputs["commands_continues"] == 1
    assert (begins[1:] & ~continues[:-1]).any() and (continues & ~begins).any()
    steps, ends, done = (inputs[name] == 1 for name in ("steps", "row_ends", "row_done"))
    last_beat, active = outputs["last_beat"] == 1, outputs["active"] == 1
    # What is not allowed.
    assert not (steps & ~active).any() and not (done & ~(steps & ends)).any()
    ended = np.flatnonzero(steps & ends)
    assert last_beat[ended].any() and (~last_beat[ended]).any()  # a label's, or any beat
    assert (steps & ends & ~done).any() and (ends & ~steps & active).any()
    taken = np.flatnonzero(outputs["commands_takes"])
    assert np.diff(taken).min() == 2  # one beat
    assert 20 < inputs["rst"].sum() < 90
    assert (inputs["commands_next_loops_count"][taken][:, [0, 2]] > 255).any(axis=0).all()


# What the twin says, beside loops.


def given_once(instruction, clocks, taken=3, odd=False):
    """Inputs that show an instruction, which is taken at a clock, and no beat of it."""
    inputs = completed(inputs_of(SMALL.ports), {}, clocks)
    put(instruction, inputs, slice(None))
    inputs["commands_odd"][:] = odd
    inputs["commands_passes"][:] = 1
    inputs["commands_ready"][taken] = 1
    return inputs


def beats(inputs, *rows):
    """Take beats: the clocks of each row. The last one of all ends the move."""
    for clocks in rows:
        inputs["steps"][list(clocks)] = 1
        for name in ("row_ends", "row_done"):
            inputs[name][clocks[-1]] = 1
    return inputs


def both(inputs):
    """What the twin says, and the hardware as well."""
    comparison = compare(hdl.MoveNest(SMALL), inputs, golden.MoveNest(SMALL), "pysim")
    assert comparison, comparison.report()
    return golden.MoveNest(SMALL).run(inputs)


@pytest.mark.parametrize("seed", range(12))
def test_the_beats_are_those_of_loops(seed):
    rng = np.random.default_rng(seed)
    instruction, odd = some_move(rng, SMALL), bool(seed % 2)
    outer, _, inner = instruction.loops
    clock, rows = 4, []
    for _ in range(outer.count):
        rows.append(np.cumsum(rng.integers(1, 3, inner.count)) + clock)
        clock = int(rows[-1][-1])
    trace = golden.MoveNest(SMALL).run(beats(given_once(instruction, clock + 9, odd=odd), *rows))
    start = instruction.at.flat(5) + odd * instruction.second.flat(5)
    for row, clocks in enumerate(rows):
        for beat, at in enumerate(clocks):
            word = start + row * outer.stride.flat(5) + beat * inner.stride.flat(5)
            assert trace["high"][at] * 5 + trace["low"][at] == word % (5 << 9)
            assert trace["row"][at] == row and trace["active"][at] == 1
            assert trace["last"][at] == (row == outer.count - 1)
            assert trace["last_beat"][at] == (beat == inner.count - 1)
            assert trace["in_odd"][at] == odd
    assert not trace["active"][clock + 1 :].any() and trace["commands_wants"][clock + 1] == 1


# What happens at a clock


#: Rows of 3 beats from word 12 on; a row is 40 words, a beat 5.
MOVE = MoveInstruction(
    at=Index.of(12, 5),
    second=Index.of(101, 5),
    loops=(
        MoveLoop(count=2, stride=Index.of(40, 5)),
        MoveLoop(count=7, stride=Index.of(1, 5)),
        MoveLoop(count=3, stride=Index.of(5, 5)),
    ),
)


def words(trace):
    return (trace["high"] * 5 + trace["low"]).tolist()


def bits(trace, name):
    return "".join(map(str, trace[name]))


def test_beats_of_two_rows():
    trace = both(beats(given_once(MOVE, 14), (4, 5, 6), (8, 9, 11)))
    #                                            v          v
    assert bits(trace, "commands_wants") == "11110000000011"
    assert bits(trace, "commands_takes") == "00010000000000"
    assert bits(trace, "active") == "00001111111100"
    assert bits(trace, "commands_continues") == "00000010000000"
    assert bits(trace, "commands_begins") == "00000010000000"
    assert bits(trace, "last_beat") == "00000010001100"
    assert bits(trace, "last") == "00000001111100"
    assert bits(trace, "row") == "00000001111120"
    # The first word is shown two clocks after the instruction is.
    assert words(trace) == [0, 0, 12, 12, 12, 17, 22, 52, 52, 57, 62, 62, 92, 12]


def test_a_row_waits_for_its_chunk():
    inputs = beats(given_once(MOVE, 16), (4, 5, 6), (11, 12, 13))
    inputs["commands_passes"][4:10] = 0
    trace = both(inputs)
    assert bits(trace, "active") == "0000111000011100"[:16]
    assert bits(trace, "commands_continues") == "0000001111100000"
    assert bits(trace, "commands_begins") == "0000000000100000"
    # The next row's index is there meanwhile.
    assert words(trace)[6:15] == [22, 52, 52, 52, 52, 52, 57, 62, 92]
    assert bits(trace, "last") == "0000000111111100"


def test_a_label_is_behind_the_last_beat():
    trace = both(beats(given_once(MOVE, 15), (4, 5, 6, 7), (8, 9, 10, 11)))
    assert bits(trace, "last_beat") == "000000100010000"
    assert words(trace)[4:13] == [12, 17, 22, 27, 52, 57, 62, 67, 92]
    assert bits(trace, "row") == "000000001111200"


def test_a_row_that_is_not_done_begins_no_chunk():
    inputs = beats(given_once(MOVE, 15), (4, 5, 6), (7, 8, 9), (10, 11))
    inputs["row_done"][6] = inputs["row_done"][9] = 0
    trace = both(inputs)
    assert not trace["commands_continues"][:11].any()
    assert trace["active"][4:12].all() and trace["commands_continues"][11] == 1
    assert bits(trace, "row") == "000000011122333"
    assert bits(trace, "last") == "000000011100000"


def test_one_clock_is_between_moves():
    one = replace(MOVE, loops=(MoveLoop(), MOVE.loops[1], MoveLoop()))
    inputs = beats(given_once(one, 16), (4,), (6,), (8,))
    inputs["commands_ready"][3:8] = 1
    put(MOVE, inputs, slice(8, None))
    trace = both(inputs)
    assert bits(trace, "commands_takes") == "0001010100000000"
    assert bits(trace, "active") == "0000101010000000"
    assert trace["last"][[4, 6, 8]].all() and trace["last_beat"][[4, 6, 8]].all()
    # Behind a move is the row after its last one; then the next instruction, two clocks late.
    assert words(trace)[4:11] == [12] * 7
    assert bits(trace, "row")[4:11] == "0101010"
    assert bits(trace, "last_beat")[8:13] == "11000"


def test_an_odd_step_begins_at_another_word():
    inputs = beats(given_once(MOVE, 14, odd=True), (4, 5, 6), (8, 9, 11))
    inputs["commands_odd"][4:] = 0
    trace = both(inputs)
    assert words(trace)[4:12] == [113, 118, 123, 153, 153, 158, 163, 163]
    assert bits(trace, "in_odd") == "01111111111110"


@pytest.mark.parametrize("count", [1, 2, 255, 256, 257, 300])
def test_long_rows_are_counted(count):
    row = replace(MOVE, loops=(MoveLoop(), MoveLoop(), MoveLoop(count=count)))
    trace = both(beats(given_once(row, count + 8), range(4, 4 + count)))
    at = np.flatnonzero(trace["last_beat"] & trace["active"])
    assert at.tolist() == [3 + count]


def test_beats_are_counted_modulo_65536():
    """Beyond what an instruction can say: twin alone."""
    row = replace(MOVE, loops=(MoveLoop(count=COUNTED), MoveLoop(), MoveLoop(count=3)))
    trace = golden.MoveNest(SMALL).run(beats(given_once(row, COUNTED + 20), range(4, COUNTED + 8)))
    at = np.flatnonzero(trace["last_beat"][: COUNTED + 8])
    assert at.tolist() == [6, COUNTED + 6]


def test_a_reset_ends_a_move():
    inputs = beats(given_once(MOVE, 16), (4, 5))
    inputs["row_ends"][:] = inputs["row_done"][:] = 0
    inputs["rst"][6] = 1
    inputs["commands_ready"][8] = 1
    beats(inputs, (9, 10, 11))
    trace = both(inputs)
    assert words(trace)[5:13] == [17, 22, 0, 0, 12, 17, 22, 52]
    assert bits(trace, "active") == "0000111001111111"[:16]


# Gates that are broken


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("beats_left == 1", "beats_left <= 1"),  # a label's beat
        ("rows_left == 1", "rows_left[:15] == 1"),
        ("self.last_beat.eq(one_beat)", "self.last_beat.eq(none[1])"),
        ("beats_left.eq(beats.count)", "beats_left.eq(coming.loops[2].count)"),
        ("at.eq(below)", "at.eq(row)"),
        ("(running & ~self.row_done)", "(running & ~(self.steps & self.row_ends))"),
        ("waiting | (self.row_done & ~self.last)", "waiting | self.row_done"),
        ("(self.row_done & self.last)", "(self.row_ends & self.steps & self.last)"),
        ("commands.continues & ~commands.passes", "C(0)"),
        ("chosen(commands.odd, second, at_start)", "at_start"),
        ("self.in_odd.eq(commands.odd)", "self.in_odd.eq(self.in_odd | commands.odd)"),
        ('"none_{k}", reset_less=False', '"none_{k}"'),
        ('"first", reset_less=False', '"first"'),
    ],
)
def test_broken_gates_are_found(right, wrong):
    broken = mutated(
        hdl.core.move_nest, (right, wrong), ("import Module, Signal", "import C, Module, Signal")
    )
    twin = golden.MoveNest(SMALL)
    inputs = twin.legal(np.random.default_rng(1), 3000)
    assert not compare(broken.MoveNest(SMALL), inputs, twin, "pysim")
