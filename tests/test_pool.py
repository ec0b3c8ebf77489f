"""Max-pooling: windows against loops, hardware against twin, and a step of training through it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutated import mutated
from support import SEEDS, Bench, agrees, codes

import golden
import hdl
import hdl.pool
from golden.datasets import digits
from golden.pool import window_places
from golden.training import Formats, GuptaRecipe, WageRecipe, new_trainer
from golden.training.layers.network import Window
from golden.training.layers.windows import max_pool
from gradloom import UNITS, compare, usual_inputs
from gradloom.train.replay import unit_replays


def pooled(places):
    """The result of a window: its places as (values of the lanes, there)."""
    there = [n for n, (_, is_there) in enumerate(places) if is_there]
    lanes = range(len(places[0][0]))
    best = [max((places[n][0][lane] for n in there), default=0) for lane in lanes]
    index = [next((n for n in there if places[n][0][lane] == best[lane]), 0) for lane in lanes]
    return {"data": best, "index": index, "there": int(bool(there))}


def operands(windows):
    return [
        {"data": values, "there": there, "last": int(n == len(window) - 1)}
        for window in windows
        for n, (values, there) in enumerate(window)
    ]


def random_windows(seed, sizes, lanes, width, padding=0.3):
    """Windows of few different values, so that there are ties."""
    rng = np.random.default_rng(seed)
    for size in sizes:
        few = codes(width, 3, int(rng.integers(1 << 30)))
        values = few[rng.integers(0, 3, (size, lanes))].tolist()
        yield [(row, int(rng.random() >= padding)) for row in values]


# Hardware


@settings(max_examples=60)
@given(st.integers(2, 62), st.integers(2, 40), st.integers(1, 5), SEEDS)
def test_hardware_and_twin_agree(width, places, lanes, seed):
    config = golden.PoolConfig(width=width, most_places=places, lanes=lanes)
    agrees(hdl.Pool(config), golden.Pool(config), 250, seed)


@pytest.mark.parametrize("config", [{}, {"width": 2, "most_places": 2, "lanes": 3}, {"width": 62}])
def test_they_agree_on_the_default_stimulus(config):
    config = golden.PoolConfig(**config)
    inputs = usual_inputs(UNITS["pool"], config, 3000, 2)
    comparison = compare(hdl.Pool(config), inputs, golden.Pool(config), "pysim")
    assert comparison, comparison.report()


@pytest.mark.long
def test_the_compiled_simulator_agrees_on_large_windows():
    config = golden.PoolConfig(most_places=1024, lanes=2)
    inputs = usual_inputs(UNITS["pool"], config, 40_000, 2)
    assert compare(hdl.Pool(config), inputs, golden.Pool(config), "cxxrtl")


@settings(max_examples=20)
@given(st.integers(0, 60), SEEDS)
def test_a_reset_at_any_clock_starts_again(clock, seed):
    config = golden.PoolConfig(lanes=2)
    rst = (np.arange(160) == clock).astype(int)
    agrees(hdl.Pool(config), golden.Pool(config), 160, seed, rst=rst)


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize(
    ("gaps", "stalls"),
    [([0], [0]), ([0, 2, 0, 1], [0]), ([0], [0, 8, 1]), ([1, 0, 0], [40, 0])],
    ids=["free", "gaps", "stalls", "both"],
)
def test_every_window_gets_its_own_maximum(lanes, gaps, stalls):
    sizes = [9, 4, 4, 1, 1, 1, 2, 6, *[1] * 20, 3]
    config = golden.PoolConfig(width=8, lanes=lanes)
    windows = list(random_windows(lanes, sizes, lanes, 8))
    bench = Bench(hdl.Pool(config), gaps, stalls)
    given = operands(windows)
    assert bench.run(given, len(sizes)) == [pooled(window) for window in windows]
    lasts = [clock for clock, operand in zip(bench.accepted, given) if operand["last"]]
    if stalls == [0]:
        assert bench.left == [clock + config.latency for clock in lasts]
    if gaps == stalls == [0]:
        assert bench.accepted == list(range(len(given)))
    if gaps == [0]:  # only a last place ever waits
        waits = np.diff(bench.accepted) - 1
        assert not any(w and not operand["last"] for w, operand in zip(waits, given[1:]))


def results(config, windows):
    return Bench(hdl.Pool(config)).run(operands(windows), len(windows))


LOW, HIGH = -128, 127


@pytest.mark.parametrize(
    ("window", "best", "index"),
    [
        ([(5, 1), (7, 1), (7, 1)], 7, 1),  # of equal ones the first
        ([(5, 1), (5, 1), (5, 1)], 5, 0),
        ([(-7, 1), (-6, 1), (-9, 1)], -6, 1),  # all negative
        ([(HIGH, 0), (LOW, 1), (HIGH, 0)], LOW, 1),  # padding, but for the lowest code
        ([(HIGH, 0), (LOW, 1), (LOW, 1)], LOW, 1),
        ([(0, 0), (0, 0), (-1, 1)], -1, 2),
        ([(LOW, 1), (HIGH, 1), (0, 1)], HIGH, 1),
        ([(HIGH, 1), (HIGH, 1), (LOW, 1)], HIGH, 0),
    ],
)
def test_windows(window, best, index):
    window = [([value], there) for value, there in window]
    # Behind a window of higher values, which leaves nothing.
    before = [([HIGH], 1), ([HIGH], 1)]
    config = golden.PoolConfig(width=8)
    assert results(config, [before, window])[1] == {"data": [best], "index": [index], "there": 1}


def test_a_window_of_padding_gives_nothing():
    config = golden.PoolConfig(width=8)
    before, padding = [([0], 1), ([HIGH], 1)], [([HIGH], 0)] * 3
    after = [([1], 0), ([LOW], 1)]
    assert results(config, [before, padding, after])[1:] == [
        {"data": [0], "index": [0], "there": 0},
        {"data": [LOW], "index": [1], "there": 1},
    ]


def test_a_larger_window_is_counted_modulo_a_power_of_two():
    config = golden.PoolConfig(most_places=9)
    for size, index in ((9, 8), (16, 15), (17, 0), (20, 3)):
        window = [([int(n == size - 1)], 1) for n in range(size)]
        assert results(config, [window])[0] == {"data": [1], "index": [index], "there": 1}


# The default stimulus


def test_the_stimulus_has_what_pooling_is_about():
    config = golden.PoolConfig(width=6, most_places=9)
    inputs = usual_inputs(UNITS["pool"], config, 6000, 1)
    outputs = golden.Pool(config).run(inputs)
    taken = (inputs["i_valid"] & outputs["i_ready"]) == 1
    there, last, data = (inputs[f"i_{name}"] for name in ("there", "last", "data"))
    windows, window = [], []
    for clock in range(len(taken)):
        if taken[clock]:
            window.append((int(data[clock, 0]), int(there[clock])))
            if last[clock]:
                windows.append(window)
                window = []
        if inputs["rst"][clock]:
            window = []
    seen = [[value for value, is_there in window if is_there] for window in windows]
    assert any(len(s) > 1 and s.count(max(s)) > 1 for s in seen)  # a tie
    assert any(len(s) == 1 and s == [-32] and len(w) > 2 for s, w in zip(seen, windows))
    assert any(s and max(s) < 0 for s in seen) and any(31 in s for s in seen)
    assert any(not s and len(w) > 1 for s, w in zip(seen, windows))
    assert any(len(w) == 9 for w in windows) and any(len(w) > 16 for w in windows)
    index = outputs["o_index"][outputs["o_valid"] == 1]
    assert set(range(9)) <= set(index.ravel().tolist())


# From an image to windows


def loops(height, width, window, stride, padding):
    found = []
    for top in range(-padding, height + padding - window[0] + 1, stride):
        for left in range(-padding, width + padding - window[1] + 1, stride):
            places = []
            for y in range(top, top + window[0]):
                for x in range(left, left + window[1]):
                    inside = 0 <= y < height and 0 <= x < width
                    places.append(y * width + x if inside else -1)
            found.append(places)
    return found


SHAPES = [
    (4, 4, (2, 2), 2, 0),
    (7, 5, (3, 3), 2, 1),
    (5, 6, (3, 2), 1, 1),
    (6, 5, (2, 3), 3, 0),  # places that no window covers
    (1, 1, (2, 2), 2, 1),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_windows_of_an_image_are_those_of_loops(shape):
    assert window_places(*shape).tolist() == loops(*shape)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 3, (2, 2)), "height = 0: "),
        ((3, 3, (2,)), "window = (2,): a height and a width are wanted"),
        ((3, 3, (0, 2)), "height of the window = 0: "),
        ((3, 3, (2, 2), 0), "stride = 0: "),
        ((3, 3, (2, 2), 1, 2), "padding = 2: allowed are 0 to 1"),
        ((3, 2, (5, 3), 1, 0), "window = 5 x 3: larger than the image of 3 x 2 with a padding of"),
    ],
)
def test_windows_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError) as caught:
        window_places(*arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_an_image_goes_through_as_in_training(shape):
    height, width, window, stride, padding = shape
    rng = np.random.default_rng(7)
    image = rng.integers(-3, 4, (1, height, width, 3))
    places = window_places(*shape)
    windows = [
        [(image.reshape(-1, 3)[place].tolist(), int(place >= 0)) for place in row] for row in places
    ]
    config = golden.PoolConfig(width=4, lanes=3)
    best, first = max_pool(
        image, Window(height=window[0], width=window[1], stride=stride, padding=padding)
    )
    found = results(config, windows)
    assert [result["data"] for result in found] == best.reshape(-1, 3).tolist()
    assert [result["index"] for result in found] == first.reshape(-1, 3).tolist()


# Training

SMALL = {"rows": 3, "columns": 4, "batch": 3}
OVERLAPPING = SMALL | {"network": "5C3p1-MP3s2p1-6C3p1-MP3s2p1"}
#: The networks of the recipes wage-cnn, gupta-cnn and gupta-cifar for small images, and others.
RECIPES = {
    "wage-cnn": WageRecipe(**SMALL, network="5C3-MP2-6C2-MP2-5FC"),
    "wage, overlapping": WageRecipe(**OVERLAPPING),
    "gupta-cnn": GuptaRecipe(**SMALL, network="5C3-MP2-6C2-MP2-5FC", deviation="0.5"),
    "gupta-cifar": GuptaRecipe(
        **SMALL | {"batch": 4}, group=3, network="5C5p2-MP3s2p1-6C5p2-MP3s2p1", deviation="0.2"
    ),
    "gupta, large errors": GuptaRecipe(
        **OVERLAPPING | {"batch": 4},
        group=3,
        deviation=1,
        formats=Formats(fl=14, activation_fl=8, input_fl=14),
        saturation_gradient="pass",
    ),
}


def recorded(name):
    data, record = digits(), []
    recipe = RECIPES[name]
    trainer = new_trainer(recipe, data)
    for step in range(3):
        chosen = slice(step * recipe.batch, (step + 1) * recipe.batch)
        trainer.step(
            data.train_images[chosen], data.train_labels[chosen], record if step == 2 else None
        )
    return trainer, record


@pytest.mark.parametrize("name", RECIPES)
def test_a_recorded_step_goes_through_the_hardware(name):
    trainer, record = recorded(name)
    (replay,) = (part for part in unit_replays(trainer, record) if part.title == "pool")
    padded = "p1" in trainer.recipe.network
    assert len(replay.pieces) == 2 * len(trainer.recipe.groups)
    assert replay.config.most_places == (9 if padded else 4)
    for piece in replay.pieces:
        assert (0 in piece["i_there"]) == padded
    outputs = golden.Pool(replay.config).run(replay.inputs)
    assert replay.results > 200 and replay.differences(outputs) == 0
    assert outputs["i_ready"].all()  # one place per clock
    comparison = compare(hdl.Pool(replay.config), replay.inputs, golden.Pool(replay.config))
    assert comparison, comparison.report()


# Gates that are broken


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("value > best", "value >= best"),  # the last of equal ones
        ("value > best", "value.as_unsigned() > best.as_unsigned()"),
        ("there & (~begun |", "(~begun |"),  # padding wins
        ("there & (~begun |", "there & ("),
        ("(begun | there) & ~last", "~last"),
        ("(begun | there) & ~last", "begun | there"),
        ("Mux(last, 0, number + 1)", "number + 1"),
        ("Mux(last, 0, number + 1)", "Mux(last, 0, number + there)"),
        ("Mux(begun, best, 0)", "best"),
        ("Mux(begun, index, 0)", "index"),
        ("(m, begun | there,", "(m, there,"),
        ("begun = Signal()", "begun = Signal(reset_less=True)"),
        ("Signal(config.index_bits)  #", "Signal(config.index_bits, reset_less=True)  #"),
    ],
)
def test_broken_gates_are_found(right, wrong):
    broken = mutated(hdl.pool, (right, wrong))
    config = golden.PoolConfig(width=8)
    inputs = usual_inputs(UNITS["pool"], config, 3000, 1)
    assert not compare(broken.Pool(config), inputs, golden.Pool(config), "pysim")
