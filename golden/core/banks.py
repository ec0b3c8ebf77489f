"""Memories of the core: banks of words with two ports, and stores of whole rows.

Data are two clocks behind their address. What is read of a word in the clock in which it is written
is the old word in a simulation, and not defined on a device.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from golden import check
from golden.borders import Border
from golden.fixed import WIDEST, Codes
from golden.port import Port
from golden.settings import check_settings, setting
from golden.stored import held
from golden.twin import Trace, Twin, frozen

#: Fraction of the clocks of a stimulus in which a word is written.
WRITES = 0.4


class Memory:
    """What the configurations of memories share."""

    #: Meaning of each figure.
    FIGURES: ClassVar[dict[str, str]] = {"latency": "Clocks from an address to its data."}

    @property
    def latency(self) -> int:
        """Clocks from an address to its data."""
        return 2

    def borders(self) -> list[Border]:
        """Return an empty list: words are not computed with."""
        return []


@dataclass(frozen=True, kw_only=True)
class BanksConfig(Memory):
    """Banks of words.

    Parameters
    ----------
    banks
        Number of banks, 1 to 255.
    words
        Words of each bank, 2 to 2^19.
    width
        Width of a word, 1 to 62 bits.

    Examples
    --------
    >>> config = BanksConfig(banks=12, words=2000)
    >>> config.address_bits, config.latency
    (11, 2)
    """

    banks: int = setting(8, "Number of banks", low=1, high=255)
    words: int = setting(256, "Words of each bank", low=2, high=1 << 19)
    width: int = setting(8, "Width of a word", low=1, high=WIDEST, unit="bits")

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def address_bits(self) -> int:
        """Width of an address."""
        return (self.words - 1).bit_length()

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        address, width, banks = self.address_bits, self.width, self.banks
        read = "the word that was addressed 2 clocks ago"
        return (
            Port("a_address", "in", address, lanes=banks, meaning="the words to be read"),
            Port("a_data", "out", width, lanes=banks, meaning=read),
            Port("b_address", "in", address, lanes=banks, meaning="those to be read or written"),
            Port("b_write", "in", 1, lanes=banks, meaning="the word is written at this clock edge"),
            Port("b_value", "in", width, lanes=banks, meaning="what is written"),
            Port("b_data", "out", width, lanes=banks, meaning=f"{read}, if it was not written"),
        )

    @property
    def throughput(self) -> str:
        """Operations per clock, and stalls."""
        return "in each bank a word is read, and one is read or written, per clock; never stalls"


@dataclass(frozen=True, kw_only=True)
class RowStoreConfig(Memory):
    """A store of rows.

    Parameters
    ----------
    rows
        Number of rows, 2 to 2^20.
    lanes
        Values of a row, 1 to 255.
    width
        Width of a value, 1 to 62 bits.

    Examples
    --------
    >>> RowStoreConfig(rows=100).row_bits
    7
    """

    rows: int = setting(256, "Number of rows", low=2, high=1 << 20)
    lanes: int = setting(8, "Values of a row", low=1, high=255)
    width: int = setting(21, "Width of a value", low=1, high=WIDEST, unit="bits")

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def row_bits(self) -> int:
        """Width of a row's number."""
        return (self.rows - 1).bit_length()

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        row, width, lanes = self.row_bits, self.width, self.lanes
        read = "the row that was addressed 2 clocks ago"
        return (
            Port("write", "in", 1, meaning="a row is written at this clock edge"),
            Port("to", "in", row, meaning="the row that is written"),
            Port("value", "in", width, lanes=lanes, meaning="what is written"),
            Port("row", "in", row, meaning="the row to be read"),
            Port("data", "out", width, lanes=lanes, meaning=read),
        )

    @property
    def throughput(self) -> str:
        """Operations per clock, and stalls."""
        return "a row is written and one is read per clock; never stalls"


@dataclass(frozen=True, eq=False)
class MemoryState:
    """State of the twin of a memory.

    Parameters
    ----------
    words
        All words, (banks, words) or (1, rows, lanes).
    shown
        Data of each port at the next clock and at the one after it, by the port's name.
    """

    words: Codes
    shown: dict[str, Codes]


