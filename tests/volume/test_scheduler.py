"""Blocks done by Dask workers: the bytes of one process, also when a worker is killed."""

import os
import signal

import pytest

from gpemsr.errors import InputError
from gpemsr.volume import scheduler
from gpemsr.volume.perform import perform, super_resolve
from gpemsr.volume.planning import prepare

pytest.importorskip("distributed", reason="the extra 'dask' is not installed")


def shards(job) -> dict[str, bytes]:
    return {str(file.relative_to(job.path)): file.read_bytes() for file in job.path.glob("[0-9]/c/*/*/*")}


@pytest.mark.slow
def test_workers_give_the_bytes_of_one_process_also_if_one_is_killed(job):
    alone, together = job(depth=1), job(output="b.zarr", depth=1)
    super_resolve(alone)
    run, _ = prepare(together)
    run.create()
    with scheduler.Scheduler("local:1", threads=1) as execute:
        pids = execute.pids()

        def kill_first(_: int) -> None:
            if pids:
                os.kill(pids.pop(), signal.SIGKILL)

        assert {task: error for task, error in execute(run, run.tasks(0), kill_first)} == {
            (0, number): None for number in range(5)
        }
        assert perform(run, execute=execute) is not None
    assert shards(together) == shards(alone)


def test_a_worker_says_what_went_wrong_as_an_error_of_ours(job, monkeypatch):
    run, _ = prepare(job(depth=5))
    run.create()
    assert scheduler.do_task(str(run.folder), (0, 0), None) is None
    assert run.tasks(0) == []
    error = scheduler.do_task(str(run.folder), (0, 99), None)
    assert isinstance(error, RuntimeError) and "ValueError" in str(error)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    scheduler._run_of.cache_clear()
    error = scheduler.do_task(str(run.folder), (0, 0), None)
    assert isinstance(error, InputError) and "a worker sees 2 GPUs; expected one" in str(error)


@pytest.mark.parametrize("address", ["local:0", "local", "localhost:8786"])
def test_other_addresses_are_refused(address):
    with pytest.raises(InputError, match=r"expected local:N or tcp://host:port"):
        scheduler.Scheduler(address)
