"""Many independent jobs on dask.distributed: processes of this machine, or a cluster's workers.

A job is a function of this package with arguments that can be pickled, and may say how far it is.
Results come as they are done. When a worker dies, its job is taken up by another; a job whose
workers die again and again is given up.
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

#: Told what a job is doing.
Say = Callable[[str], None]
#: A job: called with its arguments and with `Say`.
Job = Callable[..., Any]

#: Workers that a job may lose before it is given up.
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
    """Results of `job(*task, say)` as they are done, with the task's number.

    Parameters
    ----------
    job
        A function that workers can import.
    tasks
        The arguments of each call.
    scheduler
        Address of a dask scheduler; its workers need this package and the tools. Without it,
        processes of this machine; a single task is then run in this one.
    workers
        Processes of this machine: as many as cores without it, and no more than tasks.
    patience
        Seconds to wait for the scheduler.
    listener
        Told a task's number and what it is doing.

    Raises
    ------
    JobsError
        dask.distributed is missing, the scheduler cannot be reached, or a job was given up.
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
            # What killed workers leave behind goes with the folder.
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="gradloom-jobs-"))
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
    """Processes that are started in here, and by threads that are, never see Ctrl-C: this one ends
    them.

    On Linux alone: elsewhere a tool would not end with the worker that started it, and has to see
    it itself.
    """
    if sys.platform != "linux":
        yield
        return
    # It would unblock the signal when it starts, and starts with the first process.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _spoken(job: Job, task: tuple[Any, ...], number: int, topic: str) -> Any:
    """In a worker: the job, and what it says sent to whoever waits for it."""
    from distributed import get_worker

    worker = get_worker()
    return job(*task, lambda text: worker.log_event(topic, (number, text)))
