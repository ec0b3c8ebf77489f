"""The order in which a tensor's values pass the rounders, and so the random word of each value.

The papers do not define it; docs/numerics.md, section 3, has the rules and worked examples. An
order returns the lane and the draw number of every value (`coordinates`). It also returns all words
at once (`words`), by slicing and transposing the lanes' next draws, without a loop over values.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden import check
from golden.fixed import Codes
from golden.lfsr import MOST_LANES, Lanes, Words


def blocks(size: int, block: int) -> int:
    """Return the number of blocks for `size` items; the last block may be padded."""
    return -(-size // block)


def _items(values: NDArray[Any]) -> NDArray[Any]:
    """View each vector along the last axis as one item.

    A transposition of items copies whole vectors, which is several times as fast as single values.
    """
    item = np.dtype((np.void, values.itemsize * values.shape[-1]))
    found: NDArray[Any] = values.view(item)[..., 0]
    return found


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """The matrix form of a tensor, as products and elementwise units process it.

    A place is a position (y, x) of an image.

    Parameters
    ----------
    samples
        Number of samples; for weights, the number of rows.
    row_places
        Places that have rows of their own, as in a convolution; 1 for a dense layer.
    group
        Samples whose rows are adjacent at each place: the number of the array's rows. The last
        group may have fewer. Without effect if `row_places` is 1.
    column_places
        Places whose channels are side by side in one row, as for the errors of a dense layer's
        input image; otherwise 1.
    channels
        Channels, or outputs, at each place.

    Examples
    --------
    >>> matrix = Matrix(samples=3, row_places=2, group=2, channels=4)
    >>> matrix.shape
    (6, 4)
    >>> matrix.source.tolist()
    [0, 2, 1, 3, 4, 5]
    """

    samples: int
    row_places: int = 1
    group: int = 1
    column_places: int = 1
    channels: int

    def __post_init__(self) -> None:
        check.whole_fields(self, 0, None, "samples", "row_places", "column_places", "channels")
        check.whole_fields(self, 1, None, "group")

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of columns."""
        return self.samples * self.row_places, self.column_places * self.channels

    @cached_property
    def source(self) -> Codes:
        """Index of each row in the tensor, whose rows are ordered (samples, places); (rows,)."""
        if self.row_places == 1:
            return np.arange(self.samples)
        place = np.arange(self.row_places)[:, None]
        groups = [
            np.arange(first, min(first + self.group, self.samples)) * self.row_places + place
            for first in range(0, self.samples, self.group)
        ]
        return np.concatenate([rows.reshape(-1) for rows in groups])

    def of(self, tensor: NDArray[Any]) -> NDArray[Any]:
        """Return the matrix of a tensor, (rows, columns); a view where rows keep their order.

        Parameters
        ----------
        tensor
            Values in the order (samples, places, channels), any shape.

        Raises
        ------
        ValueError
            The tensor has another number of values.
        """
        plain = self._shaped("tensor", tensor)
        return plain if self.row_places == 1 else plain[self.source]

    def tensor(self, matrix: NDArray[Any]) -> NDArray[Any]:
        """Return the values of a matrix in the order of the tensor: the inverse of `of`; the matrix
        itself where rows keep their order.

        Returns
        -------
        NDArray
            Values in the order (samples, places, channels), in the matrix's shape.
        """
        matrix = self._shaped("matrix", matrix)
        if self.row_places == 1:
            return matrix
        plain = np.empty_like(matrix)
        plain[self.source] = matrix
        return plain

    def _shaped(self, name: str, values: NDArray[Any]) -> NDArray[Any]:
        values, (rows, columns) = np.asarray(values), self.shape
        if values.size != rows * columns:
            raise ValueError(
                f"{name} of {values.shape}: values of a matrix of {self.shape} are wanted"
            )
        return values.reshape(self.shape)


class Order(ABC):
    """Assigns a lane and a draw to every value of a matrix."""

    @property
    @abstractmethod
    def leaps(self) -> int:
        """Number of draws of every lane."""

    @abstractmethod
    def coordinates(self) -> tuple[Codes, Codes]:
        """Return the lane and the draw number of every value.

        Returns
        -------
        lanes, draws : Codes
            Each in the matrix's shape; draws are counted from 0.
        """

    @abstractmethod
    def words(self, lanes: Lanes) -> Words:
        """Draw the random word of every value; the lanes advance by `leaps` draws.

        Parameters
        ----------
        lanes
            The rounders' lanes.

        Returns
        -------
        Words
            Words in the matrix's shape and in the order of the tensor (see `Matrix.tensor`). The
            lanes' next draw may overwrite them.
        """


