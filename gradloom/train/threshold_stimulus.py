"""A layer's sums as stimulus for the threshold quantizer: its table, vectors of sums, results."""

import numpy as np

import golden
from golden.fixed import Codes
from golden.order import Matrix, RowOrder, blocks
from golden.quantize.folding import Folded
from golden.quantize.threshold import quantize
from golden.twin import Trace
from gradloom.train.tile_stimulus import Expected


def threshold_stimulus(
    config: golden.ThresholdQuantizerConfig, folded: Folded, acc: Codes
) -> tuple[Trace, dict[str, Expected]]:
    """Return the stimulus that loads a layer's thresholds and then offers its sums, row by row, and
    the results of the model.

    Parameters
    ----------
    config
        The quantizer.
    folded
        Thresholds of the channels.
    acc
        Sums, (rows, channels).

    Returns
    -------
    stimulus : Trace
        Input port to values, one row per clock, without `o_ready`.
    expected : dict
        Results of every vector by output field.
    """
    loads = config.loads(folded)
    order = RowOrder(
        matrix=Matrix(samples=len(acc), channels=acc.shape[1]), first_lane=0, width=config.lanes
    )
    first, count = len(loads["load"]), order.leaps
    operands = {
        "i_valid": np.ones(count, np.int64),
        "i_data": order.vectors(acc),
        "i_block": np.arange(count) % blocks(acc.shape[1], config.lanes),
    }
    stimulus = {
        name: np.concatenate([np.zeros((first, *values.shape[1:]), np.int64), values])
        for name, values in operands.items()
    } | {
        name: np.concatenate([values, np.zeros((count, *values.shape[1:]), np.int64)])
        for name, values in loads.items()
    }
    code, passes = quantize(acc, folded)
    counted = order.vectors(np.ones(acc.shape, np.bool_))
    results = {"data": code, "passes": passes.astype(np.int64)}
    return stimulus, {
        name: Expected(order.vectors(values), counted) for name, values in results.items()
    }
