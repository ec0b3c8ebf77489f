"""The units of a self-test, each between its player and its checker."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Array, C, Cat, Module, Mux, ResetInserter, Shape, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect

from boards.rom.player import Player
from boards.rom.player_twin import PlayerConfig
from boards.selftest.bench_twin import PATTERN
from boards.selftest.checker import Checker
from boards.selftest.checker_twin import CheckerConfig
from boards.selftest.checks import Check, elements, pack
from golden.lfsr import LfsrConfig
from hdl.lfsr import Lfsr


class Bench(wiring.Component):
    """The units, each between its player and its checker.

    Parameters
    ----------
    checks
        The units with their operands and results.

    Members
    -------
    clear : In(1)
        Resets everything but the pattern of stalls and pauses.
    anew : In(1)
        Resets the pattern.
    runs : In(1)
        Operands and results may move.
    stalls, pauses : In(1)
        Outputs stall, operands pause, at random.
    moved : Out(1)
        An operand or a result was transferred one clock ago.
    right : Out
        How many numbers of results were found right one clock ago.
    complete, wrong : Out(one bit per unit)
        All results of the unit have been found right; one was wrong.
    unit : In
        Selects the unit of the following ports.
    result, extra, expected, got : Out
        `agreed`, `extra`, `expected` and `got` of the unit's checker.
    shift : In(1)
        `shift` of the unit's checker.
    """

    clear: Signal
    anew: Signal
    runs: Signal
    stalls: Signal
    pauses: Signal
    moved: Signal
    right: Signal
    complete: Signal
    wrong: Signal
    unit: Signal
    result: Signal
    extra: Signal
    expected: Signal
    got: Signal
    shift: Signal

    def __init__(self, checks: Sequence[Check]):
        self.checks = tuple(checks)
        self._components: list[Any] = [each.component() for each in checks]
        self.layouts = [data.Layout.cast(c.o.payload.shape()) for c in self._components]
        bits = len(self.checks)
        super().__init__(
            {
                **{name: In(1) for name in ("clear", "anew", "runs", "stalls", "pauses", "shift")},
                "moved": Out(1),
                "right": Out(range(sum(len(elements(each)) for each in self.layouts) + 1)),
                "complete": Out(bits),
                "wrong": Out(bits),
                "unit": In(range(bits)),
                "result": Out(range(max(each.depth[1] for each in self.checks) + 1)),
                "extra": Out(1),
                "expected": Out(1),
                "got": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pattern = Lfsr(LfsrConfig(generator=PATTERN))
        m.submodules.pattern = ResetInserter(self.anew)(pattern)
        m.d.comb += pattern.o.ready.eq(self.runs)
        random = Value.cast(pattern.o.payload.data[0])

        checkers: list[Checker] = []
        moves: list[Value] = []
        right: Value = C(0)
        for k, (each, unit, layout) in enumerate(zip(self.checks, self._components, self.layouts)):
            operand = data.Layout.cast(unit.i.payload.shape())
            plain = [name for name in each.operands if name in unit.signature.members]
            # A word has an operand's payload in its low bits, and the plain ports above it.
            word = data.StructLayout(
                {str(name): field.shape for name, field in operand}
                | {name: unit.signature.members[name].shape for name in plain}
            )
            words = pack(word, each.operands)
            player = Player(PlayerConfig(width=word.size, words=words), word)
            words = pack(layout, each.results)
            checker = Checker(CheckerConfig(width=Shape.cast(layout).width, words=words), layout)
            name = each.name.replace("-", "_")
            m.submodules[name] = ResetInserter(self.clear)(unit)
            m.submodules[f"{name}_player"] = ResetInserter(self.clear)(player)
            m.submodules[f"{name}_checker"] = ResetInserter(self.clear)(checker)
            m.d.comb += [
                player.go.eq(self.runs & ~(self.pauses & random[2 * k])),
                player.o.ready.eq(unit.i.ready),
                unit.i.valid.eq(player.o.valid),
                Value.cast(unit.i.payload).eq(Value.cast(player.o.payload)),
                *(getattr(unit, port).eq(player.o.payload[port]) for port in plain),
                checker.ready.eq(self.runs & ~(self.stalls & random[2 * k + 1])),
                checker.shift.eq(self.shift & (self.unit == k)),
                self.complete[k].eq(checker.complete),
                self.wrong[k].eq(checker.failed),
            ]
            connect(m, unit.o, checker.i)
            checkers.append(checker)
            moves += [player.o.valid & player.o.ready, checker.i.valid & checker.i.ready]
            right = right + Mux(checker.taken, len(elements(layout)), 0)

        m.d.sync += [self.moved.eq(Cat(moves).any()), self.right.eq(right)]
        m.d.comb += [
            self.result.eq(Array(checker.agreed for checker in checkers)[self.unit]),
            self.extra.eq(Array(checker.extra for checker in checkers)[self.unit]),
            self.expected.eq(Array(checker.expected for checker in checkers)[self.unit]),
            self.got.eq(Array(checker.got for checker in checkers)[self.unit]),
        ]
        return m
