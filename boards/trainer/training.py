"""What a board trains: a network on its core, samples, initial weights, and its lines of text."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from boards.link.text import check_word
from boards.link.uart_twin import BAUD, UartConfig
from boards.rom.player_twin import PlayerConfig
from boards.trainer.digest_twin import DigestConfig, weights_crc
from boards.trainer.order_twin import OrderConfig
from boards.trainer.samples_twin import SamplesConfig
from golden import check
from golden.core.beats import packed, sample_beats, weight_beats
from golden.core.clocks import running
from golden.core.edge import output_beat
from golden.core.lower import Compiled
from golden.core.schedule import predict, schedule
from golden.datasets import Dataset
from golden.training import new_trainer
from golden.training.recipe import SampleOrder
from golden.training.systems.wage.trainer import WageTrainer


@dataclass(frozen=True, kw_only=True, eq=False)
class Training:
    """A training that a board carries out by itself.

    Parameters
    ----------
    compiled
        The network on a core; its recipe's order of samples is `lfsr`.
    dataset
        Images and classes. All of them are in the board's memory.
    board
        Name of the board, for the lines of text: printable ASCII without braces and spaces.
    frequency
        Frequency of the clock in hertz.
    baud
        Baud rate of the serial line.

    Raises
    ------
    ValueError
        The recipe's order is another one, or the images cannot be sent as batches.
    """

    compiled: Compiled
    dataset: Dataset
    board: str
    frequency: float
    baud: int = BAUD

    def __post_init__(self) -> None:
        check_word("board", self.board)
        recipe = self.compiled.recipe
        if recipe.order != SampleOrder.LFSR:
            raise ValueError(
                f"order = {recipe.order}: a board takes its samples in the order lfsr, which a "
                "recipe has with order = lfsr"
            )
        images, tests = len(self.dataset.train_images), len(self.dataset.test_images)
        if images <= recipe.batch:
            raise ValueError(
                f"{images} images to train with: more than batch = {recipe.batch} are wanted"
            )
        if images % recipe.batch == 0:
            raise ValueError(
                f"{images} images to train with in batches of {recipe.batch}: an epoch may leave "
                "one image out, and would have a step less; take one image less"
            )
        if tests % recipe.batch and self._filler >= 1 << self._label_bits:
            raise ValueError(
                f"{tests} images to test with: with {self.compiled.classes} classes there is no "
                f"class left for what fills a batch; whole batches of {recipe.batch} are wanted"
            )
        UartConfig.at(self.frequency, self.baud)
        wanted = self.samples.order.clocks(recipe.epochs)
        clocks, _ = predict(self.compiled.config, self.compiled.train)
        if wanted > clocks - recipe.batch * self.samples.beats:
            raise ValueError(
                f"batch = {recipe.batch}: to find the samples of a step takes up to {wanted} "
                f"clocks, and a step has {clocks}, in which {recipe.batch * self.samples.beats} "
                "beats are sent"
            )

    @property
    def _filler(self) -> int:
        """A class that no sample has: images that fill a batch are wrong for certain."""
        return self.compiled.classes

    @property
    def _label_bits(self) -> int:
        """Bits of a class in the core."""
        return max(1, (self.compiled.classes - 1).bit_length())

    @property
    def name(self) -> str:
        """The network, as its layers' sizes."""
        shapes = self.digest.shapes
        return "-".join(str(size) for size in [shapes[0][0], *(columns for _, columns in shapes)])

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return len(self.dataset.train_images) // self.compiled.recipe.batch

    @property
    def tests(self) -> int:
        """Batches of a test."""
        return self.samples.tests // self.compiled.recipe.batch

    @property
    def fillers(self) -> int:
        """Images of zeros that fill the last batch of a test, all of them counted as wrong."""
        return self.samples.tests - self.samples.test

    @property
    def uart(self) -> UartConfig:
        """The serial line's configuration."""
        return UartConfig.at(self.frequency, self.baud)

    def trainer(self) -> WageTrainer:
        """Return the golden trainer at its beginning."""
        trainer = new_trainer(self.compiled.recipe, self.dataset)
        assert isinstance(trainer, WageTrainer)
        return trainer

    @cached_property
    def samples(self) -> SamplesConfig:
        """Samples and classes in block RAM."""
        core, data = self.compiled, self.dataset
        config, batch = core.config, core.recipe.batch
        trainer = self.trainer()
        tests = data.test_images
        images = np.concatenate([data.train_images, tests, np.zeros_like(tests[:1])])
        labels = np.concatenate(
            [data.train_labels, data.test_labels, [self._filler]], dtype=np.int64
        )
        inputs = np.concatenate([pixels for pixels, _ in trainer.batches(images)])[: len(images)]
        words = sample_beats(core, inputs, labels)[:, :-1].reshape(len(images), -1, config.banks)
        codes, places = np.unique(words[:, :-1], return_inverse=True)
        bits = max(1, (len(codes) - 1).bit_length())
        numbers = places.reshape(-1, config.banks).tolist()
        of_inputs = [packed(row, bits) for row in numbers]
        beats = words.shape[1]
        rom: list[int] = []
        for number, label in enumerate(labels.tolist()):
            rom += [*of_inputs[number * (beats - 1) : (number + 1) * (beats - 1)], label]
        return SamplesConfig(
            order=OrderConfig(images=len(data.train_images), taken=self.steps * batch, depth=batch),
            test=len(tests),
            batch=batch,
            beats=beats,
            banks=config.banks,
            width=config.word_bits,
            codes=tuple(codes.tolist()),
            rom=tuple(rom),
        )

    @cached_property
    def weights(self) -> PlayerConfig:
        """The initial weights as beats: words, the first in the lowest bits, then `last`."""
        config = self.compiled.config
        width = config.word_bits
        beats = weight_beats(self.compiled, self.trainer().weights).tolist()
        return PlayerConfig(
            width=config.banks * width + 1,
            words=tuple(
                packed(words, width) | last << config.banks * width for *words, last in beats
            ),
        )

    @property
    def digest(self) -> DigestConfig:
        """The checksum over all weights."""
        config, beat = self.compiled.config, output_beat(self.compiled.config)
        return DigestConfig(
            words=beat.words,
            bits=beat.width,
            width=config.bits.gradient,
            shapes=tuple((each.rows, each.columns) for each in self.compiled.layout.w),
        )

    @cached_property
    def clocks(self) -> int:
        """Clocks for which the core runs in an epoch's training."""
        return running(schedule(self.compiled.config, self.compiled.train, self.steps))


