"""The systolic array: products of whole tiles, and the clock at which each of their rows appears.

The array has R x C nodes and is output-stationary (Gupta et al. 2015, figure 5). The input stream
carries one column of A (R codes) and one row of B (C codes) per clock; `last` ends a tile. The
tile's R rows of sums or rounded codes leave at the output, the bottom row first.

In a mixed array, only the nodes of a block at the bottom left have multipliers; the others are
ternary. This is enough for training with ternary weights (WAGE, Wu et al. 2018): all nodes compute
the products with weights, forward and backward, and the block computes those of activations and
errors.
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from golden import check
from golden.borders import Border, Course, around
from golden.buffer import BUFFER_LATENCY, Queue, drawn, schedule, show
from golden.fixed import Codes, Conversion, Fixed, Rounding
from golden.lfsr import MOST_LANES, Generator, Lanes, LfsrConfig, Words
from golden.macc import MaccConfig, ternary
from golden.port import OPERAND, RESULT, Port
from golden.rounder import (
    PIPELINE_LATENCY,
    SATURATED,
    RounderConfig,
    check_conversions,
    choose,
    conversion_borders,
)
from golden.settings import check_settings, setting
from golden.twin import Trace, Twin, frozen

#: The largest number of rows of an array, also of that of a training recipe.
MOST_ROWS = 255
#: The largest number of operands of a tile that is built for sums at a border.
_MOST_BUILT = 24
#: Average number of tiles of equal length below which their products are computed one by one.
_FEW = 6


@dataclass(frozen=True, kw_only=True)
class ArrayConfig:
    """Size, node and rounders of an array.

    Parameters
    ----------
    rows
        Rows R of the array, 1 to 255.
    columns
        Columns C of the array, 1 to 255.
    macc
        The node: operand formats, depth, accumulator; in a mixed array, the one with a multiplier.
    conversions
        How the rounder below each column rounds, 1 to 16 conversions; with several, each tile
        chooses one. The number of the conversion comes with a tile's `last` operand. Without
        conversions the drain is raw: sums leave at the accumulator's width, and there is no
        generator.
    generator
        The generator of the rounders; column c rounds with lane c.
    random_port
        Random words come from an input port, and an output port marks the draws; there is no
        generator inside. Then only the number of bits per draw of `generator` is used.
    multipliers
        Rows and columns of the block, at the bottom left, whose nodes have multipliers; the others
        are ternary. None makes all nodes alike. With a block, every operand has a bit `multiply`.
    ternary_depth
        Depth of the ternary nodes of a mixed array, whose accumulators have one segment, 1 to 2^24.
    saturated
        A bit beside each result: Convert clipped it. A largest code may also be exact, so the
        result itself does not say it.

    Examples
    --------
    >>> config = ArrayConfig(rows=4, columns=4)
    >>> config.result_width, config.latency
    (16, 22)
    >>> config.clocks(tiles=10, depth=100)
    1025
    """

    #: Meaning of each figure.
    FIGURES: ClassVar[dict[str, str]] = {
        "latency": (
            "Clocks from the one that accepts a tile's `last` operand to the one that shows its "
            "first row."
        )
    }

    rows: int = setting(8, "Rows R of the array", low=1, high=MOST_ROWS)
    columns: int = setting(8, "Columns C of the array", low=1, high=MOST_LANES)
    macc: MaccConfig = setting(
        MaccConfig(),
        "The node: operand formats, depth, accumulator; in a mixed array, the one with a "
        "multiplier",
    )
    conversions: tuple[Conversion, ...] = setting(
        (Conversion(fraction=28, target=Fixed(2, 14)),),
        "How the rounder below each column rounds, 1 to 16 conversions; with several, each tile "
        "chooses one",
        more="The number of the conversion comes with a tile's `last` operand. Without conversions "
        "the drain is raw: sums leave at the accumulator's width, and there is no generator.",
    )
    generator: Generator = setting(
        Generator(), "The generator of the rounders; column c rounds with lane c"
    )
    random_port: bool = setting(
        False,
        "Random words come from an input port, and an output port marks the draws; there is no "
        "generator inside",
        more="Then only the number of bits per draw of `generator` is used.",
    )
    multipliers: tuple[int, int] | None = setting(
        None,
        "Rows and columns of the block, at the bottom left, whose nodes have multipliers; the "
        "others are ternary",
        none="None makes all nodes alike.",
        more="With a block, every operand has a bit `multiply`.",
        form="ROWS,COLUMNS",
    )
    ternary_depth: int = setting(
        8192,
        "Depth of the ternary nodes of a mixed array, whose accumulators have one segment",
        low=1,
        high=1 << 24,
    )
    saturated: bool = setting(
        False,
        "A bit beside each result: Convert clipped it",
        more="A largest code may also be exact, so the result itself does not say it.",
        quiet=True,
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.multipliers is not None:
            self._check_mixed(self.multipliers)
        if self.conversions != ():
            check_conversions(self.conversions, self.macc.width)
        elif self.saturated:
            raise ValueError("saturated: a raw drain has no rounders, so nothing saturates")
        if self.random_port and not self.stochastic:
            raise ValueError("random_port: no conversion is stochastic, so nothing would draw")
        if self.stochastic:
            self.generator.require_lanes(self.columns)

    def _check_mixed(self, multipliers: tuple[int, int]) -> None:
        if len(multipliers) != 2:
            raise ValueError(f"multipliers = {multipliers}: rows and columns are wanted")
        check.whole("rows of multipliers", multipliers[0], 1, self.rows)
        check.whole("columns of multipliers", multipliers[1], 1, self.columns)
        if self.macc.ternary:
            raise ValueError("multipliers: a ternary node has none, macc must not be ternary")
        if self.ternary.width > self.macc.width:
            raise ValueError(
                f"ternary_depth = {self.ternary_depth}: sums of {self.ternary.width} bits would "
                f"drain through nodes of {self.macc.width}, which macc's depth gives"
            )

    @property
    def ternary(self) -> MaccConfig:
        """The ternary node of a mixed array."""
        return replace(self.macc, b=Fixed(1, 1), depth=self.ternary_depth, segments=1, ternary=True)

    @property
    def block(self) -> tuple[int, int] | None:
        """Rows and columns of the block of nodes with multipliers; None if no node has one."""
        if self.macc.ternary:
            return None
        return self.multipliers or (self.rows, self.columns)

    def node(self, row: int, column: int) -> MaccConfig:
        """Return the configuration of the node in a row and a column, both from 0."""
        row = check.whole("row", row, 0, self.rows - 1)
        column = check.whole("column", column, 0, self.columns - 1)
        if self.multipliers is None:
            return self.macc
        rows, columns = self.multipliers
        return self.macc if row >= self.rows - rows and column < columns else self.ternary

    @property
    def stochastic(self) -> bool:
        """Whether any conversion rounds stochastically, so that the columns have generators."""
        return any(c.rounding is Rounding.STOCHASTIC for c in self.conversions)

    @property
    def rounder(self) -> RounderConfig | None:
        """The rounder below a column, with the generator of column 0; None if the drain is raw."""
        if not self.conversions:
            return None
        return RounderConfig(
            width=self.macc.width,
            conversions=self.conversions,
            generator=self.generator,
            saturated=self.saturated,
        )

    @property
    def lfsr(self) -> LfsrConfig:
        """The generators of the columns' rounders."""
        return LfsrConfig(generator=self.generator, lanes=self.columns)

    @property
    def result_width(self) -> int:
        """Bits of a result: those of the widest target, or of the accumulator with a raw drain."""
        return max((c.target.width for c in self.conversions), default=self.macc.width)

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        a, b = self.macc.a.width, self.macc.b.width
        column = "a column of A, one element for each row of the array"
        row = "a row of B, one element for each column of the array"
        ports = [
            *OPERAND,
            Port("i_a", "in", a, True, self.rows, column),
            Port("i_b", "in", b, True, self.columns, row),
            Port("i_last", "in", 1, meaning="the tile's last operand"),
        ]
        if len(self.conversions) > 1:
            bits = (len(self.conversions) - 1).bit_length()
            meaning = (
                "how the tile is rounded: number of the conversion, read with the last operand"
            )
            ports.append(Port("i_choice", "in", bits, meaning=meaning))
        if self.multipliers is not None:
            meaning = (
                "multiply in the block of multipliers; otherwise the low two bits of b are ternary"
            )
            ports.append(Port("i_multiply", "in", 1, meaning=meaning))
        result = "a row of the product, one element for each column; the bottom row comes first"
        results = [Port("o_data", "out", self.result_width, True, self.columns, result)]
        if self.saturated:
            results.append(Port("o_saturated", "out", 1, False, self.columns, SATURATED))
        drawn: tuple[Port, ...] = ()
        if self.random_port:
            word = "random words, one for each column, read at the clocks at which `draws` is high"
            draws = "the column reads its random word at this clock"
            drawn = (
                Port("random", "in", self.generator.draw, lanes=self.columns, meaning=word),
                Port("draws", "out", 1, lanes=self.columns, meaning=draws),
            )
        return (
            *ports,
            *RESULT,
            *results,
            Port("o_last", "out", 1, meaning="the tile's last row, row 0"),
            *drawn,
        )

    @property
    def latency(self) -> int:
        """Clocks from the one that accepts a tile's `last` operand
        to the one that shows its first row.
        """
        rounded = PIPELINE_LATENCY if self.conversions else 0
        return self.foot_delay + (self.columns - 1) + rounded + BUFFER_LATENCY

    @property
    def foot_delay(self) -> int:
        """Clocks from the one that accepts a tile's `last` operand to the one at which column 0
        has the tile's first row at its foot and draws for it. Column c does so c clocks later.
        """
        return 1 + self.macc.product_latency + 2 + (self.rows - 1) + (self.macc.segments - 1)

    def borders(self) -> list[Border]:
        """Return tiles whose sums are at limits, ties and exact values of the conversions, and at
        carries between segments of the accumulator. The sums of the nodes differ a little.
        """
        top = (1 << (self.macc.width - 1)) - 1
        wanted: list[tuple[int, int]] = []
        for number, conversion in enumerate(self.conversions):
            wanted += [(number, z) for z in conversion_borders(conversion, self.macc.width)]
        ends = [1 << stop for _, stop in self.macc.cuts[:-1]]
        near = around([*ends, *(-end for end in ends), 0], -top - 1, top, 1)
        wanted += [(0, z) for z in near]
        kinds = [self.macc.ternary] if self.multipliers is None else [False, True]
        tiles = [self._tile(z, number, kind) for number, z in wanted for kind in kinds]
        return [tile for tile in tiles if tile is not None]

    def _tile(self, z: int, choice: int, ternary: bool) -> Course | None:
        """Return a tile with sums around `z`, which follows the end of another tile.

        Parameters
        ----------
        z
            The sum.
        choice
            Number of the conversion.
        ternary
            Whether the operands b are ternary.

        Returns
        -------
        Course or None
            The operands; None if more than `_MOST_BUILT` would be needed.
        """
        a, b = self.macc.a, self.macc.b
        most_b = 1 if ternary else b.maximum
        terms: list[tuple[int, int]] = []
        left = z
        while left and len(terms) <= _MOST_BUILT:
            sign = 1 if left > 0 else -1
            if abs(left) > a.maximum:
                size = min(abs(left) // a.maximum, most_b)
                terms.append((a.maximum, sign * size))
            else:
                terms.append((left, 1))
            left -= terms[-1][0] * terms[-1][1]
        if left or not most_b:
            return None
        # The first operand ends another tile. The last two make sums of rows and columns differ.
        clocks = len(terms) + 3
        i_a = np.zeros((clocks, self.rows), np.int64)
        i_b = np.zeros((clocks, self.columns), np.int64)
        for clock, (left, right) in enumerate(terms, 1):
            i_a[clock], i_b[clock] = left, right
        i_a[-2], i_b[-2] = 1, np.clip(np.arange(self.columns) % 3 - 1, b.minimum, most_b)
        i_a[-1], i_b[-1] = np.clip(np.arange(self.rows) % 3 - 1, a.minimum, a.maximum), 1
        last = np.zeros(clocks, np.int64)
        last[[0, -1]] = 1
        ones = np.ones(clocks, np.int64)
        ports = {"i_valid": ones, "i_a": i_a, "i_b": i_b, "i_last": last}
        if len(self.conversions) > 1:
            ports["i_choice"] = ones * choice
        if self.multipliers is not None:
            ports["i_multiply"] = ones * (not ternary)
        return Course(ports=ports)

    @property
    def buffer(self) -> int:
        """Rows of the output buffer: enough for tiles of the least depth R without a gap between
        them.
        """
        return self.latency + self.rows

    @property
    def throughput(self) -> str:
        """Operands per clock, and stalls."""
        return (
            f"one column of A and one row of B per clock, tiles back to back; "
            f"a tile's last operand waits until {self.rows} clocks after the previous one "
            f"and for {self.rows} free rows of the output buffer"
        )

    def clocks(self, tiles: int, depth: int) -> int:
        """Return the clocks for `tiles` tiles of `depth` terms without gaps, from the first operand
        to the last row, both included.
        """
        tiles = check.whole("tiles", tiles, 1)
        depth = check.whole("depth", depth, 1)
        return (
            tiles * depth + (tiles - 1) * max(self.rows - depth, 0) + self.latency + self.rows - 1
        )


@dataclass(frozen=True, eq=False)
class _Foot:
    """Rows that some columns have not rounded yet, in an array with a random port.

    They are the last rows of the queue, where their results are provisional.
    """

    #: Clocks until column 0 draws for each row, (rows,), ascending; negative after its draw.
    clocks: Codes
    #: Sums, (rows, columns).
    sums: Codes
    #: Random words, (rows, columns), as far as they are drawn.
    words: Codes
    #: Numbers of the conversions, (rows,).
    choice: Codes


@dataclass(frozen=True, eq=False)
class _ArrayState:
    """State of the twin of `hdl.Array`."""

    queue: Queue
    #: Sums of the incomplete tile, (rows, columns), modulo the accumulators' range.
    sums: Codes
    #: Random words of the next tiles; None in an array without generators.
    lanes: Lanes | None
    #: None in an array without a random port.
    foot: _Foot | None


class Array(Twin[_ArrayState]):
    """Twin of `hdl.Array`: input stream `i` (`a`, `b`, `last`, and maybe `choice` and `multiply`);
    output stream `o` (`data`, `last`, and `saturated` with that setting).

    With `random_port`, there are the input `random` and the output `draws`, (clocks, columns) each.

    Parameters
    ----------
    config
        Size, node and rounders.

    Examples
    --------
    >>> a, b = np.array([[1, 2], [3, 4]]), np.array([[5, 6], [7, 8]])
    >>> twin = Array(ArrayConfig(rows=2, columns=2, conversions=()))
    >>> operands = np.zeros((16, 2), int)
    >>> ports = {"i_a": operands.copy(), "i_b": operands.copy(), "i_last": np.arange(16) == 1}
    >>> ports["i_a"][:2], ports["i_b"][:2] = a.T, b
    >>> trace = twin.run({"i_valid": np.arange(16) < 2, **ports, "o_ready": np.ones(16, int)})
    >>> trace["o_data"][trace["o_valid"] == 1].tolist()  # the bottom row leaves first
    [[43, 50], [19, 22]]
    >>> (a @ b).tolist()
    [[19, 22], [43, 50]]
    """

    def __init__(self, config: ArrayConfig):
        check.instance("config", config, ArrayConfig)
        self.config = config
        self.ports = config.ports
        own = config.stochastic and not config.random_port
        self._lanes = config.lfsr.start() if own else None
        # Largest number of products whose sum is exact in float64.
        self._exact = 1 << (53 - (config.macc.a.width + config.macc.b.width - 2))
        # Bits by which int64 is wider than each node's accumulator.
        self._spare = np.full((config.rows, config.columns), 64 - config.macc.width)
        if config.multipliers is not None:
            rows, columns = config.multipliers
            self._spare[:] = 64 - config.ternary.width
            self._spare[-rows:, :columns] = 64 - config.macc.width
        # Stretches may be short: these are made once.
        self._times = {"latency": config.latency, "depth": config.buffer, "rows": config.rows}
        nothing, none = np.zeros(0, np.int64), np.zeros((0, config.columns), np.int64)
        foot = _Foot(nothing, none, none, nothing) if config.random_port else None
        sums = frozen(np.zeros((config.rows, config.columns), np.int64))
        self._initial = _ArrayState(Queue(), sums, self._lanes, foot)

    def initial(self) -> _ArrayState:
        """Return the reset state."""
        return self._initial

    def stretch(self, state: _ArrayState, inputs: Trace) -> tuple[_ArrayState, Trace]:
        """See `Twin`."""
        config = self.config
        valid, last = inputs["i_valid"] != 0, inputs["i_last"] != 0
        times = schedule(
            state.queue,
            valid & last,
            inputs["o_ready"] != 0,
            **self._times,
        )
        ready = ~last | times.ready
        accepted = np.flatnonzero(valid & ready)
        ends = np.searchsorted(accepted, times.claims) + 1
        sums = self._products(*self._operands(inputs, accepted), ends)
        sums[0] += state.sums
        sums = sums << self._spare >> self._spare  # modulo the accumulators' range
        rows = sums[:-1, ::-1].reshape(-1, config.columns)  # the bottom row leaves first
        results = {"data": rows}
        lanes, foot, queue, draws = state.lanes, state.foot, state.queue, Trace()
        choice = None
        if len(config.conversions) > 1:
            choice = np.repeat(inputs["i_choice"][times.claims], config.rows)
        if foot is not None:
            foot, results, draws = self._drawn(foot, rows, choice, times.claims, inputs["random"])
            earlier = len(results["data"]) - len(rows)
            queue = _corrected(queue, {name: both[:earlier] for name, both in results.items()})
            results = {name: both[earlier:] for name, both in results.items()}
        elif config.conversions:
            lanes, words = drawn(lanes, len(rows))
            results = self._rounded(choice, rows, words)
        position = np.arange(len(rows)) % config.rows
        results["last"] = (position == config.rows - 1).astype(np.int64)
        queue, shown = show(queue, times, results)
        outputs = {"i_ready": ready.astype(np.int64), **shown, **draws}
        return _ArrayState(queue, frozen(sums[-1]), lanes, foot), outputs

    def _rounded(self, choice: Codes | None, sums: Codes, words: Words) -> Trace:
        """Return the results of the rounders by field."""
        config = self.config
        given = choice, sums, words, config.generator.draw
        results = {"data": choose(config.conversions, *given)}
        if config.saturated:
            results["saturated"] = choose(config.conversions, *given, Conversion.clips)
        return results

    def _drawn(
        self,
        foot: _Foot,
        sums: Codes,
        choice: Codes | None,
        claims: NDArray[np.intp],
        random: Codes,
    ) -> tuple[_Foot, Trace, Trace]:
        """Round the rows below the columns with the words of the random port.

        Parameters
        ----------
        foot
            Rows from before the stretch.
        sums
            New rows, (rows, columns).
        choice
            Number of the conversion of each new row; None if there is one conversion.
        claims
            Clocks at which last operands are accepted.
        random
            Words at the port, (clocks, columns).

        Returns
        -------
        foot : _Foot
            Rows that are not complete after the stretch.
        rounded : Trace
            All rows, rounded with the words drawn so far, by field.
        draws : Trace
            The port `draws`.
        """
        config, clocks = self.config, len(random)
        if choice is None:
            choice = np.zeros(len(sums), np.int64)
        new = np.add.outer(claims + config.foot_delay, np.arange(config.rows)).ravel()
        first = np.concatenate([foot.clocks, new])
        sums, choice = np.concatenate([foot.sums, sums]), np.concatenate([foot.choice, choice])
        words = np.concatenate([foot.words, np.zeros((len(new), config.columns), np.int64)])
        at = np.add.outer(first, np.arange(config.columns))
        row, column = np.nonzero((at >= 0) & (at < clocks))
        clock = at[row, column]
        words[row, column] = random[clock, column]
        # Numbers beyond the last conversion select the last one.
        kinds = np.array([c.rounding is Rounding.STOCHASTIC for c in config.conversions])
        draws = np.zeros((clocks, config.columns), np.int64)
        draws[clock, column] = np.take(kinds, choice[row], mode="clip")
        rounded = self._rounded(choice, sums, words)
        stays = at[:, -1] >= clocks
        left = (first - clocks, sums, words, choice)
        return _Foot(*(frozen(values[stays]) for values in left)), rounded, {"draws": draws}

    def _operands(
        self, inputs: Trace, accepted: NDArray[np.intp]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the operands that the nodes multiply, (terms, rows) and (terms, columns).

        In a mixed array, an operand with `multiply` is for the block of multipliers, and is zero
        for the other nodes. Without `multiply`, the low two bits of b are a ternary operand.
        """
        config = self.config
        a, b = inputs["i_a"][accepted], inputs["i_b"][accepted]
        if config.multipliers is not None:
            rows, columns = config.multipliers
            above = np.arange(config.rows) < config.rows - rows
            right = np.arange(config.columns) >= columns
            multiply = inputs["i_multiply"][accepted, None] != 0
            low = (b.astype(np.int64) & 3 ^ 2) - 2
            a = np.where(multiply & above, 0, a)
            b = np.where(multiply, np.where(right, 0, b), ternary(low))
        elif config.macc.ternary:
            b = ternary(b)
        return a.astype(np.float64), b.astype(np.float64)

    def _products(
        self, a: NDArray[np.float64], b: NDArray[np.float64], ends: NDArray[np.intp]
    ) -> Codes:
        """Return the sums of tiles, (tiles, rows, columns), modulo 2^64.

        Tile t ends before term ends[t]. The last tile consists of the terms from ends[-1] on; it is
        incomplete and may be empty.
        """
        edges = np.concatenate([[0], ends, [len(a)]])
        parts = edges
        if int(np.diff(edges).max()) > self._exact:
            # Long tiles are summed in parts whose sums are exact in float64.
            pairs = zip(edges.tolist(), np.maximum(edges[1:], edges[:-1] + 1).tolist())
            cuts = [cut for start, stop in pairs for cut in range(start, stop, self._exact)]
            parts = np.array([*cuts, len(a)])
        sums = self._sums(a, b, parts).astype(np.int64)
        return sums if parts is edges else np.add.reduceat(sums, parts.searchsorted(edges[:-1]))

    def _sums(
        self, a: NDArray[np.float64], b: NDArray[np.float64], edges: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Return the sums (parts, rows, columns) of the operands from each edge to the next."""
        rows, columns = self.config.rows, self.config.columns
        starts, sizes = edges[:-1], np.diff(edges)
        sums = np.empty((len(starts), rows, columns), np.float64)
        lengths = np.flatnonzero(np.bincount(sizes)).tolist()
        if len(starts) < _FEW * len(lengths):
            for number, (start, stop) in enumerate(pairwise(edges.tolist())):
                np.matmul(a[start:stop].T, b[start:stop], out=sums[number])
            return sums
        for length in lengths:  # all parts of one length at once
            chosen = np.flatnonzero(sizes == length)
            start, stop = int(starts[chosen[0]]), int(starts[chosen[-1]]) + length
            if stop - start == len(chosen) * length:  # the parts are adjacent
                left, right = a[start:stop], b[start:stop]
            else:
                terms = np.add.outer(starts[chosen], np.arange(length)).ravel()
                left, right = np.take(a, terms, axis=0), np.take(b, terms, axis=0)
            left = left.reshape(len(chosen), length, rows)
            right = right.reshape(len(chosen), length, columns)
            sums[chosen] = np.matmul(left.swapaxes(1, 2), right)
        return sums


def _corrected(queue: Queue, results: Trace) -> Queue:
    """Return the queue with some fields of its last results replaced."""
    count = len(results["data"])
    if not count:
        return queue
    values = {
        name: np.concatenate([queue.values[name][:-count], new]) for name, new in results.items()
    }
    return replace(queue, values={**queue.values, **values})
