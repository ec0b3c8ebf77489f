"""The output buffer with credits, and the schedule that the twins make of it."""

import gc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import SEEDS

import golden
import hdl
from golden.buffer import BUFFER_LATENCY, Queue, schedule, show
from gradloom.compare import compare
from gradloom.simulators import simulate


def lawful(depth, rows, clocks, seed, claiming=0.5, taking=0.6, latest=6):
    """A stimulus that keeps its side of the bargain: claims of free places, values for claims.

    Returns the inputs and, by a queue kept here, what the buffer shall show.
    """
    rng = np.random.default_rng(seed)
    inputs = {name: np.zeros(clocks, int) for name in ("claim", "i_valid", "i_payload", "o_ready")}
    shown = {name: np.zeros(clocks, int) for name in ("ready", "o_valid", "o_data")}
    free, owed, queue = depth, [], []
    for clock in range(clocks):
        shown["ready"][clock] = free >= rows
        head = queue[0] if queue and queue[0][0] <= clock else None
        if head:
            shown["o_valid"][clock], shown["o_data"][clock] = 1, head[1]
        ready = rng.random() < taking
        inputs["o_ready"][clock] = ready
        if free >= rows and rng.random() < claiming:
            inputs["claim"][clock] = 1
            free -= rows
            owed += [clock + int(rng.integers(0, latest))] * rows
        inputs["i_payload"][clock] = rng.integers(-128, 128)
        if owed and owed[0] <= clock:  # as they come from a pipeline: in order, one a clock
            owed.pop(0)
            inputs["i_valid"][clock] = 1
            queue.append((clock + BUFFER_LATENCY, int(inputs["i_payload"][clock])))
        if head and ready:
            queue.pop(0)
            free += 1
    return inputs, shown


@settings(max_examples=80)
@given(st.integers(3, 20), st.integers(1, 20), SEEDS, st.sampled_from([0.1, 0.5, 0.9, 1.0]))
def test_hardware_and_twin_show_what_a_queue_would(depth, rows, seed, taking):
    rows = min(rows, depth)
    inputs, shown = lawful(depth, rows, 200, seed, taking=taking)
    unit = hdl.Buffer(8, depth=depth, rows=rows)
    inputs["i_payload"] &= 255
    shown["o_data"] &= 255
    trace, twin = simulate(unit, inputs), golden.Buffer(depth=depth, rows=rows).run(inputs)
    for name, values in shown.items():
        assert np.array_equal(trace[name], values), name
        assert np.array_equal(twin[name], values), name


@settings(max_examples=80)
@given(
    st.integers(3, 20),
    st.integers(1, 20),
    SEEDS,
    st.lists(st.integers(1, 149), unique=True, max_size=150),
)
def test_the_twin_can_be_cut_anywhere(depth, rows, seed, cuts):
    rows = min(rows, depth)
    inputs, shown = lawful(depth, rows, 150, seed)
    inputs["rst"] = np.zeros(150, int)
    twin = golden.Buffer(depth=depth, rows=rows)
    state, done = twin.initial(), 0
    for stop in [*sorted(cuts), 150]:
        span = slice(done, stop)
        state, part = twin.advance(state, {name: values[span] for name, values in inputs.items()})
        for name, values in shown.items():
            assert np.array_equal(part[name], values[span]), name
        assert len(state[0].arrivals) <= depth
        done = stop


@given(st.integers(3, 12), SEEDS, st.integers(0, 99))
def test_a_reset_at_any_clock_empties_the_buffer(depth, seed, clock):
    before, _ = lawful(depth, 1, clock + 1, seed)
    after, shown = lawful(depth, 1, 60, seed + 1)
    inputs = {name: np.concatenate([before[name], after[name]]) & 255 for name in before}
    inputs["rst"] = (np.arange(clock + 61) == clock).astype(int)
    comparison = compare(hdl.Buffer(8, depth=depth), inputs, golden.Buffer(depth=depth))
    assert comparison, comparison.report()
    trace = golden.Buffer(depth=depth).run(inputs)
    for name, values in shown.items():
        assert np.array_equal(trace[name][clock + 1 :], values & 255)


