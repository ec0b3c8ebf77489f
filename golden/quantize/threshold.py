"""HWGQ's quantizer by integer thresholds, from sums to codes and masks (Cai et al. 2017).

`golden.quantize.folding` computes the thresholds of each channel. The unit compares sums with them:
comparators and a small memory, no multiplier.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden import check
from golden.borders import Border, Course
from golden.buffer import BUFFER_LATENCY, OnePerClock, Queue, schedule, show
from golden.fixed import WIDEST, Codes
from golden.lfsr import MOST_LANES
from golden.order import blocks
from golden.port import OPERAND, RESULT, Port
from golden.quantize.folding import Folded
from golden.settings import check_settings, setting
from golden.stored import held
from golden.twin import Trace, Twin, frozen


def quantize(acc: ArrayLike, folded: Folded) -> tuple[Codes, NDArray[np.bool_]]:
    """Return the codes of sums and the mask of the backward pass.

    Parameters
    ----------
    acc
        Sums, integers, (..., channels).
    folded
        Thresholds of the channels.

    Returns
    -------
    code : Codes
        Number of thresholds passed, without the last step; int64, in the shape of `acc`.
    passes : NDArray[np.bool_]
        Where errors pass: the first step is passed and the last one is not.

    Examples
    --------
    >>> folded = Folded(thresholds=np.array([[0, 4, 9]]), negative=np.array([False]))
    >>> code, passes = quantize([[0], [1], [5], [10]], folded)
    >>> code[:, 0].tolist(), passes[:, 0].tolist()
    ([0, 1, 2, 2], [False, True, True, False])
    """
    acc = check.codes("acc", acc)
    check.instance("folded", folded, Folded)
    check.broadcast(acc=acc, negative=folded.negative)
    return _quantized(acc, folded.thresholds, folded.negative)


def _quantized(
    acc: Codes, thresholds: Codes, negative: NDArray[np.bool_]
) -> tuple[Codes, NDArray[np.bool_]]:
    """Return codes and masks, as `quantize`, for thresholds (..., steps); all is checked."""
    turned = np.where(negative, -acc, acc)
    passed = [turned > thresholds[..., step] for step in range(thresholds.shape[-1])]
    code: Codes = np.sum(passed[:-1], axis=0, dtype=np.int64)
    return code, passed[0] & ~passed[-1]


@dataclass(frozen=True, kw_only=True)
class ThresholdQuantizerConfig(OnePerClock):
    """HWGQ's quantizer by thresholds: sums to codes, with the mask of the backward pass.

    Parameters
    ----------
    width
        Width of a sum, 2 to 61 bits. Thresholds have one bit more.
    levels
        Number of levels, 2 to 16. HWGQ has 4 or, with two levels above 0, 3.
    channels
        Channels with thresholds of their own, 1 to 65536.
    lanes
        Sums per clock, 1 to 255. Lane j of block c is channel c * lanes + j.
    read_clocks
        Clocks of a read of the table, 1 to 2. 1 suits distributed memory, 2 block RAM, whose output
        register it adds.

    Examples
    --------
    >>> config = ThresholdQuantizerConfig(channels=20, lanes=8)
    >>> config.blocks, config.code_bits, config.latency
    (3, 2, 6)
    """

    width: int = setting(
        21,
        "Width of a sum",
        low=2,
        high=WIDEST - 1,
        unit="bits",
        more="Thresholds have one bit more.",
    )
    levels: int = setting(
        4, "Number of levels", low=2, high=16, more="HWGQ has 4 or, with two levels above 0, 3."
    )
    channels: int = setting(64, "Channels with thresholds of their own", low=1, high=1 << 16)
    lanes: int = setting(
        1,
        "Sums per clock",
        low=1,
        high=MOST_LANES,
        more="Lane j of block c is channel c * lanes + j.",
    )
    read_clocks: int = setting(
        2,
        "Clocks of a read of the table",
        low=1,
        high=2,
        more="1 suits distributed memory, 2 block RAM, whose output register it adds.",
    )

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def blocks(self) -> int:
        """Number of blocks of channels; the last one may be partial."""
        return blocks(self.channels, self.lanes)

    @property
    def block_bits(self) -> int:
        """Width of a block's number. The table has a place for each number of this width."""
        return max(1, (self.blocks - 1).bit_length())

    @property
    def code_bits(self) -> int:
        """Width of a code."""
        return (self.levels - 1).bit_length()

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        bits, lanes = self.block_bits, self.lanes
        lane: tuple[Port, ...] = ()
        if lanes > 1:
            meaning = "lane of the channel that is loaded"
            lane = (Port("load_lane", "in", (lanes - 1).bit_length(), meaning=meaning),)
        load = "a channel's thresholds are stored at this clock edge, for operands of later clocks"
        passes = "the first threshold is passed and the last one is not: mask of the clipped ReLU"
        steps = "thresholds, ascending; the last one is the top level's, for the mask only"
        turned = "the channel's sums are negated before they are compared"
        return (
            *OPERAND,
            Port("i_data", "in", self.width, True, lanes, "sums"),
            Port("i_block", "in", bits, meaning="block of channels to which the sums belong"),
            *RESULT,
            Port("o_data", "out", self.code_bits, False, lanes, "codes: thresholds passed"),
            Port("o_passes", "out", 1, False, lanes, passes),
            Port("load", "in", 1, meaning=load),
            Port("load_block", "in", bits, meaning="block of the channel that is loaded"),
            *lane,
            Port("load_thresholds", "in", self.width + 1, True, self.levels, steps),
            Port("load_negative", "in", 1, meaning=turned),
        )

    @property
    def latency(self) -> int:
        """Clocks from the one that accepts an operand to the one that shows its result."""
        return self.read_clocks + 2 + BUFFER_LATENCY

    def loads(self, folded: Folded) -> Trace:
        """Return the inputs that load the thresholds of all channels, a channel per clock.

        Parameters
        ----------
        folded
            Thresholds of `channels` channels or fewer, with as many steps as `levels`.

        Returns
        -------
        Trace
            Values of the ports whose names begin with `load`, (channels,) or (channels, levels).

        Raises
        ------
        ValueError
            There are more channels, another number of steps, or a threshold of too many bits.

        Examples
        --------
        >>> folded = Folded(thresholds=np.array([[0, 5], [2, 4]]), negative=np.array([False, True]))
        >>> loads = ThresholdQuantizerConfig(levels=2).loads(folded)
        >>> loads["load_block"].tolist(), loads["load_negative"].tolist()
        ([0, 1], [0, 1])
        """
        check.instance("folded", folded, Folded)
        channels, steps = folded.thresholds.shape
        if channels > self.channels or steps != self.levels:
            raise ValueError(
                f"thresholds of {folded.thresholds.shape}: at most {self.channels} channels and "
                f"{self.levels} steps are wanted"
            )
        most = 1 << self.width
        if channels and not -most <= folded.thresholds.min() <= folded.thresholds.max() < most:
            raise ValueError(f"a threshold has more than {self.width + 1} bits")
        channel = np.arange(channels)
        block, lane = np.divmod(channel, self.lanes)
        return self._load(block, lane, folded.thresholds, folded.negative.astype(np.int64))

    def _load(self, block: Codes, lane: Codes, thresholds: Codes, negative: Codes) -> Trace:
        """Return the ports of loads, one per clock."""
        return {
            "load": np.ones(len(block), np.int64),
            "load_block": block,
            **({"load_lane": lane} if self.lanes > 1 else {}),
            "load_thresholds": thresholds,
            "load_negative": negative,
        }

    def borders(self) -> list[Border]:
        """Return thresholds for a block, then sums on both sides of each of them: around 0, at the
        ends, and at powers of two; and loads of the block of the operand.
        """
        low, levels, lanes = -(1 << (self.width - 1)), self.levels, self.lanes
        tables = [np.arange(levels) + base for base in (-levels // 2, low - 1, -low + 1 - levels)]
        bits = 1 << np.arange(self.width - 1, dtype=np.int64)
        for chosen in np.array_split(bits, blocks(len(bits), levels)):
            # Powers of two take the whole width of a comparison; the last one is there repeatedly.
            powers = np.pad(chosen, (0, levels - len(chosen)), mode="edge")
            tables += [powers, -powers[::-1]]
        places = [1 << bit for bit in range(self.block_bits)]
        found: list[Border] = []
        for number, table in enumerate(2 * tables):
            block = places[number % len(places)]
            negative = (np.arange(lanes) + number // len(tables)) % 2
            thresholds = np.clip(table, 2 * low, -2 * low - 1)
            near = np.repeat(thresholds, 2) + np.tile([0, 1], levels)
            sums = np.clip(np.where(negative, -near[:, None], near[:, None]), low, -low - 1)
            found.append(self._course(block, thresholds, negative, sums))
        for block in places:
            ends = np.array([[low - 1], [-low]]).repeat(levels, axis=1)
            clocks = np.arange(2 * lanes)
            loads = self._load(np.full(2 * lanes, block), clocks // 2, ends[clocks % 2], clocks % 2)
            sums = {
                "i_data": np.zeros((2 * lanes, lanes), np.int64),
                "i_block": loads["load_block"],
            }
            found.append(Course(ports=sums | loads))
        return found

    def _course(self, block: int, thresholds: Codes, negative: Codes, sums: Codes) -> Course:
        """Return loads of all lanes of a block, and then sums of this block."""
        lanes, clocks = self.lanes, self.lanes + len(sums)
        loads = self._load(
            np.full(lanes, block), np.arange(lanes), np.tile(thresholds, (lanes, 1)), negative
        )
        idle = {name: np.zeros((len(sums), *values.shape[1:])) for name, values in loads.items()}
        return Course(
            ports={
                "i_data": np.concatenate([np.zeros((lanes, lanes), np.int64), sums]),
                "i_block": np.full(clocks, block),
                **{
                    name: np.concatenate([values, idle[name].astype(np.int64)])
                    for name, values in loads.items()
                },
            }
        )


@dataclass(frozen=True, eq=False)
class ThresholdState:
    """State of the twin of `hdl.ThresholdQuantizer`.

    Parameters
    ----------
    queue
        Results that have not left.
    table
        Thresholds of every channel and, behind them, its sign, (lanes, blocks, levels + 1).
    """

    queue: Queue
    table: Codes


class ThresholdQuantizer(Twin[ThresholdState]):
    """Twin of `hdl.ThresholdQuantizer`: input stream `i` (`data`, `block`) and ports `load`,
    `load_block`, `load_lane`, `load_thresholds` and `load_negative`; output stream `o` (`data`,
    `passes`).

    A reset does not change the table, which has thresholds of 0 at power-up. With one lane there is
    no port `load_lane`.

    Parameters
    ----------
    config
        Width, levels, channels, lanes and the clocks of a read.

    Examples
    --------
    >>> config = ThresholdQuantizerConfig(levels=2, channels=2)
    >>> folded = Folded(thresholds=np.array([[0, 5], [2, 4]]), negative=np.array([False, True]))
    >>> given = {name: np.pad(v, [(0, 8), (0, 0)][: v.ndim])
    ...          for name, v in config.loads(folded).items()}
    >>> operands = {"i_data": np.full((10, 1), -3), "i_block": np.arange(10) % 2}
    >>> trace = ThresholdQuantizer(config).run(
    ...     {**given, **operands, "i_valid": np.arange(10) > 1, "o_ready": np.ones(10, int)})
    >>> trace["o_data"][:, 0].tolist(), trace["o_passes"][:, 0].tolist()
    ([0, 0, 0, 0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 0, 0, 0, 1])
    """

    def __init__(self, config: ThresholdQuantizerConfig):
        check.instance("config", config, ThresholdQuantizerConfig)
        self.config = config
        self.ports = config.ports

    def initial(self) -> ThresholdState:
        """Return the state at power-up: all thresholds are 0, and no sum is negated."""
        config = self.config
        shape = config.lanes, 1 << config.block_bits, config.levels + 1
        return ThresholdState(Queue(), frozen(np.zeros(shape, np.int64)))

    def restarted(self, state: ThresholdState) -> ThresholdState:
        """Return the state after a reset, which leaves the table alone."""
        return ThresholdState(Queue(), state.table)

    def stretch(self, state: ThresholdState, inputs: Trace) -> tuple[ThresholdState, Trace]:
        """See `Twin`."""
        config = self.config
        times = schedule(
            state.queue,
            inputs["i_valid"] != 0,
            inputs["o_ready"] != 0,
            latency=config.latency,
            depth=config.buffer,
        )
        loads = inputs["load"] != 0
        to_lane = inputs.get("load_lane", np.zeros(len(loads), np.int64))
        given = np.column_stack([inputs["load_thresholds"], inputs["load_negative"]])
        acc = inputs["i_data"][times.claims].astype(np.int64)
        code, passes, table = np.zeros_like(acc), np.zeros_like(acc), state.table.copy()
        for lane in range(config.lanes):
            (rows,), table[lane] = held(
                state.table[lane],
                loads & (to_lane == lane),
                inputs["load_block"],
                given,
                [inputs["i_block"]],
            )
            rows = rows[times.claims]
            code[:, lane], passes[:, lane] = _quantized(
                acc[:, lane], rows[:, :-1], rows[:, -1] != 0
            )
        queue, shown = show(state.queue, times, {"data": code, "passes": passes})
        after = ThresholdState(queue, frozen(table))
        return after, {"i_ready": times.ready.astype(np.int64), **shown}
