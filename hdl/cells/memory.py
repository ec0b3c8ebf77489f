"""Memories with registers at their outputs: their inferred form, and how block RAMs are cut.

Data are two clocks behind their address: a block RAM takes most of a clock until it shows a word,
so a register follows. Nothing may read a word in the clock in which the other port writes it; what
is read then is not defined.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from amaranth.hdl import Module, Mux, Value
from amaranth.lib.memory import Memory

from hdl.delay import registered

#: A tool need not make a read of a word that is written in the same clock return the old one.
NO_CHECK: dict[str, Any] = {"no_rw_check": 1}


class Shape(NamedTuple):
    """A form in which a block RAM can be used."""

    width: int
    depth: int


class Part(NamedTuple):
    """Successive words of a memory, in block RAMs of one shape side by side."""

    shape: Shape
    first: int


def cut(shapes: Sequence[Shape], width: int, words: int) -> list[Part]:
    """Cut a memory into block RAMs: as few as possible, then in as few parts as possible.

    Block RAMs side by side share an address. Parts, which hold successive words, need a multiplexer
    behind them. Deep parts come first, so that a part begins at a multiple of its depth.

    Parameters
    ----------
    shapes
        Shapes of a block RAM; depths are multiples of the least one.
    width
        Bits of a word.
    words
        Number of words.

    Examples
    --------
    >>> shapes = [Shape(18, 1024), Shape(9, 2048), Shape(4, 4096), Shape(2, 8192)]
    >>> [tuple(part.shape) for part in cut(shapes, 8, 2000)]
    [(9, 2048)]
    >>> [tuple(part.shape) for part in cut(shapes, 8, 12914)]
    [(2, 8192), (4, 4096), (9, 2048)]
    """
    unit = min(shape.depth for shape in shapes)
    # For each number of units: block RAMs, parts, and the shape of one of them.
    fewest: list[tuple[int, int, Shape | None]] = [(0, 0, None)]
    for units in range(1, -(-words // unit) + 1):
        found = []
        for shape in shapes:
            before, parts, _ = fewest[max(0, units - shape.depth // unit)]
            found.append((before - (-width // shape.width), parts + 1, shape))
        fewest.append(min(found))
    chosen: list[Shape] = []
    units = len(fewest) - 1
    while units > 0:
        last = fewest[units][2]
        assert last is not None
        chosen.append(last)
        units -= last.depth // unit
    first, cuts = 0, []
    for shape in sorted(chosen, key=lambda shape: -shape.depth):
        cuts.append(Part(shape, first))
        first += shape.depth
    return cuts


def blocks(parts: Sequence[Part], width: int) -> int:
    """Return the number of block RAMs of a memory that was cut.

    Examples
    --------
    >>> shapes = [Shape(18, 1024), Shape(9, 2048)]
    >>> blocks(cut(shapes, 20, 3000), 20)
    5
    """
    return sum(-(-width // part.shape.width) for part in parts)


def slices(width: int, shape: Shape) -> Iterator[tuple[int, int]]:
    """Yield the first bit of each block RAM side by side, and the one above its last."""
    for first in range(0, width, shape.width):
        yield first, min(width, first + shape.width)


def shown(
    m: Module, parts: Sequence[Part], address: Value, words: list[Value], name: str, clocks: int = 2
) -> Value:
    """Return the word of the part in which an address of some clocks ago is.

    Parameters
    ----------
    m, name
        Module and name of the registers.
    parts
        The parts.
    address
        The address.
    words
        What the parts show.
    clocks
        Clocks from the address to the words.
    """
    # A part begins at a multiple of its depth: the bits of the address above it are enough.
    found = words[0]
    for part, word in zip(parts[1:], words[1:], strict=True):
        here = registered(m, address >= part.first, f"{name}_from_{part.first}", clocks)
        found = Mux(here, word, found)
    return found


def inferred_bank(
    m: Module,
    name: str,
    words: int,
    width: int,
    a: Value,
    b: Value,
    write: Value,
    value: Value,
) -> tuple[Value, Value]:
    """Make a memory of `Cells.bank` that tools infer."""
    memory: Memory[Any, Any] = Memory(shape=width, depth=words, init=[], attrs=NO_CHECK)
    m.submodules[name] = memory
    shown_a, shown_b, written = memory.read_port(), memory.read_port(), memory.write_port()
    m.d.comb += [
        shown_a.addr.eq(a),
        shown_b.addr.eq(b),
        written.addr.eq(b),
        written.en.eq(write),
        written.data.eq(value),
    ]
    return registered(m, shown_a.data, f"{name}_a"), registered(m, shown_b.data, f"{name}_b")


def inferred_rows(
    m: Module,
    name: str,
    words: int,
    width: int,
    write: Value,
    to: Value,
    value: Value,
    row: Value,
    clocks: int,
) -> Value:
    """Make a memory of `Cells.rows` that tools infer."""
    memory: Memory[Any, Any] = Memory(shape=width, depth=words, init=[], attrs=NO_CHECK)
    m.submodules[name] = memory
    read, written = memory.read_port(), memory.write_port()
    m.d.comb += [
        read.addr.eq(row),
        written.addr.eq(to),
        written.en.eq(write),
        written.data.eq(value),
    ]
    return registered(m, read.data, f"{name}_data", clocks - 1)
