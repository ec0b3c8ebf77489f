"""Random stimulus for a unit: every port at every clock, weighted so that the corners are met.

The stream goes through stretches of one kind each: free, with gaps and stalls, starved, stalled for
longer than the output FIFO lasts, taken one by one, run dry. In the first half resets come in the
midst of any of them, in some stretches often. Of the operands that come out again, a part is from
the unit's own borders, where its configuration lists them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.borders import Course, Operands
from golden.fixed import Codes
from golden.lfsr import dither
from golden.port import Port
from golden.rounder import RounderConfig
from golden.twin import Trace
from gradloom.units import Unit

#: Clocks of the shipped testbench, and of `gradloom compare`, unless others are asked for.
TESTBENCH_CLOCKS = 3_000
COMPARE_CLOCKS = 10_000
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
#: How often a clock of a stretch resets, in the first half.
RESETS = (0.0, 0.0, 0.0, 0.01, 0.06)


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
    """The stimulus that `gradloom compare` and a unit's testbench have: random, with operands from
    the configuration's `borders()` among the others.

    Parameters
    ----------
    unit, config
        The unit and its parameters.
    cycles, seed
        As in `random_inputs`.
    """
    rng = np.random.default_rng(seed)
    ports = config.ports
    inputs = _random(rng, ports, cycles)
    borders = config.borders()
    if courses := [border for border in borders if isinstance(border, Course)]:
        _place_courses(rng, inputs, courses)
    if rows := [border for border in borders if isinstance(border, Operands)]:
        # Which clocks accept an operand does not depend on what it is.
        places = _places(inputs, unit.twin(config).run(inputs))
        words = _Words(ports, config, cycles)
        _place_rows(rng, inputs, places, rows, words)
    return inputs


@dataclass(frozen=True)
class _Place:
    """A clock that accepts an operand whose result comes out; its number since the reset."""

    clock: int
    number: int


def _random(rng: np.random.Generator, ports: Sequence[Port], cycles: int) -> Trace:
    odds = {name: np.empty(cycles) for name in ("rst", "i_valid", "o_ready", "i_last")}
    at, left = 0, list[int]()
    while at < cycles:
        if not left:
            left = rng.permutation(len(KINDS)).tolist()
        offered, taken = KINDS[left.pop()]
        length = int(rng.integers(*STRETCHES[min(offered, taken) < 0.2]))
        span = slice(at, at + length)
        odds["i_valid"][span], odds["o_ready"][span] = offered, taken
        odds["i_last"][span] = rng.choice(LASTS)
        odds["rst"][span] = rng.choice(RESETS)
        if taken < 0.5:
            # What a reset in the midst of results leaves behind shows when the FIFO is full next.
            odds["i_last"][span] = rng.choice(LASTS[:2] + LASTS[3:4])
            odds["rst"][span] = 0
            odds["rst"][at] = rng.choice([0, 1])
        at += length
    # A generator that is reset again and again shows few of its words.
    odds["rst"][cycles // 2 :] = 0
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


def _words(rng: np.random.Generator, port: Port, cycles: int) -> Codes:
    shape = port.shape(cycles)
    values = rng.integers(port.minimum, port.maximum, shape, endpoint=True)
    values >>= rng.integers(0, port.width, shape)  # toward zero, and toward -1
    extreme = rng.choice([port.minimum, port.minimum + 1, -1, 0, 1, port.maximum], shape)
    extreme = np.clip(extreme, port.minimum, port.maximum)
    # A single bit, or all but one: where a detector looks at many bits at a time.
    lone = np.int64(1) << rng.integers(0, port.width - port.signed, shape)
    if port.signed:
        lone = np.choose(rng.integers(0, 3, shape), [lone, -lone, ~lone])
    kind = rng.random(shape)
    return np.where(kind < 0.04, extreme, np.where(kind < 0.12, lone, values))


class _Words:
    """Which random word an operand meets, and what just carries with it."""

    def __init__(self, ports: Sequence[Port], config: Any, numbers: int):
        self.config = config
        self.ports = {port.name: port for port in ports}
        self.lacks: dict[int, int] = {}
        if lfsr := getattr(config, "lfsr", None):
            self.words = lfsr.start().take(numbers)

    def _dither(self, place: _Place, lane: int, bits: int) -> int:
        return int(dither(self.words[place.number, lane], bits, self.config.generator.draw))

    def suiting(self, places: Sequence[_Place], border: Operands) -> int:
        """The last of the places at which an operand can carry with its word in some lane: where
        more bits are dropped than it has, few words do.
        """
        for name, bits in border.dropped.items():
            most = self.ports[name].maximum
            if bits < self.ports[name].width:
                break
            for k in reversed(range(max(0, len(places) - MOST_TRIED), len(places))):
                words = [self._dither(places[k], n, bits) for n in range(self.config.lanes)]
                if max(words) + most >> bits:
                    return k
        return len(places) - 1

    def carry(self, inputs: Trace, place: _Place, border: Operands) -> None:
        """Set the low bits of operands so that with their word they carry, or lack one in turn."""
        lacks = self.lacks[id(border)] = 1 - self.lacks.get(id(border), 0)
        for name, bits in border.dropped.items():
            for lane in range(self.config.lanes):
                low = ((1 << bits) - self._dither(place, lane, bits) - lacks) % (1 << bits)
                value = int(inputs[name][place.clock, lane])
                if isinstance(self.config, RounderConfig):
                    value = (value >> bits << bits) + low
                else:  # WAGE adds the word to the magnitude
                    size = (abs(value) >> bits << bits) + low
                    value = size if value >= 0 else -size
                if self.ports[name].minimum <= value <= self.ports[name].maximum:
                    inputs[name][place.clock, lane] = value


def _place_courses(rng: np.random.Generator, inputs: Trace, courses: Sequence[Course]) -> None:
    """Put courses among the other operands: all of them in turn, in random order."""
    cycles = len(inputs["rst"])
    queue: list[int] = []
    clock = int(rng.geometric(COURSES)) - 1
    while clock < cycles:
        queue = queue or rng.permutation(len(courses)).tolist()
        ports = courses[queue.pop()].ports
        length = min(len(next(iter(ports.values()))), cycles - clock)
        for name, values in ports.items():
            inputs[name][clock : clock + length] = values[:length]
        clock += length + int(rng.geometric(COURSES)) - 1


def _places(inputs: Trace, outputs: Trace) -> list[_Place]:
    """Where operands are accepted whose results come out before a reset takes them."""
    resets = np.cumsum(inputs["rst"])
    since = np.concatenate([[0], resets[:-1]])  # a reset acts on the clocks after its edge
    places: list[_Place] = []
    for accepted, given in zip(
        _of_spans(inputs["i_valid"] & outputs["i_ready"], since),
        _of_spans(outputs["o_valid"] & inputs["o_ready"], since),
    ):
        places += [_Place(int(at), n) for n, at in enumerate(accepted[: len(given)])]
    return places


def _of_spans(happens: Codes, since: NDArray) -> list[NDArray]:
    """The clocks at which something happens, for each span between resets."""
    clocks = np.flatnonzero(happens)
    return np.split(clocks, np.searchsorted(since[clocks], np.arange(1, since[-1] + 1)))


def _place_rows(
    rng: np.random.Generator,
    inputs: Trace,
    places: Sequence[_Place],
    borders: Sequence[Operands],
    words: _Words,
) -> None:
    """Put rows from the borders at a part of the places, each in every lane once before the first
    one comes again.
    """
    lanes = inputs[next(iter(borders[0].lanes))].shape[1]
    queue: list[tuple[Operands, NDArray]] = []
    left = [places[k] for k in rng.permutation(len(places))]
    low, high = (int(part * len(places)) for part in BORDERS)
    rows = sum(border.rows for border in borders)
    for _ in range(min(max(rows, low), high)):
        if not queue:
            for border in borders:
                turns = rng.permuted(np.tile(np.arange(border.rows), (lanes, 1)), axis=1).T
                queue += [(border, turn) for turn in turns]
            queue = [queue[k] for k in rng.permutation(len(queue))]
        border, turn = queue.pop()
        place = left.pop(words.suiting(left, border))
        for name, value in border.settings.items():
            inputs[name][place.clock] = value
        for name, values in border.lanes.items():
            inputs[name][place.clock] = np.take(values, turn)
        words.carry(inputs, place, border)
