"""HWGQ training: straight-through gradients, exact forward products, inference by thresholds."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from straight_through import check_gradients

import golden
from golden.datasets import digits
from golden.fixed import Fixed
from golden.quantize.folding import QUANTIZERS, Levels
from golden.quantize.threshold import quantize
from golden.training.layers.float import EPSILON
from golden.training.step.ops import Product
from golden.training.systems.float.recipe import FloatRecipe, Loss
from golden.training.systems.hwgq.recipe import HwgqRecipe
from golden.training.systems.hwgq.trainer import HwgqTrainer
from golden.training.systems.registry import new_trainer
from gradloom.train.tile_stimulus import block_order, product_rows, product_stimulus


def small(kind=HwgqTrainer, shape=(9, 10, 2), pixel_max=16, **changes):
    settings = {"network": "3C3s2p1-MP3s2-6C2-7FC", "batch": 5, "epochs": 4, "seed": 3}
    recipe = HwgqRecipe(**settings | changes)
    return kind(recipe, shape=shape, classes=4, pixel_max=pixel_max)


def batch(trainer, seed=0):
    random = np.random.default_rng(seed)
    images = random.integers(0, 17, (trainer.recipe.batch, *trainer.shape), np.uint8)
    return images, random.integers(0, 4, len(images))


@pytest.mark.parametrize("levels", Levels)
@pytest.mark.parametrize("loss", Loss)
def test_gradients_pass_straight_through(levels, loss):
    top = float(QUANTIZERS[levels].levels[-1])
    make = partial(small, pixel_max=255, levels=levels, loss=loss)
    check_gradients(HwgqTrainer, top, make)


@pytest.mark.parametrize("levels", Levels)
def test_forward_products_are_the_arrays(levels):
    """Signs times pixels, and times the whole numbers of the levels, through the array's twin."""
    trainer, record = small(levels=levels), []
    for seed in range(3):
        trainer.step(*batch(trainer, seed), record if seed == 2 else None)
    record = [entry for entry in record if isinstance(entry.operation, Product)]
    found = [(entry.operation.kind, entry.operation.layer) for entry in record]
    assert found == [("forward", layer) for layer in (1, 2, 3, 4)]
    config = golden.ArrayConfig(
        rows=5, columns=4, macc=golden.MaccConfig(a=Fixed(6, 0), b=Fixed(2, 0)), conversions=()
    )
    for layer, entry in enumerate(record):
        assert entry.operation.exact and entry.operation.conversion is None
        a, b, out = (entry.tensors[name] for name in ("a", "b", "out"))
        assert set(np.unique(b)) == {-1, 1}
        if layer:
            assert set(np.unique(a)) == set(trainer.recipe.quantizer.words)
        order = block_order(config, *out.shape)
        inputs = product_stimulus(config, a, b, order)
        idle = config.latency + config.rows
        inputs = {
            name: np.concatenate([values, np.zeros((idle, *values.shape[1:]), np.int64)])
            for name, values in inputs.items()
        }
        inputs["o_ready"] = np.ones(len(inputs["i_valid"]), np.int64)
        outputs = golden.Array(config).run(inputs)
        rows = outputs["o_data"][outputs["o_valid"] != 0]
        assert np.array_equal(rows, product_rows(config, out, order)["data"].values)


def in_reals(trainer, x, layer, acc):
    """A hidden layer's normalised sums in float64, from its exact sums."""
    scale = trainer._sum_scale(layer)
    gamma, beta, mean, variance = (
        values[layer].astype(np.float64)
        for values in (trainer.gammas, trainer.biases, trainer.means, trainer.variances)
    )
    return gamma * (scale * acc - mean) / np.sqrt(variance + EPSILON) + beta


