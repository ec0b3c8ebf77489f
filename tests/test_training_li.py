"""Weights on a coarse grid: steps against exact fractions, and what the rules promise."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from support import OneByOne

from golden.datasets import digits
from golden.fixed import Rounding
from golden.lfsr import Generator
from golden.training.float_recipe import FloatRecipe
from golden.training.li import LiTrainer, probability_code
from golden.training.li_recipe import LiFormats, LiRecipe, scale_exponent
from golden.training.record import Convert, Product

HALF = Fraction(1, 2)


class Lanes:
    """Lanes that take one step after the other; gives a word for each value in hardware's order."""

    def __init__(self, generator, first, count):
        self.draw = generator.draw
        self.lanes = [OneByOne(generator, first + lane) for lane in range(count)]

    def array(self, rows, height, width):
        """By tiles, each drained whole and bottom row first."""
        found = {}
        for top in range(0, height, rows):
            for left in range(0, width, len(self.lanes)):
                for row in reversed(range(rows)):
                    for column, lane in enumerate(self.lanes):
                        found[top + row, left + column] = lane.word()
        return [found[place] for place in np.ndindex(height, width)]

    def elementwise(self, size):
        words = []
        while len(words) < size:
            words += [lane.word() for lane in self.lanes]
        return words[:size]

    def addends(self, words, s):
        """r / 2^s of each word."""
        if s <= 0:
            return [Fraction(0)] * len(words)
        if s <= self.draw:
            return [Fraction(word % 2**s, 2**s) for word in words]
        return [Fraction(2 * word + 1, 2 ** (self.draw + 1)) for word in words]


def down(x):
    """To the nearest whole number, ties down."""
    return math.ceil(x - HALF)


def away(x):
    """To the nearest whole number, ties away from zero."""
    return math.floor(abs(x) + HALF) * (-1 if x < 0 else 1)


def each(function, x, *more):
    """`function` of every element, as an array of fractions."""
    out = np.empty(x.shape, object)
    for place in np.ndindex(x.shape):
        out[place] = Fraction(function(x[place], *(other[place] for other in more)))
    return out


def reals(codes, fl):
    return each(lambda code: Fraction(int(code), 2**fl), np.asarray(codes))


def within(fl, width=16):
    """Clips a value to the format of `width` bits with `fl` fraction bits."""
    low, high = Fraction(-(2 ** (width - 1)), 2**fl), Fraction(2 ** (width - 1) - 1, 2**fl)
    return lambda value: min(max(value, low), high)


def corners(window, shape):
    p = window.padding
    return [
        (top, left)
        for top in range(-p, shape[0] + p - window.height + 1, window.stride)
        for left in range(-p, shape[1] + p - window.width + 1, window.stride)
    ]


def seen(window, shape):
    """For each place of a window the (y, x, channel) of its terms by (channel, ky, kx), None where
    there is padding.
    """
    return [
        [
            (top + ky, left + kx, c)
            if 0 <= top + ky < shape[0] and 0 <= left + kx < shape[1]
            else None
            for c in range(shape[2])
            for ky in range(window.height)
            for kx in range(window.width)
        ]
        for top, left in corners(window, shape)
    ]


