"""Updates of weights on a grid (Li et al. 2017): rounded to nearest (R), stochastically rounded
(SR), or a fine buffer and its value on the grid (BinaryConnect); and of fine values without a grid.

A step is Convert(rate * G) in the fine format, to nearest even. R and SR round the difference of
weight and step to the grid; BinaryConnect clips the difference of buffer and step to -1 to 1, and
takes the nearest value of the grid, or -1 or 1 at random, as the weight. Without a grid, the
difference is clipped to the fine format.
"""

import numpy as np
from numpy.typing import ArrayLike

from golden import check
from golden.buffer import StreamTwin
from golden.fixed import Codes, Rounding, rounded
from golden.lfsr import Words, addends
from golden.quantize.grid_config import GridUpdateConfig
from golden.twin import Trace


def grid_update(
    config: GridUpdateConfig,
    gradient: ArrayLike,
    stored: ArrayLike,
    *,
    rate: ArrayLike = 1,
    shift: ArrayLike,
    r: ArrayLike = 0,
) -> tuple[Codes, Codes]:
    """Return updated stored weights, and the weights on the grid.

    Parameters
    ----------
    config
        Rule, formats and grid.
    gradient
        Gradient sums, any shape.
    stored
        Stored weights, in a shape that broadcasts: codes of the grid for the rules r and sr, fine
        codes for bc and fine.
    rate, shift
        The learning rate is rate * 2^-shift, in the units of gradient sums and fine codes. Shapes
        that broadcast.
    r
        Random bits: for sr as many as the quantizer drops, for drawn weights as many as a draw has.

    Returns
    -------
    stored, weights : Codes
        int64. For the rules r, sr and fine, both are the same.

    Raises
    ------
    TypeError, ValueError
        A number is not an integer, or is out of range.

    Examples
    --------
    >>> config = GridUpdateConfig(rule="r", grid=2)
    >>> one = 1 << 20
    >>> _, weights = grid_update(config, [one, one // 2, one // 4], [0, 1, 1], shift=2)
    >>> weights.tolist()  # 0 - 1/4, 1/4 - 1/8 (a tie, away from zero), 1/4 - 1/16
    [-1, 1, 1]
    """
    check.instance("config", config, GridUpdateConfig)
    most, ends = 1 << (config.width - 1), 1 << (config.stored_width - 1)
    gradient = check.codes("gradient", gradient, -most, most - 1)
    stored = check.codes("stored", stored, -ends, ends - 1)
    rate = check.codes("rate", rate, 0, max((1 << config.rate_bits) - 1, 1))
    shift = check.codes("shift", shift, 0, config.most_shift)
    bits = config.generator.draw if config.drawn else config.quantizer.dropped
    r = check.codes("r", r, 0, (1 << bits) - 1)
    check.broadcast(gradient=gradient, stored=stored, rate=rate, shift=shift, r=r)
    return _updated(config, gradient, stored, rate, shift, r)


def _updated(
    config: GridUpdateConfig, gradient: Codes, stored: Codes, rate: Codes, shift: Codes, r: Codes
) -> tuple[Codes, Codes]:
    """Return stored weights and weights, as `grid_update`, of checked codes."""
    fine, one = config.fine, config.one
    step = np.clip(
        rounded(gradient * rate, shift, Rounding.NEAREST_EVEN), fine.minimum, fine.maximum
    )
    if not config.buffered:
        weight = on_grid(config, (stored << (fine.fl - config.grid)) - step, r)
        return weight, weight
    if not config.quantized:
        value = np.clip(stored - step, fine.minimum, fine.maximum)
        return value, value
    buffer = np.clip(stored - step, -one, one)
    if not config.drawn:
        return buffer, on_grid(config, buffer, r)
    return buffer, np.where(r < chance(config, buffer), 1, -1)


def on_grid(config: GridUpdateConfig, u: Codes, r: Codes | int) -> Codes:
    """Return fine codes rounded to the grid, with random bits for the rule sr."""
    if config.binary:
        return 2 * np.clip(config.quantizer.apply(u + config.one, r), 0, 1) - 1
    top = 1 << config.grid
    return np.clip(config.quantizer.apply(u, r), -top, top)


def chance(config: GridUpdateConfig, u: Codes) -> Codes:
    """Return the probability (u + 1) / 2 of a weight of 1, for fine codes from -1 to 1, with as
    many fraction bits as a draw has, to nearest even.
    """
    spare = config.fine.fl + 1 - config.generator.draw
    doubled = u + config.one
    return rounded(doubled, spare, Rounding.NEAREST_EVEN) if spare > 0 else doubled << -spare


class GridUpdate(StreamTwin):
    """Twin of `hdl.GridUpdate`: input stream `i` (`gradient`, and `weight` or, for BinaryConnect
    and without a grid, `buffer`) and ports `rate` (if there is one) and `shift`; output stream `o`
    (`weight`; for BinaryConnect `weight` and `buffer`; without a grid `buffer`).

    Parameters
    ----------
    config
        Rule, formats, grid, lanes and generator.

    Examples
    --------
    >>> config = GridUpdateConfig(rule="r", rate_bits=0)
    >>> twin, one = GridUpdate(config), np.ones(16, int)
    >>> operands = {"i_gradient": one[:, None] << 20, "i_weight": one[:, None]}
    >>> trace = twin.run({"i_valid": one, "o_ready": one, **operands, "shift": one})
    >>> config.latency, trace["o_weight"][config.latency :, 0].tolist()  # 1/4 - 1/2
    (15, [-1])
    """

    def __init__(self, config: GridUpdateConfig):
        check.instance("config", config, GridUpdateConfig)
        self.config = config
        self.ports = config.ports
        if config.stochastic:
            self.lanes = config.lfsr.start()

    def results(self, accepted: Trace, words: Words) -> Trace:
        """Return updated weights; see `StreamTwin`."""
        config = self.config
        shift = np.minimum(accepted["shift"], config.most_shift)[:, None]
        rate = accepted["rate"][:, None] if config.rate_bits else np.ones_like(shift)
        stored = accepted["i_buffer" if config.buffered else "i_weight"]
        draw = config.generator.draw
        dropped = draw if config.drawn else config.quantizer.dropped
        r = addends(words, dropped, draw)
        updated, weight = _updated(config, accepted["i_gradient"], stored, rate, shift, r)
        results = {"buffer": updated} if config.buffered else {}
        return results | ({"weight": weight} if config.quantized else {})
