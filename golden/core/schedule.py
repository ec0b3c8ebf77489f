"""When everything happens: the clocks of every chunk of a program, from the waits alone.

A chunk starts when its engine has issued the chunk before and when every chunk that it waits for
has ended, three clocks ago; between two passes are two clocks more, between two moves is one. No
engine stalls inside a chunk. So the clocks follow from the lists, chunk by chunk, for input beats
that are always valid and output beats that are always taken.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from golden.core.config import HANDOVER, MOVE_LATENCY, PASS_LATENCY, CoreConfig
from golden.core.isa import Engine, Move, MoveInstruction
from golden.core.nest import is_clipped
from golden.core.program import Program, Task


@dataclass(frozen=True, kw_only=True)
class Span:
    """The clocks of a chunk.

    Parameters
    ----------
    engine, step, number, chunk
        Its engine, the step, the number of its task in the engine's list, and its own in the task.
    task
        Its task.
    free
        The first clock in which the engine could have begun it.
    start
        The clock of its first operand, vector or beat.
    end
        The first clock after its last one.
    released
        The first clock in which the engine could begin its next chunk.
    done
        The clock of its last write.
    waits
        What it waited for, and the first clock in which each let it begin: the other engines in
        their order, then its own with a pass that settles.
    """

    engine: Engine
    step: int
    number: int
    chunk: int
    task: Task
    free: int
    start: int
    end: int
    released: int
    done: int
    waits: tuple[tuple[Engine, int], ...]

    @property
    def waited(self) -> Engine | None:
        """The engine that it waited for the longest; None if it did not wait."""
        now, found = self.free, None
        for engine, clock in self.waits:
            if clock > now:
                now, found = clock, engine
        return found


def duration(task: Task, chunk: int) -> int:
    """Return the clocks in which a chunk's operands, vectors or beats are issued."""
    made = task.chunks[chunk]
    instruction = task.instruction
    labels = isinstance(instruction, MoveInstruction) and instruction.move is Move.SAMPLES
    return len(made) * task.clocks + labels * len(made.rows)


def ended(config: CoreConfig, task: Task, start: int, end: int) -> int:
    """Return the clock of a chunk's last write."""
    if task.engine is Engine.ARRAY:
        return end - 1 - task.idle + config.product_latency + config.rows - 1
    if task.engine is Engine.VECTOR:
        return end - task.clocks + PASS_LATENCY + 1
    return end + MOVE_LATENCY if task.engine is Engine.IN else end


def schedule(
    config: CoreConfig,
    program: Program,
    steps: int,
    recorded: Mapping[Engine, Sequence[int]] | None = None,
) -> Iterator[Span]:
    """Yield the chunks of some steps in an order in which they can be carried out.

    The first clock is the one after the command to start.

    Parameters
    ----------
    config
        The core.
    program
        Its program.
    steps
        Number of steps.
    recorded
        Clocks of the last writes of movers' chunks, as a run had them. Then these engines have no
        chunks here; the others wait for those clocks.
    """
    recorded = recorded or {}
    total = {engine: program.chunks(engine) for engine in Engine}
    done = {engine: list(recorded.get(engine, ())) for engine in Engine}
    walks = {
        engine: _walk(config, program, engine, steps, total, done)
        for engine in Engine
        if engine not in recorded
    }
    while walks:
        moved = False
        for engine in list(walks):
            for span in walks[engine]:
                if span is None:
                    break  # it waits
                moved = True
                yield span
            else:
                del walks[engine]
        if not moved and walks:
            raise RuntimeError(f"{program.name}: the engines wait for each other")


def _walk(
    config: CoreConfig,
    program: Program,
    engine: Engine,
    steps: int,
    total: dict[Engine, int],
    done: dict[Engine, list[int]],
) -> Iterator[Span | None]:
    """Yield an engine's chunks, or None while one waits for a chunk that is not there yet."""
    fetch = config.fetch(engine)
    free, fetched = 0, fetch
    for step in range(steps):
        for number, task in enumerate(program[engine]):
            waits = task.instruction.waits
            late = config.clipped_fetch * is_clipped(task.instruction)
            for chunk in range(len(task.chunks)):
                begin = max(free, fetched + late) if chunk == 0 else free
                found: list[tuple[Engine, int]] = []
                for other, wait in zip(engine.others, waits, strict=True):
                    count = wait.count + wait.slope * chunk + step * total[other]
                    if not wait.on or count <= 0:
                        continue
                    while len(done[other]) < count:
                        yield None
                    found.append((other, done[other][count - 1] + HANDOVER))
                if chunk == 0 and task.settle and done[engine]:
                    found.append((engine, done[engine][-1] + HANDOVER))
                start = max([begin, *(clock for _, clock in found)])
                if task.clocks == 2 and engine is Engine.VECTOR:
                    start += start % 2
                end = start + duration(task, chunk)
                pause = config.pause(engine) if chunk + 1 == len(task.chunks) else 0
                made = Span(
                    engine=engine,
                    step=step,
                    number=number,
                    chunk=chunk,
                    task=task,
                    free=begin,
                    start=start,
                    end=end,
                    released=end + pause,
                    done=ended(config, task, start, end),
                    waits=tuple(found),
                )
                done[engine].append(made.done)
                yield made
                if chunk == 0:
                    fetched = start + fetch
                free = made.released


def predict(config: CoreConfig, program: Program, steps: int = 4) -> tuple[int, tuple[Span, ...]]:
    """Return the clocks of a step in the steady state, and the chunks of the first steps.

    The clocks are those from the start of the first product of the last but one step to that of the
    last one.
    """
    spans = tuple(schedule(config, program, steps))
    starts = [
        span.start
        for span in spans
        if span.engine is Engine.ARRAY and span.number == 0 and span.chunk == 0
    ]
    return starts[-1] - starts[-2], spans