@dataclass(frozen=True, kw_only=True)
class TileOrder(Order):
    """Order of a product whose tiles are rounded below the array's columns while they drain.

    A tile is as large as the array. Tiles at the edge of the matrix are padded, and the padding
    drains as well. Column c rounds with lane c and drains its bottom row first.

    Parameters
    ----------
    matrix
        The product. Its groups have as many samples as the array has rows.
    rows, columns
        Size of the array.
    by_columns
        Order of the tiles. True: column block by column block, all row blocks in each, as in dense
        layers. False: row block by row block, all column blocks in each.

    Examples
    --------
    >>> order = TileOrder(matrix=Matrix(samples=3, channels=2), rows=2, columns=2, by_columns=True)
    >>> lane, draw = order.coordinates()
    >>> draw.tolist()
    [[1, 1], [0, 0], [3, 3]]
    >>> order.leaps
    4
    """

    matrix: Matrix
    rows: int
    columns: int
    by_columns: bool

    def __post_init__(self) -> None:
        check.instance("matrix", self.matrix, Matrix)
        check.whole_fields(self, 1, None, "rows", "columns")
        object.__setattr__(self, "by_columns", check.truth("by_columns", self.by_columns))

    @property
    def _down(self) -> tuple[int, int]:
        """Row blocks: number of groups, and of places in each."""
        return blocks(self.matrix.samples, self.rows), self.matrix.row_places

    @property
    def _across(self) -> tuple[int, int]:
        """Column blocks: number of places, and of blocks in each. No block spans two places."""
        return self.matrix.column_places, blocks(self.matrix.channels, self.columns)

    @property
    def leaps(self) -> int:
        return math.prod(self._down + self._across) * self.rows

    def _tiles(self, down: Codes, across: Codes) -> Codes:
        """Return the numbers of the tiles at row blocks `down` and column blocks `across`."""
        if self.by_columns:
            return across * math.prod(self._down) + down
        return down * math.prod(self._across) + across

    def coordinates(self) -> tuple[Codes, Codes]:
        matrix = self.matrix
        sample, place = np.divmod(matrix.source, matrix.row_places)
        down = sample // self.rows * matrix.row_places + place
        at, channel = np.divmod(np.arange(matrix.shape[1]), matrix.channels)
        across = at * self._across[1] + channel // self.columns
        draw = self._tiles(down[:, None], across) * self.rows
        draw += (self.rows - 1 - sample % self.rows)[:, None]
        return np.broadcast_to(channel % self.columns, draw.shape), draw

    def tiles(self) -> tuple[Codes, Codes]:
        """Return the matrix rows and columns of each tile, in the order of the tiles.

        Returns
        -------
        rows : Codes
            Matrix row of each row of a tile, (tiles, rows); -1 for padding.
        columns : Codes
            Matrix column of each column of a tile, (tiles, columns); -1 for padding.
        """
        lane, draw = self.coordinates()
        tile, left = np.divmod(draw, self.rows)
        count = self.leaps // self.rows
        down, across = np.full((count, self.rows), -1), np.full((count, self.columns), -1)
        row, column = np.indices(draw.shape)
        down[tile, self.rows - 1 - left] = row
        across[tile, lane] = column
        return down, across

    def words(self, lanes: Lanes) -> Words:
        matrix = self.matrix
        if lanes.count != self.columns:
            raise ValueError(f"{lanes.count} lanes for an array of {self.columns} columns")
        blocks = self._across + self._down if self.by_columns else self._down + self._across
        used = min(matrix.channels, self.columns)  # the other lanes round padding only
        drained = lanes.lend(self.leaps, used).reshape(*blocks, self.rows, used)
        items = _items(drained[..., ::-1, :])
        items = items.transpose((2, 4, 3, 0, 1) if self.by_columns else (0, 4, 1, 2, 3))
        padded = (
            np.ascontiguousarray(items)
            .view(drained.dtype)
            .reshape(-1, matrix.row_places, matrix.column_places, self._across[1] * used)
        )
        return padded[: matrix.samples, :, :, : matrix.channels].reshape(matrix.shape)


