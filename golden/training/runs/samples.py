"""The order of an epoch's images that hardware can make (`order = "lfsr"`).

A register of N bits runs once round its states, each of which, XORed with the epoch's key, is an
image's number; N is the least width of `golden.lfsr.MASKS` with as many states as there are images.
Numbers beyond the images are skipped. A state is never 0, so the image whose number is the key is
left out of that epoch, if there is one. The key changes which images meet in a batch, which a mere
rotation of the states would not. docs/numerics.md, section 3.
"""

from functools import lru_cache

import numpy as np

from golden import check
from golden.fixed import Codes
from golden.lfsr import MASKS, step


def table_width(images: int) -> int:
    """Bits of the register for so many images.

    >>> table_width(1438), table_width(60_000)
    (12, 16)
    """
    check.whole("images", images, 1, (1 << max(MASKS)) - 1)
    return next(bits for bits in sorted(MASKS) if (1 << bits) - 1 >= images)


def epoch_key(bits: int, epoch: int) -> int:
    """What the states are XORed with in an epoch, from 0.

    >>> [epoch_key(12, epoch) for epoch in range(3)]
    [0, 2531, 966]
    """
    step_of_key = 618 * (1 << bits) // 1000 | 1
    return epoch * step_of_key % (1 << bits)


@lru_cache(maxsize=4)
def _states(bits: int) -> Codes:
    """All states of a register, from 1 on."""
    states, state = np.empty((1 << bits) - 1, np.int64), 1
    for place in range(len(states)):
        states[place] = state
        state = step(state, MASKS[bits][0])
    return states


def lfsr_order(images: int, epoch: int) -> Codes:
    """Numbers of the images in the order of an epoch, from 0: all of them, or all but one.

    Returns
    -------
    int64, (images,) or (images - 1,).

    >>> lfsr_order(5, 0).tolist(), lfsr_order(5, 1).tolist()
    ([1, 3, 4, 2], [2, 3, 1, 4, 0])
    """
    bits = table_width(images)
    numbers = _states(bits) ^ epoch_key(bits, epoch)
    return numbers[numbers < images]
