"""Fixed-point training against the same step in exact fractions."""

import json
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from golden import threads
from golden.datasets import digits
from golden.fixed import Conversion, Fixed, saturate
from golden.lfsr import Generator, dither, step
from golden.training.gupta import GuptaTrainer
from golden.training.gupta_recipe import Formats, GuptaRecipe, SaturationGradient, UpdateFactors
from golden.training.gupta_update import SLAB, Gradient, exact_sum, largest_sum, update
from golden.training.loop import new_trainer
from golden.training.record import Convert, Product
from golden.training.softmax import LOG2_E, TABLE, exponentials, softmax


class Draws:
    """Lanes stepped one by one; gives r / 2^s for each value in the order of the hardware."""

    def __init__(self, generator, first, count):
        self.generator = generator
        self.states = [generator.lane_seed(first + lane) for lane in range(count)]

    def uniform(self, lane, s):
        state, draw = self.states[lane], self.generator.draw
        for _ in range(self.generator.leap):
            self.states[lane] = step(self.states[lane], self.generator.taps)
        if s <= draw:
            return Fraction(state % 2 ** max(s, 0), 2 ** max(s, 0))
        return Fraction(2 * (state % 2**draw) + 1, 2 ** (draw + 1))

    def array(self, rows, height, width, s):
        """By tiles, each drained whole and bottom row first."""
        lanes, found = len(self.states), {}
        for top in range(0, height, rows):
            for left in range(0, width, lanes):
                for row in reversed(range(rows)):
                    for lane in range(lanes):
                        found[top + row, left + lane] = self.uniform(lane, s)
        return [[found[i, j] for j in range(width)] for i in range(height)]

    def elementwise(self, height, width, s):
        lanes = len(self.states)
        padded = -(-height * width // lanes) * lanes
        found = [self.uniform(i % lanes, s) for i in range(padded)]
        return [found[i * width : (i + 1) * width] for i in range(height)]


def transposed(a):
    return [list(row) for row in zip(*a)]


def product(a, b):
    columns = transposed(b)
    return [[sum(x * y for x, y in zip(row, column) if x and y) for column in columns] for row in a]


def whole_rate(x):
    """x as an integer over 2^16."""
    return Fraction(round(Fraction(str(x)) * 2**16), 2**16)


class Words:
    """The reals of a format of 16 bits."""

    def __init__(self, fl):
        self.fl, self.ulp = fl, Fraction(1, 2**fl)
        self.low, self.high = -(2**15) * self.ulp, (2**15 - 1) * self.ulp

    def real(self, codes):
        return [[Fraction(int(code)) * self.ulp for code in row] for row in codes]

    def clip(self, value):
        return min(max(value, self.low), self.high)

    def convert(self, z, draws):
        """Rounded to whole ulps and saturated; and where it was saturated."""
        out, saturated = [], []
        for i, row in enumerate(z):
            out.append([])
            saturated.append([])
            for j, value in enumerate(row):
                if draws is not None:
                    y = math.floor(value / self.ulp + draws[i][j]) * self.ulp
                else:
                    y = math.ceil(value / self.ulp - Fraction(1, 2)) * self.ulp  # ties go down
                out[-1].append(self.clip(y))
                saturated[-1].append(out[-1][-1] != y)
        return out, saturated


def places(window, shape):
    """Upper left corners of a window on an image, row by row."""
    height, width, _ = shape
    p = window.padding
    return [
        (top, left)
        for top in range(-p, height + p - window.height + 1, window.stride)
        for left in range(-p, width + p - window.width + 1, window.stride)
    ]


class RealGupta:
    """A step in reals; every value is a Fraction and no integer code appears.

    Images are dictionaries {(y, x, channel): value}; what is not in them is padding.
    """

    def __init__(self, recipe, trainer):
        self.recipe, self.stages = recipe, trainer.stages
        formats = recipe.formats
        self.words = Words(formats.fl)
        self.activation = Words(
            formats.fl if formats.activation_fl is None else formats.activation_fl
        )
        self.input = Words(formats.fl if formats.input_fl is None else formats.input_fl)
        self.weights = [self.words.real(weight) for weight in trainer.weights]
        self.biases = [self.words.real(bias[None])[0] for bias in trainer.biases]
        self.v = [[[Fraction(0)] * len(row) for row in weight] for weight in self.weights]
        self.v_bias = [[Fraction(0)] * len(bias) for bias in self.biases]
        self.array = Draws(recipe.generator, 0, recipe.columns)
        self.elementwise = Draws(recipe.generator, recipe.columns, recipe.columns)

    def rounded_product(self, a, b, words, s):
        z, draws = product(a, b), None
        if self.recipe.rounding == "stochastic":
            draws = self.array.array(self.recipe.rows, len(z), len(z[0]), s)
        return words.convert(z, draws)

    def rounded(self, z, s):
        draws = None
        if self.recipe.rounding == "stochastic":
            draws = self.elementwise.elementwise(len(z), len(z[0]), s)
        return self.words.convert(z, draws)[0]

    def probabilities(self, row):
        exponentials_ = []
        for y in row:
            power = (max(row) - y) * Fraction(94548, 2**16)  # log2 e with 16 fraction bits
            whole = math.floor(power)
            index = math.floor((power - whole) * 1024)
            exponentials_.append(round(2.0**16 * 2.0 ** (-index / 1024)) >> min(whole, 31))
        return [Fraction(e * 2**16 // sum(exponentials_), 2**16) for e in exponentials_]

    def seen(self, stage, image):
        """What the stage's window sees at each of its places: rows by (channel, ky, kx)."""
        return [
            [
                image.get((top + y, left + x, channel), Fraction(0))
                for channel in range(stage.image[2])
                for y in range(stage.window.height)
                for x in range(stage.window.width)
            ]
            for top, left in places(stage.window, stage.image)
        ]

    def images(self, rows, shape, batch):
        """Rows (batch, y, x) with a column a channel, as images."""
        height, width, channels = shape
        return [
            {
                (y, x, channel): rows[(n * height + y) * width + x][channel]
                for y in range(height)
                for x in range(width)
                for channel in range(channels)
            }
            for n in range(batch)
        ]

    def rows(self, images, shape):
        height, width, channels = shape
        return [
            [image[y, x, channel] for channel in range(channels)]
            for image in images
            for y in range(height)
            for x in range(width)
        ]

    def pool(self, stage, image):
        """Largest value of each place, and which it was."""
        if stage.pool is None:
            return image, {place: place for place in image}
        out, taken = {}, {}
        columns = stage.pooled[1]
        for number, (top, left) in enumerate(places(stage.pool, stage.sums)):
            for channel in range(stage.outputs):
                window = [
                    (top + y, left + x, channel)
                    for y in range(stage.pool.height)
                    for x in range(stage.pool.width)
                    if (top + y, left + x, channel) in image
                ]
                first = max(window, key=lambda place: (image[place], [-at for at in place]))
                where = (*divmod(number, columns), channel)
                out[where], taken[where] = image[first], first
        return out, taken

    def errors_below(self, stage, images, weight):
        """The error product's operands, laid out by where each weight was met."""
        channels = stage.image[2]
        size = stage.window.height * stage.window.width
        corners = places(stage.window, stage.image)
        columns = stage.sums[1]
        if stage.dense:
            return [list(image.values()) for image in images], transposed(weight)
        a = []
        for image in images:
            for y in range(stage.image[0]):
                for x in range(stage.image[1]):
                    row = [Fraction(0)] * (size * stage.outputs)
                    for number, (top, left) in enumerate(corners):
                        ky, kx = y - top, x - left
                        if 0 <= ky < stage.window.height and 0 <= kx < stage.window.width:
                            for output in range(stage.outputs):
                                term = (ky * stage.window.width + kx) * stage.outputs + output
                                row[term] = image[(*divmod(number, columns), output)]
                    a.append(row)
        b = [
            [weight[channel * size + place][output] for channel in range(channels)]
            for place in range(size)
            for output in range(stage.outputs)
        ]
        return a, b

    def step(self, images, labels, epoch, pixel_max):
        recipe, one, batch = self.recipe, Fraction(1), len(images)
        zero = recipe.saturation_gradient == "zero"
        current = [
            {
                place: self.input.clip(
                    round(Fraction(int(image[place]), pixel_max) / self.input.ulp) * self.input.ulp
                )
                for place in np.ndindex(image.shape)
            }
            for image in images
        ]
        inputs, sums, saturated, taken, pooled, outputs = [], [], [], [], [], []
        x_words = self.input
        for stage, weight, bias in zip(self.stages, self.weights, self.biases):
            inputs.append([row for image in current for row in self.seen(stage, image)])
            y, cut = self.rounded_product(
                [[*row, one] for row in inputs[-1]],
                [*weight, bias],
                self.activation,
                x_words.fl + self.words.fl - self.activation.fl,
            )
            outputs.append(y)
            sums.append(self.images(y, stage.sums, batch))
            saturated.append(self.images(cut, stage.sums, batch))
            both = [self.pool(stage, image) for image in sums[-1]]
            pooled.append([image for image, _ in both])
            taken.append([which for _, which in both])
            current = [
                {place: max(value, Fraction(0)) for place, value in image.items()}
                for image in pooled[-1]
            ]
            x_words = self.activation
        p = [self.probabilities(row) for row in outputs[-1]]
        difference = [
            [q - (j == label) for j, q in enumerate(row)] for row, label in zip(p, labels)
        ]
        delta = self.images(
            self.rounded(difference, 16 - self.words.fl), self.stages[-1].sums, batch
        )

        def stopped(delta, layer):
            return [
                {place: Fraction(0) if zero and cut[place] else d for place, d in image.items()}
                for image, cut in zip(delta, saturated[layer])
            ]

        last = len(self.stages) - 1
        delta = stopped(delta, last)
        gradients = {}
        for layer in range(last, -1, -1):
            stage = self.stages[layer]
            rows = self.rows(delta, stage.sums)
            of_bias = [sum(column) for column in zip(*rows)]
            gradients[layer] = product(transposed(inputs[layer]), rows), of_bias
            if layer:
                a, b = self.errors_below(stage, delta, self.weights[layer])
                below, _ = self.rounded_product(a, b, self.words, self.words.fl)
                if stage.dense:  # inputs by (channel, y, x)
                    height, width, channels = stage.image
                    below = [
                        [row[(c * height + y) * width + x] for c in range(channels)]
                        for row in below
                        for y in range(height)
                        for x in range(width)
                    ]
                below = self.images(below, stage.image, batch)
                under, delta = self.stages[layer - 1], []
                for n, image in enumerate(below):
                    back = {place: Fraction(0) for place in sums[layer - 1][n]}
                    for place, value in image.items():
                        if pooled[layer - 1][n][place] > 0:
                            back[taken[layer - 1][n][place]] += value
                    delta.append({place: self.words.clip(value) for place, value in back.items()})
                assert under.pool is not None or delta[0].keys() == below[0].keys()
                delta = stopped(delta, layer - 1)
        rate = Fraction(str(recipe.learning_rate))
        rate = whole_rate(rate * Fraction(str(recipe.learning_rate_factor)) ** epoch)
        mean, mu, decay = (
            whole_rate(value)
            for value in (Fraction(1, recipe.batch), recipe.momentum, recipe.decay)
        )
        for layer in range(last + 1):
            # One point for all terms: the sums' two formats, and 16 bits of each of two factors.
            s = 32 + (self.activation if layer else self.input).fl
            g, g_bias = gradients[layer]
            w, v = self.weights[layer], self.v[layer]
            z = [
                [mu * v[i][j] - rate * (mean * g[i][j] + decay * w[i][j]) for j in range(len(w[0]))]
                for i in range(len(w))
            ]
            self.v[layer] = self.rounded(z, s)
            z = [mu * b - rate * mean * g for b, g in zip(self.v_bias[layer], g_bias)]
            (self.v_bias[layer],) = self.rounded([z], s)
            clip = self.words.clip
            self.weights[layer] = [
                [clip(a + b) for a, b in zip(*rows)] for rows in zip(w, self.v[layer])
            ]
            pairs = zip(self.biases[layer], self.v_bias[layer])
            self.biases[layer] = [clip(a + b) for a, b in pairs]
        return outputs, saturated


SGD = {"momentum": "0.9", "decay": 0.0005, "learning_rate": 0.1}
APART = {"formats": Formats(fl=12, activation_fl=9, input_fl=14)}
VARIANTS = {
    "paper": {},
    "nearest": {"rounding": "nearest"},
    "momentum": SGD,
    "nearest momentum": {"momentum": 0.9, "decay": 0.01, "rounding": "nearest"},
    "falling rate": {
        "learning_rate": "1",
        "momentum": "1/2",
        "learning_rate_factor": "19/20",
        "batch": 4,
    },
    "coarse": {"formats": Formats(fl=8), "learning_rate": 1},
    "coarser": {
        "formats": Formats(fl=2),
        "learning_rate": 16,
        "momentum": 1,
        "decay": 1,
        "deviation": 2,
    },
    "whole numbers": {
        "formats": Formats(fl=0),
        "learning_rate": 16,
        "batch": 1,
        "deviation": 3,
    },
    "saturated": {"deviation": "1.5", "network": "7FC", "learning_rate": 4},
    "passed": {"deviation": "1.5", "network": "7FC", "saturation_gradient": "pass"},
    "deep": {"network": "4FC-3FC-5FC", "learning_rate": 2},
    "no hidden layer": {"network": ""},
    "few random bits": {"generator": Generator(bits=24, leap=8, draw=5, seed=99)},
    "many random bits": {"generator": Generator(bits=64, leap=64, draw=32, seed=99), **SGD},
    "formats apart": APART,
    "fine outputs of coarse sums": {
        "formats": Formats(fl=1, activation_fl=14, input_fl=0),
        "deviation": 1,
        "learning_rate": 8,
    },
    "conv": {"network": "3C2"},
    "conv, nearest": {"network": "3C2-4FC", "rounding": "nearest"},
    "conv of stride and padding": {"network": "2C3s2p1-3C2p1-4FC", **APART},
    "pooled": {"network": "3C2-MP2-2C1", **APART, **SGD},
    "overlapping pools": {"network": "2C2-MP2s1-3C2x1-MP2s1p1-3FC", **SGD},
    "pooled and passed": {"network": "4C2-MP3s2p1", "saturation_gradient": "pass", "deviation": 2},
    "conv, saturated": {
        "network": "4C3p1-MP3s1p1-3C2",
        "deviation": 3,
        "learning_rate": 16,
        **APART,
    },
}


@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "plain"])
@pytest.mark.parametrize("name", VARIANTS)
def test_steps_agree_with_exact_fractions(name, recorded):
    settings = {
        "network": "5FC",
        "batch": 3,
        "epochs": 3,
        "rows": 2,
        "columns": 3,
        "deviation": "0.6",
        "seed": 4,
    }
    recipe = GuptaRecipe(**(settings | VARIANTS[name]))
    shape = (4, 5, 2) if "C" in recipe.network.replace("FC", "") else (2, 3, 1)
    trainer = GuptaTrainer(recipe, shape=shape, classes=4, pixel_max=16)
    real = RealGupta(recipe, trainer)
    random = np.random.default_rng(1)
    cut = 0
    for trainer.epoch in range(3):
        images = random.integers(0, 17, (recipe.batch, *shape), np.uint8)
        labels = random.integers(0, 4, recipe.batch)
        record = [] if recorded else None
        score = trainer.step(images, labels, record)
        outputs, saturated = real.step(images, labels.tolist(), trainer.epoch, 16)
        cut += sum(sum(image.values()) for layer in saturated for image in layer)
        if recorded:
            forward = [entry for entry in record if entry.name.startswith("forward")]
            for entry, y in zip(forward, outputs, strict=True):
                assert real.activation.real(entry.out) == y
            updates = {entry.name: entry.out for entry in record if "update" in entry.name}
            for layer, (v, v_bias) in enumerate(zip(real.v, real.v_bias), 1):
                of_weights = updates[f"update {layer} weights"].reshape(len(v), -1)
                assert real.words.real(of_weights) == v
                assert real.words.real(updates[f"update {layer} biases"][None]) == [v_bias]
        classes = [row.index(max(row)) for row in outputs[-1]]
        assert score.wrong == sum(a != b for a, b in zip(classes, labels.tolist()))
        loss = -sum(
            math.log(max(real.probabilities(row)[label], Fraction(1, 2**16)))
            for row, label in zip(outputs[-1], labels.tolist())
        )
        assert score.loss == pytest.approx(loss)
        for layer in range(trainer.layers):
            words = real.words
            if recipe.momentum:
                assert words.real(trainer.weight_updates[layer]) == real.v[layer]
                assert words.real(trainer.bias_updates[layer][None])[0] == real.v_bias[layer]
            assert words.real(trainer.weights[layer]) == real.weights[layer]
            assert words.real(trainer.biases[layer][None])[0] == real.biases[layer]
    assert (cut > 0) or not ("saturated" in name or "passed" in name)


def test_saturated_means_out_of_range():
    """A sum that comes out at a limit by itself is not saturated, one ulp further it is."""
    recipe = GuptaRecipe(rounding="nearest", formats=Formats(fl=0), network="", batch=1)
    trainer = GuptaTrainer(recipe, shape=(1, 1, 1), classes=5, pixel_max=1)
    trainer.weights[0][:] = [[32766, 32767, 32767, -32768, -32768]]
    trainer.biases[0][:] = [0, 0, 1, 0, -1]
    trainer.watching = True
    record = []
    trainer.step(np.ones((1, 1, 1), np.uint8), np.array([0]), record)
    assert record[0].out.tolist() == [[32766, 32767, 32767, -32768, -32768]]
    # Those out of range have no error. The probabilities of the others are 0, a half and 0, less
    # the target; 2^-16 is half a step of the bias.
    assert trainer.saturated == [0.4]
    gradient = next(entry for entry in record if entry.name == "gradient 1")
    assert gradient.out[-1].tolist() == [-1, 0, 0, 0, 0]


def test_no_error_goes_through_a_neuron_at_zero():
    """Blank images and biases of 0 leave every hidden neuron at 0, where ReLU passes no error."""
    trainer, images, labels = trainer_and_batch(momentum="0.5")
    trainer.step(np.zeros_like(images), labels)
    assert not trainer.bias_updates[0].any() and not trainer.weight_updates[0].any()
    assert trainer.bias_updates[1].any() and not trainer.weight_updates[1].any()


def trainer_and_batch(shape=(2, 3, 1), **changes):
    settings = {"network": "5FC", "batch": 4, "rows": 3, "columns": 2, "deviation": "0.6"}
    recipe = GuptaRecipe(**(settings | changes))
    trainer = GuptaTrainer(recipe, shape=shape, classes=4, pixel_max=16)
    random = np.random.default_rng(1)
    return trainer, random.integers(0, 17, (4, *shape), np.uint8), random.integers(0, 4, 4)


def test_a_record_lists_the_operations_in_order():
    trainer, images, labels = trainer_and_batch()
    record = []
    trainer.step(images, labels, record)
    assert [entry.name for entry in record] == [
        "forward 1",
        "forward 2",
        "output error",
        "gradient 2",
        "error 2",
        "gradient 1",
        "update 1 weights",
        "update 1 biases",
        "update 2 weights",
        "update 2 biases",
    ]
    products = [entry for entry in record if isinstance(entry, Product)]
    raw = [entry.name for entry in products if entry.conversion is None]
    assert raw == ["gradient 2", "gradient 1"]
    for entry in products:
        if entry.conversion is None:
            assert np.array_equal(entry.a @ entry.b, entry.out)


@pytest.mark.parametrize("rounding", ["stochastic", "nearest"])
@pytest.mark.parametrize("network", ["5FC", "3C2-MP2s1-2C1p0"])
def test_a_step_can_be_redone_from_where_its_lanes_stood(network, rounding):
    """The record and the lanes' place at the start of a step give every rounded word again."""
    trainer, images, labels = trainer_and_batch((3, 4, 1), network=network, rounding=rounding)
    trainer.step(images, labels)
    before = trainer.draws
    record = []
    trainer.step(images, labels, record)
    assert trainer.step_start == before
    generator = trainer.recipe.generator
    array, elementwise = Draws(generator, 0, 2), Draws(generator, 2, 2)
    for draws, made in ((array, before.array), (elementwise, before.elementwise)):
        draws.states = [generator.advance(x, made * generator.leap) for x in draws.states]
    for entry in record:
        if entry.name.startswith("gradient"):
            continue
        z = entry.a @ entry.b if isinstance(entry, Product) else entry.z[None]
        s = entry.conversion.dropped
        r = np.zeros(z.shape, np.int64)
        if rounding == "stochastic":
            if isinstance(entry, Product):
                u = array.array(3, *z.shape, s)
            else:
                u = elementwise.elementwise(*z.shape, s)
            r = np.array([[int(value * 2**s) for value in row] for row in u])
        assert np.array_equal(entry.conversion(z, r).reshape(entry.out.shape), entry.out)
        if isinstance(entry, Convert):
            assert entry.z.ndim == 1
    if rounding == "stochastic":
        made = trainer.draws
        for draws, count in ((array, made.array), (elementwise, made.elementwise)):
            first = 0 if draws is array else 2
            start = generator.lane_seed(first)
            assert draws.states[0] == generator.advance(start, count * generator.leap)
    else:
        assert trainer.draws.array == trainer.draws.elementwise == 0


def test_the_table_of_exponentials_is_the_formula():
    assert LOG2_E == 94548
    assert TABLE.tolist() == [round(2.0**16 * 2.0 ** (-j / 1024)) for j in range(1024)]
    # The ends, and a half where a whole power of two is passed.
    assert TABLE[0] == 65536 and TABLE[512] == 46341 and TABLE[1023] == 32790


def test_exponentials_fall_as_they_should():
    x = np.arange(0, 1 << 17, 7)
    got = exponentials(x, 14) / 2.0**16
    assert np.abs(got - np.exp(-x / 2.0**14)).max() < 0.0008
    assert exponentials(np.array([1 << 15]), 0)[0] == 0  # exp(-32768): the shift stops at 31


def test_probabilities_add_up_to_almost_one():
    y = np.random.default_rng(0).integers(-(1 << 15), 1 << 15, (50, 10))
    p = softmax(y, 13)
    short = (1 << 16) - p.sum(axis=1)
    assert p.min() >= 0 and short.min() >= 0 and short.max() < 10  # each is rounded down
    exact = np.exp(y / 2.0**13)
    exact /= exact.sum(axis=1, keepdims=True)
    assert np.abs(p / 2.0**16 - exact).max() < 0.001
    assert softmax(np.zeros((1, 4), np.int64), 8).tolist() == [[1 << 14] * 4]


def test_dividing_powers_of_two_out_changes_no_rounding():
    # 65536 * 1024 = 2^26 could be divided out whole,
    # but then fewer bits than a draw's 16 would be dropped.
    recipe = GuptaRecipe(learning_rate=1, batch=64, formats=Formats(fl=8))
    factors, conversion = recipe.factors(0, 0), recipe.update(0, 0)
    assert (factors.fraction, factors.gradient, conversion.dropped) == (24, 4, 16)
    undivided = Conversion(fraction=48, target=recipe.formats.weight)
    rng = np.random.default_rng(0)
    sums, words = rng.integers(-(2**20), 2**20, 1000), rng.integers(0, 2**16, 1000)
    divided_codes = conversion(factors.gradient * sums, dither(words, conversion.dropped, 16))
    assert np.array_equal(
        divided_codes, undivided((65536 * 1024) * sums, dither(words, undivided.dropped, 16))
    )


def test_factors_share_no_power_of_two():
    plain = GuptaRecipe(learning_rate=1, batch=100).factors(0, 0)
    # 1 is 2^16 and 1/100 is 655 / 2^16: only 655 is left, and 16 of the 60 fraction bits go.
    assert (plain.gradient, plain.velocity, plain.weight, plain.fraction) == (655, 0, 0, 44)
    full = GuptaRecipe(
        learning_rate="0.1",
        momentum="0.9",
        decay="0.0005",
        batch=100,
        formats=Formats(fl=10, activation_fl=7),
    )
    # 6554 * 655, 58982 * 2^(16 + FL_x) and 6554 * 33 * 2^FL_x, over 2^(32 + FL_x + 10), all halved.
    for layer, x_fl in ((0, 10), (1, 7), (2, 7)):
        factors = full.factors(0, layer)
        assert factors.gradient == 6554 * 655 // 2
        assert factors.velocity == 58982 << 15 + x_fl
        assert factors.weight == 6554 * 33 << x_fl - 1
        assert factors.fraction == 41 + x_fl
        assert factors.without_decay == replace(factors, weight=0)
        assert full.update(0, layer).dropped == 31 + x_fl
    falling = GuptaRecipe(learning_rate="0.1", learning_rate_factor="0.95", epochs=4)
    assert falling.factors(3, 0).gradient * 2 ** (60 - falling.factors(3, 0).fraction) == (
        round(Fraction("0.1") * Fraction("0.95") ** 3 * 2**16) * 2048
    )


WIDEST_FACTORS = UpdateFactors(
    fraction=60, gradient=1 << 36, velocity=1 << 46, weight=(1 << 50) - 1
)


@pytest.mark.parametrize(
    "factors",
    [
        WIDEST_FACTORS,
        replace(WIDEST_FACTORS, gradient=(1 << 36) - 1, velocity=0),
        GuptaRecipe(learning_rate="0.1", momentum="0.9", decay="5e-4", batch=100).factors(0, 0),
        GuptaRecipe(learning_rate="15.99999", batch=65535).factors(0, 0),
    ],
)
def test_sums_of_an_update_are_exact_and_saturate_at_62_bits(factors):
    """Whatever int64 wraps around to on the way."""
    random = np.random.default_rng(0)
    limit = 1 << 61
    # Sums around the ends of 62 and 64 bits, and anything else.
    near = [
        sign * (end + offset) // factors.gradient
        for sign in (-1, 1)
        for end in (limit, 2 * limit, 4 * limit, 8 * limit)
        for offset in (-factors.gradient, -1, 0, 1, factors.gradient)
    ]
    g = np.array([min(max(x, 1 - 2**53), 2**53 - 1) for x in near for _ in range(50)], float)
    g = np.concatenate([g, random.integers(-(2**53) + 1, 2**53, 500), [2**53 - 1.0, 1 - 2.0**53]])
    v, w = (random.integers(-(2**15), 2**15, g.size).astype(float) for _ in range(2))
    w[::7], v[::5], w[1::9] = 0, 0, -(2**15)
    exact = [
        factors.velocity * int(b) - factors.gradient * int(a) - factors.weight * int(c)
        for a, b, c in zip(g, v, w)
    ]
    got = exact_sum(factors, g, v, w, max(map(abs, exact)))
    assert got.tolist() == [min(max(z, -limit), limit - 1) for z in exact]
    for most in (limit, 2 * limit, 8 * limit, 64 * limit):  # a bound that is just enough
        chosen = [i for i, z in enumerate(exact) if abs(z) <= most]
        parts = (x[chosen] for x in (g, v, w))
        assert np.array_equal(exact_sum(factors, *parts, most), got[chosen])
    assert np.any(np.abs(got) < limit - 1) and np.any(np.abs(got) >= limit - 1)


def test_what_62_bits_cut_off_was_saturated_anyway():
    """At the most bits that can be dropped, Convert of the saturated sum is that of the sum."""
    target = Formats(fl=14).weight
    dropped = GuptaRecipe(learning_rate=1, momentum=1, batch=65535).update(0, 0).dropped
    dropped = max(dropped, 46)
    limit = 1 << 61
    for z in (limit - 1, limit, limit + 1, -limit, -limit - 1, 3 * limit, -3 * limit):
        for r in (0, 1, (1 << dropped) - 1):
            exact = min(max((z + r) >> dropped, target.minimum), target.maximum)
            kept = min(max(z, -limit), limit - 1)
            for addend in (r, (1 << dropped - 1) - 1):
                exact = min(max((z + addend) >> dropped, target.minimum), target.maximum)
                assert min(max((kept + addend) >> dropped, target.minimum), target.maximum) == exact
    for fl in range(15):
        recipe = GuptaRecipe(learning_rate="0.1", momentum="0.9", formats=Formats(input_fl=fl))
        assert recipe.update(0, 0).dropped <= 46


@pytest.mark.parametrize("rounding", ["stochastic", "nearest"])
@pytest.mark.parametrize(
    "settings",
    [
        {"learning_rate": 1},
        {"learning_rate": 1, "formats": Formats(fl=8)},
        {"learning_rate": 16, "formats": Formats(fl=3)},
        SGD,
        {**SGD, "formats": Formats(fl=14, activation_fl=10)},
        {"learning_rate": "0.1", "momentum": "0.9"},
        {"learning_rate": "0.1", "decay": "0.5"},
    ],
)
@pytest.mark.parametrize("largest", [100, 1 << 20, 1 << 36, (1 << 53) - 1])
def test_updates_in_slabs_are_those_of_the_definition(monkeypatch, largest, settings, rounding):
    """In floats and in integers, with and without values out of range, by one thread and three."""
    recipe = GuptaRecipe(batch=100, rounding=rounding, **settings)
    factors, conversion = recipe.factors(0, 1), recipe.update(0, 1)
    random = np.random.default_rng(0)
    size = 2 * SLAB + 77
    g = random.integers(-largest, largest + 1, size).astype(float)
    g[:2] = largest, -largest
    reach = 300
    w = random.integers(-reach, reach + 1, size).astype(float)
    v = random.integers(-(2**15), 2**15, size).astype(float) if factors.velocity else None
    words = random.integers(0, 2**16, size).astype(np.uint16) if rounding == "stochastic" else None
    bound = largest_sum(factors, largest)
    z = exact_sum(factors, g, w if v is None else v, w, bound)
    r = 0 if words is None else dither(words, conversion.dropped, 16)
    updates = conversion(z, r)
    expected = saturate(w + updates, conversion.target)
    for count in (1, 3):
        monkeypatch.setattr(threads, "threads", lambda count=count: count)
        summed = Gradient(g.copy(), None, largest)
        pairs = np.stack([g, w], axis=1)  # a product that has the same sums
        product = Gradient(pairs, np.array([[1.0], [0.0]]), largest)
        for gradient, shape in ((summed, (size,)), (product, (size, 1))):
            weight, out = w.reshape(shape).copy(), np.empty(shape)
            last = None if v is None else v.reshape(shape)
            now = update(factors, conversion, gradient, last, weight, words, 16, reach, out)
            assert np.array_equal(out.reshape(-1), updates)
            assert np.array_equal(weight.reshape(-1), expected)
            assert np.abs(weight).max() <= now


def test_gradients_that_no_float_holds_are_refused():
    recipe = GuptaRecipe(network="2C1", batch=65536)
    with pytest.raises(ValueError, match=r"8388608 terms up to 1073741824 reach 2\^53"):
        GuptaTrainer(recipe, shape=(8, 16, 1), classes=2, pixel_max=1)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (
            {"rounding": "nearest-even"},
            "rounding = 'nearest-even': allowed are stochastic, nearest",
        ),
        ({"learning_rate": 17}, "learning_rate = 17: allowed are 0 to 16"),
        ({"learning_rate": "fast"}, "learning_rate = 'fast': a number from 0 to 16 is wanted"),
        ({"learning_rate": float("nan")}, "learning_rate = nan: a number from 0 to 16 is wanted"),
        ({"learning_rate": 0}, r"learning_rate = 0 falls below 2\^-17 in epoch 1"),
        ({"learning_rate": "1e-6"}, r"learning_rate = 1e-6 falls below 2\^-17 in epoch 1"),
        ({"learning_rate_factor": "1/1000", "epochs": 3}, r"falls below 2\^-17 in epoch 3"),
        ({"learning_rate_factor": 2}, "learning_rate_factor = 2: allowed are 0 to 1"),
        ({"momentum": 1.5}, "momentum = 1.5: allowed are 0 to 1"),
        ({"decay": -0.1}, "decay = -0.1: allowed are 0 to 1"),
        ({"deviation": "1/0"}, "deviation = '1/0': a number from 0 to 10 is wanted"),
        ({"saturation_gradient": "half"}, "saturation_gradient = 'half': allowed are zero, pass"),
    ],
)
def test_recipes_check_themselves(changes, complaint):
    with pytest.raises(ValueError, match=complaint):
        GuptaRecipe(**changes)


