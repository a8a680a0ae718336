"""Super-resolving a whole volume: preparing a run, doing its tasks in order, and finishing it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from gpemsr import __version__, compat, register
from gpemsr.data.grey_values import GreyRange, choose_range
from gpemsr.data.survey import survey
from gpemsr.data.volumes.formats import writable
from gpemsr.data.volumes.reader import open_volume
from gpemsr.data.volumes.volume import Volume
from gpemsr.errors import InputError
from gpemsr.files import remove, sha256
from gpemsr.volume.convert import convert
from gpemsr.volume.network import VolumeNetwork
from gpemsr.volume.plan import Job, Plan
from gpemsr.volume.preflight import Cost, Needs, choose_sizes, probe
from gpemsr.volume.run import DiskFull, Run, Task, disk_errors, log, stored_plan
from gpemsr.volume.stack import LRStack, Region, fingerprint, sample
from gpemsr.volume.tiles import Grid
from gpemsr.volume.trust import plan_trust
from gpemsr.volume.trust_summary import write_summary

TRIES = 2
Execute = Callable[[Run, Sequence[Task], Callable[[], object]], Iterable[tuple[Task, Exception | None]]]


class BlocksFailed(Exception):
    """Some blocks could not be super-resolved.

    Attributes:
        errors: one line for each.
    """

    def __init__(self, errors: list[str]) -> None:
        super().__init__("; ".join(errors))
        self.errors = errors


def prepare(job: Job, resume: bool = False, is_worker: bool = False) -> tuple[Run, Needs]:
    """Open and check all that a job needs, and plan it; writes nothing.

    Args:
        job: what to do.
        resume: go on with a run that was begun; its sizes are taken where the job has none.
        is_worker: only a worker of a run, which measures nothing.

    Raises:
        InputError: whatever is wrong, in one line.
    """
    check_output(job, resume)
    register()
    compat.apply()
    stored = stored_plan(job.folder) if job.folder.exists() else None
    device = torch.device(job.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    network = VolumeNetwork(job.options, job.weights, device, job.precision)
    with ExitStack() as opened:
        volume = opened.enter_context(open_source(job, "keep"))
        is_strict = (job.on_missing or ("keep" if job.mask else "replace")) == "replace"
        strict = opened.enter_context(open_source(job, "replace")) if is_strict else None
        region = resolve_region(job, volume)
        if volume.voxel_size is None:
            raise InputError(f"{job.source}: voxel size unknown; --voxel-size Z Y X is expected, in nm")
        grey_range = resolve_range(job, volume)
        mask = None if job.mask is None else Path(job.mask)
        stack = LRStack(volume, grey_range, region, job.missing, mask, strict)
        cost = (Cost(0, 0, 0) if is_worker else probe(network)).times(2 if job.trust == "full" else 1)
        itemsize = volume.dtype.itemsize
        chosen: dict[str, Any] = choose_sizes(job, stack.shape, itemsize, network.scale, cost, device)
        if stored is not None:
            chosen = {name: value if getattr(job, name, None) is not None else getattr(stored, name)
                      for name, value in chosen.items()}  # fmt: skip
        grid = Grid(stack.shape, *(chosen[name] for name in ("tile", "overlap", "halo", "depth", "tiles")))
        plan = Plan(
            version=__version__,
            source={
                "fingerprint": fingerprint(volume),
                "shape": list(volume.shape),
                "dtype": volume.dtype.name,
            },
            region=region,
            voxel_size=volume.voxel_size,
            translation=volume.translation,
            grey_range=(grey_range.low, grey_range.high),
            mask=None if stack.mask is None else fingerprint(stack.mask),
            missing=sorted(job.missing),
            weights=None if job.weights is None else sha256(Path(job.weights).expanduser()),
            network=dict(network.section),
            num_frame=network.num_frame,
            scale=network.scale,
            precision=job.precision,
            **chosen,
            blocks=stack.blocks_with_tissue(grid),
            pyramid=job.path.suffix == ".zarr",
            ome_version=job.ome_version,
            **plan_trust(job, network, stack.shape),
        )
        if stored is not None:
            plan.refuse_unless_same(stored, job.folder)
        needs = Needs.of(plan, cost, itemsize, is_staged=not plan.pyramid)
        if stored is None:
            needs.refuse_full_disk(job.path)
        opened.pop_all()  # the run closes them
    return Run(job, plan, stack, network), needs


def check_output(job: Job, resume: bool) -> None:
    """Raise :class:`InputError` unless the output can be made."""
    path = job.path
    if path.suffix != ".zarr" and path.suffix.lower() not in writable():
        raise InputError(f"{path}: not a format that is written; expected .zarr, {', '.join(writable())}")
    if path.exists():
        raise InputError(f"{path} exists; expected the name of a new volume")
    if not path.absolute().parent.is_dir():
        raise InputError(f"{path}: no such folder")
    if job.folder.exists() and not resume:
        raise InputError(f"{job.folder}: a run that has not ended; --resume goes on with it, or remove that folder")
    if resume and not job.folder.exists():
        raise InputError(f"{job.folder}: no run to go on with")
    with disk_errors(path):
        probe_file = path.with_name(f".{path.name}.probe")
        probe_file.touch()
        remove(probe_file)


def open_source(job: Job, on_missing: str) -> Volume:
    """The LR volume. Raises :class:`InputError` as the readers do."""
    how: dict[str, Any] = {"level": job.level, "channel": job.channel, "time": job.time}
    return open_volume(job.source, job.dataset, job.voxel_size, on_missing=on_missing, **how)


def resolve_range(job: Job, volume: Volume) -> GreyRange:
    """Which grey values become 0 and 1. Raises :class:`InputError` where the job has to say."""

    def observed() -> tuple[float, float]:
        found = survey(volume, volume.numbers, slice(0, volume.shape[1]), slice(0, volume.shape[2]))
        return found.low, found.high

    choice = GreyRange(*job.grey_range) if isinstance(job.grey_range, tuple) else job.grey_range
    chosen = choose_range(choice, volume.dtype, observed, lambda: sample(volume, 32), job.source)
    seen = np.concatenate([part.ravel() for part in sample(volume)])
    chosen.warn_if_unused(float(seen.min()), float(seen.max()), job.source)
    return chosen


def resolve_region(job: Job, volume: Volume) -> Region:
    """The job's region as positions. Raises :class:`InputError` unless it is within the volume."""
    first = volume.numbers[0]
    spans = []
    for axis, (start, stop), origin, size in zip("zyx", job.region, (first, 0, 0), volume.shape, strict=True):
        low = origin if start is None else start
        high = origin + size if stop is None else stop
        if not origin <= low < high <= origin + size:
            raise InputError(f"{job.source}: region {axis} {low}:{high} is not within {origin}:{origin + size}")
        spans.append((low - origin, high - origin))
    z, y, x = spans
    return z, y, x


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
        job: what to do.
        resume: go on with a run that was begun.
        part: (i, n): only every n-th block, from the i-th on; i counts from 1.
        execute: does tasks, such as :class:`gpemsr.volume.scheduler.Scheduler`; one after the other by default.
        progress: show a bar.

    Returns:
        What :meth:`gpemsr.volume.run.Run.summary` says; None if other parts are still to be done.

    Raises:
        InputError: bad input, before anything is written; a full disk.
        BlocksFailed: some blocks failed twice; the others are done.
    """
    run, _ = prepare(job, resume or (part is not None and job.folder.exists()))
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
                text = " ".join(str(error).split()) or type(error).__name__
                kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
                errors.append(f"{run.name(task)}: {kind}{text}")
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
