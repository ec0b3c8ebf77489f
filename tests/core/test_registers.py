"""The table of registers, and the registers of a core in the simulator."""

import numpy as np
import pytest
from small_cores import random_images, small

from golden.core.beats import batch_of, sample_beats, weight_beats
from golden.core.clocks import clocks
from golden.core.config import CoreConfig
from golden.core.isa import Engine
from golden.core.lower import compiled
from golden.core.register import Access, State
from golden.core.registers import ADDRESS, READ_LATENCY, Registers, design_hash, layers
from golden.core.schedule import schedule
from golden.lfsr import Generator, Lanes
from golden.training import new_trainer
from golden.training.step.operation import Kind
from golden.training.step.ops import ShiftExponent
from gradloom.core.machine import Machine


@pytest.fixture(scope="module")
def table():
    return Registers(CoreConfig())


def test_registers_have_places_of_their_own(table):
    addresses = [register.address for register in table]
    assert addresses == sorted(set(addresses)) and max(addresses) < 1 << ADDRESS
    names = [register.name for register in table]
    assert len(set(names)) == len(names)
    for register in table:
        mask = 0
        for field in register.fields:
            assert not mask & field.mask and field.mask < 1 << 32, register.name
            mask |= field.mask
            assert field.within(field.reset) == field.reset << field.first
        assert register.text.endswith(".")
        assert not any(field.text.endswith(".") for field in register.fields)


def test_addresses_do_not_depend_on_the_core(table):
    other = Registers(CoreConfig(rows=3, columns=5, generator=Generator(bits=64), scalars=6))
    assert [(r.name, r.address) for r in other] == [(r.name, r.address) for r in table]
    assert layers(other.config) == 3 and other.named("undefined").reset == 7


def test_the_hash_is_that_of_the_configuration():
    made = {design_hash(CoreConfig(rows=rows, inputs=n)) for rows in (3, 8) for n in (1, 2)}
    assert len(made) == 4
    low, high = (Registers(CoreConfig()).named(f"design_{half}").reset for half in ("low", "high"))
    assert high << 32 | low == design_hash(CoreConfig())


@pytest.mark.parametrize("bits", [24, 64])
def test_lanes_are_set_and_read(bits):
    """From their seeds on, and from states that are loaded."""
    recipe = small(generator=Generator(bits=bits))
    core = compiled(recipe, (2, 3, 1), 5)
    machine = Machine(core, simulator="pysim")
    columns = core.config.columns
    lanes = Lanes(core.config.generator, columns, columns)
    assert machine.lanes() == lanes.states
    assert machine.read("undefined") == [0b11]  # after power-up no weights are defined
    lanes.take(7)
    machine.load_lanes(lanes.states)
    assert machine.lanes() == lanes.states
    machine.load_lanes(lanes.states[::-1])
    assert machine.lanes() == lanes.states[::-1]
    for wrong in (lanes.states[1:], [0] * columns, [1 << bits] * columns):
        with pytest.raises(ValueError, match=r"states|state of lane 0"):
            machine.load_lanes(wrong)


@pytest.fixture(scope="module")
def ran():
    """A machine after two steps, with their record, and the clock counters of two intervals."""
    core, data = compiled(small(), (2, 3, 1), 5), random_images((2, 3, 1), 5)
    trainer, records = new_trainer(core.recipe, data), []
    beats = [weight_beats(core, trainer.weights)]
    walk = trainer.walk(data, records.append)
    for _ in range(2):
        next(walk)
    beats += [sample_beats(core, *batch_of(record)) for record in records]
    machine = Machine(core, simulator="pysim", batch=64)
    machine.send(np.concatenate(beats))
    machine.run(core.load, 1)
    machine.prepare(core.train, 2)
    machine.start()
    machine.advance(400)
    refusals = {}
    for name in ("steps", "engines", "program_at", "program", "first_in", "lane_low", "control"):
        shown = "lane" if name == "lane_low" else name  # the lane itself leaps
        before = machine.read(shown)
        machine.write((name, 1))
        refusals[name] = refused(machine), machine.read(shown) == before
        machine.write(("status", 1 << 5))
    clocks = [machine.clocks()]
    while machine.running():
        machine.advance(64)
    clocks.append(machine.clocks())
    return core, machine, records, clocks, refusals


def refused(machine):
    (status,) = machine.read("status")
    return bool(machine.registers.named("status")["refused"].of(status))


def test_the_next_program_cannot_be_changed_while_one_runs(ran):
    _, _, _, _, refusals = ran
    assert refusals == dict.fromkeys(refusals, (True, True))


def test_clocks_are_those_of_the_schedule(ran):
    """Latched twice: all clocks of every engine are in one of the two, in one of its states."""
    core, machine, _, (first, second), _ = ran
    spans = list(schedule(core.config, core.train, 2))
    both = {e: {s: first[e][s] + second[e][s] for s in State} for e in Engine}
    assert both == clocks(spans)
    assert len({sum(states.values()) for states in first.values()}) == 1
    assert min(sum(states.values()) for found in (first, second) for states in found.values()) > 99
    assert not any(any(states.values()) for states in machine.clocks().values())


