"""Where words are: none share a place, and lanes read together are in different banks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.core.isa import Engine, Store
from golden.core.layout import Rows, layout, unit_pitch
from golden.core.lower import compiled
from golden.core.lowering import Gradients
from golden.training import load
from golden.training.layers.network import stages


def cells(words):
    """Flat cells of a matrix."""
    row, column = np.indices((words.rows, words.columns))
    bank, address = words.places(row, column)
    assert bank.min() >= 0 and bank.max() < words.banks and address.max() < words.end
    return (address * words.banks + bank).ravel()


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 40), max_size=3),
    st.integers(1, 20),
    st.integers(1, 13),
    st.integers(1, 13),
    st.sampled_from([1, 2]),
)
def test_no_two_words_share_a_cell(layers, batch, rows, columns, inputs):
    network = "-".join(f"{n}FC" for n in layers)
    made = layout(stages(network, (3, 5, 2), 7), batch, rows, columns, inputs)
    x = [*made.x, made.second] if inputs == 2 else made.x
    for group in (x, made.w, made.e[:2], made.e[1:3] or made.e, made.e[2:4] or made.e):
        found = np.concatenate([cells(words) for words in group])
        assert len(np.unique(found)) == len(found)
    assert (made.second is made.x[0]) == (inputs == 1)
    for words in (*made.x, *made.e, *made.w):
        lanes = np.arange(min(words.rows, words.banks))
        bank, _ = words.places(lanes, np.zeros_like(lanes))
        assert len(np.unique(bank)) == len(bank)  # a column of as many rows as there are banks
    assert all(words.end <= made.words(words.store) for words in (*x, *made.e, *made.w))


@pytest.mark.parametrize(("width", "banks", "pitch"), [(784, 8, 785), (784, 12, 793), (1, 8, 1)])
def test_pitches(width, banks, pitch):
    assert unit_pitch(width, banks) == pitch


def test_a_ring_keeps_some_parts():
    rows = Rows(base=100, pitch=0, rows=21, blocks=3, part=5, ring=5)
    assert (rows.parts, rows.size, rows.end) == (5, 25, 125)
    assert rows.places(np.array([0, 4, 5, 20]), 2).tolist() == [100, 104, 105, 120]
    rows = Rows(base=0, pitch=0, rows=16, blocks=3, part=2, ring=4)
    assert rows.places(np.array([6, 7, 8, 15]), 1).tolist() == [6, 7, 0, 7]


@pytest.mark.parametrize("gradients", Gradients)
def test_memory_of_published_sizes(gradients):
    """784-128-10 and 64-128-10 at batch 64 on 8 x 8: rows of sums."""
    found = []
    for shape in ((28, 28, 1), (8, 8, 1)):
        recipe = load("digits-wage", ["batch=64"])
        core = compiled(recipe, shape, 10, gradients=gradients)
        found.append((core.config.s_rows, core.config.sum_bits))
        assert core.layout.words(Store.E) == 1168
    assert (
        found
        == {
            Gradients.STORED: [(12800, 21), (1280, 21)],
            Gradients.TWICE: [(1216, 21), (1088, 21)],
        }[gradients]
    )


def test_sums_share_rows_only_when_they_have_been_read():
    """Rooms that overlap belong to a product that waits for the last reader of the other one."""
    core = compiled(load("digits-wage", ["network=40FC-30FC-20FC"]), (8, 8, 1), 10)
    spans = {}
    for task in core.train:
        if task.sums is not None:
            spans.setdefault((task.sums.base, task.sums.size), []).append(task.name)
    assert len(spans) > 2
    assert core.train.chunks(Engine.ARRAY) == sum(
        len(task.chunks) for task in core.train[Engine.ARRAY]
    )
