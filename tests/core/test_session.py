"""Comparisons of a core with golden steps: from a run, with resets, of inference; what they say."""

from dataclasses import replace

import pytest
from small_cores import changed, random_images, small

from golden.core.isa import Engine
from golden.core.lower import compiled
from golden.core.program import Program
from golden.training import Run
from gradloom.core import session
from gradloom.core.session import compare_inference, compare_steps

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