@pytest.mark.parametrize("name", ["fl", "activation_fl", "input_fl"])
def test_formats_check_themselves(name):
    with pytest.raises(ValueError, match=f"{name} = 15: allowed are 0 to 14"):
        Formats(**{name: 15})
    with pytest.raises(TypeError, match=f"{name} = 1.5: a whole number from 0 to 14"):
        Formats(**{name: 1.5})


def test_one_format_serves_all_unless_told():
    formats = Formats(fl=9)
    assert formats.weight == formats.activation == formats.input == Fixed(7, 9)
    formats = Formats(fl=14, activation_fl=10, input_fl=0)
    assert (formats.weight, formats.activation, formats.input) == (
        Fixed(2, 14),
        Fixed(6, 10),
        Fixed(16, 0),
    )


def test_the_baseline_is_the_same_training_in_floats():
    recipe = GuptaRecipe(network="3C2-MP2", batch=7, epochs=9, seed=5, **SGD)
    baseline = recipe.baseline()
    assert baseline.SYSTEM == "float" and baseline.start == "normal"
    for name in ("network", "batch", "epochs", "seed", "deviation", *SGD, "learning_rate_factor"):
        assert getattr(baseline, name) == getattr(recipe, name)


def test_first_weights_are_normal():
    recipe = GuptaRecipe(network="400FC")
    trainer = GuptaTrainer(recipe, shape=(10, 10, 1), classes=10, pixel_max=16)
    weights = trainer.weights[0] / 2.0**14
    assert abs(weights.mean()) < 0.0005 and abs(weights.std() - 0.01) < 0.0003
    assert not any(bias.any() for bias in trainer.biases)
    real = np.random.Generator(np.random.PCG64(0)).standard_normal((100, 400))
    assert np.array_equal(trainer.weights[0], np.rint(real * 0.01 * 2**14))
    wide = GuptaTrainer(GuptaRecipe(deviation=10), shape=(10, 10, 1), classes=10, pixel_max=16)
    assert wide.weights[0].min() == -(1 << 15) and wide.weights[0].max() == (1 << 15) - 1


