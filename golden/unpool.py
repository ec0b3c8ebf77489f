"""The way back through max-pooling: the sum of the errors whose maximum was at a place."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from golden import check
from golden.borders import Border, Course
from golden.buffer import BUFFER_LATENCY, OnePerClock, Queue, grouped, show
from golden.fixed import WIDEST, Codes
from golden.lfsr import MOST_LANES
from golden.macc import wrap
from golden.pool import MOST_PLACES
from golden.port import OPERAND, RESULT, Port
from golden.settings import check_settings, setting
from golden.twin import Trace, Twin, frozen

#: The largest number of windows that cover a place.
MOST_WINDOWS = 1024


def covering_windows(places: ArrayLike, count: int) -> tuple[Codes, Codes]:
    """Return the windows that cover each place, in the order of the stream `i` of `Unpool`.

    Parameters
    ----------
    places
        The places of all windows, from `golden.pool.window_places`: (windows, places).
    count
        Number of places of the image, 1 or more.

    Returns
    -------
    windows, numbers : Codes
        The windows that cover each place, in ascending order, and the number of the place in each:
        (count, most), at least one each. Both are -1 where a place has fewer windows than others.

    Raises
    ------
    TypeError, ValueError
        A number is not whole, or is out of range.

    Examples
    --------
    Windows of 1 x 2 on a row of three pixels; two cover the one in the middle:

    >>> windows, numbers = covering_windows([[0, 1], [1, 2]], 3)
    >>> windows.tolist(), numbers.tolist()
    ([[0, -1], [0, 1], [1, -1]], [[0, -1], [1, 0], [1, -1]])
    """
    count = check.whole("count", count, 1)
    places = check.codes("places", places)
    if places.ndim != 2:
        raise ValueError(f"places of {places.shape}: windows and the places of each are wanted")
    if places.size and not -1 <= places.min() <= places.max() < count:
        raise ValueError(f"places: allowed are -1 to {count - 1}")
    window, number = np.nonzero(places >= 0)
    place = places[window, number]
    order = np.argsort(place, kind="stable")
    covered = np.bincount(place, minlength=count)
    column = np.arange(len(place)) - np.repeat(np.cumsum(covered) - covered, covered)
    found = [np.full((count, max(int(covered.max()), 1)), -1) for _ in range(2)]
    for table, values in zip(found, (window, number)):
        table[place[order], column] = values[order]
    return found[0], found[1]


@dataclass(frozen=True, kw_only=True)
class UnpoolConfig(OnePerClock):
    """Sum of the errors of the windows whose maximum is at a place.

    Parameters
    ----------
    width
        Width of an error, 2 to 62 bits.
    most_places
        Places of the largest window, 2 to 1024.
    most_windows
        Windows that cover one place, at most, 1 to 1024. It determines the width of a sum, at most
        62 bits; sums of more errors are exact only modulo 2^width.
    saturate
        Saturate the sum to the width of an error.
    lanes
        Errors per clock, such as the channels of a place, 1 to 255.

    Examples
    --------
    >>> config = UnpoolConfig(width=8, most_places=9, most_windows=4)
    >>> config.index_bits, config.sum_width, config.result_width
    (4, 10, 10)
    """

    #: Meaning of each figure.
    FIGURES: ClassVar[dict[str, str]] = {
        "latency": (
            "Clocks from the one that accepts a place's last window to the one that shows its "
            "error."
        )
    }

    width: int = setting(16, "Width of an error", low=2, high=WIDEST, unit="bits")
    most_places: int = setting(9, "Places of the largest window", low=2, high=MOST_PLACES)
    most_windows: int = setting(
        4,
        "Windows that cover one place, at most",
        low=1,
        high=MOST_WINDOWS,
        more="It determines the width of a sum, at most 62 bits; sums of more errors are exact "
        "only modulo 2^width.",
    )
    saturate: bool = setting(False, "Saturate the sum to the width of an error")
    lanes: int = setting(
        1, "Errors per clock, such as the channels of a place", low=1, high=MOST_LANES
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.sum_width > WIDEST:
            raise ValueError(
                f"most_windows = {self.most_windows}: sums of errors of {self.width} bits would "
                f"have {self.sum_width} bits, at most {WIDEST} are allowed"
            )

    @property
    def index_bits(self) -> int:
        """Width of the number of a place in a window."""
        return (self.most_places - 1).bit_length()

    @property
    def sum_width(self) -> int:
        """Width of an exact sum."""
        return self.width + (self.most_windows - 1).bit_length()

    @property
    def result_width(self) -> int:
        """Width of a result: that of a sum, or of an error if the sum is saturated."""
        return self.width if self.saturate else self.sum_width

    @property
    def ports(self) -> tuple[Port, ...]:
        """The unit's ports."""
        index = "numbers of the places in the window that have its maxima, from pool"
        there = "there is such a window; otherwise its errors do not count"
        return (
            *OPERAND,
            Port("i_data", "in", self.width, True, self.lanes, "errors of a window"),
            Port("i_index", "in", self.index_bits, False, self.lanes, index),
            Port("i_number", "in", self.index_bits, meaning="number of the place in the window"),
            Port("i_there", "in", 1, meaning=there),
            Port("i_last", "in", 1, meaning="the last window that covers the place"),
            *RESULT,
            Port("o_data", "out", self.result_width, True, self.lanes, "errors of the place"),
        )

    @property
    def latency(self) -> int:
        """Clocks from the one that accepts a place's last window to the one that shows its
        error.
        """
        return 2 + self.saturate + BUFFER_LATENCY

    @property
    def throughput(self) -> str:
        """Operands per clock, and stalls."""
        return (
            "one window per clock, places back to back; "
            "i_ready is low only at a place's last window, while errors are not taken"
        )

    def borders(self) -> list[Border]:
        """Return places at which extreme errors meet, and the maximum is there or next to it.

        Each course begins with the end of another place. Lanes have different errors and numbers,
        which take turns.
        """
        low, high = -1 << (self.width - 1), (1 << (self.width - 1)) - 1
        sums = [
            (0,),
            (low,),
            (high,),
            (low, -1),
            (high, 1),
            (low + 1, -1),
            (high - 1, 1),
            (high, high, low),  # in range, though the first two are not
            (low, low, high, 1),
            (low,) * self.most_windows,
            (high,) * self.most_windows,
        ]
        places = [
            [(error, 0, 1) for error in errors]
            for errors in sums
            if len(errors) <= self.most_windows
        ]
        for error in (low, high):
            others = [(error, 1 << bit, 1) for bit in range(self.index_bits)]
            places.append([*others, (error, 0, 0)])
            places.append([(error, 0, 0), (error, 0, 1), *others])
        return [self._course(windows, turn) for windows in places for turn in range(3)]

    def _course(self, windows: list[tuple[int, int, int]], turn: int) -> Course:
        """Return the course of a place in windows of an error, the bits in which the number of the
        maximum is another one, and whether it is there.

        So it is in every third lane, the first one at turn 0. The lane behind it has the opposite
        errors, and the next one maxima at another place.
        """
        clocks = 1 + len(windows)
        error, other, there = (np.array([0, *column]) for column in zip(*windows))
        number = np.arange(clocks) % self.most_places
        lane = (np.arange(self.lanes) - turn) % 3
        low = -1 << (self.width - 1)
        opposite = np.where(error == low, -1 - low, -error)
        data = np.stack([error, opposite, error], axis=1)[:, lane]
        misses = np.stack([other, other, 0 * other + 1], axis=1)[:, lane]
        return Course(
            ports={
                "i_valid": np.ones(clocks, np.int64),
                "i_data": data,
                "i_index": number[:, None] ^ misses,
                "i_number": number,
                "i_there": there,
                "i_last": (np.arange(clocks) % len(windows) == 0).astype(np.int64),
            }
        )


