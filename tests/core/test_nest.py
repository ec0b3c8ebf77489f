"""The loops of a product, clock for clock: hardware, twin, and loops as a program has them."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from amaranth.back import rtlil
from hypothesis import given, settings
from hypothesis import strategies as st
from loop_places import places
from support import SEEDS

import golden
import hdl
from golden.core.commands import instruction_at, put
from golden.core.field import WORD, decode, words_of
from golden.core.index import Index
from golden.core.isa import ArrayInstruction, Clip, TermLoop, TileLoop
from golden.core.nest import (
    CLIPPED_START,
    PLAIN_START,
    READY_START,
    bounds,
    clocks_of,
    some_product,
)
from golden.port import completed, inputs_of
from gradloom.comparison.compare import compare
from gradloom.sim.toplevel import TopLevel


def agrees(config, clocks, seed, simulator="pysim"):
    twin = golden.ProductNest(config)
    inputs = twin.legal(np.random.default_rng(seed), clocks)
    comparison = compare(hdl.ProductNest(config), inputs, twin, simulator)
    assert comparison, comparison.report()


@settings(max_examples=4, deadline=None)
@given(st.integers(1, 33), st.integers(1, 33), st.integers(1, 19), st.booleans(), SEEDS)
def test_hardware_and_twin_agree(rows, banks, bits, clips, seed):
    config = golden.ProductNestConfig(
        rows=rows, banks=banks, address_bits=bits, row_bits=bits, clips=clips
    )
    agrees(config, 500, seed)


@pytest.mark.long
@pytest.mark.parametrize("clips", [False, True])
def test_the_compiled_simulator_agrees(clips):
    agrees(golden.ProductNestConfig(rows=12, banks=12, clips=clips), 20_000, 3, "cxxrtl")


# What the twin says, beside loops.


def given_once(config, instruction, clocks, odd=False, ready=READY_START):
    """Inputs that show an instruction, ready from a clock on, until it is taken."""
    inputs = completed(inputs_of(config.ports), {}, clocks)
    put(instruction, inputs, slice(None))
    inputs["commands_odd"][:] = odd
    inputs["commands_ready"][ready:] = 1
    inputs["commands_passes"][:] = 1
    taken = golden.ProductNest(config).run(inputs)["commands_takes"].argmax()
    inputs["commands_ready"][taken + 1 :] = 0
    return inputs


def looped(config, instruction, odd):
    """Tile by tile its last loops' indices: of terms, or None for a gap; with the first row."""
    banks = config.banks
    words = banks << config.address_bits
    flat = {"a": instruction.a.flat(banks), "b": instruction.b.flat(banks)}
    if odd:
        flat["a"] += instruction.second.flat(banks)
    for tile in places(instruction.tiles, instruction.levels, instruction.last_count):
        base = {
            name: first
            + sum(n * getattr(loop, name).flat(banks) for n, loop in zip(tile, instruction.tiles))
            for name, first in flat.items()
        }
        terms = [
            tuple(
                (
                    base[name]
                    + sum(
                        n * getattr(loop, name).flat(banks)
                        for n, loop in zip(place, instruction.terms)
                    )
                )
                % words
                for name in "ab"
            )
            for place in product(*(range(*each) for each in bounds(instruction, tile)))
        ]
        s = instruction.s + sum(n * loop.s for n, loop in zip(tile, instruction.tiles))
        yield terms, s % (1 << config.row_bits)


@pytest.mark.parametrize("seed", range(12))
def test_the_terms_are_those_of_loops(seed):
    config = golden.ProductNestConfig(rows=7, banks=5, address_bits=9, clips=True)
    rng = np.random.default_rng(seed)
    instruction = some_product(rng, config)
    odd = bool(seed % 2)
    inputs = given_once(config, instruction, 6000, odd)
    trace = golden.ProductNest(config).run(inputs)
    at = iter(np.flatnonzero(trace["valid"]))
    ended = []
    for terms, s in looped(config, instruction, odd):
        for index in terms or [None]:
            clock = next(at)
            assert trace["s"][clock] == s and trace["gap"][clock] == (index is None)
            found = tuple(trace[f"{n}_high"][clock] * 5 + trace[f"{n}_low"][clock] for n in "ab")
            assert index in (None, found)
            assert trace["last"][clock] == (index is None or index is terms[-1])
        ended.append(clock)
    assert not list(at)
    assert (np.diff(ended) >= 7).all()  # the rows of sums leave one by one


# What happens at a clock


