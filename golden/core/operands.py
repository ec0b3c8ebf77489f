"""One operand of a product: from the index of its first lane to the words of all lanes.

Word f of a store is in bank f mod N at the address f div N. Lane j's word is a number of words
behind that of lane 0, its offset, which is j modulo N, so that no two lanes need the same bank. An
index becomes addresses at the banks, where one store is read; the banks' words go back to the
lanes. The offsets are found by three loops over lanes, while those found before are in use.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from golden import check
from golden.borders import Border
from golden.core.banks import some_addresses
from golden.core.isa import LANE_LOOPS
from golden.fixed import WIDEST, Codes
from golden.port import Port, completed, inputs_of
from golden.settings import Bound, check_settings, setting
from golden.twin import Trace, Twin, frozen

#: Bits of a number of lanes, which is stored less one.
LANE_BITS = 8
#: Fractions of the loops of a stimulus that others cut, and that are taken before their last lane.
CUT, EARLY = 0.1, 0.15


@dataclass(frozen=True, kw_only=True)
class OperandStreamConfig:
    """Sizes of one operand, and of the stores that it is read from.

    Parameters
    ----------
    banks
        Banks of each store, 1 to 255.
    lanes
        Lanes of the operand, 1 to banks.
    address_bits
        Width of an address in a bank, 1 to 19 bits.
    width
        Width of a word, 1 to 62 bits.
    stores
        Number of stores, 1 to 16.

    Examples
    --------
    >>> config = OperandStreamConfig(banks=12, lanes=8)
    >>> config.address_latency, config.data_latency, config.latency, config.table_latency
    (3, 5, 7, 10)
    """

    #: Meaning of each figure.
    FIGURES: ClassVar[dict[str, str]] = {
        "latency": "Clocks from an index to the words at the lanes.",
        "address_latency": "Clocks from an index to the addresses at the banks.",
        "data_latency": "Clocks from an index to the banks' words.",
        "table_latency": "Clocks from `start` to the first index with the new offsets.",
    }

    banks: int = setting(8, "Banks of each store", low=1, high=255)
    lanes: int = setting(
        8, "Lanes of the operand", low=1, high=Bound("banks", lambda config: config.banks)
    )
    address_bits: int = setting(10, "Width of an address in a bank", low=1, high=19, unit="bits")
    width: int = setting(8, "Width of a word", low=1, high=WIDEST, unit="bits")
    stores: int = setting(3, "Number of stores", low=1, high=16)

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def bank_bits(self) -> int:
        """Width of a bank's number; 0 for one bank."""
        return (self.banks - 1).bit_length()

    @property
    def store_bits(self) -> int:
        """Width of a store's number; 0 for one store."""
        return (self.stores - 1).bit_length()

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        found = [
            Port(
                "loops_count",
                "in",
                LANE_BITS,
                lanes=LANE_LOOPS,
                meaning="iterations of the loops over lanes, less 1; the last one is the innermost",
            ),
            Port(
                "loops_high",
                "in",
                self.address_bits,
                lanes=LANE_LOOPS,
                meaning="strides of these loops div banks",
            ),
            Port("start", "in", 1, meaning="offsets are found by the loops from now on"),
            Port("takes", "in", 1, meaning="they are those of the next clock's index"),
        ]
        if self.store_bits:
            found.append(Port("source", "in", self.store_bits, meaning="store of the words"))
        found.append(Port("high", "in", self.address_bits, meaning="address of lane 0's word"))
        if self.bank_bits:
            found.append(Port("low", "in", self.bank_bits, meaning="bank of lane 0's word"))
        data = f"words of the banks of {'every store' if self.stores > 1 else 'the store'}"
        if self.stores > 1:
            data += f", bank b of store s at {self.banks} s + b"
        return (
            *found,
            Port("there", "in", LANE_BITS, meaning="lanes that are there, less 1"),
            Port("gap", "in", 1, meaning="no lane is there"),
            Port(
                "address",
                "out",
                self.address_bits,
                lanes=self.banks,
                meaning="addresses at the banks, 3 clocks later; 0 without a lane",
            ),
            Port(
                "reads",
                "out",
                1,
                lanes=self.stores,
                meaning="the store is the source of these addresses",
            ),
            Port("data", "in", self.width, lanes=self.stores * self.banks, meaning=data),
            Port(
                "words",
                "out",
                self.width,
                lanes=self.lanes,
                meaning="words of the lanes, 7 clocks after their index; 0 for a lane that is not "
                "there",
            ),
        )

    @property
    def address_latency(self) -> int:
        """Clocks from an index to the addresses at the banks."""
        return 3  # lanes are added 1, lanes to banks 2

    @property
    def data_latency(self) -> int:
        """Clocks from an index to the banks' words."""
        return self.address_latency + 2  # those of a memory

    @property
    def latency(self) -> int:
        """Clocks from an index to the words at the lanes."""
        return self.data_latency + 2  # banks to lanes

    @property
    def table_latency(self) -> int:
        """Clocks from `start` to the first index with the new offsets."""
        return 1 + self.lanes + 1  # the loops begin, a lane per clock, `takes`

    @property
    def throughput(self) -> str:
        """Operations per clock, and stalls."""
        return "an index, and a word for each lane, per clock; never stalls"

    def borders(self) -> list[Border]:
        """Return an empty list: `OperandStream.legal` makes the stimulus."""
        return []


