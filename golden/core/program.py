"""Programs: lists of instructions with what each of them means."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from golden.core.field import encode, words_of
from golden.core.isa import INSTRUCTIONS, Engine, Instruction, VectorInstruction
from golden.core.layout import Rows, Words
from golden.training.step.operation import Operation

T = TypeVar("T", bound=Operation)


def of_kind(operations: Iterable[Operation], kind: type[T]) -> T:
    """Return the one of some operations that is of a kind."""
    (found,) = (each for each in operations if isinstance(each, kind))
    return found


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """What an instruction does from one count to the next one.

    Parameters
    ----------
    rows
        Row blocks of tiles; for passes and moves, rows.
    blocks
        Column blocks; for moves, beats.
    by_columns
        Whether all rows of a block come before the next block.
    """

    rows: range
    blocks: range
    by_columns: bool

    def __len__(self) -> int:
        return len(self.rows) * len(self.blocks)


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """An instruction and what it means.

    Parameters
    ----------
    engine
        Its engine.
    name
        What it does, as "forward 1".
    layer
        Number of its layer, from 1.
    instruction
        The instruction.
    operations
        The operations of the plan that it carries out, or a part of which.
    chunks
        What each chunk does.
    clocks
        Clocks of a tile, a vector or a beat.
    idle
        Clocks of a tile after its last term.
    sums
        The rows of sums that it writes or reads.
    words
        The words that it writes, if it does.
    again
        Whether it is a product that was made before, for the maximum of its sums.
    """

    engine: Engine
    name: str
    layer: int
    instruction: Instruction
    operations: tuple[Operation, ...]
    chunks: tuple[Chunk, ...]
    clocks: int
    idle: int = 0
    sums: Rows | None = None
    words: Words | None = None
    again: bool = False

    @property
    def settle(self) -> bool:
        """Whether its first chunk waits until all earlier passes have ended."""
        return isinstance(self.instruction, VectorInstruction) and self.instruction.settle


@dataclass(frozen=True, kw_only=True)
class Program:
    """Lists of all engines, which begin again with each step.

    Parameters
    ----------
    name
        What it is for: train, infer, load or dump.
    tasks
        Tasks of each engine, by its number.
    """

    name: str
    tasks: tuple[tuple[Task, ...], ...]

    def __getitem__(self, engine: Engine) -> tuple[Task, ...]:
        return self.tasks[engine]

    def __iter__(self) -> Iterator[Task]:
        """Yield all tasks, engine by engine."""
        return (task for tasks in self.tasks for task in tasks)

    def chunks(self, engine: Engine) -> int:
        """Return the number of an engine's chunks in a step."""
        return sum(len(task.chunks) for task in self[engine])

    def last(self, engine: Engine) -> int:
        """Return the place of an engine's last instruction in its list; 0 without one."""
        return words_of(INSTRUCTIONS[engine]) * max(0, len(self[engine]) - 1)

    def words(self, engine: Engine) -> list[int]:
        """Return the words of an engine's list."""
        return [word for task in self[engine] for word in encode(task.instruction)]


@dataclass(frozen=True, kw_only=True)
class Part:
    """The list of an engine in a program, and its place among all words of all programs.

    Parameters
    ----------
    program
        Name of the program.
    engine
        The engine.
    at
        Number of its first word.
    words
        The words.
    last
        First word of the last instruction, counted in the list.
    total
        Chunks of a step.
    """

    program: str
    engine: Engine
    at: int
    words: tuple[int, ...]
    last: int
    total: int


def parts(programs: Iterable[Program]) -> list[Part]:
    """Return the lists of some programs, one after the other; engines without one are left out."""
    found: list[Part] = []
    at = 0
    for program in programs:
        for engine in Engine:
            words = tuple(program.words(engine))
            if words:
                found.append(
                    Part(
                        program=program.name,
                        engine=engine,
                        at=at,
                        words=words,
                        last=program.last(engine),
                        total=program.chunks(engine),
                    )
                )
                at += len(words)
    return found
