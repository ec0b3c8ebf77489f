"""The plan of a step is what a step does, whatever it trains."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import golden.training
from golden.datasets import digits
from golden.training import (
    DorefaRecipe,
    FloatRecipe,
    GuptaRecipe,
    HwgqRecipe,
    LiRecipe,
    WageRecipe,
    load,
    new_trainer,
    plan,
)
from golden.training.step.operation import Kind
from golden.training.step.ops import Float, Product, QuantizeError, WageUpdate
from golden.training.step.record import note

RECIPES = sorted(path.stem for path in Path(golden.training.__file__).parent.glob("recipes/*.toml"))
#: The recipes' networks, small enough for images of 8 x 8.
NETWORKS = {
    "bnn-mlp": "6FC-5FC",
    "dorefa-cnn": "3C3-MP2-4C2-6FC",
    "gupta-cifar": "3C5p2-MP3s2p1-4C5p2-MP3s2p1-5C3p1-MP2s1",
    "gupta-cnn": "3C3-MP2-4C2-MP2-6FC",
    "hwgq-cnn": "3C3-MP2-4C2-6FC",
    "wage-cnn": "3C3-MP2-4C2-MP2-6FC",
    "wage-vgg": "3C3p1-3C3p1-MP2-4C3p1-4C3p1-MP2-6FC",
}
#: What the built-in recipes do not have: strides, groups, every draw and every float part.
CONV = {"network": "3C3s2p1-MP3s2p1-4C2s3-5FC", "batch": 7, "rows": 3, "columns": 4}
VARIANTS = {
    "wage, stochastic errors": WageRecipe(**CONV, error_rounding="stochastic", shift="ceil"),
    "gupta, in groups": GuptaRecipe(**CONV, group=3, momentum="0.9"),
    "gupta, errors pass": GuptaRecipe(**CONV, saturation_gradient="pass"),
    "gupta, nearest": GuptaRecipe(**CONV, rounding="nearest", group=6),
    "sr, in groups": LiRecipe(**CONV, update="sr", grid="2", group=3),
    "bc, drawn, in groups": LiRecipe(**CONV, binarize="stochastic", activation="sign", group=3),
    "hwgq": HwgqRecipe(**CONV),
    "dorefa, quantized edges": DorefaRecipe(**CONV, edges="quantized"),
    "dorefa, float errors": DorefaRecipe(**CONV, bits=golden.training.DorefaBits(gradient=32)),
    "float, normalised": FloatRecipe(**CONV, batch_norm=True),
    "no hidden layer": GuptaRecipe(network="", batch=4, rows=2, columns=2),
}


def recipe_of(name):
    if name in VARIANTS:
        return VARIANTS[name]
    plain = name.removeprefix("float-")
    return load(name, [f"network={NETWORKS.get(plain, '6FC')}", "batch=10"])


ALL = [*RECIPES, *(f"float-{name}" for name in RECIPES), *VARIANTS]


def recorded(recipe, steps=2):
    """A trainer, and the record of its last step."""
    data, record = digits(), []
    trainer = new_trainer(recipe, data)
    for number in range(steps):
        chosen = slice(number * recipe.batch, (number + 1) * recipe.batch)
        batch = data.train_images[chosen], data.train_labels[chosen]
        trainer.step(*batch, record if number == steps - 1 else None)
    return trainer, record


@pytest.mark.parametrize("name", ALL)
def test_the_record_of_a_step_is_its_plan(name):
    recipe = recipe_of(name)
    trainer, record = recorded(recipe)
    operations = plan(recipe, digits().shape, digits().classes)
    assert [entry.operation for entry in record] == operations
    made = trainer.draws.array - trainer.step_start.array
    assert made == sum(op.leaps for op in operations if isinstance(op, Product))
    made = trainer.draws.elementwise - trainer.step_start.elementwise
    assert made == sum(op.leaps for op in operations if not isinstance(op, Product))
    for entry in record:
        tensors = entry.operation.tensors()
        assert entry.tensors.keys() == tensors.keys()
        for key, values in entry.tensors.items():
            assert values.shape == tensors[key].matrix.shape, (str(entry.operation), key)
            assert np.issubdtype(values.dtype, np.integer) or not entry.operation.exact
        assert entry.scalars.keys() == set(entry.operation.SCALARS)
        if isinstance(entry.operation, Product) and entry.operation.conversion is None:
            a, b, out = (entry.tensors[key] for key in ("a", "b", "out"))
            assert np.array_equal(a @ b, out)


@pytest.mark.parametrize("name", ALL)
def test_what_is_read_was_written_or_stood_before(name):
    """By their names: activations of layer 0, labels and what is stored stand before a step."""
    stored = {Kind.WEIGHT, Kind.BIAS, Kind.GAMMA, Kind.VELOCITY, Kind.LABEL}
    written = set()
    for operation in plan(recipe_of(name), (8, 8, 1), 10):
        for tensor in operation.reads:
            groups = {group for kind, layer, group in written if (kind, layer) == key(tensor)}
            known = tensor.group in groups or (tensor.group is None and groups)
            pixels = key(tensor) == (Kind.ACTIVATION, 0)
            ones = tensor.kind is Kind.ACTIVE and isinstance(operation, QuantizeError)
            assert known or pixels or ones or tensor.kind in stored, str(operation)
        written |= {(*key(tensor), tensor.group) for tensor in operation.writes}


def key(tensor):
    return tensor.kind, tensor.layer


def test_the_plan_is_of_no_epoch_and_no_data():
    """Rates, exponents and factors are scalars; operations are the same step after step."""
    recipe = load("digits-wage", ["rates=1:0,2:-3", "error_rounding=stochastic"])
    trainer, first = recorded(recipe, 1)
    trainer.epoch, second = 1, []
    data = digits()
    trainer.step(data.train_images[100:132], data.train_labels[100:132], second)
    assert [entry.operation for entry in first] == [entry.operation for entry in second]
    rates = [e.scalars["rate"] for e in (*first, *second) if isinstance(e.operation, WageUpdate)]
    assert rates == [0, 0, -3, -3]


def test_floating_point_is_marked():
    for name in ALL:
        operations = plan(recipe_of(name), (8, 8, 1), 10)
        exact = recipe_of(name).SYSTEM in ("gupta", "wage", "li")
        assert all(operation.exact for operation in operations) == exact
        assert all(not operation.exact for operation in operations if isinstance(operation, Float))


def test_operations_are_values_that_print():
    for name in ALL:
        once, again = (plan(recipe_of(name), (8, 8, 1), 10) for _ in range(2))
        assert once == again
        assert len({hash(operation) for operation in once}) > len(once) // 2
    operation = plan(VARIANTS["gupta, in groups"], (8, 8, 1), 10)[0]
    assert str(operation) == (
        "Product: activation 0, group 0, weight 1 -> sum 1, group 0, unclipped 1, group 0"
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        operation.layer = 2


def test_a_note_wants_every_tensor_and_scalar():
    _, record = recorded(recipe_of("wage-mlp"), 1)
    entry = next(e for e in record if isinstance(e.operation, WageUpdate))
    note([], entry.operation, entry.tensors, entry.scalars)
    with pytest.raises(ValueError, match="WageUpdate: weight 2, gradient 2 -> weight 2: "):
        note([], entry.operation, entry.tensors, {"rate": 0})


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: GuptaRecipe(batch=32, group=10, rows=4), "group = 10: a multiple of rows = 4"),
        (lambda: GuptaRecipe(batch=32, group=33), "group = 33: allowed are 1 to 32"),
        (lambda: GuptaRecipe(batch=32, group=0), "group = 0: allowed are 1 to 32"),
        (lambda: WageRecipe(batch=32, group=28), "group = 28: wage takes its whole batch = 32"),
        (lambda: FloatRecipe(batch=32, group=28), "group = 28: float takes its whole batch = 32"),
    ],
)
def test_groups_are_checked(make, complaint):
    with pytest.raises(ValueError, match=complaint):
        make()


def test_groups_part_a_batch():
    assert GuptaRecipe(batch=32, group=32).groups == (slice(0, 32),)
    parts = GuptaRecipe(batch=32, group=12, rows=4).groups
    assert parts == (slice(0, 12), slice(12, 24), slice(24, 32))
    assert WageRecipe(batch=32, group=32).groups == (slice(0, 32),)


def test_a_plan_refuses_what_it_cannot_train():
    with pytest.raises(TypeError, match="a recipe of gupta, wage, li"):
        plan(golden.training.Recipe(network="", batch=1, epochs=1), (1, 1, 1), 2)
    with pytest.raises(ValueError, match="9C9 does not fit"):
        plan(GuptaRecipe(network="9C9"), (8, 8, 1), 10)
