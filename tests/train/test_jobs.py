"""Many independent jobs: dead workers, errors, schedulers."""

import os
import re
import signal
from importlib.util import find_spec
from pathlib import Path

import pytest

from boards.flow.tools import FlowError
from gradloom import jobs

distributed = pytest.mark.skipif(
    find_spec("distributed") is None, reason="dask.distributed is not installed"
)


def square(number, folder, say):
    """A job that kills its worker, but only once."""
    say("at it")
    trace = Path(folder) / f"killed-{number}"
    if number == 2 and not trace.exists():
        trace.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def deadly(say):
    os.kill(os.getpid(), signal.SIGKILL)


def failing(number, say):
    raise FlowError(f"job {number} says no")


@distributed
def test_a_dead_workers_job_is_taken_up_again(tmp_path):
    heard = set()
    tasks = [(number, str(tmp_path)) for number in range(4)]
    done = dict(
        jobs.run(square, tasks, workers=2, listener=lambda number, text: heard.add((number, text)))
    )
    assert (tmp_path / "killed-2").exists()
    assert done == {0: 0, 1: 1, 2: 4, 3: 9}
    assert heard == {(number, "at it") for number in range(4)}


@distributed
@pytest.mark.long
def test_a_job_that_kills_every_worker_is_given_up():
    with pytest.raises(jobs.JobsError, match="was given up: 4 workers"):
        list(jobs.run(deadly, [(), ()], workers=1))


@distributed
def test_a_jobs_error_is_the_callers():
    with pytest.raises(FlowError, match="says no"):
        list(jobs.run(failing, [(1,), (2,)], workers=1))


def test_one_job_needs_no_cluster(monkeypatch):
    monkeypatch.setattr(jobs.importlib.util, "find_spec", lambda name: None)
    assert list(jobs.run(square, [(3, "")])) == [(0, 9)]
    with pytest.raises(jobs.JobsError, match=re.escape("pip install 'gradloom[fpga]'")):
        list(jobs.run(square, [(3, ""), (4, "")]))


@distributed
def test_a_schedulers_workers_run_the_jobs(tmp_path):
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0"
    ) as cluster:
        address = cluster.scheduler_address
        assert list(jobs.run(square, [(5, str(tmp_path))], scheduler=address, patience=600)) == [
            (0, 25)
        ]


@distributed
def test_a_scheduler_that_is_not_there_is_told():
    with pytest.raises(jobs.JobsError, match=r"scheduler tcp://127.0.0.1:1"):
        list(jobs.run(square, [(3, "")], scheduler="tcp://127.0.0.1:1", patience=1))
