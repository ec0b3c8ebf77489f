"""Comparisons of a core with golden steps: from a run, with resets, of inference; what they say."""

from dataclasses import replace

import pytest
from small_cores import changed, random_images, small

from golden.core.clocks import clocks
from golden.core.isa import Engine
from golden.core.lower import compiled
from golden.core.program import Program
from golden.core.register import State
from golden.core.schedule import schedule
from golden.training import Run, new_trainer
from gradloom.core import session
from gradloom.core.session import compare_inference, compare_steps
from gradloom.core.waves import place

SHAPE, CLASSES = (2, 2, 1), 3
RECIPE = small(network="4FC", batch=5, epochs=3)


@pytest.fixture
def core():
    return compiled(RECIPE, SHAPE, CLASSES)


@pytest.fixture
def data():
    return random_images(SHAPE, CLASSES, count=23)


@pytest.mark.long
def test_from_a_run_with_resets(core, data, tmp_path, monkeypatch):
    """It begins in the middle of an epoch; each block is begun, reset and repeated."""
    with Run(RECIPE, data, tmp_path, every=0.0) as run:
        for step, _ in enumerate(run.walk(), 1):
            if step == 3:
                break
    monkeypatch.setattr(session, "BLOCK", 2)
    result = compare_steps(core, data, 5, run=tmp_path, resets=4, simulator="pysim")
    assert result, result.report()
    assert result.steps == 5 and 1 <= result.resets <= 3
    resets = f"after {result.resets} reset{'s' * (result.resets != 1)} in their middle"
    assert resets in result.report()


@pytest.mark.long
def test_inference_agrees(core, data, monkeypatch):
    monkeypatch.setattr(session, "BLOCK", 2)
    result = compare_inference(core, data, 3, simulator="pysim")
    assert result, result.report()
    assert result.steps == 3 and result.writes["w"] == result.writes["e"] == 0
    assert result.report().startswith("3 batches agree: ")
    assert result.report().endswith(f"; {result.wrong} wrong classes")
    assert min(result.writes[store] for store in "xsk") > 0


@pytest.mark.parametrize(
    "stalls", [{}, {"gaps": (9, 0, 7), "stalls": (40, 3)}], ids=["none", "stalls"]
)
def test_clocks_of_waits_are_counted(data, stalls):
    """Those of the engines beside the movers follow from the clocks in which movers were done."""
    core = compiled(RECIPE, SHAPE, CLASSES, scores=True, inputs=2)
    comparison = session.Comparison(core, simulator="pysim", **stalls)
    ((begun, records),) = session.blocks_of(data, 2, new_trainer(RECIPE, data))
    place(comparison.machine, begun)
    ran = comparison.block(core.train, begun, records)
    found = comparison.outcome()
    assert found, found.report()
    movers = {engine: ran.done[engine] for engine in (Engine.IN, Engine.OUT)}
    wanted = clocks(schedule(core.config, core.train, 2, recorded=movers))
    for engine in Engine.ARRAY, Engine.VECTOR:
        for state in set(State) - {State.IDLE}:
            assert found.states[engine][state] == wanted[engine][state], (engine, state)
    assert len({sum(states.values()) for states in found.states.values()}) == 1
    given, taken = (found.states[mover][State.STREAM] for mover in movers)
    assert (given > 0, taken > 0) == (bool(stalls), bool(stalls))
    assert found.waits().startswith(
        f"stalled by the input stream in {given} clocks, by the output stream in {taken} clocks\n"
    )


@pytest.mark.long
def test_steps_that_carry_out_their_scores_agree(data):
    core = compiled(RECIPE, SHAPE, CLASSES, scores=True, inputs=2)
    result = compare_steps(core, data, 3, simulator="pysim")
    assert result, result.report()


@pytest.mark.long
def test_a_difference_is_named_and_shown(core, data, tmp_path):
    """The coordinates are those of the first word that a wrong program writes."""
    update = next(
        number for number, task in enumerate(core.train[Engine.VECTOR]) if task.name == "update 2"
    )
    to = core.train[Engine.VECTOR][update].instruction.to
    wrong: Program = changed(core.train, Engine.VECTOR, update, to=replace(to, high=to.high + 1))
    file = tmp_path / "waves" / "core.vcd"
    result = compare_steps(replace(core, train=wrong), data, 1, simulator="pysim", waves=file)
    first = result.differences[0]
    assert first.store == "w" and first.where == "step 0, update 2, row 0, column 0"
    assert first.word.startswith("bank 0, address ") and " at address " in first.text
    assert result.files == (file, file.with_suffix(".gtkw"))
    text = file.read_text("utf-8")
    assert "w_value" in text and f"#{first.clock * 10}" in text
    assert str(first) in result.report() and str(file) in result.report()
