"""How the words of a stream's beat lie in the data of AXI4-Stream.

Each word has whole bytes of its own, the first word in the lowest ones. A word's bits are the low
ones of its bytes; the others are copies of the sign of a signed word, 0 of another one. A receiver
ignores them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from golden import check


@dataclass(frozen=True, kw_only=True)
class Beat:
    """The words of a beat.

    Parameters
    ----------
    words
        Number of words, at least 1.
    width
        Bits of a word, at least 1.

    Examples
    --------
    >>> beat = Beat(words=3, width=12)
    >>> beat.bytes, beat.bits
    (2, 48)
    >>> f"{beat.packed([1, -2, 3]):x}"
    '3fffe0001'
    >>> beat.unpacked(0x0003_FFFE_0001)
    [1, -2, 3]
    """

    words: int
    width: int

    def __post_init__(self) -> None:
        check.whole("words", self.words, 1)
        check.whole("width", self.width, 1)

    @property
    def bytes(self) -> int:
        """Bytes of a word."""
        return -(-self.width // 8)

    @property
    def bits(self) -> int:
        """Bits of the data of a beat."""
        return self.words * 8 * self.bytes

    def packed(self, words: Sequence[int]) -> int:
        """Return the data of signed words; those that are missing are 0."""
        mask = (1 << 8 * self.bytes) - 1
        return sum((int(word) & mask) << 8 * self.bytes * k for k, word in enumerate(words))

    def unpacked(self, data: int) -> list[int]:
        """Return the signed words of data."""
        found = []
        for k in range(self.words):
            code = data >> 8 * self.bytes * k & (1 << self.width) - 1
            found.append(code - (1 << self.width) if code >> self.width - 1 else code)
        return found
