"""Random stimulus for a unit: every port at every clock, with weights that reach corner cases.

The streams go through stretches of different kinds: no gaps, gaps and stalls, few operands, stalls
that fill the output FIFO, results taken one by one, no operands. In the first half there are resets
in any of them, and many in some. Some of the operands with a result are borders of the unit, if its
configuration has any.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from golden import check
from golden.borders import Course, Operands
from golden.fixed import Codes
from golden.lfsr import dither
from golden.port import Port, inputs_of
from golden.rounder import RounderConfig
from golden.twin import Trace
from gradloom.units import Unit

#: Default numbers of clocks of the shipped testbench and of `gradloom compare`.
TESTBENCH_CLOCKS = 3_000
COMPARE_CLOCKS = 10_000
#: Number of clocks in a batch of the stimulus.
BATCH = 1 << 16
#: Probability that a control input is high; 1/2 for all others.
OFTEN = {
    "i_valid": 0.85,
    "o_ready": 0.85,
    "i_last": 0.12,
    "first": 0.1,
    "load": 0.1,
    "hold": 0.4,
    "zero": 0.02,
}
#: Fraction of clocks at which a course of operands from the unit's borders begins.
COURSES = 0.15
#: Smallest and largest fraction of the operands with a result that are borders. It is above the
#: smallest if that is needed for all rows of the borders.
BORDERS = 0.15, 0.7
#: Number of places that are tried for an operand that needs a certain random word.
MOST_TRIED = 2_000
#: Shortest and longest stretch, with many operands and with few.
STRETCHES = (8, 150), (8, 60)
#: Kinds of stretches: probability of an operand, and of `ready` for a result.
KINDS = (
    (1.0, 1.0),
    (OFTEN["i_valid"], OFTEN["o_ready"]),
    (0.4, 0.4),
    (0.05, OFTEN["o_ready"]),
    (1.0, 0.0),
    (0.95, 0.1),
    (1.0, 0.6),
    (0.02, 1.0),
)
#: Probabilities of `i_last` in a stretch.
LASTS = (OFTEN["i_last"], OFTEN["i_last"], 0.03, 0.4, 1.0)
#: Probabilities of a reset in a stretch.
RESETS = (0.0, 0.0, 0.0, 0.01, 0.06)
#: Fraction of a stimulus, from its start on, with resets; and the same for each further batch.
#: Fewer resets are enough there, and each makes the twin slower.
RESET_PART, FURTHER_RESET_PART = 1 / 2, 1 / 16

T = TypeVar("T")


def random_inputs(ports: Iterable[Port], cycles: int, seed: int) -> Trace:
    """Return random values for `rst` and every input of `ports` at `cycles` clock edges.

    Operands have random magnitudes, and include the extreme codes.

    Parameters
    ----------
    ports
        The unit's ports.
    cycles
        Number of clock edges, at least 1.
    seed
        Seed of the random numbers (NumPy's PCG64).

    Returns
    -------
    dict of str to ndarray
        Port name to values: shape (cycles,), or (cycles, lanes) if the port has lanes.

    Examples
    --------
    >>> import golden
    >>> inputs = random_inputs(golden.WeightQuantizerConfig(lanes=4).ports, 100, seed=1)
    >>> {name: values.shape for name, values in inputs.items()}
    {'rst': (100,), 'i_valid': (100,), 'i_data': (100, 4), 'o_ready': (100,)}
    """
    cycles = check.whole("cycles", cycles, 1)
    seed = check.whole("seed", seed, 0)
    check.instance("ports", ports, Iterable)
    ports = list(ports)
    for port in ports:
        check.instance("a port", port, Port)
    return _random(np.random.default_rng(seed), ports, cycles)


def usual_inputs(unit: Unit, config: Any, cycles: int, seed: int) -> Trace:
    """Return all batches of `UsualInputs` as one stimulus.

    Parameters
    ----------
    unit, config
        The unit and its configuration.
    cycles
        Number of clock edges, at least 1.
    seed
        Seed of the random numbers.

    Returns
    -------
    dict of str to ndarray
        Port name to values: shape (cycles,), or (cycles, lanes) if the port has lanes.

    Examples
    --------
    >>> import golden
    >>> from gradloom.units import UNITS
    >>> inputs = usual_inputs(UNITS["lfsr"], golden.LfsrConfig(), 100, seed=0)
    >>> {name: values.shape for name, values in inputs.items()}
    {'rst': (100,), 'o_ready': (100,)}
    """
    batches = list(UsualInputs(unit, config, cycles, seed))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


@dataclass(frozen=True)
class UsualInputs:
    """The stimulus of `gradloom compare` and of a unit's testbench: random, with operands from the
    configuration's `borders()`.

    Iterate to make it, batch by batch. The batches follow each other without a reset in between,
    but there are resets in the first clocks of each.

    Parameters
    ----------
    unit, config
        The unit and its configuration.
    clocks
        Number of clock edges, at least 1.
    seed
        Seed of the random numbers (NumPy's PCG64).

    Examples
    --------
    >>> import golden
    >>> from gradloom.sim.stimulus import UsualInputs
    >>> from gradloom.units import UNITS
    >>> inputs = UsualInputs(UNITS["macc"], golden.MaccConfig(), clocks=100_000, seed=0)
    >>> [len(batch["a"]) for batch in inputs]
    [65536, 34464]
    """

    unit: Unit
    config: Any
    clocks: int
    seed: int

    def __post_init__(self) -> None:
        check.instance("unit", self.unit, Unit)
        check.instance("config", self.config, self.unit.config)
        check.whole_fields(self, 1, None, "clocks")
        check.whole_fields(self, 0, None, "seed")

    def __iter__(self) -> Iterator[Trace]:
        ports, borders = self.config.ports, self.config.borders()
        courses = [border for border in borders if isinstance(border, Course)]
        rows = [border for border in borders if isinstance(border, Operands)]
        twin = self.unit.twin(self.config)
        state, pipeline = twin.initial(), _Pipeline()
        for batch in range(-(-self.clocks // BATCH)):
            rng = np.random.default_rng([self.seed, batch] if batch else self.seed)
            clocks = min(BATCH, self.clocks - batch * BATCH)
            if (legal := twin.legal(rng, clocks)) is not None:
                # Each batch is legal by itself, from the reset state on.
                if batch:
                    legal["rst"][0] = 1
                yield legal
                continue
            inputs = _random(rng, ports, clocks, FURTHER_RESET_PART if batch else RESET_PART)
            if courses:
                _place_courses(rng, inputs, courses)
            if rows:
                # The clocks that accept an operand do not depend on its value, and zeros are fast.
                plain = {
                    port.name: np.zeros_like(inputs[port.name])
                    for port in inputs_of(ports)
                    if port.width > 1
                }
                state, outputs = twin.advance(state, {**inputs, **plain})
                places, pipeline = _places(inputs, outputs, pipeline)
                _place_rows(rng, inputs, places, rows, _Words(ports, self.config, places))
            yield inputs


@dataclass(frozen=True)
class _Pipeline:
    """Number of operands accepted since the last reset, and of those without a result yet."""

    accepted: int = 0
    inside: int = 0


@dataclass(frozen=True)
class _Places:
    """Clocks that accept an operand with a result, and the operands' numbers since the reset."""

    clocks: NDArray[np.int64]
    numbers: NDArray[np.int64]


def _random(
    rng: np.random.Generator, ports: Sequence[Port], cycles: int, part: float = RESET_PART
) -> Trace:
    stretches: list[tuple[int, float, float, float, float]] = []
    firsts: list[tuple[int, int]] = []
    at, left = 0, list[int]()
    while at < cycles:
        if not left:
            left = rng.permutation(len(KINDS)).tolist()
        offered, taken = KINDS[left.pop()]
        length = int(rng.integers(*STRETCHES[min(offered, taken) < 0.2]))
        last, reset = _one_of(rng, LASTS), _one_of(rng, RESETS)
        if taken < 0.5:
            # Faults of a reset while results are stored show when the FIFO is full the next time.
            last, reset = _one_of(rng, LASTS[:2] + LASTS[3:4]), 0
            firsts.append((at, _one_of(rng, (0, 1))))
        stretches.append((length, offered, taken, last, reset))
        at += length
    lengths, *columns = np.array(stretches).T
    spread = (np.repeat(column, lengths.astype(int))[:cycles] for column in columns)
    odds = dict(zip(("i_valid", "o_ready", "i_last", "rst"), spread))
    for at, reset in firsts:
        odds["rst"][at] = reset
    # With many resets, a generator has only few different words.
    odds["rst"][int(cycles * part) :] = 0
    inputs = {"rst": _high(rng, odds["rst"], (cycles,))}
    for port in ports:
        if port.direction == "in":
            if port.width == 1:
                often = odds.get(port.name, np.full(cycles, OFTEN.get(port.name, 0.5)))
                inputs[port.name] = _high(rng, often, port.shape(cycles))
            else:
                inputs[port.name] = _words(rng, port, cycles)
    return inputs


def _high(rng: np.random.Generator, odds: NDArray, shape: tuple[int, ...]) -> Codes:
    return (rng.random(shape) < odds.reshape(-1, *[1] * (len(shape) - 1))).astype(np.int64)


def _one_of(rng: np.random.Generator, values: Sequence[T]) -> T:
    return values[int(rng.integers(0, len(values)))]


def _words(rng: np.random.Generator, port: Port, cycles: int) -> Codes:
    shape = port.shape(cycles)
    values = rng.integers(port.minimum, port.maximum, shape, endpoint=True)
    values >>= rng.integers(0, port.width, shape)  # toward zero, and toward -1
    extremes = np.array([port.minimum, port.minimum + 1, -1, 0, 1, port.maximum])
    which = rng.integers(0, len(extremes), shape)
    # A single bit, or all but one, for detectors of many bits.
    bits = rng.integers(0, port.width - port.signed, shape)
    signs = rng.integers(0, 3, shape) if port.signed else None
    kind = rng.random(shape)
    there = kind < 0.04
    values[there] = np.clip(extremes, port.minimum, port.maximum)[which[there]]
    there = (kind >= 0.04) & (kind < 0.12)
    lone = np.int64(1) << bits[there]
    values[there] = lone if signs is None else np.choose(signs[there], [lone, -lone, ~lone])
    return values


class _Words:
    """The random words of the operands at their places."""

    def __init__(self, ports: Sequence[Port], config: Any, places: _Places):
        self.config = config
        self.ports = {port.name: port for port in ports}
        if lfsr := getattr(config, "lfsr", None):
            self._words = lfsr.start().take(int(places.numbers.max(initial=0)) + 1)[places.numbers]

    def dither(self, places: NDArray[np.int64] | slice, bits: int) -> Codes:
        """Return the random addends of `bits` bits at some places. Shape (places, lanes)."""
        return dither(self._words[places], bits, self.config.generator.draw)

    def suits(self, border: Operands) -> list[tuple[str, int]]:
        """Return the ports of `border` whose operands carry with few random words only, because
        more bits are dropped than they have, and these numbers of bits.
        """
        wide = ((name, bits) for name, bits in border.dropped.items())
        return list(takewhile(lambda port: port[1] >= self.ports[port[0]].width, wide))

    def suiting(self, port: tuple[str, int]) -> NDArray[np.bool_]:
        """Return for every place whether an operand can carry with the word of some lane."""
        name, bits = port
        most = self.dither(slice(None), bits).max(axis=1)
        return most + self.ports[name].maximum >> bits > 0

    def carry(self, inputs: Trace, places: _Places, rows: NDArray, border: Operands) -> None:
        """Set the low bits of operands so that they just carry, or just not, with their word."""
        lacks = 1 - np.arange(len(rows))[:, None] % 2
        for name, bits in border.dropped.items():
            clocks, port = places.clocks[rows], self.ports[name]
            low = ((1 << bits) - self.dither(rows, bits) - lacks) % (1 << bits)
            values = inputs[name][clocks]
            if isinstance(self.config, RounderConfig):
                wanted = (values >> bits << bits) + low
            else:  # WAGE adds the word to the magnitude
                size = (np.abs(values) >> bits << bits) + low
                wanted = np.where(values >= 0, size, -size)
            fits = (wanted >= port.minimum) & (wanted <= port.maximum)
            inputs[name][clocks] = np.where(fits, wanted, values)


def _place_courses(rng: np.random.Generator, inputs: Trace, courses: Sequence[Course]) -> None:
    """Put courses between the other operands: all of them in turn, in random order."""
    cycles = len(inputs["rst"])
    lengths = np.array([len(next(iter(course.ports.values()))) for course in courses])
    begins = np.cumsum(lengths) - lengths
    starts, turns = [], []
    clock = int(rng.geometric(COURSES)) - 1
    while clock < cycles:
        turn = rng.permutation(len(courses))[::-1]
        steps = np.cumsum(lengths[turn] + rng.geometric(COURSES, len(courses)) - 1)
        starts.append(clock + np.concatenate([[0], steps[:-1]]))
        turns.append(turn)
        clock += int(steps[-1])
    if not starts:
        return
    turn, start = np.concatenate(turns), np.concatenate(starts)
    within = np.arange(lengths[turn].sum()) - np.repeat(
        np.cumsum(lengths[turn]) - lengths[turn], lengths[turn]
    )
    clocks = np.repeat(start, lengths[turn]) + within
    source = (np.repeat(begins[turn], lengths[turn]) + within)[clocks < cycles]
    clocks = clocks[clocks < cycles]
    for name in courses[0].ports:
        values = np.concatenate([course.ports[name] for course in courses])
        inputs[name][clocks] = values[source]


def _places(inputs: Trace, outputs: Trace, before: _Pipeline) -> tuple[_Places, _Pipeline]:
    """Return the places of operands with a result before the next reset or the end of the batch,
    and the operands in the pipeline at the end of the batch.
    """
    resets = np.cumsum(inputs["rst"])
    since = np.concatenate([[0], resets[:-1]])  # a reset acts on the clocks after its edge
    spans = int(resets[-1]) + 1
    clocks = np.flatnonzero(inputs["i_valid"] & outputs["i_ready"])
    span = since[clocks]
    taken = np.bincount(span, minlength=spans)
    given = np.bincount(
        since[np.flatnonzero(outputs["o_valid"] & inputs["o_ready"])], minlength=spans
    )
    numbers = np.arange(len(clocks)) - (np.cumsum(taken) - taken)[span]
    given[0] -= before.inside
    kept = numbers < given[span]
    numbers += np.where(span == 0, before.accepted, 0)
    taken[0] += before.accepted
    inside = taken[-1] - given[-1] - (before.accepted if spans == 1 else 0)
    places = _Places(clocks[kept], numbers[kept])
    return places, _Pipeline(int(taken[-1]), int(inside))


def _place_rows(
    rng: np.random.Generator,
    inputs: Trace,
    places: _Places,
    borders: Sequence[Operands],
    words: _Words,
) -> None:
    """Put rows of the borders at some of the places: in every lane, each row once before any row
    is used again.
    """
    lanes = inputs[next(iter(borders[0].lanes))].shape[1]
    left = rng.permutation(len(places.clocks))
    low, high = (int(part * len(left)) for part in BORDERS)
    kinds = np.repeat(np.arange(len(borders)), [border.rows for border in borders])
    count = min(max(len(kinds), low), high)
    kind, row = np.empty(0, np.int64), np.empty((0, lanes), np.int64)
    while len(kind) < count:
        turns = [
            rng.permuted(np.tile(np.arange(border.rows), (lanes, 1)), axis=1).T
            for border in borders
        ]
        order = rng.permutation(len(kinds))[::-1]
        kind = np.concatenate([kind, kinds[order]])
        row = np.concatenate([row, np.concatenate(turns)[order]])
    kind, row = kind[:count], row[:count]
    chosen = _chosen(left, kind, borders, words)
    for number, border in enumerate(borders):
        here = kind == number
        rows = chosen[here]
        clocks = places.clocks[rows]
        for name, value in border.settings.items():
            inputs[name][clocks] = value
        for name, values in border.lanes.items():
            inputs[name][clocks] = np.array(values)[row[here]]
        words.carry(inputs, places, rows, border)


def _chosen(
    left: NDArray[np.int64], kind: NDArray[np.int64], borders: Sequence[Operands], words: _Words
) -> NDArray[np.int64]:
    """Return the places, of those `left`, for rows of some kinds: for each row the last one or, of
    a number of places, the last one at which the operand can carry with its word.
    """
    wanted = [words.suits(border) for border in borders]
    flags = {
        port: bytearray(words.suiting(port)[left].tobytes()) for ports in wanted for port in ports
    }
    if not flags:
        return left[::-1][: len(kind)]
    places = left.tolist()
    chosen = []
    for number in kind.tolist():
        tried = max(0, len(places) - MOST_TRIED)
        found = (flags[port].rfind(1, tried) for port in wanted[number])
        place = next((place for place in found if place >= 0), len(places) - 1)
        chosen.append(places.pop(place))
        for some in flags.values():
            del some[place]
    return np.array(chosen, np.int64)
