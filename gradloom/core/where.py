"""Which value of which tensor a word of a store is: the layout from its other side."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from golden.core.isa import Engine, Store
from golden.core.layout import Rows, Words
from golden.core.lower import Compiled
from golden.core.program import Task
from golden.core.schedule import Span
from golden.core.twin import MASKS, SUMS


@dataclass(frozen=True, kw_only=True)
class Place:
    """A value of a tensor.

    Parameters
    ----------
    operation
        What makes it, as "update 2", or what it is.
    row, column
        Its coordinates.
    step, chunk
        Where in the program; None if no engine is known to write it then.
    """

    operation: str
    row: int
    column: int
    step: int | None = None
    chunk: int | None = None

    def __str__(self) -> str:
        where = f"{self.operation}, row {self.row}, column {self.column}"
        return where if self.step is None else f"step {self.step}, {where}"


def place_of(
    compiled: Compiled, store: str, bank: int, address: int, lane: int, spans: Sequence[Span]
) -> Place | None:
    """Return the value that a word of a store is.

    Parameters
    ----------
    compiled
        The network.
    store
        Name of the store.
    bank, address
        Where the word is; a row store has its row as the address.
    lane
        Lane of a row store's row.
    spans
        Chunks that may write it, the likeliest first.

    Returns
    -------
    Place or None
        None if no tensor has a word there.
    """
    for span in spans:
        for row, column in _of_task(compiled, span, store, bank, address, lane):
            return Place(
                operation=span.task.name, row=row, column=column, step=span.step, chunk=span.chunk
            )
    for name, words in _tensors(compiled, store):
        if (found := words.coordinates(bank, address)) is not None:
            return Place(operation=name, row=found[0], column=found[1])
    return None


def _tensors(compiled: Compiled, store: str) -> Iterator[tuple[str, Words]]:
    """Yield the tensors of a store with banks."""
    placed = compiled.layout
    named = {
        Store.X: [("samples", placed.x[0]), ("samples", placed.second)]
        + [(f"activations {layer}", words) for layer, words in enumerate(placed.x[1:], 1)],
        Store.E: [(f"errors {layer}", words) for layer, words in enumerate(placed.e, 1)],
        Store.W: [(f"weights {layer}", words) for layer, words in enumerate(placed.w, 1)],
    }
    for each, tensors in named.items():
        if each.name.lower() == store:
            yield from tensors


def _of_task(
    compiled: Compiled, span: Span, store: str, bank: int, address: int, lane: int
) -> Iterator[tuple[int, int]]:
    """Yield the coordinates that a word has among what a chunk writes."""
    task, columns = span.task, compiled.config.columns
    rows: Rows | None = None
    if store == SUMS and task.engine is Engine.ARRAY:
        rows = task.sums
    elif store == MASKS and task.name.startswith("activate"):
        rows = compiled.layout.k[task.layer - 1]
    elif task.words is not None and task.words.store.name.lower() == store:
        if (found := task.words.coordinates(bank, address)) is not None and _in_chunk(
            task, span.chunk, found[0], found[1] // columns, compiled.config.rows
        ):
            yield found
        return
    if rows is None:
        return
    for row, block in rows.coordinates(address):
        if _in_chunk(task, span.chunk, row, block, compiled.config.rows):
            yield row, block * columns + lane % columns


def _in_chunk(task: Task, chunk: int, row: int, block: int, rows: int) -> bool:
    """Return whether a chunk has a row in a column block."""
    made = task.chunks[chunk]
    if task.engine is Engine.ARRAY:
        row //= rows
    if task.engine in (Engine.IN, Engine.OUT):
        return row in made.rows
    return row in made.rows and block in made.blocks


def running(spans: Sequence[Span], clock: int) -> list[Span]:
    """Return the chunks that may write in a clock, the earliest first."""
    return sorted(
        (span for span in spans if span.start <= clock <= span.done), key=lambda span: span.start
    )
