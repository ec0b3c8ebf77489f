"""Fixed-point training against the same step in exact fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest

from golden.datasets import digits
from golden.fixed import Conversion, Rounding
from golden.lfsr import Generator, Lanes, dither, step
from golden.training import Convert, GuptaRecipe, GuptaTrainer, Product, SaturationGradient, train
from golden.training.softmax import LOG2_E, TABLE, exponentials, softmax
from golden.training.trainer import round_product


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


def product(a, b):
    return [[sum(x * y for x, y in zip(row, column)) for column in zip(*b)] for row in a]


def transposed(a):
    return [list(row) for row in zip(*a)]


def whole_rate(x):
    """x as an integer over 2^16."""
    return Fraction(round(Fraction(str(x)) * 2**16), 2**16)


class RealGupta:
    """A step in reals; every value is a Fraction and no integer code appears."""

    def __init__(self, recipe, trainer):
        self.recipe, self.fl = recipe, recipe.fl
        self.ulp = Fraction(1, 2**recipe.fl)
        self.low, self.high = -Fraction(2**15) * self.ulp, (2**15 - 1) * self.ulp
        self.weights = [self.real(weight) for weight in trainer.weights]
        self.biases = [self.real(bias[None])[0] for bias in trainer.biases]
        self.v = [[[Fraction(0)] * len(row) for row in weight] for weight in self.weights]
        self.v_bias = [[Fraction(0)] * len(bias) for bias in self.biases]
        self.array = Draws(recipe.generator, 0, recipe.columns)
        self.elementwise = Draws(recipe.generator, recipe.columns, recipe.columns)

    def real(self, codes):
        return [[Fraction(int(code)) * self.ulp for code in row] for row in codes]

    def convert(self, z, draws):
        """Rounded to whole ulps and saturated; and where it was saturated."""
        stochastic = self.recipe.rounding == "stochastic"
        out, saturated = [], []
        for i, row in enumerate(z):
            out.append([])
            saturated.append([])
            for j, value in enumerate(row):
                scaled = value / self.ulp
                if stochastic:
                    rounded = math.floor(scaled + draws[i][j])
                else:
                    rounded = math.ceil(scaled - Fraction(1, 2))  # ties go down
                y = rounded * self.ulp
                out[-1].append(min(max(y, self.low), self.high))
                saturated[-1].append(not self.low <= y <= self.high)
        return out, saturated

    def rounded_product(self, a, b):
        z, draws = product(a, b), None
        if self.recipe.rounding == "stochastic":
            draws = self.array.array(self.recipe.rows, len(z), len(z[0]), self.fl)
        return self.convert(z, draws)

    def rounded(self, z, s):
        draws = None
        if self.recipe.rounding == "stochastic":
            draws = self.elementwise.elementwise(len(z), len(z[0]), s)
        return self.convert(z, draws)[0]

    def probabilities(self, row):
        exponentials_ = []
        for y in row:
            power = (max(row) - y) * Fraction(94548, 2**16)  # log2 e with 16 fraction bits
            whole = math.floor(power)
            index = math.floor((power - whole) * 1024)
            exponentials_.append(round(2.0**16 * 2.0 ** (-index / 1024)) >> min(whole, 31))
        return [Fraction(e * 2**16 // sum(exponentials_), 2**16) for e in exponentials_]

    def step(self, images, labels, epoch, pixel_max):
        recipe = self.recipe
        one = Fraction(1)
        x = [
            [min(round(Fraction(int(p), pixel_max) / self.ulp) * self.ulp, self.high) for p in row]
            for row in images
        ]
        inputs, outputs, saturated = [], [], []
        for weight, bias in zip(self.weights, self.biases):
            inputs.append(x)
            y, cut = self.rounded_product([row + [one] for row in x], weight + [bias])
            outputs.append(y)
            saturated.append(cut)
            x = [[max(value, Fraction(0)) for value in row] for row in y]
        p = [self.probabilities(row) for row in outputs[-1]]
        difference = [
            [q - (j == label) for j, q in enumerate(row)] for row, label in zip(p, labels)
        ]
        delta = self.rounded(difference, 16 - self.fl)
        last = len(self.weights) - 1
        zero = recipe.saturation_gradient == "zero"

        def masked(delta, layer):
            return [
                [
                    Fraction(0)
                    if (zero and saturated[layer][i][j])
                    or (layer < last and outputs[layer][i][j] <= 0)
                    else value
                    for j, value in enumerate(row)
                ]
                for i, row in enumerate(delta)
            ]

        delta = masked(delta, last)
        gradients = {}
        for layer in range(last, -1, -1):
            of_bias = [sum(column) for column in zip(*delta)]
            gradients[layer] = product(transposed(inputs[layer]), delta), of_bias
            if layer:
                below, _ = self.rounded_product(delta, transposed(self.weights[layer]))
                delta = masked(below, layer - 1)
        rate = Fraction(str(recipe.learning_rate))
        rate = whole_rate(rate * Fraction(str(recipe.learning_rate_factor)) ** epoch)
        mean, mu, decay = (
            whole_rate(value)
            for value in (Fraction(1, recipe.batch), recipe.momentum, recipe.decay)
        )
        # One point for all terms: the sums' 2 FL bits, and 16 of each of two factors.
        s = 32 + self.fl
        for layer in range(last + 1):
            g, g_bias = gradients[layer]
            w, v = self.weights[layer], self.v[layer]
            z = [
                [mu * v[i][j] - rate * (mean * g[i][j] + decay * w[i][j]) for j in range(len(w[0]))]
                for i in range(len(w))
            ]
            self.v[layer] = self.rounded(z, s)
            z = [mu * b - rate * mean * g for b, g in zip(self.v_bias[layer], g_bias)]
            (self.v_bias[layer],) = self.rounded([z], s)
            clip = lambda value: min(max(value, self.low), self.high)  # noqa: E731
            self.weights[layer] = [
                [clip(a + b) for a, b in zip(*rows)] for rows in zip(w, self.v[layer])
            ]
            pairs = zip(self.biases[layer], self.v_bias[layer])
            self.biases[layer] = [clip(a + b) for a, b in pairs]
        return outputs, saturated


VARIANTS = {
    "paper": {},
    "nearest": {"rounding": "nearest-down"},
    "momentum": {"momentum": "0.9", "decay": 0.0005, "learning_rate": 0.1},
    "nearest momentum": {"momentum": 0.9, "decay": 0.01, "rounding": Rounding.NEAREST_DOWN},
    "falling rate": {
        "learning_rate": "1",
        "momentum": "1/2",
        "learning_rate_factor": "19/20",
        "batch": 4,
    },
    "coarse": {"fl": 8, "learning_rate": 1},
    "coarser": {"fl": 2, "learning_rate": 16, "momentum": 1, "deviation": 2},
    "whole numbers": {"fl": 0, "learning_rate": 16, "batch": 1, "deviation": 3},
    "saturated": {"deviation": "1.5", "hidden": (7,), "learning_rate": 4},
    "passed": {"deviation": "1.5", "hidden": (7,), "saturation_gradient": "pass"},
    "deep": {"hidden": (4, 3, 5), "learning_rate": 2},
    "no hidden layer": {"hidden": ()},
    "few random bits": {"generator": Generator(bits=24, leap=8, draw=5, seed=99)},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_steps_agree_with_exact_fractions(name):
    settings = {
        "hidden": (5,),
        "batch": 3,
        "epochs": 3,
        "rows": 2,
        "columns": 3,
        "deviation": "0.6",
        "seed": 4,
    }
    recipe = GuptaRecipe(**(settings | VARIANTS[name]))
    trainer = GuptaTrainer(recipe, inputs=6, classes=4, pixel_max=16)
    real = RealGupta(recipe, trainer)
    random = np.random.default_rng(1)
    cut = 0
    for trainer.epoch in range(3):
        images = random.integers(0, 17, (recipe.batch, 6), np.uint8)
        labels = random.integers(0, 4, recipe.batch)
        record = []
        score = trainer.step(images, labels, record)
        outputs, saturated = real.step(images, labels.tolist(), trainer.epoch, 16)
        cut += np.sum(np.concatenate(saturated, axis=1))
        forward = [entry for entry in record if entry.name.startswith("forward")]
        for entry, y in zip(forward, outputs, strict=True):
            assert real.real(entry.out) == y
        classes = [row.index(max(row)) for row in outputs[-1]]
        assert score.wrong == sum(a != b for a, b in zip(classes, labels.tolist()))
        loss = -sum(
            math.log(max(real.probabilities(row)[label], Fraction(1, 2**16)))
            for row, label in zip(outputs[-1], labels.tolist())
        )
        assert score.loss == pytest.approx(loss)
        for layer in range(trainer.layers):
            assert real.real(trainer.weight_updates[layer]) == real.v[layer]
            assert real.real(trainer.bias_updates[layer][None])[0] == real.v_bias[layer]
            assert real.real(trainer.weights[layer]) == real.weights[layer]
            assert real.real(trainer.biases[layer][None])[0] == real.biases[layer]
    assert (cut > 0) or name not in ("saturated", "passed")


def test_saturated_means_out_of_range():
    """A sum that comes out at a limit by itself is not saturated, one ulp further it is."""
    recipe = GuptaRecipe(rounding="nearest-down", fl=0)
    z = np.array([[32766, 32767, 32768, -32768, -32769]])
    lanes = Lanes(recipe.generator, 0, recipe.columns)
    out, saturated = round_product(np.array([[1]]), z, recipe.product, lanes, recipe)
    assert out.tolist() == [[32766, 32767, 32767, -32768, -32768]]
    assert saturated.tolist() == [[False, False, True, False, True]]


def test_no_error_goes_through_a_neuron_at_zero():
    """Blank images and biases of 0 leave every hidden neuron at 0, where ReLU passes no error."""
    trainer, images, labels = trainer_and_batch()
    trainer.step(np.zeros_like(images), labels)
    assert not trainer.bias_updates[0].any() and not trainer.weight_updates[0].any()
    assert trainer.bias_updates[1].any() and not trainer.weight_updates[1].any()


def trainer_and_batch(**changes):
    settings = {"hidden": (5,), "batch": 4, "rows": 3, "columns": 2, "deviation": "0.6"}
    recipe = GuptaRecipe(**(settings | changes))
    trainer = GuptaTrainer(recipe, inputs=6, classes=4, pixel_max=16)
    random = np.random.default_rng(1)
    return trainer, random.integers(0, 17, (4, 6), np.uint8), random.integers(0, 4, 4)


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


@pytest.mark.parametrize("rounding", ["stochastic", "nearest-down"])
def test_a_step_can_be_redone_from_where_its_lanes_stood(rounding):
    """The record and the lanes' place at the start of a step give every rounded word again."""
    trainer, images, labels = trainer_and_batch(rounding=rounding)
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
    recipe = GuptaRecipe(learning_rate=1, batch=64, fl=8)
    factors, conversion = recipe.factors(0), recipe.update(0)
    assert (factors.fraction, factors.gradient, conversion.dropped) == (24, 4, 16)
    undivided = Conversion(fraction=48, target=recipe.format)
    rng = np.random.default_rng(0)
    sums, words = rng.integers(-(2**20), 2**20, 1000), rng.integers(0, 2**16, 1000)
    divided_codes = conversion(factors.gradient * sums, dither(words, conversion.dropped, 16))
    assert np.array_equal(
        divided_codes, undivided((65536 * 1024) * sums, dither(words, undivided.dropped, 16))
    )