def offsets(loops: Sequence[tuple[int, int]], config: OperandStreamConfig) -> Codes:
    """Return the distance of each lane's word from that of lane 0, in words.

    A loop's stride is a multiple of the number of banks, plus the number of lanes in one of its
    iterations. Lanes behind the loops' last iteration follow it as a run.

    Parameters
    ----------
    loops
        Iterations of each loop over lanes, and its stride div banks; the last one is the innermost.
    config
        Numbers of lanes and banks.

    Returns
    -------
    Codes
        int64, (lanes,).

    Examples
    --------
    >>> config = OperandStreamConfig(banks=5, lanes=5)
    >>> offsets([(1, 0), (2, 2), (3, 1)], config).tolist()  # strides of 13 and 6 words
    [0, 6, 12, 13, 19]
    """
    lane = np.arange(config.lanes)
    last = prod(count for count, _ in loops) - 1
    iteration = np.minimum(lane, last)
    found, inside = lane - iteration, 1
    for count, high in reversed(loops):
        found = found + iteration % count * (high * config.banks + inside)
        iteration, inside = iteration // count, inside * count
    return found


@dataclass(frozen=True, eq=False)
class OperandState:
    """State of the twin of `hdl.OperandStream`.

    Parameters
    ----------
    table
        Offsets in use, (lanes,).
    found, finding
        Those that were found before the last `start`, and those of its loops, (lanes,).
    since
        Clocks since that `start`; at most `table_latency`.
    late
        What is still on its way: addresses (3, banks) and sources (3, stores), places of the words
        (5, lanes) and the words (2, lanes).
    """

    table: Codes
    found: Codes
    finding: Codes
    since: int
    late: dict[str, Codes]


