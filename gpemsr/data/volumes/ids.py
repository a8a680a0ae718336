"""Reading instance ids: whole numbers of any size, which the volume readers of grey values refuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gpemsr.data.volumes.reader import HDF5_SUFFIXES
from gpemsr.errors import InputError

CREMI_IDS = "volumes/labels/neuron_ids"


def read_ids(path: str | Path, sections: slice = slice(None), dataset: str = CREMI_IDS) -> np.ndarray:
    """Instance ids of some sections of a TIFF stack or an HDF5 data set.

    Args:
        path: a TIFF or an HDF5 file.
        sections: which ones.
        dataset: the data set of an HDF5 file.

    Returns:
        (z, y, x), unsigned, as wide as in the file; 0 = no instance.

    Raises:
        InputError: absent, of another kind, damaged, not a volume of whole numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.suffix.lower() in HDF5_SUFFIXES:
        ids = _read_hdf5(path, sections, dataset)
    elif path.suffix.lower() in (".tif", ".tiff"):
        ids = _read_tiff(path)[sections]
    else:
        raise InputError(f"{path}: not a kind that ids are read from; .tif or {', '.join(HDF5_SUFFIXES)} fits")
    if ids.ndim != 3 or ids.dtype.kind not in "ui":
        raise InputError(f"{path}: {ids.dtype.name} of shape {ids.shape}; whole numbers (z, y, x) fit")
    if ids.dtype.kind == "i":
        if ids.size and ids.min() < 0:
            raise InputError(f"{path}: id {ids.min()}; ids from 0 fit")
        ids = ids.astype(f"u{ids.dtype.itemsize}")
    return np.ascontiguousarray(ids, ids.dtype.newbyteorder("="))


def _read_tiff(path: Path) -> np.ndarray:
    import tifffile

    try:
        return tifffile.imread(path)
    except Exception as error:  # tifffile and its codecs each raise their own
        raise InputError(f"{path}: truncated or damaged TIFF ({str(error)[:120]})") from None


def _read_hdf5(path: Path, sections: slice, dataset: str) -> np.ndarray:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            found = file.get(dataset)
            if not isinstance(found, h5py.Dataset) or found.ndim != 3:
                raise InputError(f"{path}: no volume {dataset!r}")
            return found[sections]
    except OSError as error:
        raise InputError(f"{path}: truncated or not HDF5 ({str(error)[:120]})") from None
