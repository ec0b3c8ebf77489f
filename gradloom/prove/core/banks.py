"""Memories of the core: what a word is, and what is read."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Mux, Value

from golden.core.banks import BanksConfig
from gradloom.prove.bench import AnyState, Bench
from gradloom.prove.integers import chosen, every, implies, some


def specify(bench: Bench, config: BanksConfig) -> None:
    """Add the properties of banks."""
    memories = [
        [bench.probe(f"bank_{bank}[{k}]", config.width) for k in range(config.words)]
        for bank in range(config.banks)
    ]
    a, b, write = bench["a_address"], bench["b_address"], bench["b_write"]
    keeps(
        bench,
        memories,
        [(write[k], b[k], bench["b_value"][k]) for k in range(config.banks)],
        "a word becomes the value of port B where B writes it, and no other word changes",
    )
    reads(
        bench,
        "port A",
        "A shows the word that it addressed two clocks before, unless B wrote it in that clock",
        [
            (memories[k], a[k], ~(write[k] & (a[k] == b[k])), bench["a_data"][k])
            for k in range(config.banks)
        ],
    )
    reads(
        bench,
        "port B",
        "B shows the word that it addressed two clocks before, unless it wrote it",
        [(memories[k], b[k], ~write[k], bench["b_data"][k]) for k in range(config.banks)],
    )


def keeps(
    bench: Bench,
    memories: Sequence[Sequence[Value]],
    writes: Sequence[tuple[Value, Value, Value]],
    statement: str,
) -> None:
    """Add the property that words change where they are written only.

    Parameters
    ----------
    bench
        The bench.
    memories
        The words of each memory.
    writes
        Whether each memory is written, its address, and the value.
    statement
        The property.
    """
    holds, changes, others = [], [], []
    for words, (write, address, value) in zip(memories, writes, strict=True):
        before, given, to = bench.past(write), bench.past(value), bench.past(address)
        for number, word in enumerate(words):
            here = before & (to == number)
            holds.append(word == Mux(here, given, bench.past(word)))
            changes.append(here & (word != bench.past(word)))
            others.append(before & (to != number) & (word != 0))
    bench.prove(
        "words",
        statement,
        every(holds),
        AnyState(1),
        {"a word changes": some(changes), "another one keeps its value": some(others)},
        within=4,
    )


def reads(
    bench: Bench,
    name: str,
    statement: str,
    ports: Sequence[tuple[Sequence[Value], Value, Value, Any]],
) -> None:
    """Add the property of a port that reads.

    Parameters
    ----------
    bench
        The bench.
    name, statement
        The property.
    ports
        For each memory its words, the address, whether what is read is defined, and the data two
        clocks later.
    """
    holds, shown = [], []
    for words, address, defined, data in ports:
        word = bench.past(chosen(address, words), 2)
        there = bench.since(defined & (address < len(words)), 2)
        holds.append(implies(there, data == word))
        shown.append(there & (bench.past(address, 2) == len(words) - 1) & (data != 0))
    bench.prove(
        name, statement, every(holds), AnyState(2), {"the last word": some(shown)}, within=5
    )
