"""Before a run: how large the tiles can be, and what the run will take of memory, disk and time."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path

from gpemsr.errors import InputError
from gpemsr.volume.plan import Job, Plan
from gpemsr.volume.tiles import MULTIPLE

LARGEST_TILE = 512
OVERLAP, HALO = 24, 8
DEPTH_WHOLE, DEPTH_TILED = 32, 16
BLENDING = 2**32  # bytes for blending a block, at most


@dataclass(frozen=True)
class Machine:
    """What a run has."""

    memory: int
    """Bytes that it may take."""
    is_gpu: bool = False
    """Whether these are a GPU's."""


@dataclass(frozen=True)
class Cost:
    """What a section of a tile takes."""

    fixed: float
    """Bytes, whatever the size."""
    per_pixel: float
    """Bytes for an LR pixel."""
    seconds: float
    """Seconds for an LR pixel."""

    def times(self, number: int) -> Cost:
        """Of so many at once."""
        return Cost(number * self.fixed, number * self.per_pixel, number * self.seconds)

    def memory(self, pixels: float) -> float:
        """Bytes for a tile of so many LR pixels."""
        return self.fixed + self.per_pixel * pixels


def choose_sizes(
    job: Job, shape: tuple[int, int, int], itemsize: int, scale: int, cost: Cost, machine: Machine
) -> dict[str, int]:
    """``tile``, ``overlap``, ``halo``, ``depth``, ``tiles`` and ``batch`` of a plan.

    Whole sections where they fit into memory, else the largest tile that does. What the job says counts.

    Raises:
        InputError: depth or batch is below 1, or not even a small tile fits.
    """
    for name, number in {"depth": job.depth, "batch": job.batch}.items():
        if number is not None and number < 1:
            raise InputError(f"--{name} {number}: expected 1 or more")
    memory = job.memory or machine.memory
    depth, height, width = shape
    whole = -(-max(height, width) // MULTIPLE) * MULTIPLE
    overlap = OVERLAP if job.overlap is None else job.overlap
    halo = min(HALO, overlap // 2 // MULTIPLE * MULTIPLE) if job.halo is None else job.halo
    fits = int(math.sqrt(max(0.0, memory - cost.fixed) / max(cost.per_pixel, 1)))
    if job.tile is not None:
        tile = min(job.tile, whole) if job.tile else whole
    elif cost.memory(height * width) <= memory:
        tile = whole
    else:
        tile = min(whole, LARGEST_TILE, fits // 16 * 16)
        if tile < 2 * overlap + MULTIPLE:
            need = cost.memory((2 * overlap + MULTIPLE) ** 2)
            raise InputError(f"memory of {size_text(memory)}: expected {size_text(need)} or more for the smallest tile")
    is_whole = tile >= whole
    deep = min(depth, job.depth or (DEPTH_WHOLE if is_whole else DEPTH_TILED))
    batch = job.batch or 1
    tiles = 1
    if not is_whole:
        side = math.sqrt(min(memory / 3, BLENDING) / (deep * (4 + itemsize)))
        core = tile - overlap
        tiles = max(1, min(-(-whole // max(core, 1)), int(side // (scale * max(core, 1)))))
        if job.batch is None and machine.is_gpu:
            batch = max(1, min(8, int(memory / 2 // max(1.0, cost.memory(tile * tile)))))
    return {"tile": tile, "overlap": overlap, "halo": halo, "depth": deep, "tiles": tiles, "batch": batch}


@dataclass(frozen=True)
class Needs:
    """What a run takes."""

    finest: int
    """Bytes of the finest level at most, without compression."""
    disk: int
    """Bytes of all that is on disk at once, at most."""
    files: int
    """Number of files, at most."""
    seconds: float
    """Time by the probe, on one such device."""
    memory: float
    """Bytes, by the probe."""

    @classmethod
    def of(cls, plan: Plan, cost: Cost, itemsize: int, is_staged: bool) -> Needs:
        """Those of a plan; ``is_staged`` if it is converted to another format at the end."""
        grid, layout = plan.grid, plan.layout
        share = len(plan.wanted) / len(grid)
        finest = share * math.prod(layout.shape) * itemsize
        levels = [1 / math.prod(factors) for factors in layout.factors]
        disk = finest if is_staged else 0
        disk += finest * (levels[0] if is_staged else sum(levels))
        disk += 4 * len(plan.trust) * share * math.prod(plan.shape)
        units = math.prod(layout.shard) / math.prod(layout.unit)
        files = share * sum(layout.shards(level) for level in range(len(levels))) * units
        files += len(plan.trust) * share * layout.shards(0)
        seen = [sum(stop - start for start, stop in map(axis.seen, range(axis.count))) for axis in (grid.y, grid.x)]
        again = 1.0 if grid.is_whole else (1 + 1 / plan.tiles) ** 2  # a block's tiles and those before it
        pixels = share * plan.shape[0] * math.prod(seen) * again
        tile = min(plan.tile, plan.shape[1]) * min(plan.tile, plan.shape[2])
        blending = 0 if grid.is_whole else plan.depth * (plan.tiles * plan.scale * grid.x.core) ** 2 * 4
        memory = cost.memory(tile) * plan.batch + blending
        return cls(int(finest), int(disk), math.ceil(files), pixels * cost.seconds, memory)

    def refuse_full_disk(self, path: Path) -> None:
        """Raise :class:`InputError` unless the disk of ``path`` has room."""
        free = shutil.disk_usage(path.absolute().parent).free
        if self.disk > free:
            raise InputError(f"{path}: needs up to {size_text(self.disk)} on disk, of which {size_text(free)} are free")

    def text(self, plan: Plan) -> str:
        """What a person wants to know before it begins."""
        layout, grid = plan.layout, plan.grid
        voxel = " x ".join(f"{size:g}" for size in layout.voxel_size)
        if grid.is_whole:
            how = "whole sections"
        else:
            how = f"tiles of {plan.tile} x {plan.tile} LR pixels, the prior too, overlap {plan.overlap}"
            how += f" of which {grid.y.feather} are blended"
        skipped = len(grid) - len(plan.wanted)
        return "\n".join(
            [
                f"input:  {by(plan.shape)} {layout.dtype}",
                f"output: {by(layout.shape)}, voxel size {voxel} nm; at most {size_text(self.finest)}, "
                f"{size_text(self.disk)} on disk with all else, {self.files} files",
                f"plan:   {how}; blocks of {plan.depth} sections: {len(plan.wanted)}"
                + (f", {skipped} without tissue" if skipped else ""),
                f"memory: about {size_text(self.memory)} on top of the program; time: about {time_text(self.seconds)}",
            ]
        )


def by(shape: tuple[int, ...]) -> str:
    """Such as "100 x 512 x 512"."""
    return " x ".join(str(n) for n in shape)


def size_text(size: float) -> str:
    """Bytes such as "1.5 GB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def time_text(seconds: float) -> str:
    """Seconds such as "2.5 h"."""
    for limit, unit in ((90, "s"), (90 * 60, "min"), (48 * 3600, "h")):
        if seconds < limit:
            return f"{seconds / {'s': 1, 'min': 60, 'h': 3600}[unit]:.3g} {unit}"
    return f"{seconds / 86400:.3g} days"
