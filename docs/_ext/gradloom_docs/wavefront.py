"""The wavefront of a small array, clock by clock, from the signals inside a simulated one.

Amaranth's simulator writes every signal of the run into a waveform file, and the picture is what
that file says: nothing here knows the array's schedule.
"""

import html
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from vcd.reader import TokenKind, tokenize

import golden
import hdl
from golden.fixed import Fixed
from golden.twin import Trace
from gradloom.sim.pysim import PERIOD, Pysim

#: Rows and columns of the array, terms of a tile, tiles.
SIZE, DEPTH, TILES = 4, 5, 2
#: Clocks before the first operand, and after the last row.
_LEAD, _TAIL = 1, 2
#: Codes of a tile's operands: never 0, and other ones for each tile, so that a value that is seen
#: somewhere tells what it is.
_CODES = 3
CONFIG = golden.ArrayConfig(
    rows=SIZE,
    columns=SIZE,
    macc=golden.MaccConfig(a=Fixed(8, 0), b=Fixed(8, 0), segments=1),
    conversions=(),
)
#: Time units of the simulator's waveform files in a nanosecond.
_FEMTOSECONDS = 1_000_000
#: The signals of a node that the picture needs.
_SIGNALS = ("a", "b", "first_hop", "load_hop", "hold_hop", "term_0", "accumulator_0", "shadow_0")


@dataclass(frozen=True)
class Node:
    """A node just before a clock edge.

    Parameters
    ----------
    a, b
        The operands at its ports; 0 where there are none.
    operands
        Tile to which they belong, or None.
    sum, sum_tile
        The accumulator, and the tile that it counts for.
    adds
        Whether a product goes into the accumulator at this edge.
    shadow, shadow_tile
        The shadow register, and the tile whose sum it holds; None where it holds none.
    moves
        What the shadow does at this edge: `load` the sum, `hold` its own, `shift` the one above it
        in, or nothing that matters.
    """

    a: int
    b: int
    operands: int | None
    sum: int
    sum_tile: int | None
    adds: bool
    shadow: int
    shadow_tile: int | None
    moves: str


@dataclass(frozen=True)
class Frame:
    """The array just before a clock edge.

    Parameters
    ----------
    clock
        Number of the edge.
    column, row
        Column of A and row of B that are accepted at it; none are empty.
    last
        Whether they end their tile.
    nodes
        The nodes, row by row.
    out
        Row of the product that leaves; empty where none does.
    out_tile
        Its tile.
    """

    clock: int
    column: list[int]
    row: list[int]
    last: bool
    nodes: list[list[Node]]
    out: list[int]
    out_tile: int | None


def inputs() -> Trace:
    """Two tiles back to back, from clock `_LEAD` on."""
    clocks = _LEAD + CONFIG.clocks(TILES, DEPTH) + _TAIL
    rng = np.random.default_rng(0)
    a = np.zeros((clocks, SIZE), np.int64)
    b, valid, last = a.copy(), np.zeros(clocks, np.int64), np.zeros(clocks, np.int64)
    for tile in range(TILES):
        span = slice(_LEAD + tile * DEPTH, _LEAD + (tile + 1) * DEPTH)
        for operand in (a, b):
            operand[span] = rng.integers(1, _CODES, (DEPTH, SIZE), endpoint=True) + tile * _CODES
        valid[span] = 1
        last[span.stop - 1] = 1
    return {"i_valid": valid, "i_a": a, "i_b": b, "i_last": last, "o_ready": np.ones_like(valid)}


def _samples(path: Path, clocks: int) -> Iterator[dict[str, int]]:
    """Values of all signals of a waveform file of the simulator just before each clock edge."""
    scopes: list[str] = []
    names: dict[str, list[str]] = {}
    values: dict[str, int] = {}
    edge = 1
    with path.open("rb") as file:
        for token in tokenize(file):
            match token.kind:
                case TokenKind.SCOPE:
                    scopes.append(token.scope.ident)
                case TokenKind.UPSCOPE:
                    scopes.pop()
                case TokenKind.VAR:
                    name = ".".join([*scopes, token.var.reference])
                    names.setdefault(token.var.id_code, []).append(name)
                case TokenKind.CHANGE_TIME:
                    # The edge that ends clock t is t + 1 periods from the start.
                    while edge <= clocks and token.time_change >= edge * PERIOD * _FEMTOSECONDS:
                        yield dict(values)
                        edge += 1
                case TokenKind.CHANGE_SCALAR:
                    for name in names[token.scalar_change.id_code]:
                        values[name] = int(token.scalar_change.value)
                case TokenKind.CHANGE_VECTOR:
                    for name in names[token.vector_change.id_code]:
                        values[name] = int(token.vector_change.value)
    while edge <= clocks:
        yield dict(values)
        edge += 1


