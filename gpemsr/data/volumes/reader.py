"""Opening a volume of grey values, whatever it is stored as: TIFF, folder of section images, HDF5, Zarr or OME-Zarr."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from gpemsr.data.volumes.formats import format_of
from gpemsr.data.volumes.volume import Volume, check_dtype, check_voxel_size
from gpemsr.errors import InputError


def open_volume(
    path: str | Path,
    dataset: str | None = None,
    voxel_size: tuple[float, float, float] | None = None,
    *,
    on_missing: Literal["refuse", "replace"] = "refuse",
) -> Volume:
    """Open a volume for reading section by section.

    Args:
        path: a multi-page TIFF, a folder of numbered section images, an HDF5 file, or a Zarr or OME-Zarr folder.
        dataset: HDF5 data set (default ``volumes/raw``, or the only volume in the file) or array in a Zarr group
            (default: the finest level of an OME-Zarr image).
        voxel_size: (z, y, x) in nm; overrides what the source says.
        on_missing: what to do about section numbers missing in a folder: ``refuse``, or ``replace`` each by the
            nearest earlier one (recorded in ``Volume.replaced``).

    Returns:
        A :class:`~gpemsr.data.volumes.volume.Volume`: shape (z, y, x), uint8 or uint16.

    Raises:
        InputError: absent, of another kind, damaged, RGB, float, sections of several sizes or missing.
    """
    path = Path(path)
    if voxel_size is not None:
        voxel_size = check_voxel_size(voxel_size, "voxel size")
    form = format_of(path)
    if dataset is not None and not form.has_datasets:
        raise InputError(f"{path}: has no data sets, so --dataset {dataset} cannot be read; HDF5 and Zarr have")
    volume = form.open(path, dataset, on_missing)
    try:
        check_dtype(volume.dtype, path)
    except InputError:
        volume.close()
        raise
    if voxel_size is not None:
        volume.voxel_size = voxel_size
    return volume
