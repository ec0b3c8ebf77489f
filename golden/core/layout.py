"""Where each word of a training step is: tensor coordinates to stores, banks and addresses.

A matrix of words has a pitch, the distance of its rows. Lanes read either a run of a row, whose
words are in different banks anyway, or a column of several rows; for that the pitch is 1 modulo the
number of banks. So a matrix that is ever read by columns gets the least such pitch.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden.core.index import Index
from golden.core.isa import Store
from golden.fixed import Codes
from golden.order import blocks
from golden.training.layers.network import Stage


def unit_pitch(width: int, banks: int) -> int:
    """Return the least number from `width` on that is 1 modulo the number of banks.

    Examples
    --------
    >>> unit_pitch(784, 8), unit_pitch(10, 8), unit_pitch(10, 1)
    (785, 17, 10)
    """
    return width + (1 - width) % banks


@dataclass(frozen=True, kw_only=True)
class Words:
    """A matrix of words in a store.

    Parameters
    ----------
    store
        The store.
    banks
        Number of its banks.
    base
        Flat index of the first word.
    pitch
        Distance of rows.
    rows, columns
        Size of the matrix.
    """

    store: Store
    banks: int
    base: int
    pitch: int
    rows: int
    columns: int

    def index(self, flat: int) -> Index:
        """Return a flat index or a stride as a pair."""
        return Index.of(flat, self.banks)

    @property
    def end(self) -> int:
        """The address below which all words are."""
        return blocks(self.base + (self.rows - 1) * self.pitch + self.columns, self.banks)

    def places(self, rows: Codes, columns: Codes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the banks and the addresses of words, in the shape of the coordinates."""
        address, bank = np.divmod(self.base + rows * self.pitch + columns, self.banks)
        return bank, address

    def coordinates(self, bank: int, address: int) -> tuple[int, int] | None:
        """Return row and column of the value that a word is; None if there is none.

        Examples
        --------
        >>> words = Words(store=Store.W, banks=8, base=0, pitch=17, rows=128, columns=10)
        >>> bank, address = words.places(5, 7)
        >>> words.coordinates(bank, address), words.coordinates(bank, address + 1)
        ((5, 7), None)
        """
        row, column = divmod(int(address) * self.banks + int(bank) - self.base, self.pitch)
        there = 0 <= row < self.rows and column < self.columns
        return (row, column) if there else None


@dataclass(frozen=True, kw_only=True)
class Rows:
    """A matrix in a row store, whose rows hold one value for each column of the array.

    The store keeps all of the matrix; or, with a ring, only some parts at a time of a column
    block's rows.

    Parameters
    ----------
    base
        First row.
    pitch
        Distance of column blocks; 0 with a ring.
    rows
        Rows of the matrix.
    blocks
        Column blocks.
    part
        Rows of a part; 0 without a ring.
    ring
        Number of parts that are kept. It divides the number of parts.
    """

    base: int
    pitch: int
    rows: int
    blocks: int
    part: int = 0
    ring: int = 0

    def places(self, rows: Codes, block: Codes | int) -> NDArray[np.int64]:
        """Return the rows of the store that hold matrix rows in a column block."""
        if self.part:
            part, within = np.divmod(rows, self.part)
            rows = part % self.ring * self.part + within
        return np.asarray(self.base + block * self.pitch + rows)

    def coordinates(self, place: int) -> list[tuple[int, int]]:
        """Return matrix rows and column blocks that a row of the store holds; of a ring several.

        Examples
        --------
        >>> Rows(base=10, pitch=4, rows=4, blocks=2).coordinates(15)
        [(1, 1)]
        """
        row, block = np.indices((self.rows, self.blocks))
        found = np.argwhere(self.places(row, block) == place)
        return [(int(one), int(other)) for one, other in found]

    @property
    def parts(self) -> int:
        """Parts of a column block's rows; 1 without a ring."""
        return blocks(self.rows, self.part) if self.part else 1

    @property
    def size(self) -> int:
        """Rows of the store from the first to the last."""
        if self.part:
            return self.part * self.ring
        return (self.blocks - 1) * self.pitch + self.rows

    @property
    def end(self) -> int:
        """The row below which all of it is."""
        return self.base + self.size


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The words of a step; layers are counted from 0.

    Parameters
    ----------
    x
        Inputs of every layer, (batch, inputs) each; the first ones are the samples.
    second
        The samples of every other step; the same as x[0] where there is one input buffer.
    e
        Errors of every layer's sums, (batch, outputs).
    w
        Stored weights of every layer, (inputs, outputs).
    k
        Masks of the hidden layers' activations, (batch, outputs).
    """

    x: tuple[Words, ...]
    second: Words
    e: tuple[Words, ...]
    w: tuple[Words, ...]
    k: tuple[Rows, ...]

    def words(self, store: Store) -> int:
        """Return the words of each bank that a store needs."""
        held = {Store.X: (*self.x, self.second), Store.E: self.e, Store.W: self.w}[store]
        return max(words.end for words in held)

    @property
    def k_rows(self) -> int:
        """The rows of masks that are needed; 1 at least."""
        return max((rows.end for rows in self.k), default=1)


def layout(stages: tuple[Stage, ...], batch: int, rows: int, columns: int, inputs: int) -> Layout:
    """Return the layout of a network of dense layers.

    Parameters
    ----------
    stages
        The layers.
    batch
        Samples of a step.
    rows, columns
        Size of the array.
    inputs
        Number of buffers for samples, 1 or 2.

    Examples
    --------
    >>> from golden.training.layers.network import stages
    >>> made = layout(stages("128FC", (8, 8, 1), 10), 64, 8, 8, inputs=1)
    >>> [(words.base, words.pitch) for words in made.x]
    [(0, 65), (4160, 129)]
    >>> made.words(Store.X), made.words(Store.E), made.words(Store.W), made.k_rows
    (1552, 1168, 1304, 1024)
    """
    banks = max(rows, columns)

    def placed(store: Store, sizes: list[tuple[int, int]], base: int = 0) -> list[Words]:
        """Place matrices behind each other, each from the first bank on."""
        found = []
        for height, width in sizes:
            words = Words(
                store=store,
                banks=banks,
                base=base,
                pitch=unit_pitch(width, banks),
                rows=height,
                columns=width,
            )
            found.append(words)
            base = words.end * banks
        return found

    first = (batch, stages[0].inputs)
    samples = placed(Store.X, [first] * inputs)
    x = placed(
        Store.X,
        [(batch, stage.inputs) for stage in stages[1:]],
        base=samples[-1].end * banks,
    )
    # Two layers' errors at a time are in use: a product reads those of one, a pass writes the
    # other's. So there are two regions, each as large as the largest of its layers.
    sizes = [(batch, stage.outputs) for stage in stages]
    ends = [words.end for size in sizes[::2] for words in placed(Store.E, [size])]
    regions = (0, max(ends) * banks)
    e = [
        words
        for number, size in enumerate(sizes)
        for words in placed(Store.E, [size], regions[number % 2])
    ]
    w = placed(Store.W, [(stage.inputs, stage.outputs) for stage in stages])
    k, row = [], 0
    for stage in stages[:-1]:
        k.append(Rows(base=row, pitch=batch, rows=batch, blocks=blocks(stage.outputs, columns)))
        row = k[-1].end
    return Layout(x=(samples[0], *x), second=samples[-1], e=tuple(e), w=tuple(w), k=tuple(k))
