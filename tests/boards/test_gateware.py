"""The self-test's own gateware against its twins, at every clock: stalls, pauses and resets too."""

import ast
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Cat, Module, Mux, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

import boards
import golden
from boards.link import printer, printer_twin, uart, uart_twin
from boards.link.printer_twin import PrinterConfig
from boards.link.text import assemble
from boards.link.uart_twin import UartConfig
from boards.rom import player, player_twin
from boards.rom.player_twin import PlayerConfig
from boards.selftest import (
    bench,
    bench_twin,
    checker,
    checker_twin,
)
from boards.selftest.bench_twin import Trial
from boards.selftest.checker_twin import CheckerConfig
from boards.selftest.checks import make_check
from gradloom.comparison.compare import compare
from gradloom.sim.toplevel import flatten, leaves

#: Outputs that are specified only while another output has a value: that output and the value.
SPECIFIED = {
    player.Player: {"o_data": [("o_valid", 1)]},
    checker.Checker: {
        "extra": [("failed", 1)],
        "got": [("failed", 1)],
        "expected": [("failed", 1), ("extra", 0)],
    },
    printer.Printer: {"o_data": [("o_valid", 1)]},
    uart.Transmitter: {},
    bench.Bench: {
        "extra": [("wrong", 1)],
        "got": [("wrong", 1)],
        "expected": [("wrong", 1), ("extra", 0)],
    },
}


