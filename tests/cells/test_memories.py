"""Memories: how block RAMs are cut, and a device's own clock for clock beside the inferred form."""

import re

import numpy as np
import pytest
from amaranth.back import rtlil
from hypothesis import given
from hypothesis import strategies as st
from primitives import Lowered, needs_yosys, yosys

from golden.core.banks import BanksConfig, RowStoreConfig
from gradloom.rtl.verilog import verilog
from gradloom.sim.device_cells import lowered
from gradloom.sim.simulators import simulate
from hdl.cells import CELLS, ecp5_memory
from hdl.cells.memory import blocks, cut
from hdl.core.banks import Banks, RowStore

ECP5 = CELLS["ecp5"]


@pytest.mark.parametrize(
    ("width", "words", "number"),
    [
        (8, 1, 1),
        (9, 2048, 1),
        (8, 2049, 2),
        (8, 12914, 7),
        (12, 5000, 4),
        (16, 7312, 8),
        (20, 1024, 2),
        (1, 1 << 19, 32),
    ],
)
def test_banks_take_the_fewest_block_rams(width, words, number):
    assert ECP5.bank_blocks(words, width) == number


@pytest.mark.parametrize(
    ("width", "words", "number"), [(168, 1280, 15), (168, 1440, 15), (16, 1024, 1), (36, 512, 1)]
)
def test_rows_take_the_fewest_block_rams(width, words, number):
    assert ECP5.rows_blocks(words, width) == number


@pytest.mark.parametrize("cells", CELLS.values(), ids=CELLS)
@given(st.integers(1, 1 << 19), st.integers(1, 80), st.integers(1, 2))
def test_cells_count_all_memories_or_none(cells, words, width, clocks):
    counts = cells.bank_blocks(words, width), cells.rows_blocks(words, width, clocks)
    assert all((count is not None) == cells.counts_memories for count in counts)


