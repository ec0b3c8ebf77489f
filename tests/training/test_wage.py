"""WAGE training in integers, against the paper's real-valued equations."""

import ast
import contextlib
import dataclasses
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from drawn import LoopLanes
from threadpoolctl import threadpool_info, threadpool_limits

import golden.quantize
import golden.threads
import golden.training
from golden.datasets import Dataset, digits
from golden.fixed import Rounding
from golden.lfsr import Generator, Lanes
from golden.training import (
    Bits,
    GuptaRecipe,
    PixelScale,
    Saturation,
    Shift,
    Start,
    WageRecipe,
    WageTrainer,
    load,
    new_trainer,
    plan,
    train,
)
from golden.training.layers import convolution
from golden.training.layers.network import stages
from golden.training.layers.windows import max_pool, unpool
from golden.training.step.operation import Kind
from golden.training.step.ops import (
    Mask,
    OutputError,
    Pool,
    Product,
    QuantizeActivation,
    QuantizeError,
    QuantizeWeight,
    ShiftExponent,
    Unpool,
    WageUpdate,
)
from golden.training.systems.wage import tensors as wage_tensors

# The equations of Wu et al. 2018 in float64. Every number in them is a whole multiple of a power of
# two and short, so that float64 holds it exactly.


def sigma(k):
    return 2.0 ** (1 - k)


def quantized(x, k):
    """Q(x, k)."""
    return np.clip(sigma(k) * np.rint(x / sigma(k)), -1 + sigma(k), 1 - sigma(k))


def shift_log2(x, ceil=False):
    """log2 of Shift(x), from the exact square of x in place of a logarithm."""
    square, m = Fraction(float(x)) ** 2, -200
    while square > (Fraction(4) ** m if ceil else Fraction(2) ** (2 * m + 1)):
        m += 1
    return m


def uniform(word, s, generator):
    """r / 2^s for the r that a draw gives where s bits are dropped."""
    if s <= 0:
        return np.zeros(word.shape)
    if s <= generator.draw:
        return (word % 2**s) / 2.0**s
    return (word + 0.5) / 2.0**generator.draw


