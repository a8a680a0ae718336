"""Reading instance ids, whole numbers of any size, from the formats that grey values are read from."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gpemsr.data.volumes.formats import format_of, volume_path
from gpemsr.data.volumes.volume import Opening, Volume
from gpemsr.errors import InputError

CREMI_IDS = "volumes/labels/neuron_ids"


def open_ids(path: str | Path, dataset: str | None = CREMI_IDS) -> Volume:
    """Open a volume of instance ids.

    Args:
        path: what :func:`gpemsr.data.volumes.reader.open_volume` takes.
        dataset: the data set of an HDF5 file or the array of a Zarr group; None is the default of grey values.

    Raises:
        InputError: absent, of another format, damaged, or not whole numbers.
    """
    path = volume_path(path)
    form = format_of(path)
    volume = form.open(path, Opening(dataset if form.has_datasets else None, ids=True))
    if volume.dtype.kind not in "ui":
        volume.close()
        raise InputError(f"{path}: {volume.dtype.name} voxels; expected ids, whole numbers")
    return volume


def read_ids(path: str | Path, sections: slice = slice(None), dataset: str | None = CREMI_IDS) -> np.ndarray:
    """Instance ids of some sections of a volume.

    Args:
        path, dataset: see :func:`open_ids`.
        sections: which ones, counted from 0.

    Returns:
        (z, y, x), unsigned, as wide as in the file; 0 = no instance.

    Raises:
        InputError: what :func:`open_ids` refuses, or ids below 0.
    """
    with open_ids(path, dataset) as volume:
        return unsigned_ids(volume.read(range(volume.shape[0])[sections]), path)


def unsigned_ids(ids: np.ndarray, source: object) -> np.ndarray:
    """Ids as unsigned numbers. Raises :class:`InputError` if one is negative."""
    if ids.dtype.kind == "u":
        return ids
    if ids.size and ids.min() < 0:
        raise InputError(f"{source}: id {ids.min()}; expected ids from 0 on")
    return ids.astype(f"u{ids.dtype.itemsize}")
