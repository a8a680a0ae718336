"""A volume in a Zarr array or an OME-Zarr image."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from gpemsr.data.volumes.array import ArrayVolume, choose, listed
from gpemsr.data.volumes.formats import VolumeFormat
from gpemsr.data.volumes.volume import complete, nanometres
from gpemsr.errors import InputError

MARKS = (".zarray", ".zgroup", "zarr.json")


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
                    raise InputError(f"{path}: no array {dataset!r}; {listed(arrays)}")
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
            level = _finest(image, path) if image else choose(path, None, _arrays(node), default="raw")
            if level not in node or not isinstance(node[level], zarr.Array):
                raise InputError(f"{path}: no array {level!r}; {listed(_arrays(node))}")
            node, dataset = node[level], "/".join(part for part in (parent, level) if part)
        image = _multiscale(attributes)
        if image:
            voxel_size = _ome_voxel_size(image, level)
        elif "resolution" in node.attrs:
            voxel_size = tuple(node.attrs["resolution"])
        leading = node.ndim - 3
        if leading < 0 or any(size != 1 for size in node.shape[:leading]):
            raise InputError(f"{path}: shape {node.shape}; expected (z, y, x), or one time and channel of it")
        super().__init__(node, leading, source=path, dataset=dataset, voxel_size=voxel_size)


def _arrays(group) -> list[str]:
    return sorted(name for name, _ in group.arrays())


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


def is_zarr(path: Path) -> bool:
    """Whether a path is a folder with a Zarr array or group (version 2 or 3)."""
    return path.is_dir() and (path.suffix.lower() == ".zarr" or any((path / mark).is_file() for mark in MARKS))


FORMAT = VolumeFormat(
    (".zarr",), lambda path, dataset, on_missing: ZarrVolume(path, dataset), matches=is_zarr, has_datasets=True
)
