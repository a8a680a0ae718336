"""A volume -> LMDBs of its HR sections and of their LR sections, for each split and scale, in one pass."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from gpemsr.data.degradations import Kind, check_degradation, complete_parameters, degrade
from gpemsr.data.em_lmdb import LmdbWriter, check_name, refuse_existing
from gpemsr.data.grey_values import GreyRange, Stored, choose_range
from gpemsr.data.lmdb_records import describe_lmdb, describe_volume
from gpemsr.data.real_lr import RealLR
from gpemsr.data.section_store import open_section_store
from gpemsr.data.survey import survey, valid_section
from gpemsr.data.volumes.volume import Volume, span_within
from gpemsr.errors import InputError
from gpemsr.files import exclusive

Range = tuple[int | None, int | None]


@dataclass
class LmdbJob:
    """What to make of a volume."""

    out: Path
    """Folder of the LMDBs."""
    name: str
    """Their name."""
    volume: str
    """The volume's name in the keys."""
    scales: list[int] = field(default_factory=lambda: [8])
    """HR over LR size of each LR set, such as ``[8, 16]``."""
    degradation: Kind = "bicubic"
    """How LR is made, see :func:`~gpemsr.data.degradations.degrade`."""
    seed: int = 0
    """With the scale and the section number it fixes a section's noise, whatever else is made."""
    parameters: dict[str, float] = field(default_factory=dict)
    """Those of the degradation that differ from its defaults."""
    splits: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Name -> first and last section number, both included; empty: one LMDB of all sections."""
    crop: tuple[Range, Range, Range] = ((None, None),) * 3
    """Half-open (start, stop) along z (section numbers), y and x; None is that end of the volume."""
    every: int = 1
    """Take every k-th section, counted from the first one of the crop."""
    tile: int | None = 256
    """HR sections with a longer side are stored as tiles of this size; None: never."""
    missing: list[int] = field(default_factory=list)
    """Numbers of damaged sections; the nearest earlier valid ones stand in."""
    grey_range: str | GreyRange | None = None
    """Which grey values become 0 and 1, see :func:`~gpemsr.data.grey_values.choose_range`."""
    lr: RealLR | None = None
    """The LR stack that belongs to the volume; None to make LR by the degradation."""
    overwrite: bool = False
    """Replace LMDBs of the same name."""
    append: bool = False
    """Add the volume to LMDBs of the same name."""

    @property
    def stored_scales(self) -> list[int]:
        """Of the sections stored: 1 is HR."""
        return [1, *self.scales]

    def output_path(self, split: str | None, scale: int) -> Path:
        """``<out>/<name>[_<split>]_hr.lmdb`` for scale 1, else ``..._lr_x<scale>.lmdb``."""
        stem = self.name if split is None else f"{self.name}_{split}"
        return self.out / (f"{stem}_hr.lmdb" if scale == 1 else f"{stem}_lr_x{scale}.lmdb")


@dataclass(frozen=True)
class Geometry:
    """Geometry of a job on a volume: HR rows and columns, and per split the sections."""

    y: tuple[int, int]
    x: tuple[int, int]
    z: tuple[int, int]
    sections: dict[str | None, list[int]]


def plan(volume: Volume, job: LmdbJob) -> Geometry:
    """Check that a job can be done on its volume and work out what is read for it; reads no voxels.

    Raises:
        InputError: wrong sizes, section numbers, names or outputs.
    """
    for name in (job.name, job.volume, *job.splits):
        check_name(name)
    if not job.scales or min(job.scales) < 2 or len(set(job.scales)) != len(job.scales):
        raise InputError(f"scales {job.scales}: expected different integers of 2 or more")
    if job.lr and job.scales != [job.lr.scale]:
        raise InputError(f"scales {job.scales}: expected {job.lr.scale}, that of the LR stack")
    largest = max(job.scales)
    if any(largest % scale for scale in job.scales):
        raise InputError(f"scales {job.scales}: the largest one must be a multiple of the others")
    if job.every < 1:
        raise InputError(f"every {job.every}: expected 1 or more")
    if job.tile is not None and (job.tile < largest or job.tile % largest):
        raise InputError(f"tile {job.tile}: expected a multiple of the largest scale {largest}")
    if job.seed < 0:
        raise InputError(f"seed {job.seed}: expected 0 or more")
    numbers = volume.numbers
    ends = zip("zyx", job.crop, (numbers[0], 0, 0), volume.shape, strict=True)
    z, y, x = (span_within(part, first, first + n, f"crop {a}", volume.source) for a, part, first, n in ends)
    y, x = ((start, stop - (stop - start) % largest) for start, stop in (y, x))
    shape = (y[1] - y[0], x[1] - x[0])
    if not all(shape):
        size = " x ".join(str(n) for n in volume.shape[1:])
        raise InputError(
            f"{volume.source}: sections of {size} pixels, or the crop of them, are too small; "
            f"expected at least {largest} x {largest} for scale {largest}"
        )
    for scale in () if job.lr else job.scales:
        check_degradation(shape, scale, job.degradation, **job.parameters)
    sections = _split(range(z[0], z[1], job.every), job.splits, z)
    for number in job.missing:
        if number not in numbers:
            raise InputError(f"missing section {number}: the volume has {numbers[0]}-{numbers[-1]}")
    for split, scale in itertools.product(sections, job.stored_scales):
        if job.append:
            _check_append(job, split, scale)
        else:
            refuse_existing(job.output_path(split, scale), job.overwrite)
    return Geometry(y, x, z, sections)


def make_lmdbs(volume: Volume, job: LmdbJob, progress: bool = True) -> list[Path]:
    """Make all LMDBs of a job; none has its name before all are complete.

    Each section is read twice: what is missing or blank, and which grey values there are, is known before any is
    written. Peak memory is a few sections, whatever their number.

    Returns:
        The paths made.

    Raises:
        InputError: anything wrong with the job, before a file is written; a damaged section; a full disk.
    """
    geometry = plan(volume, job)
    contents = _contents(volume, job, geometry, progress)
    with contextlib.ExitStack() as locks:
        for path in sorted(job.output_path(*part) for part in itertools.product(geometry.sections, job.stored_scales)):
            locks.enter_context(exclusive(path))
        plan(volume, job)  # what is there may have changed
        return _write(volume, job, geometry, contents, progress)


@dataclass(frozen=True)
class Contents:
    """What is stored: of each section taken its source, the blank ones that are kept, and how grey values are."""

    sources: dict[int, int]
    blank: list[int]
    stored: Stored


def _contents(volume: Volume, job: LmdbJob, geometry: Geometry, progress: bool) -> Contents:
    y, x = slice(*geometry.y), slice(*geometry.x)
    taken = sorted(number for chosen in geometry.sections.values() for number in chosen)
    found = survey(volume, [number for number in taken if number not in job.missing], y, x, progress)
    missing = {*job.missing, *found.absent}
    sources: dict[int, int] = {}
    for split, chosen in geometry.sections.items():
        first = geometry.z[0] if split is None else job.splits[split][0]
        sources |= {number: valid_section(volume, number, first, missing, chosen) for number in chosen}
    valid = sorted(set(sources.values()))
    grey_range = choose_range(
        job.grey_range,
        volume.dtype,
        (found.low, found.high),
        lambda: (volume.present(number - volume.numbers[0])[y, x] for number in valid[:: max(1, len(valid) // 64)]),
        volume.source,
    )
    grey_range.warn_if_unused(found.low, found.high, volume.source)
    if job.lr:
        job.lr.prepare(valid, grey_range, y, x)
    return Contents(sources, found.blank, Stored.of(volume.dtype, grey_range))


def _write(volume: Volume, job: LmdbJob, geometry: Geometry, contents: Contents, progress: bool) -> list[Path]:
    y, x, stored = slice(*geometry.y), slice(*geometry.x), contents.stored
    split_of = {number: split for split, chosen in geometry.sections.items() for number in chosen}
    with contextlib.ExitStack() as stack:
        writers = {}
        for split, scale in itertools.product(geometry.sections, job.stored_scales):
            tile = None if job.tile is None else job.tile // scale
            writer = LmdbWriter(job.output_path(split, scale), tile, describe_lmdb(job, split, scale), job.append)
            writers[split, scale] = stack.enter_context(writer)
        last: dict[int, np.ndarray] = {}
        for number in tqdm(sorted(split_of), unit="section", desc=job.volume, disable=not progress):
            source = contents.sources[number]
            section = volume.present(source - volume.numbers[0])
            hr = np.ascontiguousarray(stored.store(section[y, x]))
            for scale in job.stored_scales:
                if scale == 1:
                    last[scale] = hr
                elif job.lr:
                    last[scale] = stored.grey_range.from_unit(job.lr.section(source, y, x), hr.dtype)
                else:
                    last[scale] = degrade_stored(hr, number, scale, job, stored.grey_range)
                writers[split_of[number], scale].put(job.volume, number, last[scale])
        for (split, scale), writer in writers.items():
            entry = describe_volume(volume, job, geometry, contents, split, scale)
            writer.finish_volume(job.volume, last[scale], entry)
            writer.close()
        for writer in writers.values():
            writer.publish(job.overwrite or job.append)
    return [writer.path for writer in writers.values()]


def degrade_stored(hr: np.ndarray, number: int, scale: int, job: LmdbJob, grey_range: GreyRange) -> np.ndarray:
    """LR section in the dtype of ``hr`` (rounded, clipped to the range); noise by (seed, scale, section number)."""
    lr = degrade(grey_range.to_unit(hr), scale, job.degradation, (job.seed, scale, number), **job.parameters)
    return grey_range.from_unit(lr, hr.dtype)


def _split(numbers: range, splits: dict[str, tuple[int, int]], z: tuple[int, int]) -> dict[str | None, list[int]]:
    if not splits:
        return {None: list(numbers)}
    taken: dict[int, str] = {}
    result: dict[str | None, list[int]] = {}
    for name, (first, last) in splits.items():
        if not z[0] <= first <= last < z[1]:
            raise InputError(f"split {name}={first}-{last}: expected sections within {z[0]}-{z[1] - 1}")
        for number in range(first, last + 1):
            if number in taken:
                raise InputError(f"split {name}: section {number} is in split {taken[number]} too")
            taken[number] = name
        result[name] = [number for number in numbers if first <= number <= last]
        if not result[name]:
            raise InputError(f"split {name}={first}-{last} contains none of the chosen sections")
    return result


def _check_append(job: LmdbJob, split: str | None, scale: int) -> None:
    path = job.output_path(split, scale)
    if job.overwrite:
        raise InputError("--append and --overwrite exclude each other")
    if not path.is_dir():
        raise InputError(f"{path}: does not exist, so nothing can be appended; without --append it is made")
    metadata, wanted = open_section_store(path, "lmdb").metadata, describe_lmdb(job, split, scale)
    recorded = metadata.get("degradation")
    if recorded and not job.lr and recorded.get("kind") == job.degradation:  # parameters that it may be older than
        metadata["degradation"] = {**complete_parameters(job.degradation, {}), **recorded}
    for key in ("scale", "degradation", "split"):
        if metadata.get(key) != wanted[key]:
            raise InputError(f"{path}: {key} is {metadata.get(key)}, so a volume with {wanted[key]} is not appended")
    if job.volume in metadata["volumes"]:
        raise InputError(f"{path}: already holds volume {job.volume}; choose another --volume")
