"""The configuration of the samples in block RAM, and its twin: which beats come, and when."""

from dataclasses import dataclass

import numpy as np

from boards.trainer.order_twin import OrderConfig, OrderState
from boards.trainer.order_twin import SampleOrder as OrderTwin
from golden import check
from golden.fixed import Codes
from golden.port import RESULT, Port
from golden.twin import Trace, Twin


@dataclass(frozen=True, kw_only=True)
class SamplesConfig:
    """Samples and their classes in block RAM, as beats of a core's input stream.

    A word of the memory has the beat's words as numbers of codes in `codes`, the first in the
    lowest bits; the last beat of a sample has the number of its class.

    Parameters
    ----------
    order
        Samples to train with, and how many of them make an epoch.
    test
        Samples to test with.
    batch
        Samples of a batch.
    beats
        Beats of a sample, with that of its class; at least 2.
    banks
        Words of a beat.
    width
        Bits of a word.
    codes
        The codes that words have.
    rom
        Samples to train with, samples to test with, and one that fills the last batch of these.

    Examples
    --------
    >>> config = SamplesConfig(
    ...     order=OrderConfig(images=2, taken=1, depth=1), test=1, batch=1, beats=2, banks=2,
    ...     width=4, codes=(0, 7, -7), rom=(1, 0, 2, 1, 6, 1, 0, 3))
    >>> config.code_bits, config.tests
    (2, 1)
    >>> config.beat(4).tolist(), config.beat(7).tolist()
    ([-7, 7], [3, 0])
    """

    order: OrderConfig
    test: int
    batch: int
    beats: int
    banks: int
    width: int
    codes: tuple[int, ...]
    rom: tuple[int, ...]

    #: Clocks from a number to the first beat of its sample, if nothing waits.
    latency = 3

    def __post_init__(self) -> None:
        check.whole_fields(self, 1, 1 << 20, "test", "batch")
        check.whole_fields(self, 2, 1 << 20, "beats")
        check.whole_fields(self, 1, 256, "banks")
        check.whole_fields(self, 1, 32, "width")
        check.whole("number of codes", len(self.codes), 1, 1 << self.width)
        most = (1 << self.width - 1) - 1
        codes = tuple(check.whole("code", code, -most - 1, most) for code in self.codes)
        object.__setattr__(self, "codes", codes)
        if self.order.taken % self.batch:
            raise ValueError(
                f"taken = {self.order.taken}: whole batches of {self.batch} are wanted"
            )
        size = (self.order.images + self.test + 1) * self.beats
        check.whole("words in rom", len(self.rom), size, size)
        top = (1 << self.banks * self.width) - 1
        rom = tuple(check.whole("word of rom", word, 0, top) for word in self.rom)
        object.__setattr__(self, "rom", rom)

    @property
    def code_bits(self) -> int:
        """Bits of the number of a code."""
        return max(1, (len(self.codes) - 1).bit_length())

    @property
    def rom_bits(self) -> int:
        """Bits of a word of the memory."""
        return max(self.banks * self.code_bits, *(word.bit_length() for word in self.rom))

    @property
    def tests(self) -> int:
        """Samples of a test: those to test with, in whole batches."""
        return -(-self.test // self.batch) * self.batch

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        return (
            Port("train", "in", 1, meaning="send the next epoch's samples"),
            Port("test", "in", 1, meaning="send the samples to test with"),
            Port("primed", "out", 1, meaning="as many samples are known ahead as can be"),
            *RESULT,
            Port("o_words", "out", self.width, True, self.banks, "words of a beat"),
            Port("o_last", "out", 1, meaning="the last beat of a batch"),
        )

    def beat(self, place: int) -> Codes:
        """Return the words of a beat."""
        word = self.rom[place]
        if place % self.beats < self.beats - 1:
            bits, mask = self.code_bits, (1 << self.code_bits) - 1
            return np.array([self.codes[word >> bits * k & mask] for k in range(self.banks)])
        places = self.width * np.arange(self.banks)
        parts = np.array([word >> int(k) & (1 << self.width) - 1 for k in places])
        return parts - (parts >> self.width - 1 << self.width)


#: A beat on its way: its place in the memory, and whether it is the last one of a batch.
Beat = tuple[int, bool]


@dataclass(frozen=True)
class SamplesState:
    """What is on its way between two clocks.

    Parameters
    ----------
    order
        State of the order of samples.
    testing
        Whether the samples to test with are sent.
    tested
        Number of samples to test with that have been begun.
    begun
        Samples of the batch that have been begun.
    way
        What is on its way, one entry a stage, the next one to come up last.
    """

    order: OrderState
    testing: bool = False
    tested: int = 0
    begun: int = 0
    way: tuple[Beat | None, ...] = (None,) * SamplesConfig.latency


class Samples(Twin[SamplesState]):
    """Twin of the samples: `train`, `test`, `o_ready` in; `primed`, `o_valid`, `o_words`, `o_last`
    out.

    A beat comes up three clocks after it is wanted: its sample's number must be there then, and
    the beats before it are on their way. All that is on its way stands still while a beat is up
    that is not taken. Numbers are those of `SampleOrder`, from `train` on; or from `test` on those
    of the samples to test with, the last of which is repeated until the batch is whole.

    Words and `o_last` are not specified while `o_valid` is low; here they are 0.

    Parameters
    ----------
    config
        The samples.

    Examples
    --------
    >>> twin = Samples(SamplesConfig(
    ...     order=OrderConfig(images=2, taken=1, depth=1), test=1, batch=1, beats=2, banks=2,
    ...     width=4, codes=(0, 7, -7), rom=(1, 0, 2, 1, 6, 1, 0, 3)))
    >>> given = {"train": np.zeros(6, int), "test": np.arange(6) == 0, "o_ready": np.ones(6, int)}
    >>> twin.run(given)["o_words"].tolist()
    [[0, 0], [0, 0], [0, 0], [0, 0], [-7, 7], [1, 0]]
    """

    def __init__(self, config: SamplesConfig):
        self.config = config
        self.ports = config.ports
        self.order = OrderTwin(config.order)

    def initial(self) -> SamplesState:
        return SamplesState(order=self.order.initial())

    def stretch(self, state: SamplesState, inputs: Trace) -> tuple[SamplesState, Trace]:
        config, beats = self.config, self.config.beats
        clocks = len(inputs["train"])
        out: Trace = {name: np.zeros(clocks, np.int64) for name in ("primed", "o_valid", "o_last")}
        out["o_words"] = np.zeros((clocks, config.banks), np.int64)
        order, testing, tested = state.order, state.testing, state.tested
        begun, way = state.begun, list(state.way)
        given = zip(*(inputs[name].tolist() for name in ("train", "test", "o_ready")))
        for clock, (train, test, ready) in enumerate(given):
            up, here = way[-1], way[0]
            if up is not None:
                out["o_valid"][clock], out["o_last"][clock] = 1, up[1]
                out["o_words"][clock] = config.beat(up[0])
            moves = up is None or bool(ready)
            begins = moves and (here is None or here[0] % beats == beats - 1)
            takes = begins and not testing
            order, of_order = self.order.stretch(
                order, {"begin": np.array([train]), "o_ready": np.array([int(takes)])}
            )
            out["primed"][clock] = testing or of_order["primed"][0]
            if moves:
                following: Beat | None = None
                if not begins:
                    assert here is not None
                    place = here[0] + 1
                    following = place, place % beats == beats - 1 and begun == config.batch
                else:
                    number: int | None = None
                    if testing and tested < config.tests:
                        number = config.order.images + min(tested, config.test)
                        tested += 1
                    elif not testing and of_order["o_valid"][0]:
                        number = int(of_order["o_data"][0])
                    if number is not None:
                        begun = begun % config.batch + 1
                        following = number * beats, False
                way = [following, *way[:-1]]
            if train or test:
                testing, tested = bool(test), 0
        return SamplesState(order, testing, tested, begun, tuple(way)), out