@given(
    st.integers(1, 80), st.integers(1, 1 << 19), st.sampled_from(["TWO_PORTS", "READ_AND_WRITE"])
)
def test_a_cut_memory_has_all_words(width, words, kind):
    shapes = getattr(ecp5_memory, kind)
    parts = cut(shapes, width, words)
    assert parts[0].first == 0
    for part, following in zip(parts, parts[1:]):
        assert following.first == part.first + part.shape.depth
    assert parts[-1].first < words <= parts[-1].first + parts[-1].shape.depth
    assert all(part.first % part.shape.depth == 0 for part in parts)
    # No shape alone takes fewer.
    alone = min(-(-width // shape.width) * -(-words // shape.depth) for shape in shapes)
    assert blocks(parts, width) <= alone


# Clock for clock.

#: Widths and words that use every shape, one part and several.
BANKS = [
    (1, 16384),
    (2, 5000),
    (3, 4097),
    (8, 5000),
    (9, 2048),
    (16, 1500),
    (20, 3000),
]
ROWS = [(36, 512), (21, 600), (40, 1300), (8, 3000), (5, 4096), (2, 7000)]


def some(words, clocks, rng):
    """Addresses, of which many are met again, at both ends of a memory and around powers of two."""
    ends = [at for k in range(15) for at in ((1 << k) - 1, 1 << k) if at < words]
    known = np.array([0, words - 1, *ends, *rng.integers(0, words, 20)])
    return rng.choice(known, clocks)


def banks(width, words, cells):
    return Banks(BanksConfig(banks=1, words=words, width=width), cells=cells)


def rows(width, words, cells):
    return RowStore(RowStoreConfig(rows=words, lanes=1, width=width), cells=cells)


def bank_inputs(width, words, clocks=3000, seed=1):
    rng = np.random.default_rng(seed)
    a, b = (some(words, clocks, rng)[:, None] for _ in "ab")
    write = rng.random((clocks, 1)) < 0.5
    # Nothing is read where it is written.
    write &= a != b
    return {
        "a_address": a,
        "b_address": b,
        "b_write": write.astype(int),
        "b_value": rng.integers(0, 1 << width, (clocks, 1)),
    }, ~write


def bank_traces(width, words, simulator):
    """Words that are read: those at `b` are not defined where something was written."""
    inputs, reads = bank_inputs(width, words)
    component = Banks(
        BanksConfig(banks=1, words=words, width=width),
        cells=ECP5 if simulator is Lowered else CELLS["generic"],
    )
    made = simulator(component) if isinstance(simulator, type) else simulator
    found = simulate(component, inputs, made)
    b = np.where(reads[:-2], found["b_data"][2:], -1)
    return found["a_data"][2:], b


def expected(width, words):
    """The same of a plain list."""
    inputs, reads = bank_inputs(width, words)
    a, b = np.zeros_like(inputs["a_address"]), np.zeros_like(inputs["a_address"])
    memory = np.zeros(words, np.int64)
    for clock in range(len(a)):
        a[clock] = memory[inputs["a_address"][clock]]
        at = inputs["b_address"][clock]
        if reads[clock]:
            b[clock] = memory[at]
        else:
            b[clock] = -1
            memory[at] = inputs["b_value"][clock]
    return a[:-2], b[:-2]


def same(one, other):
    return all(np.array_equal(x, y) for x, y in zip(one, other, strict=True))


@pytest.mark.parametrize(("width", "words"), [(8, 9), (3, 4097)])
def test_inferred_banks_read_what_was_written(width, words):
    assert same(bank_traces(width, words, "pysim"), expected(width, words))


def marked(cases, quick):
    return [
        pytest.param(*case, marks=[] if case in quick else [pytest.mark.long]) for case in cases
    ]


@needs_yosys
@pytest.mark.parametrize(("width", "words"), marked(BANKS, [(8, 5000)]))
def test_banks_of_ecp5_read_what_was_written(width, words):
    assert same(bank_traces(width, words, Lowered), expected(width, words))


class Mapped(Lowered):
    """The inferred form, mapped to ECP5's block RAM by Yosys: another user of the model."""

    def text(self):
        import tempfile
        from pathlib import Path

        converted = rtlil.convert(self.top, name="top", ports=self.top.ports, emit_src=False)
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            (folder / "unit.il").write_text(converted, encoding="utf-8")
            yosys(
                "read_rtlil unit.il; hierarchy -top top; proc; flatten; opt; memory -nomap; "
                "memory_libmap -lib +/lattice/brams_16kd.txt; "
                "techmap -map +/lattice/brams_map_16kd.v; opt_clean; write_rtlil mapped.il",
                folder,
            )
            text = (folder / "mapped.il").read_text(encoding="utf-8")
        assert "DP16KD" in text
        # What the memories hold at first is zero, in the model as well.
        return lowered(re.sub(r"^ *parameter \\INITVAL_.*\n", "", text, flags=re.M), self.models)


@needs_yosys
@pytest.mark.long
@pytest.mark.parametrize(("width", "words"), [(2, 5000), (16, 1500), (20, 3000)])
def test_the_model_agrees_with_yosys_use_of_the_block(width, words):
    assert same(bank_traces(width, words, Mapped), expected(width, words))


def row_traces(width, words, simulator, seed=2, clocks=3000):
    """Rows that are read, and those that a plain list would show."""
    rng = np.random.default_rng(seed)
    to, row = some(words, clocks, rng), some(words, clocks, rng)
    write = (rng.random(clocks) < 0.5) & (to != row)
    value = rng.integers(0, 1 << width, clocks)
    inputs = {"write": write.astype(int), "to": to, "value": value[:, None], "row": row}
    component = RowStore(
        RowStoreConfig(rows=words, lanes=1, width=width),
        cells=ECP5 if simulator is Lowered else CELLS["generic"],
    )
    made = simulator(component) if isinstance(simulator, type) else simulator
    memory, expected = np.zeros(words, np.int64), np.zeros(clocks, np.int64)
    for clock in range(clocks):
        expected[clock] = memory[row[clock]]
        if write[clock]:
            memory[to[clock]] = value[clock]
    return (simulate(component, inputs, made)["data"][2:, 0],), (expected[:-2],)


def test_inferred_rows_read_what_was_written():
    assert same(*row_traces(21, 600, "pysim"))


@needs_yosys
@pytest.mark.parametrize(("width", "words"), marked(ROWS, [(40, 1300)]))
def test_rows_of_ecp5_read_what_was_written(width, words):
    assert same(*row_traces(width, words, Lowered))


@needs_yosys
@pytest.mark.long
@pytest.mark.parametrize(("width", "words"), [(36, 512), (21, 600)])
def test_the_model_agrees_with_yosys_use_of_the_wide_block(width, words):
    assert same(*row_traces(width, words, Mapped))


# Planted faults.


@needs_yosys
@pytest.mark.long
def test_a_memory_without_its_output_register_is_seen():
    class Early(Lowered):
        def text(self):
            converted = rtlil.convert(self.top, name="top", ports=self.top.ports, emit_src=False)
            assert '"OUTREG"' in converted
            return lowered(converted.replace('"OUTREG"', '"NOREG"'), self.models)

    inputs, _ = bank_inputs(8, 9)
    component = banks(8, 9, ECP5)
    found = simulate(component, inputs, Early(component))
    assert not np.array_equal(found["a_data"][2:], expected(8, 9)[0])


@needs_yosys
@pytest.mark.long
def test_a_wrong_part_is_seen(monkeypatch):
    monkeypatch.setattr(ecp5_memory, "_inside", lambda address, first, depth: address[0] == 0)
    assert not same(bank_traces(8, 5000, Lowered), expected(8, 5000))


@needs_yosys
@pytest.mark.long
def test_swapped_halves_of_a_wide_block_are_seen(monkeypatch):
    right = ecp5_memory._instance
    monkeypatch.setattr(
        ecp5_memory,
        "_instance",
        lambda *given: right(*given)[::-1] if given[2] == 36 else right(*given),
    )
    assert not same(*row_traces(36, 512, Lowered))


def test_the_verilog_has_the_blocks_that_are_counted():
    for width, words in BANKS:
        text = verilog(banks(width, words, ECP5), name="banks")
        assert text.count("DP16KD #(") == ECP5.bank_blocks(words, width)
    for width, words in ROWS:
        text = verilog(rows(width, words, ECP5), name="rows")
        assert text.count("DP16KD #(") == ECP5.rows_blocks(words, width)
