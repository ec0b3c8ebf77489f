"""DoReFa training: codes, straight-through gradients, noisy errors, exact products."""

from dataclasses import replace
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from straight_through import PARAMETERS, check_gradients, gradients

import golden
from golden.datasets import digits
from golden.fixed import Fixed
from golden.training.step.ops import Product
from golden.training.systems.dorefa.recipe import DorefaBits, DorefaRecipe, Edges
from golden.training.systems.dorefa.trainer import DorefaTrainer, codes
from golden.training.systems.float.recipe import FloatRecipe, Loss
from golden.training.systems.registry import new_trainer
from gradloom.train.tile_stimulus import block_order, product_rows, product_stimulus


def small(kind=DorefaTrainer, shape=(9, 10, 2), pixel_max=16, **changes):
    settings = {"network": "3C3s2p1-MP3s2-6C2-7FC", "batch": 5, "epochs": 4}
    settings["bits"] = DorefaBits.parse(changes.pop("bits", "1-2-6"))
    recipe = DorefaRecipe(**settings | changes)
    return kind(recipe, shape=shape, classes=4, pixel_max=pixel_max)


def batch(trainer, seed=0):
    random = np.random.default_rng(seed)
    images = random.integers(0, 17, (trainer.recipe.batch, *trainer.shape), np.uint8)
    return images, random.integers(0, 4, len(images))


@pytest.mark.parametrize("bits", [1, 2, 3, 8])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_codes_are_nearest_with_ties_to_even(bits, kind):
    top = (1 << bits) - 1
    random = np.random.default_rng(bits)
    r = np.concatenate([random.random(200), [0, 1, 0.5]]).astype(kind)
    found = codes(r, bits)
    assert found.dtype == kind and found.min() == 0 and found.max() == top
    for real, code in zip(r.tolist(), found.tolist()):
        exact = Fraction(real) * top
        assert code == round(exact) or abs(abs(exact % 1) - Fraction(1, 2)) < Fraction(1, 10**5)
    assert codes(np.array([0.5]), bits)[0] == {1: 0, 2: 2, 3: 4, 8: 128}[bits]


def smooth(point, layer, weight):
    """What the gradient takes weights for: tanh over its largest, a constant, or themselves."""
    if not point.planner.whole_weights(layer) or point.recipe.bits.weight == 1:
        return weight
    return np.tanh(weight) / np.abs(np.tanh(point.weights[layer])).max()


@pytest.mark.parametrize("bits", ["1-2-32", "3-1-32", "8-8-32"])
@pytest.mark.parametrize("edges", Edges)
def test_gradients_pass_straight_through(bits, edges):
    make = partial(small, pixel_max=255, bits=bits, edges=edges, loss=Loss.SOFTMAX)
    check_gradients(DorefaTrainer, 1, make, smooth)


def test_weights_of_one_bit_are_signs_times_their_mean_magnitude():
    trainer = small()
    trainer.weights[1].flat[:3] = 0.0, -0.0, -1e-30
    weight = trainer._forward_weight(1)
    assert weight.words.flat[:3].tolist() == [1, 1, -1]
    assert weight.scale == pytest.approx(np.abs(trainer.weights[1]).mean())


@pytest.mark.parametrize("bits", [2, 3, 8])
def test_weights_of_more_bits_go_by_tanh(bits):
    trainer = small(bits=f"{bits}-2-6", edges="quantized", start="normal", deviation=1)
    top = (1 << bits) - 1
    for layer in range(trainer.layers):
        weight = trainer._forward_weight(layer)
        tanh = np.tanh(trainer.weights[layer].astype(np.float64))
        n = np.rint(top * (tanh / (2 * np.abs(tanh).max()) + 0.5))
        assert np.mean(weight.words == 2 * n - top) > 0.98  # float32 may tip a tie
        assert np.abs(weight.reals - (2 * n / top - 1)).max() < 2.001 / top
        assert np.abs(weight.words).max() == weight.bound == top
        assert set(np.unique(weight.words % 2)) == {1.0}


