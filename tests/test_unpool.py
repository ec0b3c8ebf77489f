"""The way back through max-pooling: sums against loops, hardware against twin, training."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutated import Mutant, mutated
from support import SEEDS, Bench, agrees
from test_pool import RECIPES, SHAPES, recorded

import golden
import hdl
import hdl.saturate
import hdl.unpool
from golden.pool import window_places
from golden.training.layers.network import Window
from golden.training.layers.windows import max_pool, unpool
from golden.unpool import covering_windows
from gradloom import UNITS, compare, usual_inputs
from gradloom.train.replay import unit_replays


def operands(places):
    """Places as lists of windows: (errors, numbers of the maxima, number, there)."""
    return [
        {"data": data, "index": index, "number": number, "there": there}
        | {"last": int(n == len(windows) - 1)}
        for windows in places
        for n, (data, index, number, there) in enumerate(windows)
    ]


def added(windows, limit=None):
    """The errors of a place, lane by lane."""
    sums = [0] * len(windows[0][0])
    for data, index, number, there in windows:
        for lane, error in enumerate(data):
            sums[lane] += error if there and index[lane] == number else 0
    if limit is not None:
        sums = [max(-limit - 1, min(limit, value)) for value in sums]
    return {"data": sums}


def random_places(seed, sizes, lanes, width):
    """Places in so many windows; numbers of maxima are few, so that many are hit."""
    rng = np.random.default_rng(seed)
    low = -1 << (width - 1)
    for size in sizes:
        data = rng.integers(low, -low, (size, lanes)) >> rng.integers(0, width, (size, lanes))
        data[rng.random((size, lanes)) < 0.2] = low
        yield [
            (row, index, int(number), int(there))
            for row, index, number, there in zip(
                data.tolist(),
                rng.integers(4, 6, (size, lanes)).tolist(),
                rng.integers(4, 6, size),
                rng.random(size) < 0.8,
            )
        ]


# Hardware


@st.composite
def configs(draw):
    most = draw(st.integers(1, 40))
    bits = (most - 1).bit_length()
    return golden.UnpoolConfig(
        width=draw(st.integers(2, 62 - bits)),
        most_places=draw(st.integers(2, 40)),
        most_windows=most,
        saturate=draw(st.booleans()),
        lanes=draw(st.integers(1, 5)),
    )


@settings(max_examples=60)
@given(configs(), SEEDS)
def test_hardware_and_twin_agree(config, seed):
    agrees(hdl.Unpool(config), golden.Unpool(config), 250, seed)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"saturate": True, "lanes": 3},
        {"width": 2, "most_places": 2, "most_windows": 1, "saturate": True},
        {"width": 60, "most_windows": 3},
    ],
)
def test_they_agree_on_the_default_stimulus(config):
    config = golden.UnpoolConfig(**config)
    inputs = usual_inputs(UNITS["unpool"], config, 3000, 2)
    comparison = compare(hdl.Unpool(config), inputs, golden.Unpool(config), "pysim")
    assert comparison, comparison.report()


@pytest.mark.long
def test_the_compiled_simulator_agrees_on_large_windows():
    config = golden.UnpoolConfig(most_places=1024, most_windows=1024, lanes=2, saturate=True)
    inputs = usual_inputs(UNITS["unpool"], config, 40_000, 2)
    assert compare(hdl.Unpool(config), inputs, golden.Unpool(config), "cxxrtl")


@settings(max_examples=20)
@given(st.integers(0, 60), st.booleans(), SEEDS)
def test_a_reset_at_any_clock_starts_again(clock, saturate, seed):
    config = golden.UnpoolConfig(lanes=2, saturate=saturate)
    rst = (np.arange(160) == clock).astype(int)
    agrees(hdl.Unpool(config), golden.Unpool(config), 160, seed, rst=rst)


@pytest.mark.parametrize("saturate", [False, True], ids=["exact", "saturated"])
@pytest.mark.parametrize(
    ("gaps", "stalls"),
    [([0], [0]), ([0, 2, 0, 1], [0]), ([0], [0, 8, 1]), ([1, 0, 0], [40, 0])],
    ids=["free", "gaps", "stalls", "both"],
)
def test_every_place_gets_its_own_errors(saturate, gaps, stalls):
    sizes = [4, 4, 2, 1, 1, 1, 3, *[1] * 20, 4]
    config = golden.UnpoolConfig(width=8, lanes=3, saturate=saturate)
    places = list(random_places(5, sizes, 3, 8))
    bench = Bench(hdl.Unpool(config), gaps, stalls)
    given = operands(places)
    limit = 127 if saturate else None
    assert bench.run(given, len(sizes)) == [added(windows, limit) for windows in places]
    lasts = [clock for clock, operand in zip(bench.accepted, given) if operand["last"]]
    if stalls == [0]:
        assert bench.left == [clock + config.latency for clock in lasts]
    if gaps == stalls == [0]:
        assert bench.accepted == list(range(len(given)))
    if gaps == [0]:  # only a last window ever waits
        waits = np.diff(bench.accepted) - 1
        assert not any(w and not operand["last"] for w, operand in zip(waits, given[1:]))


def results(config, places):
    return Bench(hdl.Unpool(config)).run(operands(places), len(places))


@pytest.mark.parametrize(
    ("errors", "exact", "saturated"),
    [
        ([127], 127, 127),
        ([-128], -128, -128),
        ([127, 1], 128, 127),
        ([-128, -1], -129, -128),
        ([100, 100, -73], 127, 127),  # in range, though the first two are not
        ([-100, -100, 72], -128, -128),
        ([127] * 4, 508, 127),
        ([-128] * 4, -512, -128),
        ([127, -128, 127, -128], -2, -2),
    ],
)
def test_errors_meet(errors, exact, saturated):
    place = [([error], [number], number, 1) for number, error in enumerate(errors)]
    for saturate, wanted in ((False, exact), (True, saturated)):
        config = golden.UnpoolConfig(width=8, saturate=saturate)
        assert results(config, [place, place]) == [{"data": [wanted]}] * 2


def test_only_the_place_of_the_maximum_gets_an_error():
    config = golden.UnpoolConfig(width=8)
    for number in range(16):
        windows = [([7], [index], number, 1) for index in range(16) if index != number]
        assert results(config, [[*windows, ([5], [number], number, 1)]]) == [{"data": [5]}]


def test_a_place_without_windows_gets_nothing():
    config = golden.UnpoolConfig(width=8)
    before, none = [([9], [3], 3, 1)], [([9], [3], 3, 0)]
    assert results(config, [before, none, before]) == [{"data": [n]} for n in (9, 0, 9)]


def test_more_errors_than_allowed_are_added_modulo_a_power_of_two():
    config = golden.UnpoolConfig(width=8, most_windows=2)
    place = [([127], [0], 0, 1)] * 3
    assert results(config, [place]) == [{"data": [3 * 127 - 512]}]


# The default stimulus


def test_the_stimulus_has_what_it_is_about():
    config = golden.UnpoolConfig(width=6, saturate=True)
    inputs = usual_inputs(UNITS["unpool"], config, 6000, 1)
    outputs = golden.Unpool(config).run(inputs)
    taken = (inputs["i_valid"] & outputs["i_ready"]) == 1
    hit = (inputs["i_there"] == 1) & (inputs["i_index"][:, 0] == inputs["i_number"])
    places, place = [], []
    for clock in range(len(taken)):
        if taken[clock]:
            place += [int(inputs["i_data"][clock, 0])] * int(hit[clock])
            if inputs["i_last"][clock]:
                places.append(place)
                place = []
        if inputs["rst"][clock]:
            place = []
    sums = {sum(place) for place in places if len(place) > 1}
    assert {-33, -32, 31, 32, -128, 124} <= sums  # both sides of both limits, and the farthest
    assert [31, 31, -32] in places and [] in places
    differs = inputs["i_index"][:, 0] ^ inputs["i_number"]
    assert {1, 2, 4, 8} <= set(differs[taken & (inputs["i_there"] == 1)].tolist())


# From windows to places


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_windows_of_a_place_are_those_that_have_it(shape):
    height, width, *_ = shape
    places = window_places(*shape)
    windows, numbers = covering_windows(places, height * width)
    for place, (of, number) in enumerate(zip(windows.tolist(), numbers.tolist())):
        found = [pair for pair in zip(of, number) if pair[0] >= 0]
        assert found == [tuple(pair) for pair in np.argwhere(places == place).tolist()]
        assert of[len(found) :] == number[len(found) :] == [-1] * (len(of) - len(found))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[0, 1]], 0), "count = 0: "),
        (([0, 1], 2), "places of (2,): windows and the places of each are wanted"),
        (([[0, 2]], 2), "places: allowed are -1 to 1"),
        (([[-2, 0]], 2), "places: allowed are -1 to 1"),
    ],
)
def test_places_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError) as caught:
        covering_windows(*arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_errors_go_back_as_in_training(shape):
    height, width, size, stride, padding = shape
    window = Window(height=size[0], width=size[1], stride=stride, padding=padding)
    rng = np.random.default_rng(7)
    image = rng.integers(-3, 4, (1, height, width, 3))
    _, first = max_pool(image, window)
    errors = rng.integers(-128, 128, first.shape)
    windows, numbers = covering_windows(window_places(*shape), height * width)
    data, index = errors.reshape(-1, 3).tolist(), first.reshape(-1, 3).tolist()
    places = [
        [(data[w], index[w], max(number, 0), int(w >= 0)) for w, number in zip(*place)]
        for place in zip(windows.tolist(), numbers.tolist())
    ]
    config = golden.UnpoolConfig(width=8, lanes=3, most_windows=window.overlap)
    wanted = unpool(errors, first, window, (height, width, 3)).reshape(-1, 3).tolist()
    assert [result["data"] for result in results(config, places)] == wanted


# Training


@pytest.mark.parametrize("name", RECIPES)
def test_a_recorded_step_goes_through_the_hardware(name):
    trainer, record = recorded(name)
    parts = {part.title: part for part in unit_replays(trainer, record)}
    replay, gupta = parts["unpool"], name.startswith("gupta")
    overlaps = "p1" in trainer.recipe.network
    config = replay.config
    assert (config.most_windows, config.saturate) == (4 if overlaps else 1, gupta and overlaps)
    assert config.width == 16 or not config.saturate
    outputs = golden.Unpool(config).run(replay.inputs)
    assert replay.results > 500 and replay.differences(outputs) == 0
    assert outputs["o_data"].any() and outputs["i_ready"].all()  # one window per clock
    exact = replace(config, saturate=False)
    sums = golden.Unpool(exact).run(replay.inputs)["o_data"]
    limits = sums.min() < -(1 << 15), sums.max() >= 1 << 15
    assert limits == ((name == "gupta, large errors"),) * 2
    comparison = compare(hdl.Unpool(config), replay.inputs, golden.Unpool(config))
    assert comparison, comparison.report()


# Gates that are broken


@pytest.mark.parametrize("saturate", [False, True], ids=["exact", "saturated"])
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("operand.there & (", "("),
        ("operand.index[lane] == operand.number", "operand.index[lane] <= operand.number"),
        ("operand.index[lane] == operand.number", "operand.index[lane][1:] == operand.number[1:]"),
        ("Mux(here, operand.data[lane], 0)", "Mux(here, operand.data[lane].as_unsigned(), 0)"),
        ("Mux(begins, 0, total) + term", "total + term"),
        ("Mux(begins, 0, total) + term", "Mux(begins, 0, total) | term"),
        ("begins.eq(last)", "begins.eq(1)"),
        ("Signal(init=1)", "Signal(init=1, reset_less=True)"),
        (
            "with m.If(valid):\n                m.d.sync += total",
            "if 1:\n                m.d.sync += total",
        ),
    ],
)
def test_broken_gates_are_found(right, wrong, saturate):
    broken = mutated(hdl.unpool, (right, wrong))
    config = golden.UnpoolConfig(width=8, saturate=saturate)
    inputs = usual_inputs(UNITS["unpool"], config, 3000, 1)
    assert not compare(broken.Unpool(config), inputs, golden.Unpool(config), "pysim")


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("above.any() & ~above.all()", "above[:2].any() & ~above[:2].all()"),
        ("above.any() & ~above.all()", "above[1:].any() & ~above[1:].all()"),
        ("value[-1], lowest, ", "value[-1], lowest + 1, "),
        ("~lowest)", "~lowest - 1)"),
        ("Mux(above.any() & ~above.all(), limit, value[:width])", "value[:width]"),
    ],
)
def test_broken_limits_are_found(right, wrong):
    config = golden.UnpoolConfig(width=8, saturate=True)
    broken = Mutant("", "Unpool", ((right, wrong),), config, hdl.saturate).component()
    inputs = usual_inputs(UNITS["unpool"], config, 3000, 1)
    assert not compare(broken, inputs, golden.Unpool(config), "pysim")
