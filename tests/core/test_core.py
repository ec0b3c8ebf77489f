"""The core in a simulator: every write and every clock beside the golden trainer's steps."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_cores import changed, networks, random_images, small

from golden.core.beats import batch_of, matrices, sample_beats, weight_beats
from golden.core.index import Index
from golden.core.isa import Engine
from golden.core.lower import compiled
from golden.core.lowering import Gradients
from golden.core.register import Fault
from golden.core.schedule import schedule
from golden.training import Bits, new_trainer
from golden.training.step.ops import OutputError
from gradloom.core.check import differences
from gradloom.core.errors import FaultError
from gradloom.core.machine import Machine
from gradloom.core.session import compare_steps
from gradloom.sim import pauses

#: Layers and sizes that divide by nothing, with all that WAGE has to choose.
ODD = small(network="7FC-5FC", rows=4, columns=3, batch=5, error_rounding="stochastic")


def test_steps_agree():
    """Overlapping steps, on Amaranth's own simulator; the long tests compile."""
    core, data = compiled(small(), (2, 3, 1), 5), random_images((2, 3, 1), 5)
    result = compare_steps(core, data, steps=2, simulator="pysim")
    assert result, result.report()
    assert set(result.writes) == {"x", "e", "w", "s", "k"} and min(result.writes.values()) > 0


def test_a_class_may_be_wider_than_a_word():
    recipe = small(network="", batch=3, rows=2, columns=2, bits=Bits.parse("2-2-3-2"))
    core, data = compiled(recipe, (1, 2, 1), 9), random_images((1, 2, 1), 9)
    beats = sample_beats(core, np.zeros((3, 2), np.int64), [8, 3, 5])
    assert beats[1::2].tolist() == [[0, 1, 0], [3, 0, 0], [-3, 0, 1]]
    result = compare_steps(core, data, steps=3, simulator="pysim")
    assert result, result.report()
    with pytest.raises(ValueError, match="classes = 9: allowed are 1 to 8, as a beat of 1 words"):
        compiled(replace(recipe, rows=1, columns=1), (1, 2, 1), 9)


@pytest.mark.long
def test_stalled_steps_agree():
    shape, classes = (2, 3, 1), 5
    core = compiled(ODD, shape, classes, inputs=2, gradients=Gradients.TWICE)
    data = random_images(shape, classes)
    result = compare_steps(core, data, steps=4)
    assert result, result.report()
    stalled = compare_steps(core, data, steps=4, gaps=pauses(0.5, 1), stalls=pauses(0.5, 2))
    assert stalled, stalled.report()
    assert stalled.writes == result.writes and stalled.clocks >= result.clocks


@pytest.mark.long
def test_clocks_are_predicted():
    """Of a run whose input beats are always valid, the movers' clocks are known before as well."""
    core, data = compiled(small(), (2, 3, 1), 5), random_images((2, 3, 1), 5)
    machine, _, _ = machine_of(core, data, 4)
    ran = machine.run(core.train, 4)
    for engine in (Engine.ARRAY, Engine.VECTOR, Engine.IN):
        spans = [each for each in schedule(core.config, core.train, 4) if each.engine is engine]
        assert [span.done for span in spans] == ran.done[engine].tolist()


def machine_of(core, data, steps, **options):
    """A machine with its weights loaded, and the records of some steps."""
    trainer, records = new_trainer(core.recipe, data), []
    machine = Machine(core, **options)
    machine.send(weight_beats(core, trainer.weights))
    walk = trainer.walk(data, records.append)
    for _ in range(steps):
        next(walk)
    for record in records:
        machine.send(sample_beats(core, *batch_of(record)))
    machine.run(core.load, 1)
    return machine, records, trainer


