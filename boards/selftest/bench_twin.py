"""The twin of the bench: players, units and checkers together, one clock at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from boards.rom.player_twin import Player, PlayerConfig, PlayerState
from boards.selftest.checker_twin import Checker, CheckerConfig, CheckerState
from golden import check
from golden.lfsr import Generator, Lfsr, LfsrConfig
from golden.port import Port
from golden.twin import Trace, Twin

#: Source of stalls and pauses. In each clock, bit 2k of its word lets unit k's operands pause, and
#: bit 2k + 1 its results stall.
PATTERN = Generator(bits=32, leap=16, draw=16)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One unit of a bench.

    Parameters
    ----------
    twin
        The unit's twin; it has a stream of operands `i` and one of results `o`.
    operands
        Operand fields and plain ports by name, one entry per operand.
    results
        Expected result fields by name, in the order of the ports, one entry per result.
    """

    twin: Twin[Any]
    operands: Trace
    results: Trace

    def __post_init__(self) -> None:
        for name, fields in (("operands", self.operands), ("results", self.results)):
            lengths = {len(values) for values in fields.values()}
            if len(lengths) != 1 or 0 in lengths:
                raise ValueError(f"{name} have {sorted(lengths)} entries: one number is wanted")

    @property
    def numbers(self) -> int:
        """Numbers in one result, over all fields and lanes."""
        return sum(values[0].size for values in self.results.values())


@dataclass(frozen=True)
class BenchState:
    """What a bench keeps between two clocks.

    Parameters
    ----------
    pattern
        State of the pattern of stalls and pauses.
    players, units, checkers
        States of each unit's parts.
    moved, right
        The registers behind the outputs of these names.
    """

    pattern: Any
    players: tuple[PlayerState, ...]
    units: tuple[Any, ...]
    checkers: tuple[CheckerState, ...]
    moved: int = 0
    right: int = 0


