"""Runs many independent jobs on dask.distributed: on this machine, or on a cluster's workers.

A job is a function that workers can import, with arguments that can be pickled, and may report its
progress. Results come in the order in which jobs end. The job of a worker that dies is started
again on another one, up to a limit.
"""

import importlib.util
import logging
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from typing import Any

from golden import caches

#: Called with a description of a job's present step.
Say = Callable[[str], None]
#: A job: called with its arguments and with `Say`.
Job = Callable[..., Any]

#: How many workers may die at a job before it is given up.
MOST_LOST = 3


class JobsError(Exception):
    """The jobs cannot be run, or one of them was given up."""


def run(
    job: Job,
    tasks: Sequence[tuple[Any, ...]],
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    patience: float = 20,
    listener: Callable[[int, str], None] = lambda number, text: None,
) -> Iterator[tuple[int, Any]]:
    """Run `job(*task, say)` for every task.

    Parameters
    ----------
    job
        A function that workers can import.
    tasks
        The arguments of each call.
    scheduler
        Address of a dask scheduler, whose workers need this package and the tools. Without it the
        tasks run in processes of this machine, and a single task in this process.
    workers
        Number of processes on this machine; by default that of the cores. It is never more than
        the number of tasks.
    patience
        Seconds to wait for the scheduler.
    listener
        Called with a task's number and a description of its present step.

    Yields
    ------
    number : int
        Number of a task that is done.
    result
        What the job returned.

    Raises
    ------
    JobsError
        dask.distributed is missing, the scheduler cannot be reached, or a job was given up.

    Examples
    --------
    >>> list(run(lambda number, say: number**2, [(3,)]))
    [(0, 9)]
    """
    if len(tasks) == 1 and scheduler is None:
        yield 0, job(*tasks[0], lambda text: listener(0, text))
        return
    if importlib.util.find_spec("distributed") is None:
        raise JobsError(
            "several jobs, or --scheduler, need dask.distributed: pip install 'gradloom[fpga]'"
        )
    yield from _distributed(job, tasks, scheduler, workers, patience, listener)


def _distributed(
    job: Job,
    tasks: Sequence[tuple[Any, ...]],
    scheduler: str | None,
    workers: int | None,
    patience: float,
    listener: Callable[[int, str], None],
) -> Iterator[tuple[int, Any]]:
    import dask
    from distributed import Client, KilledWorker, LocalCluster, as_completed

    settings = {"distributed.scheduler.allowed-failures": MOST_LOST}
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(settings))
        if scheduler is None:
            # Files that killed workers leave behind are removed with the folder.
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="gradloom-jobs-"))
            caches.home()  # for all of them, if it is a temporary one
            with _ctrl_c_is_ours():
                cluster = LocalCluster(
                    n_workers=min(workers or os.cpu_count() or 1, len(tasks)),
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address="127.0.0.1:0",  # any port that is free
                    memory_limit=0,  # dask does not see what the tools take
                    silence_logs=logging.CRITICAL,
                    local_directory=folder,
                    env={"TMPDIR": folder},
                )
            stack.enter_context(cluster)
            client = stack.enter_context(Client(cluster))
        else:
            try:
                client = stack.enter_context(Client(scheduler, timeout=patience))
            except (OSError, TimeoutError, ValueError) as error:
                raise JobsError(f"scheduler {scheduler}: {error}") from error
        topic = f"gradloom-{client.id}"
        client.subscribe_topic(topic, lambda event: listener(*event[1]))
        stack.callback(client.unsubscribe_topic, topic)
        with warnings.catch_warnings():
            # A netlist travels with its job, so that it survives the worker.
            warnings.filterwarnings("ignore", "Sending large graph")
            futures = {
                client.submit(_spoken, job, task, number, topic, pure=False): number
                for number, task in enumerate(tasks)
            }
        stack.callback(client.cancel, list(futures), force=True)
        for future in as_completed(list(futures)):
            number = futures[future]
            try:
                result = future.result()
            except KilledWorker as error:
                raise JobsError(
                    f"job {number} was given up: {MOST_LOST + 1} workers ended while "
                    f"they were at it (is there enough memory?)"
                ) from error
            yield number, result


@contextmanager
def _ctrl_c_is_ours() -> Iterator[None]:
    """Processes and threads that are started in this context ignore Ctrl-C: this process ends them.

    This applies to Linux only. Elsewhere a tool does not end with the worker that started it, so it
    must receive Ctrl-C itself.
    """
    if sys.platform != "linux":
        yield
        return
    # The tracker starts with the first process, and would unblock the signal then.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _spoken(job: Job, task: tuple[Any, ...], number: int, topic: str) -> Any:
    """Run a job in a worker, and send its reports of progress to the caller."""
    from distributed import get_worker

    worker = get_worker()
    return job(*task, lambda text: worker.log_event(topic, (number, text)))