class Banks(Twin[MemoryState]):
    """Twin of `hdl.Banks`.

    A reset changes nothing.

    Parameters
    ----------
    config
        The banks.

    Examples
    --------
    >>> twin = Banks(BanksConfig(banks=1))
    >>> write = {"b_address": [[7], [0], [0]], "b_write": [[1], [0], [0]]}
    >>> given = {**write, "b_value": [[5], [0], [0]], "a_address": [[0], [7], [0]]}
    >>> more = {name: np.pad(values, ((0, 1), (0, 0))) for name, values in given.items()}
    >>> twin.run(more)["a_data"].ravel().tolist()
    [0, 0, 0, 5]
    """

    has_reset = False

    def __init__(self, config: BanksConfig):
        check.instance("config", config, BanksConfig)
        self.config = config
        self.ports = config.ports

    def initial(self) -> MemoryState:
        """Return the state after power-up: all words are 0."""
        config = self.config
        words = np.zeros((config.banks, config.words), np.int64)
        data = frozen(np.zeros((2, config.banks), np.int64))
        return MemoryState(frozen(words), {"a_data": data, "b_data": data})

    def stretch(self, state: MemoryState, inputs: Trace) -> tuple[MemoryState, Trace]:
        """See `Twin`."""
        write = inputs["b_write"] != 0
        words = state.words.copy()
        found = {name: np.zeros_like(write, np.int64) for name in ("a_data", "b_data")}
        for bank in range(self.config.banks):
            read = {"a_data": inputs["a_address"][:, bank], "b_data": inputs["b_address"][:, bank]}
            values, words[bank] = held(
                state.words[bank],
                write[:, bank],
                inputs["b_address"][:, bank],
                inputs["b_value"][:, bank],
                list(read.values()),
            )
            for name, data in zip(read, values, strict=True):
                found[name][:, bank] = data
        return _late(state, words, found)

    def legal(self, rng: np.random.Generator, clocks: int) -> Trace:
        """Return accesses of few words, and of addresses that differ in one bit."""
        config = self.config
        shape = clocks, config.banks
        inputs = {
            "rst": (rng.random(clocks) < 0.01).astype(np.int64),
            "a_address": some_addresses(rng, config.words, shape),
            "b_address": some_addresses(rng, config.words, shape),
            "b_write": (rng.random(shape) < WRITES).astype(np.int64),
            "b_value": rng.integers(0, 1 << config.width, shape),
        }
        clash = (inputs["a_address"] == inputs["b_address"]) & (inputs["b_write"] != 0)
        inputs["a_address"][clash] = (inputs["a_address"][clash] + 1) % config.words
        return inputs


class RowStore(Twin[MemoryState]):
    """Twin of `hdl.RowStore`.

    A reset changes nothing.

    Parameters
    ----------
    config
        The store.

    Examples
    --------
    >>> twin = RowStore(RowStoreConfig(lanes=2))
    >>> given = {"write": [1, 0, 0, 0], "to": [3, 0, 0, 0], "row": [0, 3, 0, 0]}
    >>> twin.run({**given, "value": [[8, 9]] * 4})["data"].tolist()
    [[0, 0], [0, 0], [0, 0], [8, 9]]
    """

    has_reset = False

    def __init__(self, config: RowStoreConfig):
        check.instance("config", config, RowStoreConfig)
        self.config = config
        self.ports = config.ports

    def initial(self) -> MemoryState:
        """Return the state after power-up: all rows are 0."""
        words = np.zeros((1, self.config.rows, self.config.lanes), np.int64)
        data = np.zeros((2, self.config.lanes), np.int64)
        return MemoryState(frozen(words), {"data": frozen(data)})

    def stretch(self, state: MemoryState, inputs: Trace) -> tuple[MemoryState, Trace]:
        """See `Twin`."""
        (data,), rows = held(
            state.words[0], inputs["write"] != 0, inputs["to"], inputs["value"], [inputs["row"]]
        )
        return _late(state, rows[None], {"data": data})

    def legal(self, rng: np.random.Generator, clocks: int) -> Trace:
        """Return accesses of few rows, and of rows whose numbers differ in one bit."""
        config = self.config
        inputs = {
            "rst": (rng.random(clocks) < 0.01).astype(np.int64),
            "write": (rng.random(clocks) < WRITES).astype(np.int64),
            "to": some_addresses(rng, config.rows, (clocks,)),
            "value": rng.integers(0, 1 << config.width, (clocks, config.lanes)),
            "row": some_addresses(rng, config.rows, (clocks,)),
        }
        clash = (inputs["row"] == inputs["to"]) & (inputs["write"] != 0)
        inputs["row"][clash] = (inputs["row"][clash] + 1) % config.rows
        return inputs


def _late(state: MemoryState, words: Codes, found: Trace) -> tuple[MemoryState, Trace]:
    """Return the state after a stretch, and data two clocks behind their addresses."""
    shown, outputs = {}, {}
    for name, data in found.items():
        line = np.concatenate([state.shown[name], data])
        outputs[name], shown[name] = line[: len(data)].copy(), frozen(line[len(data) :])
    return MemoryState(frozen(words), shown), outputs


def some_addresses(rng: np.random.Generator, size: int, shape: tuple[int, ...]) -> Codes:
    """Return addresses near each other, single bits, the last ones, and any."""
    kinds = [
        rng.integers(0, min(size, 4), shape),
        np.minimum(np.int64(1) << rng.integers(0, (size - 1).bit_length(), shape), size - 1),
        size - 1 - rng.integers(0, min(size, 3), shape),
        rng.integers(0, size, shape),
    ]
    return np.choose(rng.integers(0, len(kinds), shape), kinds)
