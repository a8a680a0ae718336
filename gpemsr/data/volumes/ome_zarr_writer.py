"""Writing an OME-Zarr image and its pyramid by whole shards: OME-Zarr 0.5 (Zarr 3) or 0.4 (Zarr 2, without shards)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpemsr.files import remove, sync

VERSIONS = ("0.5", "0.4")
SMALLEST = 256  # pixels of the coarsest level's longer side
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class ImageLayout:
    """How an image is stored."""

    shape: Shape
    """(z, y, x) of the finest level."""
    dtype: str
    """Name of the data type."""
    voxel_size: tuple[float, float, float]
    """(z, y, x) in nm of the finest level."""
    translation: tuple[float, float, float]
    """(z, y, x) in nm of the centre of its first voxel."""
    chunk: Shape
    """Voxels of a chunk."""
    shard: Shape
    """Voxels of a shard, the unit of writing; with 0.4 that is a chunk."""
    factors: tuple[Shape, ...] = ((1, 1, 1),)
    """Size of a voxel of each level, over that of the finest one."""
    version: str = "0.5"
    """One of :data:`VERSIONS`."""
    fill: float = 0
    """Value of voxels that are never written."""

    def shape_of(self, level: int) -> Shape:
        """(z, y, x) of a level."""
        z, y, x = (-(-n // factor) for n, factor in zip(self.shape, self.factors[level], strict=True))
        return z, y, x

    @property
    def unit(self) -> Shape:
        """Voxels that are written at once."""
        return self.shard if self.version == "0.5" else self.chunk

    def shards(self, level: int) -> int:
        """Number of shards of a level."""
        return math.prod(-(-n // size) for n, size in zip(self.shape_of(level), self.shard, strict=True))

    def region(self, level: int, shard: int) -> tuple[slice, slice, slice]:
        """Where a shard lies in its level."""
        shape = self.shape_of(level)
        places = np.unravel_index(shard, [-(-n // size) for n, size in zip(shape, self.shard, strict=True)])
        z, y, x = (
            slice(int(place) * size, min(n, (int(place) + 1) * size))
            for place, size, n in zip(places, self.shard, shape, strict=True)
        )
        return z, y, x

    def metadata(self, name: str) -> dict[str, Any]:
        """The multiscale image of OME-Zarr's attributes."""
        datasets = []
        for level, factors in enumerate(self.factors):
            scale = [size * factor for size, factor in zip(self.voxel_size, factors, strict=True)]
            shift = [
                origin + (factor - 1) / 2 * size
                for origin, factor, size in zip(self.translation, factors, self.voxel_size, strict=True)
            ]
            steps = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": shift}]
            datasets.append({"path": str(level), "coordinateTransformations": steps})
        axes = [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx"]
        image = {"name": name, "axes": axes, "datasets": datasets, "type": "mean"}
        if self.version == "0.5":
            return {"ome": {"version": self.version, "multiscales": [image]}}
        return {"multiscales": [{**image, "version": self.version}]}


def pyramid_factors(shape: Shape, voxel_size: tuple[float, float, float]) -> tuple[Shape, ...]:
    """Factors of the levels: y and x are halved, and z once its voxels are no longer than those along y and x."""
    factors = [(1, 1, 1)]
    while max(-(-n // factor) for n, factor in zip(shape[1:], factors[-1][1:], strict=True)) > SMALLEST:
        z, y, x = factors[-1]
        halved = shape[0] > z and 1.5 * z * voxel_size[0] <= 2 * y * min(voxel_size[1:])
        factors.append((2 * z if halved else z, 2 * y, 2 * x))
    return tuple(factors)


def create_image(path: Path, layout: ImageLayout, name: str, attributes: Mapping[str, Any]) -> None:
    """Make an image without voxels."""
    import zarr
    from zarr.codecs import ZstdCodec

    group = zarr.create_group(str(path), zarr_format=3 if layout.version == "0.5" else 2)
    group.attrs.update({**layout.metadata(name), **attributes})
    for level in range(len(layout.factors)):
        settings: dict[str, Any] = {"shards": layout.shard, "dimension_names": ["z", "y", "x"]}
        compressor: Any = ZstdCodec(level=3)
        if layout.version == "0.4":
            import numcodecs

            settings = {"chunk_key_encoding": {"name": "v2", "separator": "/"}}
            compressor = numcodecs.Zstd(level=3)
        group.create_array(
            str(level), shape=layout.shape_of(level), dtype=layout.dtype, chunks=layout.chunk, fill_value=layout.fill,
            compressors=compressor, **settings,
        )  # fmt: skip


class ImageLevel:
    """One level of an image that :func:`create_image` made, written and read by regions of whole shards."""

    def __init__(self, path: Path, layout: ImageLayout, level: int) -> None:
        import zarr

        self.array: Any = zarr.open_array(str(path / str(level)), mode="r+")
        self._folder = path / str(level) / ("c" if layout.version == "0.5" else "")
        self._unit = layout.unit

    def write(self, start: Shape, data: np.ndarray) -> list[Path]:
        """Replace a region that begins at a shard and ends at one, or with the image; the files, brought to disk.

        What another writer left there is removed first, so that the files depend on ``data`` alone.
        """
        files = list(self._files(start, data.shape))
        for file in files:
            for leftover in file.parent.glob(f"{file.name}*") if file.parent.is_dir() else ():
                if leftover == file or leftover.name.startswith(f"{file.name}."):
                    remove(leftover)
        self.array[tuple(slice(a, a + n) for a, n in zip(start, data.shape, strict=True))] = data
        written = [file for file in files if file.is_file()]  # none where all is 0
        for file in written:
            sync(file)
        return written

    def _files(self, start: Shape, shape: tuple[int, ...]) -> Iterator[Path]:
        spans = [range(a // unit, -(-(a + n) // unit)) for a, n, unit in zip(start, shape, self._unit, strict=True)]
        for z, y, x in itertools.product(*spans):
            yield self._folder / str(z) / str(y) / str(x)


def shrink(image: np.ndarray, factors: tuple[int, ...]) -> np.ndarray:
    """Mean over ``factors`` voxels (z, y, x) in the same data type; the last ones are repeated to fill."""
    pads = [(0, -n % factor) for n, factor in zip(image.shape, factors, strict=True)]
    padded = np.pad(image, pads, mode="edge") if any(pad for _, pad in pads) else image
    split = [part for n, factor in zip(padded.shape, factors, strict=True) for part in (n // factor, factor)]
    mean = padded.reshape(split).mean(axis=(1, 3, 5), dtype=np.float32)
    return np.rint(mean).astype(image.dtype) if image.dtype.kind in "ui" else mean.astype(image.dtype)
