"""A bank of LFSRs for several consumers: lanes leap in groups, and their states can be set and
read.

A unit with generators of its own starts from their seeds and cannot continue from other states. In
a training core, all lanes are in one bank instead: each column of the array leaps at its own
clocks, the lanes of the vector engine leap together, an evaluation works on copies of the states,
and a checkpoint includes every state. A unit that draws drives the port `leap` of its group.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from golden import check
from golden.borders import Border
from golden.fixed import Codes
from golden.lfsr import MOST_LANES, Generator
from golden.port import Port
from golden.settings import check_settings, setting
from golden.twin import Trace, Twin

#: The widest word in which a state is set and read, in bits.
STATE_WORD = 32


@dataclass(frozen=True, kw_only=True)
class BankConfig:
    """Lanes of random bits that leap in groups and whose states can be set and read.

    Parameters
    ----------
    generator
        The generator that all lanes share. A state of 64 bits is set and read as two words of 32
        bits side by side.
    groups
        Numbers of lanes that leap together, 255 lanes in all at most. For an array of C columns and
        V elementwise lanes: `(1,) * C + (V,)`.
    first_lane
        Number of the first lane, 0 to 254. All lanes have numbers below 255.

    Examples
    --------
    >>> config = BankConfig(groups=(1, 1, 2))
    >>> config.lanes, config.state_words, config.state_width
    (4, 1, 32)
    """

    #: Meaning of each figure.
    FIGURES: ClassVar[dict[str, str]] = {
        "latency": "Clocks from a `load` to the lane's new word, and from a `lane` to its state."
    }

    generator: Generator = setting(
        Generator(),
        "The generator that all lanes share",
        more="A state of 64 bits is set and read as two words of 32 bits side by side.",
    )
    groups: tuple[int, ...] = setting(
        (1, 1, 1, 1, 4),
        "Numbers of lanes that leap together, 255 lanes in all at most",
        more="For an array of C columns and V elementwise lanes: `(1,) * C + (V,)`.",
        form="N,N,...",
    )
    first_lane: int = setting(
        0,
        "Number of the first lane",
        low=0,
        high=MOST_LANES - 1,
        more="All lanes have numbers below 255.",
    )

    def __post_init__(self) -> None:
        check_settings(self)
        check.whole("number of groups", len(self.groups), 1, MOST_LANES)
        for size in self.groups:
            check.whole("size of a group", size, 1, MOST_LANES)
        self.generator.require_lanes(self.first_lane + self.lanes)

    @property
    def lanes(self) -> int:
        """Total number of lanes."""
        return sum(self.groups)

    @property
    def state_words(self) -> int:
        """Number of words in which a state is set and read."""
        return -(-self.generator.bits // STATE_WORD)

    @property
    def state_width(self) -> int:
        """Width of these words."""
        return min(self.generator.bits, STATE_WORD)

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        width, words = self.state_width, self.state_words
        lane: tuple[Port, ...] = ()
        if self.lanes > 1:
            bits, meaning = (self.lanes - 1).bit_length(), "the lane to set or to read, from 0"
            lane = (Port("lane", "in", bits, meaning=meaning),)
        leap = "the lanes of the group leap at this clock edge"
        load = "the lane gets `load_state`, unless that is 0"
        loaded = "the state to be loaded, in words, the low one first"
        word = "random bits, a word for each lane; always valid"
        shown = "state of the lane that was addressed 2 clocks ago, as it was 1 clock ago"
        return (
            Port("leap", "in", 1, lanes=len(self.groups), meaning=leap),
            *lane,
            Port("load", "in", 1, meaning=load),
            Port("load_state", "in", width, lanes=words, meaning=loaded),
            Port("word", "out", self.generator.draw, lanes=self.lanes, meaning=word),
            Port("state", "out", width, lanes=words, meaning=shown),
        )

    @property
    def latency(self) -> int:
        """Clocks from a `load` to the lane's new word, and from a `lane` to its state."""
        return 2

    def borders(self) -> list[Border]:
        """Return an empty list: no operand is rounded or compared."""
        return []

    @property
    def throughput(self) -> str:
        """Operations per clock, and stalls."""
        return "any groups leap, one state is set and one is read per clock; never stalls"


@dataclass(frozen=True)
class BankState:
    """State of the twin of `hdl.Bank`.

    Parameters
    ----------
    states
        State of every lane; its low bits are at the port `word`.
    lane
        Lane addressed at the previous clock, counted from 0 in the bank; -1 if there is no lane
        with that number.
    load
        State given for that lane; 0 for none.
    shown
        State at the port `state`.
    """

    states: tuple[int, ...]
    lane: int
    load: int
    shown: int