class RealWage:
    """A step of WAGE in real numbers on tensors (batch, channels, height, width).

    Draws come in the order of the elementwise rounders.
    """

    def __init__(self, recipe, stages, weights, pixel_max):
        self.recipe, self.bits, self.pixel_max = recipe, recipe.bits, pixel_max
        self.stages = stages
        self.weights = [n / 2.0 ** (self.bits.gradient - 1) for n in weights]
        self.lanes = LoopLanes(recipe.generator, recipe.columns, recipe.columns)
        self.seen = set()  # which paths the case took

    def error_words(self, shape, after):
        """Words of a pass over errors (batch, channels, height, width), which came back through
        the stage `after`; over the outputs without one.
        """
        batch, channels = shape[:2]
        words = np.empty((batch, channels, *(shape[2:] or (1, 1))))
        if after is None:
            found = self.lanes.elementwise(range(batch), 1, channels)
            found = {(n, (0, 0), c): word for (n, _, c), word in found.items()}
        else:
            found = self.lanes.errors(self.recipe.rows, batch, after)
        for (n, (y, x), c), word in found.items():
            words[n, c, y, x] = word
        return words.reshape(shape)

    def update_words(self, shape):
        words = np.empty(shape)
        for place, word in self.lanes.update(*shape).items():
            words[place] = word
        return words

    def scale(self, x):
        """log2 of Shift(max|x|)."""
        return shift_log2(np.abs(x).max(), self.recipe.shift == "ceil")

    def quantized_error(self, e, unit, after):
        """Q_E(e) for errors in units of 2^-unit; `after` is the stage that they came back
        through.
        """
        k_e = self.bits.error
        stochastic = self.recipe.error_rounding == "stochastic"
        words = self.error_words(e.shape, after) if stochastic else None
        if not e.any():
            self.seen.add("no error")
            return np.zeros(e.shape)
        scale = self.scale(e)
        dropped = scale + unit - (k_e - 1)
        self.seen.add("error rounded" if dropped > 0 else "error exact")
        if stochastic and dropped > 0:
            magnitude = np.abs(e) / 2.0**scale / sigma(k_e)
            rounded = np.floor(magnitude + uniform(words, dropped, self.recipe.generator))
            return np.sign(e) * np.minimum(rounded * sigma(k_e), 1 - sigma(k_e))
        return quantized(e / 2.0**scale, k_e)

    @staticmethod
    def places(window, x):
        """Corners of every place of a window, in an image with its padding."""
        height, width = (size + 2 * window.padding for size in x.shape[2:])
        return [
            [(y, x) for x in range(0, width - window.width + 1, window.stride)]
            for y in range(0, height - window.height + 1, window.stride)
        ]

    @staticmethod
    def around(window, x, value=0.0):
        p = window.padding
        return np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)), constant_values=value)

    @staticmethod
    def inside(window, x):
        p = window.padding
        return x[:, :, p : x.shape[2] - p, p : x.shape[3] - p]

    def convolved(self, stage, x, weight):
        window = stage.window
        wide = self.around(window, x)
        sums = []
        for row in self.places(window, x):
            for top, left in row:
                seen = wide[:, :, top : top + window.height, left : left + window.width]
                sums.append(seen.transpose(0, 2, 3, 1).reshape(len(x), -1) @ weight)
        return np.array(sums).transpose(1, 2, 0).reshape(len(x), -1, *stage.sums[:2])

    def gradient(self, stage, x, e):
        window, g = stage.window, 0
        wide = self.around(window, x)
        for i, row in enumerate(self.places(window, x)):
            for j, (top, left) in enumerate(row):
                seen = wide[:, :, top : top + window.height, left : left + window.width]
                g = g + seen.transpose(0, 2, 3, 1).reshape(len(x), -1).T @ e[:, :, i, j]
        return g

    def error(self, stage, x, e, weight):
        window = stage.window
        wide = self.around(window, np.zeros_like(x))
        for i, row in enumerate(self.places(window, x)):
            for j, (top, left) in enumerate(row):
                part = wide[:, :, top : top + window.height, left : left + window.width]
                terms = (e[:, :, i, j] @ weight.T).reshape(len(e), *part.shape[2:], -1)
                part += terms.transpose(0, 3, 1, 2)
        return self.inside(window, wide)

    def pooled(self, pool, x):
        """Maxima, and where in the image with its padding the first of each stands."""
        wide = self.around(pool, x, -np.inf)
        places = self.places(pool, x)
        out = np.empty((*x.shape[:2], len(places), len(places[0])))
        first = np.empty((*out.shape, 2), int)
        for i, row in enumerate(places):
            for j, (top, left) in enumerate(row):
                best = np.full(x.shape[:2], -np.inf)
                for dy in range(pool.height):
                    for dx in range(pool.width):
                        value = wide[:, :, top + dy, left + dx]
                        self.seen |= {"tie"} if ((value == best) & (value > 0)).any() else set()
                        first[:, :, i, j][value > best] = top + dy, left + dx
                        best = np.maximum(best, value)
                out[:, :, i, j] = best
        return out, first

    def unpooled(self, pool, x, first, e):
        wide = self.around(pool, np.zeros_like(x))
        for place in np.ndindex(e.shape):
            y, x = first[place]
            self.seen |= {"overlap"} if wide[(*place[:2], y, x)] and e[place] else set()
            wide[(*place[:2], y, x)] += e[place]
        return self.inside(pool, wide)

    def back(self, layer, sums, wholes, firsts, activations, forward, alphas, errors, through):
        """Errors of the layer before, by the weights before their update."""
        bits, stage, below = self.bits, self.stages[layer], sums[layer - 1]
        d = self.error(stage, activations[layer], through[layer], forward[layer])
        d = d / alphas[layer]
        clipped = below > 1 - sigma(bits.activation)
        dead = below <= 0
        self.seen |= {"clipped"} if (clipped & (d != 0)).any() else set()
        self.seen |= {"dead"} if (dead & (d != 0)).any() else set()
        d = np.where(clipped, 0, d)
        unit = bits.error + bits.weight - 2 + round(math.log2(alphas[layer]))
        e = np.where(dead, 0, self.quantized_error(d, unit, stage))
        pool = self.stages[layer - 1].pool
        spread = self.unpooled(pool, wholes[layer - 1], firsts[layer - 1], e) if pool else e
        errors[layer - 1], through[layer - 1] = e.transpose(0, 2, 3, 1), spread

    def step(self, images, labels, rate):
        recipe, bits = self.recipe, self.bits
        p = images.astype(float)
        one = 2 ** (bits.activation - 1)
        codes = one * (2 * p - self.pixel_max) if recipe.pixels == "symmetric" else one * p
        pixels = quantized(np.rint(codes / self.pixel_max) / one, bits.activation)
        activations = [pixels.transpose(0, 3, 1, 2)]
        minimum = 1.5 * sigma(bits.weight)
        forward, wholes, sums, firsts, alphas = [], [], [], [], []
        for stage, weight in zip(self.stages, self.weights, strict=True):
            reach = math.sqrt(recipe.c / len(weight))
            alphas.append(max(2.0 ** round(math.log2(minimum / reach)), 1.0))
            forward.append(quantized(weight, bits.weight))
            wholes.append(self.convolved(stage, activations[-1], forward[-1]) / alphas[-1])
            pool = stage.pool
            out, first = self.pooled(pool, wholes[-1]) if pool else (wholes[-1], None)
            sums.append(out)
            firsts.append(first)
            activations.append(quantized(np.maximum(out, 0), bits.activation))
        outputs, last = sums[-1].reshape(len(images), -1), len(self.weights) - 1
        target = np.eye(outputs.shape[1])[labels]

        unit = bits.activation + bits.weight - 2 + round(math.log2(alphas[-1]))
        e = self.quantized_error(outputs - target, unit, None)
        errors, through = {last: e}, {last: e.reshape(sums[-1].shape)}
        whole, part = {}, {}
        for layer in range(last, -1, -1):
            if layer:
                self.back(
                    layer, sums, wholes, firsts, activations, forward, alphas, errors, through
                )
            g = self.gradient(self.stages[layer], activations[layer], through[layer])
            weight, words = self.weights[layer], self.update_words(g.shape)
            scale = self.scale(g) if g.any() else 0
            scaled = 2.0**rate * g / 2.0**scale
            dropped = scale + bits.activation + bits.error - 2 - rate if g.any() else 0
            self.seen.add("step exact" if dropped <= 0 else "step rounded")
            self.seen |= {"long step"} if dropped > recipe.generator.draw else set()
            whole[layer] = np.floor(np.abs(scaled))
            part[layer] = np.abs(scaled) - whole[layer]
            up = part[layer] + uniform(words, dropped, recipe.generator) >= 1
            update = sigma(bits.gradient) * np.sign(scaled) * (whole[layer] + up)
            top = 0.5 if recipe.saturation == "half" else 1 - sigma(bits.gradient)
            self.seen |= {"saturated"} if (np.abs(weight - update) > top).any() else set()
            self.weights[layer] = np.clip(weight - update, -top, top)
        return activations[:-1], outputs, errors, whole, part


