"""Gupta's update of a weight with momentum and weight decay: one exact sum, rounded once
(Gupta et al. 2015).

v' = Convert(mu * v - lr * (q * G + decay * w)) and w' = saturate(w + v'). The unit takes lr * q and
lr * decay as one factor each, so that each operand has one product.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from golden import check
from golden.buffer import StreamTwin
from golden.fixed import WIDEST, Codes
from golden.lfsr import Words, addends
from golden.quantize.momentum_config import MomentumUpdateConfig
from golden.twin import Trace


def momentum_update(
    config: MomentumUpdateConfig,
    gradient: ArrayLike,
    weight: ArrayLike,
    update: ArrayLike = 0,
    *,
    rate: ArrayLike,
    momentum: ArrayLike = 0,
    decay: ArrayLike = 0,
    r: ArrayLike = 0,
) -> tuple[Codes, Codes]:
    """Return updated weights and their updates: v' = Convert(momentum * v - rate * G - decay * w),
    w' = saturate(w + v').

    Parameters
    ----------
    config
        Formats and rounding.
    gradient, weight, update
        Gradient sums G, weights w and latest updates v, in shapes that broadcast.
    rate, momentum, decay
        Factors, with the fraction bits that `config` has for them, in shapes that broadcast. `rate`
        is the factor itself also where the unit takes its exponent.
    r
        Random bits in [0, 2^dropped), in a shape that broadcasts.

    Returns
    -------
    weights, updates : Codes
        Codes of `config.word`, int64.

    Raises
    ------
    TypeError, ValueError
        A number is not an integer, or is out of range.

    Examples
    --------
    >>> config = MomentumUpdateConfig(rounding="nearest-even")
    >>> half, tenth = 1 << 15, 1 << 21
    >>> weights, updates = momentum_update(
    ...     config, [1 << 28], [100], [64], rate=tenth, momentum=half
    ... )
    >>> weights.tolist(), updates.tolist()  # 64 / 2 - 2^14 * 2^-11
    ([124], [24])
    """
    check.instance("config", config, MomentumUpdateConfig)
    word, most = config.word, 1 << (config.width - 1)
    gradient = check.codes("gradient", gradient, -most, most - 1)
    weight = check.codes("weight", weight, word.minimum, word.maximum)
    update = check.codes("update", update, word.minimum, word.maximum)
    rate = check.codes("rate", rate, 0, config.largest_rate)
    momentum = check.codes("momentum", momentum, 0, (1 << config.momentum_bits) - 1)
    decay = check.codes("decay", decay, 0, (1 << config.decay_bits) - 1)
    r = check.codes("r", r, 0, (1 << max(config.dropped, 0)) - 1)
    check.broadcast(
        gradient=gradient, weight=weight, update=update, rate=rate, momentum=momentum, r=r
    )
    return _updated(config, gradient, weight, update, rate, momentum, decay, r)


def _updated(
    config: MomentumUpdateConfig,
    gradient: Codes,
    weight: Codes,
    update: Codes,
    rate: Codes,
    momentum: Codes,
    decay: Codes,
    r: Codes,
) -> tuple[Codes, Codes]:
    """Return updated weights and updates, as `momentum_update`, of checked codes."""
    # Python's integers where int64 is too narrow for the sum.
    kind: Any = np.int64 if config.sum_width <= WIDEST else object
    limit = 1 << (WIDEST - 1)
    z = gradient.astype(kind) * -rate * (1 << config.rate_shift)
    if config.momentum_bits:
        z = z + update.astype(kind) * momentum * (1 << config.momentum_shift)
    if config.decay_bits:
        z = z - weight.astype(kind) * decay * (1 << config.decay_shift)
    saturated = np.asarray(np.clip(z, -limit, limit - 1), np.int64)
    moved = config.conversion.apply(saturated, r)
    return np.clip(weight + moved, config.word.minimum, config.word.maximum), moved


class MomentumUpdate(StreamTwin):
    """Twin of `hdl.MomentumUpdate`: input stream `i` (`gradient`, `weight` and, with momentum,
    `update`) and ports `rate`, `momentum` and `decay`, as far as there are such; output stream `o`
    (`weight` and, with momentum, `update`).

    Parameters
    ----------
    config
        Formats, rounding, lanes and generator.

    Examples
    --------
    >>> config = MomentumUpdateConfig(momentum_bits=0, decay_bits=0, rounding="nearest-even")
    >>> twin, one = MomentumUpdate(config), np.ones(18, int)
    >>> operands = {"i_gradient": one[:, None] << 28, "i_weight": 100 * one[:, None]}
    >>> trace = twin.run({"i_valid": one, "o_ready": one, **operands, "rate": one << 21})
    >>> config.latency, trace["o_weight"][config.latency :, 0].tolist()
    (17, [92])
    """

    def __init__(self, config: MomentumUpdateConfig):
        check.instance("config", config, MomentumUpdateConfig)
        self.config = config
        self.ports = config.ports
        if config.stochastic:
            self.lanes = config.lfsr.start()

    def results(self, accepted: Trace, words: Words) -> Trace:
        """Return updated weights and updates; see `StreamTwin`."""
        config, weight = self.config, accepted["i_weight"]
        zeros = np.zeros_like(weight[:, :1])

        def factor(name: str) -> Codes:
            return accepted[name][:, None] if name in accepted else zeros

        rate = factor("rate")
        if config.power:
            rate = np.int64(1) << np.minimum(rate, config.rate_bits - 1)
        r = addends(words, config.dropped, config.generator.draw)
        updated, moved = _updated(
            config,
            accepted["i_gradient"],
            weight,
            accepted.get("i_update", zeros),
            rate,
            factor("momentum"),
            factor("decay"),
            r,
        )
        return {"weight": updated, "update": moved} if config.momentum_bits else {"weight": updated}