def test_scalars_are_those_of_the_last_step(ran):
    core, machine, records, _, _ = ran
    entries = [entry for entry in records[-1] if isinstance(entry.operation, ShiftExponent)]
    assert len(entries) == core.config.scalars
    found = []
    for number in range(core.config.scalars):
        machine.write(("scalar", number))
        low, high, exponent = machine.read("scalar_low", "scalar_high", "scalar_exponent")
        register = machine.registers.named("scalar_exponent")
        assert not high and not register["zero"].of(exponent)
        found.append((low, register["exponent"].of(exponent)))
    wanted = {}
    for entry in entries:
        gradient = entry.operation.reads[0].kind is Kind.GRADIENT
        number = 2 * (entry.operation.layer - 1) + gradient
        wanted[number] = entry.scalars["maximum"], entry.scalars["exponent"]
    assert found == [wanted[number] for number in range(core.config.scalars)]
    machine.write(("scalar", core.config.scalars))
    assert machine.read("scalar_low", "scalar_exponent") == [0, 0]


def test_registers_read_as_the_table_says(ran):
    """What is constant, what is written; nothing where there is no register."""
    _, machine, _, _, _ = ran
    table = machine.registers
    names = ("id", "design_low", "design_high")
    assert machine.read(*names) == [table.named(name).reset for name in names]
    for register in table:
        if any(f.access is not Access.BOTH for f in register.fields) or "lane" in register.name:
            continue
        if register.name.startswith(("first_", "last_")):
            continue  # see below
        mask = sum(field.mask for field in register.fields)
        for word in (0xA5A5_5A5A, 0x5A5A_A5A5, 0):
            machine.write((register.name, word))
            assert machine.read(register.name) == [word & mask], register.name
    known = {register.address for register in table}
    free = [address for address in range(1 << ADDRESS) if address not in known]
    reads = {
        "bus_address": np.array([*free, 0, 0, 0, 0]),
        "bus_read": np.array([*(1 for _ in free), 0, 0, 0, 0]),
    }
    assert not machine._advance(len(free) + 4, reads, trace=True).outputs["bus_data"].any()


def test_words_beyond_a_list_are_refused(ran):
    core, machine, _, _, _ = ran
    table = machine.registers
    for engine in Engine:
        words = core.config.programs[engine]
        at = table.named("program_at")["list"].within(engine)
        machine.write(("status", 1 << 5), ("program_at", at + words - 1), ("program", 7))
        assert not refused(machine)
        assert machine.read("program_at") == [at + words]
        machine.write(("program", 7))
        assert refused(machine) and machine.read("program_at") == [at + words]


def test_places_beyond_a_list_are_refused(ran):
    core, machine, _, _, _ = ran
    for engine in Engine:
        words = core.config.programs[engine]
        for part in ("first", "last"):
            name = f"{part}_{engine.name.lower()}"
            for place in (words - 1, 0, words // 2):
                machine.write(("status", 1 << 5), (name, place))
                assert not refused(machine) and machine.read(name) == [place]
            for beyond in (words, words + 1, 1 << 19, (1 << 20) - 1):
                machine.write(("status", 1 << 5), (name, beyond))
                assert refused(machine) and machine.read(name) == [words // 2], (name, beyond)


def test_a_program_may_be_behind_full_lists_of_other_engines(ran):
    core, machine, _, _, _ = ran
    behind = [
        words * (engine is not Engine.IN) for engine, words in zip(Engine, core.config.programs)
    ]
    machine.write(("status", 1 << 5))
    machine.choose(core.load, 1, at=behind)
    assert not refused(machine)


def test_lanes_beyond_the_last_one_are_nothing(ran):
    _, machine, _, _, _ = ran
    states = machine.lanes()
    assert all(states) and len(states) < 255
    for lane in (len(states), len(states) + 1, 128, 255):
        machine.write(("status", 1 << 5), ("lane", lane))
        assert machine.read("lane", "lane_low", "lane_high") == [lane, 0, 0]
        machine.write(("lane_low", 1))
        assert refused(machine) and machine.read("lane") == [lane]
    assert machine.lanes() == states


@pytest.mark.parametrize(("late", "shown"), [(0, 8), (1, 8), (2, 7)])
def test_a_read_shows_the_writes_up_to_the_clock_after_it(ran, late, shown):
    """As `hdl.bus.signature.RegisterBus` has it."""
    _, machine, _, _, _ = ran
    machine.write(("steps", 7))
    clocks = READ_LATENCY + 1
    inputs = {
        "bus_address": np.full(clocks, machine.registers.named("steps").address),
        "bus_read": np.arange(clocks) == 0,
        "bus_write": np.arange(clocks) == late,
        "bus_value": np.full(clocks, 8),
    }
    played = machine._advance(
        clocks, {k: v.astype(np.int64) for k, v in inputs.items()}, trace=True
    )
    assert played.outputs["bus_data"].tolist() == [0] * READ_LATENCY + [shown]
