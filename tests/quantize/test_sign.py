"""BNN's sign: integers against the paper's reals, hardware against twin, a step of a network."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import SEEDS, Bench, agrees

import golden
import hdl
from golden.datasets import digits
from golden.quantize import SignQuantizerConfig, quantize_sign
from golden.training import new_trainer
from golden.training.step.ops import Sign
from golden.training.toml import load
from gradloom import compare, usual_inputs
from gradloom.train.replay import unit_replays
from gradloom.units import UNITS


@st.composite
def quantizers(draw):
    width = draw(st.integers(2, 62))
    return SignQuantizerConfig(
        width=width,
        fraction=draw(st.integers(0, width - 1)),
        bits=draw(st.integers(1, 2)),
        lanes=draw(st.integers(1, 4)),
    )


def in_reals(x, fraction):
    """Sign and mask of a word, as the paper has them."""
    real = Fraction(x, 2**fraction)
    return (1 if real >= 0 else -1), -1 <= real <= 1


@pytest.mark.parametrize("fraction", [0, 3, 7])
def test_signs_and_masks_are_the_papers(fraction):
    x = np.arange(-128, 128)
    code, passes = quantize_sign(x, fraction)
    assert list(zip(code.tolist(), passes.tolist())) == [in_reals(n, fraction) for n in x.tolist()]


def test_zero_is_positive():
    code, passes = quantize_sign([-1, 0, 1], 5)
    assert code.tolist() == [-1, 1, 1] and passes.all()


@settings(max_examples=60)
@given(quantizers(), SEEDS)
def test_sign_quantizers_agree(config, seed):
    agrees(hdl.SignQuantizer(config), golden.SignQuantizer(config), 200, seed)


@settings(max_examples=20)
@given(quantizers(), SEEDS)
def test_they_agree_at_their_borders(config, seed):
    inputs = usual_inputs(UNITS["sign"], config, 400, seed)
    comparison = compare(hdl.SignQuantizer(config), inputs)
    assert comparison, comparison.report()


@pytest.mark.parametrize("bits", [1, 2])
@pytest.mark.parametrize(("width", "fraction"), [(2, 0), (2, 1), (6, 0), (6, 3), (6, 4), (6, 5)])
def test_every_word_of_a_format(width, fraction, bits):
    """In the hardware, beside the reals: both ends of the mask, and 0."""
    config = SignQuantizerConfig(width=width, fraction=fraction, bits=bits)
    words = range(-(1 << (width - 1)), 1 << (width - 1))
    bench = Bench(hdl.SignQuantizer(config))
    found = bench.run([{"data": [word]} for word in words], len(words))
    for word, result in zip(words, found, strict=True):
        code, passes = in_reals(word, fraction)
        assert result["data"] == [code if bits == 2 else int(code > 0)]
        assert result["passes"] == [int(passes)]
    assert bench.left == [clock + config.latency for clock in bench.accepted]


def test_borders_are_on_both_sides_of_0_and_of_both_ends():
    (border,) = SignQuantizerConfig(width=12, fraction=6).borders()
    words = set(border.lanes["i_data"])
    assert {-2048, -65, -64, -63, -1, 0, 1, 63, 64, 65, 2047} <= words


@pytest.mark.parametrize("gaps", [[0], [0, 2, 1]])
@pytest.mark.parametrize("stalls", [[0], [0, 0, 9, 1]])
def test_no_word_is_lost_or_repeated(gaps, stalls):
    words = np.random.default_rng(4).integers(-200, 200, (60, 3))
    config = SignQuantizerConfig(width=9, fraction=6, lanes=3)
    bench = Bench(hdl.SignQuantizer(config), gaps, stalls)
    found = bench.run([{"data": row} for row in words.tolist()], 60)
    code, passes = quantize_sign(words, 6)
    assert [row["data"] for row in found] == code.tolist()
    assert [row["passes"] for row in found] == passes.astype(int).tolist()


def test_a_step_of_bnn_mlp_runs_through_the_unit():
    """The recipe at the digits' size, on the compiled simulator: all signs and their masks."""
    data, record = digits(), []
    recipe = load("bnn-mlp", ["network=37FC-22FC", "batch=20", "columns=4", "rows=4"])
    trainer = new_trainer(recipe, data)
    for step in range(4):
        chosen = slice(20 * step, 20 * step + 20)
        noted = record if step == 3 else None
        trainer.step(data.train_images[chosen], data.train_labels[chosen], noted)
    (replay,) = (part for part in unit_replays(trainer, record) if part.unit.name == "sign")
    activations = [entry for entry in record if isinstance(entry.operation, Sign)]
    assert len(activations) == len(replay.pieces) == 2
    assert replay.results == 2 * 20 * (37 + 22)  # codes and masks
    for entry in activations:
        assert set(np.unique(entry.tensors["out"])) == {-1, 1}
        assert set(np.unique(entry.tensors["active"])) == {0, 1}
    component = hdl.SignQuantizer(replay.config)
    comparison = compare(component, replay.inputs, simulator="cxxrtl")
    assert comparison, comparison.report()
    outputs = golden.SignQuantizer(replay.config).run(replay.inputs)
    assert replay.differences(outputs) == 0
    outputs["o_data"][outputs["o_valid"] != 0] *= -1
    assert replay.differences(outputs) == 20 * (37 + 22)


def test_a_fraction_wider_than_the_word_is_refused():
    with pytest.raises(ValueError, match=r"fraction = 8: allowed are 0 to 7 \(at most width - 1\)"):
        SignQuantizerConfig(width=8, fraction=8)
