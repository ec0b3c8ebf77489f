"""Matrix products as stimulus for the array: tiles of operands, and the rows that must come out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import golden
from golden.fixed import Codes
from golden.order import Matrix, TileOrder
from golden.twin import Trace


@dataclass
class Expected:
    """Results of an operation in the training model, for one output field of the unit.

    Parameters
    ----------
    values
        One row per output vector, shape (vectors, ...).
    counted
        Flags, of the same shape, of the values that are results; the others are padding of vectors
        and tiles.
    """

    values: Codes
    counted: NDArray[np.bool_]

    @property
    def count(self) -> int:
        """Number of results."""
        return int(np.count_nonzero(self.counted))


def block_order(
    config: golden.ArrayConfig, height: int, width: int, multiply: bool = False
) -> TileOrder:
    """Return the order, by column blocks, of a product whose tiles may be computed in any order,
    because no value is rounded.

    Parameters
    ----------
    config
        The array.
    height, width
        Rows and columns of the product.
    multiply
        Use the tiles of a mixed array's block of multipliers.
    """
    block = config.multipliers if multiply and config.multipliers else (config.rows, config.columns)
    matrix = Matrix(samples=height, channels=width)
    return TileOrder(matrix=matrix, rows=block[0], columns=block[1], by_columns=True)


def product_stimulus(
    config: golden.ArrayConfig, a: Codes, b: Codes, order: TileOrder, multiply: bool = False
) -> Trace:
    """Return the stimulus for the product of `a` (M, K) and `b` (K, N), tile by tile.

    A product without terms gets one term of zeros. Before the terms of a tile that has fewer than
    the array has rows there are idle clocks: the last terms of two tiles, of this product or of
    another one before it, are as many clocks apart as rows drain, so no operand ever waits.

    Parameters
    ----------
    config
        The array.
    a, b
        The operands.
    order
        The order of the tiles.
    multiply
        The order is that of a mixed array's block of multipliers.

    Returns
    -------
    dict of str to ndarray
        Input port to values: one row per clock, with a second axis if the port has lanes.
    """
    depth = max(a.shape[1], 1)
    clocks = max(depth, config.rows)
    down, across = order.tiles()

    def tiles(operands: Codes, chosen: Codes, before: int, after: int) -> Codes:
        """Return the operands of every tile, one row per clock, with zeros for padding."""
        padded = np.zeros((clocks, operands.shape[1] + 1), np.int64)
        padded[clocks - len(operands) :, :-1] = operands
        lanes = np.pad(chosen, ((0, 0), (before, after)), constant_values=-1)
        return padded[:, lanes].swapaxes(0, 1).reshape(-1, lanes.shape[1])

    clock = np.tile(np.arange(clocks), len(down))
    stimulus = {
        "i_valid": (clock >= clocks - depth).astype(np.int64),
        "i_a": tiles(a.T, down, config.rows - order.rows, 0),
        "i_b": tiles(b, across, 0, config.columns - order.columns),
        "i_last": (clock == clocks - 1).astype(np.int64),
    }
    if config.multipliers:
        stimulus["i_multiply"] = np.full(len(clock), int(multiply), np.int64)
    return stimulus


def product_rows(config: golden.ArrayConfig, out: Codes, order: TileOrder) -> dict[str, Expected]:
    """Return the rows in which the product `out` (M, N) leaves the array: tile by tile, the bottom
    row of a tile first. Values outside of the tile are 0.

    Returns
    -------
    dict of str to Expected
        Output fields `data`, of shape (rows, columns of the array), and `last`, of shape (rows,).
    """
    down, across = order.tiles()
    down = np.pad(down, ((0, 0), (config.rows - order.rows, 0)), constant_values=-1)[:, ::-1]
    across = np.pad(across, ((0, 0), (0, config.columns - order.columns)), constant_values=-1)
    counted = (down >= 0)[:, :, None] & (across >= 0)[:, None]
    data = np.where(counted, out[down[:, :, None], across[:, None]], 0)
    data, counted = data.reshape(-1, config.columns), counted.reshape(-1, config.columns)
    last = (np.arange(len(data)) % config.rows == config.rows - 1).astype(np.int64)
    return {"data": Expected(data, counted), "last": Expected(last, np.ones(len(last), np.bool_))}
