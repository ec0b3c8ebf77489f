"""Flat indices: places of a store whose words are spread over banks.

A matrix in a store is a flat sequence of words. Word f is in bank f mod N at the address f div N,
so a run of up to N words lies in different banks wherever it begins. An index is kept as this pair,
as in the hardware: adding a stride is an addition, one comparison with N, and a carry.
"""

from dataclasses import dataclass

import numpy as np

from golden.core.field import bits


@dataclass(frozen=True, kw_only=True)
class Index:
    """A flat index, or a stride, as the pair (f div N, f mod N); the quotient rounds down.

    Parameters
    ----------
    high
        Address in a bank.
    low
        Number of the bank.

    Examples
    --------
    >>> Index.of(-3, banks=8)
    Index(high=-1, low=5)
    >>> Index.of(-3, banks=8).flat(8)
    -3
    """

    high: int = bits(20, "Address in a bank", signed=True)
    low: int = bits(8, "Number of the bank")

    @classmethod
    def of(cls, flat: int, banks: int) -> "Index":
        """Return the pair of a flat index."""
        high, low = divmod(flat, banks)
        return cls(high=high, low=low)

    def flat(self, banks: int) -> int:
        """Return the flat index."""
        return self.high * banks + self.low


def some_index(rng: np.random.Generator, banks: int) -> Index:
    """Return a random index or stride: near 0, in a small matrix, or anywhere.

    Parameters
    ----------
    rng
        Where its numbers come from.
    banks
        Number of banks.
    """
    reach = (1, 40, 1 << 20)[int(rng.integers(0, 3))]
    high = int(rng.integers(-reach, reach)) % (1 << 20)
    return Index(high=high - (high >> 19 << 20), low=int(rng.integers(0, banks)))