@dataclass(frozen=True, kw_only=True)
class Line:
    """What a board says of an epoch.

    Parameters
    ----------
    epoch
        The epoch, from 1; 0 is before the first one.
    wrong, of
        Images in a wrong class, and all images of the test.
    clocks
        Clocks for which the core has run in the epoch's training.
    crc
        Checksum of the weights: see `weights_crc`.

    Examples
    --------
    >>> print(Line(epoch=1, wrong=57, of=359, clocks=482_000, crc=0xBEEF))
    epoch=1 wrong=57 of=359 clocks=482000 crc=0000BEEF
    """

    epoch: int
    wrong: int
    of: int
    clocks: int
    crc: int

    def __str__(self) -> str:
        return (
            f"epoch={self.epoch} wrong={self.wrong} of={self.of} clocks={self.clocks} "
            f"crc={self.crc:08X}"
        )


def expected(training: Training) -> Iterator[Line]:
    """Yield what a board must say, by the golden trainer and the schedule.

    Parameters
    ----------
    training
        The training.

    Yields
    ------
    Line
        The line of each epoch, beginning with that of the initial weights.
    """
    data, width = training.dataset, training.digest.width
    trainer = training.trainer()
    of = len(data.test_images)
    wrong = trainer.evaluate(data.test_images, data.test_labels).wrong
    crc = weights_crc(trainer.weights, width)
    yield Line(epoch=0, wrong=wrong, of=of, clocks=0, crc=crc)
    for report in trainer.walk(data):
        if report is not None:
            yield Line(
                epoch=report.epoch,
                wrong=report.test.wrong,
                of=of,
                clocks=training.clocks,
                crc=weights_crc(trainer.weights, width),
            )


def shortened(dataset: Dataset, train: int | None, test: int | None) -> Dataset:
    """Return a data set with fewer images, the first ones.

    Raises
    ------
    ValueError
        It has fewer than are wanted.

    Examples
    --------
    >>> from golden.datasets import digits
    >>> small = shortened(digits(), 100, None)
    >>> len(small.train_images), len(small.test_images)
    (100, 359)
    """
    images, tests = len(dataset.train_images), len(dataset.test_images)
    train = check.whole("images to train with", images if train is None else train, 2, images)
    test = check.whole("images to test with", tests if test is None else test, 1, tests)
    return replace(
        dataset,
        train_images=dataset.train_images[:train],
        train_labels=dataset.train_labels[:train],
        test_images=dataset.test_images[:test],
        test_labels=dataset.test_labels[:test],
    )
