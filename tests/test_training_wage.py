"""WAGE training in integers, against the paper's real-valued equations."""

import ast
import dataclasses
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import golden.training
from golden.datasets import Dataset, digits
from golden.fixed import Rounding
from golden.lfsr import Generator, Lanes
from golden.training import (
    Bits,
    GuptaRecipe,
    PixelScale,
    Product,
    Quantize,
    Saturation,
    Shift,
    Start,
    WageRecipe,
    WageTrainer,
    new_trainer,
    train,
)

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
    """A step of WAGE in real numbers; draws come in the order of the elementwise rounders."""

    def __init__(self, recipe, weights, pixel_max):
        self.recipe, self.bits, self.pixel_max = recipe, recipe.bits, pixel_max
        self.weights = [n / 2.0 ** (self.bits.gradient - 1) for n in weights]
        self.lanes = Lanes(recipe.generator, recipe.columns, recipe.columns)
        self.seen = set()  # which paths the case took

    def words(self, shape):
        size, lanes = math.prod(shape), self.recipe.columns
        return self.lanes.take(-(-size // lanes)).reshape(-1)[:size].reshape(shape).astype(float)

    def scale(self, x):
        """log2 of Shift(max|x|)."""
        return shift_log2(np.abs(x).max(), self.recipe.shift == "ceil")

    def quantized_error(self, e, unit):
        """Q_E(e) for errors in units of 2^-unit."""
        k_e = self.bits.error
        stochastic = self.recipe.error_rounding == "stochastic"
        words = self.words(e.shape) if stochastic else None
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

    def step(self, images, labels, rate):
        recipe, bits = self.recipe, self.bits
        p = images.astype(float)
        one = 2 ** (bits.activation - 1)
        codes = one * (2 * p - self.pixel_max) if recipe.pixels == "symmetric" else one * p
        activations = [quantized(np.rint(codes / self.pixel_max) / one, bits.activation)]
        minimum = 1.5 * sigma(bits.weight)
        forward, sums, alphas = [], [], []
        for weight in self.weights:
            reach = math.sqrt(recipe.c / len(weight))
            alphas.append(max(2.0 ** round(math.log2(minimum / reach)), 1.0))
            forward.append(quantized(weight, bits.weight))
            sums.append(activations[-1] @ forward[-1] / alphas[-1])
            activations.append(quantized(np.maximum(sums[-1], 0), bits.activation))
        outputs, last = sums[-1], len(self.weights) - 1
        target = np.eye(outputs.shape[1])[labels]

        unit = bits.activation + bits.weight - 2 + round(math.log2(alphas[-1]))
        errors = {last: self.quantized_error(outputs - target, unit)}
        for layer in range(last, 0, -1):
            d = errors[layer] @ forward[layer].T / alphas[layer]
            clipped = sums[layer - 1] > 1 - sigma(bits.activation)
            dead = sums[layer - 1] <= 0
            self.seen |= {"clipped"} if (clipped & (d != 0)).any() else set()
            self.seen |= {"dead"} if (dead & (d != 0)).any() else set()
            d = np.where(clipped, 0, d)
            unit = bits.error + bits.weight - 2 + round(math.log2(alphas[layer]))
            e = self.quantized_error(d, unit)
            errors[layer - 1] = np.where(dead, 0, e)
        whole, part = [], []
        for layer, weight in enumerate(self.weights):
            g = activations[layer].T @ errors[layer]
            words = self.words(g.shape)
            scale = self.scale(g) if g.any() else 0
            scaled = 2.0**rate * g / 2.0**scale
            dropped = scale + bits.activation + bits.error - 2 - rate if g.any() else 0
            self.seen.add("step exact" if dropped <= 0 else "step rounded")
            self.seen |= {"long step"} if dropped > recipe.generator.draw else set()
            whole.append(np.floor(np.abs(scaled)))
            part.append(np.abs(scaled) - whole[-1])
            up = part[-1] + uniform(words, dropped, recipe.generator) >= 1
            update = sigma(bits.gradient) * np.sign(scaled) * (whole[-1] + up)
            top = 0.5 if recipe.saturation == "half" else 1 - sigma(bits.gradient)
            self.seen |= {"saturated"} if (np.abs(weight - update) > top).any() else set()
            self.weights[layer] = np.clip(weight - update, -top, top)
        return activations[:-1], sums, errors, whole, part


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
    recipe = WageRecipe(
        hidden=tuple(int(size) for size in random.integers(1, 60, random.integers(0, 4))),
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
    inputs = int(random.integers(1, 200))
    classes, pixel_max = int(random.integers(2, 11)), (255, 16, 7)[random.integers(3)]
    trainer = WageTrainer(recipe, inputs=inputs, classes=classes, pixel_max=pixel_max)
    batches = []
    for _ in range(3):
        images = random.integers(0, pixel_max + 1, (recipe.batch, inputs), np.uint8)
        images *= random.random(images.shape) < 0.7
        batches.append((images, random.integers(0, classes, recipe.batch)))
    return trainer, pixel_max, batches


def noted(record, unit):
    return [entry for entry in record if isinstance(entry, Quantize) and entry.unit == unit]


def check_case(number):
    trainer, pixel_max, batches = random_case(number)
    recipe, bits = trainer.recipe, trainer.recipe.bits
    real = RealWage(recipe, trainer.weights, pixel_max)
    for images, labels in batches:
        record = []
        score = trainer.step(images, labels, record)
        activations, sums, errors, whole, part = real.step(images, labels, recipe.rates[0][1])
        assert score.images == len(labels)
        assert score.wrong == np.sum(np.argmax(sums[-1], axis=1) != labels)
        sse = np.sum((sums[-1] - np.eye(sums[-1].shape[1])[labels]) ** 2)
        assert score.loss == pytest.approx(sse / 2, rel=1e-12)
        forward = [entry for entry in record if isinstance(entry, Product)][: trainer.layers]
        for entry, activation in zip(forward, activations, strict=True):
            assert np.array_equal(entry.a, np.ldexp(activation, bits.activation - 1))
        codes = [entry.out["code"] for entry in noted(record, "error")]
        for layer, code in zip(reversed(range(trainer.layers)), codes, strict=True):
            assert np.array_equal(code, np.ldexp(errors[layer], bits.error - 1))
        for layer, entry in enumerate(noted(record, "update")):
            dropped = entry.settings["exponent"] - entry.settings["rate"]
            magnitude = np.ldexp(np.abs(entry.inputs["gradient"]).astype(float), -dropped)
            assert np.array_equal(np.floor(magnitude), whole[layer])
            assert np.array_equal(magnitude % 1, part[layer])
            codes = np.ldexp(real.weights[layer], bits.gradient - 1)
            assert np.array_equal(entry.out["n"], codes)
            assert np.array_equal(trainer.weights[layer], codes)
    return real.seen


def test_a_hundred_random_networks_agree_with_the_equations():
    seen = set()
    for number in range(100):
        seen |= check_case(number)
    # The hundred have met every path.
    assert seen >= {"clipped", "dead", "saturated", "long step", "step exact", "step rounded"}
    assert seen >= {"error exact", "error rounded"}


def small(**changes):
    settings = {
        "hidden": (9,),
        "batch": 5,
        "epochs": 2,
        "rows": 4,
        "columns": 3,
        "rates": ((1, 0),),
    }
    recipe = WageRecipe(**(settings | changes))
    return WageTrainer(recipe, inputs=11, classes=4, pixel_max=16)


def batch(random, count=5):
    return random.integers(0, 17, (count, 11), np.uint8), random.integers(0, 4, count)


def test_nothing_to_learn_moves_nothing_but_the_lanes():
    """Blank images give no sums, gradients of zero and no update; values still stream."""
    trainer = small()
    before = [weight.copy() for weight in trainer.weights]
    record = []
    trainer.step(np.zeros((5, 11), np.uint8), np.arange(5) % 4, record)
    for old, new in zip(before, trainer.weights, strict=True):
        assert np.array_equal(old, new)
    scales = [entry for entry in noted(record, "shift") if entry.name.startswith("gradient")]
    assert [int(entry.out["maximum"]) for entry in scales] == [0, 0]
    assert [int(entry.out["exponent"]) for entry in scales] == [0, 0]
    assert [int(entry.out["zero"]) for entry in scales] == [1, 1]
    assert trainer.draws.elementwise == math.ceil(11 * 9 / 3) + math.ceil(9 * 4 / 3)


def test_a_record_lists_the_operations_in_order():
    record = []
    small(hidden=(9, 6)).step(*batch(np.random.default_rng(0)), record)
    names = [getattr(entry, "unit", "product") + ": " + entry.name for entry in record]
    assert names == [
        "weight: weight 1",
        "product: forward 1",
        "activation: activation 1",
        "weight: weight 2",
        "product: forward 2",
        "activation: activation 2",
        "weight: weight 3",
        "product: forward 3",
        "shift: error scale 3",
        "error: error 3",
        "product: gradient 3",
        "product: error 3",
        "shift: error scale 2",
        "error: error 2",
        "product: gradient 2",
        "product: error 2",
        "shift: error scale 1",
        "error: error 1",
        "product: gradient 1",
        "shift: gradient scale 1",
        "update: update 1",
        "shift: gradient scale 2",
        "update: update 2",
        "shift: gradient scale 3",
        "update: update 3",
    ]
    for entry in record:
        if isinstance(entry, Product):
            assert entry.conversion is None
            assert np.array_equal(entry.a @ entry.b, entry.out)


def test_a_record_changes_nothing():
    one, other = small(), small()
    for images, labels in [batch(np.random.default_rng(7)) for _ in range(3)]:
        assert one.step(images, labels) == other.step(images, labels, [])
    assert all(np.array_equal(*pair) for pair in zip(one.weights, other.weights, strict=True))
    assert one.draws == other.draws


def test_masks_say_what_was_clipped_and_what_is_dead():
    record = []
    trainer = small(hidden=(40,), bits=Bits(activation=2))
    trainer.step(*batch(np.random.default_rng(0)), record)
    (entry,) = noted(record, "activation")
    acc = entry.inputs["acc"]
    assert np.array_equal(entry.out["active"], acc > 0)
    unclipped = np.maximum(acc, 0) <= 1 << entry.settings["shift"]
    assert np.array_equal(entry.out["unclipped"], unclipped) and not unclipped.all()
    hidden = noted(record, "error")[1]
    assert np.array_equal(hidden.inputs["keep"], acc > 0)
    assert not hidden.inputs["values"][~unclipped].any()


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
    lanes = Lanes(dataclasses.replace(generator, seed=place), 3, 3)
    draws = 0
    for entry in noted(record, "error") if rounding is Rounding.STOCHASTIC else []:
        draws += -(-entry.out["code"].size // 3)
    lanes.take(draws)
    for entry in noted(record, "update"):
        n, g = entry.inputs["n"].reshape(-1), entry.inputs["gradient"].reshape(-1)
        s = entry.settings["exponent"] - entry.settings["rate"]
        words = lanes.take(-(-g.size // 3)).reshape(-1)[: g.size].astype(np.int64)
        assert 0 < s <= generator.draw
        moved = np.clip(n - np.sign(g) * ((np.abs(g) + words % (1 << s)) >> s), -127, 127)
        assert np.array_equal(moved, entry.out["n"].reshape(-1))
        draws += len(words) // 3 + (len(words) % 3 > 0)
    assert trainer.draws.elementwise == before.elementwise + draws


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
        WageRecipe(hidden=(9,), batch=5, epochs=3),
        GuptaRecipe(hidden=(9,), batch=5, epochs=3, deviation="0.5"),
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
    data, recipe = tiny_dataset(), kind(hidden=(9,), batch=5, epochs=2, seed=9)
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
    for number, (images, labels) in enumerate(seen):
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
    assert [entry.settings["rate"] for entry in noted(record, "update")] == [1, 1, -2, -2]


def test_a_step_wants_the_batch_of_its_recipe():
    with pytest.raises(ValueError, match="4 images and 4 labels: the recipe says batch = 5"):
        small().step(*batch(np.random.default_rng(0), 4))
    recipe = WageRecipe(batch=24)
    with pytest.raises(ValueError, match="batch = 24: tiny has only 23 images to train with"):
        train(recipe, tiny_dataset())


def test_the_class_is_the_lowest_of_equal_maxima():
    trainer = small()
    trainer.weights[-1] = np.zeros_like(trainer.weights[-1])
    assert trainer.predict(np.full((3, 11), 9, np.uint8)).tolist() == [0, 0, 0]
    score = trainer.evaluate(np.full((4, 11), 9, np.uint8), np.arange(4))
    assert score.wrong == 3 and score.error == 75.0


@pytest.mark.parametrize("start", Start)
@pytest.mark.parametrize("c", [6, 3])
def test_first_weights_fill_their_range(start, c):
    recipe = WageRecipe(hidden=(300,), start=start, c=c)
    trainer = WageTrainer(recipe, inputs=4, classes=10, pixel_max=16)
    wide, narrow = trainer.weights  # fan-in 4: L = sqrt(c / 4) > 0.75; fan-in 300: Lmin = 0.75
    assert trainer.alphas == [0, {6: 2, 3: 3}[c]]
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
        ({"hidden": (0,)}, "hidden size of layer 1 = 0: allowed are 1 to 65536"),
        ({"batch": 0}, "batch = 0: allowed are 1 to 65536"),
        ({"epochs": 0}, "epochs = 0: allowed are 1 to"),
        ({"seed": -1}, "seed = -1: allowed are 0 to"),
        ({"rows": 0}, "rows = 0: allowed are 1 to 1024"),
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
    for path in Path(golden.training.__file__).parent.glob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name == "__post_init__":
                node.body = []
        read |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert {field.name for field in dataclasses.fields(kind)} <= read


def test_digits_are_learnt():
    """The default recipe: 64-128-10 neurons, 2-8-8-8 bits."""
    errors = []
    for seed in range(5):
        _, history = train(WageRecipe(seed=seed), digits())
        errors.append(history[-1].test.error)
    assert np.median(errors) < 4.5
    assert max(errors) < 6


def test_training_is_the_same_on_every_machine():
    """What a short run came to when its steps were checked against the equations."""
    trainer, history = train(WageRecipe(epochs=2, rates=((1, 0),)), digits())
    checksum = sum(int(np.sum(n * np.arange(n.size).reshape(n.shape))) for n in trainer.weights)
    assert (history[-1].test.wrong, checksum) == GOLDEN


GOLDEN = (147, -39856288)
