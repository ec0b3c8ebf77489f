"""Fixed-point training against the same step in exact fractions."""

import json
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
    corners,
    in_rows,
    kind_of,
    note_errors,
    probabilities,
    same_operations,
    taps,
    uniform,
)

from golden import threads
from golden.datasets import digits
from golden.fixed import Conversion, Fixed, saturate
from golden.lfsr import Generator, dither
from golden.softmax.integers import LOG2_E, TABLE, exponentials, softmax
from golden.training import plan
from golden.training.step.ops import FixedPointUpdate, Product
from golden.training.systems.gupta.recipe import (
    Formats,
    GuptaRecipe,
    SaturationGradient,
    UpdateFactors,
)
from golden.training.systems.gupta.trainer import GuptaTrainer
from golden.training.systems.gupta.update import SLAB, Gradient, exact_sum, largest_sum, update
from golden.training.systems.registry import new_trainer
from golden.training.toml import load

# Tensors are dictionaries {(sample, (y, x), channel): value} here, weights {(row, column): value};
# samples count from 0 in each group.


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
        out, saturated = {}, {}
        for place, value in z.items():
            if draws is not None:
                y = math.floor(value / self.ulp + draws[place]) * self.ulp
            else:
                y = math.ceil(value / self.ulp - Fraction(1, 2)) * self.ulp  # ties go down
            out[place] = self.clip(y)
            saturated[place] = out[place] != y
        return out, saturated


