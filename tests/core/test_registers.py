"""The table of registers, and the registers of a core in the simulator."""

import numpy as np
import pytest
from small_cores import small

from golden.core.config import CoreConfig
from golden.core.lower import compiled
from golden.core.registers import ADDRESS, Registers, design_hash, layers
from golden.lfsr import Generator, Lanes
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
    beats = np.zeros((1, core.config.banks + 1), np.int64)
    machine = Machine(core, beats, simulator="pysim")
    columns = core.config.columns
    lanes = Lanes(core.config.generator, columns, columns)
    assert machine.lanes() == lanes.states
    lanes.take(7)
    machine.load_lanes(lanes.states)
    assert machine.lanes() == lanes.states
    machine.load_lanes(lanes.states[::-1])
    assert machine.lanes() == lanes.states[::-1]
    for wrong in (lanes.states[1:], [0] * columns, [1 << bits] * columns):
        with pytest.raises(ValueError, match=r"states|state of lane 0"):
            machine.load_lanes(wrong)