def random_network(random):
    """Layers and an image that they fit: dense ones alone in half of the cases, or convolutions
    with and without padding, stride and pooling before them.
    """
    dense = [f"{random.integers(1, 60)}FC" for _ in range(random.integers(0, 4))]
    if random.random() < 0.5:
        return "-".join(dense), (1, int(random.integers(1, 200)), 1)
    while True:
        layers = []
        for _ in range(random.integers(1, 3)):
            height, width = random.integers(1, 4, 2)
            padding = random.integers(0, min(height, width))
            channels, stride = random.integers(1, 6), random.integers(1, 3)
            layers.append(f"{channels}C{height}x{width}s{stride}p{padding}")
            if random.random() < 0.7:
                size = random.integers(1, 4)
                stride, padding = random.integers(1, size + 1), random.integers(0, size)
                layers.append(f"MP{size}s{stride}p{padding}")
        network = "-".join(layers + dense[:1])
        shape = (*(int(size) for size in random.integers(3, 9, 2)), int(random.integers(1, 4)))
        with contextlib.suppress(ValueError):  # an image too small for that
            stages(network, shape, 2)
            return network, shape


def random_case(number):
    """A random network of up to four layers, a random variant, and three batches for it."""
    random = np.random.default_rng(number)
    widths = [
        Bits(),
        Bits(),
        Bits(weight=3),
        Bits(weight=8, activation=8, gradient=8, error=8),
        Bits(weight=2, activation=4, gradient=12, error=6),
        Bits(weight=2, activation=2, gradient=3, error=16),
        Bits(weight=4, activation=16, gradient=16, error=2),
    ]
    generators = [
        Generator(),
        Generator(bits=24, leap=8, draw=4, seed=1 + number),
        Generator(bits=32, leap=32, draw=31, seed=77),
    ]
    network, shape = random_network(random)
    recipe = WageRecipe(
        network=network,
        batch=int(random.integers(1, 24)),
        epochs=1,
        seed=number,
        generator=generators[random.integers(3)],
        rows=int(random.integers(1, 9)),
        columns=int(random.integers(1, 12)),
        bits=widths[number % len(widths)],
        c=(6, 3)[random.integers(2)],
        start=list(Start)[random.integers(2)],
        saturation=list(Saturation)[random.integers(2)],
        pixels=list(PixelScale)[random.integers(2)],
        shift=list(Shift)[random.integers(2)],
        error_rounding=(Rounding.NEAREST_EVEN, Rounding.STOCHASTIC)[random.integers(2)],
        rates=((1, (0, 3, -3)[number % 3]),),
    )
    classes, pixel_max = int(random.integers(2, 11)), (255, 16, 7)[random.integers(3)]
    trainer = WageTrainer(recipe, shape=shape, classes=classes, pixel_max=pixel_max)
    batches = []
    for _ in range(3):
        images = random.integers(0, pixel_max + 1, (recipe.batch, *shape), np.uint8)
        images *= random.random(images.shape) < 0.7
        batches.append((images, random.integers(0, classes, recipe.batch)))
    return trainer, pixel_max, batches


