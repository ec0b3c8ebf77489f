"""Stores of rows: what a row is, and what is read."""

from amaranth.hdl import Cat

from golden.core.banks import RowStoreConfig
from gradloom.prove.bench import Bench
from gradloom.prove.core.banks import keeps, reads


def specify(bench: Bench, config: RowStoreConfig) -> None:
    """Add the properties of a store of rows."""
    rows = [bench.probe(f"rows[{k}]", config.lanes * config.width) for k in range(config.rows)]
    write, to, row = bench["write"], bench["to"], bench["row"]
    keeps(
        bench,
        [rows],
        [(write, to, Cat(*bench["value"]))],
        "a row becomes the value where it is written, and no other row changes",
    )
    reads(
        bench,
        "data",
        "the row that was addressed two clocks before, unless it was written in that clock",
        [(rows, row, ~(write & (row == to)), Cat(*bench["data"]))],
    )
