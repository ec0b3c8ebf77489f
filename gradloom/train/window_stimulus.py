"""Max-pooling as stimulus for its units: windows place by place, and the results that must leave.

Samples follow each other, then the windows of an image, then the blocks of as many channels as the
unit has lanes.
"""

import numpy as np
from numpy.typing import NDArray

import golden
from golden.fixed import Codes
from golden.order import blocks
from golden.pool import window_places
from golden.training import Entry
from golden.training.layers.network import Stage, Window
from golden.twin import Trace
from golden.unpool import covering_windows
from gradloom.train.tile_stimulus import Expected


def tensor_of(entry: Entry, name: str) -> Codes:
    """Return a tensor of an operation as (samples, places, channels)."""
    matrix = entry.operation.tensors()[name].matrix
    places = matrix.row_places * matrix.column_places
    return matrix.tensor(entry.tensors[name]).reshape(-1, places, matrix.channels)


def places_of(stage: Stage) -> Codes:
    """Return the places of the windows of a stage's pooling: see `golden.pool.window_places`."""
    assert stage.pool is not None
    height, width, _ = stage.sums
    return window_places(height, width, _size(stage.pool), stage.pool.stride, stage.pool.padding)


def _size(window: Window) -> tuple[int, int]:
    return window.height, window.width


def by_lanes(values: NDArray, lanes: int) -> Codes:
    """Return (samples, places, channels) as (samples, places, blocks of channels, lanes), padded
    with zeros.
    """
    samples, places, channels = values.shape
    padded = np.pad(values, ((0, 0), (0, 0), (0, -channels % lanes)))
    return padded.reshape(samples, places, blocks(channels, lanes), lanes).astype(np.int64)


def results_of(values: NDArray, lanes: int) -> Expected:
    """Return results (samples, places, channels) as vectors of lanes."""
    vectors = by_lanes(values, lanes).reshape(-1, lanes)
    return Expected(vectors, by_lanes(np.ones_like(values), lanes).reshape(-1, lanes) != 0)


def pool_stimulus(
    config: golden.PoolConfig, stage: Stage, entry: Entry
) -> tuple[Trace, dict[str, Expected]]:
    """Return the stimulus and the results of the max-pooling after a layer.

    Parameters
    ----------
    config
        The unit.
    stage
        The layer.
    entry
        The recorded operation.
    """
    places, lanes = places_of(stage), config.lanes
    size = places.shape[1]
    values = by_lanes(tensor_of(entry, "values"), lanes)[:, places]  # padding takes any place's
    values = values.swapaxes(2, 3)  # (samples, windows, blocks, places, lanes)
    repeats = values.shape[0], 1, values.shape[2], 1
    there = np.tile((places >= 0)[None, :, None], repeats)
    last = np.arange(there.size) % size == size - 1
    stimulus = {
        "i_valid": np.ones(there.size, np.int64),
        "i_data": values.reshape(-1, lanes),
        "i_there": there.reshape(-1).astype(np.int64),
        "i_last": last.astype(np.int64),
    }
    expected = {
        name: results_of(tensor_of(entry, tensor), lanes)
        for name, tensor in (("data", "pooled"), ("index", "first"))
    }
    one = np.ones(len(expected["data"].values), np.int64)
    return stimulus, expected | {"there": Expected(one, one != 0)}


def unpool_stimulus(
    config: golden.UnpoolConfig, stage: Stage, entry: Entry
) -> tuple[Trace, dict[str, Expected]]:
    """Return the stimulus and the results of the way back through the max-pooling after a layer.

    Parameters
    ----------
    config
        The unit.
    stage
        The layer.
    entry
        The recorded operation.
    """
    lanes = config.lanes
    windows, numbers = covering_windows(places_of(stage), stage.sums[0] * stage.sums[1])
    most = windows.shape[1]
    # (samples, places, blocks, windows, lanes); without a window, any window's values.
    errors, first = (
        by_lanes(tensor_of(entry, name), lanes)[:, windows].swapaxes(2, 3)
        for name in ("errors", "first")
    )
    repeats = errors.shape[0], 1, errors.shape[2], 1
    there, number = (
        np.tile(values[None, :, None], repeats).reshape(-1)
        for values in (windows >= 0, np.maximum(numbers, 0))
    )
    last = np.arange(len(there)) % most == most - 1
    stimulus = {
        "i_valid": np.ones(len(there), np.int64),
        "i_data": errors.reshape(-1, lanes),
        "i_index": first.reshape(-1, lanes),
        "i_number": number,
        "i_there": there.astype(np.int64),
        "i_last": last.astype(np.int64),
    }
    return stimulus, {"data": results_of(tensor_of(entry, "spread"), lanes)}
