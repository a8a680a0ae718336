"""Preparing a run: the input is opened and checked before torch and the network are loaded, which takes seconds."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from gpemsr import __version__
from gpemsr.checkpoints.shipped import weights_file
from gpemsr.data.grey_values import GreyRange, choose_range
from gpemsr.data.survey import survey
from gpemsr.data.volumes.formats import writable
from gpemsr.data.volumes.reader import open_volume
from gpemsr.data.volumes.volume import Volume, span_within
from gpemsr.errors import InputError
from gpemsr.files import remove, sha256
from gpemsr.volume.disk import disk_errors
from gpemsr.volume.finished import stored_note
from gpemsr.volume.plan import Job, Plan, stored_plan
from gpemsr.volume.preflight import Cost, Machine, Needs, choose_sizes
from gpemsr.volume.stack import LRStack, Region, fingerprint, sample
from gpemsr.volume.tiles import Grid
from gpemsr.volume.trust import plan_trust

if TYPE_CHECKING:
    from gpemsr.volume.run import Run


class NetworkFacts(Protocol):
    """What a plan depends on of a network, see :class:`~gpemsr.volume.network.VolumeNetwork`."""

    section: dict[str, Any]
    scale: int
    num_frame: int
    has_prior: bool


def prepare(job: Job, resume: bool = False, is_worker: bool = False) -> tuple[Run, Needs]:
    """Open and check all that a job needs, and plan it; writes nothing.

    Args:
        resume: go on with a run that was begun, or finished, whose sizes are taken where the job has none.
        is_worker: only a worker of a run, which measures nothing.

    Raises:
        InputError: whatever is wrong, in one line.
    """
    check_output(job, resume)
    is_finished = job.path.exists()
    known: dict[str, Any] = {}
    if is_finished:
        known = stored_note(job.path)
    elif job.folder.exists():
        known = stored_plan(job.folder).to_json()
    with ExitStack() as opened:
        stack = open_stack(job)
        opened.callback(stack.close)
        if job.weights is not None:
            job = replace(job, weights=str(weights_file(job.weights)))

        from gpemsr import compat, register
        from gpemsr.volume.network import VolumeNetwork, usable_device
        from gpemsr.volume.probe import machine, probe
        from gpemsr.volume.run import Run

        register()
        compat.apply()
        device = usable_device(job.device)
        network = VolumeNetwork(job.options, job.weights, device, job.precision)
        cost = Cost(0, 0, 0) if is_worker or is_finished else probe(network)
        plan, needs = make_plan(job, stack, network, cost, machine(device), known)
        if known:
            plan.refuse_unless_same(known, job.path if is_finished else job.folder)
        else:
            needs.refuse_full_disk(job.path)
        opened.pop_all()  # the run closes it
    return Run(job, plan, stack, network), needs


def make_plan(
    job: Job, stack: LRStack, network: NetworkFacts, cost: Cost, machine: Machine, known: Mapping[str, Any]
) -> tuple[Plan, Needs]:
    """The plan of a job, and what it takes; needs no torch.

    Args:
        known: of the plan that the run was begun with; its sizes are taken where the job has none.

    Raises:
        InputError: sizes do not go together or do not fit into memory.
    """
    volume = stack.volume
    assert volume.voxel_size is not None
    cost = cost.times(2 if job.trust == "full" else 1)
    itemsize = volume.dtype.itemsize
    chosen: dict[str, Any] = choose_sizes(job, stack.shape, itemsize, network.scale, cost, machine)
    chosen |= {name: known[name] for name in chosen.keys() & known.keys() if getattr(job, name, None) is None}
    grid = Grid(stack.shape, *(chosen[name] for name in ("tile", "overlap", "halo", "depth", "tiles")))
    plan = Plan(
        version=__version__,
        source={"fingerprint": fingerprint(volume), "shape": list(volume.shape), "dtype": volume.dtype.name},
        region=stack.region,
        voxel_size=volume.voxel_size,
        translation=volume.translation,
        grey_range=(stack.grey_range.low, stack.grey_range.high),
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
    return plan, Needs.of(plan, cost, itemsize, is_staged=not plan.pyramid)


def check_output(job: Job, resume: bool) -> None:
    """Raise :class:`InputError` unless the output can be made."""
    path = job.path
    if path.suffix != ".zarr" and path.suffix.lower() not in writable():
        raise InputError(f"{path}: not a format that is written; expected .zarr, {', '.join(writable())}")
    if path.exists() and not resume:
        raise InputError(f"{path} exists; expected the name of a new volume")
    if not path.absolute().parent.is_dir():
        raise InputError(f"{path}: no such folder")
    if job.folder.exists() and not resume:
        raise InputError(f"{job.folder}: a run that has not ended; --resume goes on with it, or remove that folder")
    if resume and not job.is_begun:
        raise InputError(f"{job.folder}: no run to go on with")
    with disk_errors(path):
        probe_file = path.with_name(f".{path.name}.probe")
        probe_file.touch()
        remove(probe_file)


def open_stack(job: Job) -> LRStack:
    """The LR stack of a job. Raises InputError if it or its mask cannot be read, or the job has to say more of it."""
    with ExitStack() as opened:
        volume = opened.enter_context(open_source(job, "keep"))
        is_strict = (job.on_missing or ("keep" if job.mask else "replace")) == "replace"
        strict = opened.enter_context(open_source(job, "replace")) if is_strict else None
        region = resolve_region(job, volume)
        if volume.voxel_size is None:
            raise InputError(f"{job.source}: voxel size unknown; --voxel-size Z Y X is expected, in nm")
        mask = None if job.mask is None else Path(job.mask)
        stack = LRStack(volume, resolve_range(job, volume), region, job.missing, mask, strict)
        opened.pop_all()  # the stack closes them
    return stack


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
    spans = []
    for axis, limits, first, size in zip("zyx", job.region, (volume.numbers[0], 0, 0), volume.shape, strict=True):
        start, stop = span_within(limits, first, first + size, f"region {axis}", job.source)
        spans.append((start - first, stop - first))
    z, y, x = spans
    return z, y, x