def noted(record, kind):
    return [entry for entry in record if isinstance(entry.operation, kind)]


def tensor(entry, name):
    """A recorded tensor, samples outermost."""
    return entry.operation.tensors()[name].matrix.tensor(entry.tensors[name])


def check_case(number):
    trainer, pixel_max, batches = random_case(number)
    recipe, bits = trainer.recipe, trainer.recipe.bits
    real = RealWage(recipe, trainer.stages, trainer.weights, pixel_max)
    for images, labels in batches:
        record = []
        score = trainer.step(images, labels, record)
        activations, outputs, errors, whole, part = real.step(images, labels, recipe.rates[0][1])
        assert score.images == len(labels)
        assert score.wrong == np.sum(np.argmax(outputs, axis=1) != labels)
        sse = np.sum((outputs - np.eye(outputs.shape[1])[labels]) ** 2)
        assert score.loss == pytest.approx(sse / 2, rel=1e-12)
        classes = outputs.shape[1]
        assert [entry.operation for entry in record] == plan(recipe, trainer.shape, classes)
        check_record(record, trainer.stages)
        codes = [tensor(entry, "code") for entry in noted(record, QuantizeActivation)]
        for code, activation in zip(codes, activations[1:], strict=True):
            wanted = np.ldexp(activation.transpose(0, 2, 3, 1), bits.activation - 1)
            assert np.array_equal(code.reshape(-1), wanted.reshape(-1))
        codes = [tensor(entry, "code") for entry in noted(record, QuantizeError)]
        for layer, code in zip(reversed(range(trainer.layers)), codes, strict=True):
            wanted = np.ldexp(errors[layer], bits.error - 1)
            assert np.array_equal(code.reshape(-1), wanted.reshape(-1))
        for entry in noted(record, WageUpdate):
            layer, scalars = entry.operation.layer - 1, entry.scalars
            dropped = scalars["exponent"] - scalars["rate"]
            magnitude = np.ldexp(np.abs(entry.tensors["gradient"]).astype(float), -dropped)
            assert np.array_equal(np.floor(magnitude), whole[layer])
            assert np.array_equal(magnitude % 1, part[layer])
            codes = np.ldexp(real.weights[layer], bits.gradient - 1)
            assert np.array_equal(entry.tensors["out"], codes)
            assert np.array_equal(trainer.weights[layer], codes)
    return real.seen


def check_record(record, stages):
    """What the units would make of the recorded inputs is what training had."""
    for entry in record:
        operation, found, scalars = entry.operation, entry.tensors, entry.scalars
        match operation:
            case Product():
                assert operation.conversion is None
                assert np.array_equal(found["a"] @ found["b"], found["out"])
            case QuantizeWeight():
                code = golden.quantize.ternarise(found["n"], operation.bits, operation.stored)
                assert np.array_equal(found["code"], code)
            case QuantizeActivation():
                acc, shift, bits = found["acc"], operation.shift, operation.bits
                code = golden.quantize.quantize_activation(acc, shift, bits)
                assert np.array_equal(found["code"], code)
                assert np.array_equal(found["active"], acc > 0)
                assert np.array_equal(
                    found["unclipped"], acc <= golden.quantize.limit(bits) << shift
                )
            case ShiftExponent():
                assert scalars["maximum"] == np.abs(found["values"]).max()
            case QuantizeError() if not operation.draws:
                exponent, bits = scalars["exponent"], operation.bits
                code = golden.quantize.quantize_error(found["values"], exponent, bits)
                assert np.array_equal(found["code"], code * found["keep"])
            case Mask():
                assert np.array_equal(found["out"], found["values"] * found["keep"])
            case OutputError():
                target = np.eye(found["outputs"].shape[1], dtype=np.int64)[found["label"][:, 0]]
                wanted = found["outputs"] - (target << operation.one)
                assert np.array_equal(found["difference"], wanted)
            case Pool() | Unpool():
                check_pooling(entry, stages[operation.layer - 1])


def check_pooling(entry, stage):
    """Pooling after a stage, and the way back."""
    names = ("values", "pooled") if isinstance(entry.operation, Pool) else ("spread", "errors")
    whole, pooled, first = (tensor(entry, name) for name in (*names, "first"))
    whole = whole.reshape(-1, *stage.sums)
    pooled, first = (x.reshape(-1, *stage.pooled) for x in (pooled, first))
    if isinstance(entry.operation, Pool):
        best, where = max_pool(whole, stage.pool)
        assert np.array_equal(best, pooled) and np.array_equal(where, first)
    else:
        assert np.array_equal(unpool(pooled, first, stage.pool, stage.sums), whole)


