"""Opening a volume, whatever it is stored as: TIFF, folder of section images, HDF5, Zarr or OME-Zarr."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from gpemsr.data.volumes.volume import Volume, check_voxel_size
from gpemsr.errors import InputError

HDF5_SUFFIXES = (".h5", ".hdf", ".hdf5")
ZARR_MARKS = (".zarray", ".zgroup", "zarr.json")


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
    volume = _open(path, dataset, on_missing)
    if voxel_size is not None:
        volume.voxel_size = voxel_size
    return volume


def _open(path: Path, dataset: str | None, on_missing: str) -> Volume:
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    if path.is_dir():
        if is_zarr(path):
            from gpemsr.data.volumes.array import ZarrVolume

            return ZarrVolume(path, dataset)
        _refuse_dataset(path, dataset)
        from gpemsr.data.volumes.folder import FolderVolume

        return FolderVolume(path, on_missing)
    if path.suffix.lower() in HDF5_SUFFIXES:
        from gpemsr.data.volumes.array import Hdf5Volume

        return Hdf5Volume(path, dataset)
    if path.suffix.lower() in (".tif", ".tiff"):
        _refuse_dataset(path, dataset)
        from gpemsr.data.volumes.tiff import TiffVolume

        return TiffVolume(path)
    raise InputError(f"{path}: not a kind that is read; .tif, {', '.join(HDF5_SUFFIXES)}, Zarr or a folder fits")


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr array or group (version 2 or 3)."""
    return path.suffix.lower() == ".zarr" or any((path / mark).is_file() for mark in ZARR_MARKS)


def _refuse_dataset(path: Path, dataset: str | None) -> None:
    if dataset is not None:
        raise InputError(f"{path}: has no data sets, so --dataset {dataset} does not fit; HDF5 and Zarr have")
