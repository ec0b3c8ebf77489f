"""`gradloom mutate`: the default stimulus finds small faults, and what it does not is no fault."""

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner

import golden
from golden.borders import Course
from golden.fixed import Conversion, Fixed, Rounding
from golden.lfsr import Lanes
from golden.port import inputs_of, outputs_of
from gradloom.cli import cli
from gradloom.cli.base import defaults
from gradloom.cli.mutate import options
from gradloom.mutate import _path, equivalence, lanes, mutate, netlist
from gradloom.rtl.verilog import verilog
from gradloom.sim.stimulus import TESTBENCH_CLOCKS as CYCLES
from gradloom.sim.stimulus import random_inputs, usual_inputs
from gradloom.units import UNITS

SMALL = golden.WeightQuantizerConfig(stored=5, bits=2, lanes=1)
ROUNDER = golden.RounderConfig()
SHIFT = golden.ShiftExponentConfig(width=12)


def usual(name):
    """The configuration that `gradloom mutate NAME` takes."""
    return UNITS[name].configure(**defaults(options(UNITS[name])))


def without_borders(unit, config, cycles, seed):
    return random_inputs(config.ports, cycles, seed)


def found(unit, config, change, stimulus=usual_inputs):
    """Whether the testbench's stimulus finds a change of the unit's Verilog."""
    source = verilog(unit.component(config))
    before, after = change
    assert source.count(before) == 1, f"{source.count(before)} times: {before}"
    ports = config.ports
    given = stimulus(unit, config, CYCLES, 0)
    expected = unit.twin(config).run(given)

    def killed(text):
        gates = netlist.gates(text, unit.module, [])
        return lanes.killed(gates, [0], inputs_of(ports), outputs_of(ports), given, expected)

    assert not killed(source)
    return bool(killed(source.replace(before, after)))


def test_every_mutant_of_a_small_unit_is_killed_or_equivalent():
    report = mutate(UNITS["wage-weight"], SMALL, count=40, seed=3)
    assert len(report.mutants) == 40
    assert report.count("testbench", "equivalent") == 40
    assert report.count("testbench") >= 30
    assert "yosys" in report.yosys
    unit = UNITS["wage-weight"]
    again = netlist.mutations(verilog(unit.component(SMALL)), unit.module, 40, 3)
    assert [mutant.mutation for mutant in report.mutants] == again


def test_without_borders_fewer_mutants_die():
    unit = UNITS["rounder"]
    text, ports = verilog(unit.component(ROUNDER)), ROUNDER.ports
    chosen = netlist.mutations(text, unit.module, 400, 1)
    gates = netlist.gates(text, unit.module, chosen)
    dead = []
    for stimulus in (without_borders, usual_inputs):
        given = stimulus(unit, ROUNDER, CYCLES, 0)
        expected = unit.twin(ROUNDER).run(given)
        numbers = [0, *(m.number for m in chosen)]
        dead.append(
            lanes.killed(gates, numbers, inputs_of(ports), outputs_of(ports), given, expected)
        )
    assert 0 not in dead[0] and 0 not in dead[1], "the unit differs from its twin"
    assert len(dead[0]) < len(dead[1])


@pytest.mark.parametrize(
    "change",
    [
        ("kept[15] ? full : clear", "(kept[15] & full) | clear"),
        ("claims <= 8'hff", "claims <= claims"),
        ("level_0 <= 3'h0", "level_0 <= level_0"),
    ],
    ids=["a limit that wraps", "credits without a reset", "a count without a reset"],
)
def test_a_fault_that_strangers_hid_is_found(change):
    assert found(UNITS["rounder"], ROUNDER, change)


@pytest.mark.parametrize("reduction", ["&", "|"])
@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("rounder", ROUNDER),
        (
            "array",
            golden.ArrayConfig(
                rows=2,
                columns=2,
                macc=golden.MaccConfig(a=Fixed(1, 5), b=Fixed(1, 5), depth=255),
                conversions=(Conversion(fraction=10, target=Fixed(1, 5)),),
            ),
        ),
    ],
    ids=["rounder", "array"],
)
def test_every_bit_that_saturates_counts(name, config, reduction):
    """A detector of what is too large that overlooks its lowest bit."""
    text = verilog(UNITS[name].component(config))
    found_ = re.search(rf"= \{reduction} (\w+)\[(\d+):(\d+)\];", text)
    wire, high, low = found_.groups()
    change = found_[0], f"= {reduction} {wire}[{high}:{int(low) + 1}];"
    assert found(UNITS[name], config, change)