@pytest.mark.long
def test_a_hundred_random_networks_agree_with_the_equations():
    seen = set()
    for number in range(100):
        seen |= check_case(number)
    # The hundred have met every path.
    assert seen >= {"clipped", "dead", "saturated", "long step", "step exact", "step rounded"}
    assert seen >= {"error exact", "error rounded", "tie", "overlap"}


def small(shape=(1, 11, 1), **changes):
    settings = {
        "network": "9FC",
        "batch": 5,
        "epochs": 2,
        "rows": 4,
        "columns": 3,
        "rates": ((1, 0),),
    }
    recipe = WageRecipe(**(settings | changes))
    return WageTrainer(recipe, shape=shape, classes=4, pixel_max=16)


def batch(random, count=5):
    return random.integers(0, 17, (count, 1, 11), np.uint8), random.integers(0, 4, count)


def test_nothing_to_learn_moves_nothing_but_the_lanes():
    """Blank images give no sums, gradients of zero and no update; values still stream."""
    trainer = small()
    before = [weight.copy() for weight in trainer.weights]
    record = []
    trainer.step(np.zeros((5, 1, 11), np.uint8), np.arange(5) % 4, record)
    for old, new in zip(before, trainer.weights, strict=True):
        assert np.array_equal(old, new)
    scales = [entry for entry in noted(record, ShiftExponent) if of_gradient(entry)]
    assert [entry.scalars for entry in scales] == [{"maximum": 0, "exponent": 0}] * 2
    assert trainer.draws.elementwise == 11 * 3 + 9 * 2


def of_gradient(entry):
    return entry.operation.reads[0].kind is Kind.GRADIENT


def test_nothing_to_learn_clips_all_the_same():
    """Weights beyond the saturation, as a host may load them, come back into the range."""
    trainer = small(saturation="half")
    trainer.weights[0][0, :3] = 127, -100, 64
    record = []
    trainer.step(np.zeros((5, 1, 11), np.uint8), np.arange(5) % 4, record)
    assert trainer.weights[0][0, :3].tolist() == [64, -64, 64]
    entry = noted(record, WageUpdate)[-1]
    stored, gradient = entry.tensors["n"], entry.tensors["gradient"]
    assert stored[0, :3].tolist() == [127, -100, 64] and not gradient.any()
    moved = golden.quantize.update_weight(stored, gradient, 0, 0, 64, 0)
    assert np.array_equal(moved, entry.tensors["out"])


def test_a_record_lists_the_operations_in_order():
    record = []
    small(network="9FC-6FC").step(*batch(np.random.default_rng(0)), record)
    names = [f"{type(entry.operation).__name__} {entry.operation.layer}" for entry in record]
    products = iter(f"{e.operation.kind} {e.operation.layer}" for e in noted(record, Product))
    names = [next(products) if name.startswith("Product") else name for name in names]
    assert names == [
        "QuantizeWeight 1",
        "forward 1",
        "QuantizeActivation 1",
        "QuantizeWeight 2",
        "forward 2",
        "QuantizeActivation 2",
        "QuantizeWeight 3",
        "forward 3",
        "OutputError 3",
        "ShiftExponent 3",
        "QuantizeError 3",
        "error 3",
        "Mask 2",
        "ShiftExponent 2",
        "QuantizeError 2",
        "gradient 3",
        "ShiftExponent 3",
        "WageUpdate 3",
        "error 2",
        "Mask 1",
        "ShiftExponent 1",
        "QuantizeError 1",
        "gradient 2",
        "ShiftExponent 2",
        "WageUpdate 2",
        "gradient 1",
        "ShiftExponent 1",
        "WageUpdate 1",
    ]


def test_a_record_changes_nothing():
    one, other = small(), small()
    for images, labels in [batch(np.random.default_rng(7)) for _ in range(3)]:
        assert one.step(images, labels) == other.step(images, labels, [])
    assert all(np.array_equal(*pair) for pair in zip(one.weights, other.weights, strict=True))
    assert one.draws == other.draws


@pytest.mark.parametrize("rounding", [Rounding.NEAREST_EVEN, Rounding.STOCHASTIC])
def test_threads_change_nothing(monkeypatch, rounding):
    def run(threads):
        monkeypatch.setattr(golden.threads, "threads", lambda: threads)
        trainer = small(network="6C3p1-MP3s2-5C2-MP2-9FC", shape=(8, 9, 2), error_rounding=rounding)
        random = np.random.default_rng(1)
        for _ in range(3):
            images = random.integers(0, 17, (5, 8, 9, 2), np.uint8)
            trainer.step(images, random.integers(0, 4, 5))
        return trainer

    monkeypatch.setattr(convolution, "_CACHE", 1)  # an image at a time
    monkeypatch.setattr(wage_tensors, "_BLOCK", 10)
    one, two = run(1), run(2)
    assert all(np.array_equal(*pair) for pair in zip(one.weights, two.weights, strict=True))
    assert one.draws == two.draws