def test_factors_share_no_power_of_two():
    plain = GuptaRecipe(learning_rate=1, batch=100).factors(0)
    # 1 is 2^16 and 1/100 is 655 / 2^16: only 655 is left, and 16 of the 60 fraction bits go.
    assert (plain.gradient, plain.velocity, plain.weight, plain.fraction) == (655, 0, 0, 44)
    full = GuptaRecipe(learning_rate="0.1", momentum="0.9", decay="0.0005", batch=100, fl=10)
    factors = full.factors(0)
    # 6554 * 655, 58982 * 2^26 and 6554 * 33 * 2^10, over 2^52, all halved.
    assert factors.gradient == 6554 * 655 // 2
    assert factors.velocity == 58982 << 25
    assert factors.weight == 6554 * 33 << 9
    assert factors.fraction == 51
    falling = GuptaRecipe(learning_rate="0.1", learning_rate_factor="0.95", epochs=4)
    assert [falling.factors(epoch).gradient << falling.update(epoch).fraction for epoch in range(4)]
    assert falling.factors(3).gradient * 2 ** (60 - falling.factors(3).fraction) == (
        round(Fraction("0.1") * Fraction("0.95") ** 3 * 2**16) * 2048
    )


def test_a_sum_that_is_too_wide_is_refused():
    with pytest.raises(ValueError) as caught:
        GuptaRecipe(learning_rate="15.99999", batch=65535, fl=14)
    message = str(caught.value)
    assert "update of 1048575 * 65535 * 2^30 + 0 * 2^15 + 0 * 2^15 = " in message
    assert f"= {1048575 * 65535 << 30}: 67 bits, at most 62 are allowed" in message


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"fl": 15}, "fl = 15: allowed are 0 to 14"),
        (
            {"rounding": "nearest-even"},
            "rounding = 'nearest-even': allowed are stochastic, nearest-",
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


def test_first_weights_are_normal():
    recipe = GuptaRecipe(hidden=(400,), fl=14)
    trainer = GuptaTrainer(recipe, inputs=100, classes=10, pixel_max=16)
    weights = trainer.weights[0] / 2.0**14
    assert abs(weights.mean()) < 0.0005 and abs(weights.std() - 0.01) < 0.0003
    assert not any(bias.any() for bias in trainer.biases)
    real = np.random.Generator(np.random.PCG64(0)).standard_normal((100, 400))
    assert np.array_equal(trainer.weights[0], np.rint(real * 0.01 * 2**14))
    wide = GuptaTrainer(GuptaRecipe(deviation=10), inputs=100, classes=10, pixel_max=16)
    assert wide.weights[0].min() == -(1 << 15) and wide.weights[0].max() == (1 << 15) - 1


def test_digits_are_learnt():
    """The default recipe: <2,14>, stochastic, 64-64-10 neurons."""
    errors = [train(GuptaRecipe(seed=seed), digits())[1][-1].test.error for seed in range(3)]
    assert np.median(errors) < 4


def test_a_saturated_forward_pass_must_stop_the_error():
    """<2,14> diverges where errors pass saturated outputs."""
    _, history = train(
        GuptaRecipe(epochs=3, saturation_gradient=SaturationGradient.PASS, learning_rate=1),
        digits(),
    )
    assert history[-1].test.error > 50
    _, history = train(GuptaRecipe(epochs=3, learning_rate=1), digits())
    assert history[-1].test.error < 20
