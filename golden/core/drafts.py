"""Instructions before their waits are numbers and their sums have a place.

A draft says for which tasks its chunks wait; where sums are stored and how high counts must be is
known only when all tasks of a step are there (`golden.core.rooms`, `golden.core.waits`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import TypeVar

from golden.core.index import Index
from golden.core.isa import (
    PASS_LOOPS,
    TERM_LOOPS,
    TILE_LOOPS,
    ArrayInstruction,
    Engine,
    Function,
    Instruction,
    LaneLoop,
    Last,
    Move,
    MoveInstruction,
    MoveLoop,
    PassLoop,
    Target,
    TermLoop,
    TileLoop,
    VectorInstruction,
    Wait,
)
from golden.core.layout import Rows, Words
from golden.core.nest import LEAST_RUN, padding
from golden.core.program import Chunk
from golden.order import blocks
from golden.training.step.operation import Operation

T = TypeVar("T")

#: Makes an instruction of the place of its sums and of its waits.
Maker = Callable[[Rows, tuple[Wait, ...]], Instruction]


@dataclass(eq=False, kw_only=True)
class Draft:
    """A task without waits and without a place for its sums.

    Parameters
    ----------
    engine, name, layer, operations, chunks, clocks, idle, words, again
        See `golden.core.program.Task`.
    make
        Makes its instruction.
    waits
        What its chunks wait for.
    room
        The sums that it writes or reads.
    """

    engine: Engine
    name: str
    layer: int
    operations: tuple[Operation, ...]
    chunks: tuple[Chunk, ...]
    clocks: int
    make: Maker
    idle: int = 0
    words: Words | None = None
    again: bool = False
    waits: "list[After]" = field(default_factory=list)
    room: "Room | None" = None


@dataclass(frozen=True, kw_only=True)
class After:
    """A wait for a draft of another engine.

    Parameters
    ----------
    draft
        The draft.
    count, slope
        Chunk i waits until the draft has finished `count` + `slope` i of its chunks. They are
        counted from its first one, so a negative number means passes or products before it. None
        means all of its chunks.
    back
        How many steps before it is meant: 0 is the same step.
    """

    draft: Draft
    count: int | None = None
    slope: int = 0
    back: int = 0


@dataclass(eq=False, kw_only=True)
class Room:
    """Sums that products write and passes read.

    Parameters
    ----------
    rows
        The sums; the place of the first row is not known yet.
    product
        The first draft that writes them.
    readers
        The drafts that read them.
    """

    rows: Rows
    product: Draft
    readers: list[Draft] = field(default_factory=list)

    def at(self, base: int) -> None:
        """Place them."""
        self.rows = replace(self.rows, base=base)


def filled(loops: list[T], count: int, empty: T) -> tuple[T, ...]:
    """Return loops, outermost first, filled up at the inside."""
    return (*loops, *[empty] * (count - len(loops)))


@dataclass(frozen=True, kw_only=True)
class Operand:
    """How a product goes over a matrix of words.

    Parameters
    ----------
    words
        The matrix.
    by_rows
        Whether lanes are rows of the matrix and terms its columns; otherwise it is the other way
        round.
    quantize
        Whether Q_W is applied.
    second
        Flat distance to the other buffer.
    """

    words: Words
    by_rows: bool
    quantize: bool = False
    second: int = 0

    @property
    def lane(self) -> int:
        """Distance of neighbouring lanes."""
        return self.words.pitch if self.by_rows else 1

    @property
    def term(self) -> int:
        """Distance of neighbouring terms."""
        return 1 if self.by_rows else self.words.pitch

    @property
    def lanes(self) -> int:
        """Number of lanes that the matrix has."""
        return self.words.rows if self.by_rows else self.words.columns

    @property
    def terms(self) -> int:
        """Number of terms."""
        return self.words.columns if self.by_rows else self.words.rows

    def index(self, flat: int) -> Index:
        """Return a flat index or a stride as a pair."""
        return self.words.index(flat)


def product(
    name: str,
    layer: int,
    operations: tuple[Operation, ...],
    a: Operand,
    b: Operand,
    size: tuple[int, int],
    sums: Rows,
    taken: range | None = None,
    row_by_row: bool = False,
) -> Draft:
    """Return the draft of a product, column block by column block.

    Parameters
    ----------
    name, layer, operations
        See `golden.core.program.Task`.
    a, b
        The operands.
    size
        Rows and columns of the array.
    sums
        Form of the sums: whole, or a ring of parts of a multiple of the array's rows.
    taken
        The column blocks, if these are not all.
    row_by_row
        Whether each row block is a chunk.
    """
    rows, columns = size
    down, every = blocks(a.lanes, rows), range(blocks(b.lanes, columns))
    taken = taken or every
    per_part = 1 if row_by_row else sums.part // rows or down  # row blocks
    run = max(a.terms, LEAST_RUN)
    pad = padding(rows, run, run - a.terms)
    clocks = pad + run

    def make(sums: Rows, waits: tuple[Wait, ...]) -> ArrayInstruction:
        zero = a.index(0)
        step = columns * b.lane
        loops = [TileLoop(count=len(taken), a=zero, b=b.index(step), s=sums.pitch)]
        if row_by_row:
            loops.append(TileLoop(count=down, a=a.index(rows * a.lane), b=zero, s=rows))
        elif sums.part:
            part = rows * a.lane * per_part
            loops += [
                TileLoop(count=sums.parts // sums.ring, a=a.index(part * sums.ring), b=zero),
                TileLoop(count=sums.ring, a=a.index(part), b=zero, s=sums.part),
            ]
        loops.append(TileLoop(count=per_part, a=a.index(rows * a.lane), b=zero, s=rows))
        return ArrayInstruction(
            a_from=a.words.store,
            b_from=b.words.store,
            quantize=b.quantize,
            levels=len(loops) - 1,
            pad=pad,
            a=a.index(a.words.base),
            b=b.index(b.words.base + taken.start * step),
            second=a.index(a.second),
            s=sums.base + taken.start * sums.pitch,
            a_end=a.words.end + a.second // a.words.banks,
            b_end=b.words.end,
            s_end=sums.end,
            tiles=filled(loops, TILE_LOOPS, TileLoop()),
            last_count=(down - 1) % per_part + 1,
            terms=(
                *[TermLoop()] * (TERM_LOOPS - 1),
                TermLoop(count=a.terms, a=a.index(a.term), b=b.index(b.term)),
            ),
            a_lanes=(
                LaneLoop(),
                LaneLoop(),
                LaneLoop(count=min(rows, a.lanes), stride=a.index(a.lane)),
            ),
            b_stride=b.index(b.lane),
            rows=Last(loops=(1 << len(loops)) - 2, lanes=(a.lanes - 1) % rows + 1),
            columns=Last(loops=int(taken.stop == every.stop), lanes=(b.lanes - 1) % columns + 1),
            waits=waits,
        )

    draft = Draft(
        engine=Engine.ARRAY,
        name=name,
        layer=layer,
        operations=operations,
        chunks=_chunks(down, taken, per_part),
        clocks=clocks,
        idle=run - a.terms,
        make=make,
    )
    draft.room = Room(rows=sums, product=draft)
    return draft


def _chunks(rows: int, across: range, part: int) -> tuple[Chunk, ...]:
    """Return a chunk for each part of the rows of each column block."""
    return tuple(
        Chunk(
            rows=range(first, min(first + part, rows)),
            blocks=range(block, block + 1),
            by_columns=True,
        )
        for block in across
        for first in range(0, rows, part)
    )


class Chunks(Enum):
    """The order of a pass, and its chunks."""

    #: Column block by column block; chunks as those of the product that writes the sums.
    COLUMNS = auto()
    #: Row by row, each a chunk.
    ROWS = auto()
    #: Row by row, all one chunk.
    ONE = auto()


@dataclass(frozen=True, kw_only=True)
class Pass:
    """What a pass does with each sum.

    Parameters
    ----------
    function
        What it computes.
    target
        Where it writes.
    masked, labelled, settle, shift, scalar
        See `golden.core.isa.VectorInstruction`.
    chunks
        Its order and chunks.
    """

    function: Function
    target: Target = Target.NONE
    masked: bool = False
    labelled: bool = False
    settle: bool = False
    shift: int = 0
    scalar: int = 0
    chunks: Chunks = Chunks.COLUMNS


def vector_pass(
    name: str,
    layer: int,
    operations: tuple[Operation, ...],
    what: Pass,
    room: Room,
    width: int,
    lanes: int,
    words: Words | None = None,
    masks: Rows | None = None,
) -> Draft:
    """Return the draft of a pass over sums.

    Parameters
    ----------
    name, layer, operations
        See `golden.core.program.Task`.
    what
        What it does.
    room
        The sums.
    width
        Columns of the matrix of sums.
    lanes
        Lanes of a vector.
    words
        What it writes.
    masks
        Masks that it writes or reads.
    """
    rows, across = room.rows.rows, room.rows.blocks
    by_columns = what.chunks is Chunks.COLUMNS
    part = room.rows.part or rows

    def make(sums: Rows, waits: tuple[Wait, ...]) -> VectorInstruction:
        pitch = words.pitch if words else 0
        k_row, k_block = (1, masks.pitch) if masks else (0, 0)

        def loop(count: int, s: int, k: int, target: int) -> PassLoop:
            index = words.index(target) if words else Index()
            return PassLoop(count=count, s=s, k=k, target=index)

        block = loop(across, sums.pitch, k_block, lanes)
        inner = loop(part, 1, k_row, pitch)
        loops = [block, inner] if by_columns else [PassLoop(), inner, block]
        if sums.part:
            step = sums.part * sums.ring
            outer = loop(sums.parts // sums.ring, 0, k_row * step, pitch * step)
            loops[1:1] = [outer, loop(sums.ring, part, k_row * part, pitch * part)]
        return VectorInstruction(
            function=what.function,
            target=what.target,
            masked=what.masked,
            labelled=what.labelled,
            settle=what.settle,
            levels=1 if what.chunks is Chunks.ONE else len(loops) - 1,
            shift=what.shift,
            scalar=what.scalar,
            layer=layer,
            sample_loop=1,
            class_loop=0 if by_columns else 2,
            s=sums.base,
            k=masks.base if masks else 0,
            s_end=sums.end,
            k_end=masks.end if masks else 0,
            to=words.index(words.base) if words else Index(),
            to_end=words.end if words else 0,
            loops=filled(loops, PASS_LOOPS, PassLoop()),
            last_count=across if what.chunks is Chunks.ROWS else (rows - 1) % part + 1,
            lanes=Last(loops=1 << (0 if by_columns else 2), lanes=(width - 1) % lanes + 1),
            waits=waits,
        )

    if by_columns:
        chunks = _chunks(rows, range(across), part)
    else:
        size = 1 if what.chunks is Chunks.ROWS else rows
        chunks = tuple(
            Chunk(rows=range(first, first + size), blocks=range(across), by_columns=False)
            for first in range(0, rows, size)
        )
    draft = Draft(
        engine=Engine.VECTOR,
        name=name,
        layer=layer,
        operations=operations,
        chunks=chunks,
        clocks=2 if what.target is Target.W else 1,
        make=make,
        words=words,
        room=room,
    )
    room.readers.append(draft)
    return draft


def move(
    name: str,
    layer: int,
    engine: Engine,
    what: Move,
    words: Words,
    beat: int,
    second: int = 0,
) -> Draft:
    """Return the draft of a move of a matrix's rows, each a chunk.

    Parameters
    ----------
    name, layer, engine
        See `golden.core.program.Task`.
    what
        What it carries.
    words
        The matrix.
    beat
        Words of a beat.
    second
        Flat distance to the other buffer.
    """
    beats = blocks(words.columns, beat)

    def make(_: Rows, waits: tuple[Wait, ...]) -> MoveInstruction:
        return MoveInstruction(
            move=what,
            layer=layer,
            at=words.index(words.base),
            second=words.index(second),
            end=words.end + second // words.banks,
            loops=(
                MoveLoop(count=words.rows, stride=words.index(words.pitch)),
                MoveLoop(),
                MoveLoop(count=beats, stride=words.index(beat)),
            ),
            lanes=(words.columns - 1) % beat + 1,
            waits=waits,
        )

    return Draft(
        engine=engine,
        name=name,
        layer=layer,
        operations=(),
        chunks=tuple(
            Chunk(rows=range(row, row + 1), blocks=range(beats), by_columns=False)
            for row in range(words.rows)
        ),
        clocks=1,
        make=make,
        words=words,
    )
