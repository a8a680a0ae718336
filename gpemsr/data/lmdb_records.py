"""What LMDBs record of themselves in ``volume.json``: how LR was made, and of each volume where it is from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpemsr import __version__
from gpemsr.data.degradations import REAL, complete_parameters
from gpemsr.data.real_lr import RealLR
from gpemsr.data.volumes.volume import Volume

if TYPE_CHECKING:
    from gpemsr.data.lmdb_job import Contents, Geometry, LmdbJob


def describe_lmdb(job: LmdbJob, split: str | None, scale: int) -> dict:
    """What is the same for all volumes of an LMDB."""
    how = {"kind": REAL} if job.lr else {"kind": job.degradation, "seed": job.seed}
    parameters = {} if job.lr else complete_parameters(job.degradation, job.parameters)
    return {
        "format": 1,
        "gpemsr_version": __version__,
        "scale": scale,
        "degradation": None if scale == 1 else {**how, **parameters},
        "split": split,
    }


def describe_volume(
    volume: Volume, job: LmdbJob, geometry: Geometry, contents: Contents, split: str | None, scale: int
) -> dict:
    """What an LMDB records of a volume."""
    sources, stored = contents.sources, contents.stored
    voxel_size = None
    if volume.voxel_size is not None:
        z, y, x = volume.voxel_size
        voxel_size = [z * job.every, y * scale, x * scale]
    sections = geometry.sections[split]
    replaced = [{"section": number, "replaced_by": sources[number]} for number in sections if sources[number] != number]
    fits = [job.lr.fits[sources[number]] for number in sections] if job.lr and scale > 1 else []
    real = {"lr_source": _lr_source(job.lr), "registration": [fit._asdict() for fit in fits]} if job.lr and fits else {}
    return {
        **real,
        "source": {
            "path": str(volume.source),
            "dataset": volume.dataset,
            "shape": list(volume.shape),
            "first_section": volume.numbers[0],
            "dtype": str(volume.dtype),
            "grey_values": {"offset": stored.offset, "step": stored.step},  # value = offset + step * what is stored
            "voxel_size": None if volume.voxel_size is None else list(volume.voxel_size),
        },
        "voxel_size": voxel_size,
        "sections": sections,
        "missing_sections": replaced,
        "blank_sections": [number for number in sections if number in contents.blank],
        "intensity_range": [stored.grey_range.low, stored.grey_range.high],
        "split_range": None if split is None else list(job.splits[split]),
        "crop": {"z": list(geometry.z), "y": list(geometry.y), "x": list(geometry.x)},
        "every": job.every,
    }


def _lr_source(real: RealLR) -> dict:
    volume, grey_range = real.lr, real.grey_range
    return {
        "path": str(volume.source),
        "dtype": str(volume.dtype),
        "intensity_range": [grey_range.low, grey_range.high],
        "voxel_size": None if volume.voxel_size is None else list(volume.voxel_size),
    }
