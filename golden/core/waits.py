"""Waits as numbers: counts of chunks that other engines must have finished."""

from golden.core.drafts import Draft
from golden.core.isa import Engine, Wait

#: Counts are compared modulo 2^16, so an engine may be ahead by less than half of that.
MOST_CHUNKS = 1 << 14


def resolved(drafts: dict[Engine, list[Draft]]) -> dict[Draft, tuple[Wait, ...]]:
    """Return the waits of each draft, in the order of `Engine.others`.

    Parameters
    ----------
    drafts
        The lists of a step.

    Raises
    ------
    ValueError
        A list has more chunks than the counts can tell apart.
    """
    total = {engine: sum(len(draft.chunks) for draft in each) for engine, each in drafts.items()}
    for engine, count in total.items():
        if count > MOST_CHUNKS:
            raise ValueError(
                f"a step has {count} chunks of the engine {engine.name.lower()}: "
                f"allowed are {MOST_CHUNKS}"
            )
    first: dict[Draft, int] = {}
    for each in drafts.values():
        count = 0
        for draft in each:
            first[draft] = count
            count += len(draft.chunks)

    def wait(draft: Draft, engine: Engine) -> Wait:
        lines = []
        for after in draft.waits:
            if after.draft.engine is engine:
                ends = len(after.draft.chunks) if after.count is None else after.count
                count = first[after.draft] + ends - after.back * total[engine]
                lines.append((count, after.slope))
        if not lines:
            return Wait()
        # A line that is nowhere below any of them. It may be above all: of a ring's first product,
        # whose errors must be there as well. It asks for passes before the maximum, and these do
        # not wait for the product.
        count, slope = max(line[0] for line in lines), max(line[1] for line in lines)
        return Wait(on=True, count=count, slope=slope)

    return {
        draft: tuple(wait(draft, other) for other in engine.others)
        for engine, each in drafts.items()
        for draft in each
    }