class RealLi:
    """A step in reals: all values are fractions, and no code appears."""

    def __init__(self, recipe, trainer):
        self.recipe, self.stages = recipe, trainer.stages
        self.binary = recipe.grid == "binary"
        self.d = 0 if self.binary else int(recipe.grid)
        fine = recipe.formats.fine_fl
        self.u = [reals(w, fine if recipe.update == "bc" else self.d) for w in trainer.weights]
        self.b = [reals(b, fine) for b in trainer.biases]
        self.array = Lanes(recipe.generator, 0, recipe.columns)
        self.single = Lanes(recipe.generator, recipe.columns, recipe.columns)

    def scale(self, stage):
        """The whole k >= 0 with 2^-k nearest, as a factor, to sqrt(c / inputs)."""
        c = 2 if self.binary else 6
        fitting = (
            k
            for k in range(20)
            if Fraction(2) ** (2 * k - 1) <= Fraction(stage.inputs, c) < 2 ** (2 * k + 1)
        )
        return next(fitting, 0)

    def word(self, z, words, s, fl):
        """Sums rounded to words of `fl` fraction bits, and where they saturated."""
        scaled = z * 2**fl
        if self.recipe.rounding == "stochastic":
            r = np.array(self.single.addends(words, s), object).reshape(z.shape)
            y = each(lambda x, r: Fraction(math.floor(x + r), 2**fl), scaled, r)
        else:
            y = each(lambda x: Fraction(down(x), 2**fl), scaled)
        out = each(within(fl), y)
        return out, out != y

    def product(self, z, s, fl):
        words = None
        if self.recipe.rounding == "stochastic":
            words = self.array.array(self.recipe.rows, *z.shape)
        return self.word(z, words, s, fl)

    def on_grid(self, u):
        """Nearest on the grid, ties away from zero, 0 to +1 on the binary one."""
        if self.binary:
            return each(lambda x: 1 if x >= 0 else -1, u)
        return each(lambda x: min(max(Fraction(away(x * 2**self.d), 2**self.d), -1), 1), u)

    def drawn_to_grid(self, u):
        """D (floor(w / D) + [p < w / D - floor(w / D)]), then clipped."""
        step = 2 if self.binary else Fraction(1, 2**self.d)
        s = self.recipe.formats.fine_fl + (1 if self.binary else -self.d)
        words = self.single.elementwise(u.size)
        r = np.array(self.single.addends(words, s), object).reshape(u.shape)
        shift = 1 if self.binary else 0

        def drawn(x, r):
            scaled = (x + shift) / step
            fraction = scaled - math.floor(scaled)
            # The carry form: up for the highest of the equally likely r.
            y = step * (math.floor(scaled) + (r >= 1 - fraction)) - shift
            return min(max(y, -1), 1)

        return each(drawn, u, r)

    def drawn_sign(self, u):
        draw = self.recipe.generator.draw
        words = np.array(self.single.elementwise(u.size), object).reshape(u.shape)
        return each(
            lambda x, r: 1 if r < round(min(max((x + 1) / 2, 0), 1) * 2**draw) else -1, u, words
        )

    def rate(self, epoch, k):
        recipe = self.recipe
        rate = Fraction(str(recipe.learning_rate)) * 2**k / recipe.batch
        rate *= Fraction(str(recipe.learning_rate_factor)) ** epoch
        e = 0
        while rate * Fraction(2) ** e < 2**11:
            e += 1
        while rate * Fraction(2) ** e >= 2**12:
            e -= 1
        return round(rate * Fraction(2) ** e) / Fraction(2) ** e

    def fine(self, x):
        fl = self.recipe.formats.fine_fl
        return each(lambda x: within(fl, 24)(Fraction(round(x * 2**fl), 2**fl)), x)

    def probabilities(self, row):
        powers = []
        for y in row:
            power = (max(row) - y) * Fraction(94548, 2**16)  # log2 e with 16 fraction bits
            whole = math.floor(power)
            index = math.floor((power - whole) * 1024)
            powers.append(round(2.0**16 * 2.0 ** (-index / 1024)) >> min(whole, 31))
        return [Fraction(e * 2**16 // sum(powers), 2**16) for e in powers]

    def pool(self, stage, y):
        """What goes on, and the place in the sums that it came from."""
        pooled, origin = np.empty((len(y), *stage.pooled), object), {}
        columns = stage.pooled[1]
        for n in range(len(y)):
            for number, terms in enumerate(seen(stage.pool, stage.sums)):
                for c in range(stage.outputs):
                    places = [t for t in terms if t is not None and t[2] == c]
                    best = max(y[n][place] for place in places)
                    first = next(place for place in places if y[n][place] == best)
                    where = (n, *divmod(number, columns), c)
                    pooled[where], origin[where] = best, (n, *first)
        return pooled, origin

    def step(self, images, labels, epoch, pixel_max):
        recipe, formats, batch = self.recipe, self.recipe.formats, len(images)
        sign = recipe.activation == "sign"
        x = each(
            lambda p: within(formats.input_fl)(
                Fraction(round(Fraction(int(p), pixel_max) * 2**formats.input_fl))
                / 2**formats.input_fl
            ),
            images,
        )
        x_fl = formats.input_fl
        inputs, sums, cuts, origins, pooled, used, ones = [], [], [], [], [], [], []
        for stage, u, b in zip(self.stages, self.u, self.b):
            k = self.scale(stage)
            if recipe.update == "bc":
                u = self.drawn_sign(u) if recipe.binarize == "stochastic" else self.on_grid(u)
            used.append(u / Fraction(2**k))
            fraction = x_fl + self.d + k
            ones.append(min(max(fraction - 12, 0), 14))
            fl = fraction - ones[-1]
            bias = each(lambda x: within(fl)(Fraction(round(x * 2**fl), 2**fl)), b)  # noqa: B023
            rows = np.array(
                [
                    [Fraction(0) if place is None else image[place] for place in terms]
                    for image in x
                    for terms in seen(stage.window, stage.image)
                ],
                object,
            )
            inputs.append(rows)
            fl = formats.activation_fl
            y, cut = self.product(rows @ used[-1] + bias, fraction - fl, fl)
            sums.append(y.reshape(batch, *stage.sums))
            cuts.append(cut.reshape(batch, *stage.sums))
            y, origin = (sums[-1], None) if stage.pool is None else self.pool(stage, sums[-1])
            origins.append(origin)
            pooled.append(y)
            x = each((lambda v: 1 if v >= 0 else -1) if sign else (lambda v: max(v, 0)), y)
            x_fl = 0 if sign else formats.activation_fl
        logits = y.reshape(batch, -1)
        p = [self.probabilities(list(row)) for row in logits]
        e = np.array(
            [[q - (j == label) for j, q in enumerate(row)] for row, label in zip(p, labels)], object
        )
        words = self.single.elementwise(e.size) if recipe.rounding == "stochastic" else None
        delta, _ = self.word(e, words, 16 - formats.error_fl, formats.error_fl)
        delta = np.where(cuts[-1], Fraction(0), delta.reshape(cuts[-1].shape))
        gradients = {}
        for layer in reversed(range(len(self.stages))):
            stage = self.stages[layer]
            rows = delta.reshape(-1, stage.outputs)
            gradients[layer] = inputs[layer].T @ rows, rows.sum(axis=0)
            if not layer:
                break
            met = rows @ used[layer].T
            below = each(lambda _: 0, np.empty((batch, *stage.image), object))
            places = seen(stage.window, stage.image)
            for row, errors in enumerate(met):
                n, number = divmod(row, len(places))
                for place, error in zip(places[number], errors):
                    if place is not None:
                        below[(n, *place)] += error
            dropped, fl = self.d + self.scale(stage), formats.error_fl
            if stage.dense:  # columns by (channel, y, x)
                turned = below.transpose(0, 3, 1, 2)
                z, _ = self.product(turned.reshape(batch, -1), dropped, fl)
                below = z.reshape(turned.shape).transpose(0, 2, 3, 1)
            else:
                z, _ = self.product(below.reshape(-1, stage.image[2]), dropped, fl)
                below = z.reshape(below.shape)
            y, origin = pooled[layer - 1], origins[layer - 1]
            below = np.where(abs(y) <= 1 if sign else y > 0, below, Fraction(0))
            if origin is not None:
                delta = each(lambda _: 0, sums[layer - 1])
                for where, place in origin.items():
                    delta[place] += below[where]
                below = each(within(fl), delta)
            delta = np.where(cuts[layer - 1], Fraction(0), below)
        for layer, stage in enumerate(self.stages):
            of_weights, of_biases = gradients[layer]
            step = self.fine(of_weights * self.rate(epoch, self.scale(stage)))
            u = self.u[layer] - step
            if recipe.update == "bc":
                self.u[layer] = each(lambda x: min(max(x, -1), 1), u)
            else:
                self.u[layer] = self.drawn_to_grid(u) if recipe.update == "sr" else self.on_grid(u)
            step = self.fine(of_biases * self.rate(epoch, 0))
            self.b[layer] = each(within(formats.fine_fl, 24), self.b[layer] - step)
        return sums, sum(int(cut.sum()) for cut in cuts)


BNN = {"activation": "sign", "network": "6FC-5FC", "learning_rate": 2}
CONV = {"network": "3C2-MP2s1-2C2p1-4FC"}
VARIANTS = {
    "bc": {},
    "bc on a grid": {"grid": "2"},
    "bc, drawn": {"binarize": "stochastic"},
    "bc, drawn, few random bits": {
        "binarize": "stochastic",
        "generator": Generator(bits=24, leap=8, draw=5, seed=99),
    },
    "bc, drawn, more random bits than fine ones": {
        "binarize": "stochastic",
        "formats": LiFormats(fine_fl=9),
    },
    "bc to its limits": {"learning_rate": 16},
    "sr": {"update": "sr"},
    "sr on a grid": {"update": "sr", "grid": "3"},
    "sr on whole numbers": {"update": "sr", "grid": "0"},
    "sr on the finest grid": {"update": "sr", "grid": "10", "formats": LiFormats(fine_fl=10)},
    "r": {"update": "r", "learning_rate": 16},
    "r on a grid": {"update": "r", "grid": "3", "learning_rate": 4},
    "r, nearest": {"update": "r", "grid": "4", "learning_rate": 4, "rounding": "nearest"},
    "nearest": {"rounding": "nearest", "network": "4FC-5FC"},
    "falling rate": {"grid": "1", "learning_rate_factor": "7/8", "batch": 5},
    "saturated": {
        "formats": LiFormats(activation_fl=15, error_fl=15, input_fl=15, fine_fl=22),
        "learning_rate": 16,
        "batch": 1,
    },
    "coarse words": {"formats": LiFormats(activation_fl=1, error_fl=5, input_fl=0)},
    "no hidden layer": {"network": ""},
    "bnn": BNN,
    "bnn, nearest": {**BNN, "rounding": "nearest"},
    "bnn, drawn": {**BNN, "binarize": "stochastic"},
    "bnn with sr": {**BNN, "update": "sr", "grid": "1"},
    "conv": CONV,
    "conv, sr": {**CONV, "update": "sr", "grid": "4"},
    "conv, bnn": {**CONV, "activation": "sign"},
    "conv, r, padded pools": {
        "network": "3C2s1p1-MP3s2p1-2C2x1s2-MP2s1p1",
        "update": "r",
        "grid": "3",
        "learning_rate": 4,
    },
    "conv, bnn, saturated": {
        "network": "4C3p1-MP3s1p1-3C2",
        "activation": "sign",
        "formats": LiFormats(activation_fl=15, error_fl=15),
    },
}


def settings(**changes):
    return {
        "network": "5FC",
        "batch": 3,
        "epochs": 3,
        "rows": 2,
        "columns": 3,
        "seed": 4,
        "learning_rate": 1,
        **changes,
    }


@pytest.mark.parametrize("name", VARIANTS)
def test_steps_agree_with_exact_fractions(name):
    recipe = LiRecipe(**settings(**VARIANTS[name]))
    shape = (4, 5, 2) if "C" in recipe.network.replace("FC", "") else (2, 3, 1)
    trainer = LiTrainer(recipe, shape=shape, classes=4, pixel_max=16)
    real = RealLi(recipe, trainer)
    random = np.random.default_rng(1)
    first = [weight.copy() for weight in trainer.weights]
    cut = 0
    for trainer.epoch in range(3):
        images = random.integers(0, 17, (recipe.batch, *shape), np.uint8)
        labels = random.integers(0, 4, recipe.batch)
        # With a record and without is the same.
        record = [] if trainer.epoch else None
        score = trainer.step(images, labels, record)
        sums, found = real.step(images, labels.tolist(), trainer.epoch, 16)
        cut += found
        if record is not None:
            forward = [entry for entry in record if entry.name.startswith("forward")]
            for entry, y in zip(forward, sums, strict=True):
                fl = recipe.formats.activation_fl
                assert (reals(entry.out, fl) == y.reshape(entry.out.shape)).all()
        outputs = [list(row) for row in sums[-1].reshape(recipe.batch, -1)]
        classes = [row.index(max(row)) for row in outputs]
        assert score.wrong == sum(a != b for a, b in zip(classes, labels.tolist()))
        loss = -sum(
            math.log(max(real.probabilities(row)[label], Fraction(1, 2**16)))
            for row, label in zip(outputs, labels.tolist())
        )
        assert score.loss == pytest.approx(loss)
        fine = recipe.formats.fine_fl
        for layer in range(trainer.layers):
            fl = fine if recipe.update == "bc" else real.d
            assert (reals(trainer.weights[layer], fl) == real.u[layer]).all()
            assert (reals(trainer.biases[layer], fine) == real.b[layer]).all()
    assert any((now != then).any() for now, then in zip(trainer.weights, first))
    assert (cut > 0) or "saturated" not in name


@pytest.mark.parametrize("update", ["r", "sr"])
@pytest.mark.parametrize("grid", ["binary", "2"])
def test_all_rules_begin_at_the_same_weights(update, grid):
    """R and SR at the grid's nearest to BC's buffers, which have ties enough here."""
    formats = LiFormats(fine_fl=3)
    buffers = trainer_and_batch(update="bc", grid=grid, formats=formats)[0]
    assert abs(buffers.weights[0]).max() <= 8 and len(np.unique(buffers.weights[0])) > 8
    trainer = trainer_and_batch(update=update, grid=grid, formats=formats)[0]
    nearest = RealLi(buffers.recipe, buffers).on_grid
    for weight, buffer in zip(trainer.weights, buffers.weights):
        assert (reals(weight, 0 if grid == "binary" else 2) == nearest(reals(buffer, 3))).all()


def trainer_and_batch(shape=(2, 3, 1), **changes):
    trainer = LiTrainer(LiRecipe(**settings(**changes)), shape=shape, classes=4, pixel_max=16)
    random = np.random.default_rng(1)
    batch = trainer.recipe.batch
    return trainer, random.integers(0, 17, (batch, *shape), np.uint8), random.integers(0, 4, batch)


def updated(trainer, weights, steps):
    """Weights of the last layer after an update by so much, reals on the grid's own scale."""
    recipe, plan = trainer.recipe, trainer.plans[-1]
    point = recipe.formats.error_fl + plan.input_fraction
    rate, conversion = recipe.step(0, point, plan.scale)
    assert rate & (rate - 1) == 0  # a power of two: sums can be made for every step
    trainer.weights[-1] = np.array(weights, np.float64).reshape(trainer.weights[-1].shape)
    sums = np.array(steps).reshape(trainer.weights[-1].shape) * 2.0**conversion.fraction / rate
    trainer._update(trainer.layers - 1, sums, np.zeros(sums.shape[1]), None)
    return trainer.weights[-1].reshape(-1).tolist()


def one_layer(inputs, outputs, **changes):
    recipe = LiRecipe(**settings(network="", batch=4, columns=28, **changes))
    return LiTrainer(recipe, shape=(1, inputs, 1), classes=outputs, pixel_max=16)


def test_r_rounds_ties_away_from_zero():
    trainer = one_layer(1, 8, update="r", grid="2")
    ulp = 2.0**-20
    steps = [-1 / 8, 1 / 8, -1 / 8 + ulp, 1 / 8 - ulp, 1 / 8, -1 / 8, 3 / 8, -3 / 8]
    weights = [0, 0, 0, 0, 3, -3, 0, 0]
    assert updated(trainer, weights, steps) == [1, -1, 0, 0, 3, -3, -2, 2]


def test_a_step_below_half_a_grid_step_never_moves_r():
    trainer = one_layer(1, 4, update="r", grid="2")
    for _ in range(20):
        assert updated(trainer, [-4, -1, 2, 4], [0.12, -0.12, 0.12, -0.12]) == [-4, -1, 2, 4]


@pytest.mark.parametrize("update", ["r", "sr"])
@pytest.mark.parametrize("grid", ["binary", "0", "3"])
def test_weights_stay_between_minus_one_and_one(update, grid):
    trainer = one_layer(1, 4, update=update, grid=grid)
    top = 8 if grid == "3" else 1
    assert updated(trainer, [top, top, -top, -top], [-5, 2, 5, -2.5]) == [top, -top, -top, top]


def test_zero_goes_to_plus_one_on_the_binary_grid():
    trainer = one_layer(1, 4, update="r")
    ulp = 2.0**-20
    assert updated(trainer, [1, -1, 1, -1], [1, -1, 1 + ulp, -1 + ulp]) == [1, 1, -1, -1]
    trainer, images, labels = trainer_and_batch()
    trainer.weights[0][:] = [0, 1, -1, 0, 0]
    record = []
    trainer.step(images, labels, record)
    b = next(entry.b for entry in record if entry.name == "forward 1")
    assert b[:-1].tolist() == [[1, 1, -1, 1, 1]] * 6


def test_sign_of_zero_is_plus_one():
    """Blank images and biases of 0 leave every sum of the first layer at 0."""
    trainer, images, labels = trainer_and_batch(activation="sign")
    record = []
    trainer.step(np.zeros_like(images), labels, record)
    a = next(entry.a for entry in record if entry.name == "forward 2")
    assert (a[:, :-1] == 1).all()
    # |y| <= 1 there, so the error comes back, to the biases alone.
    gradient = next(entry.out for entry in record if entry.name == "gradient 1")
    assert not gradient[:-1].any() and gradient[-1].any()


@pytest.mark.parametrize(("bias", "passes"), [(1.0, True), (-1.0, True), (1.25, False)])
def test_the_error_of_a_sign_passes_up_to_one(bias, passes):
    trainer, images, labels = trainer_and_batch(activation="sign", grid="0")
    trainer.biases[0][:] = bias * 2**20
    record = []
    trainer.step(np.zeros_like(images), labels, record)
    gradient = next(entry.out for entry in record if entry.name == "gradient 1")
    assert gradient[-1].any() == passes


def test_sr_never_moves_an_exact_value():
    """Blank images: the first layer's weights have no gradient, but are rounded at every step."""
    for grid in ("binary", "0", "3"):
        trainer, images, labels = trainer_and_batch(update="sr", grid=grid)
        before = trainer.weights[0].copy()
        for _ in range(100):
            trainer.step(np.zeros_like(images), labels)
        assert (trainer.weights[0] == before).all()
        assert trainer.draws.elementwise >= 100 * 10


def test_sr_is_unbiased():
    for grid, spread, weights, steps in (
        ("2", 1 / 4, [0, 3, -2, 1], [1 / 16, -3 / 16, -1 / 32, 0.11]),
        ("binary", 2, [1, -1, 1, -1], [0.5, -1.5, 0.25, -0.3]),
    ):
        trainer = one_layer(64, 256, update="sr", grid=grid)
        draws, unit = 64 * 64, 1.0 if grid == "binary" else 1 / 4
        found = unit * np.reshape(
            updated(trainer, np.tile(weights, draws), np.tile(steps, draws)), (draws, 4)
        )
        wanted = np.array(weights) * unit - steps
        shift = grid == "binary"
        below = np.floor((wanted + shift) / spread) * spread - shift
        assert ((found == below) | (found == below + spread)).all()
        p = (wanted - below) / spread
        error = spread * np.sqrt((p * (1 - p)).max() / draws)
        assert np.abs(found.mean(axis=0) - wanted).max() < 4 * error


def test_a_buffer_ends_at_minus_one_and_one():
    trainer = one_layer(1, 4)
    one, ulp = 1 << 20, 2.0**-20
    weights = [one, -one, one, 0]
    assert updated(trainer, weights, [-ulp, 3, ulp, -1 - ulp]) == [one, -one, one - 1, one]
    assert updated(trainer, weights, [2, -ulp, 2 + ulp, 0]) == [-one, 1 - one, -one, 0]


def test_a_buffer_gathers_steps_that_the_grid_would_lose():
    trainer = one_layer(1, 2, grid="2")
    weights = [0, 0]
    for _ in range(64):
        weights = updated(trainer, weights, [2.0**-8, -(2.0**-8)])
    assert weights == [-(1 << 18), 1 << 18]


def test_probability_codes():
    u = np.array([-(2**20), -(2**19), 0, 2**19, 2**20, 2**20 + 7, -(2**20) - 7])
    assert probability_code(u, 20, 16).tolist() == [
        0,
        1 << 14,
        1 << 15,
        3 << 14,
        1 << 16,
        1 << 16,
        0,
    ]
    # (u + 1) / 2 has 21 fraction bits; of five dropped bits a half goes to even.
    u = np.array([15, 16, 17, 47, 48, 49]) - 2**20
    assert probability_code(u, 20, 16).tolist() == [0, 0, 1, 1, 2, 2]
    assert probability_code(np.array([-3, 0, 2]), 2, 16).tolist() == [1 << 13, 1 << 15, 3 << 14]


def test_a_drawn_weight_is_plus_one_if_its_draw_is_below_the_code():
    """All weights of a layer at once, before its product, layer after layer."""
    trainer, images, labels = trainer_and_batch(binarize="stochastic", rounding="nearest")
    lanes = Lanes(trainer.recipe.generator, 3, 3)
    fine = [weight.astype(np.int64) for weight in trainer.weights]
    record = []
    trainer.step(images, labels, record)
    names = [entry.name for entry in record]
    for layer, u in enumerate(fine, 1):
        entry = record[names.index(f"forward {layer}")]
        assert names.index(f"weight {layer}") < names.index(f"forward {layer}")
        words = np.array(lanes.elementwise(u.size)).reshape(u.shape)
        wanted = np.where(words < probability_code(u, 20, 16), 1, -1)
        assert np.array_equal(entry.b[:-1], wanted)


def test_a_drawn_weight_is_plus_one_as_often_as_it_should():
    trainer = one_layer(1, 5, binarize="stochastic", rounding="nearest")
    one = 1 << 20
    trainer.weights[0] = np.array([[-one, -one // 2, 0, one // 2, one]], np.float64)
    draws = 4096
    mean = sum(trainer._forward_weights(0, None) for _ in range(draws))[0] / draws
    assert mean[0] == -1 and mean[4] == 1
    assert np.abs(mean[1:4] - [-0.5, 0, 0.5]).max() < 5 / math.sqrt(draws)


def test_evaluation_draws_no_weights_and_moves_nothing():
    trainer, images, labels = trainer_and_batch(binarize="stochastic")
    trainer.step(images, labels)
    before = trainer.draws, trainer._elementwise.states, trainer._array.states
    classes = trainer.predict(images)
    assert trainer.predict(images).tolist() == classes.tolist()
    assert (trainer.draws, trainer._elementwise.states, trainer._array.states) == before
    signs = LiRecipe(**settings())
    other = LiTrainer(signs, shape=(2, 3, 1), classes=4, pixel_max=16)
    other.restore(trainer.state())
    assert other.predict(images).tolist() == classes.tolist()


@pytest.mark.parametrize(
    ("changes", "drawn"),
    [({}, []), ({"binarize": "stochastic"}, []), ({"update": "sr", "grid": "3"}, ["update"])],
)
def test_a_record_lists_the_operations_in_order(changes, drawn):
    trainer, images, labels = trainer_and_batch(**changes)
    record = []
    trainer.step(images, labels, record)
    buffers = ["weight"] if trainer.recipe.update == "bc" else []
    forward = [*buffers, "bias", "forward"]
    assert [entry.name for entry in record] == [
        *(f"{name} 1" for name in forward),
        *(f"{name} 2" for name in forward),
        "output error",
        "gradient 2",
        "error 2",
        "gradient 1",
        "step 1 weights",
        *(f"{name} 1 weights" for name in drawn),
        "step 1 biases",
        "step 2 weights",
        *(f"{name} 2 weights" for name in drawn),
        "step 2 biases",
    ]
    for entry in record:
        if isinstance(entry, Product):
            assert abs(entry.a).max() < 1 << 16 and abs(entry.b).max() < 1 << 16


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"binarize": "stochastic"},
        {"update": "sr", "grid": "3", "rounding": "nearest"},
        {"update": "r", "grid": "3", "network": "3C2-MP2s1-2C1"},
        {"activation": "sign", "network": "5FC-5FC"},
    ],
    ids=str,
)
def test_a_step_can_be_redone_from_where_its_lanes_stood(changes):
    trainer, images, labels = trainer_and_batch((3, 4, 1), **changes)
    trainer.step(images, labels)
    before, record = trainer.draws, []
    trainer.step(images, labels, record)
    assert trainer.step_start == before
    generator = trainer.recipe.generator
    array, single = Lanes(generator, 0, 3), Lanes(generator, 3, 3)
    for lanes, made in ((array, before.array), (single, before.elementwise)):
        for lane in lanes.lanes:
            lane.walk(made * generator.leap)
    for entry in record:
        z = entry.a @ entry.b if isinstance(entry, Product) else entry.z
        if entry.conversion is None:
            assert np.array_equal(z, entry.out)
            continue
        r = np.zeros(z.shape, np.int64)
        if entry.conversion.rounding is Rounding.STOCHASTIC:
            words = single.elementwise(z.size) if z.ndim == 1 else array.array(2, *z.shape)
            s = max(entry.conversion.dropped, 0)
            r = np.array([int(u * 2**s) for u in single.addends(words, s)]).reshape(z.shape)
        assert np.array_equal(entry.conversion(z, r), entry.out)
        assert isinstance(entry, Product | Convert)
    for lanes, mine in ((array, trainer._array), (single, trainer._elementwise)):
        assert [lane.state for lane in lanes.lanes] == mine.states


@pytest.mark.parametrize(
    "changes", [{"binarize": "stochastic"}, {"update": "sr", "grid": "2"}], ids=str
)
def test_a_training_goes_on_from_its_state_bit_for_bit(changes):
    data = digits()
    recipe = LiRecipe(network="6FC", epochs=2, learning_rate_factor="0.9", **changes)
    whole = LiTrainer(recipe, shape=data.shape, classes=10, pixel_max=16)
    walk = whole.walk(data)
    for _ in range(20):
        next(walk)
    kept = whole.state()
    reports = [(report.test, report.train) for report in walk if report is not None]
    again = LiTrainer(recipe, shape=data.shape, classes=10, pixel_max=16)
    again.restore(kept)
    epochs = again.epochs(data)
    assert [(report.test, report.train) for report in epochs] == reports
    for name in LiTrainer.STATE:
        for one, other in zip(getattr(whole, name), getattr(again, name)):
            assert np.array_equal(one, other)
    assert again.draws == whole.draws


@pytest.mark.parametrize(
    ("changes", "most"),
    [
        ({"network": "128FC", "grid": "3"}, 6),
        ({"network": "128FC", "update": "sr", "grid": "3"}, 9),
        ({"network": "128FC-128FC", "activation": "sign"}, 9),
        ({"network": "16C3-64FC", "activation": "sign"}, 7),
    ],
    ids=str,
)
def test_learns_the_digits(changes, most):
    data = digits()
    recipe = LiRecipe(epochs=10, learning_rate="0.2", **changes)
    trainer = LiTrainer(recipe, shape=data.shape, classes=10, pixel_max=16)
    *_, last = trainer.epochs(data)
    assert last.test.error < most


def test_the_scale_is_the_power_of_two_next_to_the_deviation_of_he():
    for inputs in range(1, 3000):
        for c in (2, 6):
            wanted = max(0.0, math.log2(math.sqrt(inputs / c)))
            k = scale_exponent(inputs, c)
            assert k == math.floor(wanted + 0.5) or abs(wanted % 1 - 0.5) < 1e-9
    assert [scale_exponent(256, 2), scale_exponent(255, 2)] == [4, 3]


def test_the_rate_has_twelve_bits():
    recipe = LiRecipe(learning_rate="0.1", learning_rate_factor="0.95", batch=100)
    for epoch in (0, 7):
        number, conversion = recipe.step(epoch, 22, 4)
        exact = Fraction("0.1") * Fraction("0.95") ** epoch * 16 / 100
        unit = Fraction(2) ** (22 - conversion.fraction)
        assert 2048 <= number <= 4096 and abs(number * unit - exact) <= unit / 2
        assert conversion.rounding is Rounding.NEAREST_EVEN
        assert conversion.target == recipe.formats.fine
    # Where 62 fraction bits are not enough, fewer of the rate are left.
    number, conversion = recipe.step(0, 44, 0)
    assert (number, conversion.fraction) == (round(Fraction("0.001") * 2**18), 62)


def test_the_baseline_is_the_same_training_in_floats():
    recipe = LiRecipe(network="9FC", batch=7, epochs=3, learning_rate="0.3", seed=5)
    baseline = recipe.baseline()
    assert isinstance(baseline, FloatRecipe)
    for name in ("network", "batch", "epochs", "seed", "learning_rate", "learning_rate_factor"):
        assert getattr(baseline, name) == getattr(recipe, name)
    assert baseline.momentum == 0 and baseline.decay == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"update": "rs"}, "update = 'rs': allowed are r, sr, bc"),
        ({"grid": "11"}, "grid = '11': allowed are binary, 0, 1,"),
        ({"grid": "ternary"}, "grid = 'ternary': allowed are binary, 0, 1,"),
        ({"activation": "tanh"}, "activation = 'tanh': allowed are relu, sign"),
        ({"binarize": "maybe"}, "binarize = 'maybe': allowed are deterministic, stochastic"),
        (
            {"binarize": "stochastic", "update": "sr"},
            "binarize = stochastic with update = sr and grid = binary: it is for",
        ),
        ({"binarize": "stochastic", "grid": "2"}, "binarize = stochastic with update = bc and"),
        ({"rounding": "nearest-even"}, "rounding = 'nearest-even': allowed are"),
        ({"learning_rate": 17}, "learning_rate = 17: allowed are 0 to 16"),
        ({"learning_rate": 0}, "learning_rate = 0 comes to 0 in epoch 1"),
        (
            {"learning_rate": "1e-6", "learning_rate_factor": "0.01", "epochs": 4},
            "learning_rate = 1e-6 comes to 0 in epoch 4",
        ),
        (
            {"grid": "9", "formats": LiFormats(fine_fl=8)},
            "grid = 9 is finer than fine_fl = 8",
        ),
    ],
    ids=str,
)
def test_bad_recipes_are_refused(changes, message):
    with pytest.raises(ValueError) as error:
        LiRecipe(**changes)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"activation_fl": 16}, "activation_fl = 16: allowed are 0 to 15"),
        ({"error_fl": -1}, "error_fl = -1: allowed are 0 to 15"),
        ({"input_fl": 16}, "input_fl = 16: allowed are 0 to 15"),
        ({"fine_fl": 23}, "fine_fl = 23: allowed are 0 to 22"),
    ],
    ids=str,
)
def test_bad_formats_are_refused(changes, message):
    with pytest.raises(ValueError) as error:
        LiFormats(**changes)
    assert str(error.value) == message


