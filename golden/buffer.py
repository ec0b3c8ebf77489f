"""Timing of units whose results leave through an output buffer with credits.

Such a unit does not stall inside. It claims a place in the output buffer when it accepts an
operand, and the place is free again when the result leaves. Without a free place, no operand is
accepted. So all times follow from two sequences: the clocks at which operands are offered, and the
clocks at which the output is ready.

The times are computed without a loop over clocks. A take is a clock at which the output is ready;
takes are numbered. A result leaves at the first take after it has arrived and the previous result
has left, so the numbers of these takes are a running maximum.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from golden import check
from golden.fixed import WIDEST, Codes
from golden.lfsr import Lanes, Words
from golden.port import Port
from golden.twin import Trace, Twin, frozen

#: Clocks from a value's arrival at an empty buffer until it is at the output.
BUFFER_LATENCY = 2
#: The largest number of places.
MOST_PLACES = 1 << 24
#: Number of clocks below which a loop over claims is faster than arithmetic on whole arrays.
_SHORT = 256


@dataclass(frozen=True, eq=False)
class Queue:
    """Results that occupy places of an output buffer: state between two clocks; empty by default.

    Parameters
    ----------
    arrivals
        Clocks until each result is at the output, (results,), ascending; 0 if it is there already.
    values
        The results by field, (results, ...) each.
    spacing
        Clocks until the next claim is allowed, even if places are free.
    """

    arrivals: Codes = field(default_factory=lambda: frozen(np.zeros(0, np.int64)))
    values: Mapping[str, Codes] = field(default_factory=dict)
    spacing: int = 0


@dataclass(frozen=True, eq=False)
class Schedule:
    """Times in a stretch of clocks without a reset.

    Results are numbered from 0; those of the queue come first.

    Attributes
    ----------
    ready
        Whether a claim is possible, (clocks,) bool.
    claims
        Clocks of the claims, ascending.
    head
        Number of the result at the output, (clocks,); -1 if there is none.
    arrivals
        Clock at which each result is at the output.
    left
        Number of results that have left.
    spacing
        As in `Queue`, after the stretch.
    """

    ready: NDArray[np.bool_]
    claims: NDArray[np.intp]
    head: Codes
    arrivals: Codes
    left: int
    spacing: int


def schedule(
    queue: Queue,
    offered: NDArray[np.bool_],
    taken: NDArray[np.bool_],
    *,
    latency: int,
    depth: int,
    rows: int = 1,
) -> Schedule:
    """Return the times of a unit in which each claim is for `rows` results.

    Parameters
    ----------
    queue
        Results of earlier claims.
    offered
        Whether an operand that makes a claim is offered, (clocks,).
    taken
        Whether the output is ready, (clocks,).
    latency
        Clocks from a claim to its first result at the output; the others follow one per clock.
    depth
        Number of places in the buffer.
    rows
        Number of results of a claim, which takes as many places. Claims are at least `rows` clocks
        apart.

    Returns
    -------
    Schedule
        All times.

    Examples
    --------
    >>> always = np.ones(6, bool)
    >>> times = schedule(Queue(), always, always, latency=3, depth=2)
    >>> times.claims.tolist(), times.head.tolist()
    ([0, 1, 4, 5], [-1, -1, -1, 0, 1, -1])
    """
    clocks = len(offered)
    claims, leaves = _claims(queue, offered, taken, latency, depth, rows)
    arrivals = np.concatenate(
        [queue.arrivals, np.add.outer(claims + latency, np.arange(rows)).ravel()]
    )
    left, claimed = _before(leaves, clocks), _before(claims, clocks)
    ready = left - rows * claimed >= len(queue.arrivals) + rows - depth
    spacing = queue.spacing - clocks
    if rows > 1:
        earlier = np.concatenate([np.zeros(min(rows - 1, clocks), np.int64), claimed])[:clocks]
        ready &= claimed == earlier
        ready[: queue.spacing] = False
        if len(claims):
            spacing = int(claims[-1]) + rows - clocks
    return Schedule(
        ready, claims, _head(arrivals, left), arrivals, _count(leaves, clocks), max(spacing, 0)
    )


@dataclass(frozen=True, eq=False)
class Groups:
    """Groups of operands with a result each, in a stretch of clocks without a reset.

    The last operand of a group makes a claim, and only it waits.

    Attributes
    ----------
    times
        Times of the claims.
    ready
        Whether an operand is accepted if there is one, (clocks,) bool.
    accepted
        Clocks of the operands that are accepted.
    starts
        Row at which each group begins, for NumPy's `reduceat`. The operands follow a row for the
        group that was incomplete before; a row behind them is wanted, as the last group begins
        there if it has no operand yet.
    """

    times: Schedule
    ready: NDArray[np.bool_]
    accepted: NDArray[np.intp]
    starts: NDArray[np.intp]


def grouped(queue: Queue, inputs: Trace, *, latency: int, depth: int) -> Groups:
    """Return the groups of a unit's operands: `i_last` is 1 with the last one of each.

    Parameters
    ----------
    queue
        Results of earlier groups.
    inputs
        `i_valid`, `i_last` and `o_ready`, (clocks,).
    latency, depth
        As in `schedule`.

    Examples
    --------
    >>> always, last = np.ones(5, int), np.array([0, 1, 0, 0, 1])
    >>> inputs = {"i_valid": always, "i_last": last, "o_ready": always}
    >>> grouped(Queue(), inputs, latency=3, depth=4).starts.tolist()
    [0, 3, 6]
    """
    valid, last = inputs["i_valid"] != 0, inputs["i_last"] != 0
    times = schedule(queue, valid & last, inputs["o_ready"] != 0, latency=latency, depth=depth)
    ready = ~last | times.ready
    accepted = np.flatnonzero(valid & ready)
    ends = np.searchsorted(accepted, times.claims) + 1
    return Groups(times, ready, accepted, np.concatenate([[0], ends + 1]))


class _Takes:
    """The takes of a stretch."""

    def __init__(self, taken: NDArray[np.bool_]):
        #: Clock of every take; at last the end of the stretch, for takes beyond it.
        self._clocks = np.append(np.flatnonzero(taken), len(taken))
        self._before = np.concatenate([[0], np.cumsum(taken)])

    def before(self, clocks: Codes) -> Codes:
        """Return the number of takes before each of `clocks`."""
        return self._before[np.minimum(clocks, len(self._before) - 1)]

    def clock(self, numbers: Codes) -> Codes:
        """Return the clocks of takes."""
        return np.take(self._clocks, numbers, mode="clip")

    def numbers(self, arrivals: Codes) -> Codes:
        """Return the number of the take at which each result leaves."""
        result = np.arange(len(arrivals))
        return result + np.maximum.accumulate(self.before(arrivals) - result)


def _count(events: Codes, clocks: int) -> int:
    """Return the number of events, in ascending order, before the end of the stretch."""
    return int(np.searchsorted(events, clocks))


def _before(events: Codes, clocks: int) -> Codes:
    """Return the number of events before each clock; no two events have the same clock."""
    happens = np.zeros(clocks + 1, np.int64)
    happens[events[: _count(events, clocks)] + 1] = 1
    return np.cumsum(happens[:clocks])


def _head(arrivals: Codes, left: Codes) -> Codes:
    """Return the number of the result at the output at each clock; -1 if there is none."""
    clocks = len(left)
    arrived = np.cumsum(np.bincount(np.minimum(arrivals, clocks), minlength=clocks + 1)[:clocks])
    return np.where(arrived > left, left, -1)


def _claims(
    queue: Queue,
    offered: NDArray[np.bool_],
    taken: NDArray[np.bool_],
    latency: int,
    depth: int,
    rows: int,
) -> tuple[Codes, Codes]:
    """Return the clocks of the claims and the clock at which each result leaves.

    The latter is the end of the stretch for results that leave later.
    """
    takes = _Takes(taken)
    held = takes.numbers(queue.arrivals)
    good, claims, leaves = 0, np.zeros(0, np.intp), takes.clock(held)
    if len(offered) >= _SHORT:
        # Assume that there are always free places. The result is right up to the first claim for
        # which there is none.
        claims = _spaced(np.flatnonzero(offered), rows, queue.spacing)
        first = len(held) + rows * np.arange(len(claims))
        lag = takes.before(claims + latency) - first
        if len(held) and len(claims):
            lag[0] = max(lag[0], held[-1] - (len(held) - 1))
        lag = np.maximum.accumulate(lag)
        numbers = np.concatenate([held, np.add.outer(first + lag, np.arange(rows)).ravel()])
        leaves = takes.clock(numbers)
        # The last place of a claim must be free: the result that occupied it must have left.
        displaced = first + rows - 1 - depth
        start = int(np.searchsorted(displaced, 0))
        late = leaves[displaced[start:]] >= claims[start:]
        if not late.any():
            return claims, leaves
        good = start + int(late.argmax())
    return _contended(
        claims[:good],
        leaves[: len(held) + rows * good],
        queue.spacing,
        offered,
        taken,
        latency,
        depth,
        rows,
    )


def _spaced(offers: Codes, rows: int, earliest: int) -> Codes:
    """Return the offers that are accepted if acceptances are at least `rows` clocks apart."""
    offers = offers[np.searchsorted(offers, earliest) :]
    if rows == 1 or (np.diff(offers) >= rows).all():
        return offers
    all_offers, kept, at = offers.tolist(), list[int](), 0
    while at < len(all_offers):
        kept.append(all_offers[at])
        at = bisect_left(all_offers, kept[-1] + rows, at)
    return np.array(kept, np.intp)


def _contended(
    claims: Codes,
    leaves: Codes,
    spacing: int,
    offered: NDArray[np.bool_],
    taken: NDArray[np.bool_],
    latency: int,
    depth: int,
    rows: int,
) -> tuple[Codes, Codes]:
    """Continue `_claims` after the first `claims` and `leaves`, where places run out.

    It goes from claim to claim, as each claim may have to wait until an earlier result leaves.
    """
    clocks = len(offered)
    next_offer, next_take = _following(offered, rows + 2), _following(taken, latency + 2)
    made, left = claims.tolist(), [-1] * depth + leaves.tolist()
    claim, leave = made[-1] if made else spacing - rows, left[-1]
    displaced, others = len(leaves) + rows - 1, range(rows - 1)
    # Comparisons instead of calls of `max`, which would take half of the time.
    while True:
        claim += rows
        if claim <= left[displaced]:
            claim = left[displaced] + 1
        claim = next_offer[claim]
        if claim == clocks:
            break
        made.append(claim)
        leave += 1
        if leave < claim + latency:
            leave = claim + latency
        leave = next_take[leave]
        left.append(leave)
        for _ in others:
            leave = next_take[leave + 1]
            left.append(leave)
        displaced += rows
    return np.array(made, np.intp), np.array(left[depth:], np.int64)


def _following(happens: NDArray[np.bool_], beyond: int) -> list[int]:
    """Return the clock of the first event at or after each clock.

    It is the end of the stretch if there is none. The list has `beyond` clocks more than the
    stretch.
    """
    clocks = len(happens)
    table = np.full(clocks + beyond, clocks)
    now = np.where(happens, np.arange(clocks), clocks)
    table[:clocks] = np.minimum.accumulate(now[::-1])[::-1]
    return table.tolist()


def show(queue: Queue, times: Schedule, results: Mapping[str, Codes]) -> tuple[Queue, Trace]:
    """Return the queue after a stretch, and the output ports.

    Parameters
    ----------
    queue
        The queue before the stretch.
    times
        Times of the stretch.
    results
        New results by field, (new results, ...) each.

    Returns
    -------
    queue : Queue
        Results that have not left.
    trace : Trace
        `o_valid`, and a port `o_<field>` for each field: the result at the output, or 0.
    """
    clocks = len(times.head)
    trace = {"o_valid": (times.head >= 0).astype(np.int64)}
    values: dict[str, Codes] = {}
    for name, new in results.items():
        nothing = np.zeros((1, *new.shape[1:]), np.int64)
        old = queue.values.get(name, nothing[:0])
        both = np.concatenate([old, new, nothing])
        trace[f"o_{name}"] = np.take(both, times.head, axis=0)  # -1 takes the zeros
        values[name] = frozen(both[times.left : -1])
    arrivals = frozen(np.maximum(times.arrivals[times.left :] - clocks, 0))
    return Queue(arrivals, values, times.spacing), trace


@dataclass(frozen=True, eq=False)
class StreamState:
    """State of a stream twin.

    Parameters
    ----------
    queue
        Results that have not left.
    lanes
        Random words of the next results; None if the unit does not round stochastically.
    """

    queue: Queue
    lanes: Lanes | None


def drawn(lanes: Lanes | None, draws: int) -> tuple[Lanes | None, Words]:
    """Return the lanes after a number of draws, and the words; `lanes` itself does not change.

    Returns
    -------
    lanes : Lanes or None
        The lanes after the draws.
    words : Words
        (draws, lanes); without lanes zeros, (draws, 1).
    """
    if lanes is None:
        return None, np.zeros((draws, 1), np.uint16)
    ahead = lanes.copy()
    words = ahead.lend(draws)
    return ahead.copy(), words


class OnePerClock:
    """Base of the configurations of units that return one result per operand."""

    #: Meaning of each figure.
    FIGURES: ClassVar[dict[str, str]] = {
        "latency": "Clocks from the one that accepts an operand to the one that shows its result."
    }

    @property
    def latency(self) -> int:
        """Clocks from the one that accepts an operand to the one that shows its result."""
        raise NotImplementedError(f"{type(self).__name__} has no latency")

    @property
    def buffer(self) -> int:
        """Places of the output buffer: enough for one result per clock."""
        return self.latency + 1

    @property
    def throughput(self) -> str:
        """Operands per clock, and stalls."""
        return "one vector of lanes per clock; i_ready is low only while the output is not taken"


class StreamTwin(Twin[StreamState]):
    """Base of the twins of units that return one result per operand after a fixed latency.

    A subclass sets `config` and `ports`, and `lanes` if it draws random words, and defines
    `results`.
    """

    config: Any
    #: Lanes of random words in the reset state; None if there are none.
    lanes: Lanes | None = None

    def initial(self) -> StreamState:
        """Return the reset state."""
        return StreamState(Queue(), self.lanes)

    def stretch(self, state: StreamState, inputs: Trace) -> tuple[StreamState, Trace]:
        """See `Twin`."""
        times = schedule(
            state.queue,
            inputs["i_valid"] != 0,
            inputs["o_ready"] != 0,
            latency=self.config.latency,
            depth=self.config.buffer,
        )
        accepted = {name: values[times.claims].astype(np.int64) for name, values in inputs.items()}
        lanes, words = drawn(state.lanes, len(times.claims))
        queue, shown = show(state.queue, times, self.results(accepted, words))
        return StreamState(queue, lanes), {"i_ready": times.ready.astype(np.int64), **shown}

    def results(self, accepted: Trace, words: Words) -> Trace:
        """Return the results of the accepted operands.

        Parameters
        ----------
        accepted
            All input ports at the clocks at which operands are accepted, (operands, ...) each.
        words
            Random words, (operands, lanes); without lanes zeros, (operands, 1).

        Returns
        -------
        Trace
            Results by field of the output stream, (operands, ...) each.
        """
        raise AssertionError(f"{type(self).__name__} does not define `results`")


class Buffer(Twin[tuple[Queue, int]]):
    """Twin of `hdl.Buffer`: inputs `claim`, `i_valid`, `i_payload` and `o_ready`; outputs `ready`,
    `o_valid` and `o_data`.

    A claim is allowed only while `ready` is high, and each claim must be followed by `rows` values.

    Parameters
    ----------
    depth
        Number of places, 3 or more, and no fewer than `rows`.
    rows
        Number of places that one claim takes, 1 or more.

    Examples
    --------
    >>> given = {"claim": [1, 0, 0, 0], "i_valid": [0, 1, 0, 0], "i_payload": [0, 7, 0, 0]}
    >>> trace = Buffer(depth=3).run({**given, "o_ready": [1, 1, 1, 1]})
    >>> trace["o_data"].tolist()
    [0, 0, 0, 7]
    """

    ports = (
        Port("claim", "in", 1),
        Port("ready", "out", 1),
        Port("i_valid", "in", 1),
        Port("i_payload", "in", WIDEST, True),  # a payload of any shape, as one number
        Port("o_valid", "out", 1),
        Port("o_ready", "in", 1),
        Port("o_data", "out", WIDEST, True),
    )

    def __init__(self, *, depth: int, rows: int = 1):
        self.rows = check.whole("rows", rows, 1, MOST_PLACES)
        self.depth = check.whole("depth", depth, max(3, self.rows), MOST_PLACES)

    def initial(self) -> tuple[Queue, int]:
        """Return the reset state: no values in the queue, and the number of free places."""
        return Queue(), self.depth

    def stretch(self, state: tuple[Queue, int], inputs: Trace) -> tuple[tuple[Queue, int], Trace]:
        """See `Twin`."""
        queue, free = state
        clocks = len(inputs["claim"])
        came = np.flatnonzero(inputs["i_valid"])
        arrivals = np.concatenate([queue.arrivals, came + BUFFER_LATENCY])
        takes = _Takes(inputs["o_ready"] != 0)
        leaves = takes.clock(takes.numbers(arrivals))
        left, gone = _before(leaves, clocks), _count(leaves, clocks)
        claims = np.flatnonzero(inputs["claim"])
        ready = free - self.rows * _before(claims, clocks) + left >= self.rows
        times = Schedule(ready, claims, _head(arrivals, left), arrivals, gone, 0)
        queue, shown = show(queue, times, {"data": inputs["i_payload"][came]})
        free += gone - self.rows * len(claims)
        return (queue, free), {"ready": ready.astype(np.int64), **shown}
