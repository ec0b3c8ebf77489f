"""The configuration of a blink code, and its twin: the LED at every clock."""

from dataclasses import dataclass

import numpy as np

from golden import check
from golden.port import Port
from golden.twin import Trace, Twin

#: The most flashes of a round.
FLASHES = 15
#: How many times as long as a flash the pause after the last one is.
PAUSE = 5


@dataclass(frozen=True, kw_only=True)
class BlinkConfig:
    """A blink code.

    Parameters
    ----------
    clocks
        Clocks of a flash, and of the dark before the next one; 2 to 2**28.

    Examples
    --------
    >>> BlinkConfig.at(25e6)
    BlinkConfig(clocks=3125000)
    """

    clocks: int

    def __post_init__(self) -> None:
        check.whole_fields(self, 2, 1 << 28, "clocks")

    @classmethod
    def at(cls, frequency: float) -> "BlinkConfig":
        """Return a blink code of four flashes a second at a clock of `frequency` hertz."""
        return cls(clocks=max(2, round(frequency / 8)))

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        return (
            Port("number", "in", 4, meaning="flashes of the next round"),
            Port("led", "out", 1, meaning="the LED"),
        )


@dataclass(frozen=True)
class BlinkState:
    """The round that runs.

    Parameters
    ----------
    clock
        Clock of the round, from 0.
    flashes
        Its flashes.
    led
        The LED.
    """

    clock: int = 0
    flashes: int = 0
    led: int = 0


class Blink(Twin[BlinkState]):
    """Twin of the blink code: `number` in, `led` out.

    The LED is a clock behind. Clock 0 of a round reads `number`, which holds from clock 1 on; so
    the first flash after a round of none is a clock shorter. A round of n flashes has 2 n + 5 times
    the clocks of a flash.

    Parameters
    ----------
    config
        Clocks of a flash.

    Examples
    --------
    >>> Blink(BlinkConfig(clocks=2)).run({"number": [1] * 12})["led"].tolist()
    [0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    """

    def __init__(self, config: BlinkConfig):
        self.config = config
        self.ports = config.ports

    def initial(self) -> BlinkState:
        return BlinkState()

    def stretch(self, state: BlinkState, inputs: Trace) -> tuple[BlinkState, Trace]:
        numbers = inputs["number"].tolist()
        found = np.zeros(len(numbers), np.int64)
        clock, flashes, led = state.clock, state.flashes, state.led
        for at, number in enumerate(numbers):
            found[at] = led
            slot = clock // self.config.clocks
            led = int(slot % 2 == 0 and slot // 2 < flashes)
            clock += 1
            if clock == 1:
                flashes = number
            elif clock == (2 * flashes + PAUSE) * self.config.clocks:
                clock = 0
        return BlinkState(clock, flashes, led), {"led": found}
