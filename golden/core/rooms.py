"""Where sums are stored: rooms of the store of sums that are used again as soon as they are free.

A room is free when its last reader has ended. A product that begins afterwards anyway, because it
waits for that reader or for a later pass, may write there; so no product waits for room.
"""

from golden.core.drafts import Draft, Room
from golden.core.isa import Engine


def known(drafts: list[Draft]) -> dict[Draft, int]:
    """Return, for each product, the last pass that has ended for certain when it begins.

    Parameters
    ----------
    drafts
        The drafts of a step, in the order of their engines' lists.

    Returns
    -------
    dict
        Numbers of passes; those of the step before are negative, and the last of them is -1.
    """
    passes = [draft for draft in drafts if draft.engine is Engine.VECTOR]
    products = [draft for draft in drafts if draft.engine is Engine.ARRAY]
    nothing = -2 * len(passes) - 1
    found: dict[Draft, int] = {}
    last = nothing
    for _ in range(2):  # the second time with what is known from the step before
        last = max(last - len(passes), nothing)
        for product in products:
            for after in product.waits:
                begun = after.count is None or after.count > 0
                if after.draft.engine is Engine.VECTOR and begun:
                    number = passes.index(after.draft) - after.back * len(passes)
                    last = max(last, number - (after.count is not None))
            found[product] = last
    return found


def place(rooms: list[Room], drafts: list[Draft], shared: tuple[Room, Room] | None) -> int:
    """Place rooms in the store of sums, each at the lowest rows that are free.

    Parameters
    ----------
    rooms
        The rooms, in the order of the products that write them.
    drafts
        The drafts of a step.
    shared
        Two rooms of which the first may use the rows of the second one, as its chunks are written
        only when the same chunks of the second one have been read.

    Returns
    -------
    int
        Rows of the store.
    """
    passes = [draft for draft in drafts if draft.engine is Engine.VECTOR]
    ended = known(drafts)

    def read(room: Room) -> int:
        return max(passes.index(reader) for reader in room.readers)

    def apart(one: Room, other: Room) -> bool:
        """Whether neither is written before the other one has been read."""
        step = len(passes)
        return all(
            ended[late.product] >= read(early) - back
            for early, late, back in ((one, other, 0), (other, one, step))
        )

    together = [[room] for room in rooms if shared is None or room is not shared[0]]
    if shared is not None:
        next(group for group in together if group[0] is shared[1]).append(shared[0])
    placed: list[tuple[int, list[Room]]] = []
    for group in sorted(together, key=lambda group: -max(room.rows.size for room in group)):
        size = max(room.rows.size for room in group)
        taken = sorted(
            (base, base + max(room.rows.size for room in other))
            for base, other in placed
            if not all(
                apart(*sorted(pair, key=rooms.index))
                for pair in ((one, two) for one in group for two in other)
            )
        )
        base = 0
        for first, end in taken:
            if base + size <= first:
                break
            base = max(base, end)
        for room in group:
            room.at(base)
        placed.append((base, group))
    return max(base + max(room.rows.size for room in group) for base, group in placed)