def test_a_training_goes_on_from_its_state():
    recipe = WageRecipe(network="4C2-MP2-6FC", batch=5, epochs=3, error_rounding="stochastic")
    data = tiny_dataset()
    whole, first, second = (new_trainer(recipe, data) for _ in range(3))
    results = list(whole.walk(data))
    walk = first.walk(data)
    for _ in range(6):  # into the second epoch
        next(walk)
    second.restore(first.state())
    rest = list(second.walk(data))
    assert len(rest) == len(results) - 6
    assert rest[-1].test == results[-1].test and rest[-1].train == results[-1].train
    assert all(np.array_equal(*pair) for pair in zip(whole.weights, second.weights, strict=True))
    assert whole.draws == second.draws


def test_an_epoch_reports_what_its_last_step_did():
    recipe = WageRecipe(network="4C2-MP2-6FC", batch=5, epochs=1, bits=Bits(activation=2))
    data = tiny_dataset()
    trainer = new_trainer(recipe, data)
    (epoch,) = trainer.epochs(data)
    assert [layer.name for layer in epoch.layers] == ["4C2", "6FC", "4FC"]
    assert epoch.layers[-1].saturated == 0  # sums of the last layer are not clipped
    for layer, n in zip(epoch.layers, trainer.weights, strict=True):
        assert layer.weights.counts.sum() == n.size
        assert layer.weights.edges[0] == n.min() / 128 and layer.weights.edges[-1] == n.max() / 128
    record = []
    trainer.watching = True
    trainer.step(data.train_images[:5], data.train_labels[:5], record)
    shares = [1 - e.tensors["unclipped"].mean() for e in noted(record, QuantizeActivation)]
    assert trainer.saturated == pytest.approx([*shares, 0])


def test_the_baseline_is_the_same_network_with_the_same_loss():
    recipe = WageRecipe(network="4C2-MP2-6FC", batch=7, epochs=3, seed=5)
    baseline = recipe.baseline()
    assert baseline.loss == "sse"
    for name in ("network", "batch", "epochs", "seed"):
        assert getattr(baseline, name) == getattr(recipe, name)


def test_masks_say_what_was_clipped_and_what_is_dead():
    record = []
    trainer = small(network="40FC", bits=Bits(activation=2))
    trainer.step(*batch(np.random.default_rng(0)), record)
    (entry,) = noted(record, QuantizeActivation)
    acc = entry.tensors["acc"]
    assert np.array_equal(entry.tensors["active"], acc > 0)
    unclipped = np.maximum(acc, 0) <= 1 << entry.operation.shift
    assert np.array_equal(entry.tensors["unclipped"], unclipped) and not unclipped.all()
    hidden = noted(record, QuantizeError)[1]
    assert np.array_equal(hidden.tensors["keep"], acc > 0)
    assert not hidden.tensors["values"][~unclipped].any()


@pytest.mark.parametrize("rounding", [Rounding.NEAREST_EVEN, Rounding.STOCHASTIC])
def test_a_step_can_be_redone_from_where_its_lanes_stood(rounding):
    """Generators seeded with the lanes' place at the start of a step give that step's updates."""
    trainer = small(error_rounding=rounding)
    random = np.random.default_rng(3)
    trainer.step(*batch(random))
    record = []
    before = trainer.draws
    trainer.step(*batch(random), record)
    assert trainer.step_start == before and before.array == 0
    generator = trainer.recipe.generator
    place = generator.advance(generator.seed, before.elementwise * generator.leap)
    lanes, made = Lanes(dataclasses.replace(generator, seed=place), 3, 3), 0
    for entry in record:
        operation = entry.operation
        if not operation.draws:
            continue
        lane, draw = operation.order.coordinates()
        words = lanes.take(operation.leaps)[draw, lane - 3].astype(np.int64)
        made += operation.leaps
        if isinstance(operation, QuantizeError):
            continue
        n, g = entry.tensors["n"], entry.tensors["gradient"]
        s = entry.scalars["exponent"] - entry.scalars["rate"]
        assert 0 < s <= generator.draw
        moved = np.clip(n - np.sign(g) * ((np.abs(g) + words % (1 << s)) >> s), -127, 127)
        assert np.array_equal(moved, entry.tensors["out"])
    assert trainer.draws.elementwise == before.elementwise + made


def tiny_dataset(count=23, held_out=8):
    random = np.random.default_rng(5)
    return Dataset(
        name="tiny",
        train_images=random.integers(0, 17, (count, 3, 4), np.uint8),
        train_labels=random.integers(0, 4, count).astype(np.uint8),
        test_images=random.integers(0, 17, (held_out, 3, 4), np.uint8),
        test_labels=random.integers(0, 4, held_out).astype(np.uint8),
        pixel_max=16,
        classes=4,
    )


