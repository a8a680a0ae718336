"""Super-resolving a whole volume: doing the tasks of a run in order, and finishing it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from gpemsr.errors import InputError, one_line
from gpemsr.volume.convert import convert
from gpemsr.volume.disk import DiskFull, disk_errors
from gpemsr.volume.finished import stored_note, verify_finished
from gpemsr.volume.plan import Job
from gpemsr.volume.planning import prepare
from gpemsr.volume.run import Run, Task, log
from gpemsr.volume.trust_summary import write_summary

TRIES = 2
Execute = Callable[[Run, Sequence[Task], Callable[[], object]], Iterable[tuple[Task, Exception | None]]]


class BlocksFailed(Exception):
    """Some blocks could not be super-resolved; ``errors`` has a line for each."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("; ".join(errors))
        self.errors = errors


def super_resolve(
    job: Job,
    *,
    resume: bool = False,
    part: tuple[int, int] | None = None,
    execute: Execute | None = None,
    progress: bool = False,
) -> dict[str, Any] | None:
    """Super-resolve a volume, see :class:`~gpemsr.volume.plan.Job`.

    Args:
        part: (i, n): only every n-th block, from the i-th on; i counts from 1.
        execute: does tasks, such as :class:`gpemsr.volume.scheduler.Scheduler`; one after the other by default.

    Returns:
        What :meth:`gpemsr.volume.run.Run.summary` says; None if other parts are still to be done.

    Raises:
        InputError: bad input, before anything is written; a full disk.
        BlocksFailed: some blocks failed twice; the others are done.
    """
    run, _ = prepare(job, resume or (part is not None and job.is_begun))
    return perform(run, resume=resume, part=part, execute=execute, progress=progress)


def perform(
    run: Run,
    *,
    resume: bool = False,
    part: tuple[int, int] | None = None,
    execute: Execute | None = None,
    progress: bool = False,
) -> dict[str, Any] | None:
    """Do a prepared run; arguments and result as those of :func:`super_resolve`."""
    if run.job.path.exists():  # finished
        if resume:
            verify_finished(run.job.path, run.layout.shape)
        return stored_note(run.job.path)
    execute = execute or one_after_the_other
    with disk_errors(run.job.path):
        run.create()
    with log_file(run.job.path):
        log.info("begun: %s", run.plan.to_json())
        if resume:
            for name in run.verify():
                log.info("%s is not what was written, and is done again", name)
        tasks = run.tasks(0)
        if part is not None:
            chosen = set(list(run.plan.wanted)[part[0] - 1 :: part[1]])
            tasks = [task for task in tasks if task[1] in chosen]
        do_all(run, tasks, execute, progress, "super-resolve")
        if not run.is_done():
            return None
        with run.only_finisher() as is_mine:
            if not is_mine:
                return None
            for level in range(1, len(run.layout.factors)):
                do_all(run, run.tasks(level), execute, progress, f"pyramid {level}")
            write_summary(run)
            summary = run.finish() if run.plan.pyramid else convert(run, progress)
        log.info("done: %s", summary)
    return summary


def do_all(run: Run, tasks: Sequence[Task], execute: Execute, progress: bool, name: str) -> None:
    """Do tasks, with a bar. Raises :class:`BlocksFailed` after the others are done, :class:`DiskFull` at once."""
    is_blocks = bool(tasks) and tasks[0][0] == 0
    errors = []
    unit = "section" if run.grid.is_whole else "tile section"
    with tqdm(
        total=sum(map(run.steps, tasks)), unit=unit if is_blocks else "shard", desc=name, disable=not progress
    ) as bar:
        for task, error in execute(run, tasks, bar.update):
            if isinstance(error, DiskFull):
                raise error
            if error is not None:
                kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
                errors.append(f"{run.name(task)}: {kind}{one_line(error)}")
                log.error(errors[-1])
    if errors:
        raise BlocksFailed(errors)


def one_after_the_other(
    run: Run, tasks: Sequence[Task], advance: Callable[[], object]
) -> Iterator[tuple[Task, Exception | None]]:
    """Do tasks in this process; yields each with the error of its last try, if that failed."""
    for task in tasks:
        yield task, tried(run, task, advance)


def tried(run: Run, task: Task, advance: Callable[[], object] = lambda: None) -> Exception | None:
    """Do a task, again if it fails; the error of the last try."""
    for remaining in reversed(range(TRIES)):
        try:
            run.do(task, advance)
        except DiskFull as error:
            return error
        except Exception as error:
            log.warning("%s: %s; %d tries left", run.name(task), error, remaining)
            failed = error
        else:
            return None
    return failed


@contextmanager
def log_file(path: Path) -> Iterator[None]:
    """Append what happens to ``<output>.log``."""
    handler = logging.FileHandler(path.with_name(f"{path.name}.log"), delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    level, propagates = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.close()
        log.setLevel(level)
        log.propagate = propagates