class RealGupta:
    """A step in reals; every value is a Fraction and no integer code appears."""

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
        self.array = LoopLanes(recipe.generator, 0, recipe.columns)
        self.elementwise = LoopLanes(recipe.generator, recipe.columns, recipe.columns)
        self.stochastic = recipe.rounding == "stochastic"
        self.zero = recipe.saturation_gradient == "zero"

    def draws(self, words, s):
        return {place: uniform(self.recipe.generator, word, s) for place, word in words.items()}

    def groups(self, batch):
        """First samples of the groups, with their names."""
        size = self.recipe.group or batch
        return [
            (at // size if size < batch else None, slice(at, at + size))
            for at in range(0, batch, size)
        ]

    def pixels(self, images, pixel_max):
        return {
            (n, (y, x), c): self.input.clip(
                round(Fraction(int(image[y, x, c]), pixel_max) / self.input.ulp) * self.input.ulp
            )
            for n, image in enumerate(images)
            for y, x, c in np.ndindex(image.shape)
        }

    def seen(self, stage, tensor):
        """What the stage's window sees at each place of each sample: terms by (ky, kx, channel)."""
        return {
            (n, place): [
                tensor.get((n, (top + y, left + x), c), Fraction(0))
                for y, x in taps(stage.window)
                for c in range(stage.image[2])
            ]
            for n in sorted({n for n, _, _ in tensor})
            for place, (top, left) in corners(stage.window, stage.image).items()
        }

    def pool(self, stage, tensor):
        """Largest value of each place, which it was, and which of its window."""
        out, taken, first = {}, {}, {}
        samples = {n for n, _, _ in tensor}
        for place, (top, left) in corners(stage.pool, stage.sums).items():
            for n in samples:
                for c in range(stage.outputs):
                    window = [
                        (number, (n, (top + y, left + x), c))
                        for number, (y, x) in enumerate(taps(stage.pool))
                        if (n, (top + y, left + x), c) in tensor
                    ]
                    best = max(tensor[which] for _, which in window)
                    found = next((i, which) for i, which in window if tensor[which] == best)
                    out[n, place, c] = best
                    first[n, place, c], taken[n, place, c] = found
        return out, taken, first

    def forward(self, x, name=None, array=None, notes=None):
        """Each layer's sums as words, where they saturated, what its windows saw, what its pooling
        took, and what came out of that.
        """
        notes = Notes(self.recipe.rows) if notes is None else notes
        array, ways, fl = array or self.array, [], self.input.fl
        samples = len({n for n, _, _ in x})
        for layer, stage in enumerate(self.stages, 1):
            weight, bias = self.weights[layer - 1], self.biases[layer - 1]
            columns = [list(column) for column in zip(*weight)]
            seen = self.seen(stage, x)
            z = {
                (*at, c): sum(a * w for a, w in zip(row, columns[c]) if a and w) + bias[c]
                for at, row in seen.items()
                for c in range(stage.outputs)
            }
            draws, s = None, fl + self.words.fl - self.activation.fl
            if self.stochastic:
                draws = self.draws(array.forward_product(self.recipe.rows, samples, stage), s)
            y, cut = self.activation.convert(z, draws)
            a = {(*at, i): value for at, row in seen.items() for i, value in enumerate([*row, 1])}
            notes.note(
                "forward Product",
                layer,
                name,
                {"a": fl, "b": self.words.fl, "z": fl + self.words.fl, "unclipped": 0}
                | {"out": self.activation.fl},
                a=a,
                b=by_place([*weight, bias]),
                z=z,
                out=y,
                unclipped={place: not outside for place, outside in cut.items()},
            )
            pooled, taken = y, {place: place for place in y}
            if stage.pool is not None:
                pooled, taken, first = self.pool(stage, y)
                notes.note(
                    "Pool",
                    layer,
                    name,
                    {"values": self.activation.fl, "first": 0, "pooled": self.activation.fl},
                    values=y,
                    pooled=pooled,
                    first=first,
                )
            ways.append((seen, y, cut, taken, pooled))
            if layer < len(self.stages):
                x = {place: max(value, Fraction(0)) for place, value in pooled.items()}
                active = {place: value > 0 for place, value in pooled.items()}
                units = {"values": self.activation.fl, "out": self.activation.fl, "active": 0}
                notes.note("Relu", layer, name, units, values=pooled, out=x, active=active)
            fl = self.activation.fl
        return ways

    def stopped(self, delta, cut, layer, name):
        """Errors less those of sums that saturated."""
        if not self.zero:
            return delta
        keep = {place: not outside for place, outside in cut.items()}
        out = {place: value if keep[place] else Fraction(0) for place, value in delta.items()}
        units = {"values": self.words.fl, "out": self.words.fl, "keep": 0}
        self.notes.note("Mask", layer, name, units, values=delta, keep=keep, out=out)
        return out

    def output_error(self, y, labels, name):
        samples, outputs = len(labels), self.stages[-1].outputs
        at, last = (0, 0), len(self.stages)
        p = {
            (n, at, j): q
            for n in range(samples)
            for j, q in enumerate(probabilities([y[n, at, j] for j in range(outputs)]))
        }
        units = {"outputs": self.activation.fl, "probability": 16}
        self.notes.note("Softmax", last, name, units, outputs=y, probability=p)
        e = {(n, at, j): q - (j == labels[n]) for (n, at, j), q in p.items()}
        label = {(n, at, 0): label for n, label in enumerate(labels)}
        units = {"outputs": 16, "label": 0, "difference": 16}
        self.notes.note("OutputError", last, name, units, outputs=p, label=label, difference=e)
        draws = None
        if self.stochastic:
            words = self.elementwise.elementwise(range(samples), 1, outputs)
            words = {(n, at, j): word for (n, _, j), word in words.items()}
            draws = self.draws(words, 16 - self.words.fl)
        delta, _ = self.words.convert(e, draws)
        self.notes.note("Convert", last, name, {"z": 16, "out": self.words.fl}, z=e, out=delta)
        return delta

    def errors_below(self, layer, delta, name):
        """Errors of a stage's inputs, as words: every weight goes back to where it was met."""
        stage, weight = self.stages[layer - 1], self.weights[layer - 1]
        height, width, channels = stage.image
        samples = len({n for n, _, _ in delta})
        z = {
            (n, (y, x), c): Fraction(0)
            for n in range(samples)
            for y in range(height)
            for x in range(width)
            for c in range(channels)
        }
        met = corners(stage.window, stage.image)
        for (n, place, output), value in delta.items():
            if not value:
                continue
            rows = iter(weight)
            for ky, kx in taps(stage.window):
                at = met[place][0] + ky, met[place][1] + kx
                for c in range(channels):
                    factor = next(rows)[output]
                    if (n, at, c) in z:
                        z[n, at, c] += value * factor
        draws = None
        if self.stochastic:
            words = self.array.error_product(self.recipe.rows, samples, stage)
            draws = self.draws(words, self.words.fl)
        out, _ = self.words.convert(z, draws)
        note_errors(self.notes, stage, layer, name, self.words.fl, self.words.fl, z, out)
        return out

    def back(self, layer, delta, ways, name):
        """Errors of the sums of the layer before."""
        raw, (_, y, cut, taken, pooled) = self.errors_below(layer, delta, name), ways[layer - 2]
        stage, under, fl = self.stages[layer - 1], self.stages[layer - 2], self.words.fl
        keep = {place: pooled[place] > 0 for place in raw}
        below = {place: value if keep[place] else Fraction(0) for place, value in raw.items()}
        units = {"values": fl, "keep": 0, "out": fl}
        self.notes.note(
            "Mask", layer - 1, name, units, stage.dense, values=raw, keep=keep, out=below
        )
        if under.pool is not None:
            spread = {place: Fraction(0) for place in y}
            for place, value in below.items():
                spread[taken[place]] += value
            spread = {place: self.words.clip(value) for place, value in spread.items()}
            self.notes.note("Unpool", layer - 1, name, fl, errors=below, spread=spread)
            below = spread
        return self.stopped(below, cut, layer - 1, name)

    def gradient(self, layer, seen, errors):
        """Exact sums of a layer, biases last."""
        stage, x_fl = self.stages[layer - 1], (self.activation if layer > 1 else self.input).fl
        g = {(i, j): Fraction(0) for i in range(stage.inputs + 1) for j in range(stage.outputs)}
        for part, delta in zip(seen, errors):
            for (n, place, j), value in delta.items():
                if value:
                    for i, x in enumerate([*part[n, place], 1]):
                        if x:
                            g[i, j] += x * value
        fl = x_fl + self.words.fl
        self.notes.note("gradient Product", layer, None, fl, z=g, out=g)
        return g

    def update(self, layer, g, epoch):
        recipe, words = self.recipe, self.words
        rate = Fraction(str(recipe.learning_rate))
        rate = whole_rate(rate * Fraction(str(recipe.learning_rate_factor)) ** epoch)
        mean, mu, decay = (
            whole_rate(value)
            for value in (Fraction(1, recipe.batch), recipe.momentum, recipe.decay)
        )
        # One point for all terms: the sums' two formats, and 16 bits of each of two factors.
        s = 32 + (self.activation if layer > 1 else self.input).fl
        w = by_place([*self.weights[layer - 1], self.biases[layer - 1]])
        v = by_place([*self.v[layer - 1], self.v_bias[layer - 1]])
        height = len(self.weights[layer - 1])
        z = {
            (i, j): mu * v[i, j] - rate * (mean * g[i, j] + (decay * w[i, j] if i < height else 0))
            for i, j in w
        }
        draws = None
        if self.stochastic:
            draws = self.draws(self.elementwise.update(height + 1, len(self.biases[layer - 1])), s)
        out, _ = words.convert(z, draws)
        moved = {place: words.clip(w[place] + step) for place, step in out.items()}
        last = {"last": v} if mu else {}
        self.notes.note(
            "FixedPointUpdate", layer, None, words.fl, weight=w, out=out, moved=moved, **last
        )
        *self.v[layer - 1], self.v_bias[layer - 1] = in_rows(out)
        *self.weights[layer - 1], self.biases[layer - 1] = in_rows(moved)
        return z

    def step(self, images, labels, epoch, pixel_max):
        """A step; the outputs of every layer and where they saturated, by groups."""
        self.notes, self.sums = Notes(self.recipe.rows), {}
        groups = self.groups(len(images))
        seen, errors = ({layer: [] for layer in range(1, len(self.stages) + 1)} for _ in range(2))
        found = []
        for name, part in groups:
            x = self.pixels(images[part], pixel_max)
            ways = self.forward(x, name, notes=self.notes)
            found.append(ways)
            delta = self.output_error(ways[-1][1], labels[part], name)
            delta = self.stopped(delta, ways[-1][2], len(self.stages), name)
            for layer in range(len(self.stages), 0, -1):
                seen[layer].append(ways[layer - 1][0])
                errors[layer].append(delta)
                if layer > 1:
                    delta = self.back(layer, delta, ways, name)
                if part.stop >= len(images):
                    g = self.gradient(layer, seen[layer], errors[layer])
                    self.sums[layer] = self.update(layer, g, epoch)
        return found


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
    "more columns than outputs": {"columns": 8, "rows": 4},
    "one column": {"columns": 1, "rows": 1, "network": "2FC-3FC"},
    "conv": {"network": "3C2"},
    "conv, nearest": {"network": "3C2-4FC", "rounding": "nearest"},
    "conv of stride and padding": {"network": "2C3s2p1-3C2p1-4FC", **APART},
    "conv, more columns than channels": {"network": "3C2s2-2C2p1-4FC", "columns": 7, "batch": 5},
    "error product of four phases": {"network": "3C2-4C3s2p1-5FC", "batch": 5},
    "error product of nine phases": {"network": "4C1-2C4s3p2", "columns": 2},
    "places that no window sees": {"network": "4C2-3C1s2-2FC", "batch": 4, **APART},
    "phases that no window sees": {"network": "4C1-5C2s3p1", "learning_rate": 2},
    "conv of a single place": {"network": "3C3s2-2C3s4p2-4C3p1", "batch": 5, "rows": 3},
    "pooled": {"network": "3C2-MP2-2C1", **APART, **SGD},
    "dense over a pooled image": {"network": "5C2-MP2s1-4FC", "batch": 5, "learning_rate": 1},
    "dense over a wide image": {"network": "4C2-3FC", "columns": 6, "momentum": "1/4"},
    "overlapping pools": {"network": "2C2-MP2s1-3C2x1-MP2s1p1-3FC", **SGD},
    "pooled and passed": {"network": "4C2-MP3s2p1", "saturation_gradient": "pass", "deviation": 2},
    "conv, saturated": {
        "network": "4C3p1-MP3s1p1-3C2",
        "deviation": 3,
        "learning_rate": 16,
        **APART,
    },
    "groups": {"batch": 5, "group": 2, "network": "5FC-4FC"},
    "groups, the last one whole": {"batch": 8, "group": 4, "momentum": "0.5"},
    "groups, nearest": {"batch": 7, "group": 4, "network": "2C2-MP2-3FC", "rounding": "nearest"},
    "groups, conv": {"batch": 7, "group": 4, "network": "4C2-MP2s1-3C2s2p1-5FC", **SGD},
    "groups, pooled": {"batch": 5, "group": 2, "network": "4C3p1-MP2-4FC", **APART},
    "groups, saturated": {
        "batch": 5,
        "group": 4,
        "network": "4C3s2-MP2s1p1-6FC",
        "deviation": 3,
        "learning_rate": 4,
    },
    "group of the batch": {"batch": 3, "group": 3, "network": "3C2-4FC"},
}