class Bank(Twin[BankState]):
    """Twin of `hdl.Bank`: inputs `leap` (clocks, groups), `lane`, `load` and `load_state` (clocks,
    words of a state); outputs `word` (clocks, lanes) and `state` (clocks, words of a state).

    With one lane there is no port `lane`.

    Parameters
    ----------
    config
        Generator and groups.

    Examples
    --------
    >>> bank = Bank(BankConfig(groups=(1, 2)))
    >>> leap = np.array([[1, 0], [1, 0], [0, 0]])
    >>> off = np.zeros(3, np.int64)
    >>> given = {"leap": leap, "lane": off, "load": off, "load_state": off[:, None]}
    >>> bank.run(given)["word"][:, 0].tolist() == [0x0001, 0x4600, 0x0001]
    True
    """

    def __init__(self, config: BankConfig):
        check.instance("config", config, BankConfig)
        self.config = config
        self.ports = config.ports
        lanes = range(config.first_lane, config.first_lane + config.lanes)
        self._seeds = tuple(config.generator.lane_seed(lane) for lane in lanes)

    def initial(self) -> BankState:
        """Return the reset state: every lane at its seed, lane 0 addressed."""
        return BankState(states=self._seeds, lane=0, load=0, shown=0)

    def stretch(self, state: BankState, inputs: Trace) -> tuple[BankState, Trace]:
        """See `Twin`."""
        config = self.config
        clocks, lanes = len(inputs["load"]), config.lanes

        # Addresses and loads take effect one clock later.
        lane = inputs.get("lane", np.zeros(clocks, np.int64))
        lane = np.concatenate([[state.lane], np.where(lane < lanes, lane, -1)])
        given = _joined(inputs["load_state"]) * inputs["load"].astype(np.uint64)
        given = np.concatenate([np.array([state.load], np.uint64), given])
        loads = (lane[:-1, None] == np.arange(lanes)) & (given[:-1, None] != 0)
        leaps = np.repeat(inputs["leap"], config.groups, axis=1) != 0

        # Each lane passes through a sequence of states; every leap or load begins the next one.
        left = np.zeros((clocks + 1, lanes), np.intp)
        np.cumsum(loads | leaps, axis=0, out=left[1:])
        firsts = np.concatenate([[0], np.cumsum(left[-1] + 1)[:-1]]).astype(np.intp)
        place = left + firsts
        starts = np.zeros(int(place[-1, -1]) + 1, np.uint64)
        starts[firsts] = np.array(state.states, np.uint64)
        clock, number = np.nonzero(loads)
        starts[place[clock + 1, number]] = given[clock]
        passed = _passed(config.generator, starts)

        now = passed[place]
        addressed = np.maximum(lane, 0)
        read = np.where(lane < 0, np.uint64(0), now[np.arange(clocks + 1), addressed])
        shown = np.concatenate([np.array([state.shown], np.uint64), read[:-1]])
        after = BankState(tuple(now[-1].tolist()), int(lane[-1]), int(given[-1]), int(shown[-1]))
        drawn = now[:-1] & np.uint64((1 << config.generator.draw) - 1)
        return after, {"word": drawn.astype(np.int64), "state": self._split(shown[:-1])}

    def _split(self, states: NDArray[np.uint64]) -> Codes:
        """Return states as words, (states, words), the low word first."""
        config = self.config
        mask = np.uint64((1 << config.state_width) - 1)
        words = [states >> np.uint64(STATE_WORD * k) & mask for k in range(config.state_words)]
        return np.stack(words, axis=1).astype(np.int64)


def _joined(words: Codes) -> NDArray[np.uint64]:
    """Return the states of words (states, words), the low word first."""
    shifts = np.arange(words.shape[1], dtype=np.uint64) * np.uint64(STATE_WORD)
    joined: NDArray[np.uint64] = np.bitwise_or.reduce(words.astype(np.uint64) << shifts, axis=1)
    return joined


def _passed(generator: Generator, starts: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return a sequence of states, each one leap after the previous one, except at starts.

    The state n leaps after a start is computed from an earlier one: if 2^k is the highest bit of n,
    from the state n - 2^k leaps after the start. 2^k leaps are one linear map, a table look-up for
    each byte of the state, so there is no loop over clocks.

    Parameters
    ----------
    generator
        The generator.
    starts
        States that do not follow from the previous one, (states,); 0 for all others. The first
        state must be given.

    Returns
    -------
    NDArray[np.uint64]
        All states, (states,).
    """
    numbers = np.arange(len(starts))
    leaps = numbers - np.maximum.accumulate(np.where(starts != 0, numbers, 0))
    states = starts.copy()
    for level in range(int(leaps.max()).bit_length()):
        made = np.flatnonzero(leaps >> level == 1)
        tables = _tables(generator, level)
        before = states[made - (1 << level)]
        for byte, table in enumerate(tables):
            states[made] ^= table[(before >> np.uint64(8 * byte) & np.uint64(0xFF)).astype(np.intp)]
    return states


@lru_cache(maxsize=256)
def _tables(generator: Generator, level: int) -> NDArray[np.uint64]:
    """Return tables of 2^level leaps, (bytes, 256), one for each byte of a state.

    The result is the XOR of all look-ups.
    """
    tables = np.zeros((-(-generator.bits // 8), 256), np.uint64)
    for bit in range(generator.bits):
        byte, place = divmod(bit, 8)
        image = np.uint64(generator.advance(1 << bit, generator.leap << level))
        tables[byte, 1 << place : 2 << place] = tables[byte, : 1 << place] ^ image
    return tables
