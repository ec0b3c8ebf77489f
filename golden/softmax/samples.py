"""Samples on both sides of the decisions of softmax, and the clocks at which they come."""

from math import ceil, log

import numpy as np

from golden.fixed import Codes
from golden.softmax.config import NEAR_BITS, SoftmaxConfig
from golden.softmax.integers import FRACTION
from golden.twin import Trace

#: Kinds of stretches: probability of an output, and of `ready` for an error.
_KINDS = ((1.0, 1.0), (0.85, 0.85), (0.4, 0.5), (1.0, 0.0), (0.95, 0.3), (1.0, 0.6), (0.1, 0.9))
#: Shortest and longest stretch, in samples.
_STRETCHES = 1, 8
#: Probability of a reset in a stretch, which has resets only in the first half.
_RESETS = (0.0, 0.0, 0.0, 0.01, 0.04)


def controls(rng: np.random.Generator, config: SoftmaxConfig, clocks: int) -> Trace:
    """Return random `i_valid`, `o_ready` and `rst`, in stretches of different kinds."""
    odds = np.zeros((clocks, 3))
    at, left = 0, list[int]()
    while at < clocks:
        if not left:
            left = rng.permutation(len(_KINDS)).tolist()
        offered, taken = _KINDS[left.pop()]
        length = int(rng.integers(*_STRETCHES, endpoint=True)) * min(config.classes, 40)
        reset = _RESETS[int(rng.integers(len(_RESETS)))] if taken and 2 * at < clocks else 0.0
        odds[at : at + length] = offered, taken, reset
        at += length
    high = (rng.random(odds.shape) < odds).astype(np.int64)
    return {"i_valid": high[:, 0], "o_ready": high[:, 1], "rst": high[:, 2]}


def samples(rng: np.random.Generator, config: SoftmaxConfig, count: int) -> tuple[Codes, Codes]:
    """Return outputs, (samples, classes), and labels, (samples,).

    The kinds of samples have: outputs near each other, all outputs equal, several equal maxima, one
    output far above all others, whose probability is 1, the extreme codes, distances of a single
    bit, and distances around the one at which an exponential becomes 1, 0, or another power of two.
    """
    shape = (count, config.classes)
    low, high = config.outputs.minimum, config.outputs.maximum
    one = 1 << config.outputs.fl
    reach = high - low
    most = min(reach, (1 << NEAR_BITS) * one)
    # Distances just below and above each power of two of an exponential.
    steps = [ceil(k * log(2) * one) + d for k in range(FRACTION + 2) for d in (-1, 0, 1)]
    edges = np.array([*steps, *(most + d for d in range(-2, 3))])
    spread = rng.integers(0, most + 1, (count, 1)) >> rng.integers(0, most.bit_length(), (count, 1))
    near = rng.integers(0, spread, shape, endpoint=True)
    kinds = [
        near,
        np.zeros(shape, np.int64),
        near * rng.integers(0, 2, shape),
        np.where(rng.permuted(np.tile(np.arange(shape[1]), (count, 1)), axis=1), reach, 0),
        reach * rng.integers(0, 2, shape),
        1 << rng.integers(0, reach.bit_length(), shape),
        rng.choice(edges, shape),
        rng.integers(0, reach, shape, endpoint=True),
    ]
    kind = rng.integers(0, len(kinds), (count, 1))
    distance = np.clip(np.choose(kind, kinds), 0, reach)
    # Without a distance of 0, the maximum lies below the highest output of the kind.
    highest = high - rng.integers(0, reach, (count, 1), endpoint=True) * rng.integers(
        0, 2, (count, 1)
    )
    outputs = np.maximum(highest - distance, low)
    zero = rng.random((count, 1)) < 0.7
    outputs = np.where(
        zero & (np.arange(shape[1]) == rng.integers(0, shape[1], (count, 1))), highest, outputs
    )
    labels = rng.integers(0, 1 << config.label_width, count)
    return outputs, np.where(rng.random(count) < 0.3, outputs.argmax(axis=1), labels)
