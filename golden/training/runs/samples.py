"""The order of an epoch's images that hardware can generate (`order = "lfsr"`).

A register of N bits passes once through all of its states. A state XOR the epoch's key is the
number of the next image; numbers beyond the last image are skipped. N is the smallest width in
`golden.lfsr.MASKS` with at least as many states as images. A state is never 0, so the image whose
number is the key is left out in that epoch, if there is one. With another key, other images are in
the same batch, unlike with a rotation of the sequence. docs/numerics.md, section 3, has the rule.
"""

from functools import lru_cache

import numpy as np

from golden import check
from golden.fixed import Codes
from golden.lfsr import MASKS, step


def table_width(images: int) -> int:
    """Return the width of the register for a number of images.

    Examples
    --------
    >>> table_width(1438), table_width(60_000)
    (12, 16)
    """
    images = check.whole("images", images, 1, (1 << max(MASKS)) - 1)
    return next(bits for bits in sorted(MASKS) if (1 << bits) - 1 >= images)


def epoch_key(bits: int, epoch: int) -> int:
    """Return the key of an epoch, counted from 0, for a register of `bits` bits.

    Examples
    --------
    >>> [epoch_key(12, epoch) for epoch in range(3)]
    [0, 2531, 966]
    """
    bits, epoch = check.whole("bits", bits, 1, 64), check.whole("epoch", epoch, 0)
    step_of_key = 618 * (1 << bits) // 1000 | 1
    return epoch * step_of_key % (1 << bits)


@lru_cache(maxsize=4)
def _states(bits: int) -> Codes:
    """Return all states of a register in order, from 1 on."""
    states, state = np.empty((1 << bits) - 1, np.int64), 1
    for place in range(len(states)):
        states[place] = state
        state = step(state, MASKS[bits][0])
    return states


def lfsr_order(images: int, epoch: int) -> Codes:
    """Return the numbers of the images in the order of an epoch.

    Parameters
    ----------
    images
        Number of images.
    epoch
        The epoch, counted from 0.

    Returns
    -------
    Codes
        Numbers from 0, all or all but one; int64, (images,) or (images - 1,).

    Examples
    --------
    >>> lfsr_order(5, 0).tolist(), lfsr_order(5, 1).tolist()
    ([1, 3, 4, 2], [2, 3, 1, 4, 0])
    """
    numbers = lfsr_numbers(table_width(images), epoch)
    return numbers[numbers < images]


def lfsr_numbers(bits: int, epoch: int) -> Codes:
    """Return all numbers that a register passes through in an epoch, also those of no image.

    Parameters
    ----------
    bits
        Width of the register: see `table_width`.
    epoch
        The epoch, counted from 0.

    Returns
    -------
    Codes
        Numbers from 0 to 2**bits - 1 without the epoch's key; int64, (2**bits - 1,).

    Examples
    --------
    >>> lfsr_numbers(8, 0)[:5].tolist()
    [1, 250, 125, 196, 98]
    """
    return _states(bits) ^ epoch_key(bits, epoch)