def last_error(recipe):
    """Test error on the digits after the last epoch."""
    *_, last = new_trainer(recipe, digits()).epochs(digits())
    return last.test.error


def test_digits_are_learnt():
    """The default recipe: <2,14>, stochastic, 64-64-10 neurons."""
    errors = [last_error(GuptaRecipe(seed=seed)) for seed in range(3)]
    assert np.median(errors) < 4


def test_a_saturated_forward_pass_must_stop_the_error():
    """<2,14> diverges where errors pass saturated outputs."""
    recipe = GuptaRecipe(epochs=3, learning_rate=1)
    assert last_error(replace(recipe, saturation_gradient=SaturationGradient.PASS)) > 50
    assert last_error(recipe) < 20


CNN = {
    "network": "3C3-MP2-4C2-MP2s1-9FC",
    "batch": 100,
    "epochs": 2,
    **SGD,
    "deviation": "0.2",
    "formats": Formats(fl=14, activation_fl=10, input_fl=13),
}


def same(a, b):
    assert a.keys() == b.keys()
    walks = [json.loads(str(state["walk"])) for state in (a, b)]
    for walk in walks:
        walk.pop("seconds")
    assert walks[0] == walks[1]
    for name in a.keys() - {"walk"}:
        assert np.array_equal(a[name], b[name]), name


