"""A volume that is complete: what it says of how it was made, and whether it can be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import tifffile

from gpemsr.data.volumes.reader import open_volume
from gpemsr.errors import InputError


def stored_note(path: Path) -> dict[str, Any]:
    """What a finished volume says of itself. Raises :class:`InputError` if it is none of ours."""
    try:
        note = _read_note(path)
        if note["content"] != "super-resolved":
            raise ValueError(note["content"])
        return note
    except Exception:  # any file may be there, and each library raises its own
        raise InputError(
            f"{path} exists and is not a volume of gpemsr-upscale; expected the name of a new one"
        ) from None


def _read_note(path: Path) -> dict[str, Any]:
    if path.suffix == ".zarr":
        import zarr

        attributes: Any = zarr.open_group(str(path), mode="r").attrs
        return dict(attributes["gpemsr"])
    if path.suffix.lower() in (".h5", ".hdf5"):
        with h5py.File(path) as file:
            return json.loads(file["volumes/raw"].attrs["note"])
    with tifffile.TiffFile(path) as file:
        page: Any = file.pages[0]
        if file.ome_metadata:
            return json.loads(tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Description"])
        return json.loads(page.description.partition("\nnote=")[2].splitlines()[0])


def verify_finished(path: Path, shape: tuple[int, int, int]) -> None:
    """Read all of a finished volume. Raises :class:`InputError` if it has another shape or cannot be read."""
    with open_volume(path, on_missing="keep") as volume:
        if volume.shape != shape:
            raise InputError(f"{path}: {volume.shape} voxels; expected {shape}")
        for z in range(volume.shape[0]):
            volume.section(z)