def test_steps_too_wide_are_refused():
    LiTrainer(LiRecipe(network="2C1-2C1", batch=256), shape=(32, 32, 1), classes=10, pixel_max=255)
    recipe = LiRecipe(network="2C1-2C1", batch=512)
    with pytest.raises(ValueError, match="63 bits, at most 62 are allowed"):
        LiTrainer(recipe, shape=(32, 32, 1), classes=10, pixel_max=255)


def test_sums_too_fine_for_biases_are_refused():
    recipe = LiRecipe(network="60FC", grid="10", formats=LiFormats(activation_fl=15, input_fl=15))
    message = r"^60FC: sums of 15 \+ 10 \+ 5 fraction bits \(input, grid, scale\): at most 29 are"
    with pytest.raises(ValueError, match=message):
        LiTrainer(recipe, shape=(64, 64, 1), classes=10, pixel_max=255)
    LiTrainer(recipe, shape=(32, 32, 1), classes=10, pixel_max=255)


def test_steps_beyond_the_mantissa_are_exact():
    trainer = one_layer(1, 4)
    sums = np.array([2.0**45 - 1, 1 - 2.0**45, 2.0**40 + 1, -3])
    to_fine = trainer.recipe.step(0, 28, 0)[1]
    conversion = replace(to_fine, fraction=60)
    record = []
    found = trainer._fine_step("step", sums, 4095, conversion, record)
    wanted = [round(Fraction(4095 * int(g), 2**40)) for g in sums]
    assert found.tolist() == wanted
    assert record[0].z.tolist() == [4095 * int(g) for g in sums]
