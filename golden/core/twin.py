"""The twin of the training core: every write into a store, with its clock, bank, address and value.

It runs no loops of instructions and has no memories. What a task writes are the values of the
trainer's record; where, says the layout; and when, the schedule. So a wrong stride in a program or
a wrong gate writes something else, or elsewhere, or at another time.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden.core.config import PASS_LATENCY, CoreConfig
from golden.core.isa import Engine, Function, Store, VectorInstruction
from golden.core.layout import Layout, Rows, Words
from golden.core.program import Chunk, Task, of_kind
from golden.core.schedule import Span
from golden.fixed import Codes
from golden.training.step.operation import Operation
from golden.training.step.ops import Product, QuantizeActivation, QuantizeError, WageUpdate
from golden.training.step.record import Entry, Record

#: Names of the row stores.
SUMS, MASKS = "s", "k"


@dataclass(frozen=True, kw_only=True, eq=False)
class Writes:
    """Writes into a store, in the order of their clocks.

    Parameters
    ----------
    clock
        The clocks, (writes,).
    enable
        Whether each bank is written, (writes, banks); for a row store, (writes, 1).
    address
        Addresses in the banks, or rows, in the same shape; 0 where nothing is written.
    value
        Values, (writes, banks), or (writes, columns) for a row store; 0 where nothing is written.
    """

    clock: Codes
    enable: NDArray[np.bool_]
    address: Codes
    value: Codes

    def __len__(self) -> int:
        return len(self.clock)

    def part(self, chosen: NDArray[np.bool_]) -> "Writes":
        """Return some of the writes."""
        return Writes(
            clock=self.clock[chosen],
            enable=self.enable[chosen],
            address=self.address[chosen],
            value=self.value[chosen],
        )


def joined(parts: Sequence[Writes]) -> Writes:
    """Return writes of several origins in the order of their clocks."""
    order = np.argsort(np.concatenate([part.clock for part in parts]), kind="stable")
    return Writes(
        clock=np.concatenate([part.clock for part in parts])[order],
        enable=np.concatenate([part.enable for part in parts])[order],
        address=np.concatenate([part.address for part in parts])[order],
        value=np.concatenate([part.value for part in parts])[order],
    )


def vectors(chunk: Chunk) -> tuple[Codes, Codes]:
    """Return row and block of a chunk's vectors or tiles, in order."""
    rows, blocks = np.array(chunk.rows), np.array(chunk.blocks)
    if chunk.by_columns:
        return np.tile(rows, len(blocks)), np.repeat(blocks, len(rows))
    return np.repeat(rows, len(blocks)), np.tile(blocks, len(rows))