@pytest.mark.parametrize("levels", Levels)
def test_thresholds_say_what_reals_say(levels):
    """Hidden layers of a trained network, in whole numbers and in float64."""
    data = digits()
    trainer = new_trainer(HwgqRecipe(network="16C3-MP2-32FC", epochs=2, levels=levels), data)
    list(trainer.epochs(data))
    quantizer = trainer.recipe.quantizer
    steps = [float(step) for step in quantizer.steps]
    random = np.random.default_rng(0)
    for layer in range(2):
        # Some channels turned round, and one without a slope.
        trainer.gammas[layer] *= np.where(random.random(trainer.gammas[layer].size) < 0.3, -1, 1)
        trainer.gammas[layer][0] = 0
        folded = trainer.fold(layer)
        assert folded.negative.any() and not folded.negative.all()
        bound = trainer.stages[layer].inputs * (3 if layer else 16)
        acc = random.integers(-bound, bound + 1, (2000, trainer.gammas[layer].size))
        code, mask = quantize(acc, folded)
        y = in_reals(trainer, None, layer, acc)
        sure = np.all([np.abs(y - step) > 1e-9 for step in steps], axis=0)
        assert sure.mean() > 0.99
        passed = [y > step for step in steps]
        assert np.array_equal(code[sure], np.sum(passed[:-1], axis=0)[sure])
        assert np.array_equal(mask[sure], (passed[0] & ~passed[-1])[sure])
        assert len(np.unique(code)) == len(quantizer.words)


def test_inference_is_the_network_in_reals():
    """Evaluation by thresholds comes to the outputs that float64 comes to by running statistics."""

    class Reals(HwgqTrainer):
        KIND = np.float64

    data = digits()
    trainer = new_trainer(HwgqRecipe(network="8C3-MP2-32FC", epochs=2), data)
    list(trainer.epochs(data))
    reals = Reals(trainer.recipe, shape=data.shape, classes=10, pixel_max=16)
    for name in reals.STATE:
        setattr(reals, name, [array.astype(np.float64) for array in getattr(trainer, name)])
    images = data.test_images
    found = trainer._outputs(trainer._pixels(images), trainer._evaluation_lanes())
    expected = super(HwgqTrainer, reals)._outputs(reals._pixels(images), None)
    assert np.allclose(found, expected, rtol=1e-12, atol=1e-12)
    assert np.array_equal(trainer.predict(images), np.argmax(expected, axis=1))


def test_the_outputs_are_whole_sums_times_one_scale():
    trainer = small()
    trainer.step(*batch(trainer))
    images, _ = batch(trainer, 1)
    outputs = trainer._outputs(trainer._pixels(images), trainer._evaluation_lanes())
    whole = outputs / trainer._sum_scale(trainer.layers - 1)
    assert np.allclose(whole, np.rint(whole), atol=1e-9)
    assert trainer.biases[-1].size == trainer.gammas[-1].size == 0


def test_zero_counts_as_positive():
    trainer = small()
    trainer.weights[0][:] = np.linspace(-0.5, 0.5, trainer.weights[0].size).reshape(
        trainer.weights[0].shape
    )
    trainer.weights[0].flat[:3] = 0.0, -0.0, -1e-30
    weight = trainer._forward_weight(0)
    assert weight.words.flat[:4].tolist() == [1, 1, -1, -1]
    assert weight.scale == pytest.approx(np.abs(trainer.weights[0]).mean())


def test_stored_weights_stay_within_one():
    trainer = small(learning_rate=16)
    for seed in range(3):
        trainer.step(*batch(trainer, seed))
    assert all(np.abs(weight).max() <= 1 for weight in trainer.weights)
    assert any(np.abs(weight).max() == 1 for weight in trainer.weights)


def test_saturation_is_watched():
    trainer = small()
    trainer.watching = True
    trainer.step(*batch(trainer))
    assert all(0 < share < 0.5 for share in trainer.saturated[:-1]) and trainer.saturated[-1] == 0


def test_recipes_check_themselves():
    with pytest.raises(ValueError, match="levels = 'three': allowed are uniform, two"):
        HwgqRecipe(levels="three")
    with pytest.raises(ValueError, match="momentum = 2: allowed are 0 to 1"):
        HwgqRecipe(momentum=2)


def test_names_will_do_for_levels():
    assert HwgqRecipe(levels="two").quantizer is QUANTIZERS[Levels.TWO]


def test_the_baseline_takes_the_same_steps():
    recipe = HwgqRecipe(seed=7, decay="0.001", loss="sse")
    baseline = recipe.baseline()
    assert isinstance(baseline, FloatRecipe) and baseline.batch_norm
    shared = ("network", "batch", "epochs", "seed", "learning_rate", "momentum", "decay", "loss")
    assert all(getattr(baseline, name) == getattr(recipe, name) for name in shared)
    assert replace(recipe, network="9FC").baseline().network == "9FC"


@pytest.mark.parametrize("levels", Levels)
def test_digits_are_learnt(levels):
    *_, last = new_trainer(HwgqRecipe(levels=levels, epochs=10), digits()).epochs(digits())
    assert last.test.error < 6
