"""Positions of a systolic array's multipliers on a device.

nextpnr does not know that a design is a systolic array: it puts the multipliers anywhere, and the
wires between neighbouring nodes then limit the clock. So their positions are given.

A device has its multipliers in a few straight lines. The array's rows are divided into bands, one
for each line. Within a line the columns stand from left to right, and a column's nodes of the band
stand side by side. A node's lower neighbour is then one position away, and its right neighbour as
many positions as a band has rows. In every other band the order within a column is reversed, so
that the last row of a band stands directly above the first row of the next one.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Places:
    """The positions of a device's multipliers.

    Parameters
    ----------
    lines
        nextpnr's names of the positions: the lines from top to bottom, each from left to right.
    block
        Number of neighbouring positions that form one block; an array begins at a block's first.
    """

    lines: tuple[tuple[str, ...], ...]
    block: int = 1

    def array(self, rows: int, columns: int) -> tuple[tuple[str, ...], ...] | None:
        """Return the position of each node as `[row][column]`; None if the bands do not fit.

        Examples
        --------
        >>> places = Places(lines=(("a0", "a1", "a2", "a3"), ("b0", "b1", "b2", "b3")))
        >>> places.array(4, 2)
        (('a0', 'a2'), ('a1', 'a3'), ('b1', 'b3'), ('b0', 'b2'))
        """
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
    """Return the positions on a Lattice ECP5.

    A DSP block is nine tiles wide and has four MULT18X18D; each line has a gap between two halves.

    Parameters
    ----------
    lines
        Rows of tiles that have DSP blocks.
    halves
        Columns of tiles in which the blocks begin, for both halves.
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
