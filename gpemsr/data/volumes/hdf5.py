"""A volume in an HDF5 data set."""

from __future__ import annotations

import collections
import contextlib
import math
from pathlib import Path
from typing import Any

import numpy as np

from gpemsr.data.volumes.array import ArrayVolume, choose, listed
from gpemsr.data.volumes.axes import Axes, named_axes, unnamed_axes
from gpemsr.data.volumes.formats import VolumeFormat
from gpemsr.data.volumes.hdf5_writer import Hdf5Writer
from gpemsr.data.volumes.volume import Opening, reason
from gpemsr.data.volumes.voxel_size import from_attributes, json_or_text
from gpemsr.errors import InputError


class Hdf5Volume(ArrayVolume):
    """An HDF5 data set; attributes of it or of a group above it say the voxel size."""

    def __init__(self, path: Path, opening: Opening):
        import h5py

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
                voxel_size=lambda: from_attributes(_attributes(array), axes.places, path),
                absent=_absent(array, axes, path, opening.ids),
            )
            self.translation = _offset(array, axes)
            self.dataset = array.name.strip("/")
            stack.pop_all()

    def _name(self, path: Path, dataset: str | None) -> str:
        import h5py

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
    import h5py

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


def _attributes(array: Any) -> dict[str, Any]:
    """Attributes of a data set and of the groups that hold it; the nearest ones count."""
    found: dict[str, Any] = {}
    node = array
    while True:
        for name in node.attrs:
            with contextlib.suppress(OSError, TypeError):  # attributes of types that h5py does not read
                found.setdefault(name, node.attrs[name])
        if node.name == "/":
            return found
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


def _absent(array: Any, axes: Axes, path: Path, ids: bool) -> dict[int, str]:
    """Sections of which a source or a chunk is not there, and which one."""
    if array.is_virtual:
        return _absent_sources(array, axes, path)
    depth = array.shape[axes.places[0]]
    if ids or array.size == 0:
        return {}
    if array.chunks is None:
        stored = array.id.get_storage_size() or array.external
        return {} if stored else dict.fromkeys(range(depth), "never written")
    along = axes.places[0]
    fixed = {place: index - index % array.chunks[place] for place, index in axes.fixed.items()}
    there: collections.Counter[int] = collections.Counter()

    def count(chunk: Any) -> None:
        there[chunk.chunk_offset[along]] += all(chunk.chunk_offset[place] == start for place, start in fixed.items())

    array.id.chunk_iter(count)
    needed = math.prod(
        -(-size // array.chunks[place])
        for place, size in enumerate(array.shape)
        if place not in fixed and place != along
    )
    absent: dict[int, str] = {}
    for start in range(0, depth, array.chunks[along]):
        if there[start] < needed:
            sections = range(start, min(start + array.chunks[along], depth))
            absent |= dict.fromkeys(sections, f"{needed - there[start]} of {needed} chunks were never written")
    return absent


def _absent_sources(array: Any, axes: Axes, path: Path) -> dict[int, str]:
    import h5py

    absent: dict[int, str] = {}
    covered = np.zeros(array.shape[axes.places[0]], bool)
    for source in array.virtual_sources():
        first, last = (corner[axes.places[0]] for corner in source.vspace.get_select_bounds())
        covered[first : last + 1] = True
        file = path if source.file_name == "." else path.parent / source.file_name
        try:
            with contextlib.nullcontext(array.file) if file == path else h5py.File(file, "r") as opened:
                if source.dset_name not in opened:
                    raise OSError("no such data set")
                inner = opened[source.dset_name]
                reasons = [f"chunks of {file.name} were never written"] if inner.id.get_storage_size() == 0 else []
        except (OSError, KeyError) as error:
            reasons = [f"{source.file_name}:{source.dset_name} cannot be read: {reason(error)}"]
        if reasons:
            absent |= dict.fromkeys(range(first, last + 1), reasons[0])
    return absent | {int(z): "no source of the virtual data set" for z in np.flatnonzero(~covered)}


FORMAT = VolumeFormat((".h5", ".hdf", ".hdf5"), Hdf5Volume, has_datasets=True, create=Hdf5Writer)