class OperandStream(Twin[OperandState]):
    """Twin of `hdl.OperandStream`.

    The loops stay as they are from `start` on for as many clocks as there are lanes. Lane j's
    offset is found j + 1 clocks after `start`, unless there is another `start` by then. A `takes`
    in a later clock takes it; one before takes the older offset of that lane. A reset changes
    nothing.

    Parameters
    ----------
    config
        The sizes.

    Examples
    --------
    >>> twin = OperandStream(OperandStreamConfig(banks=5, lanes=3, stores=1))
    >>> inputs = completed(inputs_of(twin.ports), {}, 8)
    >>> inputs["high"][0], inputs["low"][0], inputs["there"][0] = 7, 4, 2  # words 39, 40, 41
    >>> inputs["data"][5] = [50, 51, 52, 53, 54]
    >>> outputs = twin.run(inputs)
    >>> outputs["address"][3].tolist(), outputs["words"][7].tolist()
    ([8, 8, 0, 0, 7], [54, 50, 51])
    """

    has_reset = False

    def __init__(self, config: OperandStreamConfig):
        check.instance("config", config, OperandStreamConfig)
        self.config = config
        self.ports = config.ports

    def initial(self) -> OperandState:
        """Return the state after power-up: the lanes are a run, and none is there."""
        config = self.config
        run = frozen(np.arange(config.lanes))
        reads = np.zeros((config.address_latency, config.stores), np.int64)
        reads[:, 0] = 1  # sources are 0
        memory = config.data_latency
        late = {
            "address": np.zeros((config.address_latency, config.banks), np.int64),
            "reads": reads,
            "places": np.full((memory, config.lanes), -1),
            "words": np.zeros((config.latency - memory, config.lanes), np.int64),
        }
        late = {name: frozen(values) for name, values in late.items()}
        return OperandState(run, run, run, config.table_latency, late)

    def stretch(self, state: OperandState, inputs: Trace) -> tuple[OperandState, Trace]:
        """See `Twin`."""
        config = self.config
        banks, clocks = config.banks, len(inputs["high"])
        tables, state = self._tables(state, inputs)
        none = np.zeros(clocks, np.int64)
        first = inputs["high"] * banks + inputs.get("low", none)
        flat = (first[:, None] + tables) % (banks << config.address_bits)
        bank = flat % banks
        address = np.zeros((clocks, banks), np.int64)
        np.put_along_axis(address, bank, flat // banks, axis=1)
        source = inputs.get("source", none)
        reads = (source[:, None] == np.arange(config.stores)).astype(np.int64)
        lanes = np.where(inputs["gap"] != 0, 0, inputs["there"] + 1)
        there = (np.arange(config.lanes) < lanes[:, None]) & (source < config.stores)[:, None]
        late: dict[str, Codes] = {}

        def later(name: str, values: Codes) -> Codes:
            line = np.concatenate([state.late[name], values])
            late[name] = frozen(line[clocks:])
            return line[:clocks]

        places = later("places", np.where(there, source[:, None] * banks + bank, -1))
        words = np.take_along_axis(inputs["data"], np.maximum(places, 0), axis=1)
        outputs = {
            "address": later("address", address),
            "reads": later("reads", reads),
            "words": later("words", np.where(places < 0, 0, words.astype(np.int64))),
        }
        return OperandState(state.table, state.found, state.finding, state.since, late), outputs

    def _tables(self, state: OperandState, inputs: Trace) -> tuple[Codes, OperandState]:
        """Return the offsets in use in each clock, (clocks, lanes), and the state after them."""
        config, clocks = self.config, len(inputs["high"])
        lane = np.arange(config.lanes)
        found, finding, begun = state.found, state.finding, -state.since
        tables, ends = [state.table], []
        for clock in np.flatnonzero(inputs["takes"] | inputs["start"]).tolist():
            known = np.where(lane + 1 < clock - begun, finding, found)
            if inputs["takes"][clock]:
                tables.append(known)
                ends.append(clock + 1)
            if inputs["start"][clock]:
                found, finding, begun = known, self._offsets(inputs, clock), clock
        lengths = np.diff([0, *ends, clocks])
        since = min(clocks - begun, config.table_latency)
        after = OperandState(frozen(tables[-1]), frozen(found), frozen(finding), since, state.late)
        return np.repeat(np.array(tables), lengths, axis=0), after

    def _offsets(self, inputs: Trace, clock: int) -> Codes:
        """Return the offsets of the loops that the ports show in a clock."""
        counts = inputs["loops_count"][clock].astype(np.int64) + 1
        highs = inputs["loops_high"][clock]
        return offsets(list(zip(counts.tolist(), highs.tolist(), strict=True)), self.config)

    def legal(self, rng: np.random.Generator, clocks: int) -> Trace:
        """Return random indices and loops.

        Indices are near the first and the last word, and anywhere; most loops are taken when all
        lanes are known, some before, and some begin again before.
        """
        config = self.config
        inputs = completed(inputs_of(config.ports), {}, clocks)
        inputs["rst"] = (rng.random(clocks) < 0.01).astype(np.int64)
        # Loops are looked at behind a `start` alone.
        for port in inputs_of(config.ports):
            if port.name.startswith("loops") or port.name in ("source", "data"):
                inputs[port.name] = rng.integers(
                    port.minimum, port.maximum, port.shape(clocks), endpoint=True
                )
        inputs["high"] = some_addresses(rng, 1 << config.address_bits, (clocks,))
        if config.bank_bits:
            inputs["low"] = _near(rng, 0, config.banks - 1, clocks)
        inputs["there"] = np.where(
            rng.random(clocks) < 0.7,
            _near(rng, 0, config.lanes - 1, clocks),
            _near(rng, 0, (1 << LANE_BITS) - 1, clocks),
        )
        inputs["gap"] = (rng.random(clocks) < 0.08).astype(np.int64)
        complete = config.table_latency - 1  # clocks from `start` to `takes`
        words = 1 << config.address_bits
        clock = int(rng.integers(0, 4))
        while clock < clocks:
            inputs["start"][clock] = 1
            there = slice(clock, clock + config.lanes)
            inputs["loops_count"][there] = _some_counts(rng, config.lanes)
            inputs["loops_high"][there] = some_addresses(rng, words, (LANE_LOOPS,))
            kind = rng.random()
            if kind < CUT:
                clock += int(rng.integers(1, complete + 1))
                continue
            early = kind < CUT + EARLY
            wait = int(rng.integers(0, complete) if early else rng.choice((0, 0, 0, 1, 2, 3)))
            clock += wait if early else complete + wait
            inputs["takes"][clock : clock + 1] = 1
            # The next start is in the same clock, or later; after one that was early, later.
            clock += int(rng.integers(early, 4))
        return inputs


def _some_counts(rng: np.random.Generator, lanes: int) -> list[int]:
    """Return random iterations of the loops over lanes, less one: often so few that all of them
    step before the last lane; and large numbers that would be small without one of their bits.
    """
    large = (1 << int(rng.integers(0, LANE_BITS))) + int(rng.integers(-1, 3))
    kinds = (0, int(rng.integers(1, 4)), lanes - 1, large % (1 << LANE_BITS))
    return [kinds[kind] for kind in rng.choice(4, LANE_LOOPS, p=(0.25, 0.4, 0.1, 0.25))]


def _near(rng: np.random.Generator, low: int, high: int, clocks: int) -> Codes:
    """Return numbers from `low` to `high`, many of them the first one or the last ones."""
    kinds = [
        np.full(clocks, low),
        np.full(clocks, high),
        np.full(clocks, max(high - 1, low)),
        rng.integers(low, high, clocks, endpoint=True),
    ]
    return np.choose(rng.integers(0, len(kinds), clocks), kinds)