@pytest.mark.parametrize(("rows", "columns"), [(2, 2), (4, 3)])
def test_values_that_left_are_counted_from_0_after_a_reset(rows, columns):
    config = golden.ArrayConfig(
        rows=rows,
        columns=columns,
        macc=golden.MaccConfig(a=Fixed(1, 2), b=Fixed(1, 2), depth=7),
        conversions=(),
    )
    text = verilog(UNITS["array"].component(config))
    resets = [line.strip() for line in text.splitlines() if line.strip().startswith("left <= ")]
    reset = next(line for line in resets if "'h" in line)
    assert found(UNITS["array"], config, (reset, "left <= left;"))


def has_operands(name):
    return any(port.name == "i_ready" for port in UNITS[name].config().ports)


@pytest.mark.parametrize("name", [name for name in UNITS if has_operands(name)])
def test_every_units_operands_wait_for_credits(name):
    unit, config = UNITS[name], usual(name)
    given = usual_inputs(unit, config, CYCLES, 0)
    ready = unit.twin(config).run(given)["i_ready"]
    assert np.count_nonzero(ready == 0) > CYCLES // 100
    # They wait, and results come, right after a reset as well.
    assert np.count_nonzero(given["rst"]) > 10


@pytest.mark.parametrize("name", list(UNITS))
def test_borders_are_operands_of_the_unit(name):
    config = usual(name)
    ports = {port.name: port for port in config.ports}
    for border in config.borders():
        if isinstance(border, Course):
            columns = border.ports.items()
        else:
            columns = [*border.lanes.items(), *((k, [v]) for k, v in border.settings.items())]
        for port, values in columns:
            assert ports[port].direction == "in"
            assert np.min(values) >= ports[port].minimum
            assert np.max(values) <= ports[port].maximum


def test_borders_are_on_both_sides_of_a_limit():
    config = golden.RounderConfig(
        width=12,
        conversions=(Conversion(fraction=6, target=Fixed(2, 2), rounding=Rounding.NEAREST_UP),),
    )
    values = set(config.borders()[0].lanes["i_data"])
    assert {(7 << 4) + k for k in (-2, -1, 0, 1, 2, 7, 8, 9)} <= values
    assert {(-8 << 4) + k for k in (-9, -8, -7, -1, 0, 1)} <= values


def test_random_words_are_met_at_their_carry():
    unit = UNITS["rounder"]
    given = usual_inputs(unit, ROUNDER, CYCLES, 0)
    outputs = unit.twin(ROUNDER).run(given)
    begin = np.flatnonzero(given["rst"])[-1] + 1
    accepted = begin + np.flatnonzero((given["i_valid"] & outputs["i_ready"])[begin:])
    z = given["i_data"][accepted, 0]
    r = Lanes(ROUNDER.generator, 0, 1).take(len(z))[:, 0].astype(int) & 0x3FFF
    left = (z + r) & 0x3FFF
    assert np.count_nonzero(left == 0) > 1 and np.count_nonzero(left == 0x3FFF) > 1


