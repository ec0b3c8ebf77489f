"""When things happen in a unit whose results leave through a buffer with credits.

Nothing stalls inside such a unit. A result's place in the output buffer is claimed when the
operand that causes it is accepted, and given back when the result leaves; an operand that finds
no place is not accepted. So the times follow from two sequences alone: when operands are offered
and when results are taken.

Times are computed without a loop over clocks. Count the clocks at which the output is taken: a
result leaves at the first of these at which it has arrived and the one before it has left, so the
number of the clock at which it leaves is a running maximum.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from golden.fixed import Codes
from golden.lfsr import Lanes, Words
from golden.twin import Trace, Twin, frozen

#: Clocks from a value's arrival at the buffer to the clock at which the output shows it,
#: if none is before it.
BUFFER_LATENCY = 2
#: Clocks of a stretch below which it is quicker to go from claim to claim at once.
_SHORT = 256


@dataclass(frozen=True, eq=False)
class Queue:
    """Results that have a place in an output buffer, between two clocks; by default none.

    Parameters
    ----------
    arrivals
        Clocks until each result is at the output, (results,), ascending; 0 if it is there already.
    values
        The results by field, (results, ...) each.
    spacing
        Clocks until the next claim may be made, however many places are free.
    """

    arrivals: Codes = field(default_factory=lambda: frozen(np.zeros(0, np.int64)))
    values: Mapping[str, Codes] = field(default_factory=dict)
    spacing: int = 0


@dataclass(frozen=True, eq=False)
class Schedule:
    """Times of a stretch of clocks without a reset.

    Attributes
    ----------
    ready
        Whether a claim could be made, (clocks,) bool.
    claims
        Clocks at which one was, ascending.
    head
        Number of the result that the output shows, (clocks,); -1 where it shows none. Results of
        earlier stretches that had not left come first.
    arrivals
        Clock at which each result is at the output.
    left
        Results that have left.
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
    """Times of a unit in which each claim brings `rows` results.

    Parameters
    ----------
    queue
        Results from before.
    offered
        Whether an operand that makes a claim is offered, (clocks,).
    taken
        Whether the output's `ready` is high, (clocks,).
    latency
        Clocks from a claim to its first result at the output; the others follow one per clock.
    depth
        Places in the buffer. Claims are also at least `rows` clocks apart.
    rows
        Results a claim brings, each in a place of its own.
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


class _Takes:
    """The clocks at which the output is taken."""

    def __init__(self, taken: NDArray[np.bool_]):
        #: After them comes the end of the stretch, for those that are not known yet.
        self._clocks = np.append(np.flatnonzero(taken), len(taken))
        self._before = np.concatenate([[0], np.cumsum(taken)])

    def before(self, clocks: Codes) -> Codes:
        """Number of takes before each of `clocks`."""
        return self._before[np.minimum(clocks, len(self._before) - 1)]

    def clock(self, numbers: Codes) -> Codes:
        """Clock of the takes with these numbers."""
        return np.take(self._clocks, numbers, mode="clip")

    def numbers(self, arrivals: Codes) -> Codes:
        """Number of the take at which each result leaves."""
        result = np.arange(len(arrivals))
        return result + np.maximum.accumulate(self.before(arrivals) - result)


def _count(events: Codes, clocks: int) -> int:
    """Number of events, in ascending order, that happen before the end of the stretch."""
    return int(np.searchsorted(events, clocks))


def _before(events: Codes, clocks: int) -> Codes:
    """Number of events, each at a clock of its own, before each clock."""
    happens = np.zeros(clocks + 1, np.int64)
    happens[events[: _count(events, clocks)] + 1] = 1
    return np.cumsum(happens[:clocks])


def _head(arrivals: Codes, left: Codes) -> Codes:
    """Number of the result that the output shows; -1 where it shows none."""
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
    """Clocks at which claims are made, and at which each result leaves; the latter is the end of
    the stretch for results that stay longer.
    """
    takes = _Takes(taken)
    held = takes.numbers(queue.arrivals)
    good, claims, leaves = 0, np.zeros(0, np.intp), takes.clock(held)
    if len(offered) >= _SHORT:
        # What happens if there are always places, which is right up to the first claim without.
        claims = _spaced(np.flatnonzero(offered), rows, queue.spacing)
        first = len(held) + rows * np.arange(len(claims))
        lag = takes.before(claims + latency) - first
        if len(held) and len(claims):
            lag[0] = max(lag[0], held[-1] - (len(held) - 1))
        lag = np.maximum.accumulate(lag)
        numbers = np.concatenate([held, np.add.outer(first + lag, np.arange(rows)).ravel()])
        leaves = takes.clock(numbers)
        # A claim needs that the result that had its last place has left.
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
    """Offers that are accepted if each keeps the next `rows` - 1 clocks from being so."""
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
    """`_claims` where places run out, from the first `claims` and `leaves` on: claim by claim, as
    each may have to wait for an earlier result to leave.
    """
    clocks = len(offered)
    next_offer, next_take = _following(offered, rows + 2), _following(taken, latency + 2)
    made, left = claims.tolist(), [-1] * depth + leaves.tolist()
    claim, leave = made[-1] if made else spacing - rows, left[-1]
    displaced, others = len(leaves) + rows - 1, range(rows - 1)
    # In plain comparisons: calls of `max` would take half of the time.
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
    """Clock of the first event at each clock or after it, for `beyond` clocks more than there are;
    the end of the stretch where there is none.
    """
    clocks = len(happens)
    table = np.full(clocks + beyond, clocks)
    now = np.where(happens, np.arange(clocks), clocks)
    table[:clocks] = np.minimum.accumulate(now[::-1])[::-1]
    return table.tolist()


def show(queue: Queue, times: Schedule, results: Mapping[str, Codes]) -> tuple[Queue, Trace]:
    """The queue after a stretch, and output ports in it: `o_valid`, and for each field of the
    results, (new results, ...), a port that shows the head, or 0.
    """
    clocks = len(times.head)
    trace = {"o_valid": (times.head >= 0).astype(np.int64)}
    values: dict[str, Codes] = {}
    for name, new in results.items():
        nothing = np.zeros((1, *new.shape[1:]), np.int64)
        old = queue.values.get(name, nothing[:0])
        both = np.concatenate([old, new, nothing])
        trace[f"o_{name}"] = np.take(both, times.head, axis=0)  # -1 is nothing
        values[name] = frozen(both[times.left : -1])
    arrivals = frozen(np.maximum(times.arrivals[times.left :] - clocks, 0))
    return Queue(arrivals, values, times.spacing), trace


@dataclass(frozen=True, eq=False)
class StreamState:
    """What a stream twin keeps between two clocks.

    Parameters
    ----------
    queue
        Results that have not left.
    lanes
        The random words of results to come, where the unit rounds stochastically.
    """

    queue: Queue
    lanes: Lanes | None


def drawn(lanes: Lanes | None, draws: int) -> tuple[Lanes | None, Words]:
    """Lanes after so many draws, and the words, (draws, lanes); without lanes zeros, (draws, 1).
    `lanes` itself stays where it is.
    """
    if lanes is None:
        return None, np.zeros((draws, 1), np.uint16)
    ahead = lanes.copy()
    words = ahead.lend(draws)
    return ahead.copy(), words


class OnePerClock:
    """What the configurations of units with one result for each operand have in common."""

    #: What each figure counts.
    FIGURES: ClassVar[dict[str, str]] = {
        "latency": "Clocks from the one that accepts an operand to the one that shows its result."
    }

    @property
    def latency(self) -> int:
        """Clocks from the one that accepts an operand to the one that shows its result."""
        raise NotImplementedError(f"{type(self).__name__} does not say its latency")

    @property
    def buffer(self) -> int:
        """Results that the output buffer holds: enough to stream without a gap."""
        return self.latency + 1

    @property
    def throughput(self) -> str:
        """What a clock gives."""
        return "one vector of lanes a clock; i_ready falls only when the output is not taken"


class StreamTwin(Twin[StreamState]):
    """Twin of a unit that turns each accepted operand into one result
    a fixed number of clocks later.

    A subclass sets the configuration and says what the results are;
    it is given all inputs at the clocks of acceptance.
    """

    config: Any
    #: Lanes of random words at reset, where there are any.
    lanes: Lanes | None = None

    def initial(self) -> StreamState:
        """The reset state."""
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
        """Results, one for each accepted operand, by output field name; `words` has a row of
        random words for each, zeros where the unit has none.
        """
        raise AssertionError(f"{type(self).__name__} does not say what its results are")


class Buffer(Twin[tuple[Queue, int]]):
    """Twin of `hdl.Buffer`: `claim`, `i_valid`, `i_payload`, `o_ready` in;
    `ready`, `o_valid`, `o_data` out.

    Parameters
    ----------
    depth
        Places.
    rows
        Places a claim takes.

    Notes
    -----
    The caller's side of the bargain is that it claims only while `ready` is high
    and brings `rows` values a claim.
    """

    def __init__(self, *, depth: int, rows: int = 1):
        self.depth = depth
        self.rows = rows

    def initial(self) -> tuple[Queue, int]:
        """The reset state: values that have come and not left, and free places."""
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
