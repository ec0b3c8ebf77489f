"""The loops of a pass, clock for clock: hardware, twin, and loops as a program has them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loop_places import places as looped
from support import SEEDS

import golden
import hdl
from golden.core.commands import put
from golden.core.index import Index
from golden.core.isa import Last, PassLoop, Target, VectorInstruction
from golden.core.pass_nest import INDEX_DELAY, chunk, interval, places, some_pass
from golden.port import completed, inputs_of
from gradloom.comparison.compare import compare

SMALL = golden.PassNestConfig(banks=5, address_bits=9, s_bits=8, k_bits=7)


def agrees(config, clocks, seed, simulator="pysim"):
    twin = golden.PassNest(config)
    inputs = twin.legal(np.random.default_rng(seed), clocks)
    comparison = compare(hdl.PassNest(config), inputs, twin, simulator)
    assert comparison, comparison.report()


@settings(max_examples=3, deadline=None)
@given(st.integers(1, 33), st.integers(1, 19), st.integers(1, 20), st.integers(1, 20), SEEDS)
def test_hardware_and_twin_agree(banks, address, s, k, seed):
    config = golden.PassNestConfig(banks=banks, address_bits=address, s_bits=s, k_bits=k)
    agrees(config, 500, seed)


@pytest.mark.long
def test_the_compiled_simulator_agrees():
    agrees(golden.PassNestConfig(banks=12), 20_000, 3, "cxxrtl")


def test_the_stimulus_has_what_it_is_about():
    """Chunks that wait, and those that do not; passes of one vector; updates; no room; resets."""
    inputs = golden.PassNest(SMALL).legal(np.random.default_rng(1), 4000)
    outputs = golden.PassNest(SMALL).run(inputs)
    begins, continues = outputs["commands_begins"] == 1, outputs["commands_continues"] == 1
    assert (begins[1:] & ~continues[:-1]).any() and (continues & ~begins).any()
    taken = np.flatnonzero(outputs["commands_takes"])
    assert np.diff(taken).min() == 3  # one vector
    assert outputs["commands_full"].any() and 10 < inputs["rst"].sum() < 60
    levels, target = inputs["commands_next_levels"][taken], inputs["commands_next_target"][taken]
    assert set(levels) == {0, 1, 2, 3} and set(target) == set(Target)
    assert (inputs["commands_next_loops_count"][taken] > 255).any()


# What the twin says, beside loops.


def given_once(config, instruction, clocks, ready=2, **more):
    """Inputs that show an instruction, ready from a clock on, until it is taken."""
    inputs = completed(inputs_of(config.ports), {}, clocks)
    put(instruction, inputs, slice(None))
    inputs["even"] = np.arange(clocks) % 2
    for name in ("commands_passes", "room"):
        inputs[name][:] = 1
    inputs["commands_ready"][ready:] = 1
    inputs |= more
    taken = golden.PassNest(config).run(inputs)["commands_takes"].argmax()
    inputs["commands_ready"][taken + 1 :] = 0
    return inputs


@pytest.mark.parametrize("seed", range(16))
def test_the_vectors_are_those_of_loops(seed):
    rng = np.random.default_rng(seed)
    instruction = some_pass(rng, SMALL)
    trace = golden.PassNest(SMALL).run(given_once(SMALL, instruction, 4000))
    expected = list(looped(instruction.loops, instruction.levels, instruction.last_count))
    at = np.flatnonzero(trace["valid"])
    assert len(at) == len(expected)
    later = at + INDEX_DELAY
    assert trace["counters"][later].tolist() == [list(place) for place in expected]
    for name, bits in (("s", 8), ("k", 7)):
        rows = [
            getattr(instruction, name)
            + sum(n * getattr(loop, name) for n, loop in zip(place, instruction.loops))
            for place in expected
        ]
        assert trace[name][later].tolist() == [row % (1 << bits) for row in rows]
    words = [
        instruction.to.flat(5)
        + sum(n * loop.target.flat(5) for n, loop in zip(place, instruction.loops))
        for place in expected
    ]
    found = trace["to_high"][later] * 5 + trace["to_low"][later]
    assert found.tolist() == [word % (5 << 9) for word in words]
    # A vector is its chunk's last one where the next one has another iteration of an outer loop.
    levels = instruction.levels
    outer = [place[:levels] for place in expected]
    assert trace["ends"][at].tolist() == [
        one != other for one, other in zip(outer, [*outer[1:], None])
    ]
    assert np.flatnonzero(trace["last"][at]).tolist() == [len(at) - 1]
    # Nothing waits, so vectors follow each other.
    assert (np.diff(at) == interval(instruction)).all()


def test_the_last_block_has_fewer_lanes():
    loops = (PassLoop(count=2), PassLoop(count=3), PassLoop(), PassLoop(count=2))
    blocks = VectorInstruction(levels=0, loops=loops, lanes=Last(loops=0b1010, lanes=6))
    trace = golden.PassNest(SMALL).run(given_once(SMALL, blocks, 40))
    lanes = trace["lanes"][trace["valid"] == 1]
    assert lanes.tolist() == [255] * 5 + [5] + [255] * 5 + [5]


def test_large_counts_are_counted():
    """Vectors whose number no run comes to."""
    loops = tuple(PassLoop(count=1 << 16) for _ in range(4))
    for level in range(4):
        vast = VectorInstruction(levels=level, loops=loops, last_count=3)
        size, further = chunk(vast, 0)
        assert size == (3 << 16 * (3 - level) if level == 1 else 1 << 16 * (4 - level))
        assert further == (level > 0)
        found, ends = places(vast, np.array([0, (1 << 16) - 1, 1 << 16]))
        assert found[:, 3].tolist() == [0, (1 << 16) - 1, 0] and ends[1, 3] == 1
        assert found[2, 2] == 1


# What happens at a clock


ROWS = VectorInstruction(
    levels=1,
    s=7,
    loops=(PassLoop(count=3, s=2), PassLoop(count=9, s=1), PassLoop(), PassLoop()),
    last_count=2,
    to=Index.of(13, 5),
)


def valid_at(instruction, clocks=60, **more):
    """Clocks of the vectors, the first as 0, and whether hardware and twin agree on all."""
    inputs = given_once(SMALL, instruction, clocks, **more)
    assert compare(hdl.PassNest(SMALL), inputs, golden.PassNest(SMALL), "pysim")
    at = np.flatnonzero(golden.PassNest(SMALL).run(inputs)["valid"])
    return (at - at[0]).tolist(), int(at[0])


def test_a_vector_takes_a_clock_and_that_of_an_update_two():
    assert valid_at(ROWS) == ([0, 1, 2, 3, 4, 5], 3)
    for ready in (2, 3, 4, 5):
        vectors, first = valid_at(replace(ROWS, target=Target.W), ready=ready)
        assert vectors == [0, 2, 4, 6, 8, 10]
        assert first % 2 == 0 and ready < first <= ready + 2


def test_a_chunk_waits_for_others_and_for_room():
    waits = np.ones(60, np.int64)
    waits[3:12] = 0  # from the first vector on
    assert valid_at(ROWS, commands_passes=waits)[0] == [0, 1, 10, 11, 12, 13]
    assert valid_at(ROWS, room=waits)[0] == [0, 1, 2, 3, 4, 5]
    assert valid_at(replace(ROWS, target=Target.OUT), room=waits)[0] == [0, 1, 10, 11, 12, 13]
    update = replace(ROWS, target=Target.W)
    waits[3:13] = 0  # an update begins in the next even clock
    assert valid_at(update, commands_passes=waits)[0] == [0, 2, 10, 12, 14, 16]
    waits[3:14] = 0
    assert valid_at(update, commands_passes=waits)[0] == [0, 2, 12, 14, 16, 18]


@pytest.mark.parametrize("target", [Target.X, Target.W])
def test_two_clocks_are_between_passes(target):
    for count in (1, 2, 5):
        short = VectorInstruction(
            levels=0, target=target, loops=(PassLoop(count=count), *(PassLoop(),) * 3)
        )
        inputs = given_once(SMALL, short, 80)
        inputs["commands_ready"][2:] = 1
        at = np.flatnonzero(golden.PassNest(SMALL).run(inputs)["valid"])
        step = interval(short)
        gaps = np.diff(at) - step
        assert sorted(set(gaps.tolist())) == ([2] if count == 1 else [0, 2])
