"""A recorded step through the twins and the hardware: the numbers are those of training."""

import dataclasses

import numpy as np
import pytest

import golden
from golden.datasets import digits
from golden.fixed import Rounding
from golden.training import (
    DorefaRecipe,
    Formats,
    GuptaRecipe,
    HwgqRecipe,
    LiRecipe,
    WageRecipe,
    new_trainer,
)
from golden.training.step.ops import (
    Convert,
    Pass,
    Product,
    QuantizeActivation,
    QuantizeError,
    QuantizeWeight,
    ShiftExponent,
    Softmax,
    WageUpdate,
)
from gradloom import compare
from gradloom.train.replay import unit_replays
from gradloom.train.tile_stimulus import block_order, product_rows, product_stimulus

#: Every kind of layer: padding, strides, pooling with overlaps, dense layers; on arrays that need
#: edge tiles, with tiles shallower than the array and vectors that must be filled up.
CONVOLUTIONAL = "3C3p1-MP3s2p1-4C2s2-5FC"
SMALL: dict[str, object] = {"network": CONVOLUTIONAL, "rows": 3, "columns": 4, "batch": 3}
RECIPES = {
    "wage": WageRecipe(rows=3, columns=4, network="9FC-7FC", batch=5),
    "wage, convolutional": WageRecipe(**SMALL),
    "wage, released code": WageRecipe(
        rows=4,
        columns=3,
        network="9FC",
        batch=5,
        c=3,
        start="released",
        saturation="half",
        pixels="symmetric",
    ),
    "wage, stochastic errors": WageRecipe(
        **SMALL | {"rows": 2, "columns": 5}, error_rounding=Rounding.STOCHASTIC, shift="ceil"
    ),
    "gupta": GuptaRecipe(
        rows=3, columns=4, network="9FC-7FC", batch=4, momentum="0.9", decay="0.0005"
    ),
    "gupta, convolutional": GuptaRecipe(
        **SMALL,
        formats=Formats(fl=12, activation_fl=10, input_fl=14),
        momentum="0.9",
        decay="0.0005",
        learning_rate="0.1",
        deviation="0.3",
    ),
    "gupta, nearest": GuptaRecipe(
        rows=4, columns=3, network="9FC", batch=5, formats=Formats(fl=10), rounding="nearest"
    ),
    "r": LiRecipe(**SMALL, update="r", grid="2"),
    "sr": LiRecipe(**SMALL, update="sr", grid="2"),
    "sr, binary": LiRecipe(**SMALL, update="sr", grid="binary"),
    "bc": LiRecipe(**SMALL, update="bc", grid="binary"),
    "bc, nearest words": LiRecipe(**SMALL, update="bc", grid="3", rounding="nearest"),
    "bnn": LiRecipe(**SMALL, update="bc", grid="binary", activation="sign"),
    "bnn, stochastic": LiRecipe(
        **SMALL, update="bc", grid="binary", activation="sign", binarize="stochastic"
    ),
    "hwgq": HwgqRecipe(**SMALL),
    "dorefa": DorefaRecipe(**SMALL),
    "gupta, in groups": GuptaRecipe(**SMALL | {"batch": 7, "group": 3}),
    "sr, in groups": LiRecipe(**SMALL | {"batch": 8, "group": 6}, update="sr", grid="2"),
}


DRAWING = (QuantizeError, WageUpdate)


def recorded(recipe, before=3):
    """A trainer some steps on, and the record of its last step."""
    data, record = digits(), []
    trainer = new_trainer(recipe, data)
    for step in range(before + 1):
        chosen = slice(step * recipe.batch, (step + 1) * recipe.batch)
        trainer.step(
            data.train_images[chosen], data.train_labels[chosen], record if step == before else None
        )
    return trainer, record


@pytest.mark.parametrize("name", RECIPES)
def test_twins_give_the_numbers_of_training(name):
    trainer, record = recorded(RECIPES[name])
    parts = unit_replays(trainer, record)
    kinds = (Product, Convert, QuantizeWeight, QuantizeActivation, ShiftExponent, Softmax)
    through = [entry for entry in record if isinstance(entry.operation, (*kinds, *DRAWING))]
    assert sum(len(part.pieces) for part in parts) == len(through) > 0
    assert sum(len(part.inputs["i_valid"]) for part in parts) <= 1_000_000  # clocks
    for part in parts:
        outputs = part.unit.twin(part.config).run(part.inputs)
        assert part.results > 0
        assert part.differences(outputs) == 0, part.title


@pytest.mark.parametrize("name", ["wage", "gupta", "sr"])
def test_hardware_agrees_on_a_whole_step(name):
    trainer, record = recorded(RECIPES[name], before=1)
    for part in unit_replays(trainer, record):
        assert compare(part.unit.component(part.config), part.inputs, part.unit.twin(part.config))