def test_activations_are_clipped_codes():
    trainer = small(bits="1-2-6")
    y = np.array([-1, -0.01, 0, 0.1, 0.2, 0.49, 0.51, 0.9, 1, 1.1], np.float32)
    x, mask, beyond = trainer._activation(y)
    assert x.words.tolist() == [0, 0, 0, 0, 1, 1, 2, 3, 3, 3]
    assert x.scale == pytest.approx(1 / 3) and x.bound == 3
    assert mask.tolist() == [False, False, *[True] * 7, False] and beyond == pytest.approx(0.1)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_errors_are_codes_around_what_they_were(bits):
    """Of each image by its own largest; in the mean they are what they were, but for the clip."""
    trainer = small(bits=f"1-2-{bits}")
    top = (1 << bits) - 1
    random = np.random.default_rng(0)
    d = random.normal(0, 1, (5, 2, 3, 4)).astype(np.float32) * np.array(
        [1, 1e-3, 100, 1e-20, 0], np.float32
    ).reshape(5, 1, 1, 1)
    d = np.clip(d, *np.quantile(d, [0.1, 0.9], axis=(1, 2, 3), keepdims=True))
    largest = np.abs(d).max(axis=(1, 2, 3), keepdims=True)
    total = np.zeros(d.shape)
    times = 4000
    for _ in range(times):
        e = trainer._error(1, d)
        assert np.array_equal(np.unique(np.abs(e.words) % 2), [1.0])
        assert np.abs(e.words).max() <= e.bound == top
        assert e.scale.shape == (5, 1, 1, 1) and np.allclose(e.scale, largest / top)
        # Half a step of rounding and half a step of noise; a step is 2 m / (2^k - 1).
        assert (np.abs(e.reals - d) <= 2.0001 * largest / top).all()
        total += e.reals
    inner = (np.abs(d) < 0.999 * largest * (1 - 1 / top)) if bits > 1 else d * 0 == 1
    spread = largest / top / np.sqrt(times)
    assert (np.abs(total / times - d) <= 5 * spread + 1e-30)[inner].all()
    assert not e.reals[4].any()


@pytest.mark.parametrize("edges", Edges)
def test_fine_codes_of_errors_change_little(edges):
    """Gradients by errors of 16 bits, every image by its own scale, are those by floats."""
    fine, floats = (small(bits=f"2-4-{bits}", edges=edges, seed=1) for bits in (16, 32))
    images, labels = batch(fine)
    images[1] //= 16
    slopes = [gradients(t, t._pixels(images), labels) for t in (fine, floats)]
    for name in PARAMETERS:
        for found, expected in zip(slopes[0][name], slopes[1][name], strict=True):
            assert found.shape == expected.shape
            if expected.size:
                assert np.abs(found - expected).max() < 0.01 * np.abs(expected).max()


def test_the_noise_is_the_recipes():
    one, other, third = small(seed=3), small(seed=3), small(seed=4)
    assert np.array_equal(one._noise((9,)), other._noise((9,)))
    assert not np.array_equal(one._noise((9,)), third._noise((9,)))
    noise = one._noise((20000,))
    assert noise.min() >= 0 and noise.max() < 1 and abs(noise.mean() - 0.5) < 0.01


def streamed(entry, widths):
    """A recorded product through the array's twin."""
    a, b = (Fixed(width, 0) for width in widths)
    config = golden.ArrayConfig(rows=5, columns=4, macc=golden.MaccConfig(a=a, b=b), conversions=())
    left, right, out = (entry.tensors[name] for name in ("a", "b", "out"))
    order = block_order(config, *out.shape)
    inputs = product_stimulus(config, left, right, order)
    idle = config.latency + config.rows
    inputs = {
        name: np.concatenate([values, np.zeros((idle, *values.shape[1:]), np.int64)])
        for name, values in inputs.items()
    }
    inputs["o_ready"] = np.ones(len(inputs["i_valid"]), np.int64)
    outputs = golden.Array(config).run(inputs)
    rows = outputs["o_data"][outputs["o_valid"] != 0]
    return np.array_equal(rows, product_rows(config, out, order)["data"].values)


