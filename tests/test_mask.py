"""Masks of words: hardware against twin, both against the operations of training, and time."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import SEEDS, Bench, agrees, codes

import golden
import hdl
from golden.mask import MaskConfig
from gradloom.sim.stimulus import usual_inputs
from gradloom.units import UNITS

CHOICES = list(product((0, 1), repeat=3))
CONFIG = MaskConfig(width=7, lanes=3)


def masked(word, active, unclipped, relu, use_active, use_unclipped):
    """One word by the rules of the page, one after the other."""
    if relu and word < 0:
        return 0
    if use_active and not active:
        return 0
    if use_unclipped and not unclipped:
        return 0
    return word


@settings(max_examples=60)
@given(st.integers(2, 62), st.integers(1, 4), SEEDS)
def test_hardware_and_twin_agree(width, lanes, seed):
    config = MaskConfig(width=width, lanes=lanes)
    agrees(hdl.Mask(config), golden.Mask(config), 300, seed)


def operands_of(words, choice):
    """Every word with every pair of mask bits, and the ports at each operand."""
    rows = list(product(words, (0, 1), (0, 1)))
    rows += rows[: -len(rows) % CONFIG.lanes]
    vectors = [rows[at : at + CONFIG.lanes] for at in range(0, len(rows), CONFIG.lanes)]
    operands = [
        dict(zip(("data", "active", "unclipped"), (list(column) for column in zip(*vector))))
        for vector in vectors
    ]
    ports = dict(zip(("relu", "use_active", "use_unclipped"), choice))
    return operands, {name: [value] * len(operands) for name, value in ports.items()}


def expected_of(operands, choice):
    return [
        {
            "data": [
                masked(*row, *choice)
                for row in zip(operand["data"], operand["active"], operand["unclipped"])
            ],
            "active": [int(word > 0) for word in operand["data"]],
        }
        for operand in operands
    ]


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_every_word_with_every_mask_and_choice(choice):
    operands, ports = operands_of(range(-64, 64), choice)
    results = Bench(hdl.Mask(CONFIG), ports=ports).run(operands, len(operands))
    assert results == expected_of(operands, choice)


@pytest.mark.parametrize(
    ("gaps", "stalls"),
    [([0], [0]), ([0, 2], [0]), ([0], [0, 0, 4]), ([1, 0, 3], [7, 0, 1])],
    ids=["free", "gaps", "stalls", "both"],
)
def test_choices_change_from_word_to_word_and_nothing_is_lost(gaps, stalls):
    rng = np.random.default_rng(4)
    choices = rng.integers(0, 2, (120, 3)).tolist()
    data = codes(7, (120, 3), 5).tolist()
    bits = rng.integers(0, 2, (2, 120, 3)).tolist()
    operands = [
        {"data": words, "active": active, "unclipped": unclipped}
        for words, active, unclipped in zip(data, *bits)
    ]
    ports = dict(zip(("relu", "use_active", "use_unclipped"), map(list, zip(*choices))))
    bench = Bench(hdl.Mask(CONFIG), gaps, stalls, ports=ports)
    expected = [expected_of([operand], choice)[0] for operand, choice in zip(operands, choices)]
    assert bench.run(operands, 120) == expected
    if stalls == [0]:
        assert bench.left == [clock + CONFIG.latency for clock in bench.accepted]
    if (gaps, stalls) == ([0], [0]):
        assert bench.accepted == list(range(120))


@pytest.mark.parametrize("width", [2, 16, 62])
def test_the_usual_stimulus_has_both_sides_of_every_decision(width):
    """Words about 0, both ends, each mask alone and together, and every choice of them."""
    config = MaskConfig(width=width, lanes=2)
    inputs = usual_inputs(UNITS["mask"], config, 6000, 0)
    outputs = golden.Mask(config).run(inputs)
    taken = (inputs["i_valid"] & outputs["i_ready"]) == 1
    word, active, unclipped = (
        inputs[f"i_{name}"][taken].ravel() for name in ("data", "active", "unclipped")
    )
    ports = (np.repeat(inputs[name][taken], 2) for name in ("relu", "use_active", "use_unclipped"))
    low = -1 << (width - 1)
    sign = np.select([word == low, word < 0, word == 0, word == 1], [0, 1, 2, 3], 4)
    seen = set(zip(*(values.tolist() for values in (sign, active, unclipped, *ports))))
    kinds = set(sign.tolist())
    assert kinds == ({0, 1, 2, 3} if width == 2 else {0, 1, 2, 3, 4})
    assert seen == set(product(kinds, *[(0, 1)] * 5))
    bits = {abs(value) for value in word.tolist() if value > 0 and not value & (value - 1)}
    assert bits == {1 << bit for bit in range(width - 1)}


def test_a_mask_is_that_of_a_rounder_and_of_a_relu():
    """Words of a rounder through ReLU, and their errors back through both masks."""
    conversion = golden.Conversion(fraction=4, target=golden.Fixed(2, 2))
    z = np.arange(-200, 200)[:, None]
    count = len(z)
    ready = {"i_valid": np.ones(count + 20, int), "o_ready": np.ones(count + 20, int)}

    def through(twin, **ports):
        given = {name: np.resize(v, (count + 20, *v.shape[1:])) for name, v in ports.items()}
        trace = twin.run(ready | given)
        return {
            name: v[trace["o_valid"] == 1][:count]
            for name, v in trace.items()
            if name.startswith("o_")
        }

    rounder = golden.RounderConfig(width=9, conversions=(conversion,), saturated=True)
    word = through(golden.Rounder(rounder), i_data=z)
    zero, one = np.zeros((count, 1), int), np.ones(count, int)
    twin, off = golden.Mask(MaskConfig(width=4)), np.zeros(count, int)
    ports = {"use_active": off, "use_unclipped": off, "relu": one}
    forward = through(twin, i_data=word["o_data"], i_active=zero, i_unclipped=zero, **ports)
    assert np.array_equal(forward["o_data"], np.maximum(word["o_data"], 0))
    errors = np.resize(np.arange(-8, 8), (count, 1))
    ports = {"use_active": one, "use_unclipped": one, "relu": off}
    masks = {"i_active": forward["o_active"], "i_unclipped": 1 - word["o_saturated"]}
    back = through(twin, i_data=errors, **masks, **ports)
    passes = (word["o_data"] > 0) & (word["o_saturated"] == 0)
    assert np.array_equal(back["o_data"], np.where(passes, errors, 0))
    assert set(word["o_saturated"][word["o_data"] == 7].tolist()) == {0, 1}


def test_a_reset_at_any_clock_starts_again():
    for clock in range(12):
        rst = (np.arange(40) == clock).astype(int)
        agrees(hdl.Mask(CONFIG), golden.Mask(CONFIG), 40, clock, rst=rst)
