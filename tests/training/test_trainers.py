"""Images and labels of any form train alike; limits are found when a trainer is made."""

import dataclasses

import numpy as np
import pytest
from forms import LAYOUTS, forms, holding, put
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.array import MOST_ROWS, ArrayConfig
from golden.datasets import Dataset, digits
from golden.settings import of_fields
from golden.training import (
    SYSTEMS,
    Bits,
    GuptaRecipe,
    LiFormats,
    LiRecipe,
    Recipe,
    Run,
    WageRecipe,
    new_trainer,
    plan,
)

BATCH = 8
DIGITS = digits()
IMAGES, LABELS = DIGITS.train_images[:BATCH], DIGITS.train_labels[:BATCH]
every_system = pytest.mark.parametrize("system", SYSTEMS)


def trainer(system):
    recipe = SYSTEMS[system].recipe(network="2C3-MP2-4FC", batch=BATCH, epochs=1)
    return new_trainer(recipe, DIGITS)


def trained(system, images, labels):
    """What a step and an evaluation say and leave."""
    one = trainer(system)
    scores = one.step(images, labels), one.evaluate(images, labels)
    return [*scores, one.predict(images).tolist(), *(w.tolist() for w in one.weights)]


@every_system
@settings(max_examples=2, deadline=None)
@given(data=st.data())
def test_images_and_labels_of_any_form_train_alike(system, data):
    images, labels = IMAGES.astype(np.int64), LABELS.astype(np.int64)
    expected = trained(system, IMAGES, LABELS)
    assert trained(system, data.draw(forms(images)), data.draw(forms(labels))) == expected
    assert trained(system, images[..., None], labels) == expected


@every_system
def test_what_is_no_image_or_label_is_named(system):
    one = trainer(system)
    before = [weight.copy() for weight in one.weights]

    def changed(values, change):
        wrong = values.astype(np.int64)
        wrong[3] = change
        return wrong

    cases = [
        (IMAGES / 2, LABELS, TypeError, "images has values of type float64"),
        (IMAGES > 3, LABELS, TypeError, "images has values of type bool"),
        (changed(IMAGES, 17), LABELS, ValueError, "largest pixel of images = 17: allowed are 0 to"),
        (changed(IMAGES, -1), LABELS, ValueError, "smallest pixel of images = -1: allowed are 0"),
        (IMAGES[0], LABELS, ValueError, "images of (8, 8): (images, 8, 8) are wanted"),
        (IMAGES[:, :7], LABELS, ValueError, "images of (8, 7, 8): (images, 8, 8) are wanted"),
        (IMAGES[:0], LABELS, ValueError, "images of (0, 8, 8): (images, 8, 8) are wanted"),
        (IMAGES, LABELS + 0.5, TypeError, "labels has values of type float64"),
        (IMAGES, changed(LABELS, 10), ValueError, "labels: 10 is out of range: allowed are 0 to 9"),
        (IMAGES, changed(LABELS, -1), ValueError, "labels: -1 is out of range"),
        (IMAGES, LABELS[:, None], ValueError, "labels of (8, 1): (images,) are wanted"),
    ]
    for images, labels, kind, message in cases:
        for call in (one.step, one.evaluate):
            with pytest.raises(kind) as error:
                call(images, labels)
            assert str(error.value).startswith(message)
    with pytest.raises(ValueError, match=r"^8 images and 7 labels: as many"):
        one.evaluate(IMAGES, LABELS[:-1])
    for weight, same in zip(one.weights, before):
        assert np.array_equal(weight, same)


def test_labels_are_read_alone():
    labels = LABELS.astype(np.int64)
    record = []
    one = trainer("wage")
    one.step(IMAGES, labels, record)
    kept = [entry.tensors["label"].copy() for entry in record if "label" in entry.tensors]
    labels[:] = 0
    noted = [entry.tensors["label"] for entry in record if "label" in entry.tensors]
    assert kept and all(np.array_equal(a, b) for a, b in zip(kept, noted))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", holding(IMAGES))
def test_a_data_set_keeps_bytes_of_any_form(kind, layout, tmp_path):
    arrays = {"images": IMAGES, "labels": LABELS}
    given = {
        f"{part}_{name}": put(values, kind, layout)
        for part in ("train", "test")
        for name, values in arrays.items()
    }
    data = Dataset(name="part", **given, pixel_max=np.uint8(16), classes=np.int16(10))
    for name, values in given.items():
        found = getattr(data, name)
        assert found.dtype == np.uint8 and np.array_equal(found, np.asarray(values, np.uint8))
    assert (type(data.pixel_max), type(data.classes)) == (int, int)
    with Run(WageRecipe(network="4FC", batch=4, epochs=1), data, tmp_path / "run") as run:
        digest = run.data["sha256"]
    same = Dataset(
        name="same",
        train_images=IMAGES,
        train_labels=LABELS,
        test_images=IMAGES,
        test_labels=LABELS,
        pixel_max=16,
        classes=10,
    )
    with Run(WageRecipe(network="4FC", batch=4, epochs=1), same, tmp_path / "same") as run:
        assert run.data["sha256"] == digest