class Bench(Twin[BenchState]):
    """Twin of the bench.

    A player sends the number of an operand, and a checker compares results that are packed into
    whole numbers of at most 62 bits. `result`, `extra`, `expected` and `got` are those of the
    checker of unit number `unit`; the last three are 0 while they are not specified.

    Parameters
    ----------
    trials
        The units, 2 to 8.
    """

    def __init__(self, trials: Sequence[Trial]):
        check.whole("number of units", len(trials), 2, PATTERN.draw // 2)
        self.trials = tuple(trials)
        self._pattern = Lfsr(LfsrConfig(generator=PATTERN))
        self._players, self._checkers = [], []
        for trial in trials:
            depth = len(next(iter(trial.operands.values())))
            self._players.append(Player(PlayerConfig(width=62, words=tuple(range(depth)))))
            count = len(next(iter(trial.results.values())))
            words = tuple(
                _packed(trial, {name: values[k] for name, values in trial.results.items()})
                for k in range(count)
            )
            self._checkers.append(Checker(CheckerConfig(width=62, words=words)))
        units = len(trials)
        most = max(len(checker.config.words) for checker in self._checkers)
        numbers = sum(trial.numbers for trial in trials)
        self.ports = self._ports = (
            Port("clear", "in", 1, meaning="resets all but the pattern"),
            Port("anew", "in", 1, meaning="resets the pattern"),
            Port("runs", "in", 1, meaning="operands and results may move"),
            Port("stalls", "in", 1, meaning="outputs stall at random"),
            Port("pauses", "in", 1, meaning="operands pause at random"),
            Port("shift", "in", 1, meaning="`shift` of the unit's checker"),
            Port("moved", "out", 1, meaning="something was transferred one clock ago"),
            Port("right", "out", numbers.bit_length(), meaning="numbers found right a clock ago"),
            Port("complete", "out", units, meaning="bit k: all results of unit k are right"),
            Port("wrong", "out", units, meaning="bit k: a result of unit k was wrong"),
            Port("unit", "in", (units - 1).bit_length(), meaning="selects a unit"),
            Port("result", "out", most.bit_length(), meaning="`agreed` of the unit's checker"),
            Port("extra", "out", 1, meaning="`extra` of the unit's checker"),
            Port("expected", "out", 1, meaning="`expected` of the unit's checker"),
            Port("got", "out", 1, meaning="`got` of the unit's checker"),
        )

    def initial(self) -> BenchState:
        return BenchState(
            self._pattern.initial(),
            tuple(player.initial() for player in self._players),
            tuple(trial.twin.initial() for trial in self.trials),
            tuple(checker.initial() for checker in self._checkers),
        )

    def stretch(self, state: BenchState, inputs: Trace) -> tuple[BenchState, Trace]:
        clocks = len(inputs["runs"])
        outputs = [port for port in self._ports if port.direction == "out"]
        out: Trace = {port.name: np.zeros(clocks, np.int64) for port in outputs}
        for clock in range(clocks):
            given = {name: int(values[clock]) for name, values in inputs.items()}
            state, shown = self._clock(state, given)
            for name, value in shown.items():
                out[name][clock] = value
        return state, out

    def _clock(self, state: BenchState, given: dict[str, int]) -> tuple[BenchState, dict[str, int]]:
        """The state after one clock, and the outputs in it."""
        shown = dict.fromkeys(("complete", "wrong"), 0) | {
            "moved": state.moved,
            "right": state.right,
        }
        pattern, word = _step(self._pattern, state.pattern, {"o_ready": given["runs"]})
        bits = int(word["o_data"][0])
        players, units, checkers = [], [], []
        moved = right = 0
        for k, trial in enumerate(self.trials):
            player, checker = self._players[k], self._checkers[k]
            # What shows does not depend on what is taken in the same clock: it comes first.
            _, up = _step(player, state.players[k], {"go": 0, "o_ready": 0})
            operand = self._operand(trial, up)
            _, ready = _step(trial.twin, state.units[k], {**operand, "o_ready": 0})
            go = given["runs"] & ~(given["pauses"] & bits >> 2 * k)
            takes = given["runs"] & ~(given["stalls"] & bits >> (2 * k + 1))
            after, _ = _step(player, state.players[k], {"go": go & 1, "o_ready": ready["i_ready"]})
            players.append(after)
            after, results = _step(trial.twin, state.units[k], {**operand, "o_ready": takes & 1})
            units.append(after)
            fields = {name: results[f"o_{name}"] for name in trial.results}
            after, found = _step(
                checker,
                state.checkers[k],
                {
                    "i_valid": results["o_valid"],
                    "i_data": _packed(trial, fields),
                    "ready": takes & 1,
                    "shift": given["shift"] & (given["unit"] == k),
                },
            )
            checkers.append(after)
            moved |= int(up["o_valid"] & ready["i_ready"]) | int(results["o_valid"] & takes)
            right += int(found["taken"]) * trial.numbers
            shown["complete"] |= int(found["complete"]) << k
            shown["wrong"] |= int(found["failed"]) << k
            if given["unit"] == k:
                shown["result"] = int(found["agreed"])
                shown |= {name: int(found[name]) for name in ("extra", "expected", "got")}
        start = self.initial()
        cleared = bool(given["clear"])
        return (
            BenchState(
                start.pattern if given["anew"] else pattern,
                start.players if cleared else tuple(players),
                start.units if cleared else tuple(units),
                start.checkers if cleared else tuple(checkers),
                moved,
                right,
            ),
            shown,
        )

    @staticmethod
    def _operand(trial: Trial, up: dict[str, Any]) -> dict[str, Any]:
        """A unit's inputs, without `o_ready`, while its player shows `up`."""
        stream = {"i_valid": up["o_valid"]}
        assert trial.twin.ports is not None
        for port in trial.twin.ports:
            name = port.name.removeprefix("i_")
            if port.direction == "in" and name in trial.operands:
                stream[port.name] = trial.operands[name][int(up["o_data"])]
        return stream


def _step(twin: Twin[Any], state: Any, inputs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """`advance` by one clock."""
    state, out = twin.advance(state, {name: np.array([value]) for name, value in inputs.items()})
    return state, {name: values[0] for name, values in out.items()}


def _packed(trial: Trial, result: dict[str, Any]) -> int:
    """A result as a whole number: its fields in order, each from lane 0, from the low bits on."""
    assert trial.twin.ports is not None
    widths = {port.name: port.width for port in trial.twin.ports}
    word = offset = 0
    for name in trial.results:
        width = widths[f"o_{name}"]
        for value in np.ravel(result[name]).tolist():
            word |= (value & (1 << width) - 1) << offset
            offset += width
    if offset > 62:
        raise ValueError(f"a result has {offset} bits: at most 62 are allowed")
    return word