@cache
def trace() -> tuple[list[list[dict[str, list[int]]]], Trace, Trace]:
    """Signals of every node over time, and the array's inputs and outputs."""
    stimulus = inputs()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "array.vcd"
        outputs = Pysim(hdl.Array(CONFIG), path).run(stimulus)
        samples = list(_samples(path, len(stimulus["i_valid"])))
    nodes = []
    for row in range(SIZE):
        nodes.append(
            [
                {
                    signal: [_find(sample, row, column, signal) for sample in samples]
                    for signal in _SIGNALS
                }
                for column in range(SIZE)
            ]
        )
    return nodes, stimulus, outputs


def _find(sample: dict[str, int], row: int, column: int, signal: str) -> int:
    return sample[f"bench.top.top.unit.node_{row}_{column}.{signal}"]


@cache
def frames() -> list[Frame]:
    """The array at every clock edge."""
    nodes, stimulus, outputs = trace()
    clocks = len(stimulus["i_valid"])
    accepted = stimulus["i_valid"] & outputs["i_ready"]
    left = np.cumsum(outputs["o_valid"] & outputs["o_last"])
    left -= outputs["o_valid"] & outputs["o_last"]
    # Which tile a sum belongs to, from the marker that begins it; and a shadow, from what it takes.
    sums = [[-1] * SIZE for _ in range(SIZE)]
    shadows: list[list[int]] = [[-1] * SIZE for _ in range(SIZE)]
    made = []
    for clock in range(clocks):
        now = [
            [{name: values[clock] for name, values in node.items()} for node in row]
            for row in nodes
        ]
        grid = []
        for r, line in enumerate(now):
            grid.append(
                [
                    _node(node, now[r - 1][c] if r else None, sums[r][c], shadows[r][c])
                    for c, node in enumerate(line)
                ]
            )
        taken = bool(accepted[clock])
        shown = bool(outputs["o_valid"][clock])
        made.append(
            Frame(
                clock=clock,
                column=stimulus["i_a"][clock].tolist() if taken else [],
                row=stimulus["i_b"][clock].tolist() if taken else [],
                last=taken and bool(stimulus["i_last"][clock]),
                nodes=grid,
                out=outputs["o_data"][clock].tolist() if shown else [],
                out_tile=int(left[clock]) if shown else None,
            )
        )
        # A shadow takes what its neighbours hold before the edge: from the bottom up.
        for r in reversed(range(SIZE)):
            for c in range(SIZE):
                if now[r][c]["load_hop"]:
                    shadows[r][c] = sums[r][c]
                elif not now[r][c]["hold_hop"]:
                    shadows[r][c] = shadows[r - 1][c] if r else -1
                sums[r][c] += now[r][c]["first_hop"]
    return made


def _node(
    node: dict[str, int], above: dict[str, int] | None, sum_tile: int, shadow_tile: int
) -> Node:
    offered = node["a"] and node["b"]
    if node["load_hop"]:
        moves = "load"
    elif node["hold_hop"]:
        moves = "hold"
    else:
        moves = "shift" if node["shadow_0"] or (above and above["shadow_0"]) else ""
    return Node(
        a=node["a"] if offered else 0,
        b=node["b"] if offered else 0,
        operands=(node["a"] - 1) // _CODES if offered else None,
        sum=node["accumulator_0"],
        # `first` has come, but the sum begins with this edge's product.
        sum_tile=sum_tile if sum_tile >= 0 else None,
        adds=node["term_0"] != 0,
        shadow=node["shadow_0"],
        shadow_tile=shadow_tile if shadow_tile >= 0 and node["shadow_0"] else None,
        moves=moves,
    )


# The picture: a grid of nodes with three lines each, operands above and to the left, the row that
# leaves below. All of it is drawn once; a script changes texts and classes.
_CELL, _HIGH, _GAP, _LEFT, _TOP = 134, 78, 18, 74, 56
_LINES = (("in", "operands"), ("sum", "sum"), ("shadow", "shadow"))
_FIRST_SHOWN = 9


