"""The configuration of the order of samples, and its twin: which numbers come, and when."""

from dataclasses import dataclass

import numpy as np

from golden import check
from golden.fixed import Codes
from golden.lfsr import MASKS
from golden.port import RESULT, Port
from golden.training.runs.samples import epoch_key, lfsr_numbers, table_width
from golden.twin import Trace, Twin


@dataclass(frozen=True, kw_only=True)
class OrderConfig:
    """The numbers of an epoch's samples, in the order `lfsr` of a recipe.

    Parameters
    ----------
    images
        Number of images, 2 to 2**20.
    taken
        Number of samples of an epoch, 1 to `images` - 1: an epoch may leave one image out.
    depth
        Numbers that are found ahead, 1 to 2**16.

    Examples
    --------
    >>> config = OrderConfig(images=1438, taken=1408, depth=64)
    >>> config.bits, config.clocks(epochs=80)
    (12, 267)
    """

    images: int
    taken: int
    depth: int

    def __post_init__(self) -> None:
        check.whole_fields(self, 2, 1 << 20, "images")
        check.whole_fields(self, 1, self.images - 1, "taken")
        check.whole_fields(self, 1, 1 << 16, "depth")

    @property
    def bits(self) -> int:
        """Bits of a number, and of the register that makes them."""
        return table_width(self.images)

    @property
    def mask(self) -> int:
        """What the register is changed by when a 1 is shifted out of it."""
        return MASKS[self.bits][0]

    @property
    def key(self) -> int:
        """What an epoch's key is higher by than that of the epoch before, modulo 2**bits."""
        return epoch_key(self.bits, 1)

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        return (
            Port("begin", "in", 1, meaning="begin the next epoch; the first one after a reset"),
            Port("primed", "out", 1, meaning="no number is looked for"),
            *RESULT,
            Port("o_data", "out", self.bits, meaning="number of a sample"),
        )

    def places(self, epoch: int) -> Codes:
        """Return how many numbers are looked at before each one that is found in an epoch."""
        return np.flatnonzero(lfsr_numbers(self.bits, epoch) < self.images)[: self.taken]

    def clocks(self, epochs: int) -> int:
        """Return the most clocks in which `depth` further numbers are found, in some epochs."""
        most = 0
        for epoch in range(epochs):
            places = np.append(-1, self.places(epoch))
            most = max(most, *(places[self.depth :] - places[: -self.depth]).tolist())
        return most


@dataclass(frozen=True)
class OrderState:
    """What is left of an epoch between two clocks.

    Parameters
    ----------
    epoch
        The epoch; -1 before the first one.
    looked
        Numbers that have been looked at.
    found, gone
        Numbers that have been found, and that have been taken.
    """

    epoch: int = -1
    looked: int = 0
    found: int = 0
    gone: int = 0


class SampleOrder(Twin[OrderState]):
    """Twin of the order of samples: `begin`, `o_ready` in; `primed`, `o_valid`, `o_data` out.

    From the clock after `begin` on, a number is looked at in each clock in which fewer than `depth`
    are there that have not been taken. A number of a sample is there at the clock after. `begin`
    drops what is there of the epoch before.

    `o_data` is not specified while `o_valid` is low; here it is 0.

    Parameters
    ----------
    config
        Images, and how many numbers are found ahead.

    Examples
    --------
    >>> twin = SampleOrder(OrderConfig(images=5, taken=4, depth=4))
    >>> begin = np.arange(600) == 0
    >>> out = twin.run({"begin": begin, "o_ready": np.ones(600, int)})
    >>> out["o_data"][out["o_valid"] == 1].tolist()
    [1, 3, 4, 2]
    """

    def __init__(self, config: OrderConfig):
        self.config = config
        self.ports = config.ports

    def initial(self) -> OrderState:
        return OrderState()

    def stretch(self, state: OrderState, inputs: Trace) -> tuple[OrderState, Trace]:
        config = self.config
        clocks = len(inputs["begin"])
        out = {name: np.zeros(clocks, np.int64) for name in ("primed", "o_valid", "o_data")}
        epoch, looked, found, gone = state.epoch, state.looked, state.found, state.gone
        places = config.places(max(0, epoch))
        numbers = lfsr_numbers(config.bits, max(0, epoch))[places]
        begins, ready = inputs["begin"].tolist(), inputs["o_ready"].tolist()
        for clock in range(clocks):
            looks = epoch >= 0 and found < config.taken and found - gone < config.depth
            out["primed"][clock] = not looks
            if found > gone:
                out["o_valid"][clock], out["o_data"][clock] = 1, numbers[gone]
                gone += ready[clock]
            if looks:
                found += int(looked == places[found])
                looked += 1
            if begins[clock]:
                epoch, looked, found, gone = epoch + 1, 0, 0, 0
                places = config.places(epoch)
                numbers = lfsr_numbers(config.bits, epoch)[places]
        return OrderState(epoch, looked, found, gone), out