def gupta(**changes):
    settings = {
        "network": "5FC",
        "batch": 3,
        "epochs": 3,
        "rows": 2,
        "columns": 3,
        "deviation": "0.6",
        "seed": 4,
    }
    recipe = GuptaRecipe(**(settings | changes))
    shape = (4, 5, 2) if "C" in recipe.network.replace("FC", "") else (2, 3, 1)
    return GuptaTrainer(recipe, shape=shape, classes=4, pixel_max=16), shape


@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "plain"])
@pytest.mark.parametrize("name", VARIANTS)
def test_steps_agree_with_exact_fractions(name, recorded):
    trainer, shape = gupta(**VARIANTS[name])
    recipe = trainer.recipe
    real = RealGupta(recipe, trainer)
    random = np.random.default_rng(1)
    cut, words = 0, real.words
    for trainer.epoch in range(3):
        images = random.integers(0, 17, (recipe.batch, *shape), np.uint8)
        labels = random.integers(0, 4, recipe.batch)
        record = [] if recorded else None
        score = trainer.step(images, labels, record)
        groups = real.step(images, labels.tolist(), trainer.epoch, 16)
        cut += sum(sum(way[2].values()) for ways in groups for way in ways)
        if recorded:
            assert [entry.operation for entry in record] == plan(recipe, shape, 4)
            same_operations(record, real.notes)
            for entry in record:
                assert_consistent(entry, trainer)
            for entry in record:
                if isinstance(entry.operation, FixedPointUpdate):
                    sums, limit = real.sums[entry.operation.layer], 2**61
                    for (i, j), z in sums.items():
                        code = z * 2 ** entry.scalars["fraction"]
                        assert min(max(code, -limit), limit - 1) == entry.tensors["z"][i, j]
        outputs = [
            [ways[-1][1][n, (0, 0), j] for j in range(4)]
            for ways in groups
            for n in range(len(ways[-1][1]) // 4)
        ]
        classes = [row.index(max(row)) for row in outputs]
        assert score.wrong == sum(a != b for a, b in zip(classes, labels.tolist()))
        loss = -sum(
            math.log(max(probabilities(row)[label], Fraction(1, 2**16)))
            for row, label in zip(outputs, labels.tolist())
        )
        assert score.loss == pytest.approx(loss)
        for layer in range(trainer.layers):
            if recipe.momentum:
                assert words.real(trainer.weight_updates[layer]) == real.v[layer]
                assert words.real(trainer.bias_updates[layer][None])[0] == real.v_bias[layer]
            assert words.real(trainer.weights[layer]) == real.weights[layer]
            assert words.real(trainer.biases[layer][None])[0] == real.biases[layer]
        for lanes, mine in ((real.array, trainer._array), (real.elementwise, trainer._elementwise)):
            assert [lane.state for lane in lanes.lanes] == mine.states
    assert (cut > 0) or not ("saturated" in name or "passed" in name)


@pytest.mark.parametrize(
    "name", ["paper", "nearest", "conv", "groups", "groups, pooled", "error product of four phases"]
)
def test_evaluations_agree_with_exact_fractions(name):
    """Whole batches, the last one filled with zero images, whose draws leap."""
    trainer, shape = gupta(**VARIANTS[name])
    recipe = trainer.recipe
    random = np.random.default_rng(2)
    images = random.integers(0, 17, (2 * recipe.batch + 1, *shape), np.uint8)
    labels = random.integers(0, 4, len(images))
    trainer.step(images[: recipe.batch], labels[: recipe.batch])
    real = RealGupta(recipe, trainer)  # its lanes are at the seeds
    filled = np.concatenate([images, np.zeros((recipe.batch - 1, *shape), np.uint8)])
    outputs = []
    for at in range(0, len(filled), recipe.batch):
        for group, part in real.groups(recipe.batch):
            x = real.pixels(filled[at : at + recipe.batch][part], 16)
            y = real.forward(x, group)[-1][1]
            outputs += [[y[n, (0, 0), j] for j in range(4)] for n in range(len(y) // 4)]
    assert_evaluated(trainer, images, labels, outputs)


def test_saturated_means_out_of_range():
    """A sum that comes out at a limit by itself is not saturated, one ulp further it is."""
    recipe = GuptaRecipe(rounding="nearest", formats=Formats(fl=0), network="", batch=1)
    trainer = GuptaTrainer(recipe, shape=(1, 1, 1), classes=5, pixel_max=1)
    trainer.weights[0][:] = [[32766, 32767, 32767, -32768, -32768]]
    trainer.biases[0][:] = [0, 0, 1, 0, -1]
    trainer.watching = True
    record = []
    trainer.step(np.ones((1, 1, 1), np.uint8), np.array([0]), record)
    assert record[0].tensors["out"].tolist() == [[32766, 32767, 32767, -32768, -32768]]
    assert record[0].tensors["unclipped"].tolist() == [[1, 1, 0, 1, 0]]
    # Those out of range have no error. The probabilities of the others are 0, a half and 0, less
    # the target; 2^-16 is half a step of the bias.
    assert trainer.saturated == [0.4]
    (gradient,) = (entry for entry in record if kind_of(entry) == "gradient Product")
    assert gradient.tensors["out"][-1].tolist() == [-1, 0, 0, 0, 0]


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
    batch = recipe.batch
    return trainer, random.integers(0, 17, (batch, *shape), np.uint8), random.integers(0, 4, batch)


FORWARD = [("forward Product", 1, True), ("Relu", 1, False), ("forward Product", 2, True)]
LOSS = [("Softmax", 2, False), ("OutputError", 2, False), ("Convert", 2, True), ("Mask", 2, False)]
ERROR = [("error Product", 2, True), ("Mask", 1, False), ("Mask", 1, False)]
UPDATES = [
    ("gradient Product", 2, False),
    ("FixedPointUpdate", 2, True),
    ("gradient Product", 1, False),
    ("FixedPointUpdate", 1, True),
]
CONVOLUTIONS = [
    *(("forward Product", 1, True), ("Pool", 1, False), ("Relu", 1, False)),
    *(("forward Product", 2, True), ("Relu", 2, False), ("forward Product", 3, True)),
    *(("Softmax", 3, False), ("OutputError", 3, False), ("Convert", 3, True), ("Mask", 3, False)),
    *(("error Product", 3, True), ("Mask", 2, False), ("Mask", 2, False)),
    *(("gradient Product", 3, False), ("FixedPointUpdate", 3, True)),
    *[("error Product", 2, True)] * 4,
    *(("Mask", 1, False), ("Unpool", 1, False), ("Mask", 1, False)),
    *(("gradient Product", 2, False), ("FixedPointUpdate", 2, True)),
    *(("gradient Product", 1, False), ("FixedPointUpdate", 1, True)),
]


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, [*FORWARD, *LOSS, *ERROR, *UPDATES]),
        (
            {"saturation_gradient": "pass"},
            [*FORWARD, *LOSS[:-1], *ERROR[:-1], *UPDATES],
        ),
        (
            {"rows": 2, "group": 2, "batch": 6},
            [*[*FORWARD, *LOSS, *ERROR] * 2, *FORWARD, *LOSS, *ERROR, *UPDATES],
        ),
        ({"network": "3C2-MP2s1-2C1s2"}, CONVOLUTIONS),
        (
            {"network": "3C2-MP2s1-2C1s2", "rounding": "nearest"},
            [(kind, layer, False) for kind, layer, _ in CONVOLUTIONS],
        ),
        (
            {"network": "", "momentum": "1/2"},
            [
                ("forward Product", 1, True),
                *((kind, 1, draws) for kind, _, draws in LOSS),
                *UPDATES[2:],
            ],
        ),
    ],
    ids=["plain", "passed", "groups", "convolutions", "nearest", "one layer"],
)
def test_a_record_lists_the_operations_in_order(changes, wanted):
    shape = (4, 5, 1)
    trainer, images, labels = trainer_and_batch(shape, **changes)
    record = []
    trainer.step(images, labels, record)
    found = [(kind_of(entry), entry.operation.layer, entry.operation.draws) for entry in record]
    assert found == wanted
    assert [entry.operation for entry in record] == plan(trainer.recipe, shape, 4)
    products = [entry for entry in record if isinstance(entry.operation, Product)]
    raw = [entry for entry in products if entry.operation.conversion is None]
    assert [kind_of(entry) for entry in raw] == ["gradient Product"] * trainer.layers
    assert [entry.operation.layer for entry in raw] == list(range(trainer.layers, 0, -1))
    for entry in raw:
        tensors = entry.tensors
        assert np.array_equal(tensors["a"] @ tensors["b"], tensors["out"])
    phases = [entry.operation.phase for entry in products if entry.operation.layer == 2]
    if "s2" in trainer.recipe.network:
        assert phases == [(0, 0), (0, 0), (0, 1), (1, 0), (1, 1), (0, 0)]
    # Groups by their numbers, and none where there is one.
    size = trainer.recipe.group or 0
    groups = [entry.operation.writes[0].group for entry in products]
    assert sorted({group for group in groups if group is not None}) == ([0, 1, 2] if size else [])
    assert_passed_on(record)


