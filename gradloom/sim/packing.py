"""Conversion of port arrays to bits and back: the only place that defines the position of lanes.

The lanes of a port follow each other, lane 0 in the lowest bits, in two's complement. For the
simulators, a clock is one row of 32-bit words, and each port begins a new word. CXXRTL stores
values in this form; for the Python simulator, a row is read as a little-endian integer. For files,
the value of a port is one integer (`to_numbers`).
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from golden.fixed import Codes
from golden.port import Port

Rows = NDArray[np.uint32]

_WORD = 32


class Packing:
    """Layout of a row for some ports.

    Parameters
    ----------
    ports
        The ports, in order.

    Attributes
    ----------
    words : int
        Number of words of a row, at least 1.
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
        """Return the rows of the `clocks` of `values`. Ports without an entry are 0."""
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
    """Return the number of 32-bit words for a port."""
    return -(-port.bits // _WORD)


def to_numbers(port: Port, values: Codes) -> list[int]:
    """Return the value of `port` at each clock as an integer of `port.bits` bits.

    Examples
    --------
    >>> to_numbers(Port("x", "in", 4, signed=True, lanes=3), np.array([[1, -1, 2]]))
    [753]
    """
    rows = np.zeros((len(values), 2 * -(-words_of(port) // 2)), np.uint32)
    _pack(port, np.asarray(values), rows[:, : words_of(port)])
    if rows.shape[1] == 2:
        numbers: list[int] = rows.view("<u8")[:, 0].tolist()
        return numbers
    return [int.from_bytes(row.tobytes(), "little") for row in rows]


def from_numbers(port: Port, numbers: Sequence[int]) -> Codes:
    """Return the values of `port` for its integers: the inverse of `to_numbers`.

    Returns
    -------
    ndarray of int64
        Shape (clocks,), or (clocks, lanes) if the port has lanes.
    """
    count = 2 * -(-words_of(port) // 2)
    if count == 2:
        rows = np.array(numbers, np.uint64).view("<u4").reshape(-1, 2)
    else:
        octets = b"".join([number.to_bytes(4 * count, "little") for number in numbers])
        rows = np.frombuffer(octets, "<u4").reshape(-1, count)
    values = np.empty(port.shape(len(numbers)), np.int64)
    _unpack(port, rows[:, : words_of(port)], values)
    return values


def to_bits(ports: Sequence[Port], trace: Mapping[str, Codes]) -> NDArray[np.uint8]:
    """Return values of ports as bits: port after port, lowest bit of lane 0 first.

    Returns
    -------
    ndarray of uint8, shape (clocks, bits)
    """
    columns = []
    for port in ports:
        values = np.asarray(trace[port.name])
        rows = np.zeros((len(values), words_of(port)), np.uint32)
        _pack(port, values, rows)
        octets = rows.astype("<u4").view(np.uint8)
        columns.append(np.unpackbits(octets, axis=1, count=port.bits, bitorder="little"))
    return np.concatenate(columns, axis=1)


def from_bits(ports: Sequence[Port], bits: NDArray[np.integer]) -> dict[str, Codes]:
    """Return values of ports for their bits, (clocks, bits): the inverse of `to_bits`."""
    trace, at = {}, 0
    for port in ports:
        octets = np.packbits(bits[:, at : at + port.bits], axis=1, bitorder="little")
        rows = np.zeros((len(bits), words_of(port)), np.uint32)
        _bytes_to_rows(octets, rows)
        values = np.empty(port.shape(len(bits)), np.int64)
        _unpack(port, rows, values)
        trace[port.name] = values
        at += port.bits
    return trace


def _pack(port: Port, values: Codes, rows: Rows) -> None:
    width = port.width
    lanes = values.reshape(len(values), -1)
    if width == 1:
        _bytes_to_rows(np.packbits(lanes.astype(np.uint8), axis=1, bitorder="little"), rows)
    elif width in (8, 16, 32):
        _bytes_to_rows(lanes.astype(f"<u{width // 8}", "C").view(np.uint8), rows)
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
        # First the lowest word of every lane, then the further words of wide or unaligned lanes.
        word, shift = np.divmod(np.arange(count) * width, _WORD)
        codes = rows[:, word].astype(np.uint64) >> shift.astype(np.uint64)
        for step in range(1, -(-(width + _WORD - 1) // _WORD)):
            reach = np.minimum(word + step, rows.shape[1] - 1)
            # Bits that do not belong to the lane are masked below.
            up = (step * _WORD - shift).astype(np.uint64)
            codes |= np.where(up < 64, rows[:, reach].astype(np.uint64) << np.minimum(up, 63), 0)
        lanes[:] = (codes & np.uint64((1 << width) - 1)).astype(np.int64)
    if port.signed:
        lanes <<= 64 - width
        lanes >>= 64 - width
