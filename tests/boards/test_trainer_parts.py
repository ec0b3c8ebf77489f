"""The parts of a trainer against their twins, at every clock: stalls and resets too."""

import zlib

import numpy as np
import pytest
from small_cores import random_images, small

from boards.trainer import (
    blink,
    blink_twin,
    digest,
    digest_twin,
    order,
    order_twin,
    samples,
    samples_twin,
)
from boards.trainer.blink_twin import BlinkConfig
from boards.trainer.digest_twin import DigestConfig, weights_crc
from boards.trainer.order_twin import OrderConfig
from boards.trainer.samples_twin import SamplesConfig
from boards.trainer.training import Training, shortened
from golden.core.beats import sample_beats
from golden.core.lower import compiled
from golden.training.runs.samples import lfsr_order
from tests.boards.test_gateware import SPECIFIED, agrees, bits

SPECIFIED[order.SampleOrder] = {"o_data": [("o_valid", 1)]}
SPECIFIED[digest.Digest] = {}
SPECIFIED[blink.Blink] = {}
SPECIFIED[samples.Samples] = {name: [("o_valid", 1)] for name in ("o_words", "o_last")}

ORDERS = {
    "few": OrderConfig(images=5, taken=4, depth=4),
    "one ahead": OrderConfig(images=200, taken=190, depth=1),
    "all but one": OrderConfig(images=256, taken=255, depth=30),
    "one taken": OrderConfig(images=2, taken=1, depth=3),
}


