"""The player's configuration and its twin: when the words of a ROM come up on a stream."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from golden import check
from golden.port import Port
from golden.twin import Trace, Twin

#: Deepest memory of a self-test.
DEEPEST = 1 << 24


def check_words(config: Any) -> None:
    """Check that a configuration has 1 to `DEEPEST` words of `width` bits, 1 to 4096; make all of
    them Python's integers.
    """
    check.whole_fields(config, 1, 4096, "width")
    check.whole("number of words", len(config.words), 1, DEEPEST)
    most = (1 << config.width) - 1
    words = tuple(check.whole("word", word, 0, most) for word in config.words)
    object.__setattr__(config, "words", words)


@dataclass(frozen=True, kw_only=True)
class PlayerConfig:
    """A player.

    Parameters
    ----------
    width
        Bits of a word, 1 to 4096.
    words
        The words, each from 0 to 2**width - 1.

    Examples
    --------
    >>> PlayerConfig(width=4, words=(3, 15)).latency
    2
    """

    width: int
    words: tuple[int, ...]

    #: Clocks from the reset state to the clock in which the first word can be valid.
    latency = 2

    def __post_init__(self) -> None:
        check_words(self)

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        return (
            Port("go", "in", 1, meaning="a word may come up at the next clock"),
            Port("o_valid", "out", 1, meaning="a word is up; it stays until it is taken"),
            Port("o_ready", "in", 1, meaning="the word is taken at this clock edge"),
            Port("o_data", "out", self.width, meaning="the word; not specified without one"),
        )


@dataclass(frozen=True)
class PlayerState:
    """What a player keeps between two clocks.

    Parameters
    ----------
    started
        Whether a clock has passed since the reset.
    number
        Number of the next word.
    word
        The word that is up, if one is.
    """

    started: bool = False
    number: int = 0
    word: int | None = None


class Player(Twin[PlayerState]):
    """Twin of the player: `go`, `o_ready` in; `o_valid`, `o_data` out.

    A clock with `go` high lets the next word come up at the clock after it, if the output is empty
    or its word is being taken, and the clock is not the first after a reset (the ROM is read in
    it). Words follow each other at one per clock. `o_data` is not specified while `o_valid` is low;
    here it is 0.

    Parameters
    ----------
    config
        Width and words.

    Examples
    --------
    >>> twin = Player(PlayerConfig(width=4, words=(3, 15)))
    >>> twin.run({"go": [1, 1, 1, 1, 1], "o_ready": [1, 1, 1, 1, 1]})["o_data"].tolist()
    [0, 0, 3, 15, 0]
    """

    def __init__(self, config: PlayerConfig):
        self.config = config
        self.ports = config.ports

    def initial(self) -> PlayerState:
        return PlayerState()

    def stretch(self, state: PlayerState, inputs: Trace) -> tuple[PlayerState, Trace]:
        words = self.config.words
        go, ready = inputs["go"].tolist(), inputs["o_ready"].tolist()
        valid, payload = np.zeros(len(go), np.int64), np.zeros(len(go), np.int64)
        started, number, word = state.started, state.number, state.word
        for clock in range(len(go)):
            if word is not None:
                valid[clock], payload[clock] = 1, word
            if word is None or ready[clock]:
                word = None
                if go[clock] and started and number < len(words):
                    word = words[number]
                    number += 1
            started = True
        return PlayerState(started, number, word), {"o_valid": valid, "o_data": payload}