@pytest.mark.parametrize("block", [(1, 1), (2, 3), (3, 4)], ids=str)
def test_a_step_of_wage_goes_through_one_mixed_array(block):
    """Forward and errors on all nodes, gradients in the block; padding at every edge."""
    trainer, record = recorded(RECIPES["wage, convolutional"])
    array = unit_replays(trainer, record, block)[0]
    assert array.config.multipliers == block
    modes = [int(piece["i_multiply"][0]) for piece in array.pieces]
    kinds = [e.operation.kind for e in record if isinstance(e.operation, Product)]
    assert set(zip(kinds, modes)) == {(Pass.FORWARD, 0), (Pass.ERROR, 0), (Pass.GRADIENT, 1)}
    # The ternary sums are narrower than the products'.
    assert array.config.ternary.width < array.config.macc.width
    outputs = array.unit.twin(array.config).run(array.inputs)
    assert array.results > 0
    assert array.differences(outputs) == 0
    ignored = array.inputs | {"i_multiply": 0 * array.inputs["i_multiply"]}
    assert array.differences(array.unit.twin(array.config).run(ignored)) > 0


def test_a_mixed_array_agrees_on_the_products_of_a_step():
    trainer, record = recorded(RECIPES["wage"], before=1)
    array = unit_replays(trainer, record, (2, 2))[0]
    comparison = compare(
        array.unit.component(array.config), array.inputs, array.unit.twin(array.config)
    )
    assert comparison, comparison.report()


def test_a_wrong_result_or_a_missing_one_counts():
    trainer, record = recorded(RECIPES["wage"], before=0)
    for part in unit_replays(trainer, record):
        outputs = part.unit.twin(part.config).run(part.inputs)
        name, wanted = next(iter(part.expected[0].items()))
        port, (vector, *lane) = f"o_{name}", np.argwhere(wanted.counted)[0]
        first = np.flatnonzero(outputs["o_valid"])[vector]
        wrong = {name: values.copy() for name, values in outputs.items()}
        wrong[port].reshape(len(wrong[port]), -1)[(first, *(lane or (0,)))] ^= 1
        assert part.differences(wrong) == 1
        lost = {name: values.copy() for name, values in outputs.items()}
        lost["o_valid"][first] = 0
        assert part.differences(lost) == part.results
        # Also if none of the results counts.
        for fields in part.expected:
            for name, wanted in fields.items():
                fields[name] = dataclasses.replace(wanted, counted=np.zeros_like(wanted.counted))
        assert (part.results, part.differences(outputs), part.differences(lost)) == (0, 0, 1)


def test_generators_start_where_training_stood():
    trainer, record = recorded(RECIPES["gupta"])
    for part in unit_replays(trainer, record):
        if part.title == "array with rounders":
            unmoved = dataclasses.replace(part.config, generator=trainer.recipe.generator)
            outputs = part.unit.twin(unmoved).run(part.inputs)
            assert part.differences(outputs) > 0


@pytest.mark.parametrize(("m", "k", "n"), [(1, 1, 1), (5, 2, 7), (4, 9, 3), (7, 3, 4)])
def test_a_product_streams_without_a_stall(m, k, n):
    rng = np.random.default_rng(m + 10 * k + 100 * n)
    a, b = rng.integers(-99, 99, (m, k)), rng.integers(-99, 99, (k, n))
    config = golden.ArrayConfig(rows=4, columns=3, conversions=())
    order = block_order(config, m, n)
    inputs = product_stimulus(config, a, b, order)
    idle = config.latency + config.rows
    inputs = {
        name: np.concatenate([values, np.zeros((idle, *values.shape[1:]), np.int64)])
        for name, values in inputs.items()
    }
    outputs = golden.Array(config).run(
        inputs | {"o_ready": np.ones(len(inputs["i_valid"]), np.int64)}
    )
    assert outputs["i_ready"][inputs["i_valid"] != 0].all()
    left = outputs["o_valid"] != 0
    rows = product_rows(config, a @ b, order)
    assert np.array_equal(outputs["o_data"][left], rows["data"].values)
    assert np.array_equal(outputs["o_last"][left], rows["last"].values)
    assert rows["data"].count == m * n


def test_every_kind_of_product_is_replayed():
    _, record = recorded(RECIPES["gupta"], before=0)
    products = [entry.operation for entry in record if isinstance(entry.operation, Product)]
    forward, error, gradient = Pass.FORWARD, Pass.ERROR, Pass.GRADIENT
    kinds = [forward] * 3 + [error, gradient] * 2 + [gradient]
    assert [product.kind for product in products] == kinds
    assert all((p.conversion is None) == (p.kind is gradient) for p in products)


def test_units_that_share_lanes_take_turns():
    """Stochastic errors and updates draw from the same lanes, one after the other."""
    trainer, record = recorded(RECIPES["wage, stochastic errors"])
    drawing = [part for part in unit_replays(trainer, record) if part.unit.name in TURNS]
    # Errors of layers 4 and 3, update 4, errors 2, update 3, errors 1, updates 2 and 1.
    assert [part.unit.name for part in drawing] == [*TURNS, *TURNS, *TURNS]
    assert [len(part.pieces) for part in drawing] == [2, 1, 1, 1, 1, 2]
    seeds = [part.config.generator.seed for part in drawing]
    assert len(set(seeds)) == 6


TURNS = ("wage-error", "wage-update")
