"""Lattice ECP5's block RAM: DP16KD with the registers at its outputs.

Yosys infers a DP16KD of a memory, but never its output registers: it would take 4.1 ns from the
clock edge to the data, and a register in fabric would follow. The block's own register leaves
almost the whole clock to what comes behind it.

The block has two ports, A and B. A port that is 18 bits wide reads and writes; as one memory of 36
bits, A writes and B reads, with the lower half of a word on A's data pins and the upper half on
B's. The lowest pins of an address that is wider than 9 bits enable the writing of each 9 bits.
"""

from amaranth.hdl import C, Cat, ClockSignal, Instance, Module, Signal, Value

from hdl.cells.memory import Shape, cut, shown, slices

#: Data pins and address pins of a port.
DATA, ADDRESS = 18, 14
#: Shapes with two ports that read or write; and with one that writes and one that reads.
TWO_PORTS = (Shape(18, 1024), Shape(9, 2048), Shape(4, 4096), Shape(2, 8192), Shape(1, 16384))
READ_AND_WRITE = (Shape(36, 512), *TWO_PORTS)


def bank(
    m: Module,
    name: str,
    words: int,
    width: int,
    a: Value,
    b: Value,
    write: Value,
    value: Value,
) -> tuple[Value, Value]:
    """Make a memory of `Cells.bank`."""
    parts = cut(TWO_PORTS, width, words)
    found: tuple[list[Value], list[Value]] = ([], [])
    for part in parts:
        inside = C(1, 1) if len(parts) == 1 else _inside(b, part.first, part.shape.depth)
        sides: tuple[list[Value], list[Value]] = ([], [])
        for first, end in slices(width, part.shape):
            both = _block(
                m,
                f"{name}_{part.first}_{first}",
                part.shape,
                (a, b),
                (C(0, 1), write & inside),
                (C(0, 1), value[first:end]),
            )
            for side, data in zip(sides, both):
                side.append(data[: end - first])
        for out, side in zip(found, sides):
            out.append(Cat(side))
    return (
        shown(m, parts, a, found[0], f"{name}_a"),
        shown(m, parts, b, found[1], f"{name}_b"),
    )


def rows(
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
    """Make a memory of `Cells.rows`."""
    parts = cut(READ_AND_WRITE, width, words)
    found: list[Value] = []
    for part in parts:
        inside = C(1, 1) if len(parts) == 1 else _inside(to, part.first, part.shape.depth)
        side: list[Value] = []
        for first, end in slices(width, part.shape):
            given = value[first:end]
            at = f"{name}_{part.first}_{first}"
            if part.shape.width > DATA:
                data = _wide_block(m, at, part.shape, to, write & inside, given, row, clocks)
            else:
                _, data = _block(
                    *(m, at, part.shape, (to, row), (write & inside, C(0, 1)), (given, C(0, 1))),
                    clocks,
                )
            side.append(data[: end - first])
        found.append(Cat(side))
    return shown(m, parts, row, found, name, clocks)


def _inside(address: Value, first: int, depth: int) -> Value:
    """Return whether an address is one of `depth` from `first` on, a multiple of `depth`."""
    return address[depth.bit_length() - 1 :] == first // depth


def _padded(value: Value, width: int) -> Value:
    """Return the lowest bits of a value, with zeros above."""
    return Cat(value[:width], C(0, max(0, width - len(value))))


def _place(address: Value, shape: Shape, enables: Value) -> Value:
    """Return the pins of an address: the word's above, enables below it."""
    bits = shape.depth.bit_length() - 1
    return Cat(_padded(enables, ADDRESS - bits), _padded(address, bits))


def _block(
    m: Module,
    name: str,
    shape: Shape,
    addresses: tuple[Value, Value],
    writes: tuple[Value, Value],
    values: tuple[Value, Value],
    clocks: int = 2,
) -> tuple[Value, Value]:
    """Make a block of up to 18 bits; both ports read where they do not write.

    Returns
    -------
    tuple of Value
        The data pins of A and B.
    """
    enables = C(3, 2) if shape.width == DATA else C(0, 2)
    return _instance(
        m,
        name,
        shape.width,
        (_place(addresses[0], shape, enables), _place(addresses[1], shape, enables)),
        writes,
        (_padded(values[0], DATA), _padded(values[1], DATA)),
        clocks,
    )


def _wide_block(
    m: Module,
    name: str,
    shape: Shape,
    to: Value,
    write: Value,
    value: Value,
    row: Value,
    clocks: int,
) -> Value:
    """Make a block of 36 bits; A writes, B reads."""
    given = _padded(value, 2 * DATA)
    # A always writes, the bytes that its enables name: all, or none.
    lower, upper = _instance(
        m,
        name,
        shape.width,
        (_place(to, shape, write.replicate(4)), _place(row, shape, C(0, 4))),
        (C(1, 1), C(0, 1)),
        (given[:DATA], given[DATA:]),
        clocks,
    )
    return Cat(lower, upper)


def _instance(
    m: Module,
    name: str,
    width: int,
    addresses: tuple[Value, Value],
    writes: tuple[Value, Value],
    values: tuple[Value, Value],
    clocks: int,
) -> tuple[Value, Value]:
    """Make a block; returns its data pins."""
    outs = (Signal(DATA, name=f"{name}_a"), Signal(DATA, name=f"{name}_b"))
    parameters: dict[str, int | str] = {
        "RESETMODE": "SYNC",
        "ASYNC_RESET_RELEASE": "SYNC",
        "GSR": "DISABLED",
    }
    ports: list[tuple[str, str, Value]] = []
    for side, address, write, value, out in zip("AB", addresses, writes, values, outs):
        parameters |= {
            f"DATA_WIDTH_{side}": width,
            f"REGMODE_{side}": "OUTREG" if clocks == 2 else "NOREG",
            f"WRITEMODE_{side}": "NORMAL",
            f"CSDECODE_{side}": "0b000",
        }
        ports += [
            ("i", f"CLK{side}", ClockSignal()),
            ("i", f"CE{side}", C(1, 1)),
            ("i", f"OCE{side}", C(1, 1)),
            ("i", f"WE{side}", write),
            ("i", f"RST{side}", C(0, 1)),
            *(("i", f"CS{side}{pin}", C(0, 1)) for pin in range(3)),
            *(("i", f"AD{side}{pin}", address[pin]) for pin in range(ADDRESS)),
            *(("i", f"DI{side}{pin}", value[pin]) for pin in range(DATA)),
            *(("o", f"DO{side}{pin}", out[pin]) for pin in range(DATA)),
        ]
    m.submodules[name] = Instance(
        "DP16KD", *(("p", key, value) for key, value in parameters.items()), *ports
    )
    return outs
