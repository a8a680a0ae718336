"""Volumes in stores of chunks: Zarr 2 and 3, OME-Zarr, N5, neuroglancer precomputed; on disk, http, s3 or gs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gpemsr.data.volumes.array import ArrayVolume
from gpemsr.data.volumes.axes import Axes
from gpemsr.data.volumes.formats import VolumeFormat
from gpemsr.data.volumes.nodes import Store, damaged, is_numbers, is_remote
from gpemsr.data.volumes.ome_zarr import Found, find_image
from gpemsr.data.volumes.volume import Opening, absent_error
from gpemsr.data.volumes.voxel_size import complete, nanometres
from gpemsr.errors import InputError

MARKS = (".zarray", ".zgroup", ".zattrs", "zarr.json", "attributes.json")


class StoreVolume(ArrayVolume):
    """An array of a Zarr or N5 store or the finest scale of a precomputed one, with its voxel size."""

    def __init__(self, path: Path | str, opening: Opening):
        store = Store(path)
        found = _precomputed(store, opening) if store.is_precomputed else find_image(store, opening)
        array = store.array(found.name, found.driver, opening.is_sparse)

        def read(index: tuple[slice | int, ...]) -> np.ndarray:
            try:
                return array[index].read().result()
            except ValueError as error:
                if "is missing" not in str(error):
                    raise
                z = slice(0, 1) if found.axes.z is None else index[found.axes.z]
                assert isinstance(z, slice)
                text = str(error).removeprefix("NOT_FOUND: ").split(" [")[0]
                raise absent_error(path, dict.fromkeys(range(z.start, z.stop), text)) from None

        super().__init__(
            read,
            array.shape,
            array.chunk_layout.read_chunk.shape,
            found.axes,
            source=path,
            opening=opening,
            dtype=array.dtype.numpy_dtype,
            voxel_size=found.voxel_size,
        )
        self.translation = found.translation()
        self.dataset = found.name.removeprefix(store.inside).strip("/") or None


def _precomputed(store: Store, opening: Opening) -> Found:
    """The finest scale of a precomputed volume, or the one whose key is the data set; its axes are x, y, z, channel."""
    info = store.json("info") or {}
    scales = info["scales"]
    if not isinstance(scales, list) or not scales or not all(isinstance(scale, dict) for scale in scales):
        raise damaged(store.path, "scales", scales, "a list of objects { }, one for each scale")
    for scale in scales:
        if not isinstance(scale.get("key"), str):
            raise damaged(store.path, "key", scale.get("key"), "the name of a scale")
        if not is_numbers(scale.get("resolution"), 3):
            raise damaged(store.path, "resolution", scale.get("resolution"), "three lengths in nm")
    if not isinstance(info.get("num_channels"), int):
        raise damaged(store.path, "num_channels", info.get("num_channels"), "a number")
    keys = [scale["key"] for scale in scales]
    if opening.dataset is not None and opening.dataset not in keys:
        raise InputError(f"{store.path}: no scale {opening.dataset!r}; it holds {', '.join(keys)}")
    chosen = (
        scales[keys.index(opening.dataset)] if opening.dataset else min(scales, key=lambda s: np.prod(s["resolution"]))
    )
    channels = info["num_channels"]
    if channels > 1 and not 0 <= (opening.channel if opening.channel is not None else -1) < channels:
        raise InputError(f"{store.path}: {channels} channels; --channel 0 to {channels - 1} takes one")
    return Found(
        chosen["key"],
        "neuroglancer_precomputed",
        Axes(2, 1, 0, {3: opening.channel or 0}),
        lambda: complete([nanometres(size, "nm") for size in chosen["resolution"][::-1]]),
    )


def is_store(path: Path | str) -> bool:
    """Whether a path is a folder with a Zarr, N5 or precomputed volume, or an address."""
    if isinstance(path, str):
        return is_remote(path)
    if not path.is_dir():
        return False
    has_marks = path.suffix.lower() in (".zarr", ".n5") or any((path / mark).is_file() for mark in MARKS)
    return has_marks or ((path / "info").is_file() and b'"scales"' in (path / "info").read_bytes())


FORMAT = VolumeFormat((".zarr", ".n5"), StoreVolume, matches=is_store, has_datasets=True, has_levels=True)
