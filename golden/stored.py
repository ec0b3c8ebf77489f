"""What a memory holds over time, without a loop over clocks."""

import numpy as np

from golden.fixed import Codes


def held(
    words: Codes, write: Codes, to: Codes, values: Codes, addresses: list[Codes]
) -> tuple[list[Codes], Codes]:
    """Return what a memory holds at addresses, one for each clock, and what it holds at last.

    A word is that of the latest write before the clock; what is not there is 0. The writes are
    sorted by address, then by clock.

    Parameters
    ----------
    words
        What it holds at first, (words, ...).
    write, to, values
        Whether a word is written, its address, and the word, (clocks,), (clocks,) and
        (clocks, ...).
    addresses
        Addresses to be read, (clocks,) each.

    Returns
    -------
    found : list of Codes
        For each of `addresses`, the words that are read, (clocks, ...).
    after : Codes
        What it holds at last, (words, ...).

    Examples
    --------
    >>> write, to, values = np.array([1, 0, 1]), np.array([1, 0, 1]), np.array([7, 0, 9])
    >>> (read,), after = held(np.zeros(2, int), write, to, values, [np.array([1, 1, 1])])
    >>> read.tolist(), after.tolist()
    ([0, 7, 7], [0, 9])
    """
    to, values = to.astype(np.int64), values.astype(np.int64)
    size, clocks = len(words), len(write)
    wrote = np.flatnonzero(write & (to < size))
    order = wrote[np.argsort(to[wrote], kind="stable")]
    keys = to[order] * (clocks + 1) + order
    found = []
    for address in addresses:
        address = address.astype(np.int64)
        place = np.searchsorted(keys, address * (clocks + 1) + np.arange(clocks)) - 1
        there = np.minimum(address, size - 1)
        data = words[there].copy()
        data[address >= size] = 0
        if len(order):
            latest = order[np.maximum(place, 0)]
            hit = (place >= 0) & (to[latest] == address)
            data[hit] = values[latest[hit]]
        found.append(data)
    after = words.copy()
    # The last write of each address.
    last = np.flatnonzero(np.diff(to[order], append=-1))
    after[to[order[last]]] = values[order[last]]
    return found, after
