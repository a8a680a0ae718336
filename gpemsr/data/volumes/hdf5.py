"""A volume in an HDF5 data set."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from gpemsr.data.volumes.array import ArrayVolume, choose, listed
from gpemsr.data.volumes.axes import Axes, named_axes, unnamed_axes
from gpemsr.data.volumes.formats import VolumeFormat
from gpemsr.data.volumes.hdf5_holes import Holes
from gpemsr.data.volumes.hdf5_writer import Hdf5Writer
from gpemsr.data.volumes.volume import Opening, reason
from gpemsr.data.volumes.voxel_size import VoxelSize, from_attributes, json_or_text
from gpemsr.errors import InputError


class Hdf5Volume(ArrayVolume):
    """An HDF5 data set; attributes of it or of a group above it say the voxel size."""

    def __init__(self, path: Path, opening: Opening):
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            locked = "open for writing elsewhere" if "lock" in str(error) else "truncated or not HDF5"
            raise InputError(f"{path}: {locked} ({reason(error)})") from None
        with contextlib.ExitStack() as stack:
            stack.callback(self._file.close)
            array = self._file[self._name(path, opening.dataset)]
            _check_filters(array, path)
            axes = _axes(array, opening, path)
            super().__init__(
                array.__getitem__,
                array.shape,
                array.chunks,
                axes,
                source=path,
                opening=opening,
                dtype=array.dtype,
                voxel_size=lambda: _voxel_size(array, axes, path),
                absent=_absent(array, axes, opening.ids),
            )
            self.translation = _offset(array, axes)
            self.dataset = array.name.strip("/")
            stack.pop_all()

    def _name(self, path: Path, dataset: str | None) -> str:
        found: list[str] = []
        self._file.visititems(
            lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) and item.ndim in (3, 4, 5) else None
        )
        name = choose(path, found, default="volumes/raw") if dataset is None else dataset.strip("/")
        try:
            node = self._file[name] if name else None
        except (KeyError, OSError):
            node, link = None, self._file.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink | h5py.SoftLink):
                target = f"{getattr(link, 'filename', '')} {link.path}".strip()
                raise InputError(f"{path}: data set {name!r} is a link to {target}, which is not there") from None
        if not isinstance(node, h5py.Dataset):
            raise InputError(f"{path}: no data set {dataset!r}; {listed(found)}")
        return name

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _check_filters(array: Any, path: Path) -> None:
    properties = array.id.get_create_plist()
    for number, _, _, name in (properties.get_filter(index) for index in range(properties.get_nfilters())):
        if not h5py.h5z.filter_avail(number):
            with contextlib.suppress(ImportError):
                import hdf5plugin  # noqa: F401 (it registers its filters)
        if not h5py.h5z.filter_avail(number):
            name = name.decode("utf-8", "replace")
            raise InputError(
                f"{path}: compressed by filter {number} {name}, which is not installed; pip install hdf5plugin"
            )


def _voxel_size(array: Any, axes: Axes, path: Path) -> VoxelSize | None:
    """Of the attributes of a data set or, if it has none, of the nearest group above it that has one."""
    node = array
    while True:
        attributes: dict[str, Any] = {}
        for name in node.attrs:
            with contextlib.suppress(OSError, TypeError):  # attributes of types that h5py does not read
                attributes[name] = node.attrs[name]
        if (size := from_attributes(attributes, axes.places, path)) is not None or node.name == "/":
            return size
        node = node.parent


def _axes(array: Any, opening: Opening, path: Path) -> Axes:
    """By ilastik's ``axistags`` or the labels of the dimensions, if there are any."""
    tags = json_or_text(array.attrs.get("axistags"))
    names = [tag["key"] for tag in tags["axes"]] if isinstance(tags, dict) else [label.label for label in array.dims]
    if {"y", "x"} <= {str(name).lower() for name in names}:
        return named_axes(names, array.shape, opening, path)
    return unnamed_axes(array.shape, opening, path)


def _offset(array: Any, axes: Axes) -> tuple[float, float, float]:
    """CREMI's ``offset``, (z, y, x) in nm; 0 without one."""
    offset = np.ravel(array.attrs.get("offset", ()))
    if offset.size != array.ndim or offset.dtype.kind not in "iuf":
        return 0.0, 0.0, 0.0
    z, y, x = (0.0 if axes.z is None and place == 0 else float(offset[place]) for place in axes.places)
    return z, y, x


def _absent(array: Any, axes: Axes, is_sparse: bool) -> dict[int, str]:
    """Sections of which a source or a chunk is not there, and which one."""
    box = [
        range(axes.fixed[place], axes.fixed[place] + 1) if place in axes.fixed else range(size)
        for place, size in enumerate(array.shape)
    ]
    return Holes(is_sparse).along(array, axes.places[0], box)


FORMAT = VolumeFormat((".h5", ".hdf", ".hdf5"), Hdf5Volume, has_datasets=True, create=Hdf5Writer)