@pytest.mark.parametrize(
    "recipe",
    [
        WageRecipe(network="9FC", batch=5, epochs=3),
        GuptaRecipe(network="9FC", batch=5, epochs=3, deviation="0.5"),
    ],
)
def test_evaluation_moves_nothing(recipe):
    data = tiny_dataset()
    watched, plain = new_trainer(recipe, data), new_trainer(recipe, data)
    for start in (0, 5, 10):
        part = slice(start, start + 5)
        first = watched.evaluate(data.test_images, data.test_labels)
        assert watched.evaluate(data.test_images, data.test_labels) == first
        classes = watched.predict(data.test_images)
        assert np.sum(classes != data.test_labels) == first.wrong and first.images == 8
        for trainer in (watched, plain):
            trainer.step(data.train_images[part], data.train_labels[part])
    for one, other in zip(watched.weights, plain.weights, strict=True):
        assert np.array_equal(one, other)
    assert watched.draws == plain.draws


@pytest.mark.parametrize("kind", [WageRecipe, GuptaRecipe])
def test_epochs_walk_one_permutation_each(kind, monkeypatch):
    """Weights and permutations come from one PCG64; a last partial batch is dropped."""
    data, recipe = tiny_dataset(), kind(network="9FC", batch=5, epochs=2, seed=9)
    trainer = new_trainer(recipe, data)
    seen = []
    step = trainer.step
    monkeypatch.setattr(trainer, "step", lambda *args: seen.append(args) or step(*args))
    random = np.random.Generator(np.random.PCG64(9))
    for weight in trainer.weights:
        shape = weight.shape
        random.random(shape) if kind is WageRecipe else random.standard_normal(shape)
    epochs = list(trainer.epochs(data))
    orders = [random.permutation(23) for _ in range(2)]
    assert len(seen) == 8
    for number, (images, labels, _) in enumerate(seen):
        chosen = orders[number // 4][number % 4 * 5 :][:5]
        assert np.array_equal(images, data.train_images[chosen])
        assert np.array_equal(labels, data.train_labels[chosen])
    assert [epoch.epoch for epoch in epochs] == [1, 2]
    assert epochs[0].train.images == 20 and epochs[0].test.images == 8
    assert 0 <= epochs[0].test.error <= 100 and epochs[0].seconds > 0
    assert epochs[1].test == trainer.evaluate(data.test_images, data.test_labels)


def test_rates_hold_from_their_epoch_on():
    recipe = WageRecipe(rates=((1, 2), (3, 0), (4, -5)))
    assert [recipe.rate(epoch) for epoch in range(6)] == [2, 2, 0, -5, -5, -5]
    trainer, record = small(rates=((1, 1), (2, -2))), []
    for trainer.epoch in (0, 1):
        trainer.step(*batch(np.random.default_rng(0)), record)
    assert [entry.scalars["rate"] for entry in noted(record, WageUpdate)] == [1, 1, -2, -2]


def test_a_step_wants_the_batch_of_its_recipe():
    with pytest.raises(ValueError, match="4 images and 4 labels: the recipe says batch = 5"):
        small().step(*batch(np.random.default_rng(0), 4))
    recipe = WageRecipe(batch=24)
    with pytest.raises(ValueError, match="batch = 24: tiny has only 23 images to train with"):
        train(recipe, tiny_dataset())


def test_the_class_is_the_lowest_of_equal_maxima():
    trainer = small()
    trainer.weights[-1] = np.zeros_like(trainer.weights[-1])
    assert trainer.predict(np.full((3, 1, 11), 9, np.uint8)).tolist() == [0, 0, 0]
    score = trainer.evaluate(np.full((4, 1, 11), 9, np.uint8), np.arange(4))
    assert score.wrong == 3 and score.error == 75.0


@pytest.mark.parametrize("start", Start)
@pytest.mark.parametrize("c", [6, 3])
def test_first_weights_fill_their_range(start, c):
    recipe = WageRecipe(network="300FC", start=start, c=c)
    trainer = WageTrainer(recipe, shape=(2, 2, 1), classes=10, pixel_max=16)
    wide, narrow = trainer.weights  # fan-in 4: L = sqrt(c / 4) > 0.75; fan-in 300: Lmin = 0.75
    assert trainer.planner.alphas == [0, {6: 2, 3: 3}[c]]
    if start is Start.RELEASED:
        assert set(np.unique(narrow)) == {-64, 0, 64}
        # |W| < 1/4 rounds to 0: a third of the range of +-3/4.
        assert abs(np.mean(narrow == 0) - 1 / 3) < 0.03
    else:
        assert narrow.min() == -96 and narrow.max() == 96
        assert wide.max() == min(round(128 * math.sqrt(c / 4)), 127)
        assert abs(narrow.std() - 96 / math.sqrt(3)) < 2


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"network": "0FC"}, "network = '0FC': 0FC: neurons = 0: allowed are 1 to 65536"),
        ({"batch": 0}, "batch = 0: allowed are 1 to 65536"),
        ({"epochs": 0}, "epochs = 0: allowed are 1 to"),
        ({"seed": -1}, "seed = -1: allowed are 0 to"),
        ({"rows": 0}, "rows = 0: allowed are 1 to 255"),
        ({"columns": 128}, "columns = 128: allowed are 1 to 127"),
        ({"generator": Generator(bits=16, leap=8, draw=8)}, "56 lanes of a generator of 16 bits"),
        ({"c": 4}, "c = 4: allowed are 6, 3"),
        ({"start": "zero"}, "start = 'zero': allowed are paper, released"),
        ({"saturation": 64}, "saturation = 64: allowed are full, half"),
        ({"pixels": "big"}, "pixels = 'big': allowed are unit, symmetric"),
        ({"shift": "floor"}, "shift = 'floor': allowed are round, ceil"),
        ({"error_rounding": "nearest-up"}, "error_rounding = 'nearest-up': allowed are nearest-e"),
        ({"rates": ()}, r"rates = \(\): a first pair of epoch 1 is wanted"),
        ({"rates": ((2, 0),)}, r"rates = \(\(2, 0\),\): a first pair"),
        ({"rates": ((1, 8),)}, "rate from epoch 1 on = 8: allowed are -8 to 7"),
        ({"rates": ((1, 0), (1, 0))}, "epoch of a rate = 1: allowed are 2 to"),
    ],
)
def test_recipes_check_themselves(changes, complaint):
    with pytest.raises(ValueError, match=complaint):
        WageRecipe(**changes)