class CoreTwin:
    """What a core writes in a step, of the step's record.

    Parameters
    ----------
    config
        The core.
    placed
        Where its words are.
    """

    def __init__(self, config: CoreConfig, placed: Layout):
        self.config = config
        self.layout = placed

    def writes(self, span: Span, record: Record) -> dict[str, Writes]:
        """Return the writes of a chunk of the array or of the vector engine, by store.

        Parameters
        ----------
        span
            The chunk.
        record
            Record of its step.
        """
        task = span.task
        if task.engine is Engine.ARRAY:
            return {SUMS: self._product(span, _entry(task, record, Product))}
        instruction = task.instruction
        if task.engine is not Engine.VECTOR or not isinstance(instruction, VectorInstruction):
            return {}
        makers: Mapping[Function, Callable[[], dict[str, Writes]]] = {
            Function.ACTIVATE: lambda: self._activation(span, record),
            Function.ERROR: lambda: {
                "e": self._words(span, _entry(task, record, QuantizeError).tensors["code"])
            },
            Function.UPDATE: lambda: {
                "w": self._words(span, _entry(task, record, WageUpdate).tensors["out"])
            },
        }
        maker = makers.get(instruction.function)
        return maker() if maker else {}

    def _product(self, span: Span, entry: Entry) -> Writes:
        config, task = self.config, span.task
        assert task.sums is not None
        values, (down, across) = entry.tensors["out"], vectors(task.chunks[span.chunk])
        ends = span.start + task.clocks * np.arange(1, len(down) + 1) - 1 - task.idle
        # The bottom row leaves first.
        lane = np.arange(config.rows - 1, -1, -1)
        clock = np.add.outer(ends + config.product_latency, config.rows - 1 - lane).ravel()
        row = np.add.outer(down * config.rows, lane).ravel()
        block = np.repeat(across, config.rows)
        there = row < len(values)
        clock, row, block = clock[there], row[there], block[there]
        return self._rows(task.sums, clock, row, block, values, 0)

    def _rows(
        self, rows: Rows, clock: Codes, row: Codes, block: Codes, values: Codes, rest: int
    ) -> Writes:
        """Return writes of matrix rows in column blocks; lanes that are not there hold `rest`."""
        columns = self.config.columns
        padded = np.pad(
            values, ((0, 0), (0, -values.shape[1] % columns)), constant_values=rest
        ).reshape(len(values), -1, columns)
        return Writes(
            clock=clock,
            enable=np.ones((len(clock), 1), np.bool_),
            address=rows.places(row, block)[:, None],
            value=padded[row, block],
        )

    def _vectors(self, span: Span) -> tuple[Codes, Codes, Codes]:
        """Return the clocks of the writes of a pass's vectors, their rows and their blocks."""
        row, block = vectors(span.task.chunks[span.chunk])
        return span.start + span.task.clocks * np.arange(len(row)) + PASS_LATENCY, row, block

    def _words(self, span: Span, values: Codes) -> Writes:
        """Return the writes of words into a store with banks."""
        words = span.task.words
        assert words is not None
        clock, row, block = self._vectors(span)
        return _banked(words, clock, row, block * self.config.columns, values, self.config.columns)

    def _activation(self, span: Span, record: Record) -> dict[str, Writes]:
        entry = _entry(span.task, record, QuantizeActivation)
        clock, row, block = self._vectors(span)
        masks = self.layout.k[span.task.layer - 1]
        halves = [
            self._rows(masks, clock, row, block, entry.tensors[name].astype(np.int64), rest)
            for name, rest in (("active", 0), ("unclipped", 1))
        ]
        both = Writes(
            clock=clock,
            enable=halves[0].enable,
            address=halves[0].address,
            value=np.concatenate([half.value for half in halves], axis=1),
        )
        return {"x": self._words(span, entry.tensors["code"]), MASKS: both}


def _banked(
    words: Words, clock: Codes, row: Codes, first: Codes, values: Codes, lanes: int
) -> Writes:
    """Return writes of runs of words into banks.

    Parameters
    ----------
    words
        Where they are.
    clock, row, first
        Clock, row, and first column of each run.
    values
        The matrix.
    lanes
        Length of a run, but for the end of a row.
    """
    column = np.add.outer(first, np.arange(lanes))
    there = column < words.columns
    bank, address = words.places(row[:, None], column)
    runs = np.broadcast_to(np.arange(len(clock))[:, None], column.shape)
    shape = len(clock), words.banks
    found = Writes(
        clock=clock,
        enable=np.zeros(shape, np.bool_),
        address=np.zeros(shape, np.int64),
        value=np.zeros(shape, np.int64),
    )
    at = runs[there], bank[there]
    found.enable[at] = True
    found.address[at] = address[there]
    found.value[at] = values[np.broadcast_to(row[:, None], column.shape)[there], column[there]]
    return found


def sample_writes(words: Words, clock: Codes, row: Codes, beat: Codes, values: Codes) -> Writes:
    """Return the writes of a mover's beats.

    Parameters
    ----------
    words
        Where they go.
    clock
        Clock of each write.
    row, beat
        Row of each beat, and its number in the row.
    values
        The matrix.
    """
    return _banked(words, clock, row, beat * words.banks, values, words.banks)


def _entry(task: Task, record: Record, kind: type[Operation]) -> Entry:
    """Return the record of the operation of some kind that a task carries out."""
    operation = of_kind(task.operations, kind)
    return next(entry for entry in record if entry.operation == operation)


#: Names of the stores in events.
STORES = (*(store.name.lower() for store in Store), SUMS, MASKS)