def test_the_same_seed_gives_the_same_stimulus():
    unit, config = UNITS["wage-update"], usual("wage-update")
    first, second = (usual_inputs(unit, config, 500, 7) for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_the_command_prints_json():
    arguments = ["mutate", "wage-weight", "--stored", "5", "--mutants", "12", "--seed", "3"]
    result = CliRunner().invoke(cli, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["mutants"] == report["testbench"] + report["equivalent"] == 12
    assert report["seed"] == 3 and report["yosys"].startswith("yosys")


@pytest.mark.long
@pytest.mark.parametrize("name", ["lfsr", "macc", "wage-weight"])
def test_every_mutant_of_a_unit_is_killed_or_equivalent(name):
    report = mutate(UNITS[name], usual(name), count=120, seed=2, patience=120)
    assert report.count("survives") == 0
    assert report.count("undecided") <= 0.01 * len(report.mutants)


@pytest.mark.long
@pytest.mark.parametrize("name", list(UNITS))
def test_the_testbench_kills_most_mutants_of_every_unit(name):
    """Four fifths of all, the equivalent ones among them, of which there are up to a seventh.

    Of the nests' mutants up to a third are equivalent: most bits of an instruction say something
    about one loop in a few terms.
    """
    unit, config = UNITS[name], usual(name)
    text, ports = verilog(unit.component(config)), config.ports
    chosen = netlist.mutations(text, unit.module, 200, 1)
    gates = netlist.gates(text, unit.module, chosen)
    given = usual_inputs(unit, config, CYCLES, 0)
    expected = unit.twin(config).run(given)
    numbers = [0, *(mutant.number for mutant in chosen)]
    dead = lanes.killed(gates, numbers, inputs_of(ports), outputs_of(ports), given, expected)
    assert 0 not in dead, "the unit differs from its twin"
    least = {"product-nest": 100, "pass-nest": 120, "move-nest": 140}
    assert len(dead) >= least.get(name, 160)


@pytest.mark.long
def test_a_proof_kills_a_mutant_that_no_stimulus_sees():
    """Without a stimulus all live; the proofs find those that they speak of, in any module."""
    unit = UNITS["wage-weight"]
    report = mutate(unit, SMALL, count=8, seed=3, clocks=(), patience=600)
    assert report.count("testbench", "compare", "undecided") == 0
    assert report.count("proof") >= 4
    killed = [mutant for mutant in report.mutants if mutant.fate == "proof"]
    assert {mutant.why.partition(",")[0] for mutant in killed} >= {"gradloom_wage_weight__buffer"}


@pytest.mark.parametrize(
    ("cell", "path"),
    [
        ("$procdff$890", ["$procdff$890"]),
        ("buffer.storage_0", ["buffer", "storage_0"]),
        (r"$flatten\buffer.$sub$unit.v:301$85", ["buffer", "$sub$unit.v:301$85"]),
        (r"$flatten\a.$flatten\b.$and$unit.v:3$4", ["a", "b", "$and$unit.v:3$4"]),
    ],
)
def test_a_flattened_cell_is_found_in_its_module(cell, path):
    assert _path(cell) == path


def test_the_solver_and_the_stimulus_agree_on_what_differs():
    unit = UNITS["wage-weight"]
    text, ports = verilog(unit.component(SMALL)), SMALL.ports
    inputs, outputs = inputs_of(ports), outputs_of(ports)
    chosen = netlist.mutations(text, unit.module, 16, 5)
    gates = netlist.gates(text, unit.module, chosen)
    given = usual_inputs(unit, SMALL, CYCLES, 0)
    numbers = [mutant.number for mutant in chosen]
    dead = lanes.killed(gates, numbers, inputs, outputs, given, unit.twin(SMALL).run(given))
    runs = [usual_inputs(unit, SMALL, 60, seed) for seed in range(20)]
    machine = equivalence.Machine(gates, inputs, outputs, runs)
    for number in numbers:
        answer = equivalence.decide(machine, number, 600)
        assert answer.kind == ("differs" if number in dead else "equivalent"), chosen[number - 1]
        if answer.inputs:
            expected = unit.twin(SMALL).run(answer.inputs)
            seen = lanes.killed(gates, [0, number], inputs, outputs, answer.inputs, expected)
            assert seen.keys() == {number}
    assert 0 < len(dead) < len(numbers)


def one_mutant():
    """A machine with a mutant of the rounder, of number 1."""
    unit, config = UNITS["rounder"], ROUNDER
    text, ports = verilog(unit.component(config)), config.ports
    chosen = netlist.mutations(text, unit.module, 1, 1)
    gates = netlist.gates(text, unit.module, chosen)
    runs = [usual_inputs(unit, config, 9, 0)]
    return equivalence.Machine(gates, inputs_of(ports), outputs_of(ports), runs)


def test_a_question_that_takes_too_long_stays_open():
    assert equivalence.decide(one_mutant(), 1, 0.01) == equivalence.Answer("undecided")


@pytest.mark.parametrize(
    "text", ["", "snl_UNK 0", "snl_SAT 0 unknown", "snl_SAT 0\n", "snl_SAT 0\n00\n0110"]
)
def test_a_part_of_an_answer_is_none(text, monkeypatch):
    """The solver has been ended while it wrote."""

    def ended(tool, arguments, folder, listener, patience):
        (folder / "found").write_text(text)
        raise TimeoutError

    monkeypatch.setattr(equivalence, "run", ended)
    assert equivalence.decide(one_mutant(), 1, 1) == equivalence.Answer("undecided")
