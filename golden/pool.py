"""Max-pooling of a stream of windows: the maximum of each, and the place where it is first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from golden import check
from golden.borders import Border, Course
from golden.buffer import BUFFER_LATENCY, OnePerClock, Queue, grouped, show
from golden.fixed import WIDEST, Codes
from golden.lfsr import MOST_LANES
from golden.port import OPERAND, RESULT, Port
from golden.settings import check_settings, setting
from golden.twin import Trace, Twin, frozen

#: The largest number of places of a window.
MOST_PLACES = 1024
#: Below every code.
_NOTHING = np.iinfo(np.int64).min


def window_places(
    height: int, width: int, window: tuple[int, int], stride: int = 1, padding: int = 0
) -> Codes:
    """Return the places of all windows on an image, in the order of the stream `i` of `Pool`.

    Parameters
    ----------
    height, width
        Size of the image, 1 or more.
    window
        Height and width of the window, 1 or more each.
    stride
        Distance of neighbouring windows in both directions, 1 or more.
    padding
        Number of rows and columns added at each side of the image, less than the window has.

    Returns
    -------
    Codes
        Number of each place in the image, row by row; -1 in the padding. Windows row by row, and
        the places of each row by row: (windows, places).

    Raises
    ------
    TypeError, ValueError
        A number is not whole, or is out of range, or no window fits on the image.

    Examples
    --------
    Windows of 2 x 2 on an image of 3 x 3, without and with padding:

    >>> window_places(3, 3, (2, 2)).tolist()
    [[0, 1, 3, 4], [1, 2, 4, 5], [3, 4, 6, 7], [4, 5, 7, 8]]
    >>> window_places(3, 3, (2, 2), stride=2, padding=1).tolist()
    [[-1, -1, -1, 0], [-1, -1, 1, 2], [-1, 3, -1, 6], [4, 5, 7, 8]]
    """
    image = [check.whole("height", height, 1), check.whole("width", width, 1)]
    if len(window) != 2:
        raise ValueError(f"window = {window}: a height and a width are wanted")
    size = [check.whole("height of the window", window[0], 1)]
    size.append(check.whole("width of the window", window[1], 1))
    stride = check.whole("stride", stride, 1)
    padding = check.whole("padding", padding, 0, min(size) - 1)
    lines: list[Codes] = []  # rows, then columns: of each window and each of its places
    for long, seen in zip(image, size):
        if long + 2 * padding < seen:
            raise ValueError(
                f"window = {size[0]} x {size[1]}: larger than the image of {height} x {width} "
                f"with a padding of {padding}"
            )
        first = np.arange(0, long + 2 * padding - seen + 1, stride) - padding
        lines.append(first[:, None] + np.arange(seen))
    rows, columns = lines[0][:, None, :, None], lines[1][None, :, None, :]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    return np.where(inside, rows * width + columns, -1).reshape(-1, size[0] * size[1])


@dataclass(frozen=True, kw_only=True)
class PoolConfig(OnePerClock):
    """Maximum of each window, and the number of the place where it is first.

    Parameters
    ----------
    width
        Width of a value, 2 to 62 bits.
    most_places
        Places of the largest window, 2 to 1024. They are counted modulo the next power of two.
    lanes
        Values per clock, such as the channels of a place, 1 to 255.

    Examples
    --------
    >>> config = PoolConfig(most_places=9, lanes=8)
    >>> config.index_bits, config.latency
    (4, 4)
    """

    #: Meaning of each figure.
    FIGURES: ClassVar[dict[str, str]] = {
        "latency": (
            "Clocks from the one that accepts a window's last place to the one that shows its "
            "maximum."
        )
    }

    width: int = setting(21, "Width of a value", low=2, high=WIDEST, unit="bits")
    most_places: int = setting(
        9,
        "Places of the largest window",
        low=2,
        high=MOST_PLACES,
        more="They are counted modulo the next power of two.",
    )
    lanes: int = setting(
        1, "Values per clock, such as the channels of a place", low=1, high=MOST_LANES
    )

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def index_bits(self) -> int:
        """Width of the number of a place in its window."""
        return (self.most_places - 1).bit_length()

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        there = "the place is in the image; otherwise it is padding, and its values do not count"
        index = "number of the first place with the maximum, from 0; padding is counted"
        return (
            *OPERAND,
            Port("i_data", "in", self.width, True, self.lanes, "values of the place"),
            Port("i_there", "in", 1, meaning=there),
            Port("i_last", "in", 1, meaning="the window's last place"),
            *RESULT,
            Port("o_data", "out", self.width, True, self.lanes, "maxima of the window"),
            Port("o_index", "out", self.index_bits, False, self.lanes, index),
            Port(
                "o_there",
                "out",
                1,
                meaning="the window has a place in the image; otherwise maxima and numbers are 0",
            ),
        )

    @property
    def latency(self) -> int:
        """Clocks from the one that accepts a window's last place to the one that shows its
        maximum.
        """
        return 2 + BUFFER_LATENCY

    @property
    def throughput(self) -> str:
        """Operands per clock, and stalls."""
        return (
            "one place per clock, windows back to back; "
            "i_ready is low only at a window's last place, while maxima are not taken"
        )

    def borders(self) -> list[Border]:
        """Return windows of values that are equal or differ by one, of padding but for one place,
        and with the maximum at a place of each number of bits.

        Each course begins with the end of another window. Lanes have different values.
        """
        low, high = -1 << (self.width - 1), (1 << (self.width - 1)) - 1
        size = min(self.most_places, 4)
        return [
            *(_course(self.lanes, _neighbours(at)) for at in _steps(low, high)),
            *(_course(self.lanes, _lonely(at, size, low, high)) for at in range(size)),
            *(_course(self.lanes, [_rising(size)]) for size in _sizes(self.most_places)),
        ]


#: The places of a window: values, of which the lanes take one after the other, and whether there.
_Window = Sequence[tuple[Sequence[int], int]]


def _course(lanes: int, windows: Sequence[_Window]) -> Course:
    """Return a course of windows behind the end of another one."""
    places: list[tuple[Sequence[int], int, int]] = [((0,), 1, 1)]
    for window in windows:
        places += [(v, there, int(n == len(window))) for n, (v, there) in enumerate(window, 1)]
    data = np.array([[v[k % len(v)] for k in range(lanes)] for v, _, _ in places], np.int64)
    return Course(
        ports={
            "i_valid": np.ones(len(places), np.int64),
            "i_data": data,
            "i_there": np.array([there for _, there, _ in places]),
            "i_last": np.array([last for _, _, last in places]),
        }
    )


def _steps(low: int, high: int) -> list[int]:
    """Return values for which one more differs in the sign, or in all bits up to one."""
    bits = range(high.bit_length())
    return sorted({low, -1, high - 1, *((1 << k) - 1 for k in bits), *(~(1 << k) for k in bits)})


def _neighbours(value: int) -> list[_Window]:
    """Return windows of the value and one more, in both orders, and of a value twice."""
    pairs = ((value, value + 1), (value + 1, value), (value, value), (value + 1, value + 1))
    first, second = (tuple(pair[k] for pair in pairs) for k in range(2))
    return [[(first[k:] + first[:k], 1), (second[k:] + second[:k], 1)] for k in range(len(pairs))]


def _lonely(at: int, size: int, low: int, high: int) -> list[_Window]:
    """Return windows of which only the place `at` is there, behind one without any and one of
    large values; all values of the padding are larger.
    """
    full, none = [((high, low), 1), ((high,), 1)], [((high, low), 0), ((-1, high), 0)]
    found: list[_Window] = [full, none]
    for value in ((low, -1), (-1, low), (0, high - 1)):
        found.append([(value, 1) if k == at else ((high,), 0) for k in range(size)])
    return found


def _rising(size: int) -> _Window:
    """Return a window with its maximum at the last place, or in other lanes at the one before."""
    return [((int(n == size - 1), int(n == size - 2)), 1) for n in range(size)]


def _sizes(places: int) -> list[int]:
    """Return sizes of windows in which the number of the last place has one bit more each time."""
    return sorted(
        {places, *((1 << k) + 1 for k in range(1, places.bit_length()) if 1 << k < places)}
    )


@dataclass(frozen=True, eq=False)
class _PoolState:
    """State of the twin of `hdl.Pool`."""

    queue: Queue
    #: Maxima of the incomplete window, (lanes,), and the numbers of their places.
    best: Codes
    index: Codes
    #: Whether any place of it was in the image, and how many places it has so far.
    there: int
    places: int


class Pool(Twin[_PoolState]):
    """Twin of `hdl.Pool`: input stream `i` (`data`, `there`, `last`); output stream `o` (`data`,
    `index`, `there`).

    Parameters
    ----------
    config
        Width, places and lanes.

    Examples
    --------
    A window of four places, the first of which is padding:

    >>> twin = Pool(PoolConfig(most_places=4))
    >>> window = {"i_data": [[9], [-5], [-3], [-3]] + [[0]] * 4, "i_there": [0] + [1] * 7}
    >>> one, last = np.ones(8, int), np.arange(8) == 3
    >>> trace = twin.run({"i_valid": one, "i_last": last, "o_ready": one, **window})
    >>> trace["o_valid"].tolist()  # 4 clocks after the last place
    [0, 0, 0, 0, 0, 0, 0, 1]
    >>> trace["o_data"][-1].tolist(), trace["o_index"][-1].tolist()
    ([-3], [2])
    """

    def __init__(self, config: PoolConfig):
        check.instance("config", config, PoolConfig)
        self.config = config
        self.ports = config.ports

    def initial(self) -> _PoolState:
        """Return the reset state."""
        nothing = frozen(np.zeros(self.config.lanes, np.int64))
        return _PoolState(Queue(), nothing, nothing, 0, 0)

    def stretch(self, state: _PoolState, inputs: Trace) -> tuple[_PoolState, Trace]:
        """See `Twin`."""
        config = self.config
        groups = grouped(state.queue, inputs, latency=config.latency, depth=config.buffer)
        accepted, starts = groups.accepted, groups.starts
        # The incomplete window of the state comes first, as one place; the padding at the end
        # belongs to the one after the last complete window.
        there = np.concatenate([[state.there], inputs["i_there"][accepted], [0]]) != 0
        data = np.concatenate([[state.best], inputs["i_data"][accepted], [state.best]])
        data = np.where(there[:, None], data, _NOTHING)
        row = np.arange(len(data))
        window = np.searchsorted(starts, row, side="right") - 1
        number = row - starts[window] + np.where(window == 0, state.places - 1, 0)
        index = np.repeat(number[:, None], config.lanes, axis=1)
        index[0] = state.index

        best = np.maximum.reduceat(data, starts)
        holds = there[:, None] & (data == best[window])
        first = np.minimum.reduceat(np.where(holds, row[:, None], len(row)), starts)
        some = np.logical_or.reduceat(there, starts)
        results = {
            "data": np.where(some[:, None], best, 0),
            "index": np.take_along_axis(index, np.where(some[:, None], first, 0), axis=0)
            % (1 << config.index_bits)
            * some[:, None],
            "there": some.astype(np.int64),
        }
        queue, shown = show(
            state.queue, groups.times, {name: values[:-1] for name, values in results.items()}
        )
        after = _PoolState(
            queue,
            frozen(results["data"][-1]),
            frozen(results["index"][-1]),
            int(some[-1]),
            int(number[-1]),
        )
        return after, {"i_ready": groups.ready.astype(np.int64), **shown}