def test_widths_check_themselves():
    assert str(Bits.parse("2-8-8-8")) == "2-8-8-8" and Bits.parse("3-4-12-6").gradient == 12
    with pytest.raises(ValueError, match="weight = 7: allowed are 2 to 6"):
        Bits(weight=7, gradient=6)
    with pytest.raises(ValueError, match="error = 1: allowed are 2 to 16"):
        Bits(error=1)
    with pytest.raises(ValueError, match="bits '2888': W-A-G-E is wanted, as in 2-8-8-8"):
        Bits.parse("2888")


def test_names_will_do_for_choices():
    """A recipe that names its choices trains as one that holds them."""
    named = small(start="released", shift="ceil", error_rounding="stochastic", saturation="half")
    held = small(
        start=Start.RELEASED,
        shift=Shift.CEIL,
        error_rounding=Rounding.STOCHASTIC,
        saturation=Saturation.HALF,
    )
    for images, labels in [batch(np.random.default_rng(7)) for _ in range(3)]:
        named.step(images, labels)
        held.step(images, labels)
    assert all(np.array_equal(*pair) for pair in zip(named.weights, held.weights, strict=True))


@pytest.mark.parametrize("kind", [WageRecipe, GuptaRecipe, Bits])
def test_every_field_is_read_beyond_its_check(kind):
    read = set()
    for path in Path(golden.training.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name == "__post_init__":
                node.body = []
        read |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert {field.name for field in dataclasses.fields(kind)} <= read


def test_digits_are_learnt():
    """64-128-10 neurons, 2-8-8-8 bits."""
    errors = []
    for seed in range(5):
        _, history = train(load("digits-wage", [f"seed={seed}"]), digits())
        errors.append(history[-1].test.error)
    assert np.median(errors) < 4.5
    assert max(errors) < 6


def test_training_is_the_same_on_every_machine():
    """What a short run came to when its steps were checked against the equations."""
    trainer, history = train(WageRecipe(epochs=2, rates=((1, 0),)), digits())
    checksum = sum(int(np.sum(n * np.arange(n.size).reshape(n.shape))) for n in trainer.weights)
    assert (history[-1].test.wrong, checksum) == GOLDEN


GOLDEN = (128, -38415582)


def test_blas_is_held_at_one_thread_in_training_and_evaluation(monkeypatch):
    """Its own threads would be in the way of ours."""
    found = []

    def activation(*arguments):
        found.append({pool["num_threads"] for pool in threadpool_info()})
        return plain(*arguments)

    plain = wage_tensors.activation
    monkeypatch.setattr(wage_tensors, "activation", activation)
    monkeypatch.setattr(golden.threads, "threads", lambda: 2)
    recipe = WageRecipe(network="6FC", batch=4)
    trainer = WageTrainer(recipe, shape=(3, 3, 1), classes=3, pixel_max=9)
    images, labels = np.zeros((4, 3, 3), np.uint8), np.zeros(4, np.uint8)
    with threadpool_limits(limits=2, user_api="blas"):
        trainer.step(images, labels)
        trainer.evaluate(images, labels)
        trainer.predict(images)
    assert found == [{1}] * 3
