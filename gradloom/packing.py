"""Port arrays to rows of 32-bit words and back, for the simulators.

A clock is one row; each port begins a new word, its lanes lie bit by bit behind each other, lane 0
lowest. That is how CXXRTL stores a value, and one row read as a little-endian integer is what the
Python simulator takes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden.fixed import Codes
from gradloom.ports import Port

Rows = NDArray[np.uint32]

_WORD = 32


class Packing:
    """The row layout of some ports.

    Parameters
    ----------
    ports
        The ports in the order of the row.

    Attributes
    ----------
    words : int
        Words of a row, at least 1.
    places : list of (Port, int)
        Each port and the number of its first word.
    """

    def __init__(self, ports: Sequence[Port]):
        self.places: list[tuple[Port, int]] = []
        word = 0
        for port in ports:
            self.places.append((port, word))
            word += words_of(port)
        self.words = max(word, 1)

    def pack(self, values: Mapping[str, Codes], clocks: slice) -> Rows:
        """Rows of the `clocks` of `values`; a port that `values` does not name is 0."""
        rows = np.zeros((clocks.stop - clocks.start, self.words), np.uint32)
        for port, word in self.places:
            if port.name in values:
                _pack(port, values[port.name][clocks], rows[:, word : word + words_of(port)])
        return rows

    def unpack(self, rows: Rows, trace: Mapping[str, Codes], clocks: slice) -> None:
        """Fill the `clocks` of `trace` from rows."""
        for port, word in self.places:
            _unpack(port, rows[:, word : word + words_of(port)], trace[port.name][clocks])


def words_of(port: Port) -> int:
    """32-bit words that hold `port`."""
    return -(-port.bits // _WORD)


def _pack(port: Port, values: Codes, rows: Rows) -> None:
    width = port.width
    lanes = values.reshape(len(values), -1)
    if width == 1:
        _bytes_to_rows(np.packbits(lanes.astype(np.uint8), axis=1, bitorder="little"), rows)
    elif width in (8, 16, 32):
        _bytes_to_rows(lanes.astype(f"<u{width // 8}").view(np.uint8), rows)
    else:
        codes = lanes.astype(np.uint64) & np.uint64((1 << width) - 1)
        for lane in range(lanes.shape[1]):
            word, shift = divmod(lane * width, _WORD)
            rows[:, word] |= (codes[:, lane] << np.uint64(shift)).astype(np.uint32)
            for reach in range(_WORD, width + shift, _WORD):
                word += 1
                rows[:, word] |= (codes[:, lane] >> np.uint64(reach - shift)).astype(np.uint32)


def _bytes_to_rows(octets: NDArray[np.uint8], rows: Rows) -> None:
    whole = np.zeros((len(rows), rows.shape[1] * 4), np.uint8)
    whole[:, : octets.shape[1]] = octets
    rows[:] = whole.view("<u4")


def _unpack(port: Port, rows: Rows, values: Codes) -> None:
    width = port.width
    lanes = values.reshape(len(values), -1)  # a view: a trace's arrays are contiguous
    count = lanes.shape[1]
    if port.lanes is None and width < _WORD:
        lanes[:] = rows
    elif width == 1:
        octets = np.ascontiguousarray(rows).view(np.uint8)
        lanes[:] = np.unpackbits(octets, axis=1, count=count, bitorder="little")
    elif width in (8, 16, 32):
        kind = f"<{'i' if port.signed else 'u'}{width // 8}"
        lanes[:] = np.ascontiguousarray(rows).view(kind)[:, :count]
        return
    else:
        # Low words of all lanes at once, then the words that a lane reaches into.
        word, shift = np.divmod(np.arange(count) * width, _WORD)
        codes = rows[:, word].astype(np.uint64) >> shift.astype(np.uint64)
        for step in range(1, -(-(width + _WORD - 1) // _WORD)):
            reach = np.minimum(word + step, rows.shape[1] - 1)
            # Bits of a word beyond the lane are masked below; a lane that ends earlier takes
            # nothing that counts.
            up = (step * _WORD - shift).astype(np.uint64)
            codes |= np.where(up < 64, rows[:, reach].astype(np.uint64) << np.minimum(up, 63), 0)
        lanes[:] = (codes & np.uint64((1 << width) - 1)).astype(np.int64)
    if port.signed:
        lanes <<= 64 - width
        lanes >>= 64 - width


def checked(ports: Sequence[Port], inputs: Mapping[str, ArrayLike]) -> tuple[int, dict[str, Codes]]:
    """The number of clocks, and `inputs` as int64 arrays that are known to fit `ports`.

    Raises
    ------
    ValueError
        A name is unknown, lengths or shapes do not match, or a value is out of its port's range.
    TypeError
        Values are not integers.
    """
    known = {port.name: port for port in ports}
    if unknown := [name for name in inputs if name not in known]:
        raise ValueError(
            f"no input port is called {', '.join(unknown)}; there are {', '.join(known)}"
        )
    arrays = {name: np.asarray(values) for name, values in inputs.items()}
    lengths = {name: len(values) if values.ndim else -1 for name, values in arrays.items()}
    if len(set(lengths.values())) != 1 or -1 in lengths.values():
        raise ValueError(f"inputs need one entry a clock, all the same number; they have {lengths}")
    clocks = next(iter(lengths.values()))
    return clocks, {name: _checked(known[name], values, clocks) for name, values in arrays.items()}


def _checked(port: Port, values: NDArray[Any], clocks: int) -> Codes:
    if values.shape != port.shape(clocks):
        raise ValueError(
            f"port {port.name} has the shape {values.shape}: {port.shape(clocks)} is wanted"
        )
    if values.dtype.kind not in "iub":
        raise TypeError(f"port {port.name} has values of type {values.dtype}: integers are wanted")
    if values.size and (int(values.min()) < port.minimum or int(values.max()) > port.maximum):
        wrong = (values < port.minimum) | (values > port.maximum)
        clock, *lane = np.unravel_index(int(wrong.argmax()), wrong.shape)
        where = f"clock {clock}" + "".join(f", lane {i}" for i in lane)
        raise ValueError(
            f"port {port.name}, {where}: {values[clock, *lane]} is out of range, "
            f"{port.minimum} to {port.maximum} are allowed"
        )
    return values.astype(np.int64, copy=False)


def completed(ports: Sequence[Port], inputs: Mapping[str, Codes], clocks: int) -> dict[str, Codes]:
    """`inputs` in the order of `ports`, with zeros for those that are missing."""
    return {
        port.name: inputs[port.name]
        if port.name in inputs
        else np.zeros(port.shape(clocks), np.int64)
        for port in ports
    }
