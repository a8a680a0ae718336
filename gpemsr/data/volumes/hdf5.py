"""A volume in an HDF5 data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gpemsr.data.volumes.array import ArrayVolume, choose, listed
from gpemsr.data.volumes.formats import VolumeFormat
from gpemsr.errors import InputError


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
            dataset = choose(path, dataset, found, default="volumes/raw").strip("/")
            array = self._file.get(dataset)
            if not isinstance(array, h5py.Dataset):
                raise InputError(f"{path}: no data set {dataset!r}; {listed(found)}")
            resolution = array.attrs.get("resolution")
            voxel_size = None if resolution is None else tuple(np.ravel(resolution))
            super().__init__(array, source=path, dataset=dataset, voxel_size=voxel_size)
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()


FORMAT = VolumeFormat(
    (".h5", ".hdf", ".hdf5"), lambda path, dataset, on_missing: Hdf5Volume(path, dataset), has_datasets=True
)
