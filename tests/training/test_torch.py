"""Layers and their gradients against PyTorch, in float64 on whole numbers, where both are exact.

PyTorch is no dependency: without it (the extra `torch`) all of this is skipped.
"""

import numpy as np
import pytest

from golden.softmax.integers import FRACTION, softmax
from golden.training.layers import convolution
from golden.training.layers.network import Stage, Window
from golden.training.layers.softmax import cross_entropy
from golden.training.layers.windows import max_pool, unpool
from golden.training.systems.float.recipe import FloatRecipe, Loss
from golden.training.systems.float.trainer import FloatTrainer

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install -e .[torch] brings it"
)
from torch.nn import functional  # noqa: E402  # it is there only now

CASES = 60


def whole(random, bound, shape):
    """Whole numbers of every size up to a bound, both limits among them."""
    values = random.integers(-bound, bound + 1, shape)
    values.flat[0], values.flat[-1] = -bound, bound
    return values


def tensor(values):
    """The same numbers in float64, channels in front as PyTorch has them."""
    values = np.asarray(values, np.float64)
    return torch.tensor(np.moveaxis(values, -1, 1) if values.ndim == 4 else values)


def array(values):
    """Back again, (batch, y, x, channel)."""
    return np.moveaxis(values.detach().numpy(), 1, -1)


def kernel(w, stage):
    """Weights with rows (ky, kx, channel) as PyTorch's (output, channel, ky, kx)."""
    window = stage.window
    by_place = w.reshape(window.height, window.width, stage.image[2], stage.outputs)
    by_output = np.ascontiguousarray(by_place.transpose(3, 2, 0, 1), np.float64)
    return torch.tensor(by_output, requires_grad=True)


def rows(gradient):
    """The gradient of a kernel as rows (ky, kx, channel)."""
    outputs, *_ = gradient.shape
    return gradient.numpy().transpose(2, 3, 1, 0).reshape(-1, outputs)


