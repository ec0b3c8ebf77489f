"""The order of an epoch's images that hardware can make."""

import re
from pathlib import Path

import numpy as np
import pytest

from golden.datasets import Dataset
from golden.lfsr import MASKS, step
from golden.training import GuptaRecipe, WageRecipe, new_trainer
from golden.training.runs.samples import epoch_key, lfsr_order, table_width

PAGE = Path(__file__).parents[2] / "docs" / "numerics.md"


def test_the_examples_of_the_page():
    """Indices in brackets are skipped."""
    rows = """
| epoch 0, key 0 | 1 | (250) | 125 | 196 | 98 | 49 | (226) | 113 |
| epoch 1, key 159 | 158 | 101 | (226) | 91 | (253) | 174 | 125 | (238) |
"""
    assert rows in PAGE.read_text()
    for epoch, row in enumerate(rows.strip().splitlines()):
        kept = [int(n) for n in re.findall(r"\| (\d+) (?=\|)", row)]
        assert lfsr_order(200, epoch)[: len(kept)].tolist() == kept
    assert [epoch_key(8, epoch) for epoch in range(3)] == [0, 159, 62]
    assert lfsr_order(5, 0).tolist() == [1, 3, 4, 2]
    assert lfsr_order(5, 1).tolist() == [2, 3, 1, 4, 0]


@pytest.mark.parametrize("images", [1, 2, 5, 200, 254, 255, 256, 511, 1437, 1438, 4095, 4096])
def test_an_epoch_has_every_image_but_perhaps_the_keys(images):
    bits = table_width(images)
    assert (1 << bits) - 1 >= images
    narrower = [width for width in MASKS if width < bits]
    assert all((1 << width) - 1 < images for width in narrower)
    for epoch in range(4):
        key = epoch_key(bits, epoch)
        assert key == epoch * (int(0.618 * 2**bits) | 1) % 2**bits
        order = lfsr_order(images, epoch)
        assert sorted(order.tolist()) == [n for n in range(images) if n != key]
        state, wanted = 1, []
        for _ in range((1 << bits) - 1):
            wanted += [state ^ key] if state ^ key < images else []
            state = step(state, MASKS[bits][0])
        assert state == 1 and order.tolist() == wanted


def test_the_key_changes_who_meets_whom():
    """A mere rotation would leave every image its neighbours."""
    first, second = lfsr_order(4000, 0).tolist(), lfsr_order(4000, 1).tolist()
    pairs = set(zip(first, first[1:]))
    assert len(pairs & set(zip(second, second[1:]))) < 40


def tiny(count):
    random = np.random.default_rng(5)
    images = np.arange(count, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    return Dataset(
        name="tiny",
        train_images=images,
        train_labels=random.integers(0, 3, count).astype(np.uint8),
        test_images=images[:5],
        test_labels=random.integers(0, 3, 5).astype(np.uint8),
        pixel_max=255,
        classes=3,
    )


@pytest.mark.parametrize("recipe", [WageRecipe, GuptaRecipe])
def test_a_training_takes_the_images_in_that_order(monkeypatch, recipe):
    """An epoch that leaves an image out may have a step less; PCG64 draws the weights alone."""
    data = tiny(20)
    recipe = recipe(network="4FC", batch=5, epochs=3, order="lfsr", rows=2, columns=2)
    trainer, seen = new_trainer(recipe, data), []
    before = trainer.random.bit_generator.state
    walk = trainer.step
    monkeypatch.setattr(
        trainer, "step", lambda x, *rest: seen.append(x[:, 0, 0].tolist()) or walk(x, *rest)
    )
    list(trainer.epochs(data))
    assert trainer.random.bit_generator.state == before
    orders = [lfsr_order(20, epoch).tolist() for epoch in range(3)]
    assert [len(order) for order in orders] == [19, 20, 20]
    batches = [order[at : at + 5] for order in orders for at in range(0, len(order) - 4, 5)]
    assert seen == batches and len(seen) == 3 + 4 + 4
    assert recipe.baseline().order == "lfsr"


def test_a_training_goes_on_in_that_order():
    data = tiny(20)
    recipe = GuptaRecipe(network="4FC", batch=5, epochs=3, order="lfsr", rows=2, columns=2)
    whole, part, rest = (new_trainer(recipe, data) for _ in range(3))
    results = list(whole.walk(data))
    walk = part.walk(data)
    for _ in range(5):
        next(walk)
    rest.restore(part.state())
    assert len(list(rest.walk(data))) == len(results) - 5
    assert all(np.array_equal(*pair) for pair in zip(whole.weights, rest.weights, strict=True))


def test_too_few_images_for_that_order_are_refused():
    recipe = WageRecipe(network="", batch=20, epochs=1, order="lfsr")
    with pytest.raises(ValueError, match="batch = 20: tiny has only 19 images to train with in an"):
        list(new_trainer(recipe, tiny(20)).walk(tiny(20)))
    with pytest.raises(ValueError, match="order = 'random': allowed are permutation, lfsr"):
        WageRecipe(order="random")
