"""Which random word each value meets: the order in which tensors pass the rounders.

The papers say nothing of it; docs/numerics.md, section 3, has the rules and worked examples. An
order gives the lane and the draw number of every value (`coordinates`), and the words themselves in
bulk (`words`), cut from the lanes' next draws without a loop over values.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.fixed import Codes
from golden.lfsr import Lanes, Words


def _blocks(size: int, block: int) -> int:
    """Blocks that hold so many, the last one padded."""
    return -(-size // block)


def _items(values: NDArray[Any]) -> NDArray[Any]:
    """Each vector along the last axis as one item: whatever is transposed so copies whole vectors,
    several times as fast.
    """
    item = np.dtype((np.void, values.itemsize * values.shape[-1]))
    found: NDArray[Any] = values.view(item)[..., 0]
    return found


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """A tensor in rows and columns, as products and elementwise units take it.

    Parameters
    ----------
    samples
        Samples; rows, where there are none, as of weights.
    row_places
        Places that have a row of their own: those of a convolution; 1 of a dense layer.
    group
        Samples whose rows stand together at each place, the array's rows; the last group has what
        is left. It has no effect where there is one place.
    column_places
        Places whose channels stand side by side in a row: those of the image that a dense layer's
        errors are for; 1 elsewhere.
    channels
        Channels, or outputs, at a place.
    """

    samples: int
    row_places: int = 1
    group: int = 1
    column_places: int = 1
    channels: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.samples * self.row_places, self.column_places * self.channels

    @cached_property
    def source(self) -> Codes:
        """Where each row stands in the tensor, whose rows are (samples, places)."""
        if self.row_places == 1:
            return np.arange(self.samples)
        place = np.arange(self.row_places)[:, None]
        groups = [
            np.arange(first, min(first + self.group, self.samples)) * self.row_places + place
            for first in range(0, self.samples, self.group)
        ]
        return np.concatenate([rows.reshape(-1) for rows in groups])

    def of(self, tensor: NDArray[Any]) -> NDArray[Any]:
        """The matrix of a tensor (samples, places, channels) in any shape of that order."""
        plain = tensor.reshape(self.shape)
        return plain if self.row_places == 1 else plain[self.source]

    def tensor(self, matrix: NDArray[Any]) -> NDArray[Any]:
        """The inverse of `of`, with the matrix's shape."""
        if self.row_places == 1:
            return matrix
        plain = np.empty_like(matrix)
        plain[self.source] = matrix
        return plain


class Order(ABC):
    """The order in which the values of a matrix meet the draws of some lanes."""

    @property
    @abstractmethod
    def leaps(self) -> int:
        """Draws that every lane makes."""

    @abstractmethod
    def coordinates(self) -> tuple[Codes, Codes]:
        """Lane and draw number of every value, each of the matrix's shape; draws count from 0."""

    @abstractmethod
    def words(self, lanes: Lanes) -> Words:
        """The word that each value meets; the lanes move on.

        Returns
        -------
        Words of the matrix's shape, in the order of the tensor (see `Matrix.tensor`), which the
        lanes' next draw may overwrite.
        """


