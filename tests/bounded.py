"""Bounds on time and memory for code that reads files of unknown origin."""

import resource
import signal
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def bounded(seconds=10, memory=1 << 29):
    """Raise TimeoutError after `seconds`, and MemoryError beyond `memory` bytes more than now."""

    def late(number, frame):
        raise TimeoutError(f"more than {seconds} s")

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + memory, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
