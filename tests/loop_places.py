"""Nested loops of an instruction, run as they are written."""


def places(loops, levels, last_count):
    """The iterations of all loops, step by step, the innermost one last. Where the loops before
    level `levels`, all but the first, are in their last iterations, that loop has `last_count`.
    """
    place = [0] * len(loops)
    while True:
        yield tuple(place)
        # A step of the innermost loop that has one left.
        for k in reversed(range(len(loops))):
            count = loops[k].count
            if k == levels > 0 and all(place[j] == loops[j].count - 1 for j in range(1, k)):
                count = last_count
            if place[k] < count - 1:
                place[k:] = [place[k] + 1] + [0] * (len(loops) - 1 - k)
                break
        else:
            return