@dataclass(frozen=True, kw_only=True)
class TileOrder(Order):
    """A product, rounded at the foot of the array's columns as its tiles drain.

    A tile has the array's rows and columns; at the edge it is padded, and drains whole. Column c
    rounds with lane c and drains its bottom row first.

    Parameters
    ----------
    matrix
        The product; its groups are of the array's rows.
    rows, columns
        Size of the array.
    by_columns
        Whether the tiles go by column blocks, in each through all row blocks, as those of dense
        layers; else by row blocks, in each through all column blocks.
    """

    matrix: Matrix
    rows: int
    columns: int
    by_columns: bool

    @property
    def _down(self) -> tuple[int, int]:
        """Row blocks: groups, and places of each."""
        return _blocks(self.matrix.samples, self.rows), self.matrix.row_places

    @property
    def _across(self) -> tuple[int, int]:
        """Column blocks: places, and blocks of each; none goes beyond a place."""
        return self.matrix.column_places, _blocks(self.matrix.channels, self.columns)

    @property
    def leaps(self) -> int:
        return math.prod(self._down + self._across) * self.rows

    def _tiles(self, down: Codes, across: Codes) -> Codes:
        """Number of the tile at a row block and a column block."""
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
        """The tiles in their order, by the rows and columns of the matrix; -1 is padding.

        Returns
        -------
        (tiles, rows) and (tiles, columns).
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
        met = min(matrix.channels, self.columns)  # lanes that meet values of this product at all
        drained = lanes.lend(self.leaps, met).reshape(*blocks, self.rows, met)
        items = _items(drained[..., ::-1, :])
        items = items.transpose((2, 4, 3, 0, 1) if self.by_columns else (0, 4, 1, 2, 3))
        padded = (
            np.ascontiguousarray(items)
            .view(drained.dtype)
            .reshape(-1, matrix.row_places, matrix.column_places, self._across[1] * met)
        )
        return padded[: matrix.samples, :, :, : matrix.channels].reshape(matrix.shape)


@dataclass(frozen=True, kw_only=True)
class VectorOrder(Order):
    """A pass through V rounders side by side, a vector of V values at a time.

    Parameters
    ----------
    matrix
        The values.
    first_lane
        Lane of the first rounder.
    width
        Rounders, V.
    """

    matrix: Matrix
    first_lane: int
    width: int

    @property
    def _vectors(self) -> int:
        """Vectors of a row at one place."""
        return _blocks(self.matrix.channels, self.width)

    @property
    def leaps(self) -> int:
        return self.matrix.shape[0] * self.matrix.column_places * self._vectors

    @abstractmethod
    def vectors(self, values: NDArray[Any]) -> NDArray[Any]:
        """A matrix as it passes, (leaps, V), zeros for padding."""

    @abstractmethod
    def values(self, vectors: NDArray[Any]) -> NDArray[Any]:
        """The matrix that passed as vectors."""

    def words(self, lanes: Lanes) -> Words:
        return self.matrix.tensor(self.values(lanes.lend(self.leaps)))


class RowOrder(VectorOrder):
    """A pass row by row. A row is padded to whole vectors, or each of its places if it has some."""

    def coordinates(self) -> tuple[Codes, Codes]:
        rows, columns = self.matrix.shape
        place, channel = np.divmod(np.arange(columns), self.matrix.channels)
        in_row = place * self._vectors + channel // self.width
        draw = np.arange(rows)[:, None] * (self.matrix.column_places * self._vectors) + in_row
        return np.broadcast_to(self.first_lane + channel % self.width, draw.shape), draw

    def vectors(self, values: NDArray[Any]) -> NDArray[Any]:
        rows = values.reshape(-1, self.matrix.column_places, self.matrix.channels)
        short = -self.matrix.channels % self.width
        return np.pad(rows, ((0, 0), (0, 0), (0, short))).reshape(-1, self.width)

    def values(self, vectors: NDArray[Any]) -> NDArray[Any]:
        rows = vectors.reshape(self.matrix.shape[0], self.matrix.column_places, -1)
        return rows[:, :, : self.matrix.channels].reshape(self.matrix.shape)


class ColumnOrder(VectorOrder):
    """A pass of weights, (inputs, outputs), by blocks of V columns, in each through all rows; a row
    for biases, if there is one, is the last.
    """

    def coordinates(self) -> tuple[Codes, Codes]:
        row, column = np.indices(self.matrix.shape)
        draw = column // self.width * self.matrix.samples + row
        return self.first_lane + column % self.width, draw

    def vectors(self, values: NDArray[Any]) -> NDArray[Any]:
        rows, columns = values.shape
        padded = np.pad(values, ((0, 0), (0, -columns % self.width)))
        return padded.reshape(rows, -1, self.width).swapaxes(0, 1).reshape(-1, self.width)

    def values(self, vectors: NDArray[Any]) -> NDArray[Any]:
        rows, columns = self.matrix.shape
        blocks = _items(np.ascontiguousarray(vectors)).reshape(-1, rows)
        by_rows = np.ascontiguousarray(blocks.T).view(vectors.dtype)
        return by_rows.reshape(rows, -1)[:, :columns]