def a_window(random, image, pooling=False):
    """A window that fits; of a pooling at most half of it is padding, as PyTorch asks for."""
    while True:
        height, width = (int(n) for n in random.integers(1, 5, 2))
        most = (min(height, width) // 2) if pooling else min(height, width) - 1
        found = Window(
            height=height,
            width=width,
            stride=int(random.integers(1, 4)),
            padding=int(random.integers(0, most + 1)),
        )
        if min(found.places(*image[:2])) > 0:
            return found


def a_stage(random):
    image = tuple(int(n) for n in random.integers((1, 1, 1), (10, 10, 5)))
    dense = random.random() < 0.15
    window = Window(height=image[0], width=image[1]) if dense else a_window(random, image)
    stage = Stage(
        text="", image=image, window=window, outputs=int(random.integers(1, 6)), pool=None
    )
    pool = a_window(random, stage.sums, True) if random.random() < 0.7 else None
    return Stage(text="", image=image, window=window, outputs=stage.outputs, pool=pool)


def pooled(y, pool):
    """PyTorch's max-pooling: values, and where each stands in its whole image."""
    return functional.max_pool2d(
        y, (pool.height, pool.width), pool.stride, pool.padding, return_indices=True
    )


def places(first, pool, shape):
    """Where in the whole image the first maximum of each window stands, by its place in it."""
    height, width = first.shape[1:3]
    y, x = np.divmod(first.astype(int), pool.width)
    y += (np.arange(height) * pool.stride - pool.padding)[:, None, None]
    x += (np.arange(width) * pool.stride - pool.padding)[:, None]
    assert ((y >= 0) & (y < shape[0]) & (x >= 0) & (x < shape[1])).all()
    return y * shape[1] + x


@pytest.mark.parametrize("case", range(CASES))
def test_layers_and_gradients_are_pytorchs(case):
    random = np.random.default_rng(case)
    stage, batch = a_stage(random), int(random.integers(1, 6))
    # Operands of a bit, of a word, and so large that float32 would not do.
    bound = int(random.choice([1, 127, 32768]))
    x, w = (
        whole(random, bound, shape)
        for shape in ((batch, *stage.image), (stage.inputs, stage.outputs))
    )
    e = whole(random, bound, (batch, *stage.pooled))
    their_x, their_w = tensor(x).requires_grad_(), kernel(w, stage)
    sums = functional.conv2d(
        their_x, their_w, stride=stage.window.stride, padding=stage.window.padding
    )
    assert np.array_equal(convolution.forward(stage, x, w, bound, bound), array(sums))
    got, first = convolution.forward_pooled(stage, x, w, bound, bound)
    if stage.pool is None:
        theirs = sums
        assert first is None
    else:
        theirs, where = pooled(sums, stage.pool)
        assert np.array_equal(places(first, stage.pool, stage.sums), array(where))
    assert np.array_equal(got, array(theirs))
    theirs.backward(tensor(e))
    gradient = convolution.gradient(stage, x, e, bound, bound, first)
    assert np.array_equal(gradient, rows(their_w.grad))
    error = convolution.error(stage, e, w, bound, bound, first)
    assert np.array_equal(error, array(their_x.grad))


def test_the_cases_are_of_every_kind():
    found = [a_stage(np.random.default_rng(case)) for case in range(CASES)]
    pools = [stage.pool for stage in found if stage.pool]
    convolutions = [stage.window for stage in found if not stage.dense]
    assert any(stage.dense for stage in found) and len(pools) < len(found)
    assert any(pool.padding and pool.overlap > 1 for pool in pools)
    assert any(pool.stride > max(pool.height, pool.width) for pool in pools)
    for windows in (pools, convolutions):
        assert {window.stride for window in windows} == {1, 2, 3}
        assert any(window.padding for window in windows)
        assert any(window.height != window.width for window in windows)


@pytest.mark.parametrize("case", range(CASES))
def test_pooling_with_ties_takes_the_place_that_pytorch_takes(case):
    """Few values, so that most windows have several maxima."""
    random = np.random.default_rng(1000 + case)
    shape = tuple(int(n) for n in random.integers((1, 1, 1), (9, 9, 4)))
    pool = a_window(random, shape, True)
    x = random.integers(-2, 1, (3, *shape))
    best, first = max_pool(x, pool)
    their_x = tensor(x).requires_grad_()
    theirs, where = pooled(their_x, pool)
    assert np.array_equal(best, array(theirs))
    assert np.array_equal(places(first, pool, shape), array(where))
    d = whole(random, 99, best.shape)
    theirs.backward(tensor(d))
    assert np.array_equal(unpool(d, first, pool, shape), array(their_x.grad))


# A step of the baseline in float32


def their_step(trainer, images, labels, rate):
    """The parameters after a step of PyTorch's autograd and SGD in float64 from the trainer's."""
    stages, parameters = trainer.stages, []
    x = tensor(images / 16.0)
    for number, (stage, w, bias) in enumerate(zip(stages, trainer.weights, trainer.biases)):
        theirs = kernel(w, stage), torch.tensor(bias.astype(np.float64), requires_grad=True)
        parameters.append(theirs)
        window = stage.window
        x = functional.conv2d(x, *theirs, stride=window.stride, padding=window.padding)
        if stage.pool:
            x, _ = pooled(x, stage.pool)
        if number < len(stages) - 1:
            x = functional.relu(x)
    outputs = x.reshape(len(images), -1)
    if trainer.recipe.loss == Loss.SOFTMAX:
        loss = functional.cross_entropy(outputs, torch.tensor(labels), reduction="sum")
    else:
        targets = functional.one_hot(torch.tensor(labels), outputs.shape[1]).double()
        loss = functional.mse_loss(outputs, targets, reduction="sum") / 2
    (loss / len(images)).backward()
    flat = [part for pair in parameters for part in pair]
    decays = [float(trainer.recipe.decay), 0.0] * len(parameters)
    torch.optim.SGD(
        [{"params": [part], "weight_decay": decay} for part, decay in zip(flat, decays)], lr=rate
    ).step()
    return float(loss.detach()), [
        (rows(w.detach()), bias.detach().numpy()) for w, bias in parameters
    ]


@pytest.mark.parametrize("loss", Loss)
@pytest.mark.parametrize("network", ["", "9FC", "3C3s2p1-MP3s2p1-4C2-5FC", "4C3x2p1-MP2-6FC"])
def test_a_step_of_the_baseline_is_pytorchs(network, loss):
    recipe = FloatRecipe(network=network, loss=loss, decay="0.125", learning_rate="0.5", batch=8)
    trainer = FloatTrainer(recipe, shape=(9, 8, 2), classes=4, pixel_max=16)
    random = np.random.default_rng(3)
    trainer.weights = [random.normal(0, 0.3, w.shape).astype(np.float32) for w in trainer.weights]
    trainer.biases = [random.normal(0, 0.3, b.shape).astype(np.float32) for b in trainer.biases]
    images = random.integers(0, 17, (8, 9, 8, 2), np.uint8)
    labels = random.integers(0, 4, 8)
    before = [w.copy() for w in trainer.weights]
    their_loss, wanted = their_step(trainer, images, labels, 0.5)
    score = trainer.step(images, labels)
    assert score.loss == pytest.approx(their_loss, rel=1e-5)
    for got_w, got_bias, old, (w, bias) in zip(trainer.weights, trainer.biases, before, wanted):
        assert np.allclose(got_w, w, rtol=1e-5, atol=1e-5)
        assert np.allclose(got_bias, bias, rtol=1e-5, atol=1e-5)
        assert np.abs(w - old).max() > 1e-3  # it has moved by much more than that


# Softmax in integers


@pytest.mark.parametrize("fraction", [0, 4, 10, 14, 20])
def test_the_integer_softmax_is_pytorchs_within_its_error(fraction):
    """The table's index is cut to 10 bits: an exponential is at most 2^(1 / 1024) too large, so
    that its share is off by 0.07 %; then words of 16 fraction bits are rounded down.
    """
    random = np.random.default_rng(fraction)
    classes = 10
    y = random.integers(-(1 << (fraction + 3)), 1 << (fraction + 3), (3000, classes))
    y[0] = 0
    y[1, 1:] = y[1, 0] - (40 << fraction)  # all but one beyond the furthest shift
    y[2, 1:] = y[2, 0]
    got = softmax(y, fraction) / 2**FRACTION
    wanted = functional.softmax(torch.tensor(y / 2.0**fraction), dim=1).numpy()
    # Each exponential is an integer of 2^-16 and shifted down to one: off by one of them at most,
    # in a sum of at least 1 that has one such error for each class.
    step = 2.0**-FRACTION
    allowed = wanted * (2 ** (1 / 1024) - 1 + classes * step) + 2 * step
    assert np.all(np.abs(got - wanted) <= allowed)
    assert np.abs(got - wanted).max() > step / 2  # it is an approximation


def test_the_integer_cross_entropy_is_pytorchs_within_the_softmaxs_error():
    fraction, random = 14, np.random.default_rng(0)
    y = random.integers(-(3 << fraction), 3 << fraction, (500, 10))
    labels = random.integers(0, 10, 500)
    score = cross_entropy(y, softmax(y, fraction), labels)
    logits = torch.tensor(y / 2.0**fraction)
    wanted = float(functional.cross_entropy(logits, torch.tensor(labels), reduction="sum"))
    right = functional.softmax(logits, dim=1).numpy()[np.arange(500), labels]
    # The logarithm's slope is 1 / p.
    step = 2.0**-FRACTION
    errors = (2 ** (1 / 1024) - 1 + 10 * step) + 2 * step / right
    assert abs(score.loss - wanted) <= np.sum(errors * 1.01)
    assert score.wrong == int((logits.argmax(1) != torch.tensor(labels)).sum())
