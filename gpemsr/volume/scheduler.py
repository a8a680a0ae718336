"""Tasks done by the workers of a Dask cluster, here or elsewhere; a lost worker loses only its block."""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from gpemsr.errors import InputError, one_line
from gpemsr.volume.perform import tried
from gpemsr.volume.plan import stored_job
from gpemsr.volume.planning import prepare
from gpemsr.volume.run import Run, Task

AHEAD = 2  # tasks that are submitted, for each worker


class Scheduler:
    """What :func:`gpemsr.volume.perform.perform` takes as ``execute``; a context manager.

    Args:
        address: ``local:N`` for N worker processes on this machine, each with its own GPU where there are some, or
            ``tcp://host:port`` of a Dask scheduler whose workers see the same files.
        threads: of each worker of ``local:N``; by default the CPUs are shared among them.

    Raises:
        InputError: Dask is absent, the address is none of these, or nobody answers there.
    """

    def __init__(self, address: str, threads: int | None = None) -> None:
        self._stack = contextlib.ExitStack()
        try:
            import distributed
        except ImportError:
            raise InputError(f"--scheduler {address}: needs Dask; pip install gpemsr[dask]") from None
        self._distributed: Any = distributed
        local = re.fullmatch(r"local:([1-9]\d*)", address)
        if local is None and not re.fullmatch(r"(tcp|tls|ucx)://\S+:\d+", address):
            raise InputError(f"--scheduler {address}: expected local:N or tcp://host:port")
        self._threads = threads or max(1, (os.cpu_count() or 1) // int(local[1])) if local else None
        cluster = self._stack.enter_context(self._local(int(local[1]))) if local else address
        try:
            self._client = self._stack.enter_context(distributed.Client(cluster, timeout="20s"))
        except OSError as error:
            self._stack.close()
            raise InputError(f"--scheduler {address}: no answer ({one_line(error)[:120]})") from None

    def _local(self, count: int) -> Any:
        gpus = torch.cuda.device_count()
        options = {"nthreads": 1, "memory_limit": 0, "host": "127.0.0.1", "silence_logs": logging.ERROR}
        workers = {}
        for number in range(count):
            env = {"CUDA_VISIBLE_DEVICES": str(number % gpus)} if gpus else {}
            workers[number] = {"cls": self._distributed.Nanny, "options": {**options, "env": env}}
        scheduler = {
            "cls": self._distributed.Scheduler,
            "options": {"dashboard": False, "host": "127.0.0.1", "port": 0},
        }
        return self._distributed.SpecCluster(workers=workers, scheduler=scheduler, silence_logs=logging.ERROR)

    def __enter__(self) -> Scheduler:
        return self

    def __exit__(self, *exception) -> None:
        self._stack.__exit__(*exception)

    def pids(self) -> list[int]:
        """Of the workers."""
        return list(self._client.run(os.getpid).values())

    def __call__(
        self, run: Run, tasks: Sequence[Task], advance: Callable[[int], object]
    ) -> Iterator[tuple[Task, Exception | None]]:
        """Do tasks; yields each with the error of its last try, if that failed."""
        left = iter(tasks)
        folder = str(run.folder.resolve())
        submitted: dict[str, Task] = {}

        def submit(task: Task) -> Any:
            future = self._client.submit(do_task, folder, task, self._threads, pure=False)
            submitted[future.key] = task
            return future

        count = AHEAD * max(1, len(self._client.scheduler_info()["workers"]))
        futures = self._distributed.as_completed([submit(task) for task in itertools.islice(left, count)])
        for future in futures:
            task = submitted.pop(future.key)
            yield task, future.exception() or future.result()
            advance(run.steps(task))
            for following in itertools.islice(left, 1):
                futures.add(submit(following))


def do_task(folder: str, task: Task, threads: int | None) -> Exception | None:
    """What a worker does; the error of the last try, if that failed."""
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        error = tried(_run_of(folder), task)
    except Exception as raised:
        error = raised
    return error if error is None or isinstance(error, InputError) else RuntimeError(f"{type(error).__name__}: {error}")


@functools.lru_cache(1)
def _run_of(folder: str) -> Run:
    """The run, its network loaded once by each worker."""
    if torch.cuda.device_count() > 1:
        seen = torch.cuda.device_count()
        raise InputError(f"a worker sees {seen} GPUs; expected one (CUDA_VISIBLE_DEVICES)")
    return prepare(stored_job(Path(folder)), resume=True, is_worker=True)[0]
