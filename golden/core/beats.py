"""Batches, weights and scores as beats of a core's streams."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden.core.edge import input_beat
from golden.core.layout import Words
from golden.core.lower import Compiled
from golden.fixed import Codes
from golden.order import blocks
from golden.training.step.ops import OutputError, Product
from golden.training.step.record import Record


def batch_of(record: Record) -> tuple[Codes, Codes]:
    """Return inputs and classes of a recorded step."""
    codes = next(e.tensors["a"] for e in record if isinstance(e.operation, Product))
    labels = next(e.tensors["label"] for e in record if isinstance(e.operation, OutputError))
    return codes, labels.ravel()


def sample_beats(compiled: Compiled, codes: ArrayLike, labels: ArrayLike) -> Codes:
    """Return a batch as the input stream carries it: of each sample its words, then its label.

    Parameters
    ----------
    compiled
        The network.
    codes
        Inputs of the first layer, (batch, ...).
    labels
        Classes, (batch,).

    Returns
    -------
    Codes
        Beats, (beats, banks + 1): words, and `last`, which is 1 in the last one.
    """
    inputs = np.asarray(codes)
    rows = _padded_rows(inputs.reshape(len(inputs), -1), compiled.config.banks)
    # A class may be wider than a word: its bits are in as many words as it takes.
    width = input_beat(compiled.config).width
    places = np.minimum(width * np.arange(rows.shape[2]), 62)
    words = np.asarray(labels, np.int64)[:, None] >> places & (1 << width) - 1
    words -= words >> width - 1 << width
    return _stream(np.concatenate([rows, words[:, None]], axis=1))


def sample_size(compiled: Compiled) -> int:
    """Return the beats of a sample in the input stream: its words, and its label."""
    return -(-compiled.layout.x[0].columns // compiled.config.banks) + 1


def weight_beats(compiled: Compiled, weights: Iterable[Codes]) -> Codes:
    """Return stored weights as the input stream carries them, row by row.

    Shape (beats, banks + 1): words, and `last`, which is 1 in the last beat of each layer.
    """
    banks = compiled.config.banks
    return np.concatenate([_stream(_padded_rows(each, banks)) for each in weights])


def packed(words: Iterable[int], width: int) -> int:
    """Return words side by side as one number, the first one in the lowest bits.

    Parameters
    ----------
    words
        The words; of each its `width` lowest bits are taken.
    width
        Bits of a word.

    Examples
    --------
    >>> hex(packed([1, -1, 2], 4))
    '0x2f1'
    """
    mask = (1 << width) - 1
    return sum((word & mask) << width * k for k, word in enumerate(words))


def _stream(rows: Codes) -> Codes:
    """Return rows of beats as beats with `last`."""
    beats = rows.reshape(-1, rows.shape[2])
    last = np.zeros((len(beats), 1), np.int64)
    last[-1] = 1
    return np.concatenate([beats, last], axis=1)


def _padded_rows(matrix: ArrayLike, beat: int) -> Codes:
    """Return rows cut into beats, the last one padded. Shape (rows, beats, words)."""
    rows = np.asarray(matrix, np.int64)
    return np.pad(rows, ((0, 0), (0, -rows.shape[1] % beat))).reshape(len(rows), -1, beat)


def matrices(words: Sequence[Words], beats: NDArray[np.void], beat: int) -> list[Codes]:
    """Return the matrices that a dump has carried out.

    Parameters
    ----------
    words
        The matrices' places, in order.
    beats
        Events of the output stream.
    beat
        Words of a beat.
    """
    found, first = [], 0
    values = beats["o_words"][:, :beat]
    for each in words:
        count = each.rows * -(-each.columns // beat)
        part = values[first : first + count].reshape(each.rows, -1)[:, : each.columns]
        found.append(part.astype(np.int64))
        first += count
    return found


def scores_of(compiled: Compiled, beats: NDArray[np.void]) -> Codes:
    """Return the rows of scores that beats of the output stream carry, (rows, classes).

    Beats of a row that is not whole are left out.
    """
    columns, classes = compiled.config.columns, compiled.classes
    per_row = blocks(classes, columns)
    rows = len(beats) // per_row
    words = beats["o_words"][: rows * per_row, :columns].astype(np.int64)
    return words.reshape(rows, per_row * columns)[:, :classes]
