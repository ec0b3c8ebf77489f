"""Random stimulus for a unit: every port at every clock, weighted so that the corners are met."""

from collections.abc import Iterable

import numpy as np

from golden.fixed import Codes
from golden.twin import Trace
from gradloom.ports import Port

#: How often a control is high, where one half would not do; others are high every other time.
OFTEN = {
    "i_valid": 0.85,
    "o_ready": 0.85,
    "i_last": 0.12,
    "first": 0.1,
    "load": 0.1,
    "hold": 0.4,
    "zero": 0.02,
}
#: How often a clock resets.
RESETS = 1 / 500
#: The longest stretch for which the stream's controls keep their weights.
STRETCH = 200


def random_inputs(ports: Iterable[Port], cycles: int, seed: int) -> Trace:
    """Values for `rst` and every input of `ports` at `cycles` clock edges.

    Operands are of random magnitude, with the extreme codes among them. In turns of random length
    the stream runs freely (no gap, no stall), stutters, and is blocked; resets come at any clock.

    Parameters
    ----------
    ports
        The unit's ports.
    cycles
        Clock edges, at least 1.
    seed
        Of the random numbers (NumPy's PCG64).
    """
    rng = np.random.default_rng(seed)
    inputs = {"rst": (rng.random(cycles) < RESETS).astype(np.int64)}
    for port in ports:
        if port.direction == "in":
            if port.width == 1:
                inputs[port.name] = _control(rng, port, cycles)
            else:
                inputs[port.name] = _words(rng, port, cycles)
    return inputs


def _control(rng: np.random.Generator, port: Port, cycles: int) -> Codes:
    odds = np.full(cycles, OFTEN.get(port.name, 0.5))
    if port.name in ("i_valid", "o_ready"):
        at = 0
        while at < cycles:
            length = int(rng.integers(1, STRETCH))
            odds[at : at + length] = rng.choice(
                [1.0, odds[at], 0.4, 0.05], p=[0.5, 0.3, 0.15, 0.05]
            )
            at += length
    shape = port.shape(cycles)
    return (rng.random(shape) < odds.reshape(-1, *[1] * (len(shape) - 1))).astype(np.int64)


def _words(rng: np.random.Generator, port: Port, cycles: int) -> Codes:
    shape = port.shape(cycles)
    values = rng.integers(port.minimum, port.maximum, shape, endpoint=True)
    values >>= rng.integers(0, port.width, shape)  # toward zero, and toward -1
    extreme = rng.choice([port.minimum, port.minimum + 1, -1, 0, 1, port.maximum], shape)
    return np.where(rng.random(shape) < 0.05, np.clip(extreme, port.minimum, port.maximum), values)