def test_a_memory_map_trains(tmp_path):
    IMAGES.tofile(tmp_path / "images")
    mapped = np.memmap(tmp_path / "images", np.uint8, "r", shape=IMAGES.shape)
    assert trained("wage", mapped, LABELS) == trained("wage", IMAGES, LABELS)


@pytest.mark.parametrize("part", ["images", "labels"])
def test_a_data_set_refuses_what_bytes_would_cut(part):
    """256 would be 0 in a byte, and -1 would be 255."""
    fields = {field.name: getattr(DIGITS, field.name) for field in dataclasses.fields(DIGITS)}
    for wrong, end in ((256, "largest"), (-1, "smallest")):
        values = fields[f"train_{part}"].astype(np.int64)
        values[5] = wrong
        with pytest.raises(ValueError, match=rf"^{end} \w+ of train_{part} = {wrong}: allowed"):
            Dataset(**{**fields, f"train_{part}": values})
    with pytest.raises(TypeError, match=rf"^train_{part} has values of type bool"):
        Dataset(**{**fields, f"train_{part}": fields[f"train_{part}"] > 0})


def test_shapes_of_numpy_plan_the_same_step():
    recipe = WageRecipe(network="4C3-MP2-8FC", batch=BATCH)
    expected = plan(recipe, (200, 8, 3), 200)
    kinds = np.uint8
    assert plan(recipe, (kinds(200), kinds(8), kinds(3)), kinds(200)) == expected
    for shape, message in (
        ((8, 8), "shape = (8, 8): height, width, channels are wanted"),
        ((8.0, 8, 1), "height = 8.0: a whole number from 1 to 65536 is wanted"),
        ((8, 0, 1), "width = 0: allowed are 1 to 65536"),
    ):
        with pytest.raises((TypeError, ValueError)) as error:
            plan(recipe, shape, 10)
        assert str(error.value) == message


#: Recipe, image, and the beginning and the rest of what refuses it: no step is needed to find out.
LIMITS = [
    (
        WageRecipe(network="1C1", batch=16384, bits=Bits(activation=16, error=16)),
        "batch = 16384 with bits = 2-16-8-16: gradient sums of layer 1, 1C1: ",
        "reach 2^53",
    ),
    (
        GuptaRecipe(network="1C1", batch=65536),
        "batch = 65536 with words of 16 bits: gradient sums of layer 1, 1C1: ",
        "reach 2^53",
    ),
    (
        GuptaRecipe(network="65536C1", batch=1),
        "network = '65536C1' with words of 16 bits: sums of layer 2, 10FC: ",
        "reach 2^53",
    ),
    (
        LiRecipe(network="1C1", batch=65536, formats=LiFormats(input_fl=15)),
        "batch = 65536: a step of ",
        "take a smaller batch or input_fl",
    ),
]


@pytest.mark.parametrize(("recipe", "begins", "says"), LIMITS, ids=lambda value: str(value)[:30])
def test_a_limit_is_found_when_a_trainer_is_made(recipe, begins, says):
    made = SYSTEMS[recipe.SYSTEM].trainer
    with pytest.raises(ValueError) as error:
        made(recipe, shape=(28, 28, 1), classes=10, pixel_max=255)
    assert str(error.value).startswith(begins) and says in str(error.value)
    assert "\n" not in str(error.value)


def test_the_largest_batch_is_exact():
    """One image more than the largest batch is refused."""
    term = (2**15 - 1) ** 2 * 28 * 28
    most = (2**53 - 1) // term
    bits = Bits(activation=16, error=16)
    for batch in (most, most + 1):
        recipe = WageRecipe(network="1C1", batch=batch, bits=bits)
        make = SYSTEMS["wage"].trainer
        if batch == most:
            assert make(recipe, shape=(28, 28, 1), classes=10, pixel_max=255).layers == 2
        else:
            with pytest.raises(ValueError, match=f"^batch = {batch} with bits"):
                make(recipe, shape=(28, 28, 1), classes=10, pixel_max=255)


def test_rows_have_one_limit():
    assert of_fields(Recipe)["rows"].high == of_fields(ArrayConfig)["rows"].high == (MOST_ROWS,)
    with pytest.raises(ValueError, match=f"^rows = 256: allowed are 1 to {MOST_ROWS}$"):
        WageRecipe(rows=256)