def _x(column: int) -> int:
    return _LEFT + column * (_CELL + _GAP)


def _y(row: int) -> int:
    return _TOP + row * (_HIGH + _GAP)


def _drawing() -> str:
    wide, high = _x(SIZE) - _GAP + 8, _y(SIZE) + 46
    parts = [
        f'<svg class="wavefront-picture" viewBox="0 0 {wide} {high}" role="img" '
        f'aria-label="Nodes of a {SIZE} x {SIZE} array at one clock">'
    ]
    text = '<text id="wf-{id}" x="{x}" y="{y}" class="{kind}" text-anchor="{anchor}"></text>'
    parts.append(f'<text x="4" y="{_TOP - 30}" class="label">row of B</text>')
    parts.append(f'<text x="4" y="{_TOP + 12}" class="label">column of A</text>')
    for k in range(SIZE):
        x, y = _x(k) + _CELL // 2, _y(k) + _HIGH // 2
        parts.append(text.format(id=f"b{k}", x=x, y=_TOP - 30, kind="port", anchor="middle"))
        parts.append(f'<path class="arrow" d="M{x} {_TOP - 22} v16 m-4 -5 l4 5 l4 -5"/>')
        parts.append(text.format(id=f"a{k}", x=_LEFT - 34, y=y + 5, kind="port", anchor="middle"))
        parts.append(f'<path class="arrow" d="M{_LEFT - 22} {y} h16 m-5 -4 l5 4 l-5 4"/>')
        bottom = _y(SIZE) - _GAP
        parts.append(f'<path class="arrow" d="M{x} {bottom + 5} v16 m-4 -5 l4 5 l4 -5"/>')
        parts.append(
            f'<rect id="wf-ob{k}" class="strip" x="{x - 34}" y="{bottom + 26}" '
            'width="68" height="22" rx="3"/>'
        )
        parts.append(text.format(id=f"o{k}", x=x, y=bottom + 42, kind="port", anchor="middle"))
    parts.append(f'<text x="4" y="{_y(SIZE) - _GAP + 42}" class="label">row out</text>')
    for r in range(SIZE):
        for c in range(SIZE):
            x, y = _x(c), _y(r)
            parts.append(
                f'<rect class="node" x="{x}" y="{y}" width="{_CELL}" height="{_HIGH}" rx="5"/>'
            )
            for k, (key, name) in enumerate(_LINES):
                top = y + 3 + k * 24
                parts.append(
                    f'<rect id="wf-{key}b{r}{c}" class="strip" x="{x + 3}" y="{top}" '
                    f'width="{_CELL - 6}" height="23" rx="3"/>'
                )
                parts.append(f'<text x="{x + 8}" y="{top + 15}" class="name">{name}</text>')
                parts.append(
                    text.format(
                        id=f"{key}{r}{c}", x=x + _CELL - 8, y=top + 16, kind="value", anchor="end"
                    )
                )
    return "".join([*parts, "</svg>"])


def data() -> list[dict[str, object]]:
    """The frames for the page's script."""
    return [asdict(frame) for frame in frames()]


def page() -> str:
    """The picture with its controls, as HTML that loads nothing."""
    clocks = len(frames())
    script = (Path(__file__).parent / "wavefront.js").read_text()
    payload = json.dumps(data(), separators=(",", ":")).replace("<", "\\u003c")
    note = html.escape("The picture needs JavaScript; nothing is loaded for it.")
    return f"""<div class="wavefront" data-clock="{_FIRST_SHOWN}">
<div class="wavefront-controls">
<button type="button" data-step="-1" aria-label="one clock back">&#9664;</button>
<button type="button" data-play aria-label="play or pause">play</button>
<button type="button" data-step="1" aria-label="one clock on">&#9654;</button>
<input type="range" min="0" max="{clocks - 1}" value="{_FIRST_SHOWN}" aria-label="clock">
<output>clock {_FIRST_SHOWN}</output>
</div>
{_drawing()}
<p class="wavefront-legend">
<span class="key t0">first tile</span> <span class="key t1">second tile</span>
<span class="key t0 busy">framed: a product is added, or the shadow changes at this edge</span>
</p>
<p class="wavefront-words" aria-live="polite"></p>
<noscript><p>{note}</p></noscript>
<script type="application/json">{payload}</script>
<script>{script}</script>
</div>"""
