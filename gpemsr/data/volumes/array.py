"""A volume in a chunked array, such as an HDF5 data set or a Zarr array, read in slabs of whole chunks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gpemsr.data.volumes.volume import Volume
from gpemsr.errors import InputError

SLAB_BYTES = 256 * 2**20  # the most that is kept of sections that share chunks


class ArrayVolume(Volume):
    """A three-dimensional chunked array; sections that share chunks are read together and kept until passed."""

    def __init__(self, array, leading: int = 0, **volume):
        """``array``: h5py.Dataset or zarr.Array whose first ``leading`` axes have length 1."""
        shape = tuple(array.shape)
        super().__init__(shape=shape[leading:], dtype=array.dtype.newbyteorder("="), **volume)
        self._array, self._leading = array, leading
        self._depth = array.chunks[leading] if array.chunks else 1
        self._slab: tuple[tuple, np.ndarray] | None = None

    def _read(self, index: int) -> np.ndarray:
        return self.region(index, slice(0, self.shape[1]), slice(0, self.shape[2]))

    def region(self, index: int, y: slice, x: slice) -> np.ndarray:
        """As :meth:`Volume.region`; only the chunks that hold the rectangle are decoded."""
        area = max(1, (y.stop - y.start) * (x.stop - x.start))
        depth = max(1, min(self._depth, SLAB_BYTES // (area * self.dtype.itemsize)))
        start = index - index % depth
        key = (start, y.start, y.stop, x.start, x.stop)
        if self._slab is None or self._slab[0] != key:
            self._slab = None
            try:
                slab = self._array[(0,) * self._leading + (slice(start, start + depth), y, x)]
            except Exception as error:  # h5py, zarr and their codecs each raise their own
                raise InputError(f"{self.source}: section {index} is damaged ({str(error)[:120]})") from None
            self._slab = (key, np.asarray(slab, self.dtype))
        return self._slab[1][index - start].copy()


def listed(names: list[str]) -> str:
    """What a file holds, for a message."""
    return f"it holds {', '.join(names[:8])}" if names else "it holds no volumes"


def choose(path: Path, dataset: str | None, found: list[str], default: str) -> str:
    """The data set to read: the named one, the default one, or the only one. Raises :class:`InputError` if unclear."""
    if dataset is not None:
        return dataset
    if default in found:
        return default
    if len(found) == 1:
        return found[0]
    raise InputError(f"{path}: which data set? --dataset names it; {listed(found)}")