def conv(height, width, channels, taps, pad, banks):
    """A convolution of one sample and one output: places are tiles, taps outside are left out."""
    across = TileLoop(count=width, a=Index.of(channels, banks))
    down = TileLoop(count=height, a=Index.of(width * channels, banks))

    def clip(size, loop):
        return Clip(on=True, low=pad, high=pad + size, slope=1, loop=loop)

    return ArrayInstruction(
        levels=0,
        a=Index.of(-pad * (width + 1) * channels, banks),
        b=Index.of(0, banks),
        tiles=(TileLoop(),) * 4 + (down, across),
        terms=(
            TermLoop(),
            TermLoop(
                count=taps,
                a=Index.of(width * channels, banks),
                b=Index.of(taps * channels, banks),
            ),
            TermLoop(count=taps, a=Index.of(channels, banks), b=Index.of(channels, banks)),
            TermLoop(count=channels, a=Index.of(1, banks), b=Index.of(1, banks)),
        ),
        clips=(clip(height, 4), clip(width, 5)),
    )


def test_taps_outside_of_an_image_are_left_out():
    height, width, channels, taps, pad = 4, 5, 3, 3, 1
    config = golden.ProductNestConfig(rows=1, banks=7, clips=True)
    inputs = given_once(config, conv(height, width, channels, taps, pad, 7), 1200)
    assert compare(hdl.ProductNest(config), inputs, golden.ProductNest(config), "pysim")
    trace = golden.ProductNest(config).run(inputs)
    rng = np.random.default_rng(1)
    x = rng.integers(-9, 9, (height, width, channels))
    w = rng.integers(-9, 9, (taps, taps, channels))
    padded = np.pad(x, ((pad, pad), (pad, pad), (0, 0)))
    expected = [
        (padded[y : y + taps, z : z + taps] * w).sum() for y in range(height) for z in range(width)
    ]
    at = np.flatnonzero(trace["valid"])
    a, b = (trace[f"{name}_high"][at] * 7 + trace[f"{name}_low"][at] for name in "ab")
    ends = np.flatnonzero(trace["last"][at])
    sums = np.add.reduceat(x.ravel()[a] * w.ravel()[b], np.concatenate([[0], ends[:-1] + 1]))
    assert sums.tolist() == expected
    # Only the taps inside are multiplied: rows of 2, 3, 3, 2 taps, columns of 2, 3, 3, 3, 2.
    assert len(at) == (2 + 3 + 3 + 2) * (2 + 3 + 3 + 3 + 2) * channels


def test_last_terms_are_as_far_apart_as_the_array_has_rows():
    plain = ArrayInstruction(terms=(*(TermLoop(),) * 2, TermLoop(count=3), TermLoop(count=4)))
    assert clocks_of(plain, (0,) * 6, 20) == (15, 0)  # as it says itself
    clipped = replace(plain, clips=(Clip(), Clip(on=True, low=1, high=3, slope=1, loop=0)))
    assert clocks_of(clipped, (0,) * 6, 20) == (10, 11)
    assert clocks_of(clipped, (1, 0, 0, 0, 0, 0), 8) == (10, 0)
    assert clocks_of(clipped, (3, 0, 0, 0, 0, 0), 8) == (5, 7)  # a gap


def test_a_clipped_instruction_is_taken_when_its_first_tile_is_known():
    config = golden.ProductNestConfig(rows=1, banks=3)
    clipped = conv(2, 2, 1, 1, 0, 3)
    plain = replace(clipped, clips=(Clip(), Clip()))
    for instruction, first in ((clipped, CLIPPED_START), (plain, PLAIN_START)):
        for ready in (0, READY_START, 90):
            inputs = given_once(config, instruction, 100, ready=ready)
            taken = golden.ProductNest(config).run(inputs)["commands_takes"].argmax()
            # `start` is in the clock before clock 0.
            assert taken == max(first - 1, ready)
            if ready:
                assert compare(hdl.ProductNest(config), inputs, golden.ProductNest(config), "pysim")


def test_a_nest_without_clips_has_nothing_of_them():
    texts = []
    for clips in (False, True):
        top = TopLevel(hdl.ProductNest(golden.ProductNestConfig(clips=clips)))
        texts.append(rtlil.convert(top, ports=top.ports, emit_src=False))
    plain, clipped = ("unit.clips" in text or "gap" in text for text in texts)
    assert clipped and not plain


def test_an_instruction_is_read_as_it_was_put():
    """Words at random, so that no field has the value of another one."""
    config = golden.ProductNestConfig()
    rng = np.random.default_rng(3)
    found = 0
    while found < 20:
        words = rng.integers(0, 1 << WORD, words_of(ArrayInstruction)).tolist()
        try:
            instruction = decode(ArrayInstruction, words)
        except ValueError:  # no such opcode or store
            continue
        found += 1
        inputs = completed(inputs_of(config.ports), {}, 2)
        put(instruction, inputs, slice(1, 2))
        assert instruction_at(ArrayInstruction, inputs, 1) == instruction
