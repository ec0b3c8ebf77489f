"""Floating-point training against finite differences, its update formula, and its state."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from golden.datasets import digits
from golden.training.layers.float import BATCH_SHARE, EPSILON, loss_and_error
from golden.training.runs.run import train
from golden.training.systems.dorefa.recipe import DorefaRecipe
from golden.training.systems.float.recipe import FloatRecipe, FloatStart, Loss
from golden.training.systems.float.trainer import FloatTrainer
from golden.training.systems.hwgq.recipe import HwgqRecipe
from golden.training.systems.registry import new_trainer


class Precise(FloatTrainer):
    """The same in float64, in which differences say something."""

    KIND = np.float64


PARAMETERS = ("weights", "biases", "gammas")


def small(kind=Precise, shape=(9, 10, 2), classes=4, **changes):
    """A trainer on random images, its parameters random too."""
    settings = {"network": "3C3s2p1-MP3s2-4C2-5FC", "batch": 3, "epochs": 4, "rows": 4}
    trainer = kind(FloatRecipe(**settings | changes), shape=shape, classes=classes, pixel_max=16)
    random = np.random.default_rng(1)
    for name in PARAMETERS:
        shaken = [
            (array + random.normal(0, 0.3, array.shape)).astype(array.dtype)
            for array in getattr(trainer, name)
        ]
        setattr(trainer, name, shaken)
    images = random.integers(0, 17, (trainer.recipe.batch, *shape), np.uint8)
    return trainer, images, random.integers(0, classes, len(images))


def loss(trainer, images, labels):
    _, outputs = trainer._train_forward(trainer._pixels(images), None)
    return loss_and_error(trainer.recipe.loss, outputs, labels)[0] / len(labels)


def gradients(trainer, images, labels):
    passes, outputs = trainer._train_forward(trainer._pixels(images), None)
    _, d = loss_and_error(trainer.recipe.loss, outputs, labels)
    slopes = dict(trainer._slopes(passes, d / len(labels), None))
    return {name: [getattr(slopes[k], name) for k in sorted(slopes)] for name in PARAMETERS}


@pytest.mark.parametrize("kind", Loss)
def test_errors_are_the_losses_derivatives(kind):
    random = np.random.default_rng(0)
    outputs, labels = random.normal(0, 2, (5, 4)), random.integers(0, 4, 5)
    _, error = loss_and_error(kind, outputs, labels)
    for place in np.ndindex(outputs.shape):
        step = np.zeros_like(outputs)
        step[place] = 1e-6
        up, down = (loss_and_error(kind, outputs + s, labels)[0] for s in (step, -step))
        assert error[place] == pytest.approx((up - down) / 2e-6, abs=1e-8)


def test_losses_are_what_they_are_called():
    outputs, labels = np.array([[1.0, 3.0], [0.5, 0.5]]), np.array([0, 1])
    assert loss_and_error(Loss.SSE, outputs, labels)[0] == (0 + 9 + 0.25 + 0.25) / 2
    expected = np.log(1 + np.exp(2)) + np.log(2)
    assert loss_and_error(Loss.SOFTMAX, outputs, labels)[0] == pytest.approx(expected)
    # Large outputs overflow nothing.
    assert loss_and_error(Loss.SOFTMAX, outputs * np.float32(1e30), labels)[0] == pytest.approx(
        2e30 + np.log(2)
    )


@pytest.mark.parametrize(
    "network", ["", "6FC", "3C3s2p1-MP3s2-4C2-5FC", "3C2x3p1-MP2-3C3p2-MP2s1p1", "2C9x10-3FC"]
)
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("kind", Loss)
def test_gradients_are_those_of_the_loss(network, batch_norm, kind):
    """Convolution with stride and padding, overlapping pools, dense, ReLU, bias, normalisation."""
    trainer, images, labels = small(network=network, batch_norm=batch_norm, loss=kind)
    found = gradients(trainer, images, labels)
    random = np.random.default_rng(2)
    for name in PARAMETERS:
        for layer, array in enumerate(getattr(trainer, name)):
            assert found[name][layer].shape == array.shape
            for index in random.permutation(array.size)[:16]:
                place, differences = np.unravel_index(index, array.shape), []
                for step in (1e-6, -1e-6):
                    array[place] += step
                    differences.append(loss(trainer, images, labels))
                    array[place] -= step
                numeric = (differences[0] - differences[1]) / 2e-6
                assert found[name][layer][place] == pytest.approx(numeric, rel=1e-5, abs=1e-7)


def test_normalised_layers_are_those_below_the_last():
    trainer, *_ = small(batch_norm=True)
    assert [gamma.size for gamma in trainer.gammas] == [3, 4, 5, 0]
    assert [bias.size for bias in trainer.biases] == [3, 4, 5, 4]
    assert [gamma.size for gamma in small()[0].gammas] == [0] * 4


def test_an_update_has_momentum_and_decay():
    """v' = momentum v - rate (g + decay w), w' = w + v'; decay is for weights alone."""
    trainer, images, labels = small(
        batch_norm=True, momentum="0.75", decay="0.125", learning_rate="0.5"
    )
    trainer.recipe = replace(trainer.recipe, learning_rate_factor="0.5")
    velocities = {name: [0.0] * trainer.layers for name in PARAMETERS}
    for trainer.epoch in range(3):
        rate = 0.5 * 0.5**trainer.epoch
        before = {name: list(getattr(trainer, name)) for name in PARAMETERS}
        slopes = gradients(trainer, images, labels)
        trainer.step(images, labels)
        for name in PARAMETERS:
            for layer, w in enumerate(before[name]):
                decay = 0.125 if name == "weights" else 0
                v = 0.75 * velocities[name][layer] - rate * (slopes[name][layer] + decay * w)
                assert np.allclose(getattr(trainer, name)[layer], w + v, rtol=1e-12, atol=1e-12)
                velocities[name][layer] = v