@dataclass(frozen=True, kw_only=True)
class VectorOrder(Order):
    """Order of an elementwise operation on V parallel rounders, one vector of V values at a time.

    Parameters
    ----------
    matrix
        The values.
    first_lane
        Lane of the first rounder.
    width
        Number of rounders, V.
    """

    matrix: Matrix
    first_lane: int
    width: int

    def __post_init__(self) -> None:
        check.instance("matrix", self.matrix, Matrix)
        check.whole_fields(self, 0, MOST_LANES - 1, "first_lane")
        check.whole_fields(self, 1, MOST_LANES, "width")

    @property
    def _vectors(self) -> int:
        """Number of vectors of a row at one place."""
        return blocks(self.matrix.channels, self.width)

    @property
    def leaps(self) -> int:
        return self.matrix.shape[0] * self.matrix.column_places * self._vectors

    @abstractmethod
    def vectors(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the vectors of a matrix in order, (leaps, V), padded with zeros."""

    @abstractmethod
    def values(self, vectors: NDArray[Any]) -> NDArray[Any]:
        """Return the matrix of vectors (leaps, V): the inverse of `vectors`, padding removed."""

    def _checked(self, vectors: NDArray[Any]) -> NDArray[Any]:
        """Return vectors, of which there must be as many as draws."""
        vectors = np.asarray(vectors)
        if vectors.shape != (self.leaps, self.width):
            raise ValueError(f"vectors of {vectors.shape}: {(self.leaps, self.width)} are wanted")
        return vectors

    def words(self, lanes: Lanes) -> Words:
        return self.matrix.tensor(self.values(lanes.lend(self.leaps)))


class RowOrder(VectorOrder):
    """Order row by row. Each place of a row is padded to whole vectors.

    Examples
    --------
    >>> order = RowOrder(matrix=Matrix(samples=1, channels=3), first_lane=8, width=2)
    >>> order.vectors(np.array([[5, 6, 7]])).tolist()
    [[5, 6], [7, 0]]
    """

    def coordinates(self) -> tuple[Codes, Codes]:
        rows, columns = self.matrix.shape
        place, channel = np.divmod(np.arange(columns), self.matrix.channels)
        in_row = place * self._vectors + channel // self.width
        draw = np.arange(rows)[:, None] * (self.matrix.column_places * self._vectors) + in_row
        return np.broadcast_to(self.first_lane + channel % self.width, draw.shape), draw

    def vectors(self, values: NDArray[Any]) -> NDArray[Any]:
        plain = self.matrix._shaped("values", values)
        rows = plain.reshape(-1, self.matrix.column_places, self.matrix.channels)
        short = -self.matrix.channels % self.width
        return np.pad(rows, ((0, 0), (0, 0), (0, short))).reshape(-1, self.width)

    def values(self, vectors: NDArray[Any]) -> NDArray[Any]:
        plain = self._checked(vectors)
        rows = plain.reshape(self.matrix.shape[0], self.matrix.column_places, -1)
        return rows[:, :, : self.matrix.channels].reshape(self.matrix.shape)


class ColumnOrder(VectorOrder):
    """Order of weights, (inputs, outputs): block by block of V columns, all rows in each.

    If biases have a row, it is the last one.

    Examples
    --------
    >>> order = ColumnOrder(matrix=Matrix(samples=2, channels=3), first_lane=8, width=2)
    >>> order.vectors(np.array([[1, 2, 3], [4, 5, 6]])).tolist()
    [[1, 2], [4, 5], [3, 0], [6, 0]]
    """

    def coordinates(self) -> tuple[Codes, Codes]:
        row, column = np.indices(self.matrix.shape)
        draw = column // self.width * self.matrix.samples + row
        return self.first_lane + column % self.width, draw

    def vectors(self, values: NDArray[Any]) -> NDArray[Any]:
        values = self.matrix._shaped("values", values)
        rows, columns = values.shape
        padded = np.pad(values, ((0, 0), (0, -columns % self.width)))
        return padded.reshape(rows, -1, self.width).swapaxes(0, 1).reshape(-1, self.width)

    def values(self, vectors: NDArray[Any]) -> NDArray[Any]:
        rows, columns = self.matrix.shape
        vectors = self._checked(vectors)
        blocks = _items(np.ascontiguousarray(vectors)).reshape(-1, rows)
        by_rows = np.ascontiguousarray(blocks.T).view(vectors.dtype)
        return by_rows.reshape(rows, -1)[:, :columns]
