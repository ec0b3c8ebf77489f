"""Threads over parts of large arrays. NumPy lets go of the interpreter's lock in its loops and
products, so they run side by side; where every part is worked on alone, results do not depend on
how many there are.

BLAS has threads of its own, which wait for work at full speed and so take the cores from others:
whoever works by parts holds it at one.
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
    """How many threads to use: as many as NumPy's BLAS is told to, or one a core."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        told = os.environ.get(name, "")
        if told.isdecimal() and int(told):
            return int(told)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Worker:
    """A thread that waits for something to do. To wake it takes two locks and nothing else: that is
    what short loops feel.
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
        """Wait for the end of the work: what it raised, or None."""
        self._done.acquire()
        error, self._error, self._work = self._error, None, lambda: None
        return error


#: What each thread knows of itself: whether it works on parts, and its scratch arrays.
_own = local()

#: Workers that no one uses.
_idle: list[_Worker] = []


def _worker() -> _Worker:
    try:
        return _idle.pop()
    except IndexError:
        return _Worker()


def _forget() -> None:
    """A forked process has no threads but one."""
    _idle.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # looks through the process's libraries, once


class _Held:
    """How many hold BLAS at one thread, and how to let go of it."""

    lock = Lock()
    holders = 0
    release = ExitStack()


@contextmanager
def blas_alone() -> Iterator[None]:
    """BLAS at one thread meanwhile; it may be nested, and entered by several threads."""
    if threads() < 2:  # so is BLAS
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
    """Do `work` on every part, by as many threads as `threads` says; parts must not overlap.

    Within such work the thread at hand does it alone: the others have work.
    """
    count = min(threads(), len(parts))
    if count < 2 or getattr(_own, "working", False):
        for part in parts:
            work(part)
        return
    # Each thread has a run of parts of its own, whose data its core's cache may still hold from the
    # loop before, and helps the others when done.
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


#: Elements below which threads cost more than they save.
_FEW = 1 << 18


def slices(size: int, most: int, width: int = 1) -> list[slice]:
    """`size` rows of `width` elements in parts of about the same length, at most `most` rows each,
    that keep all threads busy; one after the other where there is little to do.
    """
    count = max(-(-size // max(most, 1)), 1)
    if size * width >= _FEW:
        count = min(-(-count // threads()) * threads(), max(size, 1))
    if count == 1:
        return [slice(0, size)]
    cuts = [size * part // count for part in range(count + 1)]
    return [slice(start, stop) for start, stop in zip(cuts, cuts[1:])]


def scratch(shape: tuple[int, ...], kind: DTypeLike, name: str = "") -> NDArray[Any]:
    """An array of any contents that the thread's next call with that name hands out again."""
    buffers: dict[str, NDArray[np.uint8]] = _own.__dict__.setdefault("buffers", {})
    kind = np.dtype(kind)
    size = math.prod(shape) * kind.itemsize
    if name not in buffers or buffers[name].size < size:
        buffers[name] = np.empty(size, np.uint8)
    return buffers[name][:size].view(kind).reshape(shape)
