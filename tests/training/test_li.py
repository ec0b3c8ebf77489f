"""Weights on a coarse grid: steps against exact fractions, and what the rules promise."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from drawn import LoopLanes
from noted import (
    Notes,
    assert_consistent,
    assert_evaluated,
    assert_passed_on,
    assert_redone,
    by_place,
    kind_of,
    note_errors,
    probabilities,
    same_operations,
    uniform,
)

from golden.datasets import digits
from golden.fixed import Rounding
from golden.lfsr import Generator
from golden.training import plan
from golden.training.step import ops
from golden.training.systems.float.recipe import FloatRecipe
from golden.training.systems.li.recipe import LiFormats, LiRecipe, scale_exponent
from golden.training.systems.li.trainer import LiTrainer, probability_code

HALF = Fraction(1, 2)


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
    """For each place of a window the (y, x, channel) of its terms by (ky, kx, channel), None where
    there is padding.
    """
    return [
        [
            (top + ky, left + kx, c)
            if 0 <= top + ky < shape[0] and 0 <= left + kx < shape[1]
            else None
            for ky in range(window.height)
            for kx in range(window.width)
            for c in range(shape[2])
        ]
        for top, left in corners(window, shape)
    ]


def placed(x):
    """A tensor (samples, y, x, channels) as {(sample, (y, x), channel): value}."""
    return {
        (n, (row, column), c): x[n, row, column, c] for n, row, column, c in np.ndindex(x.shape)
    }


def gathered(words, shape):
    """The inverse."""
    assert len(words) == math.prod(shape)
    out = np.empty(shape, object)
    for (n, place, c), word in words.items():
        out[n, *place, c] = word
    return out


class RealLi:
    """A step in reals: all values are fractions, and no code appears."""

    def __init__(self, recipe, trainer):
        self.recipe, self.stages = recipe, trainer.stages
        self.binary = recipe.grid == "binary"
        self.d = 0 if self.binary else int(recipe.grid)
        fine = recipe.formats.fine_fl
        self.u = [reals(w, fine if recipe.update == "bc" else self.d) for w in trainer.weights]
        self.b = [reals(b, fine) for b in trainer.biases]
        self.array = LoopLanes(recipe.generator, 0, recipe.columns)
        self.single = LoopLanes(recipe.generator, recipe.columns, recipe.columns)
        self.stochastic = recipe.rounding == "stochastic"
        self.sign = recipe.activation == "sign"
        self.beyond = 0  # errors that met and added up to more than a word

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
        if words is not None:
            generator = self.recipe.generator
            r = each(lambda word: uniform(generator, word, s), gathered(words, z.shape))
            y = each(lambda x, r: Fraction(math.floor(x + r), 2**fl), scaled, r)
        else:
            y = each(lambda x: Fraction(down(x), 2**fl), scaled)
        out = each(within(fl), y)
        return out, out != y

    def update_words(self, shape):
        """The words that a tensor of weights meets."""
        words = np.empty(shape, object)
        for place, word in self.single.update(*shape).items():
            words[place] = word
        return words

    def on_grid(self, u):
        """Nearest on the grid, ties away from zero, 0 to +1 on the binary one."""
        if self.binary:
            return each(lambda x: 1 if x >= 0 else -1, u)
        return each(lambda x: min(max(Fraction(away(x * 2**self.d), 2**self.d), -1), 1), u)

    def drawn_to_grid(self, u):
        """D (floor(w / D) + [p < w / D - floor(w / D)]), then clipped."""
        step = 2 if self.binary else Fraction(1, 2**self.d)
        s = self.recipe.formats.fine_fl + (1 if self.binary else -self.d)
        r = each(lambda word: uniform(self.recipe.generator, word, s), self.update_words(u.shape))
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
        return each(
            lambda x, r: 1 if r < round(min(max((x + 1) / 2, 0), 1) * 2**draw) else -1,
            u,
            self.update_words(u.shape),
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

    def pool(self, stage, y):
        """What goes on, the place in the sums that it came from, and which of its window it was."""
        pooled, first, origin = np.empty((len(y), *stage.pooled), object), {}, {}
        columns = stage.pooled[1]
        for n in range(len(y)):
            for number, terms in enumerate(seen(stage.pool, stage.sums)):
                for c in range(stage.outputs):
                    places = [
                        (at, place)
                        for at, place in enumerate(terms[c :: stage.outputs])
                        if place is not None
                    ]
                    best = max(y[n][place] for _, place in places)
                    at, place = next((at, place) for at, place in places if y[n][place] == best)
                    y_, x_ = divmod(number, columns)
                    pooled[n, y_, x_, c], origin[n, y_, x_, c] = best, (n, *place)
                    first[n, (y_, x_), c] = at
        return pooled, origin, first

    def x_fl(self, layer):
        """Fraction bits of a layer's inputs."""
        formats = self.recipe.formats
        return (0 if self.sign else formats.activation_fl) if layer > 1 else formats.input_fl

    def fraction(self, layer):
        """Fraction bits of a layer's sums."""
        return self.x_fl(layer) + self.d + self.scale(self.stages[layer - 1])

    def ones(self, layer):
        """Fraction bits of the ones that a layer's biases meet."""
        return min(max(self.fraction(layer) - 12, 0), 14)

    def pixels(self, images, pixel_max):
        fl = self.recipe.formats.input_fl
        return each(
            lambda p: within(fl)(Fraction(round(Fraction(int(p), pixel_max) * 2**fl)) / 2**fl),
            images,
        )

    def operands(self, layer, training=True):
        """Weights and biases of a layer as they are multiplied."""
        recipe, stage, u = self.recipe, self.stages[layer - 1], self.u[layer - 1]
        fine = recipe.formats.fine_fl
        if recipe.update == "bc":
            drawn = training and recipe.binarize == "stochastic"
            buffer, u = u, self.drawn_sign(u) if drawn else self.on_grid(u)
            self.notes.note(
                "GridWeight",
                layer,
                None,
                {"buffer": fine, "code": self.d},
                buffer=by_place(buffer),
                code=by_place(u),
            )
        fl, b = self.fraction(layer) - self.ones(layer), self.b[layer - 1]
        bias = each(lambda x: within(fl)(Fraction(round(x * 2**fl), 2**fl)), b)
        self.notes.note(
            "Convert", layer, None, {"z": fine, "out": fl}, z=by_place([b]), out=by_place([bias])
        )
        return u / Fraction(2 ** self.scale(stage)), bias

    def forward(self, x, name, operands, array=None, training=True):
        """For each layer what its windows saw, its sums as words, where they saturated, and what
        the pooling made of them.
        """
        formats, ways = self.recipe.formats, []
        for layer, stage in enumerate(self.stages, 1):
            if len(operands) < layer:
                operands.append(self.operands(layer, training))
            weights, bias = operands[layer - 1]
            rows = np.array(
                [
                    [Fraction(0) if place is None else image[place] for place in terms]
                    for image in x
                    for terms in seen(stage.window, stage.image)
                ],
                object,
            )
            z = (rows @ weights + bias).reshape(len(x), *stage.sums)
            fl, fraction, words = formats.activation_fl, self.fraction(layer), None
            if self.stochastic:
                words = (array or self.array).forward_product(self.recipe.rows, len(x), stage)
            y, cut = self.word(z, words, fraction - fl, fl)
            one = np.full((len(rows), 1), 2 ** self.ones(layer))
            a = np.hstack([rows * 2 ** self.x_fl(layer), one]).reshape(*z.shape[:3], -1)
            w_fl, bias_fl = fraction - self.x_fl(layer), fraction - self.ones(layer)
            self.notes.note(
                "forward Product",
                layer,
                name,
                {"a": 0, "b": 0, "z": fraction, "out": fl, "unclipped": 0},
                a=placed(a),
                b=by_place([*(weights * 2**w_fl), bias * 2**bias_fl]),
                z=placed(z),
                out=placed(y),
                unclipped=placed(~cut.astype(bool)),
            )
            pooled, origin = y, None
            if stage.pool is not None:
                pooled, origin, first = self.pool(stage, y)
                self.notes.note(
                    "Pool",
                    layer,
                    name,
                    {"values": fl, "pooled": fl, "first": 0},
                    values=placed(y),
                    pooled=placed(pooled),
                    first=first,
                )
            ways.append((rows, y, cut, pooled, origin))
            if layer < len(self.stages):
                if self.sign:
                    x = each(lambda v: 1 if v >= 0 else -1, pooled)
                else:
                    x = each(lambda v: max(v, 0), pooled)
                self.notes.note(
                    "Sign" if self.sign else "Relu",
                    layer,
                    name,
                    {"values": fl, "out": self.x_fl(2), "active": 0},
                    values=placed(pooled),
                    out=placed(x),
                    active=placed(self.active(pooled)),
                )
        return ways

    def active(self, y):
        """Where errors come back through an activation."""
        return abs(y) <= 1 if self.sign else y > 0

    def masked(self, values, keep, layer, name, dense=False):
        fl, out = self.recipe.formats.error_fl, np.where(keep, values, Fraction(0))
        units = {"values": fl, "keep": 0, "out": fl}
        tensors = {"values": values, "keep": keep.astype(bool), "out": out}
        self.notes.note(
            "Mask", layer, name, units, dense, **{key: placed(x) for key, x in tensors.items()}
        )
        return out

    def output_error(self, y, labels, name):
        """Errors of the outputs as words, less those of sums that saturated."""
        fl, last, outputs = self.recipe.formats.error_fl, len(self.stages), y.shape[3]
        p = np.array([probabilities(list(row)) for row in y.reshape(len(y), -1)], object)
        p = p.reshape(y.shape)
        units = {"outputs": self.recipe.formats.activation_fl, "probability": 16}
        self.notes.note("Softmax", last, name, units, outputs=placed(y), probability=placed(p))
        e = p.copy()
        for n, label in enumerate(labels):
            e[n, 0, 0, label] -= 1
        units = {"outputs": 16, "label": 0, "difference": 16}
        self.notes.note(
            "OutputError",
            last,
            name,
            units,
            outputs=placed(p),
            difference=placed(e),
            label=placed(np.array(labels).reshape(-1, 1, 1, 1)),
        )
        words = None
        if self.stochastic:
            words = self.single.elementwise(range(len(y)), 1, outputs)
            words = {(n, (0, 0), j): word for (n, _, j), word in words.items()}
        delta, _ = self.word(e, words, 16 - fl, fl)
        self.notes.note("Convert", last, name, {"z": 16, "out": fl}, z=placed(e), out=placed(delta))
        return delta

    def back(self, layer, delta, weights, ways, name):
        """Errors of the sums of the layer before."""
        stage, fl = self.stages[layer - 1], self.recipe.formats.error_fl
        _, y, cut, pooled, origin = ways[layer - 2]
        met = delta.reshape(-1, stage.outputs) @ weights.T
        below = each(lambda _: 0, np.empty((len(delta), *stage.image), object))
        places = seen(stage.window, stage.image)
        for row, errors in enumerate(met):
            n, number = divmod(row, len(places))
            for place, error in zip(places[number], errors):
                if place is not None:
                    below[(n, *place)] += error
        words, w_fl = None, self.d + self.scale(stage)
        if self.stochastic:
            words = self.array.error_product(self.recipe.rows, len(delta), stage)
        raw, _ = self.word(below, words, w_fl, fl)
        note_errors(self.notes, stage, layer, name, w_fl, fl, placed(below), placed(raw))
        below = self.masked(raw, self.active(pooled), layer - 1, name, stage.dense)
        if origin is not None:
            spread = each(lambda _: 0, y)
            for where, place in origin.items():
                spread[place] += below[where]
            exact, spread = spread, each(within(fl), spread)
            self.beyond += int((spread != exact).sum())
            self.notes.note(
                "Unpool", layer - 1, name, fl, errors=placed(below), spread=placed(spread)
            )
            below = spread
        return self.masked(below, ~cut.astype(bool), layer - 1, name)

    def update(self, layer, of_weights, of_biases, epoch):
        recipe, formats, stage = self.recipe, self.recipe.formats, self.stages[layer - 1]
        fine, u, b = formats.fine_fl, self.u[layer - 1], self.b[layer - 1]
        g_fl, b_fl = formats.error_fl + self.x_fl(layer), formats.error_fl + self.ones(layer)
        codes = by_place([*(of_weights * 2**g_fl), of_biases * 2**b_fl])
        self.notes.note("gradient Product", layer, None, 0, z=codes, out=codes)
        step = self.fine(of_weights * self.rate(epoch, self.scale(stage)))
        self.notes.note(
            "FineStep",
            layer,
            None,
            {"gradient": g_fl, "out": fine},
            gradient=by_place(of_weights),
            out=by_place(step),
        )
        if recipe.update == "bc":
            moved = each(lambda x: min(max(x, -1), 1), u - step)
            self.notes.note(
                "FineUpdate",
                layer,
                None,
                fine,
                values=by_place(u),
                step=by_place(step),
                moved=by_place(moved),
            )
        else:
            rule = self.drawn_to_grid if recipe.update == "sr" else self.on_grid
            moved = rule(u - step)
            self.notes.note(
                "GridUpdate",
                layer,
                None,
                {"weight": self.d, "step": fine, "moved": self.d},
                weight=by_place(u),
                step=by_place(step),
                moved=by_place(moved),
            )
        self.u[layer - 1] = moved
        step = self.fine(of_biases * self.rate(epoch, 0))
        self.notes.note(
            "FineStep",
            layer,
            None,
            {"gradient": b_fl, "out": fine},
            gradient=by_place([of_biases]),
            out=by_place([step]),
        )
        self.b[layer - 1] = each(within(fine, 24), b - step)
        self.notes.note(
            "FineUpdate",
            layer,
            None,
            fine,
            values=by_place([b]),
            step=by_place([step]),
            moved=by_place([self.b[layer - 1]]),
        )

    def groups(self, batch):
        """The groups of a batch, with their names."""
        size = self.recipe.group or batch
        return [
            (at // size if size < batch else None, slice(at, at + size))
            for at in range(0, batch, size)
        ]

    def step(self, images, labels, epoch, pixel_max):
        """A step; the outputs, and how many sums saturated."""
        self.notes, operands, outputs, cuts = Notes(self.recipe.rows), [], [], 0
        count = len(self.stages)
        gradients = [[0, 0] for _ in range(count)]
        for name, part in self.groups(len(images)):
            ways = self.forward(self.pixels(images[part], pixel_max), name, operands)
            _, y, cut, _, _ = ways[-1]
            outputs += [list(row) for row in y.reshape(len(y), -1)]
            cuts += sum(int(way[2].sum()) for way in ways)
            delta = self.output_error(y, labels[part], name)
            delta = self.masked(delta, ~cut.astype(bool), count, name)
            for layer in range(count, 0, -1):
                rows = delta.reshape(-1, self.stages[layer - 1].outputs)
                gradient = gradients[layer - 1]
                gradient[0] = ways[layer - 1][0].T @ rows + gradient[0]
                gradient[1] = rows.sum(axis=0) + gradient[1]
                if layer > 1:
                    delta = self.back(layer, delta, operands[layer - 1][0], ways, name)
                if part.stop >= len(images):
                    self.update(layer, *gradient, epoch)
        return outputs, cuts


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
    "more columns than outputs": {"columns": 8, "rows": 4, "update": "sr", "grid": "3"},
    "one column": {"columns": 1, "rows": 1, "network": "2FC-3FC", "binarize": "stochastic"},
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
    "errors that meet beyond a word": {
        "network": "2C1-MP3s1p1",
        "formats": LiFormats(activation_fl=8, error_fl=15),
    },
    "conv, more columns than channels": {"network": "3C2s2-2C2p1-4FC", "columns": 7, "batch": 5},
    "error product of four phases": {"network": "3C2-4C3s2p1-5FC", "batch": 5},
    "error product of nine phases": {"network": "4C1-2C4s3p2", "update": "sr", "grid": "2"},
    "places that no window sees": {"network": "4C2-3C1s2-2FC", "batch": 4, "grid": "3"},
    "phases that no window sees": {"network": "4C1-5C2s3p1", "columns": 2},
    "conv of a single place": {"network": "3C3s2-2C3s4p2-4C3p1", "batch": 5, "rows": 3},
    "dense over a pooled image": {"network": "5C2-MP2s1-4FC", "binarize": "stochastic"},
    "dense over a wide image": {"network": "4C2-3FC", "columns": 6, "activation": "sign"},
    "groups": {"batch": 5, "group": 2, "network": "5FC-4FC", "update": "sr", "grid": "2"},
    "groups, drawn": {"batch": 8, "group": 4, "binarize": "stochastic"},
    "groups, nearest": {"batch": 7, "group": 4, "network": "2C2-MP2-3FC", "rounding": "nearest"},
    "groups, conv": {"batch": 7, "group": 4, "network": "4C2-MP2s1-3C2s2p1-5FC", "update": "sr"},
    "groups, pooled, drawn": {
        "batch": 5,
        "group": 2,
        "network": "4C3p1-MP2-4FC",
        "binarize": "stochastic",
    },
    "groups, bnn": {"batch": 5, "group": 2, **BNN},
    "group of the batch": {"group": 3, **CONV},
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


def shape_for(recipe):
    return (4, 5, 2) if "C" in recipe.network.replace("FC", "") else (2, 3, 1)


@pytest.mark.parametrize("name", VARIANTS)
def test_steps_agree_with_exact_fractions(name):
    recipe = LiRecipe(**settings(**VARIANTS[name]))
    shape = shape_for(recipe)
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
        outputs, found = real.step(images, labels.tolist(), trainer.epoch, 16)
        cut += found
        if record is not None:
            assert [entry.operation for entry in record] == plan(recipe, shape, 4)
            same_operations(record, real.notes)
            for entry in record:
                assert_consistent(entry, trainer)
                assert_fine(entry, recipe)
        classes = [row.index(max(row)) for row in outputs]
        assert score.wrong == sum(a != b for a, b in zip(classes, labels.tolist()))
        loss = -sum(
            math.log(max(probabilities(row)[label], Fraction(1, 2**16)))
            for row, label in zip(outputs, labels.tolist())
        )
        assert score.loss == pytest.approx(loss)
        fine = recipe.formats.fine_fl
        for layer in range(trainer.layers):
            fl = fine if recipe.update == "bc" else real.d
            assert (reals(trainer.weights[layer], fl) == real.u[layer]).all()
            assert (reals(trainer.biases[layer], fine) == real.b[layer]).all()
        for lanes, mine in ((real.array, trainer._array), (real.single, trainer._elementwise)):
            assert [lane.state for lane in lanes.lanes] == mine.states
    assert any((now != then).any() for now, then in zip(trainer.weights, first))
    assert (cut > 0) or "saturated" not in name
    assert (real.beyond > 0) or "beyond" not in name


@pytest.mark.parametrize(
    "name", ["bc, drawn", "nearest", "conv", "groups", "groups, pooled, drawn"]
)
def test_evaluations_agree_with_exact_fractions(name):
    """Whole batches, the last one filled with zero images, whose draws leap."""
    recipe = LiRecipe(**settings(**VARIANTS[name]))
    shape = shape_for(recipe)
    trainer = LiTrainer(recipe, shape=shape, classes=4, pixel_max=16)
    random = np.random.default_rng(2)
    images = random.integers(0, 17, (2 * recipe.batch + 1, *shape), np.uint8)
    labels = random.integers(0, 4, len(images))
    trainer.step(images[: recipe.batch], labels[: recipe.batch])
    real = RealLi(recipe, trainer)  # its lanes are at the seeds
    real.notes = Notes(recipe.rows)
    filled = np.concatenate([images, np.zeros((recipe.batch - 1, *shape), np.uint8)])
    operands, outputs = [], []
    for at in range(0, len(filled), recipe.batch):
        for group, part in real.groups(recipe.batch):
            x = real.pixels(filled[at : at + recipe.batch][part], 16)
            y = real.forward(x, group, operands, training=False)[-1][1]
            outputs += [list(row) for row in y.reshape(len(y), -1)]
    assert_evaluated(trainer, images, labels, outputs)


def assert_fine(entry, recipe):
    """What the operations on fine codes wrote follows from what they read."""
    operation, tensors = entry.operation, entry.tensors
    one, fine_one = 2**recipe.grid_fl, 2**recipe.formats.fine_fl

    def from_quantizer(out):
        return 2 * np.clip(out, 0, 1) - 1 if recipe.binary else np.clip(out, -one, one)

    match operation:
        case ops.GridWeight():
            buffer = tensors["buffer"]
            if recipe.binarize == "stochastic":
                draw = recipe.generator.draw
                chance = probability_code(buffer, recipe.formats.fine_fl, draw)
                assert np.array_equal(tensors["z"], 2**draw - chance)
                assert np.array_equal(tensors["code"], 1 - 2 * tensors["out"])
            else:
                assert np.array_equal(tensors["z"], buffer + fine_one * recipe.binary)
                assert np.array_equal(tensors["code"], from_quantizer(tensors["out"]))
            assert abs(tensors["code"]).max() <= one
        case ops.GridUpdate():
            fine = tensors["weight"] * (fine_one // one)
            z = fine - tensors["step"] + fine_one * recipe.binary
            assert np.array_equal(tensors["z"], z)
            assert np.array_equal(tensors["moved"], from_quantizer(tensors["out"]))
        case ops.FineStep():
            assert np.array_equal(tensors["z"], tensors["gradient"] * entry.scalars["number"])
        case ops.FineUpdate():
            moved = tensors["values"] - tensors["step"]
            assert np.array_equal(tensors["moved"], np.clip(moved, operation.low, operation.high))


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


def tensor_of(record, kind, layer, name):
    """A tensor of the only operation of a kind in a layer."""
    (entry,) = (
        entry for entry in record if (kind_of(entry), entry.operation.layer) == (kind, layer)
    )
    return entry.tensors[name]


def updated(trainer, weights, steps):
    """Weights of the last layer after an update by so much, reals on the grid's own scale."""
    recipe, formats = trainer.recipe, trainer._formats[-1]
    point = recipe.formats.error_fl + formats.input_fraction
    rate, conversion = recipe.step(0, point, formats.scale)
    assert rate & (rate - 1) == 0  # a power of two: sums can be made for every step
    trainer.weights[-1] = np.array(weights, np.float64).reshape(trainer.weights[-1].shape)
    sums = np.array(steps).reshape(trainer.weights[-1].shape) * 2.0**conversion.fraction / rate
    trainer._take_step(trainer.layers - 1, sums, np.zeros(sums.shape[1]), None)
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
    b = tensor_of(record, "forward Product", 1, "b")
    assert b[:-1].tolist() == [[1, 1, -1, 1, 1]] * 6


def test_sign_of_zero_is_plus_one():
    """Blank images and biases of 0 leave every sum of the first layer at 0."""
    trainer, images, labels = trainer_and_batch(activation="sign")
    record = []
    trainer.step(np.zeros_like(images), labels, record)
    a = tensor_of(record, "forward Product", 2, "a")
    assert (a[:, :-1] == 1).all()
    # |y| <= 1 there, so the error comes back, to the biases alone.
    gradient = tensor_of(record, "gradient Product", 1, "out")
    assert not gradient[:-1].any() and gradient[-1].any()


@pytest.mark.parametrize(("bias", "passes"), [(1.0, True), (-1.0, True), (1.25, False)])
def test_the_error_of_a_sign_passes_up_to_one(bias, passes):
    trainer, images, labels = trainer_and_batch(activation="sign", grid="0")
    trainer.biases[0][:] = bias * 2**20
    record = []
    trainer.step(np.zeros_like(images), labels, record)
    gradient = tensor_of(record, "gradient Product", 1, "out")
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
    lanes = LoopLanes(trainer.recipe.generator, 3, 3)
    fine = [weight.astype(np.int64) for weight in trainer.weights]
    record = []
    trainer.step(images, labels, record)
    kinds = [(kind_of(entry), entry.operation.layer) for entry in record]
    for layer, u in enumerate(fine, 1):
        entry = record[kinds.index(("forward Product", layer))]
        assert kinds.index(("GridWeight", layer)) < kinds.index(("forward Product", layer))
        words = np.empty(u.shape, int)
        for place, word in lanes.update(*u.shape).items():
            words[place] = word
        wanted = np.where(words < probability_code(u, 20, 16), 1, -1)
        assert np.array_equal(entry.tensors["b"][:-1], wanted)


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


def steps(layer, rule, draws):
    """The update of a layer."""
    return [
        *((kind, layer, False) for kind in ("gradient Product", "FineStep")),
        (rule, layer, draws),
        *((kind, layer, False) for kind in ("FineStep", "FineUpdate")),
    ]


BIASES = [("Convert", 1, False), ("Convert", 2, False)]
BUFFERS = [("GridWeight", 1, False), ("GridWeight", 2, False)]
FORWARD = [("forward Product", 1, True), ("Relu", 1, False)]
LOSS = [
    ("forward Product", 2, True),
    *(("Softmax", 2, False), ("OutputError", 2, False), ("Convert", 2, True), ("Mask", 2, False)),
    *(("error Product", 2, True), ("Mask", 1, False), ("Mask", 1, False)),
]
DRAWN = [("GridWeight", 1, True), ("GridWeight", 2, True)]
NEAREST = [*BUFFERS[:1], *BIASES[:1], *FORWARD, *BUFFERS[1:], *BIASES[1:], *LOSS]


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, [*NEAREST, *steps(2, "FineUpdate", False), *steps(1, "FineUpdate", False)]),
        (
            {"rounding": "nearest"},
            [
                *((kind, layer, False) for kind, layer, _ in NEAREST),
                *steps(2, "FineUpdate", False),
                *steps(1, "FineUpdate", False),
            ],
        ),
        (
            {"binarize": "stochastic"},
            [
                *(DRAWN[0], BIASES[0], *FORWARD, DRAWN[1], BIASES[1], *LOSS),
                *steps(2, "FineUpdate", False),
                *steps(1, "FineUpdate", False),
            ],
        ),
        (
            {"update": "sr", "grid": "3"},
            [
                *(BIASES[0], *FORWARD, BIASES[1], *LOSS),
                *steps(2, "GridUpdate", True),
                *steps(1, "GridUpdate", True),
            ],
        ),
        (
            {"update": "r", "activation": "sign"},
            [
                *(BIASES[0], FORWARD[0], ("Sign", 1, False), BIASES[1], *LOSS),
                *steps(2, "GridUpdate", False),
                *steps(1, "GridUpdate", False),
            ],
        ),
        (
            {"binarize": "stochastic", "batch": 5, "group": 2},
            [
                *(DRAWN[0], BIASES[0], *FORWARD, DRAWN[1], BIASES[1], *LOSS),
                *[*FORWARD, *LOSS] * 2,
                *steps(2, "FineUpdate", False),
                *steps(1, "FineUpdate", False),
            ],
        ),
        (
            {"network": "3C2-MP2s1-2C1s2", "update": "sr"},
            [
                *(BIASES[0], FORWARD[0], ("Pool", 1, False), FORWARD[1]),
                *(BIASES[1], ("forward Product", 2, True), ("Relu", 2, False)),
                *(("Convert", 3, False), ("forward Product", 3, True)),
                *(("Softmax", 3, False), ("OutputError", 3, False), ("Convert", 3, True)),
                *(("Mask", 3, False), ("error Product", 3, True)),
                *(("Mask", 2, False), ("Mask", 2, False)),
                *steps(3, "GridUpdate", True),
                *[("error Product", 2, True)] * 4,
                *(("Mask", 1, False), ("Unpool", 1, False), ("Mask", 1, False)),
                *steps(2, "GridUpdate", True),
                *steps(1, "GridUpdate", True),
            ],
        ),
    ],
    ids=["bc", "nearest", "drawn", "sr", "r with signs", "groups, drawn", "convolutions"],
)
def test_a_record_lists_the_operations_in_order(changes, wanted):
    shape = (4, 5, 1)
    trainer, images, labels = trainer_and_batch(shape, **changes)
    record = []
    trainer.step(images, labels, record)
    found = [(kind_of(entry), entry.operation.layer, entry.operation.draws) for entry in record]
    assert found == wanted
    assert [entry.operation for entry in record] == plan(trainer.recipe, shape, 4)
    assert_passed_on(record)
    for entry in record:
        if isinstance(entry.operation, ops.Product):
            assert abs(entry.tensors["a"]).max(initial=0) < 1 << 16
            assert abs(entry.tensors["b"]).max(initial=0) < 1 << 16


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"binarize": "stochastic"},
        {"update": "sr", "grid": "3", "rounding": "nearest"},
        {"update": "r", "grid": "3", "network": "3C2-MP2s1-2C1"},
        {"activation": "sign", "network": "5FC-5FC"},
        {"update": "sr", "grid": "3", "network": "3C2-2C2s2p1", "columns": 4},
        {"network": "3C1-4C1s3", "batch": 4},
        {"binarize": "stochastic", "network": "3C2-MP2s1-5FC", "group": 2, "batch": 5},
        {"update": "sr", "network": "4C2-2C3s2p1-3FC", "rows": 1, "group": 3, "batch": 4},
    ],
    ids=str,
)
def test_a_step_can_be_redone_from_where_its_lanes_stood(changes):
    trainer, images, labels = trainer_and_batch((3, 4, 1), **changes)
    trainer.step(images, labels)
    before, record = trainer.draws, []
    trainer.step(images, labels, record)
    assert trainer.step_start == before
    assert_redone(trainer, before, record)
    for entry in record:
        assert_consistent(entry, trainer)
        assert_fine(entry, trainer.recipe)
    leaps = {"array": 0, "elementwise": 0}
    for entry in record:
        of_array = isinstance(entry.operation, ops.Product)
        leaps["array" if of_array else "elementwise"] += entry.operation.leaps
    assert trainer.draws.array - before.array == leaps["array"]
    assert trainer.draws.elementwise - before.elementwise == leaps["elementwise"]


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
    record, operation = [], trainer.planner.weight_step(0)
    found = trainer._fine_step(operation, sums[None], 4095, conversion, record)
    wanted = [round(Fraction(4095 * int(g), 2**40)) for g in sums]
    assert found.tolist() == [wanted]
    assert record[0].tensors["z"].tolist() == [[4095 * int(g) for g in sums]]
    assert record[0].tensors["out"].tolist() == [wanted]
    assert record[0].scalars == {"fraction": 60, "number": 4095}
    assert record[0].operation is operation
