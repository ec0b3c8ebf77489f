"""Where a systolic array's multipliers stand on a device.

A placer sees no array: it puts the blocks anywhere, and the way from a node to its neighbour
becomes longer than all else. A device has its multipliers in a few straight lines. The array's rows
are cut into bands, one for each line: within a line the columns follow each other from left to
right, each with its nodes of the band side by side, so that the way down is a step and the way to
the right one of as many steps as a band has rows. Every other band runs upside down within its
columns: the way from one band to the next is then straight across.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Places:
    """Lines of places.

    Parameters
    ----------
    lines
        Names of the places, in the words of nextpnr, from left to right, of each line from top to
        bottom.
    block
        How many neighbouring places are one block: a line's first column begins with one.
    """

    lines: tuple[tuple[str, ...], ...]
    block: int = 1

    def array(self, rows: int, columns: int) -> tuple[tuple[str, ...], ...] | None:
        """The place of every node; None where the array does not fit in bands."""
        length = min(map(len, self.lines))
        most = length // columns
        bands = -(-rows // most) if most else 0
        if not 0 < bands <= len(self.lines):
            return None
        high = -(-rows // bands)
        start = (length - high * columns) // 2 // self.block * self.block
        first = (len(self.lines) - bands) // 2
        places = []
        for row in range(rows):
            band, step = divmod(row, high)
            line = self.lines[first + band][start:]
            step = high - 1 - step if band % 2 else step
            places.append(tuple(line[high * column + step] for column in range(columns)))
        return tuple(places)


def ecp5(lines: tuple[int, ...], halves: tuple[range, range]) -> Places:
    """Of a Lattice ECP5: blocks of nine tiles with four MULT18X18D, a gap between two halves.

    Parameters
    ----------
    lines
        Rows of tiles that have DSP blocks.
    halves
        Columns of tiles in which blocks begin.
    """
    return Places(
        lines=tuple(
            tuple(
                f"X{begin + step}/Y{y}/MULT18_{step}"
                for half in halves
                for begin in half
                for step in (0, 1, 4, 5)
            )
            for y in lines
        ),
        block=4,
    )