@dataclass(frozen=True, eq=False)
class _UnpoolState:
    """State of the twin of `hdl.Unpool`."""

    queue: Queue
    #: Sums of the incomplete place, (lanes,).
    sums: Codes


class Unpool(Twin[_UnpoolState]):
    """Twin of `hdl.Unpool`: input stream `i` (`data`, `index`, `number`, `there`, `last`); output
    stream `o` (`data`).

    Parameters
    ----------
    config
        Width, places, windows, saturation and lanes.

    Examples
    --------
    A place in three windows. It is the maximum of the first and the last one:

    >>> twin = Unpool(UnpoolConfig())
    >>> windows = {"i_data": [[5], [7], [-9]], "i_index": [[8], [5], [0]], "i_number": [8, 6, 0]}
    >>> windows |= {"i_there": [1, 1, 1], "i_last": [0, 0, 1], "i_valid": [1, 1, 1]}
    >>> idle = {name: np.zeros_like(values) for name, values in windows.items()}
    >>> inputs = {name: np.concatenate([windows[name], idle[name]] * 2) for name in windows}
    >>> trace = twin.run(inputs | {"o_ready": np.ones(12, int)})
    >>> trace["o_valid"].tolist()  # 4 clocks after the last window
    [0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]
    >>> trace["o_data"][6].tolist()
    [-4]
    """

    def __init__(self, config: UnpoolConfig):
        check.instance("config", config, UnpoolConfig)
        self.config = config
        self.ports = config.ports

    def initial(self) -> _UnpoolState:
        """Return the reset state."""
        return _UnpoolState(Queue(), frozen(np.zeros(self.config.lanes, np.int64)))

    def stretch(self, state: _UnpoolState, inputs: Trace) -> tuple[_UnpoolState, Trace]:
        """See `Twin`."""
        config = self.config
        groups = grouped(state.queue, inputs, latency=config.latency, depth=config.buffer)
        data, index, number, there = (
            inputs[f"i_{name}"][groups.accepted].astype(np.int64)
            for name in ("data", "index", "number", "there")
        )
        taken = (index == number[:, None]) & (there[:, None] != 0)
        # The sums so far of the state's incomplete place come first; the zeros at the end belong to
        # the one after the last complete place.
        terms = np.concatenate([[state.sums], data * taken, [0 * state.sums]])
        sums = np.add.reduceat(terms, groups.starts)
        sums = wrap(sums, config.sum_width)
        results = sums[:-1]
        if config.saturate:
            top = (1 << (config.width - 1)) - 1
            results = np.clip(results, -top - 1, top)
        queue, shown = show(state.queue, groups.times, {"data": results})
        after = _UnpoolState(queue, frozen(sums[-1]))
        return after, {"i_ready": groups.ready.astype(np.int64), **shown}
