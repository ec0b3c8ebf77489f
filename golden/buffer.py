"""When things happen in a unit whose results leave through a buffer with credits.

Nothing stalls inside such a unit. A result's place in the output buffer is claimed when the
operand that causes it is accepted, and given back when the result leaves; an operand that finds
no place is not accepted. So the times follow from two sequences alone: when operands are offered
and when results are taken.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden.fixed import Codes
from golden.twin import Trace, Twin

#: Clocks from a value's arrival at the buffer to the clock at which the output shows it,
#: if none is before it.
BUFFER_LATENCY = 2


@dataclass(frozen=True)
class Schedule:
    """Times of one stretch between resets.

    Attributes
    ----------
    ready
        Whether a claim could be made, (clocks,) bool.
    claims
        Clocks at which one was, ascending.
    head
        Number of the result that the output shows, (clocks,); -1 where it shows none.
    """

    ready: NDArray[np.bool_]
    claims: NDArray[np.intp]
    head: Codes


def schedule(offered: Codes, taken: Codes, *, latency: int, depth: int, rows: int = 1) -> Schedule:
    """Times of a unit in which each claim brings `rows` results.

    Parameters
    ----------
    offered
        Whether an operand that makes a claim is offered, (clocks,).
    taken
        Whether the output's `ready` is high, (clocks,).
    latency
        Clocks from a claim to its first result at the output; the others follow one a clock.
    depth
        Places in the buffer. Claims are also at least `rows` clocks apart.
    rows
        Results a claim brings, each in a place of its own.
    """
    clocks = len(offered)
    if depth >= latency + rows and taken.all():
        return _unhindered(np.flatnonzero(offered), clocks, latency, rows)
    ready = np.zeros(clocks, bool)
    head = np.full(clocks, -1, np.int64)
    arrivals = np.zeros(clocks + latency + rows, np.int64)
    claims: list[int] = []
    free, arrived, left, next_claim = depth, 0, 0, 0
    wants, takes = offered.tolist(), taken.tolist()
    for clock in range(clocks):
        can = free >= rows and clock >= next_claim
        ready[clock] = can
        arrived += int(arrivals[clock])
        shows = arrived > left
        if can and wants[clock]:
            claims.append(clock)
            arrivals[clock + latency : clock + latency + rows] = 1
            free -= rows
            next_claim = clock + rows
        if shows:
            head[clock] = left
            if takes[clock]:
                left += 1
                free += 1
    return Schedule(ready, np.array(claims, np.intp), head)


def _unhindered(offers: NDArray[np.intp], clocks: int, latency: int, rows: int) -> Schedule:
    """The schedule of a unit whose results are taken as they come: places never run out."""
    if rows == 1:
        claims = offers
    else:
        kept, next_claim = [], 0
        for clock in offers.tolist():
            if clock >= next_claim:
                kept.append(clock)
                next_claim = clock + rows
        claims = np.array(kept, np.intp)
    ready = np.ones(clocks, bool)
    head = np.full(clocks, -1, np.int64)
    for row in range(rows):
        ready[claims[claims + row < clocks] + row] = row == 0
        times = claims + latency + row
        times = times[times < clocks]
        head[times] = np.arange(len(times)) * rows + row
    return Schedule(ready, claims, head)


def show(results: Mapping[str, Codes], head: Codes) -> Trace:
    """Output ports over time: `o_valid`, and for each result array (results, ...)
    a port that shows its head, or 0.
    """
    shown = head >= 0
    trace = {"o_valid": shown.astype(np.int64)}
    for name, values in results.items():
        port = np.zeros((len(head), *values.shape[1:]), np.int64)
        port[shown] = values[head[shown]]
        trace[f"o_{name}"] = port
    return trace


class StreamTwin(Twin):
    """Twin of a unit that turns each accepted operand into one result
    a fixed number of clocks later.

    A subclass says the latency and what the results are;
    it is given all inputs at the clocks of acceptance.
    """

    latency: int

    def stretch(self, inputs: Trace) -> Trace:
        times = schedule(
            inputs["i_valid"], inputs["o_ready"], latency=self.latency, depth=self.latency + 1
        )
        accepted = {name: values[times.claims].astype(np.int64) for name, values in inputs.items()}
        return {
            "i_ready": times.ready.astype(np.int64),
            **show(self.results(accepted), times.head),
        }

    def results(self, accepted: Trace) -> Trace:
        """Results, one for each accepted operand, by output field name."""
        raise AssertionError(f"{type(self).__name__} does not say what its results are")


class Buffer(Twin):
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

    def stretch(self, inputs: Trace) -> Trace:
        clocks = len(inputs["claim"])
        came = np.flatnonzero(inputs["i_valid"])
        arrived = np.zeros(clocks + BUFFER_LATENCY, np.int64)
        arrived[came + BUFFER_LATENCY] = 1
        arrived = np.cumsum(arrived)[:clocks]
        # Those that have left before a clock: taken clocks count while something has arrived.
        head, ready = np.full(clocks, -1, np.int64), np.zeros(clocks, np.int64)
        left, free = 0, self.depth
        for clock in range(clocks):
            ready[clock] = free >= self.rows
            free -= self.rows * int(inputs["claim"][clock])
            if arrived[clock] > left:
                head[clock] = left
                left += int(inputs["o_ready"][clock])
                free += int(inputs["o_ready"][clock])
        return {"ready": ready, **show({"data": inputs["i_payload"][came]}, head)}
