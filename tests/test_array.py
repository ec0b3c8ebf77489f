"""The systolic array against its twin, against matrix products made here, against the clock."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from amaranth.back import rtlil
from hypothesis import given, settings
from hypothesis import strategies as st
from support import SEEDS, Bench, OneByOne, agrees, codes, conversions, formats, generators
from test_fixed import exact_convert
from test_rounder import exact_clipped

import golden
import hdl
from golden.array import ArrayConfig
from golden.fixed import Conversion, Fixed, Rounding
from golden.lfsr import Generator
from golden.macc import MaccConfig
from gradloom.comparison.compare import compare
from gradloom.sim.simulators import simulate
from gradloom.sim.stimulus import random_inputs
from gradloom.sim.toplevel import flatten

TERNARY = MaccConfig(a=Fixed(1, 7), b=Fixed(1, 1), depth=100, ternary=True)
LAST_BITS = (Conversion(fraction=8, target=Fixed(4, 4)),)
SHAPES = [(1, 1), (1, 4), (4, 1), (2, 3), (3, 5), (5, 2), (8, 8)]


@st.composite
def configurations(draw, most=5):
    """Arrays of any shape, raw or rounded, any node, any generator."""
    rows, columns = draw(st.integers(1, most)), draw(st.integers(1, most))
    ternary = draw(st.integers(0, 3)) == 0
    macc = MaccConfig(
        a=draw(formats()),
        b=Fixed(1, 1) if ternary else draw(formats()),
        depth=draw(st.sampled_from([7, 100, 8191] if ternary else [1, 2, 7, 100, 8191])),
        segments=draw(st.integers(1, 4)),
        ternary=ternary,
    )
    multipliers, terms = None, 8192
    if not ternary and draw(st.booleans()):
        multipliers = (draw(st.integers(1, rows)), draw(st.integers(1, columns)))
        # Its sums are no wider than the multipliers'.
        terms = draw(st.integers(1, min(macc.depth << (macc.b.width - 2), 1 << 24)))
    choices = draw(st.just(()) | conversions(macc.width, most=3))
    stochastic = any(choice.rounding is Rounding.STOCHASTIC for choice in choices)
    return ArrayConfig(
        rows=rows,
        columns=columns,
        macc=macc,
        conversions=choices,
        generator=draw(generators(columns)),
        random_port=stochastic and draw(st.booleans()),
        multipliers=multipliers,
        ternary_depth=terms,
        saturated=bool(choices) and draw(st.booleans()),
    )


def array(rows, columns, raw=False, **options):
    if raw:
        options["conversions"] = ()
    return ArrayConfig(rows=rows, columns=columns, **options)


def mixed(rows, columns, block=None, **options):
    """A raw array with multipliers in a block, by default about half of it."""
    return array(
        rows,
        columns,
        raw=True,
        multipliers=block or (-(-rows // 2), -(-columns // 2)),
        ternary_depth=100,
        **{"macc": MaccConfig(a=Fixed(1, 7), b=Fixed(1, 7), depth=500)} | options,
    )


@settings(max_examples=50)
@given(configurations(), SEEDS, st.sampled_from([0, 0.01, 0.05]))
def test_hardware_and_twin_agree(config, seed, resets):
    agrees(hdl.Array(config), golden.Array(config), 200, seed, resets=resets)


@pytest.mark.long
@settings(max_examples=80)
@given(configurations(8), SEEDS, st.sampled_from([0, 0.005]))
def test_hardware_and_twin_agree_on_many_configurations(config, seed, resets):
    agrees(hdl.Array(config), golden.Array(config), 400, seed, resets=resets)


@pytest.mark.parametrize("lasts", [0.02, 0.3, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (4, 3)], ids=str)
def test_tiles_of_every_depth_agree(shape, lasts):
    """Long ones, those shorter than R, and tiles of one operand each."""
    config = array(*shape)
    last = (np.random.default_rng(1).random(500) < lasts).astype(int)
    agrees(hdl.Array(config), golden.Array(config), 500, 2, i_last=last)


def test_the_compiled_simulator_agrees():
    config = array(4, 3, conversions=CHOICES)
    agrees(hdl.Array(config), golden.Array(config), 20000, 3, simulator="cxxrtl", resets=0.001)


@pytest.mark.long
@pytest.mark.parametrize("raw", [False, True], ids=["rounded", "raw"])
def test_an_array_of_32_by_32_agrees(raw):
    config = array(32, 32, raw)
    # Some 40 tiles, many of them shorter than R, and a reset among them.
    last = np.random.default_rng(4).random(900) < 0.05
    rst = np.arange(900) == 600
    agrees(
        hdl.Array(config),
        golden.Array(config),
        900,
        4,
        i_last=last.astype(int),
        rst=rst.astype(int),
    )


# Values

CHOICES = (
    Conversion(fraction=28, target=Fixed(2, 14)),
    Conversion(fraction=28, target=Fixed(6, 10), rounding=Rounding.NEAREST_EVEN),
    Conversion(fraction=28, target=Fixed(8, 4)),  # 24 dropped, more than a draw has
)


def tiles_of(config, depths, seed):
    """Random tiles: their operands for the stream, and their exact products."""
    rng = np.random.default_rng(seed)
    operands, tiles = [], []
    for number, depth in enumerate(depths):
        a = codes(config.macc.a.width, (depth, config.rows), seed + 2 * number)
        b = codes(config.macc.b.width, (depth, config.columns), seed + 2 * number + 1)
        factors = np.where(b == -2, 0, b) if config.macc.ternary else b
        tile = {"product": (a.T @ factors).tolist(), "choice": 0}
        multiply = np.zeros(depth, int)
        if config.multipliers:
            # Tiles of either kind, and such as change on the way.
            multiply = [multiply, multiply + 1, rng.integers(0, 2, depth)][number % 3]
            tile["product"] = mixed_product(config, a.tolist(), b.tolist(), multiply)
        if len(config.conversions) > 1:
            tile["choice"] = int(rng.integers(len(config.conversions)))
        tiles.append(tile)
        for term in range(depth):
            operand = {"a": a[term].tolist(), "b": b[term].tolist(), "last": int(term == depth - 1)}
            if config.multipliers:
                operand["multiply"] = int(multiply[term])
            if len(config.conversions) > 1:
                # Only that of the last operand counts.
                last = operand["last"]
                operand["choice"] = tile["choice"] if last else int(rng.integers(0, 3))
            operands.append(operand)
    return operands, tiles


def mixed_product(config, a, b, multiply):
    """What a mixed array makes of a tile, node by node and term by term."""
    high, wide = config.multipliers
    product = []
    for row in range(config.rows):
        product.append([])
        for column in range(config.columns):
            in_block = row >= config.rows - high and column < wide
            total = 0
            for term, multiplies in enumerate(multiply):
                factor = b[term][column]
                if not multiplies:
                    factor = {0: 0, 1: 1, 2: 0, 3: -1}[factor % 4]
                elif not in_block:
                    factor = 0
                total += a[term][row] * factor
            width = config.macc.width if in_block else config.ternary.width
            half = 1 << (width - 1)
            product[-1].append((total + half) % (2 * half) - half)
    return product


def expected_rows(config, tiles):
    """Rows as they leave: bottom row first, every column rounded with one draw a row."""
    walkers = [OneByOne(config.generator, column) for column in range(config.columns)]
    rows = []
    for tile in tiles:
        for number in reversed(range(config.rows)):
            row = tile["product"][number]
            if config.conversions:
                conversion = config.conversions[tile["choice"]]
                form = conversion.fraction, conversion.target, conversion.rounding
                r = [walker.addend(conversion.dropped) for walker in walkers]
                clipped = [exact_clipped(z, *form, r) for z, r in zip(row, r)]
                row = [exact_convert(z, *form, r) for z, r in zip(row, r)]
            rows.append({"data": row, "last": int(number == 0)})
            if config.saturated:
                rows[-1]["saturated"] = clipped
    return rows


@pytest.mark.parametrize(
    ("gaps", "stalls"),
    [([0], [0]), ([0, 0, 2, 5], [0]), ([0], [0, 3, 0, 0, 11]), ([0, 1], [40, 0, 0, 0, 1])],
    ids=["free", "gaps", "stalls", "both"],
)
@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1), (3, 5), (5, 2)], ids=str)
@pytest.mark.parametrize(
    "kind", ["raw", "stochastic", "choices", "ternary", "ternary, rounded", "mixed"]
)
def test_products_leave_whole_in_order_and_once(shape, kind, gaps, stalls):
    """Mixed depths, tiles shorter than R among them; nothing is lost, repeated or mixed up."""
    conversions = {
        "stochastic": CHOICES[:1],
        "choices": CHOICES,
        "ternary, rounded": (Conversion(fraction=9, target=Fixed(2, 4)),),
    }.get(kind, ())
    macc = MaccConfig()
    if kind.startswith("ternary"):
        macc = MaccConfig(a=Fixed(1, 7), b=Fixed(1, 1), depth=13, ternary=True)
    config = array(*shape, conversions=conversions, macc=macc, generator=Generator(seed=77))
    if kind == "mixed":
        config = mixed(*shape)
    operands, tiles = tiles_of(config, [3, 1, 1, 7, 2, 12, 1, 5, 5], 5)
    expected = expected_rows(config, tiles)
    assert Bench(hdl.Array(config), gaps, stalls).run(operands, len(expected)) == expected


@pytest.mark.parametrize("random_port", [False, True], ids=["own lanes", "random port"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (3, 2)], ids=str)
def test_a_bit_beside_each_code_says_whether_it_is_clipped(shape, random_port):
    """Sums on both sides of both limits, some of which a draw carries over, and stalls."""
    macc = MaccConfig(a=Fixed(2, 4), b=Fixed(2, 4), depth=40)
    choices = (
        Conversion(fraction=8, target=Fixed(2, 3)),
        Conversion(fraction=8, target=Fixed(3, 4), rounding=Rounding.NEAREST_EVEN),
    )
    config = array(*shape, macc=macc, conversions=choices, saturated=True)
    operands, tiles = tiles_of(config, [1, 2, 3, 1] * 12, 20)
    expected = expected_rows(config, tiles)
    bits = {bit for row in expected for bit in row["saturated"]}
    assert bits == {0, 1}
    limits = [
        (code, bit)
        for row in expected
        for code, bit in zip(row["data"], row["saturated"])
        if code in (-16, 15, -64, 63)
    ]
    assert {bit for _, bit in limits} == {0, 1} or shape == (1, 1)
    assert Bench(hdl.Array(config), [0, 0, 1], [0, 2]).run(operands, len(expected)) == expected
    if random_port:
        config = replace(config, random_port=True)
        agrees(hdl.Array(config), golden.Array(config), 400, 21)


def test_without_rounders_nothing_saturates():
    with pytest.raises(ValueError, match="saturated: a raw drain has no rounders"):
        array(2, 2, raw=True, saturated=True)
    off, on = array(2, 3), array(2, 3, saturated=True)
    assert [port for port in on.ports if port.name != "o_saturated"] == list(off.ports)
    assert (on.latency, on.buffer) == (off.latency, off.buffer)
    assert "clipped" in rtlil.convert(hdl.Array(on))
    assert "clipped" not in rtlil.convert(hdl.Array(off))


@pytest.mark.parametrize("block", [None, (2, 1), (3, 2), (1, 2), (3, 1)], ids=str)
@pytest.mark.parametrize("segments", [1, 2, 3, 4])
def test_every_cut_of_the_accumulator_gives_the_same_products(segments, block):
    macc = MaccConfig(segments=segments)
    config = array(3, 2, raw=True, macc=macc, multipliers=block, ternary_depth=9)
    operands, tiles = tiles_of(config, [4, 3, 2, 9], 6)
    expected = expected_rows(config, tiles)
    assert Bench(hdl.Array(config)).run(operands, len(expected)) == expected


@pytest.mark.parametrize("factor", [-1, 1])
@pytest.mark.parametrize("top", [-127, 127])
def test_every_node_of_a_mixed_array_holds_the_longest_sums(top, factor):
    """Ternary sums at their bound in all nodes, products at theirs in the block, one after the
    other; a term more wraps where the accumulator is a ternary one, and nowhere else.
    """
    config = mixed(3, 3, (2, 2), macc=MaccConfig(a=Fixed(1, 7), b=Fixed(1, 7), depth=64))
    config = replace(config, ternary_depth=33)
    limit = 1 << (config.ternary.width - 1)
    assert limit // 2 <= 33 * 127 < limit
    over = -(-limit // 127)

    def operand(a, b, multiply, last):
        return {"a": [a] * 3, "b": [b] * 3, "multiply": multiply, "last": int(last)}

    operands = [operand(top, factor, 0, term == 32) for term in range(33)]
    operands += [operand(-128, -128, 1, term == 63) for term in range(64)]
    operands += [operand(top, factor, 0, term == over - 1) for term in range(over)]
    rows = Bench(hdl.Array(config)).run(operands, 9)
    sum_, wrapped = over * top * factor, over * top * factor % (2 * limit)
    wrapped -= 2 * limit if wrapped >= limit else 0
    assert wrapped != sum_
    assert [row["data"] for row in rows] == [
        *[[33 * top * factor] * 3] * 3,
        *[[64 << 14, 64 << 14, 0]] * 2,
        [0, 0, 0],
        *[[sum_, sum_, wrapped]] * 2,
        [wrapped] * 3,
    ]


def test_operands_of_a_mixed_array_at_their_ends():
    """Every code of b as a ternary one; -128 in both modes."""
    config = mixed(2, 2, (1, 1))
    for code in range(-128, 128):
        ternary = {0: 0, 1: 1, 2: 0, 3: -1}[code % 4]
        operands = [
            {"a": [-128, 99], "b": [code, code], "multiply": multiply, "last": 1}
            for multiply in (0, 1)
        ]
        rows = [row["data"] for row in twin_rows(config, operands)]
        assert rows[:2] == [[99 * ternary] * 2, [-128 * ternary] * 2]
        assert rows[2:] == [[99 * code, 0], [0, 0]]


def test_longer_tiles_than_the_accumulator_holds_wrap():
    macc = MaccConfig(a=Fixed(2, 1), b=Fixed(2, 1), depth=3)
    config = array(2, 2, raw=True, macc=macc)
    width = macc.width
    operands, tiles = tiles_of(config, [50, 3], 7)
    for operand in operands[:50]:
        operand["a"], operand["b"] = [-4, -4], [-4, 3]
    tiles[0]["product"] = [[50 * 16, 50 * -12]] * 2
    assert 1 << width <= 50 * 16
    for tile in tiles:
        half = 1 << (width - 1)
        tile["product"] = [[(z + half) % (2 * half) - half for z in row] for row in tile["product"]]
    expected = expected_rows(config, tiles)
    assert Bench(hdl.Array(config)).run(operands, len(expected)) == expected


def test_sums_that_leave_the_exact_range_of_a_float_stay_exact():
    """62-bit sums, in the twin and in the hardware."""
    macc = MaccConfig(a=Fixed(1, 23), b=Fixed(1, 23), depth=1 << 14, segments=4)
    config = array(2, 2, raw=True, macc=macc)
    assert macc.width == 62
    clocks = 300
    inputs = {"i_valid": np.ones(clocks, int), "o_ready": np.ones(clocks, int)}
    inputs["i_last"] = (np.arange(clocks) == 255).astype(int)
    inputs["i_a"] = np.full((clocks, 2), macc.a.minimum)
    inputs["i_b"] = np.full((clocks, 2), macc.b.minimum)
    inputs["i_a"][0] += 1
    inputs["i_b"][0] += 1
    comparison = compare(hdl.Array(config), inputs, golden.Array(config))
    assert comparison, comparison.report()
    sums = golden.Array(config).run(inputs)["o_data"]
    assert sums.max() == (256 << 46) - (1 << 24) + 1  # odd, and over 2^53


@settings(max_examples=30)
@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.lists(st.integers(1, 9), min_size=1, max_size=6),
    st.sampled_from([array, partial(array, raw=True), mixed]),
    SEEDS,
)
def test_the_twins_values_are_products_made_here(rows, columns, depths, made, seed):
    config = made(rows, columns)
    operands, tiles = tiles_of(config, depths, seed)
    expected = expected_rows(config, tiles)
    trace = twin_trace(config, operands)
    shown = trace["o_valid"] == 1
    assert trace["o_data"][shown].tolist() == [row["data"] for row in expected]
    assert trace["o_last"][shown].tolist() == [row["last"] for row in expected]
    assert not trace["o_data"][~shown].any()


def twin_rows(config, operands):
    """The rows that the twin gives."""
    trace = twin_trace(config, operands)
    shown = trace["o_valid"] == 1
    return [{"data": row.tolist()} for row in trace["o_data"][shown]]


def twin_trace(config, operands):
    """The twin on operands offered one after the other and taken; a refused one waits."""
    spare = config.rows * (len(operands) + 2) + config.latency
    waits, since = [], config.rows
    for operand in operands:
        wait = max(config.rows - since - 1, 0) if operand["last"] else 0
        waits.append(wait)
        since = 0 if operand["last"] else since + 1 + wait
    order = np.repeat(np.arange(len(operands)), np.array(waits) + 1)
    inputs = {
        "i_valid": np.append(np.ones(len(order), int), np.zeros(spare, int)),
        "o_ready": np.ones(len(order) + spare, int),
    }
    for name in operands[0]:
        values = np.array([operand[name] for operand in operands])[order]
        padding = np.zeros((spare, *values.shape[1:]), int)
        inputs[f"i_{name}"] = np.concatenate([values, padding])
    return golden.Array(config).run(inputs)


# Time


@pytest.mark.parametrize("kind", ["rounded", "raw", "ternary", "mixed"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_back_to_back_tiles_leave_no_bubble(shape, kind):
    """T tiles take the documented clocks, and no more than the shape must cost."""
    rows, columns = shape
    config = array(*shape, raw=kind == "raw")
    if kind == "ternary":
        config = array(*shape, raw=True, macc=TERNARY)
    if kind == "mixed":
        config = mixed(*shape)
    for tiles, depth in ((1, 1), (4, rows), (3, rows + 3), (5, max(rows - 2, 1))):
        operands, products = tiles_of(config, [depth] * tiles, 8)
        bench = Bench(hdl.Array(config))
        assert bench.run(operands, tiles * rows) == expected_rows(config, products)
        taken = bench.left[-1] - bench.accepted[0] + 1
        assert taken == config.clocks(tiles, depth)
        if depth >= rows:
            assert bench.accepted == list(range(tiles * depth))
            assert taken <= tiles * depth + 2 * rows + columns + 16
        else:
            assert taken <= (tiles - 1) * rows + depth + 2 * rows + columns + 16


@pytest.mark.parametrize("segments", [1, 2, 3, 4])
@pytest.mark.parametrize("ternary", [False, True], ids=["products", "ternary"])
@pytest.mark.parametrize("raw", [False, True], ids=["rounded", "raw"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (3, 2)], ids=str)
def test_the_first_row_shows_at_the_documented_latency_and_a_row_a_clock(
    shape, raw, ternary, segments
):
    macc = replace(TERNARY if ternary else MaccConfig(), segments=segments)
    config = array(*shape, raw, macc=macc, conversions=() if raw else LAST_BITS)
    for depth in (1, 6):
        operands, _ = tiles_of(config, [depth], 9)
        bench = Bench(hdl.Array(config), gaps=[2])
        bench.run(operands, config.rows)
        first = bench.accepted[-1] + config.latency
        assert bench.left == list(range(first, first + config.rows))


def test_multipliers_are_busy_at_99_of_100_clocks():
    """Operands are ones, so that a sum counts the clocks in which its multiplier had operands."""
    tiles, depth = 100, 256
    config = array(8, 8, raw=True)
    clocks = config.clocks(tiles, depth)
    unit = hdl.Array(config)
    inputs = random_inputs(flatten(unit), clocks, 0)
    for name in ("i_a", "i_b", "i_valid", "o_ready"):
        inputs[name][:] = 1
    inputs["i_last"] = (np.arange(clocks) % depth == depth - 1).astype(int)
    inputs["rst"][:] = 0
    inputs["i_valid"][tiles * depth :] = 0
    outputs = simulate(unit, inputs, "cxxrtl")
    shown = outputs["o_valid"] != 0
    assert np.flatnonzero(shown)[-1] == clocks - 1
    busy = outputs["o_data"][shown].reshape(tiles, 8, 8).sum(axis=0)
    assert (busy == tiles * depth).all()
    assert busy.min() / clocks >= 0.99


@pytest.mark.parametrize("raw", [False, True], ids=["rounded", "raw"])
def test_a_tiles_first_row_is_a_fixed_number_of_clocks_behind_gupta(raw):
    """His first result is readable after k + 2n - 2 clocks (section 5); pipelines come on top."""
    for n, k in ((1, 1), (2, 5), (4, 4), (8, 9)):
        config = array(n, n, raw)
        operands, _ = tiles_of(config, [k], 3)
        bench = Bench(hdl.Array(config))
        bench.run(operands, n)
        assert bench.left[0] + 1 - (k + 2 * n - 2) == (11 if raw else 16)


@pytest.mark.parametrize(("tiles", "depth"), [(3, 784), (2, 32), (4, 7), (5, 1)])
def test_an_array_of_32_by_32_takes_the_documented_clocks(tiles, depth):
    config = array(32, 32)
    operands, _ = tiles_of(config, [depth] * tiles, 10)
    shown = np.flatnonzero(twin_trace(config, operands)["o_valid"])
    assert len(shown) == 32 * tiles
    assert shown[-1] + 1 == config.clocks(tiles, depth)
    fill = 2 * 32 + 32 + 16
    if depth >= 32:
        assert config.clocks(tiles, depth) <= tiles * depth + fill
    else:
        assert config.clocks(tiles, depth) <= (tiles - 1) * 32 + depth + fill


@given(configurations(most=255), st.integers(1, 9), st.integers(1, 2000))
def test_no_configuration_takes_more_than_its_shape_costs(config, tiles, depth):
    fill = 2 * config.rows + config.columns + 16
    if depth >= config.rows:
        assert config.clocks(tiles, depth) <= tiles * depth + fill
    else:
        assert config.clocks(tiles, depth) <= (tiles - 1) * config.rows + depth + fill


def test_a_last_operand_that_comes_early_is_withheld_and_nothing_else_is():
    config = array(4, 2)
    operands, _ = tiles_of(config, [1, 1, 2, 3, 4, 9, 1], 11)
    bench = Bench(hdl.Array(config))
    bench.run(operands, 4 * 7)
    lasts = [clock for clock, operand in zip(bench.accepted, operands) if operand["last"]]
    # At least R clocks apart; those of depth R and more come as soon as they can.
    assert lasts == [0, 4, 8, 12, 16, 25, 29]
    waited = [b - a - 1 for a, b in zip(bench.accepted, bench.accepted[1:])]
    assert all(wait == 0 or operand["last"] for wait, operand in zip(waited, operands[1:]))


def test_back_pressure_withholds_only_last_operands():
    config = array(3, 2)
    operands, tiles = tiles_of(config, [6] * 40, 12)
    bench = Bench(hdl.Array(config), stalls=[180, 0, 1])
    assert bench.run(operands, 3 * 40) == expected_rows(config, tiles)
    waits = np.diff(bench.accepted) - 1
    last = np.array([operand["last"] for operand in operands[1:]])
    assert waits[last == 1].max() > 0
    assert not waits[last == 0].any()
    # While nothing is taken, just the tiles get in whose rows have a place.
    held = sum(operand["last"] for operand, clock in zip(operands, bench.accepted) if clock < 180)
    assert held == config.buffer // config.rows


def test_a_gap_is_no_operand():
    """Whatever is on the port without valid, `last` among it."""
    config = array(3, 2)
    unit = hdl.Array(config)
    inputs = random_inputs(flatten(unit), 400, 13)
    inputs["i_valid"] = np.arange(400) % 3 == 0
    inputs["i_last"] = np.where(inputs["i_valid"], inputs["i_last"], 1)
    inputs["i_valid"] = inputs["i_valid"].astype(int)
    comparison = compare(unit, inputs, golden.Array(config))
    assert comparison, comparison.report()


def test_every_lane_leaps_once_a_row_of_a_rounded_tile():
    """Zeros and choices to nearest included: what follows is rounded as if they had drawn."""
    config = array(2, 2, conversions=CHOICES)
    zeros = {"a": [0, 0], "b": [0, 0], "last": 1}
    value = {"a": [12345, -321], "b": [777, 30001], "last": 1, "choice": 0}
    results = []
    for choice in range(3):
        operands = [{**zeros, "choice": choice}, value]
        results.append(Bench(hdl.Array(config)).run(operands, 4)[2:])
    assert results[0] == results[1] == results[2]
    walkers = [OneByOne(config.generator, column) for column in range(2)]
    for walker in walkers:
        walker.walk(2 * config.generator.leap)
    product = np.outer(value["a"], value["b"])[::-1]
    for row, result in zip(product.tolist(), results[0]):
        r = [walker.addend(14) for walker in walkers]
        expected = [
            exact_convert(z, 28, Fixed(2, 14), Rounding.STOCHASTIC, r) for z, r in zip(row, r)
        ]
        assert result["data"] == expected


def test_a_raw_drain_has_no_generator():
    assert "lfsr" in rtlil.convert(hdl.Array(array(2, 2)))
    assert "lfsr" not in rtlil.convert(hdl.Array(array(2, 2, raw=True)))
    near = Generator(bits=8, leap=4, draw=4)
    array(2, 9, raw=True, generator=near)
    with pytest.raises(ValueError, match="9 lanes of a generator of 8 bits"):
        array(2, 9, generator=near)


@settings(max_examples=25)
@given(st.integers(0, 60), SEEDS)
def test_a_reset_at_any_clock_starts_again(clock, seed):
    config = array(3, 2, conversions=CHOICES)
    rst = (np.arange(160) == clock).astype(int)
    agrees(hdl.Array(config), golden.Array(config), 160, seed, rst=rst)
