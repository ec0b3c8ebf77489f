"""What the clock counters of a core hold after a program, from its schedule."""

from collections.abc import Iterable

from golden.core.config import CoreConfig
from golden.core.isa import Engine
from golden.core.program import Program
from golden.core.register import State
from golden.core.schedule import Span, schedule

#: Clocks from the last write of a program's last chunk until the core does not run any more.
ENDING = 4


def running(spans: Iterable[Span]) -> int:
    """Return for how many clocks a program runs, whose last chunk is one with a write."""
    return max(span.done for span in spans) + ENDING


def clocks(spans: Iterable[Span]) -> dict[Engine, dict[State, int]]:
    """Return how many clocks each engine is in each state, while a program runs.

    An engine that waits for several others waits for the first one of them, in their order.

    Parameters
    ----------
    spans
        All chunks of the program, in the order of `schedule`.

    Examples
    --------
    >>> from golden.core.lower import compiled
    >>> from golden.core.schedule import schedule
    >>> from golden.training import load
    >>> core = compiled(load("digits-wage"), (8, 8, 1), 10)
    >>> spans = list(schedule(core.config, core.train, 2))
    >>> found = clocks(spans)
    >>> {sum(of_engine.values()) for of_engine in found.values()} == {running(spans)}
    True
    """
    chunks = list(spans)
    found = {engine: dict.fromkeys(State, 0) for engine in Engine}
    ends = dict.fromkeys(Engine, 0)
    for span in chunks:
        states = found[span.engine]
        states[State.FETCH] += span.free - ends[span.engine]
        now = span.free
        for engine, end in sorted(span.waits):
            if end > now:
                states[State.waits(engine)] += end - now
                now = end
        states[State.FETCH] += span.start - now  # an update waits for an even clock
        states[State.BUSY] += span.released - span.start
        ends[span.engine] = span.released
    for engine, end in ends.items():
        found[engine][State.IDLE] += running(chunks) - end
    return found


def deadlock(config: CoreConfig, program: Program, steps: int) -> int | None:
    """Return the clock in which a core shows that a program's engines wait for each other.

    All of them are free and have their next instruction; and a clock has passed in which a chunk
    would begin that waits for the last write.

    Parameters
    ----------
    config, program, steps
        See `schedule`.

    Returns
    -------
    int or None
        The clock; None if the engines do not wait for each other.
    """
    # When each engine is free for its next chunk, and has its next instruction.
    free = {engine: config.fetch(engine) for engine in Engine if program[engine]}
    fetched = dict(free)
    found = 0
    try:
        for span in schedule(config, program, steps):
            if span.chunk == 0:
                fetched[span.engine] = span.start + config.fetch(span.engine)
            ends = span.chunk + 1 == len(span.task.chunks)
            free[span.engine] = max(span.released, fetched[span.engine] if ends else 0)
            found = max(found, span.done + ENDING + 1)
    except RuntimeError:
        return max(found, *(clock + ENDING - 1 for clock in free.values()))
    return None
