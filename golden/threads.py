"""Threads over parts of large arrays.

NumPy releases the interpreter's lock in its loops and products, so threads run in parallel. Each
part is computed separately, so results do not depend on the number of threads.

BLAS has its own threads, which wait for work in a busy loop and so occupy the cores. While the
threads here are at work, BLAS is limited to one thread.
"""

import math
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from threading import Lock, Thread, local
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray
from threadpoolctl import ThreadpoolController

_Part = TypeVar("_Part")


@cache
def threads() -> int:
    """Return the number of threads to use.

    It is that of the variable OPENBLAS_NUM_THREADS or OMP_NUM_THREADS, which NumPy's BLAS reads
    too; otherwise one per core.
    """
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        number = os.environ.get(name, "")
        if number.isdecimal() and int(number):
            return int(number)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Worker:
    """A thread that waits for work. It is woken through plain locks: a slower way would dominate
    the time of short loops.
    """

    def __init__(self) -> None:
        self._wanted, self._done = Lock(), Lock()
        self._wanted.acquire()
        self._done.acquire()
        self._work: Callable[[], None] = lambda: None
        self._error: BaseException | None = None
        Thread(target=self._run, daemon=True, name="golden").start()

    def _run(self) -> None:
        while True:
            self._wanted.acquire()
            try:
                self._work()
            except BaseException as error:
                self._error = error
            self._done.release()

    def start(self, work: Callable[[], None]) -> None:
        self._work = work
        self._wanted.release()

    def wait(self) -> BaseException | None:
        """Wait for the end of the work; return its exception, or None."""
        self._done.acquire()
        error, self._error, self._work = self._error, None, lambda: None
        return error


#: Data of each thread: `working`, set while it works on parts, and `buffers`, its scratch arrays.
_own = local()

#: Workers without work.
_idle: list[_Worker] = []


def _worker() -> _Worker:
    try:
        return _idle.pop()
    except IndexError:
        return _Worker()


def _forget() -> None:
    """Drop the workers in a forked process, to which their threads are not copied."""
    _idle.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # slow: it searches the process's libraries


class _Held:
    """Number of callers that limit BLAS to one thread, and the end of the limit."""

    lock = Lock()
    holders = 0
    release = ExitStack()


@contextmanager
def blas_alone() -> Iterator[None]:
    """Limit BLAS to one thread within the block.

    Blocks may be nested, and several threads may enter them.
    """
    if threads() < 2:  # BLAS has one thread as well
        yield
        return
    with _Held.lock:
        if not _Held.holders:
            _Held.release.enter_context(_controller().limit(limits=1, user_api="blas"))
        _Held.holders += 1
    try:
        yield
    finally:
        with _Held.lock:
            _Held.holders -= 1
            if not _Held.holders:
                _Held.release.close()


def each(work: Callable[[_Part], None], parts: Sequence[_Part]) -> None:
    """Call `work` for every part, in `threads()` threads; parts must not overlap.

    A nested call runs in the calling thread alone, as all other threads are busy.

    Examples
    --------
    >>> values = np.arange(5)
    >>> def double(part):
    ...     values[part] *= 2
    >>> each(double, [slice(0, 3), slice(3, 5)])
    >>> values.tolist()
    [0, 2, 4, 6, 8]
    """
    count = min(threads(), len(parts))
    if count < 2 or getattr(_own, "working", False):
        for part in parts:
            work(part)
        return
    # Each thread begins with parts next to each other, the same ones in every loop, whose data may
    # still be in its core's cache. Then it takes over parts of the other threads.
    cuts = [len(parts) * share // count for share in range(count + 1)]
    left = [deque(parts[start:stop]) for start, stop in zip(cuts, cuts[1:])]
    lock = Lock()

    def work_off(own: int) -> None:
        _own.working = True
        try:
            while True:
                with lock:
                    fullest = max(left, key=len)
                    if left[own]:
                        part = left[own].popleft()
                    elif fullest:
                        part = fullest.pop()
                    else:
                        return
                work(part)
        finally:
            _own.working = False

    with blas_alone():
        others = [_worker() for _ in range(1, count)]
        for own, other in enumerate(others, 1):
            other.start(partial(work_off, own))
        try:
            work_off(0)
        finally:
            errors = [other.wait() for other in others]
            _idle.extend(others)
        for error in errors:
            if error is not None:
                raise error


#: Number of elements below which threads cost more time than they save.
_FEW = 1 << 18


def slices(size: int, most: int, width: int = 1) -> list[slice]:
    """Cut rows into parts of about the same length, for `each`.

    Parameters
    ----------
    size
        Number of rows.
    most
        Largest number of rows per part.
    width
        Elements per row. If there are many elements, there are enough parts for all threads.

    Returns
    -------
    list of slice
        The parts, in order.

    Examples
    --------
    >>> slices(10, 4)
    [slice(0, 3, None), slice(3, 6, None), slice(6, 10, None)]
    """
    count = max(-(-size // max(most, 1)), 1)
    if size * width >= _FEW:
        count = min(-(-count // threads()) * threads(), max(size, 1))
    if count == 1:
        return [slice(0, size)]
    cuts = [size * part // count for part in range(count + 1)]
    return [slice(start, stop) for start, stop in zip(cuts, cuts[1:])]


def scratch(shape: tuple[int, ...], kind: DTypeLike, name: str = "") -> NDArray[Any]:
    """Return an uninitialised array, which the thread's next call with the same name reuses.

    Parameters
    ----------
    shape, kind
        Shape and dtype.
    name
        Name of the memory; arrays in use at the same time need different names.
    """
    buffers: dict[str, NDArray[np.uint8]] = _own.__dict__.setdefault("buffers", {})
    kind = np.dtype(kind)
    size = math.prod(shape) * kind.itemsize
    if name not in buffers or buffers[name].size < size:
        buffers[name] = np.empty(size, np.uint8)
    return buffers[name][:size].view(kind).reshape(shape)