@pytest.mark.parametrize(
    ("bits", "edges", "names"),
    [
        ("1-2-6", "float", ["forward 2", "forward 3", "error 3", "error 2"]),
        ("3-4-8", "float", ["forward 2", "forward 3", "error 3", "error 2"]),
        ("2-2-32", "float", ["forward 2", "forward 3"]),
        (
            "2-3-4",
            "quantized",
            [*(f"forward {layer}" for layer in (1, 2, 3, 4)), "error 4", "error 3", "error 2"],
        ),
    ],
)
def test_products_of_codes_are_the_arrays(bits, edges, names):
    trainer, record = small(bits=bits, edges=edges), []
    for seed in range(3):
        trainer.step(*batch(trainer, seed), record if seed == 2 else None)
    record = [entry for entry in record if isinstance(entry.operation, Product)]
    assert [f"{entry.operation.kind} {entry.operation.layer}" for entry in record] == names
    for entry in record:
        assert entry.operation.exact and entry.operation.conversion is None
        assert streamed(entry, (10, 5))


def test_edges_stay_floats():
    trainer, record = small(edges="float"), []
    quantized = trainer.planner.whole_weights
    assert [quantized(layer) for layer in range(4)] == [False, True, True, False]
    trainer.step(*batch(trainer), record)
    for layer in (0, 3):
        assert trainer._forward_weight(layer).words is trainer.weights[layer]
    d = np.ones((5, 1, 1, 4), np.float32)
    assert trainer._error(3, d).words is d
    quantized = small(edges="quantized").planner.whole_weights
    assert all(quantized(layer) for layer in range(4))


def test_saturation_is_watched():
    trainer = small()
    trainer.watching = True
    trainer.step(*batch(trainer))
    assert all(0 < share < 1 for share in trainer.saturated[:-1]) and trainer.saturated[-1] == 0


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: DorefaBits(weight=9), "weight = 9: allowed are 1 to 8"),
        (lambda: DorefaBits(activation=0), "activation = 0: allowed are 1 to 8"),
        (lambda: DorefaBits(gradient=17), "gradient = 17: allowed are 1 to 16"),
        (lambda: DorefaBits.parse("126"), "bits '126': W-A-G is wanted, as in 1-2-6"),
        (lambda: DorefaRecipe(bits="1-2-6"), "bits = '1-2-6': a DorefaBits is wanted"),
        (lambda: DorefaRecipe(edges="none"), "edges = 'none': allowed are float, quantized"),
    ],
)
def test_recipes_check_themselves(make, complaint):
    with pytest.raises((ValueError, TypeError), match=complaint):
        make()


def test_widths_have_a_text():
    assert str(DorefaBits.parse("1-4-32")) == "1-4-32"


def test_the_baseline_takes_the_same_steps():
    recipe = DorefaRecipe(seed=7, decay="0.001", loss="sse")
    baseline = recipe.baseline()
    assert isinstance(baseline, FloatRecipe) and baseline.batch_norm
    shared = ("network", "batch", "epochs", "seed", "learning_rate", "momentum", "decay", "loss")
    assert all(getattr(baseline, name) == getattr(recipe, name) for name in shared)
    assert replace(recipe, network="9FC").baseline().network == "9FC"


@pytest.mark.parametrize(
    ("bits", "edges"), [("1-2-6", "float"), ("1-1-4", "float"), ("2-4-8", "quantized")]
)
def test_digits_are_learnt(bits, edges):
    recipe = DorefaRecipe(bits=DorefaBits.parse(bits), edges=edges, epochs=10)
    *_, last = new_trainer(recipe, digits()).epochs(digits())
    assert last.test.error < 6
