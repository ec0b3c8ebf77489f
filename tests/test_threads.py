"""Work on parts: all of them, once, by however many threads."""

import subprocess
import sys
from threading import Barrier

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from golden import threads


@pytest.fixture
def fresh(monkeypatch):
    """A process that has not asked yet; how many threads there are is asked once."""
    threads.threads.cache_clear()
    yield monkeypatch
    threads.threads.cache_clear()


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("parts", [0, 1, 3, 40])
def test_every_part_is_done_once(fresh, parts, count):
    fresh.setenv("OPENBLAS_NUM_THREADS", str(count))
    assert threads.threads() == count
    done = np.zeros(parts, np.int64)

    def work(part):
        done[part] += 1

    threads.each(work, range(parts))
    assert np.all(done == 1)


@pytest.mark.parametrize("count", [1, 3])
def test_what_a_part_raises_comes_out(fresh, count):
    fresh.setenv("OPENBLAS_NUM_THREADS", str(count))
    for bad in range(4):
        with pytest.raises(ZeroDivisionError):
            threads.each(lambda part, bad=bad: 1 // (part - bad), range(4))


def test_blas_says_how_many(fresh):
    fresh.setenv("OPENBLAS_NUM_THREADS", "")
    fresh.setenv("OMP_NUM_THREADS", "7")
    assert threads.threads() == 7
    threads.threads.cache_clear()
    fresh.setenv("OMP_NUM_THREADS", "many")
    assert threads.threads() >= 1


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize(("size", "most", "width"), [(0, 3, 1), (7, 3, 1), (7, 0, 1 << 20)])
def test_slices_are_all_rows_once(fresh, count, size, most, width):
    fresh.setenv("OPENBLAS_NUM_THREADS", str(count))
    found = threads.slices(size, most, width)
    assert [row for part in found for row in range(part.start, part.stop)] == list(range(size))
    assert all(part.stop - part.start <= max(most, 1) for part in found)


def test_slices_keep_all_threads_busy_or_one():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads, "threads", lambda: 3)
        assert len(threads.slices(1000, 1000, 1 << 10)) == 3
        assert len(threads.slices(1000, 300, 1 << 10)) == 6
        assert len(threads.slices(2, 2, 1 << 20)) == 2
        assert len(threads.slices(1000, 1000)) == 1


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_blas_is_held_at_one_thread_meanwhile(monkeypatch):
    """However deep, from whichever thread, and whatever is raised."""
    monkeypatch.setattr(threads, "threads", lambda: 2)
    with threadpool_limits(limits=2, user_api="blas"):
        before = blas_threads()
        found = []
        with threads.blas_alone():
            threads.each(lambda _: found.append(blas_threads()), range(4))
            found.append(blas_threads())
        assert blas_threads() == before
        threads.each(lambda _: found.append(blas_threads()), range(2))
        with pytest.raises(ZeroDivisionError):
            threads.each(lambda part: found.append(blas_threads()) or 1 // part, range(2))
        assert blas_threads() == before
    assert found == [{1}] * len(found) and len(found) == 9


def test_work_within_work(monkeypatch):
    monkeypatch.setattr(threads, "threads", lambda: 3)
    done = np.zeros((4, 5), np.int64)

    def row(i):
        def element(j):
            done[i, j] += 1

        threads.each(element, range(5))

    threads.each(row, range(4))
    assert np.all(done == 1)


def test_a_fork_has_workers_of_its_own(monkeypatch):
    monkeypatch.setattr(threads, "threads", lambda: 2)
    done = []
    threads.each(done.append, range(2))
    assert sorted(done) == [0, 1] and threads._idle
    code = (
        "import os, numpy as np; from golden import threads; threads.threads = lambda: 2\n"
        "threads.each(lambda part: None, range(2))\n"
        "if os.fork(): os._exit(os.waitstatus_to_exitcode(os.wait()[1]))\n"
        "done = []; threads.each(done.append, range(2)); os._exit(sorted(done) != [0, 1])\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_scratch_is_handed_out_again_to_the_same_thread_alone(monkeypatch):
    monkeypatch.setattr(threads, "threads", lambda: 2)
    first = threads.scratch((3, 4), np.float64)
    assert first.shape == (3, 4) and first.dtype == np.float64
    assert np.shares_memory(first, threads.scratch((5,), np.float32))
    assert not np.shares_memory(first, threads.scratch((5,), np.float32, "other"))
    barrier, found = Barrier(2), []

    def work(part):
        mine = threads.scratch((1000,), np.int64, "own")
        mine[:] = part
        barrier.wait()
        found.append(np.all(mine == part))

    threads.each(work, range(2))
    assert found == [True, True]
