"""The grid of nodes: operands move right and down, finished sums move down."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Signal, Value, signed

from golden.array import ArrayConfig
from hdl.array.edges import Operands, extra_delay
from hdl.cells import Cells
from hdl.delay import registered
from hdl.macc import Macc


def grid(
    m: Module,
    config: ArrayConfig,
    cells: Cells,
    places: Sequence[Sequence[str]] | None,
    operands: Operands,
    *,
    first: Sequence[Value],
    load: Sequence[Value],
    release: Sequence[Value],
) -> list[Value]:
    """Make the nodes, and the `hold` marker of each row.

    Parameters
    ----------
    m
        The array's module.
    config
        The array's configuration.
    cells
        Technology of the nodes.
    places
        Locations of the multipliers, or None.
    operands
        Operands at the edges.
    first, load
        Markers of each row at its left end.
    release
        Ends the hold of each row.

    Returns
    -------
    list of Value
        `drain` of the bottom row's nodes, one for each column.
    """
    rows, columns = config.rows, config.columns
    below = list(operands.top)
    above: list[Value] = [
        Signal(signed(config.node(0, column).width), name=f"top_{column}")
        for column in range(columns)
    ]
    block_row = rows - config.multipliers[0] if config.multipliers else 0
    multiplying: list[list[Macc]] = []
    for row in range(rows):
        hold = Signal(name=f"hold_{row}")
        if row < rows - 1:
            m.d.sync += hold.eq(load[row] | (hold & ~release[row]))
        a: Value = operands.left[row]
        markers = (first[row], load[row], hold)
        if row == block_row:
            below[: len(operands.block)] = operands.block
        multiplying.append([])
        for column in range(columns):
            node_config = config.node(row, column)
            place = None
            if places and not node_config.ternary:
                place = places[row - block_row][column]
            node = Macc(node_config, cells=cells, place=place)
            m.submodules[f"node_{row}_{column}"] = node
            if not node_config.ternary:
                multiplying[-1].append(node)
            if column:
                step = extra_delay(config, row, column) - extra_delay(config, row, column - 1)
                a = registered(m, a, f"waits_{row}", step)
            drain = above[column]
            if row and node_config != config.node(row - 1, column):
                drain = _widened(m, config, drain, f"widened_{column}")
            m.d.comb += [
                node.a.eq(a),
                node.first.eq(markers[0]),
                node.load.eq(markers[1]),
                node.hold.eq(markers[2]),
                node.b.eq(below[column]),
                node.above.eq(drain),
            ]
            a, markers = node.a_out, (node.first_out, node.load_out, node.hold_out)
            below[column], above[column] = node.b_out, node.drain
    cells.connect(m, multiplying)
    return above


def _widened(m: Module, config: ArrayConfig, drain: Value, name: str) -> Value:
    """Return a ternary node's drain as the multiplying node below it expects it: sign-extended to
    its accumulator's width, with segment k delayed by k clocks.
    """
    wide = Signal(signed(config.macc.width), name=name)
    m.d.comb += wide.eq(drain)
    parts = []
    for number, (low, high) in enumerate(config.macc.cuts):
        # Delay the bits of the ternary sum only, and extend the sign behind the registers.
        held = wide[low : min(high, max(len(drain), low + 1))]
        part = registered(m, held, f"{name}_{number}", number)
        parts.append(Cat(part, part[-1].replicate(high - low - len(held))))
    return Cat(parts).as_signed()
