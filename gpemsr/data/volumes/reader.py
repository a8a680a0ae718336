"""Opening a volume of grey values, whatever it is stored as."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gpemsr.data.volumes.formats import format_of, volume_path
from gpemsr.data.volumes.volume import GREY_TYPES, Opening, Volume, check_dtype
from gpemsr.data.volumes.voxel_size import VoxelSize, check_voxel_size


def open_volume(path: str | Path, dataset: str | None = None, voxel_size: VoxelSize | None = None, **opening) -> Volume:
    """Open a volume for reading section by section.

    Args:
        path: a file or folder of one of the formats in docs/data.md, or the http, s3 or gs address of a store.
        dataset: HDF5 data set (default ``volumes/raw``, or the only volume in the file) or array or image in a Zarr
            or N5 store (default: the only image's finest level, or ``raw``).
        voxel_size: (z, y, x) in nm; overrides what the source says.
        opening: ``on_missing``, ``channel`` and ``time`` of :class:`~gpemsr.data.volumes.volume.Opening`.

    Returns:
        A :class:`~gpemsr.data.volumes.volume.Volume`: shape (z, y, x), of one of ``GREY_TYPES``. Which values are
        black and white is up to :func:`gpemsr.data.grey_values.choose_range`.

    Raises:
        InputError: absent, of another kind, damaged, RGB, sections of several sizes or missing.
    """
    path = volume_path(path)
    if voxel_size is not None:
        voxel_size = check_voxel_size(voxel_size, "--voxel-size")
    volume = format_of(path).open(path, replace(Opening(**opening), dataset=dataset, voxel_size=voxel_size))
    try:
        check_dtype(volume.dtype, path, GREY_TYPES)
    except BaseException:
        volume.close()
        raise
    return volume