@settings(max_examples=40)
@given(
    st.integers(3, 20), st.integers(1, 20), st.integers(2, 4), SEEDS, st.sampled_from([0.1, 0.6, 1])
)
def test_slices_side_by_side_are_one_fifo(depth, rows, slices, seed, taking):
    rows = min(rows, depth)
    inputs, shown = lawful(depth, rows, 200, seed, taking=taking)
    for name, values in (("i_payload", inputs), ("o_data", shown)):
        values[name] &= 255
    # One write enable for each slice, and one for the credits.
    inputs["i_valid"] *= (2 << slices) - 1
    unit = hdl.Buffer(8, depth=depth, rows=rows, slices=slices)
    trace = simulate(unit, inputs)
    for name, values in shown.items():
        assert np.array_equal(trace[name], values), name


def test_a_value_shows_two_clocks_after_it_came_and_zero_before():
    inputs = {name: np.zeros(10, int) for name in ("claim", "i_valid", "i_payload", "o_ready")}
    inputs["i_payload"][:] = 200
    inputs["claim"][1] = inputs["i_valid"][3] = inputs["o_ready"][7] = 1
    trace = simulate(hdl.Buffer(8, depth=4), inputs)
    assert trace["o_valid"].tolist() == [0] * 5 + [1] * 3 + [0] * 2
    assert trace["o_data"].tolist() == [0] * 5 + [200] * 3 + [0] * 2
    assert trace["ready"].all()


def test_ready_falls_where_no_claim_fits_and_rises_as_values_leave():
    inputs = {name: np.zeros(20, int) for name in ("claim", "i_valid", "i_payload", "o_ready")}
    inputs["claim"][[0, 1]] = 1
    inputs["i_valid"][1:5] = 1
    inputs["o_ready"][[8, 12]] = 1
    trace = simulate(hdl.Buffer(8, depth=5, rows=2), inputs)
    # Five places, four claimed; another claim of two fits a clock after the first value left.
    assert trace["ready"].tolist() == [1, 1] + [0] * 7 + [1] * 11


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize(("depth", "rows", "least"), [(2, 1, 3), (0, 1, 3), (4, 5, 5)])
def test_a_buffer_too_small_is_refused(depth, rows, least):
    with pytest.raises(ValueError, match=f"depth = {depth}: at least {least} are needed"):
        hdl.Buffer(8, depth=depth, rows=rows)
    gc.collect()  # here, where what was never used may go without a warning


def clock_by_clock(offered, taken, latency, depth, rows):
    """What `schedule` computes at once: ready, head and the clocks of the claims."""
    ready, head, claims, arrivals = [], [], [], []
    free, left, next_claim = depth, 0, 0
    for clock, (offer, take) in enumerate(zip(offered, taken)):
        ready.append(free >= rows and clock >= next_claim)
        shows = left < len(arrivals) and arrivals[left] <= clock
        head.append(left if shows else -1)
        if ready[-1] and offer:
            claims.append(clock)
            arrivals += range(clock + latency, clock + latency + rows)
            free -= rows
            next_claim = clock + rows
        if shows and take:
            left += 1
            free += 1
    return ready, head, claims


@settings(max_examples=300)
@given(
    st.integers(1, 12),
    st.integers(1, 6),
    st.integers(0, 9),
    st.sampled_from([0.1, 0.5, 0.9, 1.0]),
    st.sampled_from([0.1, 0.5, 0.9, 1.0]),
    st.lists(st.integers(1, 100) | st.integers(256, 500), min_size=1, max_size=8),
    SEEDS,
)
def test_a_schedule_is_that_of_a_queue_clock_by_clock(
    latency, rows, spare, offering, taking, cuts, seed
):
    """However it is cut: with few places, and with so many that a consumer that always takes needs
    no credits.
    """
    rng = np.random.default_rng(seed)
    clocks, depth = sum(cuts), rows + spare
    offered, taken = rng.random(clocks) < offering, rng.random(clocks) < taking
    ready, head, claims = clock_by_clock(offered, taken, latency, depth, rows)
    queue, done, left = Queue(), 0, 0
    for cut in cuts:
        span = slice(done, done + cut)
        times = schedule(queue, offered[span], taken[span], latency=latency, depth=depth, rows=rows)
        assert times.ready.tolist() == ready[span]
        assert np.where(times.head < 0, -1, times.head + left).tolist() == head[span]
        made = [claim for claim in claims if done <= claim < done + cut]
        assert (times.claims + done).tolist() == made
        queue, _ = show(queue, times, {"number": np.zeros(len(made) * rows, int)})
        assert len(queue.arrivals) <= depth
        done, left = done + cut, left + times.left