class Specified(wiring.Component):
    """A component behind its plain ports; outputs are 0 where they are not specified."""

    def __init__(self, unit):
        self.inner = unit
        self.leaves = leaves(unit)

        def shape(port):
            element = signed(port.width) if port.signed else port.width
            return element if port.lanes is None else data.ArrayLayout(element, port.lanes)

        super().__init__(
            {
                port.name: (In if port.direction == "in" else Out)(shape(port))
                for port, _ in self.leaves
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.inner = self.inner
        whole = {port.name: Cat(*values) for port, values in self.leaves}
        for port, _ in self.leaves:
            own = Value.cast(getattr(self, port.name))
            if port.direction == "in":
                m.d.comb += whole[port.name].eq(own)
                continue
            value = whole[port.name]
            for other, level in SPECIFIED[type(self.inner)].get(port.name, []):
                condition = whole[other]
                if len(condition) > 1:  # one bit per unit
                    condition = condition.bit_select(whole["unit"], 1)
                value = Mux(condition == level, value, 0)
            m.d.comb += own.eq(value)
        return m


def bits(rng, clocks, share):
    return (rng.random(clocks) < share).astype(int)


def agrees(unit, twin, inputs):
    """Compare with resets at some clocks and without; cut runs of the twin are one run."""
    comparison = compare(Specified(unit), inputs, twin)
    assert comparison, comparison.report()
    assert flatten(unit) == list(twin.ports)
    whole = twin.run(inputs)
    clocks = len(next(iter(inputs.values())))
    slow = isinstance(unit, bench.Bench)
    for cuts in [[1, 2, clocks // 2]] if slow else [[1, 2, 3], [clocks - 1], range(1, clocks, 5)]:
        state, parts = twin.initial(), []
        for start, stop in zip([0, *cuts], [*cuts, clocks]):
            batch = {name: values[start:stop] for name, values in inputs.items()}
            state, part = twin.advance(state, batch)
            parts.append(part)
        for name, values in whole.items():
            assert np.array_equal(np.concatenate([part[name] for part in parts]), values), name
    return whole


PLAYERS = {
    "one word": PlayerConfig(width=1, words=(1,)),
    "two words": PlayerConfig(width=62, words=((1 << 62) - 1, 5)),
    "many words": PlayerConfig(width=9, words=tuple(range(7, 300, 7))),
}


@pytest.mark.parametrize("config", PLAYERS.values(), ids=PLAYERS)
@pytest.mark.parametrize(("go", "ready"), [(1, 1), (0.5, 1), (1, 0.5), (0.6, 0.4)])
@pytest.mark.parametrize("resets", [0, 0.02])
def test_a_player_is_its_twin(config, go, ready, resets):
    rng = np.random.default_rng(1)
    inputs = {
        "go": bits(rng, 200, go),
        "o_ready": bits(rng, 200, ready),
        "rst": bits(rng, 200, resets),
    }
    out = agrees(player.Player(config), player_twin.Player(config), inputs)
    assert out["o_valid"].any()
    if not resets and go == ready == 1:
        first = np.flatnonzero(out["o_valid"])[0]
        assert first == config.latency
        shown = out["o_data"][first : first + len(config.words)]
        assert shown.tolist() == list(config.words)


def checked(rng, config, clocks, wrong=None, valid=0.7, ready=0.7):
    """Inputs of a checker that gets the expected results, but a wrong one at number `wrong`."""
    inputs = {
        "i_valid": bits(rng, clocks, valid),
        "ready": bits(rng, clocks, ready),
        "i_data": np.zeros(clocks, int),
        "shift": bits(rng, clocks, 0.8),
        "rst": np.zeros(clocks, int),
    }
    taken = np.cumsum(inputs["i_valid"] & inputs["ready"]) - (inputs["i_valid"] & inputs["ready"])
    words = np.array([*config.words, 0])
    inputs["i_data"] = words[np.minimum(taken, len(config.words))]
    if wrong is not None:
        flipped = rng.integers(1, 1 << min(config.width, 40))
        inputs["i_data"] ^= np.where(taken == wrong, flipped, 0)
    return inputs


CHECKERS = {
    "one word": CheckerConfig(width=1, words=(1,)),
    "wide": CheckerConfig(width=62, words=tuple(range(1 << 50, (1 << 50) + 20))),
    "many words": CheckerConfig(width=5, words=tuple(k % 32 for k in range(60))),
}


@pytest.mark.parametrize("config", CHECKERS.values(), ids=CHECKERS)
@pytest.mark.parametrize("wrong", [0, 1, 13, None], ids=str)
@pytest.mark.parametrize(("valid", "ready"), [(1, 1), (0.6, 0.7)])
def test_a_checker_is_its_twin(config, wrong, valid, ready):
    inputs = checked(np.random.default_rng(2), config, 250, wrong, valid, ready)
    out = agrees(checker.Checker(config), checker_twin.Checker(config), inputs)
    if wrong is None or wrong >= len(config.words):
        # All are right, and then one comes too many.
        assert out["agreed"][-1] == len(config.words) and out["complete"][-1]
        assert out["extra"][-1]
    else:
        assert out["agreed"][-1] == wrong and not out["complete"].any()
    assert out["failed"][-1]


def test_a_checker_starts_again_after_a_reset_at_any_clock():
    config = CHECKERS["many words"]
    rng = np.random.default_rng(3)
    for clock in (5, 40, 41, 42, 43, 44):
        parts = [checked(rng, config, clock + 1, 11, 1, 1), checked(rng, config, 60)]
        inputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        inputs["rst"][clock] = 1
        agrees(checker.Checker(config), checker_twin.Checker(config), inputs)


def test_a_checker_shows_a_wrong_result_after_the_documented_clocks():
    config = CheckerConfig(width=4, words=(3, 15, 8))
    inputs = checked(np.random.default_rng(0), config, 12, 1, 1, 1)
    out = agrees(checker.Checker(config), checker_twin.Checker(config), inputs)
    # Result 0 is taken in clock 0, the wrong result 1 in clock 1.
    assert np.flatnonzero(out["taken"]).tolist() == [config.latency]
    assert np.flatnonzero(out["failed"])[0] == 1 + config.fails_after


TEXT = assemble(["{x} {w}, {y}\n", "<{x}>", "plain", ""], ["x", "y"], ["w"])
PRINTERS = {
    width: PrinterConfig(rom=TEXT.rom, numbers=2, words=1, width=width) for width in (2, 12, 62)
}


def printing(rng, config, clocks, ready):
    limit = 1 << (config.width - 1)
    numbers = rng.integers(-limit, limit, (clocks, 2)) >> rng.integers(0, config.width, (clocks, 2))
    return {
        "start": bits(rng, clocks, 0.2),
        "message": rng.choice([TEXT.at["{x} {w}, {y}\n"], TEXT.at["plain"], TEXT.at[""]], clocks),
        "numbers": np.where(rng.random((clocks, 2)) < 0.2, -limit, numbers),
        "words": np.full((clocks, 1), TEXT.at["<{x}>"]),
        "o_ready": bits(rng, clocks, ready),
        "rst": bits(rng, clocks, 0.002),
    }


@pytest.mark.parametrize("config", PRINTERS.values(), ids=PRINTERS)
@pytest.mark.parametrize("ready", [1, 0.3])
def test_a_printer_is_its_twin(config, ready):
    inputs = printing(np.random.default_rng(4), config, 1500, ready)
    out = agrees(printer.Printer(config), printer_twin.Printer(config), inputs)
    assert out["busy"].any() and not out["busy"].all()


def test_numbers_are_printed_in_decimal():
    config = PRINTERS[12]
    clocks = 400
    for x, y in ((0, -1), (2047, -2048), (100, 7)):
        inputs = {
            "start": (np.arange(clocks) == 0).astype(int),
            "message": np.full(clocks, TEXT.at["{x} {w}, {y}\n"]),
            "numbers": np.tile([x, y], (clocks, 1)),
            "words": np.full((clocks, 1), TEXT.at["<{x}>"]),
            "o_ready": np.ones(clocks, int),
        }
        out = agrees(printer.Printer(config), printer_twin.Printer(config), inputs)
        assert bytes(out["o_data"][out["o_valid"] != 0].tolist()) == f"{x} <{x}>, {y}\n".encode()


@pytest.mark.parametrize("clocks", [2, 3, 5, 16])
@pytest.mark.parametrize("offered", [1, 0.02])
def test_a_transmitter_is_its_twin(clocks, offered):
    config, rng = UartConfig(clocks=clocks), np.random.default_rng(5)
    inputs = {
        "i_valid": bits(rng, 1200, offered),
        "i_data": rng.integers(0, 256, 1200),
        "rst": bits(rng, 1200, 0.003),
    }
    agrees(uart.Transmitter(config), uart_twin.Transmitter(config), inputs)


def test_bytes_on_the_line_are_ten_bits_long():
    config = UartConfig(clocks=5)
    inputs = {"i_valid": np.ones(120, int), "i_data": np.repeat([0x55, 0x80], [1, 119])}
    out = agrees(uart.Transmitter(config), uart_twin.Transmitter(config), inputs)
    levels = "".join(map(str, out["tx"]))
    frames = [[0, 1, 0, 1, 0, 1, 0, 1, 0, 1], [0, 0, 0, 0, 0, 0, 0, 0, 1, 1]]
    assert np.flatnonzero(out["i_ready"]).tolist() == [0, config.period, 2 * config.period]
    for number, frame in enumerate(frames):
        start = number * config.period + config.latency
        assert levels[start : start + 50] == "".join(str(bit) * 5 for bit in frame)


ARRAY = golden.ArrayConfig(
    rows=2,
    columns=2,
    macc=golden.MaccConfig(a=golden.Fixed(2, 4), b=golden.Fixed(2, 4), depth=31),
)
UNITS = {
    ARRAY: golden.Array(ARRAY),
    (config := golden.ActivationQuantizerConfig(lanes=2)): golden.ActivationQuantizer(config),
    (config := golden.ErrorQuantizerConfig(lanes=1)): golden.ErrorQuantizer(config),
}


def self_checks():
    return [make_check(config, 10, 11 + k) for k, config in enumerate(UNITS)]


def trials(checks):
    return [
        Trial(twin=twin, operands=check.operands, results=check.results)
        for check, twin in zip(checks, UNITS.values())
    ]


def course(rng, clocks):
    """Inputs of a bench: two passes from a reset, the second one with stalls and pauses."""
    inputs = {
        name: np.zeros(clocks, int)
        for name in ("clear", "anew", "runs", "stalls", "pauses", "shift", "unit")
    }
    inputs["anew"][1] = inputs["clear"][2] = inputs["clear"][clocks // 3] = 1
    inputs["runs"][3:] = 1
    inputs["runs"][clocks // 3] = 0
    inputs["stalls"][clocks // 3 :] = inputs["pauses"][clocks // 3 :] = 1
    inputs["shift"] = bits(rng, clocks, 0.5)
    inputs["unit"] = rng.integers(0, 3, clocks)
    return inputs


@pytest.mark.parametrize(
    "broken", [None, (0, "data", 1, 2), (1, "active", 0, 0), (2, "data", 0, 3)]
)
def test_a_bench_is_its_twin(broken):
    checks = self_checks()
    if broken is not None:
        unit, port, lane, bit = broken
        checks[unit] = checks[unit].broken(5, port, lane, bit)
    inputs = course(np.random.default_rng(7), 180)
    inputs["rst"] = (np.arange(180) == 40).astype(int)
    out = agrees(bench.Bench(checks), bench_twin.Bench(trials(checks)), inputs)
    values = sum(values.size for check in checks for values in check.results.values())
    if broken is None:
        assert out["complete"][-1] == 7 and not out["wrong"].any()
        assert out["right"][180 // 3 + 2 :].sum() == values
    else:
        assert out["wrong"][-1] == 1 << broken[0]


# A fault that is put into the gateware is found.

FAULTS = {
    "a word is skipped": (player, "place.eq(place + 1)", "place.eq(place + 2)"),
    "a word is not held": (player, "with m.Elif(self.o.ready):", "with m.Else():"),
    "results too many pass": (checker, "over | (wanted != found)", "(wanted != found) & ~over"),
    "the pair is not held": (checker, "with m.If(~(differs | self.failed)):", "with m.If(1):"),
    "four is raised": (printer, "digit >= 5", "digit >= 4"),
    "no sign": (printer, "with m.If(number < 0):", "with m.If(number < -1):"),
    "nine bits": (uart, "left.eq(10)", "left.eq(9)"),
    "pauses are the stalls": (
        bench,
        "self.pauses & random[2 * k])",
        "self.pauses & random[2 * k + 1])",
    ),
    "a short bit": (uart, "timer.eq(clocks - 1),", "timer.eq(clocks - 2),"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(fault):
    module, right, wrong = FAULTS[fault]
    source = Path(module.__file__).read_text()
    assert source.count(right) == 1
    space = {"__name__": module.__name__}
    exec(compile(source.replace(right, wrong), module.__file__, "exec"), space)
    rng = np.random.default_rng(6)
    if module is player:
        config, twin, name = PLAYERS["many words"], player_twin.Player, "Player"
        inputs = {"go": bits(rng, 99, 0.7), "o_ready": bits(rng, 99, 0.7)}
    elif module is checker:
        config, twin, name = CHECKERS["many words"], checker_twin.Checker, "Checker"
        inputs = checked(rng, config, 250, 13 if "pair" in fault else None)
    elif module is printer:
        config, twin, name = PRINTERS[12], printer_twin.Printer, "Printer"
        inputs = printing(rng, config, 4000, 1)
        inputs["numbers"] = np.where(inputs["numbers"] == 0, -1, inputs["numbers"])
    elif module is bench:
        config, twin, name = self_checks(), lambda checks: bench_twin.Bench(trials(checks)), "Bench"
        inputs = course(rng, 120)
    else:
        config, twin, name = UartConfig(clocks=4), uart_twin.Transmitter, "Transmitter"
        inputs = {"i_valid": bits(rng, 300, 0.1), "i_data": rng.integers(0, 256, 300)}
    unit = space[name](config)
    SPECIFIED[type(unit)] = SPECIFIED[getattr(module, name)]
    assert not compare(Specified(unit), inputs, twin(config))


# Configurations, and what twins may know.


@pytest.mark.parametrize(
    ("config", "given", "message"),
    [
        (PLAYERS["one word"], {"width": 0}, "width = 0: allowed are 1 to 4096"),
        (PLAYERS["one word"], {"words": ()}, "number of words = 0"),
        (PLAYERS["one word"], {"words": (0, 2)}, "word = 2: allowed are 0 to 1"),
        (CHECKERS["one word"], {"words": (-1,)}, "word = -1: allowed are 0 to 1"),
        (PRINTERS[12], {"width": 63}, "width = 63: allowed are 2 to 62"),
        (PRINTERS[12], {"numbers": 1}, "number of a number in rom = 1: allowed are 0 to 0"),
        (PRINTERS[12], {"rom": b"abc"}, r"rom = b'abc': it must end with the byte 0"),
        (UartConfig(clocks=2), {"clocks": 1}, "clocks = 1: allowed are 2 to 16777216"),
    ],
)
def test_bad_configurations_are_named(config, given, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        replace(config, **given)


def test_twins_know_nothing_of_the_gateware():
    twins = sorted(Path(boards.__path__[0]).rglob("*_twin.py"))
    assert len(twins) >= 4
    allowed = re.compile(
        r"(collections\.abc|dataclasses|functools|itertools|numpy|typing|zlib|golden)(\.|$)"
        r"|boards\.\w+\.(text|frame|\w+_twin)$"
    )
    for path in twins:
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.ImportFrom):
                names = [node.module]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            assert all(allowed.match(name) for name in names), (path.name, names)
