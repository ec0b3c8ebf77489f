"""Random stimulus for a unit: every port at every clock, weighted so that the corners are met.

The stream goes through stretches of one kind each: free, with gaps and stalls, starved, stalled for
longer than the output FIFO lasts, taken one by one, run dry. Resets come in the midst of any of
them, in some stretches often. A seventh of the operands or so is from the unit's own borders, where
its configuration lists them.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.borders import Border, Course, Operands
from golden.fixed import Codes
from golden.lfsr import Lanes, dither
from golden.rounder import RounderConfig
from golden.twin import Trace
from gradloom.ports import Port
from gradloom.units import Unit

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
#: The part of the clocks at which operands from the unit's borders begin.
BORDERS = 0.15
#: The shortest and the longest stretch of one kind.
STRETCH = 8, 150
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


def random_inputs(
    ports: Iterable[Port], cycles: int, seed: int, borders: Sequence[Border] = ()
) -> Trace:
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
    borders
        Operands that are to be among the others: a configuration's `borders()`. Those that meet
        random words are only as good as chance here; `usual_inputs` knows the words.
    """
    inputs, _ = _made(list(ports), cycles, seed, borders)
    return inputs


def usual_inputs(unit: Unit, config: Any, cycles: int, seed: int) -> Trace:
    """The stimulus that `gradloom compare` and a unit's testbench have.

    Parameters
    ----------
    unit, config
        The unit and its parameters.
    cycles, seed
        As in `random_inputs`.
    """
    ports = unit.ports(config)
    inputs, drawn = _made(ports, cycles, seed, config.borders())
    if drawn:
        _carry(ports, inputs, drawn, unit.twin(config).run(inputs)["i_ready"], config)
    return inputs


#: Lanes whose operand is to carry with its random word, or just not: the clock, the lane, the port,
#: bits dropped.
_Drawn = list[tuple[int, int, str, int]]


def _made(
    ports: Sequence[Port], cycles: int, seed: int, borders: Sequence[Border]
) -> tuple[Trace, _Drawn]:
    rng = np.random.default_rng(seed)
    odds = {name: np.empty(cycles) for name in ("rst", "i_valid", "o_ready", "i_last")}
    at, left = 0, list[int]()
    while at < cycles:
        if not left:
            left = rng.permutation(len(KINDS)).tolist()
        length = int(rng.integers(*STRETCH))
        span = slice(at, at + length)
        offered, taken = KINDS[left.pop()]
        odds["i_valid"][span], odds["o_ready"][span] = offered, taken
        odds["i_last"][span] = rng.choice(LASTS)
        odds["rst"][span] = rng.choice(RESETS)
        if taken < 0.5:
            # What a reset in the midst of results leaves behind shows when the FIFO is full next.
            odds["i_last"][span] = rng.choice(LASTS[:2] + LASTS[3:4])
            odds["rst"][span] = 0
            odds["rst"][at] = rng.choice([0, 1])
        at += length
    inputs = {"rst": _high(rng, odds["rst"], (cycles,))}
    for port in ports:
        if port.direction == "in":
            if port.width == 1:
                often = odds.get(port.name, np.full(cycles, OFTEN.get(port.name, 0.5)))
                inputs[port.name] = _high(rng, often, port.shape(cycles))
            else:
                inputs[port.name] = _words(rng, port, cycles)
    return inputs, _place(rng, inputs, cycles, borders)


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


def _place(
    rng: np.random.Generator, inputs: Trace, cycles: int, borders: Sequence[Border]
) -> _Drawn:
    """Put operands from the borders among the others: all of them in turn, in random order."""
    drawn: _Drawn = []
    queue: list[int] = []
    rows: dict[int, list[int]] = {}
    clock = 0
    while borders and clock < cycles:
        clock += int(rng.geometric(BORDERS)) - 1
        if clock >= cycles:
            break
        if not queue:
            queue = rng.permutation(len(borders)).tolist()
        number = queue.pop()
        border = borders[number]
        if isinstance(border, Course):
            length = min(len(next(iter(border.ports.values()))), cycles - clock)
            for name, values in border.ports.items():
                inputs[name][clock : clock + length] = values[:length]
            clock += length
            continue
        drawn += _row(rng, inputs, clock, border, rows.setdefault(number, []))
        clock += 1
    return drawn


def _row(
    rng: np.random.Generator, inputs: Trace, clock: int, border: Operands, left: list[int]
) -> _Drawn:
    """Put a row in every lane of a clock; those in `left` have their turn first."""
    drawn: _Drawn = []
    for name, value in border.settings.items():
        inputs[name][clock] = value
    names = list(border.lanes)
    for lane in range(inputs[names[0]].shape[1]):
        if not left:
            left += rng.permutation(len(border.lanes[names[0]])).tolist()
        row = left.pop()
        for name in names:
            inputs[name][clock, lane] = border.lanes[name][row]
        drawn += [(clock, lane, name, bits) for name, bits in border.dropped.items()]
    return drawn


def _carry(ports: Sequence[Port], inputs: Trace, drawn: _Drawn, ready: Codes, config: Any) -> None:
    """Set the low bits of operands so that with their random word they carry, or lack one.

    Which word an operand meets follows from how many were accepted since the reset.
    """
    accepted = inputs["i_valid"] & ready
    total = np.cumsum(accepted) - accepted
    resets = np.flatnonzero(inputs["rst"]) + 1
    since = np.searchsorted(resets, np.arange(len(total)), side="right")
    begins = np.concatenate([[0], resets])[since]
    number = total - total[np.minimum(begins, len(total) - 1)]
    words = Lanes(config.generator, config.first_lane, config.lanes)
    taken = words.take(int(number.max()) + 1)
    limits = {port.name: port for port in ports}
    for clock, lane, name, bits in drawn:
        r = int(dither(taken[number[clock], lane], bits, config.generator.draw))
        value = int(inputs[name][clock, lane])
        low = ((1 << bits) - r - clock % 2) % (1 << bits)
        if isinstance(config, RounderConfig):
            value = (value >> bits << bits) + low
        else:  # WAGE adds the word to the magnitude
            size = (abs(value) >> bits << bits) + low
            value = size if value >= 0 else -size
        if limits[name].minimum <= value <= limits[name].maximum:
            inputs[name][clock, lane] = value