def test_a_training_goes_on_from_any_step():
    """Bit for bit: weights, the updates that momentum carries, draws, scores."""
    data = digits()
    whole = new_trainer(GuptaRecipe(**CNN), data)
    walk, saved = whole.walk(data), []
    for _ in range(20):
        next(walk)
        saved.append(whole.state())
    assert any(np.any(v) for v in whole.weight_updates)
    names = {f"{name} {layer}" for name in whole.STATE for layer in range(1, 5)}
    assert whole.state().keys() == names | {"order", "walk"}
    for start in (1, 9, 14):  # an epoch has 14 steps
        again = new_trainer(GuptaRecipe(**CNN), data)
        again.restore({name: array.copy() for name, array in saved[start - 1].items()})
        walk = again.walk(data)
        for step_ in range(start, 20):
            next(walk)
            same(again.state(), saved[step_])


def test_threads_change_nothing(monkeypatch):
    data, states = digits(), []
    for count in (1, 2, 5):
        monkeypatch.setattr(threads, "threads", lambda count=count: count)
        trainer = new_trainer(GuptaRecipe(**CNN | {"network": "8C3p1-MP2-600FC"}), data)
        walk = trainer.walk(data)
        for _ in range(3):
            next(walk)
        states.append(trainer.state())
    for state in states[1:]:
        same(states[0], state)


def test_every_evaluation_begins_at_the_seeds():
    data = digits()
    trainer, fresh = (new_trainer(GuptaRecipe(**CNN), data) for _ in range(2))
    images, labels = data.train_images[:100], data.train_labels[:100]
    # A first step's forward pass meets the first draws too.
    assert trainer.evaluate(images, labels) == trainer.step(images, labels)
    for _ in range(3):
        trainer.step(images, labels)
    before = trainer.draws
    fresh.restore(trainer.state())
    fresh._move(type(before)())
    images, labels = data.test_images, data.test_labels  # 3 batches, and 59
    scores = [one.evaluate(images, labels) for one in (trainer, trainer, fresh)]
    assert scores[0] == scores[1] == scores[2]
    assert scores[0].images == 359
    assert trainer.draws == before
    assert np.sum(trainer.predict(images) != labels) == scores[0].wrong
    # Batches meet different draws: not as if each began at the seeds.
    parts = [trainer.evaluate(images[at:][:100], labels[at:][:100]) for at in range(0, 359, 100)]
    assert sum(part.loss for part in parts) != scores[0].loss