@pytest.mark.parametrize("config", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("ready", [1, 0.5])
def test_an_order_is_its_twin(config, ready):
    rng = np.random.default_rng(2)
    clocks = 1500
    inputs = {
        "begin": bits(rng, clocks, 0.004),
        "o_ready": bits(rng, clocks, ready),
        "rst": bits(rng, clocks, 0.002),
    }
    assert agrees(order.SampleOrder(config), order_twin.SampleOrder(config), inputs)[
        "o_valid"
    ].any()


@pytest.mark.parametrize("config", ORDERS.values(), ids=ORDERS)
def test_epochs_have_the_order_of_a_recipe(config):
    clocks = 3 << config.bits
    begin = np.arange(4 * clocks) % clocks == 0
    inputs = {"begin": begin.astype(int), "o_ready": np.ones(4 * clocks, int)}
    out = agrees(order.SampleOrder(config), order_twin.SampleOrder(config), inputs)
    for epoch, (valid, numbers) in enumerate(
        zip(np.split(out["o_valid"], 4), np.split(out["o_data"], 4))
    ):
        wanted = lfsr_order(config.images, epoch)[: config.taken]
        assert numbers[valid == 1].tolist() == wanted.tolist()


def some_samples(images, batch, test, banks, width, codes, beats, depth=3, seed=0):
    rng = np.random.default_rng(seed)
    size = (images + test + 1) * beats
    top = max(1, (codes - 1).bit_length())
    rom = rng.integers(0, codes, (size, banks)) << top * np.arange(banks)
    words = rom.sum(axis=1)
    words[beats - 1 :: beats] = rng.integers(0, 1 << min(8, banks * width), images + test + 1)
    return SamplesConfig(
        order=OrderConfig(images=images, taken=(images - 1) // batch * batch, depth=depth),
        test=test,
        batch=batch,
        beats=beats,
        banks=banks,
        width=width,
        codes=tuple((np.arange(codes) - codes // 2).tolist()),
        rom=tuple(words.tolist()),
    )


SAMPLES = {
    "whole batches": some_samples(200, 5, 10, banks=2, width=4, codes=5, beats=3),
    "a batch of one": some_samples(3, 1, 1, banks=1, width=8, codes=1, beats=2),
    "a batch to fill": some_samples(250, 4, 5, banks=8, width=3, codes=8, beats=9),
}


@pytest.mark.parametrize("config", SAMPLES.values(), ids=SAMPLES)
@pytest.mark.parametrize(("ready", "resets"), [(1, 0), (0.5, 0.002)])
def test_samples_are_their_twin(config, ready, resets):
    rng = np.random.default_rng(3)
    clocks = 1200
    begins = bits(rng, clocks, 0.006)
    train = begins & bits(rng, clocks, 0.5)
    inputs = {
        "train": train,
        "test": begins & ~train,
        "o_ready": bits(rng, clocks, ready),
        "rst": bits(rng, clocks, resets),
    }
    assert agrees(samples.Samples(config), samples_twin.Samples(config), inputs)["o_valid"].any()


DIGESTS = {
    "a code": DigestConfig(words=1, bits=5, width=3, shapes=((1, 1),)),
    "rows that end in a beat": DigestConfig(words=4, bits=21, width=8, shapes=((3, 6), (6, 3))),
    "two bytes a code": DigestConfig(words=3, bits=16, width=11, shapes=((2, 3), (3, 7), (7, 1))),
}


@pytest.mark.parametrize("config", DIGESTS.values(), ids=DIGESTS)
@pytest.mark.parametrize("resets", [0, 0.01])
def test_a_checksum_is_its_twin(config, resets):
    rng = np.random.default_rng(4)
    clocks = 500
    inputs = {
        "i_valid": bits(rng, clocks, 0.6),
        "i_words": rng.integers(
            -1 << config.bits - 1, 1 << config.bits - 1, (clocks, config.words)
        ),
        "i_last": bits(rng, clocks, 0.5),
        "rst": bits(rng, clocks, resets),
    }
    out = agrees(digest.Digest(config), digest_twin.Digest(config), inputs)
    assert out["done"].any()


def test_a_checksum_is_that_of_the_weights_bytes():
    shapes = ((3, 6), (6, 3))
    rng = np.random.default_rng(5)
    weights = [rng.integers(-127, 128, shape) for shape in shapes]
    assert weights_crc(weights, 8) == zlib.crc32(
        b"".join(each.astype("<i1").tobytes() for each in weights)
    )
    wide = [each * 200 for each in weights]
    assert weights_crc(wide, 16) == zlib.crc32(
        b"".join(each.astype("<i2").tobytes() for each in wide)
    )
    config = DigestConfig(words=4, bits=8, width=8, shapes=shapes)
    beats = np.concatenate(
        [np.pad(each, ((0, 0), (0, -each.shape[1] % 4))).reshape(-1, 4) for each in weights]
    )
    taken = np.zeros((200, 4), int)
    # A beat of n codes takes n + 1 clocks.
    taken[np.cumsum([0, *(n + 1 for n in config.codes[:-1])])] = beats
    ones = np.ones(200, int)
    inputs = {"i_valid": ones, "i_words": taken, "i_last": ones}
    out = agrees(digest.Digest(config), digest_twin.Digest(config), inputs)
    assert out["done"][-1] and out["crc"][-1] == weights_crc(weights, 8)


@pytest.mark.parametrize("clocks", [2, 3, 10])
@pytest.mark.parametrize("resets", [0, 0.004])
def test_a_blink_code_is_its_twin(clocks, resets):
    rng = np.random.default_rng(clocks)
    config = BlinkConfig(clocks=clocks)
    inputs = {"number": rng.integers(0, 16, 1500), "rst": bits(rng, 1500, resets)}
    out = agrees(blink.Blink(config), blink_twin.Blink(config), inputs)
    assert out["led"].any() and not out["led"].all()


def test_a_blink_code_flashes_as_often_as_the_number_says():
    config = BlinkConfig(clocks=4)
    led = blink_twin.Blink(config).run({"number": np.full(22 * 4 * 3, 3)})["led"]
    begins = np.flatnonzero(np.diff(led) == 1)
    # Three flashes of 4 clocks with 4 of dark between, and a pause of 20 beside the last one's.
    assert np.diff(begins)[:6].tolist() in ([8, 8, 28, 8, 8, 28], [7, 8, 28, 8, 8, 28])


def test_samples_come_as_a_core_takes_them():
    """Whole epochs and tests of a training, beat by beat, as golden makes them of its batches."""
    recipe = small(batch=6, epochs=2, order="lfsr")
    data = shortened(random_images((3, 3, 1), 5, count=33), None, 8)
    core = compiled(recipe, data.shape, data.classes)
    training = Training(compiled=core, dataset=data, board="desk", frequency=4 * 115200)
    config = training.samples
    clocks = 4000
    when = np.arange(clocks)
    inputs = {
        "train": ((when == 0) | (when == 2000)).astype(int),
        "test": (when == 1000).astype(int),
        "o_ready": np.ones(clocks, int),
    }
    out = samples_twin.Samples(config).run(inputs)
    trainer = training.trainer()

    def wanted(images, labels):
        batches = [pixels for pixels, _ in trainer.batches(images)]
        fill = len(batches) * 6 - len(labels)
        given = np.concatenate([labels, np.full(fill, data.classes)]).reshape(-1, 6)
        return np.concatenate([sample_beats(core, *each) for each in zip(batches, given)])

    for first, last, must in (
        (0, 1000, of_epoch(data, 0)),
        (1000, 2000, (data.test_images, data.test_labels)),
        (2000, clocks, of_epoch(data, 1)),
    ):
        part = slice(first, last)
        taken = out["o_valid"][part] == 1
        got = np.column_stack([out["o_words"][part][taken], out["o_last"][part][taken]])
        assert np.array_equal(got, wanted(*must))


def of_epoch(data, epoch):
    order = lfsr_order(len(data.train_images), epoch)[: len(data.train_images) // 6 * 6]
    return data.train_images[order], data.train_labels[order]