@pytest.mark.parametrize("rounding", ["stochastic", "nearest"])
@pytest.mark.parametrize(
    "changes",
    [
        {"network": "5FC"},
        {"network": "3C2-MP2s1-2C1p0"},
        {"network": "3C2-2C2s2p1", "columns": 4},
        {"network": "3C1-4C1s3", "momentum": "0.5"},
        {"network": "3C2-MP2s1-5FC", "rows": 2, "group": 2, "batch": 5},
        {"network": "4C2-2C3s2p1-3FC", "rows": 1, "group": 3, "batch": 4},
        {"network": "5FC-3FC", "rows": 2, "group": 2, "batch": 6, "deviation": 3},
    ],
    ids=str,
)
def test_a_step_can_be_redone_from_where_its_lanes_stood(changes, rounding):
    """The record and the lanes' place at the start of a step give every rounded word again."""
    trainer, images, labels = trainer_and_batch((3, 4, 1), rounding=rounding, **changes)
    trainer.step(images, labels)
    before = trainer.draws
    record = []
    trainer.step(images, labels, record)
    assert trainer.step_start == before
    array, elementwise = assert_redone(trainer, before, record)
    for entry in record:
        assert_consistent(entry, trainer)
    generator, made = trainer.recipe.generator, trainer.draws
    leaps = {"array": 0, "elementwise": 0}
    for entry in record:
        operation = entry.operation
        leaps["array" if isinstance(operation, Product) else "elementwise"] += operation.leaps
    if rounding == "stochastic":
        for lanes, count in ((array, made.array), (elementwise, made.elementwise)):
            first = 0 if lanes is array else trainer.recipe.columns
            start = generator.lane_seed(first)
            assert lanes.lanes[0].state == generator.advance(start, count * generator.leap)
        assert made.array - before.array == leaps["array"] > 0
        assert made.elementwise - before.elementwise == leaps["elementwise"] > 0
    else:
        assert made.array == made.elementwise == sum(leaps.values()) == 0


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
    expected = saturate(w.astype(np.int64) + updates, conversion.target)
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
    """<2,14>, stochastic, 64-64-10 neurons."""
    errors = [last_error(load("digits-gupta", [f"seed={seed}"])) for seed in range(3)]
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
