"""The compiler: programs, carried out word by word, train as the golden trainer does."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from interpreter import Interpreter

from golden.core.beats import sample_beats
from golden.core.isa import Engine
from golden.core.lower import compiled
from golden.core.lowering import Gradients
from golden.training import Bits, WageTrainer, load
from golden.training.layers.network import stages


def weights_of(core, stores):
    """The stored weights of each layer, read from the flat store."""
    found = []
    for words in core.layout.w:
        row, column = np.indices((words.rows, words.columns))
        bank, address = words.places(row, column)
        found.append(stores[address * words.banks + bank])
    return found


class Bench:
    """A trainer and an interpreter with the same weights, and batches of random images."""

    def __init__(self, recipe, shape, classes, choose=min, **options):
        self.core = compiled(recipe, shape, classes, **options)
        self.trainer = WageTrainer(recipe, shape=shape, classes=classes, pixel_max=255)
        self.rng = np.random.default_rng(recipe.seed)
        self.shape, self.classes, self.batch = shape, classes, recipe.batch
        self.words = [self.core.train.words(engine) for engine in Engine]
        self.machine = Interpreter(
            self.core.config,
            dict(zip(Engine, self.words)),
            rate=recipe.rate(0),
            choose=choose,
        )
        self.give_weights()

    def give_weights(self):
        for words, weight in zip(self.core.layout.w, self.trainer.weights):
            row, column = np.indices(weight.shape)
            bank, address = words.places(row, column)
            self.machine.stores[words.store][address * words.banks + bank] = weight

    def samples(self):
        images = self.rng.integers(0, 256, (self.batch, *self.shape), np.uint8)
        labels = self.rng.integers(0, self.classes, self.batch).astype(np.uint8)
        return images, labels

    def step(self, count):
        """Some steps in one go, so that they overlap; both must end with the same weights."""
        for _ in range(count):
            images, labels = self.samples()
            record = []
            self.trainer.step(images, labels, record)
            x = next(e for e in record if "a" in e.tensors).tensors["a"]
            self.machine.inputs += [*sample_beats(self.core, x, labels)]
        self.machine.counts = dict.fromkeys(Engine, 0)
        self.machine.run(count)
        assert not self.machine.inputs
        found = weights_of(self.core, self.machine.stores[self.core.layout.w[0].store])
        for layer, (one, other) in enumerate(zip(found, self.trainer.weights), 1):
            assert np.array_equal(one, other), f"weights {layer}"


def recipe_of(network="128FC", batch=32, rows=8, columns=8, **settings_):
    recipe = load("digits-wage", [f"network={network}", f"batch={batch}"])
    return replace(recipe, rows=rows, columns=columns, **settings_)


@pytest.mark.parametrize("gradients", Gradients)
@pytest.mark.parametrize("inputs", [1, 2])
def test_digits(gradients, inputs):
    recipe = recipe_of("40FC", batch=12)
    bench = Bench(recipe, (8, 8, 1), 10, inputs=inputs, gradients=gradients)
    bench.step(2)
    bench.step(2)


def test_layers_of_two_digits():
    """The first layer is told from the tenth one."""
    network = "-".join(["5FC"] * 10)
    bench = Bench(recipe_of(network, batch=4, rows=2, columns=2), (2, 3, 1), 3)
    waits = Engine.ARRAY.others.index(Engine.IN)
    for task in bench.core.train[Engine.ARRAY]:
        assert task.instruction.waits[waits].on == (task.name.split(",")[0] == "forward 1")
    bench.step(3)


@st.composite
def networks(draw):
    layers = draw(st.lists(st.integers(1, 30), max_size=3))
    bits = draw(
        st.sampled_from(
            [Bits(), Bits.parse("2-4-8-5"), Bits.parse("4-8-8-8"), Bits.parse("3-6-5-4")]
        )
    )
    recipe = recipe_of(
        network="-".join(f"{n}FC" for n in layers),
        batch=draw(st.integers(1, 40)),
        rows=draw(st.integers(1, 9)),
        columns=draw(st.integers(1, 9)),
        bits=bits,
        seed=draw(st.integers(0, 1000)),
        rates=((1, draw(st.integers(-8, 7))),),
        shift=draw(st.sampled_from(["round", "ceil"])),
        saturation=draw(st.sampled_from(["full", "half"])),
        error_rounding=draw(st.sampled_from(["nearest-even", "stochastic"])),
    )
    shape = (draw(st.integers(1, 5)), draw(st.integers(1, 5)), draw(st.integers(1, 3)))
    return recipe, shape, draw(st.integers(2, 20))


@settings(max_examples=25, deadline=None)
@given(
    networks(),
    st.sampled_from([1, 2]),
    st.sampled_from(list(Gradients)),
    st.randoms(use_true_random=False),
)
def test_random_networks(network, inputs, gradients, chooser):
    recipe, shape, classes = network
    bench = Bench(recipe, shape, classes, chooser.choice, inputs=inputs, gradients=gradients)
    bench.step(3)


@settings(max_examples=12, deadline=None)
@given(networks(), st.sampled_from([1, 2]), st.randoms(use_true_random=False))
def test_forward_programs(network, inputs, chooser):
    recipe, shape, classes = network
    bench = Bench(recipe, shape, classes, chooser.choice, inputs=inputs)
    steps = [bench.samples() for _ in range(3)]
    scores, wrong = [], 0
    beats = []
    for images, labels in steps:
        record = []
        copy = WageTrainer(recipe, shape=shape, classes=classes, pixel_max=255)
        copy.step(images, labels, record)
        products = [e for e in record if "a" in e.tensors]
        beats += [*sample_beats(bench.core, products[0].tensors["a"], labels)]
        sums = products[len(stages(recipe.network, shape, classes)) - 1].tensors["out"]
        scores.append(sums)
        wrong += int((sums.argmax(axis=1) != labels).sum())
    for program in (bench.core.infer, bench.core.test):
        words = {engine: program.words(engine) for engine in Engine}
        machine = Interpreter(bench.core.config, words, choose=chooser.choice)
        machine.stores = bench.machine.stores
        machine.inputs = list(beats)
        machine.run(3)
        if program is bench.core.infer:
            columns = recipe.columns
            across = -(-classes // columns)
            rows = np.array(machine.outputs).reshape(-1, across * columns)[:, :classes]
            assert np.array_equal(rows, np.concatenate(scores))
        else:
            assert machine.wrong == wrong