@pytest.mark.long
def test_programs_follow_each_other():
    """Load, train, dump, infer, test: weights, scores and wrong classes are the trainer's."""
    core, data = compiled(small(), (2, 3, 1), 5), random_images((2, 3, 1), 5)
    machine, _, _ = machine_of(core, data, 9)
    copy = new_trainer(core.recipe, data)
    walk = copy.walk(data)
    for _ in range(5):
        next(walk)
    machine.run(core.train, 5)
    dumped = machine.run(core.dump, 1).events["out"]
    found = matrices(core.layout.w, dumped, core.config.banks)
    assert all(np.array_equal(one, other) for one, other in zip(found, copy.weights, strict=True))
    ends = np.cumsum([words.rows * -(-words.columns // words.banks) for words in core.layout.w]) - 1
    assert np.flatnonzero(dumped["o_last"]).tolist() == ends.tolist()  # of each layer
    # Two batches of scores, then two of which the wrong ones are counted.
    scores, wrong = [], []
    for step in range(5, 9):
        record, rows = [], copy._order[step * 6 :][:6]
        images, labels = data.train_images[rows], data.train_labels[rows]
        deepcopy(copy).step(images, labels, record)
        (entry,) = (each for each in record if isinstance(each.operation, OutputError))
        scores.append(entry.tensors["outputs"])
        wrong.append(int((scores[-1].argmax(axis=1) != labels).sum()))
    words = machine.run(core.infer, 2).events["out"]["o_words"][:, : core.config.columns]
    assert np.array_equal(words.reshape(12, -1)[:, :5], np.concatenate(scores[:2]))
    assert machine.run(core.test, 2).wrong == sum(wrong[2:])
    # And again from where it stands.
    assert machine.run(core.dump, 1).events["out"]["o_words"].tolist() == dumped["o_words"].tolist()


def faults(core):
    """Programs of one fault each, by name."""
    train, banks = core.train, core.config.banks
    product = train[Engine.ARRAY][1].instruction
    tile, *others = product.tiles
    yield (
        "a stride of a product",
        changed(
            train,
            Engine.ARRAY,
            1,
            tiles=(replace(tile, b=Index.of(tile.b.flat(banks) + 1, banks)), *others),
        ),
    )
    first = train[Engine.ARRAY][0].instruction
    wait, *rest = first.waits
    yield (
        "a wait for an update",
        changed(train, Engine.ARRAY, 0, waits=(replace(wait, on=False), *rest)),
    )
    yield (
        "rows of sums",
        changed(train, Engine.ARRAY, 2, s=train[Engine.ARRAY][2].instruction.s + 1),
    )
    activate = train[Engine.VECTOR][0].instruction
    yield "a shift", changed(train, Engine.VECTOR, 0, shift=activate.shift + 1)
    yield "a mask", changed(train, Engine.VECTOR, 3, masked=False)
    yield "no settling", changed(train, Engine.VECTOR, 2, settle=False)
    update = len(train[Engine.VECTOR]) - 1
    to = train[Engine.VECTOR][update].instruction.to
    yield "a target", changed(train, Engine.VECTOR, update, to=replace(to, low=1 - to.low % 2))
    yield (
        "lanes of the last block",
        changed(
            train,
            Engine.VECTOR,
            0,
            lanes=replace(activate.lanes, lanes=activate.lanes.lanes % core.config.columns + 1),
        ),
    )


@pytest.mark.long
def test_a_fault_of_the_compiler_is_found():
    core, data = compiled(small(), (2, 3, 1), 5), random_images((2, 3, 1), 5)
    names = []
    for name, program in faults(core):
        machine, records, _ = machine_of(core, data, 3)
        try:
            ran = machine.run(program, 3)
        except FaultError as error:  # rows of sums beyond their bound
            assert error.kind is Fault.ROWS and name == "rows of sums"
        else:
            assert list(differences(core, core.train, records, ran)), name
        names.append(name)
    assert len(names) == 8


@pytest.mark.long
@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
@given(networks(), st.sampled_from([1, 2]), st.sampled_from(list(Gradients)))
def test_random_networks_agree(network, inputs, gradients):
    recipe, shape, classes = network
    core = compiled(recipe, shape, classes, inputs=inputs, gradients=gradients)
    result = compare_steps(core, random_images(shape, classes), steps=2, simulator="pysim")
    assert result, result.report()
