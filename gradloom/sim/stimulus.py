"""Random stimulus for a unit: every port at every clock, weighted so that the corners are met.

The stream goes through stretches of one kind each: free, with gaps and stalls, starved, stalled for
longer than the output FIFO lasts, taken one by one, run dry. In the first half resets come in the
midst of any of them, in some stretches often. Of the operands that come out again, a part is from
the unit's own borders, where its configuration lists them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from golden.borders import Course, Operands
from golden.fixed import Codes
from golden.lfsr import dither
from golden.port import Port, inputs_of
from golden.rounder import RounderConfig
from golden.twin import Trace
from gradloom.units import Unit

#: Clocks of the shipped testbench, and of `gradloom compare`, unless others are asked for.
TESTBENCH_CLOCKS = 3_000
COMPARE_CLOCKS = 10_000
#: Clocks of a batch of the stimulus.
BATCH = 1 << 16
#: How often a control is high, where one half would not do; others are high every other time.
OFTEN = {
    "i_valid": 0.85,
    "o_ready": 0.85,
    "i_last": 0.12,
    "first": 0.1,
    "load": 0.1,
    "hold": 0.4,
    "zero": 0.02,
}
#: The part of the clocks at which courses of operands from the unit's borders begin.
COURSES = 0.15
#: Of the clocks whose operands come out again, the parts that have them from the borders: so many
#: at least, and up to so many until every row of them has had its turn.
BORDERS = 0.15, 0.7
#: Places that are tried for one whose random word suits.
MOST_TRIED = 2_000
#: The shortest and the longest stretch of one kind, in which operands flow and in which few do.
STRETCHES = (8, 150), (8, 60)
#: Kinds of stretches: how often operands are offered, and results taken.
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
#: How often the last operand of something comes, in a stretch.
LASTS = (OFTEN["i_last"], OFTEN["i_last"], 0.03, 0.4, 1.0)
#: How often a clock of a stretch resets.
RESETS = (0.0, 0.0, 0.0, 0.01, 0.06)
#: The part of a stimulus, from its start on, in which there are resets; and of each further batch,
#: where there are enough of them and the twin is slowed down by each.
RESET_PART, FURTHER_RESET_PART = 1 / 2, 1 / 16

T = TypeVar("T")


def random_inputs(ports: Iterable[Port], cycles: int, seed: int) -> Trace:
    """Values for `rst` and every input of `ports` at `cycles` clock edges.

    Operands are of random magnitude, with the extreme codes among them.

    Parameters
    ----------
    ports
        The unit's ports.
    cycles
        Clock edges, at least 1.
    seed
        Of the random numbers (NumPy's PCG64).
    """
    return _random(np.random.default_rng(seed), list(ports), cycles)


def usual_inputs(unit: Unit, config: Any, cycles: int, seed: int) -> Trace:
    """All batches of `UsualInputs` together."""
    batches = list(UsualInputs(unit, config, cycles, seed))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


@dataclass(frozen=True)
class UsualInputs:
    """The stimulus of `gradloom compare` and of a unit's testbench: random, with operands from the
    configuration's `borders()` among the others.

    It is made in batches, when they are asked for: iterate. The unit goes on from batch to batch;
    each batch begins with clocks among which are resets.

    Parameters
    ----------
    unit, config
        The unit and its parameters.
    clocks
        Clock edges, at least 1.
    seed
        Of the random numbers (NumPy's PCG64).

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

    def __iter__(self) -> Iterator[Trace]:
        ports, borders = self.config.ports, self.config.borders()
        courses = [border for border in borders if isinstance(border, Course)]
        rows = [border for border in borders if isinstance(border, Operands)]
        twin = self.unit.twin(self.config)
        state, pipeline = twin.initial(), _Pipeline()
        for batch in range(-(-self.clocks // BATCH)):
            rng = np.random.default_rng([self.seed, batch] if batch else self.seed)
            clocks = min(BATCH, self.clocks - batch * BATCH)
            inputs = _random(rng, ports, clocks, FURTHER_RESET_PART if batch else RESET_PART)
            if courses:
                _place_courses(rng, inputs, courses)
            if rows:
                # Which clocks accept an operand does not depend on what it is: zeros are quick.
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
    """Operands accepted since the last reset, and those of them whose result is not out yet."""

    accepted: int = 0
    inside: int = 0


@dataclass(frozen=True)
class _Places:
    """Clocks that accept an operand whose result comes out, and the operands' numbers since the
    reset.
    """

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
            # What a reset in the midst of results leaves behind shows when the FIFO is full next.
            last, reset = _one_of(rng, LASTS[:2] + LASTS[3:4]), 0
            firsts.append((at, _one_of(rng, (0, 1))))
        stretches.append((length, offered, taken, last, reset))
        at += length
    lengths, *columns = np.array(stretches).T
    spread = (np.repeat(column, lengths.astype(int))[:cycles] for column in columns)
    odds = dict(zip(("i_valid", "o_ready", "i_last", "rst"), spread))
    for at, reset in firsts:
        odds["rst"][at] = reset
    # A generator that is reset again and again shows few of its words.
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
    # A single bit, or all but one: where a detector looks at many bits at a time.
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
    """The random words that operands meet at their places."""

    def __init__(self, ports: Sequence[Port], config: Any, places: _Places):
        self.config = config
        self.ports = {port.name: port for port in ports}
        if lfsr := getattr(config, "lfsr", None):
            self._words = lfsr.start().take(int(places.numbers.max(initial=0)) + 1)[places.numbers]

    def dither(self, places: NDArray[np.int64] | slice, bits: int) -> Codes:
        """The random addends of `bits` bits at some of the places, (places, lanes)."""
        return dither(self._words[places], bits, self.config.generator.draw)

    def suits(self, border: Operands) -> list[tuple[str, int]]:
        """Ports of `border` whose operands carry with few words, for more bits are dropped than
        they have, and these numbers of bits.
        """
        wide = ((name, bits) for name, bits in border.dropped.items())
        return list(takewhile(lambda port: port[1] >= self.ports[port[0]].width, wide))

    def suiting(self, port: tuple[str, int]) -> NDArray[np.bool_]:
        """Whether an operand can carry with its word in some lane, for every place."""
        name, bits = port
        most = self.dither(slice(None), bits).max(axis=1)
        return most + self.ports[name].maximum >> bits > 0

    def carry(self, inputs: Trace, places: _Places, rows: NDArray, border: Operands) -> None:
        """Set the low bits of operands so that with their word they carry, or lack one in turn."""
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
    """Put courses among the other operands: all of them in turn, in random order."""
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
    """Where operands are accepted whose results come out before a reset takes them, or the batch
    ends; and the operands that are inside after it.
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
    """Put rows from the borders at a part of the places, each in every lane once before the first
    one comes again.
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
    """Numbers of the places that rows of some kinds take, of those `left`: the last one, or the
    last of some at which the operand can carry with its word.
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
