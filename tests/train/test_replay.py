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
    load,
)
from golden.training.step.ops import (
    Convert,
    FineStep,
    FineUpdate,
    FixedPointUpdate,
    Mask,
    OutputError,
    Pass,
    Pool,
    Product,
    QuantizeActivation,
    QuantizeError,
    QuantizeWeight,
    Relu,
    ShiftExponent,
    Sign,
    Softmax,
    Unpool,
    WageUpdate,
)
from gradloom import compare
from gradloom.train.one_step import left_out, recorded_step
from gradloom.train.replay import replays, unit_replays
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
    "gupta, shallow errors": GuptaRecipe(rows=12, columns=12, network="13FC-14FC", batch=5),
    "gupta, saturating": GuptaRecipe(
        rows=3, columns=4, network="9FC-7FC", batch=4, deviation="1", learning_rate="0.1"
    ),
    "gupta, passing": GuptaRecipe(
        rows=3,
        columns=4,
        network="9FC-7FC",
        batch=4,
        deviation="1",
        learning_rate="0.1",
        saturation_gradient="pass",
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
    "gupta, a power of two": GuptaRecipe(rows=3, columns=4, network="9FC", batch=4),
    "gupta-dnn": load("gupta-dnn", ["network=9FC-8FC", "batch=10", "rows=3", "columns=4"]),
    "gupta-cnn": load(
        "gupta-cnn", ["network=3C3-MP2-4C2-MP2-6FC", "batch=10", "rows=3", "columns=4"]
    ),
    "gupta-cnn, nearest": load(
        "gupta-cnn",
        ["network=3C3-MP2-4C2-6FC", "batch=10", "rows=3", "columns=4", "rounding=nearest"],
    ),
    **{
        name: load(name, ["network=9FC-8FC", "batch=10", "rows=3", "columns=4"])
        for name in ("li-r", "li-sr", "li-bc", "li-bigsr", "bnn-mlp")
    },
    "r, a power of two": LiRecipe(
        rows=3, columns=4, network="9FC", batch=8, update="r", grid="3", learning_rate="0.5"
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
POOLING = (Pool, Unpool)


def recorded(recipe, before=3):
    """A trainer some steps on, and the record of its last step."""
    return recorded_step(recipe, digits(), before + 1)


@pytest.mark.parametrize("name", RECIPES)
def test_twins_give_the_numbers_of_training(name):
    trainer, record = recorded(RECIPES[name])
    parts = unit_replays(trainer, record)
    kinds = (
        *(Product, Convert, QuantizeWeight, QuantizeActivation, ShiftExponent, Sign),
        *(Relu, Mask, OutputError, Softmax, FineUpdate, *POOLING),
    )
    through = [
        entry
        for entry in record
        if isinstance(entry.operation, (*kinds, *DRAWING))
        and not isinstance(entry.operation, FineStep)  # the unit of its update makes it
        and entry.operation.exact
    ]
    # HWGQ's thresholds take the sums of every hidden layer.
    folded = trainer.layers - 1 if isinstance(trainer.recipe, HwgqRecipe) else 0
    assert sum(len(part.pieces) for part in parts) == len(through) + folded > 0
    assert sum(len(part.inputs["i_valid"]) for part in parts) <= 1_000_000  # clocks
    for part in parts:
        outputs = part.unit.twin(part.config).run(part.inputs)
        assert part.results > 0
        assert part.differences(outputs) == 0, part.title
    assert left_out(record) == []  # what is not in integers does not count


@pytest.mark.parametrize("name", [name for name in RECIPES if isinstance(RECIPES[name], LiRecipe)])
def test_every_step_of_li_goes_through_the_unit_of_its_update(name):
    """Of weights and of biases; no product of gradient and rate comes from the training model."""
    trainer, record = recorded(RECIPES[name], before=0)
    assert all(replays(entry.operation) for entry in record)
    parts = unit_replays(trainer, record)
    units = [part for part in parts if part.unit.name == "grid-update"]
    biases = [part for part in units if part.config.rule == "fine"]
    assert [part.title for part in biases] == ["grid-update, biases"]
    assert len(biases[0].pieces) == trainer.layers
    steps = [entry for entry in record if isinstance(entry.operation, FineStep)]
    assert len(steps) == 2 * trainer.layers
    # Every gradient of a step is an operand of a unit, and no rounder has its product.
    through = sum(piece["i_gradient"].any() for part in units for piece in part.pieces)
    assert through == sum(bool(entry.tensors["gradient"].any()) for entry in steps)
    rounders = [part for part in parts if part.unit.name == "rounder"]
    converts = [e for e in record if type(e.operation) is Convert]
    assert sum(len(part.pieces) for part in rounders) == len(converts)
    fine = trainer.recipe.formats.fine
    assert all(c.target != fine for part in rounders for c in part.config.conversions)
    # A wrong bias is a difference.
    wrong = biases[0].inputs | {"i_buffer": biases[0].inputs["i_buffer"] ^ 1}
    assert biases[0].differences(biases[0].unit.twin(biases[0].config).run(wrong)) > 0


def test_gupta_updates_go_through_their_own_unit():
    for name, power, momentum in (
        ("gupta, a power of two", True, False),
        ("gupta-dnn", False, False),
        ("gupta-cnn", False, True),
        ("gupta-cnn, nearest", False, True),
    ):
        trainer, record = recorded(RECIPES[name], before=0)
        parts = [p for p in unit_replays(trainer, record) if p.unit.name == "momentum-update"]
        updates = sum(isinstance(entry.operation, FixedPointUpdate) for entry in record)
        assert sum(len(part.pieces) for part in parts) == updates == trainer.layers
        for part in parts:
            assert part.config.power is power
            assert bool(part.config.momentum_bits) is momentum
            assert bool(part.config.decay_bits) is momentum
            if momentum:  # biases have no decay
                assert (part.inputs["decay"] == 0).any() and (part.inputs["decay"] != 0).any()
    assert len(parts) == 1  # one unit for all layers, with their own binary points


@pytest.mark.parametrize(
    "name",
    [
        *("wage", "gupta", "gupta, saturating", "gupta-cnn", "sr", "hwgq", "bnn"),
        "bnn, stochastic",
    ],
)
def test_hardware_agrees_on_a_whole_step(name):
    trainer, record = recorded(RECIPES[name], before=1)
    for part in unit_replays(trainer, record):
        assert compare(part.unit.component(part.config), part.inputs, part.unit.twin(part.config))


def test_what_saturates_in_a_step_is_seen_and_masked():
    """Bits of the array that no word shows, and errors that the mask of these bits sets to 0."""
    trainer, record = recorded(RECIPES["gupta, saturating"])
    parts = {part.title: part for part in unit_replays(trainer, record)}
    array, mask = parts["array with rounders"], parts["mask"]
    top = trainer.planner.forward_conversion(0).target
    forward = [fields for fields in array.expected if "saturated" in fields]
    assert len(forward) == len(array.pieces) - 2  # of the error products nothing is recorded
    for fields in forward:
        data, bits = fields["data"].values, fields["saturated"].values
        assert bits[fields["saturated"].counted].any()
        assert np.isin(data[bits == 1], [top.minimum, top.maximum]).all()
    # Every layer, that of the outputs too.
    assert sum(piece["use_unclipped"].all() for piece in mask.pieces) == 3
    cut = [
        ((piece["i_unclipped"] == 0) & (piece["i_data"] != 0) & fields["data"].counted).sum()
        for piece, fields in zip(mask.pieces, mask.expected)
        if piece["use_unclipped"].all()
    ]
    assert min(cut) > 0
    # Were they not asked, errors would pass.
    passing = mask.inputs | {"use_unclipped": 0 * mask.inputs["use_unclipped"]}
    assert mask.differences(mask.unit.twin(mask.config).run(passing)) == sum(cut)


def test_saturated_errors_pass_where_the_recipe_says_so():
    trainer, record = recorded(RECIPES["gupta, passing"])
    (mask,) = [part for part in unit_replays(trainer, record) if part.title == "mask"]
    assert not any(piece["use_unclipped"].any() for piece in mask.pieces)
    assert any(piece["use_active"].all() for piece in mask.pieces)


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