def test_rates_are_exact():
    recipe = FloatRecipe(learning_rate=0.1, learning_rate_factor="19/20")
    assert recipe.rate(2) == Fraction(1, 10) * Fraction(19, 20) ** 2


def test_running_statistics_serve_evaluation():
    trainer, images, _ = small(network="4C3-5FC", batch_norm=True)
    passes, outputs = trainer._train_forward(trainer._pixels(images), None)
    for layer in range(2):
        done = passes[layer].normalised
        assert np.allclose(done.x.mean(axis=0), 0)
        assert np.allclose(done.x.var(axis=0), done.variance / (done.variance + EPSILON))
        # They began at mean 0 and variance 1.
        assert np.allclose(trainer.means[layer], BATCH_SHARE * done.mean)
        expected = (1 - BATCH_SHARE) + BATCH_SHARE * done.variance
        assert np.allclose(trainer.variances[layer], expected)
        # With the batch's own statistics its images come out one by one as they did together.
        trainer.means[layer], trainer.variances[layer] = done.mean, done.variance
    for image, expected in zip(images, outputs, strict=True):
        assert np.allclose(trainer._outputs(trainer._pixels(image[None]), None)[0], expected)


@pytest.mark.parametrize("start", FloatStart)
def test_first_weights_fill_their_range(start):
    recipe = FloatRecipe(network="300FC", start=start, deviation="0.02")
    trainer = FloatTrainer(recipe, shape=(10, 10, 1), classes=10, pixel_max=16)
    weight = trainer.weights[0]
    assert weight.dtype == np.float32
    if start is FloatStart.NORMAL:
        assert weight.std() == pytest.approx(0.02, rel=0.02)
    else:
        reach = (6 / (100 if start is FloatStart.HE else 400)) ** 0.5
        assert 0.999 * reach < np.abs(weight).max() <= reach * 1.000001
        assert weight.std() == pytest.approx(reach / 3**0.5, rel=0.02)
    assert not any(bias.any() for bias in trainer.biases)


#: Small trainings of all systems that share the step.
SHARED = {
    "float": FloatRecipe(network="9FC", momentum="0.9", decay="0.001", epochs=2),
    "float, normalised": FloatRecipe(network="4C3-MP2-9FC", batch_norm=True, epochs=2),
    "hwgq": HwgqRecipe(network="4C3-MP2-9FC", epochs=2),
    "dorefa": DorefaRecipe(network="4C3-MP2-9FC", epochs=2),
}


