"""A volume in an HDF5 data set or a Zarr array, read in slabs of whole chunks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from gpemsr.data.volumes.volume import Volume, check_dtype, complete, nanometres
from gpemsr.errors import InputError

SLAB_BYTES = 256 * 2**20  # the most that is kept of sections that share chunks


class ArrayVolume(Volume):
    """A three-dimensional chunked array; sections that share chunks are read together and kept until passed."""

    def __init__(self, array, leading: int = 0, **volume):
        """``array``: h5py.Dataset or zarr.Array whose first ``leading`` axes have length 1."""
        shape = tuple(array.shape)
        check_dtype(array.dtype, volume["source"])
        super().__init__(shape=shape[leading:], dtype=array.dtype.newbyteorder("="), **volume)
        self._array, self._leading = array, leading
        depth = array.chunks[leading] if array.chunks else 1
        self._depth = max(1, min(depth, SLAB_BYTES // (math.prod(self.shape[1:]) * self.dtype.itemsize)))
        self._slab: tuple[int, np.ndarray] | None = None

    def _read(self, index: int) -> np.ndarray:
        start = index - index % self._depth
        if self._slab is None or self._slab[0] != start:
            self._slab = None
            try:
                slab = self._array[(0,) * self._leading + (slice(start, start + self._depth),)]
            except Exception as error:  # h5py, zarr and their codecs each raise their own
                raise InputError(f"{self.source}: section {index} is damaged ({str(error)[:120]})") from None
            self._slab = (start, slab)
        return self._slab[1][index - start].copy()


class Hdf5Volume(ArrayVolume):
    """An HDF5 data set; its ``resolution`` attribute, if any, is the voxel size (z, y, x) in nm, as in CREMI."""

    def __init__(self, path: Path, dataset: str | None = None):
        import h5py

        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            raise InputError(f"{path}: truncated or not HDF5 ({str(error)[:120]})") from None
        try:
            found: list[str] = []
            self._file.visititems(
                lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) and item.ndim == 3 else None
            )
            dataset = _choose(path, dataset, found, default="volumes/raw").strip("/")
            array = self._file.get(dataset)
            if not isinstance(array, h5py.Dataset):
                raise InputError(f"{path}: no data set {dataset!r}; {_list(found)}")
            resolution = array.attrs.get("resolution")
            voxel_size = None if resolution is None else tuple(np.ravel(resolution))
            super().__init__(array, source=path, dataset=dataset, voxel_size=voxel_size)
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class ZarrVolume(ArrayVolume):
    """A Zarr array (version 2 or 3), or the finest level of an OME-Zarr image with its scale and unit."""

    def __init__(self, path: Path, dataset: str | None = None):
        import zarr

        try:
            node: Any = zarr.open(str(path), mode="r")
            attributes: dict = {}
            if dataset is not None:
                if isinstance(node, zarr.Array) or dataset.strip("/") not in node:
                    arrays = [] if isinstance(node, zarr.Array) else _arrays(node)
                    raise InputError(f"{path}: no array {dataset!r}; {_list(arrays)}")
                attributes = dict(node.attrs)
                node = node[dataset.strip("/")]
        except InputError:
            raise
        except Exception as error:  # zarr raises many kinds
            raise InputError(f"{path}: damaged or not Zarr ({str(error)[:120]})") from None
        voxel_size = None
        level = (dataset or "").strip("/")
        if isinstance(node, zarr.Group):
            attributes, parent = dict(node.attrs), level
            image = _multiscale(attributes)
            level = _finest(image, path) if image else _choose(path, None, _arrays(node), default="raw")
            if level not in node or not isinstance(node[level], zarr.Array):
                raise InputError(f"{path}: no array {level!r}; {_list(_arrays(node))}")
            node, dataset = node[level], "/".join(part for part in (parent, level) if part)
        image = _multiscale(attributes)
        if image:
            voxel_size = _ome_voxel_size(image, level)
        elif "resolution" in node.attrs:
            voxel_size = tuple(node.attrs["resolution"])
        leading = node.ndim - 3
        if leading < 0 or any(size != 1 for size in node.shape[:leading]):
            raise InputError(f"{path}: shape {node.shape}; (z, y, x), or with single time and channel, fits")
        super().__init__(node, leading, source=path, dataset=dataset, voxel_size=voxel_size)


def _arrays(group) -> list[str]:
    return sorted(name for name, _ in group.arrays())


def _list(names: list[str]) -> str:
    return f"it holds {', '.join(names[:8])}" if names else "it holds none that fits"


def _choose(path: Path, dataset: str | None, found: list[str], default: str) -> str:
    if dataset is not None:
        return dataset
    if default in found:
        return default
    if len(found) == 1:
        return found[0]
    raise InputError(f"{path}: which data set? --dataset names it; {_list(found)}")


def _multiscale(attributes: dict) -> dict | None:
    """The first multiscale image of OME-Zarr metadata (0.4: at the top; 0.5: under ``ome``)."""
    images = attributes.get("ome", attributes).get("multiscales")
    return images[0] if images else None


def _scale(item: dict) -> list[float] | None:
    for transformation in item.get("coordinateTransformations", []):
        if transformation.get("type") == "scale":
            return [float(factor) for factor in transformation["scale"]]
    return None


def _finest(image: dict, path: Path) -> str:
    """Path of the level with the smallest voxels; the first one if no scales are given."""
    levels = image.get("datasets", [])
    if not levels:
        raise InputError(f"{path}: OME-Zarr metadata name no levels")
    return min(levels, key=lambda level: math.prod(_scale(level) or [1.0]))["path"]


def _ome_voxel_size(image: dict, level: str) -> tuple[float, ...] | None:
    """(z, y, x) in nm: the level's scale times the image's, by the axes' units; None if any is missing."""
    item: dict = next((item for item in image.get("datasets", []) if item["path"] == level), {})
    scale, common = _scale(item), _scale(image)
    axes = image.get("axes", [])
    if scale is None or len(scale) != len(axes) or len(scale) < 3 or not all(isinstance(axis, dict) for axis in axes):
        return None
    factors = common if common and len(common) == len(scale) else [1.0] * len(scale)
    sizes = [
        nanometres(size * factor, axis.get("unit"))
        for size, factor, axis in list(zip(scale, factors, axes, strict=True))[-3:]
    ]
    return complete(sizes)
