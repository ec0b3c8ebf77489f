"""The stimulus that units and mutants are measured with: the same for ever, and in batches."""

from zlib import crc32

import numpy as np
import pytest

import golden
from golden.fixed import Conversion, Fixed
from gradloom.sim import stimulus
from gradloom.sim.stimulus import BATCH, UsualInputs, usual_inputs
from gradloom.units import UNITS

UPDATE = golden.WeightUpdateConfig(lanes=3)
ROUNDER = golden.RounderConfig(width=8, conversions=(Conversion(fraction=10, target=Fixed(2, 2)),))


@pytest.mark.parametrize(
    ("unit", "config", "sums"),
    [
        ("array", golden.ArrayConfig(rows=3, columns=5), {"i_a": 3145460018, "rst": 2982427064}),
        ("rounder", ROUNDER, {"i_data": 1160355875, "o_ready": 3638635251}),
        ("wage-shift", golden.ShiftExponentConfig(lanes=2), {"i_data": 194259056}),
        ("wage-update", UPDATE, {"i_gradient": 1689598523, "rate": 2664267640}),
    ],
)
def test_a_batch_never_changes(unit, config, sums):
    inputs = usual_inputs(UNITS[unit], config, 3000, 0)
    found = {name: crc32(np.ascontiguousarray(inputs[name]).tobytes()) for name in sums}
    assert found == sums


def test_a_long_stimulus_is_made_of_batches():
    unit, config = UNITS["macc"], golden.MaccConfig()
    batches = list(UsualInputs(unit, config, 2 * BATCH + 10, seed=1))
    assert [len(batch["a"]) for batch in batches] == [BATCH, BATCH, 10]
    first = usual_inputs(unit, config, BATCH, seed=1)
    for name, values in first.items():
        np.testing.assert_array_equal(batches[0][name], values)
    assert (batches[1]["a"] != batches[0]["a"]).mean() > 0.9
    again = list(UsualInputs(unit, config, 2 * BATCH + 10, seed=1))[1]
    np.testing.assert_array_equal(again["a"], batches[1]["a"])
    resets = [np.flatnonzero(batch["rst"]) for batch in batches]
    assert len(resets[0]) > len(resets[1]) > 5
    assert resets[0].max() < BATCH / 2
    assert resets[1].max() < BATCH / 16


@pytest.mark.parametrize("config", [UPDATE, ROUNDER], ids=["update", "rounder"])
def test_operands_of_later_batches_have_the_numbers_of_the_whole_run(config, monkeypatch):
    """A batch knows how many operands came before it: they draw the words before its own."""
    unit = UNITS["wage-update" if config is UPDATE else "rounder"]
    monkeypatch.setattr(stimulus, "BATCH", 200)
    monkeypatch.setattr(stimulus, "FURTHER_RESET_PART", 0.1)
    places = []
    real = stimulus._places

    def noting(inputs, outputs, before):
        found = real(inputs, outputs, before)
        places.append(found[0])
        return found

    monkeypatch.setattr(stimulus, "_places", noting)
    inputs = usual_inputs(unit, config, 3000, 2)
    assert len(places) == 15
    outputs = unit.twin(config).run(inputs)
    whole = real(inputs, outputs, stimulus._Pipeline())[0]
    numbers = dict(zip(whole.clocks.tolist(), whole.numbers.tolist()))
    seen = {
        clock + 200 * batch: number
        for batch, part in enumerate(places)
        for clock, number in zip(part.clocks.tolist(), part.numbers.tolist())
    }
    assert seen.items() <= numbers.items()
    # Those are missing whose result comes in the next batch.
    assert len(numbers) - len(seen) < 15 * config.latency
    assert any(number > 200 for number in seen.values())