def same(one, other):
    return one.keys() == other.keys() and all(
        np.array_equal(one[name], other[name]) for name in one if name != "walk"
    )


@pytest.mark.parametrize("name", SHARED)
def test_a_training_goes_on_from_its_state(name):
    """Stopped in the midst of an epoch, it comes to the same bits."""
    data = digits()
    straight, stopped, resumed = (new_trainer(SHARED[name], data) for _ in range(3))
    epochs = list(straight.epochs(data))
    walk = stopped.walk(data)
    for _ in range(50):
        next(walk)
    state = stopped.state()
    kept = {key: value.copy() for key, value in state.items()}
    next(walk)
    assert same(state, kept)  # what was handed out stays as it was
    assert not same(stopped.state(), kept)
    resumed.restore(state)
    again = list(resumed.epochs(data))
    assert same(resumed.state(), straight.state())
    assert again[-1].test == epochs[-1].test and again[-1].train == epochs[-1].train


@pytest.mark.parametrize("name", SHARED)
def test_evaluation_moves_nothing(name):
    data = digits()
    trainer = new_trainer(SHARED[name], data)
    trainer.step(data.train_images[:32], data.train_labels[:32])
    before = trainer.state()
    first = trainer.evaluate(data.test_images, data.test_labels)
    assert same(trainer.state(), before) and trainer.state()["walk"] == before["walk"]
    assert first == trainer.evaluate(data.test_images, data.test_labels)
    assert np.sum(trainer.predict(data.test_images) != data.test_labels) == first.wrong


@pytest.mark.parametrize("name", SHARED)
def test_a_record_changes_nothing(name):
    data = digits()
    one, other = new_trainer(SHARED[name], data), new_trainer(SHARED[name], data)
    for start in (0, 32, 64):
        part = slice(start, start + 32)
        images, labels = data.train_images[part], data.train_labels[part]
        assert one.step(images, labels) == other.step(images, labels, [])
    assert same(one.state(), other.state())


def test_nothing_of_a_float_step_is_exact():
    record = []
    trainer, images, labels = small(FloatTrainer)
    trainer.step(images, labels, record)
    assert record and not any(entry.operation.exact for entry in record)
    assert all(weight.dtype == np.float32 for weight in trainer.weights)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"loss": "hinge"}, "loss = 'hinge': allowed are softmax, sse"),
        ({"start": "zero"}, "start = 'zero': allowed are normal, glorot, he"),
        ({"learning_rate": 17}, "learning_rate = 17: allowed are 0 to 16"),
        ({"learning_rate": "much"}, "learning_rate = 'much': a number from 0 to 16 is wanted"),
        ({"learning_rate_factor": 2}, "learning_rate_factor = 2: allowed are 0 to 1"),
        ({"momentum": -1}, "momentum = -1: allowed are 0 to 1"),
        ({"decay": 2}, "decay = 2: allowed are 0 to 1"),
        ({"deviation": 11}, "deviation = 11: allowed are 0 to 10"),
        ({"batch_norm": 1}, "batch_norm = 1: a bool is wanted"),
        ({"network": "4C"}, "network = '4C': '4C' is not a layer"),
    ],
)
def test_recipes_check_themselves(changes, complaint):
    with pytest.raises((ValueError, TypeError), match=complaint):
        FloatRecipe(**changes)


def test_the_baseline_of_a_baseline_is_itself():
    recipe = FloatRecipe(seed=3)
    assert recipe.baseline() is recipe


@pytest.mark.parametrize(
    "recipe",
    [
        FloatRecipe(),
        FloatRecipe(batch_norm=True),
        FloatRecipe(loss="sse"),
        FloatRecipe(network="16C3-MP2-64FC", epochs=5, batch_norm=True),
    ],
)
def test_digits_are_learnt(recipe):
    *_, last = new_trainer(recipe, digits()).epochs(digits())
    assert last.test.error < 5


def test_a_training_that_diverges_says_so():
    recipe = FloatRecipe(network="16FC", batch=32, epochs=5, loss="sse", learning_rate="16")
    with pytest.raises(
        ValueError, match=r"^learning_rate = 16: training diverged in epoch \d, the loss is no"
    ):
        train(recipe, digits())
